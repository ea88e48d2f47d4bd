/* payment - a payment from the POST to the answer, and everything that may become of it. */
#include <string.h>

#include "tests/support/pay.h"

static void check_seed_answer(const Answer *answer)
{
    const json_t *json = answer->json;
    cr_assert_str_not_empty(json_text(json, "transaction_id"), "%s", answer->body);
    cr_assert_eq(strncmp(json_text(json, "transaction_id"), "txn_", 4), 0);
    cr_assert_str_eq(json_text(json, "status"), "SUCCESS");
    cr_assert_float_eq(json_number(json, "amount"), 99.99, 1e-9);
    cr_assert_str_eq(json_text(json, "currency"), "USD");
    cr_assert_str_eq(json_text(json, "customer_id"), "cust_123");
    cr_assert_str_eq(json_text(json, "merchant_id"), "merc_456");
    cr_assert(json_is_integer(json_at(json, "processing_time_ms")));
    cr_assert_geq(json_number(json, "processing_time_ms"), 0);
    cr_assert_float_eq(json_number(json, "fraud_score"), 0, 1e-9);
    cr_assert(json_is_number(json_at(json, "fraud_score")));
    cr_assert(json_is_integer(json_at(json, "fraud_points")));
    cr_assert(json_is_array(json_at(json, "reasons")));
    cr_assert_eq(json_array_size(json_at(json, "reasons")), 0);
    cr_assert(json_is_object(json_at(json, "gateway_response")));
    cr_assert_str_not_empty(json_text(json, "gateway_response.id"));
    cr_assert_str_eq(json_text(json, "gateway_response.status"), "succeeded");
    cr_assert_eq(strlen(json_text(json, "trace_id")), 32);
    const char *timestamp = json_text(json, "timestamp");
    cr_assert_eq(strlen(timestamp), strlen("2026-01-01T00:00:00.000Z"), "%s", timestamp);
    cr_assert_eq(timestamp[strlen(timestamp) - 1], 'Z');
}

Test(payment, the_readme_example_is_charged_once_and_get_says_the_same)
{
    Stack *stack = stack_start(&(StackPlan){0});
    Answer answer = pay(stack, PAYMENT);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    check_seed_answer(&answer);
    const char *id = json_text(answer.json, "transaction_id");
    Answer again = pay_look(stack, id);
    cr_assert_eq(again.status, 200);
    cr_assert(json_equal(again.json, answer.json), "%s\n%s", answer.body, again.body);
    cr_assert_eq(sandbox_captured(stack, id), 1);
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}

