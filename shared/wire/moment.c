/* moment - points in time as RFC 3339 text.
 * Parsing prints what it has read and compares, which finds the days that no calendar has. */
#include "shared/wire/moment.h"

#include <time.h>

#define MOMENT_MAX_BYTES 64
#define SECONDS_LENGTH 19 /* "2026-12-24T00:00:00" */

static void print_seconds(time_t seconds, Buffer *out)
{
    struct tm utc = {.tm_year = 70, .tm_mday = 1};
    (void)gmtime_r(&seconds, &utc);
    buffer_print(out, "%04d-%02d-%02dT%02d:%02d:%02d", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                 utc.tm_min, utc.tm_sec);
}

void moment_print(int64_t time_ms, Buffer *out)
{
    int64_t milliseconds = (time_ms % 1000 + 1000) % 1000;
    print_seconds((time_t)((time_ms - milliseconds) / 1000), out);
    buffer_print(out, ".%03dZ", (int)milliseconds);
}

void moment_put(JsonWriter *json, const char *key, int64_t time_ms)
{
    char memory[MOMENT_MAX_BYTES];
    Buffer text = buffer_over(memory, sizeof(memory));
    moment_print(time_ms, &text);
    json_put_string(json, key, buffer_str(&text));
}

/* ".5", ".05", ".050" or nothing. */
static bool parse_fraction(Str fraction, int64_t *milliseconds)
{
    *milliseconds = 0;
    if (fraction.length == 0) {
        return true;
    }
    if (fraction.data[0] != '.' || fraction.length < 2 || fraction.length > 4) {
        return false;
    }
    uint64_t value = 0;
    if (!str_to_uint64(str_slice(fraction, 1, fraction.length), &value)) {
        return false;
    }
    for (size_t digits = fraction.length - 1; digits < 3; digits++) {
        value *= 10;
    }
    *milliseconds = (int64_t)value;
    return true;
}

static bool parse_seconds(Str text, int64_t *seconds)
{
    static const struct {
        size_t at;
        size_t length;
    } parts[] = {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}};
    int values[6] = {0};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint64_t value = 0;
        if (!str_to_uint64(str_slice(text, parts[i].at, parts[i].at + parts[i].length), &value)) {
            return false;
        }
        values[i] = (int)value;
    }
    struct tm utc = {
        .tm_year = values[0] - 1900,
        .tm_mon = values[1] - 1,
        .tm_mday = values[2],
        .tm_hour = values[3],
        .tm_min = values[4],
        .tm_sec = values[5],
    };
    time_t time = timegm(&utc);
    char memory[MOMENT_MAX_BYTES];
    Buffer printed = buffer_over(memory, sizeof(memory));
    print_seconds(time, &printed);
    *seconds = (int64_t)time;
    return time >= 0 && str_equal(buffer_str(&printed), text);
}

bool moment_parse(Str text, int64_t *time_ms)
{
    int64_t seconds = 0;
    int64_t milliseconds = 0;
    if (text.length <= SECONDS_LENGTH || text.data[text.length - 1] != 'Z' ||
        !parse_seconds(str_slice(text, 0, SECONDS_LENGTH), &seconds) ||
        !parse_fraction(str_slice(text, SECONDS_LENGTH, text.length - 1), &milliseconds)) {
        return false;
    }
    *time_ms = seconds * 1000 + milliseconds;
    return true;
}
