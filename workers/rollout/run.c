/* run - one deployment in one region.
 *
 * The state machine of shared/deployment/rollout.h decides; a run folds the ledger's events into it, does what it
 * needs, tells it what came of that, and stores the event that it answers with, expecting the last sequence that it
 * knows. If somebody else wrote in between, this run is fenced: it stops without a word, and the lane's message, which
 * is no longer ours, is the other one's business.
 */
#include "workers/rollout/run.h"

#include <stdlib.h>
#include <string.h>

#include "shared/wire/deployment.h"

#define RUN_ARENA_BLOCK 1024
#define RUN_ARENA_LIMIT ((size_t)8 * 1024 * 1024)
#define SECOND_LOOK_MS 200

static void run_look_for_orders(void *context);

/* --- what a run is about ------------------------------------------------------------------------------------------ */

const DeploymentPlan *run_plan(const Run *run)
{
    return &run->work.decision.plan;
}

Str run_id(const Run *run)
{
    return run->work.decision.signal.deployment_id;
}

Str run_region(const Run *run)
{
    return run_place(run)->region;
}

const DeploymentRegion *run_place(const Run *run)
{
    return &run->work.decision.regions[run->work.region_index];
}

int64_t run_now_ms(const Run *run)
{
    return loop_unix_ms(run->rollouts->loop);
}

/* --- the table of runs -------------------------------------------------------------------------------------------- */

static Run **run_bucket(Rollouts *rollouts, Str id)
{
    return &rollouts->runs[str_hash(id) % ROLLOUT_BUCKETS];
}

static void run_enter(Run *run)
{
    Run **bucket = run_bucket(run->rollouts, run_id(run));
    run->next = *bucket;
    *bucket = run;
    run->rollouts->run_count++;
}

