/* ledger - the bus as an outsider with a NATS client sees it. */
#include "tests/support/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/wire/digest.h"

/* --- reading --------------------------------------------------------------------------------------------------- */

static const char *entry_headers(Stack *stack, natsMsg *message, const char **msg_id)
{
    const char **keys = NULL;
    int count = 0;
    const char *all = "";
    *msg_id = "";
    if (natsMsgHeader_Keys(message, &keys, &count) != NATS_OK) {
        return all;
    }
    for (int i = 0; i < count; i++) {
        const char *value = "";
        natsMsgHeader_Get(message, keys[i], &value);
        all = stack_print(stack, "%s%s: %s\n", all, keys[i], value);
        if (strcmp(keys[i], "Nats-Msg-Id") == 0) {
            *msg_id = stack_print(stack, "%s", value);
        }
    }
    free((void *)keys);
    return all;
}

static Entry entry_copy(Stack *stack, natsMsg *message, const jsMsgMetaData *facts)
{
    Entry entry = {.subject = stack_print(stack, "%s", natsMsg_GetSubject(message))};
    entry.body.length = (size_t)natsMsg_GetDataLength(message);
    entry.body.data = stack_keep(stack, natsMsg_GetData(message), entry.body.length);
    entry.sequence = facts->Sequence.Stream;
    entry.time_ms = facts->Timestamp / 1000000;
    entry.headers = entry_headers(stack, message, &entry.msg_id);
    return entry;
}

/* Reads what `subscription` brings until nothing is pending any more. False where the reading broke off. */
static bool ledger_drain(Stack *stack, natsSubscription *subscription, Entries *entries)
{
    size_t capacity = 0;
    for (uint64_t pending = 1; pending > 0;) {
        natsMsg *message = NULL;
        if (natsSubscription_NextMsg(&message, subscription, 5000) != NATS_OK) {
            return false;
        }
        jsMsgMetaData *facts = NULL;
        cr_assert_eq(natsMsg_GetMetaData(&facts, message), NATS_OK);
        if (entries->count == capacity) {
            Entry *grown = (Entry *)stack_keep(stack, NULL, 2 * (capacity + 64) * sizeof *grown);
            if (entries->count > 0) {
                memcpy(grown, entries->entries, entries->count * sizeof *grown);
            }
            entries->entries = grown;
            capacity = 2 * (capacity + 64);
        }
        entries->entries[entries->count++] = entry_copy(stack, message, facts);
        pending = facts->NumPending;
        jsMsgMetaData_Destroy(facts);
        natsMsg_Destroy(message);
    }
    return true;
}

/* What a stream is filled from. */
static const char *stream_subjects(const char *stream)
{
    return strcmp(stream, "PAYMENT") == 0      ? "tai.payment.>"
           : strcmp(stream, "DEPLOYMENT") == 0 ? "tai.deployment.>"
           : strcmp(stream, "DEAD") == 0       ? "tai.dead.>"
                                               : "tai.andon.>";
}

Entries ledger_read(Stack *stack, const char *stream, const char *filter)
{
    for (int tries = 0; tries < 5; tries++) {
        Entries entries = {0};
        if (ledger_count_of(stack, stream, filter) == 0) {
            return entries;
        }
        jsSubOptions options;
        jsSubOptions_Init(&options);
        options.Stream = stream;
        options.Ordered = true;
        options.Config.DeliverPolicy = js_DeliverAll;
        natsSubscription *subscription = NULL;
        natsStatus status = js_SubscribeSync(&subscription, stack_js(stack), filter ? filter : stream_subjects(stream),
                                             NULL, &options, NULL);
        bool whole = status == NATS_OK && ledger_drain(stack, subscription, &entries);
        natsSubscription_Destroy(subscription);
        if (whole) {
            return entries;
        }
    }
    cr_assert_fail("the stream %s cannot be read", stream);
    return (Entries){0};
}

/* Asks again while the server is away: chaos kills it. */
static jsStreamInfo *ledger_info(Stack *stack, const char *stream, const char *filter)
{
    jsOptions options;
    jsOptions_Init(&options);
    options.Stream.Info.SubjectsFilter = filter;
    for (int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS; clock_monotonic_ms() < deadline_ms;) {
        jsStreamInfo *info = NULL;
        if (js_GetStreamInfo(&info, stack_js(stack), stream, &options, NULL) == NATS_OK) {
            return info;
        }
        clock_pause(50);
    }
    cr_assert_fail("the stream %s does not answer", stream);
    return NULL;
}

uint64_t ledger_count(Stack *stack, const char *stream)
{
    jsStreamInfo *info = ledger_info(stack, stream, NULL);
    uint64_t count = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return count;
}

size_t ledger_count_of(Stack *stack, const char *stream, const char *filter)
{
    if (!filter) {
        return ledger_count(stack, stream);
    }
    jsStreamInfo *info = ledger_info(stack, stream, filter);
    size_t count = 0;
    for (int i = 0; info->State.Subjects && i < info->State.Subjects->Count; i++) {
        count += info->State.Subjects->List[i].Msgs;
    }
    jsStreamInfo_Destroy(info);
    return count;
}

