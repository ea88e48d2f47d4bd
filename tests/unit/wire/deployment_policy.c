/* The deployment policy's document: what people write into the KV bucket. */
#include <stdio.h>

#include "tests/unit/wire/deployment_samples.h"

/* The shipped document, and one place in it said otherwise. */
static Str shipped(Arena *arena)
{
    Str root = str_slice(STR(__FILE__), 0, sizeof(__FILE__) - sizeof("tests/unit/wire/deployment_policy.c"));
    FILE *file = fopen(arena_print(arena, STR_FMT "/ops/policy/deployment.json", STR_ARG(root)).data, "rb");
    cr_assert(file != NULL);
    char *text = arena_alloc(arena, DEPLOYMENT_BODY_MAX);
    size_t length = fread(text, 1, DEPLOYMENT_BODY_MAX - 1, file);
    cr_assert_eq(fclose(file), 0);
    return (Str){text, length};
}

static Str with(Arena *arena, const char *before, const char *after)
{
    Str document = shipped(arena);
    const char *at = strstr(document.data, before);
    cr_assert(at != NULL, "%s is not in the document", before);
    return arena_print(arena, "%.*s%s%s", (int)(at - document.data), document.data, after, at + strlen(before));
}

static void assert_reads_back(Arena *arena, const DeploymentPolicy *policy)
{
    Str printed = wire_print_deployment_policy(arena, policy);
    DeploymentPolicy read;
    sample_assert_ok(wire_decode_deployment_policy(arena, printed, &read));
    sample_assert_same_text(wire_print_deployment_policy(arena, &read), printed, "read and printed again");
}

Test(deployment_policy, the_shipped_document_is_the_default_as_it_is_printed)
{
    Arena arena = sample_arena();
    DeploymentPolicy policy = deployment_policy_default(&arena);
    sample_assert_same_text(wire_print_deployment_policy(&arena, &policy), shipped(&arena), "the default policy");
    assert_reads_back(&arena, &policy);
    DeploymentPolicy read;
    sample_assert_ok(wire_decode_deployment_policy(&arena, shipped(&arena), &read));
    cr_assert_eq(read.strategy_count, policy.strategy_count);
    cr_assert_str_eq(read.strategies[0].name, "canary");
    cr_assert_eq(read.strategies[0].stages[1].duration_ms, 600000);
    cr_assert_eq(read.strategies[0].stages[1].weight_percent, 25);
    cr_assert_str_eq(read.regions[1].name, "us-east-1");
    cr_assert_eq(read.limits.early_alpha, policy.limits.early_alpha);
    cr_assert_eq(read.limits.bound_alpha, policy.limits.bound_alpha);
    cr_assert_eq(read.limits.relative_alpha, policy.limits.relative_alpha);
    cr_assert_eq(read.limits.latency_effect, policy.limits.latency_effect);
    cr_assert_eq(read.limits.error_limit_e4, 500);
    cr_assert_eq(read.time_scale_e4, 10000);
    arena_release(&arena);
}

Test(deployment_policy, the_fullest_policy_is_read_again)
{
    Arena arena = sample_arena();
    DeploymentPolicy policy = deployment_policy_default(&arena);
    policy.strategy_count = DEPLOYMENT_STRATEGIES_MAX;
    policy.region_count = DEPLOYMENT_POLICY_REGIONS_MAX;
    policy.regions = arena_alloc_array(&arena, DEPLOYMENT_POLICY_REGIONS_MAX, sizeof(policy.regions[0]));
    policy.freeze_count = DEPLOYMENT_FREEZES_MAX;
    for (int i = 0; i < DEPLOYMENT_STRATEGIES_MAX; i++) {
        DeploymentStrategy *strategy = &policy.strategies[i];
        cr_assert_eq(snprintf(strategy->name, sizeof(strategy->name), "%031d", i), 31);
        strategy->stage_count = DEPLOYMENT_STAGES_MAX;
        for (int j = 0; j < DEPLOYMENT_STAGES_MAX; j++) {
            DeploymentStage *stage = &strategy->stages[j];
            *stage = (DeploymentStage){"", 100, 604800000, 604800000, 604800000, false, false};
            cr_assert_eq(snprintf(stage->name, sizeof(stage->name), "%031d", j), 31);
        }
    }
    for (int i = 0; i < DEPLOYMENT_POLICY_REGIONS_MAX; i++) {
        DeploymentRegionPolicy *region = &policy.regions[i];
        *region = (DeploymentRegionPolicy){"", 1000000000, "kubernetes"};
        cr_assert_eq(snprintf(region->name, sizeof(region->name), "%063d", i), 63);
    }
    for (int i = 0; i < DEPLOYMENT_FREEZES_MAX; i++) {
        DeploymentFreeze *freeze = &policy.freezes[i];
        *freeze = (DeploymentFreeze){.from_ms = i, .to_ms = INT64_C(253402300799999)};
        memset(freeze->service, 'a', sizeof(freeze->service) - 1);
        memset(freeze->reason, '"', sizeof(freeze->reason) - 1);
    }
    assert_reads_back(&arena, &policy);
    arena_release(&arena);
}

