/* listing - what the files of the listing share: one deployment as the list knows it, and the question for all of it.
 */
#ifndef TAI_WORKERS_METRICS_LISTING_H
#define TAI_WORKERS_METRICS_LISTING_H

#include "shared/deployment/work.h"
#include "workers/metrics/metrics.h"

typedef struct Listed Listed;
struct Listed {
    Listed *next;      /* in its bucket */
    uint64_t sequence; /* of the decision, or of the signal while there is none */
    bool decided;
    DeploymentStatus status;
    bool paused;
    int64_t updated_ms;
    char region[80]; /* of the last event: "us-west-2", "us-west-2/restore" */
    char stage[32];
    char event[32]; /* the last one's name; empty: none yet */
    char *texts;    /* what the pointers below point into; owned */
    const char *deployment_id;
    const char *service;
    const char *version;
    const char *strategy;
    const char *regions[DEPLOYMENT_REGIONS_MAX];
    size_t region_count;
};

typedef struct Detail Detail;

/* Questions for all of a deployment that are being read. */
typedef struct {
    Worker *worker;
    Detail *first;
    size_t count;
} Details;

/* Answers `reply` with all that the ledger says about one deployment, as JSON; reads it, so that the answer comes
 * later, or never. Nothing of `listed` is used after the call. */
void detail_answer(Details *details, const Listed *listed, Str reply);
/* The same for an id that is not listed: its outcome, where the ledger has one; otherwise nothing (an empty body). */
void detail_answer_unlisted(Details *details, Str id, Str reply);
void details_close(Details *details);

/* RFC 3339, UTC, milliseconds. */
Str detail_print_time(Arena *arena, int64_t time_ms);

#endif
