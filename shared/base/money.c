/* money - an amount is an int64 of minor units with its ISO 4217 currency; never a double.
 * Decimal text is read exactly: digits and exponent are counted, nothing is ever rounded. */
#include "shared/base/money.h"

#include <string.h>

#define MONEY_MAX_DIGITS 15 /* of MONEY_MAX_MINOR */

/* ISO 4217, list one (currencies and minor units), as of 2026: without funds, metals, settlement units and test codes.
 * In the order of the alphabet, for the search. */
static const struct {
    char code[4];
    int8_t digits;
} currencies[] = {
    // clang-format off
    {"AED", 2}, {"AFN", 2}, {"ALL", 2}, {"AMD", 2}, {"AOA", 2}, {"ARS", 2}, {"AUD", 2}, {"AWG", 2},
    {"AZN", 2}, {"BAM", 2}, {"BBD", 2}, {"BDT", 2}, {"BHD", 3}, {"BIF", 0}, {"BMD", 2}, {"BND", 2},
    {"BOB", 2}, {"BRL", 2}, {"BSD", 2}, {"BTN", 2}, {"BWP", 2}, {"BYN", 2}, {"BZD", 2}, {"CAD", 2},
    {"CDF", 2}, {"CHF", 2}, {"CLP", 0}, {"CNY", 2}, {"COP", 2}, {"CRC", 2}, {"CUP", 2}, {"CVE", 2},
    {"CZK", 2}, {"DJF", 0}, {"DKK", 2}, {"DOP", 2}, {"DZD", 2}, {"EGP", 2}, {"ERN", 2}, {"ETB", 2},
    {"EUR", 2}, {"FJD", 2}, {"FKP", 2}, {"GBP", 2}, {"GEL", 2}, {"GHS", 2}, {"GIP", 2}, {"GMD", 2},
    {"GNF", 0}, {"GTQ", 2}, {"GYD", 2}, {"HKD", 2}, {"HNL", 2}, {"HTG", 2}, {"HUF", 2}, {"IDR", 2},
    {"ILS", 2}, {"INR", 2}, {"IQD", 3}, {"IRR", 2}, {"ISK", 0}, {"JMD", 2}, {"JOD", 3}, {"JPY", 0},
    {"KES", 2}, {"KGS", 2}, {"KHR", 2}, {"KMF", 0}, {"KPW", 2}, {"KRW", 0}, {"KWD", 3}, {"KYD", 2},
    {"KZT", 2}, {"LAK", 2}, {"LBP", 2}, {"LKR", 2}, {"LRD", 2}, {"LSL", 2}, {"LYD", 3}, {"MAD", 2},
    {"MDL", 2}, {"MGA", 2}, {"MKD", 2}, {"MMK", 2}, {"MNT", 2}, {"MOP", 2}, {"MRU", 2}, {"MUR", 2},
    {"MVR", 2}, {"MWK", 2}, {"MXN", 2}, {"MYR", 2}, {"MZN", 2}, {"NAD", 2}, {"NGN", 2}, {"NIO", 2},
    {"NOK", 2}, {"NPR", 2}, {"NZD", 2}, {"OMR", 3}, {"PAB", 2}, {"PEN", 2}, {"PGK", 2}, {"PHP", 2},
    {"PKR", 2}, {"PLN", 2}, {"PYG", 0}, {"QAR", 2}, {"RON", 2}, {"RSD", 2}, {"RUB", 2}, {"RWF", 0},
    {"SAR", 2}, {"SBD", 2}, {"SCR", 2}, {"SDG", 2}, {"SEK", 2}, {"SGD", 2}, {"SHP", 2}, {"SLE", 2},
    {"SOS", 2}, {"SRD", 2}, {"SSP", 2}, {"STN", 2}, {"SVC", 2}, {"SYP", 2}, {"SZL", 2}, {"THB", 2},
    {"TJS", 2}, {"TMT", 2}, {"TND", 3}, {"TOP", 2}, {"TRY", 2}, {"TTD", 2}, {"TWD", 2}, {"TZS", 2},
    {"UAH", 2}, {"UGX", 0}, {"USD", 2}, {"UYU", 2}, {"UYW", 4}, {"UZS", 2}, {"VED", 2}, {"VES", 2},
    {"VND", 0}, {"VUV", 0}, {"WST", 2}, {"XAF", 0}, {"XCD", 2}, {"XCG", 2}, {"XOF", 0}, {"XPF", 0},
    {"YER", 2}, {"ZAR", 2}, {"ZMW", 2}, {"ZWG", 2},
    // clang-format on
};

