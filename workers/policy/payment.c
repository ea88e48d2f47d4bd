/* payment - a payment signal's way to its decision.
 *
 *   BEGUN      decode, name the transaction, look at the deadline; ask Redis for the fraud features
 *   EVALUATED  evaluate the live policy on the facts; publish the decision
 *   STORED     decision: approved is done, rejected goes on to its outcome; outcome: answer whoever waits, done
 *   READ       there was a decision already: that one is followed; or an outcome: answer that one
 *
 * A key of the publisher's own (Nats-Msg-Id on the plain subject) is first turned into a signal on the subject of its
 * transaction, as the gateway does for an Idempotency-Key: the server admits one for each subject, so both ways in
 * share one dedup, for as long as the ledger lasts. An id that a publisher chose itself is claimed in the same way, on
 * tai.payment.claim.<id>.
 */
#include "shared/base/trace.h"
#include "shared/wire/digest.h"
#include "shared/wire/payment.h"
#include "workers/policy/identity.h"
#include "workers/policy/policy.h"

static const IdentityDomain payments = {
    .signals = "tai.payment.signal.",
    .claims = "tai.payment.claim.",
    .stream = "PAYMENT",
    .prefix = TRANSACTION_PREFIX,
    .member = "transaction_id",
};

enum {
    TAG_FEATURES,
    TAG_DECISION,
    TAG_STANDING,
    TAG_OUTCOME,
    TAG_EARLIER,
    TAG_EXPIRY,
    TAG_LATE,
};

/* Counts the signal itself by its transaction id, once however often it is delivered, at the ledger's time; answers
 * how many signals and currencies of the customer the windows up to that moment hold. Counters are kept for the window
 * and the deadline, so that a redelivery finds what the first delivery found. */
static const char fraud_features[] =
    "local time = tonumber(ARGV[2])\n"
    "local slack = tonumber(ARGV[6])\n"
    "local function count(key, window, up_to)\n"
    "  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('(%.0f', time - window - slack))\n"
    "  redis.call('PEXPIRE', key, window + slack)\n"
    "  return redis.call('ZCOUNT', key, string.format('(%.0f', time - window), up_to)\n"
    "end\n"
    "redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])\n"
    "redis.call('ZADD', KEYS[2], 'GT', ARGV[2], ARGV[5])\n"
    "return {count(KEYS[1], tonumber(ARGV[3]), ARGV[2]), count(KEYS[2], tonumber(ARGV[4]), '+inf')}\n";

StoreScript payment_fraud_script(void)
{
    return store_script(str_from(fraud_features));
}

static Err document_decode(Arena *arena, Str text, void *policy)
{
    return wire_decode_fraud_policy(arena, text, policy);
}

static Str document_print_default(Arena *arena, const void *context)
{
    (void)context;
    FraudPolicy policy = fraud_policy_default();
    return wire_print_fraud_policy(arena, &policy);
}

DocumentKind payment_document(void)
{
    return (DocumentKind){
        .domain = "payment",
        .ledger = "PAYMENT",
        .policy_bytes = sizeof(FraudPolicy),
        .decode = document_decode,
        .print_default = document_print_default,
    };
}

typedef struct {
    PaymentDecision decision;
    Identity identity;
    Str outcome; /* encoded */
} Judgement;

/* --- whose signal it is ------------------------------------------------------------------------------------------ */

static Err signal_read(Task *task, Judgement *judgement)
{
    PaymentSignal *signal = &judgement->decision.signal;
    Err err = identity_read(task, &payments, &judgement->identity);
    if (!err_is(err)) {
        err = wire_decode_payment_signal(&task->arena, task->message.body, signal);
    }
    signal->publisher = judgement->identity.publisher;
    return err;
}

/* A second delivery of a signal repeats its decision within the dedup window, because its deadline is earlier. */
static void signal_complete(Task *task, const Policy *policy, Judgement *judgement)
{
    PaymentDecision *decision = &judgement->decision;
    decision->signal.received_ms = identity_received_ms(task, decision->signal.received_ms);
    decision->signal.transaction_id = judgement->identity.id;
    decision->signal_sequence = task->message.sequence;
    decision->deadline_ms = task->message.time_ms + policy->settings.deadline_ms;
    decision->fresh = judgement->identity.fresh;
}

/* --- results ------------------------------------------------------------------------------------------------------ */

static Str outcome_subject(Task *task, const Judgement *judgement)
{
    return arena_print(&task->arena, "tai.payment.outcome." STR_FMT, STR_ARG(judgement->identity.id));
}

