/* prometheus - a window of samples out of a range query's answer. */
#include "shared/wire/prometheus.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "shared/wire/document.h"

#define MATRIX_MAX_BYTES (1024 * 1024)
#define MATRIX_DEPTH_MAX 16
#define QUERY_MAX 2048
#define ERROR_SHOWN 100

Str wire_print_prometheus_query(Arena *arena, const char *template, Str service, Str region)
{
    const struct {
        Str name;
        Str value;
    } facts[] = {{STR("{service}"), service}, {STR("{region}"), region}};
    Str rest = str_from(template);
    char memory[QUERY_MAX];
    Buffer out = buffer_over(memory, sizeof(memory));
    while (rest.length > 0) {
        size_t taken = 0;
        for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]) && taken == 0; i++) {
            if (str_starts_with(rest, facts[i].name)) {
                buffer_append(&out, facts[i].value);
                taken = facts[i].name.length;
            }
        }
        if (taken == 0) {
            buffer_append_char(&out, rest.data[0]);
            taken = 1;
        }
        rest = str_slice(rest, taken, rest.length);
    }
    return out.overflow ? (Str){0} : arena_copy(arena, buffer_str(&out));
}

Str wire_print_prometheus_seconds(Arena *arena, int64_t ms)
{
    return arena_print(arena, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */

/* FNV-1a; never 0, which stands for no label. */
static uint64_t instance_number(Str instance)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < instance.length; i++) {
        hash = (hash ^ (unsigned char)instance.data[i]) * UINT64_C(1099511628211);
    }
    return instance.length == 0 ? 0 : hash == 0 ? 1 : hash;
}

static double bound_read(const json_t *le)
{
    const char *text = json_string_value(le);
    char *end = NULL;
    double bound_s = text != NULL ? strtod(text, &end) : NAN;
    return text == NULL || end == text || *end != '\0' ? NAN : bound_s;
}

/* Which point a time is; -1: none. */
static int point_of(const CountingRange *range, const json_t *time)
{
    double at_ms = json_number_value(time) * 1000;
    double place = (at_ms - (double)range->start_ms) / (double)range->step_ms;
    double nearest = floor(place + 0.5);
    bool is_point = json_is_number(time) && nearest >= 0 && nearest < range->points &&
                    fabs(at_ms - (double)range->start_ms - nearest * (double)range->step_ms) < 1;
    return is_point ? (int)nearest : -1;
}

/* [time, "text"]; reads NaN, +Inf and -Inf as Prometheus writes them. */
static Err sample_read(const json_t *sample, const CountingRange *range, CountingSeries *series)
{
    int point = point_of(range, json_array_get(sample, 0));
    const char *text = json_string_value(json_array_get(sample, 1));
    char *end = NULL;
    if (point < 0 || text == NULL) {
        return err_reject("Prometheus: a sample that was not asked for");
    }
    series->values[point] = strtod(text, &end);
    series->present |= UINT32_C(1) << point;
    return end == text || *end != '\0' ? err_reject("Prometheus: a value that is no number") : err_none();
}

static Err series_read(Arena *arena, const json_t *element, const PrometheusAsked *asked, CountingTable *table)
{
    const json_t *metric = json_object_get(element, "metric");
    const json_t *values = json_object_get(element, "values");
    Str version = document_string(json_object_get(metric, "version"));
    int which = 0;
    if (!json_is_array(values)) {
        return err_reject("Prometheus: a series without values");
    }
    while (which < 2 && (version.length == 0 || !str_equal(version, asked->versions[which]))) {
        which++;
    }
    if (which == 2) {
        return err_none();
    }
    if (table->count == asked->series_max) {
        return err_reject("Prometheus: more than %zu series: aggregate them in the query", asked->series_max);
    }
    CountingSeries *series = &table->series[table->count++];
    *series = (CountingSeries){
        .version = which,
        .instance = instance_number(document_string(json_object_get(metric, "instance"))),
        .bound_s = bound_read(json_object_get(metric, "le")),
        .values = arena_alloc_array(arena, (size_t)asked->range.points, sizeof(double)),
    };
    Err err = err_none();
    for (size_t i = 0; i < json_array_size(values) && !err_is(err); i++) {
        err = sample_read(json_array_get(values, i), &asked->range, series);
    }
    return err;
}

static Err matrix_read(Arena *arena, const json_t *root, const PrometheusAsked *asked, CountingTable *table)
{
    if (!str_equal(document_string(json_object_get(root, "status")), STR("success"))) {
        Str why = document_string(json_object_get(root, "error"));
        return err_retry("Prometheus: " STR_FMT, STR_ARG(str_slice(why, 0, ERROR_SHOWN)));
    }
    const json_t *data = json_object_get(root, "data");
    const json_t *result = json_object_get(data, "result");
    if (!str_equal(document_string(json_object_get(data, "resultType")), STR("matrix")) || !json_is_array(result)) {
        return err_reject("Prometheus: the query gives no series");
    }
    size_t most = json_array_size(result) < asked->series_max ? json_array_size(result) : asked->series_max;
    table->series = arena_alloc_array(arena, most, sizeof(*table->series));
    Err err = err_none();
    for (size_t i = 0; i < json_array_size(result) && !err_is(err); i++) {
        err = series_read(arena, json_array_get(result, i), asked, table);
    }
    return err;
}

Err wire_read_prometheus_matrix(Arena *arena, Str body, const PrometheusAsked *asked, CountingTable *table)
{
    json_t *root = NULL;
    *table = (CountingTable){0};
    Err err = document_load(body, MATRIX_MAX_BYTES, MATRIX_DEPTH_MAX, &root);
    if (err_is(err)) {
        return err;
    }
    err = matrix_read(arena, root, asked, table);
    json_decref(root);
    return err;
}

Str wire_read_prometheus_error(Arena *arena, Str body)
{
    json_t *root = NULL;
    if (err_is(document_load(body, MATRIX_MAX_BYTES, MATRIX_DEPTH_MAX, &root))) {
        return (Str){0};
    }
    Str why = document_string(json_object_get(root, "error"));
    why = arena_copy(arena, str_slice(why, 0, ERROR_SHOWN));
    json_decref(root);
    return why;
}
