/* Tests of fraud: each check on both sides of its limit, and what the points come to. */
#include <criterion/criterion.h>
#include <string.h>

#include "shared/payment/fraud.h"

static FraudFacts harmless(void)
{
    return (FraudFacts){.money = {9999, "USD"}, .velocity_count = 1, .currency_count = 1};
}

static FraudVerdict judged(FraudFacts facts)
{
    FraudPolicy policy = fraud_policy_default();
    return fraud_evaluate(&policy, &facts);
}

static bool is_high(const FraudPolicy *policy, int64_t minor, const char *currency)
{
    FraudFacts facts = harmless();
    facts.money.minor = minor;
    memcpy(facts.money.currency, currency, 4);
    return fraud_evaluate(policy, &facts).hit_points[FRAUD_HIGH_AMOUNT] > 0;
}

Test(fraud, the_default_policy_is_the_one_of_the_design)
{
    FraudPolicy policy = fraud_policy_default();
    cr_assert_eq(policy.points[FRAUD_BLACKLIST], 100);
    cr_assert_eq(policy.points[FRAUD_VELOCITY], 50);
    cr_assert_eq(policy.points[FRAUD_HIGH_AMOUNT], 30);
    cr_assert_eq(policy.points[FRAUD_GEOLOCATION], 20);
    cr_assert_eq(policy.reject_at_points, 50);
    cr_assert_eq(policy.velocity_more_than, 5);
    cr_assert_eq(policy.velocity_window_ms, 60000);
    cr_assert_eq(policy.high_amount_more_than_e4, 50000000);
    cr_assert_eq(policy.geolocation_more_than, 1);
    cr_assert_eq(policy.geolocation_window_ms, 3600000);
    cr_assert_eq(policy.currency_limit_count, 0);
}

Test(fraud, checks_have_their_names)
{
    cr_assert_str_eq(fraud_check_name(FRAUD_BLACKLIST), "blacklist");
    cr_assert_str_eq(fraud_check_name(FRAUD_VELOCITY), "velocity");
    cr_assert_str_eq(fraud_check_name(FRAUD_HIGH_AMOUNT), "high_amount");
    cr_assert_str_eq(fraud_check_name(FRAUD_GEOLOCATION), "geolocation");
}

Test(fraud, a_harmless_payment_has_no_points)
{
    FraudVerdict verdict = judged(harmless());
    cr_assert_eq(verdict.points, 0);
    cr_assert_not(verdict.rejected);
}

Test(fraud, a_blacklisted_customer_is_rejected)
{
    FraudFacts facts = harmless();
    facts.blacklisted = true;
    FraudVerdict verdict = judged(facts);
    cr_assert_eq(verdict.points, 100);
    cr_assert_eq(verdict.hit_points[FRAUD_BLACKLIST], 100);
    cr_assert(verdict.rejected);
}

Test(fraud, the_fifth_signal_passes_and_the_sixth_hits)
{
    FraudFacts facts = harmless();
    facts.velocity_count = 5;
    cr_assert_eq(judged(facts).points, 0);
    facts.velocity_count = 6;
    FraudVerdict verdict = judged(facts);
    cr_assert_eq(verdict.hit_points[FRAUD_VELOCITY], 50);
    cr_assert(verdict.rejected, "exactly 50 points reject");
}

Test(fraud, exactly_5000_passes_and_the_next_minor_unit_hits)
{
    FraudPolicy policy = fraud_policy_default();
    static const struct {
        const char *currency;
        int64_t minor;
    } exactly[] = {{"USD", 500000}, {"JPY", 5000}, {"KWD", 5000000}, {"UYW", 50000000}};
    for (size_t i = 0; i < sizeof exactly / sizeof exactly[0]; i++) {
        cr_assert_not(is_high(&policy, exactly[i].minor, exactly[i].currency), "%s", exactly[i].currency);
        cr_assert(is_high(&policy, exactly[i].minor + 1, exactly[i].currency), "%s", exactly[i].currency);
    }
    FraudFacts facts = harmless();
    facts.money.minor = 500001;
    cr_assert_eq(judged(facts).points, 30);
    cr_assert_not(judged(facts).rejected);
}

Test(fraud, a_second_currency_hits)
{
    FraudFacts facts = harmless();
    facts.currency_count = 2;
    FraudVerdict verdict = judged(facts);
    cr_assert_eq(verdict.points, 20);
    cr_assert_eq(verdict.hit_points[FRAUD_GEOLOCATION], 20);
    cr_assert_not(verdict.rejected);
}

Test(fraud, points_add_up_over_every_combination_of_checks)
{
    static const int32_t points[FRAUD_CHECK_COUNT] = {100, 50, 30, 20};
    for (unsigned hits = 0; hits < 16; hits++) {
        FraudFacts facts = harmless();
        facts.blacklisted = (hits & 1U) != 0;
        facts.velocity_count = (hits & 2U) != 0 ? 6 : 5;
        facts.money.minor = (hits & 4U) != 0 ? 500001 : 500000;
        facts.currency_count = (hits & 8U) != 0 ? 2 : 1;
        int32_t sum = 0;
        FraudVerdict verdict = judged(facts);
        for (unsigned check = 0; check < FRAUD_CHECK_COUNT; check++) {
            int32_t expected = (hits >> check & 1U) != 0 ? points[check] : 0;
            cr_assert_eq(verdict.hit_points[check], expected, "hits %u check %u", hits, check);
            sum += expected;
        }
        cr_assert_eq(verdict.points, sum);
        cr_assert_eq(verdict.rejected, sum >= 50, "hits %u", hits);
    }
}

