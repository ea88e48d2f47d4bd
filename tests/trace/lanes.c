/* lanes - the workers' runtime: delivers, performs the effects that a handler asks for, and dies where it is told.
 * One task at a time: what one delivery does between two others is of no matter to a handler, which shares nothing. */
#include <stdio.h>
#include <string.h>

#include "shared/wire/payment.h"
#include "tests/trace/world.h"

typedef enum { RUN_OPEN, RUN_ENDED, RUN_DEAD } RunState;

typedef enum { WANT_NOTHING, WANT_STORE, WANT_LAST, WANT_SEQUENCE, WANT_FEATURES, WANT_CALL, WANT_SLEEP } WantKind;

/* The one request of a task that is outstanding. */
typedef struct {
    WantKind kind;
    int tag;
    BusMessage message;
    Str subject;
    uint64_t sequence;
    HttpRequest request;
    int64_t delay_ms;
} Want;

typedef struct {
    Task task; /* first: a Task is a Run */
    World *world;
    LaneName lane;
    Record *record;
    RunState state;
    Want want;
} Run;

static Run *run_of(const Task *task)
{
    return (Run *)task;
}

/* --- dying ----------------------------------------------------------------------------------------------------------
 */

/* Counts an effect. False: the worker died before it. */
static bool run_may(Run *run, const char *effect)
{
    World *world = run->world;
    const Death *death = &world->deaths[world->death];
    world->effects++;
    if (death->effect == world->effects && !death->after) {
        world_say(world, "  dies before: %s", effect);
        run->state = RUN_DEAD;
        world->death++;
        return false;
    }
    return true;
}

/* After the effect: true where the worker died with it done. */
static bool run_dies(Run *run)
{
    World *world = run->world;
    const Death *death = &world->deaths[world->death];
    if (death->effect == world->effects && death->after) {
        world_say(world, "  dies after it");
        run->state = RUN_DEAD;
        world->death++;
        return true;
    }
    return false;
}

/* --- short names for the text ---------------------------------------------------------------------------------------
 */

/* Without "tai.payment.", and with T for a transaction's id. */
static const char *short_subject(World *world, Str subject)
{
    static const char *const by_transaction[] = {"tai.payment.outcome.", "tai.payment.claim."};
    for (size_t i = 0; i < 2; i++) {
        if (str_starts_with(subject, str_from(by_transaction[i]))) {
            return arena_print(&world->arena, "%s.T", i == 0 ? "outcome" : "claim").data;
        }
    }
    bool is_ours = str_starts_with(subject, STR("tai.payment."));
    return arena_copy(&world->arena, str_slice(subject, is_ours ? 12 : 4, subject.length)).data;
}

static const char *short_status(World *world, Str body)
{
    PaymentOutcome outcome;
    Err err = wire_decode_payment_outcome(&world->arena, body, &outcome);
    cr_assert(!err_is(err), "%s", err.why);
    return outcome.failure.length == 0 ? payment_status_name(outcome.status)
                                       : arena_print(&world->arena, "%s " STR_FMT, payment_status_name(outcome.status),
                                                     STR_ARG(outcome.failure))
                                             .data;
}

/* --- what task.h declares -------------------------------------------------------------------------------------------
 */

static Want *run_want(Task *task, WantKind kind, int tag)
{
    Run *run = run_of(task);
    TAI_ASSERT(run->state == RUN_OPEN && run->want.kind == WANT_NOTHING);
    run->want = (Want){.kind = kind, .tag = tag};
    return &run->want;
}

void task_store(Task *task, int tag, const BusMessage *message)
{
    run_want(task, WANT_STORE, tag)->message = *message;
}

void task_get_last(Task *task, int tag, Str stream, Str subject)
{
    (void)stream;
    run_want(task, WANT_LAST, tag)->subject = subject;
}

void task_get(Task *task, int tag, Str stream, uint64_t sequence)
{
    (void)stream;
    run_want(task, WANT_SEQUENCE, tag)->sequence = sequence;
}

