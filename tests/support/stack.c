/* stack - a whole TAI of real processes for one test. */
#include "tests/support/stack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHARGE_KEY "sk_test_tai"
#define START_TRIES 5

typedef struct {
    const char *name;
    const char *ready; /* what its log says when it serves */
    bool has_port;
} KindFacts;

static const KindFacts kind_facts[STACK_KINDS] = {
    [STACK_NATS] = {"nats", "Server is ready", true},
    [STACK_REDIS] = {"redis", "Ready to accept connections", true},
    [STACK_SANDBOX] = {"sandbox", "tai-sandbox ready", true},
    [STACK_GATEWAY] = {"gateway", "\"event\":\"ready\"", true},
    [STACK_POLICY] = {"policy", "\"event\":\"ready\"", false},
    [STACK_ACTION] = {"action", "\"event\":\"ready\"", false},
    [STACK_METRICS] = {"metrics", "\"event\":\"ready\"", false},
    [STACK_ROLLOUT] = {"rollout", "\"event\":\"ready\"", false},
};

/* --- cleaning up after a test that could not ------------------------------------------------------------------- */

static int guardian_remove(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

static int guardian_print_tail(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)place;
    size_t length = strlen(path);
    if (kind != FTW_F || length < 4 || strcmp(path + length - 4, ".log") != 0) {
        return 0;
    }
    FILE *file = fopen(path, "re");
    if (!file) {
        return 0;
    }
    static const long tail_bytes = 3000;
    fseek(file, facts->st_size > tail_bytes ? (long)facts->st_size - tail_bytes : 0, SEEK_SET);
    char text[3001];
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    dprintf(2, "---- %s\n%s\n", path, text);
    fclose(file);
    return 0;
}

/* Waits until the test says that it ends well, or is gone; the processes die with the test by themselves. */
static _Noreturn void guardian_run(int guard, const char *folder)
{
    setsid();
    char word = 0;
    bool ended_well = read(guard, &word, 1) == 1;
    if (!ended_well) {
        nftw(folder, guardian_print_tail, 16, FTW_PHYS);
    }
    if (!getenv("TAI_TEST_KEEP")) {
        for (int tries = 0; tries < 100 && nftw(folder, guardian_remove, 16, FTW_DEPTH | FTW_PHYS) != 0; tries++) {
            clock_pause(20);
        }
    }
    _exit(0);
}

static void stack_start_guardian(Stack *stack)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    stack->guardian = fork();
    cr_assert_geq(stack->guardian, 0);
    if (stack->guardian == 0) {
        close(ends[1]);
        guardian_run(ends[0], stack->folder);
    }
    close(ends[0]);
    stack->guard = ends[1];
}

/* --- starting -------------------------------------------------------------------------------------------------- */

int stack_pick_port(void)
{
    for (;;) {
        uint16_t random = 0;
        cr_assert_eq(getrandom(&random, sizeof random, 0), (ssize_t)sizeof random);
        int port = 10000 + random % 22000;
        int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bool is_free = bind(probe, (struct sockaddr *)&address, sizeof address) == 0;
        close(probe);
        if (is_free) {
            return port;
        }
    }
}

static void stack_describe_server(Stack *stack, Kind kind, Process *process, const StackPlan *plan)
{
    int port = stack->ports[kind];
    Words *command = &process->command;
    if (kind == STACK_NATS) {
        words_add_all(command, "nats-server -js -a 127.0.0.1");
        words_add(command, "-p");
        words_add(command, "%d", port);
        words_add(command, "-sd");
        words_add(command, "%s/jetstream", stack->folder);
    } else if (kind == STACK_REDIS) {
        words_add_all(command, "redis-server --bind 127.0.0.1 --appendonly no --daemonize no --save");
        words_add(command, "%s", "");
        words_add(command, "--port");
        words_add(command, "%d", port);
        words_add(command, "--dir");
        words_add(command, "%s", stack->folder);
        words_add(command, "--unixsocket");
        words_add(command, "%s/redis.sock", stack->folder);
    } else {
        words_add(command, "%s/tai-sandbox", TAI_BIN);
        words_add_all(command, "--failure-rate 0 --latency-ms 0 --key " CHARGE_KEY " --port");
        words_add(command, "%d", port);
        words_add(command, "--journal");
        words_add(command, "%s/sandbox.journal", stack->folder);
        words_add_all(command, plan->sandbox);
    }
}

