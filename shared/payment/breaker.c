/* breaker - a circuit breaker as a pure state machine: closed, open, half-open.
 * The window is a ring of buckets, each marked with the slice of time it counts, so nothing needs to be cleared by
 * the passing of time, and a clock that steps back only finds buckets that are not of its time. */
#include "shared/payment/breaker.h"

#include <stddef.h>
#include <string.h>

const char *breaker_state_name(BreakerState state)
{
    switch (state) {
    case BREAKER_CLOSED:
        return "closed";
    case BREAKER_OPEN:
        return "open";
    case BREAKER_HALF_OPEN:
        return "half_open";
    }
    return "unknown";
}

BreakerSettings breaker_settings_default(void)
{
    return (BreakerSettings){
        .consecutive_failures = 5,
        .minimum_calls = 20,
        .failure_percent = 50,
        .slow_percent = 80,
        .slow_call_ms = 5000,
        .window_ms = 30000,
        .open_ms = 30000,
        .open_max_ms = 300000,
        .probe_successes = 3,
        .probe_expires_ms = 30000,
    };
}

Breaker breaker_make(void)
{
    return (Breaker){0};
}

/* Sums with settings must not overflow, whatever a clock says. */
static int64_t sane_time(int64_t now_ms)
{
    if (now_ms < 0)
        return 0;
    return now_ms < INT64_MAX / 2 ? now_ms : INT64_MAX / 2;
}

