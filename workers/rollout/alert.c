/* alert - Andons about a rollout: what needs a person, and when it needs none any more. */
#include <inttypes.h>

#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

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
    Arena *arena = &run->arena;
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

static void alert_high(Run *run, Str alert, bool cleared, Str why)
{
    Str id = arena_print(&run->arena, "andon." STR_FMT "." STR_FMT ".%" PRIu64, STR_ARG(run_id(run)), STR_ARG(alert),
                         run->event_sequence);
    Str summary = arena_print(&run->arena, STR_FMT ": " STR_FMT, STR_ARG(run->label), STR_ARG(why));
    run_alert(run, (Andon){.alert = alert, .severity = ANDON_HIGH, .cleared = cleared, .summary = summary}, id);
}

void run_alert_event(Run *run, const Rollout *before)
{
    const RolloutEvent *event = run->event;
    bool waited = before->paused && before->paused_by_judge;
    bool waits = run->state.paused && run->state.paused_by_judge;
    if (waited != waits) {
        alert_high(run, STR("rollout_paused"), waited, waits ? event->why : STR("goes on"));
    }
    if (before->marginal != run->state.marginal) {
        alert_high(run, STR("health_marginal"), before->marginal,
                   run->state.marginal ? event->why : STR("no longer close to the limit, or over"));
    }
}
