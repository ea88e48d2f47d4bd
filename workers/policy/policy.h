/* policy - the policy worker's context: what the process keeps between messages. */
#ifndef TAI_WORKERS_POLICY_POLICY_H
#define TAI_WORKERS_POLICY_POLICY_H

#include "shared/worker/worker.h"
#include "workers/policy/blacklist.h"
#include "workers/policy/document.h"
#include "workers/policy/regions.h"

typedef struct {
    int64_t deadline_ms;            /* from the ledger's time of a payment's signal: no charge is begun later */
    char registry_url[512];         /* empty: not asked */
    char registry_credentials[256]; /* "user:password"; empty: asked as nobody */
    char registry_prefix[128];      /* before a service's name, where the signal names no image */
    char health[16];                /* of what runs: "sandbox" or "prometheus" */
    char health_url[512];           /* where it is asked for; empty: not asked */
    char prometheus_requests[512];  /* templates of the queries, as the rollout worker has them */
    char prometheus_errors[512];
    char prometheus_latency[512];
    char prometheus_started[512];
    int64_t deployment_facts_ms; /* how long to ask again for what could not be told */
    char deployment_profile[16]; /* "real" or "quick": of the default document */
} PolicySettings;

typedef struct {
    PolicySettings settings;
    StoreScript fraud_features;
    Blacklist *blacklist;
    Regions *regions;
    Document *payment;    /* a FraudPolicy */
    Document *deployment; /* a DeploymentPolicy */
} Policy;

/* The lane of payment signals. */
void payment_signal_step(void *context, Task *task, const TaskEvent *event);
StoreScript payment_fraud_script(void);
DocumentKind payment_document(void);

/* The lane of deployment signals. */
void deployment_signal_step(void *context, Task *task, const TaskEvent *event);
MUST_USE Err deployment_settings_check(const PolicySettings *settings);
DocumentKind deployment_document(const PolicySettings *settings); /* which outlive it */

#endif
