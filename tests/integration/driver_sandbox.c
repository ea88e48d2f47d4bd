/* driver_sandbox - commands of deployments, carried out in the sandbox's cluster: what becomes of each, and which are
 * not carried out at all. */
#include <signal.h>
#include <string.h>

#include "tests/support/deploy.h"
#include "tests/support/http.h"

#define ONLY_ACTION "redis gateway policy metrics"
#define API "/cluster/us-west-2/services/api"

static Answer cluster(Stack *stack, const char *method, const char *path, const char *body)
{
    return http_call(stack, (Call){.method = method, .path = path, .body = body, .to = STACK_SANDBOX});
}

static void behave(Stack *stack, const char *behavior)
{
    Answer answer = cluster(stack, "PUT", "/cluster/behavior", behavior);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
}

static DeploymentResult carry_out(Stack *stack, RolloutCommand kind)
{
    DeploymentCommand command = deploy_command("sandbox", kind, 0);
    return deploy_do(stack, &command);
}

static void check_detail(const DeploymentResult *result, const char *text)
{
    cr_assert_not_null(memmem(result->detail.data, result->detail.length, text, strlen(text)), "\"" STR_FMT "\"",
                       STR_ARG(result->detail));
}

Test(driver_sandbox, a_version_goes_through_its_weights_and_stays)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION});
    cr_assert_eq(deploy_read(stack, "sandbox", 0), 0);
    static const int32_t weights[] = {5, 25, 100};
    for (size_t i = 0; i < 3; i++) {
        deploy_apply(stack, "sandbox", weights[i]);
        deploy_apply(stack, "sandbox", weights[i]); /* twice is once */
        cr_assert_eq(deploy_read(stack, "sandbox", weights[i]), weights[i]);
    }
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_FINISH).succeeded);
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_FINISH).succeeded);
    cr_assert_eq(deploy_read(stack, "sandbox", 100), 100);
    cr_assert_str_eq(json_text(cluster(stack, "GET", API, NULL).json, "stable_version"), "v2");
    stack_stop(stack);
}

Test(driver_sandbox, a_rollback_restores_what_ran_before_even_after_the_end)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION});
    for (int finished = 0; finished < 2; finished++) {
        deploy_apply(stack, "sandbox", 100);
        if (finished) {
            cr_assert(carry_out(stack, ROLLOUT_COMMAND_FINISH).succeeded);
        }
        cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK).succeeded);
        cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK).succeeded);
        cr_assert_eq(deploy_read(stack, "sandbox", 0), 0);
        cr_assert_str_eq(json_text(cluster(stack, "GET", API, NULL).json, "stable_version"), "v1");
    }
    stack_stop(stack);
}

Test(driver_sandbox, a_cluster_that_lies_is_seen_through_by_reading_back)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION});
    behave(stack, "{\"service\":\"api\",\"lie\":true}");
    deploy_apply(stack, "sandbox", 25);
    cr_assert_eq(deploy_read(stack, "sandbox", 25), 5);
    stack_stop(stack);
}

Test(driver_sandbox, what_may_pass_is_failed_and_what_cannot_work_is_impossible)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION});
    behave(stack, "{\"fail_apply\":1}");
    DeploymentCommand command = deploy_command("sandbox", ROLLOUT_COMMAND_APPLY, 5);
    DeploymentResult result = deploy_do(stack, &command);
    cr_assert(!result.succeeded && !result.impossible);
    check_detail(&result, "503");
    cr_assert(deploy_do(stack, &command).succeeded);
    result = carry_out(stack, ROLLOUT_COMMAND_ROLLBACK);
    cr_assert(result.succeeded);
    command.service = STR("a-service-with-a-name-of-sixty-three-characters-as-dns-has-it-63");
    cr_assert_eq(command.service.length, 64);
    size_t dead = ledger_count_of(stack, "DEAD", "tai.dead.deployment.command");
    deploy_send(stack, &command);
    WAIT_UNTIL(ledger_count_of(stack, "DEAD", "tai.dead.deployment.command") == dead + 1);
    command = deploy_command("carrier-pigeon", ROLLOUT_COMMAND_APPLY, 5);
    result = deploy_do(stack, &command);
    cr_assert(!result.succeeded && result.impossible);
    check_detail(&result, "carrier-pigeon");
    stack_kill(stack, STACK_SANDBOX, 0, SIGKILL);
    command = deploy_command("sandbox", ROLLOUT_COMMAND_READ, 5);
    result = deploy_do(stack, &command);
    cr_assert(!result.succeeded && !result.impossible);
    cr_assert_eq(result.weight_percent, -1);
    stack_stop(stack);
}

