/* deployments - GET /deployments, GET /deployments/{id}, POST /deployments/{id}/control.
 * State is the metrics worker's to tell, which folds the ledger; an outcome is read from the ledger itself when no
 * metrics worker answers. */
#include "gateway/problem.h"
#include "gateway/resource.h"
#include "shared/base/id.h"
#include "shared/base/json.h"
#include "shared/wire/deployment.h"

#define QUERY_MAX 1024
#define LOOK_UP_TIMES 5
#define LOOK_UP_AGAIN_MS 150

static bool deployments_id_is_good(Request *request)
{
    if (!id_is_token(request->id)) {
        problem_answer(request, PROBLEM_NOT_FOUND, "no deployment has this id");
        return false;
    }
    return true;
}

/* --- what is known ------------------------------------------------------------------------------------------------ */

static void look_up_ask(void *context);

static void look_up_answered(void *context, Err err, const BusDelivery *reply)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    LookUp *look_up = &request->look_up;
    if (!err_is(err) && reply->body.length == 0 && ++look_up->times < LOOK_UP_TIMES) {
        request->pause = timer_make(look_up_ask, request);
        loop_timer_set(request->gateway->loop, &request->pause, LOOK_UP_AGAIN_MS);
        return;
    }
    look_up->found(request, err, err_is(err) ? (Str){0} : arena_copy(&request->arena, reply->body));
}

static void look_up_ask(void *context)
{
    Request *request = context;
    request_ask(request, &(BusMessage){.subject = STR("tai.query.deployment.get"), .body = request->id},
                look_up_answered);
}

/* The metrics worker may be a moment behind the ledger: the Location of a fresh 202 must not be 404. */
void deployments_look_up(Request *request, void (*found)(Request *request, Err err, Str known))
{
    request->look_up.found = found;
    look_up_ask(request);
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

static void deployments_listed(void *context, Err err, const BusDelivery *reply)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "no metrics worker answers");
        return;
    }
    request_answer(request, 200, MEDIA_JSON, arena_copy(&request->arena, reply->body));
}

void deployments_list(Request *request)
{
    static const char *const filters[] = {"service", "region", "state", "limit"};
    Buffer question = arena_buffer(&request->arena, QUERY_MAX);
    JsonWriter json = json_writer(&question);
    unsigned used = 0;
    json_open(&json, NULL, '{');
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        Str value;
        if (!request_query_value(request, filters[i], &value)) {
            continue;
        }
        used++;
        if (!id_is_valid(value)) {
            problem_answer(request, PROBLEM_INVALID, "%s: 1 to %d characters out of A-Z a-z 0-9 _ . : -", filters[i],
                           ID_MAX_LENGTH);
            return;
        }
        json_put_string(&json, filters[i], value);
    }
    json_close(&json, '}');
    if (used != request_query_count(request)) {
        problem_answer(request, PROBLEM_INVALID, "the parameters are service, region, state and limit, once each");
        return;
    }
    TAI_ASSERT(!question.overflow);
    request_ask(request, &(BusMessage){.subject = STR("tai.query.deployment.list"), .body = buffer_str(&question)},
                deployments_listed);
}

/* --- one ---------------------------------------------------------------------------------------------------------- */

static void deployments_outcome(Request *request, const BusDelivery *message)
{
    DeploymentOutcome outcome = {0};
    if (deployment_outcome_read(request, message, &outcome)) {
        request_answer(request, 200, MEDIA_JSON, wire_print_deployment_outcome_json(&request->arena, &outcome));
    }
}

static void deployments_no_outcome(Request *request, const Err *why)
{
    (void)why;
    problem_answer(request, PROBLEM_UNAVAILABLE, "no metrics worker answers, and there is no outcome yet");
}

static void deployments_got(Request *request, Err err, Str known)
{
    if (err_is(err)) {
        request->watch.found = deployments_outcome;
        request->watch.absent = deployments_no_outcome;
        watch_prepare(request, STR("DEPLOYMENT"), deployment_outcome_subject(request, request->id));
        watch_look(request);
    } else if (known.length == 0) {
        problem_answer(request, PROBLEM_NOT_FOUND, "no deployment has this id");
    } else {
        request_answer(request, 200, MEDIA_JSON, known);
    }
}

void deployments_get(Request *request)
{
    if (deployments_id_is_good(request)) {
        deployments_look_up(request, deployments_got);
    }
}

/* --- orders ------------------------------------------------------------------------------------------------------- */

static void control_stored(void *context, Err err, const BusStored *stored)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    if (err_is(err)) {
        log_event(request->gateway->log, LOG_WARN, "control_not_stored", LOG_FIELDS(log_why(&err)));
        problem_answer(request, PROBLEM_UNAVAILABLE, "the bus did not confirm the order: look before repeating it");
        return;
    }
    request->answer.location = arena_print(&request->arena, "/deployments/" STR_FMT, STR_ARG(request->id));
    request_answer(request, 202, MEDIA_JSON,
                   arena_print(&request->arena, "{\"sequence\":%llu}\n", (unsigned long long)stored->sequence));
}

static void control_publish(Request *request)
{
    DeploymentControl *control = request->state;
    BusMessage message = {
        .subject = arena_print(&request->arena, "tai.deployment.control." STR_FMT, STR_ARG(request->id)),
        .body = wire_encode_deployment_control(&request->arena, control),
    };
    bus_message_add(&message, BUS_HEADER_TRACE, request_traceparent(request));
    bus_message_add(&message, BUS_HEADER_CONTENT_TYPE, STR("application/protobuf"));
    request_store(request, &message, control_stored);
}

/* An order for a deployment that is not there is most likely a slip of the pen; one for a deployment that nobody can
 * tell about right now is taken. */
static void control_known(Request *request, Err err, Str known)
{
    if (!err_is(err) && known.length == 0) {
        problem_answer(request, PROBLEM_NOT_FOUND, "no deployment has this id");
        return;
    }
    control_publish(request);
}

static void control_no_outcome(Request *request, const Err *why)
{
    (void)why;
    deployments_look_up(request, control_known);
}

/* A success may still be gone back from, for as long as the version before is kept: the rollout worker knows. */
static void control_late(Request *request, const BusDelivery *message)
{
    const DeploymentControl *control = request->state;
    DeploymentOutcome outcome = {0};
    if (!deployment_outcome_read(request, message, &outcome)) {
        return;
    }
    if (outcome.status == DEPLOYMENT_SUCCESS && control->order == ROLLOUT_ORDER_ABORT) {
        control_publish(request);
        return;
    }
    problem_answer(request, PROBLEM_CONFLICT, "this deployment is over: its outcome stands");
}

void deployments_control(Request *request)
{
    if (!deployments_id_is_good(request)) {
        return;
    }
    DeploymentControl *control = arena_alloc(&request->arena, sizeof(*control));
    Err err = wire_decode_deployment_control(&request->arena, request_body(request), control);
    if (err_is(err)) {
        problem_answer_reason(request, PROBLEM_INVALID, &err);
        return;
    }
    control->deployment_id = request->id;
    control->when_ms = loop_unix_ms(request->gateway->loop);
    request->state = control;
    request->watch.found = control_late;
    request->watch.absent = control_no_outcome;
    watch_prepare(request, STR("DEPLOYMENT"), deployment_outcome_subject(request, request->id));
    watch_look(request);
}
