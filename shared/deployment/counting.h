/* counting - counters that were sampled over a window become the counts that a judge is told. Pure.
 *
 * A window is a row of points at equal distances, its beginning and its end among them, and a series is one counter of
 * one process ("instance") at those points. Counted is what a counter gained from point to point:
 *
 * - A counter that fell was reset by a restart, and counts from zero again. One process restarts as a whole: when one
 * of its counters fell, all of them count from zero at that point, so that requests, errors and buckets stay together.
 *   Where the query tells no instances apart, a sum that fell lost a process or was restarted, nobody can tell which:
 *   that step adds nothing.
 * - A counter that appears while its process was sampled before was born then, and counts from zero.
 * - A process that appears within the window counts from zero where its own start is known to lie within the window;
 *   otherwise what it had counted before is unknown, and it counts from where it was first seen.
 * - A series that misses points in between goes on from where it was.
 *
 * What is not there is told apart from what is zero: a query without a series says nothing. */
#ifndef TAI_DEPLOYMENT_COUNTING_H
#define TAI_DEPLOYMENT_COUNTING_H

#include "shared/base/arena.h"
#include "shared/deployment/judge.h"

#define COUNTING_POINTS_MAX 31

/* Points are start + i * step; the last one is the window's end. */
typedef struct {
    int64_t start_ms; /* Unix time; may lie up to a few ms behind the window's beginning, never before it */
    int64_t step_ms;
    int points; /* at least 2 */
} CountingRange;

/* `steps` of them, fewer where the window is shorter than that many ms. */
CountingRange counting_range(int64_t since_ms, int64_t until_ms, int steps);
int64_t counting_end_ms(const CountingRange *range);

typedef struct {
    int version;       /* which of those that were asked for, from 0 */
    uint64_t instance; /* tells processes apart; 0: the query does not */
    double bound_s;    /* of a histogram's bucket, itself included, in seconds; NaN where it is none */
    uint32_t present;  /* bit i: values[i] was told */
    double *values;    /* one for each point; may be NaN or infinite, as told */
} CountingSeries;

typedef struct {
    CountingSeries *series;
    size_t count;
} CountingTable;

typedef enum {
    COUNTING_REQUESTS = 0,
    COUNTING_ERRORS,
    COUNTING_LATENCY, /* cumulative buckets in seconds */
    COUNTING_STARTED, /* when the process began, Unix seconds; may be empty: then nothing is known of it */
} CountingQuery;
#define COUNTING_QUERIES 4
const char *counting_query_name(CountingQuery query); /* "requests", … */

typedef enum {
    COUNTING_COUNTED = 0,
    COUNTING_NO_SERIES,   /* of this version, at no point */
    COUNTING_ENDED,       /* there was one, and at the window's end there is none */
    COUNTING_NO_NUMBER,   /* NaN, infinite or negative */
    COUNTING_NO_HISTOGRAM /* there are series, but no cumulative buckets up to infinity */
} CountingState;
const char *counting_state_name(CountingState state); /* "no series", … */

typedef struct {
    CountingState states[COUNTING_STARTED]; /* by query */
    JudgeCounts counts;                     /* of what is COUNTED; latency in the judge's buckets */
} CountingResult;

/* A bucket between two bounds of the judge's counts as the slower. The arena is used for the work only. */
CountingResult counting_count(const CountingRange *range, const CountingTable tables[COUNTING_QUERIES], int version,
                              Arena *arena);

#endif
