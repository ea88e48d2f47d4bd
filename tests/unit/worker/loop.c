/* Tests of the loop: who is dispatched when, and how long it waits. */
#include "shared/worker/loop.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define LONG_MS 600000

typedef struct {
    Loop *loop;
    int event;
    int64_t deadline_ms;
    int dispatched;
    int64_t at_ms;
    int order; /* of the last dispatch among all sources */
    int *clock;
    bool keeps; /* does not read the event: stays readable */
} Source;

static int64_t source_deadline(void *context)
{
    return ((Source *)context)->deadline_ms;
}

static void source_dispatch(void *context, int64_t now_ms)
{
    Source *source = context;
    uint64_t ignored;
    source->dispatched++;
    source->at_ms = now_ms;
    source->order = ++*source->clock;
    source->deadline_ms = TIMER_NEVER;
    if (!source->keeps) {
        ssize_t got = read(source->event, &ignored, sizeof ignored);
        (void)got;
    }
}

static Source source_make(int *clock)
{
    return (Source){.event = eventfd(0, EFD_NONBLOCK), .deadline_ms = TIMER_NEVER, .clock = clock};
}

static void source_add(Loop *loop, Source *source)
{
    loop_add(loop, (LoopSource){source->event, source_deadline, source_dispatch, source});
}

static void source_wake(const Source *source)
{
    const uint64_t one = 1;
    cr_assert_eq(write(source->event, &one, sizeof one), (ssize_t)sizeof one);
}

static Loop *loop_make(void)
{
    Loop *loop = NULL;
    Err err = loop_open(&loop);
    cr_assert(!err_is(err));
    return loop;
}

Test(loop, readable_sources_are_dispatched_in_the_order_of_adding)
{
    Loop *loop = loop_make();
    int clock = 0;
    Source sources[3];
    for (int i = 0; i < 3; i++) {
        sources[i] = source_make(&clock);
        source_add(loop, &sources[i]);
    }
    source_wake(&sources[2]);
    source_wake(&sources[0]);
    loop_turn(loop, LONG_MS);
    cr_assert_eq(sources[0].order, 1);
    cr_assert_eq(sources[1].dispatched, 0);
    cr_assert_eq(sources[2].order, 2);
    for (int i = 0; i < 3; i++) {
        close(sources[i].event);
    }
    loop_close(loop);
}

Test(loop, a_deadline_is_met_not_before_its_time)
{
    Loop *loop = loop_make();
    int clock = 0;
    Source source = source_make(&clock);
    source_add(loop, &source);
    int64_t due_ms = loop_now_ms(loop) + 30;
    source.deadline_ms = due_ms;
    while (source.dispatched == 0) {
        loop_turn(loop, LONG_MS);
    }
    cr_assert_geq(source.at_ms, due_ms);
    cr_assert_eq(source.dispatched, 1);
    close(source.event);
    loop_close(loop);
}

static void count_up(void *context)
{
    ++*(int *)context;
}

Test(loop, a_timer_rings_once_and_a_cleared_one_never)
{
    Loop *loop = loop_make();
    int rung = 0;
    int cleared = 0;
    Timer timer = timer_make(count_up, &rung);
    Timer other = timer_make(count_up, &cleared);
    loop_timer_set(loop, &timer, 20);
    loop_timer_set(loop, &other, 10);
    loop_timer_clear(loop, &other);
    int64_t due_ms = loop_now_ms(loop) + 20;
    while (rung == 0) {
        loop_turn(loop, LONG_MS);
    }
    cr_assert_geq(loop_now_ms(loop), due_ms);
    loop_turn(loop, 0);
    cr_assert_eq(rung, 1);
    cr_assert_eq(cleared, 0);
    loop_close(loop);
}

Test(loop, without_anything_to_do_it_waits_no_longer_than_it_may)
{
    Loop *loop = loop_make();
    int64_t began_ms = loop_now_ms(loop);
    loop_turn(loop, 25);
    cr_assert_geq(loop_now_ms(loop) - began_ms, 25);
    loop_turn(loop, 0);
    loop_close(loop);
}

Test(loop, a_source_that_stays_readable_does_not_starve_timers)
{
    Loop *loop = loop_make();
    int clock = 0;
    int rung = 0;
    Source source = source_make(&clock);
    Timer timer = timer_make(count_up, &rung);
    source.keeps = true;
    source_add(loop, &source);
    source_wake(&source);
    loop_timer_set(loop, &timer, 5);
    int turns = 0;
    while (rung == 0) {
        cr_assert_lt(turns++, 10000000);
        loop_turn(loop, LONG_MS);
    }
    close(source.event);
    loop_close(loop);
}

Test(loop, it_knows_the_time_of_day)
{
    Loop *loop = loop_make();
    loop_turn(loop, 0);
    int64_t now_s = (int64_t)time(NULL);
    cr_assert(loop_unix_ms(loop) / 1000 <= now_s + 1 && loop_unix_ms(loop) / 1000 >= now_s - 60);
    loop_close(loop);
}
