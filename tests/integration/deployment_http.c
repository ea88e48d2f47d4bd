/* deployment_http - the HTTP of deployments to the letter: problems, keyed repeats, the list, events as history and
 * live, waiting, and the policy document. And signals by any NATS client. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/pay.h"
#include "tests/support/rollout.h"
#include "tests/support/signal.h"

#define QUICK ", \"rollout_strategy\": \"immediate\""
#define KEY "Idempotency-Key: release-1\nPrefer: wait=60"
#define ORDER "{\"order\": \"pause\", \"who\": \"ada\"}"

/* --- problems -------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *method;
    const char *path;
    const char *body;
    const char *headers;
    long status;
} Refused;

Test(deployment_http, every_route_says_precisely_what_is_wrong)
{
    static const Refused refused[] = {
        {"POST", "/deploy", "{\"service\": \"api\"", NULL, 400},
        {"POST", "/deploy", "[]", NULL, 400},
        {"POST", "/deploy", "{\"version\": \"v1\", " ROLLOUT_WEST "}", NULL, 400},
        {"POST", "/deploy", "{\"service\": \"api\", " ROLLOUT_WEST "}", NULL, 400},
        {"POST", "/deploy", "{\"service\": \"api\", \"version\": \"v1\"}", NULL, 400},
        {"POST", "/deploy", "{\"service\": \"a.b\", \"version\": \"v1\", " ROLLOUT_WEST "}", NULL, 400},
        {"POST", "/deploy", "{\"service\": \"api\", \"version\": 2, " ROLLOUT_WEST "}", NULL, 400},
        {"POST", "/deploy", "{\"service\": \"api\", \"version\": \"v1\", \"target_regions\": []}", NULL, 400},
        {"POST", "/deploy",
         "{\"service\": \"api\", \"version\": \"v1\", \"target_regions\": [\"us-west-2\", \"us-west-2\"]}", NULL, 400},
        {"POST", "/deploy", "{\"service\": \"api\", \"version\": \"v1\", \"speed\": 1, " ROLLOUT_WEST "}", NULL, 400},
        {"POST", "/deploy", "service=api", "Content-Type: text/plain", 415},
        {"GET", "/deploy", NULL, NULL, 405},
        {"POST", "/deployments", "{}", NULL, 405},
        {"GET", "/deployments?color=red", NULL, NULL, 400},
        {"GET", "/deployments?service=api&service=web", NULL, NULL, 400},
        {"GET", "/deployments/dep_nobody", NULL, NULL, 404},
        {"DELETE", "/deployments/dep_nobody", NULL, NULL, 405},
        {"GET", "/deployments/dep_nobody/control", NULL, NULL, 405},
        {"POST", "/deployments/dep_nobody/control", ORDER, NULL, 404},
        {"POST", "/deployments/dep_nobody/control", ORDER, "Content-Type: text/plain", 415},
        {"POST", "/deployments/dep_nobody/control", "{\"order\": \"pause\"}", NULL, 400},
        {"POST", "/deployments/dep_nobody/events", "{}", NULL, 405},
        {"GET", "/deployments/dep_nobody/events", NULL, NULL, 404},
        {"GET", "/deployments/dep_nobody/events", NULL, "Accept: text/event-stream", 404},
        {"GET", "/deployments/dep_nobody/nothing", NULL, NULL, 404},
        {"PUT", "/policy/deployment", "{\"time_scale\": 1}", NULL, 422},
        {"PUT", "/policy/deployment", "{", NULL, 422},
        {"PUT", "/policy/deployment", "{}", "Content-Type: text/plain", 415},
        {"POST", "/policy/deployment", "{}", NULL, 405},
        {"GET", "/payment", NULL, NULL, 404},
    };
    Stack *stack = rollout_stack(&(StackPlan){0});
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const Refused *one = &refused[i];
        Answer answer = rollout_call(stack, one->method, one->path, one->body, one->headers);
        cr_assert_eq(answer.status, one->status, "%s %s %s: %ld %s", one->method, one->path, one->body, answer.status,
                     answer.body);
        check_problem(stack, &answer, one->status);
        cr_assert(one->status != 405 || strlen(http_header(stack, &answer, "Allow")) > 0, "%s", one->path);
    }
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.signal.>"), 0);
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.control.>"), 0);
    stack_stop(stack);
}

/* --- repeats and waiting --------------------------------------------------------------------------------------- */

