/* scale - any number of workers share the lanes, can be seen by everybody, and leave without a trace. */
#include <string.h>

#include "tests/support/pay.h"

#define THREE                                                                                                          \
    (StackPlan)                                                                                                        \
    {                                                                                                                  \
        .policies = 3, .actions = 3, .sandbox = "--latency-ms 40"                                                      \
    }

/* How many answered to $SRV.<what> under a name that holds `kind`, each with an id of its own. */
static size_t count_services(Stack *stack, const char *what, const char *kind)
{
    json_t *answers = ledger_request_many(stack, stack_print(stack, "$SRV.%s", what), 500);
    json_t *ids = stack_own_json(stack, json_object());
    for (size_t i = 0; i < json_array_size(answers); i++) {
        json_t *answer = json_array_get(answers, i);
        if (strstr(json_text(answer, "name"), kind)) {
            cr_assert_str_not_empty(json_text(answer, "id"));
            cr_assert_str_not_empty(json_text(answer, "version"));
            json_object_set_new(ids, json_text(answer, "id"), json_true());
        }
    }
    return json_object_size(ids);
}

Test(scale, each_worker_answers_ping_info_and_stats)
{
    Stack *stack = stack_start(&THREE);
    static const char *const asks[] = {"PING", "INFO", "STATS"};
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        cr_assert_eq(count_services(stack, asks[i], "policy"), 3, "%s", asks[i]);
        cr_assert_eq(count_services(stack, asks[i], "action"), 3, "%s", asks[i]);
        cr_assert_eq(count_services(stack, asks[i], "gateway"), 1, "%s", asks[i]);
        cr_assert_eq(count_services(stack, asks[i], "metrics"), 1, "%s", asks[i]);
    }
    stack_stop(stack);
}

static void pay_many_later(Stack *stack, const char **ids, int count)
{
    for (int i = 0; i < count; i++) {
        const char *body = pay_body(stack, stack_print(stack, "s%d", i), "10", "USD");
        Answer answer = pay_with(stack, body, "Prefer: wait=0");
        cr_assert_eq(answer.status / 100, 2, "%s", answer.body);
        ids[i] = json_text(answer.json, "transaction_id");
    }
}

static void check_each_charged_once(Stack *stack, const char *const *ids, int count)
{
    for (int i = 0; i < count; i++) {
        pay_wait(stack, ids[i], "SUCCESS");
        cr_assert_eq(sandbox_captured(stack, ids[i]), 1);
    }
    cr_assert_eq(sandbox_captured(stack, NULL), (size_t)count);
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.outcome.>"), (size_t)count);
}

Test(scale, six_workers_share_the_lanes_and_do_nothing_twice)
{
    Stack *stack = stack_start(&THREE);
    const char *ids[120];
    pay_many_later(stack, ids, 120);
    check_each_charged_once(stack, ids, 120);
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.decision.>"), 120);
    stack_stop(stack);
}

Test(scale, a_worker_told_to_go_finishes_what_it_has_and_nothing_is_delivered_again)
{
    Stack *stack = stack_start(&(StackPlan){.policies = 2, .actions = 2, .sandbox = "--latency-ms 400"});
    const char *ids[60];
    pay_many_later(stack, ids, 60);
    WAIT_UNTIL(ledger_lane(stack, "charge").num_ack_pending > 0);
    cr_assert_eq(stack_kill(stack, STACK_ACTION, 0, SIGTERM), 0);
    cr_assert_eq(stack_kill(stack, STACK_POLICY, 0, SIGTERM), 0);
    check_each_charged_once(stack, ids, 60);
    cr_assert_eq(ledger_lane(stack, "charge").num_redelivered, 0);
    Answer metrics = {0};
    WAIT_UNTIL((metrics = http_get(stack, "/metrics"), json_number(metrics.json, "total_transactions") >= 60));
    cr_assert_eq((int)json_number(metrics.json, "successful_transactions"), 60);
    stack_stop(stack);
}

Test(scale, the_wip_limit_bounds_what_is_in_flight_over_all_workers)
{
    const char *settings = "TAI_ACTION_LANES_CHARGE_WIP=4 TAI_ACTION_LANES_CHARGE_SLOTS=4";
    Stack *stack = stack_start(&(StackPlan){.actions = 2, .sandbox = "--latency-ms 100", .settings = settings});
    const char *ids[40];
    pay_many_later(stack, ids, 40);
    while (ledger_count_of(stack, "PAYMENT", "tai.payment.outcome.>") < 40) {
        cr_assert_leq(ledger_lane(stack, "charge").num_ack_pending, 4);
        clock_pause(5);
    }
    check_each_charged_once(stack, ids, 40);
    stack_stop(stack);
}
