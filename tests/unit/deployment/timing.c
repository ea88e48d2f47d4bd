/* Tests of rollout: pauses, promotions, looks, extensions, tries, deadlines, and clocks that cannot be trusted. */
#include <string.h>

#include "tests/unit/deployment/world.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static RolloutNeed need(const World *world)
{
    return rollout_need(&world->rollout, &world->plan, world->now_ms);
}

static World *world_in(RolloutPhase phase)
{
    World *world = world_make(world_plan());
    world_reach(world, phase, phase == ROLLOUT_BAKE ? 2 : 0);
    return world;
}

Test(timing, a_pause_moves_every_deadline_by_its_length)
{
    static const RolloutPhase phases[] = {ROLLOUT_WARM_UP, ROLLOUT_OBSERVE, ROLLOUT_BAKE};
    for (size_t i = 0; i < LENGTH(phases); i++) {
        World *world = world_in(phases[i]);
        int64_t until_ms = world->rollout.until_ms;
        int64_t since_ms = world->rollout.since_ms;
        world->now_ms += 3000;
        cr_assert_eq(world_hear(world, world_order(ROLLOUT_ORDER_PAUSE))->kind, ROLLOUT_EVENT_PAUSED);
        cr_assert_eq(need(world).kind, ROLLOUT_NEED_WAIT);
        cr_assert_eq(need(world).until_ms, INT64_MAX);
        world->now_ms += 86400000;
        cr_assert_null(world_hear(world, world_time()));
        cr_assert_null(world_hear(world, world_bad()));
        cr_assert_null(world_hear(world, world_done(5)));
        cr_assert_eq(world_hear(world, world_order(ROLLOUT_ORDER_RESUME))->kind, ROLLOUT_EVENT_RESUMED);
        cr_assert_eq(world->rollout.until_ms, until_ms + 86400000);
        cr_assert_eq(world->rollout.since_ms, since_ms);
        cr_assert_eq(world->rollout.phase, phases[i]);
        world_reach(world, ROLLOUT_SUCCEEDED, 2);
        world_release(world);
    }
}

Test(timing, an_approval_in_mid_pause_is_moved_by_the_rest_of_the_pause_only)
{
    DeploymentPlan plan = world_plan();
    plan.stages[0].needs_approval = true;
    World *world = world_make(plan);
    world_reach(world, ROLLOUT_APPROVAL, 0);
    world_hear(world, world_order(ROLLOUT_ORDER_PAUSE));
    world->now_ms += 5000;
    cr_assert_eq(world_hear(world, world_order(ROLLOUT_ORDER_APPROVE))->kind, ROLLOUT_EVENT_APPROVED);
    cr_assert_eq(need(world).kind, ROLLOUT_NEED_WAIT);
    world->now_ms += 2000;
    world_hear(world, world_order(ROLLOUT_ORDER_RESUME));
    cr_assert_eq(world->rollout.paused_total_ms, 2000);
    cr_assert_eq(need(world).kind, ROLLOUT_NEED_COMMAND);
    world_release(world);
}

Test(timing, health_is_looked_at_in_steps_from_the_beginning_and_once_more_at_the_end)
{
    World *world = world_in(ROLLOUT_OBSERVE);
    int64_t since_ms = world->rollout.since_ms;
    static const struct {
        int64_t after_ms;
        RolloutNeedKind kind;
        int64_t until_after_ms;
        bool final;
    } rows[] = {
        {-5000, ROLLOUT_NEED_WAIT, 10000, false},      {0, ROLLOUT_NEED_WAIT, 10000, false},
        {9999, ROLLOUT_NEED_WAIT, 10000, false},       {10000, ROLLOUT_NEED_HEALTH, 20000, false},
        {19999, ROLLOUT_NEED_HEALTH, 20000, false},    {20000, ROLLOUT_NEED_HEALTH, 30000, false},
        {295000, ROLLOUT_NEED_HEALTH, 300000, false},  {299999, ROLLOUT_NEED_HEALTH, 300000, false},
        {300000, ROLLOUT_NEED_HEALTH, 900000, true},   {890000, ROLLOUT_NEED_HEALTH, 950000, true},
        {9000000, ROLLOUT_NEED_HEALTH, 9060000, true},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        world->now_ms = since_ms + rows[i].after_ms;
        RolloutNeed asked = need(world);
        cr_assert_eq(asked.kind, rows[i].kind, "row %zu", i);
        cr_assert_eq(asked.until_ms, since_ms + rows[i].until_after_ms, "row %zu", i);
        cr_assert_eq(asked.final, rows[i].final, "row %zu", i);
        cr_assert(asked.kind != ROLLOUT_NEED_HEALTH || asked.since_ms == since_ms);
    }
    world->plan.look_ms = 0;
    world->now_ms = since_ms + 50000;
    cr_assert_eq(need(world).kind, ROLLOUT_NEED_WAIT);
    cr_assert_eq(need(world).until_ms, since_ms + 300000);
    world_release(world);
}

