/* deployment_samples - one of each of the deployment's messages with all fields set, for the tests of this folder. */
#ifndef TAI_TESTS_WIRE_DEPLOYMENT_SAMPLES_H
#define TAI_TESTS_WIRE_DEPLOYMENT_SAMPLES_H

#include "shared/wire/deployment.h"
#include "tests/unit/wire/samples.h"

#define SAMPLE_DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static inline void sample_assert_same_text(Str actual, Str expected, const char *what)
{
    cr_assert(str_equal(actual, expected), "%s: got \"%.*s\", not \"%.*s\"", what, STR_ARG(actual), STR_ARG(expected));
}

/* A text of that many bytes. */
static inline Str sample_long(Arena *arena, size_t length)
{
    char *text = arena_alloc(arena, length + 1);
    memset(text, 'x', length);
    return (Str){text, length};
}

static inline DeploymentSignal sample_deployment(void)
{
    static const Str regions[] = {STR("us-west-2"), STR("us-east-1")};
    return (DeploymentSignal){
        .deployment_id = STR("dep_01HF7YAT3V0000000000000000"),
        .publisher = STR("shop1"),
        .service = STR("api-service"),
        .version = STR("v2.0.0"),
        .image = STR("registry.example:5000/team/api-service"),
        .regions = regions,
        .region_count = 2,
        .strategy = STR("canary"),
        .on_region_failure = ON_REGION_FAILURE_ROLLBACK_ALL,
        .received_ms = SAMPLE_RECEIVED_MS,
    };
}

static inline DeploymentPlan sample_plan(void)
{
    JudgeLimits limits = judge_limits_default();
    limits.relative_latency = false;
    return (DeploymentPlan){
        .stages = {{"canary", 5, 10000, 300000, 300001, true, true}, {"prod", 100, 0, 60000, 0, false, false}},
        .stage_count = 2,
        .limits = limits,
        .look_ms = 10000,
        .progress_deadline_ms = 1800000,
        .bake_ms = 600000,
        .command_timeout_ms = 60000,
        .command_tries = 3,
        .time_scale_e4 = 200,
    };
}

/* Its regions are those of the last call. */
static inline DeploymentDecision sample_deployment_decision(void)
{
    static DeploymentRegion regions[2];
    regions[0] = (DeploymentRegion){STR("us-west-2"), STR("v1"), STR(SAMPLE_DIGEST), STR("haproxy")};
    regions[1] = (DeploymentRegion){STR("us-east-1"), {0}, {0}, STR("sandbox")};
    return (DeploymentDecision){
        .signal = sample_deployment(),
        .image = STR("registry.example:5000/team/api-service"),
        .digest = STR(SAMPLE_DIGEST),
        .plan = sample_plan(),
        .regions = regions,
        .policy_revision = 7,
        .signal_sequence = 4711,
        .decided_ms = SAMPLE_RECEIVED_MS + 5,
    };
}

static inline DeploymentRegionResult sample_region_result(void)
{
    return (DeploymentRegionResult){
        .region = STR("us-west-2"),
        .status = DEPLOYMENT_SUCCESS,
        .detail = STR("all stages passed"),
        .stages_completed = {STR("canary"), STR("prod")},
        .stages_count = 2,
        .started_ms = SAMPLE_RECEIVED_MS + 10,
        .ended_ms = SAMPLE_RECEIVED_MS + 20,
    };
}

static inline RolloutEvent sample_event(void)
{
    RolloutEvent event = {
        .kind = ROLLOUT_EVENT_ROLLBACK_BEGUN,
        .region = STR("us-west-2"),
        .at_ms = SAMPLE_RECEIVED_MS,
        .stage = 1,
        .weight_percent = -1,
        .until_ms = SAMPLE_RECEIVED_MS + 1000,
        .full = true,
        .cause = ROLLOUT_CAUSE_HEALTH,
        .phase = ROLLOUT_ROLLED_BACK,
        .who = STR("judge"),
        .why = STR("error rate \"high\""),
        .judged = true,
        .verdict = {.verdict = JUDGE_FAIL, .worst = JUDGE_GATE_RELATIVE_LATENCY, .worse_windows = 2},
        .canary = {.requests = UINT64_MAX, .errors = 3},
        .baseline = {.requests = 900, .errors = 4},
        .query = STR("rate(errors[1m])"),
        .order_sequence = 12,
    };
    for (size_t i = 0; i < JUDGE_GATE_COUNT; i++) {
        double part = 0.001 * (double)(i + 1);
        event.verdict.findings[i] =
            (JudgeFinding){(JudgeVerdictKind)i, i + 1,      i + 2, part + 0.1, part + 0.2, part + 0.3,
                           part + 0.4,          part + 0.5, i + 3, part + 0.6, part + 0.7, "told by the test"};
    }
    for (size_t i = 0; i <= JUDGE_LATENCY_BUCKETS; i++) {
        event.canary.latency[i] = i + 1;
        event.baseline.latency[i] = 100 + i;
    }
    return event;
}

#endif
