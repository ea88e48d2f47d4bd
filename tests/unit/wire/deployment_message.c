/* The deployment's protobuf messages: each comes back as it was sent, full and empty, and what no honest process
 * writes is refused. */
#include "shared/base/id.h"
#include "tests/unit/wire/deployment_samples.h"

static void assert_same_signal(const DeploymentSignal *a, const DeploymentSignal *b)
{
    cr_assert(deployment_signal_same_request(a, b));
    sample_assert_same_text(a->deployment_id, b->deployment_id, "deployment_id");
    cr_assert_eq(a->received_ms, b->received_ms);
}

Test(deployment_message, a_signal_comes_back_without_its_publisher)
{
    Arena arena = sample_arena();
    DeploymentSignal sent = sample_deployment();
    DeploymentSignal signal;
    sample_assert_ok(wire_decode_deployment_signal(&arena, wire_encode_deployment_signal(&arena, &sent), &signal));
    assert_same_signal(&signal, &sent);
    cr_assert_eq(signal.publisher.length, 0, "the publisher is in the subject, not in the body");
    DeploymentSignal least = {.service = STR("a"), .version = STR("1"), .regions = &STR("r"), .region_count = 1};
    sample_assert_ok(wire_decode_deployment_signal(&arena, wire_encode_deployment_signal(&arena, &least), &signal));
    sample_assert_text(signal.strategy, "canary", "the default strategy");
    arena_release(&arena);
}

Test(deployment_message, the_bytes_on_the_bus_do_not_change)
{
    Arena arena = sample_arena();
    DeploymentSignal sent = {.service = STR("a"),
                             .version = STR("1"),
                             .regions = (const Str[]){STR("r"), STR("s")},
                             .region_count = 2,
                             .strategy = STR("x"),
                             .on_region_failure = ON_REGION_FAILURE_CONTINUE,
                             .received_ms = 1};
    Str golden = STR("\x12\x01"
                     "a\x1A\x01"
                     "1*\x01r*\x01s2\x01x8\x02@\x01");
    cr_assert(str_equal(wire_encode_deployment_signal(&arena, &sent), golden));
    arena_release(&arena);
}

Test(deployment_message, an_id_whose_length_looks_like_a_brace_is_still_protobuf)
{
    for (size_t length = 1; length <= ID_MAX_LENGTH; length++) {
        Arena arena = sample_arena();
        DeploymentSignal sent = sample_deployment();
        sent.deployment_id = sample_long(&arena, length);
        DeploymentSignal signal;
        sample_assert_ok(wire_decode_deployment_signal(&arena, wire_encode_deployment_signal(&arena, &sent), &signal));
        cr_assert_eq(signal.deployment_id.length, length);
        arena_release(&arena);
    }
}

static void put_signal(Buffer *out)
{
    sample_put_bytes(out, 2, STR("api"));
    sample_put_bytes(out, 3, STR("v1"));
    sample_put_bytes(out, 5, STR("us-west-2"));
}

static void assert_signal_refused(Str more, size_t times, const char *reason)
{
    Arena arena = sample_arena();
    Buffer body = arena_buffer(&arena, 131072);
    put_signal(&body);
    for (size_t i = 0; i < times; i++) {
        buffer_append(&body, more);
    }
    DeploymentSignal signal;
    sample_assert_refused(wire_decode_deployment_signal(&arena, buffer_str(&body), &signal), reason, reason);
    arena_release(&arena);
}

