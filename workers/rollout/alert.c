/* alert - Andons about a rollout: what needs a person, and when it needs none any more.
 * Whoever stores the event tells of it; it may die in between, so whoever takes over looks whether that was done. */
#include <inttypes.h>

#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

#define PAUSED "rollout_paused"
#define MARGINAL "health_marginal"
/* The clocks of two workers and the bus may differ by this much. */
#define CLOCKS_DIFFER_MS 5000

static void alert_stored(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    Rollouts *rollouts = context;
    if (err_is(err)) {
        log_event(rollouts->log, LOG_ERROR, "andon_not_stored", LOG_FIELDS(log_why(&err)));
    }
}

void run_alert(Run *run, Andon andon, Str message_id)
{
    Arena *arena = &run->scratch;
    const DeploymentSignal *signal = &run->work.decision.signal;
    andon.domain = STR("deployment");
    andon.summary = arena_print(arena, STR_FMT " " STR_FMT ": " STR_FMT, STR_ARG(signal->service),
                                STR_ARG(signal->version), STR_ARG(str_slice(andon.summary, 0, 300)));
    andon.when_ms = run_now_ms(run);
    andon.source = str_from(worker_id(run->rollouts->worker));
    BusMessage message = {
        .subject = arena_print(arena, "tai.andon.deployment." STR_FMT, STR_ARG(andon.alert)),
        .body = wire_encode_andon(arena, &andon),
    };
    bus_message_add(&message, BUS_HEADER_MSG_ID, message_id);
    bus_store(run->rollouts->bus, &message, ROLLOUT_BUS_TIMEOUT_MS, alert_stored, run->rollouts);
}

static Str alert_id(const Run *run, Arena *arena, const char *alert)
{
    return arena_print(arena, "andon." STR_FMT ".%s.%" PRIu64, STR_ARG(run_id(run)), alert, run->alerts.sequence);
}

static void alert_high(Run *run, const char *alert, RunAlert turn, Str all_clear)
{
    if (turn == RUN_ALERT_AS_IT_WAS) {
        return;
    }
    Arena *arena = &run->scratch;
    bool cleared = turn == RUN_ALERT_CLEARED;
    Str why = cleared ? all_clear : run->alerts.why;
    Str summary = arena_print(arena, STR_FMT ": " STR_FMT, STR_ARG(run->label), STR_ARG(why));
    run_alert(run, (Andon){.alert = str_from(alert), .severity = ANDON_HIGH, .cleared = cleared, .summary = summary},
              alert_id(run, arena, alert));
}

static RunAlert alert_turn(bool was, bool is)
{
    return was == is ? RUN_ALERT_AS_IT_WAS : is ? RUN_ALERT_RAISED : RUN_ALERT_CLEARED;
}

void run_note_alerts(Run *run, const Rollout *before, const RolloutEvent *event)
{
    bool waited = before->paused && before->paused_by_judge;
    bool waits = run->state.paused && run->state.paused_by_judge;
    run->alerts = (RunAlerts){
        .when_ms = event->at_ms,
        .paused = alert_turn(waited, waits),
        .marginal = alert_turn(before->marginal, run->state.marginal),
    };
    if (run->alerts.paused != RUN_ALERT_AS_IT_WAS || run->alerts.marginal != RUN_ALERT_AS_IT_WAS) {
        run->alerts.sequence = run->event_sequence;
        run->alerts.why = arena_copy(&run->arena, event->why);
    }
}

void run_tell_alerts(Run *run)
{
    const RunAlerts alerts = run->alerts;
    alert_high(run, PAUSED, alerts.paused, STR("goes on"));
    alert_high(run, MARGINAL, alerts.marginal, STR("no longer close to the limit, or over"));
    run->alerts = (RunAlerts){0};
}

static void alert_is_told(Run *run, RunAlert *alert, const char *name, Str id)
{
    if (str_equal(id, alert_id(run, &run->scratch, name))) {
        *alert = RUN_ALERT_AS_IT_WAS;
    }
}

static void alert_read(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    arena_reset(&run->scratch);
    if (message != NULL) {
        Str id = bus_delivery_header(message, BUS_HEADER_MSG_ID);
        alert_is_told(run, &run->alerts.paused, PAUSED, id);
        alert_is_told(run, &run->alerts.marginal, MARGINAL, id);
        return;
    }
    bus_read_close(run->read);
    run->read = NULL;
    (void)err; /* what could not be read is told twice rather than never */
    run_tell_alerts(run);
    run->then(run);
}

void run_tell_alerts_again(Run *run, void (*then)(Run *run))
{
    BusReadOptions options = {
        .stream = STR("ANDON"),
        .filter = STR("tai.andon.deployment.*"),
        .from_time_ms = run->alerts.when_ms - CLOCKS_DIFFER_MS,
    };
    run->then = then;
    if (run->alerts.sequence == 0 || err_is(bus_read_open(run->rollouts->bus, &options, alert_read, run, &run->read))) {
        then(run);
    }
}
