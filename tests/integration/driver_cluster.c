/* driver_cluster - the sandbox's cluster and registry: what health they show follows from the weights and the time. */
#include <string.h>

#include "tests/support/http.h"

#define ONLY_SANDBOX "nats redis gateway policy action metrics"
#define API "/cluster/west/services/api"

static Answer ask(Stack *stack, const char *method, const char *path, const char *body)
{
    return http_call(stack, (Call){.method = method, .path = path, .body = body, .to = STACK_SANDBOX});
}

static void put(Stack *stack, const char *path, const char *body)
{
    Answer answer = ask(stack, "PUT", path, body);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
}

static Answer health(Stack *stack, int64_t since_ms, int64_t until_ms)
{
    Answer answer =
        ask(stack, "GET",
            stack_print(stack, API "/health?since=%lld&until=%lld", (long long)since_ms, (long long)until_ms), NULL);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    return answer;
}

static double slower_than_1000(const Answer *answer)
{
    static const char *const buckets[] = {"canary.latency_ms.1500", "canary.latency_ms.2500", "canary.latency_ms.5000",
                                          "canary.latency_ms.inf"};
    double slow = 0;
    for (size_t i = 0; i < 4; i++) {
        slow += json_number(answer->json, buckets[i]);
    }
    return slow / json_number(answer->json, "canary.requests");
}

/* A second in which nothing changed: when it began. */
static int64_t wait_second(void)
{
    int64_t from_ms = clock_unix_ms();
    WAIT_UNTIL(clock_unix_ms() >= from_ms + 1000);
    return from_ms;
}

Test(driver_cluster, traffic_follows_the_weight_and_a_window_always_gives_the_same)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_SANDBOX});
    put(stack, "/cluster/behavior", "{\"service\":\"api\",\"requests_per_second\":1000}");
    put(stack, API, "{\"version\":\"v2\",\"weight_percent\":25,\"previous_version\":\"v1\"}");
    int64_t from_ms = wait_second();
    Answer whole = health(stack, from_ms, from_ms + 1000);
    cr_assert_eq(json_number(whole.json, "canary.requests"), 250);
    cr_assert_eq(json_number(whole.json, "baseline.requests"), 750);
    cr_assert_lt(json_number(whole.json, "canary.errors"), 15, "0.1 %% of 250");
    cr_assert_str_eq(health(stack, from_ms, from_ms + 1000).body, whole.body);
    Answer first = health(stack, from_ms, from_ms + 400);
    Answer second = health(stack, from_ms + 400, from_ms + 1000);
    static const char *const sums[] = {"canary.requests", "canary.errors", "baseline.latency_ms.100",
                                       "canary.latency_ms.200"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(json_number(first.json, sums[i]) + json_number(second.json, sums[i]),
                     json_number(whole.json, sums[i]), "%s", sums[i]);
    }
    cr_assert_eq(json_number(health(stack, from_ms + 3600000, from_ms + 7200000).json, "canary.requests"), 0);
    stack_stop(stack);
}

Test(driver_cluster, bad_versions_fail_slow_ones_are_slow_and_behavior_can_be_set)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_SANDBOX});
    put(stack, "/cluster/behavior", "{\"requests_per_second\":2000}");
    static const struct {
        const char *version;
        const char *behavior;
        double errors_from, errors_to, slow_from, slow_to;
    } cases[] = {
        {"v2", NULL, 0, 0.02, 0, 0.005},
        {"v3-bad", NULL, 0.15, 0.25, 0, 0.005},
        {"v4-slow", NULL, 0, 0.02, 0.03, 0.12},
        {"v5", "{\"service\":\"api\",\"version\":\"v5\",\"error_rate\":0.5,\"p99_ms\":3000}", 0.45, 0.55, 0.03, 0.12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].behavior) {
            put(stack, "/cluster/behavior", cases[i].behavior);
        }
        put(stack, API, stack_print(stack, "{\"version\":\"%s\",\"weight_percent\":100}", cases[i].version));
        int64_t from_ms = wait_second();
        Answer answer = health(stack, from_ms, from_ms + 1000);
        double requests = json_number(answer.json, "canary.requests");
        double errors = json_number(answer.json, "canary.errors") / requests;
        double slow = slower_than_1000(&answer);
        cr_assert_eq(requests, 2000);
        cr_assert(errors >= cases[i].errors_from && errors <= cases[i].errors_to, "%s: %f", cases[i].version, errors);
        cr_assert(slow >= cases[i].slow_from && slow <= cases[i].slow_to, "%s: %f", cases[i].version, slow);
        cr_assert(json_is_null(json_at(answer.json, "baseline")));
    }
    stack_stop(stack);
}

