/* gate - a breaker, its clock, and who is told. */
#include "workers/action/gate.h"

#include <stdlib.h>

#include "shared/base/json.h"
#include "shared/wire/andon.h"

#define GATE_REPEAT_MS 2000
#define GATE_ANDON_TIMEOUT_MS 5000
#define GATE_NAME_MAX 64

struct Gate {
    Worker *worker;
    char name[GATE_NAME_MAX];
    BreakerSettings settings;
    Breaker breaker;
    Timer repeat;
    bool alarmed; /* an alert was raised that is not cleared yet */
    Arena arena;
};

/* {"source": id, "name": …, "state": "open", "generation": 3}: for gauges; may be lost. */
static void gate_announce(Gate *gate)
{
    char subject[GATE_NAME_MAX + 16];
    char body[256];
    Buffer subject_text = buffer_over(subject, sizeof(subject));
    buffer_print(&subject_text, "tai.breaker.%s", gate->name);
    Buffer body_text = buffer_over(body, sizeof(body));
    JsonWriter json = json_writer(&body_text);
    json_open(&json, NULL, '{');
    json_put_string(&json, "source", str_from(worker_id(gate->worker)));
    json_put_string(&json, "name", str_from(gate->name));
    json_put_string(&json, "state", str_from(breaker_state_name(gate->breaker.state)));
    json_put_int(&json, "generation", (int64_t)gate->breaker.generation);
    json_close(&json, '}');
    bus_publish(worker_bus(gate->worker),
                &(BusMessage){.subject = buffer_str(&subject_text), .body = buffer_str(&body_text)});
}

static void gate_repeat(void *context)
{
    Gate *gate = context;
    gate_announce(gate);
    loop_timer_set(worker_loop(gate->worker), &gate->repeat, GATE_REPEAT_MS);
}

static void andon_stored(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    const Gate *gate = context;
    if (err_is(err)) {
        log_event(worker_log(gate->worker), LOG_ERROR, "andon_not_stored", LOG_FIELDS(log_why(&err)));
    }
}

static void gate_alert(Gate *gate, bool cleared)
{
    arena_reset(&gate->arena);
    Andon andon = {
        .domain = STR("payment"),
        .alert = STR("circuit_breaker_open"),
        .severity = ANDON_CRITICAL,
        .cleared = cleared,
        .summary = cleared ? STR("The payment gateway answers again; charges flow.")
                           : STR("The payment gateway fails; charges are refused until it answers again."),
        .when_ms = loop_unix_ms(worker_loop(gate->worker)),
        .source = str_from(worker_id(gate->worker)),
    };
    BusMessage message = {.subject = STR("tai.andon.payment.circuit_breaker_open"),
                          .body = wire_encode_andon(&gate->arena, &andon)};
    bus_message_add(&message, BUS_HEADER_MSG_ID,
                    arena_print(&gate->arena, "breaker.%s.%s.%llu", gate->name, worker_id(gate->worker),
                                (unsigned long long)gate->breaker.generation));
    bus_store(worker_bus(gate->worker), &message, GATE_ANDON_TIMEOUT_MS, andon_stored, gate);
    gate->alarmed = !cleared;
}

static void gate_changed(Gate *gate, BreakerChange change)
{
    if (change == BREAKER_STAYED) {
        return;
    }
    log_event(worker_log(gate->worker), change == BREAKER_OPENED ? LOG_ERROR : LOG_INFO, "breaker",
              LOG_FIELDS(log_text("name", str_from(gate->name)),
                         log_text("state", str_from(breaker_state_name(gate->breaker.state))),
                         log_number("generation", (int64_t)gate->breaker.generation)));
    gate_announce(gate);
    if (change == BREAKER_OPENED) {
        gate_alert(gate, false);
    } else if (change == BREAKER_CLOSED_AGAIN && gate->alarmed) {
        gate_alert(gate, true);
    }
}

static int64_t gate_now_ms(const Gate *gate)
{
    return loop_now_ms(worker_loop(gate->worker));
}

BreakerPermit gate_admit(Gate *gate)
{
    BreakerChange change = BREAKER_STAYED;
    BreakerPermit permit = breaker_admit(&gate->breaker, &gate->settings, gate_now_ms(gate), &change);
    gate_changed(gate, change);
    return permit;
}

void gate_record(Gate *gate, const BreakerPermit *permit, BreakerCall call, int64_t duration_ms)
{
    gate_changed(gate, breaker_record(&gate->breaker, &gate->settings, permit, call, duration_ms, gate_now_ms(gate)));
}

void gate_pace(Gate *gate, int64_t pause_ms)
{
    breaker_pace(&gate->breaker, gate_now_ms(gate) + pause_ms);
}

Err gate_open(Worker *worker, const char *name, const BreakerSettings *settings, Gate **out)
{
    Gate *gate = calloc(1, sizeof(*gate));
    TAI_ASSERT(gate != NULL);
    gate->worker = worker;
    gate->settings = *settings;
    gate->breaker = breaker_make();
    gate->arena = arena_make(1024, 64 * 1024);
    gate->repeat = timer_make(gate_repeat, gate);
    bool fits = str_copy_to(str_from(name), gate->name, sizeof(gate->name));
    TAI_ASSERT(fits);
    gate_repeat(gate);
    *out = gate;
    return err_none();
}

void gate_close(Gate *gate)
{
    if (gate != NULL) {
        loop_timer_clear(worker_loop(gate->worker), &gate->repeat);
        arena_release(&gate->arena);
        free(gate);
    }
}
