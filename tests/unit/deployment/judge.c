/* Tests of judge's gates: each limit from both sides, too little data, bad data, and the comparison with the baseline.
 * Early looks and the stage's end on the same counts. */
#include <criterion/criterion.h>
#include <limits.h>

#include "shared/deployment/judge.h"

#define FAST 4 /* the bucket up to 100 ms */
#define LIMIT_BUCKET 10
#define SLOW 11 /* the first one past 1000 ms */

static JudgeCounts traffic(uint64_t requests, uint64_t errors, uint64_t slow)
{
    JudgeCounts counts = {.requests = requests, .errors = errors};
    counts.latency[FAST] = requests - slow;
    counts.latency[SLOW] = slow;
    return counts;
}

static JudgeVerdict final_of(JudgeCounts canary)
{
    JudgeLimits limits = judge_limits_default();
    return judge_final(&limits, &canary, NULL, 0);
}

static JudgeFinding errors_of(uint64_t requests, uint64_t errors)
{
    return final_of(traffic(requests, errors, 0)).findings[JUDGE_GATE_ERRORS];
}

static JudgeFinding latency_of(uint64_t requests, uint64_t slow)
{
    return final_of(traffic(requests, 0, slow)).findings[JUDGE_GATE_LATENCY];
}

static JudgeVerdict early_of(JudgeCounts canary)
{
    JudgeLimits limits = judge_limits_default();
    return judge_early(&limits, &canary);
}

static JudgeVerdict compared(JudgeCounts canary, JudgeCounts baseline, int worse_before)
{
    JudgeLimits limits = judge_limits_default();
    return judge_final(&limits, &canary, &baseline, worse_before);
}

Test(judge, the_default_limits_are_those_of_the_design)
{
    JudgeLimits limits = judge_limits_default();
    cr_assert_eq(limits.error_limit_e4, 500);
    cr_assert_eq(limits.slow_limit_e4, 100);
    cr_assert_eq(limits.slow_ms, 1000);
    cr_assert_eq(limits.minimum_for_errors, 59);
    cr_assert_eq(limits.minimum_for_latency, 299);
    cr_assert_eq(limits.early_alpha, 0.005);
    cr_assert_eq(limits.bound_alpha, 0.05);
    cr_assert_eq(limits.relative_alpha, 0.01);
    cr_assert_eq(limits.relative_minimum, 100);
    cr_assert_eq(limits.error_effect_e4, 10);
    cr_assert_eq(limits.latency_effect, 0.60);
    cr_assert(limits.relative_errors && limits.relative_latency);
    cr_assert_eq(judge_latency_bounds_ms[LIMIT_BUCKET], 1000);
}

Test(judge, verdicts_and_gates_have_their_names)
{
    cr_assert_str_eq(judge_verdict_name(JUDGE_PASS), "pass");
    cr_assert_str_eq(judge_verdict_name(JUDGE_MARGINAL), "marginal");
    cr_assert_str_eq(judge_verdict_name(JUDGE_FAIL), "fail");
    cr_assert_str_eq(judge_verdict_name(JUDGE_INCONCLUSIVE), "inconclusive");
    cr_assert_str_eq(judge_gate_name(JUDGE_GATE_ERRORS), "error_rate");
    cr_assert_str_eq(judge_gate_name(JUDGE_GATE_LATENCY), "p99_latency");
    cr_assert_str_eq(judge_gate_name(JUDGE_GATE_RELATIVE_ERRORS), "error_rate_vs_baseline");
    cr_assert_str_eq(judge_gate_name(JUDGE_GATE_RELATIVE_LATENCY), "latency_vs_baseline");
}

typedef struct {
    uint64_t total;
    uint64_t bad;
    JudgeVerdictKind verdict;
} Boundary;

