/* judge - the gates: what the counts of one window say about a new version, and why.
 * Figures are compared with limits as whole numbers, so that exactly at the limit is exactly at the limit. */
#include <limits.h>
#include <stddef.h>

#include "shared/deployment/judge.h"

#define SHARE_WHOLE 100000     /* shares are compared in hundred-thousandths: a limit's 80 % is whole there too */
#define NEAR_LIMIT_E5_PER_E4 8 /* 80 % of a limit, in hundred-thousandths for each ten-thousandth */

const int64_t judge_latency_bounds_ms[JUDGE_LATENCY_BUCKETS] = {5,   10,  25,  50,   100,  200,  300,
                                                                400, 500, 750, 1000, 1500, 2500, 5000};

JudgeLimits judge_limits_default(void)
{
    return (JudgeLimits){
        .error_limit_e4 = 500,
        .slow_limit_e4 = 100,
        .slow_ms = 1000,
        .minimum_for_errors = 59,
        .minimum_for_latency = 299,
        .early_alpha = 0.005,
        .bound_alpha = 0.05,
        .relative_alpha = 0.01,
        .relative_minimum = 100,
        .error_effect_e4 = 10,
        .latency_effect = 0.60,
        .relative_errors = true,
        .relative_latency = true,
    };
}

const char *judge_verdict_name(JudgeVerdictKind kind)
{
    switch (kind) {
    case JUDGE_PASS:
        return "pass";
    case JUDGE_MARGINAL:
        return "marginal";
    case JUDGE_FAIL:
        return "fail";
    case JUDGE_INCONCLUSIVE:
        return "inconclusive";
    }
    return "unknown";
}

const char *judge_gate_name(JudgeGate gate)
{
    switch (gate) {
    case JUDGE_GATE_ERRORS:
        return "error_rate";
    case JUDGE_GATE_LATENCY:
        return "p99_latency";
    case JUDGE_GATE_RELATIVE_ERRORS:
        return "error_rate_vs_baseline";
    case JUDGE_GATE_RELATIVE_LATENCY:
        return "latency_vs_baseline";
    }
    return "unknown";
}

/* What one gate counts. */
typedef struct {
    uint64_t bad;
    uint64_t total;
    int64_t limit_e4;
    int64_t minimum;
    const char *trouble; /* why the counts cannot be used; NULL where they can */
} Measure;

/* -1, 0 or 1: bad / total below, at or above a limit between 0 and the whole. Nothing overflows, nothing rounds. */
static int compare_share(uint64_t bad, uint64_t total, int64_t limit_e5)
{
    uint64_t limit = (uint64_t)limit_e5;
    uint64_t whole = total / SHARE_WHOLE * limit;
    uint64_t rest = total % SHARE_WHOLE * limit; /* of which SHARE_WHOLE make one request */
    if (bad < whole)
        return -1;
    if (bad - whole > SHARE_WHOLE)
        return 1;
    uint64_t over = (bad - whole) * SHARE_WHOLE;
    return over < rest ? -1 : over > rest;
}

static double share_of(const Measure *measure)
{
    return measure->total > 0 ? (double)measure->bad / (double)measure->total : 0;
}

/* A limit is a share, whatever a policy says. */
static int64_t share_e4(int64_t limit_e4)
{
    return limit_e4 < 0 ? 0 : limit_e4 > SHARE_WHOLE / 10 ? SHARE_WHOLE / 10 : limit_e4;
}

static Measure measure_errors(const JudgeLimits *limits, const JudgeCounts *counts)
{
    Measure measure = {counts->errors, counts->requests, share_e4(limits->error_limit_e4), limits->minimum_for_errors,
                       NULL};
    if (counts->errors > counts->requests)
        measure.trouble = "more errors than requests";
    else if (counts->requests == 0)
        measure.trouble = "no requests";
    return measure;
}

static Measure measure_latency(const JudgeLimits *limits, const JudgeCounts *counts)
{
    Measure measure = {0, 0, share_e4(limits->slow_limit_e4), limits->minimum_for_latency, NULL};
    bool bound_found = false;
    bool overflow = false;
    for (int i = 0; i <= JUDGE_LATENCY_BUCKETS; i++) {
        overflow = overflow || counts->latency[i] > UINT64_MAX - measure.total;
        measure.total += counts->latency[i];
        if (bound_found)
            measure.bad += counts->latency[i];
        bound_found = bound_found || (i < JUDGE_LATENCY_BUCKETS && judge_latency_bounds_ms[i] == limits->slow_ms);
    }
    if (!bound_found)
        measure.trouble = "the latency limit is not one of the histogram's bounds";
    else if (overflow)
        measure.trouble = "more latencies than can be counted";
    else if (measure.total == 0)
        measure.trouble = "no latencies";
    return measure;
}

