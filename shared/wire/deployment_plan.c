/* deployment_plan - stages, limits and patience of a rollout as bytes. A worker that takes over trusts nothing else, so
 * a plan that cannot be carried out is refused here. */
#include "shared/wire/deployment_parts.h"

#define LENGTH_MAX_MS (INT64_C(366) * 24 * 3600 * 1000)
#define TRIES_MAX 1000

static Err read_stage(const Tai__V1__DeploymentStage *packed, DeploymentStage *stage)
{
    *stage = (DeploymentStage){
        .weight_percent = packed->weight_percent,
        .warm_up_ms = packed->warm_up_ms,
        .duration_ms = packed->duration_ms,
        .extend_max_ms = packed->extend_max_ms,
        .needs_approval = packed->needs_approval,
        .judged = packed->judged,
    };
    Str name = {0};
    const MessageText text = {"plan.stages.name", packed->name, &name};
    Err err = message_read_texts(&text, 1);
    if (!err_is(err) && (!id_is_token(name) || !str_copy_to(name, stage->name, sizeof(stage->name)))) {
        err = err_reject("plan.stages.name: must be 1 to %zu of A-Z a-z 0-9 _ : -", sizeof(stage->name) - 1);
    }
    if (!err_is(err)) {
        err = parts_check_range("plan.stages.weight_percent", stage->weight_percent, 0, 100);
    }
    if (!err_is(err)) {
        err = parts_check_range("plan.stages.warm_up_ms", stage->warm_up_ms, 0, LENGTH_MAX_MS);
    }
    if (!err_is(err)) {
        err = parts_check_range("plan.stages.duration_ms", stage->duration_ms, 0, LENGTH_MAX_MS);
    }
    return err_is(err) ? err : parts_check_range("plan.stages.extend_max_ms", stage->extend_max_ms, 0, LENGTH_MAX_MS);
}

static Err read_stages(const Tai__V1__DeploymentPlan *packed, DeploymentPlan *plan)
{
    if (packed->n_stages == 0 || packed->n_stages > DEPLOYMENT_STAGES_MAX) {
        return err_reject("plan.stages: must be 1 to %d", DEPLOYMENT_STAGES_MAX);
    }
    for (size_t i = 0; i < packed->n_stages; i++) {
        Err err = read_stage(packed->stages[i], &plan->stages[i]);
        if (err_is(err)) {
            return err;
        }
    }
    plan->stage_count = (int32_t)packed->n_stages;
    return err_none();
}

static Err check_share(const char *name, double share)
{
    /* Written so that NaN is refused as well. */
    return share >= 0 && share <= 1 ? err_none() : err_reject("plan.limits.%s: must be 0 to 1", name);
}

static Err check_limits(const JudgeLimits *limits)
{
    Err err = parts_check_range("plan.limits.error_limit_e4", limits->error_limit_e4, 0, 10000);
    if (!err_is(err)) {
        err = parts_check_range("plan.limits.slow_limit_e4", limits->slow_limit_e4, 0, 10000);
    }
    if (!err_is(err)) {
        err = parts_check_range("plan.limits.error_effect_e4", limits->error_effect_e4, 0, 10000);
    }
    if (!err_is(err) && (limits->slow_ms < 0 || limits->minimum_for_errors < 0 || limits->minimum_for_latency < 0 ||
                         limits->relative_minimum < 0)) {
        err = err_reject("plan.limits: a limit is negative");
    }
    if (!err_is(err)) {
        err = check_share("early_alpha", limits->early_alpha);
    }
    if (!err_is(err)) {
        err = check_share("bound_alpha", limits->bound_alpha);
    }
    if (!err_is(err)) {
        err = check_share("relative_alpha", limits->relative_alpha);
    }
    return err_is(err) ? err : check_share("latency_effect", limits->latency_effect);
}

static Err read_limits(const Tai__V1__JudgeLimits *packed, JudgeLimits *limits)
{
    if (packed == NULL) {
        return err_reject("plan.limits: missing");
    }
    *limits = (JudgeLimits){
        .error_limit_e4 = packed->error_limit_e4,
        .slow_limit_e4 = packed->slow_limit_e4,
        .slow_ms = packed->slow_ms,
        .minimum_for_errors = packed->minimum_for_errors,
        .minimum_for_latency = packed->minimum_for_latency,
        .early_alpha = packed->early_alpha,
        .bound_alpha = packed->bound_alpha,
        .relative_alpha = packed->relative_alpha,
        .relative_minimum = packed->relative_minimum,
        .error_effect_e4 = packed->error_effect_e4,
        .latency_effect = packed->latency_effect,
        .relative_errors = packed->relative_errors,
        .relative_latency = packed->relative_latency,
    };
    return check_limits(limits);
}

