/* stream - making sure that streams, consumers and buckets stand, idempotently, at the start of a process.
 * The ensuring calls wait for the server; they are made before the loop runs. What an operator changed on an existing
 * stream (limits, replicas) is left alone; what the design needs of it is checked. */
#ifndef TAI_BUS_STREAM_H
#define TAI_BUS_STREAM_H

#include "shared/bus/bus.h"

typedef struct {
    const char *name;
    const char *subject; /* one wildcard subject: "tai.payment.>" */
    int64_t max_bytes;   /* 0: no bound of its own; the oldest is never dropped to make room (DiscardNew) */
    int64_t replicas;    /* 1, 3 or 5 */
} BusStreamSpec;

/* Limits retention, file storage, DiscardNew, 10 min dedup window, AllowDirect. */
MUST_USE Err bus_ensure_stream(Bus *bus, const BusStreamSpec *spec);

typedef struct {
    const char *stream;
    const char *name;
    const char *filter;
    int64_t ack_wait_ms;
    int64_t max_ack_pending; /* the lane's WIP limit, over all its workers */
} BusConsumerSpec;

/* Durable pull consumer, explicit acks, from the beginning, no bound on deliveries (the worker counts). An existing
 * one gets the new ack wait and WIP limit. */
MUST_USE Err bus_ensure_consumer(Bus *bus, const BusConsumerSpec *spec);

/* The same without waiting, for while the loop runs. Exactly one call back, never from inside the call. */
typedef void BusConsumerCallback(void *context, Err err);
void bus_ask_consumer(Bus *bus, const BusConsumerSpec *spec, int64_t timeout_ms, BusConsumerCallback *callback,
                      void *context);

/* KV bucket with a history of 16 revisions. Key k of bucket b is the subject $KV.b.k of stream KV_b. */
MUST_USE Err bus_ensure_bucket(Bus *bus, const char *bucket, int64_t replicas);

#endif
