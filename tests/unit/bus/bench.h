/* bench - a nats-server of the test's own, a bus on it, and a loop that turns until something is so. */
#ifndef TAI_TESTS_BUS_BENCH_H
#define TAI_TESTS_BUS_BENCH_H

#include <poll.h>
#include <string.h>

#include "shared/bus/pull.h"
#include "shared/bus/read.h"
#include "shared/bus/stream.h"
#include "tests/support/stack.h"

#define BENCH_TIMEOUT_MS 10000

typedef struct {
    Stack *stack;
    Bus *bus;
} Bench;

static inline Bus *bench_connect(Stack *stack)
{
    char url[64];
    snprintf(url, sizeof url, "nats://127.0.0.1:%d", stack->ports[STACK_NATS]);
    Bus *bus = NULL;
    Err err = bus_open(&(BusOptions){.url = url, .name = "test", .connect_wait_ms = PATIENCE_MS}, &bus);
    cr_assert(!err_is(err), "%s", err.why);
    return bus;
}

static inline Bench bench_open(void)
{
    Stack *stack = stack_start(&(StackPlan){.without = "redis sandbox gateway policy action metrics"});
    return (Bench){stack, bench_connect(stack)};
}

static inline void bench_close(Bench *bench)
{
    bus_close(bench->bus);
    stack_stop(bench->stack);
}

static inline void bench_turn(Bus *bus)
{
    int64_t left_ms = bus_deadline_ms(bus) - clock_monotonic_ms();
    struct pollfd polled = {.fd = bus_descriptor(bus), .events = POLLIN};
    poll(&polled, 1, left_ms < 0 ? 0 : left_ms > 20 ? 20 : (int)left_ms);
    bus_dispatch(bus, clock_monotonic_ms());
}

/* clang's -Wfor-loop-analysis does not see that turning the loop changes a plain variable, and looks into no call. */
static inline bool bench_holds(bool condition)
{
    return condition;
}

/* Turns the loop until the condition holds. A macro for the same reason as WAIT_UNTIL. */
#define TURN_UNTIL(bus, condition)                                                                                     \
    for (int64_t turn_until_ = clock_monotonic_ms() + PATIENCE_MS; !bench_holds(condition); bench_turn(bus))           \
    cr_assert(clock_monotonic_ms() < turn_until_, "not so after %d ms: %s", PATIENCE_MS, #condition)

/* What a call back said. */
typedef struct {
    int calls;
    Err err;
    BusStored stored;
    bool there; /* a reply or message came */
    char text[1024];
    char subject[64];
    uint64_t sequence;
    int64_t time_ms;
} Told;

static inline void told_stored(void *context, Err err, const BusStored *stored)
{
    Told *told = context;
    told->calls++;
    told->err = err;
    told->stored = *stored;
}

static inline void told_reply(void *context, Err err, const BusDelivery *reply)
{
    Told *told = context;
    told->calls++;
    told->err = err;
    told->there = reply != NULL;
    if (reply != NULL) {
        cr_assert(str_copy_to(reply->body, told->text, sizeof told->text));
        cr_assert(str_copy_to(reply->subject, told->subject, sizeof told->subject));
        told->sequence = reply->sequence;
        told->time_ms = reply->time_ms;
    }
}

static inline void bench_ensure_stream(Bus *bus, int64_t max_bytes)
{
    const BusStreamSpec spec = {.name = "LEDGER", .subject = "ledger.>", .max_bytes = max_bytes, .replicas = 1};
    Err err = bus_ensure_stream(bus, &spec);
    cr_assert(!err_is(err), "%s", err.why);
}

static inline void bench_ensure_consumer(Bus *bus, int64_t ack_wait_ms, int64_t max_ack_pending)
{
    const BusConsumerSpec spec = {.stream = "LEDGER",
                                  .name = "work",
                                  .filter = "ledger.>",
                                  .ack_wait_ms = ack_wait_ms,
                                  .max_ack_pending = max_ack_pending};
    Err err = bus_ensure_consumer(bus, &spec);
    cr_assert(!err_is(err), "%s", err.why);
}

/* Stores and waits for what came of it. `id` may be empty. */
static inline Told bench_store(Bus *bus, const char *subject, const char *body, const char *id, bool as_first)
{
    Told told = {0};
    BusMessage message = {.subject = str_from(subject), .body = str_from(body)};
    bus_message_add(&message, BUS_HEADER_MSG_ID, str_from(id));
    if (as_first) {
        bus_message_expect_new(&message);
    }
    bus_store(bus, &message, BENCH_TIMEOUT_MS, told_stored, &told);
    cr_assert_eq(told.calls, 0, "called back from inside the call");
    TURN_UNTIL(bus, told.calls > 0);
    cr_assert_eq(told.calls, 1);
    return told;
}

/* Bodies "1" to "count" on `subject`. */
static inline void bench_fill(Bus *bus, const char *subject, int from, int count)
{
    static Told told[20000];
    cr_assert_leq(count, 20000);
    memset(told, 0, sizeof told);
    for (int i = 0; i < count; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", from + i);
        bus_store(bus, &(BusMessage){.subject = str_from(subject), .body = str_from(body)}, PATIENCE_MS, told_stored,
                  &told[i]);
    }
    for (int i = 0; i < count; i++) {
        TURN_UNTIL(bus, told[i].calls > 0);
        cr_assert(!err_is(told[i].err), "%s", told[i].err.why);
    }
}

#endif
