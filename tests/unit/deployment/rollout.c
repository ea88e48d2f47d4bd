/* Tests of rollout: every transition, every order in every phase, and what does not fit changes nothing. */
#include <string.h>

#include "tests/unit/deployment/world.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static RolloutNeed need(const World *world)
{
    return rollout_need(&world->rollout, &world->plan, world->now_ms);
}

static World *world_at(RolloutPhase phase)
{
    DeploymentPlan plan = world_plan();
    plan.stages[0].needs_approval = phase == ROLLOUT_APPROVAL;
    World *world = world_make(plan);
    bool late = phase == ROLLOUT_BAKE || phase == ROLLOUT_ROLLBACK || phase == ROLLOUT_ROLLBACK_VERIFY;
    world_reach(world, phase, late ? 2 : 0);
    return world;
}

Test(rollout, a_good_version_goes_through_all_stages_at_the_planned_seconds)
{
    static const struct {
        RolloutEventKind kind;
        int64_t at_s;
        int64_t until_s;
        int32_t stage;
    } rows[] = {
        {ROLLOUT_EVENT_STARTED, 0, -1, 0},          {ROLLOUT_EVENT_APPLIED, 0, -1, 0},
        {ROLLOUT_EVENT_VERIFIED, 0, 10, 0},         {ROLLOUT_EVENT_OBSERVING, 10, 310, 0},
        {ROLLOUT_EVENT_STAGE_PASSED, 310, -1, 0},   {ROLLOUT_EVENT_APPLIED, 310, -1, 1},
        {ROLLOUT_EVENT_VERIFIED, 310, 320, 1},      {ROLLOUT_EVENT_OBSERVING, 320, 920, 1},
        {ROLLOUT_EVENT_STAGE_PASSED, 920, -1, 1},   {ROLLOUT_EVENT_APPLIED, 920, -1, 2},
        {ROLLOUT_EVENT_VERIFIED, 920, 920, 2},      {ROLLOUT_EVENT_OBSERVING, 920, 980, 2},
        {ROLLOUT_EVENT_STAGE_PASSED, 980, 1580, 2}, {ROLLOUT_EVENT_SUCCEEDED, 1580, -1, 2},
    };
    World *world = world_make(world_plan());
    for (int step = 0; step < 300; step++)
        world_step(world);
    cr_assert_eq(world->count, LENGTH(rows));
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const RolloutEvent *event = &world->events[i];
        cr_assert_eq(event->kind, rows[i].kind, "event %zu is %s", i, rollout_event_name(event->kind));
        cr_assert_eq(event->at_ms, WORLD_START_MS + rows[i].at_s * 1000, "event %zu", i);
        cr_assert_eq(event->stage, rows[i].stage, "event %zu", i);
        if (rows[i].until_s >= 0)
            cr_assert_eq(event->until_ms, WORLD_START_MS + rows[i].until_s * 1000, "event %zu", i);
    }
    cr_assert_eq(world->rollout.phase, ROLLOUT_SUCCEEDED);
    cr_assert_eq(world->rollout.stages_passed, 3);
    cr_assert_eq(world->rollout.weight_percent, 100);
    cr_assert_eq(world->rollout.started_ms, WORLD_START_MS);
    cr_assert_eq(world->rollout.ended_ms, WORLD_START_MS + 1580000);
    cr_assert_eq(need(world).kind, ROLLOUT_NEED_NOTHING);
    world_release(world);
}

/* What is heard in a phase, at the end of the phase's time or before it, and what becomes of it. */
typedef enum {
    HEAR_START,
    HEAR_TIME,
    HEAR_DONE,
    HEAR_OTHER,
    HEAR_UNREAD,
    HEAR_ERROR,
    HEAR_IMPOSSIBLE,
    HEAR_GOOD,
    HEAR_BAD,
    HEAR_FEW,
    HEAR_NO_DATA
} Hear;

