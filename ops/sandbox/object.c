/* object - the members that integrations read, with the values Stripe gives a card payment that is captured at once. */
#include "ops/sandbox/object.h"

#include <string.h>

#define ID_MARK "3Sandbox"

void object_print_id(char out[32], const char *prefix, uint64_t number)
{
    Buffer text = buffer_over(out, 32);
    buffer_print(&text, "%s" ID_MARK "%012llu", prefix, (unsigned long long)number);
}

uint64_t object_read_id(Str id, const char *prefix)
{
    uint64_t number = 0;
    size_t start = strlen(prefix) + strlen(ID_MARK);
    bool ours = id.length == start + 12 && str_starts_with(id, str_from(prefix)) &&
                str_starts_with(str_slice(id, strlen(prefix), id.length), STR(ID_MARK));
    return ours && str_to_uint64(str_slice(id, start, id.length), &number) ? number : 0;
}

static void object_write_text(JsonWriter *json, const char *key, Str text)
{
    if (text.length > 0) {
        json_put_string(json, key, text);
    } else {
        json_put_null(json, key);
    }
}

static void object_write_id(JsonWriter *json, const char *key, const char *prefix, const Charge *charge)
{
    char id[32];
    object_print_id(id, prefix, charge->number);
    json_put_string(json, key, str_from(id));
}

static Str object_method_type(const Charge *charge)
{
    return str_starts_with(charge->payment_method, STR("pm_")) ? charge->payment_method : (Str){0};
}

static void object_write_decline(JsonWriter *json, const char *key, const Charge *charge)
{
    if (charge->state != CHARGE_DECLINED) {
        json_put_null(json, key);
        return;
    }
    json_open(json, key, '{');
    json_put_string(json, "type", STR("card_error"));
    json_put_string(json, "code", str_from(charge->decline->code));
    if (charge->decline->decline_code != NULL) {
        json_put_string(json, "decline_code", str_from(charge->decline->decline_code));
    }
    json_put_string(json, "message", str_from(charge->decline->message));
    object_write_id(json, "charge", "ch_", charge);
    json_close(json, '}');
}

static Str object_intent_status(const Charge *charge)
{
    if (charge->state == CHARGE_CAPTURED) {
        return STR("succeeded");
    }
    bool can_confirm = charge->state == CHARGE_UNCONFIRMED && charge->payment_method.length > 0;
    return can_confirm ? STR("requires_confirmation") : STR("requires_payment_method");
}

static void object_write_secret(JsonWriter *json, const Charge *charge)
{
    char id[32];
    char secret[64];
    object_print_id(id, "pi_", charge->number);
    Buffer text = buffer_over(secret, sizeof secret);
    buffer_print(&text, "%s_secret_sandbox", id);
    json_put_string(json, "client_secret", buffer_str(&text));
}

void object_write_intent(JsonWriter *json, const char *key, const Charge *charge)
{
    bool captured = charge->state == CHARGE_CAPTURED;
    json_open(json, key, '{');
    object_write_id(json, "id", "pi_", charge);
    json_put_string(json, "object", STR("payment_intent"));
    json_put_int(json, "amount", charge->amount);
    json_put_int(json, "amount_capturable", 0);
    json_put_int(json, "amount_received", captured ? charge->amount : 0);
    json_put_null(json, "canceled_at");
    json_put_string(json, "capture_method", STR("automatic"));
    object_write_secret(json, charge);
    json_put_string(json, "confirmation_method", STR("automatic"));
    json_put_int(json, "created", charge->created_s);
    json_put_string(json, "currency", str_from(charge->currency));
    object_write_text(json, "customer", charge->customer);
    object_write_text(json, "description", charge->description);
    object_write_decline(json, "last_payment_error", charge);
    if (charge->state == CHARGE_UNCONFIRMED) {
        json_put_null(json, "latest_charge");
    } else {
        object_write_id(json, "latest_charge", "ch_", charge);
    }
    json_put_bool(json, "livemode", false);
    json_put_raw(json, "metadata", charge->metadata);
    json_put_null(json, "next_action");
    object_write_text(json, "payment_method", charge->state == CHARGE_DECLINED ? (Str){0} : charge->payment_method);
    json_put_raw(json, "payment_method_types", STR("[\"card\"]"));
    json_put_string(json, "status", object_intent_status(charge));
    json_close(json, '}');
}

