/* fuzz_policy_document - any bytes as the fraud policy in the KV bucket.
 * What is taken prints to a document that is taken again and prints the same, and judges without harm. */
#include "shared/wire/payment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_judgement(const FraudPolicy *policy)
{
    const FraudFacts facts = {.money = {MONEY_MAX_MINOR, "JPY"},
                              .blacklisted = true,
                              .velocity_count = INT64_MAX,
                              .currency_count = INT64_MAX};
    FraudVerdict verdict = fraud_evaluate(policy, &facts);
    int32_t points = 0;
    for (int check = 0; check < FRAUD_CHECK_COUNT; check++)
        points += verdict.hit_points[check];
    TAI_ASSERT(verdict.points == points);
    TAI_ASSERT(verdict.rejected == (points >= policy->reject_at_points));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena arena = arena_make(65536, 8388608);
    FraudPolicy policy;
    Err err = wire_decode_fraud_policy(&arena, (Str){(const char *)data, size}, &policy);
    if (err_is(err)) {
        TAI_ASSERT(err.kind == ERR_REJECT && err.why[0] != '\0');
    } else {
        check_judgement(&policy);
        Str once = wire_print_fraud_policy(&arena, &policy);
        FraudPolicy again;
        TAI_ASSERT(!err_is(wire_decode_fraud_policy(&arena, once, &again)));
        TAI_ASSERT(str_equal(once, wire_print_fraud_policy(&arena, &again)));
    }
    arena_release(&arena);
    return 0;
}
