/* fuzz_stripe_answer - any bytes as the body of the payment gateway's answer; the first byte chooses the status.
 * SUCCEEDED needs a 2xx with an id and the word; whatever is read can be kept in an outcome and read back. */
#include "shared/wire/payment.h"
#include "shared/wire/stripe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int statuses[] = {200, 201, 400, 401, 402, 403, 404, 408, 409, 429, 500, 503, 0, 302};

static void check_kept(Arena *arena, const PaymentGatewayResponse *response)
{
    const PaymentOutcome outcome = {
        .transaction_id = STR("txn_01HF7YAT3V0000000000000000"),
        .publisher = STR("shop1"),
        .customer_id = STR("cust_1"),
        .merchant_id = STR("merc_1"),
        .money = {100, "USD"},
        .status = PAYMENT_DECLINED,
        .gateway = *response,
        .received_ms = 1,
        .timestamp_ms = 2,
    };
    PaymentOutcome again;
    Err err = wire_decode_payment_outcome(arena, wire_encode_payment_outcome(arena, &outcome), &again);
    TAI_ASSERT(!err_is(err));
    TAI_ASSERT(again.gateway.message.length == response->message.length);
    TAI_ASSERT(again.gateway.id.length == response->id.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    Arena arena = arena_make(65536, 8388608);
    int status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))];
    PaymentGatewayResponse response = {0};
    ChargeAnswer answer = wire_read_stripe_answer(&arena, status, (Str){(const char *)data + 1, size - 1}, &response);
    TAI_ASSERT(response.http_status == status);
    if (answer == CHARGE_SUCCEEDED) {
        TAI_ASSERT(status / 100 == 2 && response.id.length > 0 && str_equal(response.status, STR("succeeded")));
    }
    TAI_ASSERT(answer != CHARGE_UNREACHABLE);
    TAI_ASSERT(answer != CHARGE_REFUSED || status / 100 == 4);
    TAI_ASSERT(answer != CHARGE_DECLINED || status / 100 == 2 || status / 100 == 4);
    check_kept(&arena, &response);
    arena_release(&arena);
    return 0;
}
