/* health_prometheus - rollouts judged by a real Prometheus, which scrapes an instrumented service behind a real
 * HAProxy: what is good goes out, what fails or is slow goes back, and what nobody can tell is never taken for good. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/rollout.h"
#include "tests/support/signal.h"
#include "tests/support/watched.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define API "api"
#define COUNT "http_request_duration_seconds_count" /* of all requests, from the first moment on */
#define POLLS_MAX 4000

/* --- the scene -----------------------------------------------------------------------------------------------------
 */

static json_t *stage(const char *name, int weight_percent, int duration_seconds, int extend_seconds)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:b, s:b}", "name", name, "weight_percent", weight_percent,
                     "duration_seconds", duration_seconds, "warm_up_seconds", 100, "extend_max_seconds", extend_seconds,
                     "needs_approval", 0, "judged", 1);
}

/* Time runs a hundred times faster. "quick" is for what will be inconclusive anyway. */
static void put_policy(Stack *stack)
{
    json_t *policy = rollout_policy(stack);
    json_t *strategies = json_at(policy, "strategies");
    json_object_set_new(json_at(policy, "regions.0"), "driver", json_string("haproxy"));
    json_object_set_new(policy, "look_seconds", json_integer(50));
    json_object_set_new(json_at(policy, "limits"), "p99_ms", json_integer(100));
    json_object_set_new(strategies, "canary",
                        json_pack("{s:[o,o,o]}", "stages", stage("canary", 10, 300, 2000),
                                  stage("staging", 50, 200, 2000), stage("prod", 100, 100, 2000)));
    json_object_set_new(strategies, "quick",
                        json_pack("{s:[o,o]}", "stages", stage("canary", 50, 60, 60), stage("prod", 100, 60, 60)));
    json_object_set_new(strategies, "calm",
                        json_pack("{s:[o,o]}", "stages", stage("canary", 50, 300, 60), stage("prod", 100, 60, 60)));
    rollout_put_policy(stack, policy);
}

/* v1 runs and is known to run. */
static Stack *scene_begin(Watched *watched)
{
    char settings[1200];
    snprintf(settings, sizeof settings, "%s TAI_POLICY_DEPLOYMENT_FACTS_MS=1000", watched->settings);
    Stack *stack = rollout_stack(&(StackPlan){.settings = settings});
    put_policy(stack);
    signal_running(stack, WATCHED_REGION, API, "v1", DIGEST);
    return stack;
}

static void scene_end(Watched *watched, Stack *stack)
{
    stack_stop(stack);
    watched_close(watched);
}

static const char *body_of(Stack *stack, const char *version, const char *strategy)
{
    return rollout_body(stack, API, version,
                        stack_print(stack, ROLLOUT_WEST ", \"rollout_strategy\": \"%s\"", strategy));
}

/* A worker again, with another setting. */
static void restart_with(Stack *stack, Kind kind, const char *name, const char *value)
{
    cr_assert_eq(stack_kill(stack, kind, 0, SIGTERM), 0);
    words_add(&stack_process(stack, kind, 0)->environment, "%s=%s", name, value);
    stack_begin(stack, kind, 0);
}

/* --- the truth -----------------------------------------------------------------------------------------------------
 */

/* A version's own count, read again and again: each count was true at a moment from before_ms to after_ms. */
typedef struct {
    int64_t before_ms;
    int64_t after_ms;
    double requests;
} Poll;

typedef struct {
    const Watched *watched;
    const char *version;
    pthread_t thread;
    atomic_bool closing;
    size_t count;
    Poll polls[POLLS_MAX];
} Truth;

static void *truth_run(void *context)
{
    Truth *truth = context;
    while (!atomic_load(&truth->closing) && truth->count < POLLS_MAX) {
        Poll *poll = &truth->polls[truth->count];
        poll->before_ms = clock_unix_ms();
        poll->requests = watched_own(truth->watched, truth->version, "http_requests_total");
        poll->requests = poll->requests < 0 ? 0 : poll->requests;
        poll->after_ms = clock_unix_ms();
        truth->count++;
        clock_pause(20);
    }
    return NULL;
}

static Truth *truth_begin(const Watched *watched, const char *version)
{
    Truth *truth = calloc(1, sizeof *truth);
    cr_assert_not_null(truth);
    *truth = (Truth){.watched = watched, .version = version};
    pthread_create(&truth->thread, NULL, truth_run, truth);
    return truth;
}

