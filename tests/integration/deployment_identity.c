/* deployment_identity - one deployment for one key or id, however often it is said, whoever says it, and whoever dies
 * in between. */
#include <string.h>

#include "tests/support/signal.h"

#define QUICK_AGAIN "TAI_POLICY_LANES_DEPLOYMENT_ACK_WAIT_MS=1000"

/* No signal waits any more: everything was decided or buried. */
static bool lane_is_empty(Stack *stack)
{
    jsConsumerInfo *info = NULL;
    if (js_GetConsumerInfo(&info, stack_js(stack), "DEPLOYMENT", "policy", NULL, NULL) != NATS_OK) {
        return false;
    }
    bool empty = info->NumPending == 0 && info->NumAckPending == 0;
    jsConsumerInfo_Destroy(info);
    return empty;
}

/* The first dead letter's reason is among its headers. */
static void check_buried(Stack *stack, size_t count, const char *reason)
{
    WAIT_UNTIL(ledger_count(stack, "DEAD") == count);
    Entries letters = ledger_read(stack, "DEAD", "tai.dead.deployment.policy");
    cr_assert_eq(letters.count, count);
    cr_assert(strstr(letters.entries[count - 1].headers, reason), "%s", letters.entries[count - 1].headers);
}

static void publish_once(Stack *stack, const char *subject, const char *key, const char *body)
{
    natsMsg *message = NULL;
    natsMsg_Create(&message, subject, NULL, body, (int)strlen(body));
    natsMsgHeader_Set(message, "Tai-Key", key);
    natsMsgHeader_Set(message, "Nats-Expected-Last-Subject-Sequence", "0");
    js_PublishMsg(NULL, stack_js(stack), message, NULL, NULL); /* refused where it is there already */
    natsMsg_Destroy(message);
}

Test(deployment_identity, a_key_is_one_deployment_by_whichever_way_it_comes_in)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    const char *body = signal_body(stack, "api", "v2", WEST);
    const char *id = deployment_of_key(stack, "shop1", "k1");
    publish_once(stack, stack_print(stack, "tai.deployment.signal.shop1.%s", id), "k1", body);
    cr_assert_str_eq(signal_send(stack, "k1", body), id);
    signal_send(stack, "k1", body);
    publish_once(stack, stack_print(stack, "tai.deployment.signal.shop1.%s", id), "k1", body);
    decision_wait(stack, id);
    const char *other = signal_send(stack, "k2", body);
    decision_wait(stack, other);
    cr_assert_str_neq(other, id);
    WAIT_UNTIL(lane_is_empty(stack));
    cr_assert_eq(decision_count(stack, id), 1);
    cr_assert_eq(decision_count(stack, other), 1);
    cr_assert_eq(deployment_count(stack, "tai.deployment.region.>"), 2);
    cr_assert_eq(ledger_count(stack, "DEAD"), 0);
    stack_stop(stack);
}

Test(deployment_identity, an_id_that_a_publisher_chose_belongs_to_the_first_who_said_it)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY, .policies = 2});
    const char *body = signal_body(stack, "api", "v2", WEST);
    ledger_publish_text(stack, "tai.deployment.signal.shop1.release-7", NULL, body);
    decision_wait(stack, "release-7");
    ledger_publish_text(stack, "tai.deployment.signal.shop1.release-7", NULL, signal_body(stack, "web", "v3", WEST));
    ledger_publish_text(stack, "tai.deployment.signal.shop2.release-7", NULL, body);
    check_buried(stack, 1, "belongs to another publisher");
    WAIT_UNTIL(lane_is_empty(stack));
    DeploymentDecision decision = decision_wait(stack, "release-7");
    cr_assert(str_equal(decision.signal.service, STR("api")));
    cr_assert_eq(decision_count(stack, "release-7"), 1);
    cr_assert_eq(deployment_count(stack, "tai.deployment.region.>"), 1);
    stack_stop(stack);
}

Test(deployment_identity, what_is_no_deployment_is_buried_with_its_reason)
{
    static const struct {
        const char *subject;
        const char *body;
        const char *reason;
    } bad[] = {
        {"tai.deployment.signal.shop1", "{", "Tai-Dead-Reason"},
        {"tai.deployment.signal.shop1", "{\"service\": \"api\", \"version\": \"v1\"}", "region"},
        {"tai.deployment.signal.shop1", "{\"service\": \"A b\", \"version\": \"v1\", " WEST "}", "service"},
        {"tai.deployment.signal.shop1.dep_mine", "{\"service\": \"api\", \"version\": \"v1\", " WEST "}", "dep_"},
        {"tai.deployment.signal.shop1.a.b", "{\"service\": \"api\", \"version\": \"v1\", " WEST "}", "subject"},
    };
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ledger_publish_text(stack, bad[i].subject, NULL, bad[i].body);
        check_buried(stack, i + 1, bad[i].reason);
    }
    cr_assert_eq(deployment_count(stack, "tai.deployment.decision.>"), 0);
    stack_stop(stack);
}

