/* wire/payment - bytes on the bus to the payment domain's structs and back. protobuf-c and jansson stay in here.
 * Decoding copies everything into the arena; encoding writes into the arena and returns a view of it. */
#ifndef TAI_WIRE_PAYMENT_H
#define TAI_WIRE_PAYMENT_H

#include "shared/base/arena.h"
#include "shared/payment/kaizen.h"
#include "shared/payment/payment.h"

/* A signal as anybody may publish it: JSON when the first byte that is not white space is '{', else protobuf.
 * Includes payment_signal_check(). REJECT says what is wrong with the first offending member.
 * JSON: an object with amount (a JSON number), currency, customer_id, merchant_id, and optionally payment_method,
 * description, metadata (object of strings). Unknown and duplicate members, NaN, wrong types, trailing bytes, NUL,
 * invalid UTF-8 and bodies over PAYMENT_BODY_MAX are refused. transaction_id, publisher and received_ms are not read
 * from JSON; from protobuf transaction_id and received_ms are. */
MUST_USE Err wire_decode_payment_signal(Arena *arena, Str body, PaymentSignal *signal);
/* Only JSON, as HTTP takes it. */
MUST_USE Err wire_decode_payment_signal_json(Arena *arena, Str body, PaymentSignal *signal);
Str wire_encode_payment_signal(Arena *arena, const PaymentSignal *signal);

MUST_USE Err wire_decode_payment_decision(Arena *arena, Str body, PaymentDecision *decision);
Str wire_encode_payment_decision(Arena *arena, const PaymentDecision *decision);

MUST_USE Err wire_decode_payment_outcome(Arena *arena, Str body, PaymentOutcome *outcome);
Str wire_encode_payment_outcome(Arena *arena, const PaymentOutcome *outcome);

MUST_USE Err wire_decode_payment_blacklist(Arena *arena, Str body, PaymentBlacklistChange *change);
Str wire_encode_payment_blacklist(Arena *arena, const PaymentBlacklistChange *change);

Str wire_encode_payment_policy_activated(Arena *arena, uint64_t revision, Str document, int64_t when_ms);
MUST_USE Err wire_decode_payment_policy_activated(Arena *arena, Str body, uint64_t *revision, Str *document,
                                                  int64_t *when_ms);

MUST_USE Err wire_decode_payment_kaizen(Arena *arena, Str body, PaymentKaizen *kaizen);
Str wire_encode_payment_kaizen(Arena *arena, const PaymentKaizen *kaizen);

/* What HTTP answers about a transaction: transaction_id, status, amount, currency, processing_time_ms, fraud_score
 * (points/100, at most 1), gateway_response (object or null), fraud_points, reasons[], trace_id, timestamp (RFC 3339,
 * ms, UTC), customer_id, merchant_id, metadata where there is any, and for FAILED error_code and, where it may be
 * tried again, retry_after_ms. */
Str wire_print_payment_outcome_json(Arena *arena, const PaymentOutcome *outcome);
/* The same for a transaction without an outcome yet: status PENDING, processing_time_ms until now_ms. */
Str wire_print_payment_pending_json(Arena *arena, const PaymentSignal *signal, Str trace_id, int64_t now_ms);

/* The policy document (JSON, ops/policy/payment.json shows it): REJECT names the first member that is wrong. */
MUST_USE Err wire_decode_fraud_policy(Arena *arena, Str document, FraudPolicy *policy);
/* The document that says the same as `policy`, pretty, with a closing newline. */
Str wire_print_fraud_policy(Arena *arena, const FraudPolicy *policy);

/* Kaizen: the JSON that GET /metrics answers by default, and OpenMetrics-compatible Prometheus text. */
Str wire_print_payment_figures_json(Arena *arena, const PaymentFigures *figures);
Str wire_print_payment_exposition(Arena *arena, const PaymentKaizen *kaizen, Str breaker_state);

#endif
