/* deployment_policy - deployment signals, judged by real policy workers: what is approved goes to its first region with
 * its image pinned, what is not is told everything at once, and nothing is decided twice. */
#include <stdio.h>
#include <string.h>

#include "shared/deployment/policy.h"
#include "tests/support/pay.h"
#include "tests/support/signal.h"

#define DIGEST_1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"

/* Puts the default document with a change into the bucket, and waits until it is live. */
static void put_policy(Stack *stack, void (*change)(DeploymentPolicy *policy))
{
    Arena arena = arena_make(1 << 16, 1 << 22);
    DeploymentPolicy *policy = arena_alloc(&arena, sizeof *policy);
    *policy = deployment_policy_default(&arena);
    change(policy);
    Str text = wire_print_deployment_policy(&arena, policy);
    size_t before = deployment_count(stack, "tai.deployment.policy");
    ledger_publish(stack, "$KV.tai_policy.deployment", NULL, text.data, text.length);
    arena_release(&arena);
    WAIT_UNTIL(deployment_count(stack, "tai.deployment.policy") > before);
    Process *worker = stack_process(stack, STACK_POLICY, 0);
    WAIT_UNTIL(process_log_count(worker, "\"domain\":\"deployment\",\"revision\"") > before);
}

static const char *sandbox_digest(Stack *stack, const char *name, const char *tag)
{
    const char *path = stack_print(stack, "/v2/%s/manifests/%s", name, tag);
    Answer answer = http_call(stack, (Call){.method = "GET", .path = path, .to = STACK_SANDBOX});
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    return http_header(stack, &answer, "Docker-Content-Digest");
}

static void cluster(Stack *stack, const char *method, const char *path, const char *body)
{
    Answer answer = http_call(stack, (Call){.method = method, .path = path, .body = body, .to = STACK_SANDBOX});
    cr_assert_eq(answer.status, 200, "%s: %s", path, answer.body);
}

/* --- approved -------------------------------------------------------------------------------------------------- */

Test(deployment_policy, an_approved_deployment_waits_in_its_first_region_with_its_image_pinned)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    const char *body =
        signal_body(stack, "api", "v2.0.0",
                    "\"target_regions\": [\"us-east-1\", \"us-west-2\"], \"rollout_strategy\": \"canary\", "
                    "\"on_region_failure\": \"rollback_all\"");
    const char *id = signal_send(stack, "order-1", body);
    WAIT_UNTIL(deployment_count(stack, "tai.deployment.region.us-east-1") == 1);
    Entries entries = ledger_read(stack, "DEPLOYMENT", "tai.deployment.region.>");
    cr_assert_eq(entries.count, 1);
    cr_assert_str_eq(entries.entries[0].msg_id, stack_print(stack, "region.%s.0", id));
    DeploymentRegionWork work;
    Err err = wire_decode_region_work(&stack->arena, entries.entries[0].body, &work);
    cr_assert(!err_is(err), "%s", err.why);
    cr_assert_eq(work.kind, REGION_WORK_ROLLOUT);
    cr_assert_eq(work.region_index, 0);
    const DeploymentDecision *decision = &work.decision;
    cr_assert(str_equal(decision->signal.deployment_id, str_from(id)));
    cr_assert(str_equal(decision->signal.publisher, STR("shop1")));
    cr_assert(str_equal(decision->image, STR("api")));
    cr_assert(str_equal(decision->digest, str_from(sandbox_digest(stack, "api", "v2.0.0"))));
    cr_assert_eq(decision->signal.on_region_failure, ON_REGION_FAILURE_ROLLBACK_ALL);
    cr_assert_eq(decision->plan.stage_count, 3);
    cr_assert_eq(decision->plan.stages[0].duration_ms, 300000, "the real profile is the default");
    cr_assert(str_equal(decision->regions[0].driver, STR("sandbox")));
    cr_assert_eq(decision->regions[0].previous_version.length, 0);
    cr_assert(str_equal(decision->regions[1].region, STR("us-west-2")));
    cr_assert_gt(decision->policy_revision, 0);
    cr_assert_eq(deployment_count(stack, "tai.deployment.outcome.>"), 0);
    cr_assert_eq(deployment_count(stack, "tai.deployment.decision.approved"), 1);
    cr_assert_eq(ledger_count(stack, "DEAD"), 0);
    stack_stop(stack);
}

