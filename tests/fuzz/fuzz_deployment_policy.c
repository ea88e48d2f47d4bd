/* fuzz_deployment_policy - any bytes as the deployment policy in the KV bucket.
 * What is taken prints to a document that is taken again and prints the same, and can be judged by. */
#include "shared/wire/deployment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plan(Arena *arena, const DeploymentPolicy *policy)
{
    const Str region = str_from(policy->regions[0].name);
    DeploymentDecision decision = {.signal = {.deployment_id = STR("dep_1"),
                                              .publisher = STR("fuzz"),
                                              .service = STR("api"),
                                              .version = STR("v2"),
                                              .regions = &region,
                                              .region_count = 1,
                                              .strategy = str_from(policy->strategies[0].name)}};
    DeploymentFacts facts = {.image = IMAGE_FOUND, .now_ms = INT64_C(1700000000000)};
    facts.digest = STR("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    facts.regions[0].known = true;
    deployment_evaluate(policy, &facts, arena, &decision);
    DeploymentDecision again;
    Str packed = wire_encode_deployment_decision(arena, &decision);
    TAI_ASSERT(!err_is(wire_decode_deployment_decision(arena, packed, &again)));
    TAI_ASSERT(str_equal(packed, wire_encode_deployment_decision(arena, &again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena arena = arena_make(65536, 8388608);
    DeploymentPolicy policy;
    Err err = wire_decode_deployment_policy(&arena, (Str){(const char *)data, size}, &policy);
    if (err_is(err)) {
        TAI_ASSERT(err.kind == ERR_REJECT && err.why[0] != '\0');
    } else {
        check_plan(&arena, &policy);
        Str once = wire_print_deployment_policy(&arena, &policy);
        DeploymentPolicy again;
        TAI_ASSERT(!err_is(wire_decode_deployment_policy(&arena, once, &again)));
        TAI_ASSERT(str_equal(once, wire_print_deployment_policy(&arena, &again)));
    }
    arena_release(&arena);
    return 0;
}
