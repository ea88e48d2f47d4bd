/* Tests of err: kinds, and reasons that always fit on one line. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

Test(err, a_zero_err_is_success)
{
    cr_assert_not(err_is(err_none()));
    cr_assert_eq(err_none().kind, ERR_NONE);
}

Test(err, every_kind_is_built_with_its_reason_and_has_a_name)
{
    Err retry = err_retry("line %d", 1);
    Err reject = err_reject("%s", "no");
    Err unknown = err_unknown("lost");
    cr_assert_eq(retry.kind, ERR_RETRY);
    cr_assert_str_eq(retry.why, "line 1");
    cr_assert_eq(reject.kind, ERR_REJECT);
    cr_assert_str_eq(reject.why, "no");
    cr_assert_eq(unknown.kind, ERR_UNKNOWN);
    cr_assert_str_eq(unknown.why, "lost");
    cr_assert(err_is(retry) && err_is(reject) && err_is(unknown));
    cr_assert_str_eq(err_kind_name(ERR_NONE), "none");
    cr_assert_str_eq(err_kind_name(ERR_RETRY), "retry");
    cr_assert_str_eq(err_kind_name(ERR_REJECT), "reject");
    cr_assert_str_eq(err_kind_name(ERR_UNKNOWN), "unknown");
}

Test(err, a_reason_that_just_fits_is_kept_whole)
{
    char text[sizeof((Err){0}).why];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cr_assert_str_eq(err_reject("%s", text).why, text);
}

Test(err, a_long_reason_is_cut_but_never_inside_a_character)
{
    static const char *characters[] = {"x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t c = 0; c < sizeof characters / sizeof characters[0]; c++) {
        for (size_t lead = 0; lead < 5; lead++) {
            char memory[512];
            Buffer text = buffer_over(memory, sizeof memory);
            for (size_t i = 0; i < lead; i++)
                buffer_append_char(&text, '.');
            while (text.length < 300)
                buffer_append(&text, str_from(characters[c]));
            Str why = str_from(err_reject("%s", memory).why);
            cr_assert(str_is_utf8(why), "character %zu behind %zu dots", c, lead);
            cr_assert_geq(why.length, sizeof((Err){0}).why - 4);
            cr_assert(str_starts_with(buffer_str(&text), why));
        }
    }
}

Test(err, a_reason_is_one_line_whatever_is_formatted_into_it)
{
    cr_assert_str_eq(err_reject("a%sb%cc", "\r\n", 0x1B).why, "a  b c");
}

Test(err, a_broken_condition_aborts, .signal = SIGABRT)
{
    TAI_ASSERT(1 == 1);
    TAI_ASSERT(1 == 2);
}
