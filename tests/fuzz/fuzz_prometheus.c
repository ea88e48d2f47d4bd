/* fuzz_prometheus - any bytes as Prometheus' answer to a range query; the first byte chooses how many points were asked
 * for. What is read stays within what was asked for, and counts without harm, whatever the numbers are: as requests,
 * errors, latency and starts at once, each process with all of them. */
#include "shared/wire/prometheus.h"

#define SERIES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_table(const PrometheusAsked *asked, const CountingTable *table)
{
    TAI_ASSERT(table->count <= SERIES_MAX);
    for (size_t i = 0; i < table->count; i++) {
        const CountingSeries *series = &table->series[i];
        TAI_ASSERT(series->version == 0 || series->version == 1);
        TAI_ASSERT((uint64_t)series->present >> asked->range.points == 0);
    }
}

/* What is not counted is nothing, and no request has two latencies. */
static void check_counts(const CountingResult *result)
{
    uint64_t latencies = 0;
    for (int i = 0; i <= JUDGE_LATENCY_BUCKETS; i++) {
        latencies += result->counts.latency[i] > 0 ? 1 : 0;
    }
    TAI_ASSERT(result->states[COUNTING_REQUESTS] == COUNTING_COUNTED || result->counts.requests == 0);
    TAI_ASSERT(result->states[COUNTING_ERRORS] == COUNTING_COUNTED || result->counts.errors == 0);
    TAI_ASSERT(result->states[COUNTING_LATENCY] == COUNTING_COUNTED || latencies == 0);
    TAI_ASSERT(result->counts.errors == result->counts.requests);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    Arena arena = arena_make(65536, 16 * 1024 * 1024);
    PrometheusAsked asked = {
        .range = counting_range(INT64_C(1700000000000), INT64_C(1700000003000), data[0] % 40),
        .versions = {STR("v2"), STR("v1")},
        .series_max = SERIES_MAX,
    };
    Str body = {(const char *)data + 1, size - 1};
    CountingTable table;
    Err err = wire_read_prometheus_matrix(&arena, body, &asked, &table);
    if (err_is(err)) {
        TAI_ASSERT((err.kind == ERR_REJECT || err.kind == ERR_RETRY) && err.why[0] != '\0');
    } else {
        check_table(&asked, &table);
        const CountingTable tables[COUNTING_QUERIES] = {table, table, table, table};
        for (int version = 0; version < 2; version++) {
            CountingResult result = counting_count(&asked.range, tables, version, &arena);
            check_counts(&result);
        }
    }
    TAI_ASSERT(wire_read_prometheus_error(&arena, body).length <= body.length);
    arena_release(&arena);
    return 0;
}
