/* health - how the version does that runs in a region now, from the configured source.
 *
 * Too little traffic to tell, or a source that does not know the version, says nothing against it: it may be the last
 * one that told nothing, or the night. A source that does not answer, or answers with NaN, leaves it unknown. */
#ifndef TAI_WORKERS_POLICY_HEALTH_H
#define TAI_WORKERS_POLICY_HEALTH_H

#include "shared/deployment/policy.h"
#include "shared/wire/prometheus.h"
#include "shared/worker/task.h"
#include "workers/policy/policy.h"

#define HEALTH_CALLS COUNTING_QUERIES /* at most, for a region */

typedef struct {
    Str version;     /* that runs */
    int outstanding; /* answers */
    Err unknown;     /* why it could not be told */
    bool healthy;
    PrometheusAsked asked;
    CountingTable tables[COUNTING_QUERIES];
} Health;

/* Whether there is a source that knows about the region. */
bool health_is_told(const Policy *policy, Str region);

/* Asks by task_call() with tags from `tag` on: how many. The version is set; `at`: the signal's region. */
int health_ask(Task *task, const Policy *policy, const DeploymentSignal *signal, size_t at, int tag, Health *health);

/* An answer to the call with its tag. True with the last one: `unknown` or `healthy` is set. */
bool health_hear(Task *task, const DeploymentPolicy *rules, const HttpResult *answer, int call, Health *health);

#endif
