/* str - borrowed views of bytes, and a bounded buffer to write text into.
 * Nothing here allocates; lengths are always checked before memory is touched. */
#include "shared/base/str.h"

#include <stdio.h>
#include <string.h>

#define DECIMAL_MAX_DIGITS 18 /* after the point; an int64 has 19 in all */

Str str_from(const char *text)
{
    return text != NULL ? (Str){text, strlen(text)} : (Str){0};
}

bool str_equal(Str a, Str b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_equal_ignore_case(Str a, Str b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    }
    return true;
}

bool str_starts_with(Str text, Str prefix)
{
    return text.length >= prefix.length && str_equal((Str){text.data, prefix.length}, prefix);
}

int str_compare(Str a, Str b)
{
    size_t shared = a.length < b.length ? a.length : b.length;
    int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;
    if (order != 0 || a.length == b.length)
        return order;
    return a.length < b.length ? -1 : 1;
}

uint64_t str_hash(Str text)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < text.length; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(1099511628211);
    return hash;
}

Str str_slice(Str text, size_t from, size_t to)
{
    if (to > text.length)
        to = text.length;
    if (from > to)
        from = to;
    return (Str){from > 0 ? text.data + from : text.data, to - from};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

Str str_trim(Str text)
{
    while (text.length > 0 && is_blank(text.data[text.length - 1]))
        text.length--;
    while (text.length > 0 && is_blank(text.data[0])) {
        text.data++;
        text.length--;
    }
    return text;
}

bool str_next_token(Str *rest, char separator, Str *token)
{
    if (rest->data == NULL)
        return false;
    const char *end = rest->length > 0 ? memchr(rest->data, separator, rest->length) : NULL;
    if (end == NULL) {
        *token = *rest;
        *rest = (Str){0};
        return true;
    }
    size_t length = (size_t)(end - rest->data);
    *token = (Str){rest->data, length};
    *rest = (Str){end + 1, rest->length - length - 1};
    return true;
}

bool str_to_uint64(Str text, uint64_t *value)
{
    uint64_t sum = 0;
    if (text.length == 0)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) || __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *value = sum;
    return true;
}

bool str_to_int64(Str text, int64_t *value)
{
    uint64_t magnitude = 0;
    bool negative = text.length > 0 && text.data[0] == '-';
    if (!str_to_uint64(negative ? str_slice(text, 1, text.length) : text, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1U : 0U))
        return false;
    if (!negative)
        *value = (int64_t)magnitude;
    else
        *value = magnitude > (uint64_t)INT64_MAX ? INT64_MIN : -(int64_t)magnitude;
    return true;
}

static bool is_between(char byte, unsigned low, unsigned high)
{
    return (unsigned char)byte >= low && (unsigned char)byte <= high;
}

/* The table of well-formed sequences in RFC 3629, section 4: the second byte's range depends on the first. */
size_t str_utf8_length(Str text)
{
    if (text.length == 0)
        return 0;
    const char *at = text.data;
    unsigned lead = (unsigned char)at[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (text.length < length)
        return 0;
    unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (!is_between(at[1], low, high))
        return 0;
    for (size_t i = 2; i < length; i++) {
        if (!is_between(at[i], 0x80, 0xBF))
            return 0;
    }
    return length;
}

bool str_is_utf8(Str text)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t at = 0;
    while (at < text.length) {
        uint64_t eight;
        while (text.length - at >= sizeof eight) {
            memcpy(&eight, text.data + at, sizeof eight);
            if ((eight & high_bits) != 0)
                break;
            at += sizeof eight;
        }
        if (at == text.length)
            break;
        size_t length = str_utf8_length((Str){text.data + at, text.length - at});
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

Buffer buffer_over(char *memory, size_t capacity_bytes)
{
    if (capacity_bytes > 0)
        memory[0] = '\0';
    return (Buffer){.data = memory, .capacity = capacity_bytes};
}

void buffer_append(Buffer *buffer, Str text)
{
    /* Nothing is written after a gap, so that what stands in the buffer is always a prefix of what was meant. */
    if (buffer->overflow || text.length >= buffer->capacity - buffer->length) {
        buffer->overflow = buffer->overflow || text.length > 0 || buffer->capacity == 0;
        return;
    }
    if (text.length > 0)
        memcpy(buffer->data + buffer->length, text.data, text.length);
    buffer->length += text.length;
    buffer->data[buffer->length] = '\0';
}

void buffer_append_char(Buffer *buffer, char byte)
{
    buffer_append(buffer, (Str){&byte, 1});
}

void buffer_append_decimal(Buffer *buffer, int64_t value, int digits)
{
    TAI_ASSERT(digits >= 0 && digits <= DECIMAL_MAX_DIGITS);
    char text[DECIMAL_MAX_DIGITS + 4];
    size_t at = sizeof text;
    uint64_t rest = value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value;
    for (int written = 0; rest > 0 || written <= digits; written++) {
        if (written == digits && digits > 0)
            text[--at] = '.';
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (value < 0)
        text[--at] = '-';
    buffer_append(buffer, (Str){text + at, sizeof text - at});
}

void buffer_vprint(Buffer *buffer, const char *format, va_list arguments)
{
    if (buffer->overflow)
        return;
    size_t room = buffer->capacity - buffer->length;
    int length = vsnprintf(room > 0 ? buffer->data + buffer->length : NULL, room, format, arguments);
    if (length < 0 || (size_t)length >= room) {
        buffer->overflow = true;
        if (room > 0)
            buffer->data[buffer->length] = '\0';
        return;
    }
    buffer->length += (size_t)length;
}

void buffer_print(Buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buffer_vprint(buffer, format, arguments);
    va_end(arguments);
}

void buffer_reset(Buffer *buffer)
{
    *buffer = buffer_over(buffer->data, buffer->capacity);
}

Str buffer_str(const Buffer *buffer)
{
    return (Str){buffer->data, buffer->length};
}

bool str_copy_to(Str text, char *memory, size_t capacity_bytes)
{
    Buffer copy = buffer_over(memory, capacity_bytes);
    buffer_append(&copy, text);
    return !copy.overflow && capacity_bytes > 0;
}
