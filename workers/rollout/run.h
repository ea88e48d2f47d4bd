/* run - what the files that carry out a rollout share: one deployment in one region. */
#ifndef TAI_WORKERS_ROLLOUT_RUN_H
#define TAI_WORKERS_ROLLOUT_RUN_H

#include "shared/wire/andon.h"
#include "workers/rollout/health.h"
#include "workers/rollout/rollout.h"

/* An order that was read from the ledger and not heard by the state machine yet. */
typedef struct RunOrder RunOrder;
struct RunOrder {
    DeploymentControl control;
    uint64_t sequence;
    RunOrder *next;
};

struct Run {
    Rollouts *rollouts;
    Lane *lane;
    Run *next; /* in its bucket */
    BusDelivery delivery;
    Arena arena;   /* of the run: its work, its orders */
    Arena scratch; /* of a step */
    DeploymentRegionWork work;
    Str label; /* the region, as events name it; "<region>:restore" for a restoring run */
    Rollout state;
    int64_t bake_ms;         /* how long the previous version is kept after the end */
    uint64_t event_sequence; /* last of the deployment's events, of whatever region: the fence */
    uint64_t order_sequence; /* last control that was read */
    uint64_t order_heard;    /* last control that the state machine heard */
    RunOrder *orders;
    void (*orders_read)(Run *run); /* what follows when all that stand there are read */
    BusRead *read;
    Timer timer; /* what is waited for, or what is tried again */
    Timer second_look;
    Timer progress;     /* keeps the lane's message ours */
    size_t outstanding; /* calls to the bus or to a health source that will come back */
    Run *next_queued;   /* to take over */
    bool taking_over;   /* counted among those that do */
    bool running;       /* events are folded, the queue was looked at */
    bool busy;          /* an event is being stored, a command or a look is under way: nothing new is begun */
    bool orders_hinted; /* controls arrived while busy */
    bool ending;
    int32_t finish_tries;
    bool ours_runs; /* a restoring run: this deployment's version runs in the region */
    bool closed;
    Str why;             /* of the event that began the end */
    RolloutEvent *event; /* being stored; of the step, as the command is */
    Str command_id;      /* waited for; empty for none */
    RolloutNeed need;
};

const DeploymentPlan *run_plan(const Run *run);
Str run_id(const Run *run);
Str run_region(const Run *run);
const DeploymentRegion *run_place(const Run *run); /* the region's part of the decision */
int64_t run_now_ms(const Run *run);                /* Unix */

/* Every call that comes back begins with this: false says that the run is over. */
bool run_is_back(Run *run);
void run_asks(Run *run);

void run_advance(Run *run);
/* Tells the state machine; stores the event that it makes, if any. */
void run_hear(Run *run, const RolloutHeard *heard);
void run_store_event(Run *run);                             /* run->event, as the machine made it */
void run_retry(Run *run, void (*ring)(void *run), Err why); /* in a second */
/* Gives everything back. `ack`: the work is done; otherwise the message comes again, here or elsewhere. */
void run_close(Run *run, bool ack);

/* takeover.c */
void run_queue_up(Run *run);     /* takes over when its turn comes */
void run_makes_room(Run *run);   /* for the next one to take over; harmless where it has none */
void run_take_over(void *run);   /* all of it */
void run_read_events(void *run); /* from the events on: what was stored is not certain */
void run_note_why(Run *run, const RolloutEvent *event);
void run_took_over(Run *run); /* goes on from where it stands */
void run_took_over_to_hear(Run *run, const RolloutHeard *heard);

/* queue.c */
void run_look_at_queue(void *run); /* then it took over */

/* command.c */
void run_command(Run *run);
DeploymentCommand run_command_make(const Run *run, RolloutCommand kind); /* what, not how much nor until when */
void run_command_result(Run *run, const DeploymentResult *result);

/* alert.c: domain, time and source are filled in, and the summary begins with what is deployed. */
void run_alert(Run *run, Andon andon, Str message_id);
/* After run->event was stored and folded in: a judge's pause waits for a person, a marginal verdict is told. */
void run_alert_event(Run *run, const Rollout *before);

/* finish.c */
void run_finish(void *run);
void run_finish_result(Run *run, const DeploymentResult *result);

/* orders.c */
void run_read_orders(Run *run, void (*then)(Run *run));
bool run_hear_order(Run *run); /* true: an event is being stored */

#endif
