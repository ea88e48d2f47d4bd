/* command - asking an action worker for a step, and waiting for what came of it.
 * The same need has the same id after a takeover, so a step that was asked for before is not asked for again, and one
 * that was answered while nobody listened is found on the ledger. Where the ids are forgotten the step is asked for
 * once more: drivers have the same effect twice as once, and the fence says whether it is still wanted. */
#include <inttypes.h>

#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

/* Beyond the command's own time: for the answer's way back. */
#define ANSWER_GRACE_MS 2000

void run_command_result(Run *run, const DeploymentResult *result)
{
    run->command_id = (Str){0};
    run->busy = false;
    bus_read_close(run->read);
    run->read = NULL;
    loop_timer_clear(run->rollouts->loop, &run->timer);
    if (run->ending) {
        run_finish_result(run, result);
        return;
    }
    run_hear(run, &(RolloutHeard){
                      .kind = ROLLOUT_HEARD_RESULT,
                      .succeeded = result->succeeded,
                      .impossible = result->impossible,
                      .weight_percent = result->weight_percent,
                      .why = result->detail,
                  });
}

static void command_send(Run *run);

static void command_wake(Run *run, int64_t delay_ms, void (*ring)(void *run))
{
    loop_timer_clear(run->rollouts->loop, &run->timer);
    run->timer = timer_make(ring, run);
    loop_timer_set(run->rollouts->loop, &run->timer, delay_ms > 0 ? delay_ms : 1);
}

static void command_unanswered(void *context)
{
    run_command_result(context, &(DeploymentResult){.weight_percent = -1, .detail = STR("no answer in time")});
}

static void command_answer_read(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    DeploymentResult result;
    if (message == NULL) {
        bus_read_close(run->read); /* not answered yet, or it cannot be read: waited for until its time is over */
        run->read = NULL;
        return;
    }
    err = wire_decode_deployment_result(&run->scratch, message->body, &result);
    if (!err_is(err) && str_equal(result.command_id, run->command_id)) {
        run_command_result(run, &result);
    }
}

/* A predecessor asked for it, so it may have been answered while nobody listened. Other regions of the deployment may
 * have been answered since. */
static void command_look_for_answer(Run *run, uint64_t from_sequence)
{
    BusReadOptions options = {
        .stream = STR("DEPLOYMENT"),
        .filter = arena_print(&run->scratch, "tai.deployment.result." STR_FMT, STR_ARG(run_id(run))),
        .from_sequence = from_sequence,
    };
    Err err = bus_read_open(run->rollouts->bus, &options, command_answer_read, run, &run->read);
    if (err_is(err)) {
        run->read = NULL;
    }
}

static void command_sent_again(void *context)
{
    Run *run = context;
    if (loop_now_ms(run->rollouts->loop) >= run->command_due_ms) {
        command_unanswered(run);
        return;
    }
    command_send(run);
}

/* A bus that is away says nothing about the command: it is sent until its time is over, and carried out once. */
static void command_stored(void *context, Err err, const BusStored *stored)
{
    Run *run = context;
    if (!run_is_back(run) || run->command_id.length == 0) {
        return; /* answered already */
    }
    if (err.kind == ERR_REJECT) {
        run_command_result(run, &(DeploymentResult){.weight_percent = -1, .detail = str_from(err.why)});
    } else if (err_is(err)) {
        command_wake(run, ROLLOUT_AGAIN_MS, command_sent_again);
    } else if (stored->duplicate) {
        command_look_for_answer(run, stored->sequence);
    }
}

/* Answers are told on the wire, too, and that was away. */
void run_command_reconnected(Run *run)
{
    if (run->command_id.length != 0 && run->read == NULL) {
        command_look_for_answer(run, run->event_sequence + 1);
    }
}

DeploymentCommand run_command_make(const Run *run, RolloutCommand kind)
{
    const DeploymentDecision *decision = &run->work.decision;
    const DeploymentRegion *place = run_place(run);
    return (DeploymentCommand){
        .deployment_id = run_id(run),
        .region = place->region,
        .kind = kind,
        .driver = place->driver,
        .service = decision->signal.service,
        .version = decision->signal.version,
        .image = decision->image,
        .digest = decision->digest,
        .previous_version = place->previous_version,
        .previous_digest = place->previous_digest,
    };
}

static void command_send(Run *run)
{
    Arena *arena = &run->scratch;
    int64_t left_ms = run->command_due_ms - ANSWER_GRACE_MS - loop_now_ms(run->rollouts->loop);
    DeploymentCommand command = run_command_make(run, run->need.command);
    command.command_id = run->command_id;
    command.weight_percent = run->need.weight_percent;
    command.not_after_ms = run_now_ms(run) + left_ms;
    command.fence_sequence = run->event_sequence;
    BusMessage message = {
        .subject = arena_print(arena, "tai.deployment.command." STR_FMT, STR_ARG(command.region)),
        .body = wire_encode_deployment_command(arena, &command),
    };
    bus_message_add(&message, BUS_HEADER_MSG_ID, command.command_id);
    bus_message_pass_on(&message, &run->delivery, BUS_HEADER_TRACE);
    command_wake(run, run->command_due_ms - loop_now_ms(run->rollouts->loop), command_unanswered);
    run_asks(run);
    bus_store(run->rollouts->bus, &message, ROLLOUT_BUS_TIMEOUT_MS, command_stored, run);
}

/* A reload, or a person, may have changed what was set and verified: nothing is judged by what went through then. */
void run_check_weight(Run *run)
{
    uint64_t events = run->state.events;
    run->weight_checked = true;
    run->need.command = ROLLOUT_COMMAND_READ;
    run->need.weight_percent = run_plan(run)->stages[run->state.stage].weight_percent;
    run->need.attempt = events < INT32_MAX ? (int32_t)events : INT32_MAX;
    run_command(run);
}

void run_command(Run *run)
{
    run->command_id =
        arena_print(&run->scratch, STR_FMT "." STR_FMT ".%" PRId32 ".%s.%" PRId32, STR_ARG(run_id(run)),
                    STR_ARG(run->label), run->state.stage, rollout_command_name(run->need.command), run->need.attempt);
    run->command_due_ms = loop_now_ms(run->rollouts->loop) + run_plan(run)->command_timeout_ms + ANSWER_GRACE_MS;
    run->busy = true;
    command_send(run);
}
