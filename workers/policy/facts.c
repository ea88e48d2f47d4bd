/* facts - the questions, and what the answers mean for the rules. */
#include "workers/policy/facts.h"

#include "workers/policy/registry.h"

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

static void ask_health(Task *task, const Policy *policy, const DeploymentDecision *decision, size_t at, Facts *facts)
{
    Health *health = &facts->health[at];
    facts->facts.regions[at].known = false;
    facts->outstanding +=
        health_ask(task, policy, &decision->signal, at, FACTS_TAG_HEALTH + (int)at * HEALTH_CALLS, health);
}

static void hear_health(Task *task, const Policy *policy, const HttpResult *answer, int call, Facts *facts)
{
    Health *health = &facts->health[call / HEALTH_CALLS];
    if (!health_hear(task, document_policy(policy->deployment), answer, call % HEALTH_CALLS, health)) {
        return;
    }
    if (err_is(health->unknown)) {
        facts_unknown(facts, health->unknown);
        return;
    }
    facts->facts.regions[call / HEALTH_CALLS].known = true;
    facts->facts.regions[call / HEALTH_CALLS].current_healthy = health->healthy;
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
    facts->health[at].version = facts->facts.regions[at].current_version;
    if (state.version.length != 0 && health_is_told(policy, region)) {
        ask_health(task, policy, decision, at, facts);
    }
}

void facts_ask(Task *task, const Policy *policy, const DeploymentDecision *decision, Facts *facts)
{
    *facts = (Facts){0};
    facts->health = arena_alloc_array(&task->arena, decision->signal.region_count, sizeof(*facts->health));
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
        hear_health(task, policy, event->http, event->tag - FACTS_TAG_HEALTH, facts);
        break;
    }
}
