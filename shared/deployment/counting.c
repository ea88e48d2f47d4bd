/* counting - counters that were sampled over a window become the counts that a judge is told. */
#include "shared/deployment/counting.h"

#include <float.h>
#include <stddef.h>

#define ROUNDING_MS 1e-6 /* 0.3 s is 300 ms */
#define START_JITTER_S 1 /* a start that is told anew is not always told to the same digit */

/* The counters of one version, and what each of them gained. */
typedef struct {
    const CountingSeries *series;
    CountingQuery query;
    double gained;
} Counter;

typedef struct {
    const CountingRange *range;
    Counter *counters;
    size_t count;
    const CountingTable *started;
    int version;
} Counting;

/* One process: what is told of all its counters together. */
typedef struct {
    uint64_t instance;
    uint32_t seen;      /* bit i: some counter was told at point i */
    uint32_t restarted; /* bit i: since what was told before, a counter fell, or the start is a later one */
    bool born;          /* its start lies within the window */
} Process;

const char *counting_query_name(CountingQuery query)
{
    static const char *const names[COUNTING_QUERIES] = {"requests", "errors", "latency", "started"};
    return names[query];
}

const char *counting_state_name(CountingState state)
{
    switch (state) {
    case COUNTING_COUNTED:
        return "counted";
    case COUNTING_NO_SERIES:
        return "no series";
    case COUNTING_ENDED:
        return "the series has ended";
    case COUNTING_NO_NUMBER:
        return "no finite number (NaN)";
    case COUNTING_NO_HISTOGRAM:
        return "no histogram with buckets up to +Inf";
    }
    return "unknown";
}

CountingRange counting_range(int64_t since_ms, int64_t until_ms, int steps)
{
    int64_t length_ms = until_ms > since_ms ? until_ms - since_ms : 1;
    int64_t most = steps < 1 ? 1 : steps < COUNTING_POINTS_MAX ? steps : COUNTING_POINTS_MAX - 1;
    int64_t taken = length_ms < most ? length_ms : most;
    int64_t step_ms = length_ms / taken;
    return (CountingRange){.start_ms = until_ms - step_ms * taken, .step_ms = step_ms, .points = (int)taken + 1};
}

int64_t counting_end_ms(const CountingRange *range)
{
    return range->start_ms + range->step_ms * (range->points - 1);
}

static bool is_count(double value)
{
    return value >= 0 && value <= DBL_MAX;
}

static bool is_told(const CountingSeries *series, int point)
{
    return (series->present >> point & 1) != 0;
}

static bool ends_told(const Counting *counting, const CountingSeries *series)
{
    return is_told(series, counting->range->points - 1);
}

/* --- a process -----------------------------------------------------------------------------------------------------
 */

/* Points at which a counter is less than what was told of it before. */
static uint32_t falls_of(const Counting *counting, const CountingSeries *series)
{
    uint32_t falls = 0;
    double last = 0;
    for (int point = 0; point < counting->range->points; point++) {
        if (is_told(series, point)) {
            falls |= series->values[point] < last ? UINT32_C(1) << point : 0;
            last = series->values[point];
        }
    }
    return falls;
}

/* What the process says of its own start: whether it lies within the window, and where it is told to be a later one. */
static void hear_start(const Counting *counting, const CountingSeries *series, Process *process)
{
    double last_s = DBL_MAX;
    bool told = false;
    for (int point = 0; point < counting->range->points; point++) {
        if (!is_told(series, point) || !is_count(series->values[point])) {
            continue;
        }
        double start_s = series->values[point];
        process->born = told ? process->born : start_s * 1000 >= (double)counting->range->start_ms;
        process->restarted |= start_s > last_s + START_JITTER_S ? UINT32_C(1) << point : 0;
        last_s = start_s;
        told = true;
    }
}

static Process process_of(const Counting *counting, uint64_t instance)
{
    Process process = {.instance = instance};
    for (size_t i = 0; i < counting->started->count; i++) {
        const CountingSeries *series = &counting->started->series[i];
        if (series->version == counting->version && series->instance == instance) {
            hear_start(counting, series, &process);
        }
    }
    for (size_t i = 0; i < counting->count; i++) {
        const CountingSeries *series = counting->counters[i].series;
        if (series->instance == instance) {
            process.seen |= series->present;
            process.restarted |= falls_of(counting, series);
        }
    }
    return process;
}

