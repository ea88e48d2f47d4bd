/* A deployment and an order as JSON: what is taken, and for everything else the reason. */
#include "tests/unit/wire/deployment_samples.h"

#define HEAD "{\"service\":\"api\",\"version\":\"v2\""
#define WITH(text) STR(HEAD ",\"target_region\":\"us-west-2\"," text "}")
#define WITH_REGIONS(text) STR(HEAD ",\"target_regions\":" text "}")
#define TEN "\"r0\",\"r1\",\"r2\",\"r3\",\"r4\",\"r5\",\"r6\",\"r7\",\"r8\",\"r9\""
#define TWENTY "\"s0\",\"s1\",\"s2\",\"s3\",\"s4\",\"s5\",\"s6\",\"s7\",\"s8\",\"s9\""
#define THIRTY "\"t0\",\"t1\",\"t2\",\"t3\",\"t4\",\"t5\",\"t6\",\"t7\",\"t8\",\"t9\""
#define SIXTY_THREE "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-0123456789"

typedef struct {
    Str body;
    const char *reason;
} Refusal;

static void assert_refused(const Refusal *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Arena arena = sample_arena();
        DeploymentSignal signal;
        sample_assert_refused(wire_decode_deployment_signal_json(&arena, table[i].body, &signal), table[i].reason,
                              table[i].body.data ? table[i].body.data : "");
        arena_release(&arena);
    }
}

#define ASSERT_REFUSED(table) assert_refused(table, sizeof(table) / sizeof((table)[0]))

Test(deployment_request, the_deployment_of_the_readme_is_taken_as_it_stands)
{
    Arena arena = sample_arena();
    DeploymentSignal signal;
    Str body = STR("{\"service\": \"api-service\", \"version\": \"v2.0.0\", \"target_region\": \"us-west-2\", "
                   "\"rollout_strategy\": \"canary\"}");
    sample_assert_ok(wire_decode_deployment_signal_json(&arena, body, &signal));
    sample_assert_text(signal.service, "api-service", "service");
    sample_assert_text(signal.version, "v2.0.0", "version");
    cr_assert_eq(signal.region_count, 1);
    sample_assert_text(signal.regions[0], "us-west-2", "target_region");
    sample_assert_text(signal.strategy, "canary", "rollout_strategy");
    cr_assert_eq(signal.on_region_failure, ON_REGION_FAILURE_HALT);
    cr_assert_eq(signal.image.length, 0);
    cr_assert_eq(signal.deployment_id.length, 0);
    cr_assert_eq(signal.received_ms, 0);
    arena_release(&arena);
}

Test(deployment_request, every_member_is_taken_in_any_order_and_with_escapes)
{
    Arena arena = sample_arena();
    DeploymentSignal signal;
    Str body = STR("\n{\"on_region_failure\":\"rollback_all\",\"image\":\"localhost:5000/team/api\","
                   "\"target_regions\":[\"us-\\u0077est-2\",\"us-east-1\"],\"rollout_strategy\":\"mine\","
                   "\"version\":\"1\",\"\\u0073ervice\":\"api\"} ");
    sample_assert_ok(wire_decode_deployment_signal(&arena, body, &signal));
    cr_assert_eq(signal.on_region_failure, ON_REGION_FAILURE_ROLLBACK_ALL);
    cr_assert_eq(signal.region_count, 2);
    sample_assert_text(signal.regions[0], "us-west-2", "first");
    sample_assert_text(signal.regions[1], "us-east-1", "second");
    sample_assert_text(signal.image, "localhost:5000/team/api", "image");
    sample_assert_text(signal.strategy, "mine", "rollout_strategy");
    sample_assert_text(signal.service, "api", "service");
    arena_release(&arena);
}