Test(timing, a_judged_event_carries_what_it_was_judged_on)
{
    World *world = world_in(ROLLOUT_OBSERVE);
    world->now_ms = world->rollout.until_ms;
    RolloutHeard heard = world_good();
    heard.have_baseline = true;
    heard.baseline = world_counts(90000, 0);
    const RolloutEvent *event = world_hear(world, heard);
    cr_assert_eq(event->kind, ROLLOUT_EVENT_STAGE_PASSED);
    cr_assert(event->judged);
    cr_assert_eq(event->verdict.verdict, JUDGE_PASS);
    cr_assert_eq(event->canary.requests, 100000);
    cr_assert_eq(event->baseline.requests, 90000);
    cr_assert(str_equal(event->query, STR("a query")));
    world_reach(world, ROLLOUT_OBSERVE, 1);
    event = world_hear(world, world_bad());
    cr_assert_eq(event->cause, ROLLOUT_CAUSE_HEALTH);
    cr_assert(event->judged);
    cr_assert_eq(event->canary.errors, 500);
    cr_assert_eq(event->verdict.verdict, JUDGE_FAIL);
    cr_assert(str_starts_with(event->why, STR("error_rate: ")));
    world_reach(world, ROLLOUT_ROLLED_BACK, 1);
    world_release(world);
}

Test(timing, a_marginal_stage_passes_and_says_so)
{
    World *world = world_in(ROLLOUT_OBSERVE);
    world->now_ms = world->rollout.until_ms;
    const RolloutEvent *event = world_hear(world, world_health(world_counts(100000, 4500)));
    cr_assert_eq(event->kind, ROLLOUT_EVENT_STAGE_PASSED);
    cr_assert_eq(event->verdict.verdict, JUDGE_MARGINAL);
    world_release(world);
}

Test(timing, what_is_uncertain_is_extended_by_halves_and_then_waits_for_a_person)
{
    for (int data = 0; data < 2; data++) {
        World *world = world_in(ROLLOUT_OBSERVE);
        int64_t since_ms = world->rollout.since_ms;
        RolloutHeard few = world_few();
        few.have_canary = data == 1;
        few.why = STR("missing series");
        for (int64_t extended_ms = 150000; extended_ms <= 300000; extended_ms += 150000) {
            world->now_ms = world->rollout.until_ms;
            const RolloutEvent *event = world_hear(world, few);
            cr_assert_eq(event->kind, ROLLOUT_EVENT_EXTENDED);
            cr_assert_eq(event->judged, data == 1);
            cr_assert_eq(world->rollout.until_ms, since_ms + 300000 + extended_ms);
            cr_assert_eq(world->rollout.extended_ms, extended_ms);
            cr_assert_eq(world->rollout.since_ms, since_ms);
        }
        world->now_ms = world->rollout.until_ms;
        const RolloutEvent *event = world_hear(world, few);
        cr_assert_eq(event->kind, ROLLOUT_EVENT_PAUSED);
        cr_assert(str_equal(event->who, STR("judge")));
        cr_assert_gt(event->why.length, (size_t)0);
        world->now_ms += 86400000;
        world_hear(world, world_order(ROLLOUT_ORDER_RESUME));
        cr_assert_eq(world->rollout.since_ms, world->now_ms, "it is observed once more from the beginning");
        cr_assert_eq(world->rollout.until_ms, world->now_ms + 300000);
        cr_assert_eq(world->rollout.extended_ms, 0);
        world_reach(world, ROLLOUT_SUCCEEDED, 2);
        world_release(world);
    }
}

