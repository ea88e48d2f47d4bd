/* rollout - deployments as their users see them. */
#include "tests/support/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "shared/wire/andon.h"

#define POLICY "/policy/deployment"

/* --- HTTP ------------------------------------------------------------------------------------------------------ */

Answer rollout_call(Stack *stack, const char *method, const char *path, const char *body, const char *headers)
{
    return http_call(stack,
                     (Call){.method = method, .path = path, .body = body, .headers = headers, .to = STACK_DEPLOYMENT});
}

Answer rollout_get(Stack *stack, const char *path)
{
    return rollout_call(stack, "GET", path, NULL, NULL);
}

const char *rollout_body(Stack *stack, const char *service, const char *version, const char *more)
{
    return stack_print(stack, "{\"service\": \"%s\", \"version\": \"%s\"%s%s}", service, version, more[0] ? ", " : "",
                       more);
}

Answer rollout_post(Stack *stack, const char *body)
{
    return rollout_call(stack, "POST", "/deploy", body, "Prefer: wait=60");
}

const char *rollout_begin(Stack *stack, const char *body)
{
    Answer answer = rollout_call(stack, "POST", "/deploy", body, "Prefer: wait=0");
    cr_assert_eq(answer.status, 202, "%s", answer.body);
    cr_assert_str_eq(json_text(answer.json, "status"), "IN_PROGRESS");
    return json_text(answer.json, "deployment_id");
}

static json_t *rollout_outcome(Stack *stack, const char *id)
{
    Answer answer = rollout_get(stack, stack_print(stack, "/deployments/%s", id));
    json_t *outcome = json_at(answer.json, "outcome");
    return json_is_object(outcome) ? outcome : NULL;
}

json_t *rollout_end(Stack *stack, const char *id)
{
    json_t *outcome = NULL;
    WAIT_UNTIL((outcome = rollout_outcome(stack, id)) != NULL);
    return outcome;
}

json_t *rollout_end_as(Stack *stack, const char *id, const char *status)
{
    json_t *outcome = rollout_end(stack, id);
    cr_assert_str_eq(json_text(outcome, "status"), status, "%s: %s", id, json_text(outcome, "error_message"));
    return outcome;
}

void rollout_order(Stack *stack, const char *id, const char *order, const char *who, const char *why)
{
    Answer answer = rollout_call(
        stack, "POST", stack_print(stack, "/deployments/%s/control", id),
        stack_print(stack, "{\"order\": \"%s\", \"who\": \"%s\", \"why\": \"%s\"}", order, who, why), NULL);
    cr_assert_eq(answer.status, 202, "%s", answer.body);
    cr_assert_gt(json_number(answer.json, "sequence"), 0);
}

void rollout_order_by_nats(Stack *stack, const char *id, const char *order, const char *who, const char *why)
{
    ledger_publish_text(stack, stack_print(stack, "tai.deployment.control.%s", id), NULL,
                        stack_print(stack, "{\"order\": \"%s\", \"who\": \"%s\", \"why\": \"%s\"}", order, who, why));
}

/* --- events ---------------------------------------------------------------------------------------------------- */

json_t *rollout_events(Stack *stack, const char *id)
{
    Answer answer = rollout_get(stack, stack_print(stack, "/deployments/%s/events", id));
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    cr_assert(json_is_array(answer.json), "%s", answer.body);
    return answer.json;
}

static bool event_is(const json_t *found, const char *event, const char *region, const char *stage)
{
    return strcmp(json_text(found, "event"), event) == 0 &&
           (!region || strcmp(json_text(found, "region"), region) == 0) &&
           (!stage || strcmp(json_text(found, "stage"), stage) == 0);
}

static json_t *event_find(json_t *events, const char *event, const char *region, const char *stage, size_t *count)
{
    json_t *first = NULL;
    *count = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *found = json_array_get(events, i);
        if (event_is(found, event, region, stage)) {
            first = first ? first : found;
            *count += 1;
        }
    }
    return first;
}

size_t rollout_count(Stack *stack, const char *id, const char *event, const char *region, const char *stage)
{
    size_t count = 0;
    event_find(rollout_events(stack, id), event, region, stage, &count);
    return count;
}

json_t *rollout_wait(Stack *stack, const char *id, const char *event, const char *region, const char *stage)
{
    size_t count = 0;
    json_t *found = NULL;
    for (int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS; !found; clock_pause(20)) {
        found = event_find(rollout_events(stack, id), event, region, stage, &count);
        cr_assert(found || clock_monotonic_ms() < deadline_ms, "%s: no %s in %s", id, event, stage ? stage : "any");
    }
    return found;
}