Test(driver_cluster, no_traffic_and_failures_are_shown_when_asked_for)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_SANDBOX});
    cr_assert_eq(ask(stack, "GET", API "/health?since=0", NULL).status, 404);
    put(stack, API, "{\"version\":\"v2\",\"weight_percent\":5,\"previous_version\":\"v1\"}");
    put(stack, "/cluster/behavior",
        "{\"service\":\"api\",\"requests_per_second\":0,\"fail_health\":2,\"fail_read\":1}");
    cr_assert_eq(ask(stack, "GET", API "/health?since=0", NULL).status, 503);
    cr_assert_eq(ask(stack, "GET", API "/health?since=0", NULL).status, 503);
    cr_assert_eq(json_number(health(stack, 0, clock_unix_ms()).json, "baseline.requests"), 0);
    cr_assert_eq(ask(stack, "GET", API, NULL).status, 503);
    cr_assert_eq(ask(stack, "GET", API, NULL).status, 200);
    cr_assert_eq(ask(stack, "PUT", "/cluster/behavior", "{\"error_rate\":0.5,\"nonsense\":1}").status, 400);
    cr_assert_eq(ask(stack, "PUT", API, "{\"version\":\"v2\",\"weight_percent\":101}").status, 400);
    cr_assert_eq(ask(stack, "PUT", API, "[").status, 400);
    cr_assert_eq(ask(stack, "POST", API "/finish", "{\"version\":\"v1\"}").status, 409);
    cr_assert_eq(ask(stack, "POST", API, "{}").status, 405);
    cr_assert_eq(ask(stack, "GET", "/cluster/west/services/api/nothing", NULL).status, 404);
    cr_assert_eq(ask(stack, "DELETE", "/cluster", NULL).status, 200);
    cr_assert_eq(ask(stack, "GET", API, NULL).status, 404);
    stack_stop(stack);
}

Test(driver_cluster, the_registry_has_every_tag_but_those_that_are_missing)
{
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_SANDBOX});
    cr_assert_eq(ask(stack, "GET", "/v2/", NULL).status, 200);
    Answer one = ask(stack, "GET", "/v2/team/api/manifests/v1", NULL);
    Answer other = ask(stack, "GET", "/v2/team/api/manifests/v2", NULL);
    const char *digest = http_header(stack, &one, "Docker-Content-Digest");
    cr_assert_eq(one.status, 200);
    cr_assert_eq(strncmp(digest, "sha256:", 7), 0);
    cr_assert_eq(strlen(digest), 7 + 64);
    cr_assert_str_neq(digest, http_header(stack, &other, "Docker-Content-Digest"));
    Answer again = ask(stack, "GET", "/v2/team/api/manifests/v1", NULL);
    cr_assert_str_eq(digest, http_header(stack, &again, "Docker-Content-Digest"));
    Answer missing = ask(stack, "GET", "/v2/team/api/manifests/v1-missing", NULL);
    cr_assert_eq(missing.status, 404);
    cr_assert_str_eq(json_text(json_array_get(json_at(missing.json, "errors"), 0), "code"), "MANIFEST_UNKNOWN");
    cr_assert_eq(ask(stack, "GET", "/v2/team/api/manifests/registrydown", NULL).status, 503);
    cr_assert_eq(ask(stack, "POST", "/v2/team/api/manifests/v1", "{}").status, 405);
    stack_stop(stack);
}