Test(timing, what_one_stage_was_extended_by_does_not_count_for_the_next)
{
    World *world = world_in(ROLLOUT_OBSERVE);
    for (int32_t stage = 0; stage < 2; stage++) {
        world_reach(world, ROLLOUT_OBSERVE, stage);
        cr_assert_eq(world->rollout.extended_ms, 0);
        world->now_ms = world->rollout.until_ms;
        cr_assert_eq(world_hear(world, world_few())->kind, ROLLOUT_EVENT_EXTENDED);
        cr_assert_gt(world->rollout.extended_ms, 0);
    }
    world_release(world);
}

/* The canary is slower than the baseline, but far from the absolute limit. */
static RolloutHeard slower(void)
{
    RolloutHeard heard = world_good();
    heard.canary = (JudgeCounts){.requests = 10000, .latency = {0, 0, 0, 10000}};
    heard.have_baseline = true;
    heard.baseline = world_counts(10000, 0);
    return heard;
}

Test(timing, a_slower_version_goes_back_after_its_second_stage_in_a_row)
{
    for (int promoted = 0; promoted < 2; promoted++) {
        World *world = world_in(ROLLOUT_OBSERVE);
        world->now_ms = world->rollout.until_ms;
        cr_assert_eq(world_hear(world, slower())->kind, ROLLOUT_EVENT_STAGE_PASSED);
        cr_assert_eq(world->rollout.worse_windows, 1);
        if (promoted) { /* an unjudged stage between them breaks the row */
            world_hear(world, world_order(ROLLOUT_ORDER_PROMOTE));
            world_reach(world, ROLLOUT_APPLY, 2);
            cr_assert_eq(world->rollout.worse_windows, 0);
        }
        world_reach(world, ROLLOUT_OBSERVE, promoted ? 2 : 1);
        world->now_ms = world->rollout.until_ms;
        const RolloutEvent *event = world_hear(world, slower());
        cr_assert_eq(event->kind, promoted ? ROLLOUT_EVENT_STAGE_PASSED : ROLLOUT_EVENT_ROLLBACK_BEGUN);
        world_release(world);
    }
}

Test(timing, extensions_are_few_however_short_the_stage_is)
{
    static const struct {
        int64_t duration_ms;
        int64_t extend_max_ms;
        int extensions;
    } rows[] = {{300000, 0, 0},        {300000, -1, 0}, {300000, 300000, 2}, {300000, 100000, 1}, {1, 86400000, 8},
                {0, 86400000, 8},      {0, 7, 1},       {2, 3, 3},           {-7, 80, 8},         {300000, 150001, 2},
                {INT64_MAX, 300000, 0}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        DeploymentPlan plan = world_plan();
        plan.stages[0].duration_ms = rows[i].duration_ms;
        plan.stages[0].extend_max_ms = rows[i].extend_max_ms;
        World *world = world_make(plan);
        world_reach(world, ROLLOUT_OBSERVE, 0);
        int extensions = -1;
        do {
            world->now_ms = world->rollout.until_ms;
            world_hear(world, world_few());
            extensions++;
        } while (!world->rollout.paused && extensions < 100);
        cr_assert_eq(extensions, rows[i].extensions, "row %zu: %d", i, extensions);
        world_release(world);
    }
}

Test(timing, a_stage_that_is_not_judged_passes_when_its_time_is_over)
{
    DeploymentPlan plan = world_plan();
    plan.stages[0] = (DeploymentStage){.name = "preview"};
    plan.bake_ms = 0;
    World *world = world_make(plan);
    world_reach(world, ROLLOUT_OBSERVE, 0);
    const RolloutEvent *event = world_hear(world, world_time());
    cr_assert_eq(event->kind, ROLLOUT_EVENT_STAGE_PASSED);
    cr_assert_not(event->judged);
    cr_assert_eq(world->now_ms, WORLD_START_MS);
    world_reach(world, ROLLOUT_BAKE, 2);
    int64_t baking_ms = world->now_ms;
    world_reach(world, ROLLOUT_SUCCEEDED, 2);
    cr_assert_eq(world->now_ms, baking_ms, "no bake takes no time");
    world_release(world);
}

