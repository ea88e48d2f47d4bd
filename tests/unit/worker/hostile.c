/* Tests of a real worker against publishers that mean no good: what they send ends as a dead letter, and the lane goes
 * on. */
#include <string.h>

#include "tests/support/stack.h"

#define PAYMENT "{\"amount\": 1, \"customer_id\": \"cust_1\", \"currency\": \"USD\", \"merchant_id\": \"merc_1\"}"

typedef struct {
    const char *subject;
    const char *header;
    const char *value;
    const char *body;
} Hostile;

static char long_value[4000];
static char long_subject[2000];

static const Hostile hostiles[] = {
    {"tai.payment.signal.shop1", "traceparent", "00-\x01\x02", "not json"},
    {"tai.payment.signal.shop1", "traceparent", "00-\x01\x02", PAYMENT},
    {"tai.payment.signal.shop1", "traceparent", long_value, PAYMENT},
    {"tai.payment.signal.shop1", "Content-Type", long_value, "not json"},
    {"tai.payment.signal.shop1", "Tai-Reply", long_value, PAYMENT},
    {"tai.payment.signal.shop1", "Tai-Reply", "tai.reply.\x02", PAYMENT},
    {"tai.payment.signal.shop1", "Nats-Msg-Id", "key\x03", PAYMENT},
    {"tai.payment.signal.shop1", "Status", "404", ""},
    {"tai.payment.signal.1", "Status", "409", ""},
    {"tai.payment.signal.\x04", "X", "y", PAYMENT},
    {long_subject, "X", "y", PAYMENT},
};

static void publish(Stack *stack, const Hostile *hostile)
{
    natsMsg *message = NULL;
    jsPubAck *ack = NULL;
    cr_assert_eq(natsMsg_Create(&message, hostile->subject, NULL, hostile->body, (int)strlen(hostile->body)), NATS_OK);
    cr_assert_eq(natsMsgHeader_Set(message, hostile->header, hostile->value), NATS_OK);
    natsStatus status = js_PublishMsg(&ack, stack_js(stack), message, NULL, NULL);
    cr_assert_eq(status, NATS_OK, "%s: %s", hostile->subject, natsStatus_GetText(status));
    jsPubAck_Destroy(ack);
    natsMsg_Destroy(message);
}

static uint64_t left(Stack *stack)
{
    jsConsumerInfo *info = NULL;
    cr_assert_eq(js_GetConsumerInfo(&info, stack_js(stack), "PAYMENT", "policy", NULL, NULL), NATS_OK);
    uint64_t count = info->NumPending + (uint64_t)info->NumAckPending;
    jsConsumerInfo_Destroy(info);
    return count;
}

static uint64_t letters(Stack *stack)
{
    jsStreamInfo *info = NULL;
    cr_assert_eq(js_GetStreamInfo(&info, stack_js(stack), "DEAD", NULL, NULL), NATS_OK);
    uint64_t count = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return count;
}

Test(hostile, no_header_and_no_subject_stops_a_worker)
{
    memset(long_value, 'x', sizeof long_value - 1);
    snprintf(long_subject, sizeof long_subject, "tai.payment.signal.");
    memset(long_subject + strlen(long_subject), 'x', sizeof long_subject - 20);
    Stack *stack = stack_start(&(StackPlan){.without = "sandbox gateway action metrics"});
    for (size_t i = 0; i < sizeof hostiles / sizeof hostiles[0]; i++) {
        publish(stack, &hostiles[i]);
    }
    WAIT_UNTIL(left(stack) == 0);
    cr_assert(process_is_running(stack_process(stack, STACK_POLICY, 0)));
    cr_assert_eq(letters(stack), 7, "%llu dead letters", (unsigned long long)letters(stack));
    stack_stop(stack);
}
