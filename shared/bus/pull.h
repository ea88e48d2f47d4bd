/* pull - work taken from a durable consumer, Kanban-style: never more than there are free hands for.
 * Requests overlap, so that a batch is on its way while the last one is worked on. (natsSubscription_Fetch of nats.c
 * 3.4 stalls or overruns with messages queued on the client: this engine asks the JetStream API itself, and acks by
 * publishing to the reply subject.) */
#ifndef TAI_BUS_PULL_H
#define TAI_BUS_PULL_H

#include "shared/bus/bus.h"

typedef struct BusPull BusPull;

/* The delivery is the receiver's: to be acked, naked or terminated once, and released. */
typedef void BusPullCallback(void *context, BusDelivery *delivery);

/* bus_close() ends and frees a pull that was not drained. */
MUST_USE Err bus_pull_open(Bus *bus, Str stream, Str consumer, BusPullCallback *callback, void *context,
                           BusPull **pull);
/* How many messages can be taken on now. Call it whenever hands become free; asks the server as it sees fit. */
void bus_pull_want(BusPull *pull, size_t free_hands);
/* Stops asking. What was asked for and is there still comes through the callback; `ended` says that nothing comes any
 * more and that `pull` is gone. */
void bus_pull_drain(BusPull *pull, void (*ended)(void *context));

/* Stops at once: what was on its way comes again after AckWait. NULL is fine. */
void bus_pull_drop(BusPull *pull);

void bus_ack(Bus *bus, const BusDelivery *delivery);
void bus_nak(Bus *bus, const BusDelivery *delivery, int64_t delay_ms); /* redelivered after delay_ms */
void bus_progress(Bus *bus, const BusDelivery *delivery);              /* starts AckWait anew */
void bus_terminate(Bus *bus, const BusDelivery *delivery);             /* never again */

#endif
