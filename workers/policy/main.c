/* tai-policy: judges signals.
 *
 * pulls      PAYMENT/policy  tai.payment.signal.>
 * publishes  tai.payment.decision.{approved,rejected}; tai.payment.outcome.<id> for what it rejects and for what is
 *            past its deadline; tai.payment.claim.<id> for ids that publishers choose; tai.payment.policy for every policy document that becomes live; tai.dead.payment.policy
 * keeps      the live policy (KV tai_policy, key payment) and the blacklist (tai.payment.blacklist.>), both read again
 *            at every start; fraud counters live in Redis and may be lost
 * settings   policy.*, nats.*, redis.*, log.*: --help lists them
 * exit       0 drained, 64 usage, 69 bus unavailable at the start, 78 bad configuration
 * bugs       counters of one customer in two signals judged at the same moment by two workers may count in either order
 */
#include "workers/policy/policy.h"

#define START_WAIT_MS 10000

static const char manual[] =
    "Judges signals: takes tai.payment.signal.> from the ledger, gathers the fraud facts of a whole batch in one Redis\n"
    "round trip, evaluates the live policy of KV bucket tai_policy and publishes the decision with its facts.\n"
    "Start as many as you like: they share the lane.";

static const Setting settings[] = {
    {"policy.deadline_ms", SETTING_INTEGER, SETTING_FIELD(PolicySettings, deadline_ms), "300000", 100,
     540000, "how long after its signal a charge may still be begun; within the dedup window of 10 min, ms"},
};

static bool policy_is_loaded(const Policy *policy)
{
    return document_is_live(policy->document) && blacklist_is_loaded(policy->blacklist);
}

/* No signal is judged before the policy and the blacklist are there. */
static Err policy_start(Worker *worker, void *context)
{
    Policy *policy = context;
    policy->fraud_features = payment_fraud_script();
    Err err = document_open(worker, &policy->document);
    if (!err_is(err)) {
        err = blacklist_open(worker, &policy->blacklist);
    }
    int64_t deadline_ms = loop_now_ms(worker_loop(worker)) + START_WAIT_MS;
    while (!err_is(err) && !policy_is_loaded(policy)) {
        loop_turn(worker_loop(worker), 50);
        if (loop_now_ms(worker_loop(worker)) >= deadline_ms || worker_is_draining(worker)) {
            err = err_retry("policy and blacklist could not be read in %d ms", START_WAIT_MS);
        }
    }
    return err;
}

static void policy_stop(Worker *worker, void *context)
{
    (void)worker;
    Policy *policy = context;
    blacklist_close(policy->blacklist);
    document_close(policy->document);
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
    };
    Policy policy = {0};
    return worker_main(argc, argv,
                       &(WorkerSpec){
                           .name = "policy",
                           .manual = manual,
                           .lanes = lanes,
                           .lane_count = 1,
                           .settings = settings,
                           .setting_count = sizeof(settings) / sizeof(settings[0]),
                           .config = &policy.settings,
                           .uses_store = true,
                           .start = policy_start,
                           .stop = policy_stop,
                           .context = &policy,
                       });
}
