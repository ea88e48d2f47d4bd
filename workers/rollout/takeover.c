/* takeover - from a lane's message to where its rollout stands: whoever begins, and whoever goes on for one that died,
 * does the same.
 *
 *   is there an outcome? -> what runs there -> events -> alerts -> is it over? -> orders -> the queue -> advance
 */
#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

/* Each asks the bus half a dozen things and holds what it reads until it knows where it stands; when a worker begins,
 * or another one died, thousands want to at once. */
#define TAKING_OVER_MAX 128

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
        run->ours_runs = !err_is(err) && str_equal(running.deployment_id, run_id(run));
        run->running_told = run->ours_runs;
        run->running_sequence = message->sequence;
        if (!err_is(err) && !run->ours_runs) {
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
 * by now, there is nothing to restore. What ran when it was decided stands in the decision. */
static void run_before_read(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    DeploymentRunning running;
    DeploymentRegion *place = &run->work.decision.regions[run->work.region_index];
    if (message != NULL) {
        err = wire_decode_deployment_running(&run->arena, message->body, &running);
        run->ours_runs = !err_is(err) && str_equal(running.deployment_id, run_id(run));
        run->running_told = run->ours_runs && !str_equal(running.version, run->work.decision.signal.version);
        run->running_sequence = message->sequence;
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
    Str filter = arena_print(&run->scratch, "tai.deployment.running." STR_FMT "." STR_FMT, STR_ARG(run_region(run)),
                             STR_ARG(run->work.decision.signal.service));
    BusReadOptions options = {
        .stream = STR("DEPLOYMENT"), .filter = filter, .from_sequence = run->work.decision.signal_sequence + 1};
    Err err = bus_read_open(run->rollouts->bus, &options, run_before_read, run, &run->read);
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

/* --- a few at a time ---------------------------------------------------------------------------------------------- */

static void run_begin_take_over(Run *run)
{
    run->rollouts->taking_over++;
    run->taking_over = true;
    run_take_over(run);
}

void run_queue_up(Run *run)
{
    Rollouts *rollouts = run->rollouts;
    if (rollouts->taking_over < TAKING_OVER_MAX) {
        run_begin_take_over(run);
        return;
    }
    *(rollouts->queued == NULL ? &rollouts->queued : &rollouts->last_queued->next_queued) = run;
    rollouts->last_queued = run;
}

void run_leave_queue(Run *run)
{
    Rollouts *rollouts = run->rollouts;
    Run *before = NULL;
    Run **place = &rollouts->queued;
    while (*place != NULL && *place != run) {
        before = *place;
        place = &before->next_queued;
    }
    if (*place == run) {
        *place = run->next_queued;
        rollouts->last_queued = rollouts->last_queued == run ? before : rollouts->last_queued;
    }
}

void run_makes_room(Run *run)
{
    Rollouts *rollouts = run->rollouts;
    if (!run->taking_over) {
        return;
    }
    run->taking_over = false;
    rollouts->taking_over--;
    Run *next = rollouts->queued;
    if (next != NULL && !worker_is_draining(rollouts->worker)) {
        rollouts->queued = next->next_queued;
        run_begin_take_over(next);
    }
}

void run_took_over(Run *run)
{
    run_makes_room(run);
    run->running = true;
    run_advance(run);
}

void run_took_over_to_hear(Run *run, const RolloutHeard *heard)
{
    run_makes_room(run);
    run->running = true;
    run_hear(run, heard);
}

/* --- from the lane's message to the state ------------------------------------------------------------------------- */

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
    Rollout before = run->state;
    if (str_equal(event.region, run->label) && rollout_apply(&run->state, run_plan(run), &event)) {
        run_note_why(run, &event);
        run_note_end(run);
        run_note_alerts(run, &before, &event);
    }
}

/* The lane gives work out once, so an item of this deployment before this one was done to its end: this one was put
 * there twice, by a worker that died before it could ack, when the bus had forgotten the id. And where another
 * deployment was through since the end, somebody else did the rest while we stood still. */
static void run_lane_read(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    DeploymentRegionWork earlier;
    if (message != NULL && message->sequence < run->delivery.sequence) {
        arena_reset(&run->scratch);
        err = wire_decode_region_work(&run->scratch, message->body, &earlier);
        run->repeats = run->repeats || (!err_is(err) && earlier.kind == run->work.kind &&
                                        str_equal(earlier.decision.signal.deployment_id, run_id(run)));
        return;
    }
    bus_read_close(run->read);
    run->read = NULL;
    if (err_is(err)) {
        run_retry(run, run_read_events, err);
        return;
    }
    if (run->repeats || (!run->ours_runs && run->running_sequence > run->ended_sequence)) {
        log_event(run->rollouts->log, LOG_INFO, "over_already",
                  LOG_FIELDS(log_text("deployment_id", run_id(run)), log_text("region", run->label)));
        run_close(run, true);
        return;
    }
    run_took_over(run);
}

static void run_look_whether_done(Run *run)
{
    BusReadOptions options = {
        .stream = STR("DEPLOYMENT"),
        .filter = arena_print(&run->scratch, "tai.deployment.region." STR_FMT, STR_ARG(run_region(run))),
        .from_sequence = run->work.decision.signal_sequence + 1,
    };
    Err err = bus_read_open(run->rollouts->bus, &options, run_lane_read, run, &run->read);
    if (err_is(err)) {
        run_retry(run, run_read_events, err);
    }
}

void run_note_end(Run *run)
{
    if (rollout_phase_is_final(run->state.phase)) {
        run->ended_sequence = run->event_sequence;
    }
}

static void run_orders_are_read(Run *run)
{
    if (run->state.phase == ROLLOUT_NEW && run->work.kind == REGION_WORK_ROLLOUT) {
        run_look_at_queue(run);
    } else {
        run_took_over(run);
    }
}

static void run_events_are_read(Run *run)
{
    run->order_sequence = run->order_heard;
    run_read_orders(run, run_orders_are_read);
}

static void run_alerts_are_told(Run *run)
{
    if (rollout_phase_is_final(run->state.phase)) {
        run_look_whether_done(run);
    } else {
        run_events_are_read(run);
    }
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
    run_tell_alerts_again(run, run_alerts_are_told);
}

static void run_read_all_events(Run *run)
{
    Str filter = arena_print(&run->scratch, "tai.deployment.event." STR_FMT, STR_ARG(run_id(run)));
    Err err = bus_read_open(run->rollouts->bus, &(BusReadOptions){.stream = STR("DEPLOYMENT"), .filter = filter},
                            run_event_read, run, &run->read);
    if (err_is(err)) {
        run_retry(run, run_read_events, err);
    }
}

static void run_last_event_looked(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    if (!run_is_back(run)) {
        return;
    }
    if (err_is(err)) {
        run_retry(run, run_read_events, err);
    } else if (message != NULL) {
        run_read_all_events(run);
    } else {
        run_events_are_read(run);
    }
}

/* Most often there is none yet, which costs one direct get; a reading is a consumer made and deleted. */
void run_read_events(void *context)
{
    Run *run = context;
    run->state = rollout_make();
    run->event_sequence = 0;
    run->ended_sequence = 0;
    run->alerts = (RunAlerts){0};
    /* What was ordered before a restoring run began is why it began, or over. */
    bool restores = run->work.kind == REGION_WORK_RESTORE;
    run->order_heard = restores ? run->delivery.sequence : run->work.decision.signal_sequence;
    run->orders = NULL;
    Str subject = arena_print(&run->scratch, "tai.deployment.event." STR_FMT, STR_ARG(run_id(run)));
    run_asks(run);
    bus_get_last(run->rollouts->bus, STR("DEPLOYMENT"), subject, ROLLOUT_BUS_TIMEOUT_MS, run_last_event_looked, run);
}
