/* Tests of breaker: what opens it, how it probes, and that a strange clock or a late answer does not disturb it. */
#include <criterion/criterion.h>

#include "shared/payment/breaker.h"

enum { START_MS = 1000000 };

typedef struct {
    Breaker breaker;
    BreakerSettings settings;
    int64_t now_ms;
    BreakerChange change; /* of the last admission */
} Bench;

static Bench bench(void)
{
    return (Bench){.breaker = breaker_make(), .settings = breaker_settings_default(), .now_ms = START_MS};
}

static BreakerPermit ask(Bench *bench)
{
    return breaker_admit(&bench->breaker, &bench->settings, bench->now_ms, &bench->change);
}

static BreakerPermit admitted(Bench *bench)
{
    BreakerPermit permit = ask(bench);
    cr_assert(permit.admitted);
    return permit;
}

static BreakerChange report(Bench *bench, BreakerPermit permit, BreakerCall call, int64_t duration_ms)
{
    return breaker_record(&bench->breaker, &bench->settings, &permit, call, duration_ms, bench->now_ms);
}

static BreakerChange call(Bench *bench, BreakerCall result)
{
    return report(bench, admitted(bench), result, 10);
}

static void trip(Bench *bench)
{
    for (int i = 0; i < 4; i++)
        cr_assert_eq(call(bench, BREAKER_CALL_FAILED), BREAKER_STAYED);
    cr_assert_eq(call(bench, BREAKER_CALL_FAILED), BREAKER_OPENED);
}

/* Lets the opening pass and takes the probe. */
static BreakerPermit probe(Bench *bench)
{
    bench->now_ms = bench->breaker.open_until_ms;
    return admitted(bench);
}

Test(breaker, the_defaults_are_those_of_the_design)
{
    BreakerSettings settings = breaker_settings_default();
    cr_assert_eq(settings.consecutive_failures, 5);
    cr_assert_eq(settings.minimum_calls, 20);
    cr_assert_eq(settings.failure_percent, 50);
    cr_assert_eq(settings.slow_percent, 80);
    cr_assert_eq(settings.window_ms, 30000);
    cr_assert_eq(settings.open_ms, 30000);
    cr_assert_eq(settings.open_max_ms, 300000);
    cr_assert_eq(settings.probe_successes, 3);
    cr_assert_str_eq(breaker_state_name(BREAKER_CLOSED), "closed");
    cr_assert_str_eq(breaker_state_name(BREAKER_OPEN), "open");
    cr_assert_str_eq(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
}

Test(breaker, five_failures_in_a_row_open_it)
{
    Bench b = bench();
    trip(&b);
    cr_assert_eq(b.breaker.state, BREAKER_OPEN);
    cr_assert_eq(b.breaker.trips, 1);
    BreakerPermit permit = ask(&b);
    cr_assert_not(permit.admitted);
    cr_assert_not(permit.paced);
    cr_assert_eq(permit.retry_after_ms, 30000);
    cr_assert_eq(b.change, BREAKER_STAYED);
}

Test(breaker, a_success_ends_a_row_of_failures)
{
    Bench b = bench();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            cr_assert_eq(call(&b, BREAKER_CALL_FAILED), BREAKER_STAYED);
        cr_assert_eq(call(&b, BREAKER_CALL_SUCCEEDED), BREAKER_STAYED);
    }
}

Test(breaker, an_ignored_call_neither_ends_nor_lengthens_a_row)
{
    Bench b = bench();
    for (int i = 0; i < 4; i++)
        call(&b, BREAKER_CALL_FAILED);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(call(&b, BREAKER_CALL_IGNORED), BREAKER_STAYED);
    cr_assert_eq(call(&b, BREAKER_CALL_FAILED), BREAKER_OPENED);
}

/* A failure in every second call, so that the row never gets long. */
static BreakerChange alternate(Bench *b, int calls)
{
    BreakerChange change = BREAKER_STAYED;
    for (int i = 0; i < calls && change == BREAKER_STAYED; i++)
        change = call(b, i % 2 == 0 ? BREAKER_CALL_FAILED : BREAKER_CALL_SUCCEEDED);
    return change;
}

Test(breaker, half_of_twenty_calls_failing_opens_it_and_of_nineteen_does_not)
{
    Bench b = bench();
    cr_assert_eq(alternate(&b, 19), BREAKER_STAYED);
    cr_assert_eq(call(&b, BREAKER_CALL_SUCCEEDED), BREAKER_OPENED, "10 of 20");
    cr_assert_eq(b.breaker.trips, 1);
}