Test(deployment_policy, a_strategy_of_ones_own_and_a_freeze_need_no_code)
{
    Arena arena = sample_arena();
    Str document = with(&arena, "\"strategies\": {",
                        "\"strategies\": {\"careful\": {\"stages\": [{\"name\": \"one\", \"weight_percent\": 1, "
                        "\"duration_seconds\": 5, \"warm_up_seconds\": 0, \"extend_max_seconds\": 0, "
                        "\"needs_approval\": true, \"judged\": true}, {\"name\": \"all\", \"weight_percent\": 100, "
                        "\"duration_seconds\": 0, \"warm_up_seconds\": 0, \"extend_max_seconds\": 0, "
                        "\"needs_approval\": false, \"judged\": false}]},");
    DeploymentPolicy policy;
    sample_assert_ok(wire_decode_deployment_policy(&arena, document, &policy));
    cr_assert_eq(policy.strategy_count, 5);
    cr_assert_str_eq(policy.strategies[0].name, "careful");
    cr_assert(policy.strategies[0].stages[0].needs_approval && policy.strategies[0].stages[0].judged);
    document = with(&arena, "\"freezes\": []",
                    "\"freezes\": [{\"from\": \"2026-12-24T00:00:00Z\", \"to\": \"2026-12-27T06:30:00.5Z\", "
                    "\"service\": \"\", \"reason\": \"Christmas\"}]");
    sample_assert_ok(wire_decode_deployment_policy(&arena, document, &policy));
    cr_assert_eq(policy.freeze_count, 1);
    cr_assert_eq(policy.freezes[0].from_ms, INT64_C(1798070400000));
    cr_assert_eq(policy.freezes[0].to_ms, INT64_C(1798353000500));
    cr_assert_str_eq(policy.freezes[0].reason, "Christmas");
    sample_assert_ok(wire_decode_deployment_policy(&arena, with(&arena, "  \"freezes\": [],\n", ""), &policy));
    cr_assert_eq(policy.freeze_count, 0);
    arena_release(&arena);
}

typedef struct {
    const char *before;
    const char *after;
    const char *reason; /* NULL: taken */
} Change;

static void assert_changes(const Change *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Arena arena = sample_arena();
        DeploymentPolicy policy;
        Err err = wire_decode_deployment_policy(&arena, with(&arena, table[i].before, table[i].after), &policy);
        if (table[i].reason == NULL) {
            sample_assert_ok(err);
            assert_reads_back(&arena, &policy);
        } else {
            sample_assert_refused(err, table[i].reason, table[i].after);
        }
        arena_release(&arena);
    }
}

#define ASSERT_CHANGES(table) assert_changes(table, sizeof(table) / sizeof((table)[0]))

Test(deployment_policy, decimals_are_exact_within_their_bounds)
{
    static const char scale[] = "time_scale: must be a number from 0.0001 to 10, at most 4 digits after the point";
    static const char percent[] =
        "limits.error_rate_percent: must be a number from 0 to 100, at most 2 digits after the point";
    static const char alpha[] =
        "limits.early_alpha: must be a number from 0.000001 to 0.5, at most 6 digits after the point";
    const Change table[] = {
        {"\"time_scale\": 1", "\"time_scale\": 0.0001", NULL},
        {"\"time_scale\": 1", "\"time_scale\": 10.0000", NULL},
        {"\"time_scale\": 1", "\"time_scale\": 0", scale},
        {"\"time_scale\": 1", "\"time_scale\": 10.0001", scale},
        {"\"time_scale\": 1", "\"time_scale\": 0.00001", scale},
        {"\"time_scale\": 1", "\"time_scale\": -1", scale},
        {"\"time_scale\": 1", "\"time_scale\": 1e0", scale},
        {"\"time_scale\": 1", "\"time_scale\": \"1\"", scale},
        {"\"error_rate_percent\": 5", "\"error_rate_percent\": 5.0", NULL},
        {"\"error_rate_percent\": 5", "\"error_rate_percent\": 0.01", NULL},
        {"\"error_rate_percent\": 5", "\"error_rate_percent\": 100", NULL},
        {"\"error_rate_percent\": 5", "\"error_rate_percent\": 100.01", percent},
        {"\"error_rate_percent\": 5", "\"error_rate_percent\": 5.001", percent},
        {"\"error_rate_percent\": 5", "\"error_rate_percent\": null", percent},
        {"\"early_alpha\": 0.005", "\"early_alpha\": 0.000001", NULL},
        {"\"early_alpha\": 0.005", "\"early_alpha\": 0.5", NULL},
        {"\"early_alpha\": 0.005", "\"early_alpha\": 0", alpha},
        {"\"early_alpha\": 0.005", "\"early_alpha\": 0.500001", alpha},
    };
    ASSERT_CHANGES(table);
}

