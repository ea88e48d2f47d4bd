/* stripe - Stripe's objects and error objects. */
#include "shared/wire/stripe.h"

#include "shared/wire/document.h"

/* Answers are small; what is longer is not one that we asked for. */
#define ANSWER_MAX_BYTES (256 * 1024)
#define ANSWER_DEPTH_MAX 32
/* What is kept of a text for a person. */
#define MESSAGE_MAX_BYTES 200

static Str member(Arena *arena, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value)) {
        return (Str){0};
    }
    Str text = document_string(value);
    size_t kept = 0; /* whole characters only */
    while (kept < text.length) {
        size_t length = str_utf8_length(str_slice(text, kept, text.length));
        if (length == 0 || kept + length > MESSAGE_MAX_BYTES) {
            break;
        }
        kept += length;
    }
    return arena_copy(arena, str_slice(text, 0, kept));
}

/* payment_intent: succeeded is captured, processing is not over, the others wait for what the customer must do first.
 * charge: paid says it. */
static ChargeAnswer read_object(Arena *arena, const json_t *object, PaymentGatewayResponse *response)
{
    response->id = member(arena, object, "id");
    response->status = member(arena, object, "status");
    if (response->id.length == 0 || response->status.length == 0) {
        return CHARGE_UNCLEAR;
    }
    if (str_equal(response->status, STR("succeeded"))) {
        return CHARGE_SUCCEEDED;
    }
    if (str_equal(response->status, STR("requires_action")) ||
        str_equal(response->status, STR("requires_payment_method"))) {
        response->code = STR("authentication_required");
        return CHARGE_DECLINED;
    }
    return str_equal(response->status, STR("failed")) ? CHARGE_DECLINED : CHARGE_UNCLEAR;
}

static ChargeAnswer read_error(Arena *arena, int http_status, const json_t *object, PaymentGatewayResponse *response)
{
    const json_t *error = json_object_get(object, "error");
    const json_t *intent = json_object_get(error, "payment_intent");
    response->status = member(arena, error, "type");
    response->code = member(arena, error, "code");
    response->decline_code = member(arena, error, "decline_code");
    response->message = member(arena, error, "message");
    response->id =
        json_is_string(json_object_get(error, "charge")) ? member(arena, error, "charge") : member(arena, intent, "id");
    if (str_equal(response->status, STR("card_error"))) {
        return CHARGE_DECLINED;
    }
    /* The key was used with other parameters: what came of that use is not known from this answer. */
    if (str_equal(response->status, STR("idempotency_error"))) {
        return CHARGE_UNCLEAR;
    }
    return http_status == 402 ? CHARGE_DECLINED : CHARGE_REFUSED;
}

ChargeAnswer wire_read_stripe_answer(Arena *arena, int http_status, Str body, PaymentGatewayResponse *response)
{
    response->http_status = http_status;
    if (http_status == 429) {
        return CHARGE_THROTTLED;
    }
    bool success = http_status >= 200 && http_status < 300;
    bool decisive = success || (http_status >= 400 && http_status < 500 && http_status != 408 && http_status != 409);
    json_t *object = NULL;
    Err err = decisive ? document_load(body, ANSWER_MAX_BYTES, ANSWER_DEPTH_MAX, &object) : err_none();
    if (!decisive || err_is(err)) {
        return CHARGE_UNCLEAR;
    }
    ChargeAnswer answer =
        success ? read_object(arena, object, response) : read_error(arena, http_status, object, response);
    json_decref(object);
    return answer;
}
