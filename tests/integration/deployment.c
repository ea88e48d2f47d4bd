/* deployment - a deployment from POST /deploy to its outcome, with real processes: what succeeds, what the policy
 * refuses, what goes back by itself, and the figures. */
#include <string.h>

#include "shared/wire/deployment.h"
#include "tests/support/rollout.h"
#include "tests/support/pay.h"

#define SEED                                                                                                           \
    "{\"service\": \"api-service\", \"version\": \"v2.0.0\", \"target_region\": \"us-west-2\", "                       \
    "\"rollout_strategy\": \"canary\"}"

static void check_texts(const json_t *array, const char *expected)
{
    char all[256] = "";
    for (size_t i = 0; i < json_array_size(array); i++) {
        size_t length = strlen(all);
        snprintf(all + length, sizeof all - length, "%s%s", i ? " " : "", json_string_value(json_array_get(array, i)));
    }
    cr_assert_str_eq(all, expected);
}

/* --- success --------------------------------------------------------------------------------------------------- */

Test(deployment, a_good_version_is_deployed_and_told_with_all_its_stages)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    Answer answer = rollout_post(stack, SEED);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    const char *id = json_text(answer.json, "deployment_id");
    cr_assert_eq(strncmp(id, "dep_", 4), 0, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "service"), "api-service");
    cr_assert_str_eq(json_text(answer.json, "version"), "v2.0.0");
    cr_assert_str_eq(json_text(answer.json, "status"), "SUCCESS");
    cr_assert_str_eq(json_text(answer.json, "strategy"), "canary");
    cr_assert_gt(json_number(answer.json, "duration_secs"), 0);
    check_texts(json_at(answer.json, "stages_completed"), "validation canary staging prod");
    cr_assert_str_eq(json_text(answer.json, "regions.0.region"), "us-west-2");
    cr_assert_str_eq(json_text(answer.json, "regions.0.status"), "SUCCESS");
    cr_assert(json_is_null(json_at(answer.json, "error_message")), "%s", answer.body);
    cr_assert_eq(json_array_size(json_at(answer.json, "violations")), 0);
    cr_assert_eq(strlen(json_text(answer.json, "trace_id")), 32);
    cr_assert_eq((int)json_number(cluster_look(stack, "us-west-2", "api-service"), "weight_percent"), 100);
    json_t *outcome = rollout_end_as(stack, id, "SUCCESS");
    cr_assert(json_equal(outcome, answer.json), "GET tells the same as POST");
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.outcome.%s", id)), 1);
    cr_assert_eq(ledger_count(stack, "DEAD"), 0);
    stack_stop(stack);
}

Test(deployment, stages_come_in_order_each_applied_verified_observed_and_judged)
{
    static const char *const steps[] = {"applied", "verified", "observing", "stage_passed"};
    static const char *const stages[] = {"canary", "staging", "prod"};
    static const int weights[] = {5, 25, 100};
    Stack *stack = rollout_stack(&(StackPlan){0});
    const char *id = rollout_begin(stack, SEED);
    rollout_end_as(stack, id, "SUCCESS");
    json_t *events = rollout_events(stack, id);
    cr_assert_eq(json_array_size(events), 14, "%zu", json_array_size(events));
    cr_assert_str_eq(json_text(json_array_get(events, 0), "event"), "started");
    for (size_t i = 0; i < 12; i++) {
        json_t *event = json_array_get(events, 1 + i);
        cr_assert_str_eq(json_text(event, "event"), steps[i % 4]);
        cr_assert_str_eq(json_text(event, "stage"), stages[i / 4]);
        cr_assert_gt(json_number(event, "sequence"), json_number(json_array_get(events, i), "sequence"));
        if (i % 4 == 1) {
            cr_assert_eq((int)json_number(event, "weight_percent"), weights[i / 4]);
        }
        if (i % 4 == 3) { /* explained: counts, bounds, limit, query */
            cr_assert_gt(json_number(event, "canary.requests"), 300);
            cr_assert_eq(json_array_size(json_at(event, "verdict.findings")), 4);
            cr_assert_gt(json_number(event, "verdict.findings.0.limit"), 0);
            cr_assert_gt(json_number(event, "verdict.findings.0.upper"), 0);
            cr_assert(strstr(json_text(event, "query"), "/health?since="), "%s", json_text(event, "query"));
        }
    }
    cr_assert_str_eq(json_text(json_array_get(events, 13), "event"), "succeeded");
    stack_stop(stack);
}

