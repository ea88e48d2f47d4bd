/* world - a rollout and the world around it, for tests: drives one with answers of the test's choice.
 * Every event is kept, as the ledger keeps it. */
#ifndef TAI_TESTS_UNIT_DEPLOYMENT_WORLD_H
#define TAI_TESTS_UNIT_DEPLOYMENT_WORLD_H

#include <criterion/criterion.h>

#include "shared/deployment/rollout.h"

#define WORLD_EVENTS_MAX 512
#define WORLD_START_MS INT64_C(1700000000000)

typedef struct {
    DeploymentPlan plan;
    Rollout rollout;
    Arena arena;
    int64_t now_ms;
    RolloutEvent events[WORLD_EVENTS_MAX];
    size_t count;
} World;

static inline DeploymentPlan world_plan(void)
{
    return (DeploymentPlan){
        .stages = {{"canary", 5, 10000, 300000, 300000, false, true},
                   {"staging", 25, 10000, 600000, 600000, false, true},
                   {"prod", 100, 0, 60000, 60000, false, true}},
        .stage_count = 3,
        .limits = judge_limits_default(),
        .look_ms = 10000,
        .progress_deadline_ms = 600000,
        .bake_ms = 600000,
        .command_timeout_ms = 60000,
        .command_tries = 3,
    };
}

static inline World *world_make(DeploymentPlan plan)
{
    World *world = calloc(1, sizeof *world);
    cr_assert_not_null(world);
    world->plan = plan;
    world->rollout = rollout_make();
    world->arena = arena_make(4096, 1 << 20);
    world->now_ms = WORLD_START_MS;
    return world;
}

static inline void world_release(World *world)
{
    arena_release(&world->arena);
    free(world);
}

static inline JudgeCounts world_counts(uint64_t requests, uint64_t errors)
{
    return (JudgeCounts){.requests = requests, .errors = errors, .latency = {requests}};
}

static inline RolloutHeard world_health(JudgeCounts canary)
{
    return (RolloutHeard){.kind = ROLLOUT_HEARD_HEALTH, .have_canary = true, .canary = canary, .query = STR("a query")};
}

static inline RolloutHeard world_good(void)
{
    return world_health(world_counts(100000, 0));
}

static inline RolloutHeard world_bad(void)
{
    return world_health(world_counts(1000, 500));
}

static inline RolloutHeard world_few(void)
{
    return world_health(world_counts(5, 0));
}

static inline RolloutHeard world_time(void)
{
    return (RolloutHeard){.kind = ROLLOUT_HEARD_TIME};
}

static inline RolloutHeard world_done(int32_t weight_percent)
{
    return (RolloutHeard){.kind = ROLLOUT_HEARD_RESULT, .succeeded = true, .weight_percent = weight_percent};
}

static inline RolloutHeard world_error(bool impossible)
{
    return (RolloutHeard){
        .kind = ROLLOUT_HEARD_RESULT, .impossible = impossible, .weight_percent = -1, .why = STR("it broke")};
}

static inline RolloutHeard world_order(RolloutOrder order)
{
    return (RolloutHeard){.kind = ROLLOUT_HEARD_ORDER, .order = order, .who = STR("alice"), .why = STR("because")};
}

/* Hears, and folds in the event that comes of it. NULL where none does. */
static inline const RolloutEvent *world_hear(World *world, RolloutHeard heard)
{
    RolloutEvent *event = &world->events[world->count];
    cr_assert_lt(world->count, (size_t)WORLD_EVENTS_MAX, "events without end");
    if (!rollout_hear(&world->rollout, &world->plan, &heard, world->now_ms, &world->arena, event, NULL))
        return NULL;
    cr_assert(rollout_apply(&world->rollout, &world->plan, event), "an event of its own does not fit: %s in %s",
              rollout_event_name(event->kind), rollout_phase_name(world->rollout.phase));
    world->count++;
    return event;
}

/* What a perfect world says to a need; waits until the time has come. */
static inline RolloutHeard world_answer(World *world, RolloutNeed need)
{
    switch (need.kind) {
    case ROLLOUT_NEED_START:
        return (RolloutHeard){.kind = ROLLOUT_HEARD_START};
    case ROLLOUT_NEED_COMMAND:
        return world_done(need.weight_percent);
    case ROLLOUT_NEED_HEALTH:
        if (need.final)
            return world_good();
        break;
    default:
        break;
    }
    if (world->now_ms < need.until_ms && need.until_ms != INT64_MAX)
        world->now_ms = need.until_ms;
    return world_time();
}

static inline void world_step(World *world)
{
    world_hear(world, world_answer(world, rollout_need(&world->rollout, &world->plan, world->now_ms)));
}

/* Goes on in a perfect world until a phase of a stage begins. */
static inline void world_reach(World *world, RolloutPhase phase, int32_t stage)
{
    for (int step = 0; step < 2000; step++) {
        if (world->rollout.phase == phase && world->rollout.stage == stage)
            return;
        bool approval = world->rollout.phase == ROLLOUT_APPROVAL;
        bool last = world->rollout.phase == ROLLOUT_BAKE;
        if (approval)
            world_hear(world, world_order(ROLLOUT_ORDER_APPROVE));
        else if (last && (phase == ROLLOUT_ROLLBACK || phase == ROLLOUT_ROLLBACK_VERIFY))
            world_hear(world, world_order(ROLLOUT_ORDER_ABORT));
        else
            world_step(world);
    }
    cr_assert(false, "%s of stage %d is never reached", rollout_phase_name(phase), (int)stage);
}

/* Field by field: what lies between the fields is nobody's business. */
static inline bool world_same(const Rollout *a, const Rollout *b)
{
    return a->phase == b->phase && a->stage == b->stage && a->paused == b->paused &&
           a->paused_at_ms == b->paused_at_ms && a->paused_by_judge == b->paused_by_judge &&
           a->since_ms == b->since_ms && a->until_ms == b->until_ms && a->extended_ms == b->extended_ms &&
           a->progress_at_ms == b->progress_at_ms && a->paused_total_ms == b->paused_total_ms && a->tries == b->tries &&
           a->worse_windows == b->worse_windows && a->stages_passed == b->stages_passed &&
           a->weight_percent == b->weight_percent && a->promote == b->promote && a->promote_full == b->promote_full &&
           a->cause == b->cause && a->started_ms == b->started_ms && a->ended_ms == b->ended_ms &&
           a->events == b->events;
}

/* Folds all events anew, as who takes over does. */
static inline Rollout world_refold(const World *world)
{
    Rollout rollout = rollout_make();
    for (size_t i = 0; i < world->count; i++)
        cr_assert(rollout_apply(&rollout, &world->plan, &world->events[i]));
    return rollout;
}

#endif
