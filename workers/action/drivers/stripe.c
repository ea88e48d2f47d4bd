/* drivers/stripe - form-encoded, bearer key, Idempotency-Key, our ids as metadata. */
#include "workers/action/drivers/stripe.h"

#include <ctype.h>

#include "shared/base/id.h"
#include "shared/wire/stripe.h"

/* Beside a signal's own texts, of which form encoding triples a byte at most. */
#define FORM_OVERHEAD_BYTES 1024
/* Stripe takes 50 pairs, and three are ours: the last three of a full set stay on the ledger alone. */
#define OWN_METADATA 3

Err stripe_settings_check(const StripeSettings *settings)
{
    Str api = str_from(settings->api);
    if (!str_equal(api, STR("payment_intents")) && !str_equal(api, STR("charges"))) {
        return err_reject("action.charge_api: must be payment_intents or charges");
    }
    if (!str_starts_with(str_from(settings->url), STR("http://")) &&
        !str_starts_with(str_from(settings->url), STR("https://"))) {
        return err_reject("action.charge_url: must begin with http:// or https://");
    }
    for (const char *c = settings->key; *c != '\0'; c++) {
        if (!isgraph((unsigned char)*c)) {
            return err_reject("action.charge_key: must be visible ASCII");
        }
    }
    return err_none();
}

static void form_add_metadata(Buffer *form, Str key, Str value)
{
    char name[PAYMENT_METADATA_KEY_MAX + 16];
    Buffer name_text = buffer_over(name, sizeof(name));
    buffer_append(&name_text, STR("metadata["));
    buffer_append(&name_text, key);
    buffer_append(&name_text, STR("]"));
    TAI_ASSERT(!name_text.overflow);
    http_form_append(form, buffer_str(&name_text), value);
}

static void form_add_all_metadata(Buffer *form, const PaymentSignal *signal)
{
    form_add_metadata(form, STR("transaction_id"), signal->transaction_id);
    form_add_metadata(form, STR("customer_id"), signal->customer_id);
    form_add_metadata(form, STR("merchant_id"), signal->merchant_id);
    for (size_t i = 0; i < signal->metadata_count && i < PAYMENT_METADATA_MAX - OWN_METADATA; i++) {
        form_add_metadata(form, signal->metadata[i].key, signal->metadata[i].value);
    }
}

static void form_add_money(Buffer *form, Money money)
{
    char text[32];
    Buffer amount = buffer_over(text, sizeof(text));
    buffer_print(&amount, "%lld", (long long)money.minor);
    http_form_append(form, STR("amount"), buffer_str(&amount));
    char lower[4] = {0};
    for (size_t i = 0; i < 3; i++) {
        lower[i] = (char)tolower((unsigned char)money.currency[i]);
    }
    http_form_append(form, STR("currency"), str_from(lower));
}

static size_t form_size(const PaymentSignal *signal)
{
    size_t bytes = signal->description.length + signal->payment_method.length + 3 * ID_MAX_LENGTH;
    for (size_t i = 0; i < signal->metadata_count; i++) {
        bytes += signal->metadata[i].key.length + signal->metadata[i].value.length + 16;
    }
    return bytes * 3 + FORM_OVERHEAD_BYTES;
}

static Str charge_form(Arena *arena, const StripeSettings *settings, const PaymentSignal *signal)
{
    Str method = signal->payment_method.length != 0 ? signal->payment_method : str_from(settings->payment_method);
    Buffer form = arena_buffer(arena, form_size(signal));
    form_add_money(&form, signal->money);
    if (str_equal(str_from(settings->api), STR("charges"))) {
        http_form_append(&form, STR("source"), method);
    } else {
        http_form_append(&form, STR("confirm"), STR("true"));
        http_form_append(&form, STR("payment_method"), method);
        http_form_append(&form, STR("payment_method_types[]"), STR("card"));
    }
    if (signal->description.length != 0) {
        http_form_append(&form, STR("description"), signal->description);
    }
    form_add_all_metadata(&form, signal);
    TAI_ASSERT(!form.overflow);
    return buffer_str(&form);
}

HttpRequest stripe_charge_request(Arena *arena, const StripeSettings *settings, const PaymentDecision *decision)
{
    HttpRequest request = {
        .method = STR("POST"),
        .url = arena_print(arena, "%s/v1/%s", settings->url, settings->api),
        .body = charge_form(arena, settings, &decision->signal),
        .timeout_ms = settings->timeout_ms,
        .connect_timeout_ms = settings->connect_timeout_ms,
    };
    request.headers[request.header_count++] = STR("Content-Type: application/x-www-form-urlencoded");
    request.headers[request.header_count++] = arena_print(arena, "Authorization: Bearer %s", settings->key);
    request.headers[request.header_count++] =
        arena_print(arena, "Idempotency-Key: " STR_FMT, STR_ARG(decision->signal.transaction_id));
    if (settings->version[0] != '\0') {
        request.headers[request.header_count++] = arena_print(arena, "Stripe-Version: %s", settings->version);
    }
    return request;
}

ChargeAnswer stripe_charge_answer(Arena *arena, const HttpResult *result, PaymentGatewayResponse *response)
{
    *response = (PaymentGatewayResponse){0};
    switch (result->kind) {
    case HTTP_NOT_SENT:
        response->message = arena_copy(arena, str_from(result->why));
        return CHARGE_UNREACHABLE;
    case HTTP_LOST:
        response->message = arena_copy(arena, str_from(result->why));
        return CHARGE_UNCLEAR;
    case HTTP_ANSWERED:
        break;
    }
    response->replayed = result->idempotent_replayed;
    return wire_read_stripe_answer(arena, result->status, result->body, response);
}
