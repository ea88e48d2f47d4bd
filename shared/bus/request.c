/* request - questions that wait for one answer: requests, PubAcks, direct gets.
 * One subscription "<inbox>.*" takes all answers; the last token names the slot and its use, so that a late answer to
 * an earlier use of a slot finds nobody. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/json.h"
#include "shared/bus/private.h"

#define ERROR_WRONG_LAST_SEQUENCE 10071
#define ERROR_STREAM_FULL 10077

typedef enum { REQUEST_PLAIN, REQUEST_STORE, REQUEST_DIRECT_GET } RequestKind;

struct PendingRequest {
    Bus *bus;
    Timer timer;
    uint32_t slot;
    uint32_t use; /* odd while in use */
    RequestKind kind;
    bool sent;
    bool too_large; /* therefore not sent */
    BusReplyCallback *on_reply;
    BusStoredCallback *on_stored;
    void (*dropped)(void *context); /* instead of an answer, when the bus closes; may be NULL */
    void *context;
    PendingRequest *next_free;
};

static PendingRequest *request_take(Bus *bus)
{
    if (bus->free_requests == NULL) {
        PendingRequest *request = calloc(1, sizeof(*request));
        PendingRequest **requests = realloc(bus->requests, (bus->request_count + 1) * sizeof(PendingRequest *));
        TAI_ASSERT(request != NULL && requests != NULL);
        *request = (PendingRequest){.bus = bus, .slot = (uint32_t)bus->request_count};
        bus->requests = requests;
        bus->requests[bus->request_count++] = request;
        bus->free_requests = request;
    }
    PendingRequest *request = bus->free_requests;
    bus->free_requests = request->next_free;
    request->use++;
    request->dropped = NULL;
    return request;
}

/* Gives the slot back before the callback runs, which may well ask the next thing. */
static PendingRequest request_finish(PendingRequest *request)
{
    PendingRequest done = *request;
    timer_clear(&request->bus->timers, &request->timer);
    request->use++;
    request->next_free = request->bus->free_requests;
    request->bus->free_requests = request;
    return done;
}

static void request_fail(PendingRequest *request, Err why)
{
    PendingRequest done = request_finish(request);
    if (done.kind == REQUEST_STORE) {
        done.on_stored(done.context, why, &(BusStored){0});
    } else {
        done.on_reply(done.context, why, NULL);
    }
}

static void request_timed_out(void *context)
{
    PendingRequest *request = context;
    bool may_be_stored = request->kind == REQUEST_STORE && request->sent;
    request_fail(request, may_be_stored        ? err_unknown("no PubAck in time: it may be stored")
                          : request->sent      ? err_retry("no answer from the bus in time")
                          : request->too_large ? err_reject("larger than the bus takes: see the server's max_payload")
                                               : err_retry("could not be sent to the bus"));
}

static void stored_answer(const PendingRequest *done, const BusDelivery *reply)
{
    BusStored stored = {0};
    Str text = reply->body;
    int64_t code = 0;
    if (str_to_int64(json_find_raw(text, STR("error.code")), &code)) {
        bool may_work_later = code >= 500; /* full, out of resources, no leader just now */
        Str why = json_find_raw(text, STR("error.description"));
        (void)str_to_int64(json_find_raw(text, STR("error.err_code")), &code);
        stored.exists = code == ERROR_WRONG_LAST_SEQUENCE;
        stored.full = code == ERROR_STREAM_FULL;
        Err err = stored.full      ? err_retry("stream is full: " STR_FMT, STR_ARG(why))
                  : may_work_later ? err_retry("stream cannot store: " STR_FMT, STR_ARG(why))
                                   : err_reject("stream refused: " STR_FMT, STR_ARG(why));
        done->on_stored(done->context, err, &stored);
        return;
    }
    if (!str_to_uint64(json_find_raw(text, STR("seq")), &stored.sequence)) {
        done->on_stored(done->context, err_retry("not a PubAck"), &stored);
        return;
    }
    stored.duplicate = str_equal(json_find_raw(text, STR("duplicate")), STR("true"));
    done->on_stored(done->context, err_none(), &stored);
}

static void direct_get_answer(const PendingRequest *done, const BusDelivery *reply, int status)
{
    if (status == 404) {
        done->on_reply(done->context, err_none(), NULL);
    } else if (status != 0) {
        done->on_reply(done->context, err_retry("direct get: status %d", status), NULL);
    } else {
        BusDelivery message = bus_delivery_from_direct(reply->handle);
        done->on_reply(done->context, err_none(), &message);
    }
}

/* ".<slot>-<use>" in hex: NULL for a use that is over. */
static PendingRequest *request_named(const Bus *bus, const char *token)
{
    if (token == NULL) {
        return NULL;
    }
    char *end = NULL;
    unsigned long slot = strtoul(token + 1, &end, 16);
    unsigned long use = *end == '-' ? strtoul(end + 1, &end, 16) : 0;
    bool known = *end == '\0' && slot < bus->request_count && bus->requests[slot]->use == use;
    return known ? bus->requests[slot] : NULL;
}

static void request_answered(void *context, const BusDelivery *reply)
{
    Bus *bus = context;
    PendingRequest *request = request_named(bus, strrchr(reply->subject.data, '.')); /* nats.c ends subjects with NUL */
    if (request == NULL) {
        return;
    }
    int status = bus_delivery_status(reply);
    if (status == 503) {
        request_fail(request, err_retry("nobody answers"));
        return;
    }
    PendingRequest done = request_finish(request);
    switch (done.kind) {
    case REQUEST_PLAIN:
        done.on_reply(done.context, err_none(), reply);
        break;
    case REQUEST_STORE:
        stored_answer(&done, reply);
        break;
    case REQUEST_DIRECT_GET:
        direct_get_answer(&done, reply, status);
        break;
    }
}

