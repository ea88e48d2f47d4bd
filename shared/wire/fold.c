/* fold - the Kaizen figures with the sequences they were folded up to, as bytes: what the KV bucket keeps.
 * Figures of other bucket bounds, or with a status that is not known here, are refused rather than misread. */
#include "shared/wire/message.h"
#include "shared/wire/payment.h"

Err wire_decode_payment_kaizen(Arena *arena, Str body, PaymentKaizen *kaizen)
{
    Tai__V1__PaymentKaizen *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__payment_kaizen__descriptor, body, MESSAGE_SMALL_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *kaizen = (PaymentKaizen){
        .payment_sequence = packed->payment_sequence,
        .andon_sequence = packed->andon_sequence,
        .signals = packed->signals,
        .approved = packed->approved,
        .duration_sum_ms = packed->duration_sum_ms,
        .breaker_trips = packed->breaker_trips,
    };
    err = message_read_counts("status", packed->status, packed->n_status, kaizen->status, PAYMENT_STATUS_COUNT);
    if (!err_is(err)) {
        err = message_read_counts("fraud_checks", packed->fraud_checks, packed->n_fraud_checks, kaizen->fraud_checks,
                                  FRAUD_CHECK_COUNT);
    }
    if (!err_is(err)) {
        err = message_read_counts("duration_buckets", packed->duration_buckets, packed->n_duration_buckets,
                                  kaizen->duration_buckets, PAYMENT_DURATION_BUCKETS + 1);
    }
    return err;
}

Str wire_encode_payment_kaizen(Arena *arena, const PaymentKaizen *kaizen)
{
    PaymentKaizen figures = *kaizen; /* protobuf-c takes its arrays without const */
    Tai__V1__PaymentKaizen packed = TAI__V1__PAYMENT_KAIZEN__INIT;
    packed.payment_sequence = figures.payment_sequence;
    packed.andon_sequence = figures.andon_sequence;
    packed.signals = figures.signals;
    packed.approved = figures.approved;
    packed.n_status = PAYMENT_STATUS_COUNT;
    packed.status = figures.status;
    packed.n_fraud_checks = FRAUD_CHECK_COUNT;
    packed.fraud_checks = figures.fraud_checks;
    packed.duration_sum_ms = figures.duration_sum_ms;
    packed.n_duration_buckets = PAYMENT_DURATION_BUCKETS + 1;
    packed.duration_buckets = figures.duration_buckets;
    packed.breaker_trips = figures.breaker_trips;
    return message_pack(arena, &packed);
}