static RolloutHeard heard_of(Hear hear, const World *world)
{
    bool back = world->rollout.phase == ROLLOUT_ROLLBACK_VERIFY;
    int32_t wanted = back ? 0 : world->plan.stages[world->rollout.stage].weight_percent;
    RolloutHeard nothing = {.kind = ROLLOUT_HEARD_HEALTH, .why = STR("missing series")};
    switch (hear) {
    case HEAR_START:
        return (RolloutHeard){.kind = ROLLOUT_HEARD_START};
    case HEAR_TIME:
        return world_time();
    case HEAR_DONE:
        return world_done(wanted);
    case HEAR_OTHER:
        return world_done(wanted + 1);
    case HEAR_UNREAD:
        return world_done(-1);
    case HEAR_ERROR:
        return world_error(false);
    case HEAR_IMPOSSIBLE:
        return world_error(true);
    case HEAR_GOOD:
        return world_good();
    case HEAR_BAD:
        return world_bad();
    case HEAR_FEW:
        return world_few();
    case HEAR_NO_DATA:
        break;
    }
    return nothing;
}

Test(rollout, what_is_heard_in_a_phase_leads_to_the_next)
{
    static const struct {
        RolloutPhase phase;
        bool over; /* the phase's time */
        Hear hear;
        int event; /* 0: none */
        RolloutPhase next;
    } rows[] = {
        {ROLLOUT_NEW, false, HEAR_START, ROLLOUT_EVENT_STARTED, ROLLOUT_APPLY},
        {ROLLOUT_NEW, true, HEAR_TIME, 0, ROLLOUT_NEW},
        {ROLLOUT_NEW, false, HEAR_DONE, 0, ROLLOUT_NEW},
        {ROLLOUT_APPROVAL, true, HEAR_TIME, 0, ROLLOUT_APPROVAL},
        {ROLLOUT_APPROVAL, false, HEAR_DONE, 0, ROLLOUT_APPROVAL},
        {ROLLOUT_APPROVAL, false, HEAR_START, 0, ROLLOUT_APPROVAL},
        {ROLLOUT_APPLY, false, HEAR_DONE, ROLLOUT_EVENT_APPLIED, ROLLOUT_VERIFY},
        {ROLLOUT_APPLY, false, HEAR_ERROR, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_APPLY},
        {ROLLOUT_APPLY, false, HEAR_IMPOSSIBLE, ROLLOUT_EVENT_ENDED, ROLLOUT_FAILED},
        {ROLLOUT_APPLY, false, HEAR_TIME, 0, ROLLOUT_APPLY},
        {ROLLOUT_APPLY, false, HEAR_BAD, 0, ROLLOUT_APPLY},
        {ROLLOUT_VERIFY, false, HEAR_DONE, ROLLOUT_EVENT_VERIFIED, ROLLOUT_WARM_UP},
        {ROLLOUT_VERIFY, false, HEAR_OTHER, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_APPLY},
        {ROLLOUT_VERIFY, false, HEAR_UNREAD, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_VERIFY},
        {ROLLOUT_VERIFY, false, HEAR_ERROR, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_VERIFY},
        {ROLLOUT_VERIFY, false, HEAR_IMPOSSIBLE, ROLLOUT_EVENT_ROLLBACK_BEGUN, ROLLOUT_ROLLBACK},
        {ROLLOUT_WARM_UP, false, HEAR_TIME, 0, ROLLOUT_WARM_UP},
        {ROLLOUT_WARM_UP, true, HEAR_TIME, ROLLOUT_EVENT_OBSERVING, ROLLOUT_OBSERVE},
        {ROLLOUT_WARM_UP, true, HEAR_BAD, 0, ROLLOUT_WARM_UP},
        {ROLLOUT_WARM_UP, false, HEAR_DONE, 0, ROLLOUT_WARM_UP},
        {ROLLOUT_OBSERVE, false, HEAR_TIME, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, true, HEAR_TIME, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, false, HEAR_BAD, ROLLOUT_EVENT_ROLLBACK_BEGUN, ROLLOUT_ROLLBACK},
        {ROLLOUT_OBSERVE, false, HEAR_GOOD, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, false, HEAR_FEW, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, false, HEAR_NO_DATA, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, true, HEAR_GOOD, ROLLOUT_EVENT_STAGE_PASSED, ROLLOUT_APPLY},
        {ROLLOUT_OBSERVE, true, HEAR_BAD, ROLLOUT_EVENT_ROLLBACK_BEGUN, ROLLOUT_ROLLBACK},
        {ROLLOUT_OBSERVE, true, HEAR_FEW, ROLLOUT_EVENT_EXTENDED, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, true, HEAR_NO_DATA, ROLLOUT_EVENT_EXTENDED, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, true, HEAR_DONE, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, true, HEAR_OTHER, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_APPLY},
        {ROLLOUT_OBSERVE, false, HEAR_OTHER, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_APPLY},
        {ROLLOUT_OBSERVE, true, HEAR_UNREAD, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, true, HEAR_ERROR, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_OBSERVE, true, HEAR_IMPOSSIBLE, 0, ROLLOUT_OBSERVE},
        {ROLLOUT_BAKE, false, HEAR_TIME, 0, ROLLOUT_BAKE},
        {ROLLOUT_BAKE, true, HEAR_TIME, ROLLOUT_EVENT_SUCCEEDED, ROLLOUT_SUCCEEDED},
        {ROLLOUT_BAKE, true, HEAR_BAD, 0, ROLLOUT_BAKE},
        {ROLLOUT_ROLLBACK, false, HEAR_DONE, ROLLOUT_EVENT_ROLLBACK_APPLIED, ROLLOUT_ROLLBACK_VERIFY},
        {ROLLOUT_ROLLBACK, false, HEAR_ERROR, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_ROLLBACK},
        {ROLLOUT_ROLLBACK, false, HEAR_IMPOSSIBLE, ROLLOUT_EVENT_ENDED, ROLLOUT_ROLLBACK_FAILED},
        {ROLLOUT_ROLLBACK, true, HEAR_TIME, 0, ROLLOUT_ROLLBACK},
        {ROLLOUT_ROLLBACK_VERIFY, false, HEAR_DONE, ROLLOUT_EVENT_ENDED, ROLLOUT_ABORTED},
        {ROLLOUT_ROLLBACK_VERIFY, false, HEAR_OTHER, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_ROLLBACK},
        {ROLLOUT_ROLLBACK_VERIFY, false, HEAR_UNREAD, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_ROLLBACK_VERIFY},
        {ROLLOUT_ROLLBACK_VERIFY, false, HEAR_ERROR, ROLLOUT_EVENT_TRY_FAILED, ROLLOUT_ROLLBACK_VERIFY},
        {ROLLOUT_ROLLBACK_VERIFY, false, HEAR_IMPOSSIBLE, ROLLOUT_EVENT_ENDED, ROLLOUT_ROLLBACK_FAILED},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        World *world = world_at(rows[i].phase);
        if (rows[i].over)
            world->now_ms = world->rollout.until_ms;
        const RolloutEvent *event = world_hear(world, heard_of(rows[i].hear, world));
        cr_assert_eq(event != NULL ? (int)event->kind : 0, rows[i].event, "row %zu", i);
        cr_assert_eq(world->rollout.phase, rows[i].next, "row %zu: %s", i, rollout_phase_name(world->rollout.phase));
        world_release(world);
    }
}

