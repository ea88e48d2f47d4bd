/* watch - waiting for an outcome to appear on its ledger. */
#include "gateway/watch.h"

#include "gateway/request.h"

#define WATCH_RETRY_FIRST_MS 5
#define WATCH_RETRY_LAST_MS 640

static void watch_retry(void *context)
{
    watch_look(context);
}

void watch_prepare(Request *request, Str stream, Str subject)
{
    Watch *watch = &request->watch;
    watch->stream = stream;
    watch->subject = subject;
    watch->retry = timer_make(watch_retry, request);
    watch->retry_ms = WATCH_RETRY_FIRST_MS;
}

static void watch_heard(void *context, const BusDelivery *message)
{
    Request *request = context;
    (void)message;
    request->watch.hinted = true;
    if (request->watch.allowed) {
        watch_look(request);
    }
}

Err watch_listen(Request *request, Str stream, Str subject)
{
    watch_prepare(request, stream, subject);
    return bus_subscribe(request->gateway->bus, request->watch.subject, (Str){0}, watch_heard, request,
                         &request->watch.subscription);
}

/* The hint comes before the stream has stored what it hints at, so a look may come a moment too early. */
static void watch_look_again(Request *request)
{
    Watch *watch = &request->watch;
    loop_timer_set(request->gateway->loop, &watch->retry, watch->retry_ms);
    watch->retry_ms = watch->retry_ms * 2 > WATCH_RETRY_LAST_MS ? WATCH_RETRY_LAST_MS : watch->retry_ms * 2;
}

static void watch_looked(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    Watch *watch = &request->watch;
    if (!request_is_back(request)) {
        return;
    }
    watch->looking = false;
    if (!err_is(err) && message != NULL) {
        watch->found(request, message);
        return;
    }
    if (err_is(err)) {
        log_event(request->gateway->log, LOG_WARN, "outcome_unreadable",
                  LOG_FIELDS(log_text("subject", watch->subject), log_why(&err)));
    }
    if (watch->subscription != NULL && (watch->hinted || err_is(err))) {
        watch_look_again(request);
    }
    watch->absent(request, &err);
}

void watch_look(Request *request)
{
    Watch *watch = &request->watch;
    watch->allowed = true;
    if (watch->looking) {
        return;
    }
    watch->looking = true;
    loop_timer_clear(request->gateway->loop, &watch->retry);
    request_get_last(request, watch->stream, watch->subject, watch_looked);
}

void watch_end(Request *request)
{
    Watch *watch = &request->watch;
    loop_timer_clear(request->gateway->loop, &watch->retry);
    bus_unsubscribe(watch->subscription);
    watch->subscription = NULL;
}
