/* deployment - the processes that deploy are killed and stopped at every step, and thousands of rollouts are lived
 * through kills; then the ledger is read by somebody who knows nothing of the workers.
 *
 * Whatever dies or stands still, and when, a deployment ends as an undisturbed one: the same events in the same order
 * (a failed try more is allowed), every event written by somebody who knew all those before (invariants 4, 8, 10). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/deploy.h"
#include "tests/support/signal.h"

#define ACK_WAIT_MS 600
#define SETTLE_MS 120000
#define REGIONS 4
#define DEPLOYMENTS 1000
#define OBSERVE_MS 400
#define SCALE 10

#define SETTINGS                                                                                                       \
    "TAI_ROLLOUT_ACK_WAIT_MS=600 TAI_ACTION_LANES_COMMAND_ACK_WAIT_MS=600 "                                            \
    "TAI_POLICY_LANES_DEPLOYMENT_ACK_WAIT_MS=600 TAI_POLICY_LANES_DEPLOYMENT_MAX_TRIES=1000 "                          \
    "TAI_ACTION_LANES_COMMAND_MAX_TRIES=1000"

static const char *const region_names[REGIONS] = {"us-west-2", "us-east-1", "eu-west-1", "ap-southeast-1"};

/* "stages": two that take half a second each; "flash": one that takes no time. */
static void policy_put(Stack *stack)
{
    Arena arena = arena_make(1 << 16, 1 << 22);
    DeploymentPolicy *policy = arena_alloc(&arena, sizeof *policy);
    *policy = deployment_policy_default(&arena);
    policy->strategy_count = 2;
    policy->strategies[0] = (DeploymentStrategy){.name = "stages",
                                                 .stages = {{"canary", 25, 1000, SCALE * OBSERVE_MS, 0, false, false},
                                                            {"prod", 100, 1000, SCALE * OBSERVE_MS, 0, false, false}},
                                                 .stage_count = 2};
    policy->strategies[1] =
        (DeploymentStrategy){.name = "flash", .stages = {{"prod", 100, 0, 0, 0, false, false}}, .stage_count = 1};
    for (int32_t i = 0; i < policy->region_count; i++) {
        policy->regions[i].capacity = 10000;
    }
    policy->require_image = false;
    policy->time_scale_e4 = 10000 / SCALE; /* the document has whole seconds */
    policy->look_ms = 1000;
    policy->bake_ms = 0;
    policy->command_timeout_ms = 4000;
    policy->command_tries = 20;
    Str text = wire_print_deployment_policy(&arena, policy);
    size_t before = deployment_count(stack, "tai.deployment.policy");
    ledger_publish(stack, "$KV.tai_policy.deployment", NULL, text.data, text.length);
    arena_release(&arena);
    WAIT_UNTIL(deployment_count(stack, "tai.deployment.policy") > before);
    for (int i = 0; i < stack->counts[STACK_POLICY]; i++) {
        Process *worker = stack_process(stack, STACK_POLICY, i);
        WAIT_UNTIL(process_log_count(worker, "\"domain\":\"deployment\",\"revision\"") > before);
    }
}

/* --- the ledger, read from outside ------------------------------------------------------------------------------ */

static RolloutEvent event_read(Stack *stack, const Entry *entry)
{
    RolloutEvent event;
    Err err = wire_decode_rollout_event(&stack->arena, entry->body, &event);
    cr_assert(!err_is(err), "%s", err.why);
    return event;
}

static size_t event_count(Stack *stack, const char *id)
{
    return deployment_count(stack, stack_print(stack, "tai.deployment.event.%s", id));
}

static bool has_outcome(Stack *stack, const char *id)
{
    return deployment_count(stack, stack_print(stack, "tai.deployment.outcome.%s", id)) > 0;
}

