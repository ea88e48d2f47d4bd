/* finish - the end of a region: what runs there now, then the next region, an earlier one's way back, or the outcome.
 * Every step may be repeated after a crash: the events say that it is over, ids keep what was published at one, and the
 * outcome is admitted once by the server. */
#include <inttypes.h>
#include <string.h>

#include "shared/base/trace.h"
#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

/* Who restores a region because a later one failed. */
#define SEQUENCE_WHO "sequence"
/* All traffic is on the new version already: a finish that cannot be done is told, not waited for. */
#define FINISH_TRIES 10

/* --- results ----------------------------------------------------------------------------------------------------- */

static DeploymentStatus status_of(RolloutPhase phase)
{
    switch (phase) {
    case ROLLOUT_SUCCEEDED:
    case ROLLOUT_BAKE:
        return DEPLOYMENT_SUCCESS;
    case ROLLOUT_ROLLED_BACK:
        return DEPLOYMENT_ROLLED_BACK;
    case ROLLOUT_ABORTED:
        return DEPLOYMENT_ABORTED;
    default:
        return DEPLOYMENT_FAILED;
    }
}

static DeploymentRegionResult result_make(Run *run)
{
    DeploymentRegionResult result = {
        .region = run_region(run),
        .status = status_of(run->state.phase),
        .detail = run->state.phase == ROLLOUT_ROLLBACK_FAILED
                      ? arena_print(&run->scratch, "rollback failed: " STR_FMT, STR_ARG(run->why))
                      : run->why,
        .started_ms = run->state.started_ms,
        .ended_ms = run->state.ended_ms,
    };
    for (int32_t i = 0; i < run->state.stages_passed && i < run_plan(run)->stage_count; i++) {
        result.stages_completed[result.stages_count++] = str_from(run_plan(run)->stages[i].name);
    }
    return result;
}

/* The results so far with this region's: a restored region's earlier SUCCESS becomes what the restoring came to. */
static DeploymentRegionResult *results_with_ours(Run *run, size_t *count)
{
    const DeploymentRegionWork *work = &run->work;
    DeploymentRegionResult ours = result_make(run);
    DeploymentRegionResult *results =
        arena_alloc_array(&run->scratch, work->result_count + 1, sizeof(DeploymentRegionResult));
    for (size_t i = 0; i < work->result_count; i++) {
        results[i] = work->results[i];
        if (str_equal(results[i].region, ours.region)) {
            results[i].status = ours.status;
            results[i].detail = ours.detail;
            results[i].ended_ms = ours.ended_ms;
            *count = work->result_count;
        }
    }
    if (work->kind == REGION_WORK_ROLLOUT) {
        results[work->result_count] = ours;
        *count = work->result_count + 1;
    }
    return results;
}

static const DeploymentRegionResult *first_failure(const DeploymentRegionResult *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (results[i].status != DEPLOYMENT_SUCCESS) {
            return &results[i];
        }
    }
    return NULL;
}

/* --- what follows ------------------------------------------------------------------------------------------------- */

typedef enum { FOLLOW_OUTCOME, FOLLOW_NEXT_REGION, FOLLOW_RESTORE } FollowKind;

typedef struct {
    FollowKind kind;
    int32_t region_index;
} Follow;

static Follow follow_of(const Run *run)
{
    const DeploymentSignal *signal = &run->work.decision.signal;
    int32_t index = run->work.region_index;
    if (run->work.kind == REGION_WORK_RESTORE) {
        return index > 0 ? (Follow){FOLLOW_RESTORE, index - 1} : (Follow){.kind = FOLLOW_OUTCOME};
    }
    bool good = status_of(run->state.phase) == DEPLOYMENT_SUCCESS;
    bool last = (size_t)index + 1 == signal->region_count;
    bool stopped = status_of(run->state.phase) == DEPLOYMENT_ABORTED; /* whoever stops it means all of it */
    if (!last && (good || (!stopped && signal->on_region_failure == ON_REGION_FAILURE_CONTINUE))) {
        return (Follow){FOLLOW_NEXT_REGION, index + 1};
    }
    if (!good && index > 0 && signal->on_region_failure == ON_REGION_FAILURE_ROLLBACK_ALL) {
        return (Follow){FOLLOW_RESTORE, index - 1};
    }
    return (Follow){.kind = FOLLOW_OUTCOME};
}

