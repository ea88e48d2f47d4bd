/* samples - what the tests of this folder share: one of each message, all fields set, and how a refusal is asserted. */
#ifndef TAI_TESTS_WIRE_SAMPLES_H
#define TAI_TESTS_WIRE_SAMPLES_H

#include <string.h>

#include <criterion/criterion.h>

#include "shared/wire/payment.h"

#define SAMPLE_RECEIVED_MS INT64_C(1700000000123)

static inline Arena sample_arena(void)
{
    return arena_make(16384, 4194304);
}

static inline void sample_assert_text(Str actual, const char *expected, const char *what)
{
    cr_assert(str_equal(actual, str_from(expected)), "%s: got \"%.*s\", not \"%s\"", what, STR_ARG(actual), expected);
}

static inline void sample_assert_refused(Err err, const char *reason, const char *what)
{
    cr_assert(err.kind == ERR_REJECT, "%s: not refused (%s)", what, err.why);
    cr_assert(strcmp(err.why, reason) == 0, "%s: the reason is \"%s\", not \"%s\"", what, err.why, reason);
}

static inline void sample_assert_ok(Err err)
{
    cr_assert(!err_is(err), "refused: %s", err.why);
}

static inline PaymentSignal sample_signal(void)
{
    static PaymentMetadata metadata[2];
    metadata[0] = (PaymentMetadata){STR("order"), STR("A-17")};
    metadata[1] = (PaymentMetadata){STR("note"), STR("gr\xC3\xBC\xC3\x9F \"dich\"")};
    return (PaymentSignal){
        .transaction_id = STR("txn_01HF7YAT3V0000000000000000"),
        .publisher = STR("shop1"),
        .customer_id = STR("cust_123"),
        .merchant_id = STR("merc_456"),
        .money = {9999, "USD"},
        .payment_method = STR("pm_card_visa"),
        .description = STR("two books"),
        .metadata = metadata,
        .metadata_count = 2,
        .received_ms = SAMPLE_RECEIVED_MS,
    };
}

static inline PaymentDecision sample_decision(void)
{
    return (PaymentDecision){
        .signal = sample_signal(),
        .facts = {.money = {9999, "USD"}, .blacklisted = false, .velocity_count = 3, .currency_count = 2},
        .verdict = {.points = 20, .hit_points = {[FRAUD_GEOLOCATION] = 20}, .rejected = false},
        .policy_revision = 7,
        .signal_sequence = 4711,
        .decided_ms = SAMPLE_RECEIVED_MS + 5,
        .deadline_ms = SAMPLE_RECEIVED_MS + 30000,
        .fresh = true,
    };
}

static inline PaymentOutcome sample_outcome(void)
{
    PaymentSignal signal = sample_signal();
    return (PaymentOutcome){
        .transaction_id = signal.transaction_id,
        .publisher = signal.publisher,
        .customer_id = signal.customer_id,
        .merchant_id = signal.merchant_id,
        .money = signal.money,
        .status = PAYMENT_SUCCESS,
        .verdict = {.points = 20, .hit_points = {[FRAUD_GEOLOCATION] = 20}},
        .policy_revision = 7,
        .signal_sequence = 4711,
        .gateway = {.id = STR("pi_1"), .status = STR("succeeded"), .http_status = 200, .replayed = true},
        .received_ms = SAMPLE_RECEIVED_MS,
        .timestamp_ms = SAMPLE_RECEIVED_MS + 151,
        .trace_id = STR("4bf92f3577b34da6a3ce929d0e0e4736"),
        .metadata = signal.metadata,
        .metadata_count = signal.metadata_count,
    };
}

static inline bool sample_same_metadata(const PaymentMetadata *a, size_t a_count, const PaymentMetadata *b,
                                        size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++) {
        same = str_equal(a[i].key, b[i].key) && str_equal(a[i].value, b[i].value);
    }
    return same;
}

static inline bool sample_same_money(Money a, Money b)
{
    return a.minor == b.minor && strcmp(a.currency, b.currency) == 0;
}

static inline bool sample_same_signal(const PaymentSignal *a, const PaymentSignal *b)
{
    return str_equal(a->transaction_id, b->transaction_id) && str_equal(a->customer_id, b->customer_id) &&
           str_equal(a->merchant_id, b->merchant_id) && sample_same_money(a->money, b->money) &&
           str_equal(a->payment_method, b->payment_method) && str_equal(a->description, b->description) &&
           a->received_ms == b->received_ms &&
           sample_same_metadata(a->metadata, a->metadata_count, b->metadata, b->metadata_count);
}

static inline bool sample_same_verdict(const FraudVerdict *a, const FraudVerdict *b)
{
    return a->points == b->points && a->rejected == b->rejected &&
           memcmp(a->hit_points, b->hit_points, sizeof(a->hit_points)) == 0;
}

/* Hand-made protobuf: what no honest encoder writes. */
static inline void sample_put_varint(Buffer *out, uint64_t value)
{
    while (value > 127) {
        buffer_append_char(out, (char)(value % 128 + 128));
        value /= 128;
    }
    buffer_append_char(out, (char)value);
}

static inline void sample_put_number(Buffer *out, uint64_t field, uint64_t value)
{
    sample_put_varint(out, field * 8);
    sample_put_varint(out, value);
}

static inline void sample_put_bytes(Buffer *out, uint64_t field, Str bytes)
{
    sample_put_varint(out, field * 8 + 2);
    sample_put_varint(out, bytes.length);
    buffer_append(out, bytes);
}

#endif
