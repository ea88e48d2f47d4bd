/* prometheus - answers to range queries, read into series; templates filled in. */
#include "shared/wire/prometheus.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

static const PrometheusAsked asked = {
    .range = {.start_ms = INT64_C(1700000000250), .step_ms = 300, .points = 3},
    .versions = {{"v2", 2}, {"v1", 2}},
    .series_max = 3,
};

static Err read_matrix(Arena *arena, const char *result, CountingTable *table)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[%s]}}",
             result);
    return wire_read_prometheus_matrix(arena, str_from(text), &asked, table);
}

Test(prometheus, a_matrix_gives_its_series_with_version_instance_and_bucket)
{
    Arena arena = arena_make(4096, (size_t)1024 * 1024);
    CountingTable table;
    Err err = read_matrix(&arena,
                          "{\"metric\":{\"version\":\"v1\",\"instance\":\"a:1\"},"
                          "\"values\":[[1700000000.25,\"42\"],[1700000000.85,\"NaN\"]]},"
                          "{\"metric\":{\"version\":\"v2\",\"instance\":\"b:1\",\"le\":\"0.5\"},"
                          "\"values\":[[1700000000.55,\"1e3\"]]},"
                          "{\"metric\":{\"version\":\"v9\"},\"values\":[[1700000000.25,\"7\"]]},"
                          "{\"metric\":{},\"values\":[[1700000000.25,\"7\"]]},"
                          "{\"metric\":{\"version\":\"v2\",\"le\":\"+Inf\"},\"values\":[[1700000000.55,\"+Inf\"]]}",
                          &table);
    cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
    cr_assert_eq(table.count, 3, "of other versions and of none nothing is kept");
    const CountingSeries *series = table.series;
    cr_assert_eq(series[0].version, 1);
    cr_assert_eq(series[0].present, 5, "the point in the middle was not told");
    cr_assert(series[0].values[0] == 42 && isnan(series[0].values[2]) && isnan(series[0].bound_s));
    cr_assert_eq(series[1].version, 0);
    cr_assert(series[1].present == 2 && series[1].values[1] == 1000 && series[1].bound_s == 0.5);
    cr_assert(isinf(series[2].bound_s) && isinf(series[2].values[1]));
    cr_assert_eq(series[2].instance, 0);
    cr_assert(series[0].instance != 0 && series[1].instance != 0 && series[0].instance != series[1].instance);
    arena_release(&arena);
}

Test(prometheus, missing_series_are_an_empty_table)
{
    Arena arena = arena_make(4096, (size_t)1024 * 1024);
    CountingTable table = {.count = 7};
    Err err = read_matrix(&arena, "", &table);
    cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
    cr_assert_eq(table.count, 0);
    arena_release(&arena);
}

Test(prometheus, what_is_no_matrix_is_told_from_a_query_that_failed)
{
#define MATRIX(series) "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[" series "]}}"
#define V2 "\"metric\":{\"version\":\"v2\"}"
    static const struct {
        const char *text;
        ErrKind kind;
    } rows[] = {
        {"{\"status\":\"error\",\"errorType\":\"execution\",\"error\":\"query timed out\"}", ERR_RETRY},
        {"{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"2\"]}}", ERR_REJECT},
        {"{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}", ERR_REJECT},
        {MATRIX("{" V2 "}"), ERR_REJECT},
        {MATRIX("{" V2 ",\"values\":[[1700000000.25,\"x\"]]}"), ERR_REJECT},
        {MATRIX("{" V2 ",\"values\":[[1700000000.25,\"\"]]}"), ERR_REJECT},
        {MATRIX("{" V2 ",\"values\":[[1700000000.25,7]]}"), ERR_REJECT},
        {MATRIX("{" V2 ",\"values\":[[1700000000.40,\"7\"]]}"), ERR_REJECT},
        {MATRIX("{" V2 ",\"values\":[[1700000009.25,\"7\"]]}"), ERR_REJECT},
        {MATRIX("{" V2 ",\"values\":[[\"1700000000.25\",\"7\"]]}"), ERR_REJECT},
        {MATRIX("{" V2 ",\"values\":[]},{" V2 ",\"values\":[]},{" V2 ",\"values\":[]}"), ERR_NONE},
        {MATRIX("{" V2 ",\"values\":[]},{" V2 ",\"values\":[]},{" V2 ",\"values\":[]},{" V2 ",\"values\":[]}"),
         ERR_REJECT},
        {"<html>502 Bad Gateway</html>", ERR_REJECT},
        {"", ERR_REJECT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Arena arena = arena_make(4096, (size_t)1024 * 1024);
        CountingTable table;
        Err err = wire_read_prometheus_matrix(&arena, str_from(rows[i].text), &asked, &table);
        cr_assert_eq(err.kind, rows[i].kind, "%s: %s", rows[i].text, err.why);
        arena_release(&arena);
    }
}

Test(prometheus, the_text_of_an_error_is_found_where_there_is_one)
{
    Arena arena = arena_make(4096, (size_t)1024 * 1024);
    Str why = wire_read_prometheus_error(
        &arena, STR("{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error at char 3\"}"));
    cr_assert(str_equal(why, STR("parse error at char 3")), STR_FMT, STR_ARG(why));
    cr_assert_eq(wire_read_prometheus_error(&arena, STR("<html>")).length, 0);
    cr_assert_eq(wire_read_prometheus_error(&arena, STR("{\"error\":7}")).length, 0);
    arena_release(&arena);
}

Test(prometheus, a_template_has_service_and_region_put_in_wherever_they_stand)
{
    Arena arena = arena_make(4096, (size_t)1024 * 1024);
    Str query = wire_print_prometheus_query(&arena, "{service}_x{r=\"{region}\",s=\"{service}\"} {other}", STR("api"),
                                            STR("eu"));
    cr_assert(str_equal(query, STR("api_x{r=\"eu\",s=\"api\"} {other}")), STR_FMT, STR_ARG(query));
    char text[512] = "";
    for (size_t i = 0; i < 50; i++) {
        snprintf(text + i * 9, 10, "{service}");
    }
    char name[64];
    Str longest = {memset(name, 's', 63), 63};
    cr_assert_eq(wire_print_prometheus_query(&arena, text, longest, STR("eu")).length, 0, "too long is no query");
    cr_assert(str_equal(wire_print_prometheus_seconds(&arena, 1700000000007), STR("1700000000.007")));
    arena_release(&arena);
}