Test(deployment_http, a_key_deploys_once_answers_the_same_and_means_one_body)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    const char *body = rollout_body(stack, "api", "v1", ROLLOUT_WEST QUICK);
    Answer first = rollout_call(stack, "POST", "/deploy", body, KEY);
    cr_assert_eq(first.status, 200, "%s", first.body);
    Answer again = rollout_call(stack, "POST", "/deploy", body, KEY);
    cr_assert_eq(again.status, 200, "%s", again.body);
    cr_assert_str_eq(again.body, first.body);
    Answer other = rollout_call(stack, "POST", "/deploy", rollout_body(stack, "api", "v2", ROLLOUT_WEST QUICK), KEY);
    check_problem(stack, &other, 422);
    other = rollout_call(stack, "POST", "/deploy",
                         rollout_body(stack, "api", "v1", "\"target_region\": \"us-east-1\"" QUICK), KEY);
    check_problem(stack, &other, 422);
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.signal.>"), 1);
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.outcome.>"), 1);
    stack_stop(stack);
}

Test(deployment_http, who_does_not_wait_is_told_where_to_look)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    Answer answer =
        rollout_call(stack, "POST", "/deploy", rollout_body(stack, "api", "v1", ROLLOUT_WEST QUICK),
                     "Prefer: wait=0\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    cr_assert_eq(answer.status, 202, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
    const char *place = http_header(stack, &answer, "Location");
    const char *id = json_text(answer.json, "deployment_id");
    cr_assert_str_eq(place, stack_print(stack, "/deployments/%s", id));
    json_t *outcome = rollout_end_as(stack, id, "SUCCESS");
    cr_assert_str_eq(json_text(outcome, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
    answer = rollout_get(stack, place);
    cr_assert_eq(answer.status, 200);
    cr_assert_str_eq(json_text(answer.json, "state"), "SUCCESS");
    cr_assert_str_eq(json_text(answer.json, "regions.0.stages.0.state"), "passed");
    cr_assert_eq(json_number(answer.json, "time_scale"), 0.01, "the durations are a hundredth of the document's");
    cr_assert_eq(json_number(outcome, "time_scale"), 0.01);
    cr_assert_eq(json_array_size(json_at(answer.json, "regions.0.stages.0.judgements")), 1);
    stack_stop(stack);
}

Test(deployment_http, a_deployment_is_waited_for_longer_than_a_payment_unless_the_client_says)
{
    Stack *stack =
        rollout_stack(&(StackPlan){.settings = "TAI_GATEWAY_WAIT_MS=0 TAI_GATEWAY_DEPLOYMENT_WAIT_MS=60000"});
    Answer payment = http_post(stack, "/payment", PAYMENT);
    cr_assert_eq(payment.status, 202, "%s", payment.body);
    Answer answer = rollout_call(stack, "POST", "/deploy", rollout_body(stack, "api", "v1", ROLLOUT_WEST QUICK), NULL);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "SUCCESS");
    answer = rollout_call(stack, "POST", "/deploy", rollout_body(stack, "api", "v2", ROLLOUT_WEST QUICK),
                          "Prefer: respond-async");
    cr_assert_eq(answer.status, 202, "%s", answer.body);
    rollout_end_as(stack, json_text(answer.json, "deployment_id"), "SUCCESS");
    stack_stop(stack);
}

Test(deployment_http, the_list_is_filtered_by_service_region_and_state)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    rollout_post(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST QUICK));
    rollout_post(stack, rollout_body(stack, "web", "v1", "\"target_region\": \"us-east-1\"" QUICK));
    rollout_post(stack, rollout_body(stack, "web", "v1-missing", ROLLOUT_WEST QUICK));
    WAIT_UNTIL(json_array_size(rollout_get(stack, "/deployments?state=SUCCESS").json) == 2);
    WAIT_UNTIL(json_array_size(rollout_get(stack, "/deployments?state=REJECTED").json) == 1);
    cr_assert_eq(json_array_size(rollout_get(stack, "/deployments").json), 3);
    cr_assert_eq(json_array_size(rollout_get(stack, "/deployments?limit=1").json), 1);
    cr_assert_eq(json_array_size(rollout_get(stack, "/deployments?service=web").json), 2);
    cr_assert_eq(json_array_size(rollout_get(stack, "/deployments?service=web&state=SUCCESS").json), 1);
    cr_assert_eq(json_array_size(rollout_get(stack, "/deployments?region=us-east-1").json), 1);
    cr_assert_eq(json_array_size(rollout_get(stack, "/deployments?region=mars-1").json), 0);
    stack_stop(stack);
}

/* --- events live ----------------------------------------------------------------------------------------------- */

static int listen_live(Stack *stack, const char *id, const char *more)
{
    int connection = raw_open(stack, STACK_DEPLOYMENT);
    raw_print(connection, "GET /deployments/%s/events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n%s\r\n",
              id, more);
    return connection;
}

