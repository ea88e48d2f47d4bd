/* order - a person's order to a rollout, or the sequence's: the event that it becomes, or why it does not fit.
 * An order that is fulfilled already is neither: it may be given twice without harm. */
#include "shared/deployment/private.h"

static const struct {
    const char *name;
    RolloutOrder order;
    bool given_by_persons;
} orders[] = {
    {"pause", ROLLOUT_ORDER_PAUSE, true},
    {"resume", ROLLOUT_ORDER_RESUME, true},
    {"promote", ROLLOUT_ORDER_PROMOTE, true},
    {"promote_full", ROLLOUT_ORDER_PROMOTE_FULL, true},
    {"abort", ROLLOUT_ORDER_ABORT, true},
    {"approve", ROLLOUT_ORDER_APPROVE, true},
    {"rollback_all", ROLLOUT_ORDER_ROLLBACK_ALL, false},
    {"supersede", ROLLOUT_ORDER_SUPERSEDE, false},
};
#define ORDERS (sizeof orders / sizeof orders[0])

const char *rollout_order_name(RolloutOrder order)
{
    for (size_t i = 0; i < ORDERS; i++) {
        if (orders[i].order == order)
            return orders[i].name;
    }
    return "unknown";
}

bool rollout_order_parse(Str name, RolloutOrder *order)
{
    for (size_t i = 0; i < ORDERS; i++) {
        if (orders[i].given_by_persons && str_equal(name, str_from(orders[i].name))) {
            *order = orders[i].order;
            return true;
        }
    }
    return false;
}

static bool refuse(const Rollout *rollout, const RolloutHeard *heard, Err *why_not, const char *reason)
{
    if (why_not != NULL)
        *why_not = err_reject("%s: %s (phase %s)", rollout_order_name(heard->order), reason,
                              rollout_phase_name(rollout->phase));
    return false;
}

static bool emit(const Rollout *rollout, const RolloutHeard *heard, int64_t now_ms, RolloutEventKind kind,
                 RolloutEvent *event)
{
    *event = rollout_event_make(rollout, kind, now_ms);
    event->who = heard->who;
    event->why = heard->why;
    return true;
}

static bool hear_promote(const Rollout *rollout, const RolloutHeard *heard, int64_t now_ms, RolloutEvent *event,
                         Err *why_not)
{
    bool full = heard->order == ROLLOUT_ORDER_PROMOTE_FULL;
    if (heard->who.length == 0)
        return refuse(rollout, heard, why_not, "must be given by a name");
    if (rollout->phase == ROLLOUT_NEW)
        return refuse(rollout, heard, why_not, "the rollout has not begun");
    if (rollout->phase == ROLLOUT_BAKE)
        return refuse(rollout, heard, why_not, "all stages have passed");
    if (rollout->phase == ROLLOUT_APPROVAL && !full)
        return refuse(rollout, heard, why_not, "the stage waits for an approval, not for a judgement");
    if (!rollout->paused && (rollout->promote_full || (rollout->promote && !full)))
        return false;
    emit(rollout, heard, now_ms, ROLLOUT_EVENT_PROMOTED, event);
    event->full = full;
    return true;
}

static bool hear_approve(const Rollout *rollout, const RolloutHeard *heard, int64_t now_ms, RolloutEvent *event,
                         Err *why_not)
{
    if (rollout->phase != ROLLOUT_APPROVAL)
        return refuse(rollout, heard, why_not, "no approval is waited for");
    if (heard->who.length == 0)
        return refuse(rollout, heard, why_not, "must be given by a name");
    return emit(rollout, heard, now_ms, ROLLOUT_EVENT_APPROVED, event);
}

/* Where nothing was touched there is nothing to go back from; but the sequence restores what an earlier rollout did. */
static bool go_back(const Rollout *rollout, const RolloutHeard *heard, int64_t now_ms, RolloutCause cause,
                    RolloutEvent *event)
{
    bool restores = rollout->phase == ROLLOUT_NEW && cause == ROLLOUT_CAUSE_SEQUENCE;
    if (rollout_is_untouched(rollout) && !restores) {
        emit(rollout, heard, now_ms, ROLLOUT_EVENT_ENDED, event);
        event->phase = rollout_phase_by_cause(cause);
    } else {
        emit(rollout, heard, now_ms, ROLLOUT_EVENT_ROLLBACK_BEGUN, event);
        event->weight_percent = -1;
    }
    event->cause = cause;
    return true;
}

static bool hear_while_going_back(const Rollout *rollout, const RolloutHeard *heard, Err *why_not)
{
    if (heard->order == ROLLOUT_ORDER_ABORT || heard->order == ROLLOUT_ORDER_ROLLBACK_ALL)
        return false;
    return refuse(rollout, heard, why_not, "it is going back already");
}

bool rollout_hear_order(const Rollout *rollout, const RolloutHeard *heard, int64_t now_ms, RolloutEvent *event,
                        Err *why_not)
{
    if (rollout_phase_is_final(rollout->phase))
        return refuse(rollout, heard, why_not, "the rollout is over");
    if (rollout_is_going_back(rollout))
        return hear_while_going_back(rollout, heard, why_not);
    switch (heard->order) {
    case ROLLOUT_ORDER_PAUSE:
        return !rollout->paused && emit(rollout, heard, now_ms, ROLLOUT_EVENT_PAUSED, event);
    case ROLLOUT_ORDER_RESUME:
        return rollout->paused && emit(rollout, heard, now_ms, ROLLOUT_EVENT_RESUMED, event);
    case ROLLOUT_ORDER_PROMOTE:
    case ROLLOUT_ORDER_PROMOTE_FULL:
        return hear_promote(rollout, heard, now_ms, event, why_not);
    case ROLLOUT_ORDER_APPROVE:
        return hear_approve(rollout, heard, now_ms, event, why_not);
    case ROLLOUT_ORDER_ABORT:
        return go_back(rollout, heard, now_ms, ROLLOUT_CAUSE_ORDER, event);
    case ROLLOUT_ORDER_ROLLBACK_ALL:
        return go_back(rollout, heard, now_ms, ROLLOUT_CAUSE_SEQUENCE, event);
    case ROLLOUT_ORDER_SUPERSEDE:
        if (!rollout_is_untouched(rollout))
            return refuse(rollout, heard, why_not, "it is under way already");
        return go_back(rollout, heard, now_ms, ROLLOUT_CAUSE_ORDER, event);
    }
    return refuse(rollout, heard, why_not, "is not known");
}
