/* trace - W3C trace context (https://www.w3.org/TR/trace-context/): read, make and print a traceparent.
 * Pure: entropy comes in as an argument. */
#include "shared/base/trace.h"

#include <string.h>

/* Where the fields of "00-<32>-<16>-01" stand. */
enum { TRACE_ID_AT = 3, SPAN_ID_AT = 36, FLAGS_AT = 53, SPAN_ID_LENGTH = 16 };

static const char hex_digits[] = "0123456789abcdef";

/* -1 where it is no lower-case hex digit. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex(Str text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (hex_value(text.data[i]) < 0)
            return false;
    }
    return true;
}

/* An id is hex with at least one digit that is not zero. */
static bool is_trace_part(Str text)
{
    bool zero = true;
    for (size_t i = 0; i < text.length; i++)
        zero = zero && text.data[i] == '0';
    return !zero && is_hex(text);
}

static bool has_traceparent_shape(Str text)
{
    if (text.length < TRACEPARENT_LENGTH)
        return false;
    const char *at = text.data;
    Str version = {at, 2};
    if (!is_hex(version) || str_equal(version, STR("ff")))
        return false;
    if (at[2] != '-' || at[SPAN_ID_AT - 1] != '-' || at[FLAGS_AT - 1] != '-')
        return false;
    if (text.length == TRACEPARENT_LENGTH)
        return true;
    /* A later version may append fields; version 00 may not. */
    return !str_equal(version, STR("00")) && at[TRACEPARENT_LENGTH] == '-';
}

bool trace_parse(Str traceparent, TraceContext *context)
{
    *context = (TraceContext){0};
    if (!has_traceparent_shape(traceparent))
        return false;
    Str trace_id = {traceparent.data + TRACE_ID_AT, TRACE_ID_LENGTH};
    Str span_id = {traceparent.data + SPAN_ID_AT, SPAN_ID_LENGTH};
    Str flags = {traceparent.data + FLAGS_AT, 2};
    if (!is_trace_part(trace_id) || !is_trace_part(span_id) || !is_hex(flags))
        return false;
    memcpy(context->trace_id, trace_id.data, trace_id.length);
    memcpy(context->span_id, span_id.data, span_id.length);
    context->sampled = (hex_value(flags.data[1]) & 1) != 0;
    return true;
}

static void print_hex(const uint8_t *bytes, size_t count, char *out)
{
    bool zero = true;
    for (size_t i = 0; i < count; i++) {
        zero = zero && bytes[i] == 0;
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15U];
    }
    /* The standard forbids an id of zeros. */
    if (zero)
        out[2 * count - 1] = '1';
    out[2 * count] = '\0';
}

void trace_make(const uint8_t entropy[24], TraceContext *context)
{
    print_hex(entropy, TRACE_ID_LENGTH / 2, context->trace_id);
    print_hex(entropy + TRACE_ID_LENGTH / 2, SPAN_ID_LENGTH / 2, context->span_id);
    context->sampled = true;
}

void trace_print(const TraceContext *context, char out[TRACEPARENT_LENGTH + 1])
{
    Buffer text = buffer_over(out, TRACEPARENT_LENGTH + 1);
    if (context->trace_id[0] == '\0')
        return;
    buffer_append(&text, STR("00-"));
    buffer_append(&text, (Str){context->trace_id, TRACE_ID_LENGTH});
    buffer_append_char(&text, '-');
    buffer_append(&text, (Str){context->span_id, SPAN_ID_LENGTH});
    buffer_append(&text, context->sampled ? STR("-01") : STR("-00"));
}
