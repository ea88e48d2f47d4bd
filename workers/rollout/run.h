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

typedef enum { RUN_ALERT_AS_IT_WAS = 0, RUN_ALERT_RAISED, RUN_ALERT_CLEARED } RunAlert;

/* What people are to be told of an event. */
typedef struct {
    uint64_t sequence; /* of the event; 0: nothing is owed */
    int64_t when_ms;
    RunAlert paused;
    RunAlert marginal;
    Str why;
} RunAlerts;

struct Run {
    Rollouts *rollouts;
    Lane *lane;
    Run *next; /* in its bucket */
    BusDelivery delivery;
    Arena arena;       /* of the run: its work */
    Arena scratch;     /* of a step */
    Arena order_arena; /* of the orders that are not heard yet */
    DeploymentRegionWork work;
    Str label; /* the region, as events name it; "<region>:restore" for a restoring run */
    Rollout state;
    int64_t bake_ms;           /* how long the previous version is kept after the end */
    int64_t kept_ms;           /* monotonic: when the bus was last told that the message is ours */
    uint64_t event_sequence;   /* last of the deployment's events, of whatever region: the fence */
    uint64_t ended_sequence;   /* of the event that ended it here; 0: it is not over */
    uint64_t running_sequence; /* of what runs in the region by the ledger; 0: nothing does */
    uint64_t order_sequence;   /* last control that was read */
    uint64_t order_heard;      /* last control that the state machine heard */
    RunOrder *orders;
    BusRead *read;
    void (*then)(Run *run); /* after what is read, or stored, now */
    Timer timer;            /* what is waited for, or what is tried again */
    Timer second_look;
    Timer progress;     /* keeps the lane's message ours */
    size_t outstanding; /* calls to the bus or to a health source that will come back */
    Run *next_queued;   /* to take over */
    bool taking_over;   /* counted among those that do */
    Run *next_to_look;  /* at health */
    Run *previous_to_look;
    bool look_queued;
    bool running;        /* events are folded, the queue was looked at */
    bool busy;           /* an event is being stored, a command or a look is under way: nothing new is begun */
    bool storing;        /* our own event is on its way */
    bool orders_hinted;  /* controls arrived while busy */
    bool weight_checked; /* read again since the last event */
    bool ending;
    int32_t finish_tries;
    bool ours_runs;    /* by the ledger this deployment's version runs in the region */
    bool running_told; /* what runs after the end of this run stands on the ledger */
    bool repeats;      /* the same work stood in the lane before */
    bool closed;
    Str why;                /* of the event that began the end */
    RunAlerts alerts;       /* of the last event */
    RolloutEvent *event;    /* being stored; of the step, as the command is */
    Str command_id;         /* waited for; empty for none */
    int64_t command_due_ms; /* monotonic: not waited for any longer */
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
void run_leave_queue(Run *run);  /* harmless where it is not in it */
void run_take_over(void *run);   /* all of it */
void run_read_events(void *run); /* from the events on: what was stored is not certain */
void run_note_why(Run *run, const RolloutEvent *event);
void run_note_end(Run *run);  /* after the event at event_sequence was folded in */
void run_took_over(Run *run); /* goes on from where it stands */
void run_took_over_to_hear(Run *run, const RolloutHeard *heard);

/* queue.c */
void run_look_at_queue(void *run); /* then it took over */

/* command.c */
void run_command(Run *run);
void run_check_weight(Run *run); /* reads again what was verified when it was set */
DeploymentCommand run_command_make(const Run *run, RolloutCommand kind); /* what, not how much nor until when */
void run_command_result(Run *run, const DeploymentResult *result);
void run_command_reconnected(Run *run);

/* alert.c: domain, time and source are filled in, and the summary begins with what is deployed. */
void run_alert(Run *run, Andon andon, Str message_id);
/* What the last event owes to people: a judge's pause waits for one, a marginal verdict is told. */
void run_note_alerts(Run *run, const Rollout *before, const RolloutEvent *event);
void run_tell_alerts(Run *run);
/* The same after a takeover, but for what was told already. */
void run_tell_alerts_again(Run *run, void (*then)(Run *run));

/* look.c */
void run_look_at_health(Run *run); /* when its turn comes; until then it is not busy */
void run_leave_looks(Run *run);    /* harmless where it does not wait for its turn */

/* finish.c */
void run_finish(void *run);
void run_finish_result(Run *run, const DeploymentResult *result);

/* orders.c */
void run_read_orders(Run *run, void (*then)(Run *run));
bool run_hear_order(Run *run); /* true: an event is being stored */
void run_log_unheard(const Run *run, const RolloutHeard *heard, Err why_not);

#endif
