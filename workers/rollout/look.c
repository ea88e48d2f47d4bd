/* look - looks at health, a few at a time.
 * A health source that answers slowly, or not at all, would otherwise hold a connection for each of thousands of
 * rollouts that observe. A rollout whose turn has not come is not busy: an order to it is heard at once. */
#include "workers/rollout/run.h"

/* Prometheus is asked half a dozen things at each look. */
#define LOOKS_MAX 64

static void look_begin(Run *run);

static void look_next(Rollouts *rollouts)
{
    Run *next = rollouts->first_to_look;
    if (next != NULL && rollouts->looks < LOOKS_MAX && !worker_is_draining(rollouts->worker)) {
        run_leave_looks(next);
        look_begin(next);
    }
}

static void look_answered(void *context, const HealthAnswer *answer)
{
    Run *run = context;
    Rollouts *rollouts = run->rollouts;
    rollouts->looks--;
    /* What a process that ends hears is cut off: whoever takes over looks again. */
    if (run_is_back(run) && !worker_is_draining(rollouts->worker)) {
        run->busy = false;
        run_hear(run, &(RolloutHeard){
                          .kind = ROLLOUT_HEARD_HEALTH,
                          .have_canary = answer->have_canary,
                          .have_baseline = answer->have_baseline,
                          .canary = answer->canary,
                          .baseline = answer->baseline,
                          .query = answer->query,
                          .why = str_from(answer->why),
                      });
    }
    look_next(rollouts);
}

static void look_begin(Run *run)
{
    const DeploymentRegion *place = run_place(run);
    HealthWindow window = {
        .region = place->region,
        .service = run->work.decision.signal.service,
        .version = run->work.decision.signal.version,
        .baseline = run->state.weight_percent < 100 ? place->previous_version : (Str){0},
        .since_ms = run->need.since_ms,
        .until_ms = run_now_ms(run),
    };
    run->busy = true;
    run->rollouts->looks++;
    run_asks(run);
    health_ask(run->rollouts, &run->scratch, &window, look_answered, run);
}

void run_look_at_health(Run *run)
{
    Rollouts *rollouts = run->rollouts;
    if (rollouts->looks < LOOKS_MAX) {
        look_begin(run);
        return;
    }
    arena_release(&run->scratch);
    run->look_queued = true;
    run->next_to_look = NULL;
    run->previous_to_look = rollouts->last_to_look;
    *(run->previous_to_look == NULL ? &rollouts->first_to_look : &run->previous_to_look->next_to_look) = run;
    rollouts->last_to_look = run;
}

void run_leave_looks(Run *run)
{
    Rollouts *rollouts = run->rollouts;
    if (!run->look_queued) {
        return;
    }
    run->look_queued = false;
    *(run->previous_to_look == NULL ? &rollouts->first_to_look : &run->previous_to_look->next_to_look) =
        run->next_to_look;
    *(run->next_to_look == NULL ? &rollouts->last_to_look : &run->next_to_look->previous_to_look) =
        run->previous_to_look;
}
