/* prometheus - a version's health by its counters in Prometheus.
 *
 * Four range queries over the window, of the same points in time: requests, errors, latency, and when processes began.
 * Templates name {service} and {region}; of the answers the label "version" tells canary from baseline and "instance"
 * one process from another. What the counters gained is counted here, by the rule of shared/deployment/counting.h: raw
 * counts, where increase() would extrapolate.
 * No series, NaN, and a source that does not answer or cannot evaluate a query are told apart; none is ever a pass.
 * That goes for the errors too: their query must say 0 where there were none ("… or 0 * …"), because a metric that does
 * not exist looks just like no errors. */
#include "shared/wire/prometheus.h"
#include "workers/rollout/health.h"

#define STEPS 10
#define SERIES_MAX 4096
#define ANSWER_MAX_BYTES (1024 * 1024)
#define FORM_MAX_BYTES 8192

typedef struct Prometheus Prometheus;

typedef struct {
    Prometheus *prometheus;
    CountingQuery query;
} Question;

struct Prometheus {
    HealthAsking *asking;
    PrometheusAsked asked;
    Str texts[COUNTING_QUERIES];
    Question questions[COUNTING_QUERIES];
    CountingTable tables[COUNTING_QUERIES];
    int outstanding;
};

static void finish_missing(HealthAsking *asking, CountingQuery query, CountingState state)
{
    health_fail(asking, "%s: %s for version " STR_FMT, counting_query_name(query), counting_state_name(state),
                STR_ARG(str_slice(asking->window.version, 0, 60)));
}

/* Without requests and errors there is nothing to be judged. Without latency there is something, but never a pass: the
 * judge finds no latencies, and is told why there are none. */
static void finish_canary(Prometheus *prometheus)
{
    HealthAsking *asking = prometheus->asking;
    CountingResult canary = counting_count(&prometheus->asked.range, prometheus->tables, 0, asking->arena);
    for (CountingQuery query = COUNTING_REQUESTS; query < COUNTING_STARTED; query++) {
        if (canary.states[query] != COUNTING_COUNTED) {
            finish_missing(asking, query, canary.states[query]);
        }
    }
    asking->failed =
        canary.states[COUNTING_REQUESTS] != COUNTING_COUNTED || canary.states[COUNTING_ERRORS] != COUNTING_COUNTED;
    asking->answer.have_canary = !asking->failed;
    asking->answer.canary = canary.counts;
}

/* A baseline of which something is missing is none: nothing is compared, and the judge says so. */
static void finish_baseline(Prometheus *prometheus)
{
    HealthAnswer *answer = &prometheus->asking->answer;
    CountingResult baseline =
        counting_count(&prometheus->asked.range, prometheus->tables, 1, prometheus->asking->arena);
    answer->have_baseline =
        baseline.states[COUNTING_REQUESTS] == COUNTING_COUNTED && baseline.states[COUNTING_ERRORS] == COUNTING_COUNTED;
    answer->baseline = baseline.counts;
}

static void answered(void *context, const HttpResult *result)
{
    const Question *question = context;
    Prometheus *prometheus = question->prometheus;
    HealthAsking *asking = prometheus->asking;
    const char *name = counting_query_name(question->query);
    if (result->kind != HTTP_ANSWERED) {
        health_fail(asking, "health source: %.100s", result->why);
    } else if (result->status != 200) {
        Str why = wire_read_prometheus_error(asking->arena, result->body);
        health_fail(asking, "%s: health source answers %d%s" STR_FMT, name, result->status, why.length > 0 ? ": " : "",
                    STR_ARG(why));
    } else {
        Err err = wire_read_prometheus_matrix(asking->arena, result->body, &prometheus->asked,
                                              &prometheus->tables[question->query]);
        if (err_is(err)) {
            health_fail(asking, "%s: %.120s", name, err.why);
        }
    }
    if (--prometheus->outstanding > 0) {
        return;
    }
    if (!asking->failed) {
        finish_baseline(prometheus);
        finish_canary(prometheus);
    }
    health_done(asking);
}

static void ask(Prometheus *prometheus, CountingQuery query)
{
    Arena *arena = prometheus->asking->arena;
    Rollouts *rollouts = prometheus->asking->rollouts;
    const CountingRange *range = &prometheus->asked.range;
    Question *question = &prometheus->questions[query];
    *question = (Question){prometheus, query};
    Buffer form = arena_buffer(arena, FORM_MAX_BYTES);
    http_form_append(&form, STR("query"), prometheus->texts[query]);
    http_form_append(&form, STR("start"), wire_print_prometheus_seconds(arena, range->start_ms));
    http_form_append(&form, STR("end"), wire_print_prometheus_seconds(arena, counting_end_ms(range)));
    http_form_append(&form, STR("step"), wire_print_prometheus_seconds(arena, range->step_ms));
    Str url =
        arena_print(arena, "%s/api/v1/query_range?" STR_FMT, rollouts->settings.health_url, STR_ARG(buffer_str(&form)));
    http_send(
        rollouts->http,
        &(HttpRequest){
            .method = STR("GET"), .url = url, .timeout_ms = HEALTH_TIMEOUT_MS, .response_max_bytes = ANSWER_MAX_BYTES},
        answered, question);
}

/* For the event: enough to ask the same again. */
static Str describe(const Prometheus *prometheus, Arena *arena)
{
    const CountingRange *range = &prometheus->asked.range;
    return arena_print(
        arena,
        "requests: " STR_FMT "; errors: " STR_FMT "; latency: " STR_FMT "; from " STR_FMT " to " STR_FMT " by " STR_FMT,
        STR_ARG(prometheus->texts[COUNTING_REQUESTS]), STR_ARG(prometheus->texts[COUNTING_ERRORS]),
        STR_ARG(prometheus->texts[COUNTING_LATENCY]), STR_ARG(wire_print_prometheus_seconds(arena, range->start_ms)),
        STR_ARG(wire_print_prometheus_seconds(arena, counting_end_ms(range))),
        STR_ARG(wire_print_prometheus_seconds(arena, range->step_ms)));
}

void prometheus_ask(HealthAsking *asking)
{
    const RolloutSettings *settings = &asking->rollouts->settings;
    const HealthWindow *window = &asking->window;
    const char *const templates[COUNTING_QUERIES] = {settings->prometheus_requests, settings->prometheus_errors,
                                                     settings->prometheus_latency, settings->prometheus_started};
    Prometheus *prometheus = arena_alloc(asking->arena, sizeof(*prometheus));
    CountingQuery end = settings->prometheus_started[0] != '\0' ? COUNTING_QUERIES : COUNTING_STARTED;
    prometheus->asking = asking;
    prometheus->outstanding = (int)end;
    prometheus->asked = (PrometheusAsked){
        .range = counting_range(window->since_ms, window->until_ms, STEPS),
        .versions = {window->version, window->baseline},
        .series_max = SERIES_MAX,
    };
    for (CountingQuery query = COUNTING_REQUESTS; query < COUNTING_QUERIES; query++) {
        prometheus->texts[query] =
            wire_print_prometheus_query(asking->arena, templates[query], window->service, window->region);
    }
    asking->answer.query = describe(prometheus, asking->arena);
    for (CountingQuery query = COUNTING_REQUESTS; query < end; query++) {
        ask(prometheus, query);
    }
}
