/* loop - poll(2) over a handful of descriptors, a timer heap, and the two clocks. */
#include "shared/worker/loop.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

#define LOOP_SOURCES_MAX 8

struct Loop {
    LoopSource sources[LOOP_SOURCES_MAX];
    struct pollfd polled[LOOP_SOURCES_MAX];
    size_t source_count;
    TimerHeap timers;
    int64_t now_ms;
    int64_t unix_ms;
};

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void loop_read_clocks(Loop *loop)
{
    loop->now_ms = clock_ms(CLOCK_MONOTONIC);
    loop->unix_ms = clock_ms(CLOCK_REALTIME);
}

Err loop_open(Loop **out)
{
    Loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return err_retry("no memory for the loop");
    }
    loop_read_clocks(loop);
    *out = loop;
    return err_none();
}

void loop_close(Loop *loop)
{
    if (loop != NULL) {
        timer_release(&loop->timers);
        free(loop);
    }
}

void loop_add(Loop *loop, LoopSource source)
{
    TAI_ASSERT(loop->source_count < LOOP_SOURCES_MAX);
    loop->polled[loop->source_count] = (struct pollfd){.fd = source.descriptor, .events = POLLIN};
    loop->sources[loop->source_count++] = source;
}

int64_t loop_now_ms(const Loop *loop)
{
    return loop->now_ms;
}

int64_t loop_unix_ms(const Loop *loop)
{
    return loop->unix_ms;
}

void loop_timer_set(Loop *loop, Timer *timer, int64_t delay_ms)
{
    timer_set(&loop->timers, timer, loop->now_ms + delay_ms);
}

void loop_timer_clear(Loop *loop, Timer *timer)
{
    timer_clear(&loop->timers, timer);
}

static int loop_wait_ms(const Loop *loop, int64_t wait_ms)
{
    int64_t until_ms = loop->now_ms + wait_ms;
    int64_t timer_ms = timer_next_ms(&loop->timers);
    until_ms = timer_ms < until_ms ? timer_ms : until_ms;
    for (size_t i = 0; i < loop->source_count; i++) {
        int64_t deadline_ms = loop->sources[i].deadline_ms(loop->sources[i].context);
        until_ms = deadline_ms < until_ms ? deadline_ms : until_ms;
    }
    int64_t left_ms = until_ms - loop->now_ms;
    return left_ms <= 0 ? 0 : (int)(left_ms < 60000 ? left_ms : 60000);
}

void loop_turn(Loop *loop, int64_t wait_ms)
{
    /* Deadlines were set against the clock as it stood before this turn's work: read it again before waiting. */
    loop_read_clocks(loop);
    int ready = poll(loop->polled, loop->source_count, loop_wait_ms(loop, wait_ms));
    loop_read_clocks(loop);
    for (size_t i = 0; i < loop->source_count; i++) {
        const LoopSource *source = &loop->sources[i];
        bool readable = ready > 0 && loop->polled[i].revents != 0;
        if (readable || source->deadline_ms(source->context) <= loop->now_ms) {
            source->dispatch(source->context, loop->now_ms);
        }
    }
    timer_run(&loop->timers, loop->now_ms);
}
