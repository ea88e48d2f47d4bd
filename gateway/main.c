/* tai-gateway: HTTP in front of the bus.
 * listens    gateway.payment_address:gateway.payment_port (0.0.0.0:3001), gateway.deployment_… (0.0.0.0:3002)
 * publishes  tai.payment.signal.<caller>[.<transaction_id>], tai.payment.blacklist.<customer>,
 *            tai.deployment.signal.<caller>[.<deployment_id>], tai.deployment.control.<deployment_id>,
 *            $KV.tai_policy.{payment,deployment}
 * reads      tai.reply.<gateway>.*, outcomes by direct get and by watching, tai.deployment.event.<deployment_id>
 * asks       tai.query.{payment,deployment}.metrics, tai.query.deployment.{list,get},
 *            $JS.API.CONSUMER.INFO.PAYMENT.policy
 * keeps      nothing: what was answered is on the ledger
 * settings   gateway.*, nats.*  -  exit 0 drained, 64 usage, 69 bus or port unavailable, 78 bad configuration */
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include "gateway/resource.h"
#include "gateway/server.h"
#include "shared/bus/stream.h"
#include "shared/deployment/policy.h"

#define POLICY_BODY_MAX 65536
#define REASON_BODY_MAX 4096
/* Descriptors that are not connections: bus, epoll, listeners, log, and what libraries open. */
#define DESCRIPTORS_KEPT 64

static const char gateway_manual[] =
    "tai-gateway - HTTP in front of the bus\n"
    "\n"
    "POST /payment                     a payment: waits for its outcome (Prefer: wait=N), else 202 with Location\n"
    "GET  /payment/{transaction_id}    what became of it\n"
    "GET, PUT, DELETE /blacklist/{customer_id}\n"
    "GET, PUT /policy/payment          the fraud policy document; ETag and If-Match by revision\n"
    "GET  /metrics                     figures as JSON, or Prometheus text where Accept asks for text/plain\n"
    "GET  /healthz, /readyz            the process runs; it can do its work\n"
    "\n"
    "on the deployment listener:\n"
    "POST /deploy                      a deployment: waits for its outcome (Prefer: wait=N), else 202 with Location\n"
    "GET  /deployments                 ?service= region= state= limit=\n"
    "GET  /deployments/{id}            state, regions, stages with their judgements\n"
    "GET  /deployments/{id}/events     history; live with Accept: text/event-stream\n"
    "POST /deployments/{id}/control    {\"order\": \"pause|resume|promote|promote_full|abort|approve\", \"who\", "
    "\"why\"}\n"
    "GET, PUT /policy/deployment; GET /metrics, /healthz, /readyz\n"
    "\n"
    "Errors are application/problem+json. An answer that is not 2xx and is a problem had no effect.\n"
    "Keeps nothing: what was answered is on the ledger. After SIGTERM it takes no more connections and ends when\n"
    "nobody waits any more.\n"
    "exit 0 drained, 64 usage, 69 bus or port unavailable at start, 78 bad configuration\n";

