/* fold - figures folded from ledgers, each message exactly once, and kept with their place in the ledgers.
 *
 * The snapshot (KV tai_metrics, one key for each domain) holds figures and sequences in one message, so it is either
 * there or not; a worker that starts goes on behind it, and what was folded twice (an older snapshot, two workers) is
 * told by its sequence. */
#ifndef TAI_WORKERS_METRICS_FOLD_H
#define TAI_WORKERS_METRICS_FOLD_H

#include "workers/metrics/metrics.h"

#define FOLD_SOURCES_MAX 2

/* A ledger, or a part of one, that is read in order. */
typedef struct {
    const char *stream;     /* "PAYMENT" */
    const char *filter;     /* "": all */
    size_t sequence_offset; /* of the uint64_t in the figures that says how far they got */
    void (*fold)(void *context, Arena *arena, const BusDelivery *message); /* the arena is reset before each */
} FoldSource;

typedef struct {
    const char *domain; /* "payment": key of the snapshot, and tai.query.<domain>.metrics */
    void *figures;      /* the owner's */
    size_t figures_bytes;
    Err (*decode)(Arena *arena, Str body, void *figures);
    Str (*encode)(Arena *arena, const void *figures);
    Str (*print)(void *context, Arena *arena, bool prometheus); /* the answer to a query: else JSON */
    FoldSource sources[FOLD_SOURCES_MAX];
    size_t source_count;
    void *context; /* of fold and print */
} FoldSpec;

typedef struct Fold Fold;

/* Restores the figures, then follows the ledgers; answers queries. */
MUST_USE Err fold_open(Worker *worker, const MetricsSettings *settings, const FoldSpec *spec, Fold **fold);
void fold_close(Fold *fold);          /* NULL is fine */
bool fold_is_ready(const Fold *fold); /* the snapshot is restored */
bool fold_is_saved(const Fold *fold); /* nothing is left to put away */

#endif
