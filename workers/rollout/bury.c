/* bury - what stands on a lane and cannot even be read is put aside as a dead letter, and the lane goes on. The letter
 * is stored first: until it is, the message stays. */
#include <stdlib.h>

#include "shared/worker/letter.h"
#include "workers/rollout/rollout.h"

#define BURIAL_ARENA_BLOCK 1024
#define BURIAL_ARENA_LIMIT ((size_t)64 * 1024)

struct Burial {
    Rollouts *rollouts;
    Lane *lane;
    Burial *next;
    BusDelivery delivery;
    Arena arena;
};

static void burial_free(Burial *burial)
{
    bus_delivery_release(&burial->delivery);
    arena_release(&burial->arena);
    free(burial);
}

static void burial_leave(Burial *burial)
{
    for (Burial **place = &burial->rollouts->burials; *place != NULL; place = &(*place)->next) {
        if (*place == burial) {
            *place = burial->next;
            return;
        }
    }
}

static void burial_stored(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    Burial *burial = context;
    Rollouts *rollouts = burial->rollouts;
    Lane *lane = burial->lane;
    if (err_is(err)) {
        log_event(rollouts->log, LOG_WARN, "not_buried",
                  LOG_FIELDS(log_number("sequence", (int64_t)burial->delivery.sequence), log_why(&err)));
        bus_nak(rollouts->bus, &burial->delivery, ROLLOUT_AGAIN_MS);
    } else {
        bus_ack(rollouts->bus, &burial->delivery);
    }
    burial_leave(burial);
    burial_free(burial);
    lane_is_free(lane);
}

void bury(Rollouts *rollouts, Lane *lane, BusDelivery *delivery, Err why)
{
    static const LetterPlace place = {"deployment", "region", "DEPLOYMENT"};
    log_event(rollouts->log, LOG_ERROR, "buried",
              LOG_FIELDS(log_text("subject", delivery->subject), log_number("sequence", (int64_t)delivery->sequence),
                         log_why(&why)));
    Burial *burial = calloc(1, sizeof(*burial));
    TAI_ASSERT(burial != NULL);
    *burial = (Burial){
        .rollouts = rollouts,
        .lane = lane,
        .next = rollouts->burials,
        .delivery = *delivery,
        .arena = arena_make(BURIAL_ARENA_BLOCK, BURIAL_ARENA_LIMIT),
    };
    rollouts->burials = burial;
    BusMessage letter = letter_make(&burial->arena, &place, &burial->delivery, str_from(why.why));
    bus_store(rollouts->bus, &letter, ROLLOUT_BUS_TIMEOUT_MS, burial_stored, burial);
}

void burials_release(Rollouts *rollouts)
{
    while (rollouts->burials != NULL) {
        Burial *burial = rollouts->burials;
        rollouts->burials = burial->next;
        bus_nak(rollouts->bus, &burial->delivery, 1);
        burial_free(burial);
    }
}