static void run_leave(Run *run)
{
    for (Run **place = run_bucket(run->rollouts, run_id(run)); *place != NULL; place = &(*place)->next) {
        if (*place == run) {
            *place = run->next;
            run->rollouts->run_count--;
            return;
        }
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void run_free(Run *run)
{
    bus_delivery_release(&run->delivery);
    arena_release(&run->arena);
    arena_release(&run->scratch);
    arena_release(&run->order_arena);
    free(run);
}

/* We stood still for longer than the lane's message was ours: whoever has it now goes on. The ledger's sequences would
 * keep us from harm, this keeps us from trying. */
static bool run_is_lost(Run *run)
{
    const Rollouts *rollouts = run->rollouts;
    if (loop_now_ms(rollouts->loop) - run->kept_ms < rollouts->settings.ack_wait_ms) {
        return false;
    }
    log_event(rollouts->log, LOG_WARN, "given_up",
              LOG_FIELDS(log_text("deployment_id", run_id(run)), log_text("region", run->label),
                         log_text("why", STR("stood still for longer than the ack wait"))));
    run_close(run, false);
    return true;
}

bool run_is_back(Run *run)
{
    run->outstanding--;
    if (run->closed && run->outstanding == 0) {
        run_free(run);
        return false;
    }
    return !run->closed && !run_is_lost(run);
}

void run_asks(Run *run)
{
    run->outstanding++;
}

void run_close(Run *run, bool ack)
{
    Rollouts *rollouts = run->rollouts;
    Lane *lane = run->lane;
    if (ack) {
        bus_ack(rollouts->bus, &run->delivery);
    }
    loop_timer_clear(rollouts->loop, &run->timer);
    loop_timer_clear(rollouts->loop, &run->progress);
    loop_timer_clear(rollouts->loop, &run->second_look);
    bus_read_close(run->read);
    run->read = NULL;
    run_leave_queue(run);
    run_leave_looks(run);
    run_makes_room(run);
    run_leave(run);
    run->closed = true;
    if (run->outstanding == 0) {
        run_free(run);
    }
    lane_is_free(lane);
}

void run_retry(Run *run, void (*ring)(void *context), Err why)
{
    log_event(run->rollouts->log, LOG_WARN, "rollout_waits",
              LOG_FIELDS(log_text("deployment_id", run_id(run)), log_text("region", run_region(run)), log_why(&why)));
    run->timer = timer_make(ring, run);
    loop_timer_set(run->rollouts->loop, &run->timer, ROLLOUT_AGAIN_MS);
    run_makes_room(run);
}

static void run_keep(Run *run)
{
    run->kept_ms = loop_now_ms(run->rollouts->loop);
    bus_progress(run->rollouts->bus, &run->delivery);
    loop_timer_set(run->rollouts->loop, &run->progress, run->rollouts->settings.ack_wait_ms / 3);
}

static void run_progress(void *context)
{
    Run *run = context;
    if (!run_is_lost(run)) {
        run_keep(run);
    }
}

static Err run_decode(Run *run)
{
    Err err = wire_decode_region_work(&run->arena, run->delivery.body, &run->work);
    if (err_is(err)) {
        return err;
    }
    const DeploymentDecision *decision = &run->work.decision;
    if (run->work.region_index < 0 || (size_t)run->work.region_index >= decision->signal.region_count) {
        return err_reject("region_index: not one of the deployment's regions");
    }
    /* The old version is kept for a while after the lane is free: that is a command that waits, not a phase of the run.
     */
    run->bake_ms = run->work.decision.plan.bake_ms;
    run->work.decision.plan.bake_ms = 0;
    run->label = arena_print(&run->arena, STR_FMT "%s", STR_ARG(run_region(run)),
                             run->work.kind == REGION_WORK_RESTORE ? ":restore" : "");
    return err_none();
}

void run_open(Rollouts *rollouts, Lane *lane, BusDelivery *delivery)
{
    Run *run = calloc(1, sizeof(*run));
    TAI_ASSERT(run != NULL);
    run->rollouts = rollouts;
    run->lane = lane;
    run->delivery = *delivery;
    run->arena = arena_make(RUN_ARENA_BLOCK, RUN_ARENA_LIMIT);
    run->scratch = arena_make(RUN_ARENA_BLOCK, RUN_ARENA_LIMIT);
    run->order_arena = arena_make(RUN_ARENA_BLOCK, RUN_ARENA_LIMIT);
    Err err = run_decode(run);
    if (err_is(err)) {
        run->delivery = (BusDelivery){0};
        run_free(run);
        bury(rollouts, lane, delivery, err);
        return;
    }
    run->state = rollout_make();
    run_enter(run);
    run->second_look = timer_make(run_look_for_orders, run);
    run->progress = timer_make(run_progress, run);
    run_keep(run);
    run_queue_up(run);
}

void runs_release(Rollouts *rollouts)
{
    for (size_t i = 0; i < ROLLOUT_BUCKETS; i++) {
        for (Run *run = rollouts->runs[i]; run != NULL;) {
            Run *next = run->next;
            /* Given back at once, so that another worker need not wait for AckWait. */
            bus_nak(rollouts->bus, &run->delivery, 1);
            loop_timer_clear(rollouts->loop, &run->timer);
            loop_timer_clear(rollouts->loop, &run->progress);
            loop_timer_clear(rollouts->loop, &run->second_look);
            bus_read_close(run->read);
            run_free(run);
            run = next;
        }
        rollouts->runs[i] = NULL;
    }
    rollouts->queued = NULL;
    rollouts->first_to_look = NULL;
}

/* --- advancing ------------------------------------------------------------------------------------------------------
 */

static Str run_stage_name(const Run *run, int32_t stage)
{
    const DeploymentPlan *plan = run_plan(run);
    return stage >= 0 && stage < plan->stage_count ? str_from(plan->stages[stage].name) : (Str){0};
}

static void run_log(const Run *run, const RolloutEvent *event)
{
    log_event(run->rollouts->log, LOG_INFO, "rollout",
              LOG_FIELDS(log_text("deployment_id", run_id(run)), log_text("region", run->label),
                         log_text("step", str_from(rollout_event_name(event->kind))),
                         log_text("stage", run_stage_name(run, event->stage)), log_text("who", event->who),
                         log_text("why", event->why)));
}

static void run_fenced(Run *run)
{
    log_event(run->rollouts->log, LOG_WARN, "fenced",
              LOG_FIELDS(log_text("deployment_id", run_id(run)), log_text("region", run->label)));
    run_close(run, false);
}

static void run_event_stored(void *context, Err err, const BusStored *stored)
{
    Run *run = context;
    if (!run_is_back(run)) {
        return;
    }
    run->busy = false;
    run->storing = false;
    if (stored->exists) {
        run_fenced(run);
        return;
    }
    if (err_is(err)) { /* it may be stored or not: what stands there tells */
        run->running = false;
        run_retry(run, run_read_events, err);
        return;
    }
    run->event_sequence = stored->sequence;
    run_log(run, run->event);
    Rollout before = run->state;
    bool fits = rollout_apply(&run->state, run_plan(run), run->event);
    TAI_ASSERT(fits); /* the machine made it for this very state */
    run->weight_checked = false;
    run_note_end(run);
    run_note_alerts(run, &before, run->event);
    run_tell_alerts(run);
    run_advance(run);
}

void run_store_event(Run *run)
{
    RolloutEvent *event = run->event;
    event->region = run->label;
    event->order_sequence = run->order_heard;
    run_note_why(run, event);
    Arena *arena = &run->scratch;
    BusMessage message = {
        .subject = arena_print(arena, "tai.deployment.event." STR_FMT, STR_ARG(run_id(run))),
        .body = wire_encode_rollout_event(arena, event, run_stage_name(run, event->stage)),
    };
    bus_message_add(&message, BUS_HEADER_EXPECT_LAST,
                    arena_print(arena, "%llu", (unsigned long long)run->event_sequence));
    bus_message_pass_on(&message, &run->delivery, BUS_HEADER_TRACE);
    run->busy = true;
    run->storing = true;
    run_asks(run);
    bus_store(run->rollouts->bus, &message, ROLLOUT_BUS_TIMEOUT_MS, run_event_stored, run);
}

static void run_time_came(void *context);

static void run_wait(Run *run)
{
    arena_release(&run->scratch); /* most of a rollout is waiting: thousands of them hold nothing then */
    if (run->need.until_ms == INT64_MAX) {
        return; /* only an order helps */
    }
    int64_t delay_ms = run->need.until_ms - run_now_ms(run);
    loop_timer_clear(run->rollouts->loop, &run->timer);
    run->timer = timer_make(run_time_came, run);
    loop_timer_set(run->rollouts->loop, &run->timer, delay_ms > 0 ? delay_ms : 1);
}

/* Before a stage passes, or more time is given to it, on counts: what is bad is bad at any weight. */
static bool run_weight_matters(const Run *run, const RolloutHeard *heard)
{
    return heard->kind == ROLLOUT_HEARD_HEALTH && run->event->kind != ROLLOUT_EVENT_ROLLBACK_BEGUN &&
           !run->weight_checked;
}

void run_hear(Run *run, const RolloutHeard *heard)
{
    Err why_not = err_none();
    run->event = arena_alloc(&run->scratch, sizeof(*run->event));
    if (rollout_hear(&run->state, run_plan(run), heard, run_now_ms(run), &run->scratch, run->event, &why_not)) {
        if (run_weight_matters(run, heard)) {
            run_check_weight(run); /* then health is asked again */
        } else {
            run_store_event(run);
        }
        return;
    }
    if (heard->kind == ROLLOUT_HEARD_ORDER) {
        run_log_unheard(run, heard, why_not);
    }
    if (heard->kind == ROLLOUT_HEARD_HEALTH) {
        run_wait(run); /* nothing to be seen yet: the next look is due at the need's alarm */
        return;
    }
    run_advance(run);
}

static void run_time_came(void *context)
{
    Run *run = context;
    arena_reset(&run->scratch);
    run_hear(run, &(RolloutHeard){.kind = ROLLOUT_HEARD_TIME});
}

static void run_begin(Run *run)
{
    if (run->work.kind == REGION_WORK_RESTORE && !run->ours_runs) {
        log_event(run->rollouts->log, LOG_WARN, "not_restored",
                  LOG_FIELDS(log_text("deployment_id", run_id(run)), log_text("region", run_region(run)),
                             log_text("why", STR("another deployment runs there by now"))));
        run->why = STR("not restored: another deployment runs there by now");
        run->ending = true;
        run_finish(run);
        return;
    }
    if (run->work.kind == REGION_WORK_RESTORE) {
        run_hear(run, &(RolloutHeard){.kind = ROLLOUT_HEARD_ORDER,
                                      .order = ROLLOUT_ORDER_ROLLBACK_ALL,
                                      .who = run->work.who,
                                      .why = run->work.why});
        return;
    }
    run_hear(run, &(RolloutHeard){.kind = ROLLOUT_HEARD_START});
}

/* Does the next thing. One thing at a time: an order that comes while a command is under way is heard after it, so that
 * the command's fence stands. */
void run_advance(Run *run)
{
    if (run->busy || run->closed || !run->running || run->ending || run_is_lost(run)) {
        return;
    }
    run_leave_looks(run);
    arena_reset(&run->scratch);
    loop_timer_clear(run->rollouts->loop, &run->timer);
    if (run_hear_order(run)) {
        return;
    }
    if (run->orders_hinted) {
        run->orders_hinted = false;
        run_read_orders(run, run_advance);
        return;
    }
    run->need = rollout_need(&run->state, run_plan(run), run_now_ms(run));
    switch (run->need.kind) {
    case ROLLOUT_NEED_START:
        run_begin(run);
        break;
    case ROLLOUT_NEED_WAIT:
        run_wait(run);
        break;
    case ROLLOUT_NEED_COMMAND:
        run_command(run);
        break;
    case ROLLOUT_NEED_HEALTH:
        run_look_at_health(run);
        break;
    case ROLLOUT_NEED_NOTHING:
        run->ending = true;
        run_finish(run);
        break;
    }
}

/* --- what comes in ---------------------------------------------------------------------------------------------------
 */

static Run *run_find(Rollouts *rollouts, Str id)
{
    for (Run *run = *run_bucket(rollouts, id); run != NULL; run = run->next) {
        if (str_equal(run_id(run), id)) {
            return run;
        }
    }
    return NULL;
}

void run_result_arrived(Rollouts *rollouts, Str deployment_id, Str body)
{
    Run *run = run_find(rollouts, deployment_id);
    DeploymentResult result;
    if (run == NULL || run->command_id.length == 0) {
        return;
    }
    Err err = wire_decode_deployment_result(&run->scratch, body, &result);
    if (!err_is(err) && str_equal(result.command_id, run->command_id)) {
        run_command_result(run, &result);
    }
}

void runs_reconnected(void *context)
{
    Rollouts *rollouts = context;
    for (size_t i = 0; i < ROLLOUT_BUCKETS; i++) {
        for (Run *run = rollouts->runs[i]; run != NULL;) {
            Run *next = run->next;
            run_command_reconnected(run);
            run_look_for_orders(run);
            run = next;
        }
    }
}

/* Whoever writes an event says which was the last one before it. One behind all that we know is somebody else's: our
 * message went to another worker, most often because the bus was away for longer than the ack wait. A run that waits,
 * maybe for a person, would not find out by itself, and keep its lane from us. */
void run_event_arrived(Rollouts *rollouts, Str deployment_id, const BusDelivery *message)
{
    Run *run = run_find(rollouts, deployment_id);
    uint64_t before = 0;
    bool told = str_to_uint64(bus_delivery_header(message, BUS_HEADER_EXPECT_LAST), &before);
    if (run != NULL && told && run->running && !run->ending && !run->storing && before >= run->event_sequence) {
        run_fenced(run);
    }
}

static void run_look_for_orders(void *context)
{
    Run *run = context;
    run->orders_hinted = true;
    run_advance(run);
}

/* Only a hint: the ledger has the order with its sequence, and orders are heard once each. The hint may come a moment
 * before the ledger has stored what it hints at, so there is a second look. */
void run_control_arrived(Rollouts *rollouts, Str deployment_id)
{
    Run *run = run_find(rollouts, deployment_id);
    if (run != NULL) {
        loop_timer_set(rollouts->loop, &run->second_look, SECOND_LOOK_MS);
        run_look_for_orders(run);
    }
}
