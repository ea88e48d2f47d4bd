/* deployment_answer - what HTTP says about a deployment, as JSON: its outcome, and each step of its rollouts.
 * Made of the ledger's messages alone, so the answer is the same whenever it is asked for. */
#include <math.h>

#include "shared/base/json.h"
#include "shared/wire/deployment.h"
#include "shared/wire/moment.h"

#define OUTCOME_FIXED_BYTES 1024
#define REGION_FIXED_BYTES 320
#define ITEM_FIXED_BYTES 64 /* a violation's or a stage's quotes, names and commas */
#define EVENT_FIXED_BYTES 8192
#define ESCAPED_FACTOR 6 /* one byte becomes \u00XX at worst */

static void put_text_or_null(JsonWriter *json, const char *key, Str text)
{
    if (text.length > 0) {
        json_put_string(json, key, text);
    } else {
        json_put_null(json, key);
    }
}

static void put_time_or_null(JsonWriter *json, const char *key, int64_t time_ms)
{
    if (time_ms > 0) {
        moment_put(json, key, time_ms);
    } else {
        json_put_null(json, key);
    }
}

static size_t region_capacity(const DeploymentRegionResult *region)
{
    size_t length = region->region.length + region->detail.length;
    for (size_t i = 0; i < region->stages_count; i++) {
        length += region->stages_completed[i].length;
    }
    return REGION_FIXED_BYTES + region->stages_count * ITEM_FIXED_BYTES + ESCAPED_FACTOR * length;
}

static Buffer outcome_buffer(Arena *arena, const DeploymentOutcome *outcome)
{
    size_t texts = outcome->deployment_id.length + outcome->service.length + outcome->version.length +
                   outcome->strategy.length + outcome->error_message.length + outcome->trace_id.length;
    size_t capacity = OUTCOME_FIXED_BYTES + ESCAPED_FACTOR * texts;
    for (size_t i = 0; i < outcome->region_count; i++) {
        capacity += 2 * region_capacity(&outcome->regions[i]); /* its stages may stand at the top as well */
    }
    for (size_t i = 0; i < outcome->violation_count; i++) {
        const DeploymentViolation *violation = &outcome->violations[i];
        capacity += ITEM_FIXED_BYTES + ESCAPED_FACTOR * (violation->code.length + violation->detail.length);
    }
    return arena_buffer(arena, capacity);
}

static void put_stages(JsonWriter *json, const DeploymentRegionResult *region)
{
    for (size_t i = 0; region != NULL && i < region->stages_count; i++) {
        json_put_string(json, NULL, region->stages_completed[i]);
    }
}

/* All regions got at least so far. */
static void put_stages_completed(JsonWriter *json, const DeploymentOutcome *outcome)
{
    const DeploymentRegionResult *least = NULL;
    for (size_t i = 0; i < outcome->region_count; i++) {
        if (least == NULL || outcome->regions[i].stages_count < least->stages_count) {
            least = &outcome->regions[i];
        }
    }
    json_open(json, "stages_completed", '[');
    if (outcome->status != DEPLOYMENT_REJECTED) {
        json_put_string(json, NULL, STR("validation"));
        put_stages(json, least);
    }
    json_close(json, ']');
}

