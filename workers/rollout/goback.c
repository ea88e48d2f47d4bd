/* goback - one order goes back to the version before, for as long as that one is kept (the bake).
 * The deployment's outcome stands; going back is work of its own on the regions' lanes, last region first, so that it
 * never runs beside another deployment. Every rollout worker hears the order and does the same: the work's id lets it
 * in once. */
#include <stdlib.h>

#include "shared/wire/deployment.h"
#include "workers/rollout/rollout.h"

#define GOBACK_ARENA_BLOCK 2048
#define GOBACK_ARENA_LIMIT ((size_t)4 * 1024 * 1024)
/* The clocks of gateway and bus may differ by this much. */
#define GOBACK_BEFORE_MS 2000

typedef struct {
    Rollouts *rollouts;
    Arena arena;
    Str deployment_id;
    DeploymentControl control;
    DeploymentOutcome outcome;
    DeploymentRegionWork work;
    bool found;
    BusRead *read;
} GoBack;

static void goback_end(GoBack *goback)
{
    bus_read_close(goback->read);
    arena_release(&goback->arena);
    free(goback);
}

/* Most often another worker has it in work, and hears the order itself. */
static void goback_refuse(GoBack *goback, const char *why)
{
    log_event(goback->rollouts->log, LOG_DEBUG, "not_gone_back",
              LOG_FIELDS(log_text("deployment_id", goback->deployment_id), log_text("why", str_from(why))));
    goback_end(goback);
}

static void goback_stored(void *context, Err err, const BusStored *stored)
{
    GoBack *goback = context;
    (void)stored;
    log_event(goback->rollouts->log, err_is(err) ? LOG_ERROR : LOG_INFO, "going_back",
              LOG_FIELDS(log_text("deployment_id", goback->deployment_id), log_text("who", goback->control.who),
                         log_why(&err)));
    goback_end(goback);
}

static void goback_publish(GoBack *goback)
{
    Arena *arena = &goback->arena;
    DeploymentRegionWork *work = &goback->work;
    work->kind = REGION_WORK_RESTORE;
    work->region_index = (int32_t)work->decision.signal.region_count - 1;
    work->results = goback->outcome.regions;
    work->result_count = goback->outcome.region_count;
    work->who = goback->control.who;
    work->why = goback->control.why;
    Str region = work->decision.regions[work->region_index].region;
    BusMessage message = {
        .subject = arena_print(arena, "tai.deployment.region." STR_FMT, STR_ARG(region)),
        .body = wire_encode_region_work(arena, work),
    };
    bus_message_add(&message, BUS_HEADER_MSG_ID, arena_print(arena, "goback." STR_FMT, STR_ARG(goback->deployment_id)));
    bus_store(goback->rollouts->bus, &message, ROLLOUT_BUS_TIMEOUT_MS, goback_stored, goback);
}

/* The work that the deployment began with is on its first region's lane. */
static void goback_work_read(void *context, Err err, const BusDelivery *message)
{
    GoBack *goback = context;
    if (message != NULL) {
        DeploymentRegionWork work;
        Err decoded = goback->found ? err_none() : wire_decode_region_work(&goback->arena, message->body, &work);
        if (!goback->found && !err_is(decoded) &&
            str_equal(work.decision.signal.deployment_id, goback->deployment_id)) {
            goback->work = work;
            goback->found = true;
        }
        return;
    }
    int64_t until_ms = goback->outcome.timestamp_ms + goback->work.decision.plan.bake_ms;
    if (err_is(err) || !goback->found) {
        goback_refuse(goback, "what it began with could not be read");
    } else if (loop_unix_ms(goback->rollouts->loop) >= until_ms) {
        goback_refuse(goback, "the version before is not kept any longer: deploy it anew");
    } else {
        goback_publish(goback);
    }
}

static void goback_outcome_read(void *context, Err err, const BusDelivery *message)
{
    GoBack *goback = context;
    if (!err_is(err) && message != NULL) {
        err = wire_decode_deployment_outcome(&goback->arena, message->body, &goback->outcome);
    }
    if (err_is(err) || message == NULL || goback->outcome.status != DEPLOYMENT_SUCCESS ||
        goback->outcome.region_count == 0) {
        goback_refuse(goback, "not in work here, and not a success to go back from");
        return;
    }
    Str region = goback->outcome.regions[0].region;
    BusReadOptions options = {
        .stream = STR("DEPLOYMENT"),
        .filter = arena_print(&goback->arena, "tai.deployment.region." STR_FMT, STR_ARG(region)),
        .from_time_ms = goback->outcome.received_ms - GOBACK_BEFORE_MS,
    };
    err = bus_read_open(goback->rollouts->bus, &options, goback_work_read, goback, &goback->read);
    if (err_is(err)) {
        goback_refuse(goback, err.why);
    }
}

void goback_open(Rollouts *rollouts, Str deployment_id, Str body)
{
    GoBack *goback = calloc(1, sizeof(*goback));
    TAI_ASSERT(goback != NULL);
    goback->rollouts = rollouts;
    goback->arena = arena_make(GOBACK_ARENA_BLOCK, GOBACK_ARENA_LIMIT);
    goback->deployment_id = arena_copy(&goback->arena, deployment_id);
    Err err = wire_decode_deployment_control(&goback->arena, body, &goback->control);
    if (err_is(err) || goback->control.order != ROLLOUT_ORDER_ABORT) {
        goback_end(goback); /* whoever has the deployment in work hears it */
        return;
    }
    Str subject = arena_print(&goback->arena, "tai.deployment.outcome." STR_FMT, STR_ARG(goback->deployment_id));
    bus_get_last(rollouts->bus, STR("DEPLOYMENT"), subject, ROLLOUT_BUS_TIMEOUT_MS, goback_outcome_read, goback);
}
