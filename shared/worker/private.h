/* worker/private - what the files of the runtime share among themselves. */
#ifndef TAI_WORKER_PRIVATE_H
#define TAI_WORKER_PRIVATE_H

#include "shared/bus/pull.h"
#include "shared/worker/worker.h"

#define WORKER_LANES_MAX 8
#define WORKER_ID_LENGTH 22
/* How long a publication may wait for its PubAck, and a read for its answer. */
#define TASK_BUS_TIMEOUT_MS 5000

typedef struct {
    char url[1024];
    char credentials[256];
    char user[128];
    char password[256];
    char ca_file[256];
    int64_t connect_wait_ms;
    int64_t replicas;
    int64_t ledger_max_bytes;
    char redis_address[256];
    char redis_username[128];
    char redis_password[256];
    int64_t redis_timeout_ms;
    char log_level[16];
    char log_format[16];
    int64_t drain_ms;
} RuntimeSettings;

typedef struct {
    int64_t wip;
    int64_t slots;
    int64_t ack_wait_ms;
    int64_t max_tries;
} LaneSettings;

typedef struct TaskSlot TaskSlot;

typedef struct {
    uint64_t done;
    uint64_t kept;
    uint64_t buried;
    int64_t busy_ms; /* summed over tasks, from taking to ending */
    char last_error[128];
} LaneFigures;

typedef struct {
    Worker *worker;
    const WorkerLane *spec;
    LaneSettings settings;
    BusPull *pull; /* NULL before the start and after the drain */
    TaskSlot *tasks;
    TaskSlot *free_tasks;
    size_t busy;
    Timer progress; /* keeps long tasks alive: +WPI every third of the ack wait */
    LaneFigures figures;
} Lane;

struct Worker {
    const WorkerSpec *spec;
    RuntimeSettings settings;
    Log log;
    Loop *loop;
    Bus *bus;
    Store *store;
    Http *http;
    Lane lanes[WORKER_LANES_MAX];
    char id[WORKER_ID_LENGTH + 1];
    int64_t started_unix_ms;
    int signals; /* signalfd */
    int signals_seen;
    uint32_t random;
    bool closing; /* answers that still come are dropped: nothing can be published any more */
};

/* settings.c */
typedef enum { OPTIONS_RUN, OPTIONS_EXIT } OptionsResult;
/* Reads options and settings. EXIT: everything is said already, `exit_code` is what the process ends with. */
OptionsResult worker_read_settings(Worker *worker, int argc, char **argv, int *exit_code);

/* lane.c, task.c */
MUST_USE Err lane_open(Lane *lane);
void lane_drain(Lane *lane);
bool lane_is_drained(const Lane *lane);
void lane_close(Lane *lane);
void lane_take(void *lane, BusDelivery *delivery); /* BusPullCallback */
void lane_hands_changed(Lane *lane);
void task_slots_open(Lane *lane);
void task_slots_close(Lane *lane);
/* Sends +WPI for every task that was taken longer than that ago. */
void task_slots_progress(Lane *lane, int64_t older_than_ms);
bool task_begin(Lane *lane, BusDelivery *delivery); /* false: no free slot; the delivery stays the caller's */

/* service.c: the NATS services protocol */
MUST_USE Err service_open(Worker *worker);

uint32_t worker_random(Worker *worker);

#endif
