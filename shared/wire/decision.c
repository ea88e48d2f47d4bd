/* decision - what the policy made of a signal, as bytes. An approved one is the durable intent to charge, so a decoder
 * that is unsure refuses it. */
#include "shared/wire/message.h"
#include "shared/wire/payment.h"

static Err read_facts(const Tai__V1__FraudFacts *packed, const Money *money, FraudFacts *facts)
{
    if (packed == NULL) {
        return err_reject("facts: missing");
    }
    if (packed->velocity_count < 0 || packed->currency_count < 0) {
        return err_reject("facts: a count is negative");
    }
    *facts = (FraudFacts){
        .money = *money,
        .blacklisted = packed->blacklisted,
        .velocity_count = packed->velocity_count,
        .currency_count = packed->currency_count,
    };
    return err_none();
}

static Err read_judged_signal(Arena *arena, const Tai__V1__PaymentDecision *packed, PaymentSignal *signal)
{
    if (packed->signal == NULL) {
        return err_reject("signal: missing");
    }
    Err err = message_read_signal(arena, packed->signal, signal);
    if (!err_is(err)) {
        const MessageText publisher = {"publisher", packed->publisher, &signal->publisher};
        err = message_read_texts(&publisher, 1);
    }
    return err_is(err) ? err : message_check_transaction(signal);
}

Err wire_decode_payment_decision(Arena *arena, Str body, PaymentDecision *decision)
{
    Tai__V1__PaymentDecision *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__payment_decision__descriptor, body, MESSAGE_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *decision = (PaymentDecision){
        .policy_revision = packed->policy_revision,
        .signal_sequence = packed->signal_sequence,
        .decided_ms = packed->decided_ms,
        .deadline_ms = packed->deadline_ms,
        .fresh = packed->fresh,
    };
    err = read_judged_signal(arena, packed, &decision->signal);
    if (!err_is(err)) {
        err = read_facts(packed->facts, &decision->signal.money, &decision->facts);
    }
    if (!err_is(err)) {
        err = message_read_verdict(packed->verdict, &decision->verdict);
    }
    if (!err_is(err)) {
        err = message_check_time("decided_ms", decision->decided_ms);
    }
    if (!err_is(err)) {
        err = message_check_time("deadline_ms", decision->deadline_ms);
    }
    return err;
}

Str wire_encode_payment_decision(Arena *arena, const PaymentDecision *decision)
{
    Tai__V1__FraudFacts facts = TAI__V1__FRAUD_FACTS__INIT;
    facts.blacklisted = decision->facts.blacklisted;
    facts.velocity_count = decision->facts.velocity_count;
    facts.currency_count = decision->facts.currency_count;
    Tai__V1__PaymentDecision packed = TAI__V1__PAYMENT_DECISION__INIT;
    packed.signal = message_write_signal(arena, &decision->signal);
    packed.publisher = message_write_text(arena, decision->signal.publisher);
    packed.facts = &facts;
    packed.verdict = message_write_verdict(arena, &decision->verdict);
    packed.policy_revision = decision->policy_revision;
    packed.signal_sequence = decision->signal_sequence;
    packed.decided_ms = decision->decided_ms;
    packed.deadline_ms = decision->deadline_ms;
    packed.fresh = decision->fresh;
    return message_pack(arena, &packed);
}
