/* Tests of gateway/field: what the fields of a request say. */
#include <criterion/criterion.h>

#include "gateway/field.h"

static int64_t wait_of(const char *value)
{
    FieldPrefer prefer = field_prefer_none();
    field_prefer_read(str_from(value), &prefer);
    return field_prefer_wait_ms(&prefer, 10000);
}

Test(field, prefer_says_how_long_to_wait_and_what_is_malformed_counts_as_absent)
{
    static const struct {
        const char *value;
        int64_t wait_ms;
    } cases[] = {
        {"", 10000},
        {"wait=0", 0},
        {"wait=1", 1000},
        {"wait=60", 60000},
        {"wait=61", 10000},
        {"wait=-1", 10000},
        {"wait=", 10000},
        {"wait", 10000},
        {"wait=1.5", 10000},
        {"wait=99999999999999999999", 10000},
        {"WAIT=2", 2000},
        {"wait=\"3\"", 3000},
        {" wait = 4 ; foo=bar", 4000},
        {"respond-async", 0},
        {"respond-async, wait=5", 5000},
        {"wait=5, respond-async", 5000},
        {"return=minimal, wait=6", 6000},
        {"wait=1, wait=2", 1000},
        {"respond-asynchronously", 10000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect(wait_of(cases[i].value) == cases[i].wait_ms, "%s", cases[i].value);
    }
}

Test(field, a_second_prefer_field_adds_to_the_first)
{
    FieldPrefer prefer = field_prefer_none();
    field_prefer_read(STR("respond-async"), &prefer);
    field_prefer_read(STR("wait=7"), &prefer);
    cr_assert(field_prefer_wait_ms(&prefer, 10000) == 7000);
}

Test(field, a_media_type_is_compared_without_case_and_parameters)
{
    Str json = STR("application/json");
    cr_assert(field_is_media_type(STR("application/json"), json));
    cr_assert(field_is_media_type(STR(" Application/JSON ; charset=utf-8"), json));
    cr_assert_not(field_is_media_type(STR("application/json5"), json));
    cr_assert_not(field_is_media_type(STR("text/plain; application/json"), json));
    cr_assert_not(field_is_media_type((Str){0}, json));
}

Test(field, text_is_given_only_to_those_who_ask_for_it)
{
    cr_assert(field_accepts_text(STR("text/plain")));
    cr_assert(field_accepts_text(STR("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1")));
    cr_assert(field_accepts_text(STR("application/json;q=0.4, text/plain; q=0.5")));
    cr_assert_not(field_accepts_text((Str){0}));
    cr_assert_not(field_accepts_text(STR("*/*")));
    cr_assert_not(field_accepts_text(STR("text/html, */*;q=0.8")));
    cr_assert_not(field_accepts_text(STR("text/plain;q=0")));
    cr_assert_not(field_accepts_text(STR("application/json, text/plain;q=0.5")));
}

Test(field, a_key_is_1_to_255_visible_characters)
{
    char text[FIELD_KEY_MAX + 1];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = 'k';
    }
    cr_assert(field_is_key((Str){text, 1}));
    cr_assert(field_is_key((Str){text, FIELD_KEY_MAX}));
    cr_assert_not(field_is_key((Str){text, FIELD_KEY_MAX + 1}));
    cr_assert_not(field_is_key((Str){text, 0}));
    cr_assert(field_is_key(STR("!~")));
    cr_assert_not(field_is_key(STR("a b")));
    cr_assert_not(field_is_key(STR("a\x7f")));
    cr_assert_not(field_is_key(STR("\xc3\xa9")));
}

Test(field, an_entity_tag_is_one_strong_revision)
{
    uint64_t revision = 0;
    cr_assert(field_entity_tag(STR("\"17\""), &revision) && revision == 17);
    cr_assert(field_entity_tag(STR(" \"0\" "), &revision) && revision == 0);
    static const char *const others[] = {"17", "W/\"17\"", "\"17\", \"18\"", "*", "\"\"", "\"-1\"", "\"x\"", ""};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_expect_not(field_entity_tag(str_from(others[i]), &revision), "%s", others[i]);
    }
}

static bool unescape(const char *text, char *memory, size_t capacity, Buffer *out)
{
    *out = buffer_over(memory, capacity);
    return field_unescape(str_from(text), out);
}

Test(field, percent_escapes_are_undone_once)
{
    char memory[32];
    Buffer out;
    cr_assert(unescape("a%2Fb%2fc%25d+e", memory, sizeof(memory), &out));
    cr_assert_str_eq(memory, "a/b/c%d+e");
    static const char *const broken[] = {"%", "a%2", "%zz", "%2x", "a%00b"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        cr_expect_not(unescape(broken[i], memory, sizeof(memory), &out), "%s", broken[i]);
    }
    cr_assert_not(unescape("too long", memory, 4, &out));
}
