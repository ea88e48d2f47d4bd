/* watched - a service as it runs in earnest: versions of an instrumented program behind a real HAProxy, requests that
 * keep coming, and a real Prometheus that scrapes every version.
 *
 *     Watched *watched = watched_open((const char *const[]){"v1", "v2 --fail-every 5", NULL});
 *     Stack *stack = rollout_stack(&(StackPlan){.settings = watched->settings});
 *
 * The service is "api" in us-west-2, by the driver haproxy; the first version is the stable one at the beginning.
 * Processes die with the test. */
#ifndef TAI_TESTS_WATCHED_H
#define TAI_TESTS_WATCHED_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/support/process.h"

#define WATCHED_VERSIONS 6
#define WATCHED_CLIENTS 8
#define WATCHED_REGION "us-west-2"

typedef struct {
    char name[32]; /* "v2" */
    int port;
    Process process;
} WatchedVersion;

typedef struct {
    char *folder;
    char *settings; /* for the stack: driver and health */
    int front;      /* where requests go */
    int prometheus_port;
    Process haproxy;
    Process prometheus;
    WatchedVersion versions[WATCHED_VERSIONS];
    int version_count;
    pthread_t clients[WATCHED_CLIENTS];
    atomic_bool closing;
    atomic_ulong answered;
    atomic_ulong lost; /* requests without a whole answer */
} Watched;

bool watched_is_possible(void); /* HAProxy and Prometheus are installed */

/* A version is its name and options of tai-demo; "unseen" in front: it runs and is not scraped. Ends with NULL. Returns
 * once requests are answered and every version was scraped. */
Watched *watched_open(const char *const *versions);
void watched_close(Watched *watched);

WatchedVersion *watched_version(Watched *watched, const char *name);

/* The body of an answer, NULL where there is none; the caller frees it. `status` may be NULL. */
char *watched_get(int port, const char *path, int *status);

/* A sample of a version's own exposition, or -1: "http_request_duration_seconds_count". All of that name together. */
double watched_own(const Watched *watched, const char *version, const char *metric);

/* What Prometheus says to an instant query of one series, or -1. At the time in its own form, "1700000000.250". */
double watched_ask(const Watched *watched, const char *query, const char *time);

#endif
