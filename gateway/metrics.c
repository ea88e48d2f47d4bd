/* metrics - GET /metrics: Kaizen figures as JSON, or as Prometheus text where Accept asks for it. */
#include "gateway/problem.h"
#include "gateway/resource.h"
#include "gateway/server.h"

#define METRICS_TEXT "text/plain; version=0.0.4; charset=utf-8"

static void metrics_answered(void *context, Err err, const BusDelivery *reply)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    if (err_is(err) || reply == NULL) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "no metrics worker answers");
        return;
    }
    const char *media_type = field_accepts_text(request->fields.accept) ? METRICS_TEXT : MEDIA_JSON;
    request_answer(request, 200, media_type, arena_copy(&request->arena, reply->body));
}

void metrics_get(Request *request)
{
    bool text = field_accepts_text(request->fields.accept);
    BusMessage question = {
        .subject = arena_print(&request->arena, "tai.query.%s.metrics", server_domain(request->server)),
        .body = text ? STR("prometheus") : STR("json"),
    };
    request_ask(request, &question, metrics_answered);
}
