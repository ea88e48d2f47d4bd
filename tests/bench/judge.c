/* judge - what the judge decides at which true rate and how many requests, beside a plain threshold on the same draws.
 * bench_judge [--draws N] [--seed S] [--check]: Markdown tables; with --check it fails where the judge is no better. */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/str.h"
#include "shared/deployment/judge.h"

#define LOOKS 20 /* the last one is the stage's end */
#define REQUESTS_MAX 10000
#define WHOLE_E4 10000
#define FAST_BUCKET 0

/* What became of one stage. The plain thresholds fail it or pass it, and each counts for itself. */
typedef enum {
    PASSES,
    IS_MARGINAL,
    FAILS_EARLY,
    FAILS_AT_END,
    INCONCLUSIVE,
    PLAIN_SINCE_START, /* fails as soon as the rate since the stage's start is above the limit at a look */
    PLAIN_OWN_WINDOW,  /* ... the rate since the look before: a query over the last interval, as is usual */
    PLAIN_AT_END,      /* ... at the stage's end only */
    OUTCOMES,
} Outcome;

typedef struct {
    JudgeGate gate;
    const char *heading;
    const int64_t *rates_e4; /* ends in 0, as the sizes do */
    const uint64_t *sizes;
} Table;

typedef struct {
    const Table *table;
    int64_t rate_e4;
    uint64_t requests;
    uint64_t draws;
    uint64_t seed;
} Cell;

typedef struct {
    uint64_t state;
} Dice;

/* All that the judge can decide in one cell, asked beforehand: the draws only count. */
typedef struct {
    uint64_t fails_from[LOOKS]; /* bad requests from which a look fails the stage */
    Outcome at_end[REQUESTS_MAX + 1];
} Decisions;