#define FIELD(field) SETTING_FIELD(GatewaySettings, field)
static const Setting gateway_settings[] = {
    {"gateway.payment_address", SETTING_TEXT, FIELD(payment_address), "0.0.0.0", 0, 0, "numeric address to listen on"},
    {"gateway.payment_port", SETTING_INTEGER, FIELD(payment_port), "3001", 0, 65535, "of payments; 0: any free one"},
    {"gateway.deployment_address", SETTING_TEXT, FIELD(deployment_address), "0.0.0.0", 0, 0,
     "numeric address to listen on"},
    {"gateway.deployment_port", SETTING_INTEGER, FIELD(deployment_port), "3002", 0, 65535,
     "of deployments; 0: any free one"},
    {"gateway.share_port", SETTING_FLAG, FIELD(share_port), "false", 0, 0, "let several gateways listen on it"},
    {"gateway.wait_ms", SETTING_INTEGER, FIELD(wait_ms), "10000", 0, 60000,
     "ms to wait for a payment's outcome by default"},
    {"gateway.deployment_wait_ms", SETTING_INTEGER, FIELD(deployment_wait_ms), "30000", 0, 60000,
     "ms to wait for a deployment's by default: the quick profile takes 10 s"},
    {"gateway.max_waiting", SETTING_INTEGER, FIELD(max_waiting), "4096", 1, 1000000, "requests waiting for outcomes"},
    {"gateway.max_backlog", SETTING_INTEGER, FIELD(max_backlog), "20000", 0, 1000000000, "signals on the policy lane"},
    {"gateway.max_connections", SETTING_INTEGER, FIELD(max_connections), "8192", 1, 1000000, "connections at once"},
    {"gateway.connection_bytes", SETTING_INTEGER, FIELD(connection_bytes), "16384", 4096, 1048576,
     "memory of a connection: bounds a request's header"},
    {"gateway.receive_ms", SETTING_INTEGER, FIELD(receive_ms), "10000", 100, 600000, "ms for a request to come in"},
    {"gateway.idle_ms", SETTING_INTEGER, FIELD(idle_ms), "60000", 1000, 3600000, "ms a connection is kept unused"},
    {"gateway.store_ms", SETTING_INTEGER, FIELD(store_ms), "5000", 100, 60000, "ms for the ledger to confirm"},
    {"gateway.query_ms", SETTING_INTEGER, FIELD(query_ms), "2000", 100, 60000, "ms for answers to questions"},
    {"gateway.unready_ms", SETTING_INTEGER, FIELD(unready_ms), "0", 0, 600000,
     "ms after SIGTERM in which connections are still taken, while /readyz says no"},
};

static const Route payment_routes[] = {
    {.path = "/payment", .methods = {{"POST", ROUTE_JSON, (size_t)PAYMENT_BODY_MAX, payment_post}}},
    {.path = "/payment/*", .methods = {{"GET", ROUTE_NO_BODY, 0, transaction_get}}},
    {.path = "/blacklist/*",
     .methods = {{"GET", ROUTE_NO_BODY, 0, blacklist_get},
                 {"PUT", ROUTE_JSON_OPTIONAL, REASON_BODY_MAX, blacklist_put},
                 {"DELETE", ROUTE_NO_BODY, 0, blacklist_delete}}},
    {.path = "/policy/payment",
     .methods = {{"GET", ROUTE_NO_BODY, 0, policy_get}, {"PUT", ROUTE_JSON, POLICY_BODY_MAX, policy_put}}},
    {.path = "/metrics", .methods = {{"GET", ROUTE_NO_BODY, 0, metrics_get}}},
    {.path = "/healthz", .methods = {{"GET", ROUTE_NO_BODY, 0, health_get}}, .without_bus = true},
    {.path = "/readyz", .methods = {{"GET", ROUTE_NO_BODY, 0, ready_get}}, .without_bus = true},
};

static const Route deployment_routes[] = {
    {.path = "/deploy", .methods = {{"POST", ROUTE_JSON, (size_t)DEPLOYMENT_BODY_MAX, deployment_post}}},
    {.path = "/deployments", .methods = {{"GET", ROUTE_NO_BODY, 0, deployments_list}}, .takes_query = true},
    {.path = "/deployments/*", .methods = {{"GET", ROUTE_NO_BODY, 0, deployments_get}}},
    {.path = "/deployments/*/events", .methods = {{"GET", ROUTE_NO_BODY, 0, events_get}}},
    {.path = "/deployments/*/control", .methods = {{"POST", ROUTE_JSON, REASON_BODY_MAX, deployments_control}}},
    {.path = "/policy/deployment",
     .methods = {{"GET", ROUTE_NO_BODY, 0, policy_get},
                 {"PUT", ROUTE_JSON, (size_t)DEPLOYMENT_POLICY_BODY_MAX, policy_put}}},
    {.path = "/metrics", .methods = {{"GET", ROUTE_NO_BODY, 0, metrics_get}}},
    {.path = "/healthz", .methods = {{"GET", ROUTE_NO_BODY, 0, health_get}}, .without_bus = true},
    {.path = "/readyz", .methods = {{"GET", ROUTE_NO_BODY, 0, ready_get}}, .without_bus = true},
};

void gateway_entropy(Gateway *gateway, uint8_t *bytes, size_t count)
{
    Entropy *entropy = &gateway->entropy;
    TAI_ASSERT(count <= sizeof(entropy->bytes));
    if (entropy->left < count) {
        worker_entropy(entropy->bytes, sizeof(entropy->bytes));
        entropy->left = sizeof(entropy->bytes);
    }
    entropy->left -= count;
    memcpy(bytes, entropy->bytes + entropy->left, count);
}