Test(judge, an_error_share_of_exactly_5_percent_goes_on_and_one_error_more_fails)
{
    static const Boundary boundaries[] = {
        {100, 5, JUDGE_MARGINAL},
        {100, 6, JUDGE_FAIL},
        {1000, 50, JUDGE_MARGINAL},
        {1000, 51, JUDGE_FAIL},
        {61, 3, JUDGE_MARGINAL},
        {61, 4, JUDGE_FAIL},
        {1000000000, 50000000, JUDGE_MARGINAL},
        {1000000000, 50000001, JUDGE_FAIL},
        {999999999, 49999999, JUDGE_MARGINAL},
        {999999999, 50000000, JUDGE_FAIL},
        {UINT64_C(10000000000000000000), UINT64_C(500000000000000000), JUDGE_MARGINAL},
        {UINT64_C(10000000000000000000), UINT64_C(500000000000000001), JUDGE_FAIL},
        {UINT64_MAX, UINT64_MAX / 20, JUDGE_MARGINAL},
        {UINT64_MAX, UINT64_MAX / 20 + 1, JUDGE_FAIL},
    };
    for (size_t i = 0; i < sizeof boundaries / sizeof boundaries[0]; i++) {
        JudgeFinding finding = errors_of(boundaries[i].total, boundaries[i].bad);
        cr_assert_eq(finding.verdict, boundaries[i].verdict, "row %zu: %s", i, finding.reason);
    }
}

Test(judge, a_p99_of_exactly_the_limit_goes_on_and_one_slow_request_more_fails)
{
    static const Boundary boundaries[] = {
        {300, 3, JUDGE_MARGINAL},
        {300, 4, JUDGE_FAIL},
        {1000, 10, JUDGE_MARGINAL},
        {1000, 11, JUDGE_FAIL},
        {299, 2, JUDGE_MARGINAL},
        {299, 3, JUDGE_FAIL},
        {1000000000, 10000000, JUDGE_MARGINAL},
        {1000000000, 10000001, JUDGE_FAIL},
    };
    for (size_t i = 0; i < sizeof boundaries / sizeof boundaries[0]; i++) {
        JudgeFinding finding = latency_of(boundaries[i].total, boundaries[i].bad);
        cr_assert_eq(finding.verdict, boundaries[i].verdict, "row %zu: %s", i, finding.reason);
    }
}

Test(judge, a_request_of_exactly_1000_ms_is_not_slow)
{
    JudgeCounts counts = traffic(1000, 0, 0);
    counts.latency[FAST] = 0;
    counts.latency[LIMIT_BUCKET] = 1000;
    cr_assert_eq(final_of(counts).findings[JUDGE_GATE_LATENCY].bad, 0);
    counts.latency[JUDGE_LATENCY_BUCKETS] = 7;
    counts.latency[SLOW] = 2;
    cr_assert_eq(final_of(counts).findings[JUDGE_GATE_LATENCY].bad, 9);
    cr_assert_eq(final_of(counts).findings[JUDGE_GATE_LATENCY].total, 1009);
}

Test(judge, fifty_eight_requests_are_too_few_and_59_are_judged)
{
    cr_assert_eq(errors_of(58, 0).verdict, JUDGE_INCONCLUSIVE);
    cr_assert_str_eq(errors_of(58, 0).reason, "too few samples");
    cr_assert_eq(errors_of(59, 0).verdict, JUDGE_PASS);
    cr_assert_eq(errors_of(58, 4).verdict, JUDGE_INCONCLUSIVE);
    cr_assert_eq(errors_of(59, 4).verdict, JUDGE_FAIL);
}

Test(judge, two_hundred_98_latencies_are_too_few_and_299_are_judged)
{
    cr_assert_eq(latency_of(298, 0).verdict, JUDGE_INCONCLUSIVE);
    cr_assert_eq(latency_of(299, 0).verdict, JUDGE_PASS);
}

Test(judge, few_samples_that_would_have_ended_the_stage_early_fail_at_its_end_too)
{
    cr_assert_eq(early_of(traffic(20, 20, 0)).verdict, JUDGE_FAIL);
    cr_assert_eq(errors_of(20, 20).verdict, JUDGE_FAIL);
    cr_assert_eq(latency_of(20, 20).verdict, JUDGE_FAIL);
}

