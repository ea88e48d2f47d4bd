/* tai-rollout: drives deployments through their stages, region by region.
 *
 * pulls      DEPLOYMENT/region-<region>  tai.deployment.region.<region>: one message in work for each region, whatever
 *            number of workers there are; a message is held for as long as its rollout lasts
 *            DEPLOYMENT/goback           tai.deployment.control.*: an abort of what is over already goes back from it
 * publishes  tai.deployment.event.<id>, fenced by the expected last sequence; tai.deployment.command.<region>;
 *            tai.deployment.running.<region>.<service>; the next region's work; tai.deployment.outcome.<id>;
 *            tai.andon.deployment.*
 * listens    tai.deployment.result.<id>, tai.deployment.control.<id>; tai.deployment.event.<id>, for somebody else's
 * keeps      nothing: a worker that takes over folds the events and goes on at the same second of the same stage
 * settings   rollout.*, nats.*, log.*: --help lists them
 * exit       0 drained, 64 usage, 69 bus unavailable at the start, 78 bad configuration
 */
#include "shared/wire/prometheus.h"
#include "workers/rollout/health.h"
#include "workers/rollout/rollout.h"

#define ROLLOUT(field) SETTING_FIELD(RolloutSettings, field)
#define START_WAIT_MS 10000

static const char manual[] = "Drives deployments through their stages: applies a weight, verifies it, observes, "
                             "judges, goes on or back. Regions\n"
                             "are lanes with one deployment in work each. Every step is an event on the ledger, so "
                             "that another worker takes over\n"
                             "where one died. On SIGTERM rollouts are left where they are: others take them over.\n"
                             "Start as many as you like: they share the regions.";

static const Setting settings[] = {
    {"rollout.ack_wait_ms", SETTING_INTEGER, ROLLOUT(ack_wait_ms), "30000", 100, INT64_C(86400000),
     "after a worker's death, how long until another takes its rollouts over, ms"},
    {"rollout.health", SETTING_TEXT, ROLLOUT(health), "sandbox", 0, 0,
     "where health comes from: sandbox or prometheus"},
    {"rollout.health_url", SETTING_TEXT, ROLLOUT(health_url), "http://127.0.0.1:12111", 0, 0, "its address"},
    {"rollout.prometheus_requests", SETTING_TEXT, ROLLOUT(prometheus_requests), PROMETHEUS_REQUESTS, 0, 0,
     "counter of requests, by version and instance"},
    {"rollout.prometheus_errors", SETTING_TEXT, ROLLOUT(prometheus_errors), PROMETHEUS_ERRORS, 0, 0,
     "counter of errors, by version and instance; must be 0 where there were none, not absent"},
    {"rollout.prometheus_latency", SETTING_TEXT, ROLLOUT(prometheus_latency), PROMETHEUS_LATENCY, 0, 0,
     "histogram of latencies in seconds, by version, instance and le"},
    {"rollout.prometheus_started", SETTING_TEXT, ROLLOUT(prometheus_started), PROMETHEUS_STARTED, 0, 0,
     "when processes began, Unix seconds, by version and instance; empty: not asked"},
};

static void result_arrived(void *context, const BusDelivery *message)
{
    Str id = str_slice(message->subject, sizeof("tai.deployment.result.") - 1, message->subject.length);
    run_result_arrived(context, id, message->body);
}

static void control_arrived(void *context, const BusDelivery *message)
{
    Str id = str_slice(message->subject, sizeof("tai.deployment.control.") - 1, message->subject.length);
    run_control_arrived(context, id);
}

static void event_arrived(void *context, const BusDelivery *message)
{
    Str id = str_slice(message->subject, sizeof("tai.deployment.event.") - 1, message->subject.length);
    run_event_arrived(context, id, message);
}

static Err rollouts_listen(Rollouts *rollouts)
{
    Err err = bus_subscribe(rollouts->bus, STR("tai.deployment.result.*"), (Str){0}, result_arrived, rollouts,
                            &rollouts->results);
    if (!err_is(err)) {
        err = bus_subscribe(rollouts->bus, STR("tai.deployment.control.*"), (Str){0}, control_arrived, rollouts,
                            &rollouts->controls);
    }
    if (!err_is(err)) {
        err = bus_subscribe(rollouts->bus, STR("tai.deployment.event.*"), (Str){0}, event_arrived, rollouts,
                            &rollouts->events);
    }
    return err;
}

static Err rollouts_start(Worker *worker, void *context)
{
    Rollouts *rollouts = context;
    rollouts->worker = worker;
    rollouts->loop = worker_loop(worker);
    rollouts->bus = worker_bus(worker);
    rollouts->log = worker_log(worker);
    rollouts->http = worker_http(worker);
    Err err = health_settings_check(&rollouts->settings);
    if (!err_is(err)) {
        err = worker_ensure_ledger(worker, "DEPLOYMENT");
    }
    if (!err_is(err)) {
        err = worker_ensure_bucket(worker, "tai_policy");
    }
    if (!err_is(err)) {
        err = rollouts_listen(rollouts);
    }
    bus_on_reconnect(rollouts->bus, runs_reconnected, rollouts);
    if (!err_is(err)) {
        err = lanes_open(rollouts);
    }
    if (!err_is(err)) {
        err = gobacks_open(rollouts);
    }
    int64_t deadline_ms = loop_now_ms(rollouts->loop) + START_WAIT_MS;
    while (!err_is(err) && !rollouts->lanes_known) {
        loop_turn(rollouts->loop, 50);
        if (loop_now_ms(rollouts->loop) >= deadline_ms || worker_is_draining(worker)) {
            err = err_retry("the deployment policy could not be read in %d ms", START_WAIT_MS);
        }
    }
    return err;
}

static void rollouts_stop(Worker *worker, void *context)
{
    (void)worker;
    Rollouts *rollouts = context;
    runs_release(rollouts);
    burials_release(rollouts);
    gobacks_close(rollouts);
    lanes_close(rollouts);
}

int main(int argc, char **argv)
{
    Rollouts rollouts = {0};
    return worker_main(argc, argv,
                       &(WorkerSpec){
                           .name = "rollout",
                           .manual = manual,
                           .settings = settings,
                           .setting_count = sizeof(settings) / sizeof(settings[0]),
                           .config = &rollouts.settings,
                           .uses_http = true,
                           .start = rollouts_start,
                           .stop = rollouts_stop,
                           .context = &rollouts,
                       });
}