static Err check_patience(const DeploymentPlan *plan)
{
    Err err = parts_check_range("plan.look_ms", plan->look_ms, 0, LENGTH_MAX_MS);
    if (!err_is(err)) {
        err = parts_check_range("plan.progress_deadline_ms", plan->progress_deadline_ms, 0, LENGTH_MAX_MS);
    }
    if (!err_is(err)) {
        err = parts_check_range("plan.bake_ms", plan->bake_ms, 0, LENGTH_MAX_MS);
    }
    if (!err_is(err)) {
        err = parts_check_range("plan.command_timeout_ms", plan->command_timeout_ms, 0, LENGTH_MAX_MS);
    }
    if (!err_is(err)) {
        err = parts_check_range("plan.command_tries", plan->command_tries, 0, TRIES_MAX);
    }
    return err_is(err) ? err : parts_check_range("plan.time_scale_e4", plan->time_scale_e4, 0, PARTS_SCALE_MAX_E4);
}

Err parts_read_plan(const Tai__V1__DeploymentPlan *packed, DeploymentPlan *plan)
{
    if (packed == NULL) {
        return err_reject("plan: missing");
    }
    *plan = (DeploymentPlan){
        .look_ms = packed->look_ms,
        .progress_deadline_ms = packed->progress_deadline_ms,
        .bake_ms = packed->bake_ms,
        .command_timeout_ms = packed->command_timeout_ms,
        .command_tries = packed->command_tries,
        .time_scale_e4 = packed->time_scale_e4,
    };
    Err err = read_stages(packed, plan);
    if (!err_is(err)) {
        err = read_limits(packed->limits, &plan->limits);
    }
    return err_is(err) ? err : check_patience(plan);
}

static Tai__V1__DeploymentStage *write_stage(Arena *arena, const DeploymentStage *stage)
{
    Tai__V1__DeploymentStage *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__deployment_stage__init(packed);
    packed->name = message_write_text(arena, str_from(stage->name));
    packed->weight_percent = stage->weight_percent;
    packed->warm_up_ms = stage->warm_up_ms;
    packed->duration_ms = stage->duration_ms;
    packed->extend_max_ms = stage->extend_max_ms;
    packed->needs_approval = stage->needs_approval;
    packed->judged = stage->judged;
    return packed;
}

static Tai__V1__JudgeLimits *write_limits(Arena *arena, const JudgeLimits *limits)
{
    Tai__V1__JudgeLimits *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__judge_limits__init(packed);
    packed->error_limit_e4 = limits->error_limit_e4;
    packed->slow_limit_e4 = limits->slow_limit_e4;
    packed->slow_ms = limits->slow_ms;
    packed->minimum_for_errors = limits->minimum_for_errors;
    packed->minimum_for_latency = limits->minimum_for_latency;
    packed->early_alpha = limits->early_alpha;
    packed->bound_alpha = limits->bound_alpha;
    packed->relative_alpha = limits->relative_alpha;
    packed->relative_minimum = limits->relative_minimum;
    packed->error_effect_e4 = limits->error_effect_e4;
    packed->latency_effect = limits->latency_effect;
    packed->relative_errors = limits->relative_errors;
    packed->relative_latency = limits->relative_latency;
    return packed;
}

Tai__V1__DeploymentPlan *parts_write_plan(Arena *arena, const DeploymentPlan *plan)
{
    Tai__V1__DeploymentPlan *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__deployment_plan__init(packed);
    TAI_ASSERT(plan->stage_count >= 0 && plan->stage_count <= DEPLOYMENT_STAGES_MAX);
    packed->n_stages = (size_t)plan->stage_count;
    packed->stages = arena_alloc_array(arena, DEPLOYMENT_STAGES_MAX, sizeof(Tai__V1__DeploymentStage *));
    for (size_t i = 0; i < packed->n_stages; i++) {
        packed->stages[i] = write_stage(arena, &plan->stages[i]);
    }
    packed->limits = write_limits(arena, &plan->limits);
    packed->look_ms = plan->look_ms;
    packed->progress_deadline_ms = plan->progress_deadline_ms;
    packed->bake_ms = plan->bake_ms;
    packed->command_timeout_ms = plan->command_timeout_ms;
    packed->command_tries = plan->command_tries;
    packed->time_scale_e4 = plan->time_scale_e4;
    return packed;
}
