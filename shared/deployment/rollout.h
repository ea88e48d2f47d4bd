/* rollout - the life of a deployment in one region as an event-sourced state machine. Pure.
 *
 * The ledger holds events. rollout_apply() folds one into the state; rollout_need() says what the world must do for the
 * state as it stands (send this command, look at health, wait until then); rollout_hear() turns what the world said
 * (an answer, counts, a person's order, the clock) into the next event, or none. A worker that takes over folds the
 * events and asks rollout_need(): it goes on at the same second of the same stage, because deadlines are absolute times
 * inside events. Nothing is kept anywhere else.
 *
 *   stage: APPROVAL? -> APPLY -> VERIFY -> WARM_UP -> OBSERVE -> judged -> next stage ... -> BAKE -> SUCCEEDED
 *   any of them, on failure, abort or deadline: ROLLBACK -> ROLLBACK_VERIFY -> ROLLED_BACK | ABORTED | ROLLBACK_FAILED
 *   PAUSED stands beside the phase: time stops (deadlines move by the length of the pause), only orders are heard.
 *
 * A driver of it repeats: ask rollout_need(), do it, and set an alarm for its until_ms. Whatever is heard goes through
 * rollout_hear(); an event is stored, folded in, and the need asked anew. Without an event the need stays as it was
 * until the alarm, which is told as ROLLOUT_HEARD_TIME and followed by asking anew: who asks at once after a look at
 * health that showed nothing is told to look again. */
#ifndef TAI_DEPLOYMENT_ROLLOUT_H
#define TAI_DEPLOYMENT_ROLLOUT_H

#include "shared/base/arena.h"
#include "shared/deployment/deployment.h"

typedef enum {
    ROLLOUT_NEW = 0, /* no event yet */
    ROLLOUT_APPROVAL,
    ROLLOUT_APPLY,
    ROLLOUT_VERIFY,
    ROLLOUT_WARM_UP,
    ROLLOUT_OBSERVE,
    ROLLOUT_BAKE, /* at 100 % and good; the old version is kept; the region's lane is free */
    ROLLOUT_ROLLBACK,
    ROLLOUT_ROLLBACK_VERIFY,
    /* final: */
    ROLLOUT_SUCCEEDED,
    ROLLOUT_ROLLED_BACK,
    ROLLOUT_ABORTED,        /* rolled back, or never begun, on a person's order or superseded */
    ROLLOUT_FAILED,         /* rolled back because something was impossible, not because of health */
    ROLLOUT_ROLLBACK_FAILED /* a person must look */
} RolloutPhase;
const char *rollout_phase_name(RolloutPhase phase);
bool rollout_phase_is_final(RolloutPhase phase);

typedef enum {
    ROLLOUT_EVENT_STARTED = 1,    /* plan taken up; stage 0 begins */
    ROLLOUT_EVENT_APPROVED,       /* by `who` */
    ROLLOUT_EVENT_APPLIED,        /* the driver answered that the stage's weight is set */
    ROLLOUT_EVENT_VERIFIED,       /* read back: `weight_percent` is really set; warm-up until `until_ms` */
    ROLLOUT_EVENT_OBSERVING,      /* counting since at_ms, until `until_ms` */
    ROLLOUT_EVENT_EXTENDED,       /* inconclusive: observing until `until_ms` */
    ROLLOUT_EVENT_STAGE_PASSED,   /* with the verdict; next stage begins, or the bake until `until_ms` */
    ROLLOUT_EVENT_PAUSED,         /* by `who`, or by the machine (who "judge") with why */
    ROLLOUT_EVENT_RESUMED,        /* after a pause by the judge the stage is observed once more from its beginning */
    ROLLOUT_EVENT_PROMOTED,       /* by order of `who` this stage (with `full`: this and all others) passes unjudged
                                   * as soon as its weight is verified; ends a pause; `full` also skips approvals */
    ROLLOUT_EVENT_ROLLBACK_BEGUN, /* with `cause`, why and, when judged, the verdict */
    ROLLOUT_EVENT_ROLLBACK_APPLIED,
    ROLLOUT_EVENT_TRY_FAILED, /* a command failed or did something else than said, or what it set was changed since by
                               * somebody else; will be tried again */
    ROLLOUT_EVENT_SUCCEEDED,  /* bake over, or the stages are through without a bake */
    ROLLOUT_EVENT_ENDED,      /* `phase` is the final phase, with why */
} RolloutEventKind;
const char *rollout_event_name(RolloutEventKind kind); /* "started", "stage_passed", … */