/* --- publishing ------------------------------------------------------------------------------------------------ */

uint64_t ledger_publish(Stack *stack, const char *subject, const char *msg_id, const void *body, size_t length)
{
    jsPubOptions options;
    jsPubOptions_Init(&options);
    options.MsgId = msg_id;
    jsPubAck *ack = NULL;
    natsStatus status = js_Publish(&ack, stack_js(stack), subject, body, (int)length, &options, NULL);
    cr_assert_eq(status, NATS_OK, "%s: %s: %s", subject, natsStatus_GetText(status), nats_GetLastError(NULL));
    uint64_t sequence = ack->Sequence;
    jsPubAck_Destroy(ack);
    return sequence;
}

uint64_t ledger_publish_text(Stack *stack, const char *subject, const char *msg_id, const char *body)
{
    return ledger_publish(stack, subject, msg_id, body, strlen(body));
}

const char *ledger_request(Stack *stack, const char *subject, const char *body)
{
    natsMsg *reply = NULL;
    if (natsConnection_RequestString(&reply, stack_nats(stack), subject, body, 2000) != NATS_OK) {
        return NULL;
    }
    char *text = stack_keep(stack, natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply));
    natsMsg_Destroy(reply);
    return text;
}

json_t *ledger_request_many(Stack *stack, const char *subject, int64_t within_ms)
{
    json_t *all = stack_own_json(stack, json_array());
    natsInbox *inbox = NULL;
    natsSubscription *subscription = NULL;
    cr_assert_eq(natsInbox_Create(&inbox), NATS_OK);
    cr_assert_eq(natsConnection_SubscribeSync(&subscription, stack_nats(stack), inbox), NATS_OK);
    natsConnection_PublishRequestString(stack_nats(stack), subject, inbox, "");
    natsMsg *reply = NULL;
    while (natsSubscription_NextMsg(&reply, subscription, within_ms) == NATS_OK) {
        size_t length = (size_t)natsMsg_GetDataLength(reply);
        json_t *json = length ? json_loadb(natsMsg_GetData(reply), length, 0, NULL) : NULL;
        if (json) {
            json_array_append_new(all, json);
        }
        natsMsg_Destroy(reply);
    }
    natsSubscription_Destroy(subscription);
    natsInbox_Destroy(inbox);
    return all;
}

/* --- lanes and outcomes ---------------------------------------------------------------------------------------- */

LaneState ledger_lane(Stack *stack, const char *consumer)
{
    jsConsumerInfo *info = NULL;
    for (int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS; clock_monotonic_ms() < deadline_ms;) {
        if (js_GetConsumerInfo(&info, stack_js(stack), "PAYMENT", consumer, NULL, NULL) == NATS_OK) {
            break;
        }
        clock_pause(50);
    }
    cr_assert_not_null(info, "the lane %s does not answer", consumer);
    LaneState state = {info->NumPending, info->NumAckPending, info->NumRedelivered};
    jsConsumerInfo_Destroy(info);
    return state;
}

bool ledger_lanes_are_empty(Stack *stack)
{
    LaneState policy = ledger_lane(stack, "policy");
    LaneState charge = ledger_lane(stack, "charge");
    return policy.num_pending == 0 && policy.num_ack_pending == 0 && charge.num_pending == 0 &&
           charge.num_ack_pending == 0;
}

bool outcome_find(Stack *stack, const char *transaction_id, PaymentOutcome *outcome)
{
    char subject[200];
    snprintf(subject, sizeof subject, "tai.payment.outcome.%s", transaction_id);
    jsDirectGetMsgOptions options;
    jsDirectGetMsgOptions_Init(&options);
    options.LastBySubject = subject;
    natsMsg *message = NULL;
    if (js_DirectGetMsg(&message, stack_js(stack), "PAYMENT", NULL, &options) != NATS_OK) {
        return false;
    }
    size_t length = (size_t)natsMsg_GetDataLength(message);
    Str body = {stack_keep(stack, natsMsg_GetData(message), length), length};
    natsMsg_Destroy(message);
    pthread_mutex_lock(&stack->lock);
    Err err = wire_decode_payment_outcome(&stack->arena, body, outcome);
    pthread_mutex_unlock(&stack->lock);
    cr_assert_eq(err.kind, ERR_NONE, "%s: %s", subject, err.why);
    return true;
}

PaymentOutcome outcome_wait(Stack *stack, const char *transaction_id)
{
    PaymentOutcome outcome;
    WAIT_UNTIL(outcome_find(stack, transaction_id, &outcome));
    return outcome;
}

const char *transaction_of_key(Stack *stack, const char *publisher, const char *key)
{
    char id[TRANSACTION_ID_MAX];
    transaction_id_print_keyed(str_from(publisher), str_from(key), id);
    return stack_print(stack, "%s", id);
}
