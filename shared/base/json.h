/* json - writing JSON text, and finding the raw text of a member in JSON that was already found valid.
 * Reading into values is jansson's part; it keeps neither the digits of a number nor the place of a key. */
#ifndef TAI_BASE_JSON_H
#define TAI_BASE_JSON_H

#include <stdint.h>

#include "shared/base/str.h"

/* A writer puts commas and quotes; the caller opens and closes. Nesting is at most 32 deep. */
typedef struct {
    Buffer *out;
    uint32_t started; /* bit d: something stands already at depth d + 1 */
    uint8_t depth;
} JsonWriter;

JsonWriter json_writer(Buffer *out);
void json_open(JsonWriter *writer, const char *key,
               char bracket);                      /* '{' or '['; key NULL inside an array or at the top */
void json_close(JsonWriter *writer, char bracket); /* '}' or ']' */
void json_put_string(JsonWriter *writer, const char *key,
                     Str value); /* escapes per RFC 8259; invalid UTF-8 becomes U+FFFD */
void json_put_int(JsonWriter *writer, const char *key, int64_t value);
void json_put_bool(JsonWriter *writer, const char *key, bool value);
void json_put_null(JsonWriter *writer, const char *key);
void json_put_raw(JsonWriter *writer, const char *key, Str value); /* value is JSON already */
/* value / 10^digits as an exact decimal number: json_put_decimal(w, "fraud_score", 30, 2) writes 0.30 */
void json_put_decimal(JsonWriter *writer, const char *key, int64_t value, int digits);

/* The raw text of the value at a path of member names ("policy", "redis.timeout_ms") in valid JSON text: a number's
 * digits as written, a string with its quotes. An empty Str (data NULL) where there is none. Keys that are written
 * with escapes are compared as written. */
Str json_find_raw(Str text, Str dotted_path);

/* Line and column, both from 1, column in bytes, of a place inside text. */
void json_place(Str text, const char *place, int *line, int *column);

#endif