Test(driver_sandbox, commands_that_come_too_late_or_from_a_fenced_worker_change_nothing)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION});
    DeploymentCommand command = deploy_command("sandbox", ROLLOUT_COMMAND_APPLY, 25);
    command.not_after_ms = clock_unix_ms() - 1;
    DeploymentResult result = deploy_do(stack, &command);
    cr_assert(!result.succeeded && !result.impossible);
    check_detail(&result, "came too late");
    command.not_after_ms = 0;
    command.fence_sequence = ledger_publish_text(stack, "tai.deployment.event.dep_1", NULL, "{}");
    uint64_t newer = ledger_publish_text(stack, "tai.deployment.event.dep_1", NULL, "{}");
    result = deploy_do(stack, &command);
    cr_assert(!result.succeeded && !result.impossible);
    check_detail(&result, "fenced: the deployment went on");
    cr_assert_eq(cluster(stack, "GET", API, NULL).status, 404);
    command.fence_sequence = newer;
    cr_assert(deploy_do(stack, &command).succeeded);
    stack_stop(stack);
}

Test(driver_sandbox, a_command_waits_for_its_time_without_holding_up_others)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = "TAI_ACTION_LANES_COMMAND_SLOTS=1"});
    DeploymentCommand later = deploy_command("sandbox", ROLLOUT_COMMAND_APPLY, 100);
    later.command_id = STR("dep_1.us-west-2.2.apply.1");
    later.not_before_ms = clock_unix_ms() + 3000;
    uint64_t sequence = deploy_send(stack, &later);
    deploy_apply(stack, "sandbox", 5);
    cr_assert_eq(deploy_read(stack, "sandbox", 5), 5);
    DeploymentResult result = deploy_wait(stack, &later, sequence);
    cr_assert(result.succeeded);
    cr_assert_geq(result.at_ms, later.not_before_ms);
    stack_stop(stack);
}

Test(driver_sandbox, the_commands_of_a_region_are_carried_out_in_the_order_they_came)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION});
    uint64_t sequence = 0;
    DeploymentCommand command = {0};
    for (int32_t weight = 1; weight <= 60; weight++) {
        command = deploy_command("sandbox", ROLLOUT_COMMAND_APPLY, weight);
        sequence = deploy_send(stack, &command);
    }
    cr_assert(deploy_wait(stack, &command, sequence).succeeded);
    cr_assert_eq(deploy_read(stack, "sandbox", 60), 60);
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.result.dep_1"), 61);
    stack_stop(stack);
}

Test(driver_sandbox, a_command_whose_worker_is_killed_is_carried_out_by_the_next)
{
    Stack *stack =
        stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = "TAI_ACTION_LANES_COMMAND_ACK_WAIT_MS=1000"});
    kill(stack_process(stack, STACK_SANDBOX, 0)->pid, SIGSTOP);
    DeploymentCommand command = deploy_command("sandbox", ROLLOUT_COMMAND_APPLY, 25);
    uint64_t sequence = deploy_send(stack, &command);
    clock_pause(200); /* so that it most likely is under way; either way it must come through */
    stack_kill(stack, STACK_ACTION, 0, SIGKILL);
    kill(stack_process(stack, STACK_SANDBOX, 0)->pid, SIGCONT);
    stack_begin(stack, STACK_ACTION, 0);
    cr_assert(deploy_wait(stack, &command, sequence).succeeded);
    cr_assert_eq(deploy_read(stack, "sandbox", 25), 25);
    stack_stop(stack);
}
