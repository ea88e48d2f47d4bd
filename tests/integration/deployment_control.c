/* deployment_control - orders to a rollout, over HTTP and by any NATS client: each is on the ledger with who, when and
 * why, and is honoured in every state. And what a rollout does when its world misbehaves. */
#include <string.h>

#include "tests/support/pay.h"
#include "tests/support/rollout.h"

/* A policy under which stages last until somebody says so: with a minute of observing, and time as it is. */
static Stack *slow_stack(const char *stages)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    json_object_set_new(policy, "time_scale", json_real(1));
    rollout_add_strategy(policy, "slow", stages);
    rollout_put_policy(stack, policy);
    return stack;
}

static const char *slow_body(Stack *stack, const char *service, const char *version)
{
    return rollout_body(stack, service, version, ROLLOUT_WEST ", \"rollout_strategy\": \"slow\"");
}

static void check_ordered(Stack *stack, const char *id, const char *event, const char *who, const char *why)
{
    json_t *found = rollout_wait(stack, id, event, NULL, NULL);
    cr_assert_str_eq(json_text(found, "who"), who);
    cr_assert_str_eq(json_text(found, "why"), why);
    cr_assert_str_not_empty(json_text(found, "at"));
}

/* --- orders ---------------------------------------------------------------------------------------------------- */

Test(deployment_control, pause_resume_promote_and_promote_full_are_done_in_somebodys_name)
{
    Stack *stack = slow_stack("canary:5 staging:25 half:50 prod:100");
    const char *id = rollout_begin(stack, slow_body(stack, "api", "v1"));
    rollout_wait(stack, id, "observing", NULL, "canary");
    rollout_order(stack, id, "pause", "ada", "lunch");
    check_ordered(stack, id, "paused", "ada", "lunch");
    WAIT_UNTIL(
        json_is_true(json_at(rollout_get(stack, stack_print(stack, "/deployments/%s", id)).json, "regions.0.paused")));
    rollout_order_by_nats(stack, id, "resume", "bob", "back again");
    check_ordered(stack, id, "resumed", "bob", "back again");
    rollout_order(stack, id, "promote", "cyd", "looks good");
    check_ordered(stack, id, "promoted", "cyd", "looks good");
    rollout_wait(stack, id, "stage_passed", NULL, "canary");
    rollout_wait(stack, id, "verified", NULL, "staging");
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, "staging"), 0, "one stage was promoted, not two");
    rollout_order_by_nats(stack, id, "promote_full", "dee", "urgent");
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(rollout_count(stack, id, "promoted", NULL, NULL), 2);
    cr_assert_eq((int)json_number(cluster_look(stack, "us-west-2", "api"), "weight_percent"), 100);
    json_t *detail = rollout_get(stack, stack_print(stack, "/deployments/%s", id)).json;
    cr_assert_eq(json_array_size(json_at(detail, "orders")), 4);
    cr_assert_str_eq(json_text(detail, "orders.3.who"), "dee");
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.control.%s", id)), 4);
    stack_stop(stack);
}

Test(deployment_control, a_gate_waits_for_an_approval_with_a_name)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    rollout_add_strategy(policy, "gated", "canary:5 prod:100!");
    rollout_put_policy(stack, policy);
    const char *more = ROLLOUT_WEST ", \"rollout_strategy\": \"gated\"";
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v1", more));
    rollout_wait(stack, id, "stage_passed", NULL, "canary");
    rollout_order(stack, id, "promote", "ada", "not what it waits for");
    Answer nameless = rollout_call(stack, "POST", stack_print(stack, "/deployments/%s/control", id),
                                   "{\"order\": \"approve\", \"why\": \"because\"}", NULL);
    check_problem(stack, &nameless, 400);
    cr_assert_eq(rollout_count(stack, id, "applied", NULL, "prod"), 0);
    rollout_order_by_nats(stack, id, "approve", "release-board", "meeting 12");
    check_ordered(stack, id, "approved", "release-board", "meeting 12");
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(rollout_count(stack, id, "promoted", NULL, NULL), 0);
    stack_stop(stack);
}

/* --- abort ----------------------------------------------------------------------------------------------------- */

