/* deployment_policy - the deployment policy as a JSON document that people write: every member required (but freezes),
 * nothing else allowed. A strategy is a list of stages, so a new one needs no code. */
#include "shared/base/id.h"
#include "shared/wire/deployment.h"
#include "shared/wire/member.h"
#include "shared/wire/moment.h"

#define POLICY_DEPTH_MAX 6        /* strategies.canary.stages[0] */
#define LENGTH_MAX_SECONDS 604800 /* a week */
#define NUMBER_MAX 1000000000
#define SHARE_DIGITS 6
#define SHARE_WHOLE 1000000 /* 10^SHARE_DIGITS */
#define COUNT(members) (sizeof(members) / sizeof((members)[0]))

static Err check_object(const json_t *value, const char *path)
{
    if (json_is_object(value)) {
        return err_none();
    }
    return err_reject("%s: must be an object", path);
}

static Err check_array(const json_t *value, const char *path, size_t least, size_t most)
{
    if (!json_is_array(value)) {
        return err_reject("%s: must be an array", path);
    }
    if (json_array_size(value) < least || json_array_size(value) > most) {
        return err_reject("%s: must have %zu to %zu entries", path, least, most);
    }
    return err_none();
}

/* Seconds in the document, milliseconds in the policy. */
typedef struct {
    int64_t *ms;
    int64_t seconds;
} Length;

static void store_lengths(const Length *lengths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *lengths[i].ms = lengths[i].seconds * 1000;
    }
}

static Err read_stage(const json_t *object, const char *path, DeploymentStage *stage)
{
    Err err = check_object(object, path);
    if (err_is(err)) {
        return err;
    }
    int64_t weight_percent = 0;
    Length lengths[] = {{&stage->duration_ms, 0}, {&stage->warm_up_ms, 0}, {&stage->extend_max_ms, 0}};
    const Member members[] = {
        member_text("name", MEMBER_TOKEN, stage->name, sizeof(stage->name)),
        member_whole("weight_percent", &weight_percent, 0, 100),
        member_whole("duration_seconds", &lengths[0].seconds, 0, LENGTH_MAX_SECONDS),
        member_whole("warm_up_seconds", &lengths[1].seconds, 0, LENGTH_MAX_SECONDS),
        member_whole("extend_max_seconds", &lengths[2].seconds, 0, LENGTH_MAX_SECONDS),
        member_flag("needs_approval", &stage->needs_approval),
        member_flag("judged", &stage->judged),
    };
    const Place place = {{0}, object, path};
    err = member_read_all(&place, members, COUNT(members));
    stage->weight_percent = (int32_t)weight_percent;
    store_lengths(lengths, COUNT(lengths));
    return err;
}

/* A stage's name says in every event and answer which one is meant. */
static Err check_stages(const char *path, const DeploymentStrategy *strategy)
{
    for (int32_t i = 0; i < strategy->stage_count; i++) {
        for (int32_t j = 0; j < i; j++) {
            if (str_equal(str_from(strategy->stages[i].name), str_from(strategy->stages[j].name))) {
                return err_reject("%s[%d].name: stands twice", path, (int)i);
            }
        }
    }
    if (strategy->stages[strategy->stage_count - 1].weight_percent != 100) {
        return err_reject("%s: the last one must have weight_percent 100", path);
    }
    return err_none();
}

static Err read_stages(const json_t *array, const char *path, DeploymentStrategy *strategy)
{
    Err err = check_array(array, path, 1, DEPLOYMENT_STAGES_MAX);
    if (err_is(err)) {
        return err;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        char stage_path[MEMBER_PATH_MAX_BYTES];
        member_print_index(path, i, stage_path);
        err = read_stage(json_array_get(array, i), stage_path, &strategy->stages[i]);
        if (err_is(err)) {
            return err;
        }
    }
    strategy->stage_count = (int32_t)json_array_size(array);
    return check_stages(path, strategy);
}

static Err read_strategy(const json_t *object, DeploymentStrategy *strategy)
{
    char path[MEMBER_PATH_MAX_BYTES];
    member_print_path("strategies", strategy->name, path);
    Err err = check_object(object, path);
    if (err_is(err)) {
        return err;
    }
    const Member members[] = {member_other("stages")};
    const Place place = {{0}, object, path};
    err = member_read_all(&place, members, COUNT(members));
    if (err_is(err)) {
        return err;
    }
    char stages_path[MEMBER_PATH_MAX_BYTES];
    member_print_path(path, "stages", stages_path);
    return read_stages(json_object_get(object, "stages"), stages_path, strategy);
}