/* --- what a counter gained -----------------------------------------------------------------------------------------
 */

/* Bits from `from` up to, but not including, `to`. */
static uint32_t bits_between(int from, int to)
{
    uint32_t below_to = (UINT32_C(1) << to) - 1;
    return from < to ? below_to & ~((UINT32_C(1) << from) - 1) : 0;
}

/* At the first point at which it is told. */
static double gained_at_first(const Process *process, int point, double value)
{
    bool under_watch = (process->seen & bits_between(0, point)) != 0;
    return point > 0 && (under_watch || process->born) ? value : 0;
}

static double gained_since(const Process *process, int before, double last, int point, double value)
{
    bool restarted = (process->restarted & bits_between(before + 1, point + 1)) != 0;
    if (!restarted) {
        return value - last;
    }
    return process->instance != 0 ? value : 0;
}

static double gained_by(const Counting *counting, const Process *process, const CountingSeries *series)
{
    double gained = 0;
    int before = -1;
    for (int point = 0; point < counting->range->points; point++) {
        if (!is_told(series, point)) {
            continue;
        }
        double value = series->values[point];
        gained += before < 0 ? gained_at_first(process, point, value)
                             : gained_since(process, before, series->values[before], point, value);
        before = point;
    }
    return gained;
}

/* Each process is looked at when its first counter comes. */
static void count_gains(Counting *counting)
{
    for (size_t i = 0; i < counting->count; i++) {
        uint64_t instance = counting->counters[i].series->instance;
        bool earlier = false;
        for (size_t j = 0; j < i && !earlier; j++) {
            earlier = counting->counters[j].series->instance == instance;
        }
        if (earlier) {
            continue;
        }
        Process process = process_of(counting, instance);
        for (size_t j = i; j < counting->count; j++) {
            Counter *counter = &counting->counters[j];
            if (counter->series->instance == instance) {
                counter->gained = gained_by(counting, &process, counter->series);
            }
        }
    }
}

/* --- latency -------------------------------------------------------------------------------------------------------
 */

static int bucket_of(double bound_s)
{
    for (int i = 0; i < JUDGE_LATENCY_BUCKETS; i++) {
        if (bound_s * 1000 <= (double)judge_latency_bounds_ms[i] + ROUNDING_MS) {
            return i;
        }
    }
    return JUDGE_LATENCY_BUCKETS;
}

static uint64_t rounded(double count)
{
    return count < 9e18 ? (uint64_t)(count + 0.5) : UINT64_C(9000000000000000000);
}

/* What the buckets of a process up to a bound gained together: a process may have a histogram for each of its paths. */
static double gained_up_to(const Counting *counting, uint64_t instance, double bound_s)
{
    double gained = 0;
    for (size_t i = 0; i < counting->count; i++) {
        const Counter *counter = &counting->counters[i];
        if (counter->query == COUNTING_LATENCY && counter->series->instance == instance &&
            counter->series->bound_s == bound_s) {
            gained += counter->gained;
        }
    }
    return gained;
}

/* The next greater bound of a process' buckets; what was given where there is none. */
static double bound_after(const Counting *counting, uint64_t instance, double bound_s)
{
    double next = bound_s;
    for (size_t i = 0; i < counting->count; i++) {
        const Counter *counter = &counting->counters[i];
        double its = counter->series->bound_s;
        bool is_next = its > bound_s && (next == bound_s || its < next);
        if (counter->query == COUNTING_LATENCY && counter->series->instance == instance && is_next) {
            next = its;
        }
    }
    return next;
}

