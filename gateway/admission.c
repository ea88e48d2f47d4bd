/* admission - whether the policy lane can take on more, as the bus tells it every now and then. */
#include "gateway/gateway.h"
#include "shared/base/json.h"

#define ADMISSION_EVERY_MS 250
/* What was heard longer ago says nothing any more: nobody sent anything meanwhile. */
#define ADMISSION_STALE_MS 2000
#define ADMISSION_SUBJECT "$JS.API.CONSUMER.INFO.PAYMENT.policy"

static void admission_answered(void *context, Err err, const BusDelivery *reply)
{
    Gateway *gateway = context;
    Admission *admission = &gateway->admission;
    admission->asking = false;
    int64_t backlog = 0;
    /* Without an answer, or without a lane yet, nothing is known to be full. */
    if (!err_is(err) && str_to_int64(json_find_raw(reply->body, STR("num_pending")), &backlog)) {
        admission->backlog = backlog;
        admission->answered_ms = loop_now_ms(gateway->loop);
    }
}

bool admission_allows(Gateway *gateway)
{
    Admission *admission = &gateway->admission;
    int64_t now_ms = loop_now_ms(gateway->loop);
    if (!admission->asking && now_ms - admission->asked_ms >= ADMISSION_EVERY_MS) {
        admission->asking = true;
        admission->asked_ms = now_ms;
        BusMessage message = {.subject = STR(ADMISSION_SUBJECT)};
        bus_request(gateway->bus, &message, gateway->settings.query_ms, admission_answered, gateway);
    }
    bool stale = now_ms - admission->answered_ms > ADMISSION_STALE_MS;
    return stale || admission->backlog <= gateway->settings.max_backlog;
}
