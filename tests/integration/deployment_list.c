/* deployment_list - the metrics worker on the deployment ledger: figures that count each outcome once, the list of
 * deployments, and all of one. */
#include <string.h>

#include "tests/support/signal.h"

#define LIST_ONLY .without = "gateway action"
#define MINUTE_MS INT64_C(60000)

static json_t *ask(Stack *stack, const char *subject, const char *body)
{
    const char *answer = ledger_request(stack, subject, body);
    return answer ? stack_own_json(stack, json_loads(answer, JSON_DECODE_ANY, NULL)) : NULL;
}

static json_t *list(Stack *stack, const char *body)
{
    json_t *listed = NULL;
    WAIT_UNTIL((listed = ask(stack, "tai.query.deployment.list", body)) != NULL);
    cr_assert(json_is_array(listed));
    return listed;
}

static json_t *get(Stack *stack, const char *id)
{
    json_t *detail = NULL;
    WAIT_UNTIL((detail = ask(stack, "tai.query.deployment.get", id)) != NULL);
    return detail;
}

static void check_unknown(Stack *stack, const char *id)
{
    const char *answer = NULL;
    WAIT_UNTIL((answer = ledger_request(stack, "tai.query.deployment.get", id)) != NULL);
    cr_assert_str_empty(answer);
}

static json_t *figures(Stack *stack)
{
    json_t *answer = NULL;
    WAIT_UNTIL((answer = ask(stack, "tai.query.deployment.metrics", "json")) != NULL);
    return answer;
}

static void end(Stack *stack, const char *id, DeploymentStatus status, int64_t duration_ms)
{
    Arena arena = arena_make(4096, 1 << 20);
    DeploymentOutcome outcome = {
        .deployment_id = str_from(id),
        .publisher = STR("shop1"),
        .service = STR("api"),
        .version = STR("v1"),
        .strategy = STR("canary"),
        .status = status,
        .received_ms = clock_unix_ms() - duration_ms,
        .timestamp_ms = clock_unix_ms(),
    };
    outcome.received_ms = outcome.timestamp_ms - duration_ms;
    Str body = wire_encode_deployment_outcome(&arena, &outcome);
    ledger_publish(stack, stack_print(stack, "tai.deployment.outcome.%s", id), NULL, body.data, body.length);
    arena_release(&arena);
}

static void happen(Stack *stack, const char *id, const RolloutEvent *event, const char *stage)
{
    Arena arena = arena_make(4096, 1 << 20);
    Str body = wire_encode_rollout_event(&arena, event, str_from(stage));
    ledger_publish(stack, stack_print(stack, "tai.deployment.event.%s", id), NULL, body.data, body.length);
    arena_release(&arena);
}

static const char *decided(Stack *stack, const char *key, const char *service, const char *regions)
{
    const char *id = signal_send(stack, key, signal_body(stack, service, "v1", regions));
    decision_wait(stack, id);
    return id;
}

Test(deployment_list, figures_count_every_outcome_once_over_restarts_and_kills)
{
    Stack *stack = stack_start(&(StackPlan){LIST_ONLY, .settings = "TAI_METRICS_SNAPSHOT_MS=50"});
    const DeploymentStatus statuses[] = {DEPLOYMENT_SUCCESS, DEPLOYMENT_ROLLED_BACK, DEPLOYMENT_SUCCESS,
                                         DEPLOYMENT_FAILED, DEPLOYMENT_REJECTED};
    for (int i = 0; i < 20; i++) {
        end(stack, stack_print(stack, "d%d", i), statuses[i % 5], MINUTE_MS * (1 + i % 5));
        if (i % 7 == 6) {
            stack_restart(stack, STACK_METRICS, 0, i % 2 ? SIGKILL : SIGTERM);
        }
    }
    WAIT_UNTIL(json_number(figures(stack), "total_deployments") >= 16);
    json_t *all = figures(stack);
    cr_assert_eq(json_number(all, "total_deployments"), 16);
    cr_assert_eq(json_number(all, "successful_deployments"), 8);
    cr_assert_eq(json_number(all, "rollback_count"), 4);
    cr_assert_eq(json_number(all, "success_rate_percent"), 50);
    cr_assert_eq(json_number(all, "avg_duration_secs"), 150);
    const char *text = ledger_request(stack, "tai.query.deployment.metrics", "prometheus");
    cr_assert(strstr(text, "deployment_success_total 8"), "%s", text);
    cr_assert(strstr(text, "deployment_rollback_total 4"), "%s", text);
    cr_assert(strstr(text, "deployment_duration_seconds_count 16"), "%s", text);
    stack_stop(stack);
}

