/* str - borrowed views of bytes, and a bounded buffer to write text into.
 * A Str owns nothing and need not end in NUL; it is valid as long as what it was taken from. */
#ifndef TAI_BASE_STR_H
#define TAI_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

typedef struct {
    const char *data; /* may be NULL when length is 0 */
    size_t length;
} Str;

#define STR(literal) ((Str){"" literal, sizeof(literal) - 1})
#define STR_FMT "%.*s"
#define STR_ARG(str) ((int)(str).length), ((str).data ? (str).data : "")

Str str_from(const char *text); /* NULL gives the empty Str */
bool str_equal(Str a, Str b);
bool str_equal_ignore_case(Str a, Str b); /* ASCII only */
bool str_starts_with(Str text, Str prefix);
int str_compare(Str a, Str b);                   /* bytewise, like memcmp, shorter first */
uint64_t str_hash(Str text);                     /* FNV-1a: for tables, not against who wants collisions */
Str str_slice(Str text, size_t from, size_t to); /* [from, to), both clamped to the text */
Str str_trim(Str text);                          /* without spaces and tabs at both ends */

/* Takes the text up to `separator` off the front of `rest`. False once rest is used up (rest->data == NULL).
 * "a..b" by '.' gives "a", "", "b". */
bool str_next_token(Str *rest, char separator, Str *token);

/* Decimal digits only, whole text. False on anything else or past the range. */
bool str_to_int64(Str text, int64_t *value); /* an optional leading '-' */
bool str_to_uint64(Str text, uint64_t *value);

/* Well-formed UTF-8 (no overlong forms, no surrogates, nothing past U+10FFFF), per RFC 3629. */
bool str_is_utf8(Str text);

/* Bytes of the well-formed UTF-8 sequence that the text begins with; 0 where it begins with none. */
size_t str_utf8_length(Str text);

/* Writes into memory that the caller owns. What does not fit is not written, nor anything after it, and `overflow`
 * stays set: check it once at the end. The text is kept NUL-terminated as long as capacity is at least 1. */
typedef struct {
    char *data;
    size_t length;
    size_t capacity; /* bytes, the closing NUL included */
    bool overflow;
} Buffer;

Buffer buffer_over(char *memory, size_t capacity_bytes);
void buffer_append(Buffer *buffer, Str text);
void buffer_append_char(Buffer *buffer, char byte);
/* value / 10^digits as an exact decimal number: 30 with 2 digits is 0.30. At most 18 digits. */
void buffer_append_decimal(Buffer *buffer, int64_t value, int digits);
void buffer_print(Buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_vprint(Buffer *buffer, const char *format, va_list arguments);
void buffer_reset(Buffer *buffer);
Str buffer_str(const Buffer *buffer);

/* Copies text with a closing NUL; false, and nothing but a NUL written, where it does not fit. */
MUST_USE bool str_copy_to(Str text, char *memory, size_t capacity_bytes);

#endif
