/* fuzz_money - any bytes as an amount; the first byte chooses the currency.
 * What is taken prints back to an equal amount, and is the number that was written. */
#include <math.h>
#include <stdlib.h>

#include "shared/base/money.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A double shows 15 digits exactly, which is all that an amount may have. */
static void check_value(Str text, Money money)
{
    char copy[4096];
    if (!str_copy_to(text, copy, sizeof(copy)))
        return;
    double expected = strtod(copy, NULL);
    double actual = (double)money.minor / (double)money_minor_per_major(str_from(money.currency));
    TAI_ASSERT(fabs(expected - actual) <= fabs(expected) * 1e-14);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const currencies[] = {"USD", "JPY", "KWD", "EUR", "BHD", "usd", "XAU", ""};
    if (size == 0)
        return 0;
    Str currency = str_from(currencies[data[0] % 8]);
    Str text = {(const char *)data + 1, size - 1};
    Money money;
    Err err = money_parse(text, currency, &money);
    if (err_is(err)) {
        TAI_ASSERT(err.kind == ERR_REJECT && err.why[0] != '\0');
        return 0;
    }
    TAI_ASSERT(money.minor > 0 && money.minor <= MONEY_MAX_MINOR);
    char memory[32];
    Buffer printed = buffer_over(memory, sizeof(memory));
    money_print(money, &printed);
    Money again;
    TAI_ASSERT(!printed.overflow && !err_is(money_parse(buffer_str(&printed), currency, &again)));
    TAI_ASSERT(again.minor == money.minor && str_equal(str_from(again.currency), currency));
    check_value(text, money);
    return 0;
}
