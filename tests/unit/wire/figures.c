/* The Kaizen fold as bytes, and its two faces for readers: JSON and Prometheus text. */
#include "tests/unit/wire/samples.h"

static PaymentKaizen sample_kaizen(void)
{
    PaymentKaizen kaizen = {
        .payment_sequence = 1000,
        .andon_sequence = 3,
        .signals = 120,
        .approved = 110,
        .status = {[PAYMENT_SUCCESS] = 95, [PAYMENT_REJECTED] = 2, [PAYMENT_FAILED] = 3},
        .fraud_checks = {[FRAUD_VELOCITY] = 2, [FRAUD_HIGH_AMOUNT] = 1},
        .duration_sum_ms = 14550,
        .breaker_trips = 1,
    };
    for (size_t i = 0; i <= PAYMENT_DURATION_BUCKETS; i++) {
        kaizen.duration_buckets[i] = i + 1;
    }
    return kaizen;
}

Test(kaizen, the_fold_comes_back_as_it_was_kept)
{
    Arena arena = sample_arena();
    PaymentKaizen kept = sample_kaizen();
    PaymentKaizen kaizen;
    sample_assert_ok(wire_decode_payment_kaizen(&arena, wire_encode_payment_kaizen(&arena, &kept), &kaizen));
    cr_assert_eq(memcmp(&kaizen, &kept, sizeof(kept)), 0);
    arena_release(&arena);
}

Test(kaizen, an_empty_fold_comes_back_empty)
{
    Arena arena = sample_arena();
    PaymentKaizen kept = {0};
    PaymentKaizen kaizen;
    sample_assert_ok(wire_decode_payment_kaizen(&arena, wire_encode_payment_kaizen(&arena, &kept), &kaizen));
    cr_assert_eq(memcmp(&kaizen, &kept, sizeof(kept)), 0);
    sample_assert_ok(wire_decode_payment_kaizen(&arena, STR(""), &kaizen));
    cr_assert_eq(memcmp(&kaizen, &kept, sizeof(kept)), 0);
    arena_release(&arena);
}

Test(kaizen, a_fold_over_other_statuses_or_buckets_is_refused)
{
    Arena arena = sample_arena();
    PaymentKaizen kaizen;
    sample_assert_refused(wire_decode_payment_kaizen(&arena, STR("\x2A\x06\1\1\1\1\1\1"), &kaizen),
                          "status: must have 5 counts, has 6", "six statuses");
    sample_assert_refused(wire_decode_payment_kaizen(&arena, STR("\x32\x01\1"), &kaizen),
                          "fraud_checks: must have 4 counts, has 1", "one check");
    sample_assert_refused(wire_decode_payment_kaizen(&arena, STR("\x42\x02\1\1"), &kaizen),
                          "duration_buckets: must have 13 counts, has 2", "two buckets");
    sample_assert_refused(wire_decode_payment_kaizen(&arena, STR("\x2A\x02\x80\x80"), &kaizen),
                          "body: not a tai.v1.PaymentKaizen message", "a number without an end");
    arena_release(&arena);
}

Test(figures, the_json_holds_exact_hundredths)
{
    Arena arena = sample_arena();
    const PaymentFigures figures = {
        .total_transactions = 100,
        .successful_transactions = 95,
        .fraudulent_transactions = 2,
        .success_rate_percent_e2 = 9500,
        .fraud_rate_percent_e2 = 200,
        .avg_latency_ms_e2 = 14550,
        .circuit_breaker_trips = 1,
    };
    sample_assert_text(wire_print_payment_figures_json(&arena, &figures),
                       "{\"total_transactions\":100,\"successful_transactions\":95,\"fraudulent_transactions\":2,"
                       "\"success_rate_percent\":95.00,\"fraud_rate_percent\":2.00,\"avg_latency_ms\":145.50,"
                       "\"circuit_breaker_trips\":1}",
                       "figures");
    arena_release(&arena);
}

