/* request - one HTTP request from its first line to its last byte out. */
#include "gateway/request.h"

#include <microhttpd.h>
#include <stdlib.h>

#include "gateway/problem.h"
#include "gateway/server.h"
#include "gateway/stream.h"

/* Holds a common payment whole: its text, its message, its outcome and its answer. */
#define REQUEST_BLOCK_BYTES 8192
/* Far above what the bounds on bodies and messages can add up to. */
#define REQUEST_LIMIT_BYTES 8388608

static void list_put(Request **list, Request *request)
{
    request->previous = NULL;
    request->next = *list;
    if (*list != NULL) {
        (*list)->previous = request;
    }
    *list = request;
}

static void list_take(Request **list, Request *request)
{
    if (request->previous != NULL) {
        request->previous->next = request->next;
    } else {
        *list = request->next;
    }
    if (request->next != NULL) {
        request->next->previous = request->previous;
    }
}

Request *request_open(Gateway *gateway, Server *server, struct MHD_Connection *connection)
{
    Request *request = gateway->spare;
    if (request != NULL) {
        list_take(&gateway->spare, request);
        gateway->spare_count--;
    } else {
        request = malloc(sizeof(*request));
        TAI_ASSERT(request != NULL);
        request->arena = arena_make(REQUEST_BLOCK_BYTES, REQUEST_LIMIT_BYTES);
    }
    Arena arena = request->arena;
    *request = (Request){.gateway = gateway, .server = server, .connection = connection, .arena = arena};
    list_put(&gateway->open, request);
    gateway->open_count++;
    return request;
}

/* Gives back everything that could still call. */
static void request_settle(Request *request)
{
    Gateway *gateway = request->gateway;
    loop_timer_clear(gateway->loop, &request->deadline);
    loop_timer_clear(gateway->loop, &request->pause);
    waiting_give_back(&gateway->waiting, request->token);
    request->token = 0;
    watch_end(request);
    bus_read_close(request->read);
    request->read = NULL;
}

static void request_recycle_when_unused(Request *request)
{
    Gateway *gateway = request->gateway;
    if (request->connection != NULL || request->outstanding > 0) {
        return;
    }
    list_take(&gateway->open, request);
    gateway->open_count--;
    if (gateway->spare_count >= (size_t)gateway->settings.max_waiting) {
        arena_release(&request->arena);
        free(request);
        return;
    }
    arena_reset(&request->arena);
    list_put(&gateway->spare, request);
    gateway->spare_count++;
}

void request_close(Request *request)
{
    request_settle(request);
    stream_close(request->stream);
    request->stream = NULL;
    request->connection = NULL;
    request_recycle_when_unused(request);
}

static void list_release(Request *list)
{
    while (list != NULL) {
        Request *next = list->next;
        arena_release(&list->arena);
        free(list);
        list = next;
    }
}

void request_release_all(Gateway *gateway)
{
    list_release(gateway->open);
    list_release(gateway->spare);
    gateway->open = NULL;
    gateway->spare = NULL;
}

static void trace_begin(Request *request, Str traceparent)
{
    uint8_t entropy[24];
    gateway_entropy(request->gateway, entropy, sizeof(entropy));
    trace_make(entropy, &request->trace);
    TraceContext caller;
    if (trace_parse(traceparent, &caller)) {
        for (size_t i = 0; i < sizeof(caller.trace_id); i++) {
            request->trace.trace_id[i] = caller.trace_id[i];
        }
        request->trace.sampled = caller.sampled;
    }
}

typedef struct {
    Request *request;
    Str traceparent;
    unsigned lengths;
} HeaderReader;

static void read_length(RequestFields *fields, HeaderReader *reader, Str value)
{
    reader->lengths++;
    fields->ambiguous |=
        reader->lengths > 1 || !str_to_int64(str_trim(value), &fields->content_length) || fields->content_length < 0;
}

