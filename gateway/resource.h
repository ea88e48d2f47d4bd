/* resource - what the routes begin; one file for each resource. */
#ifndef TAI_GATEWAY_RESOURCE_H
#define TAI_GATEWAY_RESOURCE_H

#include "gateway/request.h"
#include "shared/deployment/work.h"
#include "shared/payment/payment.h"

/* Who calls; without authentication everybody is the same. One subject token. */
#define CALLER_ANONYMOUS "anonymous"

/* payment.c: POST /payment */
void payment_post(Request *request);
void payment_reply(void *gateway, const BusDelivery *message); /* on tai.reply.<gateway>.<token> */
/* The answer to a POST (its status says what became of the payment). */
void payment_answer_outcome(Request *request, const PaymentOutcome *outcome);
Str payment_outcome_subject(Request *request, Str transaction_id);
/* False, with the request answered, when it cannot be read. */
bool payment_outcome_read(Request *request, const BusDelivery *message, PaymentOutcome *outcome);

/* transaction.c: GET /payment/{id} */
void transaction_get(Request *request);

/* blacklist.c: /blacklist/{customer_id} */
void blacklist_get(Request *request);
void blacklist_put(Request *request);
void blacklist_delete(Request *request);

/* deployment.c: POST /deploy */
void deployment_post(Request *request);
Str deployment_outcome_subject(Request *request, Str deployment_id);
/* False, with the request answered, when it cannot be read. */
bool deployment_outcome_read(Request *request, const BusDelivery *message, DeploymentOutcome *outcome);

/* deployments.c: GET /deployments, GET /deployments/{id}, POST /deployments/{id}/control */
void deployments_list(Request *request);
void deployments_get(Request *request);
void deployments_control(Request *request);

/* Asks for what is known of the deployment: its JSON, empty where nobody asked for it. */
void deployments_look_up(Request *request, void (*found)(Request *request, Err err, Str known));

/* events.c: GET /deployments/{id}/events */
void events_get(Request *request);

/* policy.c: /policy/payment, /policy/deployment */
void policy_get(Request *request);
void policy_put(Request *request);

/* metrics.c: GET /metrics */
void metrics_get(Request *request);

/* health.c: GET /healthz, GET /readyz */
void health_get(Request *request);
void ready_get(Request *request);

#endif
