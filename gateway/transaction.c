/* transaction - GET /payment/{id}: the outcome, or what is known before there is one.
 * The outcome has a subject of its own. A signal without an outcome is found by its subject where the id is a key's
 * digest, and by a short read of the ledger from the id's time where it is a ULID. */
#include "gateway/problem.h"
#include "gateway/resource.h"
#include "shared/base/id.h"
#include "shared/wire/digest.h"
#include "shared/wire/payment.h"

/* The clocks of gateway and bus may differ by this much. */
#define SEARCH_BEFORE_MS 2000
/* A PubAck that came later than this was not waited for. */
#define SEARCH_AFTER_MS 10000
/* Beyond it the search gives up and says so: 404 would be a guess. */
#define SEARCH_MESSAGES_MAX 50000
/* After a search over all publishers that took long the next one waits this many times as long. */
#define SEARCH_PAUSE_FACTOR 10
#define SEARCH_SHORT_MS 5
/* How often those look whose turn it is not. */
#define SEARCH_TURN_MS 10

typedef struct {
    PaymentSignal signal;
    Str trace_id;
    bool known;     /* the signal was found */
    bool searching; /* or is being looked for */
    bool over;      /* the client waits no longer */
    uint64_t ulid_ms;
    size_t messages_seen;
    int64_t queued_ms; /* since when it waits for its turn to search; 0: not yet */
} Transaction;

static void transaction_answer_pending(Request *request)
{
    Transaction *transaction = request->state;
    Str body = wire_print_payment_pending_json(&request->arena, &transaction->signal, transaction->trace_id,
                                               loop_unix_ms(request->gateway->loop));
    request_answer(request, 200, MEDIA_JSON, body);
}

static void transaction_answer_unknown(Request *request)
{
    problem_answer(request, PROBLEM_NOT_FOUND, "no transaction has this id");
}

static void transaction_late(void *context)
{
    problem_answer(context, PROBLEM_UNAVAILABLE, "the ledger does not answer in time");
}

/* The client waits no longer; the ledger may still take its time to say whether there is such a transaction. */
static void transaction_over(void *context)
{
    Request *request = context;
    Transaction *transaction = request->state;
    transaction->over = true;
    if (transaction->known) {
        transaction_answer_pending(request);
    } else {
        request_set_deadline(request, 2 * request->gateway->settings.query_ms, transaction_late);
    }
}

static void transaction_found(Request *request, const BusDelivery *message)
{
    PaymentOutcome outcome = {0};
    if (payment_outcome_read(request, message, &outcome)) {
        request_answer(request, 200, MEDIA_JSON, wire_print_payment_outcome_json(&request->arena, &outcome));
    }
}

/* --- the signal of a transaction without an outcome ---------------------------------------------------------- */

static void transaction_signal(Request *request, const BusDelivery *message)
{
    Transaction *transaction = request->state;
    Err err = wire_decode_payment_signal(&request->arena, message->body, &transaction->signal);
    if (err_is(err)) {
        problem_answer(request, PROBLEM_NOT_FOUND, "what was published under this id is no valid payment");
        return;
    }
    transaction->signal.transaction_id = request->id;
    if (transaction->signal.received_ms == 0) {
        transaction->signal.received_ms = message->time_ms;
    }
    TraceContext trace;
    if (trace_parse(bus_delivery_header(message, BUS_HEADER_TRACE), &trace)) {
        transaction->trace_id = arena_copy(&request->arena, str_from(trace.trace_id));
    }
    transaction->known = true;
    if (transaction->over) {
        transaction_answer_pending(request);
    }
}

static void transaction_unreadable(Request *request, const Err *err)
{
    log_event(request->gateway->log, LOG_WARN, "ledger_unreadable", LOG_FIELDS(log_why(err)));
    problem_answer(request, PROBLEM_UNAVAILABLE, "the ledger cannot be read at the moment");
}

static bool transaction_is_of(const Request *request, const BusDelivery *message)
{
    Str id = request->id;
    if (str_equal(bus_delivery_header(message, BUS_HEADER_MSG_ID), id)) {
        return true;
    }
    Str subject = message->subject;
    if (subject.length > id.length && str_equal(str_slice(subject, subject.length - id.length, subject.length), id)) {
        return true;
    }
    char derived[TRANSACTION_ID_MAX];
    transaction_id_print_sequence(STR("PAYMENT"), message->sequence, message->time_ms, derived);
    return str_equal(str_from(derived), id);
}

/* The window is read through: its place in time is past, or the end of the ledger is reached. */
static void transaction_window_ends(Request *request)
{
    bus_read_close(request->read);
    request->read = NULL;
}

static void transaction_read(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    Transaction *transaction = request->state;
    if (err_is(err)) {
        transaction_unreadable(request, &err);
        return;
    }
    bool past = message == NULL || message->time_ms > (int64_t)transaction->ulid_ms + SEARCH_AFTER_MS;
    if (past) {
        transaction_answer_unknown(request);
        return;
    }
    if (transaction_is_of(request, message)) {
        transaction_window_ends(request);
        transaction_signal(request, message);
        return;
    }
    if (++transaction->messages_seen >= SEARCH_MESSAGES_MAX) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "no outcome yet, and too much around it to find its signal");
    }
}

