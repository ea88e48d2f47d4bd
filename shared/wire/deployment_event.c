/* deployment_event - one step of a rollout with what it was judged on, as bytes.
 * A kind that a newer program wrote is handed on: the rollout passes it over by itself. What a known kind says must be
 * known. */
#include "shared/wire/deployment.h"
#include "shared/wire/deployment_parts.h"

#define EVENT_MAX_BYTES 16384 /* two sets of counts, a query, and why */
#define KIND_MAX 1000
#define LATENCY_COUNT (JUDGE_LATENCY_BUCKETS + 1)

static Err read_counts(const char *name, const Tai__V1__JudgeCounts *packed, JudgeCounts *counts)
{
    *counts = (JudgeCounts){0};
    if (packed == NULL) {
        return err_none();
    }
    counts->requests = packed->requests;
    counts->errors = packed->errors;
    return message_read_counts(name, packed->latency, packed->n_latency, counts->latency, LATENCY_COUNT);
}

static Tai__V1__JudgeCounts *write_counts(Arena *arena, const JudgeCounts *counts)
{
    Tai__V1__JudgeCounts *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__judge_counts__init(packed);
    packed->requests = counts->requests;
    packed->errors = counts->errors;
    packed->latency = arena_alloc_array(arena, LATENCY_COUNT, sizeof(*packed->latency));
    packed->n_latency = LATENCY_COUNT;
    for (size_t i = 0; i < LATENCY_COUNT; i++) {
        packed->latency[i] = counts->latency[i];
    }
    return packed;
}

static Err read_finding(const Tai__V1__JudgeFinding *packed, JudgeFinding *finding)
{
    *finding = (JudgeFinding){
        .verdict = (JudgeVerdictKind)packed->verdict,
        .bad = packed->bad,
        .total = packed->total,
        .share = packed->share,
        .lower = packed->lower,
        .upper = packed->upper,
        .limit = packed->limit,
        .baseline_share = packed->baseline_share,
        .baseline_total = packed->baseline_total,
        .p_value = packed->p_value,
        .effect = packed->effect,
    };
    Str reason = {0};
    const MessageText text = {"verdict.findings.reason", packed->reason, &reason};
    Err err = message_read_texts(&text, 1);
    finding->reason = reason.length > 0 ? reason.data : NULL; /* ends in a NUL, as every text of protobuf-c */
    return err_is(err) ? err
                       : parts_check_range("verdict.findings.verdict", packed->verdict, JUDGE_PASS, JUDGE_INCONCLUSIVE);
}

static Err read_verdict(const Tai__V1__JudgeVerdict *packed, JudgeVerdict *verdict)
{
    *verdict = (JudgeVerdict){
        .verdict = (JudgeVerdictKind)packed->verdict,
        .worst = (JudgeGate)packed->worst,
        .worse_windows = packed->worse_windows,
    };
    Err err = parts_check_range("verdict.verdict", packed->verdict, JUDGE_PASS, JUDGE_INCONCLUSIVE);
    if (!err_is(err)) {
        err = parts_check_range("verdict.worst", packed->worst, 0, JUDGE_GATE_COUNT - 1);
    }
    if (!err_is(err)) {
        err = parts_check_range("verdict.worse_windows", packed->worse_windows, 0, INT32_MAX);
    }
    bool seen[JUDGE_GATE_COUNT] = {false};
    for (size_t i = 0; !err_is(err) && i < packed->n_findings; i++) {
        int32_t gate = packed->findings[i]->gate;
        if (gate < 0 || gate >= JUDGE_GATE_COUNT || seen[gate]) {
            return err_reject("verdict.findings: gate %d is unknown or stands twice", (int)gate);
        }
        seen[gate] = true;
        err = read_finding(packed->findings[i], &verdict->findings[gate]);
    }
    return err;
}

static Tai__V1__JudgeFinding *write_finding(Arena *arena, int32_t gate, const JudgeFinding *finding)
{
    Tai__V1__JudgeFinding *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__judge_finding__init(packed);
    packed->gate = gate;
    packed->verdict = (int32_t)finding->verdict;
    packed->bad = finding->bad;
    packed->total = finding->total;
    packed->share = finding->share;
    packed->lower = finding->lower;
    packed->upper = finding->upper;
    packed->limit = finding->limit;
    packed->baseline_share = finding->baseline_share;
    packed->baseline_total = finding->baseline_total;
    packed->p_value = finding->p_value;
    packed->effect = finding->effect;
    packed->reason = message_write_text(arena, str_from(finding->reason));
    return packed;
}