static void check_aborted(Stack *stack, const char *id)
{
    json_t *outcome = rollout_end_as(stack, id, "ABORTED");
    cr_assert(strstr(json_text(outcome, "error_message"), "enough"), "%s", json_text(outcome, "error_message"));
    json_t *now = cluster_look(stack, "us-west-2", json_text(outcome, "service"));
    cr_assert(!now || (int)json_number(now, "weight_percent") == 0);
}

Test(deployment_control, abort_works_while_it_waits_in_the_queue_and_while_it_is_observed)
{
    Stack *stack = slow_stack("canary:5 prod:100");
    const char *first = rollout_begin(stack, slow_body(stack, "api", "v1"));
    rollout_wait(stack, first, "observing", NULL, NULL);
    const char *queued = rollout_begin(stack, slow_body(stack, "web", "v1"));
    WAIT_UNTIL(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.region.us-west-2") == 2);
    rollout_order(stack, queued, "abort", "ada", "enough");
    rollout_order(stack, first, "abort", "ada", "enough");
    check_aborted(stack, first);
    check_aborted(stack, queued);
    cr_assert_eq(rollout_count(stack, queued, "applied", NULL, NULL), 0);
    cr_assert_eq(rollout_count(stack, first, "rollback_applied", NULL, NULL), 1);
    stack_stop(stack);
}

Test(deployment_control, abort_works_while_an_approval_is_waited_for_and_while_paused)
{
    Stack *stack = slow_stack("canary:5! prod:100");
    const char *gated = rollout_begin(stack, slow_body(stack, "api", "v1"));
    rollout_wait(stack, gated, "started", NULL, NULL);
    rollout_order(stack, gated, "abort", "ada", "enough");
    check_aborted(stack, gated);
    const char *paused = rollout_begin(stack, slow_body(stack, "web", "v1"));
    rollout_wait(stack, paused, "started", NULL, NULL);
    rollout_order(stack, paused, "approve", "ada", "go");
    rollout_wait(stack, paused, "observing", NULL, NULL);
    rollout_order(stack, paused, "pause", "ada", "wait");
    rollout_wait(stack, paused, "paused", NULL, NULL);
    rollout_order_by_nats(stack, paused, "abort", "ada", "enough");
    check_aborted(stack, paused);
    stack_stop(stack);
}

Test(deployment_control, abort_works_while_it_is_applied_while_it_warms_up_and_while_it_goes_back)
{
    Stack *stack = slow_stack("canary:5 prod:100");
    json_t *policy = rollout_policy(stack);
    json_object_set_new(json_at(policy, "strategies.slow.stages.0"), "warm_up_seconds", json_integer(60));
    json_object_set_new(policy, "command_tries", json_integer(50));
    rollout_put_policy(stack, policy);
    cluster_behave(stack, "{\"service\": \"api\", \"fail_apply\": 1000}");
    const char *applied = rollout_begin(stack, slow_body(stack, "api", "v1"));
    rollout_wait(stack, applied, "try_failed", NULL, NULL);
    rollout_order(stack, applied, "abort", "ada", "enough");
    check_aborted(stack, applied);
    const char *warm = rollout_begin(stack, slow_body(stack, "web", "v1"));
    rollout_wait(stack, warm, "verified", NULL, NULL);
    cluster_behave(stack, "{\"service\": \"web\", \"fail_rollback\": 2}");
    rollout_order(stack, warm, "abort", "ada", "enough");
    rollout_wait(stack, warm, "rollback_begun", NULL, NULL);
    rollout_order(stack, warm, "abort", "bob", "once more");
    check_aborted(stack, warm);
    cr_assert_eq(rollout_count(stack, warm, "rollback_begun", NULL, NULL), 1);
    stack_stop(stack);
}

Test(deployment_control, an_order_for_what_is_over_or_never_was_is_refused)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    const char *order = "{\"order\": \"pause\", \"who\": \"ada\", \"why\": \"lunch\"}";
    Answer answer = rollout_call(stack, "POST", "/deployments/dep_nobody/control", order, NULL);
    check_problem(stack, &answer, 404);
    const char *id =
        json_text(rollout_post(stack, rollout_body(stack, "api", "v1-bad", ROLLOUT_WEST)).json, "deployment_id");
    answer = rollout_call(stack, "POST", stack_print(stack, "/deployments/%s/control", id), order, NULL);
    check_problem(stack, &answer, 409);
    answer = rollout_call(stack, "POST", stack_print(stack, "/deployments/%s/control", id),
                          "{\"order\": \"explode\", \"who\": \"ada\"}", NULL);
    check_problem(stack, &answer, 400);
    stack_stop(stack);
}