/* A step is stored; the next one follows, or the whole end is tried again. */
static void finish_stored(void *context, Err err, const BusStored *stored)
{
    Run *run = context;
    if (!run_is_back(run)) {
        return;
    }
    if (err_is(err) && !stored->exists) {
        run_retry(run, run_finish, err);
        return;
    }
    run->then(run);
}

static void finish_store(Run *run, const BusMessage *message, void (*then)(Run *run))
{
    run->then = then;
    run_asks(run);
    bus_store(run->rollouts->bus, message, ROLLOUT_BUS_TIMEOUT_MS, finish_stored, run);
}

/* The lane's message passes on who waits and the trace. */
static BusMessage finish_message(Run *run, Str subject, Str body)
{
    BusMessage message = {.subject = subject, .body = body};
    bus_message_pass_on(&message, &run->delivery, BUS_HEADER_TRACE);
    bus_message_pass_on(&message, &run->delivery, BUS_HEADER_REPLY);
    return message;
}

static void finish_done(Run *run)
{
    run_close(run, true);
}

static void finish_next_region(Run *run, Follow follow)
{
    Arena *arena = &run->scratch;
    DeploymentRegionWork work = run->work;
    bool restore = follow.kind == FOLLOW_RESTORE;
    work.decision.plan.bake_ms = run->bake_ms; /* as it was decided */
    work.kind = restore ? REGION_WORK_RESTORE : REGION_WORK_ROLLOUT;
    work.region_index = follow.region_index;
    work.results = results_with_ours(run, &work.result_count);
    if (restore && run->work.kind == REGION_WORK_ROLLOUT) {
        work.who = STR(SEQUENCE_WHO);
        work.why =
            arena_print(arena, "region " STR_FMT " failed: " STR_FMT, STR_ARG(run_region(run)), STR_ARG(run->why));
    }
    const DeploymentRegion *next = &work.decision.regions[follow.region_index];
    BusMessage message =
        finish_message(run, arena_print(arena, "tai.deployment.region." STR_FMT, STR_ARG(next->region)),
                       wire_encode_region_work(arena, &work));
    bus_message_add(&message, BUS_HEADER_MSG_ID,
                    arena_print(arena, "%s." STR_FMT ".%" PRId32, restore ? "restore" : "region", STR_ARG(run_id(run)),
                                follow.region_index));
    finish_store(run, &message, finish_done);
}

/* --- the outcome -------------------------------------------------------------------------------------------------- */

static void finish_alert(Run *run, const DeploymentOutcome *outcome)
{
    bool back = outcome->status == DEPLOYMENT_ROLLED_BACK;
    bool by_order = run->work.kind == REGION_WORK_RESTORE && !str_equal(run->work.who, STR(SEQUENCE_WHO));
    if (by_order || (!back && outcome->status != DEPLOYMENT_FAILED)) {
        return;
    }
    Andon andon = {
        .alert = back ? STR("automatic_rollback") : STR("deployment_failed"),
        .severity = ANDON_CRITICAL,
        .summary = outcome->error_message,
    };
    run_alert(run, andon, arena_print(&run->scratch, "andon." STR_FMT, STR_ARG(run_id(run))));
}

static DeploymentOutcome outcome_make(Run *run)
{
    const DeploymentSignal *signal = &run->work.decision.signal;
    DeploymentOutcome outcome = {
        .deployment_id = signal->deployment_id,
        .publisher = signal->publisher,
        .service = signal->service,
        .version = signal->version,
        .strategy = signal->strategy,
        .status = DEPLOYMENT_SUCCESS,
        .received_ms = signal->received_ms,
        .timestamp_ms = run_now_ms(run),
        .time_scale_e4 = run_plan(run)->time_scale_e4,
    };
    outcome.regions = results_with_ours(run, &outcome.region_count);
    const DeploymentRegionResult *failure = first_failure(outcome.regions, outcome.region_count);
    if (run->work.kind == REGION_WORK_RESTORE) { /* the region whose failure began it is the last one that was tried */
        failure = &outcome.regions[outcome.region_count - 1];
    }
    if (failure != NULL) {
        outcome.status = failure->status;
        outcome.error_message =
            arena_print(&run->scratch, STR_FMT ": " STR_FMT, STR_ARG(failure->region), STR_ARG(failure->detail));
    }
    TraceContext trace;
    if (trace_parse(bus_delivery_header(&run->delivery, BUS_HEADER_TRACE), &trace)) {
        outcome.trace_id = arena_copy(&run->scratch, str_from(trace.trace_id));
    }
    return outcome;
}

