/* cluster - regions where services run in two versions, with simulated traffic between them.
 * Nothing really runs: requests, errors and latencies follow from the weights that were set and the time that passed,
 * drawn anew for each request from a hash of its number, so that a window gives the same counts whenever it is read. */
#ifndef SANDBOX_CLUSTER_H
#define SANDBOX_CLUSTER_H

#include <stdint.h>

#include "shared/base/str.h"
#include "shared/deployment/judge.h"

#define CLUSTER_SERVICES_MAX 65536 /* over all regions; more are refused with 507 */
#define CLUSTER_RULES_MAX 1024
#define CLUSTER_HISTORY 32 /* changes of a service that are remembered; older ones count as the oldest of them */
#define CLUSTER_NAME_BYTES 64
#define CLUSTER_VERSION_BYTES 160

typedef struct {
    int64_t since_ms; /* Unix time */
    int32_t weight_percent;
    char version[CLUSTER_VERSION_BYTES]; /* that has the weight; "": none */
    char stable[CLUSTER_VERSION_BYTES];  /* that has the rest; "": the rest is lost */
} ClusterSplit;

typedef struct ClusterService {
    struct ClusterService *next; /* of its bucket */
    char region[CLUSTER_NAME_BYTES];
    char service[CLUSTER_NAME_BYTES];
    char digest[CLUSTER_VERSION_BYTES];
    ClusterSplit history[CLUSTER_HISTORY]; /* the last one is what stands now */
    int32_t history_count;
} ClusterService;

typedef enum { CLUSTER_APPLY = 0, CLUSTER_READ, CLUSTER_ROLLBACK, CLUSTER_FINISH, CLUSTER_HEALTH } ClusterCall;
#define CLUSTER_CALLS 5

/* How versions behave. Negative: says nothing about it, the next wider rule counts. */
typedef struct {
    char region[CLUSTER_NAME_BYTES];     /* "": in every region */
    char service[CLUSTER_NAME_BYTES];    /* "": of every service */
    char version[CLUSTER_VERSION_BYTES]; /* "": every version */
    double error_rate;
    int64_t p99_ms;
    double requests_per_second;
    int lie;                      /* 1: says that the weight is set, and sets 5 */
    int64_t fails[CLUSTER_CALLS]; /* so many calls still to come are answered with 503, without effect */
} ClusterRule;

#define CLUSTER_BUCKETS 4096

typedef struct {
    ClusterService *services[CLUSTER_BUCKETS];
    size_t service_count;
    ClusterRule rules[CLUSTER_RULES_MAX];
    size_t rule_count;
} Cluster;

void cluster_clear(Cluster *cluster);

ClusterService *cluster_find(const Cluster *cluster, Str region, Str service); /* NULL: none */
/* Makes it where there is none. NULL: too many, or the names are too long or empty. */
ClusterService *cluster_make(Cluster *cluster, Str region, Str service, int64_t unix_ms);

const ClusterSplit *cluster_now(const ClusterService *service);
/* The last split once more, as of now, to be changed. */
ClusterSplit *cluster_change(ClusterService *service, int64_t unix_ms);

/* What rules are about. Empty: all. */
typedef struct {
    Str region;
    Str service;
    Str version;
} ClusterSubject;

/* The rule for exactly this, made where there is none. NULL: too many, or too long. */
ClusterRule *cluster_rule(Cluster *cluster, const ClusterSubject *subject);
/* True where this call is to fail; counts it. */
bool cluster_fails(Cluster *cluster, const ClusterSubject *subject, ClusterCall call);
bool cluster_lies(const Cluster *cluster, const ClusterSubject *subject);

/* What came to the version that has the weight now, and to the stable one, from since_ms up to, not including,
 * until_ms; at most the last hour of it. */
void cluster_count(const Cluster *cluster, const ClusterService *service, int64_t since_ms, int64_t until_ms,
                   JudgeCounts *canary, JudgeCounts *baseline);

#endif
