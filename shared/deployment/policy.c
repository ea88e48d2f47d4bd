/* policy - the deployment policy: facts and a policy in, all violations and a plan out.
 * Each rule adds what it finds wrong; none stops the others, so that a person can mend everything at once. */
#include "shared/deployment/policy.h"

#include <string.h>

#define SECONDS INT64_C(1000)
#define LIST_BYTES 1024
/* Of known regions, to somebody who named one that is not known. */
#define REGIONS_SHOWN_MAX 32
/* The strategy, the image, each freeze, and at most four of each region. */
#define VIOLATIONS_MAX (2 + DEPLOYMENT_FREEZES_MAX + 4 * DEPLOYMENT_REGIONS_MAX)

static const DeploymentStrategy default_strategies[] = {
    {"canary",
     {{"canary", 5, 10 * SECONDS, 300 * SECONDS, 300 * SECONDS, false, true},
      {"staging", 25, 10 * SECONDS, 600 * SECONDS, 600 * SECONDS, false, true},
      {"prod", 100, 10 * SECONDS, 60 * SECONDS, 300 * SECONDS, false, true}},
     3},
    {"blue_green",
     {{"preview", 0, 0, 0, 0, false, false}, {"prod", 100, 10 * SECONDS, 60 * SECONDS, 300 * SECONDS, false, true}},
     2},
    {"rolling",
     {{"quarter", 25, 10 * SECONDS, 120 * SECONDS, 240 * SECONDS, false, true},
      {"half", 50, 10 * SECONDS, 120 * SECONDS, 240 * SECONDS, false, true},
      {"three_quarters", 75, 10 * SECONDS, 120 * SECONDS, 240 * SECONDS, false, true},
      {"prod", 100, 10 * SECONDS, 60 * SECONDS, 300 * SECONDS, false, true}},
     4},
    {"immediate", {{"prod", 100, 10 * SECONDS, 60 * SECONDS, 300 * SECONDS, false, true}}, 1},
};

static const DeploymentRegionPolicy default_regions[] = {
    {"us-west-2", 50, "sandbox"},
    {"us-east-1", 50, "sandbox"},
    {"eu-west-1", 50, "sandbox"},
    {"ap-southeast-1", 50, "sandbox"},
};

DeploymentPolicy deployment_policy_default(Arena *arena)
{
    DeploymentPolicy policy = {
        .regions = arena_alloc(arena, sizeof default_regions),
        .strategy_count = sizeof default_strategies / sizeof default_strategies[0],
        .region_count = sizeof default_regions / sizeof default_regions[0],
        .limits = judge_limits_default(),
        .time_scale_e4 = 10000,
        .look_ms = 10 * SECONDS,
        .progress_deadline_ms = 600 * SECONDS,
        .bake_ms = 600 * SECONDS,
        .command_timeout_ms = 60 * SECONDS,
        .command_tries = 3,
        .require_image = true,
    };
    memcpy(policy.strategies, default_strategies, sizeof default_strategies);
    memcpy(policy.regions, default_regions, sizeof default_regions);
    int32_t twice = 0;
    bool different = deployment_policy_index(&policy, arena, &twice);
    TAI_ASSERT(different);
    return policy;
}

/* Where the name is, or would be: a slot holds a region's place from 1, 0 is empty. At least half of them are. */
static int32_t *region_slot(const DeploymentPolicy *policy, Str name)
{
    uint32_t at = (uint32_t)(str_hash(name) % policy->region_slot_count);
    while (policy->region_slots[at] != 0 &&
           !str_equal(str_from(policy->regions[policy->region_slots[at] - 1].name), name))
        at = (at + 1) % policy->region_slot_count;
    return &policy->region_slots[at];
}

bool deployment_policy_index(DeploymentPolicy *policy, Arena *arena, int32_t *twice)
{
    TAI_ASSERT(policy->region_count >= 0 && policy->region_count <= DEPLOYMENT_POLICY_REGIONS_MAX);
    policy->region_slot_count = 2 * (uint32_t)policy->region_count + 1;
    policy->region_slots = arena_alloc_array(arena, policy->region_slot_count, sizeof policy->region_slots[0]);
    for (int32_t i = 0; i < policy->region_count; i++) {
        int32_t *slot = region_slot(policy, str_from(policy->regions[i].name));
        *twice = i;
        if (*slot != 0)
            return false;
        *slot = i + 1;
    }
    return true;
}

