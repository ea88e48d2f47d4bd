/* wire/stripe - what Stripe's API answers, read into the charge's terms.
 * Source: https://docs.stripe.com/api/errors and https://docs.stripe.com/api/idempotent_requests */
#ifndef TAI_WIRE_STRIPE_H
#define TAI_WIRE_STRIPE_H

#include "shared/base/arena.h"
#include "shared/payment/charge.h"

/* Reads status and body of an answer to POST /v1/payment_intents or /v1/charges; `response` is copied into the arena.
 * Whatever is not evidence (5xx, 409, a broken body, an unknown status) is UNCLEAR. */
ChargeAnswer wire_read_stripe_answer(Arena *arena, int http_status, Str body, PaymentGatewayResponse *response);

#endif
