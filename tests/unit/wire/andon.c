/* Alerts as bytes. */
#include "shared/wire/andon.h"

#include "tests/unit/wire/samples.h"

static Andon sample_andon(void)
{
    return (Andon){
        .domain = STR("payment"),
        .alert = STR("circuit_breaker_open"),
        .severity = ANDON_CRITICAL,
        .cleared = true,
        .summary = STR("The circuit breaker is open."),
        .when_ms = SAMPLE_RECEIVED_MS,
        .source = STR("action-1"),
    };
}

Test(andon, an_alert_comes_back_as_it_was_raised)
{
    Arena arena = sample_arena();
    Andon sent = sample_andon();
    Andon andon;
    sample_assert_ok(wire_decode_andon(&arena, wire_encode_andon(&arena, &sent), &andon));
    cr_assert(str_equal(andon.domain, sent.domain));
    cr_assert(str_equal(andon.alert, sent.alert));
    cr_assert_eq(andon.severity, sent.severity);
    cr_assert(andon.cleared);
    cr_assert(str_equal(andon.summary, sent.summary));
    cr_assert_eq(andon.when_ms, sent.when_ms);
    cr_assert(str_equal(andon.source, sent.source));
    arena_release(&arena);
}

static void assert_refused(const Andon *sent, const char *reason)
{
    Arena arena = sample_arena();
    Andon andon;
    sample_assert_refused(wire_decode_andon(&arena, wire_encode_andon(&arena, sent), &andon), reason, reason);
    arena_release(&arena);
}

Test(andon, what_cannot_be_a_subject_or_a_severity_is_refused)
{
    Andon andon = sample_andon();
    andon.alert = STR("a.b");
    assert_refused(&andon, "alert: must be one subject token");
    andon = sample_andon();
    andon.domain = (Str){0};
    assert_refused(&andon, "domain: must be one subject token");
    andon = sample_andon();
    andon.severity = (AndonSeverity)0;
    assert_refused(&andon, "severity: unknown severity 0");
    andon.severity = (AndonSeverity)3;
    assert_refused(&andon, "severity: unknown severity 3");
    andon = sample_andon();
    andon.when_ms = -1;
    assert_refused(&andon, "when_ms: not a time in Unix ms");
}
