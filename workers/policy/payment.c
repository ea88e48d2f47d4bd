/* payment - a payment signal's way to its decision.
 *
 *   BEGUN      decode, name the transaction, look at the deadline; ask Redis for the fraud features
 *   EVALUATED  evaluate the live policy on the facts; publish the decision
 *   STORED     decision: approved is done, rejected goes on to its outcome; outcome: answer whoever waits, done
 *   READ       there was an outcome already: answer that one
 *
 * A key of the publisher's own (Nats-Msg-Id on the plain subject) is first turned into a signal on the subject of its
 * transaction, as the gateway does for an Idempotency-Key: the server admits one for each subject, so both ways in
 * share one dedup, for as long as the ledger lasts.
 */
#include "shared/base/trace.h"
#include "shared/wire/digest.h"
#include "shared/wire/payment.h"
#include "workers/policy/policy.h"

#define SUBJECT_PREFIX "tai.payment.signal."
#define KEEP_FIRST_MS 250
#define KEEP_MAX_MS 5000
/* A made id counts as never used before while its time is this near to the ledger's: well within the dedup window of
 * 10 min, which keeps the same Nats-Msg-Id from entering twice. */
#define FRESH_WITHIN_MS 60000

#define KEY_MAX 255

enum { TAG_FEATURES, TAG_DECISION, TAG_OUTCOME, TAG_EARLIER, TAG_KEYED };

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

typedef struct {
    PaymentDecision decision;
    Str outcome; /* encoded */
} Judgement;

static int64_t keep_ms(const Task *task)
{
    uint64_t doublings = task->message.delivered < 6 ? task->message.delivered : 6;
    int64_t delay_ms = (int64_t)KEEP_FIRST_MS << doublings;
    return delay_ms < KEEP_MAX_MS ? delay_ms : KEEP_MAX_MS;
}

/* --- whose signal it is ------------------------------------------------------------------------------------------ */

/* tai.payment.signal.<publisher>[.<transaction_id>] */
static Err subject_read(Str subject, Str *publisher, Str *transaction_id)
{
    Str rest = str_slice(subject, sizeof(SUBJECT_PREFIX) - 1, subject.length);
    *transaction_id = (Str){0};
    if (!str_next_token(&rest, '.', publisher) || !id_is_token(*publisher)) {
        return err_reject("subject: the publisher must be one token of letters, digits, '_', ':' and '-'");
    }
    if (!str_next_token(&rest, '.', transaction_id)) {
        return err_none();
    }
    Str more;
    if (str_next_token(&rest, '.', &more) || !id_is_token(*transaction_id)) {
        return err_reject("subject: the transaction id must be one token of letters, digits, '_', ':' and '-'");
    }
    return err_none();
}

/* The gateway names its payments itself: a ULID, the same in body and Nats-Msg-Id. */
static bool is_made_id(Str id, int64_t stream_time_ms)
{
    uint64_t time_ms = 0;
    if (!str_starts_with(id, STR("txn_")) || !id_ulid_time(str_slice(id, 4, id.length), &time_ms)) {
        return false;
    }
    int64_t distance_ms = stream_time_ms - (int64_t)time_ms;
    return distance_ms < FRESH_WITHIN_MS && distance_ms > -FRESH_WITHIN_MS;
}

/* The last token of the subject. It must be the publisher's own, or one publisher could end another's payment: made of
 * publisher and key, or beginning with the publisher's name. Admitted as the first of its subject, it is the only
 * signal of the transaction. */
static Err named_check(const BusDelivery *message, Str publisher, Str named)
{
    Str key = bus_delivery_header(message, BUS_HEADER_KEY);
    char made[TRANSACTION_ID_MAX];
    if (key.length != 0) {
        transaction_id_print_keyed(publisher, key, made);
        return str_equal(named, str_from(made)) ? err_none()
                                                : err_reject("subject: the transaction id is not that of its Tai-Key");
    }
    Str after = str_slice(named, publisher.length, named.length);
    if (!str_starts_with(named, publisher) || after.length < 2 ||
        (after.data[0] != '-' && after.data[0] != '_' && after.data[0] != ':')) {
        return err_reject("subject: a transaction id of the publisher's own must begin with \"" STR_FMT "-\"",
                          STR_ARG(publisher));
    }
    return err_none();
}

