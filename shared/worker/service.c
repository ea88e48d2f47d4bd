/* service - the NATS services protocol (ADR-32): $SRV.PING, $SRV.INFO, $SRV.STATS, so that `nats micro ls` and
 * `nats micro stats` see every process. A lane is an endpoint. */
#include <time.h>

#include "shared/base/json.h"
#include "shared/worker/private.h"

#define SERVICE_BODY_MAX 8192

static void service_open_body(const Worker *worker, JsonWriter *json, const char *type)
{
    char name[64];
    Buffer name_text = buffer_over(name, sizeof(name));
    buffer_print(&name_text, "tai-%s", worker->spec->name);
    json_open(json, NULL, '{');
    json_put_string(json, "type", str_from(type));
    json_put_string(json, "name", buffer_str(&name_text));
    json_put_string(json, "id", str_from(worker->id));
    json_put_string(json, "version", STR(TAI_VERSION));
    json_open(json, "metadata", '{');
    json_close(json, '}');
}

static void service_reply(Worker *worker, const BusDelivery *request, const Buffer *body)
{
    if (request->reply.length != 0 && !body->overflow) {
        bus_publish(worker->bus, &(BusMessage){.subject = request->reply, .body = buffer_str(body)});
    }
}

static void service_ping(void *context, const BusDelivery *request)
{
    Worker *worker = context;
    char memory[SERVICE_BODY_MAX];
    Buffer body = buffer_over(memory, sizeof(memory));
    JsonWriter json = json_writer(&body);
    service_open_body(worker, &json, "io.nats.micro.v1.ping_response");
    json_close(&json, '}');
    service_reply(worker, request, &body);
}

static void service_open_endpoint(JsonWriter *json, const Lane *lane)
{
    json_open(json, NULL, '{');
    json_put_string(json, "name", str_from(lane->spec->name));
    json_put_string(json, "subject", str_from(lane->spec->filter));
    json_put_string(json, "queue_group", str_from(lane->spec->name));
}

static void service_info(void *context, const BusDelivery *request)
{
    Worker *worker = context;
    char memory[SERVICE_BODY_MAX];
    Buffer body = buffer_over(memory, sizeof(memory));
    JsonWriter json = json_writer(&body);
    service_open_body(worker, &json, "io.nats.micro.v1.info_response");
    json_put_string(&json, "description", STR("TAI worker process"));
    json_open(&json, "endpoints", '[');
    for (size_t i = 0; i < worker->spec->lane_count; i++) {
        service_open_endpoint(&json, &worker->lanes[i]);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    service_reply(worker, request, &body);
}

static void service_stats(void *context, const BusDelivery *request)
{
    Worker *worker = context;
    char memory[SERVICE_BODY_MAX];
    Buffer body = buffer_over(memory, sizeof(memory));
    JsonWriter json = json_writer(&body);
    time_t started = (time_t)(worker->started_unix_ms / 1000);
    struct tm parts;
    char started_text[32];
    gmtime_r(&started, &parts);
    size_t length = strftime(started_text, sizeof(started_text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    service_open_body(worker, &json, "io.nats.micro.v1.stats_response");
    json_put_string(&json, "started", (Str){started_text, length});
    json_open(&json, "endpoints", '[');
    for (size_t i = 0; i < worker->spec->lane_count; i++) {
        const Lane *lane = &worker->lanes[i];
        const LaneFigures *figures = &lane->figures;
        uint64_t requests = figures->done + figures->kept + figures->buried;
        int64_t busy_ns = figures->busy_ms * INT64_C(1000000);
        service_open_endpoint(&json, lane);
        json_put_int(&json, "num_requests", (int64_t)requests);
        json_put_int(&json, "num_errors", (int64_t)(figures->kept + figures->buried));
        json_put_string(&json, "last_error", str_from(figures->last_error));
        json_put_int(&json, "processing_time", busy_ns);
        json_put_int(&json, "average_processing_time", requests == 0 ? 0 : busy_ns / (int64_t)requests);
        json_open(&json, "data", '{');
        json_put_int(&json, "in_progress", (int64_t)lane->busy);
        json_put_int(&json, "kept", (int64_t)figures->kept);
        json_put_int(&json, "buried", (int64_t)figures->buried);
        json_close(&json, '}');
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    service_reply(worker, request, &body);
}

static Err service_subscribe(Worker *worker, const char *verb, BusMessageCallback *callback)
{
    char subject[128];
    BusSubscription *unused;               /* stands as long as the connection */
    for (int form = 0; form < 3; form++) { /* all services, those of our name, this process */
        Buffer text = buffer_over(subject, sizeof(subject));
        buffer_print(&text, "$SRV.%s", verb);
        if (form >= 1) {
            buffer_print(&text, ".tai-%s", worker->spec->name);
        }
        if (form >= 2) {
            buffer_print(&text, ".%s", worker->id);
        }
        Err err = bus_subscribe(worker->bus, buffer_str(&text), (Str){0}, callback, worker, &unused);
        if (err_is(err)) {
            return err;
        }
    }
    return err_none();
}

Err service_open(Worker *worker)
{
    Err err = service_subscribe(worker, "PING", service_ping);
    if (!err_is(err)) {
        err = service_subscribe(worker, "INFO", service_info);
    }
    if (!err_is(err)) {
        err = service_subscribe(worker, "STATS", service_stats);
    }
    return err;
}
