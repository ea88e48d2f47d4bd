/* deployment - POST /deploy: a signal onto the ledger, and its outcome back to the client.
 * As for payments (payment.c), an answer that is a problem had no effect, and an outcome that is not SUCCESS carries
 * the deployment itself. A rollout takes minutes, so every request watches the ledger; how long it waits is Prefer:
 * wait=N, and what is not over then is 202 with its Location. */
#include "gateway/problem.h"
#include "gateway/resource.h"
#include "shared/wire/deployment.h"
#include "shared/wire/digest.h"

typedef struct {
    DeploymentSignal signal;
    char id[MADE_ID_MAX];
    Str subject; /* of the signal */
    bool accepted;
    bool unconfirmed; /* no PubAck came in time: it may be on the ledger */
    bool over;        /* the client has waited as long as it wanted */
} Deployment;

Str deployment_outcome_subject(Request *request, Str deployment_id)
{
    return arena_print(&request->arena, "tai.deployment.outcome." STR_FMT, STR_ARG(deployment_id));
}

bool deployment_outcome_read(Request *request, const BusDelivery *message, DeploymentOutcome *outcome)
{
    Err err = wire_decode_deployment_outcome(&request->arena, message->body, outcome);
    if (err_is(err)) {
        log_event(request->gateway->log, LOG_ERROR, "outcome_unreadable",
                  LOG_FIELDS(log_number("sequence", (int64_t)message->sequence), log_why(&err)));
        problem_answer(request, PROBLEM_UNAVAILABLE, "there is an outcome that this gateway cannot read");
    }
    return !err_is(err);
}

static void deployment_answer_pending(Request *request)
{
    const Deployment *deployment = request->state;
    const DeploymentSignal *signal = &deployment->signal;
    DeploymentOutcome pending = {
        .deployment_id = signal->deployment_id,
        .publisher = signal->publisher,
        .service = signal->service,
        .version = signal->version,
        .strategy = signal->strategy,
        .status = DEPLOYMENT_IN_PROGRESS,
        .received_ms = signal->received_ms,
        .timestamp_ms = loop_unix_ms(request->gateway->loop),
        .trace_id = str_from(request->trace.trace_id),
    };
    request->answer.location = arena_print(&request->arena, "/deployments/%s", deployment->id);
    request_answer(request, 202, MEDIA_JSON, wire_print_deployment_outcome_json(&request->arena, &pending));
}

static void deployment_answer_when_over(Request *request)
{
    const Deployment *deployment = request->state;
    if (deployment->over && (deployment->accepted || deployment->unconfirmed)) {
        deployment_answer_pending(request);
    }
}

static void deployment_over(void *context)
{
    Request *request = context;
    ((Deployment *)request->state)->over = true;
    deployment_answer_when_over(request);
}

static void deployment_found(Request *request, const BusDelivery *message)
{
    const Deployment *deployment = request->state;
    DeploymentOutcome outcome = {0};
    if (!deployment_outcome_read(request, message, &outcome)) {
        return;
    }
    if (!str_equal(outcome.service, deployment->signal.service) ||
        !str_equal(outcome.version, deployment->signal.version)) {
        problem_answer(request, PROBLEM_KEY_REUSED, "an earlier request with this key asked for something else");
        return;
    }
    request_answer(request, (unsigned)deployment_http_status(outcome.status), MEDIA_JSON,
                   wire_print_deployment_outcome_json(&request->arena, &outcome));
}

static void deployment_not_yet(Request *request, const Err *why)
{
    (void)why;
    deployment_answer_when_over(request);
}

/* The signal that was there first: the same request, or another one with the same key? */
static void deployment_compare(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    Deployment *deployment = request->state;
    DeploymentSignal earlier = {0};
    if (!request_is_back(request)) {
        return;
    }
    if (!err_is(err) && message != NULL) {
        err = wire_decode_deployment_signal(&request->arena, message->body, &earlier);
        if (err_is(err) || !deployment_signal_same_request(&deployment->signal, &earlier)) {
            problem_answer(request, PROBLEM_KEY_REUSED, "an earlier request with this key asked for something else");
            return;
        }
    }
    deployment->accepted = true;
    watch_look(request);
}

