/* events - GET /deployments/{id}/events: what happened, from the ledger.
 * A JSON array of what there is, or with Accept: text/event-stream the same as server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html) and, as long as the client listens, what comes. An
 * event's id is its sequence in the ledger; Last-Event-ID goes on behind it. */
#include "gateway/problem.h"
#include "gateway/resource.h"
#include "gateway/stream.h"
#include "shared/base/id.h"
#include "shared/wire/deployment.h"

#define EVENTS_MAX 5000
#define EVENT_BYTES_MAX ((size_t)16 * 1024)

typedef struct {
    Buffer text;
    size_t count;
} History;

static Err event_print(Arena *arena, const BusDelivery *message, Str *text)
{
    RolloutEvent event;
    Str stage;
    Err err = wire_decode_rollout_event_named(arena, message->body, &event, &stage);
    if (!err_is(err)) {
        *text = wire_print_rollout_event_json(arena, &event, stage, message->sequence);
    }
    return err;
}

static BusReadOptions events_options(Request *request, bool follow, uint64_t after)
{
    return (BusReadOptions){
        .stream = STR("DEPLOYMENT"),
        .filter = arena_print(&request->arena, "tai.deployment.event." STR_FMT, STR_ARG(request->id)),
        .from_sequence = after == 0 ? 0 : after + 1,
        .follow = follow,
    };
}

/* --- history ------------------------------------------------------------------------------------------------------ */

/* The text grows by doubling inside the request's arena. */
static void history_add(Request *request, History *history, Str text)
{
    Buffer *out = &history->text;
    if (out->length + text.length + 4 > out->capacity) {
        Buffer larger = arena_buffer(&request->arena, 2 * out->capacity + text.length + 4);
        buffer_append(&larger, buffer_str(out));
        *out = larger;
    }
    buffer_append(out, history->count++ == 0 ? STR("[") : STR(",\n "));
    buffer_append(out, text);
}

static void history_read(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    History *history = request->state;
    Str text;
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the ledger cannot be read at the moment");
        return;
    }
    if (message != NULL && history->count < EVENTS_MAX) {
        if (!err_is(event_print(&request->arena, message, &text))) {
            history_add(request, history, text);
        }
        return;
    }
    if (history->count == 0) {
        buffer_append(&history->text, STR("["));
    }
    buffer_append(&history->text, STR("]\n"));
    request_answer(request, 200, MEDIA_JSON, buffer_str(&history->text));
}

/* --- live --------------------------------------------------------------------------------------------------------- */

static void live_read(void *context, Err err, const BusDelivery *message)
{
    Stream *stream = context;
    Str text;
    if (err_is(err) || message == NULL) {
        return; /* the end as it stands: the read follows */
    }
    Arena arena = arena_make(EVENT_BYTES_MAX, 16 * EVENT_BYTES_MAX);
    if (!err_is(event_print(&arena, message, &text))) {
        Str event = arena_print(&arena, "id: %llu\nevent: rollout\ndata: " STR_FMT "\n\n",
                                (unsigned long long)message->sequence, STR_ARG(text));
        stream_write(stream, event);
    }
    arena_release(&arena);
}

static bool events_are_wanted_live(const Request *request)
{
    return field_accepts(request->fields.accept, STR("text/event-stream"));
}

void events_get(Request *request)
{
    if (!id_is_token(request->id)) {
        problem_answer(request, PROBLEM_NOT_FOUND, "no deployment has this id");
        return;
    }
    if (events_are_wanted_live(request)) {
        uint64_t after = 0;
        if (request->fields.last_event_id.length != 0 && !str_to_uint64(request->fields.last_event_id, &after)) {
            problem_answer(request, PROBLEM_INVALID, "Last-Event-ID is not an id of these events");
            return;
        }
        BusReadOptions options = events_options(request, true, after);
        stream_answer(request, "text/event-stream", &options, live_read);
        return;
    }
    History *history = arena_alloc(&request->arena, sizeof(*history));
    history->text = arena_buffer(&request->arena, 1024);
    request->state = history;
    BusReadOptions options = events_options(request, false, 0);
    Err err = bus_read_open(request->gateway->bus, &options, history_read, request, &request->read);
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the ledger cannot be read at the moment");
    }
}
