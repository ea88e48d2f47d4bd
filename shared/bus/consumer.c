/* consumer - making sure that a durable consumer stands, without waiting for the server. */
#include <stdlib.h>

#include "shared/base/json.h"
#include "shared/bus/private.h"
#include "shared/bus/stream.h"

typedef struct {
    BusConsumerCallback *callback;
    void *context;
} Asking;

static Err consumer_answer(Str answer)
{
    int64_t code = 0;
    if (str_to_int64(json_find_raw(answer, STR("error.code")), &code)) {
        Str why = json_find_raw(answer, STR("error.description"));
        return code >= 500 ? err_retry("consumer cannot be made: " STR_FMT, STR_ARG(why))
                           : err_reject("consumer refused: " STR_FMT, STR_ARG(why));
    }
    return err_none();
}

static void consumer_answered(void *context, Err err, const BusDelivery *reply)
{
    Asking *asking = context;
    if (!err_is(err)) {
        err = consumer_answer(reply->body);
    }
    BusConsumerCallback *callback = asking->callback;
    void *told = asking->context;
    free(asking);
    callback(told, err);
}

static void consumer_print(const BusConsumerSpec *spec, Buffer *out)
{
    JsonWriter json = json_writer(out);
    json_open(&json, NULL, '{');
    json_put_string(&json, "stream_name", str_from(spec->stream));
    json_open(&json, "config", '{');
    json_put_string(&json, "durable_name", str_from(spec->name));
    json_put_string(&json, "filter_subject", str_from(spec->filter));
    json_put_string(&json, "deliver_policy", STR("all"));
    json_put_string(&json, "ack_policy", STR("explicit"));
    json_put_string(&json, "replay_policy", STR("instant"));
    json_put_int(&json, "ack_wait", spec->ack_wait_ms * INT64_C(1000000));
    json_put_int(&json, "max_ack_pending", spec->max_ack_pending);
    json_put_int(&json, "max_deliver", -1);
    json_close(&json, '}');
    json_close(&json, '}');
}

void bus_ask_consumer(Bus *bus, const BusConsumerSpec *spec, int64_t timeout_ms, BusConsumerCallback *callback,
                      void *context)
{
    char api[BUS_SUBJECT_MAX];
    char body[BUS_SUBJECT_MAX + 512];
    Buffer api_text = buffer_over(api, sizeof(api));
    Buffer body_text = buffer_over(body, sizeof(body));
    buffer_print(&api_text, "$JS.API.CONSUMER.DURABLE.CREATE.%s.%s", spec->stream, spec->name);
    consumer_print(spec, &body_text);
    TAI_ASSERT(!api_text.overflow && !body_text.overflow);
    Asking *asking = calloc(1, sizeof(*asking));
    TAI_ASSERT(asking != NULL);
    asking->callback = callback;
    asking->context = context;
    bus_request_or_drop(bus, &(BusMessage){.subject = buffer_str(&api_text), .body = buffer_str(&body_text)},
                        timeout_ms, consumer_answered, free, asking);
}