Test(deployment, the_second_version_has_the_first_as_its_baseline_and_its_way_back)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    rollout_end_as(stack, rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST)), "SUCCESS");
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v2", ROLLOUT_WEST));
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_gt(json_number(rollout_wait(stack, id, "stage_passed", NULL, "canary"), "baseline.requests"), 1000);
    const char *bad = rollout_begin(stack, rollout_body(stack, "api", "v3-bad", ROLLOUT_WEST));
    rollout_end_as(stack, bad, "ROLLED_BACK");
    json_t *now = cluster_look(stack, "us-west-2", "api");
    cr_assert_str_eq(json_text(now, "stable_version"), "v2");
    cr_assert_eq((int)json_number(now, "weight_percent"), 0);
    stack_stop(stack);
}

/* --- refused --------------------------------------------------------------------------------------------------- */

static const char *violation(const Answer *answer, const char *code)
{
    const json_t *violations = json_at(answer->json, "violations");
    for (size_t i = 0; i < json_array_size(violations); i++) {
        const json_t *one = json_array_get(violations, i);
        if (strcmp(json_text(one, "code"), code) == 0) {
            return json_text(one, "detail");
        }
    }
    cr_assert_fail("%s is no violation: %s", code, answer->body);
    return "";
}

static void check_refused(const Answer *answer, size_t violations)
{
    cr_assert_eq(answer->status, 403, "%s", answer->body);
    cr_assert_str_eq(json_text(answer->json, "status"), "REJECTED");
    cr_assert_eq(json_array_size(json_at(answer->json, "violations")), violations, "%s", answer->body);
    cr_assert_eq(json_array_size(json_at(answer->json, "stages_completed")), 0);
    cr_assert_str_not_empty(json_text(answer->json, "error_message"));
}

Test(deployment, a_missing_image_and_an_unknown_strategy_are_refused_together)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    Answer answer =
        rollout_post(stack, rollout_body(stack, "api", "v1-missing", ROLLOUT_WEST ", \"rollout_strategy\": \"yolo\""));
    check_refused(&answer, 2);
    cr_assert_str_not_empty(violation(&answer, "image_not_found"));
    const char *known = violation(&answer, "strategy_unknown");
    cr_assert(strstr(known, "canary") && strstr(known, "blue_green") && strstr(known, "rolling") &&
                  strstr(known, "immediate"),
              "%s", known);
    const char *id = json_text(answer.json, "deployment_id");
    cr_assert_eq(json_array_size(rollout_events(stack, id)), 0);
    cr_assert_null(cluster_look(stack, "us-west-2", "api"));
    stack_stop(stack);
}

Test(deployment, a_full_region_takes_no_further_service)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    json_object_set_new(json_at(policy, "regions.0"), "capacity", json_integer(1));
    rollout_put_policy(stack, policy);
    cr_assert_eq(rollout_post(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST)).status, 200);
    Answer answer = rollout_post(stack, rollout_body(stack, "web", "v1", ROLLOUT_WEST));
    check_refused(&answer, 1);
    cr_assert(strstr(violation(&answer, "capacity_exhausted"), "us-west-2"));
    stack_stop(stack);
}

/* What runs there is not pinned to an image, so that nobody could return to it. */
Test(deployment, without_a_version_to_return_to_nothing_is_deployed)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    Arena arena = arena_make(4096, 1 << 20);
    DeploymentRunning running = {.region = STR("us-west-2"),
                                 .service = STR("api"),
                                 .version = STR("v1"),
                                 .deployment_id = STR("dep_before"),
                                 .since_ms = clock_unix_ms()};
    Str body = wire_encode_deployment_running(&arena, &running);
    ledger_publish(stack, "tai.deployment.running.us-west-2.api", NULL, body.data, body.length);
    arena_release(&arena);
    Answer answer = rollout_post(stack, rollout_body(stack, "api", "v2", ROLLOUT_WEST));
    check_refused(&answer, 1);
    cr_assert_str_not_empty(violation(&answer, "no_rollback_plan"));
    stack_stop(stack);
}

Test(deployment, a_registry_that_is_down_approves_nothing)
{
    Stack *stack = rollout_stack(&(StackPlan){.settings = "TAI_POLICY_DEPLOYMENT_FACTS_MS=500"});
    Answer answer = rollout_post(stack, rollout_body(stack, "api", "v1-registrydown", ROLLOUT_WEST));
    check_refused(&answer, 1);
    cr_assert_str_not_empty(violation(&answer, "image_unknown"));
    stack_stop(stack);
}

