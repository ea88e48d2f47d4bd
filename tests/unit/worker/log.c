/* Tests of the log: golden lines, and what must never break one. */
#include "shared/worker/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <jansson.h>

#define LINE_MAX_BYTES 16384

/* What one event writes. */
static const char *line_of(bool json, LogLevel level, const char *event, const LogField *fields, size_t count)
{
    static char line[LINE_MAX_BYTES];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const Log log = {.level = LOG_INFO, .json = json, .descriptor = ends[1], .process = "policy"};
    log_event(&log, level, event, fields, count);
    close(ends[1]);
    ssize_t got = read(ends[0], line, sizeof line - 1);
    close(ends[0]);
    cr_assert_geq(got, 0);
    line[got] = '\0';
    return line;
}

static void check_time(const char *text)
{
    int year, month, day, hour, minute, second, ms;
    int got = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &year, &month, &day, &hour, &minute, &second, &ms);
    cr_assert_eq(got, 7, "%s", text);
    cr_assert_eq(text[23], 'Z');
}

Test(log, a_line_of_text)
{
    const char *line = line_of(false, LOG_WARN, "kept",
                               LOG_FIELDS(log_text("lane", STR("charge")), log_number("sequence", -42),
                                          log_text("why", STR("two\nlines \"quoted\" \\ \x01 gr\xC3\xBC\xC3\x9F"))));
    char expected[256];
    check_time(line);
    snprintf(expected, sizeof expected,
             " warn  policy[%d] kept lane=\"charge\" sequence=-42 why=\"two\\nlines \\\"quoted\\\" \\\\ \\u0001 "
             "gr\xC3\xBC\xC3\x9F\"\n",
             (int)getpid());
    cr_assert_str_eq(line + 24, expected);
}

Test(log, a_line_of_json)
{
    const char *line = line_of(true, LOG_ERROR, "buried",
                               LOG_FIELDS(log_text("why", STR("a\tb\x7f")), log_number("sequence", INT64_MAX)));
    char expected[256];
    check_time(line + strlen("{\"time\":\""));
    snprintf(expected, sizeof expected,
             "\",\"level\":\"error\",\"process\":\"policy\",\"pid\":%d,\"event\":\"buried\",\"why\":\"a\\tb\x7f\","
             "\"sequence\":9223372036854775807}\n",
             (int)getpid());
    cr_assert_str_eq(line + strlen("{\"time\":\"") + 24, expected);
}

Test(log, below_its_level_nothing_is_written)
{
    cr_assert_str_eq(line_of(true, LOG_DEBUG, "detail", LOG_NO_FIELDS), "");
    cr_assert_str_neq(line_of(true, LOG_INFO, "ready", LOG_NO_FIELDS), "");
}

static LogField long_field(size_t length)
{
    static char text[LINE_MAX_BYTES];
    memset(text, 'x', length);
    return log_text("why", (Str){text, length});
}

Test(log, a_line_of_any_length_is_one_line_and_json_stays_json)
{
    static const size_t lengths[] = {3900, 3950, 3960, 3970, 3980, 3990, 4000, 4050, 4096, 8000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (int json = 0; json < 2; json++) {
            const LogField field = long_field(lengths[i]);
            const char *line = line_of(json != 0, LOG_INFO, "long", &field, 1);
            size_t length = strlen(line);
            cr_assert_gt(length, 0);
            cr_assert_leq(length, 4096);
            cr_assert_eq(strchr(line, '\n'), line + length - 1);
            json_t *parsed = json ? json_loadb(line, length, 0, NULL) : NULL;
            cr_assert(!json || parsed != NULL, "%zu: %s", lengths[i], line);
            json_decref(parsed);
        }
    }
}

Test(log, a_line_that_was_cut_says_so)
{
    const LogField field = long_field(8000);
    const char *text = line_of(false, LOG_INFO, "long", &field, 1);
    cr_assert_not_null(strstr(text, "(cut)\n"));
    const char *json = line_of(true, LOG_INFO, "long", &field, 1);
    cr_assert_not_null(strstr(json, "\"cut\":true}\n"));
}

Test(log, broken_utf_8_does_not_break_json)
{
    const LogField field = log_text("why", STR("a\xff\xc3"));
    const char *line = line_of(true, LOG_INFO, "odd", &field, 1);
    json_t *parsed = json_loadb(line, strlen(line), 0, NULL);
    cr_assert_not_null(parsed, "%s", line);
    json_decref(parsed);
}

Test(log, levels_are_read_by_name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    LogLevel level = LOG_INFO;
    for (int i = 0; i < 4; i++) {
        cr_assert(log_level_parse(str_from(names[i]), &level));
        cr_assert_eq(level, (LogLevel)i);
    }
    cr_assert_not(log_level_parse(STR("INFO"), &level));
    cr_assert_not(log_level_parse(STR(""), &level));
}
