/* ranks - is one histogram of latencies to the right of another? Mann and Whitney's U, with its effect size.
 * Requests of one bucket are ties; the variance is corrected for them. */
#include <math.h>

#include "shared/deployment/judge.h"

#define SQRT_TWO 1.4142135623730950488
#define BUCKETS (JUDGE_LATENCY_BUCKETS + 1)

static double sum_of(const JudgeCounts *counts)
{
    double sum = 0;
    for (int i = 0; i < BUCKETS; i++)
        sum += (double)counts->latency[i];
    return sum;
}

/* N^3 less the cubes of the ties, written so that nothing is lost where nearly all are in one bucket. */
static double untied_cubes(const JudgeCounts *a, const JudgeCounts *b, double all)
{
    int largest = 0;
    double ties[BUCKETS];
    for (int i = 0; i < BUCKETS; i++) {
        ties[i] = (double)a->latency[i] + (double)b->latency[i];
        if (ties[i] > ties[largest])
            largest = i;
    }
    double others = 0;
    double other_cubes = 0;
    for (int i = 0; i < BUCKETS; i++) {
        if (i != largest) {
            others += ties[i];
            other_cubes += ties[i] * ties[i] * ties[i];
        }
    }
    return others * (all * all + all * ties[largest] + ties[largest] * ties[largest]) - other_cubes;
}

double judge_mann_whitney_p(const JudgeCounts *a, const JudgeCounts *b, double *effect)
{
    double n_a = sum_of(a);
    double n_b = sum_of(b);
    double all = n_a + n_b;
    *effect = 0.5;
    if (!(n_a > 0 && n_b > 0))
        return 1;
    double excess = 0; /* pairs in which a is the slower less those in which b is, by two: U less its mean */
    double faster_a = 0;
    double faster_b = 0;
    for (int i = 0; i < BUCKETS; i++) {
        excess += ((double)a->latency[i] * faster_b - (double)b->latency[i] * faster_a) / 2;
        faster_a += (double)a->latency[i];
        faster_b += (double)b->latency[i];
    }
    *effect = 0.5 + excess / (n_a * n_b);
    double variance = n_a * n_b / 12 * untied_cubes(a, b, all) / (all * (all - 1));
    if (!(variance > 0)) /* all in one bucket */
        return 1;
    return erfc((excess - 0.5) / sqrt(variance) / SQRT_TWO) / 2;
}