static void transaction_search_time(Request *request)
{
    const Transaction *transaction = request->state;
    BusReadOptions options = {.stream = STR("PAYMENT"),
                              .filter = STR("tai.payment.signal.>"),
                              .from_time_ms = (int64_t)transaction->ulid_ms - SEARCH_BEFORE_MS};
    Err err = bus_read_open(request->gateway->bus, &options, transaction_read, request, &request->read);
    if (err_is(err)) {
        transaction_unreadable(request, &err);
    }
}

static void transaction_searched_all(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    Gateway *gateway = request->gateway;
    int64_t now_ms = loop_now_ms(gateway->loop);
    int64_t took_ms = now_ms - gateway->search_began_ms;
    gateway->searching = false;
    gateway->search_after_ms = took_ms <= SEARCH_SHORT_MS ? now_ms : now_ms + SEARCH_PAUSE_FACTOR * took_ms;
    if (!request_is_back(request)) {
        return;
    }
    if (err_is(err)) {
        transaction_unreadable(request, &err);
    } else if (message != NULL) {
        transaction_signal(request, message);
    } else {
        transaction_answer_unknown(request);
    }
}

/* The id does not tell its publisher. nats-server (2.9) finds the last message of a wildcard by going through all
 * subjects of the stream, with the stream held: 15 to 65 ms among 200,000. So there is one such search at a time, and
 * a pause after it; the others wait for their turn, within bounds. */
static void transaction_search_all(void *context)
{
    Request *request = context;
    Gateway *gateway = request->gateway;
    Transaction *transaction = request->state;
    int64_t now_ms = loop_now_ms(gateway->loop);
    if (!gateway->searching && now_ms >= gateway->search_after_ms) {
        gateway->searching = true;
        gateway->search_began_ms = now_ms;
        Str subject = arena_print(&request->arena, "tai.payment.signal.*." STR_FMT, STR_ARG(request->id));
        request_get_last(request, STR("PAYMENT"), subject, transaction_searched_all);
        return;
    }
    if (transaction->queued_ms == 0) {
        transaction->queued_ms = now_ms;
    }
    if (now_ms - transaction->queued_ms >= gateway->settings.query_ms) {
        problem_answer(request, PROBLEM_OVERLOADED, "no outcome yet, and its signal cannot be looked for right now");
        return;
    }
    request->pause = timer_make(transaction_search_all, request);
    loop_timer_set(gateway->loop, &request->pause, SEARCH_TURN_MS);
}

static void transaction_searched_own(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    if (err_is(err)) {
        transaction_unreadable(request, &err);
    } else if (message != NULL) {
        transaction_signal(request, message);
    } else {
        transaction_search_all(request);
    }
}

static void transaction_absent(Request *request, const Err *why)
{
    Transaction *transaction = request->state;
    if (err_is(*why) && transaction->over) {
        transaction_unreadable(request, why);
        return;
    }
    if (err_is(*why) || transaction->searching) {
        return;
    }
    transaction->searching = true;
    Str ulid = str_slice(request->id, sizeof("txn_") - 1, request->id.length);
    if (id_ulid_time(ulid, &transaction->ulid_ms)) {
        transaction_search_time(request);
        return;
    }
    Str subject =
        arena_print(&request->arena, "tai.payment.signal." CALLER_ANONYMOUS "." STR_FMT, STR_ARG(request->id));
    request_get_last(request, STR("PAYMENT"), subject, transaction_searched_own);
}

/* --- GET ----------------------------------------------------------------------------------------------------- */

static bool transaction_id_is_good(Request *request)
{
    if (!id_is_valid(request->id)) {
        problem_answer(request, PROBLEM_INVALID, "a transaction id is 1 to %d characters out of A-Z a-z 0-9 _ . : -",
                       ID_MAX_LENGTH);
        return false;
    }
    if (!id_is_token(request->id)) {
        transaction_answer_unknown(request);
        return false;
    }
    return true;
}

static bool transaction_wait(Request *request, int64_t wait_ms)
{
    if (!request_take_place(request)) {
        return false;
    }
    request_set_deadline(request, wait_ms, transaction_over);
    Err err = watch_listen(request, STR("PAYMENT"), payment_outcome_subject(request, request->id));
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the bus cannot be listened to");
    }
    return !err_is(err);
}

void transaction_get(Request *request)
{
    if (!transaction_id_is_good(request)) {
        return;
    }
    Transaction *transaction = arena_alloc(&request->arena, sizeof(*transaction));
    request->state = transaction;
    request->watch.found = transaction_found;
    request->watch.absent = transaction_absent;
    int64_t wait_ms = field_prefer_wait_ms(&request->fields.prefer, 0);
    if (wait_ms == 0) {
        watch_prepare(request, STR("PAYMENT"), payment_outcome_subject(request, request->id));
        transaction_over(request);
    } else if (!transaction_wait(request, wait_ms)) {
        return;
    }
    watch_look(request);
}
