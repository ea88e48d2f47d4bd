/* Tests of policy: each rule, all violations at once, and a plan that needs no second look at the policy. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shared/deployment/policy.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define NOW_MS INT64_C(1700000000000)
#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_DIGEST "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

typedef struct {
    DeploymentPolicy policy;
    DeploymentFacts facts;
    DeploymentDecision decision;
    Str regions[DEPLOYMENT_REGIONS_MAX]; /* of its signal */
    Arena arena;
} Case;

/* A deployment that nothing speaks against: v1 runs well in us-west-2, and nothing yet in us-east-1. */
static Case *case_make(void)
{
    Case *made = calloc(1, sizeof *made);
    cr_assert_not_null(made);
    made->arena = arena_make(16384, 1 << 22);
    made->policy = deployment_policy_default(&made->arena);
    made->facts = (DeploymentFacts){.image = IMAGE_FOUND, .digest = STR(DIGEST), .now_ms = NOW_MS};
    made->facts.regions[0].known = true;
    made->facts.regions[0].services = 3;
    made->facts.regions[0].current_version = STR("v1");
    made->facts.regions[0].current_digest = STR(OTHER_DIGEST);
    made->facts.regions[0].current_healthy = true;
    made->facts.regions[1].known = true;
    made->regions[0] = STR("us-west-2");
    made->regions[1] = STR("us-east-1");
    made->decision.signal = (DeploymentSignal){
        .service = STR("api"),
        .version = STR("v2"),
        .regions = made->regions,
        .region_count = 2,
        .strategy = STR("canary"),
    };
    return made;
}

static void evaluate(Case *made)
{
    deployment_evaluate(&made->policy, &made->facts, &made->arena, &made->decision);
    cr_assert_eq(made->decision.rejected, made->decision.violation_count > 0);
}

static void case_release(Case *made)
{
    arena_release(&made->arena);
    free(made);
}

static int count_of(const Case *made, const char *code)
{
    int count = 0;
    for (size_t i = 0; i < made->decision.violation_count; i++)
        count += str_equal(made->decision.violations[i].code, str_from(code));
    return count;
}

static bool is_told(const Case *made, const char *code, const char *text)
{
    for (size_t i = 0; i < made->decision.violation_count; i++) {
        const DeploymentViolation *violation = &made->decision.violations[i];
        if (str_equal(violation->code, str_from(code)) &&
            memmem(violation->detail.data, violation->detail.length, text, strlen(text)) != NULL)
            return true;
    }
    return false;
}

Test(policy, the_default_has_the_designs_strategies)
{
    static const struct {
        const char *name;
        int32_t weights[DEPLOYMENT_STAGES_MAX];
        int32_t count;
    } rows[] = {
        {"canary", {5, 25, 100}, 3},
        {"blue_green", {0, 100}, 2},
        {"rolling", {25, 50, 75, 100}, 4},
        {"immediate", {100}, 1},
    };
    Arena arena = arena_make(1024, 65536);
    DeploymentPolicy policy = deployment_policy_default(&arena);
    cr_assert_eq(policy.strategy_count, LENGTH(rows));
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const DeploymentStrategy *strategy = &policy.strategies[i];
        cr_assert_str_eq(strategy->name, rows[i].name);
        cr_assert_eq(strategy->stage_count, rows[i].count);
        for (int32_t j = 0; j < rows[i].count; j++)
            cr_assert_eq(strategy->stages[j].weight_percent, rows[i].weights[j]);
        cr_assert_str_eq(strategy->stages[rows[i].count - 1].name, "prod");
        cr_assert(strategy->stages[rows[i].count - 1].judged);
    }
    cr_assert_str_eq(policy.strategies[0].stages[0].name, "canary");
    cr_assert_eq(policy.strategies[0].stages[0].duration_ms, 300000);
    cr_assert_str_eq(policy.strategies[0].stages[1].name, "staging");
    cr_assert_eq(policy.strategies[0].stages[1].duration_ms, 600000);
    cr_assert_str_eq(policy.regions[0].name, "us-west-2");
    cr_assert_str_eq(policy.regions[1].name, "us-east-1");
    cr_assert_eq(policy.region_count, 4);
    cr_assert_eq(policy.time_scale_e4, 10000);
    cr_assert_gt(policy.progress_deadline_ms, 0);
    arena_release(&arena);
}

