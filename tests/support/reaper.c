/* reaper - ends workers after chosen writes. */
#include "tests/support/reaper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/gate.h"

#define ACK_WAIT_MS 400
#define SETTINGS                                                                                                       \
    "TAI_ROLLOUT_ACK_WAIT_MS=400 TAI_ACTION_LANES_COMMAND_ACK_WAIT_MS=200 TAI_ACTION_LANES_COMMAND_MAX_TRIES=1000"
/* After the first write of a turn: how long the others are waited for. */
#define TURN_MS 200
#define SETTLE_MS 90000
#define WORKERS 2
#define ACTIONS 2
#define IDS_MAX 16384
#define TIMES_MAX 8192
/* Fewer than this in all lives: the gates do not see what they should. */
#define WRITES_MIN 200
#define BUS_DEATHS 6
#define BUS_LIVES_MS 1500

/* What the gates look at, beside the life itself. */
typedef struct {
    bool spent;      /* has written its one thing in this turn */
    int keeper;      /* who said last that it works on it; -1: nobody */
    int64_t lost_ms; /* when the keeper was killed; 0: it was not */
} Watch;

struct Reaper {
    Stack *stack;
    Gate *gates[WORKERS + ACTIONS]; /* rollout workers, then action workers */
    pthread_mutex_t lock;           /* of all below but `lives`' own */
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
    int64_t bus_dies_ms;
    bool is_told; /* in this turn action workers die after a result, not before */
};

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

static const Life *life_of(Reaper *reaper, const GateMessage *message)
{
    Str region = region_of(message->subject);
    if (region.length > 0) {
        return lives_in_region(&reaper->lives, region);
    }
    if (begins(message->subject, "tai.andon.")) {
        return lives_with_id(&reaper->lives, message->headers);
    }
    bool told =
        begins(message->subject, "tai.deployment.event.") || begins(message->subject, "tai.deployment.outcome.");
    return told ? lives_with_id(&reaper->lives, message->subject) : NULL;
}

static Watch *watch_of(Reaper *reaper, const Life *life, Str region)
{
    size_t n = 0;
    while (n + 1 < life->about.region_count && !str_equal(region, str_from(life->about.regions[n]))) {
        n++;
    }
    return &reaper->watches[life - reaper->lives.lives][n];
}

/* What the server stores once of it: its message id, or an outcome's subject; empty: it may come any number of times.
 */
static Str once_of(const GateMessage *message)
{
    const char *id = strstr(message->headers, "Nats-Msg-Id: ");
    if (id) {
        return str_slice(str_from(id), 0, strcspn(id, "\r\n"));
    }
    return begins(message->subject, "tai.deployment.outcome.") ? str_from(message->subject) : (Str){0};
}

static bool is_known(const Reaper *reaper, const GateMessage *message)
{
    Str once = once_of(message);
    for (size_t i = 0; once.length > 0 && i < reaper->id_count; i++) {
        if (str_equal(once, str_from(reaper->ids[i]))) {
            return true;
        }
    }
    return false;
}

static void watch_progress(Reaper *reaper, Watch *watch, int number)
{
    watch->keeper = number;
    if (watch->lost_ms != 0 && reaper->time_count < TIMES_MAX) {
        reaper->times_ms[reaper->time_count++] = clock_monotonic_ms() - watch->lost_ms;
    }
    watch->lost_ms = 0;
}

static Watch *life_watch(Reaper *reaper, const Life *life)
{
    return &reaper->watches[life - reaper->lives.lives][0];
}

static void life_spend(Reaper *reaper, const Life *life)
{
    life_watch(reaper, life)->spent = true;
    reaper->writes++;
    if (reaper->first_write_ms == 0) {
        reaper->first_write_ms = clock_monotonic_ms();
    }
}

/* It passes, and is the one thing of this turn unless the server has it already. */
static void life_says(Reaper *reaper, const Life *life, const GateMessage *message)
{
    Str once = once_of(message);
    if (is_known(reaper, message)) {
        return;
    }
    if (once.length > 0) {
        cr_assert_lt(reaper->id_count, IDS_MAX);
        reaper->ids[reaper->id_count++] = strndup(once.data, once.length);
    }
    life_spend(reaper, life);
}