static enum MHD_Result read_field(void *context, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                  const char *value, size_t value_length)
{
    (void)kind;
    HeaderReader *reader = context;
    RequestFields *fields = &reader->request->fields;
    Str key = {name, name_length};
    Str text = {value, value_length};
    if (str_equal_ignore_case(key, STR("Content-Type"))) {
        fields->content_type = text;
    } else if (str_equal_ignore_case(key, STR("Content-Length"))) {
        read_length(fields, reader, text);
    } else if (str_equal_ignore_case(key, STR("Transfer-Encoding"))) {
        fields->chunked = true;
    } else if (str_equal_ignore_case(key, STR("Idempotency-Key"))) {
        fields->ambiguous |= fields->has_key;
        fields->has_key = true;
        fields->key = str_trim(text);
    } else if (str_equal_ignore_case(key, STR("Prefer"))) {
        field_prefer_read(text, &fields->prefer);
    } else if (str_equal_ignore_case(key, STR("traceparent"))) {
        reader->traceparent = str_trim(text);
    } else if (str_equal_ignore_case(key, STR("Accept"))) {
        fields->accept = text;
    } else if (str_equal_ignore_case(key, STR("If-Match"))) {
        fields->if_match = text;
    } else if (str_equal_ignore_case(key, STR("If-None-Match"))) {
        fields->if_none_match = text;
    } else if (str_equal_ignore_case(key, STR("Last-Event-ID"))) {
        fields->last_event_id = str_trim(text);
    } else if (str_equal_ignore_case(key, STR("Host"))) {
        fields->has_host = true;
    } else if (str_equal_ignore_case(key, STR("Expect"))) {
        fields->expects_continue = true;
    }
    return MHD_YES;
}

void request_read_header(Request *request, Str method, Str path)
{
    request->method = method;
    request->path = path;
    request->fields = (RequestFields){.content_length = -1, .prefer = field_prefer_none()};
    HeaderReader reader = {.request = request};
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, read_field, &reader);
    request->fields.ambiguous |= request->fields.chunked && reader.lengths > 0;
    trace_begin(request, reader.traceparent);
}

void request_answer(Request *request, unsigned status, const char *media_type, Str body)
{
    if (request->answered) {
        return;
    }
    request->answered = true;
    request->answer.status = status;
    request->answer.media_type = media_type;
    request->answer.body = body;
    request_settle(request);
    if (request->suspended) {
        server_resume(request);
    }
}

bool request_take_place(Request *request)
{
    if (!waiting_take(&request->gateway->waiting, request, &request->token)) {
        problem_answer(request, PROBLEM_OVERLOADED, "as many requests as allowed are waiting for their outcome");
        return false;
    }
    return true;
}

void request_set_deadline(Request *request, int64_t delay_ms, void (*ring)(void *request))
{
    loop_timer_clear(request->gateway->loop, &request->deadline);
    request->deadline = timer_make(ring, request);
    loop_timer_set(request->gateway->loop, &request->deadline, delay_ms);
}

void request_store(Request *request, const BusMessage *message, BusStoredCallback *callback)
{
    request->outstanding++;
    bus_store(request->gateway->bus, message, request->gateway->settings.store_ms, callback, request);
}

void request_get_last(Request *request, Str stream, Str subject, BusReplyCallback *callback)
{
    request->outstanding++;
    bus_get_last(request->gateway->bus, stream, subject, request->gateway->settings.query_ms, callback, request);
}

void request_ask(Request *request, const BusMessage *message, BusReplyCallback *callback)
{
    request->outstanding++;
    bus_request(request->gateway->bus, message, request->gateway->settings.query_ms, callback, request);
}

bool request_is_back(Request *request)
{
    request->outstanding--;
    bool wanted = !request->answered && request->connection != NULL;
    request_recycle_when_unused(request);
    return wanted;
}

bool request_query_value(Request *request, const char *name, Str *value)
{
    Str raw = str_from(MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name));
    if (raw.data == NULL) {
        return false;
    }
    Buffer text = arena_buffer(&request->arena, raw.length + 1);
    bool readable = field_unescape(raw, &text);
    *value = buffer_str(&text);
    return readable;
}

unsigned request_query_count(const Request *request)
{
    int count = MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, NULL, NULL);
    return count < 0 ? 0 : (unsigned)count;
}

Str request_traceparent(Request *request)
{
    char text[TRACEPARENT_LENGTH + 1];
    trace_print(&request->trace, text);
    return arena_copy(&request->arena, str_from(text));
}
