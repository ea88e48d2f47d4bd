/* metrics - the metrics worker's context. */
#ifndef TAI_WORKERS_METRICS_METRICS_H
#define TAI_WORKERS_METRICS_METRICS_H

#include "shared/worker/worker.h"

typedef struct {
    int64_t snapshot_ms;     /* how often the figures are put away when they changed */
    int64_t deployments_max; /* that are listed */
} MetricsSettings;

typedef struct PaymentFold PaymentFold;

/* Restores the figures, then follows the ledgers; answers tai.query.payment.metrics. */
MUST_USE Err payment_fold_open(Worker *worker, const MetricsSettings *settings, PaymentFold **fold);
bool payment_fold_is_ready(const PaymentFold *fold); /* the snapshot is restored */
void payment_fold_close(PaymentFold *fold);          /* NULL is fine */
bool payment_fold_is_saved(const PaymentFold *fold); /* nothing is left to put away */

typedef struct DeploymentFold DeploymentFold;

/* The same for tai.query.deployment.metrics. */
MUST_USE Err deployment_fold_open(Worker *worker, const MetricsSettings *settings, DeploymentFold **fold);
bool deployment_fold_is_ready(const DeploymentFold *fold);
void deployment_fold_close(DeploymentFold *fold); /* NULL is fine */
bool deployment_fold_is_saved(const DeploymentFold *fold);

typedef struct Listing Listing;

/* The last deployments, read from the ledger's beginning at every start; answers tai.query.deployment.list and
 * tai.query.deployment.get from when it has read what was there. */
MUST_USE Err listing_open(Worker *worker, const MetricsSettings *settings, Listing **listing);
void listing_close(Listing *listing); /* NULL is fine */

#endif
