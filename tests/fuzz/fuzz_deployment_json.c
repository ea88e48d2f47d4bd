/* fuzz_deployment_json - any bytes as the body of POST /deploy, and as an order.
 * What is taken obeys the rules and comes back the same from the bus. */
#include "shared/wire/deployment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_taken(Err err)
{
    TAI_ASSERT(err.kind == ERR_NONE || (err.kind == ERR_REJECT && err.why[0] != '\0'));
    TAI_ASSERT(str_is_utf8(str_from(err.why)));
    for (const char *c = err.why; *c != '\0'; c++)
        TAI_ASSERT(*c != '\n' && *c != '\r');
    return !err_is(err);
}

static void try_signal(Arena *arena, Str body)
{
    DeploymentSignal signal;
    if (!is_taken(wire_decode_deployment_signal_json(arena, body, &signal)))
        return;
    TAI_ASSERT(!err_is(deployment_signal_check(&signal)));
    DeploymentSignal again;
    TAI_ASSERT(!err_is(wire_decode_deployment_signal(arena, wire_encode_deployment_signal(arena, &signal), &again)));
    TAI_ASSERT(deployment_signal_same_request(&signal, &again));
}

static void try_control(Arena *arena, Str body)
{
    DeploymentControl control;
    if (!is_taken(wire_decode_deployment_control(arena, body, &control)))
        return;
    DeploymentControl again;
    TAI_ASSERT(!err_is(wire_decode_deployment_control(arena, wire_encode_deployment_control(arena, &control), &again)));
    TAI_ASSERT(again.order == control.order && str_equal(again.who, control.who) && str_equal(again.why, control.why));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena arena = arena_make(65536, 8388608);
    Str body = {(const char *)data, size};
    try_signal(&arena, body);
    try_control(&arena, body);
    arena_release(&arena);
    return 0;
}
