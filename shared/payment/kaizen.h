/* kaizen - the figures of the payment system, folded from its ledger: message in, figures out. Pure.
 * The figures carry the sequences they were folded up to, so a message folded twice counts once. */
#ifndef TAI_PAYMENT_KAIZEN_H
#define TAI_PAYMENT_KAIZEN_H

#include <stdint.h>

#include "shared/payment/payment.h"

/* Upper bounds in ms of payment_processing_duration_seconds; one more bucket holds the rest. */
#define PAYMENT_DURATION_BUCKETS 12
extern const int64_t payment_duration_bounds_ms[PAYMENT_DURATION_BUCKETS];

typedef struct {
    uint64_t payment_sequence; /* last message of PAYMENT folded in */
    uint64_t andon_sequence;   /* last message of ANDON folded in */
    uint64_t signals;
    uint64_t approved;
    uint64_t status[PAYMENT_STATUS_COUNT];                   /* outcomes by PaymentStatus */
    uint64_t fraud_checks[FRAUD_CHECK_COUNT];                /* hits in rejected outcomes */
    uint64_t duration_sum_ms;                                /* over all outcomes */
    uint64_t duration_buckets[PAYMENT_DURATION_BUCKETS + 1]; /* not cumulative */
    uint64_t breaker_trips;
} PaymentKaizen;

/* Each returns false, and changes nothing, where the sequence was folded in already. Sequences may have gaps. */
bool payment_kaizen_signal(PaymentKaizen *kaizen, uint64_t sequence);
bool payment_kaizen_decision(PaymentKaizen *kaizen, uint64_t sequence, bool approved);
bool payment_kaizen_outcome(PaymentKaizen *kaizen, uint64_t sequence, const PaymentOutcome *outcome);
bool payment_kaizen_other(PaymentKaizen *kaizen, uint64_t sequence); /* anything else on PAYMENT */
bool payment_kaizen_breaker_opened(PaymentKaizen *kaizen, uint64_t andon_sequence);
bool payment_kaizen_other_andon(PaymentKaizen *kaizen, uint64_t andon_sequence);

/* What GET /metrics says, derived. Percentages and averages are in hundredths (9500 is 95.00), rounded half up; 0
 * where there is nothing to divide by. */
typedef struct {
    uint64_t total_transactions; /* outcomes */
    uint64_t successful_transactions;
    uint64_t fraudulent_transactions; /* REJECTED */
    uint64_t success_rate_percent_e2;
    uint64_t fraud_rate_percent_e2;
    uint64_t avg_latency_ms_e2;
    uint64_t circuit_breaker_trips;
} PaymentFigures;

PaymentFigures payment_kaizen_figures(const PaymentKaizen *kaizen);

#endif
