/* judge - does a stage's traffic show that the new version is good, bad, or not enough to tell? Pure, on raw counts.
 *
 * Absolute gates. While a stage runs it fails early only on evidence: the one-sided exact binomial (Clopper-Pearson)
 * lower bound of the share of bad requests is above the limit. At the stage's end the observed figure decides, exactly
 * at the limit passes, provided that there are enough samples; a bound that straddles the limit, or a figure within
 * 80-100 % of it, is marginal. Too few samples or no data is inconclusive, never a pass; what would end the stage early
 * fails at its end too, however few samples there are.
 * Relative gates. Canary against the baseline of the same region and window: a two-proportion test for errors, and
 * Mann-Whitney's U with its effect size for latency. A difference fails when it is both certain and large enough to
 * matter; of latency only the second worse window in a row does, the first one is marginal. Where there is too little
 * to compare, nothing is compared: the gate passes and says so, and the absolute gates see to the samples. */
#ifndef TAI_DEPLOYMENT_JUDGE_H
#define TAI_DEPLOYMENT_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

/* Upper bounds of the latency histogram in ms, themselves included; one more bucket holds the rest. 1000 must be one of
 * them: the share of requests slower than 1000 ms above 1 % is p99 > 1000 ms. */
#define JUDGE_LATENCY_BUCKETS 14
extern const int64_t judge_latency_bounds_ms[JUDGE_LATENCY_BUCKETS];

/* Counts of one version in one region over one window. */
typedef struct {
    uint64_t requests;
    uint64_t errors;                             /* at most requests */
    uint64_t latency[JUDGE_LATENCY_BUCKETS + 1]; /* not cumulative; their sum is what latency is known of */
} JudgeCounts;

typedef struct {
    int64_t error_limit_e4;      /* share in ten-thousandths: 500 is 5.0 % */
    int64_t slow_limit_e4;       /* 100 is 1 %: p99 */
    int64_t slow_ms;             /* 1000; one of the bounds, otherwise latency is inconclusive */
    int64_t minimum_for_errors;  /* requests: 59 */
    int64_t minimum_for_latency; /* requests: 299 */
    double early_alpha;          /* 0.005, for many looks */
    double bound_alpha;          /* 0.05: bounds told at the end, and what marginal means */
    double relative_alpha;       /* 0.01 */
    int64_t relative_minimum;    /* requests on each side before it is compared: 100 */
    int64_t error_effect_e4;     /* difference of shares at which it matters, ten-thousandths: 10 is 0.1 points */
    double latency_effect;       /* P(canary slower than baseline) + ties/2 at which it matters: 0.60 */
    bool relative_errors;        /* gate switched on */
    bool relative_latency;
} JudgeLimits;

JudgeLimits judge_limits_default(void);

typedef enum { JUDGE_PASS = 0, JUDGE_MARGINAL, JUDGE_FAIL, JUDGE_INCONCLUSIVE } JudgeVerdictKind;
const char *judge_verdict_name(JudgeVerdictKind kind);

typedef enum {
    JUDGE_GATE_ERRORS = 0,
    JUDGE_GATE_LATENCY,
    JUDGE_GATE_RELATIVE_ERRORS,
    JUDGE_GATE_RELATIVE_LATENCY
} JudgeGate;
#define JUDGE_GATE_COUNT 4
const char *judge_gate_name(JudgeGate gate); /* "error_rate", "p99_latency", "error_rate_vs_baseline", … */

/* One gate's verdict with all that it was based on, so that a person can follow it. */
typedef struct {
    JudgeVerdictKind verdict;
    uint64_t bad; /* errors, or requests slower than slow_ms */
    uint64_t total;
    double share; /* bad / total */
    double lower; /* one-sided bounds of the share, at the alpha that was used */
    double upper;
    double limit;          /* of the share; relative gates: of the effect */
    double baseline_share; /* relative gates */
    uint64_t baseline_total;
    double p_value;     /* relative gates */
    double effect;      /* relative latency: P(canary slower) + ties/2; relative errors: difference of shares */
    const char *reason; /* static text, half a sentence */
} JudgeFinding;

typedef struct {
    JudgeVerdictKind verdict; /* the worst of the gates: FAIL, then INCONCLUSIVE, then MARGINAL, then PASS */
    JudgeGate worst;          /* which gate it comes from */
    JudgeFinding findings[JUDGE_GATE_COUNT];
    int worse_windows; /* relative latency: windows in a row that were worse, this one included */
} JudgeVerdict;

/* A look while the stage runs: FAIL on evidence, otherwise INCONCLUSIVE ("go on observing"). Relative gates never end a
 * stage early. */
JudgeVerdict judge_early(const JudgeLimits *limits, const JudgeCounts *canary);

/* The stage's end. `baseline` NULL: there is none (first deployment, 100 %): relative gates pass and say so.
 * `worse_windows_before`: of the windows before this one; relative latency fails only from the second in a row. */
JudgeVerdict judge_final(const JudgeLimits *limits, const JudgeCounts *canary, const JudgeCounts *baseline,
                         int worse_windows_before);

/* The mathematics, for tests and for the simulation. Exact one-sided Clopper-Pearson bounds by the incomplete beta
 * function, 0 and 1 where nothing is known; two proportions by Fisher's exact test, and by z with pooled variance once
 * 1000 are expected in each cell (with few errors z finds certainty in a single one); Mann-Whitney U on histograms with
 * tie correction. 1 where there is nothing to compare. */
double judge_binomial_lower(uint64_t bad, uint64_t total, double alpha);
double judge_binomial_upper(uint64_t bad, uint64_t total, double alpha);
double judge_two_proportions_p(uint64_t bad_a, uint64_t total_a, uint64_t bad_b, uint64_t total_b); /* a worse than b */
double judge_mann_whitney_p(const JudgeCounts *a, const JudgeCounts *b, double *effect); /* a slower than b */

#endif
