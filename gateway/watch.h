/* watch - waiting for the outcome of a payment or a deployment to appear on its ledger.
 * What a core subscription hears on the outcome's subject is only a hint: the stream may refuse a message that every
 * subscriber has seen. So each hint is followed by a look at the ledger itself. */
#ifndef TAI_GATEWAY_WATCH_H
#define TAI_GATEWAY_WATCH_H

#include "shared/bus/bus.h"

struct Request;

typedef struct {
    Str stream;
    Str subject;
    BusSubscription *subscription;
    Timer retry;
    int64_t retry_ms;
    bool allowed; /* hints are followed */
    bool hinted;
    bool looking;
    void (*found)(struct Request *, const BusDelivery *outcome);
    void (*absent)(struct Request *, const Err *why); /* after a look that found nothing, or failed */
} Watch;

/* Begins to listen; hints are only remembered until the first watch_look(). */
MUST_USE Err watch_listen(struct Request *request, Str stream, Str subject);
/* For a single look without listening. */
void watch_prepare(struct Request *request, Str stream, Str subject);
void watch_look(struct Request *request);
void watch_end(struct Request *request);

#endif
