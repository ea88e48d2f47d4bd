/* drivers/command - posix_spawn(3), two pipes and a pidfd in the watch. */
#include "workers/action/drivers/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (64 * 1024) /* of each of stdout and stderr, the end of it */
#define READ_BYTES (16 * 1024)
#define EXIT_STATUS_USAGE 64
#define EXIT_STATUS_CONFIG 78
#define FACTS_MAX 16

/* A stream of the program's; the oldest half is forgotten where it grows too long. */
typedef struct {
    WatchItem item; /* descriptor -1: closed */
    struct Program *program;
    char *text;
    size_t length;
} Output;

typedef struct Program {
    DriverJob *job;
    pid_t pid;
    WatchItem ended; /* pidfd; -1: none */
    Output out;
    Output err;
    bool out_of_time;
} Program;

Err command_settings_check(const DeploySettings *settings)
{
    bool is_path = settings->command[0] == '\0' || settings->command[0] == '/';
    return is_path ? err_none() : err_reject("action.deploy_command: must be an absolute path");
}

/* --- what it says ----------------------------------------------------------------------------------------------------
 */

static void output_close(Output *output)
{
    if (output->item.descriptor >= 0) {
        watch_remove(output->program->job->deploy->watch, &output->item);
        close(output->item.descriptor);
        output->item.descriptor = -1;
    }
}

/* False: nothing there now, or the end. */
static bool output_take(Output *output)
{
    if (output->item.descriptor < 0) {
        return false;
    }
    if (output->length + READ_BYTES > OUTPUT_MAX) {
        size_t kept = OUTPUT_MAX / 2;
        memmove(output->text, output->text + output->length - kept, kept);
        output->length = kept;
    }
    ssize_t length = read(output->item.descriptor, output->text + output->length, READ_BYTES);
    if (length > 0) {
        output->length += (size_t)length;
        return true;
    }
    if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
        output_close(output);
    }
    return false;
}

static void output_ready(void *context)
{
    (void)output_take(context);
}

/* The last line that is not empty. */
static Str output_last_line(const Output *output)
{
    Str rest = {output->text, output->length};
    Str last = {0};
    Str line;
    while (rest.length > 0 && str_next_token(&rest, '\n', &line)) {
        line = str_trim(line);
        last = line.length > 0 ? line : last;
    }
    return last;
}

/* --- its end
 * ---------------------------------------------------------------------------------------------------------- */

static void program_release(Program *program)
{
    output_close(&program->out);
    output_close(&program->err);
    if (program->ended.descriptor >= 0) {
        watch_remove(program->job->deploy->watch, &program->ended);
        close(program->ended.descriptor);
        program->ended.descriptor = -1;
    }
}

static void program_succeeded(Program *program)
{
    DriverJob *job = program->job;
    Str last = output_last_line(&program->out);
    int64_t weight = -1;
    if (job->command.kind != ROLLOUT_COMMAND_READ) {
        driver_succeed(job, -1, STR_FMT, STR_ARG(str_slice(last, 0, DRIVER_DETAIL_MAX)));
    } else if (str_to_int64(last, &weight) && weight >= 0 && weight <= 100) {
        driver_succeed(job, (int32_t)weight, "has %lld %% of the traffic", (long long)weight);
    } else {
        driver_fail(job, "the last line of the program's output is no weight from 0 to 100: " STR_FMT,
                    STR_ARG(str_slice(last, 0, 80)));
    }
}

static void program_failed(Program *program, const siginfo_t *end)
{
    DriverJob *job = program->job;
    Str said = output_last_line(&program->err);
    said = str_slice(said.length > 0 ? said : output_last_line(&program->out), 0, DRIVER_DETAIL_MAX);
    if (program->out_of_time) {
        driver_fail(job, "killed: not done within %lld ms: " STR_FMT, (long long)job->timeout_ms, STR_ARG(said));
    } else if (end->si_code != CLD_EXITED) {
        driver_fail(job, "ended by signal %d: " STR_FMT, end->si_status, STR_ARG(said));
    } else if (end->si_status == EXIT_STATUS_USAGE || end->si_status == EXIT_STATUS_CONFIG) {
        driver_refuse(job, "exit %d: " STR_FMT, end->si_status, STR_ARG(said));
    } else {
        driver_fail(job, "exit %d: " STR_FMT, end->si_status, STR_ARG(said));
    }
}

/* The group is killed while its leader still is a zombie: until then its number cannot be anybody else's. */
static void program_ended(void *context)
{
    Program *program = context;
    siginfo_t end = {0};
    kill(-program->pid, SIGKILL);
    if (waitid(P_PID, (id_t)program->pid, &end, WEXITED | WNOHANG) == 0 && end.si_pid == 0) {
        return;
    }
    for (int i = 0; i < OUTPUT_MAX / READ_BYTES && output_take(&program->out); i++) {
    }
    for (int i = 0; i < OUTPUT_MAX / READ_BYTES && output_take(&program->err); i++) {
    }
    program_release(program);
    if (end.si_code == CLD_EXITED && end.si_status == 0 && !program->out_of_time) {
        program_succeeded(program);
    } else {
        program_failed(program, &end);
    }
}

