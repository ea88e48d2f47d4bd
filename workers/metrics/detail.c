/* detail - one deployment, read from the ledger when it is asked for: decision, then everything under its own id.
 *
 * Memory is bounded by one deployment's messages while they are read, and by how many are read at once; a question
 * beyond that stays unanswered, as one that meets a bus that is away. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/base/id.h"
#include "shared/base/json.h"
#include "shared/bus/read.h"
#include "shared/wire/deployment.h"
#include "workers/metrics/listing.h"

#define DETAIL_TIMEOUT_MS 2000
#define REPLY_MAX 256
#define DETAILS_MAX 64 /* read at once */
#define LABEL_MAX 80
#define LABELS_MAX (2 * DEPLOYMENT_REGIONS_MAX) /* each region's rollout, and its way back */
#define JUDGEMENTS_MAX 200                      /* of one deployment: newer ones are not shown */
#define ORDERS_MAX 200
#define ANSWER_MAX (900 * 1024)
#define ANSWER_RESERVE (16 * 1024)
#define ARENA_LIMIT (16 * 1024 * 1024)
#define KEPT_MAX (4 * 1024 * 1024) /* bytes of judgements and orders; what comes after is not shown */
#define WHY_MAX 256

/* A rollout, or a restoring one, in one region. */
typedef struct {
    Str label; /* "us-west-2", "us-west-2:restore" */
    Rollout state;
    char why[WHY_MAX]; /* of the last event that had one */
} Place;

typedef struct {
    size_t place;
    int32_t stage;
    Str json; /* the event */
} Judgement;

struct Detail {
    Details *details;
    Detail *next;
    char reply[REPLY_MAX];
    Arena arena;   /* of what is kept until the answer */
    Arena scratch; /* of one message */
    Str id;
    BusRead *read;
    DeploymentDecision *decision;
    Place places[LABELS_MAX];
    size_t place_count;
    Judgement judgements[JUDGEMENTS_MAX];
    size_t judgement_count;
    DeploymentControl orders[ORDERS_MAX];
    size_t order_count;
    Str outcome; /* JSON; empty: none yet */
    DeploymentStatus status;
};

Str detail_print_time(Arena *arena, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm utc;
    char text[32];
    if (time_ms <= 0 || gmtime_r(&seconds, &utc) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc) == 0) {
        return STR("");
    }
    return arena_print(arena, "%s.%03dZ", text, (int)(time_ms % 1000));
}

static void detail_free(Detail *detail)
{
    Detail **place = &detail->details->first;
    while (*place != detail) {
        place = &(*place)->next;
    }
    *place = detail->next;
    detail->details->count--;
    bus_read_close(detail->read);
    arena_release(&detail->arena);
    arena_release(&detail->scratch);
    free(detail);
}