Test(policy, what_nothing_speaks_against_is_planned_and_pinned)
{
    Case *made = case_make();
    evaluate(made);
    cr_assert_not(made->decision.rejected);
    cr_assert_eq(made->decision.plan.stage_count, 3);
    cr_assert_eq(made->decision.plan.stages[1].duration_ms, 600000);
    cr_assert_eq(made->decision.plan.look_ms, made->policy.look_ms);
    cr_assert_eq(made->decision.plan.command_tries, 3);
    cr_assert_eq(made->decision.plan.time_scale_e4, 10000);
    cr_assert_eq(made->decision.plan.limits.error_limit_e4, made->policy.limits.error_limit_e4);
    cr_assert(str_equal(made->decision.digest, STR(DIGEST)));
    cr_assert(str_equal(made->decision.image, STR("api")));
    cr_assert_eq(made->decision.decided_ms, NOW_MS);
    cr_assert(str_equal(made->decision.regions[0].region, STR("us-west-2")));
    cr_assert(str_equal(made->decision.regions[0].previous_version, STR("v1")));
    cr_assert(str_equal(made->decision.regions[0].previous_digest, STR(OTHER_DIGEST)));
    cr_assert(str_equal(made->decision.regions[0].driver, STR("sandbox")));
    cr_assert_eq(made->decision.regions[1].previous_version.length, 0);
    case_release(made);
}

Test(policy, an_image_that_the_caller_resolved_stays)
{
    Case *made = case_make();
    made->decision.image = STR("registry:5000/team/api");
    evaluate(made);
    cr_assert(str_equal(made->decision.image, STR("registry:5000/team/api")));
    made->decision.image = (Str){0};
    made->decision.signal.image = STR("team/api");
    evaluate(made);
    cr_assert(str_equal(made->decision.image, STR("team/api")));
    case_release(made);
}

