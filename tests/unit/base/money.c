/* Tests of money: exact reading at every boundary, the currency table, and printing. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/money.h"

static Money parsed(const char *decimal, const char *currency)
{
    Money money;
    Err err = money_parse(str_from(decimal), str_from(currency), &money);
    cr_assert_not(err_is(err), "%s %s: %s", decimal, currency, err.why);
    cr_assert_str_eq(money.currency, currency);
    return money;
}

static void refused(Str decimal, Str currency, const char *reason)
{
    Money money;
    Err err = money_parse(decimal, currency, &money);
    cr_assert_eq(err.kind, ERR_REJECT, STR_FMT " passed", STR_ARG(decimal));
    cr_assert_not_null(strstr(err.why, reason), STR_FMT ": %s", STR_ARG(decimal), err.why);
    cr_assert_eq(money.minor, 0);
}

Test(money, amounts_are_read_exactly)
{
    static const struct {
        const char *decimal;
        const char *currency;
        int64_t minor;
    } rows[] = {
        {"99.99", "USD", 9999},
        {"0.01", "USD", 1},
        {"0.5", "USD", 50},
        {"1", "USD", 100},
        {"100", "JPY", 100},
        {"100.000", "JPY", 100},
        {"1.234", "KWD", 1234},
        {"1.2345", "UYW", 12345},
        {"0.0001", "UYW", 1},
        {"1.500", "USD", 150},
        {"1.5000000000000000000000000000000000000000", "USD", 150},
        {"1e2", "USD", 10000},
        {"1E+2", "USD", 10000},
        {"1E-2", "USD", 1},
        {"1e-0", "USD", 100},
        {"100e-4", "USD", 1},
        {"12.5e1", "JPY", 125},
        {"0.000000000000000000001e21", "JPY", 1},
        {"1000000000000000000000e-21", "JPY", 1},
        {"0.1e0000000000000000000000000000000001", "JPY", 1},
        {"10203040506.07", "USD", INT64_C(1020304050607)},
        {"9999999999999.99", "USD", MONEY_MAX_MINOR},
        {"999999999999999", "JPY", MONEY_MAX_MINOR},
        {"999999999999.999", "KWD", MONEY_MAX_MINOR},
        {"99999999999.9999", "UYW", MONEY_MAX_MINOR},
        {"9.99999999999999e14", "JPY", MONEY_MAX_MINOR},
        {"1e14", "JPY", INT64_C(100000000000000)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_eq(parsed(rows[i].decimal, rows[i].currency).minor, rows[i].minor, "%s", rows[i].decimal);
}

Test(money, an_amount_with_more_digits_than_its_currency_is_refused)
{
    static const struct {
        const char *decimal;
        const char *currency;
    } rows[] = {
        {"0.5", "JPY"},
        {"1.001", "USD"},
        {"1.2345", "KWD"},
        {"1.23456", "UYW"},
        {"1E-3", "USD"},
        {"1e-999999999999999999999999", "USD"},
        {"0.0000000000000000000000001", "USD"},
        {"99.990000000000000000000000001", "USD"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refused(str_from(rows[i].decimal), str_from(rows[i].currency), "more digits");
}

Test(money, an_amount_past_the_maximum_is_refused)
{
    static const char *rows[] = {
        "10000000000000",
        "10000000000000.00",
        "99999999999999",
        "1e13",
        "1e15",
        "9999e999999999",
        "1e99999999999999999999999999999999",
        "123456789012345678901234567890",
        "9223372036854775808",
        "18446744073709551616.01",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refused(str_from(rows[i]), STR("USD"), "more than 999999999999999");
}

Test(money, zero_and_negative_amounts_are_refused)
{
    static const char *rows[] = {"0",  "-0",    "0.00", "0e5", "-0.0E-99", "0e99999999999999999999",
                                 "-1", "-0.01", "-1e99"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refused(str_from(rows[i]), STR("USD"), "more than zero");
}

Test(money, what_is_no_json_number_is_refused)
{
    static const char *rows[] = {
        "",          " ",   "-",     "+1",    "01",    "00",    "-01", "1.",   ".5",       "-.5", "1.e2",
        "1e",        "1e+", "1e-",   "1 ",    " 1",    "1,0",   "1_0", "0x10", "NaN",      "nan", "Infinity",
        "-Infinity", "inf", "\"1\"", "1.2.3", "1e2e3", "1e2.5", "--1", "null", "\xD9\xA1", "1\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refused(str_from(rows[i]), STR("USD"), "not a decimal number");
    refused((Str){"1\0", 2}, STR("USD"), "not a decimal number");
    refused((Str){0}, STR("USD"), "not a decimal number");
}

Test(money, huge_digit_strings_are_judged_not_overflown)
{
    enum { LENGTH = 100000 };
    char *digits = malloc(LENGTH + 16);
    cr_assert_not_null(digits);
    memset(digits, '9', LENGTH);
    refused((Str){digits, LENGTH}, STR("USD"), "more than 999999999999999");
    memset(digits, '0', LENGTH);
    digits[1] = '.';
    digits[LENGTH - 1] = '1';
    refused((Str){digits, LENGTH}, STR("USD"), "more digits");
    /* 0.00…01 with the point moved back by its exponent is one whole yen. */
    Buffer tail = buffer_over(digits + LENGTH, 16);
    buffer_print(&tail, "e%d", LENGTH - 2);
    Money money;
    Err err = money_parse((Str){digits, LENGTH + tail.length}, STR("JPY"), &money);
    cr_assert_not(err_is(err), "%s", err.why);
    cr_assert_eq(money.minor, 1);
    free(digits);
}

