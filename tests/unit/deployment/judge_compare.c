/* Tests of judge's comparison of two versions: two shares, and two histograms of latencies.
 * Against known tables and against ranks given out one request at a time. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "shared/deployment/judge.h"

#define BUCKETS (JUDGE_LATENCY_BUCKETS + 1)

static void expect_near(double found, double wanted, double relative)
{
    cr_assert(fabs(found - wanted) <= relative * fabs(wanted), "found %.15g, wanted %.15g", found, wanted);
}

Test(judge_compare, fishers_tea_and_other_tables_that_can_be_counted_by_hand)
{
    static const struct {
        uint64_t bad_a, total_a, bad_b, total_b;
        double p;
    } tables[] = {
        {4, 4, 0, 4, 1.0 / 70},
        {3, 4, 1, 4, 17.0 / 70},
        {2, 4, 2, 4, 53.0 / 70},
        {0, 4, 4, 4, 1},
        {1, 1, 0, 1, 0.5},
        {1, 100, 0, 1900, 0.05},
        {1, 100, 0, 9900, 0.01},
        {0, 100, 5, 100, 1},
        {2, 100, 0, 100, 100.0 * 99 / (200.0 * 199)},
        {1, 10, 1, 10, 1 - 10.0 * 9 / (20.0 * 19)},
        {10, 10, 9, 10, 0.5},
        {100, 100, 99, 100, 0.5},
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        expect_near(judge_two_proportions_p(tables[i].bad_a, tables[i].total_a, tables[i].bad_b, tables[i].total_b),
                    tables[i].p, 1e-12);
}

Test(judge_compare, many_errors_are_compared_by_the_normal_curve)
{
    /* shares 0.11 and 0.10 of 100,000: pooled 0.105, z = 0.01 / sqrt(0.105 * 0.895 * 2 / 100000) = 7.294... */
    double z = 0.01 / sqrt(0.105 * 0.895 * 2e-5);
    expect_near(judge_two_proportions_p(11000, 100000, 10000, 100000), erfc(z / sqrt(2.0)) / 2, 1e-9);
    expect_near(judge_two_proportions_p(10000, 100000, 10000, 100000), 0.5, 1e-12);
}

Test(judge_compare, both_ways_of_comparing_meet_where_one_takes_over)
{
    double exact = judge_two_proportions_p(1040, 100000, 955, 100000); /* 997.5 expected in each */
    double curve = judge_two_proportions_p(1043, 100000, 958, 100000); /* 1000.5 */
    cr_assert(exact > 0.02 && exact < 0.04 && curve > 0.02 && curve < 0.04);
    expect_near(exact, curve, 0.1);
}

Test(judge_compare, equal_shares_and_nothing_at_all_are_no_evidence)
{
    cr_assert_eq(judge_two_proportions_p(0, 0, 0, 0), 1);
    cr_assert_eq(judge_two_proportions_p(0, 100, 0, 0), 1);
    cr_assert_eq(judge_two_proportions_p(0, 0, 5, 100), 1);
    cr_assert_eq(judge_two_proportions_p(0, 100, 0, 1900), 1);
    cr_assert_eq(judge_two_proportions_p(100, 100, 50, 50), 1);
    cr_assert_eq(judge_two_proportions_p(11, 10, 0, 10), 1);
    cr_assert_eq(judge_two_proportions_p(1, 10, 11, 10), 1);
    cr_assert_gt(judge_two_proportions_p(5, 100, 95, 1900), 0.4);
}

Test(judge_compare, each_further_error_is_further_evidence)
{
    static const uint64_t totals[] = {100, 1000, 50000, 1000000000};
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        double before = 1.0000001;
        for (uint64_t bad = 0; bad <= 80; bad++) {
            double p = judge_two_proportions_p(bad, totals[i], 20, totals[i] * 19);
            cr_assert(p >= 0 && p <= before, "%llu of %llu: %g after %g", (unsigned long long)bad,
                      (unsigned long long)totals[i], p, before);
            before = p + 1e-12;
        }
    }
}

Test(judge_compare, huge_counts_give_a_probability)
{
    double p = judge_two_proportions_p(UINT64_MAX / 20, UINT64_MAX, UINT64_MAX / 30, UINT64_MAX);
    cr_assert(p >= 0 && p < 1e-9);
    p = judge_two_proportions_p(3, UINT64_MAX, 2, UINT64_MAX);
    cr_assert(p > 0 && p <= 1);
    p = judge_two_proportions_p(50001000, 1000000000, 50000000, 1000000000);
    cr_assert(p > 0.4 && p < 0.5);
}