Test(judge, no_requests_are_never_a_pass)
{
    JudgeVerdict verdict = final_of((JudgeCounts){0});
    cr_assert_eq(verdict.verdict, JUDGE_INCONCLUSIVE);
    cr_assert_str_eq(verdict.findings[JUDGE_GATE_ERRORS].reason, "no requests");
    cr_assert_str_eq(verdict.findings[JUDGE_GATE_LATENCY].reason, "no latencies");
    JudgeLimits limits = judge_limits_default();
    limits.minimum_for_errors = 0;
    limits.minimum_for_latency = -1;
    cr_assert_eq(judge_final(&limits, &(JudgeCounts){0}, NULL, 0).verdict, JUDGE_INCONCLUSIVE);
    cr_assert_eq(early_of((JudgeCounts){0}).verdict, JUDGE_INCONCLUSIVE);
}

Test(judge, requests_without_latencies_are_inconclusive)
{
    JudgeVerdict verdict = final_of((JudgeCounts){.requests = 100000});
    cr_assert_eq(verdict.verdict, JUDGE_INCONCLUSIVE);
    cr_assert_eq(verdict.worst, JUDGE_GATE_LATENCY);
    cr_assert_eq(verdict.findings[JUDGE_GATE_ERRORS].verdict, JUDGE_PASS);
}

Test(judge, counts_that_contradict_each_other_are_inconclusive_and_say_why)
{
    JudgeCounts counts = traffic(1000, 1001, 0);
    cr_assert_eq(final_of(counts).verdict, JUDGE_INCONCLUSIVE);
    cr_assert_str_eq(final_of(counts).findings[JUDGE_GATE_ERRORS].reason, "more errors than requests");
    cr_assert_eq(early_of(counts).verdict, JUDGE_INCONCLUSIVE);
    JudgeCounts baseline = traffic(100000, 0, 0);
    cr_assert_eq(compared(counts, baseline, 0).findings[JUDGE_GATE_RELATIVE_ERRORS].verdict, JUDGE_INCONCLUSIVE);

    counts = (JudgeCounts){.requests = 1000, .latency = {[FAST] = UINT64_MAX, [SLOW] = UINT64_MAX}};
    cr_assert_eq(final_of(counts).findings[JUDGE_GATE_LATENCY].verdict, JUDGE_INCONCLUSIVE);
    cr_assert_str_eq(final_of(counts).findings[JUDGE_GATE_LATENCY].reason, "more latencies than can be counted");
}

Test(judge, a_latency_limit_between_two_bounds_is_inconclusive_and_says_so)
{
    JudgeLimits limits = judge_limits_default();
    limits.slow_ms = 1001;
    JudgeCounts counts = traffic(1000, 0, 1000);
    JudgeVerdict verdict = judge_final(&limits, &counts, NULL, 0);
    cr_assert_eq(verdict.verdict, JUDGE_INCONCLUSIVE);
    cr_assert_str_eq(verdict.findings[JUDGE_GATE_LATENCY].reason,
                     "the latency limit is not one of the histogram's bounds");
}

Test(judge, a_bound_beyond_the_limit_is_marginal)
{
    JudgeFinding finding = errors_of(59, 1); /* 1.7 %, but it may be 7.8 % */
    cr_assert_eq(finding.verdict, JUDGE_MARGINAL);
    cr_assert(finding.upper > finding.limit && finding.share < 0.8 * finding.limit);
    cr_assert_str_eq(finding.reason, "within the limit, but its bounds lie on both sides");
}

Test(judge, a_figure_from_80_percent_of_the_limit_on_is_marginal)
{
    static const Boundary boundaries[] = {
        {100000, 3999, JUDGE_PASS},
        {100000, 4000, JUDGE_MARGINAL},
        {1000000000, 39999999, JUDGE_PASS},
        {1000000000, 40000000, JUDGE_MARGINAL},
        {1000000000, 49900000, JUDGE_MARGINAL},
    };
    for (size_t i = 0; i < sizeof boundaries / sizeof boundaries[0]; i++)
        cr_assert_eq(errors_of(boundaries[i].total, boundaries[i].bad).verdict, boundaries[i].verdict, "row %zu", i);
    cr_assert_str_eq(errors_of(1000000000, 40000000).reason, "within the limit, but near to it");
}