/* Gives the transaction its id, the same on every delivery. */
static Err transaction_name(Task *task, Str named, PaymentDecision *decision)
{
    const BusDelivery *message = &task->message;
    PaymentSignal *signal = &decision->signal;
    Str stated = signal->transaction_id;
    bool first_delivery = message->delivered == 1;
    if (stated.length != 0 && !str_equal(stated, bus_delivery_header(message, BUS_HEADER_MSG_ID)) &&
        !str_equal(stated, named)) {
        return err_reject("transaction_id: must be the Nats-Msg-Id or the last token of the subject");
    }
    if (named.length != 0) {
        signal->transaction_id = named;
        decision->fresh =
            first_delivery && str_equal(bus_delivery_header(message, BUS_HEADER_EXPECT_LAST), STR("0"));
        return named_check(message, signal->publisher, named);
    }
    if (stated.length != 0) {
        decision->fresh = first_delivery && is_made_id(stated, message->time_ms);
        return id_is_token(stated) && str_starts_with(stated, STR("txn_"))
                   ? err_none()
                   : err_reject("transaction_id: must be \"txn_\" and a ULID");
    }
    char id[TRANSACTION_ID_MAX];
    transaction_id_print_sequence(STR("PAYMENT"), message->sequence, message->time_ms, id);
    signal->transaction_id = arena_copy(&task->arena, str_from(id));
    decision->fresh = first_delivery;
    return err_none();
}

static Err signal_read(Task *task, PaymentDecision *decision, Str *named)
{
    Str publisher;
    Err err = subject_read(task->message.subject, &publisher, named);
    if (!err_is(err)) {
        err = wire_decode_payment_signal(&task->arena, task->message.body, &decision->signal);
    }
    decision->signal.publisher = publisher;
    return err;
}

static Err signal_complete(Task *task, const Policy *policy, Str named, PaymentDecision *decision)
{
    const BusDelivery *message = &task->message;
    int64_t before_ms = message->time_ms - decision->signal.received_ms;
    if (before_ms < 0 || before_ms > FRESH_WITHIN_MS) { /* not a time that the gateway gave */
        decision->signal.received_ms = message->time_ms;
    }
    decision->signal_sequence = message->sequence;
    decision->deadline_ms = message->time_ms + policy->settings.deadline_ms;
    return transaction_name(task, named, decision);
}

/* --- results ------------------------------------------------------------------------------------------------------ */

/* A signal on the plain subject with a key of the publisher's own goes on as the signal of its transaction. */
static bool signal_is_keyed(const Task *task, const PaymentDecision *decision, Str named)
{
    Str key = bus_delivery_header(&task->message, BUS_HEADER_MSG_ID);
    return named.length == 0 && decision->signal.transaction_id.length == 0 && key.length != 0;
}

static void publish_keyed(Task *task, Str publisher)
{
    Str key = bus_delivery_header(&task->message, BUS_HEADER_MSG_ID);
    char id[TRANSACTION_ID_MAX];
    if (key.length > KEY_MAX) {
        task_bury(task, err_reject("Nats-Msg-Id: longer than %d", KEY_MAX));
        return;
    }
    transaction_id_print_keyed(publisher, key, id);
    Str subject = arena_print(&task->arena, SUBJECT_PREFIX STR_FMT ".%s", STR_ARG(publisher), id);
    BusMessage message = task_derive(task, subject, task->message.body, arena_copy(&task->arena, str_from(id)));
    bus_message_add(&message, BUS_HEADER_KEY, key);
    bus_message_add(&message, BUS_HEADER_CONTENT_TYPE, bus_delivery_header(&task->message, BUS_HEADER_CONTENT_TYPE));
    bus_message_expect_new(&message);
    task_store(task, TAG_KEYED, &message);
}

static Str outcome_subject(Task *task, const PaymentDecision *decision)
{
    return arena_print(&task->arena, "tai.payment.outcome." STR_FMT, STR_ARG(decision->signal.transaction_id));
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
    BusMessage message = task_derive(task, outcome_subject(task, &judgement->decision), judgement->outcome, (Str){0});
    bus_message_expect_new(&message);
    task_store(task, TAG_OUTCOME, &message);
}