Test(deployment_list, deployments_are_listed_newest_first_and_by_service_region_and_state)
{
    Stack *stack = stack_start(&(StackPlan){LIST_ONLY});
    const char *first = decided(stack, "k1", "api", WEST);
    const char *second = decided(stack, "k2", "web", "\"target_regions\": [\"us-west-2\", \"us-east-1\"]");
    const char *third = decided(stack, "k3", "api", "\"target_region\": \"mars-1\"");
    rejection_wait(stack, third);
    end(stack, first, DEPLOYMENT_SUCCESS, MINUTE_MS);
    WAIT_UNTIL(json_array_size(list(stack, "{\"state\": \"SUCCESS\"}")) == 1);
    for (int restarts = 0; restarts < 2; restarts++) {
        json_t *all = list(stack, "{}");
        cr_assert_eq(json_array_size(all), 3);
        cr_assert_str_eq(json_text(json_array_get(all, 0), "deployment_id"), third);
        cr_assert_str_eq(json_text(json_array_get(all, 0), "state"), "REJECTED");
        cr_assert_str_eq(json_text(json_array_get(all, 1), "deployment_id"), second);
        cr_assert_str_eq(json_text(json_array_get(all, 1), "state"), "IN_PROGRESS");
        cr_assert_eq(json_array_size(json_at(json_array_get(all, 1), "regions")), 2);
        cr_assert_str_eq(json_text(json_array_get(all, 2), "deployment_id"), first);
        cr_assert_str_eq(json_text(json_array_get(all, 2), "strategy"), "canary");
        cr_assert_str_not_empty(json_text(json_array_get(all, 2), "updated"));
        cr_assert_eq(json_array_size(list(stack, "{\"service\": \"api\"}")), 2);
        cr_assert_eq(json_array_size(list(stack, "{\"service\": \"api\", \"limit\": 1}")), 1);
        cr_assert_eq(json_array_size(list(stack, "{\"limit\": \"2\"}")), 2);
        cr_assert_eq(json_array_size(list(stack, "{\"region\": \"us-east-1\"}")), 1);
        cr_assert_eq(json_array_size(list(stack, "{\"region\": \"us-west-2\", \"state\": \"in_progress\"}")), 1);
        cr_assert_eq(json_array_size(list(stack, "{\"service\": \"nobody\"}")), 0);
        cr_assert_eq(json_array_size(list(stack, "rubbish")), 3);
        stack_restart(stack, STACK_METRICS, 0, SIGKILL);
    }
    stack_stop(stack);
}

Test(deployment_list, a_deployment_is_listed_before_it_is_decided)
{
    Stack *stack = stack_start(&(StackPlan){.without = "gateway action policy"});
    const char *body = signal_body(stack, "api", "v1", WEST);
    ledger_publish_text(stack, "tai.deployment.signal.shop1.release-7", NULL, body);
    ledger_publish_text(stack, "tai.deployment.signal.shop1.release-8", NULL, "{}");
    WAIT_UNTIL(json_array_size(list(stack, "{}")) == 1);
    json_t *detail = get(stack, "release-7");
    cr_assert_str_eq(json_text(detail, "state"), "IN_PROGRESS");
    cr_assert_str_eq(json_text(detail, "version"), "v1");
    cr_assert(json_is_null(json_at(detail, "decided")));
    cr_assert_str_eq(json_text(json_array_get(json_at(detail, "regions"), 0), "region"), "us-west-2");
    stack_stop(stack);
}

Test(deployment_list, only_the_newest_are_listed)
{
    Stack *stack = stack_start(&(StackPlan){LIST_ONLY, .settings = "TAI_METRICS_DEPLOYMENTS_MAX=3"});
    const char *ids[8];
    for (int i = 0; i < 8; i++) {
        ids[i] = decided(stack, stack_print(stack, "k%d", i), stack_print(stack, "s%d", i), WEST);
    }
    WAIT_UNTIL(strcmp(json_text(json_array_get(list(stack, "{}"), 0), "deployment_id"), ids[7]) == 0);
    json_t *all = list(stack, "{}");
    cr_assert_eq(json_array_size(all), 3);
    cr_assert_str_eq(json_text(json_array_get(all, 2), "deployment_id"), ids[5]);
    end(stack, ids[0], DEPLOYMENT_SUCCESS, MINUTE_MS);
    end(stack, ids[6], DEPLOYMENT_SUCCESS, MINUTE_MS);
    WAIT_UNTIL(json_array_size(list(stack, "{\"state\": \"SUCCESS\"}")) == 1);
    cr_assert_str_eq(json_text(get(stack, ids[0]), "status"), "SUCCESS", "its outcome is on the ledger");
    check_unknown(stack, ids[1]);
    cr_assert_str_eq(json_text(get(stack, ids[6]), "state"), "SUCCESS");
    stack_stop(stack);
}

