/* Tests of json: the writer's commas and escapes, and finding raw members. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/json.h"

static char memory[4096];

static const char *string_as_json(Str text)
{
    Buffer out = buffer_over(memory, sizeof memory);
    JsonWriter writer = json_writer(&out);
    json_put_string(&writer, NULL, text);
    cr_assert_not(out.overflow);
    cr_assert(str_is_utf8(buffer_str(&out)));
    return memory;
}

Test(json, a_writer_puts_commas_keys_and_brackets)
{
    Buffer out = buffer_over(memory, sizeof memory);
    JsonWriter writer = json_writer(&out);
    json_open(&writer, NULL, '{');
    json_put_string(&writer, "a", STR("x"));
    json_put_int(&writer, "b", INT64_MIN);
    json_open(&writer, "c", '[');
    json_close(&writer, ']');
    json_open(&writer, "d", '[');
    json_put_bool(&writer, NULL, true);
    json_put_bool(&writer, NULL, false);
    json_open(&writer, NULL, '{');
    json_close(&writer, '}');
    json_open(&writer, NULL, '{');
    json_put_null(&writer, "n");
    json_close(&writer, '}');
    json_close(&writer, ']');
    json_put_raw(&writer, "e", STR("{\"z\":1}"));
    json_put_decimal(&writer, "fraud_score", 30, 2);
    json_put_decimal(&writer, "f", -5, 3);
    json_close(&writer, '}');
    cr_assert_str_eq(memory, "{\"a\":\"x\",\"b\":-9223372036854775808,\"c\":[],\"d\":[true,false,{},{\"n\":null}],"
                             "\"e\":{\"z\":1},\"fraud_score\":0.30,\"f\":-0.005}");
}

Test(json, strings_are_escaped_as_the_standard_says)
{
    static const struct {
        Str text;
        const char *json;
    } rows[] = {
        {{0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"\"\\/", 3}, "\"\\\"\\\\/\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"a\0b", 3}, "\"a\\u0000b\""},
        {{"\x01\x1F\x7F", 3}, "\"\\u0001\\u001f\x7F\""},
        {{"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9}, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {{"\xE2\x80\xA8", 3}, "\"\xE2\x80\xA8\""},
        {{"a\xFF"
          "b",
          3},
         "\"a\xEF\xBF\xBD"
         "b\""},
        {{"\xC3", 1}, "\"\xEF\xBF\xBD\""},
        {{"\xC3\"", 2}, "\"\xEF\xBF\xBD\\\"\""},
        {{"\xED\xA0\x80", 3}, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {{"\xC0\xAF", 2}, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_str_eq(string_as_json(rows[i].text), rows[i].json);
}

Test(json, every_byte_alone_becomes_valid_text_without_control_characters)
{
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        for (const char *c = string_as_json((Str){&text, 1}); *c != '\0'; c++)
            cr_assert_geq((unsigned char)*c, 0x20, "byte %d", byte);
    }
}

Test(json, a_key_is_escaped_too)
{
    Buffer out = buffer_over(memory, sizeof memory);
    JsonWriter writer = json_writer(&out);
    json_open(&writer, NULL, '{');
    json_put_int(&writer, "a\"\n", 1);
    json_close(&writer, '}');
    cr_assert_str_eq(memory, "{\"a\\\"\\n\":1}");
}

Test(json, nesting_may_be_32_deep)
{
    Buffer out = buffer_over(memory, sizeof memory);
    JsonWriter writer = json_writer(&out);
    for (int i = 0; i < 32; i++)
        json_open(&writer, NULL, '[');
    json_put_int(&writer, NULL, 1);
    json_put_int(&writer, NULL, 2);
    for (int i = 0; i < 32; i++)
        json_close(&writer, ']');
    cr_assert_str_eq(memory, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1,2]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

Test(json, nesting_deeper_than_32_aborts, .signal = SIGABRT)
{
    Buffer out = buffer_over(memory, sizeof memory);
    JsonWriter writer = json_writer(&out);
    for (int i = 0; i < 33; i++)
        json_open(&writer, NULL, '[');
}

Test(json, closing_what_was_not_opened_aborts, .signal = SIGABRT)
{
    Buffer out = buffer_over(memory, sizeof memory);
    JsonWriter writer = json_writer(&out);
    json_close(&writer, ']');
}

Test(json, what_does_not_fit_is_seen_once_at_the_end)
{
    char small[8];
    Buffer out = buffer_over(small, sizeof small);
    JsonWriter writer = json_writer(&out);
    json_open(&writer, NULL, '{');
    json_put_string(&writer, "key", STR("value"));
    json_close(&writer, '}');
    cr_assert(out.overflow);
}

Test(json, members_are_found_with_their_raw_text)
{
    Str text = STR(" { \"a\" : 1.50e+2 , \"s\":\"q\\\"}{,\\\\\", \"o\":{\"a\":{\"deep\":[1,{\"a\":2}]},\"t\":true},"
                   "\"arr\":[\"]\",{\"x\":\"}\"}], \"n\":null ,\"\":7,\"esc\\u0061\":8,\"last\":-0 } ");
    static const struct {
        const char *path;
        const char *raw;
    } rows[] = {
        {"a", "1.50e+2"},
        {"s", "\"q\\\"}{,\\\\\""},
        {"o", "{\"a\":{\"deep\":[1,{\"a\":2}]},\"t\":true}"},
        {"o.a", "{\"deep\":[1,{\"a\":2}]}"},
        {"o.a.deep", "[1,{\"a\":2}]"},
        {"o.t", "true"},
        {"arr", "[\"]\",{\"x\":\"}\"}]"},
        {"n", "null"},
        {"", "7"},
        {"esc\\u0061", "8"},
        {"last", "-0"},
        {"deep", NULL},
        {"x", NULL},
        {"t", NULL},
        {"a.b", NULL},
        {"arr.x", NULL},
        {"o.a.deep.a", NULL},
        {"esca", NULL},
        {"o.", NULL},
        {".a", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Str raw = json_find_raw(text, str_from(rows[i].path));
        if (rows[i].raw == NULL)
            cr_assert(raw.data == NULL && raw.length == 0, "%s", rows[i].path);
        else
            cr_assert(str_equal(raw, str_from(rows[i].raw)), "%s: " STR_FMT, rows[i].path, STR_ARG(raw));
    }
}

Test(json, nothing_is_found_where_there_is_no_object)
{
    static const char *rows[] = {"", " ", "null", "\"a\"", "[{\"a\":1}]", "{}", "{ }", "3", "true"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_null(json_find_raw(str_from(rows[i]), STR("a")).data, "%s", rows[i]);
    cr_assert_null(json_find_raw((Str){0}, STR("a")).data);
}

/* Invalid and cut text may give any answer, but it lies inside the text and is found without reading past it. */
Test(json, broken_text_is_never_read_past_its_end)
{
    static const char alphabet[] = "{}[]\",:\\a1 .\n";
    static const char whole[] = "{\"b\":[{\"c\":\"\\\"\"}],\"a\":{\"a\":\"x\\\\\"}}";
    uint32_t state = 1;
    for (int round = 0; round < 20000; round++) {
        size_t length = sizeof whole - 1;
        char *text = malloc(length + 1);
        cr_assert_not_null(text);
        memcpy(text, whole, length);
        for (int change = 0; change < round % 7; change++) {
            state = state * 1664525U + 1013904223U;
            text[(state >> 8) % length] = alphabet[(state >> 16) % (sizeof alphabet - 1)];
        }
        length -= (size_t)round % length;
        char *exact = realloc(text, length);
        cr_assert_not_null(exact);
        Str raw = json_find_raw((Str){exact, length}, STR("a.a"));
        cr_assert(raw.data == NULL || (raw.data >= exact && raw.data + raw.length <= exact + length));
        free(exact);
    }
}

Test(json, a_place_is_given_as_line_and_column)
{
    Str text = STR("ab\ncd\n\ne");
    static const struct {
        size_t at;
        int line;
        int column;
    } rows[] = {{0, 1, 1}, {1, 1, 2}, {2, 1, 3}, {3, 2, 1}, {5, 2, 3}, {6, 3, 1}, {7, 4, 1}, {8, 4, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int line = 0;
        int column = 0;
        json_place(text, text.data + rows[i].at, &line, &column);
        cr_assert_eq(line, rows[i].line, "place %zu", rows[i].at);
        cr_assert_eq(column, rows[i].column, "place %zu", rows[i].at);
    }
    int line = 0;
    int column = 0;
    json_place((Str){0}, NULL, &line, &column);
    cr_assert(line == 1 && column == 1);
}
