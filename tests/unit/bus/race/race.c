/* race - the hand-over and the bus under load from many threads, through a kill of the server. Whoever builds it with
 * ThreadSanitizer learns of races; without, it still counts that nothing is lost. Exits 0 when all is well. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/bus/private.h"
#include "shared/bus/pull.h"
#include "shared/bus/read.h"
#include "shared/bus/stream.h"

#define PATIENCE_MS 60000
#define THREADS 4
#define PUTS 20000
#define MESSAGES 3000

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void check(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "race: not so: %s\n", what);
        exit(1);
    }
}

/* --- the hand-over alone ------------------------------------------------------------------------------------------ */

static void *put_many(void *context)
{
    for (int i = 0; i < PUTS; i++) {
        handover_put(context, (HandoverEntry){.kind = HANDOVER_RECONNECTED});
    }
    return NULL;
}

static void try_handover(void)
{
    Handover *handover = handover_open();
    HandoverBatch batch = {0};
    pthread_t threads[THREADS];
    size_t taken = 0;
    for (int i = 0; i < THREADS; i++) {
        check(pthread_create(&threads[i], NULL, put_many, handover) == 0, "a thread");
    }
    while (taken < (size_t)THREADS * PUTS) {
        struct pollfd polled = {.fd = handover_descriptor(handover), .events = POLLIN};
        check(poll(&polled, 1, PATIENCE_MS) == 1, "whoever puts something wakes the loop");
        handover_take(handover, &batch);
        taken += batch.count;
    }
    check(taken == (size_t)THREADS * PUTS, "everything is taken once");
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    free(batch.entries);
    handover_close(handover);
}

/* --- a bus -------------------------------------------------------------------------------------------------------- */

typedef struct {
    char folder[64];
    char port[8];
    char url[64];
    pid_t pid;
} Server;

static void server_begin(Server *server)
{
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int nothing = open("/dev/null", O_WRONLY);
        dup2(nothing, 1);
        dup2(nothing, 2);
        execlp("nats-server", "nats-server", "-js", "-a", "127.0.0.1", "-p", server->port, "-sd", server->folder,
               (char *)NULL);
        _exit(127);
    }
}

static void server_kill(const Server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

static void server_remove(const Server *server)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", server->folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

/* Below the ports that the kernel gives to clients: one that looks for a dead server there may find itself. */
static uint16_t free_port(void)
{
    for (unsigned port = 10000 + (unsigned)getpid() % 20000;; port++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int probe = socket(AF_INET, SOCK_STREAM, 0);
        bool is_free = bind(probe, (struct sockaddr *)&address, sizeof(address)) == 0;
        close(probe);
        if (is_free) {
            return (uint16_t)port;
        }
    }
}

static void server_choose(Server *server)
{
    check(str_copy_to(STR("/tmp/tai-race-XXXXXX"), server->folder, sizeof(server->folder)), "a name");
    check(mkdtemp(server->folder) != NULL, "a folder");
    Buffer port = buffer_over(server->port, sizeof(server->port));
    buffer_print(&port, "%d", free_port());
    Buffer url = buffer_over(server->url, sizeof(server->url));
    buffer_print(&url, "nats://127.0.0.1:%s", server->port);
}

typedef struct {
    Bus *bus;
    BusPull *pull;
    size_t stored;
    size_t failed;
    size_t pulled;
    size_t read;
    size_t reconnects;
    bool ended;
} Load;

static void load_stored(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    Load *load = context;
    load->stored += err_is(err) ? 0 : 1;
    load->failed += err_is(err) ? 1 : 0;
}

static void load_pulled(void *context, BusDelivery *delivery)
{
    Load *load = context;
    load->pulled++;
    bus_ack(load->bus, delivery);
    bus_delivery_release(delivery);
    bus_pull_want(load->pull, 64);
}

static void load_read(void *context, Err err, const BusDelivery *message)
{
    (void)err;
    ((Load *)context)->read += message != NULL ? 1 : 0;
}

static void load_reconnected(void *context)
{
    ((Load *)context)->reconnects++;
}

static void load_ended(void *context)
{
    ((Load *)context)->ended = true;
}

static void load_turn(Bus *bus)
{
    struct pollfd polled = {.fd = bus_descriptor(bus), .events = POLLIN};
    poll(&polled, 1, 20);
    bus_dispatch(bus, now_ms());
}

#define TURN_UNTIL(condition)                                                                                          \
    for (int64_t until_ms = now_ms() + PATIENCE_MS; !(condition); load_turn(load->bus))                                \
    check(now_ms() < until_ms, #condition)

static void load_store(Load *load, size_t count)
{
    size_t done = load->stored + load->failed;
    for (size_t i = 0; i < count; i++) {
        bus_store(load->bus, &(BusMessage){.subject = STR("race.a"), .body = STR("x")}, 5000, load_stored, load);
    }
    TURN_UNTIL(load->stored + load->failed == done + count);
}

static void load_begin(Load *load, const Server *server)
{
    Err err = bus_open(&(BusOptions){.url = server->url, .name = "race", .connect_wait_ms = PATIENCE_MS}, &load->bus);
    check(!err_is(err), err.why);
    err = bus_ensure_stream(load->bus, &(BusStreamSpec){.name = "RACE", .subject = "race.>", .replicas = 1});
    check(!err_is(err), err.why);
    const BusConsumerSpec work = {
        .stream = "RACE", .name = "work", .filter = "race.>", .ack_wait_ms = 2000, .max_ack_pending = 500};
    err = bus_ensure_consumer(load->bus, &work);
    check(!err_is(err), err.why);
    bus_on_reconnect(load->bus, load_reconnected, load);
    err = bus_pull_open(load->bus, STR("RACE"), STR("work"), load_pulled, load, &load->pull);
    check(!err_is(err), err.why);
    bus_pull_want(load->pull, 64);
}

static void try_bus(void)
{
    Server server = {0};
    Load whole = {0};
    Load *load = &whole;
    BusRead *read = NULL;
    server_choose(&server);
    server_begin(&server);
    load_begin(load, &server);
    Err err =
        bus_read_open(load->bus, &(BusReadOptions){.stream = STR("RACE"), .follow = true}, load_read, load, &read);
    check(!err_is(err), err.why);
    load_store(load, MESSAGES);
    server_kill(&server);
    server_begin(&server);
    TURN_UNTIL(load->reconnects > 0);
    load_store(load, MESSAGES);
    TURN_UNTIL(load->pulled >= load->stored && load->read >= load->stored);
    bus_read_close(read);
    bus_pull_drain(load->pull, load_ended);
    TURN_UNTIL(load->ended);
    bus_close(load->bus);
    server_kill(&server);
    server_remove(&server);
    nats_CloseAndWait(0);
    printf("race: %zu stored, %zu not, %zu pulled, %zu read, %zu reconnects\n", load->stored, load->failed,
           load->pulled, load->read, load->reconnects);
}

int main(void)
{
    try_handover();
    try_bus();
    return 0;
}