Test(judge, a_failure_says_whether_it_is_certain)
{
    cr_assert_str_eq(errors_of(100, 6).reason, "above the limit, though its bounds lie on both sides");
    cr_assert_str_eq(errors_of(100, 10).reason, "above the limit"); /* lower bound 5.5 % at 5 %, 4.3 % at 0.5 % */
    cr_assert_str_eq(errors_of(100, 50).reason, "above the limit beyond doubt");
}

Test(judge, an_early_look_fails_only_when_the_lower_bound_is_above_the_limit)
{
    for (uint64_t requests = 1; requests <= 400; requests += 7) {
        for (uint64_t errors = 0; errors <= requests; errors++) {
            JudgeFinding finding = early_of(traffic(requests, errors, 0)).findings[JUDGE_GATE_ERRORS];
            bool evidence = judge_binomial_lower(errors, requests, 0.005) > 0.05;
            cr_assert_eq(finding.verdict, evidence ? JUDGE_FAIL : JUDGE_INCONCLUSIVE);
        }
    }
    cr_assert_eq(early_of(traffic(1, 1, 1)).verdict, JUDGE_INCONCLUSIVE); /* one request is not evidence */
    cr_assert_eq(early_of(traffic(100, 11, 0)).verdict, JUDGE_INCONCLUSIVE);
    cr_assert_eq(early_of(traffic(100, 13, 0)).verdict, JUDGE_FAIL);
    cr_assert_eq(early_of(traffic(100, 0, 6)).worst, JUDGE_GATE_LATENCY);
}

Test(judge, more_errors_never_make_a_verdict_better)
{
    static const int order[] = {[JUDGE_PASS] = 0, [JUDGE_MARGINAL] = 1, [JUDGE_INCONCLUSIVE] = 1, [JUDGE_FAIL] = 2};
    static const uint64_t totals[] = {30, 59, 100, 333, 5000};
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        int worst = 0;
        for (uint64_t errors = 0; errors <= totals[i]; errors++) {
            JudgeFinding finding = errors_of(totals[i], errors);
            cr_assert(order[finding.verdict] >= worst);
            cr_assert(finding.lower <= finding.share && finding.share <= finding.upper);
            worst = order[finding.verdict];
        }
    }
}

Test(judge, the_worst_gate_speaks_for_all)
{
    cr_assert_eq(final_of(traffic(1000, 0, 0)).verdict, JUDGE_PASS);
    JudgeVerdict verdict = final_of(traffic(1000, 0, 900));
    cr_assert(verdict.verdict == JUDGE_FAIL && verdict.worst == JUDGE_GATE_LATENCY);
    verdict = final_of(traffic(100, 50, 0)); /* latency has too few, errors are certain */
    cr_assert(verdict.verdict == JUDGE_FAIL && verdict.worst == JUDGE_GATE_ERRORS);
    verdict = final_of(traffic(100, 5, 0)); /* errors marginal, latency inconclusive */
    cr_assert(verdict.verdict == JUDGE_INCONCLUSIVE && verdict.worst == JUDGE_GATE_LATENCY);
}

Test(judge, every_finding_tells_what_it_is_based_on)
{
    JudgeVerdict verdict = compared(traffic(1000, 50, 3), traffic(19000, 95, 19), 0);
    JudgeFinding finding = verdict.findings[JUDGE_GATE_ERRORS];
    cr_assert(finding.bad == 50 && finding.total == 1000 && finding.share == 0.05 && finding.limit == 0.05);
    cr_assert_eq(finding.lower, judge_binomial_lower(50, 1000, 0.05));
    cr_assert_eq(finding.upper, judge_binomial_upper(50, 1000, 0.05));
    finding = verdict.findings[JUDGE_GATE_RELATIVE_ERRORS];
    cr_assert(finding.bad == 50 && finding.baseline_total == 19000 && finding.baseline_share == 0.005);
    cr_assert_float_eq(finding.effect, 0.045, 1e-15);
    for (int i = 0; i < JUDGE_GATE_COUNT; i++)
        cr_assert_not_null(verdict.findings[i].reason);
    verdict = early_of(traffic(1000, 50, 3));
    for (int i = 0; i < JUDGE_GATE_COUNT; i++)
        cr_assert_not_null(verdict.findings[i].reason);
}

