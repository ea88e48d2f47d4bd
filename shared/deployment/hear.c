/* hear - what the world said becomes the next event of a rollout, or none.
 * Nothing is changed here: an event counts once it stands on the ledger and was folded in. */
#include "shared/deployment/private.h"

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 30000
#define TRIES_MAX 100
#define EXTENSIONS_MAX 8

/* What every part of hearing looks at, and where it answers. */
typedef struct {
    const Rollout *rollout;
    const DeploymentPlan *plan;
    const DeploymentStage *stage;
    const RolloutHeard *heard;
    int64_t now_ms;
    Arena *arena;
    RolloutEvent *event;
} Hearing;

static bool emit(const Hearing *hearing, RolloutEventKind kind, Str why)
{
    *hearing->event = rollout_event_make(hearing->rollout, kind, hearing->now_ms);
    hearing->event->why = why;
    return true;
}

static bool emit_until(const Hearing *hearing, RolloutEventKind kind, int64_t length_ms, Str why)
{
    emit(hearing, kind, why);
    hearing->event->until_ms = rollout_add_ms(hearing->now_ms, length_ms > 0 ? length_ms : 0);
    return true;
}

static bool emit_end(const Hearing *hearing, RolloutPhase phase, RolloutCause cause, Str why)
{
    emit(hearing, ROLLOUT_EVENT_ENDED, why);
    hearing->event->phase = phase;
    hearing->event->cause = cause;
    return true;
}

static bool emit_rollback(const Hearing *hearing, RolloutCause cause, Str why)
{
    emit(hearing, ROLLOUT_EVENT_ROLLBACK_BEGUN, why);
    hearing->event->cause = cause;
    hearing->event->weight_percent = -1;
    return true;
}

static bool is_past_deadline(const Hearing *hearing)
{
    int64_t deadline_ms = rollout_deadline_ms(hearing->rollout, hearing->plan);
    return deadline_ms != INT64_MAX && hearing->now_ms >= deadline_ms;
}

static bool emit_deadline(const Hearing *hearing)
{
    Str why = arena_print(hearing->arena, "no progress in stage %s for %lld ms", hearing->stage->name,
                          (long long)hearing->plan->progress_deadline_ms);
    return emit_rollback(hearing, ROLLOUT_CAUSE_DEADLINE, why);
}

/* The last stage is followed by the bake, whose end stands in the event. */
static bool emit_passed(const Hearing *hearing, Str why)
{
    bool last = hearing->rollout->stage + 1 >= hearing->plan->stage_count;
    return emit_until(hearing, ROLLOUT_EVENT_STAGE_PASSED, last ? hearing->plan->bake_ms : 0, why);
}

static bool hear_start(const Hearing *hearing)
{
    if (hearing->rollout->phase != ROLLOUT_NEW)
        return false;
    if (!rollout_plan_is_usable(hearing->plan))
        return emit_end(hearing, ROLLOUT_FAILED, ROLLOUT_CAUSE_FAILURE, STR("the plan has no stages"));
    return emit(hearing, ROLLOUT_EVENT_STARTED, (Str){0});
}

static bool hear_time(const Hearing *hearing)
{
    const Rollout *rollout = hearing->rollout;
    bool over = hearing->now_ms >= rollout->until_ms;
    switch (rollout->phase) {
    case ROLLOUT_WARM_UP:
        if (rollout_is_promoted(rollout))
            return emit_passed(hearing, STR("promoted"));
        return over && emit_until(hearing, ROLLOUT_EVENT_OBSERVING, hearing->stage->duration_ms, (Str){0});
    case ROLLOUT_OBSERVE:
        if (rollout_is_promoted(rollout))
            return emit_passed(hearing, STR("promoted"));
        if (over && !hearing->stage->judged)
            return emit_passed(hearing, STR("its time is over; the plan asks for no judgement"));
        return is_past_deadline(hearing) && emit_deadline(hearing);
    case ROLLOUT_APPLY:
    case ROLLOUT_VERIFY:
        return is_past_deadline(hearing) && emit_deadline(hearing);
    case ROLLOUT_BAKE:
        return over && emit(hearing, ROLLOUT_EVENT_SUCCEEDED, (Str){0});
    default:
        return false;
    }
}

/* 1 s, doubling, at most 30 s. */
static int64_t backoff_ms(int32_t failures)
{
    int64_t wait_ms = BACKOFF_FIRST_MS;
    for (int32_t i = 1; i < failures && wait_ms < BACKOFF_MAX_MS; i++)
        wait_ms *= 2;
    return wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS;
}

