/* counting - what counters gained over a window: restarts, births, gaps, and what is not there at all. */
#include "shared/deployment/counting.h"

#include <criterion/criterion.h>
#include <math.h>

#define POINTS 5
#define START_MS INT64_C(1700000000000)
#define GONE (-1e300) /* at this point the series was not told */
#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static const CountingRange range = {.start_ms = START_MS, .step_ms = 1000, .points = POINTS};

typedef struct {
    CountingQuery query;
    uint64_t instance;
    double bound_s;
    double values[POINTS];
} Row;

/* Rows of version 0, and one of version 1 that must never count. */
static CountingResult count(Row *rows, size_t row_count)
{
    static double foreign[POINTS] = {1, 1000, 2000, 3000, 4000};
    CountingSeries series[COUNTING_QUERIES][16];
    CountingTable tables[COUNTING_QUERIES] = {0};
    for (int query = 0; query < COUNTING_QUERIES; query++) {
        tables[query].series = series[query];
        series[query][tables[query].count++] =
            (CountingSeries){.version = 1, .instance = 1, .bound_s = INFINITY, .present = 31, .values = foreign};
    }
    for (size_t i = 0; i < row_count; i++) {
        CountingTable *table = &tables[rows[i].query];
        CountingSeries *one = &table->series[table->count++];
        *one = (CountingSeries){.instance = rows[i].instance, .bound_s = rows[i].bound_s, .values = rows[i].values};
        for (int point = 0; point < POINTS; point++) {
            one->present |= rows[i].values[point] == GONE ? 0 : UINT32_C(1) << point;
        }
    }
    Arena arena = arena_make(4096, (size_t)1 << 20);
    CountingResult result = counting_count(&range, tables, 0, &arena);
    arena_release(&arena);
    return result;
}

#define COUNT(rows) count(rows, LENGTH(rows))

Test(counting, a_window_ends_where_it_ends_and_begins_at_most_a_moment_late)
{
    static const struct {
        int64_t length_ms;
        int steps;
        int points;
        int64_t step_ms;
    } rows[] = {{3000, 10, 11, 300}, {3009, 10, 11, 300},     {7, 10, 8, 1},          {0, 10, 2, 1},
                {-5, 10, 2, 1},      {600000, 10, 11, 60000}, {100000, 99, 31, 3333}, {1000, 0, 2, 1000}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        CountingRange made = counting_range(START_MS, START_MS + rows[i].length_ms, rows[i].steps);
        cr_assert_eq(made.points, rows[i].points, "row %zu: %d", i, made.points);
        cr_assert_eq(made.step_ms, rows[i].step_ms, "row %zu: %lld", i, (long long)made.step_ms);
        cr_assert_eq(counting_end_ms(&made), START_MS + rows[i].length_ms);
        cr_assert(rows[i].length_ms <= 0 || (made.start_ms >= START_MS && made.start_ms < START_MS + made.points));
    }
}

Test(counting, counters_are_subtracted_and_processes_added)
{
    Row rows[] = {
        {COUNTING_REQUESTS, 1, NAN, {100, 110, 120, 130, 140}},
        {COUNTING_REQUESTS, 2, NAN, {7, 7, 8, 8, 9}},
        {COUNTING_ERRORS, 1, NAN, {3, 3, 4, 4, 5}},
        {COUNTING_ERRORS, 2, NAN, {0, 0, 0, 0, 0}},
    };
    CountingResult result = COUNT(rows);
    cr_assert_eq(result.states[COUNTING_REQUESTS], COUNTING_COUNTED);
    cr_assert_eq(result.states[COUNTING_ERRORS], COUNTING_COUNTED);
    cr_assert_eq(result.states[COUNTING_LATENCY], COUNTING_NO_SERIES);
    cr_assert_eq(result.counts.requests, 42);
    cr_assert_eq(result.counts.errors, 2);
}