Err bus_requests_open(Bus *bus)
{
    natsInbox *inbox = NULL;
    natsStatus status = natsInbox_Create(&inbox);
    if (status != NATS_OK) {
        return bus_error(status, "inbox");
    }
    bool fits = str_copy_to(str_from(inbox), bus->inbox, sizeof(bus->inbox));
    natsInbox_Destroy(inbox);
    TAI_ASSERT(fits);
    char subject[BUS_INBOX_MAX + 2];
    Buffer text = buffer_over(subject, sizeof(subject));
    buffer_print(&text, "%s.*", bus->inbox);
    return bus_subscribe(bus, buffer_str(&text), (Str){0}, request_answered, bus, &bus->replies);
}

void bus_requests_close(Bus *bus)
{
    for (size_t i = 0; i < bus->request_count; i++) {
        const PendingRequest *request = bus->requests[i];
        if (request->use % 2 == 1 && request->dropped != NULL) {
            request->dropped(request->context);
        }
        free(bus->requests[i]);
    }
    free(bus->requests);
}

static void request_send(Bus *bus, const BusMessage *message, int64_t timeout_ms, PendingRequest *request)
{
    char reply[BUS_INBOX_MAX + 24];
    Buffer text = buffer_over(reply, sizeof(reply));
    buffer_print(&text, "%s.%" PRIx32 "-%" PRIx32, bus->inbox, request->slot, request->use);
    TAI_ASSERT(!text.overflow);
    request->timer = timer_make(request_timed_out, request);
    Err err = bus_send(bus, message, reply);
    request->sent = !err_is(err);
    request->too_large = err.kind == ERR_REJECT;
    /* What could not be sent is told as a time-out that is over at once: never from inside the asking call. */
    timer_set(&bus->timers, &request->timer, bus_clock_ms() + (err_is(err) ? 0 : timeout_ms));
}

void bus_request_or_drop(Bus *bus, const BusMessage *message, int64_t timeout_ms, BusReplyCallback *callback,
                         void (*dropped)(void *context), void *context)
{
    PendingRequest *request = request_take(bus);
    request->kind = REQUEST_PLAIN;
    request->on_reply = callback;
    request->dropped = dropped;
    request->context = context;
    request_send(bus, message, timeout_ms, request);
}

void bus_request(Bus *bus, const BusMessage *message, int64_t timeout_ms, BusReplyCallback *callback, void *context)
{
    bus_request_or_drop(bus, message, timeout_ms, callback, NULL, context);
}

void bus_store(Bus *bus, const BusMessage *message, int64_t timeout_ms, BusStoredCallback *callback, void *context)
{
    PendingRequest *request = request_take(bus);
    request->kind = REQUEST_STORE;
    request->on_stored = callback;
    request->context = context;
    request_send(bus, message, timeout_ms, request);
}

static void request_direct_get(Bus *bus, Str stream, Str body, int64_t timeout_ms, BusReplyCallback *callback,
                               void *context)
{
    char api[BUS_SUBJECT_MAX];
    Buffer api_text = buffer_over(api, sizeof(api));
    buffer_print(&api_text, "$JS.API.DIRECT.GET." STR_FMT, STR_ARG(stream));
    TAI_ASSERT(!api_text.overflow);
    PendingRequest *request = request_take(bus);
    request->kind = REQUEST_DIRECT_GET;
    request->on_reply = callback;
    request->context = context;
    request_send(bus, &(BusMessage){.subject = buffer_str(&api_text), .body = body}, timeout_ms, request);
}

void bus_get_last(Bus *bus, Str stream, Str subject, int64_t timeout_ms, BusReplyCallback *callback, void *context)
{
    char body[BUS_SUBJECT_MAX + 32];
    Buffer text = buffer_over(body, sizeof(body));
    JsonWriter json = json_writer(&text);
    json_open(&json, NULL, '{');
    json_put_string(&json, "last_by_subj", subject);
    json_close(&json, '}');
    TAI_ASSERT(!text.overflow);
    request_direct_get(bus, stream, buffer_str(&text), timeout_ms, callback, context);
}

void bus_get_next(Bus *bus, Str stream, Str subject, uint64_t from_sequence, int64_t timeout_ms,
                  BusReplyCallback *callback, void *context)
{
    char body[BUS_SUBJECT_MAX + 64];
    Buffer text = buffer_over(body, sizeof(body));
    JsonWriter json = json_writer(&text);
    json_open(&json, NULL, '{');
    json_put_int(&json, "seq", (int64_t)from_sequence);
    json_put_string(&json, "next_by_subj", subject);
    json_close(&json, '}');
    TAI_ASSERT(!text.overflow);
    request_direct_get(bus, stream, buffer_str(&text), timeout_ms, callback, context);
}

void bus_get(Bus *bus, Str stream, uint64_t sequence, int64_t timeout_ms, BusReplyCallback *callback, void *context)
{
    char body[48];
    Buffer text = buffer_over(body, sizeof(body));
    buffer_print(&text, "{\"seq\":%" PRIu64 "}", sequence);
    TAI_ASSERT(!text.overflow);
    request_direct_get(bus, stream, buffer_str(&text), timeout_ms, callback, context);
}
