/* task - slots with a message, an arena and what is outstanding. */
#include "shared/worker/task.h"

#include <stdlib.h>

#include "shared/base/id.h"
#include "shared/base/trace.h"
#include "shared/worker/letter.h"
#include "shared/worker/private.h"

#define TASK_ARENA_BLOCK_BYTES 4096
/* Several times the largest body: the message decoded, its answers, what is published. */
#define TASK_ARENA_LIMIT_BYTES ((size_t)2 * 1024 * 1024)
#define TASK_BURY_AGAIN_MS 1000

typedef enum { TASK_OPEN = 0, TASK_DONE, TASK_KEPT, TASK_BURIED } TaskEnding;

struct TaskSlot {
    Task task; /* first: a Task is a TaskSlot */
    Lane *lane;
    TaskSlot *next_free;
    bool busy;
    TaskEnding ending;
    Err why;
    int64_t keep_ms;
    size_t outstanding; /* requests whose event has not come yet */
    int64_t taken_ms;
    int64_t heard_ms; /* when the server was last told that we are at it */
    Timer sleep;
    int sleep_tag;
    char traceparent[TRACEPARENT_LENGTH + 1]; /* of what follows from the message */
};

typedef struct {
    TaskSlot *slot;
    int tag;
} TaskRequest;

static Loop *slot_loop(const TaskSlot *slot)
{
    return slot->lane->worker->loop;
}

static Bus *slot_bus(const TaskSlot *slot)
{
    return slot->lane->worker->bus;
}

static TaskRequest *slot_request(TaskSlot *slot, int tag)
{
    TaskRequest *request = arena_alloc(&slot->task.arena, sizeof(*request));
    *request = (TaskRequest){slot, tag};
    slot->outstanding++;
    return request;
}

static void slot_release(TaskSlot *slot)
{
    Lane *lane = slot->lane;
    lane->figures.busy_ms += loop_now_ms(lane->worker->loop) - slot->taken_ms;
    bus_delivery_release(&slot->task.message);
    arena_reset(&slot->task.arena);
    slot->busy = false;
    slot->next_free = lane->free_tasks;
    lane->free_tasks = slot;
    lane->busy--;
    lane_hands_changed(lane);
}

static void lane_log_error(Lane *lane, LogLevel level, const char *event, const TaskSlot *slot)
{
    bool fits = str_copy_to(str_from(slot->why.why), lane->figures.last_error, sizeof(lane->figures.last_error));
    (void)fits; /* both hold 124 bytes and more */
    log_event(&lane->worker->log, level, event,
              LOG_FIELDS(log_text("lane", str_from(lane->spec->name)),
                         log_number("sequence", (int64_t)slot->task.message.sequence),
                         log_number("delivered", (int64_t)slot->task.message.delivered), log_why(&slot->why)));
}

static void slot_keep(TaskSlot *slot)
{
    slot->lane->figures.kept++;
    lane_log_error(slot->lane, LOG_INFO, "kept", slot);
    bus_nak(slot_bus(slot), &slot->task.message, slot->keep_ms);
}

/* The dead letter is on its stream, or it is not: then the message comes again and is buried again. */
static void slot_buried(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    TaskSlot *slot = context;
    if (err_is(err)) {
        slot->why = err;
        slot->keep_ms = TASK_BURY_AGAIN_MS;
        slot_keep(slot);
    } else {
        slot->lane->figures.buried++;
        bus_ack(slot_bus(slot), &slot->task.message);
    }
    slot->outstanding--;
    slot_release(slot);
}

static void slot_bury(TaskSlot *slot)
{
    Lane *lane = slot->lane;
    const LetterPlace place = {lane->spec->domain, lane->spec->name, lane->spec->stream};
    lane_log_error(lane, LOG_WARN, "buried", slot);
    BusMessage letter = letter_make(&slot->task.arena, &place, &slot->task.message, str_from(slot->why.why));
    slot->outstanding++;
    bus_store(slot_bus(slot), &letter, TASK_BUS_TIMEOUT_MS, slot_buried, slot);
}

/* Performs the ending once nothing is outstanding any more: answers to requests still point into the arena. */
static void slot_settle(TaskSlot *slot)
{
    if (slot->ending == TASK_OPEN) {
        TAI_ASSERT(slot->outstanding > 0);
        return;
    }
    if (slot->outstanding > 0) {
        return;
    }
    switch (slot->ending) {
    case TASK_DONE:
        slot->lane->figures.done++;
        bus_ack(slot_bus(slot), &slot->task.message);
        slot_release(slot);
        break;
    case TASK_KEPT:
        slot_keep(slot);
        slot_release(slot);
        break;
    case TASK_BURIED:
        slot_bury(slot);
        break;
    case TASK_OPEN:
        break;
    }
}

