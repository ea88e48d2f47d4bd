/* health - how a version does, as raw counts, from the configured source. */
#ifndef TAI_WORKERS_ROLLOUT_HEALTH_H
#define TAI_WORKERS_ROLLOUT_HEALTH_H

#include "shared/base/arena.h"
#include "shared/deployment/judge.h"
#include "workers/rollout/rollout.h"

#define HEALTH_TIMEOUT_MS 5000

typedef struct {
    Str region;
    Str service;
    Str version;  /* canary */
    Str baseline; /* the version that it is compared with; empty: none */
    int64_t since_ms;
    int64_t until_ms; /* Unix */
} HealthWindow;

typedef struct {
    bool have_canary; /* false: why says what is missing (no series, NaN, source down) */
    bool have_baseline;
    JudgeCounts canary;
    JudgeCounts baseline;
    Str query; /* for the event: what was asked */
    char why[160];
} HealthAnswer;

typedef void HealthCallback(void *context, const HealthAnswer *answer);

/* Exactly one call back, never from inside the call. `arena` lasts until then. With have_canary, `why` may still tell
 * that latency is missing. */
void health_ask(Rollouts *rollouts, Arena *arena, const HealthWindow *window, HealthCallback *callback, void *context);

MUST_USE Err health_settings_check(const RolloutSettings *settings);

/* For the files of the sources: one window being asked for. */
typedef struct {
    Rollouts *rollouts;
    Arena *arena;
    HealthWindow window;
    HealthCallback *callback;
    void *context;
    HealthAnswer answer;
    bool failed; /* why is in the answer */
} HealthAsking;

void health_fail(HealthAsking *asking, const char *format, ...) PRINTF_LIKE(2, 3); /* the first reason is told */
void health_done(HealthAsking *asking);

/* prometheus.c */
void prometheus_ask(HealthAsking *asking);

#endif