const DeploymentRegionPolicy *deployment_policy_region(const DeploymentPolicy *policy, Str name)
{
    if (policy->region_slot_count == 0)
        return NULL;
    int32_t place = *region_slot(policy, name);
    return place == 0 ? NULL : &policy->regions[place - 1];
}

/* What every rule looks at, and where it adds what it finds. */
typedef struct {
    const DeploymentPolicy *policy;
    const DeploymentFacts *facts;
    Arena *arena;
    DeploymentDecision *decision;
    Str *known_regions; /* listed once, where one is not known */
} Evaluation;

static void violate(const Evaluation *evaluation, Str code, Str detail)
{
    DeploymentDecision *decision = evaluation->decision;
    TAI_ASSERT(decision->violation_count < VIOLATIONS_MAX);
    decision->violations[decision->violation_count++] = (DeploymentViolation){code, detail};
}

/* Half up; what has a length keeps one, and nothing overflows. */
static int64_t scale_ms(int64_t length_ms, int64_t scale_e4)
{
    if (length_ms <= 0)
        return 0;
    if (scale_e4 <= 0)
        return 1;
    int64_t whole = length_ms / 10000;
    int64_t rest = length_ms % 10000;
    if (whole > INT64_MAX / 4 / scale_e4 || scale_e4 > INT64_MAX / 40000)
        return INT64_MAX / 2;
    int64_t scaled_ms = whole * scale_e4 + (rest * scale_e4 + 5000) / 10000;
    return scaled_ms > 0 ? scaled_ms : 1;
}

static int32_t at_most(int32_t count, int32_t limit)
{
    if (count < 0)
        return 0;
    return count < limit ? count : limit;
}

static void plan_stages(const Evaluation *evaluation, const DeploymentStrategy *strategy, DeploymentPlan *plan)
{
    int64_t scale_e4 = evaluation->policy->time_scale_e4;
    plan->stage_count = at_most(strategy->stage_count, DEPLOYMENT_STAGES_MAX);
    for (int32_t i = 0; i < plan->stage_count; i++) {
        DeploymentStage *stage = &plan->stages[i];
        *stage = strategy->stages[i];
        stage->warm_up_ms = scale_ms(stage->warm_up_ms, scale_e4);
        stage->duration_ms = scale_ms(stage->duration_ms, scale_e4);
        stage->extend_max_ms = scale_ms(stage->extend_max_ms, scale_e4);
    }
}

/* Time-outs and deadlines bound what really takes its time, so they are not scaled. */
static void make_plan(const Evaluation *evaluation, const DeploymentStrategy *strategy)
{
    const DeploymentPolicy *policy = evaluation->policy;
    DeploymentPlan *plan = &evaluation->decision->plan;
    plan_stages(evaluation, strategy, plan);
    plan->limits = policy->limits;
    plan->look_ms = scale_ms(policy->look_ms, policy->time_scale_e4);
    plan->bake_ms = scale_ms(policy->bake_ms, policy->time_scale_e4);
    plan->progress_deadline_ms = policy->progress_deadline_ms;
    plan->command_timeout_ms = policy->command_timeout_ms;
    plan->command_tries = policy->command_tries;
}

static Str list_strategies(const Evaluation *evaluation)
{
    const DeploymentPolicy *policy = evaluation->policy;
    Buffer list = arena_buffer(evaluation->arena, LIST_BYTES);
    for (int32_t i = 0; i < at_most(policy->strategy_count, DEPLOYMENT_STRATEGIES_MAX); i++)
        buffer_print(&list, "%s%s", i > 0 ? ", " : "", policy->strategies[i].name);
    return buffer_str(&list);
}

