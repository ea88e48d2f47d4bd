/* A deployment's outcome as bytes and as the JSON that HTTP answers. */
#include "tests/unit/wire/deployment_samples.h"

static DeploymentOutcome sample_deployment_outcome(DeploymentRegionResult regions[2])
{
    regions[0] = sample_region_result();
    regions[1] = sample_region_result();
    regions[1].region = STR("us-east-1");
    return (DeploymentOutcome){
        .deployment_id = STR("dep_1"),
        .publisher = STR("shop1"),
        .service = STR("api-service"),
        .version = STR("v2.0.0"),
        .strategy = STR("canary"),
        .status = DEPLOYMENT_SUCCESS,
        .regions = regions,
        .region_count = 2,
        .received_ms = SAMPLE_RECEIVED_MS,
        .timestamp_ms = SAMPLE_RECEIVED_MS + 960050,
        .time_scale_e4 = 200,
        .trace_id = STR("4bf92f3577b34da6a3ce929d0e0e4736"),
    };
}

Test(deployment_outcome, an_outcome_comes_back_as_it_was_sent)
{
    Arena arena = sample_arena();
    DeploymentRegionResult regions[2];
    DeploymentViolation violations[] = {{STR("frozen"), STR("until tomorrow")}, {STR("unhealthy"), {0}}};
    DeploymentOutcome sent = sample_deployment_outcome(regions);
    sent.error_message = STR("no");
    sent.violations = violations;
    sent.violation_count = 2;
    DeploymentOutcome outcome;
    Str body = wire_encode_deployment_outcome(&arena, &sent);
    sample_assert_ok(wire_decode_deployment_outcome(&arena, body, &outcome));
    sample_assert_same_text(outcome.deployment_id, sent.deployment_id, "deployment_id");
    sample_assert_same_text(outcome.publisher, sent.publisher, "publisher");
    sample_assert_same_text(outcome.service, sent.service, "service");
    sample_assert_same_text(outcome.version, sent.version, "version");
    sample_assert_same_text(outcome.strategy, sent.strategy, "strategy");
    sample_assert_same_text(outcome.error_message, sent.error_message, "error_message");
    sample_assert_same_text(outcome.trace_id, sent.trace_id, "trace_id");
    cr_assert(outcome.status == sent.status && outcome.received_ms == sent.received_ms &&
              outcome.timestamp_ms == sent.timestamp_ms && outcome.time_scale_e4 == sent.time_scale_e4 &&
              outcome.region_count == 2 && outcome.violation_count == 2);
    sample_assert_text(outcome.violations[0].detail, "until tomorrow", "detail");
    sample_assert_text(outcome.violations[1].code, "unhealthy", "code");
    const DeploymentRegionResult *region = &outcome.regions[1];
    sample_assert_text(region->region, "us-east-1", "region");
    sample_assert_text(region->detail, "all stages passed", "detail");
    sample_assert_text(region->stages_completed[1], "prod", "stage");
    cr_assert(region->status == DEPLOYMENT_SUCCESS && region->stages_count == 2 &&
              region->started_ms == regions[1].started_ms && region->ended_ms == regions[1].ended_ms);
    cr_assert(str_equal(wire_encode_deployment_outcome(&arena, &outcome), body));
    arena_release(&arena);
}

static void assert_refused(const DeploymentOutcome *outcome, const char *reason)
{
    Arena arena = sample_arena();
    DeploymentOutcome read;
    Str body = wire_encode_deployment_outcome(&arena, outcome);
    sample_assert_refused(wire_decode_deployment_outcome(&arena, body, &read), reason, reason);
    arena_release(&arena);
}

#define REFUSED_WITH(member, value, reason)                                                                            \
    do {                                                                                                               \
        DeploymentRegionResult regions[2];                                                                             \
        DeploymentOutcome wrong = sample_deployment_outcome(regions);                                                  \
        wrong.member = (value);                                                                                        \
        assert_refused(&wrong, reason);                                                                                \
    } while (0)

