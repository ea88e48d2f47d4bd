/* order - parameter checks, in the order and words of Stripe. A request that fails here has not begun to execute,
 * so its answer is not kept under its idempotency key. */
#include "ops/sandbox/order.h"

#include <string.h>

#include "shared/base/json.h"
#include "shared/base/money.h"

#define INVALID "invalid_request_error"
#define AMOUNT_MAX 99999999 /* eight digits */
#define METADATA_PAIRS_MAX 50
#define METADATA_KEY_MAX 40
#define METADATA_VALUE_MAX 500
#define KEPT_TEXT_MAX 1000 /* of customer, description, payment method */

StripeError order_error(int status, const char *type, const char *code, const char *param, const char *format, ...)
{
    StripeError error = {.status = status, .type = type, .code = code};
    Buffer name = buffer_over(error.param, sizeof error.param);
    buffer_append(&name, str_slice(str_from(param), 0, sizeof error.param - 1));
    Buffer message = buffer_over(error.message, sizeof error.message);
    va_list arguments;
    va_start(arguments, format);
    buffer_vprint(&message, format, arguments);
    va_end(arguments);
    return error;
}

/* Parameters that are taken; those that end in '[' have subkeys. What does not concern a charge is ignored. */
static const char *const intent_names[] = {
    "amount",
    "currency",
    "confirm",
    "payment_method",
    "metadata[",
    "description",
    "customer",
    "off_session",
    "receipt_email",
    "return_url",
    "expand[",
    "payment_method_types[",
    "shipping[",
    "automatic_payment_methods[",
    "capture_method",
    "confirmation_method",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "error_on_requires_action",
    "payment_method_options[",
    NULL,
};

static const char *const charge_names[] = {
    "amount",         "currency", "source",        "metadata[", "description",          "customer",
    "capture",        "expand[",  "receipt_email", "shipping[", "statement_descriptor", "statement_descriptor_suffix",
    "transfer_group", NULL,
};

static bool order_knows(const char *const *names, Str field)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        Str name = str_from(names[i]);
        bool has_subkeys = name.data[name.length - 1] == '[';
        if (has_subkeys ? str_starts_with(field, name) : str_equal(field, name)) {
            return true;
        }
    }
    return false;
}

static bool order_check_names(const Form *form, OrderKind kind, StripeError *error)
{
    for (size_t i = 0; i < form->count; i++) {
        Str name = str_slice(form->fields[i].name, 0, 60);
        if (!order_knows(kind == ORDER_CHARGE ? charge_names : intent_names, form->fields[i].name)) {
            *error = order_error(400, INVALID, "parameter_unknown", NULL, "Received unknown parameter: " STR_FMT,
                                 STR_ARG(name));
            Buffer param = buffer_over(error->param, sizeof error->param);
            buffer_append(&param, name);
            return false;
        }
    }
    return true;
}

/* The least amount that Stripe takes, in minor units (https://docs.stripe.com/currencies#minimum-and-maximum). */
static int64_t order_minimum(const char *currency)
{
    static const struct {
        const char *currency;
        int64_t minimum;
    } minima[] = {
        {"usd", 50},   {"eur", 50},  {"gbp", 30},    {"jpy", 50},   {"cad", 50},  {"aud", 50},
        {"chf", 50},   {"nzd", 50},  {"sgd", 50},    {"inr", 50},   {"brl", 50},  {"sek", 300},
        {"nok", 300},  {"dkk", 250}, {"hkd", 400},   {"mxn", 1000}, {"pln", 200}, {"ron", 200},
        {"czk", 1500}, {"aed", 200}, {"huf", 17500}, {"thb", 1000}, {"myr", 200}, {"bgn", 100},
    };
    for (size_t i = 0; i < sizeof minima / sizeof *minima; i++) {
        if (strcmp(minima[i].currency, currency) == 0) {
            return minima[i].minimum;
        }
    }
    return 1;
}

static bool order_read_currency(const Form *form, Order *order, StripeError *error)
{
    Str text = form_find(form, STR("currency"));
    if (text.length == 0) {
        *error = order_error(400, INVALID, "parameter_missing", "currency", "Missing required param: currency.");
        return false;
    }
    char upper[4] = "";
    bool is_code = text.length == 3;
    for (size_t i = 0; is_code && i < 3; i++) {
        order->currency[i] = (char)(text.data[i] | 0x20);
        upper[i] = (char)(text.data[i] & ~0x20);
    }
    if (!is_code || money_currency_digits(str_from(upper)) < 0) {
        *error =
            order_error(400, INVALID, NULL, "currency", "Invalid currency: " STR_FMT, STR_ARG(str_slice(text, 0, 60)));
        return false;
    }
    return true;
}

static bool order_read_amount(const Form *form, Order *order, StripeError *error)
{
    Str text = form_find(form, STR("amount"));
    if (text.length == 0) {
        *error = order_error(400, INVALID, "parameter_missing", "amount", "Missing required param: amount.");
    } else if (!str_to_int64(text, &order->amount)) {
        *error = order_error(400, INVALID, "parameter_invalid_integer", "amount", "Invalid integer: " STR_FMT,
                             STR_ARG(str_slice(text, 0, 60)));
    } else if (order->amount < 1) {
        *error = order_error(400, INVALID, "parameter_invalid_integer", "amount",
                             "This value must be greater than or equal to 1.");
    } else if (order->amount < order_minimum(order->currency)) {
        *error = order_error(400, INVALID, "amount_too_small", "amount",
                             "Amount must be at least %lld in the smallest unit of %s.",
                             (long long)order_minimum(order->currency), order->currency);
    } else if (order->amount > AMOUNT_MAX) {
        *error = order_error(400, INVALID, "amount_too_large", "amount", "Amount must be no more than %d.", AMOUNT_MAX);
    } else {
        return true;
    }
    return false;
}