/* The id holds the publisher: one publisher's decision must not be taken for a repeat of another's. */
static void publish_decision(Task *task, Judgement *judgement)
{
    const PaymentDecision *decision = &judgement->decision;
    Str id = arena_print(&task->arena, "decision." STR_FMT "." STR_FMT, STR_ARG(decision->signal.publisher),
                         STR_ARG(decision->signal.transaction_id));
    Str subject =
        decision->verdict.rejected ? STR("tai.payment.decision.rejected") : STR("tai.payment.decision.approved");
    BusMessage message = task_derive(task, subject, wire_encode_payment_decision(&task->arena, decision), id);
    task_store(task, TAG_DECISION, &message);
}

static Str print_number(Task *task, int64_t number)
{
    return arena_print(&task->arena, "%lld", (long long)number);
}

static void ask_features(Task *task, const Policy *policy, const PaymentDecision *decision)
{
    const FraudPolicy *rules = document_policy(policy->document);
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

static void signal_begun(Task *task, const Policy *policy)
{
    Judgement *judgement = arena_alloc(&task->arena, sizeof(*judgement));
    task->state = judgement;
    Str named;
    Err err = signal_read(task, &judgement->decision, &named);
    if (!err_is(err) && signal_is_keyed(task, &judgement->decision, named)) {
        publish_keyed(task, judgement->decision.signal.publisher);
        return;
    }
    if (!err_is(err)) {
        err = signal_complete(task, policy, named, &judgement->decision);
    }
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    judgement->decision.decided_ms = task->unix_ms;
    if (task->unix_ms >= judgement->decision.deadline_ms) {
        publish_outcome(task, judgement, PAYMENT_FAILED, STR("deadline_exceeded"));
        return;
    }
    ask_features(task, policy, &judgement->decision);
}

static void signal_evaluated(Task *task, const Policy *policy, const TaskEvent *event)
{
    Judgement *judgement = task->state;
    PaymentDecision *decision = &judgement->decision;
    if (err_is(event->err) || event->value_count != 2) {
        int64_t left_ms = decision->deadline_ms - task->unix_ms;
        int64_t delay_ms = keep_ms(task) < left_ms ? keep_ms(task) : left_ms;
        task_keep(task, delay_ms, err_is(event->err) ? event->err : err_retry("fraud features: not two numbers"));
        return;
    }
    decision->facts = (FraudFacts){
        .money = decision->signal.money,
        .blacklisted = blacklist_holds(policy->blacklist, decision->signal.customer_id),
        .velocity_count = event->values[0],
        .currency_count = event->values[1],
    };
    decision->policy_revision = document_revision(policy->document);
    decision->verdict = fraud_evaluate(document_policy(policy->document), &decision->facts);
    decision->decided_ms = task->unix_ms;
    publish_decision(task, judgement);
}

static void signal_stored(Task *task, const TaskEvent *event)
{
    Judgement *judgement = task->state;
    if (event->tag == TAG_KEYED && event->stored->exists) {
        task_done(task); /* a repeat: the first one stands */
    } else if (event->tag == TAG_OUTCOME && event->stored->exists) {
        task_get_last(task, TAG_EARLIER, STR("PAYMENT"), outcome_subject(task, &judgement->decision));
    } else if (err_is(event->err)) {
        task_keep(task, keep_ms(task), event->err);
    } else if (event->tag == TAG_KEYED) {
        task_done(task);
    } else if (event->tag == TAG_OUTCOME) {
        task_answer(task, judgement->outcome);
        task_done(task);
    } else if (judgement->decision.verdict.rejected) {
        publish_outcome(task, judgement, PAYMENT_REJECTED, (Str){0});
    } else {
        task_done(task);
    }
}

/* An outcome was there before: a redelivery, or a repeat of the same transaction. It stands. */
static void signal_earlier(Task *task, const TaskEvent *event)
{
    const Judgement *judgement = task->state;
    PaymentOutcome earlier;
    if (err_is(event->err) || event->message == NULL) {
        task_keep(task, keep_ms(task), err_retry("the outcome that exists could not be read"));
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

void payment_signal_step(void *context, Task *task, const TaskEvent *event)
{
    const Policy *policy = context;
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
        signal_earlier(task, event);
        break;
    case TASK_CALLED:
    case TASK_WOKEN:
        break; /* never asked for */
    }
}
