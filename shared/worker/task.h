/* task - a message being worked on. A handler is a step: it is called with the task and an event and says what shall
 * happen next; the runtime does it for all tasks together, so that round trips of many tasks share one, and calls the
 * step again with what came of it. The input is acked only when the handler says that the task is done, and a handler
 * says so only after the event that tells that its results are stored.
 *
 * After an ending (done, keep, bury) the step is not called again and the arena is reset. A step that returns without
 * an ending and without anything outstanding is a programmer's error. */
#ifndef TAI_WORKER_TASK_H
#define TAI_WORKER_TASK_H

#include "shared/base/arena.h"
#include "shared/bus/bus.h"
#include "shared/http/http.h"
#include "shared/store/store.h"

typedef struct {
    Arena arena;         /* lives until the task ends */
    BusDelivery message; /* the input */
    void *state;         /* the handler's own, usually from the arena; NULL at first */
    int64_t unix_ms;     /* the time of this step */
    uint32_t random;     /* new for every step: for jitter */
} Task;

typedef enum {
    TASK_BEGUN,     /* first call for a delivery */
    TASK_STORED,    /* task_store(): err, stored */
    TASK_READ,      /* task_get_last(), task_get(): err, message (NULL: there is none) */
    TASK_EVALUATED, /* task_eval(): err, values, value_count */
    TASK_CALLED,    /* task_call(): http */
    TASK_WOKEN,     /* task_sleep() */
} TaskEventKind;

typedef struct {
    TaskEventKind kind;
    int tag; /* what the handler gave with the request */
    Err err;
    const BusStored *stored;
    const BusDelivery *message;
    const int64_t *values;
    size_t value_count;
    const HttpResult *http;
} TaskEvent;

/* `context` is the WorkerSpec's. */
typedef void TaskStep(void *context, Task *task, const TaskEvent *event);

/* Requests: each is answered by one event with its tag. */
void task_store(Task *task, int tag, const BusMessage *message);
void task_get_last(Task *task, int tag, Str stream, Str subject);
void task_get(Task *task, int tag, Str stream, uint64_t sequence);
void task_eval(Task *task, int tag, const StoreScript *script, const Str *keys, size_t key_count, const Str *arguments,
               size_t argument_count);
void task_call(Task *task, int tag, const HttpRequest *request);
void task_sleep(Task *task, int tag, int64_t delay_ms);

/* Tells whoever waits for this task: sends `body` to the input's Tai-Reply, if it has one. Fire and forget. Only
 * subjects under tai.reply. are answered to, so that a publisher cannot make us write anywhere else. */
void task_answer(Task *task, Str body);
bool task_reply_is_allowed(Str reply);

/* A message to follow from the input: same traceparent (a new one where it has none) and Tai-Reply, `msg_id` (may be
 * empty) as its dedup id. */
BusMessage task_derive(const Task *task, Str subject, Str body, Str msg_id);

/* Endings. */
void task_done(Task *task);                            /* acks */
void task_keep(Task *task, int64_t delay_ms, Err why); /* naks: comes again after the delay */
void task_bury(Task *task, Err why);                   /* dead letter, stored, then acks */

#endif