/* "started applied verified …", failed tries left out. */
static const char *story_read(Stack *stack, const char *id)
{
    Entries entries = ledger_read(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.event.%s", id));
    const char *story = "";
    for (size_t i = 0; i < entries.count; i++) {
        RolloutEvent event = event_read(stack, &entries.entries[i]);
        if (event.kind != ROLLOUT_EVENT_TRY_FAILED) {
            story = stack_print(stack, "%s%s ", story, rollout_event_name(event.kind));
        }
    }
    return story;
}

/* Each event fits the state that those before it make: nobody wrote who did not know them. And the time of observing
 * is the one that was set first, whoever went on. */
static void check_one_writer(Stack *stack, const char *id)
{
    DeploymentDecision decision = decision_wait(stack, id);
    Entries entries = ledger_read(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.event.%s", id));
    Rollout state = rollout_make();
    int64_t observing_until_ms = 0;
    decision.plan.bake_ms = 0;
    for (size_t i = 0; i < entries.count; i++) {
        RolloutEvent event = event_read(stack, &entries.entries[i]);
        cr_expect(rollout_apply(&state, &decision.plan, &event), "%s: %s does not fit", id,
                  rollout_event_name(event.kind));
        if (event.kind == ROLLOUT_EVENT_OBSERVING) {
            observing_until_ms = event.until_ms;
            cr_expect_eq(event.until_ms - event.at_ms, OBSERVE_MS, "%s", id);
        } else if (event.kind == ROLLOUT_EVENT_STAGE_PASSED) {
            cr_expect_geq(event.at_ms, observing_until_ms, "%s: before its time", id);
        }
    }
    cr_expect_eq(state.phase, ROLLOUT_SUCCEEDED, "%s: %s", id, rollout_phase_name(state.phase));
}

static DeploymentOutcome outcome_read(Stack *stack, const char *id)
{
    Entries entries = ledger_read(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.outcome.%s", id));
    cr_assert_eq(entries.count, 1, "%s has %zu outcomes", id, entries.count);
    DeploymentOutcome outcome;
    Err err = wire_decode_deployment_outcome(&stack->arena, entries.entries[0].body, &outcome);
    cr_assert(!err_is(err), "%s", err.why);
    return outcome;
}

/* --- at every step ---------------------------------------------------------------------------------------------- */

static const char *deploy_next(Stack *stack, int number)
{
    const char *body =
        signal_body(stack, "api", stack_print(stack, "v%d", number), WEST ", \"rollout_strategy\": \"stages\"");
    return signal_send(stack, stack_print(stack, "take-%d", number), body);
}

/* Who wrote the last event of it. */
static int owner_of(Stack *stack, const char *id)
{
    const char *word = stack_print(stack, "\"deployment_id\":\"%s\"", id);
    for (;;) {
        for (int i = 0; i < stack->counts[STACK_ROLLOUT]; i++) {
            if (process_log_has(stack_process(stack, STACK_ROLLOUT, i), word)) {
                return i;
            }
        }
        clock_pause(5);
    }
}

typedef void Disturb(Stack *stack, const char *id);

static void kill_owner(Stack *stack, const char *id)
{
    int owner = owner_of(stack, id);
    stack_kill(stack, STACK_ROLLOUT, owner, SIGKILL);
    WAIT_UNTIL(has_outcome(stack, id));
    stack_begin(stack, STACK_ROLLOUT, owner);
}

/* It stands still until the other one has ended its work, then it goes on where it thinks it is. */
static void stop_owner(Stack *stack, const char *id)
{
    const Process *owner = stack_process(stack, STACK_ROLLOUT, owner_of(stack, id));
    kill(owner->pid, SIGSTOP);
    size_t before = event_count(stack, id);
    WAIT_UNTIL(event_count(stack, id) > before || has_outcome(stack, id));
    kill(owner->pid, SIGCONT);
}

static void kill_actions(Stack *stack, const char *id)
{
    (void)id;
    stack_kill(stack, STACK_ACTION, 0, SIGKILL);
    stack_kill(stack, STACK_ACTION, 1, SIGKILL);
    stack_begin(stack, STACK_ACTION, 0);
    stack_begin(stack, STACK_ACTION, 1);
}

static void stop_action(Stack *stack, const char *id)
{
    static int turn;
    const Process *action = stack_process(stack, STACK_ACTION, turn++ % 2);
    kill(action->pid, SIGSTOP);
    int64_t until_ms = clock_monotonic_ms() + 2 * ACK_WAIT_MS;
    WAIT_UNTIL(has_outcome(stack, id) || clock_monotonic_ms() >= until_ms);
    kill(action->pid, SIGCONT);
}

static void kill_nats(Stack *stack, const char *id)
{
    (void)id;
    stack_restart(stack, STACK_NATS, 0, SIGKILL);
}

#define STORY "started applied verified observing stage_passed applied verified observing stage_passed succeeded "

static size_t count_logged(Stack *stack, const char *text)
{
    size_t count = 0;
    for (int i = 0; i < stack->counts[STACK_ROLLOUT]; i++) {
        count += process_log_count(stack_process(stack, STACK_ROLLOUT, i), text);
    }
    return count;
}

static void disturb_at_every_event(Disturb *disturb, int from_number)
{
    Stack *stack =
        stack_start(&(StackPlan){.without = "gateway metrics", .rollouts = 2, .actions = 2, .settings = SETTINGS});
    policy_put(stack);
    const char *id = deploy_next(stack, from_number);
    WAIT_UNTIL(has_outcome(stack, id));
    cr_assert_str_eq(story_read(stack, id), STORY, "undisturbed");
    for (size_t after = 1; after <= 9; after++) {
        id = deploy_next(stack, from_number + (int)after);
        WAIT_UNTIL(event_count(stack, id) >= after);
        disturb(stack, id);
        WAIT_UNTIL(has_outcome(stack, id));
        cr_expect_str_eq(story_read(stack, id), STORY, "after event %zu", after);
        check_one_writer(stack, id);
        DeploymentOutcome outcome = outcome_read(stack, id);
        cr_expect_eq(outcome.status, DEPLOYMENT_SUCCESS, "after event %zu: " STR_FMT, after,
                     STR_ARG(outcome.error_message));
        cr_expect_eq(outcome.regions[0].stages_count, 2);
    }
    cr_expect_eq(ledger_count(stack, "DEAD"), 0);
    size_t late = count_logged(stack, "\"event\":\"fenced\"") + count_logged(stack, "\"event\":\"given_up\"");
    cr_expect(disturb != stop_owner || late > 0, "nobody was late");
    stack_stop(stack);
}

Test(deployment, a_rollout_worker_killed_after_any_event_is_followed_by_another)
{
    disturb_at_every_event(kill_owner, 100);
}

Test(deployment, a_rollout_worker_that_wakes_after_another_took_over_changes_nothing)
{
    disturb_at_every_event(stop_owner, 200);
}

Test(deployment, action_workers_killed_after_any_event_change_nothing_of_the_result)
{
    disturb_at_every_event(kill_actions, 300);
}

Test(deployment, an_action_worker_that_stands_still_after_any_event_changes_nothing_of_the_result)
{
    disturb_at_every_event(stop_action, 400);
}

Test(deployment, a_bus_killed_after_any_event_changes_nothing_of_the_result)
{
    disturb_at_every_event(kill_nats, 500);
}

/* Sent by a worker that knew all events but the last: what it asks for is not done. */
Test(deployment, a_command_that_was_given_before_the_last_event_changes_nothing)
{
    Stack *stack = stack_start(&(StackPlan){.without = "gateway metrics", .rollouts = 1, .settings = SETTINGS});
    policy_put(stack);
    const char *id = deploy_next(stack, 600);
    WAIT_UNTIL(has_outcome(stack, id));
    Entries entries = ledger_read(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.event.%s", id));
    DeploymentCommand late = deploy_command("sandbox", ROLLOUT_COMMAND_APPLY, 5);
    late.deployment_id = str_from(id);
    late.command_id = STR("late");
    late.version = STR("v600");
    late.previous_version = (Str){0};
    late.fence_sequence = entries.entries[entries.count - 2].sequence;
    DeploymentResult result = deploy_do(stack, &late);
    cr_expect_not(result.succeeded);
    cr_expect_not_null(strstr(result.detail.data, "fenced"), STR_FMT, STR_ARG(result.detail));
    late.kind = ROLLOUT_COMMAND_READ;
    late.command_id = STR("look");
    late.fence_sequence = 0;
    cr_expect_eq(deploy_do(stack, &late).weight_percent, 100);
    stack_stop(stack);
}

/* --- a thousand ------------------------------------------------------------------------------------------------- */

typedef struct {
    json_t *signals; /* deployment → its region's index */
    json_t *ended;   /* deployment → status */
} Books;

static void publish_all(Stack *stack, Books *books)
{
    for (int i = 0; i < DEPLOYMENTS; i++) {
        int region = i % REGIONS;
        /* Every tenth is followed by a newer version of its service, which supersedes it where it still waits. */
        int service = i / REGIONS % 10 == 9 ? i / REGIONS - 1 : i / REGIONS;
        const char *more =
            stack_print(stack, "\"target_region\": \"%s\", \"rollout_strategy\": \"flash\"", region_names[region]);
        const char *body =
            signal_body(stack, stack_print(stack, "svc-%d", service), stack_print(stack, "v%d", i), more);
        const char *id = signal_send(stack, stack_print(stack, "many-%d", i), body);
        json_object_set_new(books->signals, id, json_integer(region));
    }
}

static size_t outcomes(Stack *stack)
{
    return deployment_count(stack, "tai.deployment.outcome.>");
}

static void kill_all_in_turn(Stack *stack)
{
    static const Kind order[] = {STACK_ROLLOUT, STACK_ACTION,  STACK_NATS,    STACK_POLICY, STACK_ROLLOUT,
                                 STACK_GATEWAY, STACK_METRICS, STACK_ROLLOUT, STACK_ACTION, STACK_NATS};
    unsigned random = 7;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        size_t before = outcomes(stack);
        WAIT_UNTIL_WITHIN(outcomes(stack) >= before + 20 || outcomes(stack) == DEPLOYMENTS, SETTLE_MS);
        int index = rand_r(&random) % stack->counts[order[i]];
        stack_kill(stack, order[i], index, SIGKILL);
        stack_begin(stack, order[i], index);
    }
}

static void books_read(Stack *stack, Books *books, size_t *superseded)
{
    Entries entries = ledger_read(stack, "DEPLOYMENT", "tai.deployment.outcome.>");
    for (size_t i = 0; i < entries.count; i++) {
        DeploymentOutcome outcome;
        Err err = wire_decode_deployment_outcome(&stack->arena, entries.entries[i].body, &outcome);
        cr_assert(!err_is(err), "%s", err.why);
        const char *id = entries.entries[i].subject + strlen("tai.deployment.outcome.");
        cr_expect_null(json_object_get(books->ended, id), "%s has two outcomes", id);
        json_object_set_new(books->ended, id, json_integer(outcome.status));
        bool aborted = outcome.status == DEPLOYMENT_ABORTED && strstr(outcome.error_message.data, "superseded");
        cr_expect(outcome.status == DEPLOYMENT_SUCCESS || aborted, "%s: %s " STR_FMT, id,
                  deployment_status_name(outcome.status), STR_ARG(outcome.error_message));
        *superseded += aborted;
    }
}

static bool ends_a_region(const RolloutEvent *event)
{
    return event->kind == ROLLOUT_EVENT_SUCCEEDED || event->kind == ROLLOUT_EVENT_ENDED;
}

/* In the ledger's order a region has at most one deployment between its first and its last event. */
static void check_one_at_a_time(Stack *stack, const Books *books)
{
    const char *active[REGIONS] = {0};
    size_t lives[REGIONS] = {0};
    Entries entries = ledger_read(stack, "DEPLOYMENT", "tai.deployment.event.>");
    for (size_t i = 0; i < entries.count; i++) {
        RolloutEvent event = event_read(stack, &entries.entries[i]);
        const char *id = entries.entries[i].subject + strlen("tai.deployment.event.");
        size_t region = (size_t)json_integer_value(json_object_get(books->signals, id));
        cr_expect(!active[region] || strcmp(active[region], id) == 0, "%s and %s at once in %s", id, active[region],
                  region_names[region]);
        lives[region] += !active[region];
        active[region] = ends_a_region(&event) ? NULL : id;
    }
    for (int i = 0; i < REGIONS; i++) {
        cr_expect_null(active[i]);
        cr_expect_eq(lives[i], DEPLOYMENTS / REGIONS, "%zu lives in %s: one was lived twice", lives[i],
                     region_names[i]);
    }
}

/* The order in which they waited is the order in which they began. */
static void check_first_come_first_served(Stack *stack, const char *region)
{
    Entries waiting = ledger_read(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.region.%s", region));
    uint64_t last = 0;
    for (size_t i = 0; i < waiting.count; i++) {
        DeploymentRegionWork work;
        Err err = wire_decode_region_work(&stack->arena, waiting.entries[i].body, &work);
        cr_assert(!err_is(err), "%s", err.why);
        const char *subject =
            stack_print(stack, "tai.deployment.outcome." STR_FMT, STR_ARG(work.decision.signal.deployment_id));
        natsMsg *message = NULL;
        cr_assert_eq(js_GetLastMsg(&message, stack_js(stack), "DEPLOYMENT", subject, NULL, NULL), NATS_OK);
        uint64_t sequence = natsMsg_GetSequence(message);
        natsMsg_Destroy(message);
        cr_expect_gt(sequence, last, "%s before its turn", subject);
        last = sequence;
    }
}

Test(deployment, a_thousand_deployments_live_one_at_a_time_in_each_region_whoever_dies)
{
    Stack *stack = stack_start(&(StackPlan){.rollouts = 3, .actions = 2, .policies = 2, .settings = SETTINGS});
    policy_put(stack);
    Books books = {json_object(), json_object()};
    int64_t begun_ms = clock_monotonic_ms();
    publish_all(stack, &books);
    kill_all_in_turn(stack);
    WAIT_UNTIL_WITHIN(outcomes(stack) >= DEPLOYMENTS, SETTLE_MS);
    size_t superseded = 0;
    books_read(stack, &books, &superseded);
    cr_expect_eq(json_object_size(books.ended), DEPLOYMENTS);
    printf("%d deployments in %lld ms, %zu of them superseded\n", DEPLOYMENTS,
           (long long)(clock_monotonic_ms() - begun_ms), superseded);
    check_one_at_a_time(stack, &books);
    for (int i = 0; i < REGIONS; i++) {
        check_first_come_first_served(stack, region_names[i]);
    }
    cr_expect_gt(superseded, 0);
    cr_expect_eq(ledger_count(stack, "DEAD"), 0);
    json_decref(books.signals);
    json_decref(books.ended);
    stack_stop(stack);
}
