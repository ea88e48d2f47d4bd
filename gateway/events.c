/* events - GET /deployments/{id}/events: what happened, from the ledger.
 * A JSON array of what there is, or with Accept: text/event-stream the same as server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html) and what comes until the outcome, which is the last.
 * An event's id is its sequence in the ledger; Last-Event-ID goes on behind it. */
#include "gateway/problem.h"
#include "gateway/resource.h"
#include "gateway/stream.h"
#include "shared/base/id.h"
#include "shared/wire/deployment.h"

#define EVENTS_STREAM "DEPLOYMENT"
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

static Str events_subject(Request *request, const char *kind)
{
    return arena_print(&request->arena, "tai.deployment.%s." STR_FMT, kind, STR_ARG(request->id));
}

static BusReadOptions events_options(Request *request, const char *kind, uint64_t after)
{
    return (BusReadOptions){
        .stream = STR(EVENTS_STREAM),
        .filter = events_subject(request, kind),
        .from_sequence = after == 0 ? 0 : after + 1,
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

static void history_end(Request *request)
{
    History *history = request->state;
    if (history->count == 0) {
        buffer_append(&history->text, STR("["));
    }
    buffer_append(&history->text, STR("]\n"));
    request_answer(request, 200, MEDIA_JSON, buffer_str(&history->text));
}

/* A deployment that waits in its region's queue has no events; one that nobody asked for has no history. */
static void history_known(Request *request, Err err, Str known)
{
    if (!err_is(err) && known.length == 0) {
        problem_answer(request, PROBLEM_NOT_FOUND, "no deployment has this id");
        return;
    }
    history_end(request);
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
        deployments_look_up(request, history_known);
        return;
    }
    history_end(request);
}

static void history_get(Request *request)
{
    History *history = arena_alloc(&request->arena, sizeof(*history));
    history->text = arena_buffer(&request->arena, 1024);
    request->state = history;
    BusReadOptions options = events_options(request, "event", 0);
    Err err = bus_read_open(request->gateway->bus, &options, history_read, request, &request->read);
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the ledger cannot be read at the moment");
    }
}

/* --- live --------------------------------------------------------------------------------------------------------- */

/* The stream ends when the deployment does; a client that comes back behind the end is told with 204 that there is
 * nothing to come back for, as the standard has it. */
typedef struct {
    uint64_t after; /* the client has seen what came until here */
    bool caught_up; /* what was stored when the read began is sent */
    bool over;      /* the outcome stands */
} Live;

static void live_send(Stream *stream, Arena *arena, const BusDelivery *message, const char *kind, Str text)
{
    stream_write(stream, arena_print(arena, "id: %llu\nevent: %s\ndata: " STR_FMT "\n\n",
                                     (unsigned long long)message->sequence, kind, STR_ARG(text)));
}

static void live_send_message(Stream *stream, Arena *arena, const BusDelivery *message)
{
    Live *live = stream_request(stream)->state;
    DeploymentOutcome outcome = {0};
    Str text;
    if (str_starts_with(message->subject, STR("tai.deployment.event.")) &&
        !err_is(event_print(arena, message, &text))) {
        live_send(stream, arena, message, "rollout", text);
    }
    if (str_starts_with(message->subject, STR("tai.deployment.outcome."))) {
        live->over = true;
        if (!err_is(wire_decode_deployment_outcome(arena, message->body, &outcome))) {
            live_send(stream, arena, message, "outcome", wire_print_deployment_outcome_json(arena, &outcome));
        }
    }
}

static void live_read(void *context, Err err, const BusDelivery *message)
{
    Stream *stream = context;
    Live *live = stream_request(stream)->state;
    if (!err_is(err) && message == NULL) {
        live->caught_up = true;
    } else if (!err_is(err)) {
        Arena arena = arena_make(EVENT_BYTES_MAX, 16 * EVENT_BYTES_MAX);
        live_send_message(stream, &arena, message);
        arena_release(&arena);
    }
    if (live->caught_up && live->over) {
        stream_end(stream);
    }
}

static void live_open(Request *request)
{
    const Live *live = request->state;
    BusReadOptions options = events_options(request, "*", live->after);
    options.follow = true;
    stream_answer(request, "text/event-stream", &options, live_read);
}

static void live_known(Request *request, Err err, Str known)
{
    if (!err_is(err) && known.length == 0) {
        problem_answer(request, PROBLEM_NOT_FOUND, "no deployment has this id");
        return;
    }
    live_open(request);
}

/* The deployment is over; going back from a success makes events even then. */
static void live_last_event(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    Live *live = request->state;
    if (!request_is_back(request)) {
        return;
    }
    if (!err_is(err) && (message == NULL || message->sequence <= live->after)) {
        request_answer(request, 204, NULL, (Str){0});
        return;
    }
    live->over = true;
    live_open(request);
}

static void live_outcome(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    const Live *live = request->state;
    if (!request_is_back(request)) {
        return;
    }
    if (!err_is(err) && message != NULL && message->sequence <= live->after) {
        request_get_last(request, STR(EVENTS_STREAM), events_subject(request, "event"), live_last_event);
        return;
    }
    live_open(request);
}

static void live_get(Request *request)
{
    Live *live = arena_alloc(&request->arena, sizeof(*live));
    Str last = request->fields.last_event_id;
    request->state = live;
    if (last.length == 0) {
        deployments_look_up(request, live_known);
    } else if (!str_to_uint64(last, &live->after)) {
        problem_answer(request, PROBLEM_INVALID, "Last-Event-ID is not an id of these events");
    } else {
        request_get_last(request, STR(EVENTS_STREAM), events_subject(request, "outcome"), live_outcome);
    }
}

void events_get(Request *request)
{
    if (!id_is_token(request->id)) {
        problem_answer(request, PROBLEM_NOT_FOUND, "no deployment has this id");
    } else if (field_accepts(request->fields.accept, STR("text/event-stream"))) {
        live_get(request);
    } else {
        history_get(request);
    }
}
