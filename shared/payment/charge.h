/* charge - the life of one charge as a pure state machine: what is known goes in, the next move comes out.
 *
 * Certainty decides everything. `touched` means that a byte may have reached the payment gateway for this transaction,
 * in this delivery or one that died. Untouched, a charge may be called FAILED. Touched, only the gateway's evidence
 * ends it: it is asked again with the same key until it answers, or until the horizon, when a person must look. */
#ifndef TAI_PAYMENT_CHARGE_H
#define TAI_PAYMENT_CHARGE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/payment/payment.h"

typedef struct {
    int64_t attempts;       /* calls in one delivery, 4 */
    int64_t backoff_ms;     /* before the second call; doubles, with jitter; 100 */
    int64_t backoff_max_ms; /* 2000 */
    int64_t keep_ms;        /* before the second delivery of an unresolved charge; doubles; 2000 */
    int64_t keep_max_ms;    /* 300000 */
    int64_t horizon_ms;     /* after the decision: 23 h, within the 24 h that Stripe remembers a key */
} ChargeSettings;

ChargeSettings charge_settings_default(void);

/* What a call to the payment gateway came to. */
typedef enum {
    CHARGE_SUCCEEDED,   /* evidence: captured */
    CHARGE_DECLINED,    /* evidence: the card was declined (402, card_error) */
    CHARGE_REFUSED,     /* another 4xx: nothing was done by this call; of an earlier one it says nothing */
    CHARGE_THROTTLED,   /* 429: nothing was done, come back later */
    CHARGE_UNREACHABLE, /* no byte was sent */
    CHARGE_UNCLEAR,     /* timeout, broken answer, 5xx, 409 while another call with the key is under way */
} ChargeAnswer;

typedef struct {
    int64_t decided_ms;  /* Unix time of the intent */
    int64_t deadline_ms; /* Unix time; untouched from then on: FAILED */
    uint64_t delivered;  /* 1 on the first delivery */
    bool fresh;          /* as PaymentDecision.fresh */
} ChargeIntent;

typedef struct {
    ChargeIntent intent;
    int64_t attempts_made; /* in this delivery; a 429 while untouched is none */
    int64_t pauses;        /* for a 429 or our own pacing; they make the backoff grow too */
    bool touched;
    bool looked; /* we know that there is no outcome yet */
} Charge;

typedef enum {
    CHARGE_LOOK,   /* see whether an outcome is on the ledger already, then charge_looked() */
    CHARGE_CALL,   /* ask the breaker for a permit: then call, or charge_not_permitted() */
    CHARGE_WAIT,   /* wait_ms, then charge_resume() */
    CHARGE_FINISH, /* publish the outcome with status and failure */
    CHARGE_REPEAT, /* an outcome exists: repeat it to whoever waits, done */
    CHARGE_KEEP,   /* unresolved: give it back to the lane for wait_ms */
    CHARGE_BURY,   /* past the horizon: dead letter, alert a person */
} ChargeStep;

typedef struct {
    ChargeStep step;
    int64_t wait_ms;
    PaymentStatus status;   /* with FINISH */
    const char *failure;    /* with FINISH and FAILED, as PaymentOutcome.failure; static text */
    int64_t retry_after_ms; /* with FINISH and breaker_open */
} ChargeMove;

/* `random` is any 32 bits, for the jitter of waits (between half of the backoff and all of it). */
ChargeMove charge_start(Charge *charge, const ChargeSettings *settings, ChargeIntent intent, int64_t now_ms,
                        uint32_t random);
ChargeMove charge_looked(Charge *charge, const ChargeSettings *settings, bool outcome_exists, int64_t now_ms,
                         uint32_t random);
ChargeMove charge_resume(Charge *charge, const ChargeSettings *settings, int64_t now_ms, uint32_t random);
/* The breaker refused. Paced: waits its turn while the deadline allows. Open: FAILED when untouched, else KEEP. */
ChargeMove charge_not_permitted(Charge *charge, const ChargeSettings *settings, bool paced, int64_t retry_after_ms,
                                int64_t now_ms, uint32_t random);
/* `retry_after_ms` is what the gateway asked for, 0 where it did not. */
ChargeMove charge_answered(Charge *charge, const ChargeSettings *settings, ChargeAnswer answer, int64_t retry_after_ms,
                           int64_t now_ms, uint32_t random);

#endif
