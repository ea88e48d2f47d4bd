/* cluster - what runs where, and the traffic that would have come. */
#include "ops/sandbox/cluster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_MAX_MS 3600000
#define DEFAULT_REQUESTS_PER_SECOND 4000.0
#define DEFAULT_ERROR_RATE 0.001
#define BAD_ERROR_RATE 0.2
#define MEDIAN_MS 120.0
#define DEFAULT_P99_MS 350
#define SLOW_P99_MS 3000
#define NEARNESS_MAX 7
#define NORMAL_P99 2.3263478740408408 /* 99 % of a normal distribution are below it */

static uint64_t hash_more(uint64_t hash, Str text)
{
    for (size_t i = 0; i < text.length; i++) {
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    }
    return (hash ^ 0xff) * UINT64_C(0x100000001b3); /* "ab","c" is not "a","bc" */
}

static uint64_t hash_names(Str a, Str b)
{
    return hash_more(hash_more(UINT64_C(0xcbf29ce484222325), a), b);
}

void cluster_clear(Cluster *cluster)
{
    for (size_t i = 0; i < CLUSTER_BUCKETS; i++) {
        for (ClusterService *service = cluster->services[i]; service != NULL;) {
            ClusterService *next = service->next;
            free(service);
            service = next;
        }
        cluster->services[i] = NULL;
    }
    cluster->service_count = 0;
    cluster->rule_count = 0;
}

ClusterService *cluster_find(const Cluster *cluster, Str region, Str service)
{
    ClusterService *found = cluster->services[hash_names(region, service) % CLUSTER_BUCKETS];
    while (found != NULL &&
           (!str_equal(str_from(found->region), region) || !str_equal(str_from(found->service), service))) {
        found = found->next;
    }
    return found;
}

ClusterService *cluster_make(Cluster *cluster, Str region, Str service, int64_t unix_ms)
{
    ClusterService *made = cluster_find(cluster, region, service);
    if (made != NULL) {
        return made;
    }
    if (cluster->service_count == CLUSTER_SERVICES_MAX || region.length == 0 || service.length == 0) {
        return NULL;
    }
    made = calloc(1, sizeof *made);
    TAI_ASSERT(made != NULL);
    if (!str_copy_to(region, made->region, sizeof made->region) ||
        !str_copy_to(service, made->service, sizeof made->service)) {
        free(made);
        return NULL;
    }
    made->history[0] = (ClusterSplit){.since_ms = unix_ms};
    made->history_count = 1;
    ClusterService **bucket = &cluster->services[hash_names(region, service) % CLUSTER_BUCKETS];
    made->next = *bucket;
    *bucket = made;
    cluster->service_count++;
    return made;
}

const ClusterSplit *cluster_now(const ClusterService *service)
{
    return &service->history[service->history_count - 1];
}

ClusterSplit *cluster_change(ClusterService *service, int64_t unix_ms)
{
    if (service->history_count == CLUSTER_HISTORY) {
        memmove(service->history, service->history + 1, sizeof service->history - sizeof service->history[0]);
        service->history_count--;
    }
    ClusterSplit *split = &service->history[service->history_count];
    *split = service->history[service->history_count - 1];
    split->since_ms = unix_ms;
    service->history_count++;
    return split;
}

/* --- rules ------------------------------------------------------------------------------------------------------ */

ClusterRule *cluster_rule(Cluster *cluster, const ClusterSubject *subject)
{
    for (size_t i = 0; i < cluster->rule_count; i++) {
        ClusterRule *rule = &cluster->rules[i];
        if (str_equal(str_from(rule->region), subject->region) &&
            str_equal(str_from(rule->service), subject->service) &&
            str_equal(str_from(rule->version), subject->version)) {
            return rule;
        }
    }
    if (cluster->rule_count == CLUSTER_RULES_MAX) {
        return NULL;
    }
    ClusterRule *rule = &cluster->rules[cluster->rule_count];
    *rule = (ClusterRule){.error_rate = -1, .p99_ms = -1, .requests_per_second = -1, .lie = -1};
    if (!str_copy_to(subject->region, rule->region, sizeof rule->region) ||
        !str_copy_to(subject->service, rule->service, sizeof rule->service) ||
        !str_copy_to(subject->version, rule->version, sizeof rule->version)) {
        return NULL;
    }
    cluster->rule_count++;
    return rule;
}

