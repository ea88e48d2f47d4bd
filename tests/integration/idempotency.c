/* idempotency - asking twice charges once, whatever way the repeat comes in (invariants 1, 2, 6, 7). */
#include <string.h>

#include "tests/support/pay.h"

#define KEY "Idempotency-Key: order-17"
#define CLIENTS 24

typedef struct {
    Stack *stack;
    const char *body;
    Answer answer;
} Client;

static void *client_pay(void *context)
{
    Client *client = context;
    client->answer = pay_with(client->stack, client->body, KEY);
    return NULL;
}

/* The same POST from many clients at once. */
static void pay_at_once(Client *clients, size_t count)
{
    pthread_t threads[CLIENTS];
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, client_pay, &clients[i]), 0);
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

Test(idempotency, identical_posts_at_once_give_one_charge_and_equal_answers)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--latency-ms 200", .policies = 2, .actions = 2});
    Client clients[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (Client){.stack = stack, .body = PAYMENT};
    }
    pay_at_once(clients, CLIENTS);
    for (size_t i = 0; i < CLIENTS; i++) {
        cr_assert_eq(clients[i].answer.status, 200, "%s", clients[i].answer.body);
        cr_assert_str_eq(clients[i].answer.body, clients[0].answer.body);
    }
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.signal.>"), 1);
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.outcome.>"), 1);
    stack_stop(stack);
}

Test(idempotency, one_key_with_two_bodies_at_once_charges_one_and_answers_422_to_the_other)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--latency-ms 100"});
    Client clients[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++) {
        const char *body = pay_body(stack, "cust_123", i % 2 ? "10" : "20", "USD");
        clients[i] = (Client){.stack = stack, .body = body};
    }
    pay_at_once(clients, CLIENTS);
    size_t answers[2] = {0};
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients[i].answer.status == 422) {
            check_problem(stack, &clients[i].answer, 422);
        } else {
            cr_assert_eq(clients[i].answer.status, 200, "%s", clients[i].answer.body);
            answers[i % 2]++;
        }
    }
    cr_assert((answers[0] == 0 && answers[1] == CLIENTS / 2) || (answers[1] == 0 && answers[0] == CLIENTS / 2),
              "%zu and %zu", answers[0], answers[1]);
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}

Test(idempotency, the_same_key_with_another_body_is_422_and_has_no_effect)
{
    Stack *stack = stack_start(&(StackPlan){0});
    Answer first = pay_with(stack, PAYMENT, KEY);
    cr_assert_eq(first.status, 200, "%s", first.body);
    uint64_t before = ledger_count(stack, "PAYMENT");
    Answer other = pay_with(stack, pay_body(stack, "cust_123", "99.98", "USD"), KEY);
    check_problem(stack, &other, 422);
    Answer metadata = pay_with(stack,
                               "{\"amount\": 99.99, \"customer_id\": \"cust_123\", \"currency\": \"USD\","
                               " \"merchant_id\": \"merc_456\", \"metadata\": {\"a\": \"b\"}}",
                               KEY);
    check_problem(stack, &metadata, 422);
    cr_assert_eq(ledger_count(stack, "PAYMENT"), before);
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}

Test(idempotency, a_repeat_after_the_outcome_gets_the_same_answer_also_written_differently)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--decline-rate 1"});
    Answer first = pay_with(stack, PAYMENT, KEY);
    cr_assert_eq(first.status, 402);
    sandbox_behave(stack, "{\"decline_rate\": 0}");
    Answer again = pay_with(stack, PAYMENT, KEY);
    cr_assert_eq(again.status, 402);
    cr_assert_str_eq(again.body, first.body);
    Answer reordered = pay_with(
        stack, "{\"merchant_id\":\"merc_456\",\"currency\":\"USD\",\"customer_id\":\"cust_123\",\"amount\":9.999e1}",
        KEY);
    cr_assert_eq(reordered.status, 402, "%s", reordered.body);
    cr_assert_str_eq(reordered.body, first.body);
    Answer other_key = pay_with(stack, PAYMENT, "Idempotency-Key: order-18");
    cr_assert_eq(other_key.status, 200);
    cr_assert_str_neq(json_text(other_key.json, "transaction_id"), json_text(first.json, "transaction_id"));
    stack_stop(stack);
}

Test(idempotency, keys_that_are_no_keys_are_400)
{
    Stack *stack = stack_start(&(StackPlan){0});
    char long_key[400] = "Idempotency-Key: ";
    memset(long_key + strlen(long_key), 'k', 256);
    const char *const rows[] = {"Idempotency-Key;", long_key, "Idempotency-Key: one\nIdempotency-Key: two",
                                "Idempotency-Key: caf\xc3\xa9"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Answer answer = pay_with(stack, PAYMENT, rows[i]);
        check_problem(stack, &answer, 400);
    }
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.signal.>"), 0);
    stack_stop(stack);
}

Test(idempotency, http_and_direct_publishing_share_one_dedup)
{
    Stack *stack = stack_start(&(StackPlan){0});
    const char *id = transaction_of_key(stack, "anonymous", "order-17");
    Answer http = pay_with(stack, PAYMENT, KEY);
    cr_assert_str_eq(json_text(http.json, "transaction_id"), id);
    ledger_publish_text(stack, "tai.payment.signal.anonymous", "order-17", PAYMENT);
    ledger_publish_text(stack, "tai.payment.signal.anonymous", "order-19", PAYMENT);
    const char *direct_first = transaction_of_key(stack, "anonymous", "order-19");
    outcome_wait(stack, direct_first);
    Answer after_direct = pay_with(stack, PAYMENT, "Idempotency-Key: order-19");
    cr_assert_str_eq(json_text(after_direct.json, "transaction_id"), direct_first, "%s", after_direct.body);
    cr_assert_eq(after_direct.status, 200, "%s", after_direct.body);
    WAIT_UNTIL(ledger_lanes_are_empty(stack));
    cr_assert_eq(sandbox_captured(stack, id), 1);
    cr_assert_eq(sandbox_captured(stack, direct_first), 1);
    cr_assert_eq(sandbox_captured(stack, NULL), 2);
    stack_stop(stack);
}

Test(idempotency, a_key_belongs_to_its_publisher)
{
    Stack *stack = stack_start(&(StackPlan){0});
    Answer http = pay_with(stack, PAYMENT, KEY);
    cr_assert_eq(http.status, 200);
    ledger_publish_text(stack, "tai.payment.signal.shop1", "order-17", PAYMENT);
    const char *id = transaction_of_key(stack, "shop1", "order-17");
    cr_assert_str_neq(id, json_text(http.json, "transaction_id"));
    outcome_wait(stack, id);
    cr_assert_eq(sandbox_captured(stack, id), 1);
    cr_assert_eq(sandbox_captured(stack, NULL), 2);
    stack_stop(stack);
}

Test(idempotency, a_repeat_after_every_process_was_killed_gets_the_same_answer)
{
    Stack *stack = stack_start(&(StackPlan){0});
    Answer first = pay_with(stack, PAYMENT, KEY);
    cr_assert_eq(first.status, 200);
    for (Kind kind = STACK_NATS; kind <= STACK_METRICS; kind++) {
        stack_restart(stack, kind, 0, SIGKILL);
    }
    WAIT_UNTIL(http_get(stack, "/readyz").status == 200);
    Answer again = pay_with(stack, PAYMENT, KEY);
    cr_assert_eq(again.status, 200, "%s", again.body);
    cr_assert_str_eq(again.body, first.body);
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}
