/* health - counts of a canary and its baseline over a window.
 *
 * sandbox     GET <url>/cluster/<region>/services/<service>/health?since=&until=
 * prometheus  counters, read at both ends of the window and subtracted: raw counts, where increase() would extrapolate.
 *             Templates name {service} and {region}; the answer's label "version" tells canary from baseline.
 * No series, NaN and a source that does not answer are told apart; none of them is ever a pass. */
#include "workers/rollout/health.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/json.h"
#include "shared/wire/prometheus.h"

#define HEALTH_TIMEOUT_MS 5000
#define QUERY_MAX 1024
#define QUERIES 3 /* requests, errors, latency */
#define ENDS 2    /* of the window: since, until */

typedef struct Asking Asking;

typedef struct {
    Asking *asking;
    int query;
    int end;
} AskedCall;

struct Asking {
    Arena *arena;
    HealthWindow window;
    HealthCallback *callback;
    void *context;
    HealthAnswer answer;
    int outstanding;
    bool failed; /* why is in the answer */
    AskedCall calls[QUERIES * ENDS];
    PrometheusSample *samples[QUERIES][ENDS];
    size_t counts[QUERIES][ENDS];
};

Err health_settings_check(const RolloutSettings *settings)
{
    Str health = str_from(settings->health);
    if (!str_equal(health, STR("sandbox")) && !str_equal(health, STR("prometheus"))) {
        return err_reject("rollout.health: must be sandbox or prometheus");
    }
    return err_none();
}

static void asking_fail(Asking *asking, const char *format, ...) PRINTF_LIKE(2, 3);
static void asking_fail(Asking *asking, const char *format, ...)
{
    if (asking->failed) {
        return; /* the first reason is told */
    }
    va_list arguments;
    va_start(arguments, format);
    Buffer why = buffer_over(asking->answer.why, sizeof(asking->answer.why));
    buffer_vprint(&why, format, arguments);
    va_end(arguments);
    asking->failed = true;
}

static void asking_done(Asking *asking)
{
    if (asking->failed) {
        asking->answer.have_canary = false;
        asking->answer.have_baseline = false;
    }
    asking->callback(asking->context, &asking->answer);
}

/* False, with the reason noted, where there is no good answer. */
static bool call_succeeded(Asking *asking, const HttpResult *result)
{
    if (result->kind != HTTP_ANSWERED) {
        asking_fail(asking, "health source: %.100s", result->why);
    } else if (result->status != 200) {
        asking_fail(asking, "health source answers %d", result->status);
    }
    return !asking->failed;
}

/* --- sandbox -------------------------------------------------------------------------------------------------------
 */

static bool member_count(Str body, const char *who, const char *member, uint64_t *count)
{
    char path[64];
    Buffer text = buffer_over(path, sizeof(path));
    buffer_print(&text, "%s.%s", who, member);
    return str_to_uint64(json_find_raw(body, buffer_str(&text)), count);
}

static bool sandbox_counts(Str body, const char *who, JudgeCounts *counts)
{
    if (!member_count(body, who, "requests", &counts->requests) ||
        !member_count(body, who, "errors", &counts->errors)) {
        return false;
    }
    for (int i = 0; i <= JUDGE_LATENCY_BUCKETS; i++) {
        char member[32];
        Buffer text = buffer_over(member, sizeof(member));
        if (i < JUDGE_LATENCY_BUCKETS) {
            buffer_print(&text, "latency_ms.%" PRId64, judge_latency_bounds_ms[i]);
        } else {
            buffer_append(&text, STR("latency_ms.inf"));
        }
        if (!member_count(body, who, member, &counts->latency[i])) {
            return false;
        }
    }
    return true;
}

static void sandbox_answered(void *context, const HttpResult *result)
{
    Asking *asking = context;
    if (call_succeeded(asking, result)) {
        asking->answer.have_canary = sandbox_counts(result->body, "canary", &asking->answer.canary);
        asking->answer.have_baseline =
            asking->window.baseline.length != 0 && sandbox_counts(result->body, "baseline", &asking->answer.baseline);
        if (!asking->answer.have_canary) {
            asking_fail(asking, "health source: no counts of the canary");
        }
    }
    asking_done(asking);
}

