/* deploy - commands for the action worker's drivers, and what came of them. */
#include "tests/support/deploy.h"

#include <string.h>

DeploymentCommand deploy_command(const char *driver, RolloutCommand kind, int32_t weight_percent)
{
    return (DeploymentCommand){
        .command_id = STR("dep_1.us-west-2.0.c.1"),
        .deployment_id = STR("dep_1"),
        .region = STR("us-west-2"),
        .kind = kind,
        .driver = str_from(driver),
        .service = STR("api"),
        .version = STR("v2"),
        .image = STR("registry.local/team/api"),
        .digest = STR("sha256:2222222222222222222222222222222222222222222222222222222222222222"),
        .previous_version = STR("v1"),
        .previous_digest = STR("sha256:1111111111111111111111111111111111111111111111111111111111111111"),
        .weight_percent = weight_percent,
    };
}

uint64_t deploy_send(Stack *stack, const DeploymentCommand *command)
{
    Arena arena = arena_make(4096, 1 << 20);
    Str body = wire_encode_deployment_command(&arena, command);
    const char *subject = stack_print(stack, "tai.deployment.command." STR_FMT, STR_ARG(command->region));
    uint64_t sequence = ledger_publish(stack, subject, NULL, body.data, body.length);
    arena_release(&arena);
    return sequence;
}

/* Message by message: a subscription for each look is more than nats.c 3.4 bears a hundred times a second. */
static bool deploy_find(Stack *stack, const char *id, uint64_t *sequence, DeploymentResult *result)
{
    natsMsg *message = NULL;
    while (js_GetMsg(&message, stack_js(stack), "DEPLOYMENT", *sequence + 1, NULL, NULL) == NATS_OK) {
        const char *its_id = NULL;
        bool found = natsMsgHeader_Get(message, "Nats-Msg-Id", &its_id) == NATS_OK && strcmp(its_id, id) == 0;
        if (found) {
            Str body = {natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)};
            pthread_mutex_lock(&stack->lock);
            Err err = wire_decode_deployment_result(&stack->arena, body, result);
            pthread_mutex_unlock(&stack->lock);
            cr_assert(!err_is(err), "%s", err.why);
        }
        natsMsg_Destroy(message);
        *sequence += 1;
        if (found) {
            return true;
        }
    }
    return false;
}

DeploymentResult deploy_wait(Stack *stack, const DeploymentCommand *command, uint64_t sequence)
{
    const char *id =
        stack_print(stack, "result." STR_FMT ".%llu", STR_ARG(command->command_id), (unsigned long long)sequence);
    DeploymentResult result = {0};
    WAIT_UNTIL(deploy_find(stack, id, &sequence, &result));
    cr_assert(str_equal(result.command_id, command->command_id));
    cr_assert(str_equal(result.deployment_id, command->deployment_id));
    cr_assert_gt(result.at_ms, 0);
    return result;
}

DeploymentResult deploy_do(Stack *stack, const DeploymentCommand *command)
{
    return deploy_wait(stack, command, deploy_send(stack, command));
}

void deploy_apply(Stack *stack, const char *driver, int32_t weight_percent)
{
    DeploymentCommand command = deploy_command(driver, ROLLOUT_COMMAND_APPLY, weight_percent);
    DeploymentResult result = deploy_do(stack, &command);
    cr_assert(result.succeeded, STR_FMT, STR_ARG(result.detail));
}

int32_t deploy_read(Stack *stack, const char *driver, int32_t expected_percent)
{
    DeploymentCommand command = deploy_command(driver, ROLLOUT_COMMAND_READ, expected_percent);
    DeploymentResult result = deploy_do(stack, &command);
    cr_assert(result.succeeded, STR_FMT, STR_ARG(result.detail));
    return result.weight_percent;
}
