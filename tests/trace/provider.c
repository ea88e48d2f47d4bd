/* provider - a payment gateway that remembers keys, and goes wrong as it is told. */
#include "tests/trace/world.h"

static Str header_value(const HttpRequest *request, Str name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_starts_with(request->headers[i], name)) {
            return str_slice(request->headers[i], name.length, request->headers[i].length);
        }
    }
    return (Str){0};
}

static void provider_see_key(World *world, const HttpRequest *request)
{
    Str key = header_value(request, STR("Idempotency-Key: "));
    if (world->key.length == 0) {
        world->key = arena_copy(&world->arena, key);
    } else if (!str_equal(world->key, key)) {
        world->other_keys++;
    }
    world->received++;
}

static HttpResult provider_answer(int status, Str body)
{
    return (HttpResult){.kind = HTTP_ANSWERED, .status = status, .body = body, .duration_ms = 10};
}

/* What the key remembers is told again, as Stripe does it. */
static HttpResult provider_settled(World *world, bool declines)
{
    bool replayed = world->captured > 0 || world->declined;
    if (!replayed) {
        world->captured += declines ? 0 : 1;
        world->declined = declines;
    }
    HttpResult result =
        world->declined ? provider_answer(402, STR("{\"error\":{\"type\":\"card_error\",\"code\":\"card_declined\"}}"))
                        : provider_answer(200, STR("{\"id\":\"pi_1\",\"status\":\"succeeded\"}"));
    result.idempotent_replayed = replayed;
    return result;
}

static HttpResult provider_silence(HttpResultKind kind)
{
    return (HttpResult){.kind = kind, .duration_ms = 10, .why = "no answer"};
}

HttpResult provider_call(World *world, const HttpRequest *request)
{
    size_t number = world->call;
    CallMode mode = number < sizeof(world->calls) / sizeof(world->calls[0]) ? world->calls[number] : CALL_CHARGES;
    if (number >= world->calls_lost_from && number - world->calls_lost_from < world->calls_lost) {
        mode = CALL_IS_LOST;
    }
    world->call++;
    if (mode == CALL_IS_NOT_SENT) {
        return provider_silence(HTTP_NOT_SENT);
    }
    provider_see_key(world, request);
    HttpResult throttled = provider_answer(429, STR("{}"));
    throttled.retry_after_ms = 1000;
    switch (mode) {
    case CALL_CHARGES_UNHEARD:
        (void)provider_settled(world, false);
        return provider_silence(HTTP_LOST);
    case CALL_IS_LOST:
        return provider_silence(HTTP_LOST);
    case CALL_FAILS:
        return provider_answer(500, STR("{\"error\":{\"type\":\"api_error\"}}"));
    case CALL_THROTTLED:
        return throttled;
    case CALL_REFUSED:
        return provider_answer(400, STR("{\"error\":{\"type\":\"invalid_request_error\"}}"));
    case CALL_CHARGES:
    case CALL_DECLINES:
    case CALL_IS_NOT_SENT:
        break;
    }
    return provider_settled(world, mode == CALL_DECLINES);
}
