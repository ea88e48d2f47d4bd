/* A rollout's step as bytes and as JSON: what it was judged on comes with it, complete. */
#include "tests/unit/wire/deployment_samples.h"

static void assert_same_counts(const JudgeCounts *a, const JudgeCounts *b)
{
    cr_assert(a->requests == b->requests && a->errors == b->errors);
    cr_assert_eq(memcmp(a->latency, b->latency, sizeof(a->latency)), 0);
}

static void assert_same_finding(const JudgeFinding *a, const JudgeFinding *b)
{
    cr_assert(a->verdict == b->verdict && a->bad == b->bad && a->total == b->total && a->share == b->share &&
              a->lower == b->lower && a->upper == b->upper && a->limit == b->limit &&
              a->baseline_share == b->baseline_share && a->baseline_total == b->baseline_total &&
              a->p_value == b->p_value && a->effect == b->effect);
    sample_assert_same_text(str_from(a->reason), str_from(b->reason), "reason");
}

Test(deployment_event, an_event_comes_back_with_its_verdict_and_all_counts)
{
    Arena arena = sample_arena();
    RolloutEvent sent = sample_event();
    RolloutEvent event;
    Str stage_name = {0};
    Str body = wire_encode_rollout_event(&arena, &sent, STR("prod"));
    sample_assert_ok(wire_decode_rollout_event_named(&arena, body, &event, &stage_name));
    sample_assert_text(stage_name, "prod", "stage_name");
    sample_assert_ok(wire_decode_rollout_event(&arena, body, &event));
    cr_assert(event.kind == sent.kind && event.at_ms == sent.at_ms && event.stage == sent.stage &&
              event.weight_percent == sent.weight_percent && event.until_ms == sent.until_ms && event.full &&
              event.cause == sent.cause && event.phase == sent.phase && event.order_sequence == sent.order_sequence);
    sample_assert_same_text(event.region, sent.region, "region");
    sample_assert_same_text(event.who, sent.who, "who");
    sample_assert_same_text(event.why, sent.why, "why");
    sample_assert_same_text(event.query, sent.query, "query");
    cr_assert(event.judged && event.verdict.verdict == sent.verdict.verdict &&
              event.verdict.worst == sent.verdict.worst && event.verdict.worse_windows == 2);
    for (size_t i = 0; i < JUDGE_GATE_COUNT; i++) {
        assert_same_finding(&event.verdict.findings[i], &sent.verdict.findings[i]);
    }
    assert_same_counts(&event.canary, &sent.canary);
    assert_same_counts(&event.baseline, &sent.baseline);
    arena_release(&arena);
}

Test(deployment_event, an_event_that_nobody_judged_comes_back_without_a_verdict)
{
    Arena arena = sample_arena();
    RolloutEvent sent = {.kind = ROLLOUT_EVENT_STARTED, .region = STR("a"), .at_ms = 1};
    RolloutEvent event;
    sample_assert_ok(wire_decode_rollout_event(&arena, wire_encode_rollout_event(&arena, &sent, STR("")), &event));
    cr_assert(!event.judged && event.kind == ROLLOUT_EVENT_STARTED && event.at_ms == 1);
    cr_assert_eq(event.canary.requests, 0);
    arena_release(&arena);
}

Test(deployment_event, a_kind_of_a_newer_program_is_handed_on_for_the_rollout_to_pass_over)
{
    Arena arena = sample_arena();
    RolloutEvent sent = {.kind = (RolloutEventKind)99, .region = STR("a")};
    RolloutEvent event;
    sample_assert_ok(wire_decode_rollout_event(&arena, wire_encode_rollout_event(&arena, &sent, STR("")), &event));
    cr_assert_eq((int)event.kind, 99);
    Rollout rollout = rollout_make();
    DeploymentPlan plan = sample_plan();
    cr_assert(!rollout_apply(&rollout, &plan, &event));
    sample_assert_text(wire_print_rollout_event_json(&arena, &event, STR(""), 5),
                       "{\"sequence\":5,\"event\":\"unknown\",\"region\":\"a\",\"at\":\"1970-01-01T00:00:00.000Z\","
                       "\"stage\":0}",
                       "its JSON");
    arena_release(&arena);
}

