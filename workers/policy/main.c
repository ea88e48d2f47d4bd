/* tai-policy: judges signals.
 *
 * pulls      PAYMENT/policy     tai.payment.signal.>
 *            DEPLOYMENT/policy  tai.deployment.signal.>
 * asks       Redis for fraud counters; an OCI registry for images; Prometheus or the sandbox's cluster for the health
 * of what runs publishes  tai.<domain>.decision.{approved,rejected}; tai.<domain>.outcome.<id> for what it rejects and
 * for payments past their deadline; tai.deployment.region.<first region> for approved deployments;
 * tai.<domain>.claim.<id> for ids that publishers choose; tai.<domain>.policy for every policy document that becomes
 * live; tai.dead.<domain>.policy keeps      the live policies (KV tai_policy, keys payment and deployment), the
 * blacklist (tai.payment.blacklist.>) and what runs in each region (tai.deployment.running.>), all read again at every
 * start; fraud counters live in Redis and may be lost settings   policy.*, nats.*, redis.*, log.*: --help lists them
 * exit       0 drained, 64 usage, 69 bus unavailable at the start, 78 bad configuration
 * bugs       counters of one customer in two signals judged at the same moment by two workers may count in either
 * order; services that are new in a region take their place when they are through, so that of several in work at once
 * one too many may be approved
 */
#include "shared/wire/prometheus.h"
#include "workers/policy/policy.h"

#define START_WAIT_MS 10000

#define POLICY(field) SETTING_FIELD(PolicySettings, field)

static const char manual[] =
    "Judges signals. Payments: takes tai.payment.signal.> from the ledger, gathers the fraud facts of a whole batch "
    "in\n"
    "one Redis round trip, evaluates the live policy of KV bucket tai_policy and publishes the decision with its "
    "facts.\n"
    "Deployments: takes tai.deployment.signal.>, pins the image by its registry's digest, reports every violation at\n"
    "once, and puts approved ones on the lane of their first region.\n"
    "Start as many as you like: they share the lanes.";

static const Setting settings[] = {
    {"policy.deadline_ms", SETTING_INTEGER, POLICY(deadline_ms), "300000", 100, 540000,
     "how long after its signal a charge may still be begun; within the dedup window of 10 min, ms"},
    {"policy.registry_url", SETTING_TEXT, POLICY(registry_url), "http://127.0.0.1:12111", 0, 0,
     "of the OCI registry that images are looked up in, without a path; empty: not asked"},
    {"policy.registry_credentials", SETTING_SECRET, POLICY(registry_credentials), "", 0, 0,
     "\"user:password\" for a registry that wants one; empty: asked as nobody, with a token where it gives one to all"},
    {"policy.registry_prefix", SETTING_TEXT, POLICY(registry_prefix), "", 0, 0,
     "before a service's name, where the signal names no image: \"shop/\""},
    {"policy.health", SETTING_TEXT, POLICY(health), "sandbox", 0, 0,
     "where the health of what runs comes from: sandbox (of its own regions only) or prometheus"},
    {"policy.health_url", SETTING_TEXT, POLICY(health_url), "http://127.0.0.1:12111", 0, 0,
     "its address; empty: not asked"},
    {"policy.prometheus_requests", SETTING_TEXT, POLICY(prometheus_requests), PROMETHEUS_REQUESTS, 0, 0,
     "counter of requests, by version and instance"},
    {"policy.prometheus_errors", SETTING_TEXT, POLICY(prometheus_errors), PROMETHEUS_ERRORS, 0, 0,
     "counter of errors, by version and instance; must be 0 where there were none, not absent"},
    {"policy.prometheus_latency", SETTING_TEXT, POLICY(prometheus_latency), PROMETHEUS_LATENCY, 0, 0,
     "histogram of latencies in seconds, by version, instance and le"},
    {"policy.prometheus_started", SETTING_TEXT, POLICY(prometheus_started), PROMETHEUS_STARTED, 0, 0,
     "when processes began, Unix seconds, by version and instance; empty: not asked"},
    {"policy.deployment_facts_ms", SETTING_INTEGER, POLICY(deployment_facts_ms), "30000", 0, 300000,
     "how long after its signal a deployment waits for a registry or a region that cannot be asked, ms"},
    {"policy.deployment_profile", SETTING_TEXT, POLICY(deployment_profile), "real", 0, 0,
     "of the deployment policy that is written where there is none: real, or quick (a hundredth of the time)"},
};

static bool policy_is_loaded(const Policy *policy)
{
    return document_is_live(policy->payment) && blacklist_is_loaded(policy->blacklist) &&
           document_is_live(policy->deployment) && regions_are_loaded(policy->regions);
}

static Err policy_open(Worker *worker, Policy *policy)
{
    DocumentKind payment = payment_document();
    DocumentKind deployment = deployment_document(&policy->settings);
    Err err = document_open(worker, &payment, &policy->payment);
    if (!err_is(err)) {
        err = document_open(worker, &deployment, &policy->deployment);
    }
    if (!err_is(err)) {
        err = blacklist_open(worker, &policy->blacklist);
    }
    if (!err_is(err)) {
        err = regions_open(worker, &policy->regions);
    }
    return err;
}

/* No signal is judged before everything that it is judged by is there. */
static Err policy_start(Worker *worker, void *context)
{
    Policy *policy = context;
    policy->fraud_features = payment_fraud_script();
    Err err = deployment_settings_check(&policy->settings);
    if (!err_is(err)) {
        err = policy_open(worker, policy);
    }
    int64_t deadline_ms = loop_now_ms(worker_loop(worker)) + START_WAIT_MS;
    while (!err_is(err) && !policy_is_loaded(policy)) {
        loop_turn(worker_loop(worker), 50);
        if (loop_now_ms(worker_loop(worker)) >= deadline_ms || worker_is_draining(worker)) {
            err = err_retry("policies, blacklist and regions could not be read in %d ms", START_WAIT_MS);
        }
    }
    return err;
}

static void policy_stop(Worker *worker, void *context)
{
    (void)worker;
    Policy *policy = context;
    regions_close(policy->regions);
    blacklist_close(policy->blacklist);
    document_close(policy->deployment);
    document_close(policy->payment);
}

int main(int argc, char **argv)
{
    static const WorkerLane lanes[] = {
        {.stream = "PAYMENT",
         .name = "policy",
         .filter = "tai.payment.signal.>",
         .domain = "payment",
         .step = payment_signal_step,
         .wip = 4096,
         .slots = 1024,
         .max_tries = 1000,
         .body_max_bytes = 64 * 1024},
        {.stream = "DEPLOYMENT",
         .name = "policy",
         .filter = "tai.deployment.signal.>",
         .domain = "deployment",
         .step = deployment_signal_step,
         .wip = 256,
         .slots = 64,
         .max_tries = 1000,
         .body_max_bytes = 64 * 1024},
    };
    Policy policy = {0};
    return worker_main(argc, argv,
                       &(WorkerSpec){
                           .name = "policy",
                           .manual = manual,
                           .lanes = lanes,
                           .lane_count = 2,
                           .settings = settings,
                           .setting_count = sizeof(settings) / sizeof(settings[0]),
                           .config = &policy.settings,
                           .uses_store = true,
                           .uses_http = true,
                           .start = policy_start,
                           .stop = policy_stop,
                           .context = &policy,
                       });
}
