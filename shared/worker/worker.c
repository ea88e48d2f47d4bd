/* worker - from main() to the drain: what all processes have in common. */
#include "shared/worker/worker.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "shared/bus/stream.h"
#include "shared/worker/private.h"

#define START_RETRY_MS 250

Loop *worker_loop(Worker *worker)
{
    return worker->loop;
}

Bus *worker_bus(Worker *worker)
{
    return worker->bus;
}

Http *worker_http(Worker *worker)
{
    return worker->http;
}

const Log *worker_log(const Worker *worker)
{
    return &worker->log;
}

const char *worker_id(const Worker *worker)
{
    return worker->id;
}

bool worker_is_draining(const Worker *worker)
{
    return worker->signals_seen > 0;
}

void worker_entropy(uint8_t *bytes, size_t count)
{
    ssize_t got = getrandom(bytes, count, 0);
    TAI_ASSERT(got == (ssize_t)count);
}

uint32_t worker_random(Worker *worker)
{
    uint32_t x = worker->random; /* xorshift32: for jitter, nothing secret */
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    worker->random = x;
    return x;
}

static void worker_make_identity(Worker *worker)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t bytes[WORKER_ID_LENGTH + sizeof(worker->random)];
    worker_entropy(bytes, sizeof(bytes));
    for (size_t i = 0; i < WORKER_ID_LENGTH; i++) {
        worker->id[i] = letters[bytes[i] % (sizeof(letters) - 1)];
    }
    memcpy(&worker->random, bytes + WORKER_ID_LENGTH, sizeof(worker->random));
    worker->random |= 1;
}

Err worker_ensure_ledger(Worker *worker, const char *stream)
{
    char subject[64];
    Buffer text = buffer_over(subject, sizeof(subject));
    buffer_append(&text, STR("tai."));
    for (const char *c = stream; *c != '\0'; c++) {
        buffer_append_char(&text, (char)tolower((unsigned char)*c));
    }
    buffer_append(&text, STR(".>"));
    TAI_ASSERT(!text.overflow);
    return bus_ensure_stream(worker->bus, &(BusStreamSpec){
                                              .name = stream,
                                              .subject = subject,
                                              .max_bytes = worker->settings.ledger_max_bytes,
                                              .replicas = worker->settings.replicas,
                                          });
}

Err worker_ensure_bucket(Worker *worker, const char *bucket)
{
    return bus_ensure_bucket(worker->bus, bucket, worker->settings.replicas);
}

/* --- signals ---------------------------------------------------------------------------------------------------- */

/* Blocked before any thread is made, so that all of them inherit it and the signals come as a descriptor. */
static Err signals_open(Worker *worker)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    worker->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return worker->signals < 0 ? err_retry("signalfd") : err_none();
}

static void signals_dispatch(void *context, int64_t now_ms)
{
    (void)now_ms;
    Worker *worker = context;
    struct signalfd_siginfo info;
    while (read(worker->signals, &info, sizeof(info)) == sizeof(info)) {
        worker->signals_seen++;
    }
}

static int64_t no_deadline(void *context)
{
    (void)context;
    return TIMER_NEVER;
}

/* --- sources ---------------------------------------------------------------------------------------------------- */

static int64_t source_bus_deadline(void *context)
{
    return bus_deadline_ms(context);
}

static void source_bus_dispatch(void *context, int64_t now_ms)
{
    bus_dispatch(context, now_ms);
}

static int64_t source_store_deadline(void *context)
{
    return store_deadline_ms(context);
}

static void source_store_dispatch(void *context, int64_t now_ms)
{
    store_dispatch(context, now_ms);
}

static int64_t source_http_deadline(void *context)
{
    return http_deadline_ms(context);
}

static void source_http_dispatch(void *context, int64_t now_ms)
{
    http_dispatch(context, now_ms);
}

static Err worker_open_bus(Worker *worker)
{
    char name[64];
    Buffer text = buffer_over(name, sizeof(name));
    buffer_print(&text, "tai-%s %s", worker->spec->name, worker->id);
    const RuntimeSettings *settings = &worker->settings;
    Err err = bus_open(
        &(BusOptions){
            .url = settings->url,
            .name = name,
            .credentials = settings->credentials,
            .user = settings->user,
            .password = settings->password,
            .ca_file = settings->ca_file,
            .connect_wait_ms = settings->connect_wait_ms,
        },
        &worker->bus);
    if (!err_is(err)) {
        loop_add(worker->loop,
                 (LoopSource){bus_descriptor(worker->bus), source_bus_deadline, source_bus_dispatch, worker->bus});
    }
    return err;
}

static Err worker_open_store(Worker *worker)
{
    const RuntimeSettings *settings = &worker->settings;
    Err err = store_open(
        &(StoreOptions){
            .address = str_from(settings->redis_address),
            .username = str_from(settings->redis_username),
            .password = str_from(settings->redis_password),
            .timeout_ms = settings->redis_timeout_ms,
        },
        &worker->store);
    if (!err_is(err)) {
        loop_add(worker->loop, (LoopSource){store_descriptor(worker->store), source_store_deadline,
                                            source_store_dispatch, worker->store});
    }
    return err;
}

static Err worker_open_http(Worker *worker)
{
    Err err = http_open(&(HttpOptions){.user_agent = STR("tai/" TAI_VERSION)}, &worker->http);
    if (!err_is(err)) {
        loop_add(worker->loop,
                 (LoopSource){http_descriptor(worker->http), source_http_deadline, source_http_dispatch, worker->http});
    }
    return err;
}