Test(deployment_message, a_signal_that_no_honest_encoder_writes_is_refused)
{
    static const char not_a_signal[] = "body: neither a JSON object nor a tai.v1.DeploymentSignal message";
    assert_signal_refused(STR("\x12\x03"
                              "a\0b"),
                          1, "service: holds a NUL");
    assert_signal_refused(STR("\x1A\x02\xC3("), 1, "version: not UTF-8");
    assert_signal_refused(STR("*\x02"
                              "a\0"),
                          1, "target_regions: holds a NUL");
    assert_signal_refused(STR("*\x09us-west-2"), 1, "target_regions: us-west-2 stands twice");
    assert_signal_refused(STR("*\x01"
                              "a"),
                          32, "target_regions: more than 32 regions");
    assert_signal_refused(STR("8\x03"), 1, "on_region_failure: must be halt, rollback_all or continue");
    assert_signal_refused(STR("8\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), 1,
                          "on_region_failure: must be halt, rollback_all or continue");
    assert_signal_refused(STR("@\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), 1, "received_ms: not a time in Unix ms");
    assert_signal_refused(STR("\x10\x05"), 1, not_a_signal);
    assert_signal_refused(STR("\x12\x7Fshort"), 1, not_a_signal);
    assert_signal_refused(STR("*\0"), 30000, not_a_signal);
    Arena arena = sample_arena();
    DeploymentSignal signal;
    sample_assert_refused(wire_decode_deployment_signal(&arena, STR(""), &signal), "body: empty", "nothing");
    sample_assert_refused(wire_decode_deployment_signal(&arena, STR("hello"), &signal), not_a_signal, "hello");
    arena_release(&arena);
}

static void assert_same_plan(const DeploymentPlan *a, const DeploymentPlan *b)
{
    cr_assert_eq(a->stage_count, b->stage_count);
    for (int32_t i = 0; i < a->stage_count; i++) {
        const DeploymentStage *x = &a->stages[i];
        const DeploymentStage *y = &b->stages[i];
        cr_assert_str_eq(x->name, y->name);
        cr_assert(x->weight_percent == y->weight_percent && x->warm_up_ms == y->warm_up_ms &&
                  x->duration_ms == y->duration_ms && x->extend_max_ms == y->extend_max_ms &&
                  x->needs_approval == y->needs_approval && x->judged == y->judged);
    }
    const JudgeLimits *x = &a->limits;
    const JudgeLimits *y = &b->limits;
    cr_assert(x->error_limit_e4 == y->error_limit_e4 && x->slow_limit_e4 == y->slow_limit_e4 &&
              x->slow_ms == y->slow_ms && x->minimum_for_errors == y->minimum_for_errors &&
              x->minimum_for_latency == y->minimum_for_latency && x->early_alpha == y->early_alpha &&
              x->bound_alpha == y->bound_alpha && x->relative_alpha == y->relative_alpha &&
              x->relative_minimum == y->relative_minimum && x->error_effect_e4 == y->error_effect_e4 &&
              x->latency_effect == y->latency_effect && x->relative_errors == y->relative_errors &&
              x->relative_latency == y->relative_latency);
    cr_assert(a->look_ms == b->look_ms && a->progress_deadline_ms == b->progress_deadline_ms &&
              a->bake_ms == b->bake_ms && a->command_timeout_ms == b->command_timeout_ms &&
              a->command_tries == b->command_tries && a->time_scale_e4 == b->time_scale_e4);
}

static void assert_same_decision(const DeploymentDecision *a, const DeploymentDecision *b)
{
    assert_same_signal(&a->signal, &b->signal);
    sample_assert_same_text(a->signal.publisher, b->signal.publisher, "publisher");
    sample_assert_same_text(a->image, b->image, "image");
    sample_assert_same_text(a->digest, b->digest, "digest");
    assert_same_plan(&a->plan, &b->plan);
    cr_assert_eq(a->regions == NULL, b->regions == NULL);
    for (size_t i = 0; a->regions != NULL && i < a->signal.region_count; i++) {
        sample_assert_same_text(a->regions[i].region, b->regions[i].region, "region");
        sample_assert_same_text(a->regions[i].previous_version, b->regions[i].previous_version, "previous_version");
        sample_assert_same_text(a->regions[i].previous_digest, b->regions[i].previous_digest, "previous_digest");
        sample_assert_same_text(a->regions[i].driver, b->regions[i].driver, "driver");
    }
    cr_assert_eq(a->rejected, b->rejected);
    cr_assert_eq(a->violation_count, b->violation_count);
    for (size_t i = 0; i < a->violation_count; i++) {
        sample_assert_same_text(a->violations[i].code, b->violations[i].code, "code");
        sample_assert_same_text(a->violations[i].detail, b->violations[i].detail, "detail");
    }
    cr_assert(a->policy_revision == b->policy_revision && a->signal_sequence == b->signal_sequence &&
              a->decided_ms == b->decided_ms);
}

Test(deployment_message, an_approved_decision_comes_back_with_its_plan)
{
    Arena arena = sample_arena();
    DeploymentDecision sent = sample_deployment_decision();
    DeploymentDecision decision;
    sample_assert_ok(
        wire_decode_deployment_decision(&arena, wire_encode_deployment_decision(&arena, &sent), &decision));
    assert_same_decision(&decision, &sent);
    arena_release(&arena);
}

Test(deployment_message, a_rejected_decision_comes_back_with_all_that_the_rules_can_find)
{
    Arena arena = sample_arena();
    DeploymentDecision sent = {.signal = sample_deployment(), .rejected = true, .violation_count = 162};
    sent.violations = arena_alloc_array(&arena, sent.violation_count, sizeof(*sent.violations));
    for (size_t i = 0; i < sent.violation_count; i++) {
        sent.violations[i] = (DeploymentViolation){STR("region_unknown"), sample_long(&arena, 200)};
    }
    DeploymentDecision decision;
    sample_assert_ok(
        wire_decode_deployment_decision(&arena, wire_encode_deployment_decision(&arena, &sent), &decision));
    assert_same_decision(&decision, &sent);
    arena_release(&arena);
}

static void assert_decision_refused(const DeploymentDecision *decision, const char *reason)
{
    Arena arena = sample_arena();
    DeploymentDecision read;
    Str body = wire_encode_deployment_decision(&arena, decision);
    sample_assert_refused(wire_decode_deployment_decision(&arena, body, &read), reason, reason);
    arena_release(&arena);
}

#define REFUSED_WITH(member, value, reason)                                                                            \
    do {                                                                                                               \
        DeploymentDecision wrong = sample_deployment_decision();                                                       \
        wrong.member = (value);                                                                                        \
        assert_decision_refused(&wrong, reason);                                                                       \
    } while (0)

Test(deployment_message, a_decision_that_could_not_be_carried_out_is_refused)
{
    REFUSED_WITH(signal.deployment_id, (Str){0}, "deployment_id: missing");
    REFUSED_WITH(signal.publisher, (Str){0}, "publisher: missing");
    REFUSED_WITH(signal.service, (Str){0}, "service: is missing or empty");
    REFUSED_WITH(rejected, true, "violations: missing");
    REFUSED_WITH(plan.stage_count, 0, "plan: missing");
    REFUSED_WITH(plan.stages[1].weight_percent, 101, "plan.stages.weight_percent: must be 0 to 100");
    REFUSED_WITH(plan.stages[0].weight_percent, -1, "plan.stages.weight_percent: must be 0 to 100");
    REFUSED_WITH(plan.stages[0].name[0], '\0', "plan.stages.name: must be 1 to 31 of A-Z a-z 0-9 _ : -");
    REFUSED_WITH(plan.stages[0].name[0], '.', "plan.stages.name: must be 1 to 31 of A-Z a-z 0-9 _ : -");
    REFUSED_WITH(plan.stages[0].duration_ms, -1, "plan.stages.duration_ms: must be 0 to 31622400000");
    REFUSED_WITH(plan.stages[0].warm_up_ms, INT64_MAX, "plan.stages.warm_up_ms: must be 0 to 31622400000");
    REFUSED_WITH(plan.stages[0].extend_max_ms, INT64_MIN, "plan.stages.extend_max_ms: must be 0 to 31622400000");
    REFUSED_WITH(plan.limits.error_limit_e4, 10001, "plan.limits.error_limit_e4: must be 0 to 10000");
    REFUSED_WITH(plan.limits.slow_ms, -1, "plan.limits: a limit is negative");
    REFUSED_WITH(plan.limits.early_alpha, 1.5, "plan.limits.early_alpha: must be 0 to 1");
    REFUSED_WITH(plan.limits.bound_alpha, __builtin_nan(""), "plan.limits.bound_alpha: must be 0 to 1");
    REFUSED_WITH(plan.limits.latency_effect, __builtin_inf(), "plan.limits.latency_effect: must be 0 to 1");
    REFUSED_WITH(plan.look_ms, -1, "plan.look_ms: must be 0 to 31622400000");
    REFUSED_WITH(plan.command_tries, 1001, "plan.command_tries: must be 0 to 1000");
    REFUSED_WITH(regions[1].region, STR("eu-west-1"), "regions: are not those of the signal");
    REFUSED_WITH(regions[0].driver, (Str){0}, "regions.driver: missing");
    REFUSED_WITH(decided_ms, -1, "decided_ms: not a time in Unix ms");
}

/* As many entries as there may be, each as short and then as long as it may be: neither memory nor body runs out. */
static DeploymentRegionWork fullest_work(Arena *arena, size_t text_length)
{
    DeploymentRegionWork work = {.decision = sample_deployment_decision(), .region_index = 31};
    DeploymentDecision *decision = &work.decision;
    decision->signal.region_count = DEPLOYMENT_REGIONS_MAX;
    decision->plan.stage_count = DEPLOYMENT_STAGES_MAX;
    for (size_t i = 0; i < DEPLOYMENT_STAGES_MAX; i++) {
        decision->plan.stages[i] = (DeploymentStage){.name = "s", .weight_percent = 1};
    }
    Str *regions = arena_alloc_array(arena, DEPLOYMENT_REGIONS_MAX, sizeof(*regions));
    decision->signal.regions = regions;
    decision->regions = arena_alloc_array(arena, DEPLOYMENT_REGIONS_MAX, sizeof(*decision->regions));
    work.results = arena_alloc_array(arena, DEPLOYMENT_REGIONS_MAX, sizeof(*work.results));
    work.result_count = DEPLOYMENT_REGIONS_MAX;
    for (size_t i = 0; i < DEPLOYMENT_REGIONS_MAX; i++) {
        Str name = arena_print(arena, "r%zu%.*s", i, text_length > 1 ? 60 : 0, sample_long(arena, 60).data);
        regions[i] = name;
        decision->regions[i] = (DeploymentRegion){name, sample_long(arena, text_length),
                                                  sample_long(arena, text_length), sample_long(arena, text_length)};
        work.results[i] = (DeploymentRegionResult){
            .region = name, .detail = sample_long(arena, 2 * text_length), .stages_count = DEPLOYMENT_STAGES_MAX};
        for (size_t j = 0; j < DEPLOYMENT_STAGES_MAX; j++) {
            work.results[i].stages_completed[j] = sample_long(arena, text_length > 31 ? 31 : text_length);
        }
    }
    return work;
}

Test(deployment_message, a_regions_work_comes_back_however_full_it_is)
{
    static const size_t lengths[] = {1, 128};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        Arena arena = sample_arena();
        DeploymentRegionWork sent = fullest_work(&arena, lengths[i]);
        sent.kind = REGION_WORK_RESTORE;
        sent.who = STR("Ada");
        sent.why = STR("us-east-1 failed");
        DeploymentRegionWork work;
        sample_assert_ok(wire_decode_region_work(&arena, wire_encode_region_work(&arena, &sent), &work));
        assert_same_decision(&work.decision, &sent.decision);
        cr_assert(work.region_index == 31 && work.kind == REGION_WORK_RESTORE && work.result_count == 32);
        sample_assert_text(work.who, "Ada", "who");
        sample_assert_text(work.why, "us-east-1 failed", "why");
        sample_assert_same_text(work.results[31].region, sent.results[31].region, "region");
        sample_assert_same_text(work.results[31].detail, sent.results[31].detail, "detail");
        sample_assert_same_text(work.results[31].stages_completed[11], sent.results[31].stages_completed[11], "stage");
        arena_release(&arena);
    }
}

Test(deployment_message, a_regions_work_that_points_nowhere_is_refused)
{
    Arena arena = sample_arena();
    DeploymentRegionWork sent = {.decision = sample_deployment_decision(), .region_index = 2};
    DeploymentRegionWork work;
    sample_assert_refused(wire_decode_region_work(&arena, wire_encode_region_work(&arena, &sent), &work),
                          "region_index: must be 0 to 1", "index 2 of 2");
    sent.region_index = -1;
    sample_assert_refused(wire_decode_region_work(&arena, wire_encode_region_work(&arena, &sent), &work),
                          "region_index: must be 0 to 1", "index -1");
    sent.region_index = 1;
    sent.kind = (RegionWorkKind)2;
    sample_assert_refused(wire_decode_region_work(&arena, wire_encode_region_work(&arena, &sent), &work),
                          "kind: must be 0 to 1", "kind 2");
    DeploymentViolation violation = {STR("frozen"), STR("until tomorrow")};
    sent.kind = REGION_WORK_ROLLOUT;
    sent.decision.rejected = true;
    sent.decision.violations = &violation;
    sent.decision.violation_count = 1;
    sample_assert_refused(wire_decode_region_work(&arena, wire_encode_region_work(&arena, &sent), &work),
                          "decision: is not approved", "rejected");
    sample_assert_refused(wire_decode_region_work(&arena, STR(""), &work), "decision: missing", "nothing");
    arena_release(&arena);
}

static DeploymentCommand sample_command(void)
{
    return (DeploymentCommand){
        .command_id = STR("dep_1.us-west-2.0.apply.3"),
        .deployment_id = STR("dep_1"),
        .region = STR("us-west-2"),
        .kind = ROLLOUT_COMMAND_FINISH,
        .driver = STR("haproxy"),
        .service = STR("api"),
        .version = STR("v2"),
        .image = STR("team/api"),
        .digest = STR(SAMPLE_DIGEST),
        .previous_version = STR("v1"),
        .previous_digest = STR("sha256:1"),
        .weight_percent = 25,
        .not_before_ms = 1,
        .not_after_ms = 2,
        .fence_sequence = UINT64_MAX,
    };
}

Test(deployment_message, a_command_comes_back_as_it_was_given)
{
    Arena arena = sample_arena();
    DeploymentCommand sent = sample_command();
    DeploymentCommand command;
    sample_assert_ok(wire_decode_deployment_command(&arena, wire_encode_deployment_command(&arena, &sent), &command));
    sample_assert_same_text(command.command_id, sent.command_id, "command_id");
    sample_assert_same_text(command.deployment_id, sent.deployment_id, "deployment_id");
    sample_assert_same_text(command.region, sent.region, "region");
    sample_assert_same_text(command.driver, sent.driver, "driver");
    sample_assert_same_text(command.service, sent.service, "service");
    sample_assert_same_text(command.version, sent.version, "version");
    sample_assert_same_text(command.image, sent.image, "image");
    sample_assert_same_text(command.digest, sent.digest, "digest");
    sample_assert_same_text(command.previous_version, sent.previous_version, "previous_version");
    sample_assert_same_text(command.previous_digest, sent.previous_digest, "previous_digest");
    cr_assert(command.kind == sent.kind && command.weight_percent == 25 && command.not_before_ms == 1 &&
              command.not_after_ms == 2 && command.fence_sequence == UINT64_MAX);
    arena_release(&arena);
}

static void assert_command_refused(const DeploymentCommand *command, const char *reason)
{
    Arena arena = sample_arena();
    DeploymentCommand read;
    Str body = wire_encode_deployment_command(&arena, command);
    sample_assert_refused(wire_decode_deployment_command(&arena, body, &read), reason, reason);
    arena_release(&arena);
}

Test(deployment_message, a_command_that_says_not_what_or_where_is_refused)
{
    DeploymentCommand command = sample_command();
    command.weight_percent = 101;
    assert_command_refused(&command, "weight_percent: must be 0 to 100");
    command = sample_command();
    command.kind = (RolloutCommand)0;
    assert_command_refused(&command, "kind: must be 1 to 4");
    command = sample_command();
    command.region = STR("a.b");
    assert_command_refused(&command, "region: must be one subject token");
    command = sample_command();
    command.command_id = (Str){0};
    assert_command_refused(&command, "command_id: missing");
    command = sample_command();
    command.driver = (Str){0};
    assert_command_refused(&command, "driver: missing");
    command = sample_command();
    command.not_after_ms = -1;
    assert_command_refused(&command, "not_after_ms: not a time in Unix ms");
}

Test(deployment_message, a_result_comes_back_and_its_weight_is_one_or_not_known)
{
    Arena arena = sample_arena();
    DeploymentResult sent = {STR("dep_1.a.0.read.1"), STR("dep_1"), true, true, -1, STR("exit \xFF code\n3"), 5};
    DeploymentResult result;
    sample_assert_ok(wire_decode_deployment_result(&arena, wire_encode_deployment_result(&arena, &sent), &result));
    sample_assert_same_text(result.command_id, sent.command_id, "command_id");
    sample_assert_same_text(result.deployment_id, sent.deployment_id, "deployment_id");
    sample_assert_text(result.detail, "exit ? code\n3", "what a program wrote may be no UTF-8");
    cr_assert(result.succeeded && result.impossible && result.weight_percent == -1 && result.at_ms == 5);
    static const int32_t wrong[] = {-2, 101, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        sent.weight_percent = wrong[i];
        sample_assert_refused(
            wire_decode_deployment_result(&arena, wire_encode_deployment_result(&arena, &sent), &result),
            "weight_percent: must be -1 to 100", "weight");
    }
    sample_assert_refused(wire_decode_deployment_result(&arena, STR(""), &result), "command_id: missing", "nothing");
    arena_release(&arena);
}

Test(deployment_message, what_runs_in_a_region_comes_back_also_when_it_is_nothing)
{
    Arena arena = sample_arena();
    DeploymentRunning sent = {STR("us-west-2"), STR("api"),   STR("v2"), STR(SAMPLE_DIGEST),
                              STR("team/api"),  STR("dep_1"), 6};
    DeploymentRunning running;
    sample_assert_ok(wire_decode_deployment_running(&arena, wire_encode_deployment_running(&arena, &sent), &running));
    sample_assert_same_text(running.region, sent.region, "region");
    sample_assert_same_text(running.service, sent.service, "service");
    sample_assert_same_text(running.version, sent.version, "version");
    sample_assert_same_text(running.digest, sent.digest, "digest");
    sample_assert_same_text(running.image, sent.image, "image");
    sample_assert_same_text(running.deployment_id, sent.deployment_id, "deployment_id");
    cr_assert_eq(running.since_ms, 6);
    DeploymentRunning nothing = {.region = STR("us-west-2"), .service = STR("api")};
    sample_assert_ok(
        wire_decode_deployment_running(&arena, wire_encode_deployment_running(&arena, &nothing), &running));
    cr_assert_eq(running.version.length, 0);
    sample_assert_refused(wire_decode_deployment_running(&arena, STR(""), &running),
                          "region: must be one subject token", "nothing");
    arena_release(&arena);
}