/* As a worker that died between its decision and what follows from it. */
static const char *decided_before(Stack *stack, const char *key, bool rejected)
{
    Arena arena = arena_make(1 << 14, 1 << 20);
    DeploymentDecision *decision = arena_alloc(&arena, sizeof *decision);
    DeploymentViolation violation = {STR("frozen"), STR("then")};
    const char *id = deployment_of_key(stack, "shop1", key);
    decision->signal = (DeploymentSignal){
        .deployment_id = str_from(id),
        .publisher = STR("shop1"),
        .service = STR("api"),
        .version = STR("v1"),
        .regions = &STR("us-west-2"),
        .region_count = 1,
        .strategy = STR("canary"),
        .received_ms = clock_unix_ms(),
    };
    decision->regions = &(DeploymentRegion){.region = STR("us-west-2"), .driver = STR("sandbox")};
    decision->plan.stage_count = 1;
    decision->plan.stages[0].name[0] = 'p';
    decision->plan.stages[0].weight_percent = 100;
    decision->rejected = rejected;
    decision->violations = &violation;
    decision->violation_count = rejected ? 1 : 0;
    decision->decided_ms = clock_unix_ms();
    Str body = wire_encode_deployment_decision(&arena, decision);
    ledger_publish(stack, rejected ? "tai.deployment.decision.rejected" : "tai.deployment.decision.approved",
                   stack_print(stack, "decision.shop1.%s", id), body.data, body.length);
    arena_release(&arena);
    return id;
}

Test(deployment_identity, a_decision_that_stands_is_followed_however_it_would_be_now)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY});
    const char *approved = decided_before(stack, "approved", false);
    const char *rejected = decided_before(stack, "rejected", true);
    signal_send(stack, "approved", signal_body(stack, "api", "v1-missing", WEST));
    signal_send(stack, "rejected", signal_body(stack, "api", "v1", WEST));
    check_rejected_for(stack, rejected, "frozen");
    WAIT_UNTIL(deployment_count(stack, "tai.deployment.region.us-west-2") == 1);
    WAIT_UNTIL(lane_is_empty(stack));
    Entries work = ledger_read(stack, "DEPLOYMENT", "tai.deployment.region.>");
    cr_assert_str_eq(work.entries[0].msg_id, stack_print(stack, "region.%s.0", approved));
    cr_assert_eq(decision_count(stack, approved), 1);
    cr_assert_eq(deployment_count(stack, "tai.deployment.outcome.>"), 1);
    cr_assert_eq(ledger_count(stack, "DEAD"), 0);
    stack_stop(stack);
}

#define DEPLOYMENTS 40

/* Every third one is rejected. */
static const char *publish_number(Stack *stack, int number)
{
    const char *service = stack_print(stack, "s%d", number);
    const char *version = number % 3 == 0 ? "v1-missing" : "v1";
    return signal_send(stack, stack_print(stack, "n%d", number), signal_body(stack, service, version, WEST));
}

Test(deployment_identity, policy_workers_that_are_killed_decide_everything_once)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY, .policies = 2, .settings = QUICK_AGAIN});
    const char *ids[DEPLOYMENTS];
    for (int i = 0; i < DEPLOYMENTS; i++) {
        ids[i] = publish_number(stack, i);
        if (i % 8 == 7) {
            stack_restart(stack, STACK_POLICY, i / 8 % 2, SIGKILL);
        }
    }
    size_t rejected = 0;
    for (int i = 0; i < DEPLOYMENTS; i++) {
        DeploymentDecision decision = decision_wait(stack, ids[i]);
        cr_assert_eq(decision.rejected, i % 3 == 0);
        rejected += decision.rejected;
    }
    WAIT_UNTIL(lane_is_empty(stack));
    cr_assert_eq(deployment_count(stack, "tai.deployment.decision.>"), DEPLOYMENTS);
    cr_assert_eq(deployment_count(stack, "tai.deployment.region.>"), DEPLOYMENTS - rejected);
    cr_assert_eq(deployment_count(stack, "tai.deployment.outcome.>"), rejected);
    cr_assert_eq(ledger_count(stack, "DEAD"), 0);
    stack_stop(stack);
}

Test(deployment_identity, a_restart_of_the_bus_loses_no_deployment)
{
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY, .settings = QUICK_AGAIN});
    const char *ids[DEPLOYMENTS];
    for (int i = 0; i < DEPLOYMENTS; i++) {
        ids[i] = publish_number(stack, i);
    }
    stack_restart(stack, STACK_NATS, 0, SIGKILL);
    for (int i = 0; i < DEPLOYMENTS; i++) {
        decision_wait(stack, ids[i]);
    }
    WAIT_UNTIL(lane_is_empty(stack));
    cr_assert_eq(deployment_count(stack, "tai.deployment.decision.>"), DEPLOYMENTS);
    cr_assert_eq(deployment_count(stack, "tai.deployment.region.>") +
                     deployment_count(stack, "tai.deployment.outcome.>"),
                 DEPLOYMENTS);
    stack_stop(stack);
}
