/* goback - one order goes back to the version before, for as long as that one is kept (the bake).
 * The deployment's outcome stands; going back is work of its own on the regions' lanes, last region first, so that it
 * never runs beside another deployment. Orders come by a durable consumer that all rollout workers share: one that was
 * given while nobody was there, or whose worker died over it, is carried out by the next. Where it is carried out
 * twice, the second item of the lane finds the first. */
#include <stdlib.h>

#include "shared/bus/stream.h"
#include "shared/wire/deployment.h"
#include "workers/rollout/rollout.h"

#define GOBACK_ARENA_BLOCK 2048
#define GOBACK_ARENA_LIMIT ((size_t)4 * 1024 * 1024)
/* The clocks of gateway and bus may differ by this much. */
#define GOBACK_BEFORE_MS 2000
#define GOBACK_HANDS 16
#define GOBACK_PENDING_MAX 10000
/* A deployment that is not over hears the order itself, unless it was ending just then: so it is looked at again, each
 * time after as long as passed already, within these. */
#define GOBACK_LOOK_MS 1000
#define GOBACK_LOOK_MAX_MS 60000
#define GOBACK_PATIENCE_MS 3600000

struct GoBack {
    Rollouts *rollouts;
    GoBack *next;
    BusDelivery delivery;
    Arena arena;
    Str deployment_id;
    DeploymentControl control;
    DeploymentOutcome outcome;
    DeploymentRegionWork work;
    bool found;
    BusRead *read;
};

static void goback_free(GoBack *goback)
{
    bus_read_close(goback->read);
    bus_delivery_release(&goback->delivery);
    arena_release(&goback->arena);
    free(goback);
}

static void goback_end(GoBack *goback)
{
    Rollouts *rollouts = goback->rollouts;
    GoBack **place = &rollouts->gobacks;
    while (*place != goback) {
        place = &(*place)->next;
    }
    *place = goback->next;
    rollouts->goback_count--;
    goback_free(goback);
    if (!worker_is_draining(rollouts->worker)) {
        bus_pull_want(rollouts->goback_pull, GOBACK_HANDS - rollouts->goback_count);
    }
}

static void goback_done(GoBack *goback)
{
    bus_ack(goback->rollouts->bus, &goback->delivery);
    goback_end(goback);
}

static void goback_again(GoBack *goback, int64_t delay_ms, Err why)
{
    log_event(goback->rollouts->log, LOG_DEBUG, "looked_at_again",
              LOG_FIELDS(log_text("deployment_id", goback->deployment_id), log_why(&why)));
    bus_nak(goback->rollouts->bus, &goback->delivery, delay_ms);
    goback_end(goback);
}

static void goback_refuse(GoBack *goback, const char *why)
{
    log_event(goback->rollouts->log, LOG_INFO, "not_gone_back",
              LOG_FIELDS(log_text("deployment_id", goback->deployment_id), log_text("who", goback->control.who),
                         log_text("why", str_from(why))));
    goback_done(goback);
}

static void goback_stored(void *context, Err err, const BusStored *stored)
{
    GoBack *goback = context;
    (void)stored;
    if (err_is(err)) {
        goback_again(goback, ROLLOUT_AGAIN_MS, err);
        return;
    }
    log_event(goback->rollouts->log, LOG_INFO, "going_back",
              LOG_FIELDS(log_text("deployment_id", goback->deployment_id), log_text("who", goback->control.who),
                         log_text("why", goback->control.why)));
    goback_done(goback);
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
    if (err_is(err)) {
        goback_again(goback, ROLLOUT_AGAIN_MS, err);
    } else if (!goback->found) {
        goback_refuse(goback, "what it began with is not on the ledger");
    } else if (goback->delivery.time_ms >= until_ms) {
        goback_refuse(goback, "the version before is not kept any longer: deploy it anew");
    } else {
        goback_publish(goback);
    }
}

