/* order - what POST /v1/payment_intents or /v1/charges asks for, after Stripe's parameter checks. */
#ifndef SANDBOX_ORDER_H
#define SANDBOX_ORDER_H

#include "ops/sandbox/form.h"

/* Stripe's error object, https://docs.stripe.com/api/errors. Texts that are NULL or empty are left out. */
typedef struct {
    int status;
    const char *type;
    const char *code;
    const char *decline_code;
    char param[64];
    char message[256];
} StripeError;

typedef enum { ORDER_PAYMENT_INTENT, ORDER_CHARGE } OrderKind;

typedef struct {
    OrderKind kind;
    int64_t amount;     /* minor units */
    char currency[4];   /* lower case, as Stripe writes it */
    Str payment_method; /* or source; may be empty without confirm */
    Str customer;       /* these point into the form's text */
    Str description;
    Str transaction_id; /* metadata[transaction_id] */
    Str metadata;       /* a JSON object, in the buffer given */
    bool confirm;       /* charge now; always true for a charge */
} Order;

/* False: `error` says what is wrong, with the parameter. `metadata` is where the metadata is written as JSON. */
bool order_read(const Form *form, OrderKind kind, Buffer *metadata, Order *order, StripeError *error);

StripeError order_error(int status, const char *type, const char *code, const char *param, const char *format, ...)
    PRINTF_LIKE(5, 6);

#endif
