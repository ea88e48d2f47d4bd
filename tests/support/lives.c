/* lives - a deployment on each path. */
#include "tests/support/lives.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/rollout.h"
#include "tests/support/signal.h"

#define SCALE 10 /* the document has whole seconds */
#define MINUTE (SCALE * INT64_C(60000))
#define LATER_MS 1200

#define GOOD "\"error_rate\": 0, \"p99_ms\": 200"
#define BAD "\"version\": \"v2\", \"error_rate\": 0.5, \"p99_ms\": 200"

/* --- the paths ------------------------------------------------------------------------------------------------- */

static const LifePath paths[] = {
    {.name = "plain", .strategy = "plain", .regions = 1, .status = DEPLOYMENT_SUCCESS},
    {.name = "judged", .strategy = "judged", .regions = 1, .status = DEPLOYMENT_SUCCESS},
    {.name = "bad", .strategy = "judged", .regions = 1, .behavior = BAD, .status = DEPLOYMENT_ROLLED_BACK},
    {.name = "gated",
     .strategy = "gated",
     .regions = 1,
     .status = DEPLOYMENT_SUCCESS,
     .turns = {{"event 1 stage_passed canary", LATER_MS, "approve", NULL}}},
    {.name = "paused",
     .strategy = "long",
     .regions = 1,
     .status = DEPLOYMENT_SUCCESS,
     .turns = {{"event 1 observing canary", 0, "pause", NULL}, {"event 1 paused canary", LATER_MS, "resume", NULL}}},
    {.name = "promoted",
     .strategy = "slow",
     .regions = 1,
     .status = DEPLOYMENT_SUCCESS,
     .turns = {{"event 1 observing canary", 0, "promote", NULL},
               {"event 1 observing staging", 0, "promote_full", NULL}}},
    {.name = "abort-asked",
     .strategy = "asked",
     .regions = 1,
     .status = DEPLOYMENT_ABORTED,
     .turns = {{"event 1 started", 0, "abort", NULL}}},
    {.name = "abort-apply",
     .strategy = "slow",
     .regions = 1,
     .behavior = GOOD ", \"fail_apply\": 1000",
     .tries_often = true,
     .status = DEPLOYMENT_ABORTED,
     .turns = {{"event 1 try_failed canary", 0, "abort", NULL}}},
    {.name = "abort-warm",
     .strategy = "warm",
     .regions = 1,
     .status = DEPLOYMENT_ABORTED,
     .turns = {{"event 1 verified canary", 0, "abort", NULL}}},
    {.name = "abort-observed",
     .strategy = "slow",
     .regions = 1,
     .status = DEPLOYMENT_ABORTED,
     .turns = {{"event 1 observing canary", 0, "abort", NULL}}},
    {.name = "abort-paused",
     .strategy = "slow",
     .regions = 1,
     .status = DEPLOYMENT_ABORTED,
     .turns = {{"event 1 observing canary", 0, "pause", NULL}, {"event 1 paused canary", 0, "abort", NULL}}},
    {.name = "abort-twice",
     .strategy = "slow",
     .regions = 1,
     .behavior = GOOD ", \"fail_rollback\": 1000",
     .status = DEPLOYMENT_ABORTED,
     .turns = {{"event 1 observing canary", 0, "abort", NULL},
               {"event 1 try_failed", 0, "abort", GOOD ", \"fail_rollback\": 0"}}},
    {.name = "starved",
     .strategy = "judged",
     .regions = 1,
     .behavior = GOOD ", \"requests_per_second\": 0",
     .status = DEPLOYMENT_SUCCESS,
     .turns = {{"event 1 paused canary", LATER_MS, "resume", GOOD ", \"requests_per_second\": 10000"}}},
    {.name = "stuck",
     .strategy = "judged",
     .regions = 1,
     .behavior = BAD ", \"fail_rollback\": 1000",
     .status = DEPLOYMENT_FAILED},
    {.name = "halt",
     .strategy = "judged",
     .regions = 3,
     .more = "\"on_region_failure\": \"halt\"",
     .bad_region_behavior = BAD,
     .status = DEPLOYMENT_ROLLED_BACK},
    {.name = "restore",
     .strategy = "judged",
     .regions = 3,
     .more = "\"on_region_failure\": \"rollback_all\"",
     .bad_region_behavior = BAD,
     .status = DEPLOYMENT_ROLLED_BACK},
    {.name = "continue",
     .strategy = "judged",
     .regions = 3,
     .more = "\"on_region_failure\": \"continue\"",
     .bad_region_behavior = BAD,
     .status = DEPLOYMENT_ROLLED_BACK},
    {.name = "back",
     .strategy = "plain",
     .regions = 2,
     .ends = "event 1:restore ended",
     .status = DEPLOYMENT_SUCCESS,
     .turns = {{"outcome", 0, "abort", NULL}}},
};
#define PATHS (sizeof paths / sizeof paths[0])
_Static_assert(PATHS <= LIVES_MAX, "more paths than lives");