void details_close(Details *details)
{
    while (details->first != NULL) {
        detail_free(details->first);
    }
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

static Place *place_take(Detail *detail, Str label)
{
    for (size_t i = 0; i < detail->place_count; i++) {
        if (str_equal(detail->places[i].label, label)) {
            return &detail->places[i];
        }
    }
    if (detail->place_count == LABELS_MAX) {
        return NULL;
    }
    Place *place = &detail->places[detail->place_count++];
    *place = (Place){.label = arena_copy(&detail->arena, label), .state = rollout_make()};
    return place;
}

static Str stage_name(const Detail *detail, int32_t stage)
{
    const DeploymentPlan *plan = &detail->decision->plan;
    return stage >= 0 && stage < plan->stage_count ? str_from(plan->stages[stage].name) : (Str){0};
}

static void read_event(Detail *detail, const BusDelivery *message)
{
    RolloutEvent event;
    Str stage;
    if (err_is(wire_decode_rollout_event_named(&detail->scratch, message->body, &event, &stage))) {
        return;
    }
    Place *place = place_take(detail, event.region);
    if (place == NULL || !rollout_apply(&place->state, &detail->decision->plan, &event)) {
        return;
    }
    if (event.why.length != 0) {
        Buffer why = buffer_over(place->why, sizeof(place->why));
        buffer_append(&why, str_slice(event.why, 0, sizeof(place->why) - 1));
    }
    if (event.judged && detail->judgement_count < JUDGEMENTS_MAX && detail->arena.used_bytes < KEPT_MAX) {
        detail->judgements[detail->judgement_count++] = (Judgement){
            .place = (size_t)(place - detail->places),
            .stage = event.stage,
            .json = wire_print_rollout_event_json(&detail->arena, &event, stage, message->sequence),
        };
    }
}

static void read_order(Detail *detail, const BusDelivery *message)
{
    DeploymentControl control;
    if (detail->order_count < ORDERS_MAX && detail->arena.used_bytes < KEPT_MAX &&
        !err_is(wire_decode_deployment_control(&detail->arena, message->body, &control))) {
        if (control.when_ms == 0) {
            control.when_ms = message->time_ms;
        }
        detail->orders[detail->order_count++] = control;
    }
}

static void read_outcome(Detail *detail, const BusDelivery *message)
{
    DeploymentOutcome outcome;
    if (!err_is(wire_decode_deployment_outcome(&detail->scratch, message->body, &outcome))) {
        detail->status = outcome.status;
        detail->outcome = wire_print_deployment_outcome_json(&detail->arena, &outcome);
    }
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

static void put_time_or_null(JsonWriter *json, Arena *arena, const char *key, int64_t time_ms)
{
    if (time_ms > 0) {
        json_put_string(json, key, detail_print_time(arena, time_ms));
    } else {
        json_put_null(json, key);
    }
}

static void write_decision(const Detail *detail, Arena *arena, JsonWriter *json)
{
    static const char *const on_failure[] = {"halt", "rollback_all", "continue"};
    const DeploymentDecision *decision = detail->decision;
    const DeploymentSignal *signal = &decision->signal;
    json_put_string(json, "deployment_id", signal->deployment_id);
    json_put_string(json, "publisher", signal->publisher);
    json_put_string(json, "service", signal->service);
    json_put_string(json, "version", signal->version);
    json_put_string(json, "strategy", signal->strategy);
    json_put_string(json, "image", decision->image);
    json_put_string(json, "digest", decision->digest);
    json_put_string(json, "on_region_failure", str_from(on_failure[signal->on_region_failure]));
    json_put_string(json, "state", str_from(deployment_status_name(detail->status)));
    put_time_or_null(json, arena, "received", signal->received_ms);
    put_time_or_null(json, arena, "decided", decision->decided_ms);
    if (decision->plan.time_scale_e4 > 0) {
        json_put_decimal(json, "time_scale", decision->plan.time_scale_e4, 4);
    }
    json_put_int(json, "policy_revision", (int64_t)decision->policy_revision);
    json_open(json, "violations", '[');
    for (size_t i = 0; i < decision->violation_count; i++) {
        json_open(json, NULL, '{');
        json_put_string(json, "code", decision->violations[i].code);
        json_put_string(json, "detail", decision->violations[i].detail);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static bool has_room(const JsonWriter *json)
{
    return json->out->length + ANSWER_RESERVE < json->out->capacity;
}

static const char *stage_state(const Place *place, int32_t stage)
{
    if (place == NULL || stage > place->state.stage) {
        return "pending";
    }
    if (stage < place->state.stages_passed) {
        return "passed";
    }
    return rollout_phase_is_final(place->state.phase) || place->state.cause != ROLLOUT_CAUSE_NONE ? "failed"
                                                                                                  : "running";
}

static void write_stage(const Detail *detail, JsonWriter *json, const Place *place, int32_t stage)
{
    json_open(json, NULL, '{');
    json_put_string(json, "name", stage_name(detail, stage));
    json_put_int(json, "weight_percent", detail->decision->plan.stages[stage].weight_percent);
    json_put_string(json, "state", str_from(stage_state(place, stage)));
    json_open(json, "judgements", '[');
    for (size_t i = 0; place != NULL && i < detail->judgement_count; i++) {
        const Judgement *judgement = &detail->judgements[i];
        bool here = &detail->places[judgement->place] == place && judgement->stage == stage;
        if (here && json->out->length + judgement->json.length + ANSWER_RESERVE < json->out->capacity) {
            json_put_raw(json, NULL, judgement->json);
        }
    }
    json_close(json, ']');
    json_close(json, '}');
}

/* `place` NULL: nothing happened there yet. */
static void write_place(const Detail *detail, Arena *arena, JsonWriter *json, Str label, const Place *place)
{
    const Rollout idle = rollout_make();
    const Rollout *state = place != NULL ? &place->state : &idle;
    json_open(json, NULL, '{');
    json_put_string(json, "region", label);
    json_put_string(json, "phase", str_from(rollout_phase_name(state->phase)));
    json_put_bool(json, "paused", state->paused);
    json_put_string(json, "stage", place != NULL ? stage_name(detail, state->stage) : (Str){0});
    json_put_int(json, "weight_percent", state->weight_percent);
    put_time_or_null(json, arena, "started", state->started_ms);
    put_time_or_null(json, arena, "until", rollout_phase_is_final(state->phase) ? 0 : state->until_ms);
    put_time_or_null(json, arena, "ended", state->ended_ms);
    json_put_string(json, "detail", str_from(place != NULL ? place->why : ""));
    json_open(json, "stages", '[');
    for (int32_t i = 0; i < detail->decision->plan.stage_count && has_room(json); i++) {
        write_stage(detail, json, place, i);
    }
    json_close(json, ']');
    json_close(json, '}');
}

static const Place *place_find(const Detail *detail, Str label)
{
    for (size_t i = 0; i < detail->place_count; i++) {
        if (str_equal(detail->places[i].label, label)) {
            return &detail->places[i];
        }
    }
    return NULL;
}

static bool is_region(const DeploymentSignal *signal, Str label)
{
    for (size_t i = 0; i < signal->region_count; i++) {
        if (str_equal(signal->regions[i], label)) {
            return true;
        }
    }
    return false;
}

/* The regions in their order, then what went back. */
static void write_places(const Detail *detail, Arena *arena, JsonWriter *json)
{
    const DeploymentSignal *signal = &detail->decision->signal;
    json_open(json, "regions", '[');
    for (size_t i = 0; i < signal->region_count && has_room(json); i++) {
        write_place(detail, arena, json, signal->regions[i], place_find(detail, signal->regions[i]));
    }
    for (size_t i = 0; i < detail->place_count && has_room(json); i++) {
        if (!is_region(signal, detail->places[i].label)) {
            write_place(detail, arena, json, detail->places[i].label, &detail->places[i]);
        }
    }
    json_close(json, ']');
}

static void write_orders(const Detail *detail, Arena *arena, JsonWriter *json)
{
    json_open(json, "orders", '[');
    for (size_t i = 0; i < detail->order_count && has_room(json); i++) {
        const DeploymentControl *order = &detail->orders[i];
        json_open(json, NULL, '{');
        json_put_string(json, "order", str_from(rollout_order_name(order->order)));
        json_put_string(json, "who", order->who);
        json_put_string(json, "why", order->why);
        json_put_string(json, "when", detail_print_time(arena, order->when_ms));
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void detail_say(Detail *detail)
{
    Arena *arena = &detail->arena;
    Buffer out = arena_buffer(arena, ANSWER_MAX);
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '{');
    write_decision(detail, arena, &json);
    write_places(detail, arena, &json);
    write_orders(detail, arena, &json);
    if (detail->outcome.length != 0 && out.length + detail->outcome.length + ANSWER_RESERVE < out.capacity) {
        json_put_raw(&json, "outcome", detail->outcome);
    } else {
        json_put_null(&json, "outcome");
    }
    json_close(&json, '}');
    TAI_ASSERT(!out.overflow);
    bus_publish(worker_bus(detail->details->worker),
                &(BusMessage){.subject = str_from(detail->reply), .body = buffer_str(&out)});
}

static void detail_give_up(Detail *detail, Err why)
{
    log_event(worker_log(detail->details->worker), LOG_WARN, "deployment_not_read",
              LOG_FIELDS(log_text("deployment_id", detail->id), log_why(&why)));
    detail_free(detail);
}

/* --- life -----------------------------------------------------------------------------------------------------------
 */

static void detail_message(void *context, Err err, const BusDelivery *message)
{
    Detail *detail = context;
    if (message == NULL) {
        if (err_is(err)) {
            detail_give_up(detail, err);
            return;
        }
        detail_say(detail);
        detail_free(detail);
        return;
    }
    arena_reset(&detail->scratch);
    if (str_starts_with(message->subject, STR("tai.deployment.event."))) {
        read_event(detail, message);
    } else if (str_starts_with(message->subject, STR("tai.deployment.control."))) {
        read_order(detail, message);
    } else if (str_starts_with(message->subject, STR("tai.deployment.outcome."))) {
        read_outcome(detail, message);
    }
}

static void detail_read(Detail *detail, uint64_t from_sequence)
{
    detail->status = detail->decision->rejected ? DEPLOYMENT_REJECTED : DEPLOYMENT_IN_PROGRESS;
    Err err = bus_read_open(worker_bus(detail->details->worker),
                            &(BusReadOptions){
                                .stream = STR("DEPLOYMENT"),
                                .filter = arena_print(&detail->arena, "tai.deployment.*." STR_FMT, STR_ARG(detail->id)),
                                .from_sequence = from_sequence,
                            },
                            detail_message, detail, &detail->read);
    if (err_is(err)) {
        detail_give_up(detail, err);
    }
}

static void detail_decided(void *context, Err err, const BusDelivery *message)
{
    Detail *detail = context;
    if (!err_is(err) && message == NULL) {
        detail_give_up(detail, err_reject("the decision is not on the ledger"));
        return;
    }
    if (!err_is(err)) {
        err = wire_decode_deployment_decision(&detail->arena, message->body, detail->decision);
    }
    if (err_is(err)) {
        detail_give_up(detail, err);
    } else {
        detail_read(detail, message->sequence);
    }
}

/* NULL: no subject that anybody can wait on, or too many at once. */
static Detail *detail_open(Details *details, Str id, Str reply)
{
    if (reply.length >= REPLY_MAX || details->count >= DETAILS_MAX) {
        return NULL;
    }
    Detail *detail = calloc(1, sizeof(*detail));
    TAI_ASSERT(detail != NULL);
    *detail = (Detail){.details = details, .next = details->first};
    details->first = detail;
    details->count++;
    detail->arena = arena_make(64 * 1024, ARENA_LIMIT);
    detail->scratch = arena_make(16 * 1024, ARENA_LIMIT);
    bool fits = str_copy_to(reply, detail->reply, sizeof(detail->reply));
    TAI_ASSERT(fits);
    detail->id = arena_copy(&detail->arena, id);
    detail->decision = arena_alloc(&detail->arena, sizeof(*detail->decision));
    return detail;
}

/* What the signal said, for one that is not decided yet. */
static void detail_take_signal(Detail *detail, const Listed *listed)
{
    Arena *arena = &detail->arena;
    DeploymentSignal *signal = &detail->decision->signal;
    signal->deployment_id = detail->id;
    signal->service = arena_copy(arena, str_from(listed->service));
    signal->version = arena_copy(arena, str_from(listed->version));
    signal->strategy = arena_copy(arena, str_from(listed->strategy));
    Str *regions = arena_alloc_array(arena, listed->region_count, sizeof(*regions));
    signal->regions = regions;
    signal->region_count = listed->region_count;
    for (size_t i = 0; i < listed->region_count; i++) {
        regions[i] = arena_copy(arena, str_from(listed->regions[i]));
    }
    signal->received_ms = listed->updated_ms;
}

void detail_answer(Details *details, const Listed *listed, Str reply)
{
    Detail *detail = detail_open(details, str_from(listed->deployment_id), reply);
    if (detail == NULL) {
        return;
    }
    if (listed->decided) {
        bus_get(worker_bus(details->worker), STR("DEPLOYMENT"), listed->sequence, DETAIL_TIMEOUT_MS, detail_decided,
                detail);
    } else {
        detail_take_signal(detail, listed);
        detail_read(detail, listed->sequence);
    }
}

static void detail_unlisted(void *context, Err err, const BusDelivery *message)
{
    Detail *detail = context;
    if (err_is(err)) {
        detail_give_up(detail, err);
        return;
    }
    if (message != NULL) {
        read_outcome(detail, message);
    }
    bus_publish(worker_bus(detail->details->worker),
                &(BusMessage){.subject = str_from(detail->reply), .body = detail->outcome});
    detail_free(detail);
}

void detail_answer_unlisted(Details *details, Str id, Str reply)
{
    if (!id_is_token(id)) {
        bus_publish(worker_bus(details->worker), &(BusMessage){.subject = reply});
        return;
    }
    Detail *detail = detail_open(details, id, reply);
    if (detail != NULL) {
        bus_get_last(worker_bus(details->worker), STR("DEPLOYMENT"),
                     arena_print(&detail->arena, "tai.deployment.outcome." STR_FMT, STR_ARG(id)), DETAIL_TIMEOUT_MS,
                     detail_unlisted, detail);
    }
}
