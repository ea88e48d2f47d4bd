/* policy - GET and PUT /policy/payment and /policy/deployment: the documents in the KV bucket tai_policy.
 * Its revision is the bucket's sequence; 0 stands for the built-in document before there is any. */
#include "gateway/problem.h"
#include "gateway/resource.h"
#include "gateway/server.h"
#include "shared/wire/deployment.h"
#include "shared/wire/payment.h"

#define POLICY_STREAM "KV_tai_policy"

static Str policy_subject(Request *request)
{
    return arena_print(&request->arena, "$KV.tai_policy.%s", server_domain(request->server));
}

static void policy_answer(Request *request, uint64_t revision, Str body)
{
    request->answer.has_revision = true;
    request->answer.revision = revision;
    request_answer(request, 200, MEDIA_JSON, body);
}

static bool policy_is_of_deployments(const Request *request)
{
    return str_equal(str_from(server_domain(request->server)), STR("deployment"));
}

static Str policy_default(Request *request)
{
    Arena *arena = &request->arena;
    if (policy_is_of_deployments(request)) {
        DeploymentPolicy *policy = arena_alloc(arena, sizeof(*policy));
        *policy = deployment_policy_default(arena);
        return wire_print_deployment_policy(arena, policy);
    }
    FraudPolicy policy = fraud_policy_default();
    return wire_print_fraud_policy(arena, &policy);
}

static Err policy_check(Request *request)
{
    Arena *arena = &request->arena;
    if (policy_is_of_deployments(request)) {
        return wire_decode_deployment_policy(arena, request_body(request),
                                             arena_alloc(arena, sizeof(DeploymentPolicy)));
    }
    FraudPolicy policy;
    return wire_decode_fraud_policy(arena, request_body(request), &policy);
}

static void policy_got(void *context, Err err, const BusDelivery *message)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    if (err_is(err)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the policy cannot be read at the moment");
        return;
    }
    bool there = message != NULL && message->body.length > 0; /* a deleted key leaves an empty message */
    if (there) {
        policy_answer(request, message->sequence, arena_copy(&request->arena, message->body));
        return;
    }
    policy_answer(request, message == NULL ? 0 : message->sequence, policy_default(request));
}

void policy_get(Request *request)
{
    request_get_last(request, STR(POLICY_STREAM), policy_subject(request), policy_got);
}

static void policy_stored(void *context, Err err, const BusStored *stored)
{
    Request *request = context;
    if (!request_is_back(request)) {
        return;
    }
    if (!err_is(err)) {
        Str body = arena_print(&request->arena, "{\"revision\":%llu}\n", (unsigned long long)stored->sequence);
        policy_answer(request, stored->sequence, body);
    } else if (stored != NULL && stored->exists) {
        problem_answer(request, PROBLEM_PRECONDITION, "the policy has another revision by now");
    } else if (err.kind == ERR_REJECT) {
        log_event(request->gateway->log, LOG_WARN, "policy_refused", LOG_FIELDS(log_why(&err)));
        problem_answer(request, PROBLEM_TOO_LARGE, "the bus refused it: %s", err.why);
    } else {
        log_event(request->gateway->log, LOG_WARN, "policy_not_stored", LOG_FIELDS(log_why(&err)));
        problem_answer(request, PROBLEM_UNAVAILABLE,
                       "the bus did not confirm the new policy: look at the revision before trying again");
    }
}

/* If-Match becomes the bus's own condition, so that of two editors only one wins. */
static bool policy_add_condition(Request *request, BusMessage *message)
{
    Str if_match = str_trim(request->fields.if_match);
    Str if_none_match = str_trim(request->fields.if_none_match);
    uint64_t revision = 0;
    if (if_match.length > 0 && !str_equal(if_match, STR("*"))) {
        if (!field_entity_tag(if_match, &revision)) {
            problem_answer(request, PROBLEM_PRECONDITION, "If-Match is not an ETag of this resource");
            return false;
        }
        bus_message_add(message, BUS_HEADER_EXPECT_LAST,
                        arena_print(&request->arena, "%llu", (unsigned long long)revision));
    } else if (str_equal(if_none_match, STR("*"))) {
        bus_message_expect_new(message);
    }
    return true;
}

void policy_put(Request *request)
{
    Err err = policy_check(request);
    if (err_is(err)) {
        problem_answer_reason(request, PROBLEM_POLICY, &err);
        return;
    }
    BusMessage message = {.subject = policy_subject(request), .body = request_body(request)};
    if (policy_add_condition(request, &message)) {
        request_store(request, &message, policy_stored);
    }
}
