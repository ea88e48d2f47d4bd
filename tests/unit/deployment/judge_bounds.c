/* Tests of judge's bounds: against published figures, closed forms and a plain sum of binomial terms.
 * And what must hold for any counts: order, growth, mirror. */
#include <criterion/criterion.h>
#include <math.h>

#include "shared/deployment/judge.h"

static void expect_near(double found, double wanted, double relative)
{
    cr_assert(fabs(found - wanted) <= relative * fabs(wanted), "found %.15g, wanted %.15g", found, wanted);
}

/* P(X >= k) of n with p, term by term from k on: slow, and shares nothing with the code under test. */
static long double tail_sum(uint64_t k, uint64_t n, long double p)
{
    if (k == 0)
        return 1;
    int sign = 0;
    long double term =
        expl(lgammal_r((long double)n + 1, &sign) - lgammal_r((long double)k + 1, &sign) -
             lgammal_r((long double)(n - k) + 1, &sign) + (long double)k * logl(p) + (long double)(n - k) * log1pl(-p));
    long double sum = 0;
    for (uint64_t i = k; i <= n && (term > sum * 1e-20L || (long double)i < (long double)n * p); i++) {
        sum += term;
        term *= (long double)(n - i) / (long double)(i + 1) * p / (1 - p);
    }
    return sum;
}

typedef struct {
    uint64_t bad;
    uint64_t total;
} Counts;

static const double alphas[] = {0.001, 0.005, 0.025, 0.05, 0.5};
#define ALPHAS (sizeof alphas / sizeof alphas[0])

Test(judge_bounds, they_are_the_published_ones)
{
    static const struct {
        Counts counts;
        double lower;
        double upper;
    } published[] = {
        /* Newcombe 1998, table I, exact: two-sided 95 %, so 2.5 % on each side, four digits */
        {{81, 263}, 0.2527, 0.3676},
        {{15, 148}, 0.0578, 0.1617},
        {{0, 20}, 0.0000, 0.1684},
        {{1, 29}, 0.0009, 0.1776},
        /* usual tables of exact limits */
        {{5, 100}, 0.0164, 0.1128},
        {{10, 100}, 0.0490, 0.1762},
        {{1, 10}, 0.0025, 0.4450},
        {{5, 10}, 0.1871, 0.8129},
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        Counts counts = published[i].counts;
        cr_assert_float_eq(judge_binomial_lower(counts.bad, counts.total, 0.025), published[i].lower, 0.00005);
        cr_assert_float_eq(judge_binomial_upper(counts.bad, counts.total, 0.025), published[i].upper, 0.00005);
    }
}

Test(judge_bounds, they_follow_the_closed_forms_for_none_one_and_all)
{
    static const uint64_t totals[] = {1, 2, 20, 58, 59, 298, 299, 1000, 1000000, 1000000000};
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        for (size_t j = 0; j < ALPHAS; j++) {
            uint64_t n = totals[i];
            long double root = logl(alphas[j]) / (long double)n;
            expect_near(judge_binomial_upper(0, n, alphas[j]), (double)-expm1l(root), 1e-12);
            expect_near(judge_binomial_lower(n, n, alphas[j]), (double)expl(root), 1e-12);
            /* at least one of n: 1 - (1 - p)^n = alpha */
            long double one = -expm1l(log1pl(-(long double)alphas[j]) / (long double)n);
            expect_near(judge_binomial_lower(1, n, alphas[j]), (double)one, 1e-11);
            cr_assert_eq(judge_binomial_lower(0, n, alphas[j]), 0);
            cr_assert_eq(judge_binomial_upper(n, n, alphas[j]), 1);
        }
    }
}

Test(judge_bounds, fifty_nine_and_299_are_what_a_95_percent_bound_needs_with_none_bad)
{
    expect_near(judge_binomial_upper(0, 59, 0.05), 0.0495076, 1e-6);
    cr_assert_gt(judge_binomial_upper(0, 58, 0.05), 0.05);
    cr_assert_lt(judge_binomial_upper(0, 299, 0.05), 0.01);
    cr_assert_gt(judge_binomial_upper(0, 298, 0.05), 0.01);
}

static void expect_exact(Counts c, double alpha, long double relative)
{
    if (c.bad > 0) {
        long double tail = tail_sum(c.bad, c.total, (long double)judge_binomial_lower(c.bad, c.total, alpha));
        cr_assert(fabsl(tail - alpha) <= relative * alpha, "%llu/%llu: %.15Lg", (unsigned long long)c.bad,
                  (unsigned long long)c.total, tail);
    }
    if (c.bad < c.total) { /* P(X <= bad) is the tail of the good ones */
        long double upper = (long double)judge_binomial_upper(c.bad, c.total, alpha);
        long double tail = tail_sum(c.total - c.bad, c.total, 1 - upper);
        cr_assert(fabsl(tail - alpha) <= relative * alpha, "%llu/%llu: %.15Lg", (unsigned long long)c.bad,
                  (unsigned long long)c.total, tail);
    }
}

