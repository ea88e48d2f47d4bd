/* bench_bare: the way of a payment over the bus without any logic: what nats-server and shared/bus allow at most.
 *
 *   bench_bare [--seconds 5] [--window 512]
 *
 *   source   publishes bare.signal.x
 *   policy   pulls signals, publishes bare.decision.approved
 *   action   pulls decisions, publishes bare.outcome.<id>
 *   sink     pulls outcomes and counts them
 *
 * Four processes on one stream BARE, made as the ledgers are: three file-stored hops with message ids, pulled; publish
 * first, then the PubAck, then the ack. Messages are as large as a payment's. The sink reports its count, which holds
 * the source to a window of payments on their way. The result is one line of JSON. The server should be a fresh one.
 * TAI_NATS_URL names it. exit 0 told, 1 a payment was lost or doubled, 64 usage, 69 no server */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/bus/pull.h"
#include "shared/bus/stream.h"

#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define STREAM "BARE"
#define PROGRESS "bare-progress"
#define SLOTS 512
#define WIP 2048
#define TIMEOUT_MS 5000
#define STALLED_MS 20000

/* A payment's messages as the ledger holds them: bodies in protobuf, and headers. */
#define SIGNAL_BYTES 72
#define DECISION_BYTES 115
#define OUTCOME_BYTES 175
#define DECISION_ID "decision.anonymous."
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define REPLY "tai.reply.0123456789abcdefghijkl.0123456789"

typedef enum { ROLE_POLICY, ROLE_ACTION, ROLE_SINK, ROLE_SOURCE } Role;
#define STAGES 3 /* the roles before the source */

typedef struct {
    const char *name; /* of the role and of its consumer */
    const char *filter;
    const char *prefix; /* of the message ids it publishes */
    size_t body_bytes;
} RoleFacts;

static const RoleFacts roles[] = {
    [ROLE_POLICY] = {"policy", "bare.signal.>", DECISION_ID, DECISION_BYTES},
    [ROLE_ACTION] = {"action", "bare.decision.approved", "outcome.", OUTCOME_BYTES},
    [ROLE_SINK] = {"sink", "bare.outcome.>", "", 0},
    [ROLE_SOURCE] = {"source", "", "", SIGNAL_BYTES},
};

typedef struct Bare Bare;
typedef struct Slot Slot;

struct Slot {
    Bare *bare;
    Slot *next_free;
    BusDelivery input;
};

struct Bare {
    Role role;
    Bus *bus;
    char body[1024];
    /* stages */
    BusPull *pull;
    Slot slots[SLOTS];
    Slot *free;
    size_t free_count;
    uint64_t counted; /* sink */
    uint64_t reported;
    /* source */
    double seconds;
    uint64_t window;
    uint64_t sent;
    uint64_t unconfirmed;
    uint64_t finished; /* as the sink says */
    uint64_t failures;
};

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void bare_turn(Bare *bare, int64_t wait_ms)
{
    int64_t left_ms = bus_deadline_ms(bare->bus) - clock_ms();
    left_ms = left_ms < wait_ms ? left_ms : wait_ms;
    struct pollfd waiting = {.fd = bus_descriptor(bare->bus), .events = POLLIN};
    poll(&waiting, 1, left_ms > 0 ? (int)left_ms : 0);
    bus_dispatch(bare->bus, clock_ms());
}

static BusMessage bare_message(const Bare *bare, Str subject, Str msg_id)
{
    BusMessage message = {.subject = subject, .body = {bare->body, roles[bare->role].body_bytes}};
    bus_message_add(&message, BUS_HEADER_MSG_ID, msg_id);
    bus_message_add(&message, BUS_HEADER_TRACE, STR(TRACE));
    bus_message_add(&message, BUS_HEADER_REPLY, STR(REPLY));
    return message;
}

static Err bare_connect(Bare *bare)
{
    const char *url = getenv("TAI_NATS_URL");
    Err err = bus_open(
        &(BusOptions){
            .url = url != NULL ? url : "nats://127.0.0.1:4222",
            .name = roles[bare->role].name,
            .connect_wait_ms = TIMEOUT_MS,
        },
        &bare->bus);
    return err_is(err)
               ? err
               : bus_ensure_stream(bare->bus, &(BusStreamSpec){.name = STREAM, .subject = "bare.>", .replicas = 1});
}

