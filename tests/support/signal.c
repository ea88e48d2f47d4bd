/* signal - deployments as a publisher and the policy workers see them. */
#include "tests/support/signal.h"

#include <string.h>

const char *signal_body(Stack *stack, const char *service, const char *version, const char *more)
{
    return stack_print(stack, "{\"service\": \"%s\", \"version\": \"%s\"%s%s}", service, version, more[0] ? ", " : "",
                       more);
}

const char *deployment_of_key(Stack *stack, const char *publisher, const char *key)
{
    char id[MADE_ID_MAX];
    made_id_print_keyed(DEPLOYMENT_PREFIX, str_from(publisher), str_from(key), id);
    return stack_print(stack, "%s", id);
}

const char *signal_send(Stack *stack, const char *key, const char *body)
{
    ledger_publish_text(stack, "tai.deployment.signal.shop1", key, body);
    return deployment_of_key(stack, "shop1", key);
}

size_t deployment_count(Stack *stack, const char *filter)
{
    return ledger_count_of(stack, "DEPLOYMENT", filter);
}

/* How many there are; the last one into `decision`. */
static size_t decision_find(Stack *stack, const char *id, DeploymentDecision *decision)
{
    Entries entries = ledger_read(stack, "DEPLOYMENT", "tai.deployment.decision.>");
    size_t count = 0;
    for (size_t i = 0; i < entries.count; i++) {
        DeploymentDecision found;
        pthread_mutex_lock(&stack->lock);
        Err err = wire_decode_deployment_decision(&stack->arena, entries.entries[i].body, &found);
        pthread_mutex_unlock(&stack->lock);
        cr_assert(!err_is(err), "%s", err.why);
        if (str_equal(found.signal.deployment_id, str_from(id))) {
            cr_assert_eq(found.rejected, strstr(entries.entries[i].subject, "rejected") != NULL);
            *decision = found;
            count++;
        }
    }
    return count;
}

size_t decision_count(Stack *stack, const char *id)
{
    DeploymentDecision decision;
    return decision_find(stack, id, &decision);
}

DeploymentDecision decision_wait(Stack *stack, const char *id)
{
    DeploymentDecision decision = {0};
    WAIT_UNTIL(decision_find(stack, id, &decision) > 0);
    return decision;
}

static bool rejection_find(Stack *stack, const char *id, DeploymentOutcome *outcome)
{
    Entries entries = ledger_read(stack, "DEPLOYMENT", stack_print(stack, "tai.deployment.outcome.%s", id));
    if (entries.count == 0) {
        return false;
    }
    cr_assert_eq(entries.count, 1);
    pthread_mutex_lock(&stack->lock);
    Err err = wire_decode_deployment_outcome(&stack->arena, entries.entries[0].body, outcome);
    pthread_mutex_unlock(&stack->lock);
    cr_assert(!err_is(err), "%s", err.why);
    cr_assert_eq(outcome->status, DEPLOYMENT_REJECTED);
    return true;
}

DeploymentOutcome rejection_wait(Stack *stack, const char *id)
{
    DeploymentOutcome outcome = {0};
    WAIT_UNTIL(rejection_find(stack, id, &outcome));
    return outcome;
}

const char *violation_detail(Stack *stack, const DeploymentOutcome *outcome, const char *code)
{
    for (size_t i = 0; i < outcome->violation_count; i++) {
        if (str_equal(outcome->violations[i].code, str_from(code))) {
            return stack_print(stack, STR_FMT, STR_ARG(outcome->violations[i].detail));
        }
    }
    cr_assert_fail("%s is no violation: " STR_FMT, code, STR_ARG(outcome->error_message));
    return "";
}

void check_rejected_for(Stack *stack, const char *id, const char *code)
{
    DeploymentOutcome outcome = rejection_wait(stack, id);
    cr_assert_str_not_empty(violation_detail(stack, &outcome, code));
    cr_assert_eq(outcome.violation_count, 1, STR_FMT, STR_ARG(outcome.error_message));
}

void signal_running(Stack *stack, const char *region, const char *service, const char *version, const char *digest)
{
    Arena arena = arena_make(4096, 1 << 20);
    DeploymentRunning running = {
        .region = str_from(region),
        .service = str_from(service),
        .version = str_from(version),
        .digest = str_from(digest),
        .deployment_id = STR("dep_before"),
        .since_ms = clock_unix_ms(),
    };
    Str body = wire_encode_deployment_running(&arena, &running);
    const char *subject = stack_print(stack, "tai.deployment.running.%s.%s", region, service);
    ledger_publish(stack, subject, NULL, body.data, body.length);
    arena_release(&arena);
}
