/* command - deployment commands: when, whether still, by which driver, and what came of it.
 *
 *   WAIT    for its turn: the commands of a region are carried out one after the other, in the order they came
 *   FENCE   read the deployment's last event: an order of a worker that was fenced off changes nothing
 *   DRIVE   the driver, until it ends or its time is over
 *   TELL    publish the result, answer whoever waits
 * A command that comes again after a crash is carried out again: drivers have the same effect twice as once. */
#include <string.h>

#include "shared/base/id.h"
#include "shared/wire/deployment.h"
#include "workers/action/action.h"
#include "workers/action/drivers/command.h"
#include "workers/action/drivers/haproxy.h"
#include "workers/action/drivers/kubernetes.h"
#include "workers/action/drivers/sandbox.h"

#define AGAIN_MS 500
#define TURN_MS 20
#define IMAGE_MAX 512

enum { TAG_TURN, TAG_FENCE, TAG_TIME, TAG_RESULT };

struct CommandJob {
    DriverJob driving; /* first: the driver's view of it */
    Action *action;
    CommandJob *next; /* that came after it */
    Str result;       /* encoded */
};

static const Driver *const drivers[] = {&sandbox_driver, &haproxy_driver, &command_driver, &kubernetes_driver};

static const Driver *driver_find(Str name)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (str_equal(str_from(drivers[i]->name), name)) {
            return drivers[i];
        }
    }
    return NULL;
}

/* --- the regions' queues, all in one list: few commands are under way at once ----------------------------------------
 */

static void job_join(CommandJob *job)
{
    CommandJob **end = &job->action->jobs;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = job;
}

static void job_leave(CommandJob *job)
{
    for (CommandJob **at = &job->action->jobs; *at != NULL; at = &(*at)->next) {
        if (*at == job) {
            *at = job->next;
            return;
        }
    }
}

static bool job_has_turn(const CommandJob *job)
{
    for (const CommandJob *before = job->action->jobs; before != job; before = before->next) {
        if (str_equal(before->driving.command.region, job->driving.command.region)) {
            return false;
        }
    }
    return true;
}

/* --- the command -----------------------------------------------------------------------------------------------------
 */

static bool command_name_is_good(Str name, size_t most)
{
    return id_is_valid(name) && name.length <= most && name.data[0] != '.';
}

static bool command_text_is_good(Str text, size_t most)
{
    for (size_t i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] <= 0x20 || (unsigned char)text.data[i] >= 0x7f) {
            return false;
        }
    }
    return text.length <= most;
}

/* Names go into URLs, sockets and environments of the drivers: nothing odd gets past here. */
static Err command_check(const DeploymentCommand *command)
{
    if (!id_is_valid(command->deployment_id) || command->command_id.length == 0 ||
        !command_text_is_good(command->command_id, 512)) {
        return err_reject("deployment_id, command_id: must be ids");
    }
    if (!id_is_token(command->region) || !command_name_is_good(command->service, DEPLOYMENT_SERVICE_MAX) ||
        !command_name_is_good(command->version, DEPLOYMENT_VERSION_MAX)) {
        return err_reject("region, service, version: must be names");
    }
    if (command->previous_version.length != 0 &&
        !command_name_is_good(command->previous_version, DEPLOYMENT_VERSION_MAX)) {
        return err_reject("previous_version: must be a name");
    }
    if (!command_text_is_good(command->image, IMAGE_MAX) || !command_text_is_good(command->digest, IMAGE_MAX) ||
        !command_text_is_good(command->previous_digest, IMAGE_MAX)) {
        return err_reject("image, digest, previous_digest: must be visible ASCII");
    }
    if (command->kind < ROLLOUT_COMMAND_APPLY || command->kind > ROLLOUT_COMMAND_FINISH ||
        command->weight_percent < 0 || command->weight_percent > 100) {
        return err_reject("kind, weight_percent: out of range");
    }
    return err_none();
}

/* --- steps
 * ------------------------------------------------------------------------------------------------------------ */

static void job_ended(DriverJob *driving, const DeploymentResult *result)
{
    CommandJob *job = (CommandJob *)driving;
    Task *task = driving->task;
    Arena *arena = &task->arena;
    log_event(worker_log(driving->deploy->worker), result->succeeded ? LOG_INFO : LOG_WARN, "command",
              LOG_FIELDS(log_text("command", result->command_id), log_text("driver", driving->command.driver),
                         log_number("succeeded", result->succeeded), log_number("weight", result->weight_percent),
                         log_text("detail", result->detail)));
    job->result = wire_encode_deployment_result(arena, result);
    BusMessage message = task_derive(
        task, arena_print(arena, "tai.deployment.result." STR_FMT, STR_ARG(result->deployment_id)), job->result,
        arena_print(arena, "result." STR_FMT ".%llu", STR_ARG(result->command_id),
                    (unsigned long long)task->message.sequence));
    task_store(task, TAG_RESULT, &message);
}

static void job_drive(CommandJob *job)
{
    DriverJob *driving = &job->driving;
    task_sleep(driving->task, TAG_TIME, driving->timeout_ms);
    driving->driver->begin(driving);
}