/* The outcome stands; what runs is the version before. */
Test(deployment_control, a_success_is_gone_back_from_with_one_order_while_the_version_before_is_kept)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    json_object_set_new(policy, "bake_seconds", json_integer(600 * 100));
    rollout_put_policy(stack, policy);
    rollout_end_as(stack, rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST)), "SUCCESS");
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v2", ROLLOUT_WEST));
    rollout_end_as(stack, id, "SUCCESS");
    rollout_order(stack, id, "abort", "ada", "customers complain");
    json_t *begun = rollout_wait(stack, id, "rollback_begun", "us-west-2:restore", NULL);
    cr_assert_str_eq(json_text(begun, "who"), "ada");
    cr_assert_str_eq(json_text(begun, "why"), "customers complain");
    rollout_wait(stack, id, "ended", "us-west-2:restore", NULL);
    json_t *now = cluster_look(stack, "us-west-2", "api");
    cr_assert_str_eq(json_text(now, "stable_version"), "v1");
    cr_assert_eq((int)json_number(now, "weight_percent"), 0);
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.outcome.%s", id)), 1);
    stack_stop(stack);
}

/* --- a world that misbehaves ----------------------------------------------------------------------------------- */

/* The driver says that the weight is set, and sets 5 %. */
Test(deployment_control, a_driver_that_lies_never_gets_past_the_stage)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    json_object_set_new(policy, "command_tries", json_integer(2));
    rollout_put_policy(stack, policy);
    cluster_behave(stack, "{\"service\": \"api\", \"lie\": true}");
    Answer answer = rollout_post(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST));
    cr_assert_eq(answer.status, 502, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "FAILED");
    cr_assert(strstr(json_text(answer.json, "error_message"), "set 25 %, found 5 %"), "%s", answer.body);
    const char *id = json_text(answer.json, "deployment_id");
    cr_assert_eq(rollout_count(stack, id, "verified", NULL, "staging"), 0);
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, "staging"), 0);
    cr_assert_eq(rollout_count(stack, id, "rollback_applied", NULL, NULL), 1);
    cr_assert_eq((int)json_number(cluster_look(stack, "us-west-2", "api"), "weight_percent"), 0);
    WAIT_UNTIL(rollout_alerts(stack, "deployment_failed", "CRITICAL", "api v1") == 1);
    stack_stop(stack);
}

/* As a reload of HAProxy does, or a person. */
Test(deployment_control, a_weight_that_somebody_changed_while_it_was_observed_is_set_anew_before_it_is_judged)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    rollout_end_as(stack, rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST)), "SUCCESS");
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v2", ROLLOUT_WEST));
    rollout_wait(stack, id, "observing", NULL, "staging");
    Answer answer = http_call(stack, (Call){.method = "PUT",
                                            .path = "/cluster/us-west-2/services/api",
                                            .body = "{\"version\": \"v2\", \"weight_percent\": 0, "
                                                    "\"previous_version\": \"v1\"}",
                                            .to = STACK_SANDBOX});
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    json_t *found = rollout_wait(stack, id, "try_failed", NULL, "staging");
    cr_assert_eq(json_number(found, "weight_percent"), 0);
    cr_assert_str_eq(json_text(found, "why"), "was set 25 %, is 0 % by now");
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(rollout_count(stack, id, "applied", NULL, "staging"), 2);
    cr_assert_eq(rollout_count(stack, id, "observing", NULL, "staging"), 2);
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, "staging"), 1);
    stack_stop(stack);
}

