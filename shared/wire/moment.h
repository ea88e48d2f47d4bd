/* moment - points in time as people and programs write them: RFC 3339, UTC, milliseconds. Only for the files of this
 * folder. */
#ifndef TAI_WIRE_MOMENT_H
#define TAI_WIRE_MOMENT_H

#include "shared/base/json.h"

/* 2026-12-24T00:00:00.000Z */
void moment_print(int64_t time_ms, Buffer *out);
void moment_put(JsonWriter *json, const char *key, int64_t time_ms);

/* The same read back, also without a fraction or with one of 1 to 3 digits. False for anything else: another zone than
 * Z, a day that no calendar has, a leap second, a year outside 1970 to 9999. */
MUST_USE bool moment_parse(Str text, int64_t *time_ms);

#endif