/* The textbook way: all requests in one row, mid-ranks, rank sum. */
static double ranked_p(const JudgeCounts *a, const JudgeCounts *b, double *effect)
{
    double n_a = 0;
    double n_b = 0;
    double before = 0;
    double rank_sum = 0;
    double ties = 0;
    for (int i = 0; i < BUCKETS; i++) {
        double t = (double)(a->latency[i] + b->latency[i]);
        for (uint64_t request = 0; request < a->latency[i]; request++)
            rank_sum += before + (t + 1) / 2;
        before += t;
        ties += t * t * t - t;
        n_a += (double)a->latency[i];
        n_b += (double)b->latency[i];
    }
    double u = rank_sum - n_a * (n_a + 1) / 2;
    double sigma = sqrt(n_a * n_b / 12 * (before + 1 - ties / (before * (before - 1))));
    *effect = u / (n_a * n_b);
    return erfc((u - n_a * n_b / 2 - 0.5) / sigma / sqrt(2.0)) / 2;
}

static uint64_t random_below(uint64_t *state, uint64_t limit)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % limit;
}

Test(judge_compare, ranks_are_those_of_requests_in_one_row)
{
    uint64_t state = 1;
    for (int round = 0; round < 300; round++) {
        JudgeCounts a = {0};
        JudgeCounts b = {0};
        for (int i = 0; i < BUCKETS; i++) {
            a.latency[i] = random_below(&state, 40);
            b.latency[i] = random_below(&state, 1 + (uint64_t)round);
        }
        b.latency[0]++;
        a.latency[1]++;
        double effect = 0;
        double wanted_effect = 0;
        double wanted = ranked_p(&a, &b, &wanted_effect);
        expect_near(judge_mann_whitney_p(&a, &b, &effect), wanted, 1e-9);
        cr_assert_float_eq(effect, wanted_effect, 1e-12);
    }
}

Test(judge_compare, the_effect_counts_pairs)
{
    JudgeCounts a = {.latency = {[2] = 1, [5] = 3}};
    JudgeCounts b = {.latency = {[2] = 2, [4] = 1, [5] = 1}};
    double effect = 0;
    judge_mann_whitney_p(&a, &b, &effect); /* of 16 pairs 9 are slower and 2 + 3 are even */
    cr_assert_float_eq(effect, (9 + 2.5) / 16, 1e-15);
    judge_mann_whitney_p(&b, &a, &effect);
    cr_assert_float_eq(effect, (2 + 2.5) / 16, 1e-15);
}

Test(judge_compare, wholly_slower_and_wholly_faster_are_the_ends)
{
    JudgeCounts fast = {.latency = {[1] = 500}};
    JudgeCounts slow = {.latency = {[JUDGE_LATENCY_BUCKETS] = 500}};
    double effect = 0;
    cr_assert_lt(judge_mann_whitney_p(&slow, &fast, &effect), 1e-100);
    cr_assert_eq(effect, 1);
    cr_assert_gt(judge_mann_whitney_p(&fast, &slow, &effect), 0.999999);
    cr_assert_eq(effect, 0);
}

Test(judge_compare, all_in_one_bucket_or_nothing_is_no_evidence)
{
    static const JudgeCounts none = {0};
    static const JudgeCounts one = {.latency = {[3] = 1}};
    static const JudgeCounts many = {.latency = {[3] = UINT64_C(1000000000)}};
    static const struct {
        const JudgeCounts *a;
        const JudgeCounts *b;
    } pairs[] = {{&none, &none}, {&none, &many}, {&many, &none}, {&many, &many}, {&one, &one}, {&one, &many}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        double effect = -1;
        cr_assert_eq(judge_mann_whitney_p(pairs[i].a, pairs[i].b, &effect), 1);
        cr_assert_eq(effect, 0.5);
    }
}

Test(judge_compare, nearly_all_of_a_billion_in_one_bucket_still_has_a_variance)
{
    JudgeCounts a = {.latency = {[3] = UINT64_C(999999900), [4] = 100}};
    JudgeCounts b = {.latency = {[3] = UINT64_C(1000000000)}};
    double effect = 0;
    double p = judge_mann_whitney_p(&a, &b, &effect); /* 100 slow ones on one side only: z is just below 10 */
    cr_assert(p > 1e-24 && p < 1e-22, "%g", p);
    cr_assert(effect > 0.5 && effect < 0.5000001);
    JudgeCounts huge = {.latency = {[3] = UINT64_MAX / 2, [4] = UINT64_MAX / 2}};
    p = judge_mann_whitney_p(&huge, &huge, &effect);
    cr_assert(p > 0.49 && p <= 0.51);
}
