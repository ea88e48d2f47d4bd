/* listing - the last deployments in a ring with a hash table beside it, folded from the ledger.
 *
 * Nothing of it is kept: a worker that starts reads the DEPLOYMENT ledger from its beginning, and answers from when it
 * has reached the end as it stood. What is older than the last metrics.deployments_max is forgotten here; the ledger
 * has it. */
#include "workers/metrics/listing.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/id.h"
#include "shared/base/json.h"
#include "shared/bus/read.h"
#include "shared/wire/deployment.h"
#include "shared/wire/digest.h"

#define LIST_SUBJECT "tai.query.deployment.list"
#define GET_SUBJECT "tai.query.deployment.get"
#define BUCKETS 16384
#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000
/* The server takes no message above 1 MiB; an entry with 32 regions is far below the reserve. */
#define ANSWER_MAX (900 * 1024)
#define ENTRY_RESERVE 8192

struct Listing {
    Worker *worker;
    BusRead *ledger;
    BusSubscription *lists;
    BusSubscription *gets;
    Listed **ring;
    size_t capacity; /* of the ring */
    size_t count;    /* that were ever taken in */
    Listed *buckets[BUCKETS];
    Arena arena; /* for one message or answer */
    Details details;
};

/* --- the ring -------------------------------------------------------------------------------------------------------
 */

static Listed **bucket_of(Listing *listing, Str id)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < id.length; i++) {
        hash = (hash ^ (unsigned char)id.data[i]) * UINT64_C(1099511628211);
    }
    return &listing->buckets[hash % BUCKETS];
}

static Listed *listed_find(Listing *listing, Str id)
{
    Listed *listed = *bucket_of(listing, id);
    while (listed != NULL && !str_equal(str_from(listed->deployment_id), id)) {
        listed = listed->next;
    }
    return listed;
}

static void listed_free(Listed *listed)
{
    if (listed != NULL) {
        free(listed->texts);
        free(listed);
    }
}

static void listed_forget(Listing *listing, Listed *listed)
{
    Listed **place = bucket_of(listing, str_from(listed->deployment_id));
    while (*place != listed) {
        place = &(*place)->next;
    }
    *place = listed->next;
    listed_free(listed);
}

static const char *text_put(Buffer *texts, Str text)
{
    const char *start = texts->data + texts->length;
    buffer_append(texts, text);
    buffer_append_char(texts, '\0');
    return start;
}

static void listed_name(Listed *listed, const DeploymentSignal *signal)
{
    size_t bytes =
        signal->deployment_id.length + signal->service.length + signal->version.length + signal->strategy.length + 5;
    for (size_t i = 0; i < signal->region_count; i++) {
        bytes += signal->regions[i].length + 1;
    }
    listed->texts = malloc(bytes);
    TAI_ASSERT(listed->texts != NULL);
    Buffer texts = buffer_over(listed->texts, bytes);
    listed->deployment_id = text_put(&texts, signal->deployment_id);
    listed->service = text_put(&texts, signal->service);
    listed->version = text_put(&texts, signal->version);
    listed->strategy = text_put(&texts, signal->strategy);
    listed->region_count = signal->region_count;
    for (size_t i = 0; i < signal->region_count; i++) {
        listed->regions[i] = text_put(&texts, signal->regions[i]);
    }
    TAI_ASSERT(!texts.overflow);
}

static Listed *listed_take(Listing *listing, const DeploymentSignal *signal)
{
    Listed *listed = calloc(1, sizeof(*listed));
    TAI_ASSERT(listed != NULL);
    listed_name(listed, signal);
    Listed **place = &listing->ring[listing->count++ % listing->capacity];
    if (*place != NULL) {
        listed_forget(listing, *place);
    }
    *place = listed;
    Listed **bucket = bucket_of(listing, signal->deployment_id);
    listed->next = *bucket;
    *bucket = listed;
    return listed;
}

/* --- folding --------------------------------------------------------------------------------------------------------
 */

/* <publisher>[.<id>]: a signal whose id can be known before it is decided. One of a key, or without any id, is known
 * from what the policy worker makes of it. */
static void fold_signal(Listing *listing, Str rest, const BusDelivery *message)
{
    DeploymentSignal *signal = arena_alloc(&listing->arena, sizeof(*signal));
    Str publisher;
    if (err_is(wire_decode_deployment_signal(&listing->arena, message->body, signal)) ||
        !str_next_token(&rest, '.', &publisher)) {
        return;
    }
    if (rest.length != 0) {
        signal->deployment_id = rest;
    }
    if (str_starts_with(rest, STR(DEPLOYMENT_PREFIX)) && bus_delivery_header(message, BUS_HEADER_KEY).length == 0) {
        return; /* a made id without its key is refused */
    }
    if (!id_is_token(signal->deployment_id) || listed_find(listing, signal->deployment_id) != NULL) {
        return; /* the first one stands */
    }
    Listed *listed = listed_take(listing, signal);
    listed->sequence = message->sequence;
    listed->updated_ms = message->time_ms;
}

