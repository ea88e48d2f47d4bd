/* Outcomes, blacklist changes and policy activations as bytes. */
#include "tests/unit/wire/samples.h"

static void assert_same_gateway(const PaymentGatewayResponse *a, const PaymentGatewayResponse *b)
{
    cr_assert(str_equal(a->id, b->id));
    cr_assert(str_equal(a->status, b->status));
    cr_assert(str_equal(a->code, b->code));
    cr_assert(str_equal(a->decline_code, b->decline_code));
    cr_assert(str_equal(a->message, b->message));
    cr_assert_eq(a->http_status, b->http_status);
    cr_assert_eq(a->replayed, b->replayed);
}

static void assert_comes_back(const PaymentOutcome *sent)
{
    Arena arena = sample_arena();
    PaymentOutcome outcome;
    sample_assert_ok(wire_decode_payment_outcome(&arena, wire_encode_payment_outcome(&arena, sent), &outcome));
    cr_assert(str_equal(outcome.transaction_id, sent->transaction_id));
    cr_assert(str_equal(outcome.publisher, sent->publisher));
    cr_assert(str_equal(outcome.customer_id, sent->customer_id));
    cr_assert(str_equal(outcome.merchant_id, sent->merchant_id));
    cr_assert(sample_same_money(outcome.money, sent->money));
    cr_assert_eq(outcome.status, sent->status);
    cr_assert(str_equal(outcome.failure, sent->failure));
    cr_assert_eq(outcome.retry_after_ms, sent->retry_after_ms);
    cr_assert(sample_same_verdict(&outcome.verdict, &sent->verdict));
    cr_assert_eq(outcome.policy_revision, sent->policy_revision);
    cr_assert_eq(outcome.signal_sequence, sent->signal_sequence);
    assert_same_gateway(&outcome.gateway, &sent->gateway);
    cr_assert_eq(outcome.received_ms, sent->received_ms);
    cr_assert_eq(outcome.timestamp_ms, sent->timestamp_ms);
    cr_assert(str_equal(outcome.trace_id, sent->trace_id));
    cr_assert(sample_same_metadata(outcome.metadata, outcome.metadata_count, sent->metadata, sent->metadata_count));
    arena_release(&arena);
}

Test(outcome, every_status_comes_back_as_it_was_sent)
{
    for (PaymentStatus status = PAYMENT_SUCCESS; status < PAYMENT_STATUS_COUNT; status++) {
        PaymentOutcome outcome = sample_outcome();
        outcome.status = status;
        assert_comes_back(&outcome);
    }
}

Test(outcome, a_declined_card_comes_back_with_all_that_the_gateway_said)
{
    PaymentOutcome outcome = sample_outcome();
    outcome.status = PAYMENT_DECLINED;
    outcome.gateway = (PaymentGatewayResponse){
        .id = STR("pi_2"),
        .status = STR("card_error"),
        .code = STR("card_declined"),
        .decline_code = STR("insufficient_funds"),
        .message = STR("Your card has insufficient funds."),
        .http_status = 402,
    };
    assert_comes_back(&outcome);
}

Test(outcome, a_failure_before_the_gateway_was_asked_comes_back)
{
    PaymentOutcome outcome = sample_outcome();
    outcome.status = PAYMENT_FAILED;
    outcome.failure = STR("breaker_open");
    outcome.retry_after_ms = 30000;
    outcome.gateway = (PaymentGatewayResponse){0};
    outcome.metadata = NULL;
    outcome.metadata_count = 0;
    assert_comes_back(&outcome);
}

Test(outcome, what_a_gateway_says_can_never_make_an_outcome_unreadable)
{
    Arena arena = sample_arena();
    PaymentOutcome sent = sample_outcome();
    sent.gateway.message = STR("a\0b\xC3(\xE2\x82\xAC\xFF");
    PaymentOutcome outcome;
    sample_assert_ok(wire_decode_payment_outcome(&arena, wire_encode_payment_outcome(&arena, &sent), &outcome));
    sample_assert_text(outcome.gateway.message, "a?b?(\xE2\x82\xAC?", "message");
    arena_release(&arena);
}

static void assert_refused(const PaymentOutcome *sent, const char *reason)
{
    Arena arena = sample_arena();
    PaymentOutcome outcome;
    Err err = wire_decode_payment_outcome(&arena, wire_encode_payment_outcome(&arena, sent), &outcome);
    sample_assert_refused(err, reason, reason);
    arena_release(&arena);
}