Test(payment, the_trace_of_the_caller_goes_through_to_the_answer)
{
    Stack *stack = stack_start(&(StackPlan){0});
    Answer answer = pay_with(stack, PAYMENT, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    cr_assert_str_eq(json_text(answer.json, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    Answer other = pay(stack, PAYMENT);
    cr_assert_str_neq(json_text(other.json, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    stack_stop(stack);
}

Test(payment, amounts_are_exact_in_every_currency_and_metadata_is_kept)
{
    static const struct {
        const char *amount, *currency, *shown;
    } rows[] = {
        {"100", "JPY", "\"amount\":100,"},    {"1.234", "KWD", "\"amount\":1.234,"},
        {"0.57", "USD", "\"amount\":0.57,"},  {"1e2", "EUR", "\"amount\":100.00,"},
        {"1.500", "USD", "\"amount\":1.50,"}, {"0.58", "GBP", "\"amount\":0.58,"},
        {"100.0", "JPY", "\"amount\":100,"},
    };
    Stack *stack = stack_start(&(StackPlan){0});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *body = stack_print(stack,
                                       "{\"amount\":%s,\"currency\":\"%s\",\"customer_id\":\"c%zu\",\"merchant_id\":"
                                       "\"m\",\"metadata\":{\"order\":\"o-%zu\"}}",
                                       rows[i].amount, rows[i].currency, i, i);
        Answer answer = pay(stack, body);
        cr_assert_eq(answer.status, 200, "%s", answer.body);
        cr_expect(strstr(answer.body, rows[i].shown), "%s not in %s", rows[i].shown, answer.body);
        cr_expect_str_eq(json_text(answer.json, "metadata.order"), stack_print(stack, "o-%zu", i));
    }
    stack_stop(stack);
}

Test(payment, metrics_count_each_outcome_once)
{
    Stack *stack = stack_start(&(StackPlan){0});
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(pay(stack, pay_body(stack, stack_print(stack, "c%d", i), "10", "USD")).status, 200);
    }
    cr_assert_lt(http_put(stack, "/blacklist/c0", "{\"reason\":\"chargebacks\"}").status, 300);
    cr_assert_eq(pay(stack, pay_body(stack, "c0", "10", "USD")).status, 403);
    Answer answer = {0};
    WAIT_UNTIL((answer = http_get(stack, "/metrics"), json_number(answer.json, "total_transactions") >= 4));
    cr_assert_eq((int)json_number(answer.json, "total_transactions"), 4, "%s", answer.body);
    cr_assert_eq((int)json_number(answer.json, "successful_transactions"), 3);
    cr_assert_eq((int)json_number(answer.json, "fraudulent_transactions"), 1);
    cr_assert_float_eq(json_number(answer.json, "success_rate_percent"), 75, 1e-9);
    cr_assert_float_eq(json_number(answer.json, "fraud_rate_percent"), 25, 1e-9);
    cr_assert(json_is_number(json_at(answer.json, "avg_latency_ms")));
    cr_assert_eq((int)json_number(answer.json, "circuit_breaker_trips"), 0);
    Answer text =
        http_call(stack, (Call){.method = "GET", .path = "/metrics", .headers = "Accept: text/plain; version=0.0.4"});
    cr_assert_eq(text.status, 200);
    cr_assert_not_null(strstr(text.body, "payment_transaction_total{status=\"SUCCESS\"} 3"), "%s", text.body);
    cr_assert_not_null(strstr(text.body, "payment_fraud_detected_total"), "%s", text.body);
    cr_assert_not_null(strstr(text.body, "payment_processing_duration_seconds_bucket"), "%s", text.body);
    cr_assert_not_null(strstr(text.body, "payment_gateway_circuit_breaker_state{state=\""), "%s", text.body);
    stack_stop(stack);
}

Test(payment, a_declined_card_is_402_and_moves_no_money)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--decline-rate 1"});
    Answer answer = pay(stack, PAYMENT);
    cr_assert_eq(answer.status, 402, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "DECLINED");
    cr_assert_str_eq(json_text(answer.json, "gateway_response.code"), "card_declined");
    cr_assert_str_not_empty(json_text(answer.json, "gateway_response.decline_code"));
    Answer again = pay_look(stack, json_text(answer.json, "transaction_id"));
    cr_assert_eq(again.status, 200);
    cr_assert_str_eq(json_text(again.json, "status"), "DECLINED");
    cr_assert_eq(sandbox_captured(stack, NULL), 0);
    stack_stop(stack);
}

Test(payment, an_unknown_transaction_is_404)
{
    Stack *stack = stack_start(&(StackPlan){0});
    static const char *const ids[] = {"/payment/txn_01ARZ3NDEKTSV4RRFFQ69G5FAV", "/payment/txn_nothing", "/payment/x"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        Answer answer = http_get(stack, ids[i]);
        check_problem(stack, &answer, 404);
    }
    stack_stop(stack);
}

/* --- fraud ----------------------------------------------------------------------------------------------------- */

static void check_points(Stack *stack, const char *customer, const char *amount, const char *currency, long status,
                         int points, const char *reason)
{
    Answer answer = pay(stack, pay_body(stack, customer, amount, currency));
    cr_assert_eq(answer.status, status, "%s %s: %ld %s", amount, currency, answer.status, answer.body);
    cr_assert_eq((int)json_number(answer.json, "fraud_points"), points, "%s", answer.body);
    double score = points > 100 ? 1 : points / 100.0;
    cr_assert_float_eq(json_number(answer.json, "fraud_score"), score, 1e-9, "%s", answer.body);
    bool found = !*reason;
    for (size_t i = 0; i < json_array_size(json_at(answer.json, "reasons")); i++) {
        const char *text = json_string_value(json_array_get(json_at(answer.json, "reasons"), i));
        found = found || (text && strstr(text, reason));
    }
    cr_assert(found, "no %s in %s", reason, answer.body);
}

Test(payment, a_blacklisted_customer_is_rejected_from_the_next_request_on_and_paid_again_when_taken_off)
{
    Stack *stack = stack_start(&(StackPlan){.policies = 2});
    for (int round = 0; round < 5; round++) {
        const char *customer = stack_print(stack, "bad.%d", round);
        const char *path = stack_print(stack, "/blacklist/%s", customer);
        check_points(stack, customer, "10", "USD", 200, 0, "");
        cr_assert_lt(http_put(stack, path, "{\"reason\":\"chargebacks\"}").status, 300);
        check_points(stack, customer, "10", "USD", 403, 100, "blacklist");
        Answer entry = http_get(stack, path);
        cr_assert_eq(entry.status, 200, "%s", entry.body);
        cr_assert_lt(http_call(stack, (Call){.method = "DELETE", .path = path}).status, 300);
        check_points(stack, customer, "10", "USD", 200, 0, "");
    }
    Answer rejected = http_get(stack, "/blacklist/nobody");
    cr_assert_eq(rejected.status, 404, "%s", rejected.body);
    cr_assert_eq(sandbox_captured(stack, NULL), 10);
    stack_stop(stack);
}

Test(payment, the_sixth_signal_of_a_customer_in_a_minute_is_rejected)
{
    Stack *stack = stack_start(&(StackPlan){0});
    for (int i = 1; i <= 5; i++) {
        check_points(stack, "hasty", "10", "USD", 200, 0, "");
    }
    check_points(stack, "hasty", "10", "USD", 403, 50, "velocity");
    check_points(stack, "calm", "10", "USD", 200, 0, "");
    cr_assert_eq(sandbox_captured(stack, NULL), 6);
    stack_stop(stack);
}

Test(payment, only_more_than_5000_is_a_high_amount_in_major_units)
{
    Stack *stack = stack_start(&(StackPlan){0});
    check_points(stack, "a", "5000", "USD", 200, 0, "");
    check_points(stack, "b", "5000.01", "USD", 200, 30, "high_amount");
    check_points(stack, "c", "5000", "JPY", 200, 0, "");
    check_points(stack, "d", "5001", "JPY", 200, 30, "high_amount");
    check_points(stack, "e", "5000.000", "KWD", 200, 0, "");
    check_points(stack, "f", "5000.001", "KWD", 200, 30, "high_amount");
    stack_stop(stack);
}

Test(payment, a_second_currency_gives_20_points_and_adds_up_with_the_other_checks)
{
    Stack *stack = stack_start(&(StackPlan){0});
    check_points(stack, "traveller", "10", "USD", 200, 0, "");
    check_points(stack, "traveller", "10", "EUR", 200, 20, "geolocation");
    check_points(stack, "traveller", "6000", "USD", 403, 50, "high_amount");
    check_points(stack, "traveller", "10", "EUR", 200, 20, "geolocation");
    check_points(stack, "traveller", "10", "USD", 200, 20, "geolocation");
    check_points(stack, "traveller", "6000", "USD", 403, 100, "velocity");
    stack_stop(stack);
}

/* --- the payment gateway in trouble ---------------------------------------------------------------------------- */

#define QUICK_CHARGE                                                                                                   \
    "TAI_ACTION_CHARGE_ATTEMPTS=3 TAI_ACTION_CHARGE_BACKOFF_MS=20 TAI_ACTION_CHARGE_BACKOFF_MAX_MS=50 "                \
    "TAI_ACTION_CHARGE_KEEP_MS=200 TAI_ACTION_CHARGE_KEEP_MAX_MS=400 "
#define QUICK_BREAKER                                                                                                  \
    "TAI_ACTION_BREAKER_OPEN_MS=1000 TAI_ACTION_BREAKER_OPEN_MAX_MS=2000 TAI_ACTION_BREAKER_PROBE_SUCCESSES=3 "

Test(payment, a_failing_gateway_opens_the_breaker_which_refuses_at_once_and_closes_again)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--failure-rate 1", .settings = QUICK_CHARGE QUICK_BREAKER});
    Answer pending = pay_with(stack, pay_body(stack, "first", "10", "USD"), "Prefer: wait=0");
    cr_assert_eq(pending.status, 202, "%s", pending.body);
    Answer refused = {0};
    int tried = 0;
    WAIT_UNTIL((refused = pay(stack, pay_body(stack, stack_print(stack, "c%d", tried++), "10", "USD")),
                refused.status == 503));
    cr_assert_str_eq(json_text(refused.json, "status"), "FAILED", "%s", refused.body);
    cr_assert_str_eq(json_text(refused.json, "error_code"), "breaker_open", "%s", refused.body);
    long retry_after_s = strtol(http_header(stack, &refused, "Retry-After"), NULL, 10);
    cr_assert(retry_after_s >= 1 && retry_after_s <= 3, "%s", refused.headers);
    sandbox_behave(stack, "{\"failure_rate\": 0}");
    Answer healed = {0};
    WAIT_UNTIL(
        (healed = pay(stack, pay_body(stack, stack_print(stack, "c%d", tried++), "10", "USD")), healed.status == 200));
    Answer first = pay_wait(stack, json_text(pending.json, "transaction_id"), "SUCCESS");
    cr_assert_eq(first.status, 200);
    cr_assert_eq(sandbox_captured(stack, json_text(refused.json, "transaction_id")), 0);
    Answer metrics = {0};
    WAIT_UNTIL((metrics = http_get(stack, "/metrics"), json_number(metrics.json, "circuit_breaker_trips") >= 1));
    WAIT_UNTIL(
        strstr(http_call(stack, (Call){.method = "GET", .path = "/metrics", .headers = "Accept: text/plain"}).body,
               "payment_gateway_circuit_breaker_state{state=\"closed\"} 1"));
    stack_stop(stack);
}

Test(payment, what_the_gateway_refuses_for_good_is_502_and_moves_no_money)
{
    Stack *stack = stack_start(&(StackPlan){0});
    Answer answer = pay(stack, pay_body(stack, "cust_123", "0.01", "USD")); /* less than the gateway takes */
    cr_assert_eq(answer.status, 502, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "FAILED");
    cr_assert_str_eq(json_text(answer.json, "error_code"), "gateway_refused");
    cr_assert_str_eq(json_text(answer.json, "gateway_response.code"), "amount_too_small");
    cr_assert_eq(sandbox_captured(stack, NULL), 0);
    stack_stop(stack);
}

Test(payment, an_unreachable_gateway_is_502_because_certainly_nothing_was_charged)
{
    Stack *stack = stack_start(&(StackPlan){.without = "sandbox", .settings = QUICK_CHARGE});
    Answer answer = pay(stack, PAYMENT);
    cr_assert_eq(answer.status, 502, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "FAILED");
    cr_assert_str_eq(json_text(answer.json, "error_code"), "gateway_unreachable");
    stack_stop(stack);
}

Test(payment, a_slow_gateway_is_202_with_a_location_that_becomes_success)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--latency-ms 2500"});
    Answer answer = pay_with(stack, PAYMENT, "Prefer: wait=1");
    cr_assert_eq(answer.status, 202, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "PENDING");
    const char *id = json_text(answer.json, "transaction_id");
    cr_assert_str_eq(http_header(stack, &answer, "Location"), stack_print(stack, "/payment/%s", id));
    Answer pending = pay_look(stack, id);
    cr_assert_eq(pending.status, 200);
    cr_assert_str_eq(json_text(pending.json, "status"), "PENDING", "%s", pending.body);
    pay_wait(stack, id, "SUCCESS");
    cr_assert_eq(sandbox_captured(stack, id), 1);
    stack_stop(stack);
}