/* Going back is worth twice the tries. */
static bool is_last_try(const Hearing *hearing)
{
    int32_t allowed = hearing->plan->command_tries > 1 ? hearing->plan->command_tries : 1;
    if (allowed > TRIES_MAX)
        allowed = TRIES_MAX;
    if (rollout_is_going_back(hearing->rollout))
        allowed *= 2;
    return hearing->rollout->tries + 1 >= allowed;
}

/* Only the refusal of the very first command says that nothing was touched: a try that failed may have had an effect.
 */
static bool is_refused_untouched(const Hearing *hearing)
{
    const Rollout *rollout = hearing->rollout;
    return hearing->heard->impossible && rollout->phase == ROLLOUT_APPLY && rollout->stage == 0 && rollout->tries == 0;
}

static bool give_up(const Hearing *hearing, int32_t found_percent, Str why)
{
    if (rollout_is_going_back(hearing->rollout))
        return emit_end(hearing, ROLLOUT_ROLLBACK_FAILED, hearing->rollout->cause, why);
    if (is_refused_untouched(hearing))
        return emit_end(hearing, ROLLOUT_FAILED, ROLLOUT_CAUSE_FAILURE, why);
    emit_rollback(hearing, ROLLOUT_CAUSE_FAILURE, why);
    hearing->event->weight_percent = found_percent;
    return true;
}

static bool try_failed(const Hearing *hearing, int32_t found_percent, Str why)
{
    if (hearing->heard->impossible || is_last_try(hearing))
        return give_up(hearing, found_percent, why);
    if (is_past_deadline(hearing))
        return emit_deadline(hearing);
    emit_until(hearing, ROLLOUT_EVENT_TRY_FAILED, backoff_ms(hearing->rollout->tries + 1), why);
    hearing->event->weight_percent = found_percent;
    return true;
}

static bool hear_read(const Hearing *hearing, int32_t wanted_percent)
{
    int32_t found_percent = hearing->heard->weight_percent;
    if (found_percent < 0)
        return try_failed(hearing, -1, STR("the weight that is set could not be read"));
    if (found_percent != wanted_percent)
        return try_failed(
            hearing, found_percent,
            arena_print(hearing->arena, "set %d %%, found %d %%", (int)wanted_percent, (int)found_percent));
    if (rollout_is_going_back(hearing->rollout))
        return emit_end(hearing, rollout_phase_by_cause(hearing->rollout->cause), hearing->rollout->cause,
                        STR("gone back: no traffic reaches the new version"));
    emit_until(hearing, ROLLOUT_EVENT_VERIFIED, hearing->stage->warm_up_ms, (Str){0});
    hearing->event->weight_percent = found_percent;
    return true;
}

/* What was judged would have been judged at another weight. A read that failed says nothing about that. */
static bool hear_drift(const Hearing *hearing)
{
    int32_t wanted_percent = hearing->stage->weight_percent;
    int32_t found_percent = hearing->heard->succeeded ? hearing->heard->weight_percent : -1;
    if (found_percent < 0 || found_percent == wanted_percent || rollout_is_promoted(hearing->rollout))
        return false;
    return try_failed(
        hearing, found_percent,
        arena_print(hearing->arena, "was set %d %%, is %d %% by now", (int)wanted_percent, (int)found_percent));
}

static bool hear_result(const Hearing *hearing)
{
    RolloutPhase phase = hearing->rollout->phase;
    if (phase == ROLLOUT_OBSERVE)
        return hear_drift(hearing);
    if (phase != ROLLOUT_APPLY && phase != ROLLOUT_VERIFY && !rollout_is_going_back(hearing->rollout))
        return false;
    if (!hearing->heard->succeeded)
        return try_failed(hearing, -1, hearing->heard->why);
    if (phase == ROLLOUT_APPLY)
        return emit(hearing, ROLLOUT_EVENT_APPLIED, (Str){0});
    if (phase == ROLLOUT_ROLLBACK)
        return emit(hearing, ROLLOUT_EVENT_ROLLBACK_APPLIED, (Str){0});
    return hear_read(hearing, phase == ROLLOUT_VERIFY ? hearing->stage->weight_percent : 0);
}

/* The gate that decided, and what the health source said of itself (a histogram that is missing). */
static Str explain(const Hearing *hearing, const JudgeVerdict *verdict)
{
    const JudgeFinding *finding = &verdict->findings[verdict->worst];
    Str remark = hearing->heard->why;
    return arena_print(hearing->arena, "%s: %s (%llu of %llu)%s" STR_FMT, judge_gate_name(verdict->worst),
                       finding->reason ? finding->reason : judge_verdict_name(verdict->verdict),
                       (unsigned long long)finding->bad, (unsigned long long)finding->total,
                       remark.length > 0 ? "; " : "", STR_ARG(remark));
}

