/* tai-metrics: folds the ledgers into figures.
 *
 * reads      PAYMENT (tai.payment.>), ANDON (tai.andon.payment.>) and DEPLOYMENT (tai.deployment.>), in order, from
 * where the figures end; DEPLOYMENT also from its beginning, for the list of the last deployments answers
 * tai.query.{payment,deployment}.metrics: body "json" (Kaizen) or "prometheus" (text exposition);
 *            tai.query.deployment.list: body {"service","region","state","limit"}, a JSON array, newest first;
 *            tai.query.deployment.get: body the id, one deployment's state as JSON, its outcome where it is listed no
 * more, an empty body where there is none keeps      the figures with the sequences they were folded up to, in KV
 * tai_metrics, keys payment and deployment: a restart neither loses nor doubles; several workers each fold for
 * themselves and answer in turn. The list is read anew at every start, and answered from when that is done settings
 * metrics.*, nats.*, log.*: --help lists them exit       0 drained, 64 usage, 69 bus unavailable at the start, 78 bad
 * configuration
 */
#include "shared/bus/stream.h"
#include "workers/metrics/metrics.h"

#define START_WAIT_MS 10000

static const char manual[] =
    "Folds the ledgers into Kaizen figures and Prometheus metrics, each message exactly once, and answers\n"
    "tai.query.{payment,deployment}.metrics; lists deployments. Start as many as you like: each folds for itself, and\n"
    "they answer in turn.";

typedef struct {
    MetricsSettings settings;
    PaymentFold *payment;
    DeploymentFold *deployment;
    Listing *listing;
} Metrics;

static const Setting settings[] = {
    {"metrics.snapshot_ms", SETTING_INTEGER, SETTING_FIELD(MetricsSettings, snapshot_ms), "1000", 10, 3600000,
     "how often changed figures are put away, ms"},
    {"metrics.deployments_max", SETTING_INTEGER, SETTING_FIELD(MetricsSettings, deployments_max), "10000", 1, 1000000,
     "how many deployments are listed, the newest"},
};

static bool metrics_are_ready(const Metrics *metrics)
{
    return payment_fold_is_ready(metrics->payment) && deployment_fold_is_ready(metrics->deployment);
}

static Err metrics_start(Worker *worker, void *context)
{
    Metrics *metrics = context;
    Err err = worker_ensure_ledger(worker, "PAYMENT");
    if (!err_is(err)) {
        err = worker_ensure_ledger(worker, "DEPLOYMENT");
    }
    if (!err_is(err)) {
        err = worker_ensure_bucket(worker, "tai_metrics");
    }
    if (!err_is(err)) {
        err = payment_fold_open(worker, &metrics->settings, &metrics->payment);
    }
    if (!err_is(err)) {
        err = deployment_fold_open(worker, &metrics->settings, &metrics->deployment);
    }
    if (!err_is(err)) {
        err = listing_open(worker, &metrics->settings, &metrics->listing);
    }
    int64_t deadline_ms = loop_now_ms(worker_loop(worker)) + START_WAIT_MS;
    while (!err_is(err) && !metrics_are_ready(metrics)) {
        loop_turn(worker_loop(worker), 50);
        if (loop_now_ms(worker_loop(worker)) >= deadline_ms || worker_is_draining(worker)) {
            err = err_retry("the figures could not be read in %d ms", START_WAIT_MS);
        }
    }
    return err;
}

static bool metrics_drained(void *context)
{
    const Metrics *metrics = context;
    return payment_fold_is_saved(metrics->payment) && deployment_fold_is_saved(metrics->deployment);
}

static void metrics_stop(Worker *worker, void *context)
{
    (void)worker;
    Metrics *metrics = context;
    listing_close(metrics->listing);
    deployment_fold_close(metrics->deployment);
    payment_fold_close(metrics->payment);
}

int main(int argc, char **argv)
{
    Metrics metrics = {0};
    return worker_main(argc, argv,
                       &(WorkerSpec){
                           .name = "metrics",
                           .manual = manual,
                           .settings = settings,
                           .setting_count = sizeof(settings) / sizeof(settings[0]),
                           .config = &metrics.settings,
                           .start = metrics_start,
                           .stop = metrics_stop,
                           .drained = metrics_drained,
                           .context = &metrics,
                       });
}