Test(deployment_request, the_strategy_is_canary_where_none_is_named)
{
    Arena arena = sample_arena();
    DeploymentSignal signal;
    sample_assert_ok(
        wire_decode_deployment_signal_json(&arena, STR(HEAD ",\"target_region\":\"us-west-2\"}"), &signal));
    sample_assert_text(signal.strategy, "canary", "rollout_strategy");
    sample_assert_ok(wire_decode_deployment_signal_json(&arena, WITH("\"on_region_failure\":\"continue\""), &signal));
    cr_assert_eq(signal.on_region_failure, ON_REGION_FAILURE_CONTINUE);
    arena_release(&arena);
}

Test(deployment_request, thirty_two_regions_are_taken_in_order_and_one_more_is_not)
{
    Arena arena = sample_arena();
    DeploymentSignal signal;
    sample_assert_ok(wire_decode_deployment_signal_json(
        &arena, WITH_REGIONS("[" TEN "," TWENTY "," THIRTY ",\"u0\",\"u1\"]"), &signal));
    cr_assert_eq(signal.region_count, DEPLOYMENT_REGIONS_MAX);
    sample_assert_text(signal.regions[31], "u1", "the last one");
    const Refusal table[] = {
        {WITH_REGIONS("[" TEN "," TWENTY "," THIRTY ",\"u0\",\"u1\",\"u2\"]"), "target_regions: more than 32 regions"}};
    ASSERT_REFUSED(table);
    arena_release(&arena);
}

Test(deployment_request, what_is_not_one_json_object_is_refused_with_its_place)
{
    const Refusal table[] = {
        {STR(""), "body: empty"},
        {STR("hello"), "not JSON: line 1 column 5: invalid token"},
        {STR("{\"service\":\"api\""), "not JSON: line 1 column 16: '}' expected near end of file"},
        {STR("[]"), "must be a JSON object"},
        {STR("null"), "must be a JSON object"},
        {STR("{}\n{}"), "not JSON: line 2 column 1: end of file expected"},
        {STR("{\"service\":\"\xC3\x28\"}"), "not JSON: line 1 column 12: unable to decode byte 0xc3"},
        {STR("{\"service\":\"\\ud800\"}"), "not JSON: line 1 column 19: invalid Unicode '\\uD800'"},
        {STR("{\"service\":\"a\0b\"}"), "not JSON: holds a NUL byte"},
        {STR("{\"service\":\"a\\u0000b\"}"), "NUL in a string at line 1 column 21"},
        {STR("{\"service\":\"a\",\"service\":\"b\"}"), "duplicate member at line 1 column 24"},
        {STR("{\"service\":\"a\",\"\\u0073ervice\":\"b\"}"), "duplicate member at line 1 column 29"},
        {STR("{\"target_regions\":[[[]]]}"), "nested deeper than 2 levels"},
        {STR("{\"service\":{\"a\":{}}}"), "nested deeper than 2 levels"},
    };
    ASSERT_REFUSED(table);
}

Test(deployment_request, members_that_are_missing_unknown_or_of_another_type_are_named)
{
    const Refusal table[] = {
        {STR("{}"), "service: missing"},
        {STR("{\"service\":\"api\"}"), "version: missing"},
        {STR(HEAD "}"), "target_region: missing"},
        {STR("{\"service\":5}"), "service: must be a string"},
        {STR("{\"service\":null}"), "service: must be a string"},
        {STR("{\"version\":2.0}"), "version: must be a string"},
        {WITH("\"image\":[]"), "image: must be a string"},
        {WITH("\"rollout_strategy\":{}"), "rollout_strategy: must be a string"},
        {WITH("\"rollout_strategy\":\"\""), "rollout_strategy: is missing or empty"},
        {WITH("\"rollout_strategy\":\"a b\""), "rollout_strategy: must be 1 to 31 of A-Z a-z 0-9 _ : -"},
        {WITH("\"on_region_failure\":\"stop\""), "on_region_failure: must be halt, rollback_all or continue"},
        {WITH("\"on_region_failure\":1"), "on_region_failure: must be halt, rollback_all or continue"},
        {WITH("\"strategy\":\"canary\""), "unknown member \"strategy\""},
        {WITH("\"deployment_id\":\"dep_1\""), "unknown member \"deployment_id\""},
        {WITH("\"target_regions\":[\"a\"]"), "target_regions: must not stand beside target_region"},
        {WITH("\"target_regions\":null"), "target_regions: must not stand beside target_region"},
        {STR(HEAD ",\"target_region\":[\"a\"]}"), "target_region: must be a string"},
        {STR(HEAD ",\"target_region\":\"\"}"), "target_region: missing"},
        {STR(HEAD ",\"target_region\":null}"), "target_region: must be a string"},
        {WITH_REGIONS("\"us-west-2\""), "target_regions: must be an array of strings"},
        {WITH_REGIONS("{}"), "target_regions: must be an array of strings"},
        {WITH_REGIONS("[]"), "target_regions: is empty"},
        {WITH_REGIONS("[\"a\",2]"), "target_regions: entry 2 must be a string"},
    };
    ASSERT_REFUSED(table);
}

