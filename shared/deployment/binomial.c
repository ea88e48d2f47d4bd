/* binomial - exact probabilities of counts: Clopper-Pearson bounds and the comparison of two shares.
 * Built on Loader's saddle-point form of the binomial mass, which keeps its precision at counts of 1e9. */
#include <float.h>
#include <math.h>

#include "shared/deployment/judge.h"

#define LOG_TWO_PI 1.8378770664093454836
#define SQRT_TWO 1.4142135623730950488
#define FRACTION_STEPS_MAX 10000000
#define SOLVE_STEPS_MAX 200
#define SAME 1e-14 /* relative; nearer than that two figures are one */
#define EXACT_TOTAL_MAX                                                                                                \
    (UINT64_C(1) << 32)           /* more samples are judged as if they were so many: wider, never narrower            \
                                   */
#define EXACT_EXPECTED_MAX 1000.0 /* with more expected in each cell the normal curve is as good */

/* log(n!) less Stirling's formula for it. 15! is exact in a double. */
static double stirling_error(double n)
{
    if (n < 16) {
        double factorial = 1;
        for (double i = 2; i <= n; i++)
            factorial *= i;
        return log(factorial) - (n > 0 ? (n + 0.5) * log(n) - n : 0) - LOG_TWO_PI / 2;
    }
    double square = n * n;
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / square) / square) / square) / square) / n;
}

/* x log(x / mean) + mean - x, without the cancellation where both are nearly the same. */
static double deviance(double x, double mean)
{
    if (fabs(x - mean) >= 0.1 * (x + mean))
        return x * log(x / mean) + mean - x;
    double ratio = (x - mean) / (x + mean);
    double sum = (x - mean) * ratio;
    double term = 2 * x * ratio;
    for (int j = 3;; j += 2) {
        term *= ratio * ratio;
        double next = sum + term / j;
        if (next == sum)
            return sum;
        sum = next;
    }
}

/* The probability of exactly k of n, each with probability p. */
static double binomial_mass(double k, double n, double p)
{
    if (p <= 0 || p >= 1)
        return (p <= 0 ? k == 0 : k == n) ? 1 : 0;
    if (k == 0)
        return exp(n * log1p(-p));
    if (k == n)
        return exp(n * log(p));
    double exponent = stirling_error(n) - stirling_error(k) - stirling_error(n - k) - deviance(k, n * p) -
                      deviance(n - k, n * (1 - p));
    return exp(exponent - (LOG_TWO_PI + log(k) + log1p(-k / n)) / 2);
}

/* Lentz's step must never divide by nothing. */
static double away_from_zero(double x)
{
    return fabs(x) < DBL_MIN * 1e10 ? DBL_MIN * 1e10 : x;
}

/* The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by Lentz's method. Takes about
 * the square root of a + b steps where x is below the mean. */
static double beta_fraction(double x, double a, double b)
{
    double c = 1;
    double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
    double fraction = d;
    for (int m = 1; m < FRACTION_STEPS_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / away_from_zero(1 + even * d);
        c = away_from_zero(1 + even / c);
        fraction *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / away_from_zero(1 + odd * d);
        c = away_from_zero(1 + odd / c);
        fraction *= d * c;
        if (fabs(d * c - 1) < DBL_EPSILON)
            break;
    }
    return fraction;
}

