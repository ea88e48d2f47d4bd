/* payment - POST /payment: a signal onto the ledger, and its outcome back to the client.
 * What the bus may have taken is never answered as failed: a client that reads 4xx or 5xx as problem+json knows that
 * this request had no effect. Outcomes that are not SUCCESS (402, 403, 502, 503) carry the transaction itself, because
 * the transaction is the resource, and there is nothing wrong with the request.
 *
 * Without a key the worker that makes the outcome tells us (Tai-Reply), after it is stored. With a key any number of
 * requests may ask for the same transaction, at any gateway: each of them watches the ledger. */
#include <string.h>

#include "gateway/problem.h"
#include "gateway/resource.h"
#include "shared/wire/digest.h"
#include "shared/wire/payment.h"

typedef struct {
    PaymentSignal signal;
    char id[TRANSACTION_ID_MAX];
    Str subject; /* of the signal */
    bool keyed;
    bool accepted;    /* it is on the ledger, by this request or an earlier one */
    bool unconfirmed; /* no PubAck came in time: it may be on the ledger */
    bool over;        /* the client has waited as long as it wanted */
} Payment;

/* --- answers ------------------------------------------------------------------------------------------------- */

void payment_answer_outcome(Request *request, const PaymentOutcome *outcome)
{
    unsigned status = (unsigned)payment_http_status(outcome->status, outcome->failure);
    if (status == 503) {
        request->answer.retry_after_s = outcome->retry_after_ms > 0 ? (outcome->retry_after_ms + 999) / 1000 : 1;
    }
    request->answer.why = arena_copy(&request->arena, outcome->failure);
    request_answer(request, status, MEDIA_JSON, wire_print_payment_outcome_json(&request->arena, outcome));
}

Str payment_outcome_subject(Request *request, Str transaction_id)
{
    return arena_print(&request->arena, "tai.payment.outcome." STR_FMT, STR_ARG(transaction_id));
}

bool payment_outcome_read(Request *request, const BusDelivery *message, PaymentOutcome *outcome)
{
    Err err = wire_decode_payment_outcome(&request->arena, message->body, outcome);
    if (err_is(err)) {
        log_event(request->gateway->log, LOG_ERROR, "outcome_unreadable",
                  LOG_FIELDS(log_number("sequence", (int64_t)message->sequence), log_why(&err)));
        problem_answer(request, PROBLEM_UNAVAILABLE, "there is an outcome that this gateway cannot read");
    }
    return !err_is(err);
}

/* The bus did not say whether it has the signal: the answer says so, and where it will be seen. */
static Str payment_mark_unconfirmed(Arena *arena, Str body)
{
    while (body.length > 0 && body.data[body.length - 1] != '}') {
        body.length--;
    }
    TAI_ASSERT(body.length > 0);
    return arena_print(arena,
                       STR_FMT ",\"detail\":\"the ledger has not confirmed this payment: its location shows whether it "
                               "is there; repeat it only with the same Idempotency-Key\"}\n",
                       (int)body.length - 1, body.data);
}

static void payment_answer_pending(Request *request)
{
    Payment *payment = request->state;
    Arena *arena = &request->arena;
    Str body = wire_print_payment_pending_json(arena, &payment->signal, str_from(request->trace.trace_id),
                                               loop_unix_ms(request->gateway->loop));
    request->answer.location = arena_print(arena, "/payment/%s", payment->id);
    request_answer(request, 202, MEDIA_JSON, payment->accepted ? body : payment_mark_unconfirmed(arena, body));
}

/* Whether it is known what to say to a client that waits no longer. */
static void payment_answer_when_over(Request *request)
{
    const Payment *payment = request->state;
    if (payment->over && (payment->accepted || payment->unconfirmed)) {
        payment_answer_pending(request);
    }
}

static void payment_over(void *context)
{
    Request *request = context;
    ((Payment *)request->state)->over = true;
    payment_answer_when_over(request);
}

/* --- the signal goes out ------------------------------------------------------------------------------------- */

static void payment_add_reply(Request *request, BusMessage *message)
{
    Buffer subject = arena_buffer(&request->arena, 64);
    buffer_print(&subject, "tai.reply.%s.", worker_id(request->gateway->worker));
    waiting_token_print(request->token, &subject);
    TAI_ASSERT(!subject.overflow);
    bus_message_add(message, BUS_HEADER_REPLY, buffer_str(&subject));
}

