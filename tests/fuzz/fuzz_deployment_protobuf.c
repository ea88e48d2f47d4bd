/* fuzz_deployment_protobuf - any bytes as each of the deployment system's messages; the first byte chooses which.
 * What decodes encodes to bytes that decode and encode to the same bytes again. */
#include "shared/wire/deployment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes and encodes; the empty Str with data NULL where the body was refused. */
typedef Str (*Turn)(Arena *arena, Str body);

static bool is_taken(Err err)
{
    TAI_ASSERT(err.kind == ERR_NONE || (err.kind == ERR_REJECT && err.why[0] != '\0'));
    return !err_is(err);
}

#define TURN(name, Type)                                                                                               \
    static Str turn_##name(Arena *arena, Str body)                                                                     \
    {                                                                                                                  \
        Type value;                                                                                                    \
        return is_taken(wire_decode_##name(arena, body, &value)) ? wire_encode_##name(arena, &value) : (Str){0};       \
    }

TURN(deployment_signal, DeploymentSignal)
TURN(deployment_decision, DeploymentDecision)
TURN(region_work, DeploymentRegionWork)
TURN(deployment_command, DeploymentCommand)
TURN(deployment_result, DeploymentResult)
TURN(deployment_control, DeploymentControl)
TURN(deployment_running, DeploymentRunning)

static Str turn_event(Arena *arena, Str body)
{
    RolloutEvent event;
    Str stage_name = {0};
    if (!is_taken(wire_decode_rollout_event_named(arena, body, &event, &stage_name)))
        return (Str){0};
    TAI_ASSERT(wire_print_rollout_event_json(arena, &event, stage_name, UINT64_MAX).length > 0);
    return wire_encode_rollout_event(arena, &event, stage_name);
}

static Str turn_outcome(Arena *arena, Str body)
{
    DeploymentOutcome outcome;
    if (!is_taken(wire_decode_deployment_outcome(arena, body, &outcome)))
        return (Str){0};
    TAI_ASSERT(wire_print_deployment_outcome_json(arena, &outcome).length > 0);
    return wire_encode_deployment_outcome(arena, &outcome);
}

static Str turn_kaizen(Arena *arena, Str body)
{
    DeploymentKaizen kaizen;
    if (!is_taken(wire_decode_deployment_kaizen(arena, body, &kaizen)))
        return (Str){0};
    TAI_ASSERT(wire_print_deployment_exposition(arena, &kaizen).length > 0);
    return wire_encode_deployment_kaizen(arena, &kaizen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const Turn turns[] = {turn_deployment_signal,
                                 turn_deployment_decision,
                                 turn_region_work,
                                 turn_deployment_command,
                                 turn_deployment_result,
                                 turn_deployment_control,
                                 turn_deployment_running,
                                 turn_event,
                                 turn_outcome,
                                 turn_kaizen};
    if (size == 0)
        return 0;
    Turn turn = turns[data[0] % (sizeof(turns) / sizeof(turns[0]))];
    Arena arena = arena_make(65536, 8388608);
    Str once = turn(&arena, (Str){(const char *)data + 1, size - 1});
    if (once.data != NULL) {
        Str twice = turn(&arena, once);
        TAI_ASSERT(twice.data != NULL && str_equal(once, twice));
    }
    arena_release(&arena);
    return 0;
}
