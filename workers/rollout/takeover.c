/* takeover - from a lane's message to where its rollout stands: whoever begins, and whoever goes on for one that died,
 * does the same.
 *
 *   is there an outcome? -> what runs there -> events -> orders -> the queue behind it -> advance
 */
#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

static void run_look_at_queue(Run *run);

/* What runs in the region now is what a rollback restores: since the decision another deployment may have been through
 * this lane. */
static void run_running_looked(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    DeploymentRunning running;
    if (!run_is_back(run)) {
        return;
    }
    if (!err_is(err) && message != NULL) {
        err = wire_decode_deployment_running(&run->arena, message->body, &running);
        if (!err_is(err) && !str_equal(running.deployment_id, run_id(run))) {
            DeploymentRegion *place = &run->work.decision.regions[run->work.region_index];
            place->previous_version = running.version;
            place->previous_digest = running.digest;
        }
    }
    if (err_is(err)) {
        run_retry(run, run_take_over, err);
        return;
    }
    run_read_events(run);
}

/* A restoring run goes back to what ran before this deployment, and only from this deployment: where another one runs
 * by now, there is nothing to restore. */
static void run_before_read(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    DeploymentRunning running;
    DeploymentRegion *place = &run->work.decision.regions[run->work.region_index];
    if (message != NULL) {
        err = wire_decode_deployment_running(&run->arena, message->body, &running);
        run->ours_runs = !err_is(err) && str_equal(running.deployment_id, run_id(run));
        if (!err_is(err) && !run->ours_runs) {
            place->previous_version = running.version;
            place->previous_digest = running.digest;
        }
        return;
    }
    bus_read_close(run->read);
    run->read = NULL;
    if (err_is(err)) {
        run_retry(run, run_take_over, err);
        return;
    }
    run_read_events(run);
}

static void run_read_what_ran_before(Run *run)
{
    DeploymentRegion *place = &run->work.decision.regions[run->work.region_index];
    place->previous_version = (Str){0};
    place->previous_digest = (Str){0};
    Str filter = arena_print(&run->scratch, "tai.deployment.running." STR_FMT "." STR_FMT, STR_ARG(run_region(run)),
                             STR_ARG(run->work.decision.signal.service));
    Err err = bus_read_open(run->rollouts->bus, &(BusReadOptions){.stream = STR("DEPLOYMENT"), .filter = filter},
                            run_before_read, run, &run->read);
    if (err_is(err)) {
        run_retry(run, run_take_over, err);
    }
}

static void run_outcome_looked(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    if (!run_is_back(run)) {
        return;
    }
    if (err_is(err)) {
        run_retry(run, run_take_over, err);
    } else if (message != NULL && run->work.kind == REGION_WORK_ROLLOUT) {
        run_close(run, true); /* this deployment is over: the ack was lost */
    } else if (run->work.kind == REGION_WORK_ROLLOUT) {
        Str subject = arena_print(&run->scratch, "tai.deployment.running." STR_FMT "." STR_FMT,
                                  STR_ARG(run_region(run)), STR_ARG(run->work.decision.signal.service));
        run_asks(run);
        bus_get_last(run->rollouts->bus, STR("DEPLOYMENT"), subject, ROLLOUT_BUS_TIMEOUT_MS, run_running_looked, run);
    } else {
        run_read_what_ran_before(run);
    }
}

void run_take_over(void *context)
{
    Run *run = context;
    Str subject = arena_print(&run->scratch, "tai.deployment.outcome." STR_FMT, STR_ARG(run_id(run)));
    run_asks(run);
    bus_get_last(run->rollouts->bus, STR("DEPLOYMENT"), subject, ROLLOUT_BUS_TIMEOUT_MS, run_outcome_looked, run);
}

/* Why it did not succeed: what began the way back says it, unless the way back itself failed. */
void run_note_why(Run *run, const RolloutEvent *event)
{
    bool begins = event->kind == ROLLOUT_EVENT_ROLLBACK_BEGUN;
    bool ends = event->kind == ROLLOUT_EVENT_ENDED && (run->why.length == 0 || event->phase == ROLLOUT_ROLLBACK_FAILED);
    if ((begins || ends) && event->why.length != 0) {
        run->why = arena_copy(&run->arena, event->why);
    }
}

