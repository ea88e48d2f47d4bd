/* many - 5,000 rollouts at once in one worker: waiting for a person, and observing, in at most 64 MiB; then all of them
 * end, once each.
 *
 * Signals, approvals and promotions go straight onto the bus, as anybody's would; every region has one deployment, so
 * there are as many regions. What is reached is read off the ledger, memory and processor time off /proc. With
 * sanitizers, which have memory of their own, it is fewer and only counted. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/rollout.h"
#include "tests/support/signal.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#define ROLLOUTS 200
#else
#define SANITIZED false
#define ROLLOUTS 5000
#endif

#define MEMORY_MAX_KIB (64 * 1024)
#define PHASE_MS 120000
#define LOOK_MS 10000 /* as in the shipped policy */

/* One stage that waits for a person and then observes for longer than the test takes, and one that takes no time. */
static void policy_put(Stack *stack)
{
    Arena arena = arena_make(1 << 20, 1 << 24);
    DeploymentPolicy *policy = arena_alloc(&arena, sizeof *policy);
    *policy = deployment_policy_default(&arena);
    policy->strategy_count = 1;
    policy->strategies[0] =
        (DeploymentStrategy){.name = "held",
                             .stages = {{"canary", 5, 0, 3600000, 0, true, true}, {"prod", 100, 0, 0, 0, false, false}},
                             .stage_count = 2};
    policy->regions = arena_alloc_array(&arena, ROLLOUTS, sizeof policy->regions[0]);
    policy->region_count = ROLLOUTS;
    for (int i = 0; i < ROLLOUTS; i++) {
        policy->regions[i] = (DeploymentRegionPolicy){.capacity = 10, .driver = "sandbox"};
        snprintf(policy->regions[i].name, sizeof policy->regions[i].name, "region-%04d", i);
    }
    policy->require_image = false;
    policy->look_ms = LOOK_MS;
    policy->bake_ms = 0;
    Str text = wire_print_deployment_policy(&arena, policy);
    size_t before = deployment_count(stack, "tai.deployment.policy");
    ledger_publish(stack, "$KV.tai_policy.deployment", NULL, text.data, text.length);
    arena_release(&arena);
    WAIT_UNTIL(deployment_count(stack, "tai.deployment.policy") > before);
    WAIT_UNTIL(process_log_count(stack_process(stack, STACK_POLICY, 0), "\"domain\":\"deployment\",\"revision\"") >
               before);
}

/* --- figures ---------------------------------------------------------------------------------------------------- */

static long status_kib(const Process *process, const char *name)
{
    char path[64];
    char line[128];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process->pid);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            kib = strtol(line + strlen(name) + 1, NULL, 10);
        }
    }
    fclose(file);
    cr_assert_gt(kib, 0, "%s has no %s", process->name, name);
    return kib;
}