static void job_turn(CommandJob *job)
{
    DriverJob *driving = &job->driving;
    const DeploymentCommand *command = &driving->command;
    Task *task = driving->task;
    if (command->not_after_ms != 0 && task->unix_ms >= command->not_after_ms) {
        driver_fail(driving, "came too late");
        return;
    }
    if (!job_has_turn(job)) {
        task_sleep(task, TAG_TURN, TURN_MS);
        return;
    }
    driving->timeout_ms = driving->deploy->settings->timeout_ms;
    if (command->not_after_ms != 0 && command->not_after_ms - task->unix_ms < driving->timeout_ms) {
        driving->timeout_ms = command->not_after_ms - task->unix_ms;
    }
    if (driving->driver == NULL) {
        driver_refuse(driving, "there is no driver of the name \"" STR_FMT "\"", STR_ARG(command->driver));
    } else if (command->fence_sequence != 0) {
        task_get_last(task, TAG_FENCE, STR("DEPLOYMENT"),
                      arena_print(&task->arena, "tai.deployment.event." STR_FMT, STR_ARG(command->deployment_id)));
    } else {
        job_drive(job);
    }
}

static void job_begun(Action *action, Task *task)
{
    DeploymentCommand command;
    Err err = wire_decode_deployment_command(&task->arena, task->message.body, &command);
    if (!err_is(err)) {
        err = command_check(&command);
    }
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    if (command.not_before_ms > task->unix_ms) {
        task_keep(task, command.not_before_ms - task->unix_ms, err_retry("not before its time"));
        return;
    }
    CommandJob *job = arena_alloc(&task->arena, sizeof(*job));
    job->action = action;
    job->driving = (DriverJob){
        .deploy = &action->deploy,
        .task = task,
        .driver = driver_find(command.driver),
        .command = command,
        .when_ended = job_ended,
    };
    task->state = job;
    job_join(job);
    job_turn(job);
}

static void job_fence_read(CommandJob *job, const TaskEvent *event)
{
    const DeploymentCommand *command = &job->driving.command;
    if (err_is(event->err)) {
        job_leave(job);
        task_keep(job->driving.task, AGAIN_MS, event->err);
    } else if (event->message == NULL || event->message->sequence != command->fence_sequence) {
        driver_fail(&job->driving, "fenced: the deployment went on");
    } else if (command->not_after_ms != 0 && job->driving.task->unix_ms >= command->not_after_ms) {
        driver_fail(&job->driving, "came too late"); /* we may have stood still since the fence was read */
    } else {
        job_drive(job);
    }
}

static void job_stored(CommandJob *job, const TaskEvent *event)
{
    Task *task = job->driving.task;
    job_leave(job);
    if (err_is(event->err)) {
        task_keep(task, AGAIN_MS, event->err);
    } else {
        task_answer(task, job->result);
        task_done(task);
    }
}

static void job_out_of_time(CommandJob *job)
{
    DriverJob *driving = &job->driving;
    if (driving->ended) {
        return;
    }
    if (driving->driver->cancel != NULL) {
        driving->driver->cancel(driving);
    } else {
        driver_fail(driving, "%s: not done within %lld ms", driving->driver->name, (long long)driving->timeout_ms);
    }
    if (!driving->ended) {
        task_sleep(driving->task, TAG_TIME, AGAIN_MS); /* told once more then */
    }
}

void command_step(void *context, Task *task, const TaskEvent *event)
{
    CommandJob *job = task->state;
    if (event->kind == TASK_BEGUN) {
        job_begun(context, task);
    } else if (event->kind == TASK_WOKEN && event->tag == TAG_TURN) {
        job_turn(job);
    } else if (event->kind == TASK_WOKEN) {
        job_out_of_time(job);
    } else if (event->kind == TASK_READ && event->tag == TAG_FENCE) {
        job_fence_read(job, event);
    } else if (event->kind == TASK_STORED && event->tag == TAG_RESULT) {
        job_stored(job, event);
    } else if (!job->driving.ended && job->driving.driver->step != NULL) {
        job->driving.driver->step(&job->driving, event);
    }
}

/* --- start and stop
 * --------------------------------------------------------------------------------------------------- */

Err command_start(Worker *worker, Action *action)
{
    action->deploy.settings = &action->settings.deploy;
    action->deploy.worker = worker;
    static Err (*const checks[])(const DeploySettings *settings) = {sandbox_settings_check, haproxy_settings_check,
                                                                    command_settings_check, kubernetes_settings_check};
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        Err err = checks[i](&action->settings.deploy);
        if (err_is(err)) {
            return err;
        }
    }
    Err err = watch_open(worker_loop(worker), &action->deploy.watch);
    return err_is(err) ? err : kubernetes_open(&action->deploy);
}

/* What is left of the drain: programs are killed, sockets closed; their commands come again. */
void command_stop(Action *action)
{
    action->deploy.stopping = true;
    for (CommandJob *job = action->jobs; job != NULL; job = job->next) {
        DriverJob *driving = &job->driving;
        if (driving->state != NULL && !driving->ended && driving->driver->cancel != NULL) {
            driving->driver->cancel(driving);
        }
    }
    kubernetes_close(&action->deploy);
    watch_close(action->deploy.watch);
    action->deploy.watch = NULL;
}