/* --- its start
 * -------------------------------------------------------------------------------------------------------- */

static void program_facts(Arena *arena, const DeploymentCommand *command, char *facts[FACTS_MAX + 1])
{
    const struct {
        const char *name;
        Str value;
    } texts[] = {
        {"TAI_COMMAND", str_from(rollout_command_name(command->kind))},
        {"TAI_COMMAND_ID", command->command_id},
        {"TAI_DEPLOYMENT_ID", command->deployment_id},
        {"TAI_REGION", command->region},
        {"TAI_SERVICE", command->service},
        {"TAI_VERSION", command->version},
        {"TAI_IMAGE", command->image},
        {"TAI_DIGEST", command->digest},
        {"TAI_PREVIOUS_VERSION", command->previous_version},
        {"TAI_PREVIOUS_DIGEST", command->previous_digest},
        {"PATH", STR("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")},
    };
    size_t count = 0;
    for (; count < sizeof(texts) / sizeof(texts[0]); count++) {
        facts[count] =
            (char *)(uintptr_t)arena_print(arena, "%s=" STR_FMT, texts[count].name, STR_ARG(texts[count].value)).data;
    }
    facts[count++] = (char *)(uintptr_t)arena_print(arena, "TAI_WEIGHT=%d", command->weight_percent).data;
    facts[count] = NULL;
}

/* 0, or the error number. */
static int program_spawn(Program *program, int out, int err)
{
    DriverJob *job = program->job;
    char *facts[FACTS_MAX + 1];
    char *words[] = {(char *)(uintptr_t)job->deploy->settings->command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    program_facts(&job->task->arena, &job->command, facts);
    sigemptyset(&none);
    sigfillset(&all);
    int failed = posix_spawn_file_actions_init(&actions);
    TAI_ASSERT(failed == 0);
    failed = posix_spawnattr_init(&attributes);
    TAI_ASSERT(failed == 0);
    failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, out, 1);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, err, 2);
    failed = failed ? failed : posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    failed = failed ? failed : posix_spawnattr_setpgroup(&attributes, 0);
    failed = failed ? failed : posix_spawnattr_setsigmask(&attributes, &none);
    failed = failed ? failed : posix_spawnattr_setsigdefault(&attributes, &all);
    failed = failed ? failed
                    : posix_spawnattr_setflags(&attributes,
                                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    failed = failed ? failed : posix_spawn(&program->pid, words[0], &actions, &attributes, words, facts);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

static Err output_open(Output *output, Program *program, int *write_end)
{
    int ends[2];
    *write_end = -1;
    output->program = program;
    output->item = (WatchItem){.descriptor = -1, .ready = output_ready, .context = output};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_retry("no descriptor left for a pipe");
    }
    output->text = arena_alloc(&program->job->task->arena, OUTPUT_MAX);
    output->item.descriptor = ends[0];
    *write_end = ends[1];
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return watch_add(program->job->deploy->watch, &output->item, EPOLLIN);
}

static Err program_watch(Program *program)
{
    program->ended.descriptor = pidfd_open(program->pid, 0);
    if (program->ended.descriptor >= 0) {
        return watch_add(program->job->deploy->watch, &program->ended, EPOLLIN);
    }
    kill(-program->pid, SIGKILL);
    (void)waitpid(program->pid, NULL, 0); /* comes at once: it was just killed */
    return err_retry("no descriptor left for the program");
}

static bool spawn_is_refused(int failed)
{
    return failed == ENOENT || failed == EACCES || failed == ENOEXEC || failed == ENOTDIR || failed == EISDIR;
}

static void command_begin(DriverJob *job)
{
    if (job->deploy->settings->command[0] == '\0') {
        driver_refuse(job, "%s", "command: action.deploy_command names no program");
        return;
    }
    Program *program = arena_alloc(&job->task->arena, sizeof(*program));
    *program = (Program){.job = job, .ended = {.descriptor = -1, .ready = program_ended, .context = program}};
    job->state = program;
    int ends[2] = {-1, -1};
    Err err = output_open(&program->out, program, &ends[0]);
    Err other = output_open(&program->err, program, &ends[1]);
    int failed = err_is(err) || err_is(other) ? EMFILE : program_spawn(program, ends[0], ends[1]);
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) {
            close(ends[i]);
        }
    }
    err = failed == 0 ? program_watch(program) : err_retry("cannot be started: %s", strerror(failed));
    if (err_is(err)) {
        program_release(program);
        if (spawn_is_refused(failed)) {
            driver_refuse(job, "command: %s", err.why);
        } else {
            driver_fail(job, "command: %s", err.why);
        }
    }
}

/* Its end is heard of in a moment: a region's next command must not run beside it. */
static void command_cancel(DriverJob *job)
{
    Program *program = job->state;
    program->out_of_time = true;
    kill(-program->pid, SIGKILL);
}

const Driver command_driver = {.name = "command", .begin = command_begin, .cancel = command_cancel};