static void sandbox_ask(Rollouts *rollouts, Asking *asking)
{
    const HealthWindow *window = &asking->window;
    Str url = arena_print(asking->arena,
                          "%s/cluster/" STR_FMT "/services/" STR_FMT "/health?since=%" PRId64 "&until=%" PRId64,
                          rollouts->settings.health_url, STR_ARG(window->region), STR_ARG(window->service),
                          window->since_ms, window->until_ms);
    asking->answer.query = url;
    http_send(rollouts->http, &(HttpRequest){.method = STR("GET"), .url = url, .timeout_ms = HEALTH_TIMEOUT_MS},
              sandbox_answered, asking);
}

/* --- Prometheus ----------------------------------------------------------------------------------------------------
 */

static Str template_fill(Arena *arena, const char *template, const HealthWindow *window)
{
    Buffer out = arena_buffer(arena, QUERY_MAX);
    for (const char *c = template; *c != '\0';) {
        if (strncmp(c, "{service}", 9) == 0) {
            buffer_append(&out, window->service);
            c += 9;
        } else if (strncmp(c, "{region}", 8) == 0) {
            buffer_append(&out, window->region);
            c += 8;
        } else {
            buffer_append_char(&out, *c++);
        }
    }
    return buffer_str(&out);
}

/* The value of one version's series; a bucket's when `le` is given. False: no such series. */
static bool sample_find(const Asking *asking, int query, int end, Str version, Str le, double *value)
{
    for (size_t i = 0; i < asking->counts[query][end]; i++) {
        const PrometheusSample *sample = &asking->samples[query][end][i];
        if (str_equal(sample->version, version) && str_equal(sample->le, le)) {
            *value = sample->value;
            return true;
        }
    }
    return false;
}

/* How much a counter grew over the window. A counter that fell was reset: it counts from zero. A series that was not
 * there at the beginning began at zero. */
static bool counter_growth(const Asking *asking, int query, Str version, Str le, uint64_t *growth)
{
    double until = 0;
    double since = 0;
    if (!sample_find(asking, query, 1, version, le, &until) || !isfinite(until) || until < 0) {
        return false;
    }
    if (sample_find(asking, query, 0, version, le, &since)) {
        if (!isfinite(since)) {
            return false;
        }
        since = since > until ? 0 : since;
    }
    *growth = (uint64_t)llround(until - since);
    return true;
}

/* Whether a series is there at the window's end at all, whatever its value. */
static bool series_stands(const Asking *asking, int query, Str version)
{
    double value = 0;
    return sample_find(asking, query, 1, version, (Str){0}, &value);
}

static int bucket_for_ms(double le_ms)
{
    for (int i = 0; i < JUDGE_LATENCY_BUCKETS; i++) {
        if (le_ms <= (double)judge_latency_bounds_ms[i] + 1e-6) {
            return i;
        }
    }
    return JUDGE_LATENCY_BUCKETS;
}

/* Cumulative buckets become counts of our own; one that lies between two of our bounds counts as the slower. */
static void prometheus_latency(const Asking *asking, Str version, JudgeCounts *counts)
{
    for (size_t i = 0; i < asking->counts[2][1]; i++) {
        const PrometheusSample *sample = &asking->samples[2][1][i];
        uint64_t below = 0;
        uint64_t growth = 0;
        double bound = strtod(sample->le.data != NULL ? sample->le.data : "", NULL);
        if (!str_equal(sample->version, version) || !counter_growth(asking, 2, version, sample->le, &growth)) {
            continue;
        }
        for (size_t j = 0; j < asking->counts[2][1]; j++) { /* the next smaller bucket of this version */
            const PrometheusSample *other = &asking->samples[2][1][j];
            uint64_t smaller = 0;
            if (str_equal(other->version, version) && strtod(other->le.data, NULL) < bound &&
                counter_growth(asking, 2, version, other->le, &smaller) && smaller > below) {
                below = smaller;
            }
        }
        counts->latency[bucket_for_ms(bound * 1000.0)] += growth > below ? growth - below : 0;
    }
}

