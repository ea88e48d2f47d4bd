/* rollout - the rollout worker's context, and what its files tell each other. */
#ifndef TAI_WORKERS_ROLLOUT_ROLLOUT_H
#define TAI_WORKERS_ROLLOUT_ROLLOUT_H

#include "shared/bus/pull.h"
#include "shared/bus/read.h"
#include "shared/deployment/work.h"
#include "shared/http/http.h"
#include "shared/worker/worker.h"

#define ROLLOUT_BUS_TIMEOUT_MS 5000
#define ROLLOUT_AGAIN_MS 1000

typedef struct {
    int64_t ack_wait_ms; /* after a worker's death, how long until another takes its rollouts over */
    char health[16];     /* "sandbox" or "prometheus" */
    char health_url[512];
    char prometheus_requests[512]; /* templates of the queries, see prometheus.c */
    char prometheus_errors[512];
    char prometheus_latency[512];
    char prometheus_started[512];
} RolloutSettings;

typedef struct Run Run;
typedef struct Lane Lane;
typedef struct Waiting Waiting;
typedef struct Burial Burial;
typedef struct GoBack GoBack;

#define ROLLOUT_BUCKETS 4096

typedef struct {
    RolloutSettings settings;
    Worker *worker;
    Loop *loop;
    Bus *bus;
    const Log *log;
    Http *http;
    Lane *lanes[ROLLOUT_BUCKETS]; /* by region: of all that were ever in the policy since the start */
    Lane *to_open;                /* those whose consumer is still to be asked for */
    Lane *last_to_open;
    size_t opening;             /* whose consumer is being asked for */
    Run *runs[ROLLOUT_BUCKETS]; /* by deployment id */
    size_t run_count;
    size_t taking_over; /* runs that find out where they stand, at most a few at once */
    Run *queued;        /* the others, first come first served */
    Run *last_queued;
    size_t looks; /* at health, under way; at most a few at once */
    Run *first_to_look;
    Run *last_to_look;
    Burial *burials; /* letters on their way */
    BusSubscription *results;
    BusSubscription *controls;
    BusSubscription *events;
    BusSubscription *policy;
    BusPull *goback_pull;
    GoBack *gobacks; /* orders that are looked at now */
    size_t goback_count;
    Timer look;       /* at the policy document, for new regions */
    Timer open_again; /* lanes that could not be opened */
    bool looking;
    bool lanes_known; /* the policy was read once */
    uint64_t policy_revision;
} Rollouts;

/* lane.c: the regions of the policy document, each a consumer with one message in work. */
MUST_USE Err lanes_open(Rollouts *rollouts);
void lanes_close(Rollouts *rollouts);
void lane_is_free(Lane *lane); /* its run is over: it may take the next one */

/* queue.c: what waits in a lane, as far as it was read. */
typedef struct {
    Waiting *first;    /* in the ledger's order */
    uint64_t known_to; /* sequence of the last message that was read */
} LaneQueue;
LaneQueue *lane_queue(Lane *lane);
void queue_release(LaneQueue *queue);

/* run.c: one deployment in one region, from its message to its ack. */
void run_open(Rollouts *rollouts, Lane *lane, BusDelivery *delivery); /* the delivery becomes the run's */
void run_result_arrived(Rollouts *rollouts, Str deployment_id, Str body);
void run_control_arrived(Rollouts *rollouts, Str deployment_id);
void runs_reconnected(void *rollouts); /* what was said on the wire meanwhile was not heard: the ledger has it */
void run_event_arrived(Rollouts *rollouts, Str deployment_id, const BusDelivery *message);
void runs_release(Rollouts *rollouts); /* at the end of the process: nothing is acked, others take over */

/* bury.c: a message that cannot be read becomes a dead letter; the delivery becomes the burial's. */
void bury(Rollouts *rollouts, Lane *lane, BusDelivery *delivery, Err why);
void burials_release(Rollouts *rollouts); /* at the end of the process: what is not stored comes again */

/* goback.c: an abort of a deployment that is over, while the version before is kept. */
MUST_USE Err gobacks_open(Rollouts *rollouts);
void gobacks_close(Rollouts *rollouts);

#endif
