/* metrics - the metrics worker's context. */
#ifndef TAI_WORKERS_METRICS_METRICS_H
#define TAI_WORKERS_METRICS_METRICS_H

#include "shared/worker/worker.h"

typedef struct {
    int64_t snapshot_ms; /* how often the figures are put away when they changed */
} MetricsSettings;

typedef struct PaymentFold PaymentFold;

/* Restores the figures, then follows the ledgers; answers tai.query.payment.metrics. */
MUST_USE Err payment_fold_open(Worker *worker, const MetricsSettings *settings, PaymentFold **fold);
bool payment_fold_is_ready(const PaymentFold *fold); /* the snapshot is restored */
void payment_fold_close(PaymentFold *fold);          /* NULL is fine */
bool payment_fold_is_saved(const PaymentFold *fold); /* nothing is left to put away */

#endif
