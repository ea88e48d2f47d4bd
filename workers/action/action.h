/* action - the action worker's context. */
#ifndef TAI_WORKERS_ACTION_ACTION_H
#define TAI_WORKERS_ACTION_ACTION_H

#include "shared/payment/breaker.h"
#include "shared/payment/charge.h"
#include "shared/worker/worker.h"
#include "workers/action/drivers/driver.h"
#include "workers/action/drivers/stripe.h"
#include "workers/action/gate.h"
#include "workers/action/recall.h"

typedef struct {
    StripeSettings stripe;
    ChargeSettings charge;
    BreakerSettings breaker;
    DeploySettings deploy;
} ActionSettings;

typedef struct CommandJob CommandJob;

typedef struct {
    ActionSettings settings;
    Gate *gate;
    Deploy deploy;    /* what drivers share */
    CommandJob *jobs; /* commands under way, in the order they came */
    Recall *recall;
} Action;

/* The lane of approved payment decisions. */
void charge_step(void *context, Task *task, const TaskEvent *event);

/* The lane of deployment commands; command_start() before the first, command_stop() after the last. */
void command_step(void *context, Task *task, const TaskEvent *event);
MUST_USE Err command_start(Worker *worker, Action *action);
void command_stop(Action *action);

#endif