Test(breaker, less_than_half_does_not_open_it)
{
    Bench b = bench();
    call(&b, BREAKER_CALL_SUCCEEDED);
    call(&b, BREAKER_CALL_SUCCEEDED);
    for (int i = 0; i < 500; i++) {
        cr_assert_eq(call(&b, BREAKER_CALL_FAILED), BREAKER_STAYED);
        cr_assert_eq(call(&b, BREAKER_CALL_SUCCEEDED), BREAKER_STAYED);
    }
}

Test(breaker, failures_leave_the_window_after_its_length)
{
    Bench b = bench();
    alternate(&b, 19);
    b.now_ms += 30000;
    cr_assert_eq(call(&b, BREAKER_CALL_SUCCEEDED), BREAKER_STAYED, "the nineteen have left");
    Bench c = bench();
    alternate(&c, 19);
    c.now_ms += 29000;
    cr_assert_eq(call(&c, BREAKER_CALL_SUCCEEDED), BREAKER_OPENED, "the nineteen still count");
}

Test(breaker, the_window_slides_bucket_by_bucket)
{
    Bench b = bench();
    for (int second = 0; second < 300; second++) {
        b.now_ms = START_MS + second * 1000;
        cr_assert_eq(call(&b, second % 3 == 0 ? BREAKER_CALL_FAILED : BREAKER_CALL_SUCCEEDED), BREAKER_STAYED);
    }
    /* 10 of the last 30 failed. With each second a success leaves or joins; failing from now on must tip it at 15. */
    int failures = 10;
    BreakerChange change = BREAKER_STAYED;
    for (int second = 300; change == BREAKER_STAYED && second < 340; second++) {
        b.now_ms = START_MS + second * 1000;
        bool fail = second % 5 != 0;
        failures += (fail ? 1 : 0) - ((second - 30) % 3 == 0 ? 1 : 0);
        change = call(&b, fail ? BREAKER_CALL_FAILED : BREAKER_CALL_SUCCEEDED);
        cr_assert_eq(change == BREAKER_OPENED, failures >= 15, "second %d: %d of 30", second, failures);
    }
    cr_assert_eq(change, BREAKER_OPENED);
}

static BreakerChange slow_calls(Bench *b, int slow, int fast, int64_t slow_ms)
{
    BreakerChange change = BREAKER_STAYED;
    for (int i = 0; i < fast; i++)
        cr_assert_eq(report(b, admitted(b), BREAKER_CALL_SUCCEEDED, 10), BREAKER_STAYED);
    for (int i = 0; i < slow && change == BREAKER_STAYED; i++)
        change = report(b, admitted(b), BREAKER_CALL_SUCCEEDED, slow_ms);
    return change;
}

Test(breaker, four_of_five_calls_slow_open_it)
{
    Bench b = bench();
    cr_assert_eq(slow_calls(&b, 16, 4, 5001), BREAKER_OPENED, "16 of 20");
    Bench c = bench();
    cr_assert_eq(slow_calls(&c, 15, 5, 5001), BREAKER_STAYED, "15 of 20");
    Bench d = bench();
    cr_assert_eq(slow_calls(&d, 40, 0, 5000), BREAKER_STAYED, "exactly at the limit is not slow");
}

Test(breaker, it_half_opens_when_its_time_is_up_and_not_before)
{
    Bench b = bench();
    trip(&b);
    b.now_ms += 29999;
    BreakerPermit permit = ask(&b);
    cr_assert_not(permit.admitted);
    cr_assert_eq(permit.retry_after_ms, 1);
    b.now_ms += 1;
    permit = admitted(&b);
    cr_assert_eq(b.change, BREAKER_HALF_OPENED);
    cr_assert_eq(b.breaker.state, BREAKER_HALF_OPEN);
    cr_assert_neq(permit.probe_number, 0);
}

Test(breaker, one_probe_at_a_time_and_three_successes_close_it)
{
    Bench b = bench();
    trip(&b);
    BreakerPermit permit = probe(&b);
    for (int success = 1; success <= 3; success++) {
        BreakerPermit second = ask(&b);
        cr_assert_not(second.admitted, "while a probe is under way");
        cr_assert_not(second.paced);
        cr_assert_geq(second.retry_after_ms, 1);
        BreakerChange change = report(&b, permit, BREAKER_CALL_SUCCEEDED, 10);
        cr_assert_eq(change, success < 3 ? BREAKER_STAYED : BREAKER_CLOSED_AGAIN);
        permit = admitted(&b);
    }
    cr_assert_eq(b.breaker.state, BREAKER_CLOSED);
    cr_assert_eq(permit.probe_number, 0);
    cr_assert_eq(b.breaker.trips, 1);
}

