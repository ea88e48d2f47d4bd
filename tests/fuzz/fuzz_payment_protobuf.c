/* fuzz_payment_protobuf - any bytes as each of the payment system's messages; the first byte chooses which.
 * What decodes encodes to bytes that decode and encode to the same bytes again. */
#include "shared/wire/andon.h"
#include "shared/wire/payment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes and encodes; the empty Str with data NULL where the body was refused. */
typedef Str (*Turn)(Arena *arena, Str body);

static bool is_taken(Err err)
{
    TAI_ASSERT(err.kind == ERR_NONE || (err.kind == ERR_REJECT && err.why[0] != '\0'));
    return !err_is(err);
}

static Str turn_signal(Arena *arena, Str body)
{
    PaymentSignal signal;
    return is_taken(wire_decode_payment_signal(arena, body, &signal)) ? wire_encode_payment_signal(arena, &signal)
                                                                      : (Str){0};
}

static Str turn_decision(Arena *arena, Str body)
{
    PaymentDecision decision;
    return is_taken(wire_decode_payment_decision(arena, body, &decision))
               ? wire_encode_payment_decision(arena, &decision)
               : (Str){0};
}

static Str turn_outcome(Arena *arena, Str body)
{
    PaymentOutcome outcome;
    if (!is_taken(wire_decode_payment_outcome(arena, body, &outcome)))
        return (Str){0};
    TAI_ASSERT(wire_print_payment_outcome_json(arena, &outcome).length > 0);
    return wire_encode_payment_outcome(arena, &outcome);
}

static Str turn_blacklist(Arena *arena, Str body)
{
    PaymentBlacklistChange change;
    return is_taken(wire_decode_payment_blacklist(arena, body, &change)) ? wire_encode_payment_blacklist(arena, &change)
                                                                         : (Str){0};
}

static Str turn_activation(Arena *arena, Str body)
{
    uint64_t revision = 0;
    Str document = {0};
    int64_t when_ms = 0;
    return is_taken(wire_decode_payment_policy_activated(arena, body, &revision, &document, &when_ms))
               ? wire_encode_payment_policy_activated(arena, revision, document, when_ms)
               : (Str){0};
}

static Str turn_kaizen(Arena *arena, Str body)
{
    PaymentKaizen kaizen;
    if (!is_taken(wire_decode_payment_kaizen(arena, body, &kaizen)))
        return (Str){0};
    TAI_ASSERT(wire_print_payment_exposition(arena, &kaizen, STR("open")).length > 0);
    return wire_encode_payment_kaizen(arena, &kaizen);
}

static Str turn_andon(Arena *arena, Str body)
{
    Andon andon;
    return is_taken(wire_decode_andon(arena, body, &andon)) ? wire_encode_andon(arena, &andon) : (Str){0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const Turn turns[] = {turn_signal,     turn_decision, turn_outcome, turn_blacklist,
                                 turn_activation, turn_kaizen,   turn_andon};
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