/* --- the policy ------------------------------------------------------------------------------------------------ */

static const DeploymentStrategy strategies[] = {
    {"plain", {{"canary", 25, 1000, SCALE * 400, 0, false, false}, {"prod", 100, 0, SCALE * 200, 0, false, false}}, 2},
    {"judged",
     {{"canary", 25, 1000, SCALE * 400, SCALE * 400, false, true}, {"prod", 100, 0, SCALE * 200, 0, false, false}},
     2},
    {"gated", {{"canary", 25, 0, SCALE * 100, 0, false, false}, {"prod", 100, 0, SCALE * 100, 0, true, false}}, 2},
    {"long", {{"canary", 25, 0, SCALE * 2000, 0, false, false}, {"prod", 100, 0, 0, 0, false, false}}, 2},
    {"slow",
     {{"canary", 25, 0, MINUTE, 0, false, true},
      {"staging", 50, 0, MINUTE, 0, false, true},
      {"prod", 100, 0, MINUTE, 0, true, true}},
     3},
    {"asked", {{"canary", 25, 0, MINUTE, 0, true, false}, {"prod", 100, 0, 0, 0, false, false}}, 2},
    {"warm", {{"canary", 25, MINUTE, MINUTE, 0, false, false}, {"prod", 100, 0, 0, 0, false, false}}, 2},
    {"flash", {{"prod", 100, 0, 0, 0, false, false}}, 1},
};
#define STRATEGIES (sizeof strategies / sizeof strategies[0])

static DeploymentPolicy *policy_make(Arena *arena, int32_t command_tries)
{
    DeploymentPolicy *policy = arena_alloc(arena, sizeof *policy);
    *policy = deployment_policy_default(arena);
    policy->regions = arena_alloc_array(arena, LIVES_MAX * STORY_REGIONS, sizeof *policy->regions);
    policy->strategy_count = STRATEGIES;
    memcpy(policy->strategies, strategies, sizeof strategies);
    policy->region_count = 0;
    for (size_t i = 0; i < PATHS; i++) {
        for (int n = 0; n < paths[i].regions; n++) {
            DeploymentRegionPolicy *region = &policy->regions[policy->region_count++];
            *region = (DeploymentRegionPolicy){.capacity = 1000, .driver = "sandbox"};
            snprintf(region->name, sizeof region->name, "r%02d", policy->region_count);
        }
    }
    policy->require_image = false;
    policy->time_scale_e4 = 10000 / SCALE;
    policy->look_ms = 1000;
    policy->bake_ms = 60 * MINUTE;
    policy->command_timeout_ms = 8000;
    policy->command_tries = command_tries;
    policy->limits.relative_errors = false;
    policy->limits.relative_latency = false;
    return policy;
}

static void policy_put(Stack *stack, int32_t command_tries)
{
    Arena arena = arena_make(1 << 16, 1 << 22);
    Str text = wire_print_deployment_policy(&arena, policy_make(&arena, command_tries));
    size_t before = deployment_count(stack, "tai.deployment.policy");
    ledger_publish(stack, "$KV.tai_policy.deployment", NULL, text.data, text.length);
    arena_release(&arena);
    WAIT_UNTIL(deployment_count(stack, "tai.deployment.policy") > before);
    Process *worker = stack_process(stack, STACK_POLICY, 0);
    WAIT_UNTIL(process_log_count(worker, "\"domain\":\"deployment\",\"revision\"") > before);
}

void lives_prepare(Stack *stack)
{
    policy_put(stack, 1);
    cluster_behave(stack, "{" GOOD ", \"requests_per_second\": 10000}");
}

/* --- beginning ------------------------------------------------------------------------------------------------- */

/* v1 runs there and has all traffic. */
static void region_begin(Stack *stack, const char *region, const char *service)
{
    const char *path = stack_print(stack, "/cluster/%s/services/%s", region, service);
    const char *v1 = "{\"version\": \"v1\", \"weight_percent\": 100, \"digest\": \"\"}";
    Answer put = http_call(stack, (Call){.method = "PUT", .path = path, .body = v1, .to = STACK_SANDBOX});
    path = stack_print(stack, "%s/finish", path);
    Answer finish = http_call(stack, (Call){.method = "POST", .path = path, .body = "{}", .to = STACK_SANDBOX});
    cr_assert(put.status == 200 && finish.status == 200, "%s %s", put.body, finish.body);
    signal_running(stack, region, service, "v1", "");
}