Test(outcome, what_is_no_final_result_is_refused)
{
    PaymentOutcome outcome = sample_outcome();
    outcome.status = PAYMENT_PENDING;
    assert_refused(&outcome, "status: unknown status 0");
    outcome.status = (PaymentStatus)5;
    assert_refused(&outcome, "status: unknown status 5");
    outcome = sample_outcome();
    outcome.transaction_id = (Str){0};
    assert_refused(&outcome, "transaction_id: missing");
    outcome = sample_outcome();
    outcome.money.minor = 0;
    assert_refused(&outcome, "amount: must be more than zero");
    outcome = sample_outcome();
    outcome.retry_after_ms = -1;
    assert_refused(&outcome, "retry_after_ms: is negative");
    outcome = sample_outcome();
    outcome.gateway.http_status = -1;
    assert_refused(&outcome, "gateway.http_status: must be 0 to 999");
    outcome = sample_outcome();
    outcome.timestamp_ms = INT64_MAX;
    assert_refused(&outcome, "timestamp_ms: not a time in Unix ms");
}

Test(outcome, every_cut_of_an_outcome_is_refused_or_read_without_harm)
{
    Arena arena = sample_arena();
    PaymentOutcome sent = sample_outcome();
    Str body = wire_encode_payment_outcome(&arena, &sent);
    for (size_t length = 0; length < body.length; length++) {
        Arena scratch = sample_arena();
        PaymentOutcome outcome;
        Err err = wire_decode_payment_outcome(&scratch, str_slice(body, 0, length), &outcome);
        cr_assert(err.kind == ERR_REJECT || err.kind == ERR_NONE);
        arena_release(&scratch);
    }
    arena_release(&arena);
}

Test(blacklist, a_change_comes_back_as_it_was_sent)
{
    Arena arena = sample_arena();
    const PaymentBlacklistChange sent = {STR("cust_9"), true, STR("anna"), STR("chargebacks"), SAMPLE_RECEIVED_MS};
    PaymentBlacklistChange change;
    sample_assert_ok(wire_decode_payment_blacklist(&arena, wire_encode_payment_blacklist(&arena, &sent), &change));
    cr_assert(str_equal(change.customer_id, sent.customer_id));
    cr_assert(change.listed);
    cr_assert(str_equal(change.who, sent.who));
    cr_assert(str_equal(change.reason, sent.reason));
    cr_assert_eq(change.when_ms, sent.when_ms);
    arena_release(&arena);
}

Test(blacklist, a_change_for_nobody_is_refused)
{
    Arena arena = sample_arena();
    PaymentBlacklistChange change;
    sample_assert_refused(wire_decode_payment_blacklist(&arena, STR(""), &change),
                          "customer_id: must be 1 to 128 characters of A-Z a-z 0-9 _ . : -", "nothing");
    sample_assert_refused(wire_decode_payment_blacklist(&arena, STR("\x0A\x05"), &change),
                          "body: not a tai.v1.PaymentBlacklistChange message", "cut");
    arena_release(&arena);
}

Test(blacklist, a_change_with_a_body_larger_than_any_reason_is_refused)
{
    Arena arena = sample_arena();
    char body[8193] = {0};
    PaymentBlacklistChange change;
    sample_assert_refused(wire_decode_payment_blacklist(&arena, (Str){body, sizeof(body)}, &change),
                          "body: longer than 8192 bytes", "8193 bytes");
    arena_release(&arena);
}

Test(activation, a_policy_that_became_live_comes_back_as_it_was_sent)
{
    Arena arena = sample_arena();
    uint64_t revision = 0;
    Str document = {0};
    int64_t when_ms = 0;
    Str body = wire_encode_payment_policy_activated(&arena, 12, STR("{\n}"), SAMPLE_RECEIVED_MS);
    sample_assert_ok(wire_decode_payment_policy_activated(&arena, body, &revision, &document, &when_ms));
    cr_assert_eq(revision, 12);
    sample_assert_text(document, "{\n}", "document");
    cr_assert_eq(when_ms, SAMPLE_RECEIVED_MS);
    sample_assert_refused(wire_decode_payment_policy_activated(&arena, STR(""), &revision, &document, &when_ms),
                          "document: missing", "nothing");
    arena_release(&arena);
}
