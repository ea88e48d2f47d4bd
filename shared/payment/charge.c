/* charge - the life of one charge as a pure state machine: what is known goes in, the next move comes out.
 * Two functions decide how things end: give_up() while untouched, keep() once touched. Nothing else fails a charge. */
#include "shared/payment/charge.h"

static const char deadline_exceeded[] = "deadline_exceeded";
static const char gateway_unreachable[] = "gateway_unreachable";
static const char gateway_refused[] = "gateway_refused";
static const char breaker_open[] = "breaker_open";

ChargeSettings charge_settings_default(void)
{
    return (ChargeSettings){
        .attempts = 4,
        .backoff_ms = 100,
        .backoff_max_ms = 2000,
        .keep_ms = 2000,
        .keep_max_ms = 300000,
        .horizon_ms = INT64_C(23) * 3600 * 1000,
    };
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Times come from other machines' messages: sums stay within the range instead of wrapping. */
static int64_t time_after(int64_t time_ms, int64_t span_ms)
{
    int64_t sum = 0;
    if (__builtin_add_overflow(time_ms, span_ms, &sum))
        return span_ms > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

/* Between half and all of first_ms * 2^doublings, which grows no further than max_ms; at least 1. */
static int64_t backoff(int64_t first_ms, int64_t max_ms, uint64_t doublings, uint32_t random)
{
    int64_t whole_ms = larger(first_ms, 1);
    max_ms = larger(max_ms, 1);
    while (doublings > 0 && whole_ms < max_ms) {
        whole_ms = whole_ms > max_ms / 2 ? max_ms : whole_ms * 2;
        doublings--;
    }
    if (whole_ms > max_ms)
        whole_ms = max_ms;
    int64_t half_ms = whole_ms - whole_ms / 2;
    return half_ms + random % (whole_ms / 2 + 1);
}

static ChargeMove finish(PaymentStatus status, const char *failure)
{
    return (ChargeMove){.step = CHARGE_FINISH, .status = status, .failure = failure};
}

/* The only way to FAILED without the gateway's word. */
static ChargeMove give_up(const Charge *charge, const char *failure)
{
    TAI_ASSERT(!charge->touched);
    return finish(PAYMENT_FAILED, failure);
}

static int64_t horizon_of(const Charge *charge, const ChargeSettings *settings)
{
    return time_after(charge->intent.decided_ms, settings->horizon_ms);
}

/* Touched and unresolved: back to the lane, or to a person. Never sleeps past the horizon, which would only delay the
 * person. */
static ChargeMove keep(const Charge *charge, const ChargeSettings *settings, int64_t at_least_ms, int64_t now_ms,
                       uint32_t random)
{
    int64_t horizon_ms = horizon_of(charge, settings);
    if (now_ms >= horizon_ms)
        return (ChargeMove){.step = CHARGE_BURY};
    uint64_t doublings = charge->intent.delivered > 1 ? charge->intent.delivered - 1 : 0;
    int64_t wait_ms = larger(backoff(settings->keep_ms, settings->keep_max_ms, doublings, random), at_least_ms);
    if (time_after(now_ms, wait_ms) > horizon_ms)
        wait_ms = horizon_ms - now_ms;
    return (ChargeMove){.step = CHARGE_KEEP, .wait_ms = wait_ms};
}

static ChargeMove call_or_end(const Charge *charge, const ChargeSettings *settings, int64_t now_ms)
{
    if (!charge->touched && now_ms >= charge->intent.deadline_ms)
        return give_up(charge, deadline_exceeded);
    if (charge->touched && now_ms >= horizon_of(charge, settings))
        return (ChargeMove){.step = CHARGE_BURY};
    return (ChargeMove){.step = CHARGE_CALL};
}

static int64_t call_backoff(const Charge *charge, const ChargeSettings *settings, uint32_t random)
{
    int64_t waits = charge->attempts_made + charge->pauses;
    return backoff(settings->backoff_ms, settings->backoff_max_ms, waits > 1 ? (uint64_t)waits - 1 : 0, random);
}

/* Told to come back later, by the gateway or by our own pacing: waits while the deadline allows it. */
static ChargeMove pause_call(Charge *charge, const ChargeSettings *settings, int64_t retry_after_ms, int64_t now_ms,
                             uint32_t random)
{
    charge->pauses++;
    int64_t wait_ms = larger(retry_after_ms, call_backoff(charge, settings, random));
    bool fits = time_after(now_ms, wait_ms) < charge->intent.deadline_ms;
    if (charge->touched)
        return fits && charge->attempts_made < settings->attempts
                   ? (ChargeMove){.step = CHARGE_WAIT, .wait_ms = wait_ms}
                   : keep(charge, settings, retry_after_ms, now_ms, random);
    return fits ? (ChargeMove){.step = CHARGE_WAIT, .wait_ms = wait_ms} : give_up(charge, gateway_unreachable);
}

/* After a call that decided nothing. */
static ChargeMove try_again(const Charge *charge, const ChargeSettings *settings, int64_t now_ms, uint32_t random)
{
    bool spent = charge->attempts_made >= settings->attempts;
    if (charge->touched && (spent || now_ms >= horizon_of(charge, settings)))
        return keep(charge, settings, 0, now_ms, random);
    if (spent)
        return give_up(charge, gateway_unreachable);
    int64_t wait_ms = call_backoff(charge, settings, random);
    if (!charge->touched && time_after(now_ms, wait_ms) >= charge->intent.deadline_ms)
        return give_up(charge, deadline_exceeded);
    return (ChargeMove){.step = CHARGE_WAIT, .wait_ms = wait_ms};
}

ChargeMove charge_start(Charge *charge, const ChargeSettings *settings, ChargeIntent intent, int64_t now_ms,
                        uint32_t random)
{
    (void)random;
    /* Whoever had this message before may have died with a call under way. */
    *charge = (Charge){.intent = intent, .touched = intent.delivered > 1};
    if (!intent.fresh || charge->touched)
        return (ChargeMove){.step = CHARGE_LOOK};
    charge->looked = true;
    return call_or_end(charge, settings, now_ms);
}

ChargeMove charge_looked(Charge *charge, const ChargeSettings *settings, bool outcome_exists, int64_t now_ms,
                         uint32_t random)
{
    (void)random;
    if (outcome_exists)
        return (ChargeMove){.step = CHARGE_REPEAT};
    charge->looked = true;
    return call_or_end(charge, settings, now_ms);
}

ChargeMove charge_resume(Charge *charge, const ChargeSettings *settings, int64_t now_ms, uint32_t random)
{
    (void)random;
    return call_or_end(charge, settings, now_ms);
}

ChargeMove charge_not_permitted(Charge *charge, const ChargeSettings *settings, bool paced, int64_t retry_after_ms,
                                int64_t now_ms, uint32_t random)
{
    if (!charge->touched && now_ms >= charge->intent.deadline_ms)
        return give_up(charge, deadline_exceeded);
    if (paced)
        return pause_call(charge, settings, retry_after_ms, now_ms, random);
    if (charge->touched)
        return keep(charge, settings, retry_after_ms, now_ms, random);
    ChargeMove move = give_up(charge, breaker_open);
    move.retry_after_ms = larger(retry_after_ms, 1);
    return move;
}

ChargeMove charge_answered(Charge *charge, const ChargeSettings *settings, ChargeAnswer answer, int64_t retry_after_ms,
                           int64_t now_ms, uint32_t random)
{
    switch (answer) {
    case CHARGE_SUCCEEDED:
        charge->touched = true;
        return finish(PAYMENT_SUCCESS, NULL);
    case CHARGE_DECLINED:
        charge->touched = true;
        return finish(PAYMENT_DECLINED, NULL);
    case CHARGE_REFUSED:
        /* Refused before the key was looked up (a revoked secret, a parameter): says nothing of an earlier call. */
        charge->attempts_made = settings->attempts;
        return charge->touched ? keep(charge, settings, 0, now_ms, random) : give_up(charge, gateway_refused);
    case CHARGE_THROTTLED:
        charge->attempts_made += charge->touched ? 1 : 0;
        return pause_call(charge, settings, retry_after_ms, now_ms, random);
    case CHARGE_UNREACHABLE:
        charge->attempts_made++;
        return try_again(charge, settings, now_ms, random);
    case CHARGE_UNCLEAR:
        break;
    }
    charge->attempts_made++;
    charge->touched = true;
    return try_again(charge, settings, now_ms, random);
}
