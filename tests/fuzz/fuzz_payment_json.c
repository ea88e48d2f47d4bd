/* fuzz_payment_json - any bytes as the body of POST /payment.
 * What is taken obeys the rules, says its amount again exactly, and comes back the same from the bus. */
#include "shared/wire/payment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(Err err)
{
    TAI_ASSERT(err.kind == ERR_REJECT && err.why[0] != '\0');
    TAI_ASSERT(str_is_utf8(str_from(err.why)));
    for (const char *c = err.why; *c != '\0'; c++)
        TAI_ASSERT(*c != '\n' && *c != '\r');
}

static void check_amount(Arena *arena, Money money)
{
    Buffer text = arena_buffer(arena, 32);
    money_print(money, &text);
    Money again;
    TAI_ASSERT(!err_is(money_parse(buffer_str(&text), str_from(money.currency), &again)));
    TAI_ASSERT(again.minor == money.minor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena arena = arena_make(65536, 8388608);
    PaymentSignal signal;
    Err err = wire_decode_payment_signal_json(&arena, (Str){(const char *)data, size}, &signal);
    if (err_is(err)) {
        check_refusal(err);
    } else {
        check_amount(&arena, signal.money);
        signal.publisher = STR("fuzz");
        TAI_ASSERT(!err_is(payment_signal_check(&signal)));
        PaymentSignal again;
        Str packed = wire_encode_payment_signal(&arena, &signal);
        TAI_ASSERT(!err_is(wire_decode_payment_signal(&arena, packed, &again)));
        TAI_ASSERT(payment_signal_same_request(&signal, &again));
        (void)wire_print_payment_pending_json(&arena, &signal, STR(""), INT64_C(1700000000000));
    }
    arena_release(&arena);
    return 0;
}