static void stack_describe_worker(Stack *stack, Kind kind, Process *process, const StackPlan *plan)
{
    words_add(&process->command, "%s/tai-%s", TAI_BIN, kind_facts[kind].name);
    Words *settings = &process->environment;
    words_add(settings, "TAI_NATS_URL=nats://127.0.0.1:%d", stack->ports[STACK_NATS]);
    words_add(settings, "TAI_REDIS_ADDRESS=127.0.0.1:%d", stack->ports[STACK_REDIS]);
    words_add_all(settings, "TAI_GATEWAY_PAYMENT_ADDRESS=127.0.0.1");
    words_add_all(settings, "TAI_GATEWAY_DEPLOYMENT_ADDRESS=127.0.0.1");
    words_add(settings, "TAI_GATEWAY_DEPLOYMENT_PORT=%d", stack->ports[STACK_DEPLOYMENT]);
    words_add(settings, "TAI_GATEWAY_PAYMENT_PORT=%d", stack->ports[STACK_GATEWAY]);
    words_add(settings, "TAI_ACTION_CHARGE_URL=http://127.0.0.1:%d", stack->ports[STACK_SANDBOX]);
    words_add(settings, "TAI_ACTION_CHARGE_KEY=" CHARGE_KEY);
    words_add(settings, "TAI_ACTION_DEPLOY_SANDBOX_URL=http://127.0.0.1:%d", stack->ports[STACK_SANDBOX]);
    words_add(settings, "TAI_POLICY_REGISTRY_URL=http://127.0.0.1:%d", stack->ports[STACK_SANDBOX]);
    words_add(settings, "TAI_POLICY_HEALTH_URL=http://127.0.0.1:%d", stack->ports[STACK_SANDBOX]);
    words_add(settings, "TAI_ROLLOUT_HEALTH_URL=http://127.0.0.1:%d", stack->ports[STACK_SANDBOX]);
    words_add_all(settings, "TAI_LOG=info TAI_LOG_FORMAT=json");
    words_add_all(settings, plan->settings);
}

static void stack_describe(Stack *stack, Kind kind, int index, const StackPlan *plan)
{
    Process *process = &stack->processes[kind][index];
    *process = (Process){0};
    snprintf(process->name, sizeof process->name, "%s-%d", kind_facts[kind].name, index);
    snprintf(process->log_path, sizeof process->log_path, "%.63s/%s-%d.log", stack->folder, kind_facts[kind].name,
             index);
    if (kind <= STACK_SANDBOX) {
        stack_describe_server(stack, kind, process, plan);
    } else {
        stack_describe_worker(stack, kind, process, plan);
    }
}

static bool stack_try(Stack *stack, Kind kind, int index)
{
    Process *process = &stack->processes[kind][index];
    process_start(process);
    if (process_wait_for_line(process, kind_facts[kind].ready, PATIENCE_MS)) {
        return true;
    }
    process_stop(process, SIGKILL);
    return false;
}

/* Servers whose port was taken by somebody else meanwhile are given another. */
static void stack_start_kind(Stack *stack, Kind kind, const StackPlan *plan)
{
    for (int index = 0; index < stack->counts[kind]; index++) {
        bool ready = false;
        for (int tries = 0; !ready && tries < START_TRIES; tries++) {
            stack->ports[kind] = kind_facts[kind].has_port ? stack_pick_port() : 0;
            if (kind == STACK_GATEWAY) {
                stack->ports[STACK_DEPLOYMENT] = stack_pick_port();
            }
            stack_describe(stack, kind, index, plan);
            ready = stack_try(stack, kind, index);
        }
        cr_assert(ready, "%s did not become ready", stack->processes[kind][index].name);
    }
}

static bool plan_names(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *place = names; place && (place = strstr(place, name)); place += length) {
        if ((place == names || place[-1] == ' ') && (place[length] == ' ' || !place[length])) {
            return true;
        }
    }
    return false;
}

Stack *stack_start(const StackPlan *plan)
{
    Stack *stack = calloc(1, sizeof *stack);
    cr_assert_not_null(stack);
    stack->arena = arena_make(1 << 20, (size_t)1 << 40);
    stack->answers = json_array();
    pthread_mutex_init(&stack->lock, NULL);
    snprintf(stack->folder, sizeof stack->folder, "%s", "/tmp/tai-test-XXXXXX");
    cr_assert_not_null(mkdtemp(stack->folder));
    stack_start_guardian(stack);
    for (Kind kind = 0; kind < STACK_KINDS; kind++) {
        stack->counts[kind] = plan_names(plan->without, kind_facts[kind].name) ? 0 : 1;
    }
    stack->counts[STACK_POLICY] *= plan->policies ? plan->policies : 1;
    stack->counts[STACK_ACTION] *= plan->actions ? plan->actions : 1;
    stack->counts[STACK_ROLLOUT] *= plan->rollouts;
    if (!stack->counts[STACK_SANDBOX]) {
        stack->ports[STACK_SANDBOX] = stack_pick_port();
    }
    for (Kind kind = 0; kind < STACK_KINDS; kind++) {
        stack_start_kind(stack, kind, plan);
    }
    return stack;
}

