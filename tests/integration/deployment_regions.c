/* deployment_regions - regions are lanes: one after the other, one deployment in each, and what follows when one of
 * them fails. */
#include <string.h>

#include "tests/support/rollout.h"

#define QUICK ", \"rollout_strategy\": \"immediate\""
#define THREE "\"target_regions\": [\"us-west-2\", \"us-east-1\", \"eu-west-1\"]" QUICK
#define EAST_IS_BAD "{\"region\": \"us-east-1\", \"service\": \"api\", \"version\": \"v2\", \"error_rate\": 0.3}"

static double first_sequence(json_t *events, const char *region, size_t *count)
{
    double first = 0;
    *count = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *event = json_array_get(events, i);
        if (strcmp(json_text(event, "region"), region) == 0) {
            first = first > 0 ? first : json_number(event, "sequence");
            *count += 1;
        }
    }
    return first;
}

static const char *stable(Stack *stack, const char *region)
{
    json_t *now = cluster_look(stack, region, "api");
    return now ? json_text(now, "stable_version") : "nowhere";
}

static int weight(Stack *stack, const char *region)
{
    return (int)json_number(cluster_look(stack, region, "api"), "weight_percent");
}

static const char *region_status(const json_t *outcome, const char *region)
{
    const json_t *regions = json_at(outcome, "regions");
    for (size_t i = 0; i < json_array_size(regions); i++) {
        if (strcmp(json_text(json_array_get(regions, i), "region"), region) == 0) {
            return json_text(json_array_get(regions, i), "status");
        }
    }
    return "";
}

/* v1 everywhere, then v2 which is bad in the second region. */
static json_t *fail_in_the_middle(Stack *stack, const char *on_region_failure)
{
    rollout_end_as(stack, rollout_begin(stack, rollout_body(stack, "api", "v1", THREE)), "SUCCESS");
    cluster_behave(stack, EAST_IS_BAD);
    const char *more = stack_print(stack, THREE ", \"on_region_failure\": \"%s\"", on_region_failure);
    return rollout_end_as(stack, rollout_begin(stack, rollout_body(stack, "api", "v2", more)), "ROLLED_BACK");
}

Test(deployment_regions, a_region_begins_when_the_one_before_it_is_through)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_SEQUENCE QUICK));
    json_t *outcome = rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(json_array_size(json_at(outcome, "regions")), 2);
    cr_assert_str_eq(json_text(outcome, "regions.0.region"), "us-west-2");
    cr_assert_str_eq(json_text(outcome, "regions.1.region"), "us-east-1");
    json_t *events = rollout_events(stack, id);
    size_t west = 0;
    size_t east = 0;
    cr_assert_lt(first_sequence(events, "us-west-2", &west), first_sequence(events, "us-east-1", &east));
    cr_assert_eq(west + east, json_array_size(events));
    cr_assert_str_eq(json_text(json_array_get(events, west - 1), "event"), "succeeded", "west is whole before east");
    cr_assert_str_eq(json_text(json_array_get(events, west - 1), "region"), "us-west-2");
    stack_stop(stack);
}

Test(deployment_regions, halt_leaves_the_regions_before_and_does_not_begin_those_behind)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *outcome = fail_in_the_middle(stack, "halt");
    cr_assert_eq(json_array_size(json_at(outcome, "regions")), 2);
    cr_assert_str_eq(region_status(outcome, "us-west-2"), "SUCCESS");
    cr_assert_str_eq(region_status(outcome, "us-east-1"), "ROLLED_BACK");
    cr_assert(strstr(json_text(outcome, "error_message"), "us-east-1"));
    cr_assert_eq(weight(stack, "us-west-2"), 100);
    cr_assert_eq(weight(stack, "us-east-1"), 0);
    cr_assert_str_eq(stable(stack, "us-east-1"), "v1");
    stack_stop(stack);
}

Test(deployment_regions, rollback_all_restores_the_regions_before)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *outcome = fail_in_the_middle(stack, "rollback_all");
    cr_assert_str_eq(region_status(outcome, "us-west-2"), "ROLLED_BACK");
    cr_assert_str_eq(region_status(outcome, "us-east-1"), "ROLLED_BACK");
    cr_assert_str_eq(region_status(outcome, "eu-west-1"), "");
    cr_assert_eq(weight(stack, "us-west-2"), 0);
    cr_assert_str_eq(stable(stack, "us-west-2"), "v1");
    cr_assert_str_eq(stable(stack, "us-east-1"), "v1");
    const char *id = json_text(outcome, "deployment_id");
    json_t *begun = rollout_wait(stack, id, "rollback_begun", "us-west-2:restore", NULL);
    cr_assert_str_eq(json_text(begun, "who"), "sequence");
    cr_assert_str_eq(json_text(begun, "cause"), "sequence");
    stack_stop(stack);
}