/* The errors did not fall by themselves: 3 before the restart, 4 after it. */
Test(counting, a_restart_is_one_of_all_counters_of_its_process)
{
    Row rows[] = {
        {COUNTING_REQUESTS, 1, NAN, {1000, 1010, 5, 20, 30}}, {COUNTING_ERRORS, 1, NAN, {3, 3, 4, 4, 4}},
        {COUNTING_LATENCY, 1, 0.1, {10, 12, 5, 19, 28}},      {COUNTING_LATENCY, 1, INFINITY, {1000, 1010, 5, 20, 30}},
        {COUNTING_REQUESTS, 2, NAN, {50, 51, 52, 53, 54}},
    };
    CountingResult result = COUNT(rows);
    cr_assert_eq(result.counts.requests, 10 + 30 + 4);
    cr_assert_eq(result.counts.errors, 4);
    cr_assert_eq(result.counts.latency[4], 2 + 28, "of the bucket up to 100 ms");
    cr_assert_eq(result.counts.latency[JUDGE_LATENCY_BUCKETS], 8 + 2);
}

Test(counting, several_restarts_are_all_seen_and_one_that_hides_by_its_start)
{
    Row rows[] = {
        {COUNTING_REQUESTS, 1, NAN, {100, 10, 5, 50, 2}},
        {COUNTING_REQUESTS, 2, NAN, {10, 20, 90, 95, 100}},
        {COUNTING_STARTED, 2, NAN, {1600000000, 1600000000, 1700000001.5, 1700000001.6, 1700000001.5}},
    };
    cr_assert_eq(COUNT(rows).counts.requests, (10 + 5 + 45 + 2) + (10 + 90 + 5 + 5));
}

Test(counting, a_sum_that_fell_adds_nothing_at_that_step)
{
    Row rows[] = {{COUNTING_REQUESTS, 0, NAN, {1000, 1010, 500, 520, 530}}, {COUNTING_ERRORS, 0, NAN, {1, 2, 3, 4, 5}}};
    CountingResult result = COUNT(rows);
    cr_assert_eq(result.counts.requests, 10 + 20 + 10);
    cr_assert_eq(result.counts.errors, 1 + 1 + 1);
}

Test(counting, a_counter_that_appears_at_a_process_under_watch_was_born_there)
{
    Row rows[] = {
        {COUNTING_REQUESTS, 1, NAN, {100, 110, 120, 130, 140}},
        {COUNTING_ERRORS, 1, NAN, {GONE, GONE, 4, 4, 6}},
    };
    cr_assert_eq(COUNT(rows).counts.errors, 6);
}

Test(counting, what_a_process_counted_before_it_was_first_seen_is_unknown)
{
    Row rows[] = {
        {COUNTING_REQUESTS, 1, NAN, {GONE, 5000, 5010, 5020, 5030}},
        {COUNTING_ERRORS, 1, NAN, {GONE, 900, 900, 901, 901}},
    };
    CountingResult result = COUNT(rows);
    cr_assert_eq(result.counts.requests, 30);
    cr_assert_eq(result.counts.errors, 1);
}

Test(counting, a_process_that_began_within_the_window_counts_from_zero)
{
    Row rows[] = {
        {COUNTING_REQUESTS, 1, NAN, {GONE, 50, 60, 70, 80}},
        {COUNTING_ERRORS, 1, NAN, {GONE, 5, 5, 5, 5}},
        {COUNTING_STARTED, 1, NAN, {GONE, 1700000000.5, 1700000000.5, 1700000000.5, 1700000000.5}},
        {COUNTING_REQUESTS, 2, NAN, {GONE, GONE, 1000, 1001, 1002}},
        {COUNTING_ERRORS, 2, NAN, {GONE, GONE, 7, 7, 7}},
        {COUNTING_STARTED, 2, NAN, {GONE, GONE, 1699999999, 1699999999, 1699999999}},
    };
    CountingResult result = COUNT(rows);
    cr_assert_eq(result.counts.requests, 80 + 2);
    cr_assert_eq(result.counts.errors, 5);
}