Test(deployment_control, a_way_back_that_fails_is_loud)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    json_object_set_new(policy, "command_tries", json_integer(1));
    rollout_put_policy(stack, policy);
    cluster_behave(stack, "{\"service\": \"api\", \"fail_rollback\": 1000}");
    Answer answer = rollout_post(stack, rollout_body(stack, "api", "v1-bad", ROLLOUT_WEST));
    cr_assert_eq(answer.status, 502, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "FAILED");
    cr_assert(strstr(json_text(answer.json, "error_message"), "rollback failed"), "%s", answer.body);
    const char *id = json_text(answer.json, "deployment_id");
    cr_assert_str_eq(json_text(rollout_wait(stack, id, "ended", NULL, NULL), "phase"), "rollback_failed");
    WAIT_UNTIL(rollout_alerts(stack, "deployment_failed", "CRITICAL", "rollback failed") == 1);
    stack_stop(stack);
}

Test(deployment_control, without_traffic_nothing_passes_and_a_person_is_waited_for)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    cluster_behave(stack, "{\"service\": \"api\", \"requests_per_second\": 0}");
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST));
    json_t *paused = rollout_wait(stack, id, "paused", NULL, "canary");
    cr_assert_str_eq(json_text(paused, "who"), "judge");
    cr_assert_str_eq(json_text(paused, "verdict.verdict"), "inconclusive");
    cr_assert_geq(rollout_count(stack, id, "extended", NULL, "canary"), 1);
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, NULL), 0);
    WAIT_UNTIL(rollout_alerts(stack, "rollout_paused", "HIGH", "api v1") == 1);
    cluster_behave(stack, "{\"service\": \"api\", \"requests_per_second\": 10000}");
    rollout_order(stack, id, "resume", "ada", "there is traffic now");
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(ledger_count_of(stack, "ANDON", "tai.andon.deployment.rollout_paused"), 2, "and an all-clear");
    stack_stop(stack);
}

/* So sure a bound that the canary's few requests straddle the limit, and staging's many do not. */
Test(deployment_control, a_stage_that_passes_close_to_the_limit_is_told_with_an_all_clear_when_it_is_no_longer_so)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    json_object_set_new(json_at(policy, "limits"), "bound_alpha", json_real(0.0001));
    rollout_put_policy(stack, policy);
    cluster_behave(stack, "{\"service\": \"api\", \"error_rate\": 0}");
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST));
    rollout_end_as(stack, id, "SUCCESS");
    json_t *passed = rollout_wait(stack, id, "stage_passed", NULL, "canary");
    cr_assert_str_eq(json_text(passed, "verdict.verdict"), "marginal");
    WAIT_UNTIL(ledger_count_of(stack, "ANDON", "tai.andon.deployment.health_marginal") == 2);
    cr_assert_eq(rollout_alerts(stack, "health_marginal", "HIGH", "api v1"), 1, "raised once, and cleared");
    stack_stop(stack);
}

Test(deployment_control, a_health_source_that_fails_now_and_then_decides_nothing)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    cluster_behave(stack, "{\"service\": \"api\", \"version\": \"v1\", \"fail_health\": 11}");
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST));
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(rollout_count(stack, id, "rollback_begun", NULL, NULL), 0);
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, NULL), 3);
    stack_stop(stack);
}

static void flap(Stack *stack, const char *id, const char *stage, const char *up, const char *down)
{
    for (int i = 0; rollout_count(stack, id, "stage_passed", NULL, stage) == 0 &&
                    rollout_count(stack, id, "ended", NULL, NULL) == 0;
         i++) {
        cr_assert_lt(i, 1000);
        cluster_behave(stack, stack_print(stack, "{\"service\": \"api\", \"version\": \"v1\", \"error_rate\": %s}",
                                          i % 2 ? up : down));
        clock_pause(20);
    }
}

Test(deployment_control, a_flapping_metric_below_the_limit_passes_and_one_above_it_goes_back_once)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST));
    flap(stack, id, "staging", "0.02", "0");
    flap(stack, id, "prod", "0.3", "0");
    rollout_end_as(stack, id, "ROLLED_BACK");
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, "canary"), 1);
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, "staging"), 1);
    cr_assert_eq(rollout_count(stack, id, "rollback_begun", NULL, NULL), 1);
    stack_stop(stack);
}