static Err read_strategies(json_t *object, DeploymentPolicy *policy)
{
    Err err = check_object(object, "strategies");
    if (err_is(err)) {
        return err;
    }
    if (json_object_size(object) < 1 || json_object_size(object) > DEPLOYMENT_STRATEGIES_MAX) {
        return err_reject("strategies: must have 1 to %d members", DEPLOYMENT_STRATEGIES_MAX);
    }
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        Str name = {json_object_iter_key(at), json_object_iter_key_len(at)};
        DeploymentStrategy *strategy = &policy->strategies[policy->strategy_count];
        if (!id_is_token(name) || !str_copy_to(name, strategy->name, sizeof(strategy->name))) {
            return err_reject("strategies: every name must be 1 to %zu of A-Z a-z 0-9 _ : -",
                              sizeof(strategy->name) - 1);
        }
        err = read_strategy(json_object_iter_value(at), strategy);
        if (err_is(err)) {
            return err;
        }
        policy->strategy_count++;
    }
    return err_none();
}

static Err check_driver(const char *path, const DeploymentRegionPolicy *region)
{
    static const char *const drivers[] = {"sandbox", "haproxy", "command", "kubernetes"};
    for (size_t i = 0; i < COUNT(drivers); i++) {
        if (str_equal(str_from(region->driver), str_from(drivers[i]))) {
            return err_none();
        }
    }
    return err_reject("%s.driver: must be sandbox, haproxy, command or kubernetes", path);
}

static Err read_region(const json_t *object, size_t at, DeploymentRegionPolicy *region)
{
    char path[MEMBER_PATH_MAX_BYTES];
    member_print_index("regions", at, path);
    Err err = check_object(object, path);
    if (err_is(err)) {
        return err;
    }
    int64_t capacity = 0;
    const Member members[] = {
        member_text("name", MEMBER_TOKEN, region->name, sizeof(region->name)),
        member_whole("capacity", &capacity, 0, NUMBER_MAX),
        member_text("driver", MEMBER_TOKEN, region->driver, sizeof(region->driver)),
    };
    const Place place = {{0}, object, path};
    err = member_read_all(&place, members, COUNT(members));
    region->capacity = (int32_t)capacity;
    return err_is(err) ? err : check_driver(path, region);
}

static Err read_regions(Arena *arena, const json_t *array, DeploymentPolicy *policy)
{
    Err err = check_array(array, "regions", 1, DEPLOYMENT_POLICY_REGIONS_MAX);
    if (err_is(err)) {
        return err;
    }
    policy->regions = arena_alloc_array(arena, json_array_size(array), sizeof(policy->regions[0]));
    for (size_t i = 0; !err_is(err) && i < json_array_size(array); i++) {
        err = read_region(json_array_get(array, i), i, &policy->regions[i]);
        policy->region_count++;
    }
    int32_t twice = 0;
    if (!err_is(err) && !deployment_policy_index(policy, arena, &twice)) {
        err = err_reject("regions[%d].name: stands twice", (int)twice);
    }
    return err;
}

static Err read_moment(const char *path, const char *name, const char *text, int64_t *time_ms)
{
    if (!moment_parse(str_from(text), time_ms)) {
        return err_reject("%s.%s: must be a time like 2026-12-24T00:00:00Z", path, name);
    }
    return err_none();
}

static Err read_freeze(const json_t *object, size_t at, DeploymentFreeze *freeze)
{
    char path[MEMBER_PATH_MAX_BYTES];
    member_print_index("freezes", at, path);
    Err err = check_object(object, path);
    if (err_is(err)) {
        return err;
    }
    char from[32] = "";
    char to[32] = "";
    const Member members[] = {
        member_text("from", MEMBER_LINE, from, sizeof(from)),
        member_text("to", MEMBER_LINE, to, sizeof(to)),
        member_text("service", MEMBER_LINE, freeze->service, sizeof(freeze->service)),
        member_text("reason", MEMBER_LINE, freeze->reason, sizeof(freeze->reason)),
    };
    const Place place = {{0}, object, path};
    err = member_read_all(&place, members, COUNT(members));
    if (!err_is(err)) {
        err = read_moment(path, "from", from, &freeze->from_ms);
    }
    if (!err_is(err)) {
        err = read_moment(path, "to", to, &freeze->to_ms);
    }
    if (!err_is(err) && freeze->from_ms >= freeze->to_ms) {
        err = err_reject("%s.to: must be later than from", path);
    }
    if (!err_is(err) && freeze->service[0] != '\0' && !id_is_token(str_from(freeze->service))) {
        err = err_reject("%s.service: must be a service's name, or \"\" for all", path);
    }
    return err;
}

static Err read_freezes(const json_t *array, DeploymentPolicy *policy)
{
    if (array == NULL) {
        return err_none();
    }
    Err err = check_array(array, "freezes", 0, DEPLOYMENT_FREEZES_MAX);
    for (size_t i = 0; !err_is(err) && i < json_array_size(array); i++) {
        err = read_freeze(json_array_get(array, i), i, &policy->freezes[i]);
        policy->freeze_count++;
    }
    return err;
}