static void truth_end(Truth *truth)
{
    atomic_store(&truth->closing, true);
    pthread_join(truth->thread, NULL);
    cr_assert_lt(truth->count, POLLS_MAX);
}

/* The count was at least this when the scrape began, and at most that when it ended. */
static double truth_least(const Truth *truth, int64_t at_ms)
{
    double least = 0;
    for (size_t i = 0; i < truth->count && truth->polls[i].after_ms < at_ms; i++) {
        least = truth->polls[i].requests;
    }
    return least;
}

static double truth_most(const Truth *truth, int64_t at_ms)
{
    for (size_t i = 0; i < truth->count; i++) {
        if (truth->polls[i].before_ms > at_ms) {
            return truth->polls[i].requests;
        }
    }
    return truth->polls[truth->count - 1].requests;
}

typedef struct {
    double told; /* what Prometheus has */
    double least;
    double most;
} Scraped;

/* What Prometheus has of a version: a metric of it, with a function's name in front or none, as it was at a time. */
static double told(const Watched *watched, const char *version, const char *function, const char *metric,
                   const char *time)
{
    char query[200];
    snprintf(query, sizeof query, "%s(%s{instance=\"127.0.0.1:%d\"})", function, metric,
             watched_version((Watched *)(uintptr_t)watched, version)->port);
    return watched_ask(watched, query, time);
}

/* What the last scrape before a time found, and what it may have found by the version's own counting. */
static Scraped scraped_at(const Truth *truth, const char *time)
{
    static const int64_t rounding_ms = 5;
    int64_t at_ms = (int64_t)(1000 * told(truth->watched, truth->version, "timestamp", COUNT, time));
    int64_t took_ms = (int64_t)(1000 * told(truth->watched, truth->version, "", "scrape_duration_seconds", time));
    cr_assert(at_ms > 0 && took_ms >= 0, "no scrape of %s before %s", truth->version, time);
    return (Scraped){told(truth->watched, truth->version, "", COUNT, time), truth_least(truth, at_ms - rounding_ms),
                     truth_most(truth, at_ms + took_ms + rounding_ms)};
}

static void read_window(const json_t *event, char from[32], char to[32])
{
    const char *query = json_text(event, "query");
    const char *window = strstr(query, "; from ");
    cr_assert(window && sscanf(window, "; from %31s to %31s by", from, to) == 2, "%s", query);
}

/* The event's count is what Prometheus has, and that is what the version counted itself, scrape for scrape. */
static void check_counts(const Truth *truth, const json_t *event)
{
    char from[32] = "";
    char to[32] = "";
    read_window(event, from, to);
    Scraped begin = scraped_at(truth, from);
    Scraped end = scraped_at(truth, to);
    double counted = json_number(event, "canary.requests");
    cr_assert_eq(counted, end.told - begin.told, "%g, and Prometheus has %g to %g", counted, begin.told, end.told);
    cr_assert(counted >= end.least - begin.most && counted <= end.most - begin.least,
              "%s: %g counted, %g to %g by its own", json_text(event, "stage"), counted, end.least - begin.most,
              end.most - begin.least);
    cr_log_info("%s: %g requests, by its own %g to %g", json_text(event, "stage"), counted, end.least - begin.most,
                end.most - begin.least);
}

/* --- good and bad --------------------------------------------------------------------------------------------------
 */

Test(health_prometheus, a_good_version_goes_through_all_stages_on_true_counts)
{
    if (!watched_is_possible()) {
        cr_skip("HAProxy or Prometheus is not installed");
    }
    Watched *watched = watched_open((const char *const[]){"v1", "v2", NULL});
    Stack *stack = scene_begin(watched);
    Truth *truth = truth_begin(watched, "v2");
    const char *id = rollout_begin(stack, body_of(stack, "v2", "canary"));
    static const char *const stages[] = {"canary", "staging", "prod"};
    for (size_t i = 0; i < 3; i++) {
        rollout_wait(stack, id, "stage_passed", NULL, stages[i]);
    }
    rollout_end_as(stack, id, "SUCCESS");
    truth_end(truth);
    for (size_t i = 0; i < 3; i++) {
        json_t *event = rollout_wait(stack, id, "stage_passed", NULL, stages[i]);
        check_counts(truth, event);
        cr_assert_geq(json_number(event, "canary.requests"), 299);
        cr_assert_eq(json_number(event, "canary.errors"), 0);
        cr_assert_eq(json_number(event, "verdict.findings.1.total"), json_number(event, "canary.requests"));
        bool compared = json_number(event, "baseline.requests") > 0;
        cr_assert_eq(compared, i < 2, "v1 is the baseline until it has no traffic");
    }
    cr_assert_eq(atomic_load(&watched->lost), 0, "%lu requests were lost", atomic_load(&watched->lost));
    free(truth);
    scene_end(watched, stack);
}

