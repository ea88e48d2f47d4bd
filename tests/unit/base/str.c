/* Tests of str: views, numbers, UTF-8 and the bounded buffer. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/str.h"

static const Str nothing = {0};

Test(str, views_compare_by_their_bytes)
{
    cr_assert(str_equal(str_from("abc"), STR("abc")));
    cr_assert(str_equal(nothing, STR("")));
    cr_assert_not(str_equal(STR("abc"), STR("abd")));
    cr_assert_not(str_equal(STR("abc"), STR("ab")));
    cr_assert_eq(str_from(NULL).length, 0);
    cr_assert_null(str_from(NULL).data);
    cr_assert(str_equal_ignore_case(STR("Content-TYPE"), STR("content-type")));
    cr_assert_not(str_equal_ignore_case(STR("a["), STR("A{")));
    cr_assert_not(str_equal_ignore_case(STR("abc"), STR("ab")));
    cr_assert(str_starts_with(STR("tai.payment"), STR("tai.")));
    cr_assert(str_starts_with(STR("x"), nothing));
    cr_assert_not(str_starts_with(STR("ta"), STR("tai")));
}

Test(str, order_is_bytewise_and_shorter_comes_first)
{
    cr_assert_lt(str_compare(STR("a"), STR("b")), 0);
    cr_assert_gt(str_compare(STR("\xFF"), STR("a")), 0);
    cr_assert_lt(str_compare(STR("ab"), STR("abc")), 0);
    cr_assert_gt(str_compare(STR("abc"), STR("ab")), 0);
    cr_assert_eq(str_compare(STR("abc"), STR("abc")), 0);
    cr_assert_lt(str_compare(nothing, STR("a")), 0);
    cr_assert_eq(str_compare(nothing, STR("")), 0);
}

Test(str, slices_are_clamped_to_the_text)
{
    cr_assert(str_equal(str_slice(STR("abcdef"), 1, 3), STR("bc")));
    cr_assert(str_equal(str_slice(STR("abc"), 1, 99), STR("bc")));
    cr_assert_eq(str_slice(STR("abc"), 9, 99).length, 0);
    cr_assert_eq(str_slice(STR("abc"), 2, 1).length, 0);
    cr_assert_eq(str_slice(nothing, 1, 5).length, 0);
}

Test(str, trimming_takes_spaces_and_tabs_only)
{
    cr_assert(str_equal(str_trim(STR(" \t a b\t ")), STR("a b")));
    cr_assert(str_equal(str_trim(STR("\na")), STR("\na")));
    cr_assert_eq(str_trim(STR(" \t ")).length, 0);
    cr_assert_eq(str_trim(nothing).length, 0);
}

Test(str, tokens_between_separators_may_be_empty)
{
    static const char *expected[] = {"a", "", "b", ""};
    Str rest = STR("a..b.");
    Str token = {0};
    for (size_t i = 0; i < 4; i++) {
        cr_assert(str_next_token(&rest, '.', &token));
        cr_assert(str_equal(token, str_from(expected[i])), "token %zu", i);
    }
    cr_assert_not(str_next_token(&rest, '.', &token));
    cr_assert_not(str_next_token(&rest, '.', &token));
    rest = STR("");
    cr_assert(str_next_token(&rest, '.', &token));
    cr_assert_eq(token.length, 0);
    cr_assert_not(str_next_token(&rest, '.', &token));
}

Test(str, signed_numbers_are_read_up_to_their_bounds)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {"--1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1e3", false, 0},
        {"0x1", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t value = 0;
        cr_assert_eq(str_to_int64(str_from(rows[i].text), &value), rows[i].good, "%s", rows[i].text);
        cr_assert_eq(value, rows[i].value, "%s", rows[i].text);
    }
}

Test(str, unsigned_numbers_are_read_up_to_their_bounds)
{
    uint64_t value = 0;
    cr_assert(str_to_uint64(STR("18446744073709551615"), &value));
    cr_assert_eq(value, UINT64_MAX);
    cr_assert_not(str_to_uint64(STR("18446744073709551616"), &value));
    cr_assert_not(str_to_uint64(STR("-1"), &value));
    cr_assert_not(str_to_uint64(nothing, &value));
    cr_assert(str_to_uint64(str_slice(STR("123abc"), 0, 3), &value));
    cr_assert_eq(value, 123);
}

Test(str, only_well_formed_utf8_passes)
{
    static const struct {
        Str text;
        bool good;
    } rows[] = {
        {{0}, true},
        {{"plain ascii, longer than eight", 30}, true},
        {{"\0", 1}, true},
        {{"\xC2\x80", 2}, true},
        {{"\xDF\xBF", 2}, true},
        {{"\xE0\xA0\x80", 3}, true},
        {{"\xED\x9F\xBF", 3}, true},
        {{"\xEE\x80\x80", 3}, true},
        {{"\xF0\x90\x80\x80", 4}, true},
        {{"\xF4\x8F\xBF\xBF", 4}, true},
        {{"12345678\xE2\x82\xAC"
          "12345678",
          19},
         true},
        {{"\x80", 1}, false},
        {{"\xBF", 1}, false},
        {{"\xC0\x80", 2}, false},
        {{"\xC1\xBF", 2}, false},
        {{"\xE0\x9F\xBF", 3}, false},
        {{"\xED\xA0\x80", 3}, false},
        {{"\xF0\x8F\xBF\xBF", 4}, false},
        {{"\xF4\x90\x80\x80", 4}, false},
        {{"\xF5\x80\x80\x80", 4}, false},
        {{"\xFF", 1}, false},
        {{"\xC2", 1}, false},
        {{"\xE2\x82", 2}, false},
        {{"\xF0\x90\x80", 3}, false},
        {{"\xC2\x41", 2}, false},
        {{"\xE2\x82\x41", 3}, false},
        {{"1234567\xFF", 8}, false},
        {{"12345678\xFF", 9}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_eq(str_is_utf8(rows[i].text), rows[i].good, "row %zu", i);
}

Test(str, every_code_point_but_the_surrogates_is_utf8)
{
    for (uint32_t point = 0; point <= 0x110000; point += point < 0x3000 ? 1 : 0x0FF) {
        char bytes[4];
        size_t length = 0;
        if (point >= 0x10000)
            bytes[length++] = (char)(0xF0 | point >> 18);
        if (point >= 0x800)
            bytes[length++] = (char)(point >= 0x10000 ? 0x80 | (point >> 12 & 0x3F) : 0xE0 | point >> 12);
        if (point >= 0x80)
            bytes[length++] = (char)(point >= 0x800 ? 0x80 | (point >> 6 & 0x3F) : 0xC0 | point >> 6);
        bytes[length++] = (char)(point >= 0x80 ? 0x80 | (point & 0x3F) : point);
        bool good = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
        cr_assert_eq(str_utf8_length((Str){bytes, length}), good ? length : 0, "U+%X", point);
    }
}

Test(str, a_buffer_keeps_what_fits_and_remembers_what_did_not)
{
    char memory[6];
    Buffer buffer = buffer_over(memory, sizeof memory);
    cr_assert_str_eq(memory, "");
    buffer_append(&buffer, STR("abc"));
    buffer_append(&buffer, STR("de"));
    cr_assert_str_eq(memory, "abcde");
    cr_assert_not(buffer.overflow);
    buffer_append(&buffer, nothing);
    cr_assert_not(buffer.overflow);
    buffer_append_char(&buffer, 'f');
    cr_assert(buffer.overflow);
    cr_assert_str_eq(memory, "abcde");
    buffer_reset(&buffer);
    cr_assert_not(buffer.overflow);
    cr_assert_eq(buffer_str(&buffer).length, 0);
    cr_assert_str_eq(memory, "");
}

Test(str, nothing_is_written_after_a_gap)
{
    char memory[8];
    Buffer buffer = buffer_over(memory, sizeof memory);
    buffer_append(&buffer, STR("abc"));
    buffer_append(&buffer, STR("much too long"));
    buffer_append(&buffer, STR("d"));
    buffer_print(&buffer, "%d", 1);
    buffer_append_decimal(&buffer, 1, 0);
    cr_assert(buffer.overflow);
    cr_assert_str_eq(memory, "abc");
}

Test(str, printing_is_all_or_nothing)
{
    char memory[8];
    Buffer buffer = buffer_over(memory, sizeof memory);
    buffer_print(&buffer, "%s-%d", "ab", 12);
    cr_assert_str_eq(memory, "ab-12");
    buffer_print(&buffer, "%d", 345);
    cr_assert(buffer.overflow);
    cr_assert_str_eq(memory, "ab-12");
    buffer_reset(&buffer);
    buffer_print(&buffer, "%s", "1234567");
    cr_assert_not(buffer.overflow);
    cr_assert_str_eq(memory, "1234567");
}

Test(str, a_buffer_without_room_overflows_at_once)
{
    Buffer none = buffer_over(NULL, 0);
    buffer_append_char(&none, 'a');
    cr_assert(none.overflow);
    none = buffer_over(NULL, 0);
    buffer_print(&none, "%s", "");
    cr_assert(none.overflow);
    char one[1] = {'x'};
    Buffer single = buffer_over(one, sizeof one);
    cr_assert_eq(one[0], '\0');
    buffer_append(&single, nothing);
    cr_assert_not(single.overflow);
    buffer_append_char(&single, 'a');
    cr_assert(single.overflow);
    cr_assert_eq(one[0], '\0');
}

Test(str, decimals_are_exact_over_the_whole_range)
{
    static const struct {
        int64_t value;
        int digits;
        const char *text;
    } rows[] = {
        {0, 0, "0"},
        {0, 2, "0.00"},
        {5, 2, "0.05"},
        {30, 2, "0.30"},
        {100, 2, "1.00"},
        {-1, 3, "-0.001"},
        {-12345, 2, "-123.45"},
        {INT64_MAX, 0, "9223372036854775807"},
        {INT64_MIN, 0, "-9223372036854775808"},
        {INT64_MIN, 18, "-9.223372036854775808"},
        {1, 18, "0.000000000000000001"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char memory[32];
        Buffer buffer = buffer_over(memory, sizeof memory);
        buffer_append_decimal(&buffer, rows[i].value, rows[i].digits);
        cr_assert_str_eq(memory, rows[i].text);
    }
}

Test(str, more_decimal_digits_than_an_int64_can_have_abort, .signal = SIGABRT)
{
    char memory[64];
    Buffer buffer = buffer_over(memory, sizeof memory);
    buffer_append_decimal(&buffer, 1, 19);
}

Test(str, copying_says_when_it_does_not_fit)
{
    char memory[4] = "zzz";
    cr_assert(str_copy_to(STR("abc"), memory, sizeof memory));
    cr_assert_str_eq(memory, "abc");
    cr_assert_not(str_copy_to(STR("abcd"), memory, sizeof memory));
    cr_assert_str_eq(memory, "");
    cr_assert(str_copy_to(nothing, memory, sizeof memory));
    cr_assert_str_eq(memory, "");
    cr_assert_not(str_copy_to(nothing, memory, 0));
}
