/* rollout - folding events into the state, and what the state needs of the world.
 * An event is folded into a copy first, so one that does not fit leaves nothing half changed. */
#include "shared/deployment/private.h"

/* Thousands are held at once in one worker. */
_Static_assert(sizeof(Rollout) < 512, "a rollout's state has become too large");

#define NAME(names, value)                                                                                             \
    ((size_t)(value) < sizeof(names) / sizeof(names)[0] && (names)[value] ? (names)[value] : "unknown")

const char *rollout_phase_name(RolloutPhase phase)
{
    static const char *const names[] = {
        [ROLLOUT_NEW] = "new",
        [ROLLOUT_APPROVAL] = "approval",
        [ROLLOUT_APPLY] = "apply",
        [ROLLOUT_VERIFY] = "verify",
        [ROLLOUT_WARM_UP] = "warm_up",
        [ROLLOUT_OBSERVE] = "observe",
        [ROLLOUT_BAKE] = "bake",
        [ROLLOUT_ROLLBACK] = "rollback",
        [ROLLOUT_ROLLBACK_VERIFY] = "rollback_verify",
        [ROLLOUT_SUCCEEDED] = "succeeded",
        [ROLLOUT_ROLLED_BACK] = "rolled_back",
        [ROLLOUT_ABORTED] = "aborted",
        [ROLLOUT_FAILED] = "failed",
        [ROLLOUT_ROLLBACK_FAILED] = "rollback_failed",
    };
    return NAME(names, phase);
}

const char *rollout_event_name(RolloutEventKind kind)
{
    static const char *const names[] = {
        [ROLLOUT_EVENT_STARTED] = "started",
        [ROLLOUT_EVENT_APPROVED] = "approved",
        [ROLLOUT_EVENT_APPLIED] = "applied",
        [ROLLOUT_EVENT_VERIFIED] = "verified",
        [ROLLOUT_EVENT_OBSERVING] = "observing",
        [ROLLOUT_EVENT_EXTENDED] = "extended",
        [ROLLOUT_EVENT_STAGE_PASSED] = "stage_passed",
        [ROLLOUT_EVENT_PAUSED] = "paused",
        [ROLLOUT_EVENT_RESUMED] = "resumed",
        [ROLLOUT_EVENT_PROMOTED] = "promoted",
        [ROLLOUT_EVENT_ROLLBACK_BEGUN] = "rollback_begun",
        [ROLLOUT_EVENT_ROLLBACK_APPLIED] = "rollback_applied",
        [ROLLOUT_EVENT_TRY_FAILED] = "try_failed",
        [ROLLOUT_EVENT_SUCCEEDED] = "succeeded",
        [ROLLOUT_EVENT_ENDED] = "ended",
    };
    return NAME(names, kind);
}

int64_t rollout_add_ms(int64_t time_ms, int64_t length_ms)
{
    if (length_ms > 0 && time_ms > INT64_MAX - length_ms)
        return INT64_MAX;
    if (length_ms < 0 && time_ms < INT64_MIN - length_ms)
        return INT64_MIN;
    return time_ms + length_ms;
}

int64_t rollout_subtract_ms(int64_t later_ms, int64_t earlier_ms)
{
    if (earlier_ms < 0 && later_ms > INT64_MAX + earlier_ms)
        return INT64_MAX;
    if (earlier_ms > 0 && later_ms < INT64_MIN + earlier_ms)
        return INT64_MIN;
    return later_ms - earlier_ms;
}