void task_eval(Task *task, int tag, const StoreScript *script, const Str *keys, size_t key_count, const Str *arguments,
               size_t argument_count)
{
    (void)script;
    (void)keys;
    cr_assert(key_count == 2 && argument_count == 6);
    run_want(task, WANT_FEATURES, tag)->subject = arguments[0];
}

void task_call(Task *task, int tag, const HttpRequest *request)
{
    run_want(task, WANT_CALL, tag)->request = *request;
}

void task_sleep(Task *task, int tag, int64_t delay_ms)
{
    run_want(task, WANT_SLEEP, tag)->delay_ms = delay_ms;
}

void task_answer(Task *task, Str body)
{
    World *world = run_of(task)->world;
    if (bus_delivery_header(&task->message, BUS_HEADER_REPLY).length != 0) {
        world_say(world, "  answer %s", short_status(world, body));
    }
}

BusMessage task_derive(const Task *task, Str subject, Str body, Str msg_id)
{
    BusMessage message = {.subject = subject, .body = body};
    bus_message_add(&message, BUS_HEADER_MSG_ID, msg_id);
    bus_message_pass_on(&message, &task->message, BUS_HEADER_TRACE);
    bus_message_pass_on(&message, &task->message, BUS_HEADER_REPLY);
    return message;
}

/* Acks come after the results: a signal leaves with its decision or its end, a decision with its end. */
static void check_results(const Run *run)
{
    const World *world = run->world;
    bool ended = world_count(world, "tai.payment.outcome.") + world_count(world, "tai.dead.") > 0;
    bool decided = world_count(world, "tai.payment.decision.approved") > 0;
    bool renamed = world_count(world, "tai.payment.signal.") > 1;
    cr_assert(ended || (run->lane == LANE_POLICY && (decided || renamed)), "acked without a result\n%s",
              world->text.data);
}

static void run_ack(Run *run)
{
    check_results(run);
    if (run_may(run, "ack")) {
        run->record->acked = true;
        world_say(run->world, "  ack");
        (void)run_dies(run);
    }
}

void task_done(Task *task)
{
    Run *run = run_of(task);
    run->state = RUN_ENDED;
    run_ack(run);
}

void task_keep(Task *task, int64_t delay_ms, Err why)
{
    Run *run = run_of(task);
    run->state = RUN_ENDED;
    run->record->due_ms = run->world->now_ms + (delay_ms < 1 ? 1 : delay_ms);
    world_say(run->world, "  kept (%s)", err_kind_name(why.kind));
}

void task_bury(Task *task, Err why)
{
    Run *run = run_of(task);
    Err err = err_none();
    run->state = RUN_ENDED;
    if (!run_may(run, "dead letter")) {
        return;
    }
    char id[64];
    Buffer text = buffer_over(id, sizeof(id));
    buffer_print(&text, "dead.%d.%llu", run->lane, (unsigned long long)task->message.sequence);
    BusMessage letter = {.subject =
                             run->lane == LANE_POLICY ? STR("tai.dead.payment.policy") : STR("tai.dead.payment.charge"),
                         .body = task->message.body};
    bus_message_add(&letter, BUS_HEADER_MSG_ID, buffer_str(&text));
    (void)world_store(run->world, &letter, &err);
    world_say(run->world, "  dead letter (%s)", err_kind_name(why.kind));
    if (!run_dies(run)) {
        run_ack(run);
    }
}

/* --- the neighbours of the handlers
 * ----------------------------------------------------------------------------------- */

static World *world_now; /* of the step under way: these functions have no other way to it */

BreakerPermit gate_admit(Gate *gate)
{
    (void)gate;
    return (BreakerPermit){.admitted = !world_now->breaker_open, .retry_after_ms = 5000};
}

void gate_record(Gate *gate, const BreakerPermit *permit, BreakerCall call, int64_t duration_ms)
{
    (void)gate;
    (void)permit;
    (void)call;
    (void)duration_ms;
}

void gate_pace(Gate *gate, int64_t pause_ms)
{
    (void)gate;
    (void)pause_ms;
}

bool recall_is_certain(const Recall *recall, uint64_t sequence)
{
    (void)recall;
    (void)sequence;
    return !world_now->bus_forgets;
}