Test(deployment, nothing_begins_while_a_freeze_holds)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    json_object_set_new(policy, "freezes",
                        json_pack("[{s:s, s:s, s:s, s:s}]", "from", "2020-01-01T00:00:00Z", "to",
                                  "2200-01-01T00:00:00Z", "service", "billing", "reason", "audit"));
    rollout_put_policy(stack, policy);
    Answer answer = rollout_post(stack, rollout_body(stack, "billing", "v1", ROLLOUT_WEST));
    check_refused(&answer, 1);
    cr_assert(strstr(violation(&answer, "frozen"), "audit"), "%s", answer.body);
    cr_assert_eq(rollout_post(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST)).status, 200);
    stack_stop(stack);
}

/* --- back ------------------------------------------------------------------------------------------------------ */

static void check_goes_back(const char *version, const char *gate)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    cr_assert_eq(rollout_post(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST)).status, 200);
    Answer answer = rollout_post(stack, rollout_body(stack, "api", version, ROLLOUT_WEST));
    cr_assert_eq(answer.status, 409, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "ROLLED_BACK");
    check_texts(json_at(answer.json, "stages_completed"), "validation");
    cr_assert(strstr(json_text(answer.json, "error_message"), gate), "%s", answer.body);
    const char *id = json_text(answer.json, "deployment_id");
    json_t *begun = rollout_wait(stack, id, "rollback_begun", NULL, "canary");
    cr_assert_str_eq(json_text(begun, "cause"), "health");
    cr_assert_str_eq(json_text(begun, "verdict.verdict"), "fail");
    cr_assert_str_eq(json_text(begun, "verdict.worst"), gate);
    cr_assert_str_eq(json_text(rollout_wait(stack, id, "ended", NULL, NULL), "phase"), "rolled_back");
    json_t *now = cluster_look(stack, "us-west-2", "api");
    cr_assert_str_eq(json_text(now, "stable_version"), "v1");
    cr_assert_eq((int)json_number(now, "weight_percent"), 0);
    WAIT_UNTIL(rollout_alerts(stack, "automatic_rollback", "CRITICAL", version) == 1);
    stack_stop(stack);
}

Test(deployment, a_version_with_errors_goes_back_by_itself_and_calls_somebody)
{
    check_goes_back("v2-bad", "error_rate");
}

Test(deployment, a_slow_version_goes_back_by_itself_and_calls_somebody)
{
    check_goes_back("v2-slow", "p99_latency");
}

/* --- figures --------------------------------------------------------------------------------------------------- */

static json_t *figures(Stack *stack)
{
    return rollout_get(stack, "/metrics").json;
}

Test(deployment, the_figures_equal_an_independent_count_of_the_ledger)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    const char *more = ROLLOUT_WEST ", \"rollout_strategy\": \"immediate\"";
    for (int i = 0; i < 3; i++) {
        const char *service = stack_print(stack, "s%d", i);
        cr_assert_eq(rollout_post(stack, rollout_body(stack, service, "v1", more)).status, 200);
    }
    cr_assert_eq(rollout_post(stack, rollout_body(stack, "s0", "v2-bad", more)).status, 409);
    cr_assert_eq(rollout_post(stack, rollout_body(stack, "s0", "v2-missing", more)).status, 403);
    Entries outcomes = ledger_read(stack, "DEPLOYMENT", "tai.deployment.outcome.>");
    double counts[8] = {0};
    double total = 0;
    double seconds = 0;
    for (size_t i = 0; i < outcomes.count; i++) {
        DeploymentOutcome outcome;
        cr_assert(!err_is(wire_decode_deployment_outcome(&stack->arena, outcomes.entries[i].body, &outcome)));
        counts[outcome.status] += 1;
        if (outcome.status != DEPLOYMENT_REJECTED) {
            total += 1;
            seconds += (double)(outcome.timestamp_ms - outcome.received_ms) / 1000;
        }
    }
    cr_assert_eq(total, 4);
    WAIT_UNTIL(json_number(figures(stack), "total_deployments") == total);
    json_t *told = figures(stack);
    cr_assert_eq(json_number(told, "successful_deployments"), counts[DEPLOYMENT_SUCCESS]);
    cr_assert_eq(json_number(told, "rollback_count"), counts[DEPLOYMENT_ROLLED_BACK]);
    cr_assert_float_eq(json_number(told, "success_rate_percent"), 100 * counts[DEPLOYMENT_SUCCESS] / total, 0.01);
    cr_assert_float_eq(json_number(told, "avg_duration_secs"), seconds / total, 0.011);
    Answer text = rollout_call(stack, "GET", "/metrics", NULL, "Accept: text/plain");
    cr_assert(strstr(text.body, "deployment_success_total 3"), "%s", text.body);
    cr_assert(strstr(text.body, "deployment_rollback_total 1"), "%s", text.body);
    cr_assert(strstr(text.body, "deployment_duration_seconds_count 4"), "%s", text.body);
    stack_stop(stack);
}