static void run_fold(Run *run, const BusDelivery *message)
{
    RolloutEvent event;
    arena_reset(&run->scratch);
    run->event_sequence = message->sequence;
    Err err = wire_decode_rollout_event(&run->scratch, message->body, &event);
    if (err_is(err)) {
        log_event(run->rollouts->log, LOG_ERROR, "event_unreadable",
                  LOG_FIELDS(log_number("sequence", (int64_t)message->sequence), log_why(&err)));
        return;
    }
    if (event.order_sequence > run->order_heard) {
        run->order_heard = event.order_sequence;
    }
    if (str_equal(event.region, run->label) && rollout_apply(&run->state, run_plan(run), &event)) {
        run_note_why(run, &event);
    }
}

static void run_orders_are_read(Run *run)
{
    if (run->state.phase == ROLLOUT_NEW && run->work.kind == REGION_WORK_ROLLOUT) {
        run_look_at_queue(run);
        return;
    }
    run->running = true;
    run_advance(run);
}

static void run_event_read(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    if (message != NULL) {
        run_fold(run, message);
        return;
    }
    bus_read_close(run->read);
    run->read = NULL;
    if (err_is(err)) {
        run_retry(run, run_read_events, err);
        return;
    }
    run->order_sequence = run->order_heard;
    run_read_orders(run, run_orders_are_read);
}

void run_read_events(void *context)
{
    Run *run = context;
    run->state = rollout_make();
    run->event_sequence = 0;
    /* What was ordered before a restoring run began is why it began, or over. */
    bool restores = run->work.kind == REGION_WORK_RESTORE;
    run->order_heard = restores ? run->delivery.sequence : run->work.decision.signal_sequence;
    run->orders = NULL;
    Str filter = arena_print(&run->scratch, "tai.deployment.event." STR_FMT, STR_ARG(run_id(run)));
    Err err = bus_read_open(run->rollouts->bus, &(BusReadOptions){.stream = STR("DEPLOYMENT"), .filter = filter},
                            run_event_read, run, &run->read);
    if (err_is(err)) {
        run_retry(run, run_read_events, err);
    }
}

/* A newer version of the same service that waits behind this one makes this one pointless. Newer is what was asked for
 * later: an older deployment may come here behind this one, from a region before. */
static void run_queue_read(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    DeploymentRegionWork later;
    if (message != NULL) {
        arena_reset(&run->scratch);
        err = wire_decode_region_work(&run->scratch, message->body, &later);
        if (!err_is(err) && later.kind == REGION_WORK_ROLLOUT &&
            str_equal(later.decision.signal.service, run->work.decision.signal.service) &&
            later.decision.signal_sequence > run->work.decision.signal_sequence) {
            run->superseded_by = arena_copy(&run->arena, later.decision.signal.deployment_id);
        }
        return;
    }
    bus_read_close(run->read);
    run->read = NULL;
    run->running = true;
    if (run->superseded_by.length != 0) {
        Str why = arena_print(&run->arena, "superseded by " STR_FMT, STR_ARG(run->superseded_by));
        run_hear(run,
                 &(RolloutHeard){
                     .kind = ROLLOUT_HEARD_ORDER, .order = ROLLOUT_ORDER_SUPERSEDE, .who = STR("queue"), .why = why});
        return;
    }
    run_advance(run);
}

static void run_look_at_queue(Run *run)
{
    Str filter = arena_print(&run->scratch, "tai.deployment.region." STR_FMT, STR_ARG(run_region(run)));
    Err err = bus_read_open(
        run->rollouts->bus,
        &(BusReadOptions){.stream = STR("DEPLOYMENT"), .filter = filter, .from_sequence = run->delivery.sequence + 1},
        run_queue_read, run, &run->read);
    if (err_is(err)) {
        run_retry(run, run_read_events, err);
    }
}
