/* json - writing JSON text, and finding the raw text of a member in JSON that was already found valid.
 * The finder never reads past its text, whatever stands in it; only its answer relies on valid JSON. */
#include "shared/base/json.h"

#include <string.h>

#define JSON_MAX_DEPTH 32

JsonWriter json_writer(Buffer *out)
{
    return (JsonWriter){.out = out};
}

/* Appends runs of plain bytes whole; stops only at what JSON cannot hold as it is. */
static void append_escaped(Buffer *out, Str text)
{
    static const char hex_digits[] = "0123456789abcdef";
    static const char short_escapes[32] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    size_t plain = 0;
    for (size_t at = 0; at < text.length;) {
        unsigned char c = (unsigned char)text.data[at];
        size_t length = c < 0x80 ? 1 : str_utf8_length(str_slice(text, at, text.length));
        if (c >= 0x20 && c != '"' && c != '\\' && length > 0) {
            at += length;
            continue;
        }
        buffer_append(out, str_slice(text, plain, at));
        plain = ++at;
        if (length == 0)
            buffer_append(out, STR("\xEF\xBF\xBD"));
        else if (c >= 0x20)
            buffer_append(out, (Str){(char[]){'\\', (char)c}, 2});
        else if (short_escapes[c] != '\0')
            buffer_append(out, (Str){(char[]){'\\', short_escapes[c]}, 2});
        else
            buffer_append(out, (Str){(char[]){'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]}, 6});
    }
    buffer_append(out, str_slice(text, plain, text.length));
}

static void append_quoted(Buffer *out, Str text)
{
    buffer_append_char(out, '"');
    append_escaped(out, text);
    buffer_append_char(out, '"');
}

/* The comma and the key that stand before a value. */
static void begin_value(JsonWriter *writer, const char *key)
{
    if (writer->depth > 0) {
        uint32_t bit = UINT32_C(1) << (writer->depth - 1);
        if ((writer->started & bit) != 0)
            buffer_append_char(writer->out, ',');
        writer->started |= bit;
    }
    if (key != NULL) {
        append_quoted(writer->out, str_from(key));
        buffer_append_char(writer->out, ':');
    }
}

void json_open(JsonWriter *writer, const char *key, char bracket)
{
    TAI_ASSERT(writer->depth < JSON_MAX_DEPTH);
    begin_value(writer, key);
    buffer_append_char(writer->out, bracket);
    writer->depth++;
    writer->started &= ~(UINT32_C(1) << (writer->depth - 1));
}

void json_close(JsonWriter *writer, char bracket)
{
    TAI_ASSERT(writer->depth > 0);
    writer->depth--;
    buffer_append_char(writer->out, bracket);
}

void json_put_string(JsonWriter *writer, const char *key, Str value)
{
    begin_value(writer, key);
    append_quoted(writer->out, value);
}

void json_put_int(JsonWriter *writer, const char *key, int64_t value)
{
    json_put_decimal(writer, key, value, 0);
}

void json_put_bool(JsonWriter *writer, const char *key, bool value)
{
    json_put_raw(writer, key, value ? STR("true") : STR("false"));
}

void json_put_null(JsonWriter *writer, const char *key)
{
    json_put_raw(writer, key, STR("null"));
}

void json_put_raw(JsonWriter *writer, const char *key, Str value)
{
    begin_value(writer, key);
    buffer_append(writer->out, value.length > 0 ? value : STR("null"));
}

void json_put_decimal(JsonWriter *writer, const char *key, int64_t value, int digits)
{
    begin_value(writer, key);
    buffer_append_decimal(writer->out, value, digits);
}

/* A place in a text that is walked from its front. */
typedef struct {
    const char *at;
    const char *end;
} Cursor;

static bool cursor_sees(const Cursor *cursor, char c)
{
    return cursor->at < cursor->end && *cursor->at == c;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(Cursor *cursor)
{
    while (cursor->at < cursor->end && is_space(*cursor->at))
        cursor->at++;
}

static bool skip_char(Cursor *cursor, char c)
{
    skip_space(cursor);
    if (!cursor_sees(cursor, c))
        return false;
    cursor->at++;
    return true;
}

/* From the opening quote to past the closing one. */
static void skip_string(Cursor *cursor)
{
    cursor->at++;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        bool escaped = *cursor->at == '\\' && cursor->end - cursor->at > 1;
        cursor->at += escaped ? 2 : 1;
    }
    if (cursor->at < cursor->end)
        cursor->at++;
}

/* Objects and arrays are skipped by counting brackets outside strings, so depth costs no stack. */
static void skip_nested(Cursor *cursor)
{
    size_t depth = 0;
    while (cursor->at < cursor->end) {
        char c = *cursor->at;
        if (c == '"') {
            skip_string(cursor);
            continue;
        }
        cursor->at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return;
    }
}

static Str take_value(Cursor *cursor)
{
    skip_space(cursor);
    const char *from = cursor->at;
    if (cursor_sees(cursor, '"')) {
        skip_string(cursor);
    } else if (cursor_sees(cursor, '{') || cursor_sees(cursor, '[')) {
        skip_nested(cursor);
    } else {
        while (cursor->at < cursor->end && !is_space(*cursor->at) && strchr(",:]}", *cursor->at) == NULL)
            cursor->at++;
    }
    return cursor->at > from ? (Str){from, (size_t)(cursor->at - from)} : (Str){0};
}

static Str find_member(Str object, Str name)
{
    Cursor cursor = {object.data, object.data + object.length};
    if (!skip_char(&cursor, '{'))
        return (Str){0};
    do {
        Str key = take_value(&cursor);
        if (key.length < 2 || key.data[0] != '"' || !skip_char(&cursor, ':'))
            return (Str){0};
        Str value = take_value(&cursor);
        if (str_equal(str_slice(key, 1, key.length - 1), name))
            return value;
    } while (skip_char(&cursor, ','));
    return (Str){0};
}

Str json_find_raw(Str text, Str dotted_path)
{
    Str rest = dotted_path;
    Str name;
    Str value = text;
    while (str_next_token(&rest, '.', &name)) {
        if (value.length == 0)
            return (Str){0};
        value = find_member(value, name);
    }
    return value;
}

void json_place(Str text, const char *place, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < text.length && text.data + i != place; i++) {
        bool ends_line = text.data[i] == '\n';
        *line += ends_line ? 1 : 0;
        *column = ends_line ? 1 : *column + 1;
    }
}
