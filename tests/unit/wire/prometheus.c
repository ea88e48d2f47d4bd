/* prometheus - answers to instant queries, read into samples. */
#include "shared/wire/prometheus.h"

#include <criterion/criterion.h>
#include <math.h>

static Err read_vector(Arena *arena, const char *text, PrometheusSample **samples, size_t *count)
{
    return wire_read_prometheus_vector(arena, str_from(text), samples, count);
}

Test(prometheus, a_vector_gives_its_samples_with_version_and_bucket)
{
    Arena arena = arena_make(4096, (size_t)1024 * 1024);
    PrometheusSample *samples = NULL;
    size_t count = 0;
    Err err = read_vector(&arena,
                          "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
                          "{\"metric\":{\"version\":\"v1\"},\"value\":[1700000000.1,\"42\"]},"
                          "{\"metric\":{\"version\":\"v2\",\"le\":\"0.5\"},\"value\":[1700000000.1,\"NaN\"]},"
                          "{\"metric\":{},\"value\":[1700000000.1,\"+Inf\"]}]}}",
                          &samples, &count);
    cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
    cr_assert_eq(count, 3);
    cr_assert(str_equal(samples[0].version, STR("v1")) && samples[0].le.length == 0);
    cr_assert_float_eq(samples[0].value, 42, 1e-9);
    cr_assert(str_equal(samples[1].le, STR("0.5")) && isnan(samples[1].value));
    cr_assert(samples[2].version.length == 0 && isinf(samples[2].value));
    arena_release(&arena);
}

Test(prometheus, missing_series_are_an_empty_vector)
{
    Arena arena = arena_make(4096, (size_t)1024 * 1024);
    PrometheusSample *samples = NULL;
    size_t count = 7;
    Err err = read_vector(&arena, "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}",
                          &samples, &count);
    cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
    cr_assert_eq(count, 0);
    arena_release(&arena);
}

Test(prometheus, what_is_no_vector_is_told_from_a_query_that_failed)
{
    static const struct {
        const char *text;
        ErrKind kind;
    } rows[] = {
        {"{\"status\":\"error\",\"errorType\":\"execution\",\"error\":\"query timed out\"}", ERR_RETRY},
        {"{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"2\"]}}", ERR_REJECT},
        {"{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{}}]}}", ERR_REJECT},
        {"{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1,\"x\"]}]}"
         "}",
         ERR_REJECT},
        {"<html>502 Bad Gateway</html>", ERR_REJECT},
        {"", ERR_REJECT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Arena arena = arena_make(4096, (size_t)1024 * 1024);
        PrometheusSample *samples = NULL;
        size_t count = 0;
        Err err = read_vector(&arena, rows[i].text, &samples, &count);
        cr_assert_eq(err.kind, rows[i].kind, "%s: %s", rows[i].text, err.why);
        arena_release(&arena);
    }
}
