/* Decisions as bytes. */
#include "tests/unit/wire/samples.h"

Test(decision, a_decision_comes_back_as_it_was_sent)
{
    Arena arena = sample_arena();
    PaymentDecision sent = sample_decision();
    PaymentDecision decision;
    sample_assert_ok(wire_decode_payment_decision(&arena, wire_encode_payment_decision(&arena, &sent), &decision));
    cr_assert(sample_same_signal(&decision.signal, &sent.signal));
    cr_assert(str_equal(decision.signal.publisher, sent.signal.publisher));
    cr_assert(sample_same_money(decision.facts.money, sent.facts.money));
    cr_assert_eq(decision.facts.blacklisted, sent.facts.blacklisted);
    cr_assert_eq(decision.facts.velocity_count, sent.facts.velocity_count);
    cr_assert_eq(decision.facts.currency_count, sent.facts.currency_count);
    cr_assert(sample_same_verdict(&decision.verdict, &sent.verdict));
    cr_assert_eq(decision.policy_revision, sent.policy_revision);
    cr_assert_eq(decision.signal_sequence, sent.signal_sequence);
    cr_assert_eq(decision.decided_ms, sent.decided_ms);
    cr_assert_eq(decision.deadline_ms, sent.deadline_ms);
    cr_assert_eq(decision.fresh, sent.fresh);
    arena_release(&arena);
}

Test(decision, a_rejection_by_every_check_comes_back)
{
    Arena arena = sample_arena();
    PaymentDecision sent = sample_decision();
    sent.facts.blacklisted = true;
    sent.verdict = (FraudVerdict){.points = 200, .hit_points = {100, 50, 30, 20}, .rejected = true};
    PaymentDecision decision;
    sample_assert_ok(wire_decode_payment_decision(&arena, wire_encode_payment_decision(&arena, &sent), &decision));
    cr_assert(sample_same_verdict(&decision.verdict, &sent.verdict));
    cr_assert(decision.facts.blacklisted);
    arena_release(&arena);
}

static void assert_refused(const PaymentDecision *sent, const char *reason)
{
    Arena arena = sample_arena();
    PaymentDecision decision;
    Err err = wire_decode_payment_decision(&arena, wire_encode_payment_decision(&arena, sent), &decision);
    sample_assert_refused(err, reason, reason);
    arena_release(&arena);
}

Test(decision, an_intent_that_cannot_be_right_is_refused)
{
    PaymentDecision decision = sample_decision();
    decision.signal.transaction_id = (Str){0};
    assert_refused(&decision, "transaction_id: missing");
    decision = sample_decision();
    decision.signal.publisher = STR("a.b");
    assert_refused(&decision, "publisher: must be 1 to 128 of A-Z a-z 0-9 _ : -");
    decision.signal.publisher = (Str){0};
    assert_refused(&decision, "publisher: missing");
    decision = sample_decision();
    decision.signal.money.minor = -1;
    assert_refused(&decision, "amount: must be more than zero");
    decision = sample_decision();
    decision.facts.velocity_count = -1;
    assert_refused(&decision, "facts: a count is negative");
    decision = sample_decision();
    decision.verdict.points = 21;
    assert_refused(&decision, "verdict: points are not the sum of its checks");
    decision = sample_decision();
    decision.verdict.hit_points[FRAUD_VELOCITY] = 1001;
    assert_refused(&decision, "verdict: points of velocity must be 1 to 1000");
    decision = sample_decision();
    decision.deadline_ms = -5;
    assert_refused(&decision, "deadline_ms: not a time in Unix ms");
}

/* A valid decision with its verdict replaced: the last verdict is merged over the first. */
static void assert_verdict_refused(Str hit, const char *reason)
{
    Arena arena = sample_arena();
    PaymentDecision sent = sample_decision();
    Str body = wire_encode_payment_decision(&arena, &sent);
    Buffer verdict = arena_buffer(&arena, 256);
    sample_put_bytes(&verdict, 3, hit);
    Buffer changed = arena_buffer(&arena, 4096);
    buffer_append(&changed, body);
    sample_put_bytes(&changed, 4, buffer_str(&verdict));
    PaymentDecision decision;
    sample_assert_refused(wire_decode_payment_decision(&arena, buffer_str(&changed), &decision), reason, reason);
    arena_release(&arena);
}

Test(decision, checks_that_nobody_knows_or_that_stand_twice_are_refused)
{
    assert_verdict_refused(STR("\x08\x05\x10\x0A"), "verdict: unknown check 5");
    assert_verdict_refused(STR("\x08\x00\x10\x0A"), "verdict: unknown check 0");
    assert_verdict_refused(STR("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x10\x0A"), "verdict: unknown check -1");
    assert_verdict_refused(STR("\x08\x04\x10\x0A"), "verdict: check geolocation stands twice");
    assert_verdict_refused(STR("\x08\x01\x10\x00"), "verdict: points of blacklist must be 1 to 1000");
}

Test(decision, missing_parts_are_named)
{
    Arena arena = sample_arena();
    PaymentDecision decision;
    sample_assert_refused(wire_decode_payment_decision(&arena, STR(""), &decision), "signal: missing", "nothing");
    sample_assert_refused(wire_decode_payment_decision(&arena, STR("x"), &decision),
                          "body: not a tai.v1.PaymentDecision message", "rubbish");
    PaymentSignal signal = sample_signal();
    Buffer body = arena_buffer(&arena, 4096);
    sample_put_bytes(&body, 1, wire_encode_payment_signal(&arena, &signal));
    sample_put_bytes(&body, 2, STR("shop1"));
    sample_assert_refused(wire_decode_payment_decision(&arena, buffer_str(&body), &decision), "facts: missing",
                          "facts");
    sample_put_bytes(&body, 3, STR(""));
    sample_assert_refused(wire_decode_payment_decision(&arena, buffer_str(&body), &decision), "verdict: missing",
                          "verdict");
    arena_release(&arena);
}
