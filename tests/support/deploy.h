/* deploy - commands for the action worker's drivers, as a rollout worker would give them, and what came of them. */
#ifndef TAI_TESTS_DEPLOY_H
#define TAI_TESTS_DEPLOY_H

#include "shared/wire/deployment.h"
#include "tests/support/ledger.h"

/* dep_1: version v2 of "api" in us-west-2 after v1, by this driver. */
DeploymentCommand deploy_command(const char *driver, RolloutCommand kind, int32_t weight_percent);

/* Publishes it: its sequence. */
uint64_t deploy_send(Stack *stack, const DeploymentCommand *command);

/* The result of the command that was published with this sequence. */
DeploymentResult deploy_wait(Stack *stack, const DeploymentCommand *command, uint64_t sequence);

/* Both. */
DeploymentResult deploy_do(Stack *stack, const DeploymentCommand *command);

/* Fails the test unless the command succeeds. */
void deploy_apply(Stack *stack, const char *driver, int32_t weight_percent);
/* What the driver reads back; fails the test where it cannot. */
int32_t deploy_read(Stack *stack, const char *driver, int32_t expected_percent);

#endif
