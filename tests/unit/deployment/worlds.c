/* Tests of rollout in random worlds: answers, lies, crashes, orders and clocks drawn from a seed.
 * An answer depends on the seed and on what was asked, so a world that is run again answers the same. */
#include "tests/unit/deployment/world.h"

#define WORLDS 3000
#define STEPS 3000

static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

typedef struct {
    uint64_t seed;
    uint64_t draws;
} Dice;

static uint64_t roll(Dice *dice, uint64_t sides)
{
    dice->draws++;
    return mix(dice->seed ^ mix(dice->draws)) % sides;
}

/* What this world answers to this question, whoever asks and however often. */
static uint64_t fate(uint64_t seed, const World *world, uint64_t question, uint64_t sides)
{
    return mix(mix(seed ^ question * 1000003) ^ world->rollout.events) % sides;
}

static DeploymentPlan random_plan(uint64_t seed)
{
    Dice dice = {mix(seed), 0};
    DeploymentPlan plan = world_plan();
    plan.stage_count = 1 + (int32_t)roll(&dice, 5);
    for (int32_t i = 0; i < plan.stage_count; i++) {
        plan.stages[i] = (DeploymentStage){
            .weight_percent = i + 1 == plan.stage_count ? 100 : (int32_t)roll(&dice, 101),
            .warm_up_ms = (int64_t)roll(&dice, 3) * 5000,
            .duration_ms = (int64_t)roll(&dice, 4) * 100000,
            .extend_max_ms = (int64_t)roll(&dice, 3) * 100000,
            .needs_approval = roll(&dice, 6) == 0,
            .judged = roll(&dice, 5) != 0,
        };
    }
    plan.bake_ms = (int64_t)roll(&dice, 2) * 600000;
    plan.look_ms = (int64_t)roll(&dice, 3) * 7000;
    plan.command_tries = (int32_t)roll(&dice, 5);
    plan.progress_deadline_ms = 3600000 + (int64_t)roll(&dice, 2) * 3600000;
    return plan;
}

static RolloutHeard random_result(uint64_t seed, const World *world, RolloutNeed need)
{
    RolloutHeard heard = world_done(need.weight_percent);
    switch (fate(seed, world, 1, 12)) {
    case 0:
        return world_error(fate(seed, world, 2, 4) == 0);
    case 1:
        heard.weight_percent = (int32_t)fate(seed, world, 3, 101); /* a lie, or a lucky guess */
        return heard;
    case 2:
        heard.weight_percent = -1;
        return heard;
    default:
        return heard;
    }
}

static RolloutHeard random_health(uint64_t seed, const World *world)
{
    RolloutHeard heard = world_health(world_counts(100000, 0));
    switch (fate(seed, world, 4, 12)) {
    case 0:
        heard.canary = world_counts(1000, 500);
        return heard;
    case 1:
        heard.have_canary = false;
        return heard;
    case 2:
    case 3:
        heard.canary = world_counts(5, 0);
        return heard;
    case 4:
        heard.canary = world_counts(100000, 4500);
        return heard;
    default:
        return heard;
    }
}

/* The needed answer; while nothing else can be done, the time of the alarm. */
static RolloutHeard random_answer(uint64_t seed, World *world, RolloutNeed need)
{
    switch (need.kind) {
    case ROLLOUT_NEED_START:
        return (RolloutHeard){.kind = ROLLOUT_HEARD_START};
    case ROLLOUT_NEED_COMMAND:
        return random_result(seed, world, need);
    case ROLLOUT_NEED_HEALTH:
        return random_health(seed, world);
    case ROLLOUT_NEED_NOTHING:
    case ROLLOUT_NEED_WAIT:
        break;
    }
    if (need.until_ms == INT64_MAX && world->rollout.paused)
        return world_order(fate(seed, world, 5, 2) == 0 ? ROLLOUT_ORDER_RESUME : ROLLOUT_ORDER_PROMOTE);
    if (need.until_ms == INT64_MAX)
        return world_order(ROLLOUT_ORDER_APPROVE);
    if (world->now_ms < need.until_ms)
        world->now_ms = need.until_ms;
    return world_time();
}

/* What may be asked for: planned weights only, and no stage before the one before it has passed. */
static void check_need(const World *world, RolloutNeed need)
{
    if (need.kind != ROLLOUT_NEED_COMMAND)
        return;
    bool back = world->rollout.phase == ROLLOUT_ROLLBACK || world->rollout.phase == ROLLOUT_ROLLBACK_VERIFY;
    cr_assert_eq(need.weight_percent, back ? 0 : world->plan.stages[world->rollout.stage].weight_percent);
    cr_assert_eq(need.command == ROLLOUT_COMMAND_ROLLBACK, world->rollout.phase == ROLLOUT_ROLLBACK);
    cr_assert_neq(need.command, ROLLOUT_COMMAND_FINISH);
    cr_assert(back || world->rollout.stages_passed == world->rollout.stage);
}

