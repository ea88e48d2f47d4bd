/* deployment_document - the deployment policy printed as the document that says the same, one stage on a line. */
#include <math.h>

#include "shared/base/json.h"
#include "shared/wire/deployment.h"
#include "shared/wire/member.h"
#include "shared/wire/moment.h"

#define SHARE_DIGITS 6
#define SHARE_WHOLE 1000000 /* 10^SHARE_DIGITS */
/* The fullest strategies, freezes and limits; a region with the longest name and driver. */
#define BASE_BYTES_MAX ((size_t)64 * 1024)
#define REGION_BYTES_MAX 136

static void print_text(Buffer *out, const char *name, const char *text)
{
    buffer_print(out, "\"%s\": ", name);
    JsonWriter json = json_writer(out);
    json_put_string(&json, NULL, str_from(text));
}

static void print_moment(Buffer *out, const char *name, int64_t time_ms)
{
    buffer_print(out, "\"%s\": ", name);
    JsonWriter json = json_writer(out);
    moment_put(&json, NULL, time_ms);
}

static void print_seconds(Buffer *out, const char *name, int64_t length_ms)
{
    TAI_ASSERT(length_ms % 1000 == 0);
    buffer_print(out, "\"%s\": %lld", name, (long long)(length_ms / 1000));
}

static void print_flag(Buffer *out, const char *name, bool flag)
{
    buffer_print(out, "\"%s\": %s", name, flag ? "true" : "false");
}

static void print_decimal(Buffer *out, const char *name, int64_t value, int digits)
{
    buffer_print(out, "\"%s\": ", name);
    member_print_decimal(out, value, digits);
}

/* Six digits after the point are what a document may have. */
static void print_share(Buffer *out, const char *name, double share)
{
    print_decimal(out, name, (int64_t)llround(share * SHARE_WHOLE), SHARE_DIGITS);
}

static void print_stage(Buffer *out, const DeploymentStage *stage)
{
    buffer_append(out, STR("        {"));
    print_text(out, "name", stage->name);
    buffer_print(out, ", \"weight_percent\": %d, ", (int)stage->weight_percent);
    print_seconds(out, "duration_seconds", stage->duration_ms);
    buffer_append(out, STR(", "));
    print_seconds(out, "warm_up_seconds", stage->warm_up_ms);
    buffer_append(out, STR(", "));
    print_seconds(out, "extend_max_seconds", stage->extend_max_ms);
    buffer_append(out, STR(", "));
    print_flag(out, "needs_approval", stage->needs_approval);
    buffer_append(out, STR(", "));
    print_flag(out, "judged", stage->judged);
    buffer_append(out, STR("}"));
}

static void print_strategies(Buffer *out, const DeploymentPolicy *policy)
{
    buffer_append(out, STR("  \"strategies\": {"));
    for (int32_t i = 0; i < policy->strategy_count; i++) {
        const DeploymentStrategy *strategy = &policy->strategies[i];
        buffer_print(out, "%s\n    \"%s\": {\n      \"stages\": [", i > 0 ? "," : "", strategy->name);
        for (int32_t j = 0; j < strategy->stage_count; j++) {
            buffer_append(out, j > 0 ? STR(",\n") : STR("\n"));
            print_stage(out, &strategy->stages[j]);
        }
        buffer_append(out, STR("\n      ]\n    }"));
    }
    buffer_append(out, STR("\n  },\n"));
}

static void print_regions(Buffer *out, const DeploymentPolicy *policy)
{
    buffer_append(out, STR("  \"regions\": ["));
    for (int32_t i = 0; i < policy->region_count; i++) {
        const DeploymentRegionPolicy *region = &policy->regions[i];
        buffer_append(out, i > 0 ? STR(",\n    {") : STR("\n    {"));
        print_text(out, "name", region->name);
        buffer_print(out, ", \"capacity\": %d, ", (int)region->capacity);
        print_text(out, "driver", region->driver);
        buffer_append(out, STR("}"));
    }
    buffer_append(out, STR("\n  ],\n"));
}

