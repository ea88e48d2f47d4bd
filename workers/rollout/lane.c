/* lane - regions as Kanban lanes: a durable consumer each, with one message in work, over all workers.
 * The regions are those of the live deployment policy; one that is taken off the policy keeps its lane until what waits
 * there is done. */
#include <stdlib.h>
#include <string.h>

#include "shared/bus/stream.h"
#include "shared/wire/deployment.h"
#include "workers/rollout/rollout.h"

#define POLICY_STREAM "KV_tai_policy"
#define POLICY_SUBJECT "$KV.tai_policy.deployment"
#define LOOK_MS 5000
#define LOOK_SOON_MS 100
#define POLICY_BLOCK_BYTES ((size_t)64 * 1024)
#define POLICY_LIMIT_BYTES ((size_t)16 * 1024 * 1024)

struct Lane {
    Rollouts *rollouts;
    Lane *next;
    BusPull *pull;
    LaneQueue queue;
    char region[64];
};

LaneQueue *lane_queue(Lane *lane)
{
    return &lane->queue;
}

void lane_is_free(Lane *lane)
{
    if (lane->pull != NULL && !worker_is_draining(lane->rollouts->worker)) {
        bus_pull_want(lane->pull, 1);
    }
}

static void lane_take(void *context, BusDelivery *delivery)
{
    Lane *lane = context;
    run_open(lane->rollouts, lane, delivery);
}

static Err lane_open(Rollouts *rollouts, const char *region)
{
    char name[96];
    char filter[128];
    Buffer name_text = buffer_over(name, sizeof(name));
    Buffer filter_text = buffer_over(filter, sizeof(filter));
    buffer_print(&name_text, "region-%s", region);
    buffer_print(&filter_text, "tai.deployment.region.%s", region);
    TAI_ASSERT(!name_text.overflow && !filter_text.overflow);
    Err err = bus_ensure_consumer(rollouts->bus, &(BusConsumerSpec){
                                                     .stream = "DEPLOYMENT",
                                                     .name = name,
                                                     .filter = filter,
                                                     .ack_wait_ms = rollouts->settings.ack_wait_ms,
                                                     .max_ack_pending = 1,
                                                 });
    if (err_is(err)) {
        return err;
    }
    Lane *lane = calloc(1, sizeof(*lane));
    TAI_ASSERT(lane != NULL);
    lane->rollouts = rollouts;
    bool fits = str_copy_to(str_from(region), lane->region, sizeof(lane->region));
    TAI_ASSERT(fits);
    err = bus_pull_open(rollouts->bus, STR("DEPLOYMENT"), str_from(name), lane_take, lane, &lane->pull);
    if (err_is(err)) {
        free(lane);
        return err;
    }
    lane->next = rollouts->lanes;
    rollouts->lanes = lane;
    lane_is_free(lane);
    return err_none();
}

static bool lane_stands(const Rollouts *rollouts, const char *region)
{
    for (const Lane *lane = rollouts->lanes; lane != NULL; lane = lane->next) {
        if (strcmp(lane->region, region) == 0) {
            return true;
        }
    }
    return false;
}

static void lanes_for_policy(Rollouts *rollouts, const DeploymentPolicy *policy)
{
    for (int32_t i = 0; i < policy->region_count; i++) {
        const char *region = policy->regions[i].name;
        Err err = lane_stands(rollouts, region) ? err_none() : lane_open(rollouts, region);
        if (err_is(err)) {
            log_event(rollouts->log, LOG_ERROR, "lane_not_open",
                      LOG_FIELDS(log_text("region", str_from(region)), log_why(&err)));
            rollouts->look_again = true;
        }
    }
    rollouts->lanes_known = true;
}

static void lanes_looked(void *context, Err err, const BusDelivery *message)
{
    Rollouts *rollouts = context;
    rollouts->looking = false;
    if (!err_is(err) && message == NULL) { /* the policy worker writes the default document */
        Arena arena = arena_make(POLICY_BLOCK_BYTES, POLICY_LIMIT_BYTES);
        DeploymentPolicy *policy = arena_alloc(&arena, sizeof(*policy));
        *policy = deployment_policy_default(&arena);
        lanes_for_policy(rollouts, policy);
        arena_release(&arena);
    } else if (!err_is(err) && (message->sequence != rollouts->policy_revision || rollouts->look_again)) {
        Arena arena = arena_make(POLICY_BLOCK_BYTES, POLICY_LIMIT_BYTES);
        DeploymentPolicy *policy = arena_alloc(&arena, sizeof(*policy));
        rollouts->look_again = false;
        err = wire_decode_deployment_policy(&arena, message->body, policy);
        if (!err_is(err)) {
            rollouts->policy_revision = message->sequence;
            lanes_for_policy(rollouts, policy);
        }
        arena_release(&arena);
    }
    loop_timer_set(rollouts->loop, &rollouts->look,
                   rollouts->lanes_known && !rollouts->look_again ? LOOK_MS : LOOK_SOON_MS);
}

static void lanes_look(void *context)
{
    Rollouts *rollouts = context;
    if (!rollouts->looking && !worker_is_draining(rollouts->worker)) {
        rollouts->looking = true;
        bus_get_last(rollouts->bus, STR(POLICY_STREAM), STR(POLICY_SUBJECT), ROLLOUT_BUS_TIMEOUT_MS, lanes_looked,
                     rollouts);
    }
}

static void policy_changed(void *context, const BusDelivery *message)
{
    (void)message;
    lanes_look(context);
}

Err lanes_open(Rollouts *rollouts)
{
    rollouts->look = timer_make(lanes_look, rollouts);
    Err err = bus_subscribe(rollouts->bus, STR(POLICY_SUBJECT), (Str){0}, policy_changed, rollouts, &rollouts->policy);
    if (!err_is(err)) {
        lanes_look(rollouts);
    }
    return err;
}

void lanes_close(Rollouts *rollouts)
{
    loop_timer_clear(rollouts->loop, &rollouts->look);
    while (rollouts->lanes != NULL) {
        Lane *lane = rollouts->lanes;
        rollouts->lanes = lane->next;
        bus_pull_drop(lane->pull);
        queue_release(&lane->queue);
        free(lane);
    }
}