Test(rollout, an_event_that_does_not_fit_changes_nothing)
{
    /* Columns: the event kinds in their order; ENDED as ABORTED. */
    static const struct {
        RolloutPhase phase;
        const char *fits;
    } rows[] = {
        {ROLLOUT_NEW, "x......x......x"},
        {ROLLOUT_APPROVAL, ".x.....x.x....x"},
        {ROLLOUT_APPLY, "..x....x.xx.x.."},
        {ROLLOUT_VERIFY, "...x...x.xx.x.."},
        {ROLLOUT_WARM_UP, "....x..x.xx...."},
        {ROLLOUT_OBSERVE, ".....xxx.xx.x.."},
        {ROLLOUT_BAKE, ".......x..x..x."},
        {ROLLOUT_ROLLBACK, "...........xx.."},
        {ROLLOUT_ROLLBACK_VERIFY, "............x.x"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        for (int kind = ROLLOUT_EVENT_STARTED; kind <= ROLLOUT_EVENT_ENDED; kind++) {
            World *world = world_at(rows[i].phase);
            Rollout before = world->rollout;
            RolloutEvent event = {.kind = (RolloutEventKind)kind,
                                  .stage = world->rollout.stage,
                                  .at_ms = world->now_ms,
                                  .weight_percent = 5,
                                  .full = true,
                                  .cause = ROLLOUT_CAUSE_ORDER,
                                  .phase = ROLLOUT_ABORTED,
                                  .who = STR("bob")};
            bool expected = rows[i].fits[kind - 1] == 'x';
            cr_assert_eq(rollout_apply(&world->rollout, &world->plan, &event), expected, "%s in %s",
                         rollout_event_name(event.kind), rollout_phase_name(rows[i].phase));
            cr_assert_eq(world_same(&before, &world->rollout), !expected);
            world->rollout = before;
            event.stage++;
            cr_assert_not(rollout_apply(&world->rollout, &world->plan, &event), "of another stage");
            event.stage--;
            event.kind = (RolloutEventKind)(ROLLOUT_EVENT_ENDED + 1);
            cr_assert_not(rollout_apply(&world->rollout, &world->plan, &event), "of a newer program");
            world_release(world);
        }
    }
}

Test(rollout, an_event_whose_contents_do_not_fit_changes_nothing)
{
    static const struct {
        RolloutPhase at;
        RolloutEvent event;
    } rows[] = {
        {ROLLOUT_APPROVAL, {.kind = ROLLOUT_EVENT_APPROVED}},
        {ROLLOUT_APPROVAL, {.kind = ROLLOUT_EVENT_PROMOTED, .who = STR("bob")}},
        {ROLLOUT_APPROVAL, {.kind = ROLLOUT_EVENT_ROLLBACK_BEGUN, .cause = ROLLOUT_CAUSE_ORDER}},
        {ROLLOUT_VERIFY, {.kind = ROLLOUT_EVENT_VERIFIED, .weight_percent = 25}},
        {ROLLOUT_WARM_UP, {.kind = ROLLOUT_EVENT_STAGE_PASSED}},
        {ROLLOUT_OBSERVE, {.kind = ROLLOUT_EVENT_ROLLBACK_BEGUN, .cause = ROLLOUT_CAUSE_NONE}},
        {ROLLOUT_OBSERVE, {.kind = ROLLOUT_EVENT_ENDED, .phase = ROLLOUT_FAILED}},
        {ROLLOUT_OBSERVE, {.kind = ROLLOUT_EVENT_TRY_FAILED, .weight_percent = -1}},
        {ROLLOUT_NEW, {.kind = ROLLOUT_EVENT_ENDED, .phase = ROLLOUT_SUCCEEDED}},
        {ROLLOUT_NEW, {.kind = ROLLOUT_EVENT_ENDED, .phase = ROLLOUT_BAKE}},
        {ROLLOUT_NEW, {.kind = ROLLOUT_EVENT_ENDED, .phase = ROLLOUT_ROLLBACK_FAILED}},
        {ROLLOUT_ROLLBACK, {.kind = ROLLOUT_EVENT_ENDED, .stage = 2, .phase = ROLLOUT_ABORTED}},
        {ROLLOUT_ROLLBACK_VERIFY, {.kind = ROLLOUT_EVENT_ENDED, .stage = 2, .phase = ROLLOUT_ROLLED_BACK}},
        {ROLLOUT_ROLLBACK_VERIFY, {.kind = ROLLOUT_EVENT_ENDED, .stage = 2, .phase = ROLLOUT_SUCCEEDED}},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        World *world = world_at(rows[i].at);
        Rollout before = world->rollout;
        cr_assert_not(rollout_apply(&world->rollout, &world->plan, &rows[i].event), "row %zu", i);
        cr_assert(world_same(&before, &world->rollout));
        world_release(world);
    }
}

Test(rollout, nobody_but_a_person_moves_what_is_paused)
{
    for (RolloutPhase phase = ROLLOUT_NEW; phase <= ROLLOUT_BAKE; phase++) {
        for (int kind = ROLLOUT_EVENT_STARTED; kind <= ROLLOUT_EVENT_SUCCEEDED; kind++) {
            World *world = world_at(phase);
            world_hear(world, world_order(ROLLOUT_ORDER_PAUSE));
            RolloutEvent event = {.kind = (RolloutEventKind)kind, .stage = world->rollout.stage, .weight_percent = 5};
            bool of_a_person = kind == ROLLOUT_EVENT_RESUMED || kind == ROLLOUT_EVENT_PROMOTED;
            cr_assert(of_a_person || !rollout_apply(&world->rollout, &world->plan, &event), "%s in %s",
                      rollout_event_name(event.kind), rollout_phase_name(phase));
            world_release(world);
        }
    }
}

Test(rollout, every_order_in_every_phase_gives_an_event_or_nothing_or_a_reason)
{
    /* Columns: pause, resume, promote, promote_full, abort, approve, rollback_all, supersede. e an event, r refused
     * with a reason, . fulfilled already. */
    static const struct {
        RolloutPhase phase;
        const char *running;
        const char *paused;
    } rows[] = {
        {ROLLOUT_NEW, "e.rreree", ".erreree"},       {ROLLOUT_APPROVAL, "e.reeeee", ".ereeeee"},
        {ROLLOUT_APPLY, "e.eeerer", ".eeeerer"},     {ROLLOUT_VERIFY, "e.eeerer", ".eeeerer"},
        {ROLLOUT_WARM_UP, "e.eeerer", ".eeeerer"},   {ROLLOUT_OBSERVE, "e.eeerer", ".eeeerer"},
        {ROLLOUT_BAKE, "e.rrerer", ".errerer"},      {ROLLOUT_ROLLBACK, "rrrr.r.r", NULL},
        {ROLLOUT_ROLLBACK_VERIFY, "rrrr.r.r", NULL},
    };
    for (size_t i = 0; i < LENGTH(rows) * 2; i++) {
        const char *expected = i % 2 == 0 ? rows[i / 2].running : rows[i / 2].paused;
        for (int order = ROLLOUT_ORDER_PAUSE; expected != NULL && order <= ROLLOUT_ORDER_SUPERSEDE; order++) {
            World *world = world_at(rows[i / 2].phase);
            if (i % 2 == 1)
                cr_assert_not_null(world_hear(world, world_order(ROLLOUT_ORDER_PAUSE)));
            RolloutHeard heard = world_order((RolloutOrder)order);
            RolloutEvent event = {0};
            Err why = err_none();
            bool happens =
                rollout_hear(&world->rollout, &world->plan, &heard, world->now_ms, &world->arena, &event, &why);
            char got = '.';
            if (happens || err_is(why))
                got = happens ? 'e' : 'r';
            cr_assert_eq(got, expected[order - 1], "%s in %s%s: %c", rollout_order_name((RolloutOrder)order),
                         rollout_phase_name(rows[i / 2].phase), i % 2 ? " (paused)" : "", got);
            cr_assert(!happens || (str_equal(event.who, STR("alice")) && str_equal(event.why, STR("because"))));
            cr_assert(!happens || rollout_apply(&world->rollout, &world->plan, &event));
            world_release(world);
        }
    }
}

Test(rollout, whoever_is_over_refuses_every_order_and_hears_nothing_more)
{
    World *world = world_make(world_plan());
    world_reach(world, ROLLOUT_SUCCEEDED, 2);
    for (int order = ROLLOUT_ORDER_PAUSE; order <= ROLLOUT_ORDER_SUPERSEDE; order++) {
        RolloutHeard heard = world_order((RolloutOrder)order);
        RolloutEvent event = {0};
        Err why = err_none();
        cr_assert_not(rollout_hear(&world->rollout, &world->plan, &heard, 0, &world->arena, &event, &why));
        cr_assert(err_is(why));
        cr_assert_not_null(strstr(why.why, "succeeded"));
    }
    for (Hear hear = HEAR_START; hear <= HEAR_NO_DATA; hear++)
        cr_assert_null(world_hear(world, heard_of(hear, world)));
    world_release(world);
}

Test(rollout, an_abort_from_every_phase_ends_aborted)
{
    for (RolloutPhase phase = ROLLOUT_NEW; phase <= ROLLOUT_ROLLBACK_VERIFY; phase++) {
        for (int paused = 0; paused < 2; paused++) {
            World *world = world_at(phase);
            if (paused)
                world_hear(world, world_order(ROLLOUT_ORDER_PAUSE));
            const RolloutEvent *event = world_hear(world, world_order(ROLLOUT_ORDER_ABORT));
            if (phase <= ROLLOUT_APPROVAL)
                cr_assert_eq(event->kind, ROLLOUT_EVENT_ENDED);
            else if (phase <= ROLLOUT_BAKE)
                cr_assert_eq(event->kind, ROLLOUT_EVENT_ROLLBACK_BEGUN);
            for (int step = 0; step < 3; step++)
                world_step(world);
            cr_assert_eq(world->rollout.phase, ROLLOUT_ABORTED, "from %s", rollout_phase_name(phase));
            cr_assert_eq(world->rollout.weight_percent, 0);
            cr_assert_not(world->rollout.paused);
            world_release(world);
        }
    }
}

Test(rollout, the_sequence_restores_a_region_whose_rollout_is_over_long_since)
{
    World *world = world_make(world_plan());
    world->plan.stage_count = 0; /* the way back asks for none */
    const RolloutEvent *event = world_hear(world, world_order(ROLLOUT_ORDER_ROLLBACK_ALL));
    cr_assert_eq(event->kind, ROLLOUT_EVENT_ROLLBACK_BEGUN);
    cr_assert_eq(event->cause, ROLLOUT_CAUSE_SEQUENCE);
    cr_assert_eq(need(world).command, ROLLOUT_COMMAND_ROLLBACK);
    world_step(world);
    world_step(world);
    cr_assert_eq(world->rollout.phase, ROLLOUT_ROLLED_BACK);
    cr_assert_eq(world->rollout.started_ms, WORLD_START_MS);
    world_release(world);
}

Test(rollout, an_approval_needs_a_name_and_promotion_too)
{
    static const struct {
        RolloutPhase phase;
        RolloutOrder order;
    } rows[] = {{ROLLOUT_APPROVAL, ROLLOUT_ORDER_APPROVE},
                {ROLLOUT_APPROVAL, ROLLOUT_ORDER_PROMOTE_FULL},
                {ROLLOUT_OBSERVE, ROLLOUT_ORDER_PROMOTE}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        World *world = world_at(rows[i].phase);
        RolloutHeard heard = world_order(rows[i].order);
        heard.who = (Str){0};
        cr_assert_null(world_hear(world, heard));
        cr_assert_not_null(world_hear(world, world_order(rows[i].order)));
        world_release(world);
    }
}

Test(rollout, a_later_stage_waits_for_its_approval_without_a_deadline)
{
    DeploymentPlan plan = world_plan();
    plan.stages[2].needs_approval = true;
    World *world = world_make(plan);
    world_reach(world, ROLLOUT_APPROVAL, 2);
    cr_assert_eq(need(world).kind, ROLLOUT_NEED_WAIT);
    cr_assert_eq(need(world).until_ms, INT64_MAX);
    world->now_ms += INT64_C(86400000);
    cr_assert_null(world_hear(world, world_time()));
    cr_assert_eq(world_hear(world, world_order(ROLLOUT_ORDER_APPROVE))->kind, ROLLOUT_EVENT_APPROVED);
    cr_assert_eq(need(world).kind, ROLLOUT_NEED_COMMAND);
    world_reach(world, ROLLOUT_SUCCEEDED, 2);
    world_release(world);
}

Test(rollout, names_are_told_and_orders_are_read)
{
    for (RolloutPhase phase = ROLLOUT_NEW; phase <= ROLLOUT_ROLLBACK_FAILED; phase++) {
        cr_assert_str_neq(rollout_phase_name(phase), "unknown");
        cr_assert_eq(rollout_phase_is_final(phase), phase >= ROLLOUT_SUCCEEDED);
        Rollout rollout = {.phase = phase};
        cr_assert_eq(rollout_is_off_lane(&rollout), phase == ROLLOUT_BAKE || phase >= ROLLOUT_SUCCEEDED);
    }
    for (int kind = ROLLOUT_EVENT_STARTED; kind <= ROLLOUT_EVENT_ENDED; kind++)
        cr_assert_str_neq(rollout_event_name((RolloutEventKind)kind), "unknown");
    for (int command = ROLLOUT_COMMAND_APPLY; command <= ROLLOUT_COMMAND_FINISH; command++)
        cr_assert_str_neq(rollout_command_name((RolloutCommand)command), "unknown");
    for (int order = ROLLOUT_ORDER_PAUSE; order <= ROLLOUT_ORDER_SUPERSEDE; order++) {
        RolloutOrder read = 0;
        const char *name = rollout_order_name((RolloutOrder)order);
        cr_assert_eq(rollout_order_parse(str_from(name), &read), order <= ROLLOUT_ORDER_APPROVE, "%s", name);
        cr_assert(order > ROLLOUT_ORDER_APPROVE || (int)read == order);
    }
    RolloutOrder read = 0;
    cr_assert_not(rollout_order_parse(STR("PAUSE"), &read));
    cr_assert_not(rollout_order_parse((Str){0}, &read));
    cr_assert_str_eq(rollout_phase_name((RolloutPhase)99), "unknown");
    cr_assert_str_eq(rollout_event_name((RolloutEventKind)0), "unknown");
    cr_assert_str_eq(rollout_order_name((RolloutOrder)0), "unknown");
    cr_assert_str_eq(rollout_command_name((RolloutCommand)0), "unknown");
}

Test(rollout, its_state_stays_small)
{
    cr_assert_lt(sizeof(Rollout), (size_t)512);
}

Test(rollout, what_was_close_to_the_limit_is_so_until_it_is_judged_anew_or_over)
{
    for (int late = 0; late < 2; late++) { /* the last stage, or one before */
        World *world = world_make(world_plan());
        world_reach(world, ROLLOUT_OBSERVE, late ? 2 : 0);
        world->now_ms = world->rollout.until_ms;
        const RolloutEvent *event = world_hear(world, world_health(world_counts(1000, 50)));
        cr_assert_eq(event->kind, ROLLOUT_EVENT_STAGE_PASSED);
        cr_assert(world->rollout.marginal);
        while (world->rollout.phase != (late ? ROLLOUT_BAKE : ROLLOUT_OBSERVE)) {
            world_step(world);
            cr_assert(world->rollout.marginal, "what is not judged changes nothing");
        }
        for (int32_t passed = world->rollout.stages_passed;
             world->rollout.stages_passed == passed && world->rollout.phase != ROLLOUT_SUCCEEDED;) {
            world_step(world);
        }
        cr_assert_not(world->rollout.marginal);
        world_release(world);
    }
}