static int64_t at_least_one(int64_t value)
{
    return value > 0 ? value : 1;
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

static int64_t slice_of(const BreakerSettings *settings, int64_t now_ms)
{
    return now_ms / at_least_one(settings->window_ms / BREAKER_WINDOW_BUCKETS);
}

static void window_count(Breaker *breaker, const BreakerSettings *settings, bool failed, bool slow, int64_t now_ms)
{
    int64_t slice = slice_of(settings, now_ms);
    BreakerBucket *bucket = &breaker->window[slice % BREAKER_WINDOW_BUCKETS];
    if (bucket->slice != slice)
        *bucket = (BreakerBucket){.slice = slice};
    bucket->calls++;
    bucket->failures += failed ? 1 : 0;
    bucket->slow += slow ? 1 : 0;
}

static BreakerBucket window_sum(const Breaker *breaker, const BreakerSettings *settings, int64_t now_ms)
{
    BreakerBucket sum = {.slice = slice_of(settings, now_ms)};
    for (int i = 0; i < BREAKER_WINDOW_BUCKETS; i++) {
        const BreakerBucket *bucket = &breaker->window[i];
        if (bucket->slice > sum.slice || bucket->slice <= sum.slice - BREAKER_WINDOW_BUCKETS)
            continue;
        sum.calls += bucket->calls;
        sum.failures += bucket->failures;
        sum.slow += bucket->slow;
    }
    return sum;
}

/* Whether a share of the calls reaches a limit; a limit of 0 switches it off. */
static bool reaches_percent(int64_t part, int64_t whole, int64_t percent)
{
    return percent > 0 && part * 100 >= percent * whole;
}

static bool must_open(const Breaker *breaker, const BreakerSettings *settings, int64_t now_ms)
{
    if (settings->consecutive_failures > 0 && breaker->consecutive_failures >= settings->consecutive_failures)
        return true;
    BreakerBucket sum = window_sum(breaker, settings, now_ms);
    if (sum.calls < at_least_one(settings->minimum_calls))
        return false;
    return reaches_percent(sum.failures, sum.calls, settings->failure_percent) ||
           reaches_percent(sum.slow, sum.calls, settings->slow_percent);
}

/* Every state begins with nothing counted and no probe under way. */
static void enter(Breaker *breaker, BreakerState state)
{
    breaker->state = state;
    breaker->generation++;
    memset(breaker->window, 0, sizeof breaker->window);
    breaker->consecutive_failures = 0;
    breaker->probes_succeeded = 0;
    breaker->probe_number = 0;
    breaker->probe_expires_at_ms = 0;
}

static BreakerChange open_for(Breaker *breaker, int64_t length_ms, int64_t now_ms)
{
    enter(breaker, BREAKER_OPEN);
    breaker->open_for_ms = at_least_one(length_ms);
    breaker->open_until_ms = now_ms + breaker->open_for_ms;
    breaker->trips++;
    return BREAKER_OPENED;
}

static BreakerPermit refuse(const Breaker *breaker, int64_t retry_after_ms, bool paced)
{
    return (BreakerPermit){
        .generation = breaker->generation, .retry_after_ms = at_least_one(retry_after_ms), .paced = paced};
}

/* One probe at a time. An expired permit was lost with its holder, and goes to the next who asks. */
static BreakerPermit admit_probe(Breaker *breaker, const BreakerSettings *settings, int64_t now_ms)
{
    breaker->probe_expires_at_ms = at_most(breaker->probe_expires_at_ms, now_ms + settings->probe_expires_ms);
    if (breaker->probe_number != 0 && now_ms < breaker->probe_expires_at_ms) {
        int64_t expires_in_ms = breaker->probe_expires_at_ms - now_ms;
        return refuse(breaker, at_most(expires_in_ms, at_least_one(settings->slow_call_ms)), false);
    }
    breaker->probe_number = ++breaker->probes_given;
    breaker->probe_expires_at_ms = now_ms + settings->probe_expires_ms;
    return (BreakerPermit){.admitted = true, .generation = breaker->generation, .probe_number = breaker->probe_number};
}

BreakerPermit breaker_admit(Breaker *breaker, const BreakerSettings *settings, int64_t now_ms, BreakerChange *change)
{
    BreakerChange changed = BREAKER_STAYED;
    now_ms = sane_time(now_ms);
    if (breaker->state == BREAKER_OPEN) {
        /* Where the clock stepped back, the opening does not last longer than it should. */
        breaker->open_until_ms = at_most(breaker->open_until_ms, now_ms + breaker->open_for_ms);
        if (now_ms >= breaker->open_until_ms) {
            enter(breaker, BREAKER_HALF_OPEN);
            changed = BREAKER_HALF_OPENED;
        }
    }
    if (change != NULL)
        *change = changed;
    if (breaker->state == BREAKER_OPEN)
        return refuse(breaker, breaker->open_until_ms - now_ms, false);
    if (now_ms < breaker->paced_until_ms)
        return refuse(breaker, breaker->paced_until_ms - now_ms, true);
    if (breaker->state == BREAKER_HALF_OPEN)
        return admit_probe(breaker, settings, now_ms);
    return (BreakerPermit){.admitted = true, .generation = breaker->generation};
}

static BreakerChange record_closed(Breaker *breaker, const BreakerSettings *settings, bool failed, bool slow,
                                   int64_t now_ms)
{
    breaker->consecutive_failures = failed ? breaker->consecutive_failures + 1 : 0;
    window_count(breaker, settings, failed, slow, now_ms);
    if (!must_open(breaker, settings, now_ms))
        return BREAKER_STAYED;
    return open_for(breaker, settings->open_ms, now_ms);
}

static BreakerChange record_probe(Breaker *breaker, const BreakerSettings *settings, bool failed, int64_t now_ms)
{
    if (failed) {
        int64_t doubled_ms = at_most(breaker->open_for_ms, INT64_MAX / 4) * 2;
        return open_for(breaker, at_most(doubled_ms, settings->open_max_ms), now_ms);
    }
    breaker->probe_number = 0;
    if (++breaker->probes_succeeded < settings->probe_successes)
        return BREAKER_STAYED;
    enter(breaker, BREAKER_CLOSED);
    return BREAKER_CLOSED_AGAIN;
}

BreakerChange breaker_record(Breaker *breaker, const BreakerSettings *settings, const BreakerPermit *permit,
                             BreakerCall call, int64_t duration_ms, int64_t now_ms)
{
    if (!permit->admitted || permit->generation != breaker->generation)
        return BREAKER_STAYED;
    bool of_present_probe = permit->probe_number != 0 && permit->probe_number == breaker->probe_number;
    if (breaker->state == BREAKER_HALF_OPEN && !of_present_probe)
        return BREAKER_STAYED;
    if (call == BREAKER_CALL_IGNORED) {
        breaker->probe_number = 0;
        return BREAKER_STAYED;
    }
    bool failed = call == BREAKER_CALL_FAILED;
    if (breaker->state == BREAKER_HALF_OPEN)
        return record_probe(breaker, settings, failed, sane_time(now_ms));
    if (breaker->state == BREAKER_CLOSED)
        return record_closed(breaker, settings, failed, duration_ms > settings->slow_call_ms, sane_time(now_ms));
    return BREAKER_STAYED;
}

void breaker_pace(Breaker *breaker, int64_t until_ms)
{
    if (until_ms > breaker->paced_until_ms)
        breaker->paced_until_ms = until_ms;
}