Test(timing, a_promoted_stage_passes_unjudged_once_its_weight_is_verified)
{
    for (RolloutPhase phase = ROLLOUT_APPLY; phase <= ROLLOUT_OBSERVE; phase++) {
        for (int paused = 0; paused < 2; paused++) {
            World *world = world_in(phase);
            if (paused)
                world_hear(world, world_order(ROLLOUT_ORDER_PAUSE));
            int64_t now_ms = world->now_ms;
            cr_assert_eq(world_hear(world, world_order(ROLLOUT_ORDER_PROMOTE))->kind, ROLLOUT_EVENT_PROMOTED);
            cr_assert_not(world->rollout.paused);
            cr_assert_null(world_hear(world, world_order(ROLLOUT_ORDER_PROMOTE)), "it is promoted already");
            world_reach(world, ROLLOUT_APPLY, 1);
            cr_assert_eq(world->now_ms, now_ms);
            cr_assert_eq(world->rollout.weight_percent, 5);
            cr_assert_not(world->rollout.promote);
            world_reach(world, ROLLOUT_OBSERVE, 1);
            cr_assert_eq(need(world).kind, ROLLOUT_NEED_WAIT, "the next stage is observed");
            world_release(world);
        }
    }
}

Test(timing, a_promotion_ends_a_pause_also_when_the_stage_is_promoted_already)
{
    World *world = world_in(ROLLOUT_APPLY);
    world_hear(world, world_order(ROLLOUT_ORDER_PROMOTE));
    world_hear(world, world_order(ROLLOUT_ORDER_PAUSE));
    cr_assert(world->rollout.paused);
    cr_assert_eq(world_hear(world, world_order(ROLLOUT_ORDER_PROMOTE))->kind, ROLLOUT_EVENT_PROMOTED);
    cr_assert_not(world->rollout.paused);
    world_release(world);
}

Test(timing, what_health_says_of_a_promoted_stage_comes_too_late)
{
    World *world = world_in(ROLLOUT_OBSERVE);
    world_hear(world, world_order(ROLLOUT_ORDER_PROMOTE));
    cr_assert_eq(world_hear(world, world_bad())->kind, ROLLOUT_EVENT_STAGE_PASSED);
    world_release(world);
}

Test(timing, a_full_promotion_applies_and_verifies_every_stage_but_observes_none)
{
    DeploymentPlan plan = world_plan();
    plan.stages[1].needs_approval = true;
    for (int from = 0; from < 2; from++) {
        World *world = world_make(plan);
        world_reach(world, from == 0 ? ROLLOUT_WARM_UP : ROLLOUT_APPROVAL, from);
        int64_t now_ms = world->now_ms;
        cr_assert(world_hear(world, world_order(ROLLOUT_ORDER_PROMOTE_FULL))->full);
        world_reach(world, ROLLOUT_BAKE, 2);
        cr_assert_eq(world->now_ms, now_ms);
        int verified = 0;
        for (size_t i = 0; i < world->count; i++) {
            verified += world->events[i].kind == ROLLOUT_EVENT_VERIFIED;
            cr_assert_neq(world->events[i].kind, ROLLOUT_EVENT_APPROVED);
        }
        cr_assert_eq(verified, 3);
        cr_assert_eq(world->rollout.stages_passed, 3);
        world_release(world);
    }
}

Test(timing, a_lying_driver_is_found_out_and_tried_again_until_it_is_enough)
{
    World *world = world_in(ROLLOUT_APPLY);
    world_reach(world, ROLLOUT_APPLY, 1);
    for (int lie = 1; lie <= 3; lie++) {
        cr_assert_eq(need(world).command, ROLLOUT_COMMAND_APPLY);
        cr_assert_eq(need(world).weight_percent, 25);
        world_hear(world, world_done(25));
        cr_assert_eq(need(world).command, ROLLOUT_COMMAND_READ);
        const RolloutEvent *event = world_hear(world, world_done(5));
        cr_assert_eq(event->kind, lie < 3 ? ROLLOUT_EVENT_TRY_FAILED : ROLLOUT_EVENT_ROLLBACK_BEGUN);
        cr_assert_eq(event->weight_percent, 5);
        cr_assert(str_equal(event->why, STR("set 25 %, found 5 %")));
        world->now_ms = world->rollout.until_ms;
    }
    cr_assert_eq(world->rollout.cause, ROLLOUT_CAUSE_FAILURE);
    cr_assert_eq(world->rollout.weight_percent, 5, "what was verified last");
    world_reach(world, ROLLOUT_FAILED, 1);
    world_release(world);
}