Test(deployment_list, all_of_a_deployment_is_told_with_its_stages_judgements_and_orders)
{
    Stack *stack = stack_start(&(StackPlan){LIST_ONLY});
    const char *id = decided(stack, "k1", "api", "\"target_regions\": [\"us-west-2\", \"us-east-1\"]");
    int64_t now_ms = clock_unix_ms();
    RolloutEvent event = {.region = STR("us-west-2"), .at_ms = now_ms, .weight_percent = -1};
    event.kind = ROLLOUT_EVENT_STARTED;
    happen(stack, id, &event, "canary");
    event.kind = ROLLOUT_EVENT_APPLIED;
    happen(stack, id, &event, "canary");
    event.kind = ROLLOUT_EVENT_VERIFIED;
    event.weight_percent = 5;
    event.until_ms = now_ms + 1;
    happen(stack, id, &event, "canary");
    event.kind = ROLLOUT_EVENT_OBSERVING;
    event.until_ms = now_ms + 2;
    happen(stack, id, &event, "canary");
    event.kind = ROLLOUT_EVENT_STAGE_PASSED;
    event.judged = true;
    event.canary.requests = 400;
    event.query = STR("how is it");
    happen(stack, id, &event, "canary");
    ledger_publish_text(stack, stack_print(stack, "tai.deployment.control.%s", id), NULL,
                        "{\"order\": \"pause\", \"who\": \"ada\", \"why\": \"lunch\"}");
    event = (RolloutEvent){.kind = ROLLOUT_EVENT_PAUSED, .region = STR("us-west-2"), .at_ms = now_ms + 3, .stage = 1};
    event.who = STR("ada");
    event.why = STR("lunch");
    happen(stack, id, &event, "staging");
    WAIT_UNTIL(json_is_true(json_at(json_array_get(list(stack, "{}"), 0), "paused")));

    json_t *detail = get(stack, id);
    cr_assert_str_eq(json_text(detail, "deployment_id"), id);
    cr_assert_str_eq(json_text(detail, "state"), "IN_PROGRESS");
    cr_assert_str_eq(json_text(detail, "strategy"), "canary");
    cr_assert_eq(strncmp(json_text(detail, "digest"), "sha256:", 7), 0);
    json_t *west = json_array_get(json_at(detail, "regions"), 0);
    cr_assert_str_eq(json_text(west, "region"), "us-west-2");
    cr_assert(json_is_true(json_at(west, "paused")));
    cr_assert_str_eq(json_text(west, "stage"), "staging");
    cr_assert_str_eq(json_text(west, "detail"), "lunch");
    json_t *canary = json_array_get(json_at(west, "stages"), 0);
    cr_assert_str_eq(json_text(canary, "state"), "passed");
    cr_assert_eq(json_array_size(json_at(canary, "judgements")), 1);
    cr_assert_str_eq(json_text(json_array_get(json_at(west, "stages"), 2), "state"), "pending");
    json_t *east = json_array_get(json_at(detail, "regions"), 1);
    cr_assert_str_eq(json_text(json_array_get(json_at(east, "stages"), 0), "state"), "pending");
    json_t *order = json_array_get(json_at(detail, "orders"), 0);
    cr_assert_str_eq(json_text(order, "who"), "ada");
    cr_assert_str_eq(json_text(order, "order"), "pause");
    cr_assert(json_is_null(json_at(detail, "outcome")));

    end(stack, id, DEPLOYMENT_ABORTED, MINUTE_MS);
    WAIT_UNTIL(strcmp(json_text(get(stack, id), "state"), "ABORTED") == 0);
    cr_assert_str_eq(json_text(get(stack, id), "outcome.status"), "ABORTED");
    check_unknown(stack, "dep_nobody");
    check_unknown(stack, "*");
    check_unknown(stack, "");
    stack_stop(stack);
}
