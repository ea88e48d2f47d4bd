/* outcome - the one final result of a transaction, as bytes.
 * What names the customer, the merchant and the money obeys the same rules as in a signal, and is checked by them. */
#include "shared/wire/message.h"
#include "shared/wire/payment.h"

static Err read_gateway(const Tai__V1__PaymentGatewayResponse *packed, PaymentGatewayResponse *gateway)
{
    *gateway = (PaymentGatewayResponse){0};
    if (packed == NULL) {
        return err_none();
    }
    const MessageText texts[] = {
        {"gateway.id", packed->id, &gateway->id},
        {"gateway.status", packed->status, &gateway->status},
        {"gateway.code", packed->code, &gateway->code},
        {"gateway.decline_code", packed->decline_code, &gateway->decline_code},
        {"gateway.message", packed->message, &gateway->message},
    };
    Err err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err) && (packed->http_status < 0 || packed->http_status > 999)) {
        err = err_reject("gateway.http_status: must be 0 to 999");
    }
    gateway->http_status = packed->http_status;
    gateway->replayed = packed->replayed;
    return err;
}

static Err read_status(const Tai__V1__PaymentOutcome *packed, PaymentOutcome *outcome)
{
    int status = (int)packed->status;
    if (status <= PAYMENT_PENDING || status >= PAYMENT_STATUS_COUNT) {
        return err_reject("status: unknown status %d", status);
    }
    if (packed->retry_after_ms < 0) {
        return err_reject("retry_after_ms: is negative");
    }
    outcome->status = (PaymentStatus)status;
    outcome->retry_after_ms = packed->retry_after_ms;
    return err_none();
}

static Err check_request(const PaymentOutcome *outcome)
{
    const PaymentSignal request = {
        .transaction_id = outcome->transaction_id,
        .publisher = outcome->publisher,
        .customer_id = outcome->customer_id,
        .merchant_id = outcome->merchant_id,
        .money = outcome->money,
        .metadata = outcome->metadata,
        .metadata_count = outcome->metadata_count,
        .received_ms = outcome->received_ms,
    };
    return message_check_transaction(&request);
}

static Err read_texts(const Tai__V1__PaymentOutcome *packed, PaymentOutcome *outcome)
{
    const MessageText texts[] = {
        {"transaction_id", packed->transaction_id, &outcome->transaction_id},
        {"publisher", packed->publisher, &outcome->publisher},
        {"customer_id", packed->customer_id, &outcome->customer_id},
        {"merchant_id", packed->merchant_id, &outcome->merchant_id},
        {"failure", packed->failure, &outcome->failure},
        {"trace_id", packed->trace_id, &outcome->trace_id},
    };
    return message_read_texts(texts, MESSAGE_COUNT(texts));
}

static Err read_parts(Arena *arena, const Tai__V1__PaymentOutcome *packed, PaymentOutcome *outcome)
{
    Err err = message_read_money(packed->money, &outcome->money);
    if (!err_is(err)) {
        err = message_read_metadata(arena, packed->metadata, packed->n_metadata, &outcome->metadata,
                                    &outcome->metadata_count);
    }
    if (!err_is(err)) {
        err = message_read_verdict(packed->verdict, &outcome->verdict);
    }
    if (!err_is(err)) {
        err = read_gateway(packed->gateway, &outcome->gateway);
    }
    return err;
}

Err wire_decode_payment_outcome(Arena *arena, Str body, PaymentOutcome *outcome)
{
    Tai__V1__PaymentOutcome *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__payment_outcome__descriptor, body, MESSAGE_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *outcome = (PaymentOutcome){
        .policy_revision = packed->policy_revision,
        .signal_sequence = packed->signal_sequence,
        .received_ms = packed->received_ms,
        .timestamp_ms = packed->timestamp_ms,
    };
    err = read_texts(packed, outcome);
    if (!err_is(err)) {
        err = read_status(packed, outcome);
    }
    if (!err_is(err)) {
        err = read_parts(arena, packed, outcome);
    }
    if (!err_is(err)) {
        err = message_check_time("received_ms", outcome->received_ms);
    }
    if (!err_is(err)) {
        err = message_check_time("timestamp_ms", outcome->timestamp_ms);
    }
    return err_is(err) ? err : check_request(outcome);
}

static Tai__V1__PaymentGatewayResponse *write_gateway(Arena *arena, const PaymentGatewayResponse *gateway)
{
    Tai__V1__PaymentGatewayResponse *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__payment_gateway_response__init(packed);
    packed->id = message_write_text(arena, gateway->id);
    packed->status = message_write_text(arena, gateway->status);
    packed->code = message_write_text(arena, gateway->code);
    packed->decline_code = message_write_text(arena, gateway->decline_code);
    packed->message = message_write_text(arena, gateway->message);
    packed->http_status = gateway->http_status;
    packed->replayed = gateway->replayed;
    return packed;
}

Str wire_encode_payment_outcome(Arena *arena, const PaymentOutcome *outcome)
{
    Tai__V1__PaymentOutcome packed = TAI__V1__PAYMENT_OUTCOME__INIT;
    packed.transaction_id = message_write_text(arena, outcome->transaction_id);
    packed.publisher = message_write_text(arena, outcome->publisher);
    packed.customer_id = message_write_text(arena, outcome->customer_id);
    packed.merchant_id = message_write_text(arena, outcome->merchant_id);
    packed.money = message_write_money(arena, &outcome->money);
    packed.status = (Tai__V1__PaymentStatus)outcome->status;
    packed.failure = message_write_text(arena, outcome->failure);
    packed.retry_after_ms = outcome->retry_after_ms;
    packed.verdict = message_write_verdict(arena, &outcome->verdict);
    packed.policy_revision = outcome->policy_revision;
    packed.signal_sequence = outcome->signal_sequence;
    packed.gateway = write_gateway(arena, &outcome->gateway);
    packed.received_ms = outcome->received_ms;
    packed.timestamp_ms = outcome->timestamp_ms;
    packed.trace_id = message_write_text(arena, outcome->trace_id);
    packed.metadata = message_write_metadata(arena, outcome->metadata, outcome->metadata_count);
    packed.n_metadata = outcome->metadata_count;
    return message_pack(arena, &packed);
}