Test(judge, limits_that_are_no_shares_are_taken_for_the_nearest_share)
{
    JudgeCounts all_bad = traffic(1000, 1000, 1000);
    JudgeCounts all_good = traffic(1000, 0, 0);
    JudgeLimits limits = judge_limits_default();
    limits.error_limit_e4 = INT64_MAX;
    cr_assert_eq(judge_final(&limits, &all_bad, NULL, 0).findings[JUDGE_GATE_ERRORS].verdict, JUDGE_MARGINAL);
    limits.error_limit_e4 = INT64_MIN;
    cr_assert_eq(judge_final(&limits, &all_bad, NULL, 0).findings[JUDGE_GATE_ERRORS].verdict, JUDGE_FAIL);
    cr_assert_eq(judge_final(&limits, &all_good, NULL, 0).findings[JUDGE_GATE_ERRORS].verdict, JUDGE_MARGINAL);
    limits = (JudgeLimits){0};
    cr_assert_eq(judge_early(&limits, &all_bad).verdict, JUDGE_INCONCLUSIVE);
}

Test(judge, without_a_baseline_or_with_little_to_compare_relative_gates_pass_and_say_so)
{
    JudgeCounts canary = traffic(99, 99, 99);
    JudgeCounts baseline = traffic(10000, 0, 0);
    JudgeVerdict verdict = final_of(canary);
    cr_assert_eq(verdict.findings[JUDGE_GATE_RELATIVE_ERRORS].verdict, JUDGE_PASS);
    cr_assert_str_eq(verdict.findings[JUDGE_GATE_RELATIVE_LATENCY].reason, "not compared: there is no baseline");
    verdict = compared(canary, baseline, 1);
    cr_assert_eq(verdict.findings[JUDGE_GATE_RELATIVE_ERRORS].verdict, JUDGE_PASS);
    cr_assert_eq(verdict.findings[JUDGE_GATE_RELATIVE_LATENCY].verdict, JUDGE_PASS);
    cr_assert_eq(verdict.worse_windows, 0);
    verdict = compared(traffic(10000, 200, 9000), traffic(99, 0, 0), 1);
    cr_assert_str_eq(verdict.findings[JUDGE_GATE_RELATIVE_ERRORS].reason, "not compared: too few samples on one side");
    cr_assert_eq(compared(traffic(100, 99, 99), traffic(100, 0, 0), 1).findings[JUDGE_GATE_RELATIVE_ERRORS].verdict,
                 JUDGE_FAIL);
}

Test(judge, relative_gates_can_be_switched_off)
{
    JudgeLimits limits = judge_limits_default();
    limits.relative_errors = false;
    limits.relative_latency = false;
    JudgeCounts canary = traffic(10000, 300, 50);
    JudgeCounts baseline = traffic(10000, 0, 0);
    JudgeVerdict verdict = judge_final(&limits, &canary, &baseline, 5);
    cr_assert_eq(verdict.verdict, JUDGE_PASS);
    cr_assert_eq(verdict.worse_windows, 0);
}

Test(judge, clearly_more_errors_than_the_baseline_fail_though_they_are_within_the_limit)
{
    JudgeVerdict verdict = compared(traffic(1000, 20, 0), traffic(19000, 19, 0), 0);
    cr_assert(verdict.verdict == JUDGE_FAIL && verdict.worst == JUDGE_GATE_RELATIVE_ERRORS);
    cr_assert_lt(verdict.findings[JUDGE_GATE_RELATIVE_ERRORS].p_value, 0.01);
    cr_assert_eq(compared(traffic(1000, 20, 0), traffic(19000, 380, 0), 0).verdict, JUDGE_PASS);
    cr_assert_eq(compared(traffic(1000, 1, 0), traffic(19000, 380, 0), 0).verdict, JUDGE_PASS);
}

Test(judge, one_error_against_a_clean_baseline_is_no_reason_to_go_back)
{
    cr_assert_eq(compared(traffic(300, 1, 0), traffic(5700, 0, 0), 0).findings[JUDGE_GATE_RELATIVE_ERRORS].verdict,
                 JUDGE_PASS);
}