Test(deployment_request, names_that_could_not_stand_where_they_will_are_refused)
{
    static const char label[] = "service: must be a DNS label: a-z 0-9, and - inside";
    static const char tag[] = "version: must be an image tag: A-Z a-z 0-9 _ and, not at its start, . -";
    static const char region[] = "target_regions: a region must be 1 to 63 of A-Z a-z 0-9 _ : -";
#define SERVICE(text) STR("{\"service\":\"" text "\",\"version\":\"v1\",\"target_region\":\"a\"}")
#define VERSION(text) STR("{\"service\":\"api\",\"version\":\"" text "\",\"target_region\":\"a\"}")
    const Refusal table[] = {
        {SERVICE(""), "service: is missing or empty"},
        {SERVICE("Api"), label},
        {SERVICE("-api"), label},
        {SERVICE("api-"), label},
        {SERVICE("a.b"), label},
        {SERVICE("a\\nb"), label},
        {SERVICE(SIXTY_THREE), "service: is longer than 63 characters"},
        {VERSION(""), "version: is missing or empty"},
        {VERSION(".1"), tag},
        {VERSION("-1"), tag},
        {VERSION("v1@sha256"), tag},
        {VERSION("v1/2"), tag},
        {VERSION(SIXTY_THREE SIXTY_THREE "x"), "version: is longer than 128 characters"},
        {WITH_REGIONS("[\"a\",\"\"]"), region},
        {WITH_REGIONS("[\"a.b\"]"), region},
        {WITH_REGIONS("[\"a*\"]"), region},
        {WITH_REGIONS("[\"" SIXTY_THREE "\"]"), region},
        {WITH_REGIONS("[\"a\",\"b\",\"a\"]"), "target_regions: a stands twice"},
        {WITH("\"image\":\"api:v1\""),
         "image: must be a repository's name without tag or digest (the version is the tag)"},
    };
    ASSERT_REFUSED(table);
    Arena arena = sample_arena();
    DeploymentSignal signal;
    sample_assert_ok(
        wire_decode_deployment_signal_json(&arena, SERVICE("abcdefghijklmnopqrstuvwxyz-0123456789"), &signal));
    sample_assert_ok(wire_decode_deployment_signal_json(&arena, VERSION(SIXTY_THREE SIXTY_THREE), &signal));
    arena_release(&arena);
}

Test(deployment_request, a_body_of_64_kib_is_read_and_one_byte_more_is_not)
{
    Arena arena = sample_arena();
    Str request = STR(HEAD ",\"target_region\":\"us-west-2\"}");
    char *body = arena_alloc(&arena, DEPLOYMENT_BODY_MAX + 1);
    memset(body, ' ', DEPLOYMENT_BODY_MAX + 1);
    memcpy(body, request.data, request.length);
    DeploymentSignal signal;
    sample_assert_ok(wire_decode_deployment_signal(&arena, (Str){body, DEPLOYMENT_BODY_MAX}, &signal));
    sample_assert_refused(wire_decode_deployment_signal(&arena, (Str){body, DEPLOYMENT_BODY_MAX + 1}, &signal),
                          "body: longer than 65536 bytes", "one byte more");
    arena_release(&arena);
}