static void deployment_stored(void *context, Err err, const BusStored *stored)
{
    Request *request = context;
    Deployment *deployment = request->state;
    if (!request_is_back(request)) {
        return;
    }
    if (request->fields.has_key && (stored->exists || stored->duplicate)) {
        request_get_last(request, STR("DEPLOYMENT"), deployment->subject, deployment_compare);
        return;
    }
    if (err_is(err) && err.kind != ERR_UNKNOWN) {
        log_event(request->gateway->log, LOG_WARN, "deployment_not_stored", LOG_FIELDS(log_why(&err)));
        problem_answer(request, PROBLEM_UNAVAILABLE, "the ledger takes nothing on at the moment; nothing was done");
        return;
    }
    deployment->accepted = !err_is(err);
    deployment->unconfirmed = err_is(err);
    watch_look(request);
}

static void deployment_publish(Request *request)
{
    Deployment *deployment = request->state;
    BusMessage message = {.subject = deployment->subject,
                          .body = wire_encode_deployment_signal(&request->arena, &deployment->signal)};
    bus_message_add(&message, BUS_HEADER_MSG_ID, deployment->signal.deployment_id);
    bus_message_add(&message, BUS_HEADER_TRACE, request_traceparent(request));
    bus_message_add(&message, BUS_HEADER_CONTENT_TYPE, STR("application/protobuf"));
    if (request->fields.has_key) {
        bus_message_add(&message, BUS_HEADER_KEY, request->fields.key); /* proves that the id is this caller's */
        bus_message_expect_new(&message);
    }
    request_store(request, &message, deployment_stored);
}

static void deployment_name(Request *request)
{
    Deployment *deployment = request->state;
    if (request->fields.has_key) {
        made_id_print_keyed(DEPLOYMENT_PREFIX, deployment->signal.publisher, request->fields.key, deployment->id);
        deployment->subject =
            arena_print(&request->arena, "tai.deployment.signal." CALLER_ANONYMOUS ".%s", deployment->id);
    } else {
        uint8_t entropy[10];
        gateway_entropy(request->gateway, entropy, sizeof(entropy));
        made_id_print_ulid(DEPLOYMENT_PREFIX, (uint64_t)deployment->signal.received_ms, entropy, deployment->id);
        deployment->subject = STR("tai.deployment.signal." CALLER_ANONYMOUS);
    }
    deployment->signal.deployment_id = str_from(deployment->id);
}

void deployment_post(Request *request)
{
    if (request->fields.has_key && !field_is_key(request->fields.key)) {
        problem_answer(request, PROBLEM_INVALID, "Idempotency-Key must be 1 to %d visible ASCII characters",
                       FIELD_KEY_MAX);
        return;
    }
    Deployment *deployment = arena_alloc(&request->arena, sizeof(*deployment));
    Err err = wire_decode_deployment_signal_json(&request->arena, request_body(request), &deployment->signal);
    if (err_is(err)) {
        problem_answer_reason(request, PROBLEM_INVALID, &err);
        return;
    }
    if (!request_take_place(request)) {
        return;
    }
    Gateway *gateway = request->gateway;
    request->state = deployment;
    request->on_give_up = deployment_answer_pending;
    request->watch.found = deployment_found;
    request->watch.absent = deployment_not_yet;
    deployment->signal.publisher = STR(CALLER_ANONYMOUS);
    deployment->signal.received_ms = loop_unix_ms(gateway->loop);
    int64_t wait_ms = field_prefer_wait_ms(&request->fields.prefer, gateway->settings.deployment_wait_ms);
    deployment->over = wait_ms == 0;
    if (wait_ms > 0) {
        request_set_deadline(request, wait_ms, deployment_over);
    }
    deployment_name(request);
    err =
        watch_listen(request, STR("DEPLOYMENT"), deployment_outcome_subject(request, deployment->signal.deployment_id));
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the bus cannot be listened to");
        return;
    }
    deployment_publish(request);
}
