/* Tests of kaizen: every message counts once, and the figures are rounded half up. */
#include <criterion/criterion.h>
#include <string.h>

#include "shared/payment/kaizen.h"

static PaymentOutcome outcome(PaymentStatus status, int64_t duration_ms)
{
    return (PaymentOutcome){.status = status, .received_ms = 1000, .timestamp_ms = 1000 + duration_ms};
}

static void fold(PaymentKaizen *kaizen, PaymentStatus status, int64_t duration_ms)
{
    PaymentOutcome one = outcome(status, duration_ms);
    cr_assert(payment_kaizen_outcome(kaizen, kaizen->payment_sequence + 1, &one));
}

Test(kaizen, every_kind_of_message_counts_in_its_place)
{
    PaymentKaizen kaizen = {0};
    PaymentOutcome success = outcome(PAYMENT_SUCCESS, 40);
    cr_assert(payment_kaizen_signal(&kaizen, 1));
    cr_assert(payment_kaizen_decision(&kaizen, 2, true));
    cr_assert(payment_kaizen_outcome(&kaizen, 3, &success));
    cr_assert(payment_kaizen_signal(&kaizen, 4));
    cr_assert(payment_kaizen_decision(&kaizen, 5, false));
    cr_assert(payment_kaizen_other(&kaizen, 6));
    cr_assert(payment_kaizen_breaker_opened(&kaizen, 1));
    cr_assert(payment_kaizen_other_andon(&kaizen, 2));
    cr_assert_eq(kaizen.signals, 2);
    cr_assert_eq(kaizen.approved, 1);
    cr_assert_eq(kaizen.status[PAYMENT_SUCCESS], 1);
    cr_assert_eq(kaizen.duration_sum_ms, 40);
    cr_assert_eq(kaizen.breaker_trips, 1);
    cr_assert_eq(kaizen.payment_sequence, 6);
    cr_assert_eq(kaizen.andon_sequence, 2);
}

Test(kaizen, a_message_folded_twice_counts_once)
{
    PaymentKaizen kaizen = {0};
    PaymentOutcome success = outcome(PAYMENT_SUCCESS, 40);
    cr_assert(payment_kaizen_outcome(&kaizen, 10, &success));
    cr_assert(payment_kaizen_breaker_opened(&kaizen, 3));
    PaymentKaizen before = kaizen;
    for (uint64_t sequence = 0; sequence <= 10; sequence++) {
        cr_assert_not(payment_kaizen_signal(&kaizen, sequence));
        cr_assert_not(payment_kaizen_decision(&kaizen, sequence, true));
        cr_assert_not(payment_kaizen_outcome(&kaizen, sequence, &success));
        cr_assert_not(payment_kaizen_other(&kaizen, sequence));
    }
    for (uint64_t sequence = 0; sequence <= 3; sequence++) {
        cr_assert_not(payment_kaizen_breaker_opened(&kaizen, sequence));
        cr_assert_not(payment_kaizen_other_andon(&kaizen, sequence));
    }
    cr_assert_arr_eq(&kaizen, &before, sizeof kaizen);
}

Test(kaizen, sequences_may_have_gaps_and_the_two_ledgers_are_apart)
{
    PaymentKaizen kaizen = {0};
    cr_assert(payment_kaizen_signal(&kaizen, 5));
    cr_assert(payment_kaizen_signal(&kaizen, 500));
    cr_assert(payment_kaizen_breaker_opened(&kaizen, 2));
    cr_assert(payment_kaizen_breaker_opened(&kaizen, 9));
    cr_assert(payment_kaizen_signal(&kaizen, UINT64_MAX));
    cr_assert_not(payment_kaizen_signal(&kaizen, UINT64_MAX));
    cr_assert_eq(kaizen.signals, 3);
    cr_assert_eq(kaizen.breaker_trips, 2);
}

Test(kaizen, any_split_of_redeliveries_gives_the_same_figures)
{
    PaymentKaizen once = {0};
    PaymentKaizen again = {0};
    for (uint64_t sequence = 1; sequence <= 60; sequence++) {
        PaymentOutcome one = outcome((PaymentStatus)(1 + sequence % 4), (int64_t)(sequence * 37));
        payment_kaizen_outcome(&once, sequence, &one);
    }
    for (uint64_t upto = 5; upto <= 60; upto += 5) {
        for (uint64_t sequence = upto > 20 ? upto - 20 : 1; sequence <= upto; sequence++) {
            PaymentOutcome one = outcome((PaymentStatus)(1 + sequence % 4), (int64_t)(sequence * 37));
            payment_kaizen_outcome(&again, sequence, &one);
        }
    }
    cr_assert_arr_eq(&once, &again, sizeof once);
}

Test(kaizen, checks_count_in_rejected_outcomes_only)
{
    PaymentKaizen kaizen = {0};
    PaymentOutcome rejected = outcome(PAYMENT_REJECTED, 1);
    rejected.verdict.hit_points[FRAUD_VELOCITY] = 50;
    rejected.verdict.hit_points[FRAUD_HIGH_AMOUNT] = 30;
    PaymentOutcome charged = outcome(PAYMENT_SUCCESS, 1);
    charged.verdict.hit_points[FRAUD_HIGH_AMOUNT] = 30;
    payment_kaizen_outcome(&kaizen, 1, &rejected);
    payment_kaizen_outcome(&kaizen, 2, &charged);
    cr_assert_eq(kaizen.fraud_checks[FRAUD_BLACKLIST], 0);
    cr_assert_eq(kaizen.fraud_checks[FRAUD_VELOCITY], 1);
    cr_assert_eq(kaizen.fraud_checks[FRAUD_HIGH_AMOUNT], 1);
    cr_assert_eq(kaizen.fraud_checks[FRAUD_GEOLOCATION], 0);
}

