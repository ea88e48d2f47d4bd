/* Tests of gateway/reason: {"reason": "..."}. */
#include <criterion/criterion.h>

#include "gateway/reason.h"

static bool reads_as(Str body, Str wanted)
{
    Arena arena = arena_make(4096, 65536);
    Str reason;
    Err err = reason_read(&arena, body, &reason);
    bool same = !err_is(err) && str_equal(reason, wanted);
    arena_release(&arena);
    return same;
}

static bool is_refused(Str body)
{
    Arena arena = arena_make(4096, 65536);
    Str reason;
    Err err = reason_read(&arena, body, &reason);
    arena_release(&arena);
    return err.kind == ERR_REJECT;
}

Test(reason, is_optional)
{
    cr_assert(reads_as((Str){0}, (Str){0}));
    cr_assert(reads_as(STR(" \r\n\t"), (Str){0}));
    cr_assert(reads_as(STR("{}"), (Str){0}));
    cr_assert(reads_as(STR("{\"reason\":\"\"}"), (Str){0}));
}

Test(reason, is_read_with_its_escapes)
{
    cr_assert(reads_as(STR(" { \"reason\" : \"chargebacks\" } \n"), STR("chargebacks")));
    cr_assert(reads_as(STR("{\"reason\":\"a \\\"b\\\" \\\\ \\/\"}"), STR("a \"b\" \\ /")));
    cr_assert(reads_as(STR("{\"reason\":\"\\u00e9 \\u20AC \\ud83d\\ude00 \\u0041\"}"),
                       STR("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 A")));
}

Test(reason, refuses_everything_else)
{
    static const Str bodies[] = {
        STR("x"),
        STR("[]"),
        STR("{"),
        STR("{\"reason\"}"),
        STR("{\"reason\":1}"),
        STR("{\"reason\":null}"),
        STR("{\"reason\":\"a\""),
        STR("{\"reason\":\"a}"),
        STR("{\"reason\":\"a\"}}"),
        STR("{\"reason\":\"a\",}"),
        STR("{\"reason\":\"a\",\"reason\":\"b\"}"),
        STR("{\"other\":\"a\"}"),
        STR("{\"reason\":\"a\nb\"}"),
        STR("{\"reason\":\"a\\nb\"}"),
        STR("{\"reason\":\"\\u0000\"}"),
        STR("{\"reason\":\"\\u12\"}"),
        STR("{\"reason\":\"\\ud83d\"}"),
        STR("{\"reason\":\"\\ud83d\\u0041\"}"),
        STR("{\"reason\":\"\\ude00\"}"),
        STR("{\"reason\":\"\\x\"}"),
        STR("{\"reason\":\"\\"),
        STR("{\"reason\":\"\xff\"}"),
        STR("{\"reason\":\"a\0b\"}"),
        STR("{\"reason\":\"card 4242 4242 4242 4242\"}"),
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        cr_expect(is_refused(bodies[i]), STR_FMT, STR_ARG(bodies[i]));
    }
}

Test(reason, is_bounded)
{
    char text[REASON_MAX + 32];
    for (size_t length = REASON_MAX; length <= REASON_MAX + 1; length++) {
        Buffer out = buffer_over(text, sizeof(text));
        buffer_append(&out, STR("{\"reason\":\""));
        for (size_t i = 0; i < length; i++) {
            buffer_append_char(&out, 'r');
        }
        buffer_append(&out, STR("\"}"));
        cr_assert(is_refused(buffer_str(&out)) == (length > REASON_MAX));
    }
}
