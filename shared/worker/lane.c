/* lane - a durable consumer's share of work in this process. */
#include "shared/bus/stream.h"
#include "shared/worker/private.h"

#define LANE_OVERRUN_NAK_MS 10

void lane_hands_changed(Lane *lane)
{
    if (lane->pull != NULL && !worker_is_draining(lane->worker)) {
        bus_pull_want(lane->pull, (size_t)lane->settings.slots - lane->busy);
    }
}

/* More than was asked for can come after a reconnect, when old requests were filled after all. */
void lane_take(void *context, BusDelivery *delivery)
{
    Lane *lane = context;
    if (!task_begin(lane, delivery)) {
        bus_nak(lane->worker->bus, delivery, LANE_OVERRUN_NAK_MS);
        bus_delivery_release(delivery);
    }
}

static void lane_progress(void *context)
{
    Lane *lane = context;
    task_slots_progress(lane, lane->settings.ack_wait_ms / 3);
    loop_timer_set(lane->worker->loop, &lane->progress, lane->settings.ack_wait_ms / 6 + 1);
}

Err lane_open(Lane *lane)
{
    const WorkerLane *spec = lane->spec;
    Err err = bus_ensure_consumer(lane->worker->bus, &(BusConsumerSpec){
                                                         .stream = spec->stream,
                                                         .name = spec->name,
                                                         .filter = spec->filter,
                                                         .ack_wait_ms = lane->settings.ack_wait_ms,
                                                         .max_ack_pending = lane->settings.wip,
                                                     });
    if (err_is(err)) {
        return err;
    }
    task_slots_open(lane);
    err = bus_pull_open(lane->worker->bus, str_from(spec->stream), str_from(spec->name), lane_take, lane, &lane->pull);
    if (err_is(err)) {
        return err;
    }
    lane->progress = timer_make(lane_progress, lane);
    lane_progress(lane);
    lane_hands_changed(lane);
    return err_none();
}

static void lane_ended(void *context)
{
    Lane *lane = context;
    lane->pull = NULL;
}

void lane_drain(Lane *lane)
{
    if (lane->pull != NULL) {
        bus_pull_drain(lane->pull, lane_ended);
    }
}

bool lane_is_drained(const Lane *lane)
{
    return lane->pull == NULL && lane->busy == 0;
}

void lane_close(Lane *lane)
{
    loop_timer_clear(lane->worker->loop, &lane->progress);
    task_slots_close(lane);
}