/* Its counters begin again at zero; what they had before is counted as far as it was scraped. */
Test(health_prometheus, a_version_that_is_restarted_in_mid_stage_is_counted_on)
{
    if (!watched_is_possible()) {
        cr_skip("HAProxy or Prometheus is not installed");
    }
    Watched *watched = watched_open((const char *const[]){"v1", "v2", NULL});
    Stack *stack = scene_begin(watched);
    const char *id = rollout_begin(stack, body_of(stack, "v2", "canary"));
    rollout_wait(stack, id, "observing", NULL, "canary");
    WatchedVersion *version = watched_version(watched, "v2");
    double seen = told(watched, "v2", "", COUNT, NULL);
    WAIT_UNTIL(told(watched, "v2", "", COUNT, NULL) > seen);
    cr_assert_eq(process_stop(&version->process, SIGKILL), 128 + SIGKILL);
    double before = watched_ask(
        watched, stack_print(stack, "max_over_time(" COUNT "{instance=\"127.0.0.1:%d\"}[30s])", version->port), NULL);
    process_start(&version->process);
    cr_assert(process_wait_for_line(&version->process, "tai-demo ready", PATIENCE_MS));
    json_t *event = rollout_wait(stack, id, "stage_passed", NULL, "canary");
    char from[32] = "";
    char to[32] = "";
    read_window(event, from, to);
    double begin = told(watched, "v2", "", COUNT, from);
    double after = told(watched, "v2", "", COUNT, to);
    double counted = json_number(event, "canary.requests");
    cr_log_info("%g requests: %g to %g before the restart, %g after it", counted, begin, before, after);
    cr_assert(before > begin && begin >= 0 && after > 0);
    cr_assert(counted >= after && counted <= before - begin + after);
    cr_assert_eq(json_number(event, "verdict.findings.1.total"), counted, "buckets are followed like counters");
    rollout_end_as(stack, id, "SUCCESS");
    scene_end(watched, stack);
}

static bool has_no_traffic(Watched *watched, const char *version)
{
    double before = watched_own(watched, version, "http_requests_total");
    unsigned long answered = atomic_load(&watched->answered);
    WAIT_UNTIL(atomic_load(&watched->answered) >= answered + 200);
    return watched_own(watched, version, "http_requests_total") == before;
}

/* Goes back in its first stage, with an explained verdict, and v1 has all the traffic again. The event. */
static json_t *check_goes_back(Watched *watched, Stack *stack, const char *version, const char *gate)
{
    const char *id = rollout_begin(stack, body_of(stack, version, "canary"));
    json_t *outcome = rollout_end_as(stack, id, "ROLLED_BACK");
    cr_assert(strstr(json_text(outcome, "error_message"), gate), "%s", json_text(outcome, "error_message"));
    json_t *event = rollout_wait(stack, id, "rollback_begun", NULL, "canary");
    cr_assert_str_eq(json_text(event, "cause"), "health");
    cr_assert_str_eq(json_text(event, "verdict.verdict"), "fail");
    cr_assert_str_eq(json_text(event, "verdict.worst"), gate);
    const char *query = json_text(event, "query");
    cr_assert(strstr(query, "requests: sum by") && strstr(query, "errors: sum by") && strstr(query, "latency: sum by"),
              "%s", query);
    WAIT_UNTIL(has_no_traffic(watched, version));
    WAIT_UNTIL(rollout_alerts(stack, "automatic_rollback", "CRITICAL", version) == 1);
    return event;
}

static void check_bounds(const json_t *finding)
{
    cr_assert_gt(json_number(finding, "lower"), json_number(finding, "limit"), "beyond doubt");
    cr_assert_gt(json_number(finding, "upper"), json_number(finding, "share"));
    cr_assert_gt(json_number(finding, "share"), json_number(finding, "lower"));
}

