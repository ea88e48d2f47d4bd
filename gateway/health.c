/* health - GET /healthz: the process runs. GET /readyz: it can do its work. */
#include "gateway/problem.h"
#include "gateway/resource.h"
#include "shared/base/json.h"

/* One look at the ledger serves all who ask within it. */
#define READY_KEPT_MS 1000

void health_get(Request *request)
{
    request_answer(request, 200, MEDIA_JSON, STR("{\"status\":\"ok\"}\n"));
}

static void ready_answer(Request *request)
{
    request_answer(request, 200, MEDIA_JSON, STR("{\"status\":\"ready\"}\n"));
}

static void ready_probed(void *context, Err err, const BusDelivery *reply)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    Gateway *gateway = request->gateway;
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the PAYMENT stream does not answer");
    } else if (json_find_raw(reply->body, STR("error")).data != NULL) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "there is no PAYMENT stream");
    } else {
        gateway->ready_until_ms = loop_now_ms(gateway->loop) + READY_KEPT_MS;
        ready_answer(request);
    }
}

void ready_get(Request *request)
{
    Gateway *gateway = request->gateway;
    if (worker_is_draining(gateway->worker)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "this process is about to end");
    } else if (!bus_is_connected(gateway->bus)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the bus cannot be reached");
    } else if (loop_now_ms(gateway->loop) < gateway->ready_until_ms) {
        ready_answer(request);
    } else {
        request_ask(request, &(BusMessage){.subject = STR("$JS.API.STREAM.INFO.PAYMENT")}, ready_probed);
    }
}
