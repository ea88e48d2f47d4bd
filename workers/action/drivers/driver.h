/* driver - a way of carrying out deployment commands: in the sandbox, by HAProxy's weights, by a program, in
 * Kubernetes. A driver ends its job once, with driver_succeed(), driver_fail() or driver_refuse(), from begin(), step()
 * or a call back of its own; carrying a command out twice has the effect of doing it once. */
#ifndef TAI_WORKERS_ACTION_DRIVERS_DRIVER_H
#define TAI_WORKERS_ACTION_DRIVERS_DRIVER_H

#include "shared/deployment/work.h"
#include "shared/worker/worker.h"
#include "workers/action/drivers/watch.h"

#define DRIVER_DETAIL_MAX 500 /* bytes of a result's detail */

typedef struct {
    int64_t timeout_ms; /* for one command, whatever the driver */
    char sandbox_url[512];
    char haproxy[2048];        /* "region=unix:/path,region=127.0.0.1:9999" */
    char haproxy_address[512]; /* template of a version's address; "": the servers' addresses are left alone */
    char command[512];         /* program */
    char kubernetes_url[512];
    char kubernetes_namespace[64];
    char kubernetes_token_file[512];
    char kubernetes_ca_file[512];
    int64_t kubernetes_replicas; /* of a service in a region, both versions together */
} DeploySettings;

/* What the drivers of a process share. */
typedef struct {
    const DeploySettings *settings;
    Worker *worker;
    Watch *watch;
    Http *kubernetes; /* with the API server's CA; NULL: not set up */
    bool stopping;    /* the process ends: no job ends any more, all of them come again */
} Deploy;

typedef struct Driver Driver;

/* A command being carried out. In the task's arena. */
typedef struct DriverJob {
    Deploy *deploy;
    Task *task;
    const Driver *driver;
    DeploymentCommand command;
    int64_t timeout_ms; /* of this run: the lane cancels it then */
    void *state;        /* the driver's own */
    bool ended;
    void (*when_ended)(struct DriverJob *job, const DeploymentResult *result); /* the lane's */
} DriverJob;

struct Driver {
    const char *name;
    void (*begin)(DriverJob *job);
    void (*step)(DriverJob *job, const TaskEvent *event); /* of a task_…() that the driver asked for; NULL: never */
    /* Time is over: gives up, and ends the job then, at once or soon. NULL: the lane ends it. */
    void (*cancel)(DriverJob *job);
};

/* weight_percent: as read back; -1: not known. */
void driver_succeed(DriverJob *job, int32_t weight_percent, const char *format, ...) PRINTF_LIKE(3, 4);
/* May work later. */
void driver_fail(DriverJob *job, const char *format, ...) PRINTF_LIKE(2, 3);
/* Trying again cannot help. */
void driver_refuse(DriverJob *job, const char *format, ...) PRINTF_LIKE(2, 3);

/* True for 2xx. Otherwise the job is ended: refused for a 4xx, failed for what may pass (408, 409, 429, 5xx, no
 * answer). `whom` begins the detail. */
bool driver_http_succeeded(DriverJob *job, const char *whom, const HttpResult *result);

#endif
