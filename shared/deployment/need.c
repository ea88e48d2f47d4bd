/* need - what a rollout's state needs of the world.
 * A pure function of state and time, so that whoever takes over needs the same. */
#include "shared/deployment/private.h"

#define COMMAND_TIMEOUT_DEFAULT_MS 60000

const char *rollout_command_name(RolloutCommand command)
{
    switch (command) {
    case ROLLOUT_COMMAND_APPLY:
        return "apply";
    case ROLLOUT_COMMAND_READ:
        return "read";
    case ROLLOUT_COMMAND_ROLLBACK:
        return "rollback";
    case ROLLOUT_COMMAND_FINISH:
        return "finish";
    }
    return "unknown";
}

static int64_t earlier_of(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static RolloutNeed wait_until(int64_t until_ms)
{
    return (RolloutNeed){.kind = ROLLOUT_NEED_WAIT, .until_ms = until_ms};
}

/* The deadline, but never before what is asked for now had its chance to be answered: after an outage that was longer
 * than the deadline the answer decides, not the outage. */
static int64_t alarm_ms(const Rollout *rollout, const DeploymentPlan *plan, int64_t now_ms)
{
    int64_t timeout_ms = plan->command_timeout_ms > 0 ? plan->command_timeout_ms : COMMAND_TIMEOUT_DEFAULT_MS;
    int64_t answer_ms = rollout_add_ms(now_ms, timeout_ms);
    int64_t deadline_ms = rollout_deadline_ms(rollout, plan);
    return deadline_ms == INT64_MAX || deadline_ms < answer_ms ? answer_ms : deadline_ms;
}

/* A clock that stepped back behind the last try would wait for too long: then it is tried at once. */
static RolloutNeed need_command(const Rollout *rollout, const DeploymentPlan *plan, int64_t now_ms,
                                RolloutCommand command)
{
    bool backward = rollout_is_going_back(rollout);
    if (now_ms >= rollout->since_ms && now_ms < rollout->until_ms)
        return wait_until(earlier_of(rollout->until_ms, rollout_deadline_ms(rollout, plan)));
    return (RolloutNeed){
        .kind = ROLLOUT_NEED_COMMAND,
        .until_ms = alarm_ms(rollout, plan, now_ms),
        .command = command,
        .weight_percent = backward ? 0 : plan->stages[rollout->stage].weight_percent,
        .attempt = rollout->events < INT32_MAX ? (int32_t)rollout->events : INT32_MAX,
    };
}

/* Looks at since + k * look, k from 1, and one at the end. */
static RolloutNeed need_health(const Rollout *rollout, const DeploymentPlan *plan, int64_t now_ms)
{
    RolloutNeed need = {.kind = ROLLOUT_NEED_HEALTH, .since_ms = rollout->since_ms, .final = true};
    if (now_ms >= rollout->until_ms) {
        need.until_ms = alarm_ms(rollout, plan, now_ms);
        return need;
    }
    if (plan->look_ms <= 0)
        return wait_until(rollout->until_ms);
    int64_t passed_ms = rollout_subtract_ms(now_ms, rollout->since_ms);
    int64_t looks_ms = passed_ms > 0 ? passed_ms / plan->look_ms * plan->look_ms : 0;
    int64_t last_ms = rollout_add_ms(rollout->since_ms, looks_ms);
    int64_t next_ms = earlier_of(rollout_add_ms(last_ms, plan->look_ms), rollout->until_ms);
    if (looks_ms == 0)
        return wait_until(next_ms);
    need.final = false;
    need.until_ms = next_ms;
    return need;
}

static RolloutNeed need_observe(const Rollout *rollout, const DeploymentPlan *plan, int64_t now_ms)
{
    if (rollout_is_promoted(rollout))
        return wait_until(now_ms);
    if (!plan->stages[rollout->stage].judged)
        return wait_until(rollout->until_ms);
    return need_health(rollout, plan, now_ms);
}

RolloutNeed rollout_need(const Rollout *rollout, const DeploymentPlan *plan, int64_t now_ms)
{
    if (rollout_phase_is_final(rollout->phase))
        return (RolloutNeed){.kind = ROLLOUT_NEED_NOTHING, .until_ms = INT64_MAX};
    if (rollout->paused)
        return wait_until(INT64_MAX);
    switch (rollout->phase) {
    case ROLLOUT_NEW:
        return (RolloutNeed){.kind = ROLLOUT_NEED_START, .until_ms = now_ms};
    case ROLLOUT_APPLY:
        return need_command(rollout, plan, now_ms, ROLLOUT_COMMAND_APPLY);
    case ROLLOUT_VERIFY:
    case ROLLOUT_ROLLBACK_VERIFY:
        return need_command(rollout, plan, now_ms, ROLLOUT_COMMAND_READ);
    case ROLLOUT_ROLLBACK:
        return need_command(rollout, plan, now_ms, ROLLOUT_COMMAND_ROLLBACK);
    case ROLLOUT_WARM_UP:
        return wait_until(rollout_is_promoted(rollout) ? now_ms : rollout->until_ms);
    case ROLLOUT_OBSERVE:
        return need_observe(rollout, plan, now_ms);
    case ROLLOUT_BAKE:
        return wait_until(rollout->until_ms);
    default:
        return wait_until(INT64_MAX);
    }
}