Test(judge_bounds, at_a_bound_the_tail_of_the_binomial_sums_up_to_alpha)
{
    for (uint64_t n = 1; n <= 60; n++)
        for (uint64_t bad = 0; bad <= n; bad++)
            for (size_t j = 0; j < ALPHAS; j++)
                expect_exact((Counts){bad, n}, alphas[j], 1e-11L);
}

Test(judge_bounds, they_are_exact_at_large_counts_too)
{
    static const Counts counts[] = {
        {50, 1000},      {500, 10000},        {1, 1000000},           {50000, 1000000},       {999999, 1000000},
        {5, 1000000000}, {10000, 1000000000}, {10000000, 1000000000}, {50000000, 1000000000}, {500000000, 1000000000}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (size_t j = 0; j < ALPHAS; j++)
            expect_exact(counts[i], alphas[j], 1e-6L);
}

Test(judge_bounds, the_share_is_between_them_and_more_bad_ones_raise_both)
{
    static const uint64_t totals[] = {1, 7, 59, 100, 1000, 4321};
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        double lower_before = -1;
        double upper_before = -1;
        for (uint64_t bad = 0; bad <= totals[i]; bad += 1 + totals[i] / 500) {
            double share = (double)bad / (double)totals[i];
            double lower = judge_binomial_lower(bad, totals[i], 0.005);
            double upper = judge_binomial_upper(bad, totals[i], 0.005);
            cr_assert(0 <= lower && lower <= share && share <= upper && upper <= 1);
            cr_assert(lower > lower_before && upper > upper_before);
            lower_before = lower;
            upper_before = upper;
        }
    }
}

Test(judge_bounds, more_requests_of_the_same_share_draw_them_together)
{
    double width_before = 2;
    for (uint64_t total = 20; total <= 2000000000; total *= 10) {
        double width = judge_binomial_upper(total / 20, total, 0.05) - judge_binomial_lower(total / 20, total, 0.05);
        cr_assert(width > 0 && width < width_before);
        width_before = width;
    }
}

Test(judge_bounds, a_smaller_alpha_is_more_careful)
{
    for (size_t j = 1; j < ALPHAS; j++) {
        cr_assert_lt(judge_binomial_lower(7, 90, alphas[j - 1]), judge_binomial_lower(7, 90, alphas[j]));
        cr_assert_gt(judge_binomial_upper(7, 90, alphas[j - 1]), judge_binomial_upper(7, 90, alphas[j]));
    }
}

Test(judge_bounds, good_and_bad_mirror_each_other)
{
    for (uint64_t bad = 0; bad <= 123; bad++)
        cr_assert_float_eq(judge_binomial_lower(bad, 123, 0.005), 1 - judge_binomial_upper(123 - bad, 123, 0.005),
                           1e-13);
}

Test(judge_bounds, nothing_is_known_of_no_requests_of_contradictions_and_of_no_alpha)
{
    static const struct {
        Counts counts;
        double alpha;
    } unknown[] = {{{0, 0}, 0.05}, {{1, 0}, 0.05}, {{11, 10}, 0.05}, {{1, 10}, 0},
                   {{1, 10}, 1},   {{1, 10}, -1},  {{1, 10}, NAN},   {{UINT64_MAX, 1}, 0.05}};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        Counts counts = unknown[i].counts;
        cr_assert_eq(judge_binomial_lower(counts.bad, counts.total, unknown[i].alpha), 0);
        cr_assert_eq(judge_binomial_upper(counts.bad, counts.total, unknown[i].alpha), 1);
    }
}

Test(judge_bounds, counts_past_all_traffic_still_have_bounds_around_their_share)
{
    static const Counts counts[] = {{1, UINT64_MAX},
                                    {0, UINT64_MAX},
                                    {UINT64_MAX, UINT64_MAX},
                                    {UINT64_MAX - 1, UINT64_MAX},
                                    {UINT64_MAX / 20, UINT64_MAX},
                                    {1000, UINT64_C(1) << 32},
                                    {1000, (UINT64_C(1) << 32) + 1},
                                    {1u << 30, UINT64_C(1) << 34}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        double share = (double)counts[i].bad / (double)counts[i].total;
        double lower = judge_binomial_lower(counts[i].bad, counts[i].total, 0.005);
        double upper = judge_binomial_upper(counts[i].bad, counts[i].total, 0.005);
        cr_assert(0 <= lower && lower <= share && share <= upper && upper <= 1);
        cr_assert_lt(upper - lower, 0.0001);
    }
}
