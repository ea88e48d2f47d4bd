/* rollout - deployments as their users see them: over HTTP, under a policy whose stages take less than a second. */
#ifndef TAI_TESTS_ROLLOUT_H
#define TAI_TESTS_ROLLOUT_H

#include "tests/support/http.h"
#include "tests/support/ledger.h"

#define ROLLOUT_WEST "\"target_region\": \"us-west-2\""
#define ROLLOUT_SEQUENCE "\"target_regions\": [\"us-west-2\", \"us-east-1\"]"

/* A stack with one rollout worker where the plan names none, and with the fast policy: the default one at a hundredth
 * of its time, every stage 0.8 s long; the sandbox has 10,000 requests a second in each region. */
Stack *rollout_stack(const StackPlan *plan);

/* The live policy, to be changed and put back. */
json_t *rollout_policy(Stack *stack);
/* Waits until every policy worker has it. */
void rollout_put_policy(Stack *stack, const json_t *document);
/* A strategy of these stages: "name:weight" words, "!" behind it for one that needs an approval. */
void rollout_add_strategy(json_t *document, const char *name, const char *stages);

/* At the gateway's port of deployments; `body` and `headers` may be NULL. */
Answer rollout_call(Stack *stack, const char *method, const char *path, const char *body, const char *headers);
Answer rollout_get(Stack *stack, const char *path);

/* A deployment's body; `more` members, "" for none. */
const char *rollout_body(Stack *stack, const char *service, const char *version, const char *more);
Answer rollout_post(Stack *stack, const char *body);       /* waits for the outcome */
const char *rollout_begin(Stack *stack, const char *body); /* does not: its id */
json_t *rollout_end(Stack *stack, const char *id);         /* waits: the outcome */
/* Fails the test unless it ends so. */
json_t *rollout_end_as(Stack *stack, const char *id, const char *status);

/* What happened; `region` and `stage` NULL for any. */
json_t *rollout_events(Stack *stack, const char *id);
size_t rollout_count(Stack *stack, const char *id, const char *event, const char *region, const char *stage);
/* The first such event; waits for it. */
json_t *rollout_wait(Stack *stack, const char *id, const char *event, const char *region, const char *stage);

/* Over HTTP, and as anybody with a NATS client. */
void rollout_order(Stack *stack, const char *id, const char *order, const char *who, const char *why);
void rollout_order_by_nats(Stack *stack, const char *id, const char *order, const char *who, const char *why);

/* The sandbox: how versions behave from now on (JSON), and what is really set. */
void cluster_behave(Stack *stack, const char *behavior);
json_t *cluster_look(Stack *stack, const char *region, const char *service);

/* Alerts of deployments of this name that are on the ANDON stream; `summary` is part of theirs. */
size_t rollout_alerts(Stack *stack, const char *alert, const char *severity, const char *summary);

#endif