static void print_freezes(Buffer *out, const DeploymentPolicy *policy)
{
    buffer_append(out, STR("  \"freezes\": ["));
    for (int32_t i = 0; i < policy->freeze_count; i++) {
        const DeploymentFreeze *freeze = &policy->freezes[i];
        buffer_append(out, i > 0 ? STR(",\n    {") : STR("\n    {"));
        print_moment(out, "from", freeze->from_ms);
        buffer_append(out, STR(", "));
        print_moment(out, "to", freeze->to_ms);
        buffer_append(out, STR(", "));
        print_text(out, "service", freeze->service);
        buffer_append(out, STR(", "));
        print_text(out, "reason", freeze->reason);
        buffer_append(out, STR("}"));
    }
    buffer_append(out, policy->freeze_count > 0 ? STR("\n  ],\n") : STR("],\n"));
}

static void print_limits(Buffer *out, const JudgeLimits *limits)
{
    buffer_append(out, STR("  \"limits\": {\n    "));
    print_decimal(out, "error_rate_percent", limits->error_limit_e4, 2);
    buffer_print(out, ",\n    \"p99_ms\": %lld,\n    ", (long long)limits->slow_ms);
    print_decimal(out, "slower_percent", limits->slow_limit_e4, 2);
    buffer_print(out, ",\n    \"minimum_for_errors\": %lld,\n    \"minimum_for_latency\": %lld,\n    ",
                 (long long)limits->minimum_for_errors, (long long)limits->minimum_for_latency);
    print_share(out, "early_alpha", limits->early_alpha);
    buffer_append(out, STR(",\n    "));
    print_share(out, "bound_alpha", limits->bound_alpha);
    buffer_append(out, STR(",\n    "));
    print_share(out, "relative_alpha", limits->relative_alpha);
    buffer_print(out, ",\n    \"relative_minimum\": %lld,\n    ", (long long)limits->relative_minimum);
    print_decimal(out, "error_effect_percent", limits->error_effect_e4, 2);
    buffer_append(out, STR(",\n    "));
    print_share(out, "latency_effect", limits->latency_effect);
    buffer_append(out, STR(",\n    "));
    print_flag(out, "relative_errors", limits->relative_errors);
    buffer_append(out, STR(",\n    "));
    print_flag(out, "relative_latency", limits->relative_latency);
    buffer_append(out, STR("\n  },\n"));
}

Str wire_print_deployment_policy(Arena *arena, const DeploymentPolicy *policy)
{
    Buffer out = arena_buffer(arena, BASE_BYTES_MAX + (size_t)policy->region_count * REGION_BYTES_MAX);
    buffer_append(&out, STR("{\n  "));
    print_decimal(&out, "time_scale", policy->time_scale_e4, 4);
    buffer_append(&out, STR(",\n"));
    print_strategies(&out, policy);
    print_regions(&out, policy);
    print_freezes(&out, policy);
    print_limits(&out, &policy->limits);
    buffer_append(&out, STR("  "));
    print_seconds(&out, "look_seconds", policy->look_ms);
    buffer_append(&out, STR(",\n  "));
    print_seconds(&out, "progress_deadline_seconds", policy->progress_deadline_ms);
    buffer_append(&out, STR(",\n  "));
    print_seconds(&out, "bake_seconds", policy->bake_ms);
    buffer_append(&out, STR(",\n  "));
    print_seconds(&out, "command_timeout_seconds", policy->command_timeout_ms);
    buffer_print(&out, ",\n  \"command_tries\": %d,\n  ", (int)policy->command_tries);
    print_flag(&out, "require_image", policy->require_image);
    buffer_append(&out, STR("\n}\n"));
    TAI_ASSERT(!out.overflow && out.length <= DEPLOYMENT_POLICY_BODY_MAX); /* so that it can be read again */
    return buffer_str(&out);
}
