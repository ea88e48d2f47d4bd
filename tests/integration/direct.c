/* direct - signals published by any NATS client, without the gateway. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tai/v1/payment.pb-c.h"
#include "tests/support/pay.h"

/* Bytes of a protobuf signal, made by generated code alone. */
static size_t pack_signal(uint8_t *bytes, const char *customer)
{
    Tai__V1__Money money = TAI__V1__MONEY__INIT;
    Tai__V1__PaymentSignal signal = TAI__V1__PAYMENT_SIGNAL__INIT;
    money.minor = 9999;
    money.currency = (char *)"USD";
    signal.customer_id = (char *)customer;
    signal.merchant_id = (char *)"merc_456";
    signal.money = &money;
    return tai__v1__payment_signal__pack(&signal, bytes);
}

static void check_paid(Stack *stack, const char *id, const char *publisher)
{
    PaymentOutcome outcome = outcome_wait(stack, id);
    cr_assert_eq(outcome.status, PAYMENT_SUCCESS);
    cr_assert_eq(outcome.money.minor, 9999);
    cr_assert_str_eq(outcome.money.currency, "USD");
    cr_assert(str_equal(outcome.publisher, str_from(publisher)), STR_FMT, STR_ARG(outcome.publisher));
    Answer answer = pay_look(stack, id);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "SUCCESS");
    cr_assert_str_eq(json_text(answer.json, "transaction_id"), id);
    cr_assert_float_eq(json_number(answer.json, "amount"), 99.99, 1e-9);
    cr_assert_eq(strlen(json_text(answer.json, "trace_id")), 32, "every payment can be traced");
    cr_assert_eq(sandbox_captured(stack, id), 1);
}

Test(direct, json_and_protobuf_under_a_subject_with_an_id_are_paid)
{
    Stack *stack = stack_start(&(StackPlan){0});
    ledger_publish_text(stack, "tai.payment.signal.shop1.order-1", NULL, PAYMENT);
    check_paid(stack, "order-1", "shop1");
    uint8_t bytes[256];
    size_t length = pack_signal(bytes, "cust_9");
    ledger_publish(stack, "tai.payment.signal.shop1.order-2", NULL, bytes, length);
    check_paid(stack, "order-2", "shop1");
    stack_stop(stack);
}

Test(direct, a_message_id_is_the_key_of_the_transaction)
{
    Stack *stack = stack_start(&(StackPlan){0});
    uint64_t first = ledger_publish_text(stack, "tai.payment.signal.shop1", "order 7 / a", PAYMENT);
    uint64_t second = ledger_publish_text(stack, "tai.payment.signal.shop1", "order 7 / a", PAYMENT);
    cr_assert_eq(first, second);
    check_paid(stack, transaction_of_key(stack, "shop1", "order 7 / a"), "shop1");
    WAIT_UNTIL(ledger_lanes_are_empty(stack));
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}

Test(direct, without_any_id_every_publication_is_a_payment_of_its_own)
{
    Stack *stack = stack_start(&(StackPlan){0});
    uint8_t bytes[256];
    size_t length = pack_signal(bytes, "cust_9");
    ledger_publish_text(stack, "tai.payment.signal.shop1", NULL, PAYMENT);
    ledger_publish(stack, "tai.payment.signal.shop1", NULL, bytes, length);
    WAIT_UNTIL(ledger_count_of(stack, "PAYMENT", "tai.payment.outcome.>") == 2);
    Entries outcomes = ledger_read(stack, "PAYMENT", "tai.payment.outcome.>");
    for (size_t i = 0; i < outcomes.count; i++) {
        check_paid(stack, outcomes.entries[i].subject + strlen("tai.payment.outcome."), "shop1");
    }
    stack_stop(stack);
}

Test(direct, the_same_subject_twice_is_one_transaction)
{
    Stack *stack = stack_start(&(StackPlan){0});
    ledger_publish_text(stack, "tai.payment.signal.shop1.again", NULL, PAYMENT);
    check_paid(stack, "again", "shop1");
    ledger_publish_text(stack, "tai.payment.signal.shop1.again", NULL, PAYMENT);
    ledger_publish_text(stack, "tai.payment.signal.shop1.again", NULL, PAYMENT);
    WAIT_UNTIL(ledger_lanes_are_empty(stack));
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.outcome.>"), 1);
    stack_stop(stack);
}