Test(counting, a_process_that_was_away_goes_on_from_where_it_was_and_one_that_left_counts_until_then)
{
    Row rows[] = {
        {COUNTING_REQUESTS, 1, NAN, {100, GONE, GONE, 130, 140}},
        {COUNTING_REQUESTS, 2, NAN, {10, 20, 30, GONE, GONE}},
    };
    cr_assert_eq(COUNT(rows).counts.requests, 40 + 20);
}

Test(counting, cumulative_buckets_become_the_judges_and_one_between_two_bounds_counts_as_the_slower)
{
    Row rows[] = {
        {COUNTING_LATENCY, 1, INFINITY, {0, 0, 0, 0, 100}}, {COUNTING_LATENCY, 1, 0.3, {0, 0, 0, 0, 60}},
        {COUNTING_LATENCY, 1, 0.9, {0, 0, 0, 0, 90}},       {COUNTING_LATENCY, 1, 9, {0, 0, 0, 0, 97}},
        {COUNTING_LATENCY, 2, 0.3, {5, 5, 5, 5, 6}},        {COUNTING_LATENCY, 2, INFINITY, {5, 5, 5, 5, 8}},
    };
    CountingResult result = COUNT(rows);
    cr_assert_eq(result.counts.latency[6], 61, "300 ms");
    cr_assert_eq(result.counts.latency[10], 30, "900 ms are not within 750, but within 1000");
    cr_assert_eq(result.counts.latency[JUDGE_LATENCY_BUCKETS], 7 + 3 + 2);
}

Test(counting, what_is_missing_is_told_apart_from_zero)
{
    static Row ended[] = {{COUNTING_REQUESTS, 1, NAN, {1, 2, 3, 4, GONE}}};
    static Row nan[] = {{COUNTING_REQUESTS, 1, NAN, {1, NAN, 3, 4, 5}}};
    static Row infinite[] = {{COUNTING_REQUESTS, 1, NAN, {1, 2, 3, 4, INFINITY}}};
    static Row negative[] = {{COUNTING_REQUESTS, 1, NAN, {-4, -3, -2, -1, 0}}};
    static Row none[] = {{COUNTING_REQUESTS, 1, NAN, {GONE, GONE, GONE, GONE, GONE}}};
    static Row zero[] = {{COUNTING_REQUESTS, 1, NAN, {9, 9, 9, 9, 9}}};
    static Row elsewhere[] = {{COUNTING_ERRORS, 1, NAN, {9, 9, 9, 9, 9}}};
    const struct {
        Row *rows;
        CountingState state;
    } cases[] = {{ended, COUNTING_ENDED},        {nan, COUNTING_NO_NUMBER},  {infinite, COUNTING_NO_NUMBER},
                 {negative, COUNTING_NO_NUMBER}, {none, COUNTING_NO_SERIES}, {zero, COUNTING_COUNTED},
                 {elsewhere, COUNTING_NO_SERIES}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        CountingResult result = count(cases[i].rows, 1);
        cr_assert_eq(result.states[COUNTING_REQUESTS], cases[i].state, "case %zu: %s", i,
                     counting_state_name(result.states[COUNTING_REQUESTS]));
        cr_assert_eq(result.counts.requests, 0);
    }
}

Test(counting, buckets_without_infinity_or_without_bounds_are_no_histogram)
{
    static const double bounds[] = {0.1, NAN};
    for (size_t i = 0; i < LENGTH(bounds); i++) {
        Row rows[] = {{COUNTING_LATENCY, 1, bounds[i], {0, 1, 2, 3, 4}}};
        CountingResult result = COUNT(rows);
        cr_assert_eq(result.states[COUNTING_LATENCY], COUNTING_NO_HISTOGRAM);
        for (int bucket = 0; bucket <= JUDGE_LATENCY_BUCKETS; bucket++) {
            cr_assert_eq(result.counts.latency[bucket], 0);
        }
    }
}
