/* tai-action: does what was decided.
 *
 * pulls      PAYMENT/charge      tai.payment.decision.approved
 *            DEPLOYMENT/command  tai.deployment.command.>
 * publishes  tai.payment.outcome.<id>, exactly one for each transaction; tai.breaker.payment_gateway;
 *            tai.andon.payment.circuit_breaker_open; tai.dead.payment.charge; tai.deployment.result.<id>, one for each
 *            command that was carried out or refused; tai.dead.deployment.command
 * calls      the payment gateway (Stripe's API), with the transaction id as Idempotency-Key, many calls in flight;
 *            what commands are for: the sandbox's cluster, HAProxy, a program, a Kubernetes API server
 * keeps      the breaker's state, for as long as the process lives
 * settings   action.*, nats.*, log.*: --help lists them
 * exit       0 drained, 64 usage, 69 bus unavailable at the start, 78 bad configuration
 */
#include "workers/action/action.h"

#define ACTION(field) SETTING_FIELD(ActionSettings, field)
#define DAY_MS INT64_C(86400000)

static const char manual[] =
    "Does what was decided: takes tai.payment.decision.approved from the ledger and charges through the payment\n"
    "gateway, at most `wip` calls in flight over all workers, guarded by a circuit breaker. What was asked and not\n"
    "answered is asked again with the same key until the gateway gives evidence.\n"
    "Takes tai.deployment.command.<region> too, carries each command out by its driver (sandbox, haproxy, command,\n"
    "kubernetes), one at a time in a region, and says what came of it on tai.deployment.result.<deployment_id>.\n"
    "Start as many as you like: they share the lane.";

static const Setting settings[] = {
    {"action.charge_url", SETTING_TEXT, ACTION(stripe.url), "http://127.0.0.1:12111", 0, 0,
     "where the payment gateway's API is, without /v1"},
    {"action.charge_key", SETTING_SECRET, ACTION(stripe.key), "sk_test_tai", 0, 0, "its secret key"},
    {"action.charge_api", SETTING_TEXT, ACTION(stripe.api), "payment_intents", 0, 0, "payment_intents or charges"},
    {"action.charge_payment_method", SETTING_TEXT, ACTION(stripe.payment_method), "pm_card_visa", 0, 0,
     "for signals that name none"},
    {"action.charge_version", SETTING_TEXT, ACTION(stripe.version), "", 0, 0, "Stripe-Version to ask for"},
    {"action.charge_timeout_ms", SETTING_INTEGER, ACTION(stripe.timeout_ms), "30000", 1, DAY_MS,
     "after which a call's answer counts as lost, ms"},
    {"action.charge_connect_timeout_ms", SETTING_INTEGER, ACTION(stripe.connect_timeout_ms), "2000", 1, DAY_MS,
     "for the connection alone, ms"},
    {"action.charge_attempts", SETTING_INTEGER, ACTION(charge.attempts), "4", 1, 100, "calls in one delivery"},
    {"action.charge_backoff_ms", SETTING_INTEGER, ACTION(charge.backoff_ms), "100", 1, DAY_MS,
     "before the second call; doubles, ms"},
    {"action.charge_backoff_max_ms", SETTING_INTEGER, ACTION(charge.backoff_max_ms), "2000", 1, DAY_MS,
     "longest pause between calls, ms"},
    {"action.charge_keep_ms", SETTING_INTEGER, ACTION(charge.keep_ms), "2000", 1, DAY_MS,
     "before an unresolved charge is taken up again; doubles, ms"},
    {"action.charge_keep_max_ms", SETTING_INTEGER, ACTION(charge.keep_max_ms), "300000", 1, DAY_MS,
     "longest such pause, ms"},
    {"action.charge_horizon_ms", SETTING_INTEGER, ACTION(charge.horizon_ms), "82800000", 1, 7 * DAY_MS,
     "after which a person must resolve it; within the life of the gateway's keys, ms"},
    {"action.breaker_consecutive_failures", SETTING_INTEGER, ACTION(breaker.consecutive_failures), "5", 1, 1000000,
     "in a row open the breaker"},
    {"action.breaker_minimum_calls", SETTING_INTEGER, ACTION(breaker.minimum_calls), "20", 1, 1000000,
     "in the window before shares count"},
    {"action.breaker_failure_percent", SETTING_INTEGER, ACTION(breaker.failure_percent), "50", 1, 101,
     "of failures opens it; 101: never"},
    {"action.breaker_slow_percent", SETTING_INTEGER, ACTION(breaker.slow_percent), "80", 1, 101,
     "of slow calls opens it; 101: never"},
    {"action.breaker_slow_call_ms", SETTING_INTEGER, ACTION(breaker.slow_call_ms), "5000", 1, DAY_MS,
     "a longer call is slow, ms"},
    {"action.breaker_window_ms", SETTING_INTEGER, ACTION(breaker.window_ms), "30000", 30, DAY_MS, "window, ms"},
    {"action.breaker_open_ms", SETTING_INTEGER, ACTION(breaker.open_ms), "30000", 1, DAY_MS,
     "first opening; doubles while probes fail, ms"},
    {"action.breaker_open_max_ms", SETTING_INTEGER, ACTION(breaker.open_max_ms), "300000", 1, DAY_MS,
     "longest opening, ms"},
    {"action.breaker_probe_successes", SETTING_INTEGER, ACTION(breaker.probe_successes), "3", 1, 1000,
     "in a row close it again"},
    {"action.breaker_probe_expires_ms", SETTING_INTEGER, ACTION(breaker.probe_expires_ms), "30000", 1, DAY_MS,
     "after which a probe without an answer is given up, ms"},
    {"action.deploy_timeout_ms", SETTING_INTEGER, ACTION(deploy.timeout_ms), "60000", 1, DAY_MS,
     "for one deployment command, ms"},
    {"action.deploy_sandbox_url", SETTING_TEXT, ACTION(deploy.sandbox_url), "http://127.0.0.1:12111", 0, 0,
     "sandbox: where its /cluster is"},
    {"action.deploy_haproxy", SETTING_TEXT, ACTION(deploy.haproxy), "", 0, 0,
     "haproxy: admin sockets, region=unix:/path,region=127.0.0.1:9999"},
    {"action.deploy_haproxy_address", SETTING_TEXT, ACTION(deploy.haproxy_address), "", 0, 0,
     "haproxy: a version's ip:port, or a file with it; {region} {service} {version} are put in"},
    {"action.deploy_command", SETTING_TEXT, ACTION(deploy.command), "", 0, 0, "command: path of the program"},
    {"action.deploy_kubernetes_url", SETTING_TEXT, ACTION(deploy.kubernetes_url), "", 0, 0,
     "kubernetes: the API server, https://10.0.0.1:6443"},
    {"action.deploy_kubernetes_namespace", SETTING_TEXT, ACTION(deploy.kubernetes_namespace), "default", 0, 0,
     "kubernetes: of the Deployments"},
    {"action.deploy_kubernetes_token_file", SETTING_TEXT, ACTION(deploy.kubernetes_token_file), "", 0, 0,
     "kubernetes: bearer token, read for every command"},
    {"action.deploy_kubernetes_ca_file", SETTING_TEXT, ACTION(deploy.kubernetes_ca_file), "", 0, 0,
     "kubernetes: PEM; empty: the system's"},
    {"action.deploy_kubernetes_replicas", SETTING_INTEGER, ACTION(deploy.kubernetes_replicas), "20", 1, 10000,
     "kubernetes: pods of a service in a region, both versions together"},
};

