/* worker - the skeleton of every process: options, settings, log, loop, bus, lanes, drain, $SRV.
 * A worker says what it consumes and what it does with a message; everything else is here, as in postfix's master. */
#ifndef TAI_WORKER_WORKER_H
#define TAI_WORKER_WORKER_H

#include "shared/worker/config.h"
#include "shared/worker/log.h"
#include "shared/worker/loop.h"
#include "shared/worker/task.h"

/* sysexits(3), as far as we use it. */
#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define EXIT_CONFIG 78

typedef struct Worker Worker;

/* A lane: a durable consumer that all workers of its name share. Its settings are
 * <process>.lanes.<name>.{wip, slots, ack_wait_ms, max_tries}; of a second lane of the same name, by its domain. */
typedef struct {
    const char *stream; /* "PAYMENT" */
    const char *name;   /* of the consumer: "charge" */
    const char *filter; /* "tai.payment.decision.approved" */
    const char *domain; /* "payment": dead letters go to tai.dead.<domain>.<name> */
    TaskStep *step;
    int64_t wip;           /* default of MaxAckPending, over all workers */
    int64_t slots;         /* default of tasks at once in this process, at most wip */
    int64_t max_tries;     /* default: deliveries before a message is buried unseen */
    size_t body_max_bytes; /* a longer body is buried unseen */
} WorkerLane;

typedef struct {
    const char *name;   /* "policy": the program is tai-policy */
    const char *manual; /* text of --help, ahead of the settings */
    const WorkerLane *lanes;
    size_t lane_count;
    const Setting *settings; /* of its own, filled into `config` */
    size_t setting_count;
    void *config;
    bool uses_store;
    bool uses_http;
    Err (*start)(Worker *worker, void *context); /* bus is connected, lanes do not pull yet; may be NULL */
    void (*stop)(Worker *worker, void *context); /* after the drain, bus still open; may be NULL */
    bool (*drained)(void *context);              /* SIGTERM: may the process end? NULL: when no task is left */
    void *context;
} WorkerSpec;

/* Options, settings, connecting, the loop until SIGTERM or SIGINT, drain. Returns the exit code. */
int worker_main(int argc, char **argv, const WorkerSpec *spec);

Loop *worker_loop(Worker *worker);
Bus *worker_bus(Worker *worker);
Http *worker_http(Worker *worker); /* NULL unless the spec uses_http */
const Log *worker_log(const Worker *worker);
const char *worker_id(const Worker *worker); /* of this process, as in $SRV: 22 letters and digits */
bool worker_is_draining(const Worker *worker);

/* A ledger with subjects tai.<name in lower case>.>, with the limits of the settings (nats.replicas, …). */
MUST_USE Err worker_ensure_ledger(Worker *worker, const char *stream);

/* A KV bucket, with the replicas of the settings. */
MUST_USE Err worker_ensure_bucket(Worker *worker, const char *bucket);

/* Random bytes of getrandom(2). */
void worker_entropy(uint8_t *bytes, size_t count);

#endif
