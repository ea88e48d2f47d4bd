/* object - Stripe's JSON: PaymentIntent, Charge and error objects, written from what the book holds. */
#ifndef SANDBOX_OBJECT_H
#define SANDBOX_OBJECT_H

#include "ops/sandbox/book.h"
#include "shared/base/json.h"

void object_write_intent(JsonWriter *json, const char *key, const Charge *charge);
void object_write_charge(JsonWriter *json, const char *key, const Charge *charge);

/* {"error": {...}}; `declined` is embedded as Stripe does, or NULL. */
void object_write_error(JsonWriter *json, const StripeError *error, const Charge *declined);

/* The number in "pi_…" or "ch_…"; 0 where it is no id of ours. */
uint64_t object_read_id(Str id, const char *prefix);
void object_print_id(char out[32], const char *prefix, uint64_t number);

#endif