/* A connection is a descriptor: takes what the system allows, and no more connections than fit into it. */
static void gateway_fit_connections(Gateway *gateway)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    rlim_t wanted = (rlim_t)gateway->settings.max_connections + DESCRIPTORS_KEPT;
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted && limit.rlim_cur > DESCRIPTORS_KEPT) {
        gateway->settings.max_connections = (int64_t)(limit.rlim_cur - DESCRIPTORS_KEPT);
        log_event(gateway->log, LOG_WARN, "connections_limited",
                  LOG_FIELDS(log_number("max_connections", gateway->settings.max_connections)));
    }
}

static Err gateway_hear_replies(Gateway *gateway)
{
    char subject[64];
    Buffer text = buffer_over(subject, sizeof(subject));
    buffer_print(&text, "tai.reply.%s.*", worker_id(gateway->worker));
    TAI_ASSERT(!text.overflow);
    return bus_subscribe(gateway->bus, buffer_str(&text), (Str){0}, payment_reply, gateway, &gateway->replies);
}

static Err gateway_start(Worker *worker, void *context)
{
    Gateway *gateway = context;
    gateway->worker = worker;
    gateway->bus = worker_bus(worker);
    gateway->loop = worker_loop(worker);
    gateway->log = worker_log(worker);
    gateway->admission.answered_ms = INT64_MIN / 2;
    gateway->admission.asked_ms = INT64_MIN / 2;
    waiting_open(&gateway->waiting, (uint32_t)gateway->settings.max_waiting);
    gateway_fit_connections(gateway);
    Err err = worker_ensure_ledger(worker, "PAYMENT");
    if (!err_is(err)) {
        err = worker_ensure_ledger(worker, "DEPLOYMENT");
    }
    if (!err_is(err)) {
        err = worker_ensure_bucket(gateway->worker, "tai_policy");
    }
    if (!err_is(err)) {
        err = gateway_hear_replies(gateway);
    }
    if (!err_is(err)) {
        err = server_open(gateway,
                          &(ServerOptions){.address = gateway->settings.payment_address,
                                           .port = gateway->settings.payment_port,
                                           .routes = payment_routes,
                                           .route_count = sizeof(payment_routes) / sizeof(payment_routes[0]),
                                           .domain = "payment"},
                          &gateway->payment);
    }
    if (!err_is(err)) {
        err = server_open(gateway,
                          &(ServerOptions){.address = gateway->settings.deployment_address,
                                           .port = gateway->settings.deployment_port,
                                           .routes = deployment_routes,
                                           .route_count = sizeof(deployment_routes) / sizeof(deployment_routes[0]),
                                           .domain = "deployment"},
                          &gateway->deployment);
    }
    return err;
}

static void gateway_stop(Worker *worker, void *context)
{
    Gateway *gateway = context;
    (void)worker;
    server_close(gateway->payment);
    server_close(gateway->deployment);
    bus_unsubscribe(gateway->replies);
    gateway->replies = NULL;
}

static bool gateway_drained(void *context)
{
    Gateway *gateway = context;
    int64_t now_ms = loop_now_ms(gateway->loop);
    if (gateway->draining_since_ms == 0) {
        gateway->draining_since_ms = now_ms;
    }
    if (now_ms - gateway->draining_since_ms < gateway->settings.unready_ms) {
        return false;
    }
    server_quiesce(gateway->payment);
    server_quiesce(gateway->deployment);
    return gateway->open_count == 0;
}

int main(int argc, char **argv)
{
    Gateway gateway = {0};
    int code = worker_main(argc, argv,
                           &(WorkerSpec){
                               .name = "gateway",
                               .manual = gateway_manual,
                               .settings = gateway_settings,
                               .setting_count = sizeof(gateway_settings) / sizeof(gateway_settings[0]),
                               .config = &gateway.settings,
                               .start = gateway_start,
                               .stop = gateway_stop,
                               .drained = gateway_drained,
                               .context = &gateway,
                           });
    request_release_all(&gateway);
    server_release(gateway.payment);
    server_release(gateway.deployment);
    waiting_close(&gateway.waiting);
    return code;
}