static Err check_slow_ms(int64_t slow_ms)
{
    char memory[96];
    Buffer bounds = buffer_over(memory, sizeof(memory));
    for (size_t i = 0; i < JUDGE_LATENCY_BUCKETS; i++) {
        if (slow_ms == judge_latency_bounds_ms[i]) {
            return err_none();
        }
        buffer_print(&bounds, "%s%lld", i > 0 ? ", " : "", (long long)judge_latency_bounds_ms[i]);
    }
    return err_reject("limits.p99_ms: must be one of %s", memory);
}

static Err read_limits(Str document, const json_t *object, JudgeLimits *limits)
{
    Err err = check_object(object, "limits");
    if (err_is(err)) {
        return err;
    }
    int64_t shares[4] = {0};
    const Member members[] = {
        member_decimal("error_rate_percent", &limits->error_limit_e4, 0, 10000, 2),
        member_whole("p99_ms", &limits->slow_ms, 0, NUMBER_MAX),
        member_decimal("slower_percent", &limits->slow_limit_e4, 0, 10000, 2),
        member_whole("minimum_for_errors", &limits->minimum_for_errors, 1, NUMBER_MAX),
        member_whole("minimum_for_latency", &limits->minimum_for_latency, 1, NUMBER_MAX),
        member_decimal("early_alpha", &shares[0], 1, SHARE_WHOLE / 2, SHARE_DIGITS),
        member_decimal("bound_alpha", &shares[1], 1, SHARE_WHOLE / 2, SHARE_DIGITS),
        member_decimal("relative_alpha", &shares[2], 1, SHARE_WHOLE / 2, SHARE_DIGITS),
        member_whole("relative_minimum", &limits->relative_minimum, 1, NUMBER_MAX),
        member_decimal("error_effect_percent", &limits->error_effect_e4, 0, 10000, 2),
        member_decimal("latency_effect", &shares[3], SHARE_WHOLE / 2, SHARE_WHOLE, SHARE_DIGITS),
        member_flag("relative_errors", &limits->relative_errors),
        member_flag("relative_latency", &limits->relative_latency),
    };
    const Place place = {document, object, "limits"};
    err = member_read_all(&place, members, COUNT(members));
    limits->early_alpha = (double)shares[0] / SHARE_WHOLE;
    limits->bound_alpha = (double)shares[1] / SHARE_WHOLE;
    limits->relative_alpha = (double)shares[2] / SHARE_WHOLE;
    limits->latency_effect = (double)shares[3] / SHARE_WHOLE;
    return err_is(err) ? err : check_slow_ms(limits->slow_ms);
}

static Err read_top(Str document, const json_t *object, DeploymentPolicy *policy)
{
    int64_t tries = 0;
    Length lengths[] = {{&policy->look_ms, 0},
                        {&policy->progress_deadline_ms, 0},
                        {&policy->bake_ms, 0},
                        {&policy->command_timeout_ms, 0}};
    const Member members[] = {
        member_decimal("time_scale", &policy->time_scale_e4, 1, 100000, 4),
        member_other("strategies"),
        member_other("regions"),
        {.name = "freezes", .kind = MEMBER_OTHER, .optional = true},
        member_other("limits"),
        member_whole("look_seconds", &lengths[0].seconds, 1, LENGTH_MAX_SECONDS),
        member_whole("progress_deadline_seconds", &lengths[1].seconds, 0, LENGTH_MAX_SECONDS),
        member_whole("bake_seconds", &lengths[2].seconds, 0, LENGTH_MAX_SECONDS),
        member_whole("command_timeout_seconds", &lengths[3].seconds, 1, LENGTH_MAX_SECONDS),
        member_whole("command_tries", &tries, 1, 100),
        member_flag("require_image", &policy->require_image),
    };
    const Place place = {document, object, ""};
    Err err = member_read_all(&place, members, COUNT(members));
    policy->command_tries = (int32_t)tries;
    store_lengths(lengths, COUNT(lengths));
    return err;
}

Err wire_decode_deployment_policy(Arena *arena, Str document, DeploymentPolicy *policy)
{
    *policy = (DeploymentPolicy){0};
    json_t *object = NULL;
    Err err = document_load(document, DEPLOYMENT_POLICY_BODY_MAX, POLICY_DEPTH_MAX, &object);
    if (err_is(err)) {
        return err;
    }
    err = read_top(document, object, policy);
    if (!err_is(err)) {
        err = read_strategies(json_object_get(object, "strategies"), policy);
    }
    if (!err_is(err)) {
        err = read_regions(arena, json_object_get(object, "regions"), policy);
    }
    if (!err_is(err)) {
        err = read_freezes(json_object_get(object, "freezes"), policy);
    }
    if (!err_is(err)) {
        err = read_limits(document, json_object_get(object, "limits"), &policy->limits);
    }
    json_decref(object);
    return err;
}