static void fold_decision(Listing *listing, const BusDelivery *message)
{
    DeploymentDecision *decision = arena_alloc(&listing->arena, sizeof(*decision));
    if (err_is(wire_decode_deployment_decision(&listing->arena, message->body, decision))) {
        return;
    }
    Listed *listed = listed_find(listing, decision->signal.deployment_id);
    if (listed == NULL) {
        listed = listed_take(listing, &decision->signal);
    }
    if (!listed->decided) { /* the first decision stands */
        listed->decided = true;
        listed->sequence = message->sequence;
        listed->updated_ms = decision->decided_ms;
        listed->status = decision->rejected ? DEPLOYMENT_REJECTED : DEPLOYMENT_IN_PROGRESS;
    }
}

/* Names are bounded by what wrote them; one that is longer is left out rather than cut. */
static void text_keep(Str text, char *out, size_t capacity_bytes)
{
    bool fits = str_copy_to(text, out, capacity_bytes);
    (void)fits;
}

static void fold_event(Listing *listing, Str id, const BusDelivery *message)
{
    Listed *listed = listed_find(listing, id);
    RolloutEvent event;
    Str stage;
    if (listed == NULL || err_is(wire_decode_rollout_event_named(&listing->arena, message->body, &event, &stage))) {
        return;
    }
    text_keep(event.region, listed->region, sizeof(listed->region));
    text_keep(stage, listed->stage, sizeof(listed->stage));
    text_keep(str_from(rollout_event_name(event.kind)), listed->event, sizeof(listed->event));
    listed->updated_ms = event.at_ms;
    if (event.kind == ROLLOUT_EVENT_PAUSED) {
        listed->paused = true;
    } else if (event.kind == ROLLOUT_EVENT_RESUMED || event.kind == ROLLOUT_EVENT_PROMOTED ||
               event.kind == ROLLOUT_EVENT_ROLLBACK_BEGUN || event.kind == ROLLOUT_EVENT_ENDED) {
        listed->paused = false;
    }
}

static void fold_outcome(Listing *listing, Str id, const BusDelivery *message)
{
    Listed *listed = listed_find(listing, id);
    DeploymentOutcome outcome;
    if (listed != NULL && !err_is(wire_decode_deployment_outcome(&listing->arena, message->body, &outcome))) {
        listed->status = outcome.status;
        listed->updated_ms = outcome.timestamp_ms;
        listed->paused = false;
    }
}

static bool subject_is_under(Str subject, Str prefix, Str *rest)
{
    *rest = str_slice(subject, prefix.length, subject.length);
    return str_starts_with(subject, prefix);
}

static void listing_query_list(void *context, const BusDelivery *request);
static void listing_query_get(void *context, const BusDelivery *request);

/* The end as it stood: from now on there are answers. */
static void listing_begin(Listing *listing)
{
    Bus *bus = worker_bus(listing->worker);
    Err err = bus_subscribe(bus, STR(LIST_SUBJECT), STR("metrics"), listing_query_list, listing, &listing->lists);
    if (!err_is(err)) {
        err = bus_subscribe(bus, STR(GET_SUBJECT), STR("metrics"), listing_query_get, listing, &listing->gets);
    }
    if (err_is(err)) {
        log_event(worker_log(listing->worker), LOG_ERROR, "queries_not_answered", LOG_FIELDS(log_why(&err)));
    }
    log_event(worker_log(listing->worker), LOG_INFO, "deployments_listed",
              LOG_FIELDS(log_number("count", (int64_t)listing->count)));
}

static void listing_fold(void *context, Err err, const BusDelivery *message)
{
    (void)err;
    Listing *listing = context;
    Str rest;
    if (message == NULL) {
        listing_begin(listing);
        return;
    }
    arena_reset(&listing->arena);
    if (subject_is_under(message->subject, STR("tai.deployment.signal."), &rest)) {
        fold_signal(listing, rest, message);
    } else if (subject_is_under(message->subject, STR("tai.deployment.decision."), &rest)) {
        fold_decision(listing, message);
    } else if (subject_is_under(message->subject, STR("tai.deployment.event."), &rest)) {
        fold_event(listing, rest, message);
    } else if (subject_is_under(message->subject, STR("tai.deployment.outcome."), &rest)) {
        fold_outcome(listing, rest, message);
    }
}

/* --- queries --------------------------------------------------------------------------------------------------------
 */

typedef struct {
    Str service; /* empty: any */
    Str region;
    Str state;
    int64_t limit;
} Wanted;

static Str text_member(Str body, Str name)
{
    Str raw = json_find_raw(body, name);
    return raw.length >= 2 && raw.data[0] == '"' ? str_slice(raw, 1, raw.length - 1) : (Str){0};
}

