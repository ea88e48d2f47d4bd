/* stripe - a request under /v1 goes through the steps in the order in which Stripe takes them. */
#include "ops/sandbox/stripe.h"

#include <string.h>

#include "ops/sandbox/object.h"

double sandbox_draw(Sandbox *sandbox)
{
    sandbox->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t bits = sandbox->random;
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    bits ^= bits >> 31;
    return (double)(bits >> 11) * 0x1.0p-53;
}

static bool stripe_happens(Sandbox *sandbox, double rate)
{
    return rate > 0 && sandbox_draw(sandbox) < rate;
}

static int64_t stripe_latency_ms(Sandbox *sandbox)
{
    int64_t jitter_ms = sandbox->behavior.latency_jitter_ms;
    return sandbox->behavior.latency_ms +
           (jitter_ms > 0 ? (int64_t)(sandbox_draw(sandbox) * (double)(jitter_ms + 1)) : 0);
}

static Answer stripe_refuse(Sandbox *sandbox, StripeError error)
{
    JsonWriter json = json_writer(&sandbox->text);
    object_write_error(&json, &error, NULL);
    return (Answer){.status = error.status, .body = buffer_str(&sandbox->text)};
}

static Answer stripe_fail(Sandbox *sandbox, int status)
{
    return stripe_refuse(sandbox, order_error(status, "api_error", NULL, NULL,
                                              "An unknown error occurred while processing the request."));
}

static Answer stripe_decline(Sandbox *sandbox, const Charge *charge)
{
    StripeError error = order_error(402, "card_error", charge->decline->code, NULL, "%s", charge->decline->message);
    error.decline_code = charge->decline->decline_code;
    JsonWriter json = json_writer(&sandbox->text);
    object_write_error(&json, &error, charge);
    return (Answer){.status = 402, .body = buffer_str(&sandbox->text)};
}

/* What became of an executed request: the same for the first answer and for every repeated one. */
static Answer stripe_result(Sandbox *sandbox, const Charge *charge)
{
    if (charge->state == CHARGE_ERRORED) {
        return stripe_fail(sandbox, 500);
    }
    if (charge->state == CHARGE_DECLINED) {
        return stripe_decline(sandbox, charge);
    }
    JsonWriter json = json_writer(&sandbox->text);
    if (charge->kind == ORDER_CHARGE) {
        object_write_charge(&json, NULL, charge);
    } else {
        object_write_intent(&json, NULL, charge);
    }
    return (Answer){.status = 200, .body = buffer_str(&sandbox->text)};
}

/* Moves the money, or not. NULL: the book is full. */
static Charge *stripe_charge(Sandbox *sandbox, const Request *request, const Order *order)
{
    const CardDecline *decline = NULL;
    ChargeState state = CHARGE_CAPTURED;
    if (stripe_happens(sandbox, sandbox->behavior.saved_error_rate)) {
        state = CHARGE_ERRORED;
    } else if (!order->confirm) {
        state = CHARGE_UNCONFIRMED;
    } else {
        bool unlucky = stripe_happens(sandbox, sandbox->behavior.decline_rate);
        decline = card_decline(order->payment_method);
        decline = decline == NULL && unlucky ? card_generic_decline() : decline;
        state = decline != NULL ? CHARGE_DECLINED : CHARGE_CAPTURED;
    }
    Charge *charge = book_add(&sandbox->book, order, state, request->idempotency_key, request->now_s);
    if (charge != NULL) {
        charge->decline = decline;
    }
    return charge;
}

static Answer stripe_execute(Sandbox *sandbox, const Request *request, const Order *order, uint64_t digest)
{
    int64_t latency_ms = stripe_latency_ms(sandbox);
    Charge *charge = stripe_charge(sandbox, request, order);
    if (charge == NULL) {
        return stripe_refuse(sandbox, order_error(507, "api_error", NULL, NULL,
                                                  "The sandbox's book is full: DELETE /sandbox/charges empties it."));
    }
    charge->digest = digest;
    charge->busy_until_ms = request->now_ms + latency_ms;
    if (charge->key.length > 0) {
        table_put(&sandbox->results, charge);
    }
    if (charge->state == CHARGE_CAPTURED && err_is(journal_append(&sandbox->journal, charge, &sandbox->scratch))) {
        return stripe_fail(sandbox, 500); /* charged, and the answer is the truth only later: as with a real outage */
    }
    bool drop = stripe_happens(sandbox, sandbox->behavior.drop_rate);
    bool forget = stripe_happens(sandbox, sandbox->behavior.error_after_rate);
    Answer answer = forget ? stripe_fail(sandbox, 500) : stripe_result(sandbox, charge);
    answer.drop = drop;
    answer.latency_ms = latency_ms;
    return answer;
}

static bool stripe_is_form(const Request *request)
{
    return request->content_type.length == 0 ||
           str_starts_with(request->content_type, STR("application/x-www-form-urlencoded"));
}

