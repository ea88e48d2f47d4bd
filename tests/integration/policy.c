/* policy - the fraud policy is data: changed live, refused when it is wrong, and recorded with every decision. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/pay.h"

/* The default policy with one change: "velocity" off or on by points. */
static const char *policy_document(Stack *stack, void (*change)(FraudPolicy *policy))
{
    FraudPolicy policy = fraud_policy_default();
    change(&policy);
    Arena arena = arena_make(1 << 16, 1 << 20);
    Str text = wire_print_fraud_policy(&arena, &policy);
    char *document = stack_keep(stack, text.data, text.length);
    arena_release(&arena);
    return document;
}

static void no_velocity(FraudPolicy *policy)
{
    policy->points[FRAUD_VELOCITY] = 0;
}

static void nothing_over_10(FraudPolicy *policy)
{
    policy->points[FRAUD_HIGH_AMOUNT] = 60;
    policy->high_amount_more_than_e4 = 100000;
}

static void as_shipped(FraudPolicy *policy)
{
    (void)policy;
}

static PaymentDecision decision_decode(Stack *stack, const Entry *entry)
{
    PaymentDecision decision;
    Err err = wire_decode_payment_decision(&stack->arena, entry->body, &decision);
    cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
    return decision;
}

/* Under which revision the newest decision was taken. */
static uint64_t last_revision(Stack *stack)
{
    Entries decisions = ledger_read(stack, "PAYMENT", "tai.payment.decision.>");
    cr_assert_gt(decisions.count, 0);
    return decision_decode(stack, &decisions.entries[decisions.count - 1]).policy_revision;
}

/* Pays as ever new customers until it is answered so. */
static void wait_for_answer(Stack *stack, const char *amount, long status)
{
    static int customers;
    Answer answer = {0};
    WAIT_UNTIL((answer = pay(stack, pay_body(stack, stack_print(stack, "c%d", customers++), amount, "USD")),
                answer.status == status));
}

Test(policy, a_document_that_was_put_is_live_on_all_workers_without_a_restart)
{
    Stack *stack = stack_start(&(StackPlan){.policies = 2});
    wait_for_answer(stack, "11", 200);
    uint64_t first = last_revision(stack);
    Answer put = http_put(stack, "/policy/payment", policy_document(stack, nothing_over_10));
    cr_assert_lt(put.status, 300, "%s", put.body);
    wait_for_answer(stack, "11", 403);
    cr_assert_gt(last_revision(stack), first);
    put = http_put(stack, "/policy/payment", policy_document(stack, as_shipped));
    cr_assert_lt(put.status, 300, "%s", put.body);
    wait_for_answer(stack, "11", 200);
    Answer shown = http_get(stack, "/policy/payment");
    cr_assert_eq(shown.status, 200, "%s", shown.body);
    stack_stop(stack);
}

Test(policy, a_document_written_into_the_bucket_directly_is_live_too)
{
    Stack *stack = stack_start(&(StackPlan){0});
    wait_for_answer(stack, "11", 200);
    uint64_t revision =
        ledger_publish_text(stack, "$KV.tai_policy.payment", NULL, policy_document(stack, nothing_over_10));
    wait_for_answer(stack, "11", 403);
    cr_assert_eq(last_revision(stack), revision);
    stack_stop(stack);
}