Test(health_prometheus, a_version_that_fails_and_one_that_is_slow_go_back_by_themselves_and_say_on_what_evidence)
{
    if (!watched_is_possible()) {
        cr_skip("HAProxy or Prometheus is not installed");
    }
    Watched *watched =
        watched_open((const char *const[]){"v1", "v2 --fail-every 4", "v3 --slow-every 4 --slow-ms 150", NULL});
    Stack *stack = scene_begin(watched);

    json_t *event = check_goes_back(watched, stack, "v2", "error_rate");
    double requests = json_number(event, "canary.requests");
    double errors = json_number(event, "canary.errors");
    cr_assert(errors > 0 && errors >= requests / 4 - 1 && errors <= requests / 4 + 1, "every fourth of %g: %g",
              requests, errors);
    cr_assert_eq(json_number(event, "verdict.findings.0.bad"), errors);
    cr_assert_eq(json_number(event, "verdict.findings.0.total"), requests);
    check_bounds(json_at(event, "verdict.findings.0"));

    event = check_goes_back(watched, stack, "v3", "p99_latency");
    cr_assert_eq(json_number(event, "canary.errors"), 0);
    cr_assert_gt(json_number(event, "verdict.findings.1.bad"), 0);
    check_bounds(json_at(event, "verdict.findings.1"));
    scene_end(watched, stack);
}

/* --- what cannot be told -------------------------------------------------------------------------------------------
 */

/* Extends as far as it may, then pauses and calls somebody; nothing of it is a pass. Ends it. */
static void check_inconclusive(Stack *stack, const char *version, const char *why, size_t alerts)
{
    const char *id = rollout_begin(stack, body_of(stack, version, "quick"));
    json_t *paused = rollout_wait(stack, id, "paused", NULL, "canary");
    cr_assert_str_eq(json_text(paused, "who"), "judge");
    cr_assert(strstr(json_text(paused, "why"), why), "%s: %s", why, json_text(paused, "why"));
    json_t *extended = rollout_wait(stack, id, "extended", NULL, "canary");
    cr_assert(strstr(json_text(extended, "why"), why), "%s: %s", why, json_text(extended, "why"));
    cr_assert(strstr(json_text(extended, "query"), "; from "), "%s", json_text(extended, "query"));
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, NULL), 0);
    WAIT_UNTIL(rollout_alerts(stack, "rollout_paused", "HIGH", why) == alerts);
    rollout_order(stack, id, "abort", "alice", "nobody can tell");
    rollout_end_as(stack, id, "ABORTED");
}

Test(health_prometheus, missing_series_nan_and_errors_are_told_apart_and_none_is_ever_a_pass)
{
    static const struct {
        const char *setting;
        const char *value;
        const char *version;
        const char *why;
    } cases[] = {
        {"REQUESTS", "sum by (version) (no_such_metric)", "v2", "requests: no series for version v2"},
        {"REQUESTS", "http_requests_total{service=\"{service}\"}", "v3", "requests: no series for version v3"},
        {"REQUESTS", "sum by (version, instance) (http_requests_total) * 0 / 0", "v2",
         "requests: no finite number (NaN) for version v2"},
        {"REQUESTS", "http_requests_total{", "v2", "requests: health source answers 400: "},
        {"REQUESTS", "sum by (version, instance) (http_requests_total)", "v2", NULL},
        {"ERRORS", "sum by (version, instance) (http_requests_total{code=~\"5..\"})", "v2",
         "errors: no series for version v2"},
        {"ERRORS", "0 * sum by (version, instance) (http_requests_total)", "v2", NULL},
        {"LATENCY", "no_such_histogram", "v2", "no latencies (0 of 0); latency: no series for version v2"},
        {"LATENCY", "http_request_duration_seconds_count", "v2", "latency: no histogram with buckets up to +Inf"},
    };
    if (!watched_is_possible()) {
        cr_skip("HAProxy or Prometheus is not installed");
    }
    Watched *watched = watched_open((const char *const[]){"v1", "v2", "unseen v3", NULL});
    Stack *stack = scene_begin(watched);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        restart_with(stack, STACK_ROLLOUT, stack_print(stack, "TAI_ROLLOUT_PROMETHEUS_%s", cases[i].setting),
                     cases[i].value);
        if (cases[i].why) {
            check_inconclusive(stack, cases[i].version, cases[i].why, 1);
        }
    }
    scene_end(watched, stack);
}