Test(deployment_outcome, what_is_not_final_or_of_no_deployment_is_refused)
{
    REFUSED_WITH(status, DEPLOYMENT_IN_PROGRESS, "status: must be 1 to 5");
    REFUSED_WITH(status, (DeploymentStatus)6, "status: must be 1 to 5");
    REFUSED_WITH(deployment_id, (Str){0}, "deployment_id: must be one subject token");
    REFUSED_WITH(service, (Str){0}, "service: missing");
    REFUSED_WITH(version, (Str){0}, "version: missing");
    REFUSED_WITH(time_scale_e4, 100001, "time_scale_e4: must be 0 to 100000");
    REFUSED_WITH(timestamp_ms, -1, "timestamp_ms: not a time in Unix ms");
    REFUSED_WITH(regions[1].region, (Str){0}, "results.region: must be one subject token");
    REFUSED_WITH(regions[1].status, (DeploymentStatus)6, "results.status: must be 0 to 5");
    REFUSED_WITH(regions[1].stages_completed[0], (Str){0}, "results.stages_completed: missing");
    REFUSED_WITH(regions[0].ended_ms, INT64_MAX, "results.ended_ms: not a time in Unix ms");
}

Test(deployment_outcome, a_success_is_answered_with_its_stages_and_regions)
{
    Arena arena = sample_arena();
    DeploymentRegionResult regions[2];
    DeploymentOutcome outcome = sample_deployment_outcome(regions);
    regions[1] = (DeploymentRegionResult){.region = STR("us-east-1"), .status = DEPLOYMENT_SUCCESS};
    regions[1].stages_completed[0] = STR("canary");
    regions[1].stages_count = 1;
    sample_assert_text(
        wire_print_deployment_outcome_json(&arena, &outcome),
        "{\"deployment_id\":\"dep_1\",\"service\":\"api-service\",\"version\":\"v2.0.0\",\"strategy\":\"canary\","
        "\"time_scale\":0.0200,\"status\":\"SUCCESS\",\"duration_secs\":960.050,\"stages_completed\":[\"validation\","
        "\"canary\"],"
        "\"regions\":[{\"region\":\"us-west-2\",\"status\":\"SUCCESS\",\"stages_completed\":[\"canary\",\"prod\"],"
        "\"started\":\"2023-11-14T22:13:20.133Z\",\"ended\":\"2023-11-14T22:13:20.143Z\","
        "\"detail\":\"all stages passed\"},"
        "{\"region\":\"us-east-1\",\"status\":\"SUCCESS\",\"stages_completed\":[\"canary\"],\"started\":null,"
        "\"ended\":null,\"detail\":null}],\"error_message\":null,\"violations\":[],"
        "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"timestamp\":\"2023-11-14T22:29:20.173Z\"}",
        "the answer");
    arena_release(&arena);
}

Test(deployment_outcome, a_rejection_is_answered_with_all_violations_and_no_stage)
{
    Arena arena = sample_arena();
    DeploymentViolation violations[] = {{STR("image_not_found"), STR("no \"image\"")}, {STR("frozen"), STR("x")}};
    DeploymentOutcome outcome = {.deployment_id = STR("dep_1"),
                                 .service = STR("api"),
                                 .version = STR("v1"),
                                 .strategy = STR("canary"),
                                 .status = DEPLOYMENT_REJECTED,
                                 .violations = violations,
                                 .violation_count = 2,
                                 .error_message = STR("refused"),
                                 .received_ms = 5};
    sample_assert_text(
        wire_print_deployment_outcome_json(&arena, &outcome),
        "{\"deployment_id\":\"dep_1\",\"service\":\"api\",\"version\":\"v1\",\"strategy\":\"canary\","
        "\"status\":\"REJECTED\",\"duration_secs\":0.000,\"stages_completed\":[],\"regions\":[],"
        "\"error_message\":\"refused\",\"violations\":[{\"code\":\"image_not_found\",\"detail\":\"no \\\"image\\\"\"},"
        "{\"code\":\"frozen\",\"detail\":\"x\"}],\"trace_id\":\"\",\"timestamp\":\"1970-01-01T00:00:00.000Z\"}",
        "the answer");
    arena_release(&arena);
}

