/* takeover - rollouts on every path lose their worker after every single write of it, and live as they would have.
 *
 * Two rollout workers stand behind gates. One has all work; the other one is up, but what it asks the lanes for is held
 * back. Each life (see tests/support/lives.h) may write one thing: an event, a command, what runs, an item of a lane,
 * an outcome, an alert, an ack. What the worker says about that life afterwards is dropped (it died right after the
 * write), or held until it wakes (it stood still). Then it is killed or stopped, and the other one may ask. So every
 * write of every path is the last one of somebody once, and a story ends up on the ledger that may differ in nothing
 * from that of an undisturbed run: no step twice, none left out, every command once, one outcome, each alert once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/gate.h"
#include "tests/support/lives.h"

#define ACK_WAIT_MS 400
#define SETTINGS                                                                                                       \
    "TAI_ROLLOUT_ACK_WAIT_MS=400 TAI_ACTION_LANES_COMMAND_ACK_WAIT_MS=400 TAI_ACTION_LANES_COMMAND_MAX_TRIES=1000"
/* After the first write of a turn: how long the others are waited for. */
#define TURN_MS 200
#define SETTLE_MS 90000
#define WORKERS 2
#define IDS_MAX 16384
#define TIMES_MAX 8192

typedef enum { UNDISTURBED, KILLED, STOPPED } Disturbance;

/* What the gates look at, beside the life itself. */
typedef struct {
    bool spent;      /* has written its one thing in this turn */
    int keeper;      /* who said last that it works on it; -1: nobody */
    int64_t lost_ms; /* when the keeper was killed; 0: it was not */
} Watch;

typedef struct {
    Stack *stack;
    Gate *gates[WORKERS];
    pthread_mutex_t lock; /* of all below but `lives`' own */
    Lives lives;
    Watch watches[LIVES_MAX][STORY_REGIONS];
    Disturbance disturbance;
    int active;
    int64_t first_write_ms; /* of this turn; 0: none yet */
    char *ids[IDS_MAX];     /* of messages that passed: again they are nothing new */
    size_t id_count;
    int64_t times_ms[TIMES_MAX]; /* from a death to the successor's first word */
    size_t time_count;
    size_t writes;
    size_t deaths;
} World;

/* --- the gates' judge ------------------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static Str token_of(const char *text)
{
    return str_slice(str_from(text), 0, strcspn(text, "."));
}

/* The region that a subject names; empty: none. */
static Str region_of(const char *subject)
{
    static const char *const before[] = {
        "tai.deployment.command.",
        "tai.deployment.region.",
        "tai.deployment.running.",
        "$JS.ACK.DEPLOYMENT.region-",
        "$JS.API.CONSUMER.MSG.NEXT.DEPLOYMENT.region-",
    };
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        if (begins(subject, before[i])) {
            return token_of(subject + strlen(before[i]));
        }
    }
    return (Str){0};
}

static Life *life_of(World *world, const GateMessage *message)
{
    Str region = region_of(message->subject);
    if (region.length > 0) {
        return lives_in_region(&world->lives, region);
    }
    if (begins(message->subject, "tai.andon.")) {
        return lives_with_id(&world->lives, message->headers);
    }
    bool told =
        begins(message->subject, "tai.deployment.event.") || begins(message->subject, "tai.deployment.outcome.");
    return told ? lives_with_id(&world->lives, message->subject) : NULL;
}

static Watch *watch_of(World *world, const Life *life, Str region)
{
    size_t n = 0;
    while (n + 1 < life->about.region_count && !str_equal(region, str_from(life->about.regions[n]))) {
        n++;
    }
    return &world->watches[life - world->lives.lives][n];
}

/* The same message id, or outcome, again: the server does not store it a second time. */
static bool is_known(World *world, const GateMessage *message)
{
    const char *id = strstr(message->headers, "Nats-Msg-Id: ");
    const char *name = id ? id : message->subject;
    if (!id && !begins(message->subject, "tai.deployment.outcome.")) {
        return false;
    }
    size_t length = strcspn(name, "\r\n");
    for (size_t i = 0; i < world->id_count; i++) {
        if (strncmp(world->ids[i], name, length) == 0 && world->ids[i][length] == 0) {
            return true;
        }
    }
    cr_assert_lt(world->id_count, IDS_MAX);
    world->ids[world->id_count++] = strndup(name, length);
    return false;
}

static void watch_progress(World *world, Watch *watch, int number)
{
    watch->keeper = number;
    if (watch->lost_ms != 0 && world->time_count < TIMES_MAX) {
        world->times_ms[world->time_count++] = clock_monotonic_ms() - watch->lost_ms;
    }
    watch->lost_ms = 0;
}

static GateVerdict judge_write(World *world, Life *life, const GateMessage *message)
{
    size_t number = (size_t)(life - world->lives.lives);
    if (world->watches[number][0].spent) {
        return world->disturbance == KILLED ? GATE_DROP : GATE_HOLD;
    }
    if (begins(message->subject, "$JS.API") || is_known(world, message)) {
        return GATE_PASS;
    }
    world->watches[number][0].spent = true;
    world->writes++;
    if (world->first_write_ms == 0) {
        world->first_write_ms = clock_monotonic_ms();
    }
    return GATE_PASS;
}