/* --- while it runs --------------------------------------------------------------------------------------------- */

Process *stack_process(Stack *stack, Kind kind, int index)
{
    cr_assert_lt(index, stack->counts[kind]);
    return &stack->processes[kind][index];
}

int stack_kill(Stack *stack, Kind kind, int index, int signal)
{
    return process_stop(stack_process(stack, kind, index), signal);
}

void stack_begin(Stack *stack, Kind kind, int index)
{
    bool ready = false;
    for (int tries = 0; !ready && tries < START_TRIES; tries++) {
        ready = stack_try(stack, kind, index);
    }
    cr_assert(ready, "%s did not become ready again", stack_process(stack, kind, index)->name);
}

void stack_restart(Stack *stack, Kind kind, int index, int signal)
{
    int code = stack_kill(stack, kind, index, signal);
    cr_assert(code == 0 || signal == SIGKILL || kind <= STACK_SANDBOX, "%s ended with %d",
              stack_process(stack, kind, index)->name, code);
    stack_begin(stack, kind, index);
}

natsConnection *stack_nats(Stack *stack)
{
    if (!stack->nats) {
        char url[64];
        snprintf(url, sizeof url, "nats://127.0.0.1:%d", stack->ports[STACK_NATS]);
        natsOptions *options = NULL;
        cr_assert_eq(natsOptions_Create(&options), NATS_OK);
        natsOptions_SetURL(options, url);
        natsOptions_SetName(options, "test");
        natsOptions_SetMaxReconnect(options, -1);
        natsOptions_SetReconnectWait(options, 50);
        natsStatus status = natsConnection_Connect(&stack->nats, options);
        natsOptions_Destroy(options);
        cr_assert_eq(status, NATS_OK, "nats: %s", natsStatus_GetText(status));
    }
    return stack->nats;
}

jsCtx *stack_js(Stack *stack)
{
    if (!stack->js) {
        cr_assert_eq(natsConnection_JetStream(&stack->js, stack_nats(stack), NULL), NATS_OK);
    }
    return stack->js;
}

char *stack_keep(Stack *stack, const void *bytes, size_t length)
{
    pthread_mutex_lock(&stack->lock);
    char *copy = arena_alloc(&stack->arena, length + 1);
    pthread_mutex_unlock(&stack->lock);
    if (bytes && length > 0) {
        memcpy(copy, bytes, length);
    }
    return copy;
}

json_t *stack_own_json(Stack *stack, json_t *json)
{
    pthread_mutex_lock(&stack->lock);
    if (json) {
        json_array_append_new(stack->answers, json);
    }
    pthread_mutex_unlock(&stack->lock);
    return json;
}

char *stack_print(Stack *stack, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    cr_assert_geq(length, 0);
    char *kept = stack_keep(stack, text, (size_t)length);
    free(text);
    return kept;
}

/* --- the end --------------------------------------------------------------------------------------------------- */

static void stack_stop_kind(Stack *stack, Kind kind)
{
    for (int index = 0; index < stack->counts[kind]; index++) {
        Process *process = &stack->processes[kind][index];
        if (process->pid == 0) {
            continue;
        }
        bool ran = process_is_running(process);
        int code = process_stop(process, kind <= STACK_SANDBOX ? SIGKILL : SIGTERM);
        cr_assert(ran, "%s died by itself with %d", process->name, code);
        if (kind > STACK_SANDBOX) {
            cr_assert_eq(code, 0, "%s ended with %d", process->name, code);
            cr_assert_not(process_log_has(process, CHARGE_KEY), "%s logged the gateway's key", process->name);
        }
    }
}

void stack_stop(Stack *stack)
{
    jsCtx_Destroy(stack->js);
    natsConnection_Destroy(stack->nats);
    for (Kind kind = STACK_KINDS; kind-- > 0;) {
        stack_stop_kind(stack, kind);
    }
    cr_assert_eq(write(stack->guard, "k", 1), 1);
    close(stack->guard);
    waitpid(stack->guardian, NULL, 0);
    nats_CloseAndWait(0);
    arena_release(&stack->arena);
    json_decref(stack->answers);
    pthread_mutex_destroy(&stack->lock);
    free(stack);
}