Test(deployment_outcome, the_fullest_outcome_fits_its_json)
{
    Arena arena = sample_arena();
    DeploymentOutcome outcome = {.status = DEPLOYMENT_ROLLED_BACK, .region_count = 32, .timestamp_ms = 1};
    outcome.regions = arena_alloc_array(&arena, 32, sizeof(*outcome.regions));
    for (size_t i = 0; i < 32; i++) {
        outcome.regions[i] = (DeploymentRegionResult){.region = STR("\1\1\1"),
                                                      .status = DEPLOYMENT_ROLLED_BACK,
                                                      .stages_count = 12,
                                                      .started_ms = 1,
                                                      .ended_ms = 1};
        for (size_t j = 0; j < 12; j++) {
            outcome.regions[i].stages_completed[j] = STR("\1");
        }
    }
    cr_assert(wire_print_deployment_outcome_json(&arena, &outcome).length > 32 * 200);
    arena_release(&arena);
}

static DeploymentKaizen sample_kaizen(void)
{
    DeploymentKaizen kaizen = {
        .sequence = 1000,
        .status = {[DEPLOYMENT_SUCCESS] = 95, [DEPLOYMENT_REJECTED] = 2, [DEPLOYMENT_ROLLED_BACK] = 3},
        .duration_sum_ms = 98500,
    };
    for (size_t i = 0; i <= DEPLOYMENT_DURATION_BUCKETS; i++) {
        kaizen.duration_buckets[i] = i + 1;
    }
    return kaizen;
}

Test(deployment_kaizen, the_fold_comes_back_as_it_was_kept_and_empty_when_nothing_was)
{
    Arena arena = sample_arena();
    DeploymentKaizen kept = sample_kaizen();
    DeploymentKaizen kaizen;
    sample_assert_ok(wire_decode_deployment_kaizen(&arena, wire_encode_deployment_kaizen(&arena, &kept), &kaizen));
    cr_assert_eq(memcmp(&kaizen, &kept, sizeof(kept)), 0);
    const DeploymentKaizen empty = {0};
    sample_assert_ok(wire_decode_deployment_kaizen(&arena, STR(""), &kaizen));
    cr_assert_eq(memcmp(&kaizen, &empty, sizeof(empty)), 0);
    sample_assert_refused(wire_decode_deployment_kaizen(&arena, STR("\x12\x01\1"), &kaizen),
                          "status: must have 6 counts, has 1", "one status");
    sample_assert_refused(wire_decode_deployment_kaizen(&arena, STR("\"\x02\1\1"), &kaizen),
                          "duration_buckets: must have 13 counts, has 2", "two buckets");
    arena_release(&arena);
}

Test(deployment_kaizen, the_figures_are_exact_hundredths)
{
    Arena arena = sample_arena();
    DeploymentKaizen kaizen = sample_kaizen();
    DeploymentFigures figures = deployment_kaizen_figures(&kaizen);
    sample_assert_text(wire_print_deployment_figures_json(&arena, &figures),
                       "{\"total_deployments\":98,\"successful_deployments\":95,\"rollback_count\":3,"
                       "\"success_rate_percent\":96.94,\"avg_duration_secs\":1.01}",
                       "the figures");
    arena_release(&arena);
}

Test(deployment_kaizen, the_exposition_has_the_names_that_dashboards_know)
{
    Arena arena = sample_arena();
    DeploymentKaizen kaizen = sample_kaizen();
    Str text = wire_print_deployment_exposition(&arena, &kaizen);
    static const char *const lines[] = {
        "# TYPE deployment_success_total counter\ndeployment_success_total 95\n",
        "# TYPE deployment_rollback_total counter\ndeployment_rollback_total 3\n",
        "deployment_total{status=\"SUCCESS\"} 95\ndeployment_total{status=\"REJECTED\"} 2\n",
        "deployment_total{status=\"FAILED\"} 0\n",
        "# TYPE deployment_duration_seconds histogram\ndeployment_duration_seconds_bucket{le=\"1\"} 1\n",
        "deployment_duration_seconds_bucket{le=\"+Inf\"} 91\ndeployment_duration_seconds_sum 98.5\n",
        "deployment_duration_seconds_count 91\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        cr_assert(memmem(text.data, text.length, lines[i], strlen(lines[i])) != NULL, "%s is not in %.*s", lines[i],
                  STR_ARG(text));
    }
    arena_release(&arena);
}