Test(payment, prefer_wait_0_answers_at_once_and_the_payment_goes_on)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--latency-ms 300"});
    Answer answer = pay_with(stack, PAYMENT, "Prefer: wait=0");
    cr_assert_eq(answer.status, 202, "%s", answer.body);
    pay_wait(stack, json_text(answer.json, "transaction_id"), "SUCCESS");
    stack_stop(stack);
}

Test(payment, an_answer_that_was_lost_is_asked_for_again_and_charged_once)
{
    static const char *const troubles[] = {"--drop-rate 0.6", "--error-after-rate 0.6", "--throttle-rate 0.4"};
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        const char *settings = QUICK_CHARGE "TAI_ACTION_BREAKER_CONSECUTIVE_FAILURES=1000 "
                                            "TAI_ACTION_BREAKER_MINIMUM_CALLS=100000";
        Stack *stack = stack_start(&(StackPlan){.sandbox = troubles[i], .settings = settings});
        for (int n = 0; n < 8; n++) {
            Answer answer = pay(stack, pay_body(stack, stack_print(stack, "c%d", n), "10", "USD"));
            const char *id = json_text(answer.json, "transaction_id");
            pay_wait(stack, id, "SUCCESS");
            cr_assert_eq(sandbox_captured(stack, id), 1, "%s", troubles[i]);
        }
        stack_stop(stack);
    }
}

Test(payment, health_and_readiness_tell_the_process_from_the_bus)
{
    Stack *stack = stack_start(&(StackPlan){0});
    cr_assert_eq(http_get(stack, "/healthz").status, 200);
    cr_assert_eq(http_get(stack, "/readyz").status, 200);
    stack_kill(stack, STACK_NATS, 0, SIGKILL);
    WAIT_UNTIL(http_get(stack, "/readyz").status == 503);
    cr_assert_eq(http_get(stack, "/healthz").status, 200);
    stack_begin(stack, STACK_NATS, 0);
    WAIT_UNTIL(http_get(stack, "/readyz").status == 200);
    stack_stop(stack);
}