/* User and system, of all its threads. */
static long processor_ms(const Process *process)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process->pid);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    unsigned long user = 0;
    unsigned long system = 0;
    const char *rest = strrchr(text, ')');
    cr_assert_eq(sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    return (long)((user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

static void tell(Stack *stack, int64_t began_ms, const char *what)
{
    const Process *worker = stack_process(stack, STACK_ROLLOUT, 0);
    fprintf(stderr, "%6.1f s  %-44s RSS %6ld KiB, highest %6ld KiB, processor %6ld ms\n",
            (double)(clock_monotonic_ms() - began_ms) / 1000, what, status_kib(worker, "VmRSS"),
            status_kib(worker, "VmHWM"), processor_ms(worker));
}

static void check_memory(Stack *stack, const char *what)
{
    const Process *worker = stack_process(stack, STACK_ROLLOUT, 0);
    if (!SANITIZED) {
        cr_expect_leq(status_kib(worker, "VmRSS"), MEMORY_MAX_KIB, "%s", what);
        cr_expect_leq(status_kib(worker, "VmHWM"), MEMORY_MAX_KIB, "%s, at its highest", what);
    }
}

/* --- the rollouts ----------------------------------------------------------------------------------------------- */

static void wait_for(Stack *stack, const char *filter, size_t count)
{
    for (int64_t deadline_ms = clock_monotonic_ms() + PHASE_MS;; clock_pause(300)) {
        size_t now = deployment_count(stack, filter);
        if (now >= count) {
            return;
        }
        cr_assert_lt(clock_monotonic_ms(), deadline_ms, "%s: %zu of %zu", filter, now, count);
    }
}

static void publish_all(Stack *stack, const char **ids)
{
    for (int i = 0; i < ROLLOUTS; i++) {
        const char *more = stack_print(stack, "\"target_region\": \"region-%04d\", \"rollout_strategy\": \"held\"", i);
        const char *body = signal_body(stack, "api", "v1", more);
        ids[i] = signal_send(stack, stack_print(stack, "many-%d", i), body);
    }
}

static void order_all(Stack *stack, const char *const *ids, const char *order)
{
    for (int i = 0; i < ROLLOUTS; i++) {
        rollout_order_by_nats(stack, ids[i], order, "ada", "all of them");
    }
}

/* A source that does not answer holds up looks, not orders, and not a connection for each rollout. */
static void stop_the_health_source(Stack *stack, const char *id)
{
    const char *events = stack_print(stack, "tai.deployment.event.%s", id);
    const Process *source = stack_process(stack, STACK_SANDBOX, 0);
    kill(source->pid, SIGSTOP);
    clock_pause(LOOK_MS); /* so that each wants to look */
    rollout_order_by_nats(stack, id, "pause", "ada", "what is wrong?");
    wait_for(stack, events, 6);
    check_memory(stack, "without a health source");
    kill(source->pid, SIGCONT);
    rollout_order_by_nats(stack, id, "resume", "ada", "nothing any more");
    wait_for(stack, events, 7);
}

/* Every deployment has one outcome, and it is a success. */
static void check_outcomes(Stack *stack, const char *const *ids)
{
    Entries entries = ledger_read(stack, "DEPLOYMENT", "tai.deployment.outcome.>");
    cr_assert_eq(entries.count, ROLLOUTS, "%zu outcomes", entries.count);
    json_t *ended = stack_own_json(stack, json_object());
    for (size_t i = 0; i < entries.count; i++) {
        DeploymentOutcome outcome;
        Err err = wire_decode_deployment_outcome(&stack->arena, entries.entries[i].body, &outcome);
        cr_assert(!err_is(err), "%s", err.why);
        cr_expect_eq(outcome.status, DEPLOYMENT_SUCCESS, STR_FMT, STR_ARG(outcome.error_message));
        json_object_set_new(ended, entries.entries[i].subject + strlen("tai.deployment.outcome."), json_true());
    }
    for (int i = 0; i < ROLLOUTS; i++) {
        cr_expect_not_null(json_object_get(ended, ids[i]), "%s did not end", ids[i]);
    }
    cr_expect_eq(ledger_count(stack, "DEAD"), 0);
}

Test(many, thousands_of_rollouts_at_once_fit_into_one_small_worker, .timeout = 280)
{
    Stack *stack = stack_start(&(StackPlan){.without = "gateway metrics", .rollouts = 1});
    const char **ids = (const char **)stack_keep(stack, NULL, ROLLOUTS * sizeof *ids);
    int64_t began_ms = clock_monotonic_ms();
    policy_put(stack);
    cluster_behave(stack, "{\"requests_per_second\": 100}");
    tell(stack, began_ms, "policy is live");

    publish_all(stack, ids);
    wait_for(stack, "tai.deployment.event.>", ROLLOUTS); /* started */
    tell(stack, began_ms, "waiting for an approval");
    check_memory(stack, "waiting for an approval");

    order_all(stack, ids, "approve");
    wait_for(stack, "tai.deployment.event.>", 5 * (size_t)ROLLOUTS); /* approved, applied, verified, observing */
    tell(stack, began_ms, "observing");
    clock_pause(LOOK_MS); /* so that each has looked */
    tell(stack, began_ms, "observing, each has looked once more");
    check_memory(stack, "observing");
    stop_the_health_source(stack, ids[ROLLOUTS - 1]);
    tell(stack, began_ms, "the health source stood still");
    cr_expect_eq(deployment_count(stack, "tai.deployment.event.>"), 5 * (size_t)ROLLOUTS + 2,
                 "nothing ended by itself");

    stack_restart(stack, STACK_ROLLOUT, 0, SIGTERM); /* the next one takes all of them over */
    order_all(stack, ids, "promote_full");
    wait_for(stack, "tai.deployment.outcome.>", ROLLOUTS);
    tell(stack, began_ms, "taken over by another worker, and ended");
    check_memory(stack, "taking over and ending");
    check_outcomes(stack, ids);
    stack_stop(stack);
}
