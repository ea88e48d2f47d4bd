/* Tests of id: ULIDs, the id charset, card numbers in text, subject tokens. */
#include <criterion/criterion.h>
#include <string.h>

#include "shared/base/id.h"

Test(id, ulids_of_known_values)
{
    static const struct {
        uint64_t time_ms;
        uint8_t entropy[10];
        const char *ulid;
    } rows[] = {
        {0, {0}, "00000000000000000000000000"},
        {UINT64_C(1469918176385), {0}, "01ARYZ6S410000000000000000"},
        {UINT64_C(281474976710655), {255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"},
        {1, {0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, "00000000010000000000000001"},
        {1, {0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "0000000001G000000000000000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[ID_ULID_LENGTH + 1];
        uint64_t time_ms = 0;
        id_ulid_print(rows[i].time_ms, rows[i].entropy, out);
        cr_assert_str_eq(out, rows[i].ulid);
        cr_assert(id_ulid_time(str_from(out), &time_ms));
        cr_assert_eq(time_ms, rows[i].time_ms);
    }
    uint64_t time_ms = 0;
    cr_assert(id_ulid_time(STR("01ARZ3NDEKTSV4RRFFQ69G5FAV"), &time_ms));
    cr_assert_eq(time_ms, UINT64_C(1469922850259), "the example of the specification");
}

Test(id, what_is_no_ulid_has_no_time)
{
    static const char *rows[] = {
        "",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01arz3ndektsv4rrffq69g5fav",
        "01ARZ3NDEKTSV4RRFFQ69G5FAI",
        "01ARZ3NDEKTSV4RRFFQ69G5FAL",
        "01ARZ3NDEKTSV4RRFFQ69G5FAO",
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        "01ARZ3NDEK-SV4RRFFQ69G5FAV",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t time_ms = 7;
        cr_assert_not(id_ulid_time(str_from(rows[i]), &time_ms), "%s", rows[i]);
        cr_assert_eq(time_ms, 7);
    }
    uint64_t time_ms = 0;
    cr_assert_not(id_ulid_time((Str){"01ARZ3NDEKTSV4RRFFQ69G5FA\0", 26}, &time_ms));
}

Test(id, base32_takes_bits_from_the_front)
{
    static const struct {
        Str bytes;
        const char *text;
    } rows[] = {
        {{0}, ""},
        {{"\xFF", 1}, "ZW"},
        {{"\x00\x01", 2}, "000G"},
        {{"foobar", 6}, "CSQPYRK1E8"},
        {{"\xFF\xFF\xFF\xFF\xFF", 5}, "ZZZZZZZZ"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char memory[32];
        Buffer out = buffer_over(memory, sizeof memory);
        id_base32_print((const uint8_t *)rows[i].bytes.data, rows[i].bytes.length, &out);
        cr_assert_str_eq(memory, rows[i].text);
        cr_assert_eq(out.length, (rows[i].bytes.length * 8 + 4) / 5);
    }
}

Test(id, an_id_has_1_to_128_characters)
{
    char memory[130];
    memset(memory, 'a', sizeof memory);
    static const struct {
        size_t length;
        bool good;
    } rows[] = {{0, false}, {1, true}, {128, true}, {129, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_eq(id_is_valid((Str){memory, rows[i].length}), rows[i].good, "%zu", rows[i].length);
    cr_assert_not(id_is_valid((Str){0}));
}

Test(id, an_id_is_made_of_its_charset_alone)
{
    const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'x', (char)byte, 'y'};
        bool good = byte != 0 && strchr(allowed, byte) != NULL;
        cr_assert_eq(id_is_valid((Str){text, 3}), good, "byte %d", byte);
        cr_assert_eq(id_is_token((Str){text, 3}), good && byte != '.', "byte %d", byte);
    }
    cr_assert_not(id_is_token((Str){0}));
}

Test(id, card_numbers_are_found_in_text)
{
    static const char *rows[] = {
        "4222222222222",                     /* 13 digits */
        "30569309025904",                    /* 14 */
        "378282246310005",                   /* 15 */
        "4242424242424242",                  /* 16 */
        "6304000000000000000",               /* 19 */
        "pay with 4242424242424242, please", /* in a sentence */
        "x4242424242424242y",                /* letters beside it */
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242-4242 4242-4242",
        "3782 822463 10005",
        "3056 930902 5904",
        "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
        "12 4242424242424242",
        "4242424242424242 123",
        "4242 4242 4242 4242 123 12-29",
        "2024-01-01 4242 4242 4242 4242",
        "2024-01-01 3782 822463 10005 1234",
        "6304 0000 0000 0000 000 12",
        "1234567890123456 4242424242424242",
        "12345678901234567890/4242424242424242",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert(id_holds_card_number(str_from(rows[i])), "%s", rows[i]);
    cr_assert(id_holds_card_number((Str){"\xFF\0 4242424242424242", 19}));
}

Test(id, other_digits_are_no_card_numbers)
{
    static const char *rows[] = {
        "",
        "no digits",
        "424242424242",                 /* 12 digits that pass Luhn, below */
        "4242424242424241",             /* fails Luhn */
        "42424242424242424242",         /* 20 digits, which pass Luhn */
        "424242424242424242424242",     /* 24 */
        "4242  4242  4242  4242",       /* double spaces end a run */
        "4242 - 4242 4242 4242",        /* so does a dash between spaces */
        "4242.4242.4242.4242",          /* and any other separator */
        "order 2024-11-24 no 12345678", /* dates */
        "+49 30 123456",
        "4242 4242 4242",
        "123456789012",
        "42424242 42424242 4242", /* 20 digits in no way that cards are printed */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_not(id_holds_card_number(str_from(rows[i])), "%s", rows[i]);
    cr_assert_not(id_holds_card_number(STR("000000000000")), "12 zeros");
    cr_assert(id_holds_card_number(STR("0000000000000")), "13 zeros pass Luhn");
    cr_assert_not(id_holds_card_number((Str){0}));
    cr_assert_not(id_holds_card_number(str_slice(STR("4242424242424242"), 0, 12)), "never read past the text");
}

/* The smallest digits of each length that pass Luhn: zeros, then the check digit of a one. */
Test(id, runs_are_card_numbers_from_13_to_19_digits)
{
    for (size_t length = 1; length <= 40; length++) {
        char digits[40];
        memset(digits, '0', sizeof digits);
        digits[length - 1] = '8';
        if (length > 1)
            digits[length - 2] = '1';
        bool card = length >= 13 && length <= 19;
        cr_assert_eq(id_holds_card_number((Str){digits, length}), card, "%zu digits", length);
    }
}

Test(id, a_subject_token_carries_dots_in_disguise)
{
    static const struct {
        const char *id;
        const char *token;
    } rows[] = {{"plain", "plain"}, {"a.b", "a=2Eb"}, {".", "=2E"}, {"..a.", "=2E=2Ea=2E"}, {"txn_1:2-3", "txn_1:2-3"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char memory[64];
        Buffer out = buffer_over(memory, sizeof memory);
        id_print_as_token(str_from(rows[i].id), &out);
        cr_assert_str_eq(memory, rows[i].token);
    }
}