static bool rule_names(const char *name, Str subject)
{
    return name[0] == '\0' || str_equal(str_from(name), subject);
}

/* How near a rule is: by the region it names 4, by the service 2, by the version 1; -1: it is about others. */
static int rule_nearness(const ClusterRule *rule, const ClusterSubject *subject)
{
    if (!rule_names(rule->region, subject->region) || !rule_names(rule->service, subject->service) ||
        !rule_names(rule->version, subject->version)) {
        return -1;
    }
    return (rule->region[0] != '\0' ? 4 : 0) + (rule->service[0] != '\0' ? 2 : 0) + (rule->version[0] != '\0' ? 1 : 0);
}

/* What holds for this version: from the nearest rules that say something, then from its name. */
static ClusterRule cluster_traits(const Cluster *cluster, const ClusterSubject *subject)
{
    Str version = subject->version;
    ClusterRule traits = {.error_rate = -1, .p99_ms = -1, .requests_per_second = -1, .lie = -1};
    for (int nearness = NEARNESS_MAX; nearness >= 0; nearness--) {
        for (size_t i = 0; i < cluster->rule_count; i++) {
            const ClusterRule *rule = &cluster->rules[i];
            if (rule_nearness(rule, subject) != nearness) {
                continue;
            }
            traits.error_rate = traits.error_rate < 0 ? rule->error_rate : traits.error_rate;
            traits.p99_ms = traits.p99_ms < 0 ? rule->p99_ms : traits.p99_ms;
            traits.lie = traits.lie < 0 ? rule->lie : traits.lie;
            traits.requests_per_second =
                traits.requests_per_second < 0 ? rule->requests_per_second : traits.requests_per_second;
        }
    }
    if (traits.error_rate < 0) {
        bool bad = memmem(version.data, version.length, "bad", 3) != NULL;
        traits.error_rate = bad ? BAD_ERROR_RATE : DEFAULT_ERROR_RATE;
    }
    if (traits.p99_ms < 0) {
        bool slow = memmem(version.data, version.length, "slow", 4) != NULL;
        traits.p99_ms = slow ? SLOW_P99_MS : DEFAULT_P99_MS;
    }
    if (traits.requests_per_second < 0) {
        traits.requests_per_second = DEFAULT_REQUESTS_PER_SECOND;
    }
    return traits;
}

bool cluster_fails(Cluster *cluster, const ClusterSubject *subject, ClusterCall call)
{
    for (size_t i = 0; i < cluster->rule_count; i++) {
        ClusterRule *rule = &cluster->rules[i];
        if (rule_nearness(rule, subject) >= 0 && rule->fails[call] > 0) {
            rule->fails[call]--;
            return true;
        }
    }
    return false;
}

bool cluster_lies(const Cluster *cluster, const ClusterSubject *subject)
{
    return cluster_traits(cluster, subject).lie == 1;
}

/* --- traffic ---------------------------------------------------------------------------------------------------- */

/* One version's requests: which share of them fails, and below which bound each share of latencies is. */
typedef struct {
    uint64_t seed;
    double error_rate;
    double below[JUDGE_LATENCY_BUCKETS];
} Stream;

