/* drivers/stripe - a charge as a request of Stripe's API, and its answer.
 * Source: https://docs.stripe.com/api/payment_intents/create, https://docs.stripe.com/api/charges/create */
#ifndef TAI_WORKERS_ACTION_DRIVERS_STRIPE_H
#define TAI_WORKERS_ACTION_DRIVERS_STRIPE_H

#include "shared/base/arena.h"
#include "shared/http/http.h"
#include "shared/payment/charge.h"

typedef struct {
    char url[512];            /* without the path: "https://api.stripe.com" */
    char key[256];            /* secret key, sent as bearer */
    char api[32];             /* "payment_intents" or "charges" */
    char payment_method[128]; /* for signals that name none */
    char version[32];         /* Stripe-Version; "" for the account's own */
    int64_t timeout_ms;
    int64_t connect_timeout_ms;
} StripeSettings;

MUST_USE Err stripe_settings_check(const StripeSettings *settings);

/* The call that charges for this decision, always with the transaction id as Idempotency-Key. Lives in the arena. */
HttpRequest stripe_charge_request(Arena *arena, const StripeSettings *settings, const PaymentDecision *decision);

/* What the call came to; `response` is copied into the arena. */
ChargeAnswer stripe_charge_answer(Arena *arena, const HttpResult *result, PaymentGatewayResponse *response);

#endif
