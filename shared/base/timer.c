/* timer - deadlines in a binary heap, for one loop. */
#include "shared/base/timer.h"

#include <stdlib.h>

#include "shared/base/err.h"

Timer timer_make(void (*ring)(void *context), void *context)
{
    return (Timer){.ring = ring, .context = context};
}

bool timer_is_set(const Timer *timer)
{
    return timer->place != 0;
}

static void timer_put(TimerHeap *heap, size_t place, Timer *timer)
{
    heap->timers[place - 1] = timer;
    timer->place = place;
}

static void timer_sift_up(TimerHeap *heap, Timer *timer)
{
    size_t place = timer->place;
    while (place > 1 && heap->timers[place / 2 - 1]->due_ms > timer->due_ms) {
        timer_put(heap, place, heap->timers[place / 2 - 1]);
        place /= 2;
    }
    timer_put(heap, place, timer);
}

static void timer_sift_down(TimerHeap *heap, Timer *timer)
{
    size_t place = timer->place;
    for (;;) {
        size_t child = 2 * place;
        if (child > heap->count) {
            break;
        }
        if (child < heap->count && heap->timers[child]->due_ms < heap->timers[child - 1]->due_ms) {
            child++;
        }
        if (heap->timers[child - 1]->due_ms >= timer->due_ms) {
            break;
        }
        timer_put(heap, place, heap->timers[child - 1]);
        place = child;
    }
    timer_put(heap, place, timer);
}

void timer_set(TimerHeap *heap, Timer *timer, int64_t due_ms)
{
    timer_clear(heap, timer);
    if (heap->count == heap->capacity) {
        size_t capacity = heap->capacity == 0 ? 64 : heap->capacity * 2;
        Timer **timers = realloc(heap->timers, capacity * sizeof(*timers));
        TAI_ASSERT(timers != NULL);
        heap->timers = timers;
        heap->capacity = capacity;
    }
    timer->due_ms = due_ms;
    heap->count++;
    timer_put(heap, heap->count, timer);
    timer_sift_up(heap, timer);
}

void timer_clear(TimerHeap *heap, Timer *timer)
{
    if (timer->place == 0) {
        return;
    }
    size_t place = timer->place;
    Timer *last = heap->timers[heap->count - 1];
    heap->count--;
    timer->place = 0;
    if (last == timer) {
        return;
    }
    timer_put(heap, place, last);
    timer_sift_up(heap, last);
    timer_sift_down(heap, last);
}

int64_t timer_next_ms(const TimerHeap *heap)
{
    return heap->count == 0 ? TIMER_NEVER : heap->timers[0]->due_ms;
}

void timer_run(TimerHeap *heap, int64_t now_ms)
{
    /* What is due now is counted first: a timer that is set again while ringing must not hold the loop for ever. */
    for (size_t left = heap->count; left > 0 && heap->count > 0 && heap->timers[0]->due_ms <= now_ms; left--) {
        Timer *timer = heap->timers[0];
        timer_clear(heap, timer);
        timer->ring(timer->context);
    }
}

void timer_release(TimerHeap *heap)
{
    free(heap->timers);
    *heap = (TimerHeap){0};
}