static bool attach_verdict(const Hearing *hearing, const JudgeVerdict *verdict)
{
    hearing->event->judged = true;
    hearing->event->verdict = *verdict;
    hearing->event->canary = hearing->heard->canary;
    if (hearing->heard->have_baseline)
        hearing->event->baseline = hearing->heard->baseline;
    return true;
}

/* Half of the stage's duration at a time, and never more than a few times, however short the stage is. */
static int64_t extension_ms(const Hearing *hearing)
{
    int64_t maximum_ms = hearing->stage->extend_max_ms;
    int64_t left_ms = rollout_subtract_ms(maximum_ms, hearing->rollout->extended_ms);
    int64_t step_ms = hearing->stage->duration_ms / 2;
    if (step_ms < maximum_ms / EXTENSIONS_MAX)
        step_ms = maximum_ms / EXTENSIONS_MAX;
    if (step_ms < 1 || step_ms > left_ms)
        step_ms = left_ms;
    return step_ms > 0 ? step_ms : 0;
}

static bool hear_nothing_certain(const Hearing *hearing, Str why)
{
    int64_t more_ms = extension_ms(hearing);
    if (more_ms > 0 && hearing->now_ms < INT64_MAX) /* at the end of time no extension would ever be used up */
        return emit_until(hearing, ROLLOUT_EVENT_EXTENDED, more_ms, why);
    emit(hearing, ROLLOUT_EVENT_PAUSED, why);
    hearing->event->who = STR("judge");
    return true;
}

static bool hear_early(const Hearing *hearing)
{
    if (!hearing->heard->have_canary)
        return false;
    JudgeVerdict verdict = judge_early(&hearing->plan->limits, &hearing->heard->canary);
    if (verdict.verdict != JUDGE_FAIL)
        return false;
    emit_rollback(hearing, ROLLOUT_CAUSE_HEALTH, explain(hearing, &verdict));
    return attach_verdict(hearing, &verdict);
}

static bool hear_final(const Hearing *hearing)
{
    const RolloutHeard *heard = hearing->heard;
    if (!heard->have_canary)
        return hear_nothing_certain(hearing, heard->why.length > 0 ? heard->why : STR("no data"));
    JudgeVerdict verdict = judge_final(&hearing->plan->limits, &heard->canary,
                                       heard->have_baseline ? &heard->baseline : NULL, hearing->rollout->worse_windows);
    Str why = explain(hearing, &verdict);
    if (verdict.verdict == JUDGE_FAIL)
        emit_rollback(hearing, ROLLOUT_CAUSE_HEALTH, why);
    else if (verdict.verdict == JUDGE_INCONCLUSIVE)
        hear_nothing_certain(hearing, why);
    else
        emit_passed(hearing, why);
    return attach_verdict(hearing, &verdict);
}

static bool hear_health(const Hearing *hearing)
{
    const Rollout *rollout = hearing->rollout;
    if (rollout->phase != ROLLOUT_OBSERVE)
        return false;
    if (!hearing->stage->judged || rollout_is_promoted(rollout))
        return hear_time(hearing);
    bool happens = hearing->now_ms >= rollout->until_ms ? hear_final(hearing) : hear_early(hearing);
    if (happens)
        hearing->event->query = hearing->heard->query;
    return happens;
}

bool rollout_hear(const Rollout *rollout, const DeploymentPlan *plan, const RolloutHeard *heard, int64_t now_ms,
                  Arena *arena, RolloutEvent *event, Err *why_not)
{
    if (heard->kind == ROLLOUT_HEARD_ORDER)
        return rollout_hear_order(rollout, heard, now_ms, event, why_not);
    if (rollout_phase_is_final(rollout->phase) || rollout->paused || !rollout_fits_plan(rollout, plan))
        return false;
    const Hearing hearing = {rollout, plan, &plan->stages[rollout->stage], heard, now_ms, arena, event};
    switch (heard->kind) {
    case ROLLOUT_HEARD_START:
        return hear_start(&hearing);
    case ROLLOUT_HEARD_TIME:
        return hear_time(&hearing);
    case ROLLOUT_HEARD_RESULT:
        return hear_result(&hearing);
    case ROLLOUT_HEARD_HEALTH:
        return hear_health(&hearing);
    case ROLLOUT_HEARD_ORDER:
        break;
    }
    return false;
}