static void assert_refused(const RolloutEvent *event, const char *reason)
{
    Arena arena = sample_arena();
    RolloutEvent read;
    sample_assert_refused(wire_decode_rollout_event(&arena, wire_encode_rollout_event(&arena, event, STR("")), &read),
                          reason, reason);
    arena_release(&arena);
}

#define REFUSED_WITH(member, value, reason)                                                                            \
    do {                                                                                                               \
        RolloutEvent wrong = sample_event();                                                                           \
        wrong.member = (value);                                                                                        \
        assert_refused(&wrong, reason);                                                                                \
    } while (0)

Test(deployment_event, numbers_that_nothing_could_mean_are_refused)
{
    REFUSED_WITH(kind, (RolloutEventKind)0, "kind: must be 1 to 1000");
    REFUSED_WITH(kind, (RolloutEventKind)1001, "kind: must be 1 to 1000");
    REFUSED_WITH(region, (Str){0}, "region: must be one subject token");
    REFUSED_WITH(at_ms, -1, "at_ms: not a time in Unix ms");
    REFUSED_WITH(until_ms, INT64_MAX, "until_ms: not a time in Unix ms");
    REFUSED_WITH(stage, 13, "stage: must be 0 to 12");
    REFUSED_WITH(stage, -1, "stage: must be 0 to 12");
    REFUSED_WITH(weight_percent, 101, "weight_percent: must be -1 to 100");
    REFUSED_WITH(weight_percent, -2, "weight_percent: must be -1 to 100");
    REFUSED_WITH(cause, (RolloutCause)6, "cause: must be 0 to 5");
    REFUSED_WITH(phase, (RolloutPhase)14, "phase: must be 0 to 13");
    REFUSED_WITH(verdict.verdict, (JudgeVerdictKind)4, "verdict.verdict: must be 0 to 3");
    REFUSED_WITH(verdict.worst, (JudgeGate)4, "verdict.worst: must be 0 to 3");
    REFUSED_WITH(verdict.worse_windows, -1, "verdict.worse_windows: must be 0 to 2147483647");
    REFUSED_WITH(verdict.findings[2].verdict, (JudgeVerdictKind)4, "verdict.findings.verdict: must be 0 to 3");
}

Test(deployment_event, a_gate_that_stands_twice_and_counts_of_other_buckets_are_refused)
{
    Arena arena = sample_arena();
    RolloutEvent event;
    sample_assert_refused(wire_decode_rollout_event(&arena,
                                                    STR("\x08\x01\x12\x01"
                                                        "ab\x04\x1A\0\x1A\0"),
                                                    &event),
                          "verdict.findings: gate 0 is unknown or stands twice", "twice");
    sample_assert_refused(wire_decode_rollout_event(&arena,
                                                    STR("\x08\x01\x12\x01"
                                                        "ab\x04\x1A\x02\x08\x04"),
                                                    &event),
                          "verdict.findings: gate 4 is unknown or stands twice", "unknown");
    sample_assert_refused(wire_decode_rollout_event(&arena,
                                                    STR("\x08\x01\x12\x01"
                                                        "aj\x03\x1A\x01\x01"),
                                                    &event),
                          "canary.latency: must have 15 counts, has 1", "one bucket");
    sample_assert_refused(wire_decode_rollout_event(&arena, STR("hello"), &event),
                          "body: not a tai.v1.RolloutEvent message", "hello");
    arena_release(&arena);
}

