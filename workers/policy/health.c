/* health - how the version does that runs in a region now.
 *
 * sandbox     GET <url>/cluster/<region>/services/<service>/health?since=&until=
 * prometheus  the four range queries of workers/rollout/prometheus.c, over the last minute */
#include "workers/policy/health.h"

#include <inttypes.h>

#include "shared/base/json.h"

#define HEALTH_TIMEOUT_MS 5000
#define HEALTH_WINDOW_MS 60000
#define STEPS 3
/* Of the task's arena, for the series of all answers together. */
#define SERIES_BYTES (512 * 1024)
#define FORM_MAX_BYTES 8192

static bool is_prometheus(const Policy *policy)
{
    return str_equal(str_from(policy->settings.health), STR("prometheus"));
}

/* Of the sandbox only its own regions have a cluster that can be asked. */
bool health_is_told(const Policy *policy, Str region)
{
    const DeploymentRegionPolicy *known = deployment_policy_region(document_policy(policy->deployment), region);
    return policy->settings.health_url[0] != '\0' &&
           (is_prometheus(policy) || (known != NULL && str_equal(str_from(known->driver), STR("sandbox"))));
}

static void call_source(Task *task, Str url, int tag, Health *health)
{
    health->outstanding++;
    task_call(task, tag, &(HttpRequest){.method = STR("GET"), .url = url, .timeout_ms = HEALTH_TIMEOUT_MS});
}

/* --- sandbox -------------------------------------------------------------------------------------------------------
 */

static void sandbox_ask(Task *task, const Policy *policy, const DeploymentSignal *signal, size_t at, int tag,
                        Health *health)
{
    Str url =
        arena_print(&task->arena, "%s/cluster/" STR_FMT "/services/" STR_FMT "/health?since=%" PRId64 "&until=%" PRId64,
                    policy->settings.health_url, STR_ARG(signal->regions[at]), STR_ARG(signal->service),
                    task->unix_ms - HEALTH_WINDOW_MS, task->unix_ms);
    call_source(task, url, tag, health);
}

static bool member_is(Str body, const char *member, Str text)
{
    Str raw = json_find_raw(body, str_from(member));
    return raw.length >= 2 && str_equal(str_slice(raw, 1, raw.length - 1), text);
}

static void read_count(Arena *arena, Str body, const char *who, Str member, uint64_t *count)
{
    Str path = arena_print(arena, "%s." STR_FMT, who, STR_ARG(member));
    if (!str_to_uint64(json_find_raw(body, path), count)) {
        *count = 0;
    }
}

/* Counts of the version that runs: it is the last one that got weight, or the one beside it. No counts: no traffic. */
static JudgeCounts sandbox_counts(Arena *arena, Str body, Str version)
{
    JudgeCounts counts = {0};
    const char *who = member_is(body, "version", version)          ? "canary"
                      : member_is(body, "stable_version", version) ? "baseline"
                                                                   : NULL;
    if (who == NULL) {
        return counts;
    }
    read_count(arena, body, who, STR("requests"), &counts.requests);
    read_count(arena, body, who, STR("errors"), &counts.errors);
    for (int i = 0; i < JUDGE_LATENCY_BUCKETS; i++) {
        read_count(arena, body, who, arena_print(arena, "latency_ms.%" PRId64, judge_latency_bounds_ms[i]),
                   &counts.latency[i]);
    }
    read_count(arena, body, who, STR("latency_ms.inf"), &counts.latency[JUDGE_LATENCY_BUCKETS]);
    return counts;
}

/* --- Prometheus ----------------------------------------------------------------------------------------------------
 */

static void prometheus_call(Task *task, const PolicySettings *settings, Str query, int tag, Health *health)
{
    char memory[FORM_MAX_BYTES];
    Buffer form = buffer_over(memory, sizeof(memory));
    Arena *arena = &task->arena;
    const CountingRange *range = &health->asked.range;
    http_form_append(&form, STR("query"), query);
    http_form_append(&form, STR("start"), wire_print_prometheus_seconds(arena, range->start_ms));
    http_form_append(&form, STR("end"), wire_print_prometheus_seconds(arena, counting_end_ms(range)));
    http_form_append(&form, STR("step"), wire_print_prometheus_seconds(arena, range->step_ms));
    call_source(task,
                arena_print(arena, "%s/api/v1/query_range?" STR_FMT, settings->health_url, STR_ARG(buffer_str(&form))),
                tag, health);
}