/* After a look that showed nothing, the next look is only due at the alarm. */
static void step(uint64_t seed, World *world)
{
    RolloutNeed need = rollout_need(&world->rollout, &world->plan, world->now_ms);
    check_need(world, need);
    bool quiet = world_hear(world, random_answer(seed, world, need)) == NULL;
    if (quiet && need.kind == ROLLOUT_NEED_HEALTH && world->now_ms < need.until_ms)
        world->now_ms = need.until_ms;
}

static void check_ledger(const World *world)
{
    int ends = 0;
    int passed = 0;
    for (size_t i = 0; i < world->count; i++) {
        RolloutEventKind kind = world->events[i].kind;
        ends += kind == ROLLOUT_EVENT_SUCCEEDED || kind == ROLLOUT_EVENT_ENDED;
        passed += kind == ROLLOUT_EVENT_STAGE_PASSED;
        if (kind == ROLLOUT_EVENT_VERIFIED)
            cr_assert_eq(world->events[i].weight_percent, world->plan.stages[world->events[i].stage].weight_percent);
    }
    cr_assert_eq(ends, 1);
    cr_assert(rollout_phase_is_final(world->rollout.phase));
    cr_assert_eq(world->events[world->count - 1].kind,
                 world->rollout.phase == ROLLOUT_SUCCEEDED ? ROLLOUT_EVENT_SUCCEEDED : ROLLOUT_EVENT_ENDED);
    cr_assert_eq(world->rollout.stages_passed, passed);
    cr_assert(world->rollout.phase != ROLLOUT_SUCCEEDED || passed == world->plan.stage_count);
    Rollout again = world_refold(world);
    cr_assert(world_same(&again, &world->rollout));
}

static World *run_undisturbed(uint64_t seed)
{
    World *world = world_make(random_plan(seed));
    for (int i = 0; i < STEPS && !rollout_phase_is_final(world->rollout.phase); i++)
        step(seed, world);
    check_ledger(world);
    return world;
}

Test(worlds, every_kind_of_end_is_met_and_each_is_the_only_one)
{
    int met[ROLLOUT_ROLLBACK_FAILED + 1] = {0};
    for (uint64_t seed = 0; seed < WORLDS; seed++) {
        World *world = run_undisturbed(seed);
        met[world->rollout.phase]++;
        world_release(world);
    }
    cr_assert_gt(met[ROLLOUT_SUCCEEDED], 0);
    cr_assert_gt(met[ROLLOUT_ROLLED_BACK], 0);
    cr_assert_gt(met[ROLLOUT_FAILED], 0);
    cr_assert_gt(met[ROLLOUT_ROLLBACK_FAILED], 0);
}

/* A crash throws the state away, and may lose an answer, an event that was not stored, and some seconds. */
Test(worlds, crashes_at_any_step_change_neither_the_end_nor_the_way_to_it)
{
    for (uint64_t seed = 0; seed < WORLDS; seed++) {
        World *calm = run_undisturbed(seed);
        World *world = world_make(random_plan(seed));
        Dice dice = {mix(~seed), 0};
        for (int i = 0; i < STEPS && !rollout_phase_is_final(world->rollout.phase); i++) {
            if (roll(&dice, 3) == 0) {
                world->rollout = world_refold(world);
                world->now_ms += (int64_t)roll(&dice, 5000);
            }
            if (roll(&dice, 3) == 0) { /* the event is lost with the worker */
                RolloutNeed need = rollout_need(&world->rollout, &world->plan, world->now_ms);
                RolloutHeard heard = random_answer(seed, world, need);
                RolloutEvent lost;
                Rollout before = world->rollout;
                rollout_hear(&world->rollout, &world->plan, &heard, world->now_ms, &world->arena, &lost, NULL);
                cr_assert(world_same(&before, &world->rollout));
                continue;
            }
            step(seed, world);
        }
        check_ledger(world);
        cr_assert_eq(world->rollout.phase, calm->rollout.phase, "seed %llu", (unsigned long long)seed);
        cr_assert_eq(world->rollout.weight_percent, calm->rollout.weight_percent);
        cr_assert_eq(world->count, calm->count);
        for (size_t i = 0; i < world->count; i++)
            cr_assert_eq(world->events[i].kind, calm->events[i].kind);
        world_release(world);
        world_release(calm);
    }
}