Test(timing, a_command_that_fails_is_tried_again_later_and_later)
{
    static const int64_t waits_s[] = {1, 2, 4, 8, 16, 30, 30, 30};
    World *world = world_in(ROLLOUT_APPLY);
    world->plan.command_tries = 9;
    for (size_t i = 0; i < LENGTH(waits_s); i++) {
        cr_assert_eq(need(world).kind, ROLLOUT_NEED_COMMAND);
        const RolloutEvent *event = world_hear(world, world_error(false));
        cr_assert_eq(event->kind, ROLLOUT_EVENT_TRY_FAILED);
        cr_assert_eq(event->weight_percent, -1);
        cr_assert(str_equal(event->why, STR("it broke")));
        cr_assert_eq(need(world).kind, ROLLOUT_NEED_WAIT);
        cr_assert_eq(need(world).until_ms, world->now_ms + waits_s[i] * 1000);
        world->now_ms -= 1;
        cr_assert_eq(need(world).kind, ROLLOUT_NEED_COMMAND, "a clock that stepped back does not wait");
        world->now_ms = world->rollout.until_ms;
    }
    cr_assert_eq(world_hear(world, world_error(false))->kind, ROLLOUT_EVENT_ROLLBACK_BEGUN);
    for (int failures = 1; failures < 18; failures++)
        cr_assert_eq(world_hear(world, world_error(false))->kind, ROLLOUT_EVENT_TRY_FAILED);
    cr_assert_eq(world_hear(world, world_error(false))->phase, ROLLOUT_ROLLBACK_FAILED);
    world_release(world);
}

Test(timing, a_refusal_ends_at_once_only_while_surely_nothing_was_touched)
{
    World *world = world_in(ROLLOUT_APPLY);
    world_hear(world, world_error(false));
    cr_assert_eq(world_hear(world, world_error(true))->kind, ROLLOUT_EVENT_ROLLBACK_BEGUN, "the first may have worked");
    world_release(world);
    world = world_in(ROLLOUT_OBSERVE);
    world_reach(world, ROLLOUT_APPLY, 1);
    cr_assert_eq(world_hear(world, world_error(true))->kind, ROLLOUT_EVENT_ROLLBACK_BEGUN, "the canary stands");
    world_release(world);
}

Test(timing, a_need_has_the_same_attempt_after_a_takeover_and_no_two_have_the_same)
{
    World *world = world_make(world_plan());
    int32_t last = -1;
    for (int step = 0; step < 400; step++) {
        RolloutNeed asked = need(world);
        Rollout taken = world_refold(world);
        cr_assert(world_same(&taken, &world->rollout));
        RolloutNeed again = rollout_need(&taken, &world->plan, world->now_ms);
        cr_assert_eq(asked.attempt, again.attempt);
        if (asked.kind == ROLLOUT_NEED_COMMAND) {
            cr_assert_gt(asked.attempt, last);
            last = asked.attempt;
        }
        if (step % 3 == 0 && asked.kind == ROLLOUT_NEED_COMMAND && world->rollout.tries < 2)
            world_hear(world, world_error(false));
        else
            world_step(world);
    }
    cr_assert_eq(world->rollout.phase, ROLLOUT_SUCCEEDED);
    world_release(world);
}

