/* timer - deadlines in a binary heap, for one loop. Pure: the time comes in as an argument.
 * A Timer lives inside the structure it belongs to; the heap only points at it. */
#ifndef TAI_BASE_TIMER_H
#define TAI_BASE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER INT64_MAX

typedef struct Timer {
    int64_t due_ms;
    size_t place; /* in the heap, from 1; 0: not set */
    void (*ring)(void *context);
    void *context;
} Timer;

typedef struct {
    Timer **timers;
    size_t count;
    size_t capacity;
} TimerHeap;

Timer timer_make(void (*ring)(void *context), void *context);
bool timer_is_set(const Timer *timer);

/* Sets or moves the timer. */
void timer_set(TimerHeap *heap, Timer *timer, int64_t due_ms);
void timer_clear(TimerHeap *heap, Timer *timer); /* harmless when it is not set */

int64_t timer_next_ms(const TimerHeap *heap); /* TIMER_NEVER when nothing is set */

/* Rings everything that is due, earliest first. A timer is cleared before it rings; one that is set for now or
 * earlier while ringing rings at the next call. */
void timer_run(TimerHeap *heap, int64_t now_ms);

void timer_release(TimerHeap *heap);

#endif