Test(breaker, openings_double_up_to_five_minutes_while_probes_fail)
{
    static const int64_t lengths[] = {60000, 120000, 240000, 300000, 300000};
    Bench b = bench();
    trip(&b);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        BreakerPermit permit = probe(&b);
        cr_assert_eq(report(&b, permit, BREAKER_CALL_FAILED, 10), BREAKER_OPENED);
        cr_assert_eq(b.breaker.open_until_ms - b.now_ms, lengths[i]);
        cr_assert_eq(b.breaker.trips, i + 2);
    }
}

Test(breaker, after_closing_the_next_opening_is_short_again)
{
    Bench b = bench();
    trip(&b);
    report(&b, probe(&b), BREAKER_CALL_FAILED, 10);
    report(&b, probe(&b), BREAKER_CALL_SUCCEEDED, 10);
    call(&b, BREAKER_CALL_SUCCEEDED);
    cr_assert_eq(call(&b, BREAKER_CALL_SUCCEEDED), BREAKER_CLOSED_AGAIN);
    trip(&b);
    cr_assert_eq(b.breaker.open_until_ms - b.now_ms, 30000);
}

Test(breaker, a_failed_probe_starts_the_count_of_successes_again)
{
    Bench b = bench();
    trip(&b);
    report(&b, probe(&b), BREAKER_CALL_SUCCEEDED, 10);
    report(&b, admitted(&b), BREAKER_CALL_SUCCEEDED, 10);
    cr_assert_eq(report(&b, admitted(&b), BREAKER_CALL_FAILED, 10), BREAKER_OPENED);
    cr_assert_eq(report(&b, probe(&b), BREAKER_CALL_SUCCEEDED, 10), BREAKER_STAYED);
    cr_assert_eq(b.breaker.probes_succeeded, 1);
}

Test(breaker, a_crashed_prober_cannot_hang_it)
{
    Bench b = bench();
    trip(&b);
    BreakerPermit lost = probe(&b);
    b.now_ms += 29999;
    cr_assert_not(ask(&b).admitted);
    b.now_ms += 1;
    BreakerPermit next = admitted(&b);
    cr_assert_neq(next.probe_number, lost.probe_number);
    cr_assert_eq(report(&b, lost, BREAKER_CALL_FAILED, 10), BREAKER_STAYED, "it was replaced");
    cr_assert_eq(b.breaker.state, BREAKER_HALF_OPEN);
    cr_assert_eq(report(&b, next, BREAKER_CALL_SUCCEEDED, 10), BREAKER_STAYED);
    cr_assert_eq(b.breaker.probes_succeeded, 1);
}

Test(breaker, an_ignored_probe_gives_its_permit_back)
{
    Bench b = bench();
    trip(&b);
    cr_assert_eq(report(&b, probe(&b), BREAKER_CALL_IGNORED, 10), BREAKER_STAYED);
    cr_assert_eq(b.breaker.probes_succeeded, 0);
    cr_assert_neq(admitted(&b).probe_number, 0);
}

Test(breaker, a_probe_reports_only_once)
{
    Bench b = bench();
    trip(&b);
    BreakerPermit permit = probe(&b);
    report(&b, permit, BREAKER_CALL_SUCCEEDED, 10);
    report(&b, permit, BREAKER_CALL_SUCCEEDED, 10);
    report(&b, permit, BREAKER_CALL_SUCCEEDED, 10);
    cr_assert_eq(b.breaker.probes_succeeded, 1);
}

Test(breaker, results_of_an_older_generation_are_ignored)
{
    Bench b = bench();
    BreakerPermit old = admitted(&b);
    trip(&b);
    cr_assert_eq(report(&b, old, BREAKER_CALL_SUCCEEDED, 10), BREAKER_STAYED);
    cr_assert_eq(b.breaker.state, BREAKER_OPEN);
    probe(&b);
    cr_assert_eq(report(&b, old, BREAKER_CALL_FAILED, 10), BREAKER_STAYED);
    cr_assert_eq(b.breaker.state, BREAKER_HALF_OPEN);
    for (int i = 0; i < 9; i++)
        report(&b, old, BREAKER_CALL_SUCCEEDED, 10);
    cr_assert_eq(b.breaker.probes_succeeded, 0);
}

Test(breaker, a_refused_permit_reports_nothing)
{
    Bench b = bench();
    trip(&b);
    BreakerPermit refused = ask(&b);
    cr_assert_eq(report(&b, refused, BREAKER_CALL_SUCCEEDED, 10), BREAKER_STAYED);
    cr_assert_eq(report(&b, (BreakerPermit){0}, BREAKER_CALL_FAILED, 10), BREAKER_STAYED);
}

