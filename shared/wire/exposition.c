/* exposition - the Kaizen fold as Prometheus text, format 0.0.4.
 * Every series stands there from the start, also at 0: a rate over a series that appears late misses its first step. */
#include "shared/wire/payment.h"

#define EXPOSITION_MAX_BYTES 8192

static void print_head(Buffer *out, const char *name, const char *type, const char *help)
{
    buffer_print(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_counter(Buffer *out, const char *name, const char *help, uint64_t value)
{
    print_head(out, name, "counter", help);
    buffer_print(out, "%s %llu\n", name, (unsigned long long)value);
}

static void print_breaker(Buffer *out, Str breaker_state)
{
    static const char *const states[] = {"closed", "open", "half_open"};
    static const char name[] = "payment_gateway_circuit_breaker_state";
    print_head(out, name, "gauge", "1 for the state that the circuit breaker to the payment gateway is in.");
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        int is_state = str_equal(breaker_state, str_from(states[i])) ? 1 : 0;
        buffer_print(out, "%s{state=\"%s\"} %d\n", name, states[i], is_state);
    }
}

static void print_transactions(Buffer *out, const PaymentKaizen *kaizen)
{
    static const char name[] = "payment_transaction_total";
    print_head(out, name, "counter", "Transactions with a final result, by status.");
    for (PaymentStatus status = PAYMENT_SUCCESS; status < PAYMENT_STATUS_COUNT; status++) {
        buffer_print(out, "%s{status=\"%s\"} %llu\n", name, payment_status_name(status),
                     (unsigned long long)kaizen->status[status]);
    }
}

static void print_checks(Buffer *out, const PaymentKaizen *kaizen)
{
    static const char name[] = "payment_fraud_check_total";
    print_head(out, name, "counter", "Rejected transactions that a fraud check hit, by check.");
    for (FraudCheck check = 0; check < FRAUD_CHECK_COUNT; check++) {
        buffer_print(out, "%s{check=\"%s\"} %llu\n", name, fraud_check_name(check),
                     (unsigned long long)kaizen->fraud_checks[check]);
    }
}

/* Milliseconds as seconds without needless zeros: 2500 is 2.5. */
static void print_seconds(Buffer *out, uint64_t time_ms)
{
    buffer_print(out, "%llu", (unsigned long long)(time_ms / 1000));
    int fraction = (int)(time_ms % 1000);
    int digits = 3;
    while (digits > 0 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    if (digits > 0) {
        buffer_print(out, ".%0*d", digits, fraction);
    }
}

static void print_durations(Buffer *out, const PaymentKaizen *kaizen)
{
    static const char name[] = "payment_processing_duration_seconds";
    print_head(out, name, "histogram", "Time from a signal's arrival to its outcome.");
    uint64_t count = 0;
    for (size_t i = 0; i < PAYMENT_DURATION_BUCKETS; i++) {
        count += kaizen->duration_buckets[i];
        buffer_print(out, "%s_bucket{le=\"", name);
        print_seconds(out, (uint64_t)payment_duration_bounds_ms[i]);
        buffer_print(out, "\"} %llu\n", (unsigned long long)count);
    }
    count += kaizen->duration_buckets[PAYMENT_DURATION_BUCKETS];
    buffer_print(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum ", name, (unsigned long long)count, name);
    print_seconds(out, kaizen->duration_sum_ms);
    buffer_print(out, "\n%s_count %llu\n", name, (unsigned long long)count);
}

Str wire_print_payment_exposition(Arena *arena, const PaymentKaizen *kaizen, Str breaker_state)
{
    Buffer out = arena_buffer(arena, EXPOSITION_MAX_BYTES);
    print_breaker(&out, breaker_state);
    print_transactions(&out, kaizen);
    print_counter(&out, "payment_fraud_detected_total", "Transactions that the fraud policy rejected.",
                  kaizen->status[PAYMENT_REJECTED]);
    print_checks(&out, kaizen);
    print_durations(&out, kaizen);
    print_counter(&out, "payment_signal_total", "Signals on the ledger.", kaizen->signals);
    print_counter(&out, "payment_approved_total", "Decisions that approved a signal.", kaizen->approved);
    print_counter(&out, "payment_circuit_breaker_trips_total", "Changes of the circuit breaker to open.",
                  kaizen->breaker_trips);
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}