static uint64_t mix(uint64_t bits)
{
    bits += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

static double uniform(uint64_t bits)
{
    return (double)(mix(bits) >> 11) * 0x1.0p-53;
}

/* Latencies are log-normal, with the median and the p99 that are asked for. */
static Stream stream_of(const Cluster *cluster, const ClusterService *service, const char *version)
{
    const ClusterSubject subject = {str_from(service->region), str_from(service->service), str_from(version)};
    ClusterRule traits = cluster_traits(cluster, &subject);
    Stream stream = {
        .error_rate = traits.error_rate,
        .seed = hash_more(hash_names(str_from(service->region), str_from(service->service)), str_from(version))};
    double p99_ms = traits.p99_ms > 0 ? (double)traits.p99_ms : 1;
    double median_ms = p99_ms > 2 * MEDIAN_MS ? MEDIAN_MS : p99_ms / 2;
    double spread = log(p99_ms / median_ms) / NORMAL_P99;
    for (size_t i = 0; i < JUDGE_LATENCY_BUCKETS; i++) {
        double z = log((double)judge_latency_bounds_ms[i] / median_ms) / spread;
        stream.below[i] = 0.5 * erfc(-z / sqrt(2.0));
    }
    return stream;
}

static void stream_count(const Stream *stream, uint64_t number, JudgeCounts *counts)
{
    uint64_t bits = mix(stream->seed ^ (number * 2));
    double latency = uniform(bits);
    size_t bucket = 0;
    while (bucket < JUDGE_LATENCY_BUCKETS && latency > stream->below[bucket]) {
        bucket++;
    }
    counts->requests++;
    counts->latency[bucket]++;
    if (uniform(bits + 1) < stream->error_rate) {
        counts->errors++;
    }
}

/* The requests of one split: each has a number by the time it came, and of any hundred in a row the version gets as
 * many as its weight says. */
static void split_count(const ClusterSplit *split, double per_ms, int64_t since_ms, int64_t until_ms,
                        const Stream *canary, const Stream *stable, JudgeCounts counts[2])
{
    uint64_t first = (uint64_t)ceil((double)since_ms * per_ms);
    uint64_t end = (uint64_t)ceil((double)until_ms * per_ms);
    uint64_t weight = split->version[0] != '\0' ? (uint64_t)split->weight_percent : 0;
    for (uint64_t number = first; number < end; number++) {
        bool is_canary = (number + 1) * weight / 100 > number * weight / 100;
        if (is_canary && canary != NULL) {
            stream_count(canary, number, &counts[0]);
        } else if (!is_canary && stable != NULL && split->stable[0] != '\0') {
            stream_count(stable, number, &counts[1]);
        }
    }
}

void cluster_count(const Cluster *cluster, const ClusterService *service, int64_t since_ms, int64_t until_ms,
                   JudgeCounts *canary, JudgeCounts *baseline)
{
    const ClusterSplit *now = cluster_now(service);
    Stream streams[2] = {stream_of(cluster, service, now->version), stream_of(cluster, service, now->stable)};
    JudgeCounts counts[2] = {{0}, {0}};
    const ClusterSubject all_versions = {str_from(service->region), str_from(service->service), STR("")};
    double per_ms = cluster_traits(cluster, &all_versions).requests_per_second / 1000;
    since_ms = since_ms < until_ms - WINDOW_MAX_MS ? until_ms - WINDOW_MAX_MS : since_ms;
    for (int32_t i = 0; i < service->history_count; i++) {
        const ClusterSplit *split = &service->history[i];
        bool last = i + 1 == service->history_count;
        int64_t from_ms = split->since_ms > since_ms ? split->since_ms : since_ms;
        int64_t to_ms =
            last || service->history[i + 1].since_ms > until_ms ? until_ms : service->history[i + 1].since_ms;
        bool same_version = strcmp(split->version, now->version) == 0;
        bool same_stable = strcmp(split->stable, now->stable) == 0;
        if (from_ms < to_ms) {
            split_count(split, per_ms, from_ms, to_ms, same_version ? &streams[0] : NULL,
                        same_stable ? &streams[1] : NULL, counts);
        }
    }
    *canary = counts[0];
    *baseline = counts[1];
}