static Err action_start(Worker *worker, void *context)
{
    Action *action = context;
    Err err = stripe_settings_check(&action->settings.stripe);
    if (err_is(err)) {
        return err;
    }
    action->recall = recall_open(worker, "PAYMENT");
    err = gate_open(worker, "payment_gateway", &action->settings.breaker, &action->gate);
    return err_is(err) ? err : command_start(worker, action);
}

static void action_stop(Worker *worker, void *context)
{
    (void)worker;
    Action *action = context;
    command_stop(action);
    gate_close(action->gate);
    action->gate = NULL;
    recall_close(action->recall);
    action->recall = NULL;
}

int main(int argc, char **argv)
{
    static const WorkerLane lanes[] = {
        {.stream = "PAYMENT",
         .name = "charge",
         .filter = "tai.payment.decision.approved",
         .domain = "payment",
         .step = charge_step,
         .wip = 512,
         .slots = 512,
         .max_tries = 2000,
         .body_max_bytes = 128 * 1024},
        {.stream = "DEPLOYMENT",
         .name = "command",
         .filter = "tai.deployment.command.>",
         .domain = "deployment",
         .step = command_step,
         .wip = 16384, /* what waits for the end of a bake counts too */
         .slots = 256,
         .max_tries = 2000,
         .body_max_bytes = 64 * 1024},
    };
    Action action = {0};
    return worker_main(argc, argv,
                       &(WorkerSpec){
                           .name = "action",
                           .manual = manual,
                           .lanes = lanes,
                           .lane_count = sizeof(lanes) / sizeof(lanes[0]),
                           .settings = settings,
                           .setting_count = sizeof(settings) / sizeof(settings[0]),
                           .config = &action.settings,
                           .uses_http = true,
                           .start = action_start,
                           .stop = action_stop,
                           .context = &action,
                       });
}