/* From here, with a driver that does what it says: an order to abort ends it, and the new version has no traffic. */
static void check_way_back(const World *from)
{
    if (rollout_phase_is_final(from->rollout.phase))
        return;
    World *world = world_make(from->plan);
    world->rollout = from->rollout;
    world->now_ms = from->now_ms;
    world_hear(world, world_order(ROLLOUT_ORDER_ABORT));
    for (int i = 0; i < 3 && !rollout_phase_is_final(world->rollout.phase); i++) {
        if (world->now_ms < world->rollout.until_ms)
            world->now_ms = world->rollout.until_ms;
        world_step(world);
    }
    cr_assert(rollout_phase_is_final(world->rollout.phase), "no way back from %s",
              rollout_phase_name(from->rollout.phase));
    cr_assert_neq(world->rollout.phase, ROLLOUT_SUCCEEDED);
    cr_assert_neq(world->rollout.phase, ROLLOUT_ROLLBACK_FAILED);
    cr_assert_eq(world->rollout.weight_percent, 0);
    world_release(world);
}

static int64_t jump(Dice *dice, int64_t now_ms)
{
    static const int64_t places_ms[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, WORLD_START_MS, INT64_MAX - 1, INT64_MAX};
    uint64_t kind = roll(dice, 20);
    if (kind < 8)
        return places_ms[kind];
    int64_t by_ms = (int64_t)roll(dice, 4000000) - 2000000;
    return by_ms > 0 && now_ms > INT64_MAX - by_ms   ? INT64_MAX
           : by_ms < 0 && now_ms < INT64_MIN - by_ms ? INT64_MIN
                                                     : now_ms + by_ms;
}

Test(worlds, orders_lies_and_jumping_clocks_never_lead_astray)
{
    for (uint64_t seed = 0; seed < WORLDS; seed++) {
        World *world = world_make(random_plan(seed));
        Dice dice = {mix(seed + 77), 0};
        for (int i = 0; i < 300 && !rollout_phase_is_final(world->rollout.phase); i++) {
            if (roll(&dice, 4) == 0)
                world_hear(world, world_order((RolloutOrder)(1 + roll(&dice, 4))));
            if (roll(&dice, 60) == 0)
                world_hear(world, world_order((RolloutOrder)(1 + roll(&dice, 8))));
            if (roll(&dice, 8) == 0)
                world->now_ms = jump(&dice, world->now_ms);
            if (roll(&dice, 10) == 0)
                check_way_back(world);
            step(mix(seed) + roll(&dice, 3), world);
        }
        world_hear(world, world_order(ROLLOUT_ORDER_ABORT));
        for (int i = 0; i < STEPS && !rollout_phase_is_final(world->rollout.phase); i++)
            step(seed, world);
        check_ledger(world);
        world_release(world);
    }
}

/* Anything at all, in any order: what a bad ledger or a broken worker might say. */
Test(worlds, nonsense_is_ignored_or_leads_to_an_orderly_state)
{
    for (uint64_t seed = 0; seed < WORLDS; seed++) {
        World *world = world_make(random_plan(seed));
        Dice dice = {mix(seed + 99), 0};
        for (int i = 0; i < 200; i++) {
            RolloutEvent event = {
                .kind = (RolloutEventKind)roll(&dice, 17),
                .at_ms = jump(&dice, world->now_ms),
                .stage = roll(&dice, 9) == 0 ? (int32_t)roll(&dice, 7) - 1 : world->rollout.stage,
                .weight_percent = roll(&dice, 2) == 0 ? (int32_t)roll(&dice, 103) - 2
                                                      : world->plan.stages[world->rollout.stage].weight_percent,
                .until_ms = jump(&dice, world->now_ms),
                .full = roll(&dice, 2) == 0,
                .cause = (RolloutCause)roll(&dice, 7),
                .phase = (RolloutPhase)roll(&dice, 16),
                .who = roll(&dice, 2) == 0 ? STR("judge") : (Str){0},
                .judged = roll(&dice, 2) == 0,
                .verdict = {.worse_windows = (int)roll(&dice, 5) - 2},
            };
            Rollout before = world->rollout;
            bool fits = rollout_apply(&world->rollout, &world->plan, &event);
            cr_assert(fits || world_same(&before, &world->rollout));
            cr_assert(!fits || !rollout_phase_is_final(before.phase));
            cr_assert(!fits || world->rollout.events == before.events + 1);
            cr_assert(world->rollout.stage >= 0 && world->rollout.stage < world->plan.stage_count);
            world->now_ms = jump(&dice, world->now_ms);
            check_need(world, rollout_need(&world->rollout, &world->plan, world->now_ms));
            if (i % 10 == 0 && world->rollout.cause != (RolloutCause)6)
                check_way_back(world);
        }
        world_release(world);
    }
}
