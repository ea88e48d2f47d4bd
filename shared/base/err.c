/* err - the one error idiom: builds errors, and ends the process on a programmer's error.
 * A reason is kept in the value itself, so an error can cross any border without an owner. */
#include "shared/base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a text that was cut at `length` may end without splitting an UTF-8 sequence. */
static size_t whole_sequences(const char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xC0U) == 0x80U)
        start--;
    if (start == 0)
        return length;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t needs = lead >= 0xF0U ? 4 : lead >= 0xE0U ? 3 : lead >= 0xC0U ? 2 : 1;
    return length - (start - 1) < needs ? start - 1 : length;
}

static Err err_build(ErrKind kind, const char *format, va_list arguments)
{
    Err err = {.kind = kind};
    int length = vsnprintf(err.why, sizeof err.why, format, arguments);
    if (length < 0)
        err.why[0] = '\0';
    else if ((size_t)length >= sizeof err.why)
        err.why[whole_sequences(err.why, sizeof err.why - 1)] = '\0';
    /* A reason is one line of a log or a header, whatever was formatted into it. */
    for (char *c = err.why; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20U || *c == 0x7F)
            *c = ' ';
    }
    return err;
}

Err err_retry(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    Err err = err_build(ERR_RETRY, format, arguments);
    va_end(arguments);
    return err;
}

Err err_reject(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    Err err = err_build(ERR_REJECT, format, arguments);
    va_end(arguments);
    return err;
}

Err err_unknown(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    Err err = err_build(ERR_UNKNOWN, format, arguments);
    va_end(arguments);
    return err;
}

const char *err_kind_name(ErrKind kind)
{
    switch (kind) {
    case ERR_NONE:
        return "none";
    case ERR_RETRY:
        return "retry";
    case ERR_REJECT:
        return "reject";
    case ERR_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}

void err_abort(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "%s:%d: must hold: %s\n", file, line, condition);
    abort();
}
