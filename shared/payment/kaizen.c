/* kaizen - the figures of the payment system, folded from its ledger.
 * A sequence that was folded in already changes nothing, which makes a redelivery harmless. */
#include "shared/payment/kaizen.h"

const int64_t payment_duration_bounds_ms[PAYMENT_DURATION_BUCKETS] = {5,   10,   25,   50,   100,   250,
                                                                      500, 1000, 2500, 5000, 10000, 30000};

static bool advance(uint64_t *last, uint64_t sequence)
{
    if (sequence <= *last)
        return false;
    *last = sequence;
    return true;
}

bool payment_kaizen_signal(PaymentKaizen *kaizen, uint64_t sequence)
{
    if (!advance(&kaizen->payment_sequence, sequence))
        return false;
    kaizen->signals++;
    return true;
}

bool payment_kaizen_decision(PaymentKaizen *kaizen, uint64_t sequence, bool approved)
{
    if (!advance(&kaizen->payment_sequence, sequence))
        return false;
    kaizen->approved += approved ? 1 : 0;
    return true;
}

/* Two machines' clocks may disagree by a little: a time below zero counts as none. */
static uint64_t duration_ms(const PaymentOutcome *outcome)
{
    if (outcome->timestamp_ms <= outcome->received_ms)
        return 0;
    return (uint64_t)outcome->timestamp_ms - (uint64_t)outcome->received_ms;
}

static void count_duration(PaymentKaizen *kaizen, uint64_t duration)
{
    int bucket = 0;
    while (bucket < PAYMENT_DURATION_BUCKETS && duration > (uint64_t)payment_duration_bounds_ms[bucket])
        bucket++;
    kaizen->duration_buckets[bucket]++;
    kaizen->duration_sum_ms += duration;
}

bool payment_kaizen_outcome(PaymentKaizen *kaizen, uint64_t sequence, const PaymentOutcome *outcome)
{
    if (!advance(&kaizen->payment_sequence, sequence))
        return false;
    unsigned status = (unsigned)outcome->status;
    kaizen->status[status < PAYMENT_STATUS_COUNT ? status : PAYMENT_PENDING]++;
    count_duration(kaizen, duration_ms(outcome));
    for (int check = 0; check < FRAUD_CHECK_COUNT && outcome->status == PAYMENT_REJECTED; check++)
        kaizen->fraud_checks[check] += outcome->verdict.hit_points[check] > 0 ? 1 : 0;
    return true;
}

bool payment_kaizen_other(PaymentKaizen *kaizen, uint64_t sequence)
{
    return advance(&kaizen->payment_sequence, sequence);
}

bool payment_kaizen_breaker_opened(PaymentKaizen *kaizen, uint64_t andon_sequence)
{
    if (!advance(&kaizen->andon_sequence, andon_sequence))
        return false;
    kaizen->breaker_trips++;
    return true;
}

bool payment_kaizen_other_andon(PaymentKaizen *kaizen, uint64_t andon_sequence)
{
    return advance(&kaizen->andon_sequence, andon_sequence);
}

/* part * scale / whole, rounded half up; 0 where there is nothing to divide by. Divides first, so that sums of years
 * do not overflow. */
static uint64_t ratio(uint64_t part, uint64_t whole, uint64_t scale)
{
    if (whole == 0)
        return 0;
    return part / whole * scale + (part % whole * scale * 2 + whole) / (whole * 2);
}

PaymentFigures payment_kaizen_figures(const PaymentKaizen *kaizen)
{
    uint64_t total = 0;
    for (int status = 0; status < PAYMENT_STATUS_COUNT; status++)
        total += kaizen->status[status];
    return (PaymentFigures){
        .total_transactions = total,
        .successful_transactions = kaizen->status[PAYMENT_SUCCESS],
        .fraudulent_transactions = kaizen->status[PAYMENT_REJECTED],
        .success_rate_percent_e2 = ratio(kaizen->status[PAYMENT_SUCCESS], total, 10000),
        .fraud_rate_percent_e2 = ratio(kaizen->status[PAYMENT_REJECTED], total, 10000),
        .avg_latency_ms_e2 = ratio(kaizen->duration_sum_ms, total, 100),
        .circuit_breaker_trips = kaizen->breaker_trips,
    };
}
