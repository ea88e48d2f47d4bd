/* health - counts of a canary and its baseline over a window, from whichever source is configured.
 *
 * sandbox     GET <url>/cluster/<region>/services/<service>/health?since=&until=
 * prometheus  prometheus.c */
#include "workers/rollout/health.h"

#include <inttypes.h>

#include "shared/base/json.h"

Err health_settings_check(const RolloutSettings *settings)
{
    Str health = str_from(settings->health);
    if (!str_equal(health, STR("sandbox")) && !str_equal(health, STR("prometheus"))) {
        return err_reject("rollout.health: must be sandbox or prometheus");
    }
    return err_none();
}

void health_fail(HealthAsking *asking, const char *format, ...)
{
    if (asking->failed) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    Buffer why = buffer_over(asking->answer.why, sizeof(asking->answer.why));
    buffer_vprint(&why, format, arguments);
    va_end(arguments);
    asking->failed = true;
}

void health_done(HealthAsking *asking)
{
    if (asking->failed) {
        asking->answer.have_canary = false;
        asking->answer.have_baseline = false;
    }
    asking->callback(asking->context, &asking->answer);
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
    HealthAsking *asking = context;
    HealthAnswer *answer = &asking->answer;
    if (result->kind != HTTP_ANSWERED) {
        health_fail(asking, "health source: %.100s", result->why);
    } else if (result->status != 200) {
        health_fail(asking, "health source answers %d", result->status);
    } else {
        answer->have_canary = sandbox_counts(result->body, "canary", &answer->canary);
        answer->have_baseline =
            asking->window.baseline.length != 0 && sandbox_counts(result->body, "baseline", &answer->baseline);
        if (!answer->have_canary) {
            health_fail(asking, "health source: no counts of the canary");
        }
    }
    health_done(asking);
}

static void sandbox_ask(HealthAsking *asking)
{
    const HealthWindow *window = &asking->window;
    Str url = arena_print(asking->arena,
                          "%s/cluster/" STR_FMT "/services/" STR_FMT "/health?since=%" PRId64 "&until=%" PRId64,
                          asking->rollouts->settings.health_url, STR_ARG(window->region), STR_ARG(window->service),
                          window->since_ms, window->until_ms);
    asking->answer.query = url;
    http_send(asking->rollouts->http, &(HttpRequest){.method = STR("GET"), .url = url, .timeout_ms = HEALTH_TIMEOUT_MS},
              sandbox_answered, asking);
}

void health_ask(Rollouts *rollouts, Arena *arena, const HealthWindow *window, HealthCallback *callback, void *context)
{
    HealthAsking *asking = arena_alloc(arena, sizeof(*asking));
    *asking = (HealthAsking){
        .rollouts = rollouts, .arena = arena, .window = *window, .callback = callback, .context = context};
    if (str_equal(str_from(rollouts->settings.health), STR("prometheus"))) {
        prometheus_ask(asking);
    } else {
        sandbox_ask(asking);
    }
}