static void judge_strategy(const Evaluation *evaluation)
{
    const DeploymentPolicy *policy = evaluation->policy;
    Str wanted = evaluation->decision->signal.strategy;
    for (int32_t i = 0; i < at_most(policy->strategy_count, DEPLOYMENT_STRATEGIES_MAX); i++) {
        const DeploymentStrategy *strategy = &policy->strategies[i];
        if (strategy->stage_count > 0 && str_equal(wanted, str_from(strategy->name))) {
            make_plan(evaluation, strategy);
            return;
        }
    }
    violate(evaluation, STR("strategy_unknown"),
            arena_print(evaluation->arena, "strategy " STR_FMT " is not known; known are: " STR_FMT, STR_ARG(wanted),
                        STR_ARG(list_strategies(evaluation))));
}

/* "sha256:" and 64 lower-case hex digits. */
static bool is_digest(Str digest)
{
    bool valid = digest.length == 71 && str_starts_with(digest, STR("sha256:"));
    for (size_t i = 7; valid && i < digest.length; i++) {
        char byte = digest.data[i];
        valid = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
    }
    return valid;
}

static void judge_image(const Evaluation *evaluation)
{
    const DeploymentFacts *facts = evaluation->facts;
    Str image = evaluation->decision->image;
    Str version = evaluation->decision->signal.version;
    if (!evaluation->policy->require_image)
        return;
    if (facts->image == IMAGE_MISSING)
        violate(evaluation, STR("image_not_found"),
                arena_print(evaluation->arena, "the registry has no image " STR_FMT ":" STR_FMT, STR_ARG(image),
                            STR_ARG(version)));
    else if (facts->image != IMAGE_FOUND)
        violate(evaluation, STR("image_unknown"),
                arena_print(evaluation->arena, "the registry could not say whether " STR_FMT ":" STR_FMT " exists",
                            STR_ARG(image), STR_ARG(version)));
    else if (!is_digest(facts->digest))
        violate(evaluation, STR("image_unknown"),
                arena_print(evaluation->arena, "the registry gave no sha256 digest of " STR_FMT ":" STR_FMT,
                            STR_ARG(image), STR_ARG(version)));
}

static void judge_freezes(const Evaluation *evaluation)
{
    const DeploymentPolicy *policy = evaluation->policy;
    int64_t now_ms = evaluation->facts->now_ms;
    for (int32_t i = 0; i < at_most(policy->freeze_count, DEPLOYMENT_FREEZES_MAX); i++) {
        const DeploymentFreeze *freeze = &policy->freezes[i];
        Str service = str_from(freeze->service);
        bool meant = service.length == 0 || str_equal(service, evaluation->decision->signal.service);
        if (meant && now_ms >= freeze->from_ms && now_ms < freeze->to_ms)
            violate(evaluation, STR("frozen"),
                    arena_print(evaluation->arena, "frozen until %lld (Unix time in ms): %s", (long long)freeze->to_ms,
                                freeze->reason));
    }
}

static Str list_regions(const Evaluation *evaluation)
{
    const DeploymentPolicy *policy = evaluation->policy;
    if (evaluation->known_regions->length > 0)
        return *evaluation->known_regions;
    Buffer list = arena_buffer(evaluation->arena, REGIONS_SHOWN_MAX * (sizeof policy->regions[0].name + 2) + 32);
    for (int32_t i = 0; i < at_most(policy->region_count, REGIONS_SHOWN_MAX); i++)
        buffer_print(&list, "%s%s", i > 0 ? ", " : "", policy->regions[i].name);
    if (policy->region_count > REGIONS_SHOWN_MAX)
        buffer_print(&list, " and %d more", (int)(policy->region_count - REGIONS_SHOWN_MAX));
    *evaluation->known_regions = buffer_str(&list);
    return *evaluation->known_regions;
}

/* A version is the same when its digest is; where a digest is not known, its tag has to do. */
static bool runs_already(const Evaluation *evaluation, size_t at)
{
    Str current = evaluation->facts->regions[at].current_digest;
    Str wanted = evaluation->facts->digest;
    bool same_tag = str_equal(evaluation->facts->regions[at].current_version, evaluation->decision->signal.version);
    return same_tag && (current.length == 0 || wanted.length == 0 || str_equal(current, wanted));
}

