/* facts - what is asked before a deployment is judged: the image of its registry, and how the versions do that run in
 * its regions now. Everything is asked at once; what could not be told is asked again with the signal's next delivery,
 * up to a deadline. */
#ifndef TAI_WORKERS_POLICY_FACTS_H
#define TAI_WORKERS_POLICY_FACTS_H

#include "shared/deployment/policy.h"
#include "workers/policy/health.h"

/* Tags of the calls: a token for the registry, the image, and HEALTH_CALLS for each region from FACTS_TAG_HEALTH on. */
#define FACTS_TAG_TOKEN 999
#define FACTS_TAG_IMAGE 1000
#define FACTS_TAG_HEALTH 1001

typedef struct {
    DeploymentFacts facts;
    int outstanding;
    bool authorized; /* the registry was asked with what it wanted */
    Health *health;  /* of each region, as in the signal */
    Err unknown;     /* the first thing that could not be told; none: everything is known */
} Facts;

/* The image that a signal is about. */
Str facts_image(Task *task, const PolicySettings *settings, const DeploymentSignal *signal);

/* Asks by task_call(). Nothing outstanding afterwards: there was nothing to ask. */
void facts_ask(Task *task, const Policy *policy, const DeploymentDecision *decision, Facts *facts);

/* An answer, TASK_CALLED. */
void facts_hear(Task *task, const Policy *policy, const DeploymentDecision *decision, const TaskEvent *event,
                Facts *facts);

/* Whether to judge on what is known, although something is not. */
bool facts_are_due(const Task *task, const PolicySettings *settings);

#endif