static void object_write_outcome(JsonWriter *json, const Charge *charge)
{
    bool captured = charge->state == CHARGE_CAPTURED;
    json_open(json, "outcome", '{');
    json_put_string(json, "network_status", captured ? STR("approved_by_network") : STR("declined_by_network"));
    object_write_text(json, "reason", captured ? (Str){0} : str_from(charge->decline->decline_code));
    json_put_string(json, "risk_level", STR("normal"));
    json_put_string(json, "seller_message",
                    captured ? STR("Payment complete.")
                             : STR("The bank did not return any further details with this decline."));
    json_put_string(json, "type", captured ? STR("authorized") : STR("issuer_declined"));
    json_close(json, '}');
}

static void object_write_card(JsonWriter *json, const Charge *charge)
{
    json_open(json, "payment_method_details", '{');
    json_open(json, "card", '{');
    json_put_string(json, "brand", str_from(card_brand(charge->payment_method)));
    json_put_string(json, "country", STR("US"));
    json_put_string(json, "funding", STR("credit"));
    json_put_string(json, "last4", STR("4242"));
    json_close(json, '}');
    json_put_string(json, "type", STR("card"));
    json_close(json, '}');
}

void object_write_charge(JsonWriter *json, const char *key, const Charge *charge)
{
    bool captured = charge->state == CHARGE_CAPTURED;
    json_open(json, key, '{');
    object_write_id(json, "id", "ch_", charge);
    json_put_string(json, "object", STR("charge"));
    json_put_int(json, "amount", charge->amount);
    json_put_int(json, "amount_captured", captured ? charge->amount : 0);
    json_put_int(json, "amount_refunded", 0);
    json_put_bool(json, "captured", captured);
    json_put_int(json, "created", charge->created_s);
    json_put_string(json, "currency", str_from(charge->currency));
    object_write_text(json, "customer", charge->customer);
    object_write_text(json, "description", charge->description);
    json_put_bool(json, "disputed", false);
    object_write_text(json, "failure_code", captured ? (Str){0} : str_from(charge->decline->code));
    object_write_text(json, "failure_message", captured ? (Str){0} : str_from(charge->decline->message));
    json_put_bool(json, "livemode", false);
    json_put_raw(json, "metadata", charge->metadata);
    object_write_outcome(json, charge);
    json_put_bool(json, "paid", captured);
    if (charge->kind == ORDER_PAYMENT_INTENT) {
        object_write_id(json, "payment_intent", "pi_", charge);
    } else {
        json_put_null(json, "payment_intent");
    }
    object_write_text(json, "payment_method", object_method_type(charge));
    object_write_card(json, charge);
    json_put_bool(json, "refunded", false);
    json_put_string(json, "status", captured ? STR("succeeded") : STR("failed"));
    json_close(json, '}');
}

static void object_write_member(JsonWriter *json, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_put_string(json, key, str_from(text));
    }
}

void object_write_error(JsonWriter *json, const StripeError *error, const Charge *declined)
{
    json_open(json, NULL, '{');
    json_open(json, "error", '{');
    if (declined != NULL) {
        object_write_id(json, "charge", "ch_", declined);
    }
    object_write_member(json, "code", error->code);
    object_write_member(json, "decline_code", error->decline_code);
    object_write_member(json, "message", error->message);
    object_write_member(json, "param", error->param);
    if (declined != NULL && declined->kind == ORDER_PAYMENT_INTENT) {
        object_write_intent(json, "payment_intent", declined);
    }
    object_write_member(json, "type", error->type);
    json_close(json, '}');
    json_close(json, '}');
}