static void slot_step(TaskSlot *slot, const TaskEvent *event)
{
    Worker *worker = slot->lane->worker;
    if (slot->ending == TASK_OPEN) {
        slot->task.unix_ms = loop_unix_ms(worker->loop);
        slot->task.random = worker_random(worker);
        slot->lane->spec->step(worker->spec->context, &slot->task, event);
    }
    slot_settle(slot);
}

static void slot_answered(TaskRequest *request, TaskEvent event)
{
    TaskSlot *slot = request->slot;
    if (slot->lane->worker->closing) {
        return;
    }
    slot->outstanding--;
    event.tag = request->tag;
    slot_step(slot, &event);
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static void on_stored(void *context, Err err, const BusStored *stored)
{
    slot_answered(context, (TaskEvent){.kind = TASK_STORED, .err = err, .stored = stored});
}

void task_store(Task *task, int tag, const BusMessage *message)
{
    TaskSlot *slot = (TaskSlot *)task;
    bus_store(slot_bus(slot), message, TASK_BUS_TIMEOUT_MS, on_stored, slot_request(slot, tag));
}

static void on_read(void *context, Err err, const BusDelivery *message)
{
    slot_answered(context, (TaskEvent){.kind = TASK_READ, .err = err, .message = message});
}

void task_get_last(Task *task, int tag, Str stream, Str subject)
{
    TaskSlot *slot = (TaskSlot *)task;
    bus_get_last(slot_bus(slot), stream, subject, TASK_BUS_TIMEOUT_MS, on_read, slot_request(slot, tag));
}

void task_get(Task *task, int tag, Str stream, uint64_t sequence)
{
    TaskSlot *slot = (TaskSlot *)task;
    bus_get(slot_bus(slot), stream, sequence, TASK_BUS_TIMEOUT_MS, on_read, slot_request(slot, tag));
}

static void on_evaluated(void *context, Err err, const int64_t *values, size_t count)
{
    slot_answered(context, (TaskEvent){.kind = TASK_EVALUATED, .err = err, .values = values, .value_count = count});
}

void task_eval(Task *task, int tag, const StoreScript *script, const Str *keys, size_t key_count, const Str *arguments,
               size_t argument_count)
{
    TaskSlot *slot = (TaskSlot *)task;
    store_eval(slot->lane->worker->store, script, keys, key_count, arguments, argument_count, on_evaluated,
               slot_request(slot, tag));
}

static void on_called(void *context, const HttpResult *result)
{
    slot_answered(context, (TaskEvent){.kind = TASK_CALLED, .http = result});
}

void task_call(Task *task, int tag, const HttpRequest *request)
{
    TaskSlot *slot = (TaskSlot *)task;
    http_send(slot->lane->worker->http, request, on_called, slot_request(slot, tag));
}

static void slot_woken(void *context)
{
    TaskSlot *slot = context;
    slot->outstanding--;
    slot_step(slot, &(TaskEvent){.kind = TASK_WOKEN, .tag = slot->sleep_tag});
}

void task_sleep(Task *task, int tag, int64_t delay_ms)
{
    TaskSlot *slot = (TaskSlot *)task;
    TAI_ASSERT(!timer_is_set(&slot->sleep)); /* one sleep at a time */
    slot->sleep = timer_make(slot_woken, slot);
    slot->sleep_tag = tag;
    slot->outstanding++;
    loop_timer_set(slot_loop(slot), &slot->sleep, delay_ms);
}

/* A subject to publish to: no wildcard, no empty token. */
bool task_reply_is_allowed(Str reply)
{
    Str rest = reply;
    Str token;
    if (!str_starts_with(reply, STR("tai.reply.")) || reply.length > ID_MAX_LENGTH) {
        return false;
    }
    while (str_next_token(&rest, '.', &token)) {
        if (!id_is_token(token)) {
            return false;
        }
    }
    return true;
}

void task_answer(Task *task, Str body)
{
    Str reply = bus_delivery_header(&task->message, BUS_HEADER_REPLY);
    if (task_reply_is_allowed(reply)) {
        bus_publish(slot_bus((TaskSlot *)task), &(BusMessage){.subject = reply, .body = body});
    }
}

BusMessage task_derive(const Task *task, Str subject, Str body, Str msg_id)
{
    BusMessage message = {.subject = subject, .body = body};
    bus_message_add(&message, BUS_HEADER_MSG_ID, msg_id);
    bus_message_add(&message, BUS_HEADER_TRACE, str_from(((const TaskSlot *)task)->traceparent));
    bus_message_pass_on(&message, &task->message, BUS_HEADER_REPLY);
    return message;
}

/* --- endings ---------------------------------------------------------------------------------------------------- */

static void task_end(Task *task, TaskEnding ending, Err why)
{
    TaskSlot *slot = (TaskSlot *)task;
    TAI_ASSERT(slot->ending == TASK_OPEN);
    slot->ending = ending;
    slot->why = why;
    if (timer_is_set(&slot->sleep)) {
        loop_timer_clear(slot_loop(slot), &slot->sleep);
        slot->outstanding--;
    }
}

void task_done(Task *task)
{
    task_end(task, TASK_DONE, err_none());
}

void task_keep(Task *task, int64_t delay_ms, Err why)
{
    ((TaskSlot *)task)->keep_ms = delay_ms;
    task_end(task, TASK_KEPT, why);
}

void task_bury(Task *task, Err why)
{
    task_end(task, TASK_BURIED, why);
}

/* --- slots ------------------------------------------------------------------------------------------------------ */

void task_slots_open(Lane *lane)
{
    size_t count = (size_t)lane->settings.slots;
    lane->tasks = calloc(count, sizeof(*lane->tasks));
    TAI_ASSERT(lane->tasks != NULL);
    for (size_t i = count; i > 0; i--) {
        TaskSlot *slot = &lane->tasks[i - 1];
        slot->lane = lane;
        slot->task.arena = arena_make(TASK_ARENA_BLOCK_BYTES, TASK_ARENA_LIMIT_BYTES);
        slot->next_free = lane->free_tasks;
        lane->free_tasks = slot;
    }
}

void task_slots_close(Lane *lane)
{
    for (size_t i = 0; lane->tasks != NULL && i < (size_t)lane->settings.slots; i++) {
        bus_delivery_release(&lane->tasks[i].task.message);
        arena_release(&lane->tasks[i].task.arena);
    }
    free(lane->tasks);
    lane->tasks = NULL;
    lane->free_tasks = NULL;
}

void task_slots_progress(Lane *lane, int64_t older_than_ms)
{
    int64_t now_ms = loop_now_ms(lane->worker->loop);
    for (size_t i = 0; lane->busy > 0 && i < (size_t)lane->settings.slots; i++) {
        TaskSlot *slot = &lane->tasks[i];
        if (slot->busy && now_ms - slot->heard_ms >= older_than_ms) {
            slot->heard_ms = now_ms;
            bus_progress(slot_bus(slot), &slot->task.message);
        }
    }
}

/* A trace goes on from the message's, and begins here when it has none. */
static void slot_trace(TaskSlot *slot)
{
    TraceContext trace;
    if (!trace_parse(bus_delivery_header(&slot->task.message, BUS_HEADER_TRACE), &trace)) {
        uint8_t entropy[24];
        worker_entropy(entropy, sizeof(entropy));
        trace_make(entropy, &trace);
    }
    trace_print(&trace, slot->traceparent);
}

bool task_begin(Lane *lane, BusDelivery *delivery)
{
    TaskSlot *slot = lane->free_tasks;
    if (slot == NULL) {
        return false;
    }
    lane->free_tasks = slot->next_free;
    lane->busy++;
    slot->busy = true;
    slot->ending = TASK_OPEN;
    slot->task.message = *delivery;
    slot_trace(slot);
    slot->task.state = NULL;
    slot->taken_ms = loop_now_ms(lane->worker->loop);
    slot->heard_ms = slot->taken_ms;
    if (delivery->body.length > lane->spec->body_max_bytes) {
        task_bury(&slot->task, err_reject("body of %zu bytes is larger than %zu", delivery->body.length,
                                          lane->spec->body_max_bytes));
    } else if (delivery->delivered > (uint64_t)lane->settings.max_tries) {
        task_bury(&slot->task, err_reject("given up after %lld deliveries", (long long)lane->settings.max_tries));
    }
    slot_step(slot, &(TaskEvent){.kind = TASK_BEGUN});
    return true;
}
