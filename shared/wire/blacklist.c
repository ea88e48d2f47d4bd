/* blacklist - a customer was put on the blacklist or taken off it, as bytes.
 * The last message of the customer's subject is the state, so each must stand for itself. */
#include "shared/wire/message.h"
#include "shared/wire/payment.h"

Err wire_decode_payment_blacklist(Arena *arena, Str body, PaymentBlacklistChange *change)
{
    Tai__V1__PaymentBlacklistChange *packed = NULL;
    Err err =
        message_unpack(arena, &tai__v1__payment_blacklist_change__descriptor, body, MESSAGE_SMALL_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *change = (PaymentBlacklistChange){.listed = packed->listed, .when_ms = packed->when_ms};
    const MessageText texts[] = {
        {"customer_id", packed->customer_id, &change->customer_id},
        {"who", packed->who, &change->who},
        {"reason", packed->reason, &change->reason},
    };
    err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err) && !id_is_valid(change->customer_id)) {
        err = err_reject("customer_id: must be 1 to %d characters of A-Z a-z 0-9 _ . : -", ID_MAX_LENGTH);
    }
    if (!err_is(err)) {
        err = message_check_time("when_ms", change->when_ms);
    }
    return err;
}

Str wire_encode_payment_blacklist(Arena *arena, const PaymentBlacklistChange *change)
{
    Tai__V1__PaymentBlacklistChange packed = TAI__V1__PAYMENT_BLACKLIST_CHANGE__INIT;
    packed.customer_id = message_write_text(arena, change->customer_id);
    packed.listed = change->listed;
    packed.who = message_write_text(arena, change->who);
    packed.reason = message_write_text(arena, change->reason);
    packed.when_ms = change->when_ms;
    return message_pack(arena, &packed);
}
