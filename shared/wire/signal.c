/* signal - a payment signal as bytes: protobuf from the gateway, protobuf or JSON from a direct publisher.
 * The first byte that is not white space tells which. */
#include "shared/wire/message.h"
#include "shared/wire/payment.h"

Err message_read_signal(Arena *arena, const Tai__V1__PaymentSignal *packed, PaymentSignal *signal)
{
    *signal = (PaymentSignal){.received_ms = packed->received_ms};
    const MessageText texts[] = {
        {"transaction_id", packed->transaction_id, &signal->transaction_id},
        {"customer_id", packed->customer_id, &signal->customer_id},
        {"merchant_id", packed->merchant_id, &signal->merchant_id},
        {"payment_method", packed->payment_method, &signal->payment_method},
        {"description", packed->description, &signal->description},
    };
    Err err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err)) {
        err = message_read_money(packed->money, &signal->money);
    }
    if (!err_is(err)) {
        err = message_read_metadata(arena, packed->metadata, packed->n_metadata, &signal->metadata,
                                    &signal->metadata_count);
    }
    if (!err_is(err)) {
        err = message_check_time("received_ms", signal->received_ms);
    }
    return err;
}

static Err decode_protobuf(Arena *arena, Str body, PaymentSignal *signal)
{
    if (body.length == 0) {
        return err_reject("body: empty");
    }
    if (body.length > (size_t)PAYMENT_BODY_MAX) {
        return err_reject("body: longer than %d bytes", PAYMENT_BODY_MAX);
    }
    Tai__V1__PaymentSignal *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__payment_signal__descriptor, body, (size_t)PAYMENT_BODY_MAX, &packed);
    if (err_is(err)) {
        return err_reject("body: neither a JSON object nor a tai.v1.PaymentSignal message");
    }
    err = message_read_signal(arena, packed, signal);
    if (!err_is(err)) {
        err = payment_signal_check(signal);
    }
    return err;
}

Err wire_decode_payment_signal(Arena *arena, Str body, PaymentSignal *signal)
{
    return message_is_json(body) ? wire_decode_payment_signal_json(arena, body, signal)
                                 : decode_protobuf(arena, body, signal);
}

Tai__V1__PaymentSignal *message_write_signal(Arena *arena, const PaymentSignal *signal)
{
    Tai__V1__PaymentSignal *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__payment_signal__init(packed);
    packed->transaction_id = message_write_text(arena, signal->transaction_id);
    packed->customer_id = message_write_text(arena, signal->customer_id);
    packed->merchant_id = message_write_text(arena, signal->merchant_id);
    packed->money = message_write_money(arena, &signal->money);
    packed->payment_method = message_write_text(arena, signal->payment_method);
    packed->description = message_write_text(arena, signal->description);
    packed->metadata = message_write_metadata(arena, signal->metadata, signal->metadata_count);
    packed->n_metadata = signal->metadata_count;
    packed->received_ms = signal->received_ms;
    return packed;
}

Str wire_encode_payment_signal(Arena *arena, const PaymentSignal *signal)
{
    return message_pack(arena, message_write_signal(arena, signal));
}