Test(judge, a_difference_that_is_certain_but_tiny_passes)
{
    JudgeVerdict verdict = compared(traffic(100000000, 110000, 0), traffic(1900000000, 1900000, 0), 0);
    JudgeFinding finding = verdict.findings[JUDGE_GATE_RELATIVE_ERRORS];
    cr_assert_eq(finding.verdict, JUDGE_PASS);
    cr_assert_lt(finding.p_value, 1e-10);
    cr_assert_str_eq(finding.reason, "worse than the baseline by too little to matter");
}

static JudgeCounts latencies(int bucket, uint64_t requests)
{
    JudgeCounts counts = {.requests = requests};
    counts.latency[bucket] = requests / 2;
    counts.latency[bucket + 1] = requests - requests / 2;
    return counts;
}

Test(judge, slower_than_the_baseline_fails_from_the_second_window_in_a_row)
{
    JudgeCounts canary = latencies(6, 1000);
    JudgeCounts baseline = latencies(4, 19000);
    JudgeVerdict verdict = compared(canary, baseline, 0);
    cr_assert(verdict.verdict == JUDGE_MARGINAL && verdict.worst == JUDGE_GATE_RELATIVE_LATENCY);
    cr_assert_eq(verdict.worse_windows, 1);
    verdict = compared(canary, baseline, verdict.worse_windows);
    cr_assert_eq(verdict.verdict, JUDGE_FAIL);
    cr_assert_eq(verdict.worse_windows, 2);
    verdict = compared(baseline, baseline, 1); /* a window that is not worse ends the row */
    cr_assert_eq(verdict.verdict, JUDGE_PASS);
    cr_assert_eq(verdict.worse_windows, 0);
    cr_assert_eq(compared(canary, baseline, INT_MAX).worse_windows, INT_MAX);
    cr_assert_eq(compared(canary, baseline, -3).worse_windows, 1);
}

Test(judge, certainly_slower_by_a_small_effect_passes)
{
    JudgeCounts canary = {.requests = 1000000, .latency = {[4] = 480000, [5] = 520000}};
    JudgeCounts baseline = {.requests = 1000000, .latency = {[4] = 500000, [5] = 500000}};
    JudgeVerdict verdict = compared(canary, baseline, 1);
    JudgeFinding finding = verdict.findings[JUDGE_GATE_RELATIVE_LATENCY];
    cr_assert_eq(finding.verdict, JUDGE_PASS);
    cr_assert_lt(finding.p_value, 1e-10);
    cr_assert_float_eq(finding.effect, 0.51, 1e-9);
    cr_assert_eq(verdict.worse_windows, 0);
}

Test(judge, all_latencies_in_one_bucket_are_not_slower)
{
    JudgeVerdict verdict = compared(traffic(1000, 0, 0), traffic(1000, 0, 0), 1);
    cr_assert_eq(verdict.verdict, JUDGE_PASS);
    cr_assert_eq(verdict.findings[JUDGE_GATE_RELATIVE_LATENCY].effect, 0.5);
}

Test(judge, a_baseline_that_contradicts_itself_is_inconclusive)
{
    JudgeVerdict verdict = compared(traffic(1000, 0, 0), (JudgeCounts){.requests = 1000, .errors = 1001}, 0);
    cr_assert(verdict.verdict == JUDGE_INCONCLUSIVE && verdict.worst == JUDGE_GATE_RELATIVE_ERRORS);
}

Test(judge, an_early_look_leaves_the_baseline_alone)
{
    JudgeVerdict verdict = early_of(traffic(10000, 0, 0));
    cr_assert_eq(verdict.verdict, JUDGE_INCONCLUSIVE);
    cr_assert_eq(verdict.findings[JUDGE_GATE_RELATIVE_ERRORS].verdict, JUDGE_INCONCLUSIVE);
    cr_assert_eq(verdict.findings[JUDGE_GATE_RELATIVE_LATENCY].verdict, JUDGE_INCONCLUSIVE);
}
