/* queue - what waits behind a lane's rollout: a newer version of the same service that waits there makes it pointless.
 *
 * Every message of a lane is read once, when the run before it begins, and what matters of it is kept in memory until
 * it is in work itself: a queue of a thousand costs a thousand messages, not half a million. Whether anything came
 * since the last look is one direct get. What cannot be read is asked again: it is never taken for an empty queue. */
#include <stdlib.h>
#include <string.h>

#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

struct Waiting {
    Waiting *next;
    uint64_t sequence;
    uint64_t signal_sequence;
    uint64_t service_hash;
    char texts[]; /* service and deployment id, NUL behind each */
};

static const char *waiting_service(const Waiting *waiting)
{
    return waiting->texts;
}

static const char *waiting_id(const Waiting *waiting)
{
    return waiting->texts + strlen(waiting->texts) + 1;
}

static bool waiting_is_of(const Waiting *waiting, uint64_t service_hash, Str service)
{
    return waiting->service_hash == service_hash && str_equal(str_from(waiting_service(waiting)), service);
}

static Waiting *waiting_make(const DeploymentSignal *signal, uint64_t sequence, uint64_t signal_sequence)
{
    size_t bytes = signal->service.length + signal->deployment_id.length + 2;
    Waiting *waiting = malloc(sizeof(*waiting) + bytes);
    TAI_ASSERT(waiting != NULL);
    *waiting =
        (Waiting){.sequence = sequence, .signal_sequence = signal_sequence, .service_hash = str_hash(signal->service)};
    Buffer texts = buffer_over(waiting->texts, bytes);
    buffer_append(&texts, signal->service);
    buffer_append_char(&texts, '\0');
    buffer_append(&texts, signal->deployment_id);
    TAI_ASSERT(!texts.overflow);
    return waiting;
}

static void queue_drop(Waiting **place)
{
    Waiting *dropped = *place;
    *place = dropped->next;
    free(dropped);
}

/* An older one of its service that stands before it can make nothing pointless that this one does not. */
static void queue_add(LaneQueue *queue, const DeploymentRegionWork *work, uint64_t sequence)
{
    const DeploymentDecision *decision = &work->decision;
    uint64_t service_hash = str_hash(decision->signal.service);
    Waiting **place = &queue->first;
    while (*place != NULL) {
        if (waiting_is_of(*place, service_hash, decision->signal.service) &&
            (*place)->signal_sequence <= decision->signal_sequence) {
            queue_drop(place);
        } else {
            place = &(*place)->next;
        }
    }
    *place = waiting_make(&decision->signal, sequence, decision->signal_sequence);
}

void queue_release(LaneQueue *queue)
{
    while (queue->first != NULL) {
        queue_drop(&queue->first);
    }
}

/* Newer is what was asked for later: an older deployment may come here behind this one, from a region before. */
static const Waiting *queue_newer(LaneQueue *queue, const Run *run)
{
    const DeploymentDecision *decision = &run->work.decision;
    uint64_t service_hash = str_hash(decision->signal.service);
    while (queue->first != NULL && queue->first->sequence <= run->delivery.sequence) {
        queue_drop(&queue->first);
    }
    const Waiting *waiting = queue->first;
    while (waiting != NULL && (!waiting_is_of(waiting, service_hash, decision->signal.service) ||
                               waiting->signal_sequence <= decision->signal_sequence)) {
        waiting = waiting->next;
    }
    return waiting;
}

static void queue_is_known(Run *run)
{
    const Waiting *newer = queue_newer(lane_queue(run->lane), run);
    if (newer == NULL) {
        run_took_over(run);
        return;
    }
    Str why = arena_print(&run->arena, "superseded by %s", waiting_id(newer));
    run_took_over_to_hear(
        run, &(RolloutHeard){
                 .kind = ROLLOUT_HEARD_ORDER, .order = ROLLOUT_ORDER_SUPERSEDE, .who = STR("queue"), .why = why});
}

static uint64_t queue_known_to(const Run *run)
{
    uint64_t known_to = lane_queue(run->lane)->known_to;
    return known_to > run->delivery.sequence ? known_to : run->delivery.sequence;
}

static void queue_message(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    LaneQueue *queue = lane_queue(run->lane);
    if (message != NULL) {
        DeploymentRegionWork work;
        arena_reset(&run->scratch);
        err = wire_decode_region_work(&run->scratch, message->body, &work);
        if (!err_is(err) && work.kind == REGION_WORK_ROLLOUT) {
            queue_add(queue, &work, message->sequence);
        }
        queue->known_to = message->sequence;
        return;
    }
    bus_read_close(run->read);
    run->read = NULL;
    if (err_is(err)) {
        run_retry(run, run_look_at_queue, err);
        return;
    }
    queue_is_known(run);
}

static void queue_read(Run *run)
{
    BusReadOptions options = {
        .stream = STR("DEPLOYMENT"),
        .filter = arena_print(&run->scratch, "tai.deployment.region." STR_FMT, STR_ARG(run_region(run))),
        .from_sequence = queue_known_to(run) + 1,
    };
    Err err = bus_read_open(run->rollouts->bus, &options, queue_message, run, &run->read);
    if (err_is(err)) {
        run_retry(run, run_look_at_queue, err);
    }
}

static void queue_end_looked(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    if (!run_is_back(run)) {
        return;
    }
    if (err_is(err)) {
        run_retry(run, run_look_at_queue, err);
    } else if (message != NULL && message->sequence > queue_known_to(run)) {
        queue_read(run);
    } else {
        queue_is_known(run);
    }
}

void run_look_at_queue(void *context)
{
    Run *run = context;
    Str subject = arena_print(&run->scratch, "tai.deployment.region." STR_FMT, STR_ARG(run_region(run)));
    run_asks(run);
    bus_get_last(run->rollouts->bus, STR("DEPLOYMENT"), subject, ROLLOUT_BUS_TIMEOUT_MS, queue_end_looked, run);
}