int money_currency_digits(Str currency)
{
    if (currency.length != 3)
        return -1;
    size_t low = 0;
    size_t high = sizeof currencies / sizeof currencies[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(currency.data, currencies[middle].code, 3);
        if (order == 0)
            return currencies[middle].digits;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

static int64_t power_of_ten(int exponent)
{
    int64_t power = 1;
    for (int i = 0; i < exponent; i++)
        power *= 10;
    return power;
}

int64_t money_minor_per_major(Str currency)
{
    int digits = money_currency_digits(currency);
    return digits < 0 ? 0 : power_of_ten(digits);
}

/* A number as it is written: significant digits times a power of ten. */
typedef struct {
    bool negative;
    int64_t significant; /* digits between the first and the last that is not zero; 0: the number is zero */
    int64_t exponent;    /* of the last significant digit */
    int64_t first_15;    /* value of the significant digits, as far as the first 15 */
} Decimal;

static bool is_digit_at(Str text, size_t at)
{
    return at < text.length && text.data[at] >= '0' && text.data[at] <= '9';
}

/* Adds one digit. Zeros are held back until a digit that is not zero shows that they are significant. */
static void decimal_add(Decimal *number, int64_t *zeros, char digit)
{
    if (digit == '0') {
        *zeros += number->significant > 0 ? 1 : 0;
        return;
    }
    for (int64_t i = 0; i <= *zeros && number->significant + i < MONEY_MAX_DIGITS; i++)
        number->first_15 = number->first_15 * 10 + (i == *zeros ? digit - '0' : 0);
    number->significant += *zeros + 1;
    *zeros = 0;
}

/* Past any length of text an exponent's size says nothing new, so it stops growing there. */
static bool read_exponent(Str text, size_t *at, int64_t *exponent)
{
    const int64_t enough = INT64_C(100000000000000000);
    bool negative = *at < text.length && text.data[*at] == '-';
    if (negative || (*at < text.length && text.data[*at] == '+'))
        (*at)++;
    if (!is_digit_at(text, *at))
        return false;
    int64_t value = 0;
    for (; is_digit_at(text, *at); (*at)++)
        value = value < enough ? value * 10 + (text.data[*at] - '0') : value;
    if (value > enough)
        value = enough;
    *exponent = negative ? -value : value;
    return true;
}

/* RFC 8259, section 6. False where the text is no JSON number. */
static bool decimal_read(Str text, Decimal *number)
{
    *number = (Decimal){.negative = text.length > 0 && text.data[0] == '-'};
    size_t at = number->negative ? 1 : 0;
    size_t whole = at;
    int64_t zeros = 0;
    int64_t exponent = 0;
    for (; is_digit_at(text, at); at++)
        decimal_add(number, &zeros, text.data[at]);
    if (at == whole || (text.data[whole] == '0' && at - whole > 1))
        return false;
    size_t fraction = at;
    if (at < text.length && text.data[at] == '.') {
        for (at++; is_digit_at(text, at); at++)
            decimal_add(number, &zeros, text.data[at]);
        if (at - fraction == 1)
            return false;
    }
    int64_t fraction_digits = at == fraction ? 0 : (int64_t)(at - fraction - 1);
    if (at < text.length && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        if (!read_exponent(text, &at, &exponent))
            return false;
    }
    number->exponent = exponent - fraction_digits + zeros;
    return at == text.length;
}

Err money_parse(Str decimal, Str currency, Money *money)
{
    *money = (Money){0};
    int digits = money_currency_digits(currency);
    Decimal number;
    if (!decimal_read(decimal, &number))
        return err_reject("is not a decimal number");
    if (digits < 0)
        return err_reject("has no known currency: an active ISO 4217 code such as USD is needed");
    if (number.significant == 0 || number.negative)
        return err_reject("must be more than zero");
    int64_t places = number.exponent + digits;
    if (places < 0)
        return err_reject("has more digits after the point than its currency, which has %d", digits);
    if (number.significant + places > MONEY_MAX_DIGITS)
        return err_reject("is more than %lld minor units of its currency", (long long)MONEY_MAX_MINOR);
    money->minor = number.first_15 * power_of_ten((int)places);
    memcpy(money->currency, currency.data, 3);
    return err_none();
}

void money_print(Money money, Buffer *out)
{
    int digits = money_currency_digits(str_from(money.currency));
    buffer_append_decimal(out, money.minor, digits > 0 ? digits : 0);
}
