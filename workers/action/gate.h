/* gate - the breaker before the payment gateway, as the charges of this process see it.
 * One breaker for each process now; sharing it between processes is a matter of this file alone. */
#ifndef TAI_WORKERS_ACTION_GATE_H
#define TAI_WORKERS_ACTION_GATE_H

#include "shared/payment/breaker.h"
#include "shared/worker/worker.h"

typedef struct Gate Gate;

/* Says changes of state: in the log, on tai.breaker.<name> (repeated every two seconds), and when it opens and closes
 * again on tai.andon.payment.circuit_breaker_open. */
MUST_USE Err gate_open(Worker *worker, const char *name, const BreakerSettings *settings, Gate **gate);
void gate_close(Gate *gate); /* NULL is fine */

BreakerPermit gate_admit(Gate *gate);
void gate_record(Gate *gate, const BreakerPermit *permit, BreakerCall call, int64_t duration_ms);
void gate_pace(Gate *gate, int64_t pause_ms);

#endif