static GateVerdict judge_write(Reaper *reaper, const Life *life, const GateMessage *message)
{
    if (life_watch(reaper, life)->spent) {
        return reaper->disturbance == STOPPED ? GATE_HOLD : GATE_DROP;
    }
    if (!begins(message->subject, "$JS.API")) {
        life_says(reaper, life, message);
    }
    return GATE_PASS;
}

static GateVerdict judge_result(Reaper *reaper, const Life *life, const GateMessage *message)
{
    if (life_watch(reaper, life)->spent) {
        return GATE_DROP;
    }
    if (reaper->disturbance == BOTH_KILLED) {
        return GATE_PASS;
    }
    if (!reaper->is_told && !is_known(reaper, message)) {
        life_spend(reaper, life);
        return GATE_DROP;
    }
    life_says(reaper, life, message);
    return GATE_PASS;
}

/* In one turn what was done is not told, in the next it is told and not acked. */
static GateVerdict judge_action(Reaper *reaper, const GateMessage *message)
{
    bool disturbed = reaper->disturbance == ACTIONS_KILLED || reaper->disturbance == BOTH_KILLED;
    const Life *life = disturbed && begins(message->subject, "tai.deployment.result.")
                           ? lives_with_id(&reaper->lives, message->subject)
                           : NULL;
    if (life) {
        return judge_result(reaper, life, message);
    }
    bool acks = begins(message->subject, "$JS.ACK.") && begins(message->body, "+ACK");
    return acks && reaper->disturbance == ACTIONS_KILLED && reaper->is_told ? GATE_DROP : GATE_PASS;
}

static GateVerdict judge_locked(Reaper *reaper, int number, const GateMessage *message)
{
    if (number >= WORKERS) {
        return judge_action(reaper, message);
    }
    bool pulls = begins(message->subject, "$JS.API.CONSUMER.MSG.NEXT.DEPLOYMENT.region-") ||
                 begins(message->subject, "$JS.API.CONSUMER.MSG.NEXT.DEPLOYMENT.goback");
    if (pulls && number != reaper->active && reaper->disturbance != BUS_KILLED) {
        return GATE_HOLD;
    }
    Disturbance disturbance = reaper->disturbance;
    bool disturbed = disturbance == KILLED || disturbance == STOPPED || disturbance == BOTH_KILLED;
    const Life *life = disturbed ? life_of(reaper, message) : NULL;
    if (!life) {
        return GATE_PASS;
    }
    if (begins(message->subject, "$JS.ACK.")) {
        Watch *watch = watch_of(reaper, life, region_of(message->subject));
        if (!begins(message->body, "+ACK")) {
            watch_progress(reaper, watch, number);
            return GATE_PASS;
        }
        watch->keeper = -1;
    }
    return judge_write(reaper, life, message);
}

static GateVerdict judge(void *context, int number, const GateMessage *message)
{
    Reaper *reaper = context;
    pthread_mutex_lock(&reaper->lock);
    GateVerdict verdict = judge_locked(reaper, number, message);
    pthread_mutex_unlock(&reaper->lock);
    return verdict;
}

/* --- turns ------------------------------------------------------------------------------------------------------ */

static bool all_are_spent(const Reaper *reaper)
{
    for (size_t i = 0; i < reaper->lives.count; i++) {
        if (!reaper->watches[i][0].spent && !(reaper->lives.lives[i].over && reaper->lives.lives[i].behind_over)) {
            return false;
        }
    }
    return true;
}

static bool turn_is_over(Reaper *reaper)
{
    pthread_mutex_lock(&reaper->lock);
    int64_t first_ms = reaper->first_write_ms;
    bool over = first_ms != 0 && (all_are_spent(reaper) || clock_monotonic_ms() >= first_ms + TURN_MS);
    pthread_mutex_unlock(&reaper->lock);
    return over;
}