/* What runs must be something that can be gone back to: pinned, where images are, and good. */
static void judge_current(const Evaluation *evaluation, size_t at, Str region)
{
    Str version = evaluation->facts->regions[at].current_version;
    if (version.length == 0)
        return;
    if (runs_already(evaluation, at))
        violate(evaluation, STR("already_running"),
                arena_print(evaluation->arena, "region " STR_FMT ": " STR_FMT " runs there already", STR_ARG(region),
                            STR_ARG(version)));
    if (evaluation->policy->require_image && evaluation->facts->regions[at].current_digest.length == 0)
        violate(evaluation, STR("no_rollback_plan"),
                arena_print(evaluation->arena, "region " STR_FMT ": the digest of " STR_FMT " is not known",
                            STR_ARG(region), STR_ARG(version)));
    if (!evaluation->facts->regions[at].current_healthy)
        violate(evaluation, STR("unhealthy"),
                arena_print(evaluation->arena,
                            "region " STR_FMT ": " STR_FMT " is not healthy, so it is no version "
                            "to go back to",
                            STR_ARG(region), STR_ARG(version)));
}

/* A service that runs in the region already takes no new place there. */
static void judge_capacity(const Evaluation *evaluation, size_t at, const DeploymentRegionPolicy *region)
{
    int32_t services = evaluation->facts->regions[at].services;
    if (evaluation->facts->regions[at].current_version.length > 0 || services < region->capacity)
        return;
    violate(evaluation, STR("capacity_exhausted"),
            arena_print(evaluation->arena, "region %s: %d services run there and %d fit", region->name, (int)services,
                        (int)region->capacity));
}

static void judge_region(const Evaluation *evaluation, size_t at)
{
    Str name = evaluation->decision->signal.regions[at];
    const DeploymentRegionPolicy *region = deployment_policy_region(evaluation->policy, name);
    DeploymentRegion *planned = &evaluation->decision->regions[at];
    planned->region = name;
    if (region == NULL) {
        violate(evaluation, STR("region_unknown"),
                arena_print(evaluation->arena, "region " STR_FMT " is not known; known are: " STR_FMT, STR_ARG(name),
                            STR_ARG(list_regions(evaluation))));
        return;
    }
    planned->driver = arena_copy(evaluation->arena, str_from(region->driver));
    if (!evaluation->facts->regions[at].known) {
        violate(evaluation, STR("region_unreadable"),
                arena_print(evaluation->arena, "region " STR_FMT ": what runs there could not be read", STR_ARG(name)));
        return;
    }
    planned->previous_version = evaluation->facts->regions[at].current_version;
    planned->previous_digest = evaluation->facts->regions[at].current_digest;
    judge_capacity(evaluation, at, region);
    judge_current(evaluation, at, name);
}

void deployment_evaluate(const DeploymentPolicy *policy, const DeploymentFacts *facts, Arena *arena,
                         DeploymentDecision *decision)
{
    Str known_regions = {0};
    const Evaluation evaluation = {policy, facts, arena, decision, &known_regions};
    decision->violations = arena_alloc_array(arena, VIOLATIONS_MAX, sizeof decision->violations[0]);
    decision->violation_count = 0;
    decision->plan = (DeploymentPlan){.time_scale_e4 = policy->time_scale_e4};
    decision->digest = facts->digest;
    decision->decided_ms = facts->now_ms;
    if (decision->image.length == 0)
        decision->image = decision->signal.image.length > 0 ? decision->signal.image : decision->signal.service;
    judge_strategy(&evaluation);
    judge_image(&evaluation);
    judge_freezes(&evaluation);
    TAI_ASSERT(decision->signal.region_count <= DEPLOYMENT_REGIONS_MAX);
    decision->regions = arena_alloc_array(arena, decision->signal.region_count, sizeof decision->regions[0]);
    for (size_t i = 0; i < decision->signal.region_count; i++)
        judge_region(&evaluation, i);
    decision->rejected = decision->violation_count > 0;
}