static Wanted wanted_read(Str body)
{
    Wanted wanted = {
        .service = text_member(body, STR("service")),
        .region = text_member(body, STR("region")),
        .state = text_member(body, STR("state")),
    };
    Str limit = text_member(body, STR("limit")); /* "10", as a query has it, or 10 */
    if (!str_to_int64(limit.length != 0 ? limit : json_find_raw(body, STR("limit")), &wanted.limit) ||
        wanted.limit < 1) {
        wanted.limit = LIMIT_DEFAULT;
    }
    wanted.limit = wanted.limit < LIMIT_MAX ? wanted.limit : LIMIT_MAX;
    return wanted;
}

static bool listed_is_in(const Listed *listed, Str region)
{
    for (size_t i = 0; i < listed->region_count; i++) {
        if (str_equal(str_from(listed->regions[i]), region)) {
            return true;
        }
    }
    return region.length == 0;
}

static bool listed_is_wanted(const Listed *listed, const Wanted *wanted)
{
    Str state = str_from(deployment_status_name(listed->status));
    return (wanted->service.length == 0 || str_equal(str_from(listed->service), wanted->service)) &&
           (wanted->state.length == 0 || str_equal_ignore_case(state, wanted->state)) &&
           listed_is_in(listed, wanted->region);
}

static void put_text_or_null(JsonWriter *json, const char *key, const char *text)
{
    if (text[0] == '\0') {
        json_put_null(json, key);
    } else {
        json_put_string(json, key, str_from(text));
    }
}

static void listed_print(JsonWriter *json, Arena *arena, const Listed *listed)
{
    json_open(json, NULL, '{');
    json_put_string(json, "deployment_id", str_from(listed->deployment_id));
    json_put_string(json, "service", str_from(listed->service));
    json_put_string(json, "version", str_from(listed->version));
    json_put_string(json, "strategy", str_from(listed->strategy));
    json_open(json, "regions", '[');
    for (size_t i = 0; i < listed->region_count; i++) {
        json_put_string(json, NULL, str_from(listed->regions[i]));
    }
    json_close(json, ']');
    json_put_string(json, "state", str_from(deployment_status_name(listed->status)));
    json_put_bool(json, "paused", listed->paused);
    put_text_or_null(json, "region", listed->region);
    put_text_or_null(json, "stage", listed->stage);
    put_text_or_null(json, "event", listed->event);
    json_put_string(json, "updated", detail_print_time(arena, listed->updated_ms));
    json_close(json, '}');
}

static void listing_query_list(void *context, const BusDelivery *request)
{
    Listing *listing = context;
    if (request->reply.length == 0) {
        return;
    }
    arena_reset(&listing->arena);
    Wanted wanted = wanted_read(request->body);
    Buffer out = arena_buffer(&listing->arena, ANSWER_MAX);
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '[');
    size_t oldest = listing->count > listing->capacity ? listing->count - listing->capacity : 0;
    for (size_t i = listing->count; i > oldest && wanted.limit > 0; i--) {
        const Listed *listed = listing->ring[(i - 1) % listing->capacity];
        if (out.length + ENTRY_RESERVE > out.capacity) {
            break;
        }
        if (listed_is_wanted(listed, &wanted)) {
            listed_print(&json, &listing->arena, listed);
            wanted.limit--;
        }
    }
    json_close(&json, ']');
    TAI_ASSERT(!out.overflow);
    bus_publish(worker_bus(listing->worker), &(BusMessage){.subject = request->reply, .body = buffer_str(&out)});
}

/* The body is the id. */
static void listing_query_get(void *context, const BusDelivery *request)
{
    Listing *listing = context;
    if (request->reply.length == 0) {
        return;
    }
    const Listed *listed = listed_find(listing, request->body);
    if (listed != NULL) {
        detail_answer(&listing->details, listed, request->reply);
    } else {
        detail_answer_unlisted(&listing->details, request->body, request->reply);
    }
}

/* --- life -----------------------------------------------------------------------------------------------------------
 */

Err listing_open(Worker *worker, const MetricsSettings *settings, Listing **out)
{
    Listing *listing = calloc(1, sizeof(*listing));
    TAI_ASSERT(listing != NULL);
    listing->worker = worker;
    listing->details.worker = worker;
    listing->capacity = (size_t)settings->deployments_max;
    listing->ring = calloc(listing->capacity, sizeof(Listed *));
    TAI_ASSERT(listing->ring != NULL);
    listing->arena = arena_make(64 * 1024, 8 * 1024 * 1024);
    *out = listing;
    return bus_read_open(worker_bus(worker), &(BusReadOptions){.stream = STR("DEPLOYMENT"), .follow = true},
                         listing_fold, listing, &listing->ledger);
}

void listing_close(Listing *listing)
{
    if (listing == NULL) {
        return;
    }
    bus_read_close(listing->ledger);
    bus_unsubscribe(listing->lists);
    bus_unsubscribe(listing->gets);
    details_close(&listing->details);
    for (size_t i = 0; i < listing->capacity; i++) {
        listed_free(listing->ring[i]);
    }
    free(listing->ring);
    arena_release(&listing->arena);
    free(listing);
}