/* Every life may write one thing again, by the other worker. */
static void turn_begin(Reaper *reaper, int active)
{
    int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&reaper->lock);
    for (size_t i = 0; i < reaper->lives.count; i++) {
        for (size_t n = 0; n < STORY_REGIONS; n++) {
            Watch *watch = &reaper->watches[i][n];
            watch->spent = false;
            bool dies = watch->keeper == reaper->active && reaper->active != active;
            /* What the dead one had not taken over yet may have been on its way to it: that is no measure. */
            watch->lost_ms = dies && reaper->disturbance != STOPPED ? now_ms : 0;
            watch->keeper = dies && reaper->disturbance != STOPPED ? -1 : watch->keeper;
        }
    }
    reaper->active = active;
    reaper->first_write_ms = 0;
    pthread_mutex_unlock(&reaper->lock);
    gate_release(reaper->gates[active]);
}

static void end_process(Reaper *reaper, Kind kind, int index)
{
    stack_kill(reaper->stack, kind, index, SIGKILL);
    gate_cut(reaper->gates[kind == STACK_ACTION ? WORKERS + index : index]);
    reaper->deaths++;
}

/* They are up again before their successors are through. */
static void kill_those_who_wrote(Reaper *reaper)
{
    bool rollouts = reaper->disturbance != ACTIONS_KILLED;
    bool actions = reaper->disturbance != KILLED;
    int active = reaper->active;
    if (rollouts) {
        end_process(reaper, STACK_ROLLOUT, active);
    }
    for (int i = 0; actions && i < ACTIONS; i++) {
        end_process(reaper, STACK_ACTION, i);
    }
    reaper->is_told = !reaper->is_told;
    turn_begin(reaper, rollouts ? 1 - active : active);
    for (int i = 0; actions && i < ACTIONS; i++) {
        stack_begin(reaper->stack, STACK_ACTION, i);
    }
    if (rollouts) {
        stack_begin(reaper->stack, STACK_ROLLOUT, active);
    }
}

static bool keeps_something(Reaper *reaper, int number)
{
    bool keeps = false;
    pthread_mutex_lock(&reaper->lock);
    for (size_t i = 0; i < LIVES_MAX * STORY_REGIONS; i++) {
        keeps = keeps || reaper->watches[i / STORY_REGIONS][i % STORY_REGIONS].keeper == number;
    }
    pthread_mutex_unlock(&reaper->lock);
    return keeps;
}

/* It stands still until the other one has taken everything over and written, too. What it had said before by then comes
 * after that, and then whatever it does when it wakes. */
static void stop_active(Reaper *reaper)
{
    int asleep = reaper->active;
    kill(stack_process(reaper->stack, STACK_ROLLOUT, asleep)->pid, SIGSTOP);
    turn_begin(reaper, 1 - asleep);
    reaper->deaths++;
    int64_t until_ms = clock_monotonic_ms() + 2 * ACK_WAIT_MS;
    while (clock_monotonic_ms() < until_ms && (keeps_something(reaper, asleep) || !turn_is_over(reaper))) {
        lives_step(&reaper->lives);
    }
    gate_release(reaper->gates[asleep]);
    kill(stack_process(reaper->stack, STACK_ROLLOUT, asleep)->pid, SIGCONT);
}

/* --- the stack -------------------------------------------------------------------------------------------------- */

Reaper *reaper_open(void)
{
    Reaper *reaper = calloc(1, sizeof *reaper);
    cr_assert_not_null(reaper);
    pthread_mutex_init(&reaper->lock, NULL);
    reaper->stack = stack_start(
        &(StackPlan){.without = "gateway metrics", .rollouts = WORKERS, .actions = ACTIONS, .settings = SETTINGS});
    for (int i = 0; i < WORKERS + ACTIONS; i++) {
        Kind kind = i < WORKERS ? STACK_ROLLOUT : STACK_ACTION;
        int index = i < WORKERS ? i : i - WORKERS;
        reaper->gates[i] = gate_open(i, reaper->stack->ports[STACK_NATS], judge, reaper);
        words_add(&stack_process(reaper->stack, kind, index)->environment, "TAI_NATS_URL=nats://127.0.0.1:%d",
                  gate_port(reaper->gates[i]));
        stack_restart(reaper->stack, kind, index, SIGTERM);
    }
    lives_prepare(reaper->stack);
    return reaper;
}