static Tai__V1__JudgeVerdict *write_verdict(Arena *arena, const JudgeVerdict *verdict)
{
    Tai__V1__JudgeVerdict *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__judge_verdict__init(packed);
    packed->verdict = (int32_t)verdict->verdict;
    packed->worst = (int32_t)verdict->worst;
    packed->worse_windows = verdict->worse_windows;
    packed->findings = arena_alloc_array(arena, JUDGE_GATE_COUNT, sizeof(Tai__V1__JudgeFinding *));
    packed->n_findings = JUDGE_GATE_COUNT;
    for (int32_t gate = 0; gate < JUDGE_GATE_COUNT; gate++) {
        packed->findings[gate] = write_finding(arena, gate, &verdict->findings[gate]);
    }
    return packed;
}

static Err read_judgement(const Tai__V1__RolloutEvent *packed, RolloutEvent *event)
{
    event->judged = packed->verdict != NULL;
    Err err = err_none();
    if (event->judged) {
        err = read_verdict(packed->verdict, &event->verdict);
    }
    if (!err_is(err)) {
        err = read_counts("canary.latency", packed->canary, &event->canary);
    }
    return err_is(err) ? err : read_counts("baseline.latency", packed->baseline, &event->baseline);
}

static Err check_numbers(const Tai__V1__RolloutEvent *packed)
{
    Err err = parts_check_range("kind", packed->kind, 1, KIND_MAX);
    if (!err_is(err)) {
        err = parts_check_range("stage", packed->stage, 0, DEPLOYMENT_STAGES_MAX);
    }
    if (!err_is(err)) {
        err = parts_check_range("weight_percent", packed->weight_percent, -1, 100);
    }
    if (!err_is(err)) {
        err = parts_check_range("cause", packed->cause, ROLLOUT_CAUSE_NONE, ROLLOUT_CAUSE_SEQUENCE);
    }
    if (!err_is(err)) {
        err = parts_check_range("phase", packed->phase, ROLLOUT_NEW, ROLLOUT_ROLLBACK_FAILED);
    }
    if (!err_is(err)) {
        err = message_check_time("at_ms", packed->at_ms);
    }
    return err_is(err) ? err : message_check_time("until_ms", packed->until_ms);
}

Err wire_decode_rollout_event_named(Arena *arena, Str body, RolloutEvent *event, Str *stage_name)
{
    Tai__V1__RolloutEvent *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__rollout_event__descriptor, body, EVENT_MAX_BYTES, &packed);
    if (!err_is(err)) {
        err = check_numbers(packed);
    }
    if (err_is(err)) {
        return err;
    }
    *event = (RolloutEvent){
        .kind = (RolloutEventKind)packed->kind,
        .at_ms = packed->at_ms,
        .stage = packed->stage,
        .weight_percent = packed->weight_percent,
        .until_ms = packed->until_ms,
        .full = packed->full,
        .cause = (RolloutCause)packed->cause,
        .phase = (RolloutPhase)packed->phase,
        .order_sequence = packed->order_sequence,
    };
    const MessageText texts[] = {
        {"region", packed->region, &event->region},
        {"who", packed->who, &event->who},
        {"why", packed->why, &event->why},
        {"query", packed->query, &event->query},
        {"stage_name", packed->stage_name, stage_name},
    };
    err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err)) {
        err = parts_check_token("region", event->region);
    }
    return err_is(err) ? err : read_judgement(packed, event);
}

Err wire_decode_rollout_event(Arena *arena, Str body, RolloutEvent *event)
{
    Str stage_name = {0};
    return wire_decode_rollout_event_named(arena, body, event, &stage_name);
}

Str wire_encode_rollout_event(Arena *arena, const RolloutEvent *event, Str stage_name)
{
    Tai__V1__RolloutEvent packed = TAI__V1__ROLLOUT_EVENT__INIT;
    packed.kind = (int32_t)event->kind;
    packed.region = message_write_text(arena, event->region);
    packed.at_ms = event->at_ms;
    packed.stage = event->stage;
    packed.weight_percent = event->weight_percent;
    packed.until_ms = event->until_ms;
    packed.full = event->full;
    packed.cause = (int32_t)event->cause;
    packed.phase = (int32_t)event->phase;
    packed.who = message_write_text(arena, event->who);
    packed.why = message_write_text(arena, event->why);
    packed.query = message_write_text(arena, event->query);
    packed.stage_name = message_write_text(arena, stage_name);
    packed.order_sequence = event->order_sequence;
    if (event->judged) {
        packed.verdict = write_verdict(arena, &event->verdict);
        packed.canary = write_counts(arena, &event->canary);
        packed.baseline = write_counts(arena, &event->baseline);
    }
    return message_pack(arena, &packed);
}
