/* redis - soft state may be lost at any moment: charges wait or are refused, and none is made twice (invariant 9). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/pay.h"

static Answer pay_later(Stack *stack, const char *customer)
{
    Answer answer = pay_with(stack, pay_body(stack, customer, "10", "USD"), "Prefer: wait=0");
    cr_assert_eq(answer.status, 202, "%s", answer.body);
    return answer;
}

/* One command as redis-cli would send it; fails the test where Redis does. */
static void redis_say(Stack *stack, const char *command)
{
    int connection = raw_open(stack, STACK_REDIS);
    raw_print(connection, "%s\r\n", command);
    const char *answer = raw_read(stack, connection, "\r\n", PATIENCE_MS);
    cr_assert_eq(answer[0], '+', "%s: %s", command, answer);
    close(connection);
}

Test(redis, nothing_is_approved_while_it_is_down_and_what_waited_is_processed_when_it_returns)
{
    Stack *stack = stack_start(&(StackPlan){0});
    stack_kill(stack, STACK_REDIS, 0, SIGKILL);
    const char *ids[5];
    for (int i = 0; i < 5; i++) {
        ids[i] = json_text(pay_later(stack, stack_print(stack, "w%d", i)).json, "transaction_id");
    }
    /* The worker has had its hands on all of them, more than once. */
    WAIT_UNTIL(ledger_lane(stack, "policy").num_redelivered > 0 || ledger_lane(stack, "policy").num_ack_pending >= 5);
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.decision.>"), 0);
    cr_assert_eq(sandbox_captured(stack, NULL), 0);
    stack_begin(stack, STACK_REDIS, 0);
    for (int i = 0; i < 5; i++) {
        pay_wait(stack, ids[i], "SUCCESS");
        cr_assert_eq(sandbox_captured(stack, ids[i]), 1);
    }
    stack_stop(stack);
}

Test(redis, a_signal_that_waited_past_its_deadline_fails_and_is_not_charged_later)
{
    Stack *stack = stack_start(&(StackPlan){.settings = "TAI_POLICY_DEADLINE_MS=1500"});
    stack_kill(stack, STACK_REDIS, 0, SIGKILL);
    Answer answer = pay(stack, PAYMENT);
    cr_assert_eq(answer.status, 503, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "FAILED");
    cr_assert_str_eq(json_text(answer.json, "error_code"), "deadline_exceeded");
    stack_begin(stack, STACK_REDIS, 0);
    Answer next = {0};
    WAIT_UNTIL((next = pay(stack, pay_body(stack, "next", "10", "USD")), next.status == 200));
    WAIT_UNTIL(ledger_lanes_are_empty(stack));
    cr_assert_eq(sandbox_captured(stack, json_text(answer.json, "transaction_id")), 0);
    cr_assert_str_eq(json_text(pay_look(stack, json_text(answer.json, "transaction_id")).json, "status"), "FAILED");
    stack_stop(stack);
}

Test(redis, scripts_flushed_in_flight_are_loaded_again_by_themselves)
{
    Stack *stack = stack_start(&(StackPlan){0});
    const char *ids[60];
    for (int i = 0; i < 60; i++) {
        ids[i] = json_text(pay_later(stack, stack_print(stack, "f%d", i)).json, "transaction_id");
        if (i % 7 == 0) {
            redis_say(stack, "SCRIPT FLUSH");
        }
    }
    for (int i = 0; i < 60; i++) {
        pay_wait(stack, ids[i], "SUCCESS");
    }
    cr_assert_eq(sandbox_captured(stack, NULL), 60);
    stack_stop(stack);
}

Test(redis, flushing_everything_forgets_counters_and_harms_nothing)
{
    Stack *stack = stack_start(&(StackPlan){0});
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(pay(stack, PAYMENT).status, 200);
    }
    redis_say(stack, "FLUSHALL");
    cr_assert_eq(pay(stack, PAYMENT).status, 200);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pay(stack, PAYMENT).status, 200);
    }
    cr_assert_eq(pay(stack, PAYMENT).status, 403);
    stack_stop(stack);
}

Test(redis, the_blacklist_is_on_the_ledger_and_outlives_redis)
{
    Stack *stack = stack_start(&(StackPlan){0});
    cr_assert_lt(http_put(stack, "/blacklist/cust_123", "{\"reason\":\"x\"}").status, 300);
    stack_restart(stack, STACK_REDIS, 0, SIGKILL);
    stack_restart(stack, STACK_POLICY, 0, SIGKILL);
    Answer answer = {0};
    WAIT_UNTIL((answer = pay(stack, PAYMENT), answer.status != 503));
    cr_assert_eq(answer.status, 403, "%s", answer.body);
    cr_assert_eq(sandbox_captured(stack, NULL), 0);
    stack_stop(stack);
}

Test(redis, a_frozen_redis_delays_and_loses_nothing)
{
    Stack *stack = stack_start(&(StackPlan){0});
    kill(stack_process(stack, STACK_REDIS, 0)->pid, SIGSTOP);
    Answer first = pay_later(stack, "frozen");
    WAIT_UNTIL(ledger_lane(stack, "policy").num_ack_pending > 0 || ledger_lane(stack, "policy").num_redelivered > 0);
    kill(stack_process(stack, STACK_REDIS, 0)->pid, SIGCONT);
    pay_wait(stack, json_text(first.json, "transaction_id"), "SUCCESS");
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}