Test(direct, an_id_belongs_to_the_publisher_that_used_it_first)
{
    Stack *stack = stack_start(&(StackPlan){0});
    ledger_publish_text(stack, "tai.payment.signal.shop1.order-1", NULL, PAYMENT);
    ledger_publish_text(stack, "tai.payment.signal.shop2.order-1", NULL, PAYMENT);
    WAIT_UNTIL(ledger_count(stack, "DEAD") == 1);
    check_paid(stack, "order-1", "shop1");
    ledger_publish_text(stack, "tai.payment.signal.shop2.order-1", NULL, PAYMENT);
    WAIT_UNTIL(ledger_count(stack, "DEAD") == 2);
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}

Test(direct, a_rejected_signal_has_its_outcome_like_any_other)
{
    Stack *stack = stack_start(&(StackPlan){0});
    cr_assert_lt(http_put(stack, "/blacklist/cust_123", "{\"reason\":\"x\"}").status, 300);
    ledger_publish_text(stack, "tai.payment.signal.shop1.bad", NULL, PAYMENT);
    PaymentOutcome outcome = outcome_wait(stack, "bad");
    cr_assert_eq(outcome.status, PAYMENT_REJECTED);
    cr_assert_eq(sandbox_captured(stack, NULL), 0);
    stack_stop(stack);
}

/* --- NATS by hand: bytes as the protocol's page says, no client library ---------------------------------------- */

static int wire_connect(Stack *stack)
{
    int connection = raw_open(stack, STACK_NATS);
    cr_assert_not_null(strstr(raw_read(stack, connection, "\r\n", PATIENCE_MS), "INFO {"));
    raw_print(connection, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"lang\":\"sh\","
                          "\"version\":\"0\",\"protocol\":1}\r\nSUB hand.reply 1\r\nPING\r\n");
    cr_assert_not_null(strstr(raw_read(stack, connection, "PONG\r\n", PATIENCE_MS), "PONG"));
    return connection;
}

Test(direct, pub_and_hpub_written_by_hand_are_acknowledged_and_paid)
{
    Stack *stack = stack_start(&(StackPlan){0});
    int connection = wire_connect(stack);
    raw_print(connection, "PUB tai.payment.signal.hand.number-1 hand.reply %zu\r\n%s\r\n", strlen(PAYMENT), PAYMENT);
    const char *ack = raw_read(stack, connection, "}", PATIENCE_MS);
    cr_assert_not_null(strstr(ack, "\"stream\":\"PAYMENT\""), "%s", ack);
    check_paid(stack, "number-1", "hand");

    static const char headers[] = "NATS/1.0\r\nNats-Msg-Id: hand-2\r\n"
                                  "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
    size_t header_length = sizeof headers - 1;
    raw_print(connection, "HPUB tai.payment.signal.hand hand.reply %zu %zu\r\n%s%s\r\n", header_length,
              header_length + strlen(PAYMENT), headers, PAYMENT);
    ack = raw_read(stack, connection, "}", PATIENCE_MS);
    cr_assert_not_null(strstr(ack, "\"stream\":\"PAYMENT\""), "%s", ack);
    const char *id = transaction_of_key(stack, "hand", "hand-2");
    check_paid(stack, id, "hand");
    PaymentOutcome outcome = outcome_wait(stack, id);
    cr_assert(str_equal(outcome.trace_id, STR("4bf92f3577b34da6a3ce929d0e0e4736")));
    close(connection);
    stack_stop(stack);
}

Test(direct, a_publisher_without_a_reply_subject_is_served_too)
{
    Stack *stack = stack_start(&(StackPlan){0});
    int connection = wire_connect(stack);
    raw_print(connection, "PUB tai.payment.signal.hand.quiet %zu\r\n%s\r\n", strlen(PAYMENT), PAYMENT);
    check_paid(stack, "quiet", "hand");
    close(connection);
    stack_stop(stack);
}