Test(deployment_event, the_json_names_what_the_bytes_number)
{
    Arena arena = sample_arena();
    RolloutEvent event = {.kind = ROLLOUT_EVENT_ENDED,
                          .region = STR("us-west-2"),
                          .at_ms = SAMPLE_RECEIVED_MS,
                          .stage = 1,
                          .cause = ROLLOUT_CAUSE_DEADLINE,
                          .phase = ROLLOUT_ROLLBACK_FAILED,
                          .who = STR("judge"),
                          .why = STR("a \"driver\"\n")};
    sample_assert_text(wire_print_rollout_event_json(&arena, &event, STR("prod"), UINT64_MAX),
                       "{\"sequence\":18446744073709551615,\"event\":\"ended\",\"region\":\"us-west-2\","
                       "\"at\":\"2023-11-14T22:13:20.123Z\",\"stage\":\"prod\",\"cause\":\"deadline\","
                       "\"phase\":\"rollback_failed\",\"who\":\"judge\",\"why\":\"a \\\"driver\\\"\\n\"}",
                       "ended");
    event = (RolloutEvent){.kind = ROLLOUT_EVENT_TRY_FAILED, .region = STR("a"), .weight_percent = -1, .until_ms = 1};
    sample_assert_text(wire_print_rollout_event_json(&arena, &event, STR("canary"), 1),
                       "{\"sequence\":1,\"event\":\"try_failed\",\"region\":\"a\",\"at\":\"1970-01-01T00:00:00.000Z\","
                       "\"stage\":\"canary\",\"weight_percent\":null,\"until\":\"1970-01-01T00:00:00.001Z\"}",
                       "a try that failed");
    event = (RolloutEvent){.kind = ROLLOUT_EVENT_PROMOTED, .region = STR("a"), .full = true, .who = STR("Ada")};
    sample_assert_text(wire_print_rollout_event_json(&arena, &event, STR("canary"), 1),
                       "{\"sequence\":1,\"event\":\"promoted\",\"region\":\"a\",\"at\":\"1970-01-01T00:00:00.000Z\","
                       "\"stage\":\"canary\",\"full\":true,\"who\":\"Ada\"}",
                       "promoted");
    arena_release(&arena);
}

static void assert_holds(Str json, const char *part)
{
    cr_assert(memmem(json.data, json.length, part, strlen(part)) != NULL, "%s is not in %.*s", part, STR_ARG(json));
}

Test(deployment_event, the_json_explains_the_verdict_and_never_holds_nan_or_infinity)
{
    Arena arena = sample_arena();
    RolloutEvent event = sample_event();
    event.verdict.findings[0].share = 1.0 / 3;
    event.verdict.findings[0].lower = 1e-9;
    event.verdict.findings[0].upper = __builtin_inf();
    event.verdict.findings[0].limit = -__builtin_inf();
    event.verdict.findings[2].p_value = __builtin_nan("");
    event.verdict.findings[3].reason = NULL;
    Str json = wire_print_rollout_event_json(&arena, &event, STR("prod"), 1);
    assert_holds(json, "\"verdict\":{\"verdict\":\"fail\",\"worst\":\"latency_vs_baseline\",\"worse_windows\":2,"
                       "\"findings\":[{\"gate\":\"error_rate\",\"verdict\":\"pass\",\"bad\":1,\"total\":2,"
                       "\"share\":0.333333,\"lower\":1e-09,\"upper\":null,\"limit\":null,"
                       "\"reason\":\"told by the test\"}");
    assert_holds(json, "\"baseline_total\":5,\"p_value\":null,\"effect\":0.703,");
    assert_holds(json, "\"effect\":0.704,\"reason\":null}]}");
    assert_holds(json, "\"canary\":{\"requests\":18446744073709551615,\"errors\":3,\"latency\":[{\"up_to_ms\":5,"
                       "\"requests\":1},");
    assert_holds(json, "{\"up_to_ms\":null,\"requests\":15}]},\"baseline\":{\"requests\":900,");
    assert_holds(json, "\"query\":\"rate(errors[1m])\"}");
    arena_release(&arena);
}

Test(deployment_event, the_longest_event_fits_its_json)
{
    Arena arena = sample_arena();
    RolloutEvent event = sample_event();
    char *controls = arena_alloc(&arena, 4096);
    memset(controls, 1, 4096);
    event.why = (Str){controls, 4096};
    event.query = (Str){controls, 4096};
    event.canary.errors = UINT64_MAX;
    memset(event.canary.latency, 0xFF, sizeof(event.canary.latency));
    memset(event.baseline.latency, 0xFF, sizeof(event.baseline.latency));
    for (size_t i = 0; i < JUDGE_GATE_COUNT; i++) {
        JudgeFinding *finding = &event.verdict.findings[i];
        *finding =
            (JudgeFinding){JUDGE_INCONCLUSIVE, UINT64_MAX,    UINT64_MAX, -1.23456e-300, -1.23456e-300, -1.23456e-300,
                           -1.23e-300,         -1.23456e-300, UINT64_MAX, -1.23456e-300, -1.23456e-300, "why"};
    }
    cr_assert(wire_print_rollout_event_json(&arena, &event, STR("prod"), UINT64_MAX).length > 49152);
    arena_release(&arena);
}
