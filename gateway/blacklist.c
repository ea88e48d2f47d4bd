/* blacklist - GET, PUT and DELETE /blacklist/{customer_id}: who is never to be charged.
 * The last message of a customer's subject on the ledger is the customer's state, and the ledger keeps who and when. */
#include <time.h>

#include "gateway/problem.h"
#include "gateway/reason.h"
#include "gateway/resource.h"
#include "shared/base/id.h"
#include "shared/base/json.h"
#include "shared/wire/digest.h"
#include "shared/wire/payment.h"

#define BLACKLIST_TEXT_MAX 1024

static bool blacklist_id_is_good(Request *request)
{
    if (!id_is_valid(request->id)) {
        problem_answer(request, PROBLEM_INVALID, "a customer id is 1 to %d characters out of A-Z a-z 0-9 _ . : -",
                       ID_MAX_LENGTH);
        return false;
    }
    return true;
}

static Str blacklist_subject(Request *request)
{
    Buffer out = arena_buffer(&request->arena, 32 + 3 * ID_MAX_LENGTH);
    buffer_append(&out, STR("tai.payment.blacklist."));
    id_print_as_token(request->id, &out);
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}

/* RFC 3339, UTC, milliseconds. */
static Str blacklist_time(Arena *arena, int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    TAI_ASSERT(gmtime_r(&seconds, &utc) != NULL);
    return arena_print(arena, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                       utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(unix_ms % 1000));
}

static void blacklist_answer(Request *request, const PaymentBlacklistChange *change)
{
    Buffer out = arena_buffer(&request->arena, BLACKLIST_TEXT_MAX + 6 * change->reason.length);
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '{');
    json_put_string(&json, "customer_id", change->customer_id);
    json_put_bool(&json, "listed", change->listed);
    json_put_string(&json, "who", change->who);
    json_put_string(&json, "reason", change->reason);
    json_put_string(&json, "since", blacklist_time(&request->arena, change->when_ms));
    json_close(&json, '}');
    buffer_append_char(&out, '\n');
    TAI_ASSERT(!out.overflow);
    request_answer(request, 200, MEDIA_JSON, buffer_str(&out));
}

static void blacklist_got(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    PaymentBlacklistChange change = {0};
    if (!err_is(err) && message != NULL) {
        err = wire_decode_payment_blacklist(&request->arena, message->body, &change);
    }
    if (err_is(err)) {
        log_event(request->gateway->log, LOG_WARN, "blacklist_unreadable", LOG_FIELDS(log_why(&err)));
        problem_answer(request, PROBLEM_UNAVAILABLE, "the blacklist cannot be read at the moment");
    } else if (change.listed) {
        blacklist_answer(request, &change);
    } else {
        problem_answer(request, PROBLEM_NOT_FOUND, "this customer is not on the blacklist");
    }
}

void blacklist_get(Request *request)
{
    if (blacklist_id_is_good(request)) {
        request_get_last(request, STR("PAYMENT"), blacklist_subject(request), blacklist_got);
    }
}

static void blacklist_stored(void *context, Err err, const BusStored *stored)
{
    Request *request = context;
    const PaymentBlacklistChange *change = request->state;
    (void)stored;
    if (!request_is_back(request)) {
        return;
    }
    if (err_is(err)) {
        log_event(request->gateway->log, LOG_WARN, "blacklist_not_stored", LOG_FIELDS(log_why(&err)));
        problem_answer(request, PROBLEM_UNAVAILABLE, "the bus did not confirm the change: it may be repeated safely");
    } else if (change->listed) {
        blacklist_answer(request, change);
    } else {
        request_answer(request, 204, NULL, (Str){0});
    }
}

static void blacklist_change(Request *request, bool listed, Str reason)
{
    PaymentBlacklistChange *change = arena_alloc(&request->arena, sizeof(*change));
    *change = (PaymentBlacklistChange){.customer_id = request->id,
                                       .listed = listed,
                                       .who = STR(CALLER_ANONYMOUS),
                                       .reason = reason,
                                       .when_ms = loop_unix_ms(request->gateway->loop)};
    request->state = change;
    uint8_t entropy[10];
    char msg_id[ID_ULID_LENGTH + 1];
    gateway_entropy(request->gateway, entropy, sizeof(entropy));
    id_ulid_print((uint64_t)change->when_ms, entropy, msg_id);
    BusMessage message = {.subject = blacklist_subject(request),
                          .body = wire_encode_payment_blacklist(&request->arena, change)};
    bus_message_add(&message, BUS_HEADER_MSG_ID, str_from(msg_id));
    bus_message_add(&message, BUS_HEADER_TRACE, request_traceparent(request));
    bus_message_add(&message, BUS_HEADER_CONTENT_TYPE, STR("application/protobuf"));
    request_store(request, &message, blacklist_stored);
}

void blacklist_put(Request *request)
{
    if (!blacklist_id_is_good(request)) {
        return;
    }
    Str reason = {0};
    Err err = reason_read(&request->arena, request_body(request), &reason);
    if (err_is(err)) {
        problem_answer_reason(request, PROBLEM_INVALID, &err);
        return;
    }
    blacklist_change(request, true, reason);
}

void blacklist_delete(Request *request)
{
    if (blacklist_id_is_good(request)) {
        blacklist_change(request, false, (Str){0});
    }
}