static void put_regions(JsonWriter *json, const DeploymentOutcome *outcome)
{
    json_open(json, "regions", '[');
    for (size_t i = 0; i < outcome->region_count; i++) {
        const DeploymentRegionResult *region = &outcome->regions[i];
        json_open(json, NULL, '{');
        json_put_string(json, "region", region->region);
        json_put_string(json, "status", str_from(deployment_status_name(region->status)));
        json_open(json, "stages_completed", '[');
        put_stages(json, region);
        json_close(json, ']');
        put_time_or_null(json, "started", region->started_ms);
        put_time_or_null(json, "ended", region->ended_ms);
        put_text_or_null(json, "detail", region->detail);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_violations(JsonWriter *json, const DeploymentOutcome *outcome)
{
    json_open(json, "violations", '[');
    for (size_t i = 0; i < outcome->violation_count; i++) {
        json_open(json, NULL, '{');
        json_put_string(json, "code", outcome->violations[i].code);
        json_put_string(json, "detail", outcome->violations[i].detail);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* How much faster than the real durations it went; nothing where that is not known yet. */
static void put_scale(JsonWriter *json, int64_t time_scale_e4)
{
    if (time_scale_e4 > 0) {
        json_put_decimal(json, "time_scale", time_scale_e4, 4);
    }
}

Str wire_print_deployment_outcome_json(Arena *arena, const DeploymentOutcome *outcome)
{
    Buffer out = outcome_buffer(arena, outcome);
    JsonWriter json = json_writer(&out);
    int64_t duration_ms = outcome->timestamp_ms - outcome->received_ms;
    json_open(&json, NULL, '{');
    json_put_string(&json, "deployment_id", outcome->deployment_id);
    json_put_string(&json, "service", outcome->service);
    json_put_string(&json, "version", outcome->version);
    json_put_string(&json, "strategy", outcome->strategy);
    put_scale(&json, outcome->time_scale_e4);
    json_put_string(&json, "status", str_from(deployment_status_name(outcome->status)));
    json_put_decimal(&json, "duration_secs", duration_ms > 0 ? duration_ms : 0,
                     3); /* two machines' clocks may differ */
    put_stages_completed(&json, outcome);
    put_regions(&json, outcome);
    put_text_or_null(&json, "error_message", outcome->error_message);
    put_violations(&json, outcome);
    json_put_string(&json, "trace_id", outcome->trace_id);
    moment_put(&json, "timestamp", outcome->timestamp_ms);
    json_close(&json, '}');
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}

/* JSON has neither NaN nor infinities. */
static void put_double(JsonWriter *json, const char *key, double value)
{
    char memory[32];
    Buffer text = buffer_over(memory, sizeof(memory));
    if (isfinite(value)) {
        buffer_print(&text, "%.6g", value);
    }
    json_put_raw(json, key, buffer_str(&text)); /* the empty text is null */
}

static void put_count(JsonWriter *json, const char *key, uint64_t count)
{
    char memory[32];
    Buffer text = buffer_over(memory, sizeof(memory));
    buffer_print(&text, "%llu", (unsigned long long)count);
    json_put_raw(json, key, buffer_str(&text));
}

static bool is_relative(JudgeGate gate)
{
    return gate == JUDGE_GATE_RELATIVE_ERRORS || gate == JUDGE_GATE_RELATIVE_LATENCY;
}

static void put_finding(JsonWriter *json, JudgeGate gate, const JudgeFinding *finding)
{
    json_open(json, NULL, '{');
    json_put_string(json, "gate", str_from(judge_gate_name(gate)));
    json_put_string(json, "verdict", str_from(judge_verdict_name(finding->verdict)));
    put_count(json, "bad", finding->bad);
    put_count(json, "total", finding->total);
    put_double(json, "share", finding->share);
    put_double(json, "lower", finding->lower);
    put_double(json, "upper", finding->upper);
    put_double(json, "limit", finding->limit);
    if (is_relative(gate)) {
        put_double(json, "baseline_share", finding->baseline_share);
        put_count(json, "baseline_total", finding->baseline_total);
        put_double(json, "p_value", finding->p_value);
        put_double(json, "effect", finding->effect);
    }
    put_text_or_null(json, "reason", str_from(finding->reason));
    json_close(json, '}');
}

static void put_counts(JsonWriter *json, const char *key, const JudgeCounts *counts)
{
    json_open(json, key, '{');
    put_count(json, "requests", counts->requests);
    put_count(json, "errors", counts->errors);
    json_open(json, "latency", '[');
    for (size_t i = 0; i <= JUDGE_LATENCY_BUCKETS; i++) {
        json_open(json, NULL, '{');
        if (i < JUDGE_LATENCY_BUCKETS) {
            json_put_int(json, "up_to_ms", judge_latency_bounds_ms[i]);
        } else {
            json_put_null(json, "up_to_ms");
        }
        put_count(json, "requests", counts->latency[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_close(json, '}');
}

static void put_judgement(JsonWriter *json, const RolloutEvent *event)
{
    const JudgeVerdict *verdict = &event->verdict;
    json_open(json, "verdict", '{');
    json_put_string(json, "verdict", str_from(judge_verdict_name(verdict->verdict)));
    json_put_string(json, "worst", str_from(judge_gate_name(verdict->worst)));
    json_put_int(json, "worse_windows", verdict->worse_windows);
    json_open(json, "findings", '[');
    for (JudgeGate gate = 0; gate < JUDGE_GATE_COUNT; gate++) {
        put_finding(json, gate, &verdict->findings[gate]);
    }
    json_close(json, ']');
    json_close(json, '}');
    put_counts(json, "canary", &event->canary);
    put_counts(json, "baseline", &event->baseline);
}

static Str cause_name(RolloutCause cause)
{
    switch (cause) {
    case ROLLOUT_CAUSE_HEALTH:
        return STR("health");
    case ROLLOUT_CAUSE_ORDER:
        return STR("order");
    case ROLLOUT_CAUSE_FAILURE:
        return STR("failure");
    case ROLLOUT_CAUSE_DEADLINE:
        return STR("deadline");
    case ROLLOUT_CAUSE_SEQUENCE:
        return STR("sequence");
    case ROLLOUT_CAUSE_NONE:
        break;
    }
    return STR("none");
}

static void put_weight(JsonWriter *json, int32_t weight_percent)
{
    if (weight_percent >= 0) {
        json_put_int(json, "weight_percent", weight_percent);
    } else {
        json_put_null(json, "weight_percent"); /* not known */
    }
}

static void put_kind_members(JsonWriter *json, const RolloutEvent *event)
{
    RolloutEventKind kind = event->kind;
    if (kind == ROLLOUT_EVENT_VERIFIED || kind == ROLLOUT_EVENT_TRY_FAILED || kind == ROLLOUT_EVENT_ROLLBACK_BEGUN) {
        put_weight(json, event->weight_percent);
    }
    if (event->until_ms > 0) {
        moment_put(json, "until", event->until_ms);
    }
    if (kind == ROLLOUT_EVENT_PROMOTED) {
        json_put_bool(json, "full", event->full);
    }
    if (kind == ROLLOUT_EVENT_ROLLBACK_BEGUN || kind == ROLLOUT_EVENT_ENDED) {
        json_put_string(json, "cause", cause_name(event->cause));
    }
    if (kind == ROLLOUT_EVENT_ENDED) {
        json_put_string(json, "phase", str_from(rollout_phase_name(event->phase)));
    }
}

static size_t event_capacity(const RolloutEvent *event, Str stage_name)
{
    size_t texts =
        event->region.length + event->who.length + event->why.length + event->query.length + stage_name.length;
    for (size_t i = 0; i < JUDGE_GATE_COUNT; i++) {
        texts += str_from(event->verdict.findings[i].reason).length;
    }
    return EVENT_FIXED_BYTES + ESCAPED_FACTOR * texts;
}

Str wire_print_rollout_event_json(Arena *arena, const RolloutEvent *event, Str stage_name, uint64_t sequence)
{
    Buffer out = arena_buffer(arena, event_capacity(event, stage_name));
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '{');
    put_count(&json, "sequence", sequence);
    json_put_string(&json, "event", str_from(rollout_event_name(event->kind)));
    json_put_string(&json, "region", event->region);
    moment_put(&json, "at", event->at_ms);
    if (stage_name.length > 0) {
        json_put_string(&json, "stage", stage_name);
    } else {
        json_put_int(&json, "stage", event->stage);
    }
    put_kind_members(&json, event);
    if (event->who.length > 0) {
        json_put_string(&json, "who", event->who);
    }
    if (event->why.length > 0) {
        json_put_string(&json, "why", event->why);
    }
    if (event->judged) {
        put_judgement(&json, event);
    }
    if (event->judged || event->query.length > 0) { /* also of what could not be told */
        put_text_or_null(&json, "query", event->query);
    }
    json_close(&json, '}');
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}