static GateVerdict judge_locked(World *world, int number, const GateMessage *message)
{
    bool pulls = begins(message->subject, "$JS.API.CONSUMER.MSG.NEXT.DEPLOYMENT.region-") ||
                 begins(message->subject, "$JS.API.CONSUMER.MSG.NEXT.DEPLOYMENT.goback");
    if (pulls && number != world->active) {
        return GATE_HOLD;
    }
    Life *life = life_of(world, message);
    if (!life || world->disturbance == UNDISTURBED) {
        return GATE_PASS;
    }
    if (begins(message->subject, "$JS.ACK.")) {
        Watch *watch = watch_of(world, life, region_of(message->subject));
        if (!begins(message->body, "+ACK")) {
            watch_progress(world, watch, number);
            return GATE_PASS;
        }
        watch->keeper = -1;
    }
    return judge_write(world, life, message);
}

static GateVerdict judge(void *context, int number, const GateMessage *message)
{
    World *world = context;
    pthread_mutex_lock(&world->lock);
    GateVerdict verdict = judge_locked(world, number, message);
    pthread_mutex_unlock(&world->lock);
    return verdict;
}

/* --- turns ------------------------------------------------------------------------------------------------------ */

static bool all_are_spent(const World *world)
{
    for (size_t i = 0; i < world->lives.count; i++) {
        if (!world->watches[i][0].spent && !(world->lives.lives[i].over && world->lives.lives[i].behind_over)) {
            return false;
        }
    }
    return true;
}

static bool turn_is_over(World *world)
{
    pthread_mutex_lock(&world->lock);
    int64_t first_ms = world->first_write_ms;
    bool over = first_ms != 0 && (all_are_spent(world) || clock_monotonic_ms() >= first_ms + TURN_MS);
    pthread_mutex_unlock(&world->lock);
    return over;
}

/* Every life may write one thing again, by the other worker. */
static void turn_begin(World *world, int active)
{
    int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&world->lock);
    for (size_t i = 0; i < world->lives.count; i++) {
        for (size_t n = 0; n < STORY_REGIONS; n++) {
            Watch *watch = &world->watches[i][n];
            watch->spent = false;
            bool dies = watch->keeper == world->active && world->active != active;
            /* What the dead one had not taken over yet may have been on its way to it: that is no measure. */
            watch->lost_ms = dies ? now_ms : 0;
            watch->keeper = dies && world->disturbance == KILLED ? -1 : watch->keeper;
        }
    }
    world->active = active;
    world->first_write_ms = 0;
    pthread_mutex_unlock(&world->lock);
    gate_release(world->gates[active]);
}

/* It is up again before its successor is through. */
static void kill_active(World *world)
{
    int dead = world->active;
    stack_kill(world->stack, STACK_ROLLOUT, dead, SIGKILL);
    gate_cut(world->gates[dead]);
    turn_begin(world, 1 - dead);
    world->deaths++;
    stack_begin(world->stack, STACK_ROLLOUT, dead);
}

static bool keeps_something(World *world, int number)
{
    bool keeps = false;
    pthread_mutex_lock(&world->lock);
    for (size_t i = 0; i < LIVES_MAX * STORY_REGIONS; i++) {
        keeps = keeps || world->watches[i / STORY_REGIONS][i % STORY_REGIONS].keeper == number;
    }
    pthread_mutex_unlock(&world->lock);
    return keeps;
}

/* It stands still until the other one has taken everything over and written, too. What it had said before by then comes
 * after that, and then whatever it does when it wakes. */
static void stop_active(World *world)
{
    int asleep = world->active;
    kill(stack_process(world->stack, STACK_ROLLOUT, asleep)->pid, SIGSTOP);
    turn_begin(world, 1 - asleep);
    world->deaths++;
    int64_t until_ms = clock_monotonic_ms() + 2 * ACK_WAIT_MS;
    while (clock_monotonic_ms() < until_ms && (keeps_something(world, asleep) || !turn_is_over(world))) {
        lives_step(&world->lives);
    }
    gate_release(world->gates[asleep]);
    kill(stack_process(world->stack, STACK_ROLLOUT, asleep)->pid, SIGCONT);
}

static void world_step(World *world)
{
    lives_step(&world->lives);
    if (world->disturbance != UNDISTURBED && turn_is_over(world)) {
        if (world->disturbance == KILLED) {
            kill_active(world);
        } else {
            stop_active(world);
        }
    }
}

/* --- the world -------------------------------------------------------------------------------------------------- */

