/* region - JSON over HTTP to the cluster's structs. */
#include "ops/sandbox/region.h"

#include <string.h>

#include <jansson.h>

#include "shared/base/json.h"

#define LIE_WEIGHT 5

static const char *const call_names[CLUSTER_CALLS] = {
    [CLUSTER_APPLY] = "fail_apply",   [CLUSTER_READ] = "fail_read",     [CLUSTER_ROLLBACK] = "fail_rollback",
    [CLUSTER_FINISH] = "fail_finish", [CLUSTER_HEALTH] = "fail_health",
};

static Answer region_refuse(Sandbox *sandbox, int status, const char *why)
{
    JsonWriter json = json_writer(&sandbox->text);
    json_open(&json, NULL, '{');
    json_put_string(&json, "error", str_from(why));
    json_close(&json, '}');
    return (Answer){.status = status, .body = buffer_str(&sandbox->text)};
}

static Answer region_refuse_method(Sandbox *sandbox, const char *allow)
{
    Answer answer = region_refuse(sandbox, 405, "this page does not know the method");
    answer.allow = allow;
    return answer;
}

static Answer region_say_ok(void)
{
    return (Answer){.status = 200, .body = STR("{\"status\":\"ok\"}")};
}

/* NULL: no JSON object. An empty body is an empty object. The caller gives it back. */
static json_t *region_read_body(const Request *request)
{
    if (request->body_length == 0) {
        return json_object();
    }
    json_error_t where;
    json_t *root = json_loadb(request->body, request->body_length, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static Str region_text(const json_t *root, const char *name)
{
    return str_from(json_string_value(json_object_get(root, name)));
}

/* --- a service -------------------------------------------------------------------------------------------------- */

typedef struct {
    Str region;
    Str service;
    Str page; /* "", "rollback", … */
} Place;

static bool place_fails(Sandbox *sandbox, const Place *place, Str version, ClusterCall call)
{
    return cluster_fails(&sandbox->cluster, &(ClusterSubject){place->region, place->service, version}, call);
}

static void service_write(JsonWriter *json, const ClusterService *service, int32_t said_weight)
{
    const ClusterSplit *now = cluster_now(service);
    json_open(json, NULL, '{');
    json_put_string(json, "region", str_from(service->region));
    json_put_string(json, "service", str_from(service->service));
    json_put_string(json, "version", str_from(now->version));
    json_put_string(json, "digest", str_from(service->digest));
    json_put_int(json, "weight_percent", said_weight);
    json_put_string(json, "stable_version", str_from(now->stable));
    json_close(json, '}');
}

static Answer service_show(Sandbox *sandbox, const ClusterService *service, int32_t said_weight)
{
    JsonWriter json = json_writer(&sandbox->text);
    service_write(&json, service, said_weight);
    return (Answer){.status = 200, .body = buffer_str(&sandbox->text)};
}

static Answer service_get(Sandbox *sandbox, const Place *place)
{
    const ClusterService *service = cluster_find(&sandbox->cluster, place->region, place->service);
    if (service == NULL) {
        return region_refuse(sandbox, 404, "no such service in this region");
    }
    if (place_fails(sandbox, place, str_from(cluster_now(service)->version), CLUSTER_READ)) {
        return region_refuse(sandbox, 503, "fails on purpose");
    }
    return service_show(sandbox, service, cluster_now(service)->weight_percent);
}

/* What was set when; the oldest are forgotten. */
static Answer service_history(Sandbox *sandbox, const Place *place)
{
    const ClusterService *service = cluster_find(&sandbox->cluster, place->region, place->service);
    if (service == NULL) {
        return region_refuse(sandbox, 404, "no such service in this region");
    }
    JsonWriter json = json_writer(&sandbox->text);
    json_open(&json, NULL, '[');
    for (int32_t i = 0; i < service->history_count; i++) {
        const ClusterSplit *split = &service->history[i];
        json_open(&json, NULL, '{');
        json_put_int(&json, "since_ms", split->since_ms);
        json_put_string(&json, "version", str_from(split->version));
        json_put_int(&json, "weight_percent", split->weight_percent);
        json_put_string(&json, "stable_version", str_from(split->stable));
        json_close(&json, '}');
    }
    json_close(&json, ']');
    return (Answer){.status = 200, .body = buffer_str(&sandbox->text)};
}

static Answer service_apply(Sandbox *sandbox, const Request *request, const Place *place, const json_t *root)
{
    Str version = region_text(root, "version");
    Str previous = region_text(root, "previous_version");
    const json_t *weight = json_object_get(root, "weight_percent");
    json_int_t percent = json_is_integer(weight) ? json_integer_value(weight) : -1;
    Str digest = region_text(root, "digest");
    if (version.length == 0 || version.length >= CLUSTER_VERSION_BYTES || previous.length >= CLUSTER_VERSION_BYTES ||
        digest.length >= CLUSTER_VERSION_BYTES || percent < 0 || percent > 100) {
        return region_refuse(sandbox, 400, "version (text) and weight_percent (0 to 100) are needed");
    }
    if (place_fails(sandbox, place, version, CLUSTER_APPLY)) {
        return region_refuse(sandbox, 503, "fails on purpose");
    }
    ClusterService *service = cluster_make(&sandbox->cluster, place->region, place->service, request->unix_ms);
    if (service == NULL) {
        return region_refuse(sandbox, 507, "too many services, or their names are too long");
    }
    ClusterSplit *split = cluster_change(service, request->unix_ms);
    bool lies = cluster_lies(&sandbox->cluster, &(ClusterSubject){place->region, place->service, version});
    split->weight_percent = lies ? LIE_WEIGHT : (int32_t)percent;
    bool fits = str_copy_to(version, split->version, sizeof split->version) &&
                str_copy_to(digest, service->digest, sizeof service->digest);
    if (split->stable[0] == '\0') {
        fits = str_copy_to(previous, split->stable, sizeof split->stable) && fits;
    }
    TAI_ASSERT(fits);
    return service_show(sandbox, service, (int32_t)percent);
}

/* With a body: what ran before is restored even after the end of a deployment. Without: the version just goes. */
static Answer service_roll_back(Sandbox *sandbox, const Request *request, const Place *place, const json_t *root)
{
    Str previous = region_text(root, "previous_version");
    if (place_fails(sandbox, place, region_text(root, "version"), CLUSTER_ROLLBACK)) {
        return region_refuse(sandbox, 503, "fails on purpose");
    }
    ClusterService *service = cluster_make(&sandbox->cluster, place->region, place->service, request->unix_ms);
    if (service == NULL || previous.length >= CLUSTER_VERSION_BYTES) {
        return region_refuse(sandbox, 507, "too many services, or their names are too long");
    }
    ClusterSplit *split = cluster_change(service, request->unix_ms);
    bool fits =
        !json_object_get(root, "previous_version") || str_copy_to(previous, split->stable, sizeof split->stable);
    TAI_ASSERT(fits);
    split->weight_percent = 0;
    split->version[0] = '\0';
    service->digest[0] = '\0';
    return service_show(sandbox, service, 0);
}

static Answer service_finish(Sandbox *sandbox, const Request *request, const Place *place, const json_t *root)
{
    ClusterService *service = cluster_find(&sandbox->cluster, place->region, place->service);
    Str version = region_text(root, "version");
    if (service == NULL) {
        return region_refuse(sandbox, 404, "no such service in this region");
    }
    if (place_fails(sandbox, place, version, CLUSTER_FINISH)) {
        return region_refuse(sandbox, 503, "fails on purpose");
    }
    const ClusterSplit *now = cluster_now(service);
    if (now->version[0] == '\0' || (version.length > 0 && !str_equal(version, str_from(now->version)))) {
        return region_refuse(sandbox, 409, "another version runs there");
    }
    ClusterSplit *split = cluster_change(service, request->unix_ms);
    bool fits = str_copy_to(str_from(split->version), split->stable, sizeof split->stable);
    TAI_ASSERT(fits);
    split->weight_percent = 100;
    return service_show(sandbox, service, 100);
}

/* --- health ----------------------------------------------------------------------------------------------------- */

static void health_write_counts(JsonWriter *json, const char *key, const JudgeCounts *counts)
{
    json_open(json, key, '{');
    json_put_int(json, "requests", (int64_t)counts->requests);
    json_put_int(json, "errors", (int64_t)counts->errors);
    json_open(json, "latency_ms", '{');
    for (size_t i = 0; i < JUDGE_LATENCY_BUCKETS; i++) {
        char name[24];
        Buffer text = buffer_over(name, sizeof name);
        buffer_print(&text, "%lld", (long long)judge_latency_bounds_ms[i]);
        json_put_int(json, name, (int64_t)counts->latency[i]);
    }
    json_put_int(json, "inf", (int64_t)counts->latency[JUDGE_LATENCY_BUCKETS]);
    json_close(json, '}');
    json_close(json, '}');
}

static Answer service_health(Sandbox *sandbox, const Request *request, const Place *place)
{
    const ClusterService *service = cluster_find(&sandbox->cluster, place->region, place->service);
    int64_t since_ms = 0;
    int64_t until_ms = request->unix_ms;
    if (service == NULL) {
        return region_refuse(sandbox, 404, "no such service in this region");
    }
    const ClusterSplit *now = cluster_now(service);
    if (place_fails(sandbox, place, str_from(now->version), CLUSTER_HEALTH)) {
        return region_refuse(sandbox, 503, "fails on purpose");
    }
    if (!str_to_int64(request->query_since, &since_ms) || since_ms < 0 ||
        (request->query_until.length > 0 && !str_to_int64(request->query_until, &until_ms))) {
        return region_refuse(sandbox, 400, "since and until are Unix milliseconds");
    }
    until_ms = until_ms < request->unix_ms ? until_ms : request->unix_ms; /* the future has no traffic yet */
    JudgeCounts canary;
    JudgeCounts baseline;
    cluster_count(&sandbox->cluster, service, since_ms, until_ms, &canary, &baseline);
    JsonWriter json = json_writer(&sandbox->text);
    json_open(&json, NULL, '{');
    json_put_string(&json, "version", str_from(now->version));
    json_put_string(&json, "stable_version", str_from(now->stable));
    health_write_counts(&json, "canary", &canary);
    if (now->stable[0] != '\0' && strcmp(now->stable, now->version) != 0) {
        health_write_counts(&json, "baseline", &baseline);
    } else {
        json_put_null(&json, "baseline");
    }
    json_close(&json, '}');
    return (Answer){.status = 200, .body = buffer_str(&sandbox->text)};
}

static Answer service_answer(Sandbox *sandbox, const Request *request, const Place *place)
{
    bool get = str_equal(request->method, STR("GET"));
    bool post = str_equal(request->method, STR("POST"));
    if (str_equal(place->page, STR("health"))) {
        return get ? service_health(sandbox, request, place) : region_refuse_method(sandbox, "GET");
    }
    if (str_equal(place->page, STR("history"))) {
        return get ? service_history(sandbox, place) : region_refuse_method(sandbox, "GET");
    }
    if (place->page.length == 0 && get) {
        return service_get(sandbox, place);
    }
    json_t *root = region_read_body(request);
    if (root == NULL) {
        return region_refuse(sandbox, 400, "the body is not a JSON object");
    }
    Answer answer = region_refuse_method(sandbox, place->page.length == 0 ? "GET, PUT" : "POST");
    if (place->page.length == 0 && str_equal(request->method, STR("PUT"))) {
        buffer_reset(&sandbox->text);
        answer = service_apply(sandbox, request, place, root);
    } else if (post && str_equal(place->page, STR("rollback"))) {
        buffer_reset(&sandbox->text);
        answer = service_roll_back(sandbox, request, place, root);
    } else if (post && str_equal(place->page, STR("finish"))) {
        buffer_reset(&sandbox->text);
        answer = service_finish(sandbox, request, place, root);
    }
    json_decref(root);
    return answer;
}

/* --- behavior --------------------------------------------------------------------------------------------------- */

static bool rule_set_call(ClusterRule *rule, const char *name, const json_t *value)
{
    for (size_t i = 0; i < CLUSTER_CALLS; i++) {
        if (strcmp(name, call_names[i]) == 0 && json_is_integer(value) && json_integer_value(value) >= 0) {
            rule->fails[i] = json_integer_value(value);
            return true;
        }
    }
    return false;
}

static bool rule_set(ClusterRule *rule, const char *name, const json_t *value)
{
    double number = json_number_value(value);
    if (strcmp(name, "region") == 0 || strcmp(name, "service") == 0 || strcmp(name, "version") == 0) {
        return json_is_string(value);
    }
    if (strcmp(name, "lie") == 0 && json_is_boolean(value)) {
        rule->lie = json_is_true(value) ? 1 : 0;
        return true;
    }
    if (strcmp(name, "error_rate") == 0 && json_is_number(value) && number >= 0 && number <= 1) {
        rule->error_rate = number;
        return true;
    }
    if (strcmp(name, "requests_per_second") == 0 && json_is_number(value) && number >= 0 && number <= 10000) {
        rule->requests_per_second = number;
        return true;
    }
    if (strcmp(name, "p99_ms") == 0 && json_is_integer(value) && number >= 1 && number <= 600000) {
        rule->p99_ms = json_integer_value(value);
        return true;
    }
    return rule_set_call(rule, name, value);
}

/* All members, or none. */
static Answer behavior_put(Sandbox *sandbox, const json_t *root)
{
    ClusterRule *rule =
        cluster_rule(&sandbox->cluster, &(ClusterSubject){region_text(root, "region"), region_text(root, "service"),
                                                          region_text(root, "version")});
    if (rule == NULL) {
        return region_refuse(sandbox, 507, "too many rules, or their names are too long");
    }
    ClusterRule changed = *rule;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)root, name, value)
    {
        if (!rule_set(&changed, name, value)) {
            char why[96];
            Buffer text = buffer_over(why, sizeof why);
            buffer_print(&text, "no such setting, or its value is out of range: %.40s", name);
            return region_refuse(sandbox, 400, why);
        }
    }
    *rule = changed;
    return region_say_ok();
}

