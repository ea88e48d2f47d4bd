/* lane - regions as Kanban lanes: a durable consumer each, with one message in work, over all workers.
 * The regions are those of the live deployment policy; one that is taken off the policy keeps its lane until what waits
 * there is done. */
#include <stdlib.h>

#include "shared/bus/stream.h"
#include "shared/wire/deployment.h"
#include "workers/rollout/rollout.h"

#define POLICY_STREAM "KV_tai_policy"
#define POLICY_SUBJECT "$KV.tai_policy.deployment"
#define LOOK_MS 5000
#define LOOK_SOON_MS 100
/* A policy may bring thousands of regions at once: so many of their consumers are asked for at a time. */
#define OPENING_MAX 64
#define POLICY_BLOCK_BYTES ((size_t)64 * 1024)
#define POLICY_LIMIT_BYTES ((size_t)16 * 1024 * 1024)

struct Lane {
    Rollouts *rollouts;
    Lane *next;         /* in its bucket */
    Lane *next_to_open; /* among those whose consumer is not asked for yet */
    BusPull *pull;      /* NULL: not open yet */
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

/* --- opening --------------------------------------------------------------------------------------------------------
 */

static void lanes_open_more(void *context);

static void lane_wait_to_open(Lane *lane)
{
    Rollouts *rollouts = lane->rollouts;
    lane->next_to_open = NULL;
    *(rollouts->to_open == NULL ? &rollouts->to_open : &rollouts->last_to_open->next_to_open) = lane;
    rollouts->last_to_open = lane;
}

static Str lane_name(const Lane *lane, char *memory, size_t bytes)
{
    Buffer name = buffer_over(memory, bytes);
    buffer_print(&name, "region-%s", lane->region);
    TAI_ASSERT(!name.overflow);
    return buffer_str(&name);
}

static void lane_stands(void *context, Err err)
{
    Lane *lane = context;
    Rollouts *rollouts = lane->rollouts;
    char name[96];
    rollouts->opening--;
    if (!err_is(err)) {
        err = bus_pull_open(rollouts->bus, STR("DEPLOYMENT"), lane_name(lane, name, sizeof(name)), lane_take, lane,
                            &lane->pull);
    }
    if (err_is(err)) {
        log_event(rollouts->log, LOG_ERROR, "lane_not_open",
                  LOG_FIELDS(log_text("region", str_from(lane->region)), log_why(&err)));
        lane_wait_to_open(lane);
        loop_timer_set(rollouts->loop, &rollouts->open_again, ROLLOUT_AGAIN_MS);
        return;
    }
    lane_is_free(lane);
    lanes_open_more(rollouts);
}

static void lane_open(Lane *lane)
{
    Rollouts *rollouts = lane->rollouts;
    char name[96];
    char filter[128];
    Buffer filter_text = buffer_over(filter, sizeof(filter));
    buffer_print(&filter_text, "tai.deployment.region.%s", lane->region);
    TAI_ASSERT(!filter_text.overflow);
    rollouts->opening++;
    bus_ask_consumer(rollouts->bus,
                     &(BusConsumerSpec){
                         .stream = "DEPLOYMENT",
                         .name = lane_name(lane, name, sizeof(name)).data,
                         .filter = filter,
                         .ack_wait_ms = rollouts->settings.ack_wait_ms,
                         .max_ack_pending = 1,
                     },
                     ROLLOUT_BUS_TIMEOUT_MS, lane_stands, lane);
}

static void lanes_open_more(void *context)
{
    Rollouts *rollouts = context;
    while (rollouts->to_open != NULL && rollouts->opening < OPENING_MAX && !worker_is_draining(rollouts->worker)) {
        Lane *lane = rollouts->to_open;
        rollouts->to_open = lane->next_to_open;
        lane_open(lane);
    }
}

/* --- the policy's regions -------------------------------------------------------------------------------------------
 */

static Lane **lane_bucket(Rollouts *rollouts, Str region)
{
    return &rollouts->lanes[str_hash(region) % ROLLOUT_BUCKETS];
}

static bool lane_is_known(Rollouts *rollouts, Str region)
{
    const Lane *lane = *lane_bucket(rollouts, region);
    while (lane != NULL && !str_equal(str_from(lane->region), region)) {
        lane = lane->next;
    }
    return lane != NULL;
}

static void lane_make(Rollouts *rollouts, Str region)
{
    Lane *lane = calloc(1, sizeof(*lane));
    TAI_ASSERT(lane != NULL);
    lane->rollouts = rollouts;
    bool fits = str_copy_to(region, lane->region, sizeof(lane->region));
    TAI_ASSERT(fits);
    Lane **bucket = lane_bucket(rollouts, region);
    lane->next = *bucket;
    *bucket = lane;
    lane_wait_to_open(lane);
}

static void lanes_for_policy(Rollouts *rollouts, const DeploymentPolicy *policy)
{
    for (int32_t i = 0; i < policy->region_count; i++) {
        Str region = str_from(policy->regions[i].name);
        if (!lane_is_known(rollouts, region)) {
            lane_make(rollouts, region);
        }
    }
    rollouts->lanes_known = true;
    lanes_open_more(rollouts);
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
    } else if (!err_is(err) && message->sequence != rollouts->policy_revision) {
        Arena arena = arena_make(POLICY_BLOCK_BYTES, POLICY_LIMIT_BYTES);
        DeploymentPolicy *policy = arena_alloc(&arena, sizeof(*policy));
        err = wire_decode_deployment_policy(&arena, message->body, policy);
        if (!err_is(err)) {
            rollouts->policy_revision = message->sequence;
            lanes_for_policy(rollouts, policy);
        }
        arena_release(&arena);
    }
    loop_timer_set(rollouts->loop, &rollouts->look, rollouts->lanes_known ? LOOK_MS : LOOK_SOON_MS);
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
    rollouts->open_again = timer_make(lanes_open_more, rollouts);
    Err err = bus_subscribe(rollouts->bus, STR(POLICY_SUBJECT), (Str){0}, policy_changed, rollouts, &rollouts->policy);
    if (!err_is(err)) {
        lanes_look(rollouts);
    }
    return err;
}

void lanes_close(Rollouts *rollouts)
{
    loop_timer_clear(rollouts->loop, &rollouts->look);
    loop_timer_clear(rollouts->loop, &rollouts->open_again);
    for (size_t i = 0; i < ROLLOUT_BUCKETS; i++) {
        while (rollouts->lanes[i] != NULL) {
            Lane *lane = rollouts->lanes[i];
            rollouts->lanes[i] = lane->next;
            bus_pull_drop(lane->pull);
            queue_release(&lane->queue);
            free(lane);
        }
    }
}