static Answer stripe_create(Sandbox *sandbox, const Request *request, OrderKind kind)
{
    if (!stripe_is_form(request) || !form_read(&sandbox->form, request->body, request->body_length)) {
        return stripe_refuse(sandbox, order_error(400, "invalid_request_error", NULL, NULL,
                                                  "Invalid request (check that your POST content type is "
                                                  "application/x-www-form-urlencoded)."));
    }
    if (request->idempotency_key.length > IDEMPOTENCY_KEY_MAX) {
        return stripe_refuse(sandbox, idempotency_error_too_long());
    }
    Charge *first = NULL;
    uint64_t digest = form_digest(&sandbox->form, request->path);
    KeyVerdict verdict =
        idempotency_judge(&sandbox->results, request->idempotency_key, digest, request->now_s, request->now_ms, &first);
    if (verdict == KEY_IN_USE || verdict == KEY_MISUSED) {
        return stripe_refuse(sandbox, idempotency_error(verdict, request->idempotency_key));
    }
    if (verdict == KEY_REPEATED) {
        Answer answer = stripe_result(sandbox, first);
        answer.replayed = true;
        answer.latency_ms = stripe_latency_ms(sandbox);
        sandbox->replayed++;
        return answer;
    }
    Order order;
    StripeError error;
    buffer_reset(&sandbox->metadata);
    if (!order_read(&sandbox->form, kind, &sandbox->metadata, &order, &error)) {
        return stripe_refuse(sandbox, error);
    }
    return stripe_execute(sandbox, request, &order, digest);
}

static Answer stripe_retrieve(Sandbox *sandbox, Str id, const char *prefix)
{
    bool is_charge = strcmp(prefix, "ch_") == 0;
    const Charge *charge = book_find(&sandbox->book, object_read_id(id, prefix));
    bool has_charge = charge != NULL && (charge->state == CHARGE_CAPTURED || charge->state == CHARGE_DECLINED);
    if (charge == NULL || charge->state == CHARGE_ERRORED || (is_charge ? !has_charge : charge->kind == ORDER_CHARGE)) {
        return stripe_refuse(sandbox,
                             order_error(404, "invalid_request_error", "resource_missing", is_charge ? "id" : "intent",
                                         "No such %s: '" STR_FMT "'", is_charge ? "charge" : "payment_intent",
                                         STR_ARG(str_slice(id, 0, 64))));
    }
    JsonWriter json = json_writer(&sandbox->text);
    if (is_charge) {
        object_write_charge(&json, NULL, charge);
    } else {
        object_write_intent(&json, NULL, charge);
    }
    return (Answer){.status = 200, .body = buffer_str(&sandbox->text), .latency_ms = stripe_latency_ms(sandbox)};
}

static Answer stripe_route(Sandbox *sandbox, const Request *request)
{
    static const Str intents = {"/v1/payment_intents", 19};
    static const Str charges = {"/v1/charges", 11};
    Str path = request->path;
    if (str_equal(request->method, STR("POST")) && str_equal(path, intents)) {
        return stripe_create(sandbox, request, ORDER_PAYMENT_INTENT);
    }
    if (str_equal(request->method, STR("POST")) && str_equal(path, charges)) {
        return stripe_create(sandbox, request, ORDER_CHARGE);
    }
    if (str_equal(request->method, STR("GET")) && str_starts_with(path, STR("/v1/payment_intents/"))) {
        return stripe_retrieve(sandbox, str_slice(path, intents.length + 1, path.length), "pi_");
    }
    if (str_equal(request->method, STR("GET")) && str_starts_with(path, STR("/v1/charges/"))) {
        return stripe_retrieve(sandbox, str_slice(path, charges.length + 1, path.length), "ch_");
    }
    return stripe_refuse(sandbox,
                         order_error(404, "invalid_request_error", NULL, NULL,
                                     "Unrecognized request URL (" STR_FMT ": " STR_FMT ").",
                                     STR_ARG(str_slice(request->method, 0, 16)), STR_ARG(str_slice(path, 0, 120))));
}

static bool stripe_is_authorized(const Sandbox *sandbox, const Request *request)
{
    return str_equal(request->authorization, str_from(sandbox->bearer)) ||
           str_equal(request->authorization, str_from(sandbox->basic));
}

static Answer stripe_check(Sandbox *sandbox, const Request *request)
{
    if (!stripe_is_authorized(sandbox, request)) {
        const char *message = request->authorization.length == 0
                                  ? "You did not provide an API key. You need to provide your API key in the "
                                    "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                                    "YOUR_SECRET_KEY')."
                                  : "Invalid API Key provided.";
        return stripe_refuse(sandbox, order_error(401, "invalid_request_error", NULL, NULL, "%s", message));
    }
    if (stripe_happens(sandbox, sandbox->behavior.throttle_rate)) {
        Answer answer = stripe_refuse(
            sandbox, order_error(429, "invalid_request_error", "rate_limit", NULL, "Request rate limit exceeded."));
        answer.retry_after_s = 1;
        return answer;
    }
    if (stripe_happens(sandbox, sandbox->behavior.failure_rate)) {
        Answer answer = stripe_fail(sandbox, 503);
        answer.latency_ms = stripe_latency_ms(sandbox);
        return answer;
    }
    return stripe_route(sandbox, request);
}

Answer stripe_answer(Sandbox *sandbox, const Request *request)
{
    sandbox->requests++;
    Answer answer = stripe_check(sandbox, request);
    if (answer.drop) {
        sandbox->dropped++;
    } else {
        sandbox->by_status[answer.status]++;
    }
    return answer;
}
