/* reason - the optional body of PUT /blacklist/{customer_id}.
 * The one document that only the gateway reads; it is one string, so it is read here, strictly. */
#include "gateway/reason.h"

#include "shared/base/id.h"

typedef struct {
    Str rest;
    Buffer *out;
} ReasonReader;

static void skip_space(ReasonReader *reader)
{
    while (reader->rest.length > 0 && (reader->rest.data[0] == ' ' || reader->rest.data[0] == '\t' ||
                                       reader->rest.data[0] == '\n' || reader->rest.data[0] == '\r')) {
        reader->rest = str_slice(reader->rest, 1, reader->rest.length);
    }
}

static bool take(ReasonReader *reader, Str text)
{
    skip_space(reader);
    if (!str_starts_with(reader->rest, text)) {
        return false;
    }
    reader->rest = str_slice(reader->rest, text.length, reader->rest.length);
    return true;
}

/* The four digits of \uXXXX; -1 where they are not. */
static int32_t take_unit(ReasonReader *reader)
{
    int32_t unit = 0;
    for (size_t i = 0; i < 4; i++) {
        char byte = i < reader->rest.length ? reader->rest.data[i] : 'x';
        char lower = (char)(byte | 0x20);
        if (byte >= '0' && byte <= '9') {
            unit = unit * 16 + (byte - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            unit = unit * 16 + (lower - 'a' + 10);
        } else {
            return -1;
        }
    }
    reader->rest = str_slice(reader->rest, 4, reader->rest.length);
    return unit;
}

static void put_utf8(Buffer *out, int32_t point)
{
    if (point < 0x80) {
        buffer_append_char(out, (char)point);
        return;
    }
    int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const int lead[] = {0, 0xC0, 0xE0, 0xF0};
    buffer_append_char(out, (char)(lead[more] | point >> (6 * more)));
    while (more-- > 0) {
        buffer_append_char(out, (char)(0x80 | (point >> (6 * more) & 0x3F)));
    }
}

static bool take_unicode(ReasonReader *reader)
{
    int32_t point = take_unit(reader);
    if (point >= 0xD800 && point <= 0xDBFF && str_starts_with(reader->rest, STR("\\u"))) {
        reader->rest = str_slice(reader->rest, 2, reader->rest.length);
        int32_t low = take_unit(reader);
        if (low < 0xDC00 || low > 0xDFFF) {
            return false;
        }
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    }
    if (point < 0x20 || (point >= 0xD800 && point <= 0xDFFF)) {
        return false;
    }
    put_utf8(reader->out, point);
    return true;
}

static bool take_escape(ReasonReader *reader)
{
    char byte = reader->rest.length > 0 ? reader->rest.data[0] : '\0';
    reader->rest = str_slice(reader->rest, 1, reader->rest.length);
    if (byte == 'u') {
        return take_unicode(reader);
    }
    /* The escapes for control characters are left out: a reason has none. */
    if (byte != '"' && byte != '\\' && byte != '/') {
        return false;
    }
    buffer_append_char(reader->out, byte);
    return true;
}

static bool take_string(ReasonReader *reader)
{
    if (!take(reader, STR("\""))) {
        return false;
    }
    while (reader->rest.length > 0) {
        char byte = reader->rest.data[0];
        reader->rest = str_slice(reader->rest, 1, reader->rest.length);
        if (byte == '"') {
            return true;
        }
        if ((unsigned char)byte < 0x20 || byte == 0x7F || (byte == '\\' && !take_escape(reader))) {
            return false;
        }
        if (byte != '\\') {
            buffer_append_char(reader->out, byte);
        }
    }
    return false;
}

Err reason_read(Arena *arena, Str body, Str *reason)
{
    Buffer out = arena_buffer(arena, REASON_MAX + 1);
    ReasonReader reader = {.rest = body, .out = &out};
    *reason = (Str){0};
    skip_space(&reader);
    if (reader.rest.length == 0) {
        return err_none();
    }
    if (!take(&reader, STR("{"))) {
        return err_reject("the body must be a JSON object");
    }
    if (!take(&reader, STR("}"))) {
        if (!take(&reader, STR("\"reason\"")) || !take(&reader, STR(":")) || !take_string(&reader) ||
            !take(&reader, STR("}"))) {
            return err_reject("reason: the body must be {\"reason\": \"one line of text\"} and nothing else");
        }
    }
    skip_space(&reader);
    if (reader.rest.length > 0) {
        return err_reject("the body goes on after its end");
    }
    if (out.overflow) {
        return err_reject("reason: longer than %d bytes", REASON_MAX);
    }
    *reason = buffer_str(&out);
    if (!str_is_utf8(*reason)) {
        return err_reject("reason: must be UTF-8");
    }
    return id_holds_card_number(*reason) ? err_reject("reason: holds what looks like a card number") : err_none();
}