/* The regularized incomplete beta function I_x(a, b), and by `slope` how steeply it rises there. */
static double beta_share(double x, double a, double b, double *slope)
{
    double front = a * b / (a + b) * binomial_mass(a, a + b, x);
    *slope = front / (x * (1 - x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

/* The x at which I_x(a, b) is `wanted`: Newton from the mean, kept inside a bracket that halves where he leaves it. */
static double beta_solve(double a, double b, double wanted)
{
    if (a > b) /* near 1 it is the distance to 1 that has digits */
        return 1 - beta_solve(b, a, 1 - wanted);
    double low = 0;
    double high = 1;
    double x = a / (a + b);
    for (int i = 0; i < SOLVE_STEPS_MAX && high - low > SAME * low; i++) {
        double slope = 0;
        double miss = beta_share(x, a, b, &slope) - wanted;
        if (miss > 0)
            high = x;
        else
            low = x;
        double next = slope > 0 ? x - miss / slope : low;
        if (!(next > low && next < high))
            next = low + (high - low) / 2;
        bool settled = fabs(next - x) <= SAME * x;
        x = next;
        if (settled)
            break;
    }
    return x;
}

static bool bound_is_known(uint64_t bad, uint64_t total, double alpha)
{
    return total > 0 && bad <= total && alpha > 0 && alpha < 1;
}

/* How often both counts must be halved until they are few enough. */
static int halvings(uint64_t total)
{
    int times = 0;
    while ((total >> times) > EXACT_TOTAL_MAX)
        times++;
    return times;
}

double judge_binomial_lower(uint64_t bad, uint64_t total, double alpha)
{
    if (!bound_is_known(bad, total, alpha))
        return 0;
    int times = halvings(total);
    double good = (double)((total >> times) - (bad >> times));
    double n = (double)(total >> times);
    if (bad >> times == 0)
        return 0;
    if (bad == total)
        return exp(log(alpha) / n);
    return beta_solve((double)(bad >> times), good + 1, alpha);
}

double judge_binomial_upper(uint64_t bad, uint64_t total, double alpha)
{
    if (!bound_is_known(bad, total, alpha))
        return 1;
    int times = halvings(total);
    double n = (double)(total >> times);
    double good = (double)((total - bad) >> times);
    if (good == 0)
        return 1;
    if (bad == 0)
        return -expm1(log(alpha) / n);
    return beta_solve(n - good + 1, good, 1 - alpha);
}

/* Two shares as a table of four cells, seen from the first one's bad cell. */
typedef struct {
    double bad;
    double all_bad;
    double total_a;
    double all;
} Table;

static double table_ratio(const Table *t, double k) /* of the probability of k + 1 to that of k */
{
    return (t->all_bad - k) * (t->total_a - k) / ((k + 1) * (t->all - t->all_bad - t->total_a + k + 1));
}

static double table_mass(const Table *t, double k)
{
    double p = t->total_a / t->all;
    return binomial_mass(k, t->all_bad, p) * binomial_mass(t->total_a - k, t->all - t->all_bad, p) /
           binomial_mass(t->total_a, t->all, p);
}

/* Fisher's exact test: as many bad ones in the first as there are, or more, with all margins as they are. Summed away
 * from the middle, so that the terms only get smaller. */
static double fisher_p(const Table *t)
{
    double most = t->all_bad < t->total_a ? t->all_bad : t->total_a;
    double least = t->all_bad + t->total_a - t->all;
    least = least > 0 ? least : 0;
    bool upward = t->bad > t->all_bad * t->total_a / t->all;
    double k = upward ? t->bad : t->bad - 1;
    double sum = 0;
    double term = k >= least && k <= most ? table_mass(t, k) : 0;
    while (term > sum * DBL_EPSILON) {
        sum += term;
        if (upward ? k >= most : k <= least)
            break;
        term = upward ? term * table_ratio(t, k) : term / table_ratio(t, k - 1);
        k += upward ? 1 : -1;
    }
    double p = upward ? sum : 1 - sum;
    return p < 0 ? 0 : p > 1 ? 1 : p;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

double judge_two_proportions_p(uint64_t bad_a, uint64_t total_a, uint64_t bad_b, uint64_t total_b)
{
    if (total_a == 0 || total_b == 0 || bad_a > total_a || bad_b > total_b)
        return 1;
    double n_a = (double)total_a;
    double n_b = (double)total_b;
    Table table = {(double)bad_a, (double)bad_a + (double)bad_b, n_a, n_a + n_b};
    double pooled = table.all_bad / table.all;
    double good = ((double)(total_a - bad_a) + (double)(total_b - bad_b)) / table.all;
    if (pooled <= 0 || good <= 0)
        return 1;
    if (smaller(pooled, good) * smaller(n_a, n_b) < EXACT_EXPECTED_MAX && table.all <= (double)EXACT_TOTAL_MAX)
        return fisher_p(&table);
    double error = sqrt(pooled * good * (1 / n_a + 1 / n_b));
    return erfc(((double)bad_a / n_a - (double)bad_b / n_b) / error / SQRT_TWO) / 2;
}