static JudgeFinding finding_make(const Measure *measure, double alpha)
{
    bool usable = measure->trouble == NULL;
    return (JudgeFinding){
        .verdict = JUDGE_INCONCLUSIVE,
        .bad = measure->bad,
        .total = measure->total,
        .share = usable ? share_of(measure) : 0,
        .lower = usable ? judge_binomial_lower(measure->bad, measure->total, alpha) : 0,
        .upper = usable ? judge_binomial_upper(measure->bad, measure->total, alpha) : 1,
        .limit = (double)measure->limit_e4 / 10000,
        .p_value = 1,
        .reason = measure->trouble,
    };
}

static JudgeFinding say(JudgeFinding finding, JudgeVerdictKind verdict, const char *reason)
{
    finding.verdict = verdict;
    finding.reason = reason;
    return finding;
}

static JudgeFinding look_early(const JudgeLimits *limits, const Measure *measure)
{
    JudgeFinding finding = finding_make(measure, limits->early_alpha);
    if (measure->trouble != NULL)
        return finding;
    if (finding.lower > finding.limit)
        return say(finding, JUDGE_FAIL, "above the limit beyond doubt");
    return say(finding, JUDGE_INCONCLUSIVE, "nothing is certain yet");
}

static JudgeFinding look_final(const JudgeLimits *limits, const Measure *measure)
{
    if (measure->trouble != NULL || measure->total < 1)
        return finding_make(measure, limits->bound_alpha);
    JudgeFinding early = look_early(limits, measure);
    if (early.verdict == JUDGE_FAIL)
        return early;
    JudgeFinding finding = finding_make(measure, limits->bound_alpha);
    if (measure->minimum > 0 && measure->total < (uint64_t)measure->minimum)
        return say(finding, JUDGE_INCONCLUSIVE, "too few samples");
    if (compare_share(measure->bad, measure->total, measure->limit_e4 * 10) > 0)
        return say(finding, JUDGE_FAIL,
                   finding.lower > finding.limit ? "above the limit"
                                                 : "above the limit, though its bounds lie on both sides");
    if (finding.upper > finding.limit)
        return say(finding, JUDGE_MARGINAL, "within the limit, but its bounds lie on both sides");
    if (compare_share(measure->bad, measure->total, measure->limit_e4 * NEAR_LIMIT_E5_PER_E4) >= 0)
        return say(finding, JUDGE_MARGINAL, "within the limit, but near to it");
    return say(finding, JUDGE_PASS, "within the limit");
}

/* Canary and baseline, as one relative gate sees them. */
typedef struct {
    const JudgeLimits *limits;
    const JudgeCounts *canary;
    const JudgeCounts *baseline; /* NULL: none */
    Measure ours;
    Measure theirs;
    bool wanted;
} Comparison;

/* The finding before the test; true where there is something to compare. */
static bool compare_begin(const Comparison *comparison, double effect_limit, JudgeFinding *finding)
{
    const Measure *theirs = &comparison->theirs;
    int64_t minimum = comparison->limits->relative_minimum > 1 ? comparison->limits->relative_minimum : 1;
    bool usable = comparison->baseline != NULL && theirs->trouble == NULL;
    *finding = finding_make(&comparison->ours, comparison->limits->bound_alpha);
    finding->limit = effect_limit;
    finding->baseline_share = usable ? share_of(theirs) : 0;
    finding->baseline_total = comparison->baseline != NULL ? theirs->total : 0;
    if (!comparison->wanted)
        *finding = say(*finding, JUDGE_PASS, "not compared: switched off");
    else if (comparison->baseline == NULL)
        *finding = say(*finding, JUDGE_PASS, "not compared: there is no baseline");
    else if (comparison->ours.total < (uint64_t)minimum || theirs->total < (uint64_t)minimum)
        *finding = say(*finding, JUDGE_PASS, "not compared: too few samples on one side");
    else if (comparison->ours.trouble == NULL && theirs->trouble != NULL)
        *finding = say(*finding, JUDGE_INCONCLUSIVE, "the baseline's counts contradict each other");
    else
        return comparison->ours.trouble == NULL;
    return false;
}