bool blacklist_holds(const Blacklist *blacklist, Str customer_id)
{
    (void)blacklist;
    (void)customer_id;
    return world_now->blacklisted;
}

const void *document_policy(const Document *document)
{
    (void)document;
    return &world_now->policy;
}

uint64_t document_revision(const Document *document)
{
    (void)document;
    return 1;
}

/* --- performing -----------------------------------------------------------------------------------------------------
 */

static void run_step(Run *run, const TaskEvent *event)
{
    static const Policy policy = {.settings.deadline_ms = WORLD_DEADLINE_MS};
    static Action action = {
        .settings = {.stripe = {.url = "http://gateway", .key = "sk", .api = "payment_intents"}, .breaker = {0}},
    };
    action.settings.charge = charge_settings_default();
    world_now = run->world;
    run->task.unix_ms = run->world->now_ms;
    if (run->lane == LANE_POLICY) {
        payment_signal_step((void *)&policy, &run->task, event);
    } else {
        charge_step(&action, &run->task, event);
    }
    TAI_ASSERT(run->state != RUN_OPEN || run->want.kind != WANT_NOTHING);
}

static void perform_store(Run *run, const Want *want)
{
    World *world = run->world;
    const char *name = short_subject(world, want->message.subject);
    TaskEvent event = {.kind = TASK_STORED, .tag = want->tag};
    if (!run_may(run, arena_print(&world->arena, "store %s", name).data)) {
        return;
    }
    BusStored stored = {0};
    if (world->refused_store > 0) {
        world->refused_store--;
        event.err = err_retry("nobody answers");
        world_say(world, "  store %s: not stored", name);
    } else {
        stored = world_store(world, &want->message, &event.err);
        bool is_outcome = str_starts_with(want->message.subject, STR("tai.payment.outcome."));
        world_say(world, "  store %s%s%s%s", name, is_outcome ? " " : "",
                  is_outcome ? short_status(world, want->message.body) : "",
                  stored.duplicate ? ": duplicate"
                  : stored.exists  ? ": exists"
                                   : "");
        if (world->lost_pubacks > 0) {
            world->lost_pubacks--;
            stored = (BusStored){0};
            event.err = err_unknown("no PubAck in time");
            world_say(world, "  no PubAck");
        }
    }
    event.stored = &stored;
    if (!run_dies(run)) {
        run_step(run, &event);
    }
}

static void perform_read(Run *run, const Want *want)
{
    World *world = run->world;
    const Record *found = NULL;
    for (size_t i = 0; i < world->count; i++) {
        bool is_it = want->kind == WANT_SEQUENCE ? want->sequence == i + 1
                                                 : str_equal(world->records[i].message.subject, want->subject);
        found = is_it ? &world->records[i] : found;
    }
    const char *name = want->kind == WANT_SEQUENCE ? "what stands" : short_subject(world, want->subject);
    if (!run_may(run, arena_print(&world->arena, "look at %s", name).data)) {
        return;
    }
    world_say(world, "  look at %s: %s", name, found != NULL ? short_subject(world, found->message.subject) : "none");
    BusDelivery message = found != NULL ? world_delivery(world, found, run->lane) : (BusDelivery){0};
    if (!run_dies(run)) {
        run_step(run, &(TaskEvent){.kind = TASK_READ, .tag = want->tag, .message = found != NULL ? &message : NULL});
    }
    bus_delivery_release(&message);
}

static void perform_features(Run *run, const Want *want)
{
    World *world = run->world;
    TaskEvent event = {.kind = TASK_EVALUATED, .tag = want->tag, .value_count = 2};
    if (!run_may(run, "count")) {
        return;
    }
    bool counted = false;
    for (size_t i = 0; i < world->counted_count; i++) {
        counted = counted || str_equal(world->counted[i], want->subject);
    }
    if (world->redis_down) {
        event.err = err_retry("no connection");
        event.value_count = 0;
    } else if (!counted) {
        world->counted[world->counted_count++] = arena_copy(&world->arena, want->subject);
    }
    const int64_t values[2] = {(int64_t)world->counted_count, 1};
    event.values = values;
    world_say(world, world->redis_down ? "  count: Redis is away" : "  count: %zu", world->counted_count);
    if (!run_dies(run)) {
        run_step(run, &event);
    }
}

