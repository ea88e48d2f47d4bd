/* log - structured lines on stderr: JSON or text, from a level on.
 * TAI_LOG=debug|info|warn|error and TAI_LOG_FORMAT=json|text set it; text is the default on a terminal. */
#ifndef TAI_WORKER_LOG_H
#define TAI_WORKER_LOG_H

#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

typedef enum { LOG_DEBUG = 0, LOG_INFO, LOG_WARN, LOG_ERROR } LogLevel;

typedef struct {
    LogLevel level;
    bool json;
    int descriptor;
    const char *process; /* "policy" */
} Log;

typedef struct {
    const char *key;
    bool is_number;
    Str text;
    int64_t number;
} LogField;

static inline LogField log_text(const char *key, Str text)
{
    return (LogField){.key = key, .text = text};
}

static inline LogField log_number(const char *key, int64_t number)
{
    return (LogField){.key = key, .is_number = true, .number = number};
}

static inline LogField log_why(const Err *err) /* the Err must outlive the call */
{
    return (LogField){.key = "why", .text = str_from(err->why)};
}

bool log_level_parse(Str text, LogLevel *level);

/* One line, one write(2). `event` is a snake_case noun or verb that never changes, facts go into fields. */
void log_event(const Log *log, LogLevel level, const char *event, const LogField *fields, size_t count);

#define LOG_FIELDS(...) (const LogField[]){__VA_ARGS__}, sizeof((const LogField[]){__VA_ARGS__}) / sizeof(LogField)
#define LOG_NO_FIELDS NULL, 0

#endif