Test(money, currencies_are_the_active_ones_of_iso_4217)
{
    static const struct {
        const char *code;
        int digits;
    } rows[] = {
        {"USD", 2},
        {"EUR", 2},
        {"JPY", 0},
        {"KRW", 0},
        {"VND", 0},
        {"ISK", 0},
        {"XAF", 0},
        {"XPF", 0},
        {"KWD", 3},
        {"BHD", 3},
        {"TND", 3},
        {"IQD", 3},
        {"UYW", 4},
        {"AED", 2},
        {"ZWG", 2},
        {"XCG", 2},
        {"SLE", 2},
        {"VED", 2},
        {"MRU", 2},
        {"HUF", 2},
        {"TWD", 2},
        {"CLP", 0},
        {"ZMW", 2},
        {"UGX", 0},
        /* funds, metals, settlement units, test codes */
        {"CLF", -1},
        {"UYI", -1},
        {"USN", -1},
        {"CHE", -1},
        {"BOV", -1},
        {"MXV", -1},
        {"COU", -1},
        {"XAU", -1},
        {"XDR", -1},
        {"XSU", -1},
        {"XTS", -1},
        {"XXX", -1},
        /* withdrawn */
        {"HRK", -1},
        {"BGN", -1},
        {"ANG", -1},
        {"ZWL", -1},
        {"DEM", -1},
        {"CUC", -1},
        {"SLL", -1},
        /* not codes */
        {"usd", -1},
        {"Usd", -1},
        {"US", -1},
        {"USDX", -1},
        {"", -1},
        {"AAA", -1},
        {"ZZZ", -1},
        {"U$D", -1},
    };
    static const int64_t powers[] = {1, 10, 100, 1000, 10000};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Str code = str_from(rows[i].code);
        cr_assert_eq(money_currency_digits(code), rows[i].digits, "%s", rows[i].code);
        cr_assert_eq(money_minor_per_major(code), rows[i].digits < 0 ? 0 : powers[rows[i].digits], "%s", rows[i].code);
    }
    cr_assert_eq(money_currency_digits((Str){0}), -1);
    cr_assert_eq(money_currency_digits((Str){"US\0", 3}), -1);
}

Test(money, the_search_finds_all_currencies_and_only_them)
{
    int found[5] = {0};
    for (char a = 'A'; a <= 'Z'; a++) {
        for (char b = 'A'; b <= 'Z'; b++) {
            for (char c = 'A'; c <= 'Z'; c++) {
                char code[3] = {a, b, c};
                int digits = money_currency_digits((Str){code, 3});
                cr_assert(digits >= -1 && digits <= 4);
                found[digits >= 0 ? digits : 1] += digits >= 0 ? 1 : 0;
            }
        }
    }
    cr_assert_eq(found[0], 16);
    cr_assert_eq(found[1], 0, "no active currency has one digit");
    cr_assert_eq(found[2], 132);
    cr_assert_eq(found[3], 7);
    cr_assert_eq(found[4], 1);
}

Test(money, an_unknown_currency_is_refused)
{
    refused(STR("1"), STR("usd"), "currency");
    refused(STR("1"), STR("XXX"), "currency");
    refused(STR("1"), (Str){0}, "currency");
}

Test(money, amounts_are_printed_with_all_digits_of_their_currency)
{
    static const struct {
        Money money;
        const char *text;
    } rows[] = {
        {{9999, "USD"}, "99.99"}, {{150, "USD"}, "1.50"},
        {{1, "USD"}, "0.01"},     {{100, "JPY"}, "100"},
        {{1234, "KWD"}, "1.234"}, {{1, "UYW"}, "0.0001"},
        {{0, "USD"}, "0.00"},     {{MONEY_MAX_MINOR, "USD"}, "9999999999999.99"},
        {{-5, "USD"}, "-0.05"},   {{12, "???"}, "12"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char memory[32];
        Buffer out = buffer_over(memory, sizeof memory);
        money_print(rows[i].money, &out);
        cr_assert_str_eq(memory, rows[i].text);
    }
}

Test(money, what_is_printed_reads_back_as_the_same_amount)
{
    static const char *currencies[] = {"JPY", "USD", "KWD", "UYW"};
    uint64_t state = 42;
    for (int i = 0; i < 4000; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        Money money = {.minor = (int64_t)((state >> 10) % (uint64_t)MONEY_MAX_MINOR) + 1};
        memcpy(money.currency, currencies[i % 4], 4);
        char memory[32];
        Buffer out = buffer_over(memory, sizeof memory);
        money_print(money, &out);
        cr_assert_eq(parsed(memory, currencies[i % 4]).minor, money.minor, "%s", memory);
    }
}