Test(deployment_policy, the_first_wrong_member_is_named_with_its_path)
{
    static const char first[] = "{\"name\": \"canary\", \"weight_percent\": 5, \"duration_seconds\": 300,";
    static const char seconds[] =
        "strategies.canary.stages[0].duration_seconds: must be a whole number from 0 to 604800";
    const Change table[] = {
        {"\"time_scale\"", "\"timescale\"", "unknown member \"timescale\""},
        {"  \"time_scale\": 1,\n", "", "time_scale: missing"},
        {"\"bake_seconds\": 600", "\"bake_seconds\": 604801", "bake_seconds: must be a whole number from 0 to 604800"},
        {"\"bake_seconds\": 600", "\"bake_seconds\": 0", NULL},
        {"\"look_seconds\": 10", "\"look_seconds\": 0", "look_seconds: must be a whole number from 1 to 604800"},
        {"\"command_tries\": 3", "\"command_tries\": 101", "command_tries: must be a whole number from 1 to 100"},
        {"\"require_image\": true", "\"require_image\": 1", "require_image: must be true or false"},
        {"\"require_image\": true", "\"require_image\": false", NULL},
        {first, "{\"name\": \"canary\", \"weight_percent\": 5, \"duration_seconds\": 604801,", seconds},
        {first, "{\"name\": \"canary\", \"weight_percent\": 5, \"duration_seconds\": -1,", seconds},
        {first, "{\"name\": \"canary\", \"weight_percent\": 5, \"duration_seconds\": 1.5,", seconds},
        {first, "{\"name\": \"canary\", \"weight_percent\": 5, \"duration_seconds\": \"300\",", seconds},
        {first, "{\"name\": \"canary\", \"weight_percent\": 5, \"duration_seconds\": 604800,", NULL},
        {first, "{\"name\": \"canary\", \"weight_percent\": 101, \"duration_seconds\": 1,",
         "strategies.canary.stages[0].weight_percent: must be a whole number from 0 to 100"},
        {first, "{\"name\": \"\", \"weight_percent\": 5, \"duration_seconds\": 1,",
         "strategies.canary.stages[0].name: must be 1 to 31 of A-Z a-z 0-9 _ : -"},
        {first, "{\"name\": 5, \"weight_percent\": 5, \"duration_seconds\": 1,",
         "strategies.canary.stages[0].name: must be a string"},
        {first, "{\"name\": \"staging\", \"weight_percent\": 5, \"duration_seconds\": 1,",
         "strategies.canary.stages[1].name: stands twice"},
        {first, "{\"mood\": 1, \"name\": \"canary\", \"weight_percent\": 5, \"duration_seconds\": 1,",
         "unknown member \"strategies.canary.stages[0].mood\""},
        {first, "5, {\"name\": \"canary\", \"weight_percent\": 5, \"duration_seconds\": 1,",
         "strategies.canary.stages[0]: must be an object"},
        {"\"weight_percent\": 100", "\"weight_percent\": 99",
         "strategies.canary.stages: the last one must have weight_percent 100"},
        {"\"canary\": {", "\"none\": {\"stages\": []}, \"canary\": {",
         "strategies.none.stages: must have 1 to 12 entries"},
        {"\"canary\": {", "\"none\": {\"stages\": {}}, \"canary\": {", "strategies.none.stages: must be an array"},
        {"\"canary\": {", "\"none\": {}, \"canary\": {", "strategies.none.stages: missing"},
        {"\"canary\": {", "\"none\": 5, \"canary\": {", "strategies.none: must be an object"},
        {"\"canary\": {", "\"a.b\": {}, \"canary\": {", "strategies: every name must be 1 to 31 of A-Z a-z 0-9 _ : -"},
        {"\"us-east-1\"", "\"us-west-2\"", "regions[1].name: stands twice"},
        {"\"us-east-1\"", "\"us.east\"", "regions[1].name: must be 1 to 63 of A-Z a-z 0-9 _ : -"},
        {"\"driver\": \"sandbox\"", "\"driver\": \"ssh\"",
         "regions[0].driver: must be sandbox, haproxy, command or kubernetes"},
        {"\"capacity\": 50", "\"capacity\": -1", "regions[0].capacity: must be a whole number from 0 to 1000000000"},
        {"\"p99_ms\": 1000", "\"p99_ms\": 999",
         "limits.p99_ms: must be one of 5, 10, 25, 50, 100, 200, 300, 400, 500, 750, 1000, 1500, 2500, 5000"},
        {"\"minimum_for_errors\": 59", "\"minimum_for_errors\": 0",
         "limits.minimum_for_errors: must be a whole number from 1 to 1000000000"},
        {"    \"relative_errors\": true,\n", "", "limits.relative_errors: missing"},
        {"\"relative_errors\"", "\"relative_error\"", "unknown member \"limits.relative_error\""},
        {"\"limits\": {", "\"limits\": {\"p99_ms\": 1,", "duplicate member at line 40 column 12"},
    };
    ASSERT_CHANGES(table);
}