static void finish_outcome(Run *run)
{
    Arena *arena = &run->scratch;
    DeploymentOutcome outcome = outcome_make(run);
    BusMessage message =
        finish_message(run, arena_print(arena, "tai.deployment.outcome." STR_FMT, STR_ARG(run_id(run))),
                       wire_encode_deployment_outcome(arena, &outcome));
    bus_message_expect_new(&message);
    finish_alert(run, &outcome);
    finish_store(run, &message, finish_done);
    Str reply = bus_delivery_header(&run->delivery, BUS_HEADER_REPLY);
    if (task_reply_is_allowed(reply)) {
        bus_publish(run->rollouts->bus, &(BusMessage){.subject = reply, .body = message.body});
    }
}

static void finish_follow(Run *run)
{
    arena_reset(&run->scratch);
    Follow follow = follow_of(run);
    if (follow.kind == FOLLOW_OUTCOME) {
        finish_outcome(run);
    } else {
        finish_next_region(run, follow);
    }
}

/* The new version takes the place of the one before, and only then the lane is free: the next rollout must find the
 * stable side where the traffic is. Going back later is a rollback to the version before, by its name. */
static void finish_previous(Run *run)
{
    arena_reset(&run->scratch);
    run->need = (RolloutNeed){
        .kind = ROLLOUT_NEED_COMMAND,
        .command = ROLLOUT_COMMAND_FINISH,
        .weight_percent = 100,
        .attempt = run->finish_tries,
    };
    run_command(run);
}

static void finish_again(void *context)
{
    finish_previous(context);
}

void run_finish_result(Run *run, const DeploymentResult *result)
{
    if (result->succeeded) {
        finish_follow(run);
        return;
    }
    Err why = err_retry("finish: " STR_FMT, STR_ARG(str_slice(result->detail, 0, 100)));
    if (result->impossible || ++run->finish_tries >= FINISH_TRIES) {
        log_event(
            run->rollouts->log, LOG_ERROR, "not_finished",
            LOG_FIELDS(log_text("deployment_id", run_id(run)), log_text("region", run_region(run)), log_why(&why)));
        finish_follow(run);
        return;
    }
    run_retry(run, finish_again, why);
}

/* --- what runs there now -------------------------------------------------------------------------------------------
 */

/* Somebody else said what runs there: where it was not one of us, we are late. */
static void finish_running_stored(void *context, Err err, const BusStored *stored)
{
    Run *run = context;
    if (stored->exists && run_is_back(run)) {
        run_retry(run, run_take_over, err_retry("what runs in the region is another's word: %s", err.why));
        run->ending = false;
        run->running = false;
        return;
    }
    if (!stored->exists) {
        finish_stored(context, err, stored);
    }
}

static void finish_running(Run *run, Str version, Str digest)
{
    Arena *arena = &run->scratch;
    const DeploymentDecision *decision = &run->work.decision;
    DeploymentRunning running = {
        .region = run_region(run),
        .service = decision->signal.service,
        .version = version,
        .digest = digest,
        .image = decision->image,
        .deployment_id = run_id(run),
        .since_ms = run->state.ended_ms,
    };
    BusMessage message = {
        .subject = arena_print(arena, "tai.deployment.running." STR_FMT "." STR_FMT, STR_ARG(running.region),
                               STR_ARG(running.service)),
        .body = wire_encode_deployment_running(arena, &running),
    };
    bus_message_add(&message, BUS_HEADER_MSG_ID,
                    arena_print(arena, "running." STR_FMT "." STR_FMT, STR_ARG(run_id(run)), STR_ARG(run->label)));
    bus_message_add(&message, BUS_HEADER_EXPECT_LAST, arena_print(arena, "%" PRIu64, run->running_sequence));
    run_asks(run);
    bus_store(run->rollouts->bus, &message, ROLLOUT_BUS_TIMEOUT_MS, finish_running_stored, run);
}

void run_finish(void *context)
{
    Run *run = context;
    const DeploymentRegion *place = run_place(run);
    bool succeeded = run->state.phase == ROLLOUT_SUCCEEDED;
    bool restored = run->work.kind == REGION_WORK_RESTORE && run->state.phase == ROLLOUT_ROLLED_BACK;
    arena_reset(&run->scratch);
    run->then = succeeded ? finish_previous : finish_follow;
    if ((!succeeded && !restored) || run->running_told) {
        run->then(run);
    } else if (succeeded) {
        finish_running(run, run->work.decision.signal.version, run->work.decision.digest);
    } else {
        finish_running(run, place->previous_version, place->previous_digest);
    }
}