Test(breaker, pacing_refuses_without_being_a_failure)
{
    Bench b = bench();
    breaker_pace(&b.breaker, START_MS + 500);
    breaker_pace(&b.breaker, START_MS + 200);
    BreakerPermit permit = ask(&b);
    cr_assert_not(permit.admitted);
    cr_assert(permit.paced);
    cr_assert_eq(permit.retry_after_ms, 500, "a pause is never shortened");
    cr_assert_eq(b.breaker.state, BREAKER_CLOSED);
    b.now_ms += 500;
    cr_assert(ask(&b).admitted);
}

Test(breaker, pacing_holds_a_probe_back_too)
{
    Bench b = bench();
    trip(&b);
    breaker_pace(&b.breaker, b.breaker.open_until_ms + 100);
    cr_assert_not(ask(&b).paced, "open comes first");
    b.now_ms = b.breaker.open_until_ms;
    BreakerPermit permit = ask(&b);
    cr_assert(permit.paced && !permit.admitted);
    b.now_ms += 100;
    cr_assert_neq(admitted(&b).probe_number, 0);
}

Test(breaker, a_clock_that_steps_back_does_not_lengthen_an_opening)
{
    Bench b = bench();
    trip(&b);
    b.now_ms -= 900000;
    BreakerPermit permit = ask(&b);
    cr_assert_not(permit.admitted);
    cr_assert_leq(permit.retry_after_ms, 30000);
    b.now_ms += 30000;
    cr_assert(ask(&b).admitted);
}

Test(breaker, a_clock_that_steps_back_does_not_hang_a_probe)
{
    Bench b = bench();
    trip(&b);
    probe(&b);
    b.now_ms -= 900000;
    cr_assert_not(ask(&b).admitted);
    b.now_ms += 30000;
    cr_assert(ask(&b).admitted);
}

Test(breaker, what_a_later_clock_counted_does_not_count_now)
{
    Bench b = bench();
    alternate(&b, 19);
    b.now_ms -= 120000;
    cr_assert_eq(call(&b, BREAKER_CALL_SUCCEEDED), BREAKER_STAYED);
    cr_assert_eq(alternate(&b, 18), BREAKER_STAYED);
}

Test(breaker, no_reason_to_know_the_change_is_fine)
{
    Bench b = bench();
    cr_assert(breaker_admit(&b.breaker, &b.settings, b.now_ms, NULL).admitted);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 24;
}

typedef struct {
    BreakerPermit held[8];
    int count;
} Held;

static void random_step(Bench *b, Held *held, uint64_t *random)
{
    uint64_t dice = next_random(random) % 100;
    if (dice < 3)
        b->now_ms -= (int64_t)(next_random(random) % 100000);
    else if (dice < 4)
        b->now_ms = (int64_t)(next_random(random) << 24);
    else
        b->now_ms += (int64_t)(next_random(random) % 3000);
    if (next_random(random) % 50 == 0)
        breaker_pace(&b->breaker, b->now_ms < INT64_MAX - 1000 ? b->now_ms + 1000 : INT64_MAX);
    if (next_random(random) % 2 == 0 && held->count < 8) {
        BreakerPermit permit = ask(b);
        cr_assert(permit.admitted || permit.retry_after_ms >= 1);
        cr_assert(!permit.admitted || b->breaker.state != BREAKER_OPEN);
        cr_assert_eq(permit.admitted && b->breaker.state == BREAKER_HALF_OPEN, permit.probe_number != 0);
        held->held[held->count++] = permit;
    } else if (held->count > 0) {
        BreakerPermit permit = held->held[--held->count];
        report(b, permit, (BreakerCall)(next_random(random) % 3), (int64_t)(next_random(random) % 8000));
    }
}

Test(breaker, random_calls_on_a_wild_clock_keep_its_invariants)
{
    uint64_t random = 7;
    for (int round = 0; round < 200; round++) {
        Bench b = bench();
        Held held = {0};
        uint64_t generation = 0;
        for (int step = 0; step < 400; step++) {
            BreakerState before = b.breaker.state;
            random_step(&b, &held, &random);
            cr_assert_geq(b.breaker.generation, generation);
            cr_assert(b.breaker.state == before || b.breaker.generation > generation);
            cr_assert_leq(b.breaker.open_for_ms, b.settings.open_max_ms);
            cr_assert_lt(b.breaker.probes_succeeded, b.settings.probe_successes);
            generation = b.breaker.generation;
        }
    }
}

Test(breaker, settings_of_zero_neither_crash_nor_open_it)
{
    Bench b = bench();
    b.settings = (BreakerSettings){0};
    for (int i = 0; i < 100; i++)
        cr_assert_eq(call(&b, BREAKER_CALL_FAILED), BREAKER_STAYED);
}
