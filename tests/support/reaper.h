/* reaper - lets rollouts on every path live, and ends their workers after chosen writes.
 *
 * Two rollout workers stand behind gates. One has all work; the other one is up, but what it asks the lanes for is held
 * back. In a turn each life (tests/support/lives.h) may write one thing: an event, a command, what runs, an item of a
 * lane, an outcome, an alert, an ack. What the worker says about that life afterwards is dropped (it died right after
 * the write), or held until it wakes (it stood still). Then it is killed or stopped, and the other one may ask: so
 * every write of every path is the last one of somebody once. */
#ifndef TAI_TESTS_REAPER_H
#define TAI_TESTS_REAPER_H

#include "tests/support/lives.h"

typedef enum {
    UNDISTURBED,
    KILLED,         /* the rollout worker, after each write of it */
    STOPPED,        /* likewise, until another one went on */
    ACTIONS_KILLED, /* the action workers, before and after each result of theirs */
    BOTH_KILLED,
    BUS_KILLED, /* and away for longer than the ack wait, some times; all workers have work */
} Disturbance;

typedef struct Reaper Reaper;

Reaper *reaper_open(void);
void reaper_close(Reaper *reaper);

/* Until all lives are over; `name` tells them from those before. */
const Lives *reaper_live(Reaper *reaper, const char *name, Disturbance disturbance);

Stack *reaper_stack(Reaper *reaper);
/* Between the death of a rollout worker and its successor's first word about a rollout of its, in ack waits. */
void reaper_print_times(Reaper *reaper);

#endif