static void perform_call(Run *run, const Want *want)
{
    World *world = run->world;
    if (!run_may(run, "call")) {
        return;
    }
    HttpResult result = provider_call(world, &want->request);
    if (result.kind == HTTP_ANSWERED) {
        world_say(world, "  call: %d%s", result.status, result.idempotent_replayed ? " again" : "");
    } else {
        world_say(world, "  call: %s", result.kind == HTTP_LOST ? "no answer" : "not sent");
    }
    if (!run_dies(run)) {
        run_step(run, &(TaskEvent){.kind = TASK_CALLED, .tag = want->tag, .http = &result});
    }
}

static void run_perform(Run *run)
{
    Want want = run->want;
    run->want = (Want){0};
    switch (want.kind) {
    case WANT_STORE:
        perform_store(run, &want);
        break;
    case WANT_LAST:
    case WANT_SEQUENCE:
        perform_read(run, &want);
        break;
    case WANT_FEATURES:
        perform_features(run, &want);
        break;
    case WANT_CALL:
        perform_call(run, &want);
        break;
    case WANT_SLEEP:
        run->world->now_ms += want.delay_ms;
        run_step(run, &(TaskEvent){.kind = TASK_WOKEN, .tag = want.tag});
        break;
    case WANT_NOTHING:
        break;
    }
}

/* --- delivering
 * ------------------------------------------------------------------------------------------------------- */

static bool record_is_of(const Record *record, LaneName lane)
{
    Str subject = record->message.subject;
    return lane == LANE_POLICY ? str_starts_with(subject, STR("tai.payment.signal."))
                               : str_equal(subject, STR("tai.payment.decision.approved"));
}

static void lane_deliver(World *world, LaneName lane, Record *record)
{
    record->delivered = world->bus_forgets ? 1 : record->delivered + 1;
    world_say(world, "%s %zu (%llu)", lane == LANE_POLICY ? "policy" : "charge", (size_t)(record - world->records) + 1,
              (unsigned long long)record->delivered);
    Run run = {.world = world, .lane = lane, .record = record};
    run.task.arena = arena_make(4096, 2 * 1024 * 1024);
    run.task.message = world_delivery(world, record, lane);
    run_step(&run, &(TaskEvent){.kind = TASK_BEGUN});
    while (run.state == RUN_OPEN) {
        run_perform(&run);
    }
    if (run.state == RUN_DEAD) {
        record->due_ms = world->now_ms + WORLD_ACK_WAIT_MS + world->outage_ms;
        world->blacklisted = world->blacklisted != world->flips;
    }
    bus_delivery_release(&run.task.message);
    arena_release(&run.task.arena);
}

void world_run_lane(World *world, LaneName lane)
{
    for (size_t i = 0; i < world->count; i++) {
        Record *record = &world->records[i];
        if (record_is_of(record, lane) && !record->acked && record->due_ms <= world->now_ms) {
            lane_deliver(world, lane, record);
        }
    }
}

static int64_t world_next_ms(const World *world)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < world->count; i++) {
        const Record *record = &world->records[i];
        bool is_work = record_is_of(record, LANE_POLICY) || record_is_of(record, LANE_CHARGE);
        next_ms = is_work && !record->acked && record->due_ms < next_ms ? record->due_ms : next_ms;
    }
    return next_ms;
}

void world_run(World *world, int64_t until_ms)
{
    for (int64_t next_ms = world_next_ms(world); next_ms <= WORLD_START_MS + until_ms; next_ms = world_next_ms(world)) {
        world->now_ms = next_ms > world->now_ms ? next_ms : world->now_ms;
        world_run_lane(world, LANE_POLICY);
        world_run_lane(world, LANE_CHARGE);
    }
}

void world_run_all(World *world)
{
    world_run(world, INT64_C(86400000));
}
