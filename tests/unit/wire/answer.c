/* What HTTP answers about a transaction, letter for letter. */
#include "tests/unit/wire/samples.h"

Test(answer, a_success_says_everything)
{
    Arena arena = sample_arena();
    PaymentOutcome outcome = sample_outcome();
    sample_assert_text(
        wire_print_payment_outcome_json(&arena, &outcome),
        "{\"transaction_id\":\"txn_01HF7YAT3V0000000000000000\",\"status\":\"SUCCESS\",\"amount\":99.99,"
        "\"currency\":\"USD\",\"processing_time_ms\":151,\"fraud_score\":0.20,"
        "\"gateway_response\":{\"id\":\"pi_1\",\"status\":\"succeeded\",\"http_status\":200,\"replayed\":true},"
        "\"fraud_points\":20,\"reasons\":[\"geolocation\"],\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
        "\"timestamp\":\"2023-11-14T22:13:20.274Z\",\"customer_id\":\"cust_123\",\"merchant_id\":\"merc_456\","
        "\"metadata\":{\"order\":\"A-17\",\"note\":\"gr\xC3\xBC\xC3\x9F \\\"dich\\\"\"}}",
        "success");
    arena_release(&arena);
}

Test(answer, a_rejection_names_its_reasons_and_its_score_is_at_most_one)
{
    Arena arena = sample_arena();
    PaymentOutcome outcome = sample_outcome();
    outcome.status = PAYMENT_REJECTED;
    outcome.verdict = (FraudVerdict){.points = 200, .hit_points = {100, 50, 30, 20}, .rejected = true};
    outcome.gateway = (PaymentGatewayResponse){0};
    outcome.metadata_count = 0;
    outcome.money = (Money){700000, "JPY"};
    sample_assert_text(
        wire_print_payment_outcome_json(&arena, &outcome),
        "{\"transaction_id\":\"txn_01HF7YAT3V0000000000000000\",\"status\":\"REJECTED\",\"amount\":700000,"
        "\"currency\":\"JPY\",\"processing_time_ms\":151,\"fraud_score\":1.00,\"gateway_response\":null,"
        "\"fraud_points\":200,\"reasons\":[\"blacklist\",\"velocity\",\"high_amount\",\"geolocation\"],"
        "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"timestamp\":\"2023-11-14T22:13:20.274Z\","
        "\"customer_id\":\"cust_123\",\"merchant_id\":\"merc_456\"}",
        "rejection");
    arena_release(&arena);
}

Test(answer, a_failure_says_why_and_when_to_try_again)
{
    Arena arena = sample_arena();
    PaymentOutcome outcome = sample_outcome();
    outcome.status = PAYMENT_FAILED;
    outcome.failure = STR("breaker_open");
    outcome.retry_after_ms = 12000;
    outcome.verdict = (FraudVerdict){0};
    outcome.gateway = (PaymentGatewayResponse){0};
    outcome.metadata_count = 0;
    outcome.timestamp_ms = outcome.received_ms - 5; /* the clocks of two machines */
    sample_assert_text(
        wire_print_payment_outcome_json(&arena, &outcome),
        "{\"transaction_id\":\"txn_01HF7YAT3V0000000000000000\",\"status\":\"FAILED\",\"amount\":99.99,"
        "\"currency\":\"USD\",\"processing_time_ms\":0,\"fraud_score\":0.00,\"gateway_response\":null,"
        "\"fraud_points\":0,\"reasons\":[],\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
        "\"timestamp\":\"2023-11-14T22:13:20.118Z\",\"customer_id\":\"cust_123\",\"merchant_id\":\"merc_456\","
        "\"error_code\":\"breaker_open\",\"retry_after_ms\":12000}",
        "failure");
    arena_release(&arena);
}

Test(answer, a_decline_gives_the_gateways_codes)
{
    Arena arena = sample_arena();
    PaymentOutcome outcome = sample_outcome();
    outcome.status = PAYMENT_DECLINED;
    outcome.gateway = (PaymentGatewayResponse){
        .id = STR("pi_2"),
        .status = STR("card_error"),
        .code = STR("card_declined"),
        .decline_code = STR("insufficient_funds"),
        .message = STR("No \"funds\".\n"),
        .http_status = 402,
    };
    Str json = wire_print_payment_outcome_json(&arena, &outcome);
    const char *gateway = "\"gateway_response\":{\"id\":\"pi_2\",\"status\":\"card_error\",\"code\":\"card_declined\","
                          "\"decline_code\":\"insufficient_funds\",\"message\":\"No \\\"funds\\\".\\n\","
                          "\"http_status\":402,\"replayed\":false}";
    cr_assert(memmem(json.data, json.length, gateway, strlen(gateway)) != NULL, "%.*s", STR_ARG(json));
    arena_release(&arena);
}

Test(answer, a_pending_payment_has_no_score_yet)
{
    Arena arena = sample_arena();
    PaymentSignal signal = sample_signal();
    signal.metadata_count = 1;
    sample_assert_text(
        wire_print_payment_pending_json(&arena, &signal, STR("4bf92f3577b34da6a3ce929d0e0e4736"),
                                        SAMPLE_RECEIVED_MS + 10000),
        "{\"transaction_id\":\"txn_01HF7YAT3V0000000000000000\",\"status\":\"PENDING\",\"amount\":99.99,"
        "\"currency\":\"USD\",\"processing_time_ms\":10000,\"fraud_score\":null,\"gateway_response\":null,"
        "\"fraud_points\":null,\"reasons\":[],\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
        "\"timestamp\":\"2023-11-14T22:13:30.123Z\",\"customer_id\":\"cust_123\",\"merchant_id\":\"merc_456\","
        "\"metadata\":{\"order\":\"A-17\"}}",
        "pending");
    arena_release(&arena);
}

Test(answer, the_worst_text_still_fits)
{
    Arena arena = sample_arena();
    static char control[5000];
    memset(control, 1, sizeof(control));
    static PaymentMetadata metadata[PAYMENT_METADATA_MAX];
    for (size_t i = 0; i < PAYMENT_METADATA_MAX; i++) {
        metadata[i] = (PaymentMetadata){{control, 40}, {control, 500}};
    }
    PaymentOutcome outcome = sample_outcome();
    outcome.gateway.message = (Str){control, sizeof(control)};
    outcome.metadata = metadata;
    outcome.metadata_count = PAYMENT_METADATA_MAX;
    Str json = wire_print_payment_outcome_json(&arena, &outcome);
    cr_assert_gt(json.length, 6 * (sizeof(control) + 27000));
    arena_release(&arena);
}