static Answer behavior_answer(Sandbox *sandbox, const Request *request)
{
    if (!str_equal(request->method, STR("PUT")) && !str_equal(request->method, STR("POST"))) {
        return region_refuse_method(sandbox, "PUT, POST");
    }
    json_t *root = region_read_body(request);
    Answer answer =
        root != NULL ? behavior_put(sandbox, root) : region_refuse(sandbox, 400, "the body is not a JSON object");
    json_decref(root);
    return answer;
}

/* "<region>/services/<service>[/<page>]" */
static bool place_read(Str path, Place *place)
{
    Str rest = path;
    Str word = {0};
    if (!str_next_token(&rest, '/', &place->region) || !str_next_token(&rest, '/', &word) ||
        !str_equal(word, STR("services")) || !str_next_token(&rest, '/', &place->service)) {
        return false;
    }
    place->page = (Str){0};
    bool has_page = str_next_token(&rest, '/', &place->page);
    bool is_known = !has_page || str_equal(place->page, STR("health")) || str_equal(place->page, STR("history")) ||
                    str_equal(place->page, STR("rollback")) || str_equal(place->page, STR("finish"));
    return is_known && rest.data == NULL && place->region.length > 0 && place->service.length > 0;
}

Answer region_answer(Sandbox *sandbox, const Request *request)
{
    Place place;
    if (str_equal(request->path, STR("/cluster"))) {
        if (!str_equal(request->method, STR("DELETE"))) {
            return region_refuse_method(sandbox, "DELETE");
        }
        cluster_clear(&sandbox->cluster);
        return region_say_ok();
    }
    if (str_equal(request->path, STR("/cluster/behavior"))) {
        return behavior_answer(sandbox, request);
    }
    if (!str_starts_with(request->path, STR("/cluster/")) ||
        !place_read(str_slice(request->path, 9, request->path.length), &place)) {
        return region_refuse(sandbox, 404, "there is no such page");
    }
    return service_answer(sandbox, request, &place);
}
