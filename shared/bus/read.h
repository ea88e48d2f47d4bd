/* read - a stream read in order from a place on, without acks: for folds, caches, look-ups and audit.
 * Gaps (a lost connection, a lost ephemeral consumer) are noticed and read again from the last message seen, so that
 * the callback sees every message once, in order. */
#ifndef TAI_BUS_READ_H
#define TAI_BUS_READ_H

#include "shared/bus/bus.h"

typedef struct BusRead BusRead;

typedef struct {
    Str stream;
    Str filter;             /* subject; empty: all */
    uint64_t from_sequence; /* first sequence wanted; 0: see below */
    int64_t from_time_ms;   /* Unix time, when from_sequence is 0; 0: from the beginning */
    bool last_per_subject;  /* only the last message of each subject; overrides the two above */
    bool follow;            /* goes on for ever; otherwise ends when the end that was is reached */
    size_t batch;           /* messages asked for at once; 0: 500 */
} BusReadOptions;

/* `message` NULL: the end as it stands now is reached. Without `follow` that is the last call (or, with an error, the
 * read was given up); with it, it is said once, the first time. Messages are valid during the call only. */
typedef void BusReadCallback(void *context, Err err, const BusDelivery *message);

MUST_USE Err bus_read_open(Bus *bus, const BusReadOptions *options, BusReadCallback *callback, void *context,
                           BusRead **read);
/* May be called from inside the callback. NULL is fine. */
void bus_read_close(BusRead *read);

#endif
