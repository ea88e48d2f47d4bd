/* card - the table behind https://docs.stripe.com/testing#declined-payments. */
#include "ops/sandbox/card.h"

#include <string.h>

#define DECLINED "Your card was declined."

static const CardDecline declines[] = {
    {"", "card_declined", "generic_decline", DECLINED},
    {"InsufficientFunds", "card_declined", "insufficient_funds", "Your card has insufficient funds."},
    {"LostCard", "card_declined", "lost_card", DECLINED},
    {"StolenCard", "card_declined", "stolen_card", DECLINED},
    {"Fraudulent", "card_declined", "fraudulent", DECLINED},
    {"VelocityLimitExceeded", "card_declined", "card_velocity_exceeded",
     "Your card was declined for making repeated attempts too frequently or exceeding its amount limit."},
    {"ExpiredCard", "expired_card", NULL, "Your card has expired."},
    {"IncorrectCvc", "incorrect_cvc", NULL, "Your card's security code is incorrect."},
    {"ProcessingError", "processing_error", NULL,
     "An error occurred while processing your card. Try again in a little bit."},
};

const CardDecline *card_generic_decline(void)
{
    return &declines[0];
}

/* pm_card_chargeDeclinedX, pm_card_visa_chargeDeclinedX and tok_chargeDeclinedX; tok_visa_chargeDeclinedX too. */
const CardDecline *card_decline(Str payment_method)
{
    static const Str mark = {"chargeDeclined", 14};
    for (size_t from = 0; from + mark.length <= payment_method.length; from++) {
        Str rest = str_slice(payment_method, from, payment_method.length);
        if (!str_starts_with(rest, mark)) {
            continue;
        }
        Str suffix = str_slice(rest, mark.length, rest.length);
        for (size_t i = 0; i < sizeof declines / sizeof *declines; i++) {
            if (str_equal(suffix, str_from(declines[i].suffix))) {
                return &declines[i];
            }
        }
        return &declines[0];
    }
    return NULL;
}

const char *card_brand(Str payment_method)
{
    static const char *brands[] = {"mastercard", "amex", "discover", "diners", "jcb", "unionpay"};
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++) {
        if (memmem(payment_method.data, payment_method.length, brands[i], strlen(brands[i])) != NULL) {
            return brands[i];
        }
    }
    return "visa";
}