/* --- stages ------------------------------------------------------------------------------------------------------- */

static void slot_give(Slot *slot)
{
    Bare *bare = slot->bare;
    bus_ack(bare->bus, &slot->input);
    bus_delivery_release(&slot->input);
    slot->next_free = bare->free;
    bare->free = slot;
    bare->free_count++;
    bus_pull_want(bare->pull, bare->free_count);
}

static void stage_stored(void *context, Err err, const BusStored *stored)
{
    TAI_ASSERT(!err_is(err) && !stored->duplicate); /* nothing dies here, so nothing comes twice */
    slot_give(context);
}

static void stage_forward(Bare *bare, Slot *slot)
{
    Str id = bus_delivery_header(&slot->input, BUS_HEADER_MSG_ID);
    id = bare->role == ROLE_ACTION ? str_slice(id, sizeof(DECISION_ID) - 1, id.length) : id;
    char id_memory[96];
    char subject_memory[64];
    Buffer msg_id = buffer_over(id_memory, sizeof(id_memory));
    Buffer subject = buffer_over(subject_memory, sizeof(subject_memory));
    buffer_print(&msg_id, "%s" STR_FMT, roles[bare->role].prefix, STR_ARG(id));
    if (bare->role == ROLE_POLICY) {
        buffer_append(&subject, STR("bare.decision.approved"));
    } else {
        buffer_print(&subject, "bare.outcome." STR_FMT, STR_ARG(id));
    }
    TAI_ASSERT(!msg_id.overflow && !subject.overflow);
    BusMessage message = bare_message(bare, buffer_str(&subject), buffer_str(&msg_id));
    bus_store(bare->bus, &message, TIMEOUT_MS, stage_stored, slot);
}

static void stage_take(void *context, BusDelivery *delivery)
{
    Bare *bare = context;
    Slot *slot = bare->free;
    TAI_ASSERT(slot != NULL);
    bare->free = slot->next_free;
    bare->free_count--;
    slot->input = *delivery;
    if (bare->role == ROLE_SINK) {
        bare->counted++;
        slot_give(slot);
    } else {
        stage_forward(bare, slot);
    }
}

static Err stage_open(Bare *bare)
{
    const RoleFacts *facts = &roles[bare->role];
    for (size_t i = 0; i < SLOTS; i++) {
        bare->slots[i] = (Slot){.bare = bare, .next_free = bare->free};
        bare->free = &bare->slots[i];
    }
    bare->free_count = SLOTS;
    Err err = bare_connect(bare);
    if (!err_is(err)) {
        err = bus_ensure_consumer(bare->bus, &(BusConsumerSpec){
                                                 .stream = STREAM,
                                                 .name = facts->name,
                                                 .filter = facts->filter,
                                                 .ack_wait_ms = 30000,
                                                 .max_ack_pending = WIP,
                                             });
    }
    if (!err_is(err)) {
        err = bus_pull_open(bare->bus, STR(STREAM), str_from(facts->name), stage_take, bare, &bare->pull);
    }
    return err;
}

static void sink_report(Bare *bare)
{
    char memory[24];
    Buffer text = buffer_over(memory, sizeof(memory));
    buffer_print(&text, "%llu", (unsigned long long)bare->counted);
    bus_publish(bare->bus, &(BusMessage){.subject = STR(PROGRESS), .body = buffer_str(&text)});
    bare->reported = bare->counted;
}

/* Runs until the source's end takes this process with it. */
static void stage_run(Role role, int ready)
{
    Bare *bare = calloc(1, sizeof(*bare));
    TAI_ASSERT(bare != NULL);
    bare->role = role;
    Err err = stage_open(bare);
    if (err_is(err)) {
        (void)fprintf(stderr, "bench_bare: %s: %s\n", roles[role].name, err.why);
        _exit(EXIT_UNAVAILABLE);
    }
    bus_pull_want(bare->pull, bare->free_count);
    ssize_t written = write(ready, "", 1);
    TAI_ASSERT(written == 1);
    for (;;) {
        bare_turn(bare, 1000);
        if (bare->counted != bare->reported) {
            sink_report(bare);
        }
    }
}

/* --- source ------------------------------------------------------------------------------------------------------- */

static void source_stored(void *context, Err err, const BusStored *stored)
{
    Bare *bare = context;
    bare->failures += err_is(err) || stored->duplicate;
    bare->unconfirmed--;
}

