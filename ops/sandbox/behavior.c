/* behavior - one table of names serves the command line, JSON, forms and the answer. */
#include "ops/sandbox/behavior.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define TIME_MAX_MS 600000

typedef struct {
    const char *name;
    size_t offset;
    bool is_rate; /* a double from 0 to 1; otherwise an int64_t of ms */
} Field;

static const Field fields[] = {
    {"failure_rate", offsetof(Behavior, failure_rate), true},
    {"throttle_rate", offsetof(Behavior, throttle_rate), true},
    {"decline_rate", offsetof(Behavior, decline_rate), true},
    {"drop_rate", offsetof(Behavior, drop_rate), true},
    {"error_after_rate", offsetof(Behavior, error_after_rate), true},
    {"saved_error_rate", offsetof(Behavior, saved_error_rate), true},
    {"latency_ms", offsetof(Behavior, latency_ms), false},
    {"latency_jitter_ms", offsetof(Behavior, latency_jitter_ms), false},
};
#define FIELD_COUNT (sizeof fields / sizeof *fields)

Behavior behavior_default(void)
{
    return (Behavior){.failure_rate = 0.05};
}

static bool behavior_name_is(Str name, const char *field)
{
    if (name.length != strlen(field)) {
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        char byte = name.data[i] == '-' ? '_' : name.data[i];
        if (byte != field[i]) {
            return false;
        }
    }
    return true;
}

static const Field *behavior_find(Str name)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (behavior_name_is(name, fields[i].name)) {
            return &fields[i];
        }
    }
    return NULL;
}

static double *behavior_rate(const Behavior *behavior, const Field *field)
{
    return (double *)(void *)((char *)(uintptr_t)behavior + field->offset);
}

static int64_t *behavior_time(const Behavior *behavior, const Field *field)
{
    return (int64_t *)(void *)((char *)(uintptr_t)behavior + field->offset);
}

static Err behavior_set_rate(Behavior *behavior, const Field *field, Str value)
{
    char text[32];
    char *end = text;
    double rate = -1;
    if (str_copy_to(value, text, sizeof text)) {
        rate = strtod(text, &end);
    }
    if (value.length == 0 || *end != '\0' || !(rate >= 0 && rate <= 1)) {
        return err_reject("%s must be a number from 0 to 1", field->name);
    }
    *behavior_rate(behavior, field) = rate;
    return err_none();
}

Err behavior_set(Behavior *behavior, Str name, Str value)
{
    const Field *field = behavior_find(name);
    if (field == NULL) {
        return err_reject("there is no setting of the name " STR_FMT, STR_ARG(str_slice(name, 0, 60)));
    }
    if (field->is_rate) {
        return behavior_set_rate(behavior, field, value);
    }
    int64_t time_ms = 0;
    if (!str_to_int64(value, &time_ms) || time_ms < 0 || time_ms > TIME_MAX_MS) {
        return err_reject("%s must be whole milliseconds from 0 to %d", field->name, TIME_MAX_MS);
    }
    *behavior_time(behavior, field) = time_ms;
    return err_none();
}

Err behavior_set_json(Behavior *behavior, Str text)
{
    Behavior changed = *behavior;
    json_error_t where;
    json_t *root = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &where);
    Err err = json_is_object(root) ? err_none() : err_reject("the body is not a JSON object");
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(root, name, value)
    {
        char number[64] = "";
        Buffer out = buffer_over(number, sizeof number);
        if (json_is_integer(value)) {
            buffer_print(&out, "%lld", (long long)json_integer_value(value));
        } else if (json_is_real(value)) {
            buffer_print(&out, "%.17g", json_real_value(value));
        }
        err = behavior_set(&changed, str_from(name), buffer_str(&out));
        if (err_is(err)) {
            break;
        }
    }
    json_decref(root);
    if (!err_is(err)) {
        *behavior = changed;
    }
    return err;
}

void behavior_write(const Behavior *behavior, JsonWriter *json)
{
    json_open(json, NULL, '{');
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        char number[40];
        Buffer out = buffer_over(number, sizeof number);
        if (fields[i].is_rate) {
            buffer_print(&out, "%.15g", *behavior_rate(behavior, &fields[i]));
            json_put_raw(json, fields[i].name, buffer_str(&out));
        } else {
            json_put_int(json, fields[i].name, *behavior_time(behavior, &fields[i]));
        }
    }
    json_close(json, '}');
}
