/* breaker - a circuit breaker as a pure state machine: closed, open, half-open.
 * It opens at `consecutive_failures` in a row, or when at least `minimum_calls` of the window hold `failure_percent`
 * failures or `slow_percent` slow calls. Open lasts `open_ms`, doubled up to `open_max_ms` for each probe that fails.
 * Half-open admits one probe at a time and closes after `probe_successes`; a probe's permit expires, so that a crashed
 * prober cannot hang it. Results of an older generation are ignored. Time comes in as an argument, Unix ms. */
#ifndef TAI_PAYMENT_BREAKER_H
#define TAI_PAYMENT_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_WINDOW_BUCKETS 30

typedef enum { BREAKER_CLOSED = 0, BREAKER_OPEN, BREAKER_HALF_OPEN } BreakerState;
const char *breaker_state_name(BreakerState state); /* "closed", "open", "half_open" */

typedef struct {
    int64_t consecutive_failures; /* 5 */
    int64_t minimum_calls;        /* 20 */
    int64_t failure_percent;      /* 50 */
    int64_t slow_percent;         /* 80 */
    int64_t slow_call_ms;         /* 5000: a call that took longer is slow */
    int64_t window_ms;            /* 30000, in BREAKER_WINDOW_BUCKETS buckets */
    int64_t open_ms;              /* 30000 */
    int64_t open_max_ms;          /* 300000 */
    int64_t probe_successes;      /* 3 */
    int64_t probe_expires_ms;     /* 30000 */
} BreakerSettings;

BreakerSettings breaker_settings_default(void);

typedef struct {
    int64_t slice; /* which slice of time these counts are of: now_ms / (window_ms / buckets) */
    int64_t calls;
    int64_t failures;
    int64_t slow;
} BreakerBucket;

typedef struct {
    BreakerState state;
    uint64_t generation; /* grows with every change of state */
    BreakerBucket window[BREAKER_WINDOW_BUCKETS];
    int64_t consecutive_failures;
    int64_t open_until_ms;
    int64_t open_for_ms;      /* length of the present or last opening */
    int64_t probes_succeeded; /* in a row, in this half-open */
    uint64_t probe_number;    /* of the outstanding probe; 0: none */
    uint64_t probes_given;
    int64_t probe_expires_at_ms;
    int64_t paced_until_ms; /* the gateway asked for a pause (429); refuses without being a failure */
    uint64_t trips;         /* changes to open since the start */
} Breaker;

typedef struct {
    bool admitted;
    uint64_t generation;
    uint64_t probe_number;  /* not 0: this call is a probe */
    int64_t retry_after_ms; /* refused: how long until it may be worth asking again, at least 1 */
    bool paced;             /* refused by pacing, not by an open breaker */
} BreakerPermit;

typedef enum {
    BREAKER_CALL_SUCCEEDED, /* any decisive answer, declines and other 4xx included */
    BREAKER_CALL_FAILED,    /* connect error, timeout, broken answer, 5xx */
    BREAKER_CALL_IGNORED,   /* 429, or never made: gives a probe's permit back, counts nowhere */
} BreakerCall;

/* What a change of state was, for the log, the Andon and the gauge. */
typedef enum { BREAKER_STAYED = 0, BREAKER_OPENED, BREAKER_HALF_OPENED, BREAKER_CLOSED_AGAIN } BreakerChange;

Breaker breaker_make(void);

/* Asks for leave to call. May move open to half-open (reported in `change`, which may be NULL). */
BreakerPermit breaker_admit(Breaker *breaker, const BreakerSettings *settings, int64_t now_ms, BreakerChange *change);

/* Reports what became of an admitted call. */
BreakerChange breaker_record(Breaker *breaker, const BreakerSettings *settings, const BreakerPermit *permit,
                             BreakerCall call, int64_t duration_ms, int64_t now_ms);

/* The gateway asked us to slow down until then. Never shortens a pause. */
void breaker_pace(Breaker *breaker, int64_t until_ms);

#endif
