/* card - Stripe's test payment methods: which ones an issuer declines, and in which words. */
#ifndef SANDBOX_CARD_H
#define SANDBOX_CARD_H

#include "shared/base/str.h"

typedef struct {
    const char *suffix;       /* of the payment method or token, after "chargeDeclined" */
    const char *code;         /* Stripe's error code */
    const char *decline_code; /* the issuer's reason; NULL: none */
    const char *message;
} CardDecline;

/* Why a charge on this payment method (pm_card_…, tok_…) is declined; NULL: it is not. */
const CardDecline *card_decline(Str payment_method);

/* What a randomly declined card says. */
const CardDecline *card_generic_decline(void);

const char *card_brand(Str payment_method); /* "visa" where the name tells nothing else */

#endif