Test(policy, the_image_must_be_there_and_have_a_digest)
{
    static const struct {
        DeploymentImage image;
        Str digest;
        const char *code; /* NULL: accepted */
    } rows[] = {
        {IMAGE_FOUND, STR(DIGEST), NULL},
        {IMAGE_MISSING, STR(""), "image_not_found"},
        {IMAGE_UNKNOWN, STR(""), "image_unknown"},
        {IMAGE_FOUND, STR(""), "image_unknown"},
        {IMAGE_FOUND, STR("sha256:0123"), "image_unknown"},
        {IMAGE_FOUND, STR("md5:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef12"), "image_unknown"},
        {IMAGE_FOUND, STR("sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"), "image_unknown"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Case *made = case_make();
        made->facts.image = rows[i].image;
        made->facts.digest = rows[i].digest;
        evaluate(made);
        cr_assert_eq(made->decision.violation_count, rows[i].code ? 1 : 0, "row %zu", i);
        cr_assert(rows[i].code == NULL || is_told(made, rows[i].code, "api:v2"), "row %zu", i);
        made->policy.require_image = false;
        evaluate(made);
        cr_assert_eq(made->decision.violation_count, 0, "a trial without a registry, row %zu", i);
        case_release(made);
    }
}

Test(policy, regions_must_be_known_readable_and_have_room)
{
    Case *made = case_make();
    made->regions[1] = STR("mars-1");
    evaluate(made);
    cr_assert_eq(made->decision.violation_count, 1);
    cr_assert(
        is_told(made, "region_unknown", "region mars-1 is not known; known are: us-west-2, us-east-1, eu-west-1"));
    case_release(made);
    made = case_make();
    made->facts.regions[1].known = false;
    made->facts.regions[1].services = 1000;
    evaluate(made);
    cr_assert_eq(made->decision.violation_count, 1);
    cr_assert(is_told(made, "region_unreadable", "us-east-1"));
    case_release(made);
}

Test(policy, capacity_counts_new_services_up_to_the_last_place)
{
    static const struct {
        int32_t services;
        int32_t capacity;
        int violations;
    } rows[] = {{0, 1, 0}, {4, 5, 0}, {5, 5, 1}, {6, 5, 1}, {0, 0, 1}, {INT32_MAX, INT32_MAX, 1}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Case *made = case_make();
        made->policy.regions[0].capacity = 0; /* v1 gives its place to v2 there */
        made->policy.regions[1].capacity = rows[i].capacity;
        made->facts.regions[1].services = rows[i].services;
        evaluate(made);
        cr_assert_eq(count_of(made, "capacity_exhausted"), rows[i].violations, "row %zu", i);
        cr_assert_eq(made->decision.violation_count, (size_t)rows[i].violations);
        case_release(made);
    }
}

Test(policy, what_runs_must_be_something_to_go_back_to)
{
    Case *made = case_make();
    made->facts.regions[0].current_healthy = false;
    evaluate(made);
    cr_assert_eq(made->decision.violation_count, 1);
    cr_assert(is_told(made, "unhealthy", "v1"));
    made->facts.regions[0].current_healthy = true;
    made->facts.regions[0].current_digest = (Str){0};
    evaluate(made);
    cr_assert_eq(made->decision.violation_count, 1);
    cr_assert(is_told(made, "no_rollback_plan", "the digest of v1 is not known"));
    made->policy.require_image = false;
    evaluate(made);
    cr_assert_not(made->decision.rejected);
    case_release(made);
}

Test(policy, a_version_runs_already_when_tag_and_digest_say_so)
{
    static const struct {
        Str version;
        Str digest;
        Str wanted;
        int violations;
    } rows[] = {
        {STR("v2"), STR(DIGEST), STR(DIGEST), 1}, {STR("v2"), STR(OTHER_DIGEST), STR(DIGEST), 0},
        {STR("v1"), STR(DIGEST), STR(DIGEST), 0}, {STR("v2"), STR(""), STR(DIGEST), 1},
        {STR("v2"), STR(DIGEST), STR(""), 1},     {STR(""), STR(""), STR(""), 0},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Case *made = case_make();
        made->policy.require_image = false;
        made->facts.regions[0].current_version = rows[i].version;
        made->facts.regions[0].current_digest = rows[i].digest;
        made->facts.digest = rows[i].wanted;
        evaluate(made);
        cr_assert_eq(count_of(made, "already_running"), rows[i].violations, "row %zu", i);
        cr_assert_eq(made->decision.violation_count, (size_t)rows[i].violations);
        case_release(made);
    }
}

Test(policy, a_freeze_holds_from_its_first_moment_and_not_at_its_end)
{
    static const struct {
        int64_t from_ms;
        int64_t to_ms;
        const char *service;
        int violations;
    } rows[] = {
        {NOW_MS, NOW_MS + 1, "", 1},     {NOW_MS - 1, NOW_MS, "", 0},          {NOW_MS + 1, NOW_MS + 2, "", 0},
        {NOW_MS, NOW_MS + 1, "api", 1},  {NOW_MS, NOW_MS + 1, "api-other", 0}, {INT64_MIN, INT64_MAX, "", 1},
        {NOW_MS + 1, NOW_MS - 1, "", 0},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Case *made = case_make();
        DeploymentFreeze *freeze = &made->policy.freezes[0];
        made->policy.freeze_count = 1;
        *freeze = (DeploymentFreeze){.from_ms = rows[i].from_ms, .to_ms = rows[i].to_ms, .reason = "year's end"};
        cr_assert(str_copy_to(str_from(rows[i].service), freeze->service, sizeof freeze->service));
        evaluate(made);
        cr_assert_eq(made->decision.violation_count, (size_t)rows[i].violations, "row %zu", i);
        cr_assert(rows[i].violations == 0 || is_told(made, "frozen", "year's end"));
        case_release(made);
    }
}

Test(policy, an_unknown_strategy_is_answered_with_those_that_are_known)
{
    Case *made = case_make();
    made->decision.signal.strategy = STR("yolo");
    evaluate(made);
    cr_assert_eq(made->decision.violation_count, 1);
    cr_assert(
        is_told(made, "strategy_unknown", "yolo is not known; known are: canary, blue_green, rolling, immediate"));
    cr_assert_eq(made->decision.plan.stage_count, 0);
    made->policy.strategies[3].stage_count = 0;
    made->decision.signal.strategy = STR("immediate");
    evaluate(made);
    cr_assert_eq(count_of(made, "strategy_unknown"), 1, "a strategy without stages is none");
    case_release(made);
}

Test(policy, all_violations_are_told_at_once)
{
    Case *made = case_make();
    made->decision.signal.strategy = STR("yolo");
    made->facts.image = IMAGE_MISSING;
    made->policy.freeze_count = 2;
    made->policy.freezes[0] = (DeploymentFreeze){.from_ms = 0, .to_ms = INT64_MAX};
    made->policy.freezes[1] = (DeploymentFreeze){.from_ms = 0, .to_ms = INT64_MAX};
    made->facts.regions[0].current_version = STR("v2");
    made->facts.regions[0].current_digest = (Str){0};
    made->facts.regions[0].current_healthy = false;
    made->policy.regions[1].capacity = 0;
    made->regions[2] = STR("mars-1");
    made->decision.signal.region_count = 3;
    evaluate(made);
    static const char *const codes[] = {"strategy_unknown",   "image_not_found",  "frozen",
                                        "already_running",    "no_rollback_plan", "unhealthy",
                                        "capacity_exhausted", "region_unknown"};
    for (size_t i = 0; i < LENGTH(codes); i++)
        cr_assert_geq(count_of(made, codes[i]), 1, "%s", codes[i]);
    cr_assert_eq(made->decision.violation_count, LENGTH(codes) + 1);
    case_release(made);
}

/* With the longest names that there are. */
static void regions_make(Case *made, int32_t count)
{
    DeploymentPolicy *policy = &made->policy;
    policy->region_count = count;
    policy->regions = arena_alloc_array(&made->arena, (size_t)count, sizeof policy->regions[0]);
    for (int32_t i = 0; i < count; i++) {
        DeploymentRegionPolicy *region = &policy->regions[i];
        *region = (DeploymentRegionPolicy){.capacity = i, .driver = "sandbox"};
        cr_assert_eq(snprintf(region->name, sizeof region->name, "%063d", (int)i), 63);
    }
    int32_t twice = 0;
    cr_assert(deployment_policy_index(policy, &made->arena, &twice));
}

Test(policy, each_of_thousands_of_regions_is_found_by_its_name_and_no_other_is)
{
    Case *made = case_make();
    regions_make(made, DEPLOYMENT_POLICY_REGIONS_MAX);
    for (int32_t i = 0; i < DEPLOYMENT_POLICY_REGIONS_MAX; i++) {
        const DeploymentRegionPolicy *found =
            deployment_policy_region(&made->policy, str_from(made->policy.regions[i].name));
        cr_assert(found != NULL && found->capacity == i);
    }
    cr_assert_null(deployment_policy_region(&made->policy, STR("us-west-2")));
    cr_assert_null(deployment_policy_region(&made->policy, (Str){0}));
    case_release(made);
}

Test(policy, a_region_that_stands_twice_is_told_by_its_later_place)
{
    Case *made = case_make();
    regions_make(made, 100);
    memcpy(made->policy.regions[70].name, made->policy.regions[3].name, sizeof made->policy.regions[3].name);
    int32_t twice = 0;
    cr_assert_not(deployment_policy_index(&made->policy, &made->arena, &twice));
    cr_assert_eq(twice, 70);
    case_release(made);
}

Test(policy, the_largest_policy_and_signal_fit_and_wild_counts_do_no_harm)
{
    Case *made = case_make();
    made->policy.freeze_count = INT32_MAX;
    for (int i = 0; i < DEPLOYMENT_FREEZES_MAX; i++)
        made->policy.freezes[i] = (DeploymentFreeze){.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    regions_make(made, DEPLOYMENT_POLICY_REGIONS_MAX);
    made->policy.strategy_count = -5;
    made->decision.signal.region_count = DEPLOYMENT_REGIONS_MAX;
    for (int i = 0; i < DEPLOYMENT_REGIONS_MAX; i++)
        made->regions[i] = STR("us-west-2");
    evaluate(made);
    cr_assert(is_told(made, "region_unknown", " and 5968 more"));
    cr_assert_eq(made->decision.violation_count, 1 + DEPLOYMENT_FREEZES_MAX + DEPLOYMENT_REGIONS_MAX);
    case_release(made);
}

Test(policy, durations_are_scaled_half_up_and_none_becomes_nothing)
{
    static const struct {
        int64_t duration_ms;
        int64_t scale_e4;
        int64_t scaled_ms;
    } rows[] = {
        {300000, 10000, 300000},
        {300000, 100, 3000},
        {0, 100, 0},
        {1, 100, 1},
        {150, 100, 2},
        {149, 100, 1},
        {600000, 1, 60},
        {300000, 0, 1},
        {300000, -1, 1},
        {0, 0, 0},
        {-5, 10000, 0},
        {300001, 5000, 150001},
        {1000, 20000, 2000},
        {INT64_MAX, INT64_MAX, INT64_MAX / 2},
        {INT64_MAX, 100000, INT64_MAX / 2},
        {1, INT64_MAX, INT64_MAX / 2},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Case *made = case_make();
        made->policy.time_scale_e4 = rows[i].scale_e4;
        made->policy.strategies[0].stages[0].duration_ms = rows[i].duration_ms;
        made->policy.strategies[0].stages[0].warm_up_ms = rows[i].duration_ms;
        made->policy.strategies[0].stages[0].extend_max_ms = rows[i].duration_ms;
        made->policy.look_ms = rows[i].duration_ms;
        made->policy.bake_ms = rows[i].duration_ms;
        evaluate(made);
        const DeploymentPlan *plan = &made->decision.plan;
        cr_assert_eq(plan->stages[0].duration_ms, rows[i].scaled_ms, "row %zu: %lld", i,
                     (long long)plan->stages[0].duration_ms);
        cr_assert_eq(plan->stages[0].warm_up_ms, rows[i].scaled_ms);
        cr_assert_eq(plan->stages[0].extend_max_ms, rows[i].scaled_ms);
        cr_assert_eq(plan->look_ms, rows[i].scaled_ms);
        cr_assert_eq(plan->bake_ms, rows[i].scaled_ms);
        cr_assert_eq(plan->progress_deadline_ms, made->policy.progress_deadline_ms);
        cr_assert_eq(plan->command_timeout_ms, made->policy.command_timeout_ms);
        case_release(made);
    }
}
