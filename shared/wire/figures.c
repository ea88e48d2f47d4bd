/* figures - the Kaizen figures as JSON: what GET /metrics says to people and scripts.
 * Percentages and averages are exact hundredths, never doubles. */
#include "shared/base/json.h"
#include "shared/wire/payment.h"

#define FIGURES_MAX_BYTES 512

Str wire_print_payment_figures_json(Arena *arena, const PaymentFigures *figures)
{
    Buffer out = arena_buffer(arena, FIGURES_MAX_BYTES);
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '{');
    json_put_int(&json, "total_transactions", (int64_t)figures->total_transactions);
    json_put_int(&json, "successful_transactions", (int64_t)figures->successful_transactions);
    json_put_int(&json, "fraudulent_transactions", (int64_t)figures->fraudulent_transactions);
    json_put_decimal(&json, "success_rate_percent", (int64_t)figures->success_rate_percent_e2, 2);
    json_put_decimal(&json, "fraud_rate_percent", (int64_t)figures->fraud_rate_percent_e2, 2);
    json_put_decimal(&json, "avg_latency_ms", (int64_t)figures->avg_latency_ms_e2, 2);
    json_put_int(&json, "circuit_breaker_trips", (int64_t)figures->circuit_breaker_trips);
    json_close(&json, '}');
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}
