/* exposition - the Kaizen fold as Prometheus text, format 0.0.4.
 * Every series stands there from the start, also at 0: a rate over a series that appears late misses its first step. */
#include "shared/wire/metric.h"
#include "shared/wire/payment.h"

static void print_breaker(Buffer *out, Str breaker_state)
{
    static const char *const states[] = {"closed", "open", "half_open"};
    static const char name[] = "payment_gateway_circuit_breaker_state";
    metric_print_head(out, name, "gauge", "1 for the state that the circuit breaker to the payment gateway is in.");
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        int is_state = str_equal(breaker_state, str_from(states[i])) ? 1 : 0;
        buffer_print(out, "%s{state=\"%s\"} %d\n", name, states[i], is_state);
    }
}

static void print_transactions(Buffer *out, const PaymentKaizen *kaizen)
{
    static const char name[] = "payment_transaction_total";
    metric_print_head(out, name, "counter", "Transactions with a final result, by status.");
    for (PaymentStatus status = PAYMENT_SUCCESS; status < PAYMENT_STATUS_COUNT; status++) {
        buffer_print(out, "%s{status=\"%s\"} %llu\n", name, payment_status_name(status),
                     (unsigned long long)kaizen->status[status]);
    }
}

static void print_checks(Buffer *out, const PaymentKaizen *kaizen)
{
    static const char name[] = "payment_fraud_check_total";
    metric_print_head(out, name, "counter", "Rejected transactions that a fraud check hit, by check.");
    for (FraudCheck check = 0; check < FRAUD_CHECK_COUNT; check++) {
        buffer_print(out, "%s{check=\"%s\"} %llu\n", name, fraud_check_name(check),
                     (unsigned long long)kaizen->fraud_checks[check]);
    }
}

Str wire_print_payment_exposition(Arena *arena, const PaymentKaizen *kaizen, Str breaker_state)
{
    Buffer out = arena_buffer(arena, METRIC_TEXT_MAX_BYTES);
    print_breaker(&out, breaker_state);
    print_transactions(&out, kaizen);
    metric_print_counter(&out, "payment_fraud_detected_total", "Transactions that the fraud policy rejected.",
                         kaizen->status[PAYMENT_REJECTED]);
    print_checks(&out, kaizen);
    metric_print_histogram(&out, "payment_processing_duration_seconds", "Time from a signal's arrival to its outcome.",
                           payment_duration_bounds_ms, kaizen->duration_buckets, PAYMENT_DURATION_BUCKETS,
                           kaizen->duration_sum_ms);
    metric_print_counter(&out, "payment_signal_total", "Signals on the ledger.", kaizen->signals);
    metric_print_counter(&out, "payment_approved_total", "Decisions that approved a signal.", kaizen->approved);
    metric_print_counter(&out, "payment_circuit_breaker_trips_total", "Changes of the circuit breaker to open.",
                         kaizen->breaker_trips);
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}
