/* Tests of the connection: what comes in which order, who hears of a reconnect, and how it ends. */
#include "tests/unit/bus/bench.h"

typedef struct {
    char order[8192];
    size_t length;
} Heard;

static void hear(void *context, const BusDelivery *message)
{
    Heard *heard = context;
    cr_assert_lt(heard->length + message->body.length, sizeof heard->order);
    memcpy(heard->order + heard->length, message->body.data, message->body.length);
    heard->length += message->body.length;
}

Test(connection, messages_keep_their_order_across_subscriptions)
{
    Bench bench = bench_open();
    Heard heard = {0};
    char expected[4001] = "";
    BusSubscription *subscriptions[4] = {0};
    for (int i = 0; i < 4; i++) {
        char subject[] = {'s', (char)('0' + i), '\0'};
        Err err = bus_subscribe(bench.bus, str_from(subject), (Str){0}, hear, &heard, &subscriptions[i]);
        cr_assert(!err_is(err));
    }
    for (int i = 0; i < 4000; i++) {
        char subject[] = {'s', (char)('0' + i % 4), '\0'};
        expected[i] = (char)('a' + i % 4 * 5 + i / 4 % 5);
        bus_publish(bench.bus, &(BusMessage){.subject = str_from(subject), .body = {&expected[i], 1}});
    }
    TURN_UNTIL(bench.bus, heard.length >= 4000);
    cr_assert_str_eq(heard.order, expected);
    bench_close(&bench);
}

Test(connection, nothing_comes_after_unsubscribing)
{
    Bench bench = bench_open();
    Heard heard = {0};
    Heard other = {0};
    BusSubscription *subscription = NULL;
    BusSubscription *others = NULL;
    cr_assert(!err_is(bus_subscribe(bench.bus, STR("s"), (Str){0}, hear, &heard, &subscription)));
    cr_assert(!err_is(bus_subscribe(bench.bus, STR("s"), (Str){0}, hear, &other, &others)));
    bus_publish(bench.bus, &(BusMessage){.subject = STR("s"), .body = STR("x")});
    bus_unsubscribe(subscription);
    TURN_UNTIL(bench.bus, other.length > 0);
    cr_assert_eq(heard.length, 0);
    bench_close(&bench);
}

Test(connection, a_queue_gets_each_message_once)
{
    Bench bench = bench_open();
    Heard heard = {0};
    BusSubscription *one = NULL;
    BusSubscription *two = NULL;
    BusSubscription *marks = NULL;
    Heard mark = {0};
    cr_assert(!err_is(bus_subscribe(bench.bus, STR("s"), STR("workers"), hear, &heard, &one)));
    cr_assert(!err_is(bus_subscribe(bench.bus, STR("s"), STR("workers"), hear, &heard, &two)));
    cr_assert(!err_is(bus_subscribe(bench.bus, STR("mark"), (Str){0}, hear, &mark, &marks)));
    for (int i = 0; i < 50; i++) {
        bus_publish(bench.bus, &(BusMessage){.subject = STR("s"), .body = STR("x")});
    }
    bus_publish(bench.bus, &(BusMessage){.subject = STR("mark"), .body = STR("m")});
    TURN_UNTIL(bench.bus, mark.length > 0);
    cr_assert_eq(heard.length, 50);
    bench_close(&bench);
}

static void count_up(void *context)
{
    ++*(int *)context;
}

Test(connection, every_hook_hears_of_a_reconnect_and_subscriptions_stand_again)
{
    Bench bench = bench_open();
    int hooks[3] = {0};
    Heard heard = {0};
    BusSubscription *subscription = NULL;
    for (int i = 0; i < 3; i++) {
        bus_on_reconnect(bench.bus, count_up, &hooks[i]);
    }
    cr_assert(!err_is(bus_subscribe(bench.bus, STR("s"), (Str){0}, hear, &heard, &subscription)));
    stack_restart(bench.stack, STACK_NATS, 0, SIGKILL);
    TURN_UNTIL(bench.bus, hooks[0] > 0 && hooks[1] > 0 && hooks[2] > 0);
    cr_assert(bus_is_connected(bench.bus));
    bus_publish(bench.bus, &(BusMessage){.subject = STR("s"), .body = STR("x")});
    TURN_UNTIL(bench.bus, heard.length == 1);
    cr_assert_eq(hooks[0], 1);
    bench_close(&bench);
}

Test(connection, a_bus_without_a_server_is_unavailable_and_says_no_password)
{
    Bus *bus = NULL;
    Err err =
        bus_open(&(BusOptions){.url = "nats://shop:hunter2@127.0.0.1:1", .name = "test", .connect_wait_ms = 10}, &bus);
    cr_assert_eq(err.kind, ERR_RETRY);
    cr_assert_null(strstr(err.why, "hunter2"), "%s", err.why);
    cr_assert_null(bus);
}

Test(connection, a_bus_whose_server_is_gone_closes_in_seconds)
{
    Bench bench = bench_open();
    Heard heard = {0};
    BusSubscription *subscription = NULL;
    BusPull *pull = NULL;
    cr_assert(!err_is(bus_subscribe(bench.bus, STR("s"), (Str){0}, hear, &heard, &subscription)));
    cr_assert(!err_is(bus_pull_open(bench.bus, STR("LEDGER"), STR("work"), NULL, NULL, &pull)));
    stack_kill(bench.stack, STACK_NATS, 0, SIGKILL);
    TURN_UNTIL(bench.bus, !bus_is_connected(bench.bus));
    int64_t began_ms = clock_monotonic_ms();
    bus_close(bench.bus);
    cr_assert_lt(clock_monotonic_ms() - began_ms, PATIENCE_MS);
    stack_stop(bench.stack);
}

Test(connection, headers_that_cannot_be_sent_are_not_passed_on)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    char longest[BUS_HEADER_VALUE_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_assert(bus_header_is_sendable((Str){longest, BUS_HEADER_VALUE_MAX}));
    cr_assert_not(bus_header_is_sendable((Str){longest, BUS_HEADER_VALUE_MAX + 1}));
    cr_assert_not(bus_header_is_sendable(STR("a\tb")));
    cr_assert_not(bus_header_is_sendable(STR("a\x7f")));
    cr_assert_not(bus_header_is_sendable((Str){"a\0b", 3}));
    cr_assert(bus_header_is_sendable(STR("gr\xC3\xBC\xC3\x9F")));
    bench_close(&bench);
}