static void life_behave(Stack *stack, const Life *life, const char *region, const char *behavior)
{
    if (behavior) {
        const char *where = region ? stack_print(stack, "\"region\": \"%s\", ", region) : "";
        cluster_behave(stack, stack_print(stack, "{%s\"service\": \"%s\", %s}", where, life->about.service, behavior));
    }
}

static void life_name(Stack *stack, Life *life, const char *name, int *region_number)
{
    life->about.service = stack_print(stack, "%s-%s", life->path->name, name);
    life->about.region_count = (size_t)life->path->regions;
    for (int i = 0; i < life->path->regions; i++) {
        life->about.regions[i] = stack_print(stack, "r%02d", ++*region_number);
    }
    life->behind = life->about;
    life->behind.region_count = 1;
    life->behind.service = stack_print(stack, "%s-behind", life->about.service);
    life->about.id = deployment_of_key(stack, "shop1", life->about.service);
    life->behind.id = deployment_of_key(stack, "shop1", life->behind.service);
}

static void life_begin(Stack *stack, const Life *life)
{
    const LifePath *path = life->path;
    const char *list = "";
    for (int i = 0; i < path->regions; i++) {
        list = stack_print(stack, "%s%s\"%s\"", list, i ? ", " : "", life->about.regions[i]);
        region_begin(stack, life->about.regions[i], life->about.service);
    }
    life_behave(stack, life, NULL, path->behavior);
    life_behave(stack, life, life->about.regions[1], path->bad_region_behavior);
    const char *more = stack_print(stack, "\"target_regions\": [%s], \"rollout_strategy\": \"%s\"%s%s", list,
                                   path->strategy, path->more ? ", " : "", path->more ? path->more : "");
    signal_send(stack, life->about.service, signal_body(stack, life->about.service, "v2", more));
}

static void life_begin_behind(Stack *stack, const Life *life)
{
    const char *more =
        stack_print(stack, "\"target_region\": \"%s\", \"rollout_strategy\": \"flash\"", life->about.regions[0]);
    signal_send(stack, life->behind.service, signal_body(stack, life->behind.service, "v1", more));
}

/* Those that try often are decided under a policy of their own. */
static void lives_begin_some(Lives *lives, bool tries_often)
{
    size_t before = deployment_count(lives->stack, "tai.deployment.decision.approved");
    size_t begun = 0;
    policy_put(lives->stack, tries_often ? 9 : 1);
    for (size_t i = 0; i < lives->count; i++) {
        if (lives->lives[i].path->tries_often == tries_often) {
            life_begin(lives->stack, &lives->lives[i]);
            begun++;
        }
    }
    WAIT_UNTIL(deployment_count(lives->stack, "tai.deployment.decision.approved") >= before + begun);
}

void lives_name(Lives *lives, Stack *stack, const char *name)
{
    int region_number = 0;
    *lives = (Lives){.stack = stack, .count = PATHS};
    for (size_t i = 0; i < PATHS; i++) {
        lives->lives[i].path = &paths[i];
        life_name(stack, &lives->lives[i], name, &region_number);
    }
}

void lives_begin(Lives *lives)
{
    lives->seen = ledger_count(lives->stack, "DEPLOYMENT");
    lives_begin_some(lives, true);
    lives_begin_some(lives, false);
    for (size_t i = 0; i < lives->count; i++) {
        life_begin_behind(lives->stack, &lives->lives[i]);
    }
}

/* --- while they live ------------------------------------------------------------------------------------------- */

Life *lives_in_region(Lives *lives, Str region)
{
    for (size_t i = 0; i < lives->count; i++) {
        for (size_t n = 0; n < lives->lives[i].about.region_count; n++) {
            if (str_equal(region, str_from(lives->lives[i].about.regions[n]))) {
                return &lives->lives[i];
            }
        }
    }
    return NULL;
}

Life *lives_with_id(Lives *lives, const char *text)
{
    for (size_t i = 0; i < lives->count; i++) {
        const Life *life = &lives->lives[i];
        if (strstr(text, life->about.id) || strstr(text, life->behind.id)) {
            return &lives->lives[i];
        }
    }
    return NULL;
}

