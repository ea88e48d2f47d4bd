/* answer - what HTTP says about a transaction, as JSON. The same for POST, GET and a repeat, byte for byte, because it
 * is made of the outcome alone. */
#include "shared/base/json.h"
#include "shared/wire/moment.h"
#include "shared/wire/payment.h"

#define FIXED_BYTES 1536 /* member names, numbers, punctuation */
#define ESCAPED_FACTOR 6 /* one byte becomes \u00XX at worst */

static Buffer answer_buffer(Arena *arena, const Str *texts, size_t text_count, const PaymentMetadata *metadata,
                            size_t metadata_count)
{
    size_t length = 0;
    for (size_t i = 0; i < text_count; i++) {
        length += texts[i].length;
    }
    for (size_t i = 0; i < metadata_count; i++) {
        length += metadata[i].key.length + metadata[i].value.length + 1;
    }
    return arena_buffer(arena, FIXED_BYTES + ESCAPED_FACTOR * length);
}

static Str buffer_finish(const Buffer *out)
{
    TAI_ASSERT(!out->overflow);
    return buffer_str(out);
}

static void write_money(JsonWriter *json, Money money)
{
    char memory[32];
    Buffer amount = buffer_over(memory, sizeof(memory));
    money_print(money, &amount);
    TAI_ASSERT(!amount.overflow);
    json_put_raw(json, "amount", buffer_str(&amount));
    json_put_string(json, "currency", str_from(money.currency));
}

static void write_optional(JsonWriter *json, const char *key, Str value)
{
    if (value.length > 0) {
        json_put_string(json, key, value);
    }
}

static void write_gateway(JsonWriter *json, const PaymentGatewayResponse *gateway)
{
    if (gateway->http_status == 0 && gateway->id.length == 0 && gateway->status.length == 0) {
        json_put_null(json, "gateway_response");
        return;
    }
    json_open(json, "gateway_response", '{');
    write_optional(json, "id", gateway->id);
    json_put_string(json, "status", gateway->status);
    write_optional(json, "code", gateway->code);
    write_optional(json, "decline_code", gateway->decline_code);
    write_optional(json, "message", gateway->message);
    json_put_int(json, "http_status", gateway->http_status);
    json_put_bool(json, "replayed", gateway->replayed);
    json_close(json, '}');
}

static void write_verdict(JsonWriter *json, const FraudVerdict *verdict)
{
    json_put_int(json, "fraud_points", verdict->points);
    json_open(json, "reasons", '[');
    for (FraudCheck check = 0; check < FRAUD_CHECK_COUNT; check++) {
        if (verdict->hit_points[check] > 0) {
            json_put_string(json, NULL, str_from(fraud_check_name(check)));
        }
    }
    json_close(json, ']');
}

static void write_metadata(Arena *arena, JsonWriter *json, const PaymentMetadata *metadata, size_t count)
{
    if (count == 0) {
        return;
    }
    json_open(json, "metadata", '{');
    for (size_t i = 0; i < count; i++) {
        json_put_string(json, arena_copy(arena, metadata[i].key).data, metadata[i].value);
    }
    json_close(json, '}');
}

static void write_failure(JsonWriter *json, const PaymentOutcome *outcome)
{
    if (outcome->status != PAYMENT_FAILED) {
        return;
    }
    json_put_string(json, "error_code", outcome->failure);
    if (outcome->retry_after_ms > 0) {
        json_put_int(json, "retry_after_ms", outcome->retry_after_ms);
    }
}

static int64_t elapsed_ms(int64_t from_ms, int64_t to_ms)
{
    return to_ms > from_ms ? to_ms - from_ms : 0; /* clocks of two machines may disagree */
}

Str wire_print_payment_outcome_json(Arena *arena, const PaymentOutcome *outcome)
{
    const PaymentGatewayResponse *gateway = &outcome->gateway;
    const Str texts[] = {
        outcome->transaction_id, outcome->customer_id, outcome->merchant_id, outcome->failure,
        outcome->trace_id,       gateway->id,          gateway->status,      gateway->code,
        gateway->decline_code,   gateway->message,
    };
    Buffer out =
        answer_buffer(arena, texts, sizeof(texts) / sizeof(texts[0]), outcome->metadata, outcome->metadata_count);
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '{');
    json_put_string(&json, "transaction_id", outcome->transaction_id);
    json_put_string(&json, "status", str_from(payment_status_name(outcome->status)));
    write_money(&json, outcome->money);
    json_put_int(&json, "processing_time_ms", elapsed_ms(outcome->received_ms, outcome->timestamp_ms));
    json_put_decimal(&json, "fraud_score", outcome->verdict.points < 100 ? outcome->verdict.points : 100, 2);
    write_gateway(&json, gateway);
    write_verdict(&json, &outcome->verdict);
    json_put_string(&json, "trace_id", outcome->trace_id);
    moment_put(&json, "timestamp", outcome->timestamp_ms);
    json_put_string(&json, "customer_id", outcome->customer_id);
    json_put_string(&json, "merchant_id", outcome->merchant_id);
    write_metadata(arena, &json, outcome->metadata, outcome->metadata_count);
    write_failure(&json, outcome);
    json_close(&json, '}');
    return buffer_finish(&out);
}

/* The policy has not spoken yet, so score and points are null rather than a false zero. */
Str wire_print_payment_pending_json(Arena *arena, const PaymentSignal *signal, Str trace_id, int64_t now_ms)
{
    const Str texts[] = {signal->transaction_id, signal->customer_id, signal->merchant_id, trace_id};
    Buffer out =
        answer_buffer(arena, texts, sizeof(texts) / sizeof(texts[0]), signal->metadata, signal->metadata_count);
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '{');
    json_put_string(&json, "transaction_id", signal->transaction_id);
    json_put_string(&json, "status", str_from(payment_status_name(PAYMENT_PENDING)));
    write_money(&json, signal->money);
    json_put_int(&json, "processing_time_ms", elapsed_ms(signal->received_ms, now_ms));
    json_put_null(&json, "fraud_score");
    json_put_null(&json, "gateway_response");
    json_put_null(&json, "fraud_points");
    json_open(&json, "reasons", '[');
    json_close(&json, ']');
    json_put_string(&json, "trace_id", trace_id);
    moment_put(&json, "timestamp", now_ms);
    json_put_string(&json, "customer_id", signal->customer_id);
    json_put_string(&json, "merchant_id", signal->merchant_id);
    write_metadata(arena, &json, signal->metadata, signal->metadata_count);
    json_close(&json, '}');
    return buffer_finish(&out);
}