Test(deployment_policy, what_runs_in_a_region_is_what_a_rollback_returns_to)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    signal_running(stack, "us-west-2", "api", "v1", DIGEST_1);
    const char *id = signal_send(stack, "k1", signal_body(stack, "api", "v2", WEST));
    DeploymentDecision decision = decision_wait(stack, id);
    cr_assert_not(decision.rejected);
    cr_assert(str_equal(decision.regions[0].previous_version, STR("v1")));
    cr_assert(str_equal(decision.regions[0].previous_digest, STR(DIGEST_1)));
    stack_restart(stack, STACK_POLICY, 0, SIGTERM);
    decision = decision_wait(stack, signal_send(stack, "k2", signal_body(stack, "api", "v3", WEST)));
    cr_assert(str_equal(decision.regions[0].previous_version, STR("v1")), "a worker that starts reads it again");
    const char *again = signal_send(stack, "k3", signal_body(stack, "api", "v1", "\"image\": \"api\", " WEST));
    signal_running(stack, "us-west-2", "api", "v3", sandbox_digest(stack, "api", "v3"));
    cr_assert_not(decision_wait(stack, again).rejected, "a tag that names another image now");
    check_rejected_for(stack, signal_send(stack, "k4", signal_body(stack, "api", "v3", WEST)), "already_running");
    stack_stop(stack);
}

Test(deployment_policy, the_quick_profile_is_written_only_where_there_is_no_document)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY, .settings = "TAI_POLICY_DEPLOYMENT_PROFILE=quick"});
    DeploymentDecision decision = decision_wait(stack, signal_send(stack, "k1", signal_body(stack, "api", "v2", WEST)));
    cr_assert_eq(decision.plan.stages[0].duration_ms, 3000);
    Process *worker = stack_process(stack, STACK_POLICY, 0);
    words_add(&worker->environment, "TAI_POLICY_DEPLOYMENT_PROFILE=real");
    stack_restart(stack, STACK_POLICY, 0, SIGTERM);
    decision = decision_wait(stack, signal_send(stack, "k2", signal_body(stack, "api", "v3", WEST)));
    cr_assert_eq(decision.plan.stages[0].duration_ms, 3000);
    stack_stop(stack);
}

/* --- rejected -------------------------------------------------------------------------------------------------- */

Test(deployment_policy, everything_that_speaks_against_a_deployment_is_told_at_once)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    signal_running(stack, "us-west-2", "api", "v1", "");
    const char *body = signal_body(stack, "api", "v2-missing",
                                   "\"target_regions\": [\"us-west-2\", \"mars-1\"], \"rollout_strategy\": \"yolo\"");
    const char *id = signal_send(stack, "k1", body);
    DeploymentOutcome outcome = rejection_wait(stack, id);
    cr_assert_eq(outcome.violation_count, 4, STR_FMT, STR_ARG(outcome.error_message));
    const char *strategies = violation_detail(stack, &outcome, "strategy_unknown");
    const char *regions = violation_detail(stack, &outcome, "region_unknown");
    cr_assert(strstr(strategies, "canary") && strstr(strategies, "blue_green") && strstr(strategies, "immediate"));
    cr_assert(strstr(regions, "mars-1") && strstr(regions, "us-east-1"), "%s", regions);
    cr_assert_str_not_empty(violation_detail(stack, &outcome, "image_not_found"));
    cr_assert_str_not_empty(violation_detail(stack, &outcome, "no_rollback_plan"));
    cr_assert(decision_wait(stack, id).rejected);
    cr_assert_eq(deployment_count(stack, "tai.deployment.region.>"), 0);
    stack_stop(stack);
}

static void one_place_and_a_freeze(DeploymentPolicy *policy)
{
    policy->regions[0].capacity = 1;
    policy->freeze_count = 1;
    policy->freezes[0] = (DeploymentFreeze){
        .from_ms = clock_unix_ms() - 1000, .to_ms = clock_unix_ms() + 3600000, .service = "billing", .reason = "audit"};
}