static void prometheus_ask(Task *task, const Policy *policy, const DeploymentSignal *signal, size_t at, int tag,
                           Health *health)
{
    const PolicySettings *settings = &policy->settings;
    const char *const templates[COUNTING_QUERIES] = {settings->prometheus_requests, settings->prometheus_errors,
                                                     settings->prometheus_latency, settings->prometheus_started};
    CountingRange range = counting_range(task->unix_ms - HEALTH_WINDOW_MS, task->unix_ms, STEPS);
    size_t series_bytes = sizeof(CountingSeries) + (size_t)range.points * sizeof(double);
    health->asked = (PrometheusAsked){
        .range = range,
        .versions = {health->version},
        .series_max = SERIES_BYTES / series_bytes / COUNTING_QUERIES / signal->region_count,
    };
    int end = settings->prometheus_started[0] != '\0' ? COUNTING_QUERIES : COUNTING_STARTED;
    for (int query = 0; query < end; query++) {
        Str text = wire_print_prometheus_query(&task->arena, templates[query], signal->service, signal->regions[at]);
        prometheus_call(task, settings, text, tag + query, health);
    }
}

static Err prometheus_unknown(CountingQuery query, CountingState state)
{
    return err_retry("health source: %s: %s", counting_query_name(query), counting_state_name(state));
}

/* Requests tell whether there is anything; what they had of errors must be told then. Without latency the rest is
 * judged. */
static JudgeCounts prometheus_counts(Task *task, Health *health)
{
    CountingResult result = counting_count(&health->asked.range, health->tables, 0, &task->arena);
    CountingState requests = result.states[COUNTING_REQUESTS];
    CountingState errors = result.states[COUNTING_ERRORS];
    if (requests == COUNTING_NO_NUMBER) {
        health->unknown = prometheus_unknown(COUNTING_REQUESTS, requests);
    } else if (requests == COUNTING_COUNTED && errors != COUNTING_COUNTED) {
        health->unknown = prometheus_unknown(COUNTING_ERRORS, errors);
    }
    return requests == COUNTING_COUNTED ? result.counts : (JudgeCounts){0};
}

/* --- both ----------------------------------------------------------------------------------------------------------
 */

int health_ask(Task *task, const Policy *policy, const DeploymentSignal *signal, size_t at, int tag, Health *health)
{
    if (is_prometheus(policy)) {
        prometheus_ask(task, policy, signal, at, tag, health);
    } else {
        sandbox_ask(task, policy, signal, at, tag, health);
    }
    return health->outstanding;
}

/* What was asked of Prometheus has points; of the sandbox it has none. */
static Err read_answer(Task *task, const HttpResult *answer, int call, Health *health, JudgeCounts *counts)
{
    bool from_prometheus = health->asked.range.points > 0;
    if (answer->kind != HTTP_ANSWERED) {
        return err_retry("health source: %s", answer->why);
    }
    if (answer->status == 404 && !from_prometheus) {
        return err_none(); /* a cluster that does not know the service */
    }
    if (answer->status != 200) {
        return err_retry("health source answers %d", answer->status);
    }
    if (from_prometheus) {
        return wire_read_prometheus_matrix(&task->arena, answer->body, &health->asked, &health->tables[call]);
    }
    *counts = sandbox_counts(&task->arena, answer->body, health->version);
    return err_none();
}

bool health_hear(Task *task, const DeploymentPolicy *rules, const HttpResult *answer, int call, Health *health)
{
    JudgeCounts counts = {0};
    Err err = read_answer(task, answer, call, health, &counts);
    health->unknown = err_is(health->unknown) ? health->unknown : err;
    if (--health->outstanding > 0) {
        return false;
    }
    if (!err_is(health->unknown) && health->asked.range.points > 0) {
        counts = prometheus_counts(task, health);
    }
    if (!err_is(health->unknown) && counts.errors > counts.requests) {
        health->unknown = err_retry("health source: more errors than requests");
    }
    health->healthy = judge_final(&rules->limits, &counts, NULL, 0).verdict != JUDGE_FAIL;
    return true;
}
