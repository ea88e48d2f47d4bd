/* Tests of the timer heap: against a list that is kept sorted by hand. */
#include "shared/base/timer.h"

#include <stdlib.h>

#include <criterion/criterion.h>

#define TIMERS 200

typedef struct {
    Timer timer;
    size_t index;
    int64_t due_ms; /* as the model has it; TIMER_NEVER: not set */
    struct Model *model;
} Entry;

typedef struct Model {
    TimerHeap heap;
    Entry entries[TIMERS];
    int64_t now_ms;
    int64_t last_rung_ms;
    size_t rung;
} Model;

static void entry_ring(void *context)
{
    Entry *entry = context;
    Model *model = entry->model;
    cr_assert_not(timer_is_set(&entry->timer), "a timer is cleared before it rings");
    cr_assert_leq(entry->due_ms, model->now_ms, "rang early");
    cr_assert_geq(entry->due_ms, model->last_rung_ms, "rang out of order");
    model->last_rung_ms = entry->due_ms;
    entry->due_ms = TIMER_NEVER;
    model->rung++;
}

static int64_t model_next_ms(const Model *model)
{
    int64_t next_ms = TIMER_NEVER;
    for (size_t i = 0; i < TIMERS; i++) {
        next_ms = model->entries[i].due_ms < next_ms ? model->entries[i].due_ms : next_ms;
    }
    return next_ms;
}

static size_t model_due(const Model *model)
{
    size_t due = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        due += model->entries[i].due_ms <= model->now_ms ? 1 : 0;
    }
    return due;
}

static void model_turn(Model *model, unsigned *seed)
{
    Entry *entry = &model->entries[(size_t)rand_r(seed) % TIMERS];
    switch (rand_r(seed) % 4) {
    case 0:
    case 1:
        entry->due_ms = model->now_ms + rand_r(seed) % 50;
        timer_set(&model->heap, &entry->timer, entry->due_ms);
        break;
    case 2:
        entry->due_ms = TIMER_NEVER;
        timer_clear(&model->heap, &entry->timer);
        break;
    default: {
        model->now_ms += rand_r(seed) % 10;
        size_t due = model_due(model);
        size_t rung = model->rung;
        model->last_rung_ms = INT64_MIN;
        timer_run(&model->heap, model->now_ms);
        cr_assert_eq(model->rung - rung, due, "%zu rang of %zu", model->rung - rung, due);
        break;
    }
    }
    cr_assert_eq(timer_next_ms(&model->heap), model_next_ms(model));
}

Test(timer, rings_as_a_sorted_list_would)
{
    for (unsigned seed = 1; seed <= 50; seed++) {
        static Model model;
        unsigned state = seed;
        model = (Model){0};
        for (size_t i = 0; i < TIMERS; i++) {
            model.entries[i] = (Entry){.index = i, .due_ms = TIMER_NEVER, .model = &model};
            model.entries[i].timer = timer_make(entry_ring, &model.entries[i]);
        }
        for (int turn = 0; turn < 3000; turn++) {
            model_turn(&model, &state);
        }
        for (size_t i = 0; i < TIMERS; i++) {
            cr_assert_eq(timer_is_set(&model.entries[i].timer), model.entries[i].due_ms != TIMER_NEVER);
        }
        timer_release(&model.heap);
    }
}

typedef struct {
    TimerHeap heap;
    Timer timer;
    int rings;
} Again;

static void again_ring(void *context)
{
    Again *again = context;
    again->rings++;
    timer_set(&again->heap, &again->timer, 0);
}

Test(timer, set_again_while_ringing_waits_for_the_next_call)
{
    Again again = {0};
    again.timer = timer_make(again_ring, &again);
    timer_set(&again.heap, &again.timer, 0);
    timer_run(&again.heap, 100);
    cr_assert_eq(again.rings, 1);
    timer_run(&again.heap, 100);
    cr_assert_eq(again.rings, 2);
    timer_release(&again.heap);
}

typedef struct {
    TimerHeap heap;
    Timer first;
    Timer second;
    int rings;
} Pair;

static void pair_ring(void *context)
{
    Pair *pair = context;
    pair->rings++;
    timer_clear(&pair->heap, &pair->first);
    timer_clear(&pair->heap, &pair->second);
}

Test(timer, cleared_by_another_that_rings_does_not_ring)
{
    Pair pair = {0};
    pair.first = timer_make(pair_ring, &pair);
    pair.second = timer_make(pair_ring, &pair);
    timer_set(&pair.heap, &pair.first, 1);
    timer_set(&pair.heap, &pair.second, 2);
    timer_run(&pair.heap, 100);
    cr_assert_eq(pair.rings, 1);
    cr_assert_eq(timer_next_ms(&pair.heap), TIMER_NEVER);
    timer_release(&pair.heap);
}

Test(timer, cleared_twice_or_never_set_is_harmless)
{
    TimerHeap heap = {0};
    Timer timer = timer_make(NULL, NULL);
    timer_clear(&heap, &timer);
    timer_set(&heap, &timer, 5);
    timer_clear(&heap, &timer);
    timer_clear(&heap, &timer);
    timer_run(&heap, 100);
    cr_assert_eq(timer_next_ms(&heap), TIMER_NEVER);
    timer_release(&heap);
}