Test(deployment_regions, continue_goes_on_behind_a_region_that_failed)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    json_t *outcome = fail_in_the_middle(stack, "continue");
    cr_assert_str_eq(region_status(outcome, "us-west-2"), "SUCCESS");
    cr_assert_str_eq(region_status(outcome, "us-east-1"), "ROLLED_BACK");
    cr_assert_str_eq(region_status(outcome, "eu-west-1"), "SUCCESS");
    cr_assert_eq(weight(stack, "eu-west-1"), 100);
    stack_stop(stack);
}

/* Whoever stops a deployment means all of it. */
Test(deployment_regions, an_abort_ends_the_whole_sequence_even_where_failures_do_not)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    cluster_behave(stack, "{\"service\": \"api\", \"requests_per_second\": 0}");
    const char *id =
        rollout_begin(stack, rollout_body(stack, "api", "v1", THREE ", \"on_region_failure\": \"continue\""));
    rollout_wait(stack, id, "paused", "us-west-2", NULL);
    rollout_order(stack, id, "abort", "ada", "enough");
    json_t *outcome = rollout_end_as(stack, id, "ABORTED");
    cr_assert_eq(json_array_size(json_at(outcome, "regions")), 1);
    cr_assert_null(cluster_look(stack, "us-east-1", "api"));
    stack_stop(stack);
}