Test(policy, a_document_that_does_not_validate_is_refused_and_the_old_one_stays)
{
    static const char *const bad[] = {"", "{", "{}", "[]", "null", "{\"points\": {\"velocity\": -1}}", "hello"};
    Stack *stack = stack_start(&(StackPlan){0});
    cr_assert_lt(http_put(stack, "/policy/payment", policy_document(stack, nothing_over_10)).status, 300);
    wait_for_answer(stack, "11", 403);
    uint64_t revision = last_revision(stack);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Answer put = http_put(stack, "/policy/payment", bad[i]);
        check_problem(stack, &put, 422);
        ledger_publish_text(stack, "$KV.tai_policy.payment", NULL, bad[i]);
    }
    /* A bad write and a good one share the bucket's order: once a later good one is live, the bad ones were seen. */
    for (int i = 0; i < 20; i++) {
        Answer answer = pay(stack, pay_body(stack, stack_print(stack, "old%d", i), "11", "USD"));
        cr_assert_eq(answer.status, 403, "%s", answer.body);
        cr_assert_eq(last_revision(stack), revision);
    }
    cr_assert(process_log_has(stack_process(stack, STACK_POLICY, 0), "policy"));
    stack_restart(stack, STACK_POLICY, 0, SIGTERM);
    Answer restarted = pay(stack, pay_body(stack, "after", "11", "USD"));
    cr_assert_eq(restarted.status, 403, "a bad document in the bucket lets a new worker fall back: %s", restarted.body);
    uint64_t good = ledger_publish_text(stack, "$KV.tai_policy.payment", NULL, policy_document(stack, as_shipped));
    wait_for_answer(stack, "11", 200);
    cr_assert_eq(last_revision(stack), good);
    stack_stop(stack);
}

/* --- invariant 11 ---------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t revision;
    FraudPolicy policy;
} Recorded;

static size_t read_policies(Stack *stack, Recorded *policies, size_t capacity)
{
    Entries entries = ledger_read(stack, "PAYMENT", "tai.payment.policy");
    cr_assert_leq(entries.count, capacity);
    for (size_t i = 0; i < entries.count; i++) {
        Str document;
        int64_t when_ms;
        Err err = wire_decode_payment_policy_activated(&stack->arena, entries.entries[i].body, &policies[i].revision,
                                                       &document, &when_ms);
        cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
        err = wire_decode_fraud_policy(&stack->arena, document, &policies[i].policy);
        cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
    }
    return entries.count;
}

static const FraudPolicy *policy_of(const Recorded *policies, size_t count, uint64_t revision)
{
    for (size_t i = 0; i < count; i++) {
        if (policies[i].revision == revision) {
            return &policies[i].policy;
        }
    }
    cr_assert_fail("revision %llu is not on the ledger", (unsigned long long)revision);
    return NULL;
}

/* Customers, amounts and currencies that make every check hit and miss. */
static void pay_variously(Stack *stack, int count)
{
    static const char *const amounts[] = {"100", "5000", "5001", "60"};
    static const char *const currencies[] = {"USD", "EUR", "JPY"};
    for (int i = 0; i < count; i++) {
        const char *customer = stack_print(stack, "v%d", i % 5);
        const char *body = pay_body(stack, customer, amounts[i % 4], currencies[i % 3]);
        cr_assert_lt(pay(stack, body).status, 404);
    }
}

Test(policy, every_decision_evaluates_again_to_its_recorded_verdict)
{
    Stack *stack = stack_start(&(StackPlan){.policies = 2});
    cr_assert_lt(http_put(stack, "/blacklist/v3", "{\"reason\":\"x\"}").status, 300);
    pay_variously(stack, 20);
    cr_assert_lt(http_put(stack, "/policy/payment", policy_document(stack, no_velocity)).status, 300);
    pay_variously(stack, 20);
    cr_assert_lt(http_put(stack, "/policy/payment", policy_document(stack, nothing_over_10)).status, 300);
    pay_variously(stack, 20);
    Recorded *policies = calloc(32, sizeof *policies);
    size_t policy_count = read_policies(stack, policies, 32);
    cr_assert_geq(policy_count, 3);
    Entries decisions = ledger_read(stack, "PAYMENT", "tai.payment.decision.>");
    cr_assert_eq(decisions.count, 60);
    for (size_t i = 0; i < decisions.count; i++) {
        PaymentDecision decision = decision_decode(stack, &decisions.entries[i]);
        const FraudPolicy *policy = policy_of(policies, policy_count, decision.policy_revision);
        FraudVerdict again = fraud_evaluate(policy, &decision.facts);
        cr_assert_eq(again.points, decision.verdict.points);
        cr_assert_eq(again.rejected, decision.verdict.rejected);
        cr_assert_arr_eq(again.hit_points, decision.verdict.hit_points, sizeof again.hit_points);
        cr_assert_eq(again.rejected, strstr(decisions.entries[i].subject, "rejected") != NULL);
    }
    free(policies);
    stack_stop(stack);
}