/* Cumulative buckets of a process become counts of our own. False: they do not go up to infinity. */
static bool count_latency_of(const Counting *counting, uint64_t instance, JudgeCounts *counts)
{
    double bound_s = -DBL_MAX;
    double below = 0;
    for (double next = bound_after(counting, instance, bound_s); next != bound_s;
         next = bound_after(counting, instance, bound_s)) {
        bound_s = next;
        double up_to = gained_up_to(counting, instance, bound_s);
        counts->latency[bucket_of(bound_s)] += up_to > below ? rounded(up_to) - rounded(below) : 0;
        below = up_to > below ? up_to : below;
    }
    return bound_s > DBL_MAX;
}

static bool count_latency(const Counting *counting, JudgeCounts *counts)
{
    bool whole = true;
    for (size_t i = 0; i < counting->count && whole; i++) {
        const Counter *counter = &counting->counters[i];
        bool earlier = counter->query != COUNTING_LATENCY;
        for (size_t j = 0; j < i && !earlier; j++) {
            earlier = counting->counters[j].query == COUNTING_LATENCY &&
                      counting->counters[j].series->instance == counter->series->instance;
        }
        whole = earlier || count_latency_of(counting, counter->series->instance, counts);
    }
    return whole;
}

/* --- all of it -----------------------------------------------------------------------------------------------------
 */

static bool is_number(const Counting *counting, const CountingSeries *series)
{
    for (int point = 0; point < counting->range->points; point++) {
        if (is_told(series, point) && !is_count(series->values[point])) {
            return false;
        }
    }
    return true;
}

static CountingState state_of(const Counting *counting, CountingQuery query)
{
    bool any = false;
    bool at_end = false;
    for (size_t i = 0; i < counting->count; i++) {
        const Counter *counter = &counting->counters[i];
        if (counter->query != query || counter->series->present == 0) {
            continue;
        }
        if (!is_number(counting, counter->series)) {
            return COUNTING_NO_NUMBER;
        }
        any = true;
        at_end = at_end || ends_told(counting, counter->series);
    }
    return !any ? COUNTING_NO_SERIES : at_end ? COUNTING_COUNTED : COUNTING_ENDED;
}

static uint64_t sum_of(const Counting *counting, CountingQuery query)
{
    double sum = 0;
    for (size_t i = 0; i < counting->count; i++) {
        sum += counting->counters[i].query == query ? counting->counters[i].gained : 0;
    }
    return rounded(sum);
}

static Counting counting_begin(const CountingRange *range, const CountingTable *tables, int version, Arena *arena)
{
    Counting counting = {.range = range, .started = &tables[COUNTING_STARTED], .version = version};
    size_t most = tables[COUNTING_REQUESTS].count + tables[COUNTING_ERRORS].count + tables[COUNTING_LATENCY].count;
    counting.counters = arena_alloc_array(arena, most, sizeof *counting.counters);
    for (CountingQuery query = COUNTING_REQUESTS; query < COUNTING_STARTED; query++) {
        for (size_t i = 0; i < tables[query].count; i++) {
            if (tables[query].series[i].version == version) {
                counting.counters[counting.count++] = (Counter){&tables[query].series[i], query, 0};
            }
        }
    }
    return counting;
}

CountingResult counting_count(const CountingRange *range, const CountingTable tables[COUNTING_QUERIES], int version,
                              Arena *arena)
{
    CountingResult result = {0};
    Counting counting = counting_begin(range, tables, version, arena);
    count_gains(&counting);
    for (CountingQuery query = COUNTING_REQUESTS; query < COUNTING_STARTED; query++) {
        result.states[query] = state_of(&counting, query);
    }
    if (result.states[COUNTING_REQUESTS] == COUNTING_COUNTED) {
        result.counts.requests = sum_of(&counting, COUNTING_REQUESTS);
    }
    if (result.states[COUNTING_ERRORS] == COUNTING_COUNTED) {
        result.counts.errors = sum_of(&counting, COUNTING_ERRORS);
    }
    JudgeCounts with_latency = result.counts;
    if (result.states[COUNTING_LATENCY] == COUNTING_COUNTED && count_latency(&counting, &with_latency)) {
        result.counts = with_latency;
    } else if (result.states[COUNTING_LATENCY] == COUNTING_COUNTED) {
        result.states[COUNTING_LATENCY] = COUNTING_NO_HISTOGRAM;
    }
    return result;
}