/* --- the policy ------------------------------------------------------------------------------------------------ */

json_t *rollout_policy(Stack *stack)
{
    Answer answer = rollout_get(stack, POLICY);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    return answer.json;
}

void rollout_put_policy(Stack *stack, const json_t *document)
{
    char *text = json_dumps(document, JSON_REAL_PRECISION(6));
    Answer answer = rollout_call(stack, "PUT", POLICY, text, NULL);
    free(text);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    const char *line = stack_print(stack, "\"domain\":\"deployment\",\"revision\":%lld",
                                   (long long)json_number(answer.json, "revision"));
    for (int i = 0; i < stack->counts[STACK_POLICY]; i++) {
        WAIT_UNTIL(process_log_has(stack_process(stack, STACK_POLICY, i), line));
    }
}

static json_t *stage_make(const char *name, int weight_percent, bool needs_approval)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:b, s:b}", "name", name, "weight_percent", weight_percent,
                     "duration_seconds", 80, "warm_up_seconds", 1, "extend_max_seconds", 80, "needs_approval",
                     (int)needs_approval, "judged", 1);
}

void rollout_add_strategy(json_t *document, const char *name, const char *stages)
{
    json_t *list = json_array();
    while (*stages) {
        char stage[32];
        size_t length = strcspn(stages, ":");
        cr_assert_lt(length, sizeof stage);
        memcpy(stage, stages, length);
        stage[length] = 0;
        char *rest = NULL;
        long weight_percent = strtol(stages + length + 1, &rest, 10);
        json_array_append_new(list, stage_make(stage, (int)weight_percent, *rest == '!'));
        stages = rest + (*rest == '!');
        stages += *stages == ' ';
    }
    json_object_set_new(json_at(document, "strategies"), name, json_pack("{s:o}", "stages", list));
}

/* A stage has 400 requests at 5 %; errors are compared with the limit alone, for the few that a good version has would
 * make it look worse than its baseline once in a hundred stages. */
static void policy_make_fast(json_t *document)
{
    json_object_set_new(document, "time_scale", json_real(0.01));
    json_object_set_new(document, "bake_seconds", json_integer(1));
    json_object_set_new(document, "command_timeout_seconds", json_integer(10));
    json_object_set_new(json_at(document, "limits"), "relative_errors", json_false());
    rollout_add_strategy(document, "canary", "canary:5 staging:25 prod:100");
    rollout_add_strategy(document, "immediate", "prod:100");
}

Stack *rollout_stack(const StackPlan *plan)
{
    StackPlan with_rollouts = *plan;
    with_rollouts.rollouts = plan->rollouts ? plan->rollouts : 1;
    Stack *stack = stack_start(&with_rollouts);
    if (stack->counts[STACK_GATEWAY] > 0) {
        json_t *document = rollout_policy(stack);
        policy_make_fast(document);
        rollout_put_policy(stack, document);
    }
    if (stack->counts[STACK_SANDBOX] > 0) {
        cluster_behave(stack, "{\"requests_per_second\": 10000}");
    }
    return stack;
}

/* --- the sandbox, and alerts ----------------------------------------------------------------------------------- */

void cluster_behave(Stack *stack, const char *behavior)
{
    Answer answer =
        http_call(stack, (Call){.method = "PUT", .path = "/cluster/behavior", .body = behavior, .to = STACK_SANDBOX});
    cr_assert_eq(answer.status, 200, "%s", answer.body);
}

json_t *cluster_look(Stack *stack, const char *region, const char *service)
{
    const char *path = stack_print(stack, "/cluster/%s/services/%s", region, service);
    Answer answer = http_call(stack, (Call){.method = "GET", .path = path, .to = STACK_SANDBOX});
    cr_assert(answer.status == 200 || answer.status == 404, "%s", answer.body);
    return answer.status == 200 ? answer.json : NULL;
}

size_t rollout_alerts(Stack *stack, const char *alert, const char *severity, const char *summary)
{
    Entries entries = ledger_read(stack, "ANDON", stack_print(stack, "tai.andon.deployment.%s", alert));
    size_t count = 0;
    for (size_t i = 0; i < entries.count; i++) {
        Andon andon;
        Err err = wire_decode_andon(&stack->arena, entries.entries[i].body, &andon);
        cr_assert(!err_is(err), "%s", err.why);
        const char *said = stack_print(stack, STR_FMT, STR_ARG(andon.summary));
        const char *level = andon.severity == ANDON_CRITICAL ? "CRITICAL" : "HIGH";
        count += strcmp(level, severity) == 0 && strstr(said, summary) != NULL && !andon.cleared;
    }
    return count;
}