Test(deployment_regions, a_newer_version_that_waits_supersedes_the_older_one)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    cluster_behave(stack, "{\"service\": \"web\", \"requests_per_second\": 0}");
    const char *first = rollout_begin(stack, rollout_body(stack, "web", "v1", ROLLOUT_WEST));
    rollout_wait(stack, first, "paused", NULL, NULL);
    const char *older = rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST QUICK));
    WAIT_UNTIL(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.region.us-west-2") == 2);
    const char *newer = rollout_begin(stack, rollout_body(stack, "api", "v2", ROLLOUT_WEST QUICK));
    WAIT_UNTIL(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.region.us-west-2") == 3);
    cr_assert_eq(json_array_size(rollout_events(stack, older)), 0, "one at a time");
    rollout_order(stack, first, "abort", "ada", "nobody comes");
    json_t *outcome = rollout_end_as(stack, older, "ABORTED");
    cr_assert(strstr(json_text(outcome, "error_message"), newer), "%s", json_text(outcome, "error_message"));
    cr_assert_str_eq(json_text(rollout_wait(stack, older, "ended", NULL, NULL), "who"), "queue");
    cr_assert_eq(rollout_count(stack, older, "applied", NULL, NULL), 0);
    rollout_end_as(stack, newer, "SUCCESS");
    cr_assert_eq(weight(stack, "us-west-2"), 100);
    stack_stop(stack);
}

Test(deployment_regions, several_services_share_a_lane_one_after_the_other_over_two_workers)
{
    enum { DEPLOYMENTS = 6 };
    Stack *stack = rollout_stack(&(StackPlan){.rollouts = 2});
    const char *ids[DEPLOYMENTS];
    for (int i = 0; i < DEPLOYMENTS; i++) {
        ids[i] = rollout_begin(stack, rollout_body(stack, stack_print(stack, "s%d", i), "v1", ROLLOUT_WEST QUICK));
    }
    double last = 0;
    for (int i = 0; i < DEPLOYMENTS; i++) {
        rollout_end_as(stack, ids[i], "SUCCESS");
        json_t *events = rollout_events(stack, ids[i]);
        cr_assert_gt(json_number(json_array_get(events, 0), "sequence"), last, "in the order in which they came");
        last = json_number(json_array_get(events, json_array_size(events) - 1), "sequence");
    }
    stack_stop(stack);
}

/* Each stands behind those that it supersedes, among others that are none of its business; whichever worker has the
 * lane, the newest of each service is rolled out and no other. */
Test(deployment_regions, of_many_that_wait_only_the_newest_of_each_service_is_rolled_out)
{
    enum { VERSIONS = 4 };
    static const char *const services[] = {"api", "web", "pay"};
    Stack *stack = rollout_stack(&(StackPlan){.rollouts = 2});
    const char *ids[VERSIONS][3];
    cluster_behave(stack, "{\"service\": \"first\", \"requests_per_second\": 0}");
    const char *first = rollout_begin(stack, rollout_body(stack, "first", "v1", ROLLOUT_WEST));
    rollout_wait(stack, first, "paused", NULL, NULL);
    for (size_t i = 0; i < VERSIONS * 3; i++) {
        const char *version = stack_print(stack, "v%zu", i / 3);
        ids[i / 3][i % 3] = rollout_begin(stack, rollout_body(stack, services[i % 3], version, ROLLOUT_WEST QUICK));
        WAIT_UNTIL(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.region.us-west-2") == i + 2);
    }
    rollout_order(stack, first, "abort", "ada", "nobody comes");
    for (size_t i = 0; i < VERSIONS * 3; i++) {
        bool newest = i / 3 == VERSIONS - 1;
        json_t *outcome = rollout_end_as(stack, ids[i / 3][i % 3], newest ? "SUCCESS" : "ABORTED");
        cr_expect(newest || strstr(json_text(outcome, "error_message"), ids[VERSIONS - 1][i % 3]), "%s",
                  json_text(outcome, "error_message"));
    }
    stack_stop(stack);
}

/* The older one stands behind the newer one here, because it came by another region. */
Test(deployment_regions, an_older_deployment_that_comes_later_supersedes_nothing)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    const char *east = "\"target_region\": \"us-east-1\"" QUICK;
    cluster_behave(stack, "{\"region\": \"us-west-2\", \"requests_per_second\": 0}");
    cluster_behave(stack, "{\"service\": \"web\", \"requests_per_second\": 0}");
    const char *first = rollout_begin(stack, rollout_body(stack, "web", "v1", east));
    rollout_wait(stack, first, "paused", NULL, NULL);
    const char *older = rollout_begin(stack, rollout_body(stack, "api", "v1", ROLLOUT_SEQUENCE QUICK));
    rollout_wait(stack, older, "paused", "us-west-2", NULL);
    const char *newer = rollout_begin(stack, rollout_body(stack, "api", "v2", east));
    WAIT_UNTIL(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.region.us-east-1") == 2);
    rollout_order(stack, older, "promote", "ada", "good enough");
    WAIT_UNTIL(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.region.us-east-1") == 3);
    rollout_order(stack, first, "abort", "ada", "nobody comes");
    rollout_end_as(stack, newer, "SUCCESS");
    stack_stop(stack);
}

/* --- what cannot be read on a lane ----------------------------------------------------------------------------- */

static jsConsumerInfo lane_look(Stack *stack)
{
    jsConsumerInfo *info = NULL;
    cr_assert_eq(js_GetConsumerInfo(&info, stack_js(stack), "DEPLOYMENT", "region-us-west-2", NULL, NULL), NATS_OK);
    jsConsumerInfo copy = *info; /* its numbers outlive it */
    jsConsumerInfo_Destroy(info);
    return copy;
}

Test(deployment_regions, what_cannot_be_read_on_a_lane_stays_until_its_letter_is_stored_and_the_lane_goes_on)
{
    Stack *stack = rollout_stack(&(StackPlan){0});
    jsStreamInfo *dead = NULL;
    cr_assert_eq(js_GetStreamInfo(&dead, stack_js(stack), "DEAD", NULL, NULL), NATS_OK);
    cr_assert_eq(js_DeleteStream(stack_js(stack), "DEAD", NULL, NULL), NATS_OK);
    uint64_t sequence = ledger_publish_text(stack, "tai.deployment.region.us-west-2", "no-work", "no work");
    WAIT_UNTIL(lane_look(stack).NumRedelivered == 1); /* there is no letter, so it comes again */
    cr_assert_eq(js_AddStream(NULL, stack_js(stack), dead->Config, NULL, NULL), NATS_OK);
    jsStreamInfo_Destroy(dead);
    WAIT_UNTIL(ledger_count_of(stack, "DEAD", "tai.dead.deployment.region") == 1);
    Entries letters = ledger_read(stack, "DEAD", "tai.dead.deployment.region");
    cr_assert(strstr(letters.entries[0].headers, "Tai-Dead-Reason: "), "%s", letters.entries[0].headers);
    const char *origin = stack_print(stack, "Tai-Dead-Sequence: %llu", (unsigned long long)sequence);
    cr_assert(strstr(letters.entries[0].headers, origin), "%s", letters.entries[0].headers);
    rollout_post(stack, rollout_body(stack, "api", "v1", ROLLOUT_WEST QUICK));
    WAIT_UNTIL(lane_look(stack).NumAckPending == 0);
    stack_stop(stack);
}