static Err worker_open(Worker *worker)
{
    Err err = loop_open(&worker->loop);
    if (!err_is(err)) {
        err = signals_open(worker);
    }
    if (!err_is(err)) {
        loop_add(worker->loop, (LoopSource){worker->signals, no_deadline, signals_dispatch, worker});
        err = worker_open_bus(worker);
    }
    if (!err_is(err) && worker->spec->uses_store) {
        err = worker_open_store(worker);
    }
    if (!err_is(err) && worker->spec->uses_http) {
        err = worker_open_http(worker);
    }
    return err;
}

/* --- start, run, drain -------------------------------------------------------------------------------------------- */

static Err worker_ensure_streams(Worker *worker)
{
    Err err = worker_ensure_ledger(worker, "DEAD");
    if (!err_is(err)) {
        err = worker_ensure_ledger(worker, "ANDON");
    }
    for (size_t i = 0; i < worker->spec->lane_count && !err_is(err); i++) {
        err = worker_ensure_ledger(worker, worker->spec->lanes[i].stream);
    }
    return err;
}

/* A server that was just started answers before its JetStream does; two processes may make the same stream. */
static Err worker_ensure_streams_patiently(Worker *worker)
{
    int64_t deadline_ms = loop_now_ms(worker->loop) + worker->settings.connect_wait_ms;
    for (;;) {
        Err err = worker_ensure_streams(worker);
        loop_turn(worker->loop, err_is(err) ? START_RETRY_MS : 0);
        if (err.kind != ERR_RETRY || loop_now_ms(worker->loop) >= deadline_ms || worker_is_draining(worker)) {
            return err;
        }
    }
}

static Err worker_start(Worker *worker)
{
    Err err = worker_ensure_streams_patiently(worker);
    if (!err_is(err) && worker->spec->start != NULL) {
        err = worker->spec->start(worker, worker->spec->context);
    }
    for (size_t i = 0; i < worker->spec->lane_count && !err_is(err); i++) {
        err = lane_open(&worker->lanes[i]);
    }
    return err_is(err) ? err : service_open(worker);
}

static bool worker_is_drained(Worker *worker)
{
    for (size_t i = 0; i < worker->spec->lane_count; i++) {
        if (!lane_is_drained(&worker->lanes[i])) {
            return false;
        }
    }
    return worker->spec->drained == NULL || worker->spec->drained(worker->spec->context);
}

static void worker_drain(Worker *worker)
{
    log_event(&worker->log, LOG_INFO, "draining", LOG_NO_FIELDS);
    int64_t deadline_ms = loop_now_ms(worker->loop) + worker->settings.drain_ms;
    for (size_t i = 0; i < worker->spec->lane_count; i++) {
        lane_drain(&worker->lanes[i]);
    }
    while (!worker_is_drained(worker) && loop_now_ms(worker->loop) < deadline_ms && worker->signals_seen < 2) {
        loop_turn(worker->loop, 50);
    }
}

static void worker_run(Worker *worker)
{
    log_event(&worker->log, LOG_INFO, "ready",
              LOG_FIELDS(log_text("id", str_from(worker->id)), log_text("version", STR(TAI_VERSION))));
    while (!worker_is_draining(worker)) {
        loop_turn(worker->loop, 60000);
    }
    worker_drain(worker);
}

static void worker_close(Worker *worker)
{
    worker->closing = true;
    /* Calls under way come back as lost while those who asked still stand; what they hear is no ground for anything. */
    if (worker->http != NULL) {
        http_close(worker->http);
        worker->http = NULL;
    }
    if (worker->bus != NULL && worker->spec->stop != NULL) {
        worker->spec->stop(worker, worker->spec->context);
    }
    /* Afterwards nobody calls back into tasks, whose memory goes last. */
    bus_close(worker->bus);
    if (worker->store != NULL) {
        store_close(worker->store);
    }
    for (size_t i = 0; i < worker->spec->lane_count && worker->loop != NULL; i++) {
        lane_close(&worker->lanes[i]);
    }
    loop_close(worker->loop);
    if (worker->signals >= 0) {
        close(worker->signals);
    }
}

static int exit_code_of(Err err)
{
    switch (err.kind) {
    case ERR_NONE:
        return EXIT_SUCCESS;
    case ERR_RETRY:
        return EXIT_UNAVAILABLE;
    case ERR_REJECT:
    case ERR_UNKNOWN:
        break;
    }
    return EXIT_CONFIG;
}

int worker_main(int argc, char **argv, const WorkerSpec *spec)
{
    int exit_code = EXIT_SUCCESS;
    Worker worker = {.spec = spec, .signals = -1};
    TAI_ASSERT(spec->lane_count <= WORKER_LANES_MAX);
    for (size_t i = 0; i < spec->lane_count; i++) {
        worker.lanes[i].worker = &worker;
        worker.lanes[i].spec = &spec->lanes[i];
    }
    if (worker_read_settings(&worker, argc, argv, &exit_code) == OPTIONS_EXIT) {
        return exit_code;
    }
    worker_make_identity(&worker);
    Err err = worker_open(&worker);
    if (!err_is(err)) {
        worker.started_unix_ms = loop_unix_ms(worker.loop);
        err = worker_start(&worker);
    }
    if (err_is(err)) {
        log_event(&worker.log, LOG_ERROR, "cannot_start", LOG_FIELDS(log_why(&err)));
    } else {
        worker_run(&worker);
    }
    worker_close(&worker);
    log_event(&worker.log, LOG_INFO, "stopped", LOG_NO_FIELDS);
    return exit_code_of(err);
}