static bool order_read_flag(const Form *form, const char *name, bool otherwise, bool *flag, StripeError *error)
{
    Str text = form_find(form, str_from(name));
    *flag = text.data == NULL ? otherwise : str_equal(text, STR("true"));
    if (text.data != NULL && !*flag && !str_equal(text, STR("false"))) {
        *error = order_error(400, INVALID, NULL, name, "Invalid boolean: " STR_FMT, STR_ARG(str_slice(text, 0, 60)));
        return false;
    }
    return true;
}

static bool order_is_method(Str text)
{
    return str_starts_with(text, STR("pm_")) || str_starts_with(text, STR("tok_")) ||
           str_starts_with(text, STR("card_")) || str_starts_with(text, STR("src_"));
}

static bool order_read_method(const Form *form, Order *order, StripeError *error)
{
    const char *name = order->kind == ORDER_CHARGE ? "source" : "payment_method";
    order->payment_method = form_find(form, str_from(name));
    if (order->payment_method.length == 0 && order->confirm) {
        const char *message = order->kind == ORDER_CHARGE
                                  ? "Must provide source or customer."
                                  : "You cannot confirm this PaymentIntent because it's missing a payment method.";
        *error =
            order_error(400, INVALID, order->kind == ORDER_CHARGE ? "parameter_missing" : NULL, name, "%s", message);
        return false;
    }
    if (order->payment_method.length > 0 && !order_is_method(order->payment_method)) {
        *error = order_error(400, INVALID, "resource_missing", name, "No such %s: '" STR_FMT "'",
                             order->kind == ORDER_CHARGE ? "token" : "PaymentMethod",
                             STR_ARG(str_slice(order->payment_method, 0, 60)));
        return false;
    }
    return true;
}

/* Only charges that are captured at once are spoken of here. */
static bool order_check_capture(const Form *form, Order *order, StripeError *error)
{
    bool capture = true;
    if (order->kind == ORDER_CHARGE && !order_read_flag(form, "capture", true, &capture, error)) {
        return false;
    }
    if (!capture || str_equal(form_find(form, STR("capture_method")), STR("manual"))) {
        *error = order_error(400, INVALID, NULL, order->kind == ORDER_CHARGE ? "capture" : "capture_method",
                             "The sandbox captures at once; separate capture is not part of it.");
        return false;
    }
    return true;
}

static bool order_put_pair(JsonWriter *json, Str key, Str value, StripeError *error)
{
    char name[METADATA_KEY_MAX * 4 + 1]; /* characters of up to four bytes */
    if (key.length == 0 || memchr(key.data, '\0', key.length) != NULL || key.length > METADATA_KEY_MAX * 4 ||
        !str_copy_to(key, name, sizeof name)) {
        *error = order_error(400, INVALID, NULL, "metadata", "Metadata keys must have 1 to %d characters.",
                             METADATA_KEY_MAX);
        return false;
    }
    if (value.length > METADATA_VALUE_MAX * 4) {
        *error = order_error(400, INVALID, NULL, "metadata", "Metadata values can have up to %d characters.",
                             METADATA_VALUE_MAX);
        return false;
    }
    json_put_string(json, name, value);
    return true;
}

static bool order_read_metadata(const Form *form, Buffer *out, Order *order, StripeError *error)
{
    JsonWriter json = json_writer(out);
    size_t pairs = 0;
    json_open(&json, NULL, '{');
    for (size_t i = 0; i < form->count; i++) {
        Str key = form_subkey(form->fields[i].name, STR("metadata"));
        if (key.data == NULL) {
            continue;
        }
        if (!order_put_pair(&json, key, form->fields[i].value, error)) {
            return false;
        }
        if (str_equal(key, STR("transaction_id"))) {
            order->transaction_id = form->fields[i].value;
        }
        pairs++;
    }
    json_close(&json, '}');
    order->metadata = buffer_str(out);
    if (pairs > METADATA_PAIRS_MAX || out->overflow) {
        *error =
            order_error(400, INVALID, NULL, "metadata", "You can have up to %d metadata keys.", METADATA_PAIRS_MAX);
        return false;
    }
    return true;
}

static bool order_check_texts(const Order *order, StripeError *error)
{
    if (order->payment_method.length <= KEPT_TEXT_MAX && order->customer.length <= KEPT_TEXT_MAX &&
        order->description.length <= KEPT_TEXT_MAX) {
        return true;
    }
    *error = order_error(400, INVALID, "parameter_invalid_string_too_long", NULL, "A text has more than %d bytes.",
                         KEPT_TEXT_MAX);
    return false;
}

bool order_read(const Form *form, OrderKind kind, Buffer *metadata, Order *order, StripeError *error)
{
    *order = (Order){
        .kind = kind,
        .customer = form_find(form, STR("customer")),
        .description = form_find(form, STR("description")),
        .confirm = kind == ORDER_CHARGE,
    };
    return order_check_names(form, kind, error) && order_read_currency(form, order, error) &&
           order_read_amount(form, order, error) &&
           (kind == ORDER_CHARGE || order_read_flag(form, "confirm", false, &order->confirm, error)) &&
           order_read_method(form, order, error) && order_check_capture(form, order, error) &&
           order_check_texts(order, error) && order_read_metadata(form, metadata, order, error);
}
