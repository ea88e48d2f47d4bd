/* policy - the policy worker's context: what the process keeps between messages. */
#ifndef TAI_WORKERS_POLICY_POLICY_H
#define TAI_WORKERS_POLICY_POLICY_H

#include "shared/payment/fraud.h"
#include "shared/worker/worker.h"
#include "workers/policy/blacklist.h"
#include "workers/policy/document.h"

typedef struct {
    int64_t deadline_ms; /* from the ledger's time of a signal: no charge is begun later */
} PolicySettings;

typedef struct {
    PolicySettings settings;
    StoreScript fraud_features;
    Blacklist *blacklist;
    Document *document;
} Policy;

/* The lane of payment signals. */
void payment_signal_step(void *context, Task *task, const TaskEvent *event);
StoreScript payment_fraud_script(void);

#endif