static void life_see(Life *life, const char *line)
{
    const LifeTurn *turn = &life->path->turns[life->turns_taken];
    bool waits = life->turns_taken < LIFE_TURNS && turn->after && life->turn_due_ms == 0;
    if (waits && strncmp(line, turn->after, strlen(turn->after)) == 0) {
        life->turn_due_ms = clock_monotonic_ms() + turn->later_ms;
    }
    const char *ends = life->path->ends ? life->path->ends : "outcome";
    life->over = life->over || strncmp(line, ends, strlen(ends)) == 0;
}

static void lives_see(Lives *lives, natsMsg *message)
{
    Stack *stack = lives->stack;
    const char *subject = natsMsg_GetSubject(message);
    Str body = {natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)};
    for (size_t i = 0; i < lives->count; i++) {
        Life *life = &lives->lives[i];
        life_see(life, story_line(stack, &life->about, subject, body));
        life->behind_over = life->behind_over || story_line(stack, &life->behind, subject, body)[0] == 'o';
    }
}

static void life_take_turn(Stack *stack, Life *life)
{
    const LifeTurn *turn = &life->path->turns[life->turns_taken];
    life_behave(stack, life, NULL, turn->behavior);
    rollout_order_by_nats(stack, life->about.id, turn->order, "ada", "because");
    life->turns_taken++;
    life->turn_due_ms = 0;
}

void lives_step(Lives *lives)
{
    natsMsg *message = NULL;
    clock_pause(5);
    while (js_GetMsg(&message, stack_js(lives->stack), "DEPLOYMENT", lives->seen + 1, NULL, NULL) == NATS_OK) {
        lives_see(lives, message);
        natsMsg_Destroy(message);
        lives->seen++;
    }
    for (size_t i = 0; i < lives->count; i++) {
        Life *life = &lives->lives[i];
        if (life->turn_due_ms != 0 && clock_monotonic_ms() >= life->turn_due_ms) {
            life_take_turn(lives->stack, life);
        }
    }
}

static bool lane_is_empty(Stack *stack, const char *region)
{
    jsConsumerInfo *info = NULL;
    const char *name = stack_print(stack, "region-%s", region);
    if (js_GetConsumerInfo(&info, stack_js(stack), "DEPLOYMENT", name, NULL, NULL) != NATS_OK) {
        return false; /* asked again: the server may just be away */
    }
    bool empty = info->NumPending == 0 && info->NumAckPending == 0;
    jsConsumerInfo_Destroy(info);
    return empty;
}

bool lives_are_over(const Lives *lives)
{
    for (size_t i = 0; i < lives->count; i++) {
        if (!lives->lives[i].over || !lives->lives[i].behind_over) {
            return false;
        }
    }
    for (size_t i = 0; i < lives->count; i++) {
        for (size_t n = 0; n < lives->lives[i].about.region_count; n++) {
            if (!lane_is_empty(lives->stack, lives->lives[i].about.regions[n])) {
                return false;
            }
        }
    }
    return true;
}

/* --- afterwards ------------------------------------------------------------------------------------------------ */

/* What was set, in order, the same again left out: a command that is carried out twice changes nothing. */
static const char *settings_told(Stack *stack, const char *region, const char *service)
{
    const char *path = stack_print(stack, "/cluster/%s/services/%s/history", region, service);
    Answer answer = http_call(stack, (Call){.method = "GET", .path = path, .to = STACK_SANDBOX});
    const char *told = "";
    const char *last = "";
    for (size_t i = 0; answer.status == 200 && i < json_array_size(answer.json); i++) {
        const json_t *split = json_array_get(answer.json, i);
        const char *now = stack_print(stack, "%s=%d%%/%s ", json_text(split, "version"),
                                      (int)json_number(split, "weight_percent"), json_text(split, "stable_version"));
        told = strcmp(now, last) != 0 ? stack_print(stack, "%s%s", told, now) : told;
        last = now;
    }
    return told;
}

const char *life_story(const Lives *lives, const Life *life, const Entries *ledger, const Entries *alerts)
{
    Stack *stack = lives->stack;
    const char *story = stack_print(stack, "%sbehind it:\n%s", story_tell(stack, &life->about, ledger, alerts),
                                    story_tell(stack, &life->behind, ledger, alerts));
    for (size_t i = 0; i < life->about.region_count; i++) {
        story = stack_print(stack, "%sset in %zu: %s\n", story, i + 1,
                            settings_told(stack, life->about.regions[i], life->about.service));
    }
    return story;
}