typedef enum {
    ROLLOUT_CAUSE_NONE = 0,
    ROLLOUT_CAUSE_HEALTH,   /* ends ROLLED_BACK */
    ROLLOUT_CAUSE_ORDER,    /* abort, or go-back during the bake: ends ABORTED */
    ROLLOUT_CAUSE_FAILURE,  /* command impossible, weight cannot be set: ends FAILED */
    ROLLOUT_CAUSE_DEADLINE, /* no progress: ends FAILED */
    ROLLOUT_CAUSE_SEQUENCE, /* another region failed and on_region_failure is rollback_all: ends ROLLED_BACK */
} RolloutCause;

/* One entry of tai.deployment.event.<id>. */
typedef struct {
    RolloutEventKind kind;
    Str region;
    int64_t at_ms;          /* Unix time */
    int32_t stage;          /* index into the plan; as it was when the event was made */
    int32_t weight_percent; /* VERIFIED: what is really set; TRY_FAILED, ROLLBACK_BEGUN: what was found, -1 unknown */
    int64_t until_ms;       /* TRY_FAILED: not tried again before */
    bool full;              /* PROMOTED */
    RolloutCause cause;     /* ROLLBACK_BEGUN, ENDED */
    RolloutPhase phase;     /* ENDED */
    Str who;
    Str why;
    bool judged;
    JudgeVerdict verdict;
    JudgeCounts canary; /* with judged: what it was judged on */
    JudgeCounts baseline;
    Str query;               /* what was asked of the health source: with judged, and where that told nothing */
    uint64_t order_sequence; /* last control of the ledger that was heard when this event was made; the shell's */
} RolloutEvent;

typedef struct {
    RolloutPhase phase;
    int32_t stage;
    bool paused;
    int64_t paused_at_ms;
    bool paused_by_judge;    /* resuming observes once more */
    int64_t since_ms;        /* when the phase, or the present try of its command, began */
    int64_t until_ms;        /* warm-up's, observing's or bake's end; of a command: not tried before */
    int64_t extended_ms;     /* of this stage, so far */
    int64_t progress_at_ms;  /* last event that was progress */
    int64_t paused_total_ms; /* since progress_at_ms */
    int32_t tries;           /* that failed: of this stage's commands, or of the rollback's */
    int32_t worse_windows;   /* relative latency: of the stages before, in a row; an extension is no new window */
    int32_t stages_passed;
    int32_t weight_percent; /* last verified; 0 at first */
    bool promote;           /* this stage passes once its weight is verified */
    bool promote_full;      /* and all others */
    bool marginal;          /* the last judgement was: close to the limit, or not certain on which side of it */
    RolloutCause cause;
    int64_t started_ms;
    int64_t ended_ms;
    uint64_t events; /* folded so far */
} Rollout;

typedef enum {
    ROLLOUT_NEED_NOTHING = 0, /* final */
    ROLLOUT_NEED_START,       /* tell it ROLLOUT_HEARD_START */
    ROLLOUT_NEED_WAIT,        /* nothing before until_ms (INT64_MAX: only an order helps), then ROLLOUT_HEARD_TIME */
    ROLLOUT_NEED_COMMAND,     /* send the command once, then ROLLOUT_HEARD_RESULT; no answer in time is a failed one */
    ROLLOUT_NEED_HEALTH,      /* ask health once for the window since_ms..now, then ROLLOUT_HEARD_HEALTH */
} RolloutNeedKind;

typedef enum {
    ROLLOUT_COMMAND_APPLY = 1, /* put the version there and give it weight_percent of the traffic */
    ROLLOUT_COMMAND_READ,      /* read back the weight that is really set */
    ROLLOUT_COMMAND_ROLLBACK,  /* all traffic to the previous version, the new one away */
    ROLLOUT_COMMAND_FINISH,    /* after the bake: the previous version may go; never a need, goes with SUCCEEDED */
} RolloutCommand;
const char *rollout_command_name(RolloutCommand command); /* "apply", … */