Test(deployment_policy, a_full_region_takes_no_new_service_and_a_freeze_none_that_it_names)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    put_policy(stack, one_place_and_a_freeze);
    cr_assert_not(decision_wait(stack, signal_send(stack, "k1", signal_body(stack, "api", "v1", WEST))).rejected);
    signal_running(stack, "us-west-2", "api", "v1", DIGEST_1);
    check_rejected_for(stack, signal_send(stack, "k2", signal_body(stack, "web", "v1", WEST)), "capacity_exhausted");
    cr_assert_not(decision_wait(stack, signal_send(stack, "k3", signal_body(stack, "api", "v2", WEST))).rejected);
    signal_running(stack, "us-west-2", "api", "", "");
    cr_assert_not(decision_wait(stack, signal_send(stack, "k4", signal_body(stack, "web", "v1", WEST))).rejected);
    const char *east = "\"target_region\": \"us-east-1\"";
    check_rejected_for(stack, signal_send(stack, "k5", signal_body(stack, "billing", "v1", east)), "frozen");
    stack_stop(stack);
}

Test(deployment_policy, a_version_that_does_badly_now_is_none_to_return_to)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    cluster(stack, "PUT", "/cluster/behavior",
            "{\"service\": \"api\", \"version\": \"v1\", \"error_rate\": 0.5, \"requests_per_second\": 1000}");
    cluster(stack, "PUT", "/cluster/us-west-2/services/api", "{\"version\": \"v1\", \"weight_percent\": 100}");
    cluster(stack, "PUT", "/cluster/us-west-2/services/web", "{\"version\": \"v1\", \"weight_percent\": 100}");
    signal_running(stack, "us-west-2", "api", "v1", DIGEST_1);
    signal_running(stack, "us-west-2", "web", "v1", DIGEST_1);
    signal_running(stack, "us-west-2", "unheard", "v1", DIGEST_1);
    clock_pause(1500); /* traffic: the sandbox counts by the clock */
    check_rejected_for(stack, signal_send(stack, "k1", signal_body(stack, "api", "v2", WEST)), "unhealthy");
    cr_assert_not(decision_wait(stack, signal_send(stack, "k2", signal_body(stack, "web", "v2", WEST))).rejected);
    cr_assert_not(decision_wait(stack, signal_send(stack, "k3", signal_body(stack, "unheard", "v2", WEST))).rejected);
    stack_stop(stack);
}

Test(deployment_policy, whoever_waits_is_told_of_a_rejection)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    natsSubscription *replies = NULL;
    natsMsg *message = NULL;
    cr_assert_eq(natsConnection_SubscribeSync(&replies, stack_nats(stack), "tai.reply.test.1"), NATS_OK);
    const char *body = signal_body(stack, "api", "v2-missing", WEST);
    natsMsg_Create(&message, "tai.deployment.signal.shop1", NULL, body, (int)strlen(body));
    natsMsgHeader_Set(message, "Tai-Reply", "tai.reply.test.1");
    natsMsgHeader_Set(message, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    cr_assert_eq(js_PublishMsg(NULL, stack_js(stack), message, NULL, NULL), NATS_OK);
    natsMsg_Destroy(message);
    cr_assert_eq(natsSubscription_NextMsg(&message, replies, PATIENCE_MS), NATS_OK);
    Str told = {natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)};
    DeploymentOutcome outcome;
    cr_assert(!err_is(wire_decode_deployment_outcome(&stack->arena, told, &outcome)));
    cr_assert_eq(outcome.status, DEPLOYMENT_REJECTED);
    cr_assert(str_equal(outcome.trace_id, STR("0af7651916cd43dd8448eb211c80319c")));
    cr_assert(str_starts_with(outcome.deployment_id, STR("dep_")));
    natsMsg_Destroy(message);
    natsSubscription_Destroy(replies);
    stack_stop(stack);
}

/* --- the registry ---------------------------------------------------------------------------------------------- */

Test(deployment_policy, a_registry_that_stays_down_is_a_violation_when_its_time_is_over)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY, .settings = "TAI_POLICY_DEPLOYMENT_FACTS_MS=1000"});
    check_rejected_for(stack, signal_send(stack, "k1", signal_body(stack, "api", "v1-registrydown", WEST)),
                       "image_unknown");
    cr_assert_geq(process_log_count(stack_process(stack, STACK_POLICY, 0), "\"event\":\"kept\""), 2);
    stack_stop(stack);
}

