/* restart - servers and processes go away and come back: nothing is lost, nothing is counted twice. */
#include <string.h>

#include "tests/support/pay.h"

#define COUNT 80
/* What a dead server forgot about acks comes again soon. */
#define QUICK_AGAIN "TAI_POLICY_LANES_POLICY_ACK_WAIT_MS=2000 TAI_ACTION_LANES_CHARGE_ACK_WAIT_MS=2000"

static const char *pay_later(Stack *stack, int number)
{
    Answer answer = http_try(stack, (Call){.method = "POST",
                                           .path = "/payment",
                                           .body = pay_body(stack, stack_print(stack, "r%d", number), "10", "USD"),
                                           .headers = "Prefer: wait=0"});
    return answer.status == 202 || answer.status == 200 ? json_text(answer.json, "transaction_id") : NULL;
}

/* Pays, killing one process in the midst, until COUNT payments were accepted; then each must have been charged. */
static void check_nothing_is_lost_when(Kind kind, int signal)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--latency-ms 20", .settings = QUICK_AGAIN});
    const char *ids[COUNT];
    int accepted = 0;
    int64_t deadline_ms = clock_monotonic_ms() + 2 * PATIENCE_MS;
    for (int number = 0; accepted < COUNT; number++) {
        cr_assert_lt(clock_monotonic_ms(), deadline_ms, "only %d accepted", accepted);
        const char *id = pay_later(stack, number);
        if (id) {
            ids[accepted++] = id;
        } else {
            clock_pause(20);
        }
        if (number == COUNT / 3 || number == COUNT * 2 / 3) {
            stack_restart(stack, kind, 0, signal);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        pay_wait(stack, ids[i], "SUCCESS");
        cr_assert_eq(sandbox_captured(stack, ids[i]), 1);
    }
    WAIT_UNTIL(ledger_lanes_are_empty(stack));
    stack_stop(stack);
}

Test(restart, of_nats_under_load_loses_nothing)
{
    check_nothing_is_lost_when(STACK_NATS, SIGKILL);
}

Test(restart, of_nats_by_its_operator_loses_nothing)
{
    check_nothing_is_lost_when(STACK_NATS, SIGTERM);
}

Test(restart, of_the_gateway_under_load_loses_nothing)
{
    check_nothing_is_lost_when(STACK_GATEWAY, SIGKILL);
}

Test(restart, of_the_gateway_by_its_operator_loses_nothing)
{
    check_nothing_is_lost_when(STACK_GATEWAY, SIGTERM);
}

Test(restart, of_the_policy_worker_under_load_loses_nothing)
{
    check_nothing_is_lost_when(STACK_POLICY, SIGTERM);
}

Test(restart, of_the_action_worker_under_load_loses_nothing)
{
    check_nothing_is_lost_when(STACK_ACTION, SIGTERM);
}

/* Everything dies at once with charges under way, the server's memory of its deliveries included. A charge that was
 * captured must not be called failed by whoever finds its intent again and cannot reach the payment gateway. */
Test(restart, of_everything_never_calls_a_charge_failed_that_may_have_happened)
{
    const char *settings = QUICK_AGAIN " TAI_ACTION_CHARGE_KEEP_MS=300 TAI_ACTION_CHARGE_KEEP_MAX_MS=600 "
                                       "TAI_ACTION_BREAKER_OPEN_MS=500 TAI_ACTION_BREAKER_OPEN_MAX_MS=500";
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--drop-rate 1", .settings = settings});
    const char *ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = pay_later(stack, i);
        cr_assert_not_null(ids[i]);
    }
    WAIT_UNTIL(sandbox_captured(stack, NULL) == 4);
    stack_kill(stack, STACK_NATS, 0, SIGKILL);
    stack_kill(stack, STACK_ACTION, 0, SIGKILL);
    stack_kill(stack, STACK_SANDBOX, 0, SIGKILL);
    stack_begin(stack, STACK_NATS, 0);
    stack_begin(stack, STACK_ACTION, 0);
    /* They were called for again, in vain: five calls that fail open the breaker. */
    WAIT_UNTIL(process_log_has(stack_process(stack, STACK_ACTION, 0), "\"state\":\"half_open\""));
    stack_begin(stack, STACK_SANDBOX, 0);
    sandbox_behave(stack, "{\"drop_rate\": 0}");
    for (int i = 0; i < 4; i++) {
        PaymentOutcome outcome = outcome_wait(stack, ids[i]);
        cr_expect_eq(outcome.status, PAYMENT_SUCCESS, "%s was captured and is %s (" STR_FMT ")", ids[i],
                     payment_status_name(outcome.status), STR_ARG(outcome.failure));
        cr_expect_eq(sandbox_captured(stack, ids[i]), 1);
    }
    stack_stop(stack);
}

/* --- the figures ----------------------------------------------------------------------------------------------- */

typedef struct {
    size_t outcomes;
    size_t successes;
    size_t rejections;
    double latency_ms; /* mean */
} Figures;

/* The ledger counted anew, by other code than the metrics worker's. */
static Figures count_ledger(Stack *stack)
{
    Figures figures = {0};
    Entries outcomes = ledger_read(stack, "PAYMENT", "tai.payment.outcome.>");
    for (size_t i = 0; i < outcomes.count; i++) {
        PaymentOutcome outcome;
        Err err = wire_decode_payment_outcome(&stack->arena, outcomes.entries[i].body, &outcome);
        cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
        figures.outcomes++;
        figures.successes += outcome.status == PAYMENT_SUCCESS;
        figures.rejections += outcome.status == PAYMENT_REJECTED;
        figures.latency_ms += (double)(outcome.timestamp_ms - outcome.received_ms);
    }
    figures.latency_ms /= figures.outcomes ? (double)figures.outcomes : 1;
    return figures;
}

Test(restart, of_the_metrics_worker_neither_loses_nor_doubles)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--decline-rate 0.2 --seed 7"});
    cr_assert_lt(http_put(stack, "/blacklist/r7", "{\"reason\":\"x\"}").status, 300);
    const int signals[] = {SIGKILL, SIGTERM, SIGKILL};
    int number = 0;
    for (size_t round = 0; round < sizeof signals / sizeof signals[0]; round++) {
        for (int i = 0; i < 25; i++) {
            cr_assert_not_null(pay_later(stack, number++ % 30));
        }
        stack_restart(stack, STACK_METRICS, 0, signals[round]);
        WAIT_UNTIL(ledger_count_of(stack, "PAYMENT", "tai.payment.outcome.>") == (size_t)number);
        Figures expected = count_ledger(stack);
        Answer said = {0};
        WAIT_UNTIL((said = http_get(stack, "/metrics"),
                    (size_t)json_number(said.json, "total_transactions") >= expected.outcomes));
        cr_assert_eq((size_t)json_number(said.json, "total_transactions"), expected.outcomes, "%s", said.body);
        cr_assert_eq((size_t)json_number(said.json, "successful_transactions"), expected.successes);
        cr_assert_eq((size_t)json_number(said.json, "fraudulent_transactions"), expected.rejections);
        cr_assert_float_eq(json_number(said.json, "avg_latency_ms"), expected.latency_ms, 0.006, "%s", said.body);
    }
    stack_stop(stack);
}