static void assert_line(Str text, const char *line)
{
    Str rest = text;
    Str at;
    while (str_next_token(&rest, '\n', &at)) {
        if (str_equal(at, str_from(line))) {
            return;
        }
    }
    cr_assert(false, "no line \"%s\" in\n%.*s", line, STR_ARG(text));
}

Test(exposition, every_series_stands_there_from_the_start)
{
    Arena arena = sample_arena();
    const PaymentKaizen kaizen = {0};
    Str text = wire_print_payment_exposition(&arena, &kaizen, STR("closed"));
    assert_line(text, "payment_gateway_circuit_breaker_state{state=\"closed\"} 1");
    assert_line(text, "payment_gateway_circuit_breaker_state{state=\"open\"} 0");
    assert_line(text, "payment_gateway_circuit_breaker_state{state=\"half_open\"} 0");
    assert_line(text, "payment_transaction_total{status=\"SUCCESS\"} 0");
    assert_line(text, "payment_transaction_total{status=\"REJECTED\"} 0");
    assert_line(text, "payment_transaction_total{status=\"DECLINED\"} 0");
    assert_line(text, "payment_transaction_total{status=\"FAILED\"} 0");
    assert_line(text, "payment_processing_duration_seconds_bucket{le=\"+Inf\"} 0");
    assert_line(text, "payment_processing_duration_seconds_sum 0");
    assert_line(text, "payment_processing_duration_seconds_count 0");
    arena_release(&arena);
}

Test(exposition, counts_and_cumulative_buckets_are_as_the_format_wants_them)
{
    Arena arena = sample_arena();
    PaymentKaizen kaizen = sample_kaizen();
    Str text = wire_print_payment_exposition(&arena, &kaizen, STR("half_open"));
    assert_line(text, "# TYPE payment_gateway_circuit_breaker_state gauge");
    assert_line(text, "payment_gateway_circuit_breaker_state{state=\"half_open\"} 1");
    assert_line(text, "# TYPE payment_transaction_total counter");
    assert_line(text, "payment_transaction_total{status=\"SUCCESS\"} 95");
    assert_line(text, "payment_fraud_detected_total 2");
    assert_line(text, "payment_fraud_check_total{check=\"velocity\"} 2");
    assert_line(text, "# TYPE payment_processing_duration_seconds histogram");
    assert_line(text, "payment_processing_duration_seconds_bucket{le=\"+Inf\"} 91");
    assert_line(text, "payment_processing_duration_seconds_sum 14.55");
    assert_line(text, "payment_processing_duration_seconds_count 91");
    assert_line(text, "payment_signal_total 120");
    assert_line(text, "payment_approved_total 110");
    assert_line(text, "payment_circuit_breaker_trips_total 1");
    uint64_t cumulative = 0;
    for (size_t i = 0; i < PAYMENT_DURATION_BUCKETS; i++) {
        cumulative += i + 1;
        double seconds = (double)payment_duration_bounds_ms[i] / 1000;
        Str line = arena_print(&arena, "payment_processing_duration_seconds_bucket{le=\"%g\"} %llu", seconds,
                               (unsigned long long)cumulative);
        assert_line(text, line.data);
    }
    arena_release(&arena);
}

Test(exposition, every_line_is_a_comment_or_a_sample_and_no_series_stands_twice)
{
    Arena arena = sample_arena();
    PaymentKaizen kaizen = sample_kaizen();
    Str text = wire_print_payment_exposition(&arena, &kaizen, STR("open"));
    cr_assert_eq(text.data[text.length - 1], '\n');
    Str lines[128];
    size_t count = 0;
    Str rest = str_slice(text, 0, text.length - 1);
    while (count < 128 && str_next_token(&rest, '\n', &lines[count])) {
        Str line = lines[count];
        bool comment = str_starts_with(line, STR("# HELP payment_")) || str_starts_with(line, STR("# TYPE payment_"));
        cr_assert(comment || str_starts_with(line, STR("payment_")), "%.*s", STR_ARG(line));
        for (size_t i = 0; i < count; i++) {
            cr_assert(!str_equal(lines[i], line), "twice: %.*s", STR_ARG(line));
        }
        count++;
    }
    arena_release(&arena);
}