Test(kaizen, bounds_grow_and_hold_the_limit_that_an_alert_is_raised_at)
{
    bool five_seconds = false;
    for (int i = 0; i < PAYMENT_DURATION_BUCKETS; i++) {
        cr_assert(i == 0 || payment_duration_bounds_ms[i] > payment_duration_bounds_ms[i - 1]);
        five_seconds = five_seconds || payment_duration_bounds_ms[i] == 5000;
    }
    cr_assert(five_seconds);
}

Test(kaizen, a_duration_at_a_bound_belongs_below_it)
{
    for (int i = 0; i < PAYMENT_DURATION_BUCKETS; i++) {
        PaymentKaizen kaizen = {0};
        fold(&kaizen, PAYMENT_SUCCESS, payment_duration_bounds_ms[i]);
        cr_assert_eq(kaizen.duration_buckets[i], 1);
        fold(&kaizen, PAYMENT_SUCCESS, payment_duration_bounds_ms[i] + 1);
        cr_assert_eq(kaizen.duration_buckets[i + 1], 1);
    }
    PaymentKaizen kaizen = {0};
    fold(&kaizen, PAYMENT_SUCCESS, 0);
    fold(&kaizen, PAYMENT_SUCCESS, -5);
    cr_assert_eq(kaizen.duration_buckets[0], 2);
    cr_assert_eq(kaizen.duration_sum_ms, 0, "clocks that disagree count as no time");
}

Test(kaizen, extreme_times_do_not_overflow)
{
    PaymentKaizen kaizen = {0};
    PaymentOutcome one = {.status = PAYMENT_SUCCESS, .received_ms = INT64_MIN, .timestamp_ms = INT64_MAX};
    cr_assert(payment_kaizen_outcome(&kaizen, 1, &one));
    cr_assert_eq(kaizen.duration_buckets[PAYMENT_DURATION_BUCKETS], 1);
}

Test(kaizen, figures_of_nothing_are_zero)
{
    PaymentKaizen kaizen = {0};
    PaymentFigures figures = payment_kaizen_figures(&kaizen);
    PaymentFigures zero = {0};
    cr_assert_arr_eq(&figures, &zero, sizeof zero);
}

Test(kaizen, figures_are_derived_and_rounded_half_up)
{
    static const struct {
        uint64_t success;
        uint64_t rejected;
        uint64_t failed;
        uint64_t sum_ms;
        uint64_t success_e2;
        uint64_t fraud_e2;
        uint64_t average_e2;
    } rows[] = {
        {95, 5, 0, 14500, 9500, 500, 14500},
        {1, 0, 0, 0, 10000, 0, 0},
        {0, 3, 0, 10, 0, 10000, 333},
        {1, 1, 1, 20, 3333, 3333, 667},
        {2, 1, 0, 1, 6667, 3333, 33},
        {1, 0, 19999, 1, 1, 0, 0},   /* 0.005 % rounds up to 0.01 */
        {1, 0, 20000, 100, 0, 0, 0}, /* just below a half rounds down */
        {0, 0, 200, 1, 0, 0, 1},     /* 0.005 ms rounds up */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PaymentKaizen kaizen = {.duration_sum_ms = rows[i].sum_ms, .breaker_trips = 4};
        kaizen.status[PAYMENT_SUCCESS] = rows[i].success;
        kaizen.status[PAYMENT_REJECTED] = rows[i].rejected;
        kaizen.status[PAYMENT_FAILED] = rows[i].failed;
        PaymentFigures figures = payment_kaizen_figures(&kaizen);
        cr_assert_eq(figures.total_transactions, rows[i].success + rows[i].rejected + rows[i].failed);
        cr_assert_eq(figures.successful_transactions, rows[i].success);
        cr_assert_eq(figures.fraudulent_transactions, rows[i].rejected);
        cr_assert_eq(figures.success_rate_percent_e2, rows[i].success_e2, "row %zu", i);
        cr_assert_eq(figures.fraud_rate_percent_e2, rows[i].fraud_e2, "row %zu", i);
        cr_assert_eq(figures.avg_latency_ms_e2, rows[i].average_e2, "row %zu", i);
        cr_assert_eq(figures.circuit_breaker_trips, 4);
    }
}

Test(kaizen, sums_of_many_years_do_not_overflow)
{
    PaymentKaizen kaizen = {.duration_sum_ms = UINT64_C(1000000000000000000)};
    kaizen.status[PAYMENT_SUCCESS] = UINT64_C(10000000000000);
    PaymentFigures figures = payment_kaizen_figures(&kaizen);
    cr_assert_eq(figures.avg_latency_ms_e2, 10000000);
    cr_assert_eq(figures.success_rate_percent_e2, 10000);
}
