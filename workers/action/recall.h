/* recall - whether the bus remembers how often it has delivered a message.
 * nats-server counts deliveries in memory and writes the counts down late: killed, it delivers again as if for the
 * first time. What was on the ledger before this connection to the server began may have been delivered already,
 * whatever the count says. */
#ifndef TAI_WORKERS_ACTION_RECALL_H
#define TAI_WORKERS_ACTION_RECALL_H

#include "shared/worker/worker.h"

typedef struct Recall Recall;

Recall *recall_open(Worker *worker, const char *stream); /* asks while the loop turns */
void recall_close(Recall *recall);                       /* NULL is fine */

/* Whether a first delivery of this message is certainly the first. */
bool recall_is_certain(const Recall *recall, uint64_t sequence);

#endif