/* Without a source nothing begins, and what has begun waits for somebody. */
Test(health_prometheus, while_prometheus_is_down_nothing_passes_and_nothing_begins)
{
    if (!watched_is_possible()) {
        cr_skip("HAProxy or Prometheus is not installed");
    }
    Watched *watched = watched_open((const char *const[]){"v1", "v2", NULL});
    Stack *stack = scene_begin(watched);
    const char *id = rollout_begin(stack, body_of(stack, "v2", "calm"));
    rollout_wait(stack, id, "observing", NULL, "canary");
    process_stop(&watched->prometheus, SIGKILL);
    json_t *paused = rollout_wait(stack, id, "paused", NULL, "canary");
    cr_assert_str_eq(json_text(paused, "who"), "judge");
    cr_assert(strstr(json_text(paused, "why"), "health source: "), "%s", json_text(paused, "why"));
    cr_assert_geq(rollout_count(stack, id, "extended", NULL, "canary"), 1);
    WAIT_UNTIL(rollout_alerts(stack, "rollout_paused", "HIGH", "health source: ") == 1);
    rollout_order(stack, id, "abort", "alice", "nobody can tell");
    rollout_end_as(stack, id, "ABORTED");

    Answer answer = rollout_post(stack, body_of(stack, "v2", "canary"));
    cr_assert_eq(answer.status, 403, "%s", answer.body);
    cr_assert(strstr(json_text(answer.json, "error_message"), "region_unreadable"), "%s", answer.body);
    process_start(&watched->prometheus);
    cr_assert(process_wait_for_line(&watched->prometheus, "Server is ready", PATIENCE_MS));
    scene_end(watched, stack);
}

Test(health_prometheus, on_top_of_a_version_that_does_badly_nothing_is_deployed)
{
    if (!watched_is_possible()) {
        cr_skip("HAProxy or Prometheus is not installed");
    }
    Watched *watched = watched_open((const char *const[]){"v1 --fail-every 3", "v2", NULL});
    Stack *stack = scene_begin(watched);
    WAIT_UNTIL(watched_ask(watched, "sum(http_requests_total{code=\"500\"})", NULL) > 100);
    Answer answer = rollout_post(stack, body_of(stack, "v2", "canary"));
    cr_assert_eq(answer.status, 403, "%s", answer.body);
    cr_assert(strstr(json_text(answer.json, "error_message"), "unhealthy"), "%s", answer.body);

    restart_with(stack, STACK_POLICY, "TAI_POLICY_PROMETHEUS_ERRORS", "http_requests_total * 0 / 0");
    answer = rollout_post(stack, body_of(stack, "v2", "canary"));
    cr_assert_eq(answer.status, 403, "%s", answer.body);
    cr_assert(strstr(json_text(answer.json, "error_message"), "region_unreadable"), "NaN tells nothing: %s",
              answer.body);

    restart_with(stack, STACK_POLICY, "TAI_POLICY_PROMETHEUS_REQUESTS", "no_such_metric");
    const char *id = rollout_begin(stack, body_of(stack, "v2", "canary"));
    rollout_wait(stack, id, "verified", NULL, "canary"); /* a version that tells nothing is not held against */
    rollout_order(stack, id, "abort", "alice", "seen enough");
    rollout_end_as(stack, id, "ABORTED");
    scene_end(watched, stack);
}

/* HAProxy starts with what stands in its file, whatever was set since. */
Test(health_prometheus, what_haproxy_forgot_is_set_anew_before_the_stage_is_judged)
{
    if (!watched_is_possible()) {
        cr_skip("HAProxy or Prometheus is not installed");
    }
    Watched *watched = watched_open((const char *const[]){"v1", "v2", NULL});
    Stack *stack = scene_begin(watched);
    const char *id = rollout_begin(stack, body_of(stack, "v2", "canary"));
    rollout_wait(stack, id, "observing", NULL, "staging");
    process_stop(&watched->haproxy, SIGTERM);
    process_start(&watched->haproxy);
    json_t *found = rollout_wait(stack, id, "try_failed", NULL, "staging");
    cr_assert_str_eq(json_text(found, "why"), "was set 50 %, is 0 % by now");
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(rollout_count(stack, id, "observing", NULL, "staging"), 2);
    cr_assert_eq(rollout_count(stack, id, "stage_passed", NULL, "staging"), 1);
    scene_end(watched, stack);
}