static BusMessage payment_message(Request *request)
{
    Payment *payment = request->state;
    BusMessage message = {.subject = payment->subject,
                          .body = wire_encode_payment_signal(&request->arena, &payment->signal)};
    bus_message_add(&message, BUS_HEADER_MSG_ID, payment->signal.transaction_id);
    bus_message_add(&message, BUS_HEADER_TRACE, request_traceparent(request));
    bus_message_add(&message, BUS_HEADER_CONTENT_TYPE, STR("application/protobuf"));
    return message;
}

/* What the stream said to a signal that it does not have from an earlier request. */
static void payment_stored(Request *request, Err err, const BusStored *stored)
{
    Payment *payment = request->state;
    if (!err_is(err)) {
        payment->accepted = true;
        payment_answer_when_over(request);
        return;
    }
    (void)stored;
    if (err.kind != ERR_UNKNOWN) {
        log_event(request->gateway->log, LOG_WARN, "payment_not_stored", LOG_FIELDS(log_why(&err)));
        problem_answer(request, PROBLEM_UNAVAILABLE, "the ledger takes nothing on at the moment; nothing was done");
        return;
    }
    payment->unconfirmed = true;
    payment_answer_when_over(request);
}

/* --- without a key ------------------------------------------------------------------------------------------- */

static void payment_unkeyed_stored(void *context, Err err, const BusStored *stored)
{
    Request *request = context;
    if (request_is_back(request)) {
        payment_stored(request, err, stored);
    }
}

static void payment_replied(Request *request, const BusDelivery *message)
{
    const Payment *payment = request->state;
    PaymentOutcome outcome = {0};
    Err err = wire_decode_payment_outcome(&request->arena, message->body, &outcome);
    if (!err_is(err) && str_equal(outcome.transaction_id, payment->signal.transaction_id)) {
        payment_answer_outcome(request, &outcome);
        return;
    }
    log_event(request->gateway->log, LOG_WARN, "reply_ignored",
              LOG_FIELDS(log_text("transaction_id", payment->signal.transaction_id), log_why(&err)));
}

void payment_reply(void *context, const BusDelivery *message)
{
    Gateway *gateway = context;
    Str subject = message->subject;
    uint64_t token = 0;
    if (subject.length < 17 || !waiting_token_parse(str_slice(subject, subject.length - 16, subject.length), &token)) {
        return;
    }
    Request *request = waiting_find(&gateway->waiting, token);
    if (request != NULL && request->on_reply != NULL) {
        request->on_reply(request, message);
    }
}

static void payment_begin_unkeyed(Request *request)
{
    Payment *payment = request->state;
    uint8_t entropy[10];
    gateway_entropy(request->gateway, entropy, sizeof(entropy));
    transaction_id_print_ulid((uint64_t)payment->signal.received_ms, entropy, payment->id);
    payment->signal.transaction_id = str_from(payment->id);
    payment->subject = STR("tai.payment.signal." CALLER_ANONYMOUS);
    request->on_reply = payment_replied;
    BusMessage message = payment_message(request);
    payment_add_reply(request, &message);
    request_store(request, &message, payment_unkeyed_stored);
}

/* --- with a key ---------------------------------------------------------------------------------------------- */

static bool payment_is_of(const PaymentSignal *signal, const PaymentOutcome *outcome)
{
    return signal->money.minor == outcome->money.minor &&
           memcmp(signal->money.currency, outcome->money.currency, sizeof(signal->money.currency)) == 0 &&
           str_equal(signal->customer_id, outcome->customer_id) && str_equal(signal->merchant_id, outcome->merchant_id);
}

static void payment_answer_reused(Request *request)
{
    problem_answer(request, PROBLEM_KEY_REUSED, "an earlier request with this key asked for something else");
}

/* A publisher that came in past us may have used the id for another payment: its outcome is not this one's. */
static void payment_found(Request *request, const BusDelivery *message)
{
    const Payment *payment = request->state;
    PaymentOutcome outcome = {0};
    if (!payment_outcome_read(request, message, &outcome)) {
        return;
    }
    if (payment_is_of(&payment->signal, &outcome)) {
        payment_answer_outcome(request, &outcome);
    } else {
        payment_answer_reused(request);
    }
}