static int64_t later_of(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

bool rollout_phase_is_final(RolloutPhase phase)
{
    return phase >= ROLLOUT_SUCCEEDED;
}

bool rollout_is_untouched(const Rollout *rollout)
{
    return rollout->phase == ROLLOUT_NEW || (rollout->phase == ROLLOUT_APPROVAL && rollout->stage == 0);
}

bool rollout_is_going_back(const Rollout *rollout)
{
    return rollout->phase == ROLLOUT_ROLLBACK || rollout->phase == ROLLOUT_ROLLBACK_VERIFY;
}

bool rollout_is_promoted(const Rollout *rollout)
{
    return rollout->promote || rollout->promote_full;
}

bool rollout_is_off_lane(const Rollout *rollout)
{
    return rollout->phase == ROLLOUT_BAKE || rollout_phase_is_final(rollout->phase);
}

bool rollout_plan_is_usable(const DeploymentPlan *plan)
{
    return plan->stage_count >= 1 && plan->stage_count <= DEPLOYMENT_STAGES_MAX;
}

bool rollout_fits_plan(const Rollout *rollout, const DeploymentPlan *plan)
{
    if (rollout->phase == ROLLOUT_NEW || rollout_is_going_back(rollout))
        return true;
    return rollout_plan_is_usable(plan) && rollout->stage < plan->stage_count;
}

RolloutPhase rollout_phase_by_cause(RolloutCause cause)
{
    switch (cause) {
    case ROLLOUT_CAUSE_HEALTH:
    case ROLLOUT_CAUSE_SEQUENCE:
        return ROLLOUT_ROLLED_BACK;
    case ROLLOUT_CAUSE_ORDER:
        return ROLLOUT_ABORTED;
    case ROLLOUT_CAUSE_NONE:
    case ROLLOUT_CAUSE_FAILURE:
    case ROLLOUT_CAUSE_DEADLINE:
        break;
    }
    return ROLLOUT_FAILED;
}

/* Observing may take as long as was planned; only what comes after without an answer counts. */
int64_t rollout_deadline_ms(const Rollout *rollout, const DeploymentPlan *plan)
{
    int64_t from_ms = rollout_add_ms(rollout->progress_at_ms, rollout->paused_total_ms);
    if (rollout->phase == ROLLOUT_OBSERVE)
        from_ms = later_of(from_ms, rollout->until_ms);
    else if (rollout->phase != ROLLOUT_APPLY && rollout->phase != ROLLOUT_VERIFY)
        return INT64_MAX;
    if (rollout->paused || plan->progress_deadline_ms <= 0)
        return INT64_MAX;
    return rollout_add_ms(from_ms, plan->progress_deadline_ms);
}

Rollout rollout_make(void)
{
    return (Rollout){0};
}

RolloutEvent rollout_event_make(const Rollout *rollout, RolloutEventKind kind, int64_t now_ms)
{
    return (RolloutEvent){.kind = kind, .at_ms = now_ms, .stage = rollout->stage};
}

static void enter(Rollout *rollout, RolloutPhase phase, int64_t at_ms, int64_t until_ms)
{
    rollout->phase = phase;
    rollout->since_ms = at_ms;
    rollout->until_ms = until_ms;
}

static void progress(Rollout *rollout, int64_t at_ms)
{
    rollout->progress_at_ms = at_ms;
    rollout->paused_total_ms = 0;
}

static void begin_stage(Rollout *rollout, const DeploymentPlan *plan, int32_t stage, int64_t at_ms)
{
    bool waits = plan->stages[stage].needs_approval && !rollout->promote_full;
    rollout->stage = stage;
    rollout->tries = 0;
    rollout->extended_ms = 0;
    rollout->promote = false;
    progress(rollout, at_ms);
    enter(rollout, waits ? ROLLOUT_APPROVAL : ROLLOUT_APPLY, at_ms, at_ms);
}

static bool fold_started(Rollout *rollout, const DeploymentPlan *plan, const RolloutEvent *event)
{
    if (rollout->phase != ROLLOUT_NEW || !rollout_plan_is_usable(plan))
        return false;
    rollout->started_ms = event->at_ms;
    begin_stage(rollout, plan, 0, event->at_ms);
    return true;
}

static bool fold_approved(Rollout *rollout, const RolloutEvent *event)
{
    if (rollout->phase != ROLLOUT_APPROVAL || event->who.length == 0)
        return false;
    progress(rollout, event->at_ms);
    enter(rollout, ROLLOUT_APPLY, event->at_ms, event->at_ms);
    return true;
}

static bool fold_applied(Rollout *rollout, const RolloutEvent *event)
{
    if (rollout->phase != ROLLOUT_APPLY)
        return false;
    progress(rollout, event->at_ms);
    enter(rollout, ROLLOUT_VERIFY, event->at_ms, event->at_ms);
    return true;
}

static bool fold_verified(Rollout *rollout, const DeploymentPlan *plan, const RolloutEvent *event)
{
    if (rollout->phase != ROLLOUT_VERIFY || event->weight_percent != plan->stages[rollout->stage].weight_percent)
        return false;
    rollout->weight_percent = event->weight_percent;
    progress(rollout, event->at_ms);
    enter(rollout, ROLLOUT_WARM_UP, event->at_ms, event->until_ms);
    return true;
}

static bool fold_observing(Rollout *rollout, const RolloutEvent *event)
{
    if (rollout->phase != ROLLOUT_WARM_UP)
        return false;
    progress(rollout, event->at_ms);
    enter(rollout, ROLLOUT_OBSERVE, event->at_ms, event->until_ms);
    return true;
}

static bool fold_extended(Rollout *rollout, const RolloutEvent *event)
{
    if (rollout->phase != ROLLOUT_OBSERVE)
        return false;
    int64_t length_ms = later_of(rollout_subtract_ms(event->until_ms, event->at_ms), 0);
    rollout->extended_ms = rollout_add_ms(rollout->extended_ms, length_ms);
    rollout->until_ms = event->until_ms;
    progress(rollout, event->at_ms);
    return true;
}

static bool fold_stage_passed(Rollout *rollout, const DeploymentPlan *plan, const RolloutEvent *event)
{
    bool skips = rollout->phase == ROLLOUT_WARM_UP && rollout_is_promoted(rollout);
    if (rollout->phase != ROLLOUT_OBSERVE && !skips)
        return false;
    rollout->stages_passed++;
    rollout->worse_windows = event->judged && event->verdict.worse_windows > 0 ? event->verdict.worse_windows : 0;
    if (rollout->stage + 1 < plan->stage_count) {
        begin_stage(rollout, plan, rollout->stage + 1, event->at_ms);
        return true;
    }
    progress(rollout, event->at_ms);
    enter(rollout, ROLLOUT_BAKE, event->at_ms, event->until_ms);
    return true;
}

static bool fold_paused(Rollout *rollout, const RolloutEvent *event)
{
    if (rollout->paused || rollout_is_going_back(rollout))
        return false;
    rollout->paused = true;
    rollout->paused_at_ms = event->at_ms;
    rollout->paused_by_judge = rollout->phase == ROLLOUT_OBSERVE && str_equal(event->who, STR("judge"));
    return true;
}

/* The part of the pause that came after a moment. A clock that stepped back makes a pause of no length. */
static int64_t pause_after(const Rollout *rollout, int64_t moment_ms, int64_t at_ms)
{
    return later_of(rollout_subtract_ms(at_ms, later_of(rollout->paused_at_ms, moment_ms)), 0);
}

/* An approval may have come in mid-pause: what it set is moved by the rest of the pause only. */
static void end_pause(Rollout *rollout, int64_t at_ms)
{
    rollout->until_ms = rollout_add_ms(rollout->until_ms, pause_after(rollout, rollout->since_ms, at_ms));
    rollout->paused_total_ms =
        rollout_add_ms(rollout->paused_total_ms, pause_after(rollout, rollout->progress_at_ms, at_ms));
    rollout->paused = false;
    rollout->paused_by_judge = false;
}

static bool fold_resumed(Rollout *rollout, const DeploymentPlan *plan, const RolloutEvent *event)
{
    if (!rollout->paused)
        return false;
    bool once_more = rollout->paused_by_judge;
    end_pause(rollout, event->at_ms);
    if (once_more) {
        int64_t length_ms = later_of(plan->stages[rollout->stage].duration_ms, 0);
        rollout->extended_ms = 0;
        progress(rollout, event->at_ms);
        enter(rollout, ROLLOUT_OBSERVE, event->at_ms, rollout_add_ms(event->at_ms, length_ms));
    }
    return true;
}

static bool fold_promoted(Rollout *rollout, const RolloutEvent *event)
{
    bool skips_approval = rollout->phase == ROLLOUT_APPROVAL && event->full;
    if ((rollout->phase < ROLLOUT_APPLY || rollout->phase > ROLLOUT_OBSERVE) && !skips_approval)
        return false;
    if (rollout->paused)
        end_pause(rollout, event->at_ms);
    rollout->promote = true;
    rollout->promote_full = rollout->promote_full || event->full;
    progress(rollout, event->at_ms);
    if (skips_approval)
        enter(rollout, ROLLOUT_APPLY, event->at_ms, event->at_ms);
    return true;
}

static bool fold_rollback_begun(Rollout *rollout, const RolloutEvent *event)
{
    bool restores = rollout->phase == ROLLOUT_NEW && event->cause == ROLLOUT_CAUSE_SEQUENCE;
    if (rollout_is_untouched(rollout) && !restores)
        return false;
    if (rollout_is_going_back(rollout) || event->cause == ROLLOUT_CAUSE_NONE)
        return false;
    if (restores)
        rollout->started_ms = event->at_ms;
    rollout->cause = event->cause;
    rollout->tries = 0;
    rollout->paused = false;
    rollout->paused_by_judge = false;
    enter(rollout, ROLLOUT_ROLLBACK, event->at_ms, event->at_ms);
    return true;
}

static bool fold_rollback_applied(Rollout *rollout, const RolloutEvent *event)
{
    if (rollout->phase != ROLLOUT_ROLLBACK)
        return false;
    enter(rollout, ROLLOUT_ROLLBACK_VERIFY, event->at_ms, event->at_ms);
    return true;
}

/* Where another weight was found, setting it is what is tried again; where nothing was found out, only the asking is.
 */
static bool fold_try_failed(Rollout *rollout, const RolloutEvent *event)
{
    RolloutPhase phase = rollout->phase;
    bool drifted = phase == ROLLOUT_OBSERVE && event->weight_percent >= 0;
    if (phase != ROLLOUT_APPLY && phase != ROLLOUT_VERIFY && !rollout_is_going_back(rollout) && !drifted)
        return false;
    if (drifted)
        rollout->extended_ms = 0; /* it is observed anew */
    if (drifted || (phase == ROLLOUT_VERIFY && event->weight_percent >= 0))
        phase = ROLLOUT_APPLY;
    if (phase == ROLLOUT_ROLLBACK_VERIFY && event->weight_percent >= 0)
        phase = ROLLOUT_ROLLBACK;
    rollout->tries += rollout->tries < INT32_MAX ? 1 : 0;
    enter(rollout, phase, event->at_ms, event->until_ms);
    return true;
}

static bool fold_succeeded(Rollout *rollout, const RolloutEvent *event)
{
    if (rollout->phase != ROLLOUT_BAKE)
        return false;
    rollout->ended_ms = event->at_ms;
    enter(rollout, ROLLOUT_SUCCEEDED, event->at_ms, event->at_ms);
    return true;
}

static bool end_fits(const Rollout *rollout, RolloutPhase end)
{
    bool verified = rollout->phase == ROLLOUT_ROLLBACK_VERIFY && end == rollout_phase_by_cause(rollout->cause);
    switch (end) {
    case ROLLOUT_ROLLED_BACK:
    case ROLLOUT_ABORTED:
        return verified || rollout_is_untouched(rollout);
    case ROLLOUT_FAILED:
        return verified || rollout->phase == ROLLOUT_NEW || (rollout->phase == ROLLOUT_APPLY && rollout->stage == 0);
    case ROLLOUT_ROLLBACK_FAILED:
        return rollout_is_going_back(rollout);
    default:
        return false;
    }
}

static bool fold_ended(Rollout *rollout, const RolloutEvent *event)
{
    if (!end_fits(rollout, event->phase))
        return false;
    if (rollout->phase == ROLLOUT_ROLLBACK_VERIFY && event->phase != ROLLOUT_ROLLBACK_FAILED)
        rollout->weight_percent = 0;
    if (rollout->cause == ROLLOUT_CAUSE_NONE)
        rollout->cause = event->cause;
    rollout->paused = false;
    rollout->ended_ms = event->at_ms;
    enter(rollout, event->phase, event->at_ms, event->at_ms);
    return true;
}

/* Nobody but a person moves what is paused. */
static bool is_of_the_machine(RolloutEventKind kind)
{
    switch (kind) {
    case ROLLOUT_EVENT_APPROVED:
    case ROLLOUT_EVENT_PAUSED:
    case ROLLOUT_EVENT_RESUMED:
    case ROLLOUT_EVENT_PROMOTED:
    case ROLLOUT_EVENT_ROLLBACK_BEGUN:
    case ROLLOUT_EVENT_ENDED:
        return false;
    default:
        return true;
    }
}

static bool fold(Rollout *rollout, const DeploymentPlan *plan, const RolloutEvent *event)
{
    switch (event->kind) {
    case ROLLOUT_EVENT_STARTED:
        return fold_started(rollout, plan, event);
    case ROLLOUT_EVENT_APPROVED:
        return fold_approved(rollout, event);
    case ROLLOUT_EVENT_APPLIED:
        return fold_applied(rollout, event);
    case ROLLOUT_EVENT_VERIFIED:
        return fold_verified(rollout, plan, event);
    case ROLLOUT_EVENT_OBSERVING:
        return fold_observing(rollout, event);
    case ROLLOUT_EVENT_EXTENDED:
        return fold_extended(rollout, event);
    case ROLLOUT_EVENT_STAGE_PASSED:
        return fold_stage_passed(rollout, plan, event);
    case ROLLOUT_EVENT_PAUSED:
        return fold_paused(rollout, event);
    case ROLLOUT_EVENT_RESUMED:
        return fold_resumed(rollout, plan, event);
    case ROLLOUT_EVENT_PROMOTED:
        return fold_promoted(rollout, event);
    case ROLLOUT_EVENT_ROLLBACK_BEGUN:
        return fold_rollback_begun(rollout, event);
    case ROLLOUT_EVENT_ROLLBACK_APPLIED:
        return fold_rollback_applied(rollout, event);
    case ROLLOUT_EVENT_TRY_FAILED:
        return fold_try_failed(rollout, event);
    case ROLLOUT_EVENT_SUCCEEDED:
        return fold_succeeded(rollout, event);
    case ROLLOUT_EVENT_ENDED:
        return fold_ended(rollout, event);
    }
    return false;
}

bool rollout_apply(Rollout *rollout, const DeploymentPlan *plan, const RolloutEvent *event)
{
    Rollout next = *rollout;
    if (rollout_phase_is_final(rollout->phase) || event->stage != rollout->stage)
        return false;
    if (!rollout_fits_plan(rollout, plan))
        return false;
    if (rollout->paused && is_of_the_machine(event->kind))
        return false;
    if (!fold(&next, plan, event))
        return false;
    if (event->judged || rollout_phase_is_final(next.phase))
        next.marginal = event->judged && event->verdict.verdict == JUDGE_MARGINAL;
    next.events++;
    *rollout = next;
    return true;
}
