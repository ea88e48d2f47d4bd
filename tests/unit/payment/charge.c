/* Tests of charge: each row of what may be known, and random lives that must keep the invariants. */
#include <criterion/criterion.h>
#include <string.h>

#include "shared/payment/charge.h"

enum { DECIDED_MS = 1000000, DEADLINE_MS = DECIDED_MS + 30000 };

static const ChargeIntent first = {DECIDED_MS, DEADLINE_MS, 1, true};

static ChargeSettings settings(void)
{
    return charge_settings_default();
}

static ChargeMove start(Charge *charge, ChargeIntent intent, int64_t now_ms)
{
    ChargeSettings s = settings();
    return charge_start(charge, &s, intent, now_ms, 0);
}

static ChargeMove answered(Charge *charge, ChargeAnswer answer, int64_t retry_after_ms, int64_t now_ms)
{
    ChargeSettings s = settings();
    return charge_answered(charge, &s, answer, retry_after_ms, now_ms, 0);
}

static ChargeMove refused(Charge *charge, bool paced, int64_t retry_after_ms, int64_t now_ms)
{
    ChargeSettings s = settings();
    return charge_not_permitted(charge, &s, paced, retry_after_ms, now_ms, 0);
}

static ChargeMove resumed(Charge *charge, int64_t now_ms)
{
    ChargeSettings s = settings();
    return charge_resume(charge, &s, now_ms, 0);
}

static ChargeMove looked(Charge *charge, bool exists, int64_t now_ms)
{
    ChargeSettings s = settings();
    return charge_looked(charge, &s, exists, now_ms, 0);
}

static void failed(ChargeMove move, const char *failure)
{
    cr_assert_eq(move.step, CHARGE_FINISH, "step %d", move.step);
    cr_assert_eq(move.status, PAYMENT_FAILED);
    cr_assert_str_eq(move.failure, failure);
}

static void finished(ChargeMove move, PaymentStatus status)
{
    cr_assert_eq(move.step, CHARGE_FINISH);
    cr_assert_eq(move.status, status);
    cr_assert_null(move.failure);
}

static void waits(ChargeMove move, ChargeStep step, int64_t least_ms, int64_t most_ms)
{
    cr_assert_eq(move.step, step, "step %d", move.step);
    cr_assert(move.wait_ms >= least_ms && move.wait_ms <= most_ms, "%lld ms", (long long)move.wait_ms);
}

/* A charge that is fresh on its first delivery and about to call. */
static Charge untouched(void)
{
    Charge charge;
    cr_assert_eq(start(&charge, first, DECIDED_MS).step, CHARGE_CALL);
    cr_assert_not(charge.touched);
    return charge;
}

/* The same after an unclear answer. */
static Charge touched(void)
{
    Charge charge = untouched();
    cr_assert_eq(answered(&charge, CHARGE_UNCLEAR, 0, DECIDED_MS).step, CHARGE_WAIT);
    cr_assert(charge.touched);
    return charge;
}

static int64_t horizon_ms(void)
{
    return DECIDED_MS + settings().horizon_ms;
}

Test(charge, the_defaults_are_those_of_the_design)
{
    ChargeSettings s = settings();
    cr_assert_eq(s.attempts, 4);
    cr_assert_eq(s.backoff_ms, 100);
    cr_assert_eq(s.backoff_max_ms, 2000);
    cr_assert_eq(s.keep_ms, 2000);
    cr_assert_eq(s.keep_max_ms, 300000);
    cr_assert_eq(s.horizon_ms, INT64_C(82800000));
}

Test(charge, a_fresh_first_delivery_calls_at_once)
{
    Charge charge;
    cr_assert_eq(start(&charge, first, DECIDED_MS).step, CHARGE_CALL);
    cr_assert(charge.looked);
}