typedef struct {
    RolloutNeedKind kind;
    int64_t until_ms; /* when to tell the time; may have passed already */
    RolloutCommand command;
    int32_t weight_percent;
    int32_t attempt;  /* part of the command's id: the number of events folded, so the same need has the same id after
                       * a takeover, and any event in between makes it another */
    int64_t since_ms; /* with HEALTH */
    bool final;       /* with HEALTH: the stage's end, not an early look */
} RolloutNeed;

typedef enum {
    ROLLOUT_HEARD_START = 1,
    ROLLOUT_HEARD_TIME,
    ROLLOUT_HEARD_RESULT,
    ROLLOUT_HEARD_HEALTH,
    ROLLOUT_HEARD_ORDER,
} RolloutHeardKind;

typedef enum {
    ROLLOUT_ORDER_PAUSE = 1,
    ROLLOUT_ORDER_RESUME,
    ROLLOUT_ORDER_PROMOTE,      /* this stage */
    ROLLOUT_ORDER_PROMOTE_FULL, /* all the way */
    ROLLOUT_ORDER_ABORT,
    ROLLOUT_ORDER_APPROVE,
    ROLLOUT_ORDER_ROLLBACK_ALL, /* by the sequence of regions */
    ROLLOUT_ORDER_SUPERSEDE,    /* only before anything was applied */
} RolloutOrder;
const char *rollout_order_name(RolloutOrder order);
bool rollout_order_parse(Str name,
                         RolloutOrder *order); /* "pause", "resume", "promote", "promote_full", "abort", "approve" */

typedef struct {
    RolloutHeardKind kind;
    /* RESULT, of the command that is needed now: answers to any other id are not told. While observing, of a READ: any
     * other weight than the stage's has it applied anew. */
    bool succeeded;
    bool impossible;        /* trying again cannot help */
    int32_t weight_percent; /* as read back; -1: not known */
    /* HEALTH; both sides at every look, because an answer that comes after the stage's end is taken for the last: */
    bool have_canary; /* false: no data (missing series, NaN, source down), why says which */
    bool have_baseline;
    JudgeCounts canary;
    JudgeCounts baseline;
    Str query;
    /* ORDER: */
    RolloutOrder order;
    Str who;
    Str why; /* also of a failed RESULT, and of what is missing of HEALTH */
} RolloutHeard;

Rollout rollout_make(void);

/* Folds an event in. Events that do not fit the state (a fenced worker's, a newer program's) change nothing and give
 * false. */
bool rollout_apply(Rollout *rollout, const DeploymentPlan *plan, const RolloutEvent *event);

RolloutNeed rollout_need(const Rollout *rollout, const DeploymentPlan *plan, int64_t now_ms);

/* True: `event` (all but its region, which the caller fills in) is to be stored with the expected last sequence and,
 * once it stands, folded in; its texts live in the arena or in `heard`. False: nothing changes. An order that does not
 * fit is told in `why_not` (may be NULL), which otherwise stays untouched: also for one that is fulfilled already.
 *
 *   pause, resume   not while going back; pausing what is paused, or resuming what is not, changes nothing
 *   promote         from APPLY to OBSERVE, by a name; not in APPROVAL (approve it), nor in BAKE (nothing is left)
 *   promote_full    as promote, and in APPROVAL
 *   approve         in APPROVAL, by a name
 *   abort           always; in BAKE it goes back to the previous version; nothing to do while going back already
 *   rollback_all    as abort, and in NEW it begins to go back: so a region whose rollout is over long since is restored
 *   supersede       before the first stage's APPLY */
bool rollout_hear(const Rollout *rollout, const DeploymentPlan *plan, const RolloutHeard *heard, int64_t now_ms,
                  Arena *arena, RolloutEvent *event, Err *why_not);

/* Whether the region's lane may go to the next deployment: final, or baking. */
bool rollout_is_off_lane(const Rollout *rollout);

#endif
