/* signal - deployments as a publisher and the policy workers see them: signals in, decisions and rejections out. */
#ifndef TAI_TESTS_SIGNAL_H
#define TAI_TESTS_SIGNAL_H

#include "shared/wire/deployment.h"
#include "shared/wire/digest.h"
#include "tests/support/http.h"
#include "tests/support/ledger.h"

/* A plan for tests that end with the decision. */
#define POLICY_ONLY .without = "gateway action metrics"
#define WEST "\"target_region\": \"us-west-2\""

/* JSON; `more` members, "" for none. */
const char *signal_body(Stack *stack, const char *service, const char *version, const char *more);

/* Publishes as "shop1" on the plain subject, with a key: the deployment's id. */
const char *signal_send(Stack *stack, const char *key, const char *body);
const char *deployment_of_key(Stack *stack, const char *publisher, const char *key);

size_t deployment_count(Stack *stack, const char *filter); /* messages of DEPLOYMENT */

/* Waits for it, and checks that it stands on the subject that it should. */
DeploymentDecision decision_wait(Stack *stack, const char *id);
size_t decision_count(Stack *stack, const char *id);
DeploymentOutcome rejection_wait(Stack *stack, const char *id);

/* Rejected for this and nothing else. */
void check_rejected_for(Stack *stack, const char *id, const char *code);
const char *violation_detail(Stack *stack, const DeploymentOutcome *outcome, const char *code);

/* As a rollout worker says what runs in a region. */
void signal_running(Stack *stack, const char *region, const char *service, const char *version, const char *digest);

#endif