Test(deployment_policy, a_freeze_is_a_span_of_days_that_exist)
{
    static const char from[] = "freezes[0].from: must be a time like 2026-12-24T00:00:00Z";
#define FREEZE(from_text, to_text)                                                                                     \
    "\"freezes\": [{\"from\": \"" from_text "\", \"to\": \"" to_text "\", \"service\": \"api\", \"reason\": \"\"}]"
#define FROM(text) FREEZE(text, "2027-01-01T00:00:00Z")
    const Change table[] = {
        {"\"freezes\": []", FROM("2026-12-24T00:00:00Z"), NULL},
        {"\"freezes\": []", FROM("2024-02-29T23:59:59.999Z"), NULL},
        {"\"freezes\": []", FROM("1970-01-01T00:00:00.0Z"), NULL},
        {"\"freezes\": []", FROM("2026-02-29T00:00:00Z"), from},
        {"\"freezes\": []", FROM("2026-13-01T00:00:00Z"), from},
        {"\"freezes\": []", FROM("2026-12-24T24:00:00Z"), from},
        {"\"freezes\": []", FROM("2026-12-24T23:59:60Z"), from},
        {"\"freezes\": []", FROM("2026-12-24T00:00:00"), from},
        {"\"freezes\": []", FROM("2026-12-24T00:00:00+01:00"), from},
        {"\"freezes\": []", FROM("2026-12-24 00:00:00Z"), from},
        {"\"freezes\": []", FROM("2026-12-24T00:00:00.Z"), from},
        {"\"freezes\": []", FROM("2026-12-24T00:00:00.1234Z"), from},
        {"\"freezes\": []", FROM("1969-12-31T23:59:59Z"), from},
        {"\"freezes\": []", FROM(""), from},
        {"\"freezes\": []", FROM("2026-12-24T00:00:00Z and much more"),
         "freezes[0].from: must be one line of at most 31 bytes"},
        {"\"freezes\": []", FREEZE("2026-12-24T00:00:00Z", "2026-12-24T00:00:00Z"),
         "freezes[0].to: must be later than from"},
        {"\"freezes\": []", FREEZE("2026-12-24T00:00:00Z", "tomorrow"),
         "freezes[0].to: must be a time like 2026-12-24T00:00:00Z"},
        {"\"freezes\": []", "\"freezes\": {}", "freezes: must be an array"},
        {"\"freezes\": []", "\"freezes\": [{}]", "freezes[0].from: missing"},
    };
    ASSERT_CHANGES(table);
}

Test(deployment_policy, what_is_no_policy_at_all_is_refused)
{
    const struct {
        Str document;
        const char *reason;
    } table[] = {
        {STR(""), "body: empty"},
        {STR("{}"), "time_scale: missing"},
        {STR("[]"), "must be a JSON object"},
        {STR("{\"a\":[[[[[[1]]]]]]}"), "nested deeper than 6 levels"},
        {STR("{}\0"), "not JSON: holds a NUL byte"},
        {STR("not a policy"), "not JSON: line 1 column 3: invalid token"},
    };
    Arena arena = sample_arena();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        DeploymentPolicy policy;
        sample_assert_refused(wire_decode_deployment_policy(&arena, table[i].document, &policy), table[i].reason,
                              table[i].document.data);
    }
    arena_release(&arena);
}