/* The id of the last event in what was read. */
static const char *last_event_id(Stack *stack, const char *events)
{
    const char *last = NULL;
    for (const char *id = strstr(events, "\nid: "); id; id = strstr(id + 1, "\nid: ")) {
        last = id + 5;
    }
    cr_assert(last, "%s", events);
    return stack_keep(stack, last, strcspn(last, "\n"));
}

#define END_OF_BODY "\r\n0\r\n\r\n"

static long listen_behind(Stack *stack, const char *id, const char *last_id)
{
    return rollout_call(stack, "GET", stack_print(stack, "/deployments/%s/events", id), NULL,
                        stack_print(stack, "Accept: text/event-stream\nLast-Event-ID: %s", last_id))
        .status;
}

Test(deployment_http, events_come_live_until_the_outcome_and_go_on_behind_the_last_one)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    cluster_behave(stack, "{\"service\": \"api\", \"requests_per_second\": 0}");
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST));
    rollout_wait(stack, id, "paused", NULL, NULL);
    int live = listen_live(stack, id, "");
    const char *history = raw_read(stack, live, "\"event\":\"paused\"", PATIENCE_MS);
    cr_assert(strstr(history, "text/event-stream"), "%s", history);
    cr_assert(strstr(history, "\"event\":\"started\""), "%s", history);
    json_t *events = rollout_events(stack, id);
    long long last = (long long)json_number(json_array_get(events, json_array_size(events) - 1), "sequence");
    int later = listen_live(stack, id, stack_print(stack, "Last-Event-ID: %lld\r\n", last));
    rollout_order(stack, id, "abort", "ada", "nobody comes");
    const char *end = raw_read(stack, live, END_OF_BODY, PATIENCE_MS);
    cr_assert(strstr(end, "\"event\":\"rollback_begun\"") && strstr(end, "\"event\":\"ended\""), "%s", end);
    const char *outcome = strstr(end, "event: outcome\ndata: {");
    cr_assert(outcome && strstr(outcome, "\"status\":\"ABORTED\"") && strstr(outcome, END_OF_BODY), "%s", end);
    const char *rest = raw_read(stack, later, END_OF_BODY, PATIENCE_MS);
    cr_assert(strstr(rest, "id: ") && strstr(rest, "\"event\":\"rollback_begun\""), "%s", rest);
    cr_assert_null(strstr(rest, "\"event\":\"paused\""), "%s", rest);
    close(live);
    close(later);
    cr_assert_eq(listen_behind(stack, id, last_event_id(stack, end)), 204, "a client that has all need not come back");
    cr_assert_eq(listen_behind(stack, id, stack_print(stack, "%lld", last)), 200, "and this one has not");
    Answer bad = rollout_call(stack, "GET", stack_print(stack, "/deployments/%s/events", id), NULL,
                              "Accept: text/event-stream\nLast-Event-ID: yesterday");
    check_problem(stack, &bad, 400);
    stack_stop(stack);
}

/* --- the policy document, and other ways in -------------------------------------------------------------------- */

Test(deployment_http, a_strategy_that_somebody_wrote_is_followed_without_code)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *policy = rollout_policy(stack);
    rollout_add_strategy(policy, "two_step", "toe:10 whole:100");
    rollout_put_policy(stack, policy);
    Answer answer =
        rollout_post(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST ", \"rollout_strategy\": \"two_step\""));
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "stages_completed.1"), "toe");
    cr_assert_str_eq(json_text(answer.json, "stages_completed.2"), "whole");
    json_object_set_new(json_at(policy, "strategies.two_step.stages.1"), "weight_percent", json_integer(90));
    char *text = json_dumps(policy, JSON_REAL_PRECISION(6));
    answer = rollout_call(stack, "PUT", "/policy/deployment", text, NULL);
    free(text);
    check_problem(stack, &answer, 422);
    cr_assert(strstr(answer.body, "two_step"), "says where: %s", answer.body);
    stack_stop(stack);
}

Test(deployment_http, a_signal_by_any_nats_client_is_deployed_like_any_other)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    const char *id = signal_send(stack, "release-7", rollout_body(stack, "api", "v1", ROLLOUT_WEST QUICK));
    WAIT_UNTIL(rollout_get(stack, stack_print(stack, "/deployments/%s", id)).status == 200);
    rollout_end_as(stack, id, "SUCCESS");
    signal_send(stack, "release-8", "{\"service\": \"api\"");
    WAIT_UNTIL(ledger_count(stack, "DEAD") == 1);
    const char *next = signal_send(stack, "release-9", rollout_body(stack, "api", "v2", ROLLOUT_WEST QUICK));
    WAIT_UNTIL(rollout_get(stack, stack_print(stack, "/deployments/%s", next)).status == 200);
    rollout_end_as(stack, next, "SUCCESS");
    stack_stop(stack);
}
