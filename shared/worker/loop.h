/* loop - the one loop of a process: descriptors, deadlines, timers, signals. */
#ifndef TAI_WORKER_LOOP_H
#define TAI_WORKER_LOOP_H

#include "shared/base/err.h"
#include "shared/base/timer.h"

typedef struct Loop Loop;

/* Something with a descriptor and a deadline of its own (a bus, a store, an HTTP daemon). */
typedef struct {
    int descriptor;                        /* dispatched when readable; may be an epoll descriptor */
    int64_t (*deadline_ms)(void *context); /* dispatched when this is reached; monotonic ms, TIMER_NEVER: none */
    void (*dispatch)(void *context, int64_t now_ms);
    void *context;
} LoopSource;

MUST_USE Err loop_open(Loop **loop);
void loop_close(Loop *loop);

/* At most 8 sources, dispatched in the order of adding. */
void loop_add(Loop *loop, LoopSource source);

/* Monotonic ms, and Unix ms, both read once an iteration. */
int64_t loop_now_ms(const Loop *loop);
int64_t loop_unix_ms(const Loop *loop);

void loop_timer_set(Loop *loop, Timer *timer, int64_t delay_ms);
void loop_timer_clear(Loop *loop, Timer *timer);

/* One iteration: waits for the first of them, at most `wait_ms`, and does what is due. */
void loop_turn(Loop *loop, int64_t wait_ms);

#endif
