/* log - structured lines on stderr. */
#include "shared/worker/log.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/json.h"

#define LOG_LINE_MAX 4096
#define LOG_CUT " (cut)"

static const char *const level_names[] = {"debug", "info", "warn", "error"};

bool log_level_parse(Str text, LogLevel *level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (str_equal(text, str_from(level_names[i]))) {
            *level = (LogLevel)i;
            return true;
        }
    }
    return false;
}

static void log_print_time(Buffer *out)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    buffer_print(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                 parts.tm_hour, parts.tm_min, parts.tm_sec, (int)(now.tv_nsec / 1000000));
}

static void log_print_json(const Log *log, LogLevel level, const char *event, const LogField *fields, size_t count,
                           bool cut, Buffer *out)
{
    char time_text[32];
    Buffer time_buffer = buffer_over(time_text, sizeof(time_text));
    log_print_time(&time_buffer);
    JsonWriter json = json_writer(out);
    json_open(&json, NULL, '{');
    json_put_string(&json, "time", buffer_str(&time_buffer));
    json_put_string(&json, "level", str_from(level_names[level]));
    json_put_string(&json, "process", str_from(log->process));
    json_put_int(&json, "pid", getpid());
    json_put_string(&json, "event", str_from(event));
    for (size_t i = 0; i < count; i++) {
        if (fields[i].is_number) {
            json_put_int(&json, fields[i].key, fields[i].number);
        } else {
            json_put_string(&json, fields[i].key, fields[i].text);
        }
    }
    if (cut) {
        json_put_bool(&json, "cut", true);
    }
    json_close(&json, '}');
}

static void log_print_text(const Log *log, LogLevel level, const char *event, const LogField *fields, size_t count,
                           Buffer *out)
{
    log_print_time(out);
    buffer_print(out, " %-5s %s[%d] %s", level_names[level], log->process, (int)getpid(), event);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].is_number) {
            buffer_print(out, " %s=%lld", fields[i].key, (long long)fields[i].number);
        } else {
            /* Quoted as in JSON: a line break in a value must not look like another line of the log. */
            JsonWriter value = json_writer(out);
            buffer_print(out, " %s=", fields[i].key);
            json_put_string(&value, NULL, fields[i].text);
        }
    }
}

void log_event(const Log *log, LogLevel level, const char *event, const LogField *fields, size_t count)
{
    if (level < log->level) {
        return;
    }
    char line[LOG_LINE_MAX];
    Buffer out = buffer_over(line, sizeof(line) - sizeof(LOG_CUT));
    if (log->json) {
        log_print_json(log, level, event, fields, count, false, &out);
        if (out.overflow) { /* better a line without its fields than a broken one */
            buffer_reset(&out);
            log_print_json(log, level, event, NULL, 0, true, &out);
        }
    } else {
        log_print_text(log, level, event, fields, count, &out);
        if (out.overflow) {
            memcpy(line + out.length, LOG_CUT, sizeof(LOG_CUT) - 1);
            out.length += sizeof(LOG_CUT) - 1;
        }
    }
    line[out.length] = '\n';
    ssize_t written = write(log->descriptor, line, out.length + 1);
    (void)written; /* there is nowhere left to say that the log cannot be written */
}