static bool prometheus_counts(const Asking *asking, Str version, JudgeCounts *counts)
{
    if (!counter_growth(asking, 0, version, (Str){0}, &counts->requests)) {
        return false;
    }
    if (!series_stands(asking, 1, version)) {
        counts->errors = 0; /* no error was ever counted: the series is not there yet */
    } else if (!counter_growth(asking, 1, version, (Str){0}, &counts->errors)) {
        return false; /* it is there and is no number: never a pass */
    }
    prometheus_latency(asking, version, counts);
    return true;
}

static const char *prometheus_missing(const Asking *asking)
{
    return series_stands(asking, 0, asking->window.version) ? "no finite number (NaN)" : "no series";
}

static void prometheus_finish(Asking *asking)
{
    HealthAnswer *answer = &asking->answer;
    if (!asking->failed) {
        answer->have_canary = prometheus_counts(asking, asking->window.version, &answer->canary);
        answer->have_baseline = asking->window.baseline.length != 0 &&
                                prometheus_counts(asking, asking->window.baseline, &answer->baseline);
        if (!answer->have_canary) {
            asking_fail(asking, "%s for version " STR_FMT, prometheus_missing(asking),
                        STR_ARG(str_slice(asking->window.version, 0, 60)));
        }
    }
    asking_done(asking);
}

static void prometheus_answered(void *context, const HttpResult *result)
{
    const AskedCall *call = context;
    Asking *asking = call->asking;
    if (call_succeeded(asking, result)) {
        Err err = wire_read_prometheus_vector(asking->arena, result->body, &asking->samples[call->query][call->end],
                                              &asking->counts[call->query][call->end]);
        if (err_is(err)) {
            asking_fail(asking, "%.120s", err.why);
        }
    }
    if (--asking->outstanding == 0) {
        prometheus_finish(asking);
    }
}

static void prometheus_ask(Rollouts *rollouts, Asking *asking)
{
    const RolloutSettings *settings = &rollouts->settings;
    const char *const templates[QUERIES] = {settings->prometheus_requests, settings->prometheus_errors,
                                            settings->prometheus_latency};
    const int64_t times_ms[ENDS] = {asking->window.since_ms, asking->window.until_ms};
    asking->outstanding = QUERIES * ENDS;
    for (int query = 0; query < QUERIES; query++) {
        Str text = template_fill(asking->arena, templates[query], &asking->window);
        if (query == 0) {
            asking->answer.query = text;
        }
        for (int end = 0; end < ENDS; end++) {
            AskedCall *call = &asking->calls[query * ENDS + end];
            *call = (AskedCall){asking, query, end};
            Buffer form = arena_buffer(asking->arena, (size_t)4 * QUERY_MAX);
            http_form_append(&form, STR("query"), text);
            Str time_text =
                arena_print(asking->arena, "%" PRId64 ".%03" PRId64, times_ms[end] / 1000, times_ms[end] % 1000);
            http_form_append(&form, STR("time"), time_text);
            Str url = arena_print(asking->arena, "%s/api/v1/query?" STR_FMT, settings->health_url,
                                  STR_ARG(buffer_str(&form)));
            http_send(rollouts->http, &(HttpRequest){.method = STR("GET"), .url = url, .timeout_ms = HEALTH_TIMEOUT_MS},
                      prometheus_answered, call);
        }
    }
}

void health_ask(Rollouts *rollouts, Arena *arena, const HealthWindow *window, HealthCallback *callback, void *context)
{
    Asking *asking = arena_alloc(arena, sizeof(*asking));
    asking->arena = arena;
    asking->window = *window;
    asking->callback = callback;
    asking->context = context;
    if (str_equal(str_from(rollouts->settings.health), STR("prometheus"))) {
        prometheus_ask(rollouts, asking);
    } else {
        sandbox_ask(rollouts, asking);
    }
}
