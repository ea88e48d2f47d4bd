/* prometheus - a vector of samples out of an instant query's answer. */
#include "shared/wire/prometheus.h"

#include <stdlib.h>

#include "shared/wire/document.h"

#define VECTOR_MAX_BYTES (256 * 1024)
#define VECTOR_DEPTH_MAX 16

static Str label(Arena *arena, const json_t *metric, const char *name)
{
    const json_t *value = json_object_get(metric, name);
    return json_is_string(value) ? arena_copy(arena, document_string(value)) : (Str){0};
}

/* {"metric": {…}, "value": [time, "text"]} */
static Err sample_read(Arena *arena, const json_t *element, PrometheusSample *sample)
{
    const json_t *metric = json_object_get(element, "metric");
    const json_t *value = json_array_get(json_object_get(element, "value"), 1);
    if (!json_is_string(value)) {
        return err_reject("a sample without a value");
    }
    const char *text = json_string_value(value);
    char *end = NULL;
    sample->version = label(arena, metric, "version");
    sample->le = label(arena, metric, "le");
    sample->value = strtod(text, &end); /* reads NaN, +Inf and -Inf as Prometheus writes them */
    return end == text || *end != '\0' ? err_reject("a value that is no number") : err_none();
}

static Err vector_read(Arena *arena, const json_t *root, PrometheusSample **samples, size_t *count)
{
    Str status = document_string(json_object_get(root, "status"));
    if (!str_equal(status, STR("success"))) {
        Str why = document_string(json_object_get(root, "error"));
        return err_retry("Prometheus: " STR_FMT, STR_ARG(str_slice(why, 0, 80)));
    }
    const json_t *data = json_object_get(root, "data");
    const json_t *result = json_object_get(data, "result");
    if (!str_equal(document_string(json_object_get(data, "resultType")), STR("vector")) || !json_is_array(result)) {
        return err_reject("Prometheus: the query gives no vector");
    }
    *count = json_array_size(result);
    *samples = arena_alloc_array(arena, *count, sizeof(**samples));
    for (size_t i = 0; i < *count; i++) {
        Err err = sample_read(arena, json_array_get(result, i), &(*samples)[i]);
        if (err_is(err)) {
            return err;
        }
    }
    return err_none();
}

Err wire_read_prometheus_vector(Arena *arena, Str body, PrometheusSample **samples, size_t *count)
{
    json_t *root = NULL;
    Err err = document_load(body, VECTOR_MAX_BYTES, VECTOR_DEPTH_MAX, &root);
    if (err_is(err)) {
        return err;
    }
    err = vector_read(arena, root, samples, count);
    json_decref(root);
    return err;
}