/* The signal that was there first: the same request, or another one with the same key? */
static void payment_compare(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    Payment *payment = request->state;
    if (!request_is_back(request)) {
        return;
    }
    if (err_is(err)) {
        log_event(request->gateway->log, LOG_WARN, "signal_unreadable", LOG_FIELDS(log_why(&err)));
    }
    /* No such signal: the id was used in a Nats-Msg-Id on another subject, and the outcome will tell. */
    if (!err_is(err) && message != NULL) {
        PaymentSignal earlier = {0};
        err = wire_decode_payment_signal(&request->arena, message->body, &earlier);
        if (err_is(err) || !payment_signal_same_request(&payment->signal, &earlier)) {
            payment_answer_reused(request);
            return;
        }
        payment->signal.received_ms = earlier.received_ms > 0 ? earlier.received_ms : message->time_ms;
    }
    payment->accepted = true;
    watch_look(request);
}

static void payment_not_yet(Request *request, const Err *why)
{
    (void)why;
    payment_answer_when_over(request);
}

static void payment_keyed_stored(void *context, Err err, const BusStored *stored)
{
    Request *request = context;
    const Payment *payment = request->state;
    if (!request_is_back(request)) {
        return;
    }
    if (stored != NULL && (stored->exists || stored->duplicate)) {
        request_get_last(request, STR("PAYMENT"), payment->subject, payment_compare);
        return;
    }
    payment_stored(request, err, stored);
    if (!request->answered) {
        /* The outcome may be there already: a direct publisher's Nats-Msg-Id gives the same id as our key. */
        watch_look(request);
    }
}

static void payment_begin_keyed(Request *request)
{
    Payment *payment = request->state;
    transaction_id_print_keyed(payment->signal.publisher, request->fields.key, payment->id);
    payment->signal.transaction_id = str_from(payment->id);
    payment->subject = arena_print(&request->arena, "tai.payment.signal." CALLER_ANONYMOUS ".%s", payment->id);
    request->watch.found = payment_found;
    request->watch.absent = payment_not_yet;
    Err err = watch_listen(request, STR("PAYMENT"), payment_outcome_subject(request, payment->signal.transaction_id));
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the bus cannot be listened to");
        return;
    }
    BusMessage message = payment_message(request);
    bus_message_add(&message, BUS_HEADER_KEY, request->fields.key); /* proves that the id is this caller's */
    bus_message_expect_new(&message);
    request_store(request, &message, payment_keyed_stored);
}

/* --- POST ---------------------------------------------------------------------------------------------------- */

/* Overload is told before any work is done for the request. */
static bool payment_is_admitted(Request *request)
{
    if (!admission_allows(request->gateway)) {
        problem_answer(request, PROBLEM_OVERLOADED, "the policy lane is too far behind; nothing was done");
        return false;
    }
    return request_take_place(request);
}

void payment_post(Request *request)
{
    if (request->fields.has_key && !field_is_key(request->fields.key)) {
        problem_answer(request, PROBLEM_INVALID, "Idempotency-Key must be 1 to %d visible ASCII characters",
                       FIELD_KEY_MAX);
        return;
    }
    if (!payment_is_admitted(request)) {
        return;
    }
    Payment *payment = arena_alloc(&request->arena, sizeof(*payment));
    Err err = wire_decode_payment_signal_json(&request->arena, request_body(request), &payment->signal);
    if (err_is(err)) {
        problem_answer_reason(request, PROBLEM_INVALID, &err);
        return;
    }
    Gateway *gateway = request->gateway;
    request->state = payment;
    request->on_give_up = payment_answer_pending;
    payment->keyed = request->fields.has_key;
    payment->signal.publisher = STR(CALLER_ANONYMOUS);
    payment->signal.received_ms = loop_unix_ms(gateway->loop);
    int64_t wait_ms = field_prefer_wait_ms(&request->fields.prefer, gateway->settings.wait_ms);
    payment->over = wait_ms == 0;
    if (wait_ms > 0) {
        request_set_deadline(request, wait_ms, payment_over);
    }
    if (payment->keyed) {
        payment_begin_keyed(request);
    } else {
        payment_begin_unkeyed(request);
    }
}
