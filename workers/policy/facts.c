/* facts - the questions, and what the answers mean for the rules. */
#include "workers/policy/facts.h"

#include <inttypes.h>

#include "shared/base/json.h"
#include "workers/policy/registry.h"

#define HEALTH_TIMEOUT_MS 5000
#define HEALTH_WINDOW_MS 60000
/* However long a signal waited in its lane, what it needs is asked for at least so many times. */
#define FACTS_TRIES_MIN 3

Str facts_image(Task *task, const PolicySettings *settings, const DeploymentSignal *signal)
{
    return signal->image.length != 0
               ? signal->image
               : arena_print(&task->arena, "%s" STR_FMT, settings->registry_prefix, STR_ARG(signal->service));
}

bool facts_are_due(const Task *task, const PolicySettings *settings)
{
    return task->message.delivered >= FACTS_TRIES_MIN &&
           task->unix_ms - task->message.time_ms >= settings->deployment_facts_ms;
}

static void facts_call(Task *task, Facts *facts, int tag, const HttpRequest *request)
{
    facts->outstanding++;
    task_call(task, tag, request);
}

static void facts_unknown(Facts *facts, Err why)
{
    if (!err_is(facts->unknown)) {
        facts->unknown = why;
    }
}

/* --- health ---------------------------------------------------------------------------------------------------------
 */

/* Only the sandbox's regions have a cluster that can be asked. */
static bool region_is_sandbox(const DeploymentPolicy *policy, Str region)
{
    const DeploymentRegionPolicy *known = deployment_policy_region(policy, region);
    return known != NULL && str_equal(str_from(known->driver), STR("sandbox"));
}

static void ask_health(Task *task, const Policy *policy, const DeploymentDecision *decision, size_t at, Facts *facts)
{
    Str url =
        arena_print(&task->arena, "%s/cluster/" STR_FMT "/services/" STR_FMT "/health?since=%" PRId64 "&until=%" PRId64,
                    policy->settings.health_url, STR_ARG(decision->signal.regions[at]),
                    STR_ARG(decision->signal.service), task->unix_ms - HEALTH_WINDOW_MS, task->unix_ms);
    facts_call(task, facts, FACTS_TAG_HEALTH + (int)at,
               &(HttpRequest){.method = STR("GET"), .url = url, .timeout_ms = HEALTH_TIMEOUT_MS});
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
static JudgeCounts read_counts(Arena *arena, Str body, Str version)
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

/* Too little traffic to tell, or a cluster that does not know the service, says nothing against the version. */
static void hear_health(Task *task, const DeploymentPolicy *policy, const HttpResult *answer, size_t at, Facts *facts)
{
    if (answer->kind != HTTP_ANSWERED) {
        facts_unknown(facts, err_retry("health source: %s", answer->why));
        return;
    }
    if (answer->status != 200 && answer->status != 404) {
        facts_unknown(facts, err_retry("health source answers %d", answer->status));
        return;
    }
    JudgeCounts counts = {0};
    if (answer->status == 200) {
        counts = read_counts(&task->arena, answer->body, facts->facts.regions[at].current_version);
    }
    if (counts.errors > counts.requests) {
        facts_unknown(facts, err_retry("health source: more errors than requests"));
        return;
    }
    facts->facts.regions[at].known = true;
    facts->facts.regions[at].current_healthy = judge_final(&policy->limits, &counts, NULL, 0).verdict != JUDGE_FAIL;
}

/* --- all of it ------------------------------------------------------------------------------------------------------
 */

static Registry registry_of(const Policy *policy)
{
    return (Registry){str_from(policy->settings.registry_url), str_from(policy->settings.registry_credentials)};
}

static void call_registry(Task *task, const Policy *policy, const DeploymentDecision *decision, Str authorization,
                          Facts *facts)
{
    Registry registry = registry_of(policy);
    HttpRequest request =
        registry_ask(&task->arena, &registry, decision->image, decision->signal.version, authorization);
    facts_call(task, facts, FACTS_TAG_IMAGE, &request);
}

static void ask_image(Task *task, const Policy *policy, const DeploymentDecision *decision, Facts *facts)
{
    const DeploymentPolicy *rules = document_policy(policy->deployment);
    facts->facts.image = IMAGE_UNKNOWN;
    if (rules->require_image && policy->settings.registry_url[0] != '\0') {
        call_registry(task, policy, decision, (Str){0}, facts);
    }
}

/* A registry that wants a caller authenticated is asked once more, as it wants it. */
static void hear_image(Task *task, const Policy *policy, const DeploymentDecision *decision, const HttpResult *answer,
                       Facts *facts)
{
    Registry registry = registry_of(policy);
    Str authorization = {0};
    HttpRequest request;
    RegistryChallenge challenge = facts->authorized
                                      ? REGISTRY_NO_CHALLENGE
                                      : registry_challenge(&task->arena, &registry, answer, &authorization, &request);
    if (challenge != REGISTRY_NO_CHALLENGE) {
        facts->authorized = true;
        if (challenge == REGISTRY_FETCH_TOKEN) {
            facts_call(task, facts, FACTS_TAG_TOKEN, &request);
        } else {
            call_registry(task, policy, decision, authorization, facts);
        }
        return;
    }
    Err why;
    facts->facts.image = registry_read(&task->arena, answer, &facts->facts.digest, &why);
    if (facts->facts.image == IMAGE_UNKNOWN) {
        facts_unknown(facts, why);
    }
}

static void hear_token(Task *task, const Policy *policy, const DeploymentDecision *decision, const HttpResult *answer,
                       Facts *facts)
{
    Str authorization = {0};
    Err err = registry_read_token(&task->arena, answer, &authorization);
    if (err_is(err)) {
        facts_unknown(facts, err);
    } else {
        call_registry(task, policy, decision, authorization, facts);
    }
}

static void ask_region(Task *task, const Policy *policy, const DeploymentDecision *decision, size_t at, Facts *facts)
{
    Str region = decision->signal.regions[at];
    RegionState state = regions_look(policy->regions, region, decision->signal.service);
    facts->facts.regions[at].services = state.services;
    facts->facts.regions[at].current_version = arena_copy(&task->arena, state.version);
    facts->facts.regions[at].current_digest = arena_copy(&task->arena, state.digest);
    facts->facts.regions[at].current_healthy = true;
    facts->facts.regions[at].known = true;
    if (state.version.length != 0 && policy->settings.health_url[0] != '\0' &&
        region_is_sandbox(document_policy(policy->deployment), region)) {
        facts->facts.regions[at].known = false;
        ask_health(task, policy, decision, at, facts);
    }
}

void facts_ask(Task *task, const Policy *policy, const DeploymentDecision *decision, Facts *facts)
{
    *facts = (Facts){0};
    ask_image(task, policy, decision, facts);
    for (size_t at = 0; at < decision->signal.region_count; at++) {
        ask_region(task, policy, decision, at, facts);
    }
}

void facts_hear(Task *task, const Policy *policy, const DeploymentDecision *decision, const TaskEvent *event,
                Facts *facts)
{
    facts->outstanding--;
    switch (event->tag) {
    case FACTS_TAG_IMAGE:
        hear_image(task, policy, decision, event->http, facts);
        break;
    case FACTS_TAG_TOKEN:
        hear_token(task, policy, decision, event->http, facts);
        break;
    default:
        hear_health(task, document_policy(policy->deployment), event->http, (size_t)(event->tag - FACTS_TAG_HEALTH),
                    facts);
        break;
    }
}