static World *world_open(void)
{
    World *world = calloc(1, sizeof *world);
    cr_assert_not_null(world);
    pthread_mutex_init(&world->lock, NULL);
    world->stack = stack_start(
        &(StackPlan){.without = "gateway metrics", .rollouts = WORKERS, .actions = 2, .settings = SETTINGS});
    for (int i = 0; i < WORKERS; i++) {
        world->gates[i] = gate_open(i, world->stack->ports[STACK_NATS], judge, world);
        Process *worker = stack_process(world->stack, STACK_ROLLOUT, i);
        words_add(&worker->environment, "TAI_NATS_URL=nats://127.0.0.1:%d", gate_port(world->gates[i]));
        stack_restart(world->stack, STACK_ROLLOUT, i, SIGTERM);
    }
    lives_prepare(world->stack);
    return world;
}

static void world_close(World *world)
{
    stack_stop(world->stack);
    for (int i = 0; i < WORKERS; i++) {
        gate_close(world->gates[i]);
    }
    for (size_t i = 0; i < world->id_count; i++) {
        free(world->ids[i]);
    }
    pthread_mutex_destroy(&world->lock);
    free(world);
}

typedef struct {
    const char *stories[LIVES_MAX];
} Library;

static void world_tell(World *world, Library *library)
{
    Entries ledger = ledger_read(world->stack, "DEPLOYMENT", NULL);
    Entries alerts = ledger_read(world->stack, "ANDON", NULL);
    for (size_t i = 0; i < world->lives.count; i++) {
        const Life *life = &world->lives.lives[i];
        library->stories[i] = life_story(&world->lives, life, &ledger, &alerts);
        story_check(world->stack, &life->about, &ledger);
        story_check(world->stack, &life->behind, &ledger);
    }
}

static void world_live(World *world, const char *name, Disturbance disturbance, Library *library)
{
    int64_t begun_ms = clock_monotonic_ms();
    pthread_mutex_lock(&world->lock);
    memset(world->watches, 0, sizeof world->watches);
    for (size_t i = 0; i < LIVES_MAX * STORY_REGIONS; i++) {
        world->watches[i / STORY_REGIONS][i % STORY_REGIONS].keeper = -1;
    }
    pthread_mutex_unlock(&world->lock);
    lives_begin(&world->lives, world->stack, name);
    turn_begin(world, world->active);
    world->disturbance = disturbance;
    while (!lives_are_over(&world->lives)) {
        if (clock_monotonic_ms() >= begun_ms + SETTLE_MS) {
            for (size_t i = 0; i < world->lives.count; i++) {
                const Life *life = &world->lives.lives[i];
                cr_log_error("%s: over %d, behind %d\n", life->about.service, life->over, life->behind_over);
            }
            break;
        }
        world_step(world);
    }
    world->disturbance = UNDISTURBED;
    turn_begin(world, world->active);
    lives_end(&world->lives);
    world_tell(world, library);
    printf("%s: %lld ms, %zu writes, %zu deaths\n", name, (long long)(clock_monotonic_ms() - begun_ms), world->writes,
           world->deaths);
}

static int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void print_times(World *world)
{
    if (world->time_count == 0) {
        return;
    }
    qsort(world->times_ms, world->time_count, sizeof world->times_ms[0], compare_times);
    printf("%zu takeovers: min %.2f, median %.2f, max %.2f of an ack wait of %d ms\n", world->time_count,
           (double)world->times_ms[0] / ACK_WAIT_MS, (double)world->times_ms[world->time_count / 2] / ACK_WAIT_MS,
           (double)world->times_ms[world->time_count - 1] / ACK_WAIT_MS, ACK_WAIT_MS);
}

static void compare(const World *world, const Library *undisturbed, const Library *disturbed)
{
    for (size_t i = 0; i < world->lives.count; i++) {
        cr_expect(strcmp(undisturbed->stories[i], disturbed->stories[i]) == 0, "%s\n--- undisturbed\n%s--- %s",
                  world->lives.lives[i].about.service, undisturbed->stories[i], disturbed->stories[i]);
    }
}

static size_t logged(World *world, const char *text)
{
    size_t count = 0;
    for (int i = 0; i < WORKERS; i++) {
        count += process_log_count(stack_process(world->stack, STACK_ROLLOUT, i), text);
    }
    return count;
}

Test(takeover, a_worker_that_wakes_after_another_went_on_changes_nothing_on_any_path)
{
    World *world = world_open();
    Library undisturbed;
    Library disturbed;
    world_live(world, "undisturbed", UNDISTURBED, &undisturbed);
    world_live(world, "stopped", STOPPED, &disturbed);
    compare(world, &undisturbed, &disturbed);
    printf("%zu given up, %zu fenced\n", logged(world, "\"event\":\"given_up\""),
           logged(world, "\"event\":\"fenced\""));
    cr_expect_gt(logged(world, "\"event\":\"given_up\""), 0);
    world_close(world);
}

Test(takeover, a_worker_killed_after_any_write_on_any_path_is_followed_by_another)
{
    World *world = world_open();
    Library undisturbed;
    Library disturbed;
    world_live(world, "undisturbed", UNDISTURBED, &undisturbed);
    world_live(world, "killed", KILLED, &disturbed);
    compare(world, &undisturbed, &disturbed);
    print_times(world);
    world_close(world);
}