static void publish_outcome(Task *task, Judgement *judgement, PaymentStatus status, Str failure)
{
    TraceContext trace;
    PaymentOutcome outcome = payment_outcome_from_decision(&judgement->decision, status, task->unix_ms);
    outcome.failure = failure;
    if (trace_parse(bus_delivery_header(&task->message, BUS_HEADER_TRACE), &trace)) {
        outcome.trace_id = arena_copy(&task->arena, str_from(trace.trace_id));
    }
    judgement->outcome = wire_encode_payment_outcome(&task->arena, &outcome);
    BusMessage message = task_derive(task, outcome_subject(task, judgement), judgement->outcome, (Str){0});
    bus_message_expect_new(&message);
    task_store(task, TAG_OUTCOME, &message);
}

/* The id holds the publisher: one publisher's decision must not be taken for a repeat of another's. */
static Str decision_id(Task *task, const PaymentDecision *decision)
{
    return arena_print(&task->arena, "decision." STR_FMT "." STR_FMT, STR_ARG(decision->signal.publisher),
                       STR_ARG(decision->signal.transaction_id));
}

static void publish_decision(Task *task, Judgement *judgement)
{
    const PaymentDecision *decision = &judgement->decision;
    Str subject =
        decision->verdict.rejected ? STR("tai.payment.decision.rejected") : STR("tai.payment.decision.approved");
    BusMessage message =
        task_derive(task, subject, wire_encode_payment_decision(&task->arena, decision), decision_id(task, decision));
    task_store(task, TAG_DECISION, &message);
}

/* Past its deadline a signal fails, but only when no delivery of it has decided: a charge may be under way then. A
 * claim under the decision's own id finds out, and keeps out whoever is still about to decide. */
static void publish_expiry(Task *task, const Judgement *judgement)
{
    BusMessage message =
        task_derive(task, identity_claim_subject(task, &judgement->identity),
                    identity_claim_body(task, &judgement->identity), decision_id(task, &judgement->decision));
    task_store(task, TAG_EXPIRY, &message);
}

static Str print_number(Task *task, int64_t number)
{
    return arena_print(&task->arena, "%lld", (long long)number);
}

