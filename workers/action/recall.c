/* recall - whether the bus remembers how often it has delivered a message. */
#include "workers/action/recall.h"

#include <stdlib.h>

#include "shared/base/json.h"

#define RECALL_TIMEOUT_MS 2000
#define RECALL_AGAIN_MS 200

struct Recall {
    Worker *worker;
    char subject[64];
    uint64_t last_doubtful; /* sequence; what came after it came in this life of the server */
    uint64_t asked_in;      /* the connection in which last_doubtful was asked for */
    bool asking;
    bool reconnected; /* while asking: the answer is of an earlier life */
    Timer again;
};

static void recall_ask(void *context);

static void recall_told(void *context, Err err, const BusDelivery *reply)
{
    Recall *recall = context;
    uint64_t last = 0;
    bool stale = recall->reconnected;
    recall->asking = false;
    recall->reconnected = false;
    if (!stale && !err_is(err) && str_to_uint64(json_find_raw(reply->body, STR("state.last_seq")), &last)) {
        recall->last_doubtful = last;
        return;
    }
    loop_timer_set(worker_loop(recall->worker), &recall->again, RECALL_AGAIN_MS);
}

static void recall_ask(void *context)
{
    Recall *recall = context;
    loop_timer_clear(worker_loop(recall->worker), &recall->again);
    recall->asking = true;
    recall->asked_in = bus_reconnects(worker_bus(recall->worker));
    bus_request(worker_bus(recall->worker), &(BusMessage){.subject = str_from(recall->subject)}, RECALL_TIMEOUT_MS,
                recall_told, recall);
}

static void recall_reconnected(void *context)
{
    Recall *recall = context;
    recall->last_doubtful = UINT64_MAX;
    recall->reconnected = recall->asking;
    if (!recall->asking) {
        recall_ask(recall);
    }
}

Recall *recall_open(Worker *worker, const char *stream)
{
    Recall *recall = calloc(1, sizeof(*recall));
    TAI_ASSERT(recall != NULL);
    *recall = (Recall){.worker = worker, .last_doubtful = UINT64_MAX};
    recall->again = timer_make(recall_ask, recall);
    Buffer subject = buffer_over(recall->subject, sizeof(recall->subject));
    buffer_print(&subject, "$JS.API.STREAM.INFO.%s", stream);
    TAI_ASSERT(!subject.overflow);
    bus_on_reconnect(worker_bus(worker), recall_reconnected, recall);
    recall_ask(recall);
    return recall;
}

void recall_close(Recall *recall)
{
    if (recall == NULL) {
        return;
    }
    loop_timer_clear(worker_loop(recall->worker), &recall->again);
    free(recall);
}

bool recall_is_certain(const Recall *recall, uint64_t sequence)
{
    /* The library may hand over a new connection's first messages before it says that there is one. */
    return sequence > recall->last_doubtful && bus_reconnects(worker_bus(recall->worker)) == recall->asked_in;
}