static JudgeFinding compare_errors(const Comparison *comparison)
{
    JudgeFinding finding;
    if (!compare_begin(comparison, (double)comparison->limits->error_effect_e4 / 10000, &finding))
        return finding;
    finding.p_value = judge_two_proportions_p(comparison->ours.bad, comparison->ours.total, comparison->theirs.bad,
                                              comparison->theirs.total);
    finding.effect = finding.share - finding.baseline_share;
    if (!(finding.p_value < comparison->limits->relative_alpha))
        return say(finding, JUDGE_PASS, "not certainly worse than the baseline");
    if (finding.effect < finding.limit)
        return say(finding, JUDGE_PASS, "worse than the baseline by too little to matter");
    return say(finding, JUDGE_FAIL, "worse than the baseline");
}

static JudgeFinding compare_latency(const Comparison *comparison, int *worse_windows)
{
    JudgeFinding finding;
    int before = *worse_windows > 0 ? *worse_windows : 0;
    *worse_windows = 0;
    if (!compare_begin(comparison, comparison->limits->latency_effect, &finding))
        return finding;
    finding.p_value = judge_mann_whitney_p(comparison->canary, comparison->baseline, &finding.effect);
    if (!(finding.p_value < comparison->limits->relative_alpha))
        return say(finding, JUDGE_PASS, "not certainly slower than the baseline");
    if (finding.effect < finding.limit)
        return say(finding, JUDGE_PASS, "slower than the baseline by too little to matter");
    *worse_windows = before < INT_MAX ? before + 1 : INT_MAX;
    if (before == 0)
        return say(finding, JUDGE_MARGINAL, "slower than the baseline, for the first time");
    return say(finding, JUDGE_FAIL, "slower than the baseline, not for the first time");
}

static int severity(JudgeVerdictKind kind)
{
    static const int order[] = {[JUDGE_PASS] = 0, [JUDGE_MARGINAL] = 1, [JUDGE_INCONCLUSIVE] = 2, [JUDGE_FAIL] = 3};
    return order[kind];
}

static void find_worst(JudgeVerdict *verdict)
{
    verdict->worst = JUDGE_GATE_ERRORS;
    for (int i = 1; i < JUDGE_GATE_COUNT; i++) {
        if (severity(verdict->findings[i].verdict) > severity(verdict->findings[verdict->worst].verdict))
            verdict->worst = (JudgeGate)i;
    }
    verdict->verdict = verdict->findings[verdict->worst].verdict;
}

JudgeVerdict judge_early(const JudgeLimits *limits, const JudgeCounts *canary)
{
    JudgeVerdict verdict = {0};
    Measure errors = measure_errors(limits, canary);
    Measure latency = measure_latency(limits, canary);
    JudgeFinding later = {
        .verdict = JUDGE_INCONCLUSIVE, .upper = 1, .p_value = 1, .reason = "compared at the stage's end only"};
    verdict.findings[JUDGE_GATE_ERRORS] = look_early(limits, &errors);
    verdict.findings[JUDGE_GATE_LATENCY] = look_early(limits, &latency);
    verdict.findings[JUDGE_GATE_RELATIVE_ERRORS] = later;
    verdict.findings[JUDGE_GATE_RELATIVE_LATENCY] = later;
    find_worst(&verdict);
    return verdict;
}

JudgeVerdict judge_final(const JudgeLimits *limits, const JudgeCounts *canary, const JudgeCounts *baseline,
                         int worse_windows_before)
{
    static const JudgeCounts none = {0};
    const JudgeCounts *other = baseline != NULL ? baseline : &none;
    Comparison errors = {.limits = limits,
                         .canary = canary,
                         .baseline = baseline,
                         .ours = measure_errors(limits, canary),
                         .theirs = measure_errors(limits, other),
                         .wanted = limits->relative_errors};
    Comparison latency = {.limits = limits,
                          .canary = canary,
                          .baseline = baseline,
                          .ours = measure_latency(limits, canary),
                          .theirs = measure_latency(limits, other),
                          .wanted = limits->relative_latency};
    JudgeVerdict verdict = {.worse_windows = worse_windows_before};
    verdict.findings[JUDGE_GATE_ERRORS] = look_final(limits, &errors.ours);
    verdict.findings[JUDGE_GATE_LATENCY] = look_final(limits, &latency.ours);
    verdict.findings[JUDGE_GATE_RELATIVE_ERRORS] = compare_errors(&errors);
    verdict.findings[JUDGE_GATE_RELATIVE_LATENCY] = compare_latency(&latency, &verdict.worse_windows);
    find_worst(&verdict);
    return verdict;
}