Test(charge, whatever_may_have_been_before_is_looked_for_first)
{
    static const ChargeIntent rows[] = {
        {DECIDED_MS, DEADLINE_MS, 1, false},
        {DECIDED_MS, DEADLINE_MS, 2, true},
        {DECIDED_MS, DEADLINE_MS, 9, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Charge charge;
        cr_assert_eq(start(&charge, rows[i], DECIDED_MS).step, CHARGE_LOOK);
        cr_assert_eq(charge.touched, rows[i].delivered > 1, "a dead worker may have sent");
        Charge again = charge;
        cr_assert_eq(looked(&charge, true, DECIDED_MS).step, CHARGE_REPEAT);
        cr_assert_eq(looked(&again, false, DECIDED_MS).step, CHARGE_CALL);
        cr_assert(again.looked);
    }
}

Test(charge, an_outcome_is_repeated_however_late)
{
    Charge charge;
    cr_assert_eq(start(&charge, (ChargeIntent){DECIDED_MS, DEADLINE_MS, 5, true}, horizon_ms() + 1).step, CHARGE_LOOK);
    cr_assert_eq(looked(&charge, true, horizon_ms() + 1).step, CHARGE_REPEAT);
}

Test(charge, untouched_it_fails_from_its_deadline_on)
{
    Charge charge;
    cr_assert_eq(start(&charge, first, DEADLINE_MS - 1).step, CHARGE_CALL);
    failed(start(&charge, first, DEADLINE_MS), "deadline_exceeded");
    cr_assert_eq(start(&charge, (ChargeIntent){DECIDED_MS, DEADLINE_MS, 1, false}, DEADLINE_MS).step, CHARGE_LOOK);
    failed(looked(&charge, false, DEADLINE_MS), "deadline_exceeded");
    charge = untouched();
    failed(resumed(&charge, DEADLINE_MS), "deadline_exceeded");
    charge = untouched();
    failed(refused(&charge, false, 100, DEADLINE_MS), "deadline_exceeded");
    failed(refused(&charge, true, 100, DEADLINE_MS), "deadline_exceeded");
}

Test(charge, touched_it_never_fails_at_its_deadline)
{
    Charge charge;
    start(&charge, (ChargeIntent){DECIDED_MS, DEADLINE_MS, 2, true}, DEADLINE_MS + 1);
    cr_assert_eq(looked(&charge, false, DEADLINE_MS + 1).step, CHARGE_CALL);
    charge = touched();
    cr_assert_eq(resumed(&charge, DEADLINE_MS + 1).step, CHARGE_CALL);
}

Test(charge, evidence_ends_it_untouched_or_touched)
{
    for (int before = 0; before < 2; before++) {
        Charge charge = before == 0 ? untouched() : touched();
        finished(answered(&charge, CHARGE_SUCCEEDED, 0, DECIDED_MS), PAYMENT_SUCCESS);
        charge = before == 0 ? untouched() : touched();
        finished(answered(&charge, CHARGE_DECLINED, 0, DECIDED_MS), PAYMENT_DECLINED);
        charge = before == 0 ? untouched() : touched();
        finished(answered(&charge, CHARGE_SUCCEEDED, 0, horizon_ms() + 1), PAYMENT_SUCCESS);
    }
}

Test(charge, a_refusal_ends_only_what_was_never_sent_before)
{
    Charge charge = untouched();
    failed(answered(&charge, CHARGE_REFUSED, 0, DECIDED_MS), "gateway_refused");
    charge = touched();
    waits(answered(&charge, CHARGE_REFUSED, 0, DECIDED_MS), CHARGE_KEEP, 1000, 2000);
    charge = touched();
    cr_assert_eq(answered(&charge, CHARGE_REFUSED, 0, horizon_ms()).step, CHARGE_BURY);
}

Test(charge, an_unreachable_gateway_is_tried_four_times_and_then_failed)
{
    Charge charge = untouched();
    int64_t now_ms = DECIDED_MS;
    static const int64_t backoffs[] = {100, 200, 400};
    for (int attempt = 0; attempt < 3; attempt++) {
        ChargeMove move = answered(&charge, CHARGE_UNREACHABLE, 0, now_ms);
        waits(move, CHARGE_WAIT, backoffs[attempt] / 2, backoffs[attempt]);
        now_ms += move.wait_ms;
        cr_assert_eq(resumed(&charge, now_ms).step, CHARGE_CALL);
    }
    failed(answered(&charge, CHARGE_UNREACHABLE, 0, now_ms), "gateway_unreachable");
    cr_assert_not(charge.touched);
}

Test(charge, an_unreachable_gateway_fails_nothing_that_was_touched)
{
    Charge charge = touched();
    for (int attempt = 1; attempt < 3; attempt++)
        cr_assert_eq(answered(&charge, CHARGE_UNREACHABLE, 0, DECIDED_MS).step, CHARGE_WAIT);
    waits(answered(&charge, CHARGE_UNREACHABLE, 0, DECIDED_MS), CHARGE_KEEP, 1000, 2000);
}

Test(charge, a_backoff_that_would_pass_the_deadline_is_not_waited_for)
{
    Charge charge = untouched();
    waits(answered(&charge, CHARGE_UNREACHABLE, 0, DEADLINE_MS - 51), CHARGE_WAIT, 50, 50);
    charge = untouched();
    failed(answered(&charge, CHARGE_UNREACHABLE, 0, DEADLINE_MS - 50), "deadline_exceeded");
}

Test(charge, an_unclear_answer_is_asked_again_and_then_kept)
{
    Charge charge = untouched();
    for (int attempt = 1; attempt < 4; attempt++) {
        cr_assert_eq(answered(&charge, CHARGE_UNCLEAR, 0, DEADLINE_MS + attempt).step, CHARGE_WAIT);
        cr_assert(charge.touched);
        cr_assert_eq(resumed(&charge, DEADLINE_MS + attempt).step, CHARGE_CALL);
    }
    waits(answered(&charge, CHARGE_UNCLEAR, 0, DEADLINE_MS + 9), CHARGE_KEEP, 1000, 2000);
}

Test(charge, each_delivery_is_kept_twice_as_long_up_to_five_minutes)
{
    static const struct {
        uint64_t delivered;
        int64_t most_ms;
    } rows[] = {{2, 4000},   {3, 8000},    {4, 16000},   {8, 256000},
                {9, 300000}, {64, 300000}, {65, 300000}, {UINT64_MAX, 300000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Charge charge;
        start(&charge, (ChargeIntent){DECIDED_MS, DEADLINE_MS, rows[i].delivered, true}, DECIDED_MS);
        waits(refused(&charge, false, 1, DECIDED_MS), CHARGE_KEEP, rows[i].most_ms / 2, rows[i].most_ms);
    }
}

Test(charge, throttled_it_comes_back_when_told_while_the_deadline_allows)
{
    Charge charge = untouched();
    waits(answered(&charge, CHARGE_THROTTLED, 5000, DECIDED_MS), CHARGE_WAIT, 5000, 5000);
    cr_assert_eq(charge.attempts_made, 0, "nothing was done, so nothing was used up");
    cr_assert_not(charge.touched);
    charge = untouched();
    waits(answered(&charge, CHARGE_THROTTLED, 0, DECIDED_MS), CHARGE_WAIT, 50, 100);
    charge = untouched();
    waits(answered(&charge, CHARGE_THROTTLED, 29999, DECIDED_MS), CHARGE_WAIT, 29999, 29999);
    charge = untouched();
    failed(answered(&charge, CHARGE_THROTTLED, 30000, DECIDED_MS), "gateway_unreachable");
    charge = untouched();
    failed(answered(&charge, CHARGE_THROTTLED, INT64_MAX, DECIDED_MS), "gateway_unreachable");
}

Test(charge, throttled_again_and_again_it_waits_longer_and_ends_by_its_deadline)
{
    Charge charge = untouched();
    int64_t now_ms = DECIDED_MS;
    int64_t last_ms = 0;
    int calls = 0;
    ChargeMove move = answered(&charge, CHARGE_THROTTLED, 0, now_ms);
    for (; move.step == CHARGE_WAIT; calls++) {
        cr_assert_geq(move.wait_ms, last_ms);
        cr_assert_leq(move.wait_ms, 2000);
        last_ms = move.wait_ms;
        now_ms += move.wait_ms;
        cr_assert_lt(now_ms, DEADLINE_MS);
        cr_assert_eq(resumed(&charge, now_ms).step, CHARGE_CALL);
        move = answered(&charge, CHARGE_THROTTLED, 0, now_ms);
    }
    failed(move, "gateway_unreachable");
    cr_assert_lt(calls, 40);
}

Test(charge, throttled_and_touched_it_is_kept_when_it_cannot_wait)
{
    Charge charge = touched();
    waits(answered(&charge, CHARGE_THROTTLED, 3000, DECIDED_MS), CHARGE_WAIT, 3000, 3000);
    charge = touched();
    waits(answered(&charge, CHARGE_THROTTLED, 60000, DECIDED_MS), CHARGE_KEEP, 60000, 60000);
    charge = touched();
    waits(answered(&charge, CHARGE_THROTTLED, 10, DEADLINE_MS), CHARGE_KEEP, 1000, 2000);
    charge = touched();
    ChargeMove move = {.step = CHARGE_WAIT};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(move.step, CHARGE_WAIT);
        move = answered(&charge, CHARGE_THROTTLED, 1, DECIDED_MS);
    }
    cr_assert_eq(move.step, CHARGE_KEEP, "attempts are bounded");
}

Test(charge, an_open_breaker_fails_what_is_untouched_and_says_when_to_come_again)
{
    Charge charge = untouched();
    ChargeMove move = refused(&charge, false, 12345, DECIDED_MS);
    failed(move, "breaker_open");
    cr_assert_eq(move.retry_after_ms, 12345);
    charge = untouched();
    cr_assert_eq(refused(&charge, false, 0, DECIDED_MS).retry_after_ms, 1);
}

Test(charge, an_open_breaker_keeps_what_is_touched)
{
    Charge charge = touched();
    waits(refused(&charge, false, 30000, DECIDED_MS), CHARGE_KEEP, 30000, 30000);
    charge = touched();
    waits(refused(&charge, false, 1, DEADLINE_MS + 1), CHARGE_KEEP, 1000, 2000);
}

Test(charge, pacing_waits_its_turn_like_a_throttled_call)
{
    Charge charge = untouched();
    waits(refused(&charge, true, 700, DECIDED_MS), CHARGE_WAIT, 700, 700);
    cr_assert_eq(charge.attempts_made, 0);
    charge = untouched();
    failed(refused(&charge, true, 30000, DECIDED_MS), "gateway_unreachable");
    charge = touched();
    waits(refused(&charge, true, 30000, DECIDED_MS), CHARGE_KEEP, 30000, 30000);
}

Test(charge, past_the_horizon_a_person_must_look)
{
    int64_t late_ms = horizon_ms();
    Charge charge;
    start(&charge, (ChargeIntent){DECIDED_MS, DEADLINE_MS, 300, true}, late_ms);
    cr_assert_eq(looked(&charge, false, late_ms).step, CHARGE_BURY);
    start(&charge, (ChargeIntent){DECIDED_MS, DEADLINE_MS, 300, true}, late_ms - 1);
    cr_assert_eq(looked(&charge, false, late_ms - 1).step, CHARGE_CALL);
    charge = touched();
    cr_assert_eq(resumed(&charge, late_ms).step, CHARGE_BURY);
    charge = touched();
    cr_assert_eq(answered(&charge, CHARGE_UNCLEAR, 0, late_ms).step, CHARGE_BURY);
    charge = touched();
    cr_assert_eq(answered(&charge, CHARGE_UNREACHABLE, 0, late_ms).step, CHARGE_BURY);
    charge = touched();
    cr_assert_eq(answered(&charge, CHARGE_THROTTLED, 9, late_ms).step, CHARGE_BURY);
    charge = touched();
    cr_assert_eq(refused(&charge, false, 9, late_ms).step, CHARGE_BURY);
    charge = touched();
    cr_assert_eq(refused(&charge, true, 9, late_ms).step, CHARGE_BURY);
}

Test(charge, it_is_never_kept_beyond_the_horizon)
{
    Charge charge = touched();
    waits(refused(&charge, false, 90000, horizon_ms() - 7), CHARGE_KEEP, 7, 7);
    charge = touched();
    waits(answered(&charge, CHARGE_THROTTLED, INT64_MAX, horizon_ms() - 7), CHARGE_KEEP, 7, 7);
}

Test(charge, jitter_lies_between_half_of_the_backoff_and_all_of_it)
{
    ChargeSettings s = settings();
    static const uint32_t randoms[] = {0, 1, 49, 50, 51, 1000, UINT32_MAX};
    int64_t least_ms = INT64_MAX;
    int64_t most_ms = 0;
    for (size_t i = 0; i < sizeof randoms / sizeof randoms[0]; i++) {
        Charge charge = untouched();
        ChargeMove move = charge_answered(&charge, &s, CHARGE_UNREACHABLE, 0, DECIDED_MS, randoms[i]);
        least_ms = move.wait_ms < least_ms ? move.wait_ms : least_ms;
        most_ms = move.wait_ms > most_ms ? move.wait_ms : most_ms;
    }
    cr_assert_eq(least_ms, 50);
    cr_assert_eq(most_ms, 100);
}

Test(charge, strange_times_and_settings_do_not_overflow)
{
    static const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    static const ChargeSettings wild[] = {
        {0},
        {-1, -1, -1, -1, -1, -1},
        {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
    };
    for (size_t s = 0; s < 3; s++) {
        for (size_t i = 0; i < 6 * 6 * 6; i++) {
            ChargeIntent intent = {times[i % 6], times[i / 6 % 6], 1 + i % 2, true};
            int64_t now_ms = times[i / 36];
            for (int answer = CHARGE_SUCCEEDED; answer <= CHARGE_UNCLEAR; answer++) {
                Charge charge;
                if (charge_start(&charge, &wild[s], intent, now_ms, 7).step == CHARGE_LOOK)
                    charge_looked(&charge, &wild[s], false, now_ms, 7);
                ChargeMove move = charge_answered(&charge, &wild[s], (ChargeAnswer)answer, INT64_MAX, now_ms, 7);
                cr_assert(move.step != CHARGE_WAIT || move.wait_ms >= 1);
                cr_assert(move.step != CHARGE_KEEP || move.wait_ms >= 1);
            }
        }
    }
}

/* A life of one charge over many deliveries, with everything that may happen to it. */
typedef struct {
    uint64_t random;
    ChargeSettings settings;
    ChargeIntent intent;
    Charge charge;
    int64_t now_ms;
    bool may_have_sent; /* the truth: a byte may have reached the gateway, or a worker died at any time */
    int64_t calls;      /* in this delivery that count as attempts */
} Life;

static uint32_t dice(Life *life, uint32_t sides)
{
    life->random = life->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(life->random >> 33) % sides;
}

static ChargeMove live_call(Life *life)
{
    if (dice(life, 5) == 0)
        return charge_not_permitted(&life->charge, &life->settings, dice(life, 2) == 0, dice(life, 40000), life->now_ms,
                                    dice(life, UINT32_MAX));
    /* Mostly answers that decide nothing, so that lives are long. */
    static const ChargeAnswer answers[] = {CHARGE_SUCCEEDED,   CHARGE_DECLINED,    CHARGE_REFUSED, CHARGE_THROTTLED,
                                           CHARGE_THROTTLED,   CHARGE_UNREACHABLE, CHARGE_UNCLEAR, CHARGE_UNREACHABLE,
                                           CHARGE_UNREACHABLE, CHARGE_UNCLEAR,     CHARGE_UNCLEAR, CHARGE_UNREACHABLE};
    ChargeAnswer answer = answers[dice(life, 12)];
    bool counts = answer != CHARGE_THROTTLED || life->charge.touched;
    life->calls += counts ? 1 : 0;
    life->may_have_sent = life->may_have_sent || answer == CHARGE_UNCLEAR;
    life->now_ms += dice(life, 6000);
    int64_t retry_after_ms = answer == CHARGE_THROTTLED && dice(life, 2) == 0 ? dice(life, 20000) : 0;
    return charge_answered(&life->charge, &life->settings, answer, retry_after_ms, life->now_ms,
                           dice(life, UINT32_MAX));
}

static void check_move(const Life *life, ChargeMove move)
{
    cr_assert_leq(life->calls, life->settings.attempts, "attempts are bounded");
    cr_assert_leq(life->charge.attempts_made, life->settings.attempts);
    if (life->may_have_sent)
        cr_assert(life->charge.touched, "what may have been sent is known to be touched");
    if (move.step == CHARGE_FINISH && move.status == PAYMENT_FAILED)
        cr_assert_not(life->may_have_sent, "never FAILED once a byte may have been sent");
    if (move.step == CHARGE_FINISH)
        cr_assert_eq(move.status == PAYMENT_FAILED, move.failure != NULL);
    if (move.step == CHARGE_KEEP || move.step == CHARGE_BURY)
        cr_assert(life->charge.touched, "nothing untouched is kept waiting or bothers a person");
    if (move.step == CHARGE_BURY)
        cr_assert_geq(life->now_ms, life->intent.decided_ms + life->settings.horizon_ms);
    if (move.step == CHARGE_WAIT || move.step == CHARGE_KEEP)
        cr_assert(move.wait_ms >= 1 && move.wait_ms <= life->settings.keep_max_ms, "%lld", (long long)move.wait_ms);
    if (move.step == CHARGE_WAIT && !life->charge.touched)
        cr_assert_lt(life->now_ms + move.wait_ms, life->intent.deadline_ms);
    if (move.step == CHARGE_CALL)
        cr_assert(life->charge.looked, "no call before it is known that there is no outcome");
    if (move.step == CHARGE_CALL && !life->charge.touched)
        cr_assert_lt(life->now_ms, life->intent.deadline_ms, "no charge is begun past its deadline");
}

/* One delivery, until it ends, is given back, or its worker dies. */
static ChargeMove live_delivery(Life *life)
{
    uint32_t random = dice(life, UINT32_MAX);
    life->calls = 0;
    ChargeMove move = charge_start(&life->charge, &life->settings, life->intent, life->now_ms, random);
    for (int step = 0; step < 500; step++) {
        check_move(life, move);
        if (dice(life, 40) == 0) {
            life->may_have_sent = true;
            return (ChargeMove){.step = CHARGE_KEEP, .wait_ms = 1};
        }
        if (move.step == CHARGE_LOOK) {
            move = charge_looked(&life->charge, &life->settings, false, life->now_ms, random);
        } else if (move.step == CHARGE_CALL) {
            move = live_call(life);
        } else if (move.step == CHARGE_WAIT) {
            life->now_ms += move.wait_ms + dice(life, 100);
            move = charge_resume(&life->charge, &life->settings, life->now_ms, random);
        } else {
            return move;
        }
    }
    cr_assert_fail("a delivery must end");
    return move;
}

Test(charge, random_lives_keep_the_invariants)
{
    int ends[CHARGE_BURY + 1] = {0};
    for (uint64_t seed = 1; seed <= 5000; seed++) {
        Life life = {.random = seed * 7919, .settings = settings(), .now_ms = DECIDED_MS};
        life.settings.horizon_ms = seed % 2 == 0 ? 120000 : life.settings.horizon_ms;
        life.now_ms += dice(&life, 31000);
        life.intent = (ChargeIntent){DECIDED_MS, DEADLINE_MS, 0, dice(&life, 2) == 0};
        ChargeMove move = {.step = CHARGE_KEEP};
        int deliveries = 0;
        for (; move.step == CHARGE_KEEP; deliveries++) {
            cr_assert_lt(deliveries, 2000, "a life must end");
            life.intent.delivered++;
            move = live_delivery(&life);
            life.now_ms += move.step == CHARGE_KEEP ? move.wait_ms : 0;
        }
        cr_assert(move.step == CHARGE_FINISH || move.step == CHARGE_BURY);
        ends[move.step]++;
    }
    cr_assert_gt(ends[CHARGE_FINISH], 100);
    cr_assert_gt(ends[CHARGE_BURY], 100);
}