Test(timing, no_progress_aborts_where_progress_is_due)
{
    static const struct {
        RolloutPhase phase;
        int64_t after_ms; /* of the phase's beginning: when it strikes; -1 never */
    } rows[] = {
        {ROLLOUT_NEW, -1},         {ROLLOUT_APPROVAL, -1}, {ROLLOUT_APPLY, 600000},       {ROLLOUT_VERIFY, 600000},
        {ROLLOUT_OBSERVE, 900000}, {ROLLOUT_ROLLBACK, -1}, {ROLLOUT_ROLLBACK_VERIFY, -1},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        for (int paused = 0; paused < 2; paused++) {
            World *world = world_make(world_plan());
            world->plan.stages[0].needs_approval = rows[i].phase == ROLLOUT_APPROVAL;
            world_reach(world, rows[i].phase, rows[i].phase >= ROLLOUT_ROLLBACK ? 2 : 0);
            int64_t since_ms = world->now_ms;
            if (paused && world_hear(world, world_order(ROLLOUT_ORDER_PAUSE)) != NULL) {
                since_ms = world->now_ms += 5000000;
                cr_assert_null(world_hear(world, world_time()));
                world_hear(world, world_order(ROLLOUT_ORDER_RESUME));
            }
            world->now_ms = since_ms + (rows[i].after_ms < 0 ? 599999 : rows[i].after_ms - 1);
            cr_assert_null(world_hear(world, world_time()), "row %zu", i);
            world->now_ms += 1;
            const RolloutEvent *event = world_hear(world, world_time());
            cr_assert_eq(event != NULL, rows[i].after_ms >= 0, "row %zu", i);
            cr_assert(event == NULL || event->cause == ROLLOUT_CAUSE_DEADLINE);
            world_release(world);
        }
    }
}

Test(timing, the_deadline_can_be_switched_off_and_is_asked_for_in_time)
{
    World *world = world_in(ROLLOUT_APPLY);
    cr_assert_eq(need(world).until_ms, world->now_ms + 600000);
    world->now_ms += 590000;
    cr_assert_eq(need(world).until_ms, world->now_ms + 60000, "what is asked for now may still be answered");
    cr_assert_not_null(world_hear(world, world_error(false)));
    world->now_ms += 10000;
    cr_assert_eq(world_hear(world, world_error(false))->cause, ROLLOUT_CAUSE_DEADLINE);
    world_release(world);
    world = world_in(ROLLOUT_APPLY);
    world->plan.progress_deadline_ms = 0;
    world->now_ms += INT64_C(86400000);
    cr_assert_eq(need(world).kind, ROLLOUT_NEED_COMMAND);
    cr_assert_null(world_hear(world, world_time()));
    world_release(world);
}

Test(timing, a_plan_without_stages_fails_instead_of_beginning)
{
    static const int32_t counts[] = {0, -1, INT32_MIN, DEPLOYMENT_STAGES_MAX + 1, INT32_MAX};
    for (size_t i = 0; i < LENGTH(counts); i++) {
        World *world = world_make(world_plan());
        world->plan.stage_count = counts[i];
        world_step(world);
        cr_assert_eq(world->rollout.phase, ROLLOUT_FAILED);
        world_release(world);
    }
}

Test(timing, a_weight_that_somebody_changed_is_set_anew_and_the_stage_observed_from_its_beginning)
{
    World *world = world_make(world_plan());
    world_reach(world, ROLLOUT_OBSERVE, 0);
    for (int drift = 1; drift <= 3; drift++) {
        world->now_ms = world->rollout.until_ms;
        if (drift == 1) { /* an extension is forgotten with what it extended */
            cr_assert_eq(world_hear(world, world_few())->kind, ROLLOUT_EVENT_EXTENDED);
            world->now_ms = world->rollout.until_ms;
        }
        const RolloutEvent *event = world_hear(world, world_done(0));
        cr_assert_eq(event->weight_percent, drift < 3 ? 0 : event->weight_percent);
        cr_assert_eq(event->kind, drift < 3 ? ROLLOUT_EVENT_TRY_FAILED : ROLLOUT_EVENT_ROLLBACK_BEGUN,
                     "three tries are what a stage has");
        if (drift == 3) {
            break;
        }
        cr_assert_eq(world->rollout.extended_ms, 0);
        int64_t found_ms = world->now_ms;
        while (world->rollout.phase != ROLLOUT_OBSERVE) {
            world_step(world);
        }
        cr_assert_eq(world->rollout.until_ms - world->rollout.since_ms, 300000);
        cr_assert_geq(world->rollout.since_ms, found_ms + 10000, "warmed up again");
    }
    cr_assert_eq(world->rollout.cause, ROLLOUT_CAUSE_FAILURE);
    world_release(world);
}
