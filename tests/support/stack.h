/* stack - a whole TAI of real processes for one test: its own nats-server, Redis, sandbox payment gateway and workers,
 * on its own ports, in its own folder.
 *
 *     Stack *stack = stack_start(&(StackPlan){.settings = "TAI_POLICY_DEADLINE_MS=2000"});
 *     Answer answer = http_post(stack, "/payment", PAYMENT);
 *     cr_assert_eq(answer.status, 200);
 *     stack_stop(stack);
 *
 * A test that ends without stack_stop(), by a failed assertion or a crash, has the end of every log printed. Whatever
 * happens, the processes die with the test and the folder is removed (TAI_TEST_KEEP=1 in the environment keeps it).
 * What helpers hand out is valid until stack_stop(). */
#ifndef TAI_TESTS_STACK_H
#define TAI_TESTS_STACK_H

#include <pthread.h>
#include <signal.h>

#include <jansson.h>
#include <nats/nats.h>

#include "shared/base/arena.h"
#include "tests/support/clock.h"
#include "tests/support/process.h"

/* Processes are named by kind and place: "policy" 0 is the first policy worker. */
typedef enum {
    STACK_NATS,
    STACK_REDIS,
    STACK_SANDBOX,
    STACK_GATEWAY,
    STACK_POLICY,
    STACK_ACTION,
    STACK_METRICS,
    STACK_ROLLOUT,
    STACK_DEPLOYMENT, /* no process: the gateway's listener for deployments, as the `to` of a Call */
} Kind;
#define STACK_KINDS 8
#define STACK_OF_A_KIND 3

/* Everything has a useful zero. */
typedef struct {
    const char *settings; /* NAME=value words for all tai-* processes, over the defaults of stack.c */
    const char *sandbox;  /* options, over "--failure-rate 0 --latency-ms 0" */
    const char *without;  /* names of kinds that are not started: "metrics sandbox" */
    int policies;         /* how many; 0: one */
    int actions;
    int rollouts; /* 0: none */
} StackPlan;

typedef struct {
    char folder[64];
    Process processes[STACK_KINDS][STACK_OF_A_KIND];
    int counts[STACK_KINDS];
    int ports[STACK_KINDS + 1]; /* 0: has none */
    int guard;                  /* a pipe to the process that cleans up after us */
    pid_t guardian;
    natsConnection *nats; /* the test's own, made when first asked for */
    jsCtx *js;
    Arena arena;     /* what helpers hand out; under `lock` */
    json_t *answers; /* likewise: an array that holds every document */
    pthread_mutex_t lock;
} Stack;

Stack *stack_start(const StackPlan *plan);

/* Drains every process and asserts that each ended well (a sanitizer's finding is an exit code) and that no log holds
 * the payment gateway's key. */
void stack_stop(Stack *stack);

Process *stack_process(Stack *stack, Kind kind, int index);
int stack_kill(Stack *stack, Kind kind, int index, int signal); /* the exit code, as process_stop() */
void stack_begin(Stack *stack, Kind kind, int index);           /* starts it again and waits until it is ready */
void stack_restart(Stack *stack, Kind kind, int index, int signal);

/* A free port below the range that the kernel gives to outgoing connections: a client that keeps trying to reach a
 * dead server on a port of that range may end up connected to itself. */
int stack_pick_port(void);

/* The test's own NATS connection; reconnects by itself. */
natsConnection *stack_nats(Stack *stack);
jsCtx *stack_js(Stack *stack);

/* Copies into the stack's memory, NUL-terminated. */
char *stack_keep(Stack *stack, const void *bytes, size_t length);
json_t *stack_own_json(Stack *stack, json_t *json); /* takes it over, NULL included */
char *stack_print(Stack *stack, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