Test(deployment_control, an_order_is_taken_as_json_and_as_protobuf)
{
    static const char *const orders[] = {"pause", "resume", "promote", "promote_full", "abort", "approve"};
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        Arena arena = sample_arena();
        Str body = arena_print(&arena, "{\"order\":\"%s\",\"who\":\"Ada\",\"why\":\"a \\\"test\\\"\"}", orders[i]);
        DeploymentControl read;
        sample_assert_ok(wire_decode_deployment_control(&arena, body, &read));
        cr_assert_str_eq(rollout_order_name(read.order), orders[i]);
        cr_assert_eq(read.when_ms, 0);
        read.deployment_id = STR("dep_1");
        read.when_ms = SAMPLE_RECEIVED_MS;
        DeploymentControl again;
        sample_assert_ok(wire_decode_deployment_control(&arena, wire_encode_deployment_control(&arena, &read), &again));
        cr_assert_eq(again.order, read.order);
        cr_assert_eq(again.when_ms, read.when_ms);
        sample_assert_text(again.deployment_id, "dep_1", "deployment_id");
        sample_assert_text(again.who, "Ada", "who");
        sample_assert_text(again.why, "a \"test\"", "why");
        arena_release(&arena);
    }
}

Test(deployment_control, an_order_without_a_name_or_of_an_unknown_kind_is_refused)
{
    const Refusal table[] = {
        {STR("{\"order\":\"pause\"}"), "who: missing"},
        {STR("{\"order\":\"pause\",\"who\":\"\"}"), "who: missing"},
        {STR("{\"order\":\"pause\",\"who\":\"  \"}"), "who: missing"},
        {STR("{\"order\":\"pause\",\"who\":5}"), "who: must be a string"},
        {STR("{\"order\":\"pause\",\"who\":\"a\\nb\"}"), "who: holds a control character"},
        {STR("{\"order\":\"pause\",\"who\":\"a\",\"why\":\"\\u007f\"}"), "why: holds a control character"},
        {STR("{\"who\":\"a\"}"), "order: must be pause, resume, promote, promote_full, abort or approve"},
        {STR("{\"order\":\"supersede\",\"who\":\"a\"}"),
         "order: must be pause, resume, promote, promote_full, abort or approve"},
        {STR("{\"order\":\"PAUSE\",\"who\":\"a\"}"),
         "order: must be pause, resume, promote, promote_full, abort or approve"},
        {STR("{\"order\":\"pause\",\"who\":\"a\",\"force\":true}"), "unknown member \"force\""},
        {STR("{\"order\":[],\"who\":\"a\"}"), "nested deeper than 1 levels"},
        {STR(""), "order: must be pause, resume, promote, promote_full, abort or approve"},
        {STR("hello"), "body: not a tai.v1.DeploymentControl message"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        Arena arena = sample_arena();
        DeploymentControl control;
        sample_assert_refused(wire_decode_deployment_control(&arena, table[i].body, &control), table[i].reason,
                              table[i].body.data);
        arena_release(&arena);
    }
}

Test(deployment_control, names_and_reasons_have_a_length_that_can_be_shown)
{
    Arena arena = sample_arena();
    DeploymentControl control = {
        .order = ROLLOUT_ORDER_ABORT, .who = sample_long(&arena, 128), .why = sample_long(&arena, 500)};
    DeploymentControl read;
    sample_assert_ok(wire_decode_deployment_control(&arena, wire_encode_deployment_control(&arena, &control), &read));
    control.who = sample_long(&arena, 129);
    sample_assert_refused(
        wire_decode_deployment_control(&arena, wire_encode_deployment_control(&arena, &control), &read),
        "who: is longer than 128 bytes", "who");
    control.who = STR("a");
    control.why = sample_long(&arena, 501);
    sample_assert_refused(
        wire_decode_deployment_control(&arena, wire_encode_deployment_control(&arena, &control), &read),
        "why: is longer than 500 bytes", "why");
    arena_release(&arena);
}