static void goback_find_work(GoBack *goback)
{
    Str region = goback->outcome.regions[0].region;
    BusReadOptions options = {
        .stream = STR("DEPLOYMENT"),
        .filter = arena_print(&goback->arena, "tai.deployment.region." STR_FMT, STR_ARG(region)),
        .from_time_ms = goback->outcome.received_ms - GOBACK_BEFORE_MS,
    };
    Err err = bus_read_open(goback->rollouts->bus, &options, goback_work_read, goback, &goback->read);
    if (err_is(err)) {
        goback_again(goback, ROLLOUT_AGAIN_MS, err);
    }
}

static void goback_not_over(GoBack *goback)
{
    int64_t age_ms = loop_unix_ms(goback->rollouts->loop) - goback->delivery.time_ms;
    int64_t delay_ms = age_ms < GOBACK_LOOK_MS ? GOBACK_LOOK_MS : age_ms;
    if (age_ms >= GOBACK_PATIENCE_MS) {
        goback_done(goback);
        return;
    }
    goback_again(goback, delay_ms < GOBACK_LOOK_MAX_MS ? delay_ms : GOBACK_LOOK_MAX_MS,
                 err_retry("the deployment is not over: it hears the order itself"));
}

static void goback_outcome_read(void *context, Err err, const BusDelivery *message)
{
    GoBack *goback = context;
    if (!err_is(err) && message == NULL) {
        goback_not_over(goback);
        return;
    }
    if (!err_is(err)) {
        err = wire_decode_deployment_outcome(&goback->arena, message->body, &goback->outcome);
    }
    if (err.kind == ERR_RETRY) {
        goback_again(goback, ROLLOUT_AGAIN_MS, err);
    } else if (err_is(err) || goback->outcome.status != DEPLOYMENT_SUCCESS || goback->outcome.region_count == 0) {
        goback_done(goback); /* it heard the order, or had gone back by itself */
    } else {
        goback_find_work(goback);
    }
}

static void goback_take(void *context, BusDelivery *delivery)
{
    Rollouts *rollouts = context;
    GoBack *goback = calloc(1, sizeof(*goback));
    TAI_ASSERT(goback != NULL);
    goback->rollouts = rollouts;
    goback->delivery = *delivery;
    goback->arena = arena_make(GOBACK_ARENA_BLOCK, GOBACK_ARENA_LIMIT);
    goback->deployment_id =
        str_slice(goback->delivery.subject, sizeof("tai.deployment.control.") - 1, goback->delivery.subject.length);
    goback->next = rollouts->gobacks;
    rollouts->gobacks = goback;
    rollouts->goback_count++;
    Err err = wire_decode_deployment_control(&goback->arena, goback->delivery.body, &goback->control);
    if (err_is(err) || goback->control.order != ROLLOUT_ORDER_ABORT) {
        goback_done(goback); /* whoever has the deployment in work hears it */
        return;
    }
    Str subject = arena_print(&goback->arena, "tai.deployment.outcome." STR_FMT, STR_ARG(goback->deployment_id));
    bus_get_last(rollouts->bus, STR("DEPLOYMENT"), subject, ROLLOUT_BUS_TIMEOUT_MS, goback_outcome_read, goback);
}

Err gobacks_open(Rollouts *rollouts)
{
    Err err = bus_ensure_consumer(rollouts->bus, &(BusConsumerSpec){
                                                     .stream = "DEPLOYMENT",
                                                     .name = "goback",
                                                     .filter = "tai.deployment.control.*",
                                                     .ack_wait_ms = rollouts->settings.ack_wait_ms,
                                                     .max_ack_pending = GOBACK_PENDING_MAX,
                                                 });
    if (!err_is(err)) {
        err = bus_pull_open(rollouts->bus, STR("DEPLOYMENT"), STR("goback"), goback_take, rollouts,
                            &rollouts->goback_pull);
    }
    if (!err_is(err)) {
        bus_pull_want(rollouts->goback_pull, GOBACK_HANDS);
    }
    return err;
}

void gobacks_close(Rollouts *rollouts)
{
    while (rollouts->gobacks != NULL) {
        GoBack *goback = rollouts->gobacks;
        rollouts->gobacks = goback->next;
        bus_nak(rollouts->bus, &goback->delivery, 1);
        goback_free(goback);
    }
    bus_pull_drop(rollouts->goback_pull);
    rollouts->goback_pull = NULL;
}