Test(deployment_policy, a_registry_that_comes_back_is_asked_again)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    stack_kill(stack, STACK_SANDBOX, 0, SIGKILL);
    const char *id = signal_send(stack, "k1", signal_body(stack, "api", "v1", WEST));
    WAIT_UNTIL(process_log_has(stack_process(stack, STACK_POLICY, 0), "\"event\":\"kept\""));
    stack_begin(stack, STACK_SANDBOX, 0);
    DeploymentDecision decision = decision_wait(stack, id);
    cr_assert_not(decision.rejected);
    cr_assert(str_equal(decision.digest, str_from(sandbox_digest(stack, "api", "v1"))));
    stack_stop(stack);
}

static void no_image_needed(DeploymentPolicy *policy)
{
    policy->require_image = false;
}

Test(deployment_policy, without_a_registry_only_a_policy_that_needs_no_image_approves)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY, .settings = "TAI_POLICY_REGISTRY_URL="});
    check_rejected_for(stack, signal_send(stack, "k1", signal_body(stack, "api", "v1", WEST)), "image_unknown");
    put_policy(stack, no_image_needed);
    cr_assert_not(decision_wait(stack, signal_send(stack, "k2", signal_body(stack, "api", "v1", WEST))).rejected);
    stack_stop(stack);
}

/* --- thousands of regions --------------------------------------------------------------------------------------- */

/* The fullest that there may be: the longest names and drivers; the last one is us-west-2. */
static Str fullest_policy(Arena *arena)
{
    DeploymentPolicy *policy = arena_alloc(arena, sizeof *policy);
    *policy = deployment_policy_default(arena);
    DeploymentRegionPolicy west = policy->regions[0];
    policy->region_count = DEPLOYMENT_POLICY_REGIONS_MAX;
    policy->regions = arena_alloc_array(arena, DEPLOYMENT_POLICY_REGIONS_MAX, sizeof west);
    for (int i = 0; i < DEPLOYMENT_POLICY_REGIONS_MAX; i++) {
        policy->regions[i] = (DeploymentRegionPolicy){.capacity = 1000000000, .driver = "kubernetes"};
        snprintf(policy->regions[i].name, sizeof policy->regions[i].name, "%063d", i);
    }
    policy->regions[DEPLOYMENT_POLICY_REGIONS_MAX - 1] = west;
    return wire_print_deployment_policy(arena, policy);
}

static Answer put_document(Stack *stack, Str document)
{
    return http_call(stack, (Call){.method = "PUT",
                                   .path = "/policy/deployment",
                                   .body = document.data,
                                   .body_length = document.length,
                                   .to = STACK_DEPLOYMENT});
}

Test(deployment_policy, a_document_of_thousands_of_regions_becomes_live_and_one_more_is_refused)
{
    Stack *stack = stack_start(&(StackPlan){.without = "action metrics"});
    Arena arena = arena_make(1 << 20, 1 << 24);
    Str document = fullest_policy(&arena);
    Answer answer = put_document(stack, document);
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    WAIT_UNTIL(process_log_has(stack_process(stack, STACK_POLICY, 0),
                               stack_print(stack, "\"domain\":\"deployment\",\"revision\":%lld",
                                           (long long)json_number(answer.json, "revision"))));
    cr_assert_not(decision_wait(stack, signal_send(stack, "k1", signal_body(stack, "api", "v1", WEST))).rejected);
    stack_restart(stack, STACK_POLICY, 0, SIGTERM); /* finds it on the ledger already */
    cr_assert_not(decision_wait(stack, signal_send(stack, "k2", signal_body(stack, "web", "v1", WEST))).rejected);
    cr_assert_eq(deployment_count(stack, "tai.deployment.policy"), 2);

    const char *regions = strstr(document.data, "\"regions\": [");
    Str longer = arena_print(&arena, "%.*s\"regions\": [{\"name\": \"x\", \"capacity\": 1, \"driver\": \"sandbox\"},%s",
                             (int)(regions - document.data), document.data, regions + strlen("\"regions\": ["));
    answer = put_document(stack, longer);
    check_problem(stack, &answer, 422);
    cr_assert_not_null(strstr(answer.body, "regions: must have 1 to 6000 entries"), "%s", answer.body);
    arena_release(&arena);
    stack_stop(stack);
}
