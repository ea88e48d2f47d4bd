/* money - an amount is an int64 of minor units with its ISO 4217 currency; never a double. */
#ifndef TAI_BASE_MONEY_H
#define TAI_BASE_MONEY_H

#include <stdint.h>

#include "shared/base/str.h"

/* 15 significant digits: what every reader with IEEE doubles still shows exactly. */
#define MONEY_MAX_MINOR INT64_C(999999999999999)

typedef struct {
    int64_t minor;    /* minor units of the currency: cents for USD, whole yen for JPY, fils for KWD */
    char currency[4]; /* ISO 4217 alphabetic code, upper case, NUL-terminated */
} Money;

/* Minor-unit digits of an active ISO 4217 currency (0, 2, 3 or 4); -1 where the code is not one.
 * Exactly three upper-case letters are looked up; precious metals, funds and test codes are not currencies here. */
int money_currency_digits(Str currency);

/* Reads the raw text of a JSON number (RFC 8259: "99.99", "1e2", "0.5") exactly. REJECT with a reason for a person:
 * zero or negative, more digits after the point than the currency has (trailing zeros do not count: 1.500 is 1.50 USD),
 * past MONEY_MAX_MINOR, unknown currency, not a number. The reason has no subject: put the member's name before it. */
MUST_USE Err money_parse(Str decimal, Str currency, Money *money);

/* Writes "99.99", "100" (JPY), "1.234" (KWD): always all digits of the currency; minor units where it is unknown. */
void money_print(Money money, Buffer *out);

/* 10 to the power of the currency's digits: minor units in one major unit. 0 for an unknown currency. */
int64_t money_minor_per_major(Str currency);

#endif