void reaper_close(Reaper *reaper)
{
    stack_stop(reaper->stack);
    for (int i = 0; i < WORKERS + ACTIONS; i++) {
        gate_close(reaper->gates[i]);
    }
    for (size_t i = 0; i < reaper->id_count; i++) {
        free(reaper->ids[i]);
    }
    pthread_mutex_destroy(&reaper->lock);
    free(reaper);
}

/* --- a life ----------------------------------------------------------------------------------------------------- */

static void reaper_disturb(Reaper *reaper, Disturbance disturbance)
{
    pthread_mutex_lock(&reaper->lock);
    reaper->disturbance = disturbance;
    reaper->writes = 0;
    memset(reaper->watches, 0, sizeof reaper->watches);
    for (size_t i = 0; i < LIVES_MAX * STORY_REGIONS; i++) {
        reaper->watches[i / STORY_REGIONS][i % STORY_REGIONS].keeper = -1;
    }
    pthread_mutex_unlock(&reaper->lock);
    turn_begin(reaper, reaper->active);
}

static void kill_bus(Reaper *reaper)
{
    int64_t now_ms = clock_monotonic_ms();
    if (reaper->deaths < BUS_DEATHS && now_ms >= reaper->bus_dies_ms) {
        stack_kill(reaper->stack, STACK_NATS, 0, SIGKILL);
        clock_pause(ACK_WAIT_MS + ACK_WAIT_MS / 2);
        stack_begin(reaper->stack, STACK_NATS, 0);
        reaper->deaths++;
        reaper->bus_dies_ms = clock_monotonic_ms() + BUS_LIVES_MS;
    }
}

static void reaper_step(Reaper *reaper)
{
    lives_step(&reaper->lives);
    if (reaper->disturbance == BUS_KILLED) {
        kill_bus(reaper);
        return;
    }
    if (reaper->disturbance == UNDISTURBED || !turn_is_over(reaper)) {
        return;
    }
    if (reaper->disturbance == STOPPED) {
        stop_active(reaper);
    } else {
        kill_those_who_wrote(reaper);
    }
}

const Lives *reaper_live(Reaper *reaper, const char *name, Disturbance disturbance)
{
    int64_t begun_ms = clock_monotonic_ms();
    lives_name(&reaper->lives, reaper->stack, name);
    reaper_disturb(reaper, disturbance);
    lives_begin(&reaper->lives);
    while (!lives_are_over(&reaper->lives) && clock_monotonic_ms() < begun_ms + SETTLE_MS) {
        reaper_step(reaper);
    }
    printf("%s: %lld ms, %zu writes, %zu deaths\n", name, (long long)(clock_monotonic_ms() - begun_ms), reaper->writes,
           reaper->deaths);
    cr_expect(disturbance == UNDISTURBED || disturbance == BUS_KILLED || reaper->writes > WRITES_MIN,
              "hardly anybody was disturbed");
    reaper_disturb(reaper, UNDISTURBED);
    for (size_t i = 0; i < reaper->lives.count; i++) {
        const Life *life = &reaper->lives.lives[i];
        cr_expect(life->over && life->behind_over, "%s is not over", life->about.service);
    }
    return &reaper->lives;
}

Stack *reaper_stack(Reaper *reaper)
{
    return reaper->stack;
}

static int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

void reaper_print_times(Reaper *reaper)
{
    if (reaper->time_count == 0) {
        return;
    }
    qsort(reaper->times_ms, reaper->time_count, sizeof reaper->times_ms[0], compare_times);
    printf("%zu takeovers: min %.2f, median %.2f, max %.2f of an ack wait of %d ms\n", reaper->time_count,
           (double)reaper->times_ms[0] / ACK_WAIT_MS, (double)reaper->times_ms[reaper->time_count / 2] / ACK_WAIT_MS,
           (double)reaper->times_ms[reaper->time_count - 1] / ACK_WAIT_MS, ACK_WAIT_MS);
}
