/* challenge - scheme, then name=value pairs with commas between, values as tokens or in quotes. */
#include "shared/http/challenge.h"

#include <string.h>

#define FIELD_BYTES_MAX 2048

typedef struct {
    Str rest;
    Arena *arena;
} Reader;

static bool is_token_char(char c)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void skip(Reader *reader, const char *characters)
{
    size_t at = 0;
    while (at < reader->rest.length && reader->rest.data[at] != '\0' &&
           strchr(characters, reader->rest.data[at]) != NULL) {
        at++;
    }
    reader->rest = str_slice(reader->rest, at, reader->rest.length);
}

static bool read_char(Reader *reader, char wanted)
{
    if (reader->rest.length == 0 || reader->rest.data[0] != wanted) {
        return false;
    }
    reader->rest = str_slice(reader->rest, 1, reader->rest.length);
    return true;
}

static bool read_token(Reader *reader, Str *token)
{
    size_t length = 0;
    while (length < reader->rest.length && is_token_char(reader->rest.data[length])) {
        length++;
    }
    *token = arena_copy(reader->arena, str_slice(reader->rest, 0, length));
    reader->rest = str_slice(reader->rest, length, reader->rest.length);
    return length > 0;
}

static bool read_quoted(Reader *reader, Str *text)
{
    Buffer out = arena_buffer(reader->arena, reader->rest.length + 1);
    while (reader->rest.length > 0) {
        if (read_char(reader, '"')) {
            *text = buffer_str(&out);
            return true;
        }
        (void)read_char(reader, '\\'); /* what follows stands for itself */
        if (reader->rest.length > 0) {
            buffer_append_char(&out, reader->rest.data[0]);
            reader->rest = str_slice(reader->rest, 1, reader->rest.length);
        }
    }
    return false;
}

static bool read_value(Reader *reader, Str *value)
{
    return read_char(reader, '"') ? read_quoted(reader, value) : read_token(reader, value);
}

static void keep(HttpChallenge *challenge, Str name, Str value)
{
    const struct {
        Str name;
        Str *member;
    } known[] = {
        {STR("realm"), &challenge->realm}, {STR("service"), &challenge->service}, {STR("scope"), &challenge->scope}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (str_equal_ignore_case(name, known[i].name)) {
            *known[i].member = value;
        }
    }
}

bool http_challenge_read(Arena *arena, Str field, HttpChallenge *challenge)
{
    Reader reader = {.rest = str_trim(field), .arena = arena};
    *challenge = (HttpChallenge){0};
    if (field.length > FIELD_BYTES_MAX || !read_token(&reader, &challenge->scheme)) {
        return false;
    }
    if (reader.rest.length > 0 && !read_char(&reader, ' ')) {
        return false;
    }
    skip(&reader, " ,\t");
    while (reader.rest.length > 0) {
        Str name;
        Str value;
        if (!read_token(&reader, &name)) {
            return false;
        }
        skip(&reader, " \t");
        if (!read_char(&reader, '=')) {
            return true; /* the next challenge's scheme */
        }
        skip(&reader, " \t");
        if (!read_value(&reader, &value)) {
            return false;
        }
        keep(challenge, name, value);
        skip(&reader, " \t");
        if (reader.rest.length > 0 && !read_char(&reader, ',')) {
            return false;
        }
        skip(&reader, " ,\t");
    }
    return true;
}