static void ask_features(Task *task, const Policy *policy, const PaymentDecision *decision)
{
    const FraudPolicy *rules = document_policy(policy->payment);
    const PaymentSignal *signal = &decision->signal;
    /* The braces keep a customer's keys on one node of a Redis cluster. */
    const Str keys[] = {
        arena_print(&task->arena, "tai:velocity:{" STR_FMT "}", STR_ARG(signal->customer_id)),
        arena_print(&task->arena, "tai:currency:{" STR_FMT "}", STR_ARG(signal->customer_id)),
    };
    const Str arguments[] = {
        signal->transaction_id,
        print_number(task, task->message.time_ms),
        print_number(task, rules->velocity_window_ms),
        print_number(task, rules->geolocation_window_ms),
        str_from(signal->money.currency),
        print_number(task, policy->settings.deadline_ms),
    };
    task_eval(task, TAG_FEATURES, &policy->fraud_features, keys, 2, arguments, 6);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void signal_judge(Task *task, const Policy *policy, Judgement *judgement)
{
    judgement->decision.decided_ms = task->unix_ms;
    if (task->unix_ms < judgement->decision.deadline_ms) {
        ask_features(task, policy, &judgement->decision);
    } else if (task->unix_ms < task->message.time_ms + DECISION_KNOWN_MS) {
        publish_expiry(task, judgement);
    } else {
        task_get_last(task, TAG_LATE, STR("PAYMENT"), outcome_subject(task, judgement));
    }
}

static void signal_fail(Task *task, Judgement *judgement)
{
    publish_outcome(task, judgement, PAYMENT_FAILED, STR("deadline_exceeded"));
}

static void signal_named(Task *task, const Policy *policy, Judgement *judgement, IdentityStep step)
{
    switch (step) {
    case IDENTITY_WAITS:
        break;
    case IDENTITY_OURS:
        signal_complete(task, policy, judgement);
        signal_judge(task, policy, judgement);
        break;
    case IDENTITY_TAKEN:
        task_get_last(task, TAG_EARLIER, STR("PAYMENT"), outcome_subject(task, judgement));
        break;
    }
}

static void signal_begun(Task *task, const Policy *policy)
{
    Judgement *judgement = arena_alloc(&task->arena, sizeof(*judgement));
    task->state = judgement;
    Err err = signal_read(task, judgement);
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    Str stated = judgement->decision.signal.transaction_id;
    signal_named(task, policy, judgement, identity_begin(task, &judgement->identity, stated));
}

static void signal_evaluated(Task *task, const Policy *policy, const TaskEvent *event)
{
    Judgement *judgement = task->state;
    PaymentDecision *decision = &judgement->decision;
    if (err_is(event->err) || event->value_count != 2) {
        int64_t left_ms = decision->deadline_ms - task->unix_ms;
        int64_t delay_ms = identity_keep_ms(task) < left_ms ? identity_keep_ms(task) : left_ms;
        task_keep(task, delay_ms, err_is(event->err) ? event->err : err_retry("fraud features: not two numbers"));
        return;
    }
    decision->facts = (FraudFacts){
        .money = decision->signal.money,
        .blacklisted = blacklist_holds(policy->blacklist, decision->signal.customer_id),
        .velocity_count = event->values[0],
        .currency_count = event->values[1],
    };
    decision->policy_revision = document_revision(policy->payment);
    decision->verdict = fraud_evaluate(document_policy(policy->payment), &decision->facts);
    decision->decided_ms = task->unix_ms;
    publish_decision(task, judgement);
}

/* An earlier delivery decided, perhaps otherwise (the policy or the blacklist changed since), or found the signal past
 * its deadline. What stands on the ledger is followed. */
static void signal_standing(Task *task, const TaskEvent *event)
{
    Judgement *judgement = task->state;
    PaymentDecision standing;
    if (err_is(event->err) || event->message == NULL) {
        task_keep(task, identity_keep_ms(task), err_retry("the decision that stands could not be read"));
        return;
    }
    if (str_equal(event->message->subject, identity_claim_subject(task, &judgement->identity))) {
        signal_fail(task, judgement);
        return;
    }
    Err err = wire_decode_payment_decision(&task->arena, event->message->body, &standing);
    if (err_is(err)) {
        task_bury(task, err);
    } else if (standing.verdict.rejected) {
        judgement->decision = standing;
        publish_outcome(task, judgement, PAYMENT_REJECTED, (Str){0});
    } else {
        task_done(task);
    }
}

static void signal_stored(Task *task, const TaskEvent *event)
{
    Judgement *judgement = task->state;
    if (event->stored->exists) { /* refused by the server: somebody was first */
        task_get_last(task, TAG_EARLIER, STR("PAYMENT"), outcome_subject(task, judgement));
        return;
    }
    if (err_is(event->err)) {
        task_keep(task, identity_keep_ms(task), event->err);
        return;
    }
    if (event->stored->duplicate && (event->tag == TAG_DECISION || event->tag == TAG_EXPIRY)) {
        task_get(task, TAG_STANDING, STR("PAYMENT"), event->stored->sequence);
        return;
    }
    switch (event->tag) {
    case TAG_EXPIRY:
        signal_fail(task, judgement);
        return;
    case TAG_DECISION:
        if (judgement->decision.verdict.rejected) {
            publish_outcome(task, judgement, PAYMENT_REJECTED, (Str){0});
            return;
        }
        break;
    case TAG_OUTCOME:
        task_answer(task, judgement->outcome);
        break;
    default:
        break;
    }
    task_done(task);
}

/* An outcome was there before: a redelivery, or a repeat of the same transaction. It stands. */
static void signal_earlier(Task *task, const TaskEvent *event)
{
    const Judgement *judgement = task->state;
    PaymentOutcome earlier;
    if (!err_is(event->err) && event->message == NULL) {
        task_done(task); /* the first signal is still on its way */
        return;
    }
    if (err_is(event->err)) {
        task_keep(task, identity_keep_ms(task), event->err);
        return;
    }
    Err err = wire_decode_payment_outcome(&task->arena, event->message->body, &earlier);
    if (!err_is(err) && !str_equal(earlier.publisher, judgement->decision.signal.publisher)) {
        err = err_reject("transaction_id: belongs to another publisher");
    }
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    task_answer(task, event->message->body);
    task_done(task);
}

/* Long past its deadline: the ledger no longer knows the ids of decisions. On a first delivery there is none. */
static void signal_late(Task *task, const TaskEvent *event)
{
    if (err_is(event->err) || event->message != NULL) {
        signal_earlier(task, event);
    } else if (task->message.delivered == 1) {
        signal_fail(task, task->state);
    } else {
        task_bury(task, err_unknown("past its deadline, and an earlier delivery may have decided: a person must look"));
    }
}

static void signal_read_ledger(Task *task, const TaskEvent *event)
{
    switch (event->tag) {
    case TAG_STANDING:
        signal_standing(task, event);
        break;
    case TAG_LATE:
        signal_late(task, event);
        break;
    default:
        signal_earlier(task, event);
        break;
    }
}

void payment_signal_step(void *context, Task *task, const TaskEvent *event)
{
    const Policy *policy = context;
    Judgement *judgement = task->state;
    if (event->kind != TASK_BEGUN && identity_is_asked(event)) {
        signal_named(task, policy, judgement, identity_hear(task, &judgement->identity, event));
        return;
    }
    switch (event->kind) {
    case TASK_BEGUN:
        signal_begun(task, policy);
        break;
    case TASK_EVALUATED:
        signal_evaluated(task, policy, event);
        break;
    case TASK_STORED:
        signal_stored(task, event);
        break;
    case TASK_READ:
        signal_read_ledger(task, event);
        break;
    case TASK_CALLED:
    case TASK_WOKEN:
        break; /* never asked for */
    }
}