static uint64_t dice_next(Dice *dice) /* splitmix64 */
{
    uint64_t z = dice->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t draw_bad(Dice *dice, uint64_t requests, int64_t rate_e4)
{
    const uint64_t limit = UINT64_MAX / WHOLE_E4 * (uint64_t)rate_e4;
    uint64_t bad = 0;
    for (uint64_t i = 0; i < requests; i++)
        bad += dice_next(dice) < limit;
    return bad;
}

static JudgeCounts counts_of(JudgeGate gate, uint64_t requests, uint64_t bad)
{
    JudgeCounts counts = {.requests = requests, .errors = gate == JUDGE_GATE_ERRORS ? bad : 0};
    uint64_t slow = gate == JUDGE_GATE_LATENCY ? bad : 0;
    counts.latency[FAST_BUCKET] = requests - slow;
    counts.latency[JUDGE_LATENCY_BUCKETS] = slow;
    return counts;
}

static bool fails_early(const JudgeLimits *limits, JudgeGate gate, uint64_t requests, uint64_t bad)
{
    JudgeCounts counts = counts_of(gate, requests, bad);
    return judge_early(limits, &counts).findings[gate].verdict == JUDGE_FAIL;
}

static Outcome outcome_at_end(const JudgeLimits *limits, JudgeGate gate, uint64_t requests, uint64_t bad)
{
    static const Outcome outcomes[] = {[JUDGE_PASS] = PASSES,
                                       [JUDGE_MARGINAL] = IS_MARGINAL,
                                       [JUDGE_FAIL] = FAILS_AT_END,
                                       [JUDGE_INCONCLUSIVE] = INCONCLUSIVE};
    JudgeCounts counts = counts_of(gate, requests, bad);
    return outcomes[judge_final(limits, &counts, NULL, 0).findings[gate].verdict];
}

static uint64_t seen_at(const Cell *cell, int look)
{
    return cell->requests * (uint64_t)(look + 1) / LOOKS;
}

/* More bad ones never make a verdict better (a unit test says so): the first that fails is found by halving. */
static uint64_t first_failing(const JudgeLimits *limits, JudgeGate gate, uint64_t requests)
{
    uint64_t passes = 0;
    uint64_t fails = requests + 1;
    while (fails - passes > 1) {
        uint64_t middle = passes + (fails - passes) / 2;
        if (fails_early(limits, gate, requests, middle))
            fails = middle;
        else
            passes = middle;
    }
    return fails;
}

static void decide(const Cell *cell, Decisions *decisions)
{
    const JudgeLimits limits = judge_limits_default();
    for (int look = 0; look < LOOKS - 1; look++)
        decisions->fails_from[look] = first_failing(&limits, cell->table->gate, seen_at(cell, look));
    for (uint64_t bad = 0; bad <= cell->requests; bad++) {
        bool all_the_same = bad > 0 && bad > cell->requests / 2 && decisions->at_end[bad - 1] == FAILS_AT_END;
        decisions->at_end[bad] =
            all_the_same ? FAILS_AT_END : outcome_at_end(&limits, cell->table->gate, cell->requests, bad);
    }
}

static int64_t limit_e4(JudgeGate gate)
{
    JudgeLimits limits = judge_limits_default();
    return gate == JUDGE_GATE_ERRORS ? limits.error_limit_e4 : limits.slow_limit_e4;
}

static void draw_stage(const Cell *cell, const Decisions *decisions, Dice *dice, uint64_t outcomes[OUTCOMES])
{
    const uint64_t limit = (uint64_t)limit_e4(cell->table->gate);
    bool early = false;
    bool since_start = false;
    bool own_window = false;
    bool above = false;
    uint64_t bad = 0;
    uint64_t before = 0;
    for (int look = 0; look < LOOKS; look++) {
        uint64_t seen = seen_at(cell, look);
        uint64_t fresh = draw_bad(dice, seen - before, cell->rate_e4);
        bad += fresh;
        above = bad * WHOLE_E4 > limit * seen;
        since_start = since_start || above;
        own_window = own_window || fresh * WHOLE_E4 > limit * (seen - before);
        early = early || (look < LOOKS - 1 && bad >= decisions->fails_from[look]);
        before = seen;
    }
    outcomes[early ? FAILS_EARLY : decisions->at_end[bad]]++;
    outcomes[PLAIN_SINCE_START] += since_start;
    outcomes[PLAIN_OWN_WINDOW] += own_window;
    outcomes[PLAIN_AT_END] += above;
}

/* What must hold at any seed is told where it does not. */
static bool holds(const Cell *cell, const char *claim, bool truth)
{
    if (!truth)
        fprintf(stderr, "judge: at %.2f %% of %llu requests it does not hold that %s\n", (double)cell->rate_e4 / 100,
                (unsigned long long)cell->requests, claim);
    return truth;
}

static bool check_errors(const Cell *cell, const double percent[OUTCOMES])
{
    double fails = percent[FAILS_EARLY] + percent[FAILS_AT_END];
    bool good = true;
    if (cell->rate_e4 <= 100) {
        good &= holds(cell, "fewer than 1 % fail early", percent[FAILS_EARLY] < 1);
        if (cell->rate_e4 == 100 && cell->requests <= 300)
            good &= holds(cell, "a plain threshold fails more than 10 %", percent[PLAIN_SINCE_START] > 10);
    }
    if (cell->rate_e4 <= 500)
        good &= holds(cell, "fewer than 6 % fail early", percent[FAILS_EARLY] < 6);
    if (cell->requests < 59)
        good &= holds(cell, "nothing passes", percent[PASSES] + percent[IS_MARGINAL] <= 0);
    if (cell->rate_e4 == 2000 && cell->requests >= 100)
        good &= holds(cell, "more than 99 % fail", fails > 99);
    if (cell->rate_e4 >= 1000 && cell->requests == 10000)
        good &= holds(cell, "all fail early", percent[FAILS_EARLY] > 99.9);
    if (cell->rate_e4 == 10 && cell->requests >= 1000)
        good &= holds(cell, "nearly all pass", percent[PASSES] > 99);
    return good;
}

static bool check_latency(const Cell *cell, const double percent[OUTCOMES])
{
    bool good = true;
    if (cell->rate_e4 <= 100)
        good &= holds(cell, "fewer than 6 % fail early", percent[FAILS_EARLY] < 6);
    if (cell->requests < 299)
        good &= holds(cell, "nothing passes", percent[PASSES] + percent[IS_MARGINAL] <= 0);
    if (cell->rate_e4 >= 200 && cell->requests == 10000)
        good &= holds(cell, "all fail", percent[FAILS_EARLY] + percent[FAILS_AT_END] > 99);
    return good;
}

static bool run_cell(const Cell *cell)
{
    static Decisions decisions;
    decide(cell, &decisions);
    Dice dice = {cell->seed * UINT64_C(1000003) + cell->requests * UINT64_C(10007) + (uint64_t)cell->rate_e4};
    uint64_t outcomes[OUTCOMES] = {0};
    for (uint64_t i = 0; i < cell->draws; i++)
        draw_stage(cell, &decisions, &dice, outcomes);
    double percent[OUTCOMES];
    printf("| %.1f %% | %llu |", (double)cell->rate_e4 / 100, (unsigned long long)cell->requests);
    for (int i = 0; i < OUTCOMES; i++) {
        percent[i] = 100.0 * (double)outcomes[i] / (double)cell->draws;
        printf(" %.*f |", outcomes[i] == 0 || outcomes[i] == cell->draws ? 0 : 2, percent[i]);
    }
    printf("\n");
    return cell->table->gate == JUDGE_GATE_ERRORS ? check_errors(cell, percent) : check_latency(cell, percent);
}

static bool run_table(const Table *table, uint64_t draws, uint64_t seed)
{
    bool good = true;
    printf("| %s | requests | judge: pass | marginal | fails early | fails at the end | inconclusive "
           "| plain: fails, since start | fails, each window | fails, only at the end |\n"
           "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
           table->heading);
    for (const int64_t *rate = table->rates_e4; *rate != 0; rate++)
        for (const uint64_t *size = table->sizes; *size != 0; size++)
            good &= run_cell(&(Cell){table, *rate, *size, draws, seed});
    printf("\n");
    return good;
}

static bool to_number(const char *text, uint64_t least, uint64_t *number)
{
    return str_to_uint64(str_from(text), number) && *number >= least && *number <= UINT32_MAX;
}

int main(int argc, char **argv)
{
    static const int64_t error_rates_e4[] = {10, 100, 300, 450, 500, 550, 700, 1000, 2000, 0};
    static const uint64_t error_sizes[] = {20, 59, 100, 300, 1000, REQUESTS_MAX, 0};
    static const int64_t slow_rates_e4[] = {10, 50, 90, 100, 150, 200, 500, 0};
    static const uint64_t slow_sizes[] = {100, 299, 1000, REQUESTS_MAX, 0};
    static const Table tables[] = {{JUDGE_GATE_ERRORS, "true error rate", error_rates_e4, error_sizes},
                                   {JUDGE_GATE_LATENCY, "truly over 1000 ms", slow_rates_e4, slow_sizes}};
    static const struct option options[] = {{"draws", required_argument, NULL, 'd'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"check", no_argument, NULL, 'c'},
                                            {0}};
    uint64_t draws = 10000;
    uint64_t seed = 1;
    bool check = false;
    bool usable = true;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'd')
            usable &= to_number(optarg, 1, &draws);
        else if (option == 's')
            usable &= to_number(optarg, 0, &seed);
        else if (option == 'c')
            check = true;
        else
            usable = false;
    }
    if (!usable || optind != argc) {
        fprintf(stderr, "usage: bench_judge [--draws N] [--seed S] [--check]\n");
        return 64;
    }
    bool good = true;
    printf("%llu stages in each row, seed %llu; %% of them\n\n", (unsigned long long)draws, (unsigned long long)seed);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        good &= run_table(&tables[i], draws, seed);
    return check && !good ? EXIT_FAILURE : EXIT_SUCCESS;
}