Test(fraud, the_limit_to_reject_is_reached_not_passed)
{
    FraudPolicy policy = fraud_policy_default();
    FraudFacts facts = harmless();
    facts.money.minor = 500001;
    facts.currency_count = 2;
    cr_assert(fraud_evaluate(&policy, &facts).rejected, "30 + 20 is exactly 50");
    policy.reject_at_points = 51;
    cr_assert_not(fraud_evaluate(&policy, &facts).rejected);
}

Test(fraud, a_currency_may_have_a_limit_of_its_own)
{
    FraudPolicy policy = fraud_policy_default();
    policy.currency_limits[0] = (FraudCurrencyLimit){"JPY", INT64_C(7500000000)};
    policy.currency_limits[1] = (FraudCurrencyLimit){"KWD", 15005};
    policy.currency_limit_count = 2;
    cr_assert_not(is_high(&policy, 750000, "JPY"));
    cr_assert(is_high(&policy, 750001, "JPY"));
    /* 1.5005 lies between two fils: the first that is more than it is 1.501. */
    cr_assert_not(is_high(&policy, 1500, "KWD"));
    cr_assert(is_high(&policy, 1501, "KWD"));
    cr_assert_not(is_high(&policy, 500000, "USD"));
    cr_assert(is_high(&policy, 500001, "USD"));
    policy.currency_limit_count = 1;
    cr_assert_not(is_high(&policy, 1501, "KWD"), "limits past the count do not exist");
}

Test(fraud, all_64_currency_limits_are_looked_at_and_none_past_them)
{
    FraudPolicy policy = fraud_policy_default();
    for (int i = 0; i < FRAUD_CURRENCY_LIMITS_MAX; i++)
        policy.currency_limits[i] = (FraudCurrencyLimit){"EUR", 0};
    policy.currency_limits[FRAUD_CURRENCY_LIMITS_MAX - 1] = (FraudCurrencyLimit){"USD", 10000};
    policy.currency_limit_count = FRAUD_CURRENCY_LIMITS_MAX;
    cr_assert(is_high(&policy, 101, "USD"));
    policy.currency_limit_count = INT32_MAX;
    cr_assert_not(is_high(&policy, 100, "USD"));
    cr_assert_not(is_high(&policy, 100, "GBP"));
}

Test(fraud, the_largest_amounts_and_limits_compare_without_overflow)
{
    FraudPolicy policy = fraud_policy_default();
    cr_assert(is_high(&policy, MONEY_MAX_MINOR, "JPY"));
    cr_assert(is_high(&policy, INT64_MAX, "JPY"));
    policy.high_amount_more_than_e4 = INT64_MAX;
    cr_assert_not(is_high(&policy, INT64_MAX, "UYW"));
    cr_assert_not(is_high(&policy, INT64_MAX / 10000, "JPY"));
    cr_assert(is_high(&policy, INT64_MAX / 10000 + 1, "JPY"));
    policy.high_amount_more_than_e4 = 0;
    cr_assert(is_high(&policy, 1, "USD"));
}

Test(fraud, an_amount_in_no_known_currency_is_not_waved_through)
{
    FraudPolicy policy = fraud_policy_default();
    cr_assert(is_high(&policy, 1, "???"));
}

Test(fraud, no_points_switch_a_check_off)
{
    FraudPolicy policy = fraud_policy_default();
    memset(policy.points, 0, sizeof policy.points);
    FraudFacts facts = {
        .money = {MONEY_MAX_MINOR, "USD"}, .blacklisted = true, .velocity_count = 99, .currency_count = 99};
    FraudVerdict verdict = fraud_evaluate(&policy, &facts);
    cr_assert_eq(verdict.points, 0);
    cr_assert_not(verdict.rejected);
    for (int check = 0; check < FRAUD_CHECK_COUNT; check++)
        policy.points[check] = 1000;
    cr_assert_eq(fraud_evaluate(&policy, &facts).points, 4000);
}

Test(fraud, the_same_facts_always_give_the_same_verdict)
{
    FraudPolicy policy = fraud_policy_default();
    FraudFacts facts = {.money = {500001, "USD"}, .velocity_count = 6, .currency_count = 1};
    FraudVerdict first = fraud_evaluate(&policy, &facts);
    for (int i = 0; i < 100; i++) {
        FraudVerdict again = fraud_evaluate(&policy, &facts);
        cr_assert_eq(again.points, first.points);
        cr_assert_eq(again.rejected, first.rejected);
        cr_assert_arr_eq(again.hit_points, first.hit_points, sizeof first.hit_points);
    }
}
