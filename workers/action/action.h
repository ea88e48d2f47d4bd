/* action - the action worker's context. */
#ifndef TAI_WORKERS_ACTION_ACTION_H
#define TAI_WORKERS_ACTION_ACTION_H

#include "shared/payment/breaker.h"
#include "shared/payment/charge.h"
#include "shared/worker/worker.h"
#include "workers/action/drivers/stripe.h"
#include "workers/action/gate.h"
#include "workers/action/recall.h"

typedef struct {
    StripeSettings stripe;
    ChargeSettings charge;
    BreakerSettings breaker;
} ActionSettings;

typedef struct {
    ActionSettings settings;
    Gate *gate;
    Recall *recall;
} Action;

/* The lane of approved payment decisions. */
void charge_step(void *context, Task *task, const TaskEvent *event);

#endif