static void source_send(Bare *bare)
{
    char memory[48];
    Buffer id = buffer_over(memory, sizeof(memory));
    buffer_print(&id, "txn_%026llu", (unsigned long long)bare->sent++);
    bare->unconfirmed++;
    BusMessage message = bare_message(bare, STR("bare.signal.x"), buffer_str(&id));
    bus_store(bare->bus, &message, TIMEOUT_MS, source_stored, bare);
}

static void source_progress(void *context, const BusDelivery *message)
{
    Bare *bare = context;
    bool number = str_to_uint64(message->body, &bare->finished);
    TAI_ASSERT(number);
}

/* Publishes for `seconds`, never more than the window ahead of the sink, then waits for the last. */
static double source_run(Bare *bare)
{
    int64_t start_ms = clock_ms();
    int64_t end_ms = start_ms + (int64_t)(bare->seconds * 1000);
    while (bare->finished < bare->sent || clock_ms() < end_ms) {
        while (bare->sent - bare->finished < bare->window && clock_ms() < end_ms) {
            source_send(bare);
        }
        bare_turn(bare, 100);
        if (clock_ms() > end_ms + STALLED_MS) {
            break;
        }
    }
    return (double)(clock_ms() - start_ms) / 1000;
}

static Err source_open(Bare *bare)
{
    BusSubscription *progress;
    Err err = bare_connect(bare);
    return err_is(err) ? err : bus_subscribe(bare->bus, STR(PROGRESS), (Str){0}, source_progress, bare, &progress);
}

static double cpu_us(const struct rusage *usage, uint64_t payments)
{
    double us = (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e6 +
                (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    return us / (double)(payments > 0 ? payments : 1);
}

static int source_main(Bare *bare, const pid_t *stages)
{
    Err err = source_open(bare);
    if (err_is(err)) {
        (void)fprintf(stderr, "bench_bare: %s\n", err.why);
        return EXIT_UNAVAILABLE;
    }
    double elapsed_s = source_run(bare);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"payments\":%llu,\"finished\":%llu,\"failures\":%llu,\"per_second\":%.1f,\"cpu_us\":{\"source\":%.1f",
           (unsigned long long)bare->sent, (unsigned long long)bare->finished, (unsigned long long)bare->failures,
           (double)bare->finished / elapsed_s, cpu_us(&usage, bare->sent));
    for (size_t i = 0; i < STAGES; i++) {
        kill(stages[i], SIGKILL);
        wait4(stages[i], NULL, 0, &usage);
        printf(",\"%s\":%.1f", roles[i].name, cpu_us(&usage, bare->sent));
    }
    printf("}}\n");
    bus_close(bare->bus);
    return bare->finished == bare->sent && bare->failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- all four ----------------------------------------------------------------------------------------------------- */

/* Before the library has made any thread, which a fork would not take along. One after the other, so that no two make
 * the stream at once. */
static bool stages_start(pid_t *stages)
{
    int ready[2];
    bool piped = pipe(ready) == 0;
    TAI_ASSERT(piped);
    for (size_t i = 0; i < STAGES; i++) {
        stages[i] = fork();
        TAI_ASSERT(stages[i] >= 0);
        if (stages[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(ready[0]);
            stage_run((Role)i, ready[1]);
        }
        struct pollfd waiting = {.fd = ready[0], .events = POLLIN};
        char byte;
        if (poll(&waiting, 1, 2 * TIMEOUT_MS) != 1 || read(ready[0], &byte, 1) != 1) {
            return false;
        }
    }
    close(ready[0]);
    close(ready[1]);
    return true;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"seconds", required_argument, NULL, 's'},
        {"window", required_argument, NULL, 'w'},
        {0},
    };
    static Bare bare = {.role = ROLE_SOURCE, .seconds = 5, .window = 512};
    pid_t stages[STAGES];
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 's':
            bare.seconds = strtod(optarg, NULL);
            break;
        case 'w':
            bare.window = strtoull(optarg, NULL, 10);
            break;
        default:
            return EXIT_USAGE;
        }
    }
    if (bare.seconds <= 0 || bare.window == 0 || optind != argc) {
        return EXIT_USAGE;
    }
    if (!stages_start(stages)) {
        return EXIT_UNAVAILABLE;
    }
    return source_main(&bare, stages);
}
