/* Tests of pulling: work comes to free hands and to nobody else, and none of it is lost. */
#include "tests/unit/bus/bench.h"

#define NUMBERS_MAX 20000

typedef struct {
    Bus *bus;
    BusPull *pull;
    size_t hands; /* all */
    size_t held;  /* in hand now */
    size_t most_held;
    BusDelivery deliveries[512];
    uint8_t seen[NUMBERS_MAX + 1]; /* how often a number came */
    size_t calls;
    bool by_itself; /* acks at once and takes the next */
    int ended;
} Hand;

static int delivery_number(const BusDelivery *delivery)
{
    char text[16];
    cr_assert(str_copy_to(delivery->body, text, sizeof text));
    return atoi(text);
}

static void hand_take(void *context, BusDelivery *delivery)
{
    Hand *hand = context;
    int number = delivery_number(delivery);
    cr_assert(number >= 0 && number <= NUMBERS_MAX);
    hand->seen[number]++;
    hand->calls++;
    if (hand->by_itself) {
        bus_ack(hand->bus, delivery);
        bus_delivery_release(delivery);
        bus_pull_want(hand->pull, hand->hands);
        return;
    }
    cr_assert_lt(hand->held, sizeof hand->deliveries / sizeof hand->deliveries[0]);
    hand->deliveries[hand->held++] = *delivery;
    hand->most_held = hand->held > hand->most_held ? hand->held : hand->most_held;
}

static Hand *hand_open(Bus *bus, size_t hands, bool by_itself)
{
    Hand *hand = calloc(1, sizeof *hand);
    cr_assert_not_null(hand);
    hand->bus = bus;
    hand->hands = hands;
    hand->by_itself = by_itself;
    Err err = bus_pull_open(bus, STR("LEDGER"), STR("work"), hand_take, hand, &hand->pull);
    cr_assert(!err_is(err), "%s", err.why);
    bus_pull_want(hand->pull, hands);
    return hand;
}

static void hand_ack_one(Hand *hand)
{
    cr_assert_gt(hand->held, 0);
    bus_ack(hand->bus, &hand->deliveries[0]);
    bus_delivery_release(&hand->deliveries[0]);
    memmove(&hand->deliveries[0], &hand->deliveries[1], (hand->held - 1) * sizeof(BusDelivery));
    hand->held--;
    bus_pull_want(hand->pull, hand->hands - hand->held);
}

static bool hand_has_all(const Hand *hand, int count)
{
    int number = 1;
    while (number <= count && hand->seen[number] > 0) {
        number++;
    }
    return number > count;
}

static void hand_ended(void *context)
{
    ((Hand *)context)->ended++;
}

static void hand_close(Hand *hand)
{
    while (hand->held > 0) {
        bus_delivery_release(&hand->deliveries[--hand->held]);
    }
    free(hand);
}

/* What is on its way has arrived once the server has answered a question that was asked later. */
static void settle(Bus *bus)
{
    for (int i = 0; i < 3; i++) {
        Told told = {0};
        bus_get(bus, STR("LEDGER"), 1, BENCH_TIMEOUT_MS, told_reply, &told);
        TURN_UNTIL(bus, told.calls > 0);
    }
}

static int64_t ack_pending(Bench *bench)
{
    jsConsumerInfo *info = NULL;
    cr_assert_eq(js_GetConsumerInfo(&info, stack_js(bench->stack), "LEDGER", "work", NULL, NULL), NATS_OK);
    int64_t pending = info->NumAckPending + (int64_t)info->NumPending;
    jsConsumerInfo_Destroy(info);
    return pending;
}

Test(pull, a_long_stream_comes_in_order_and_each_message_once)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    bench_fill(bench.bus, "ledger.a", 1, 10000);
    Hand *hand = hand_open(bench.bus, 256, true);
    TURN_UNTIL(bench.bus, hand->calls >= 10000);
    settle(bench.bus);
    cr_assert_eq(hand->calls, 10000);
    WAIT_UNTIL(ack_pending(&bench) == 0);
    hand_close(hand);
    bench_close(&bench);
}

Test(pull, never_more_comes_than_there_are_free_hands)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    bench_fill(bench.bus, "ledger.a", 1, 500);
    Hand *hand = hand_open(bench.bus, 10, false);
    for (int done = 0; done < 490; done++) {
        TURN_UNTIL(bench.bus, hand->held > 0);
        hand_ack_one(hand);
        bench_turn(bench.bus);
        cr_assert_leq(hand->held, 10);
    }
    TURN_UNTIL(bench.bus, hand->calls == 500);
    settle(bench.bus);
    cr_assert_leq(hand->most_held, 10);
    hand_close(hand);
    bench_close(&bench);
}

Test(pull, hands_that_stay_full_get_nothing_more)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    bench_fill(bench.bus, "ledger.a", 1, 100);
    Hand *hand = hand_open(bench.bus, 10, false);
    TURN_UNTIL(bench.bus, hand->held == 10);
    for (int i = 0; i < 50; i++) {
        bus_pull_want(hand->pull, 0);
        settle(bench.bus);
    }
    cr_assert_eq(hand->calls, 10);
    hand_close(hand);
    bench_close(&bench);
}

Test(pull, all_workers_together_hold_no_more_than_the_lane_allows)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 5);
    bench_fill(bench.bus, "ledger.a", 1, 100);
    Bus *buses[3];
    Hand *hands[3];
    for (int i = 0; i < 3; i++) {
        buses[i] = bench_connect(bench.stack);
        hands[i] = hand_open(buses[i], 20, false);
    }
    for (size_t done = 0; done < 100;) {
        size_t held = 0;
        for (int i = 0; i < 3; i++) {
            bench_turn(buses[i]);
            held += hands[i]->held;
        }
        cr_assert_leq(held, 5);
        for (int i = 0; i < 3; i++) {
            if (hands[i]->held > 0) {
                hand_ack_one(hands[i]);
                done++;
            }
        }
    }
    for (int i = 0; i < 3; i++) {
        bus_close(buses[i]);
        hand_close(hands[i]);
    }
    bench_close(&bench);
}

Test(pull, more_workers_than_messages_get_each_message_once)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    Bus *buses[5];
    Hand *hands[5];
    for (int i = 0; i < 5; i++) {
        buses[i] = bench_connect(bench.stack);
        hands[i] = hand_open(buses[i], 100, true);
        settle(buses[i]);
    }
    bench_fill(bench.bus, "ledger.a", 1, 7);
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    for (size_t calls = 0; calls < 7;) {
        cr_assert_lt(clock_monotonic_ms(), deadline_ms);
        calls = 0;
        for (int i = 0; i < 5; i++) {
            bench_turn(buses[i]);
            calls += hands[i]->calls;
        }
    }
    for (int number = 1; number <= 7; number++) {
        int times = 0;
        for (int i = 0; i < 5; i++) {
            times += hands[i]->seen[number];
        }
        cr_assert_eq(times, 1, "%d came %d times", number, times);
    }
    for (int i = 0; i < 5; i++) {
        bus_close(buses[i]);
        hand_close(hands[i]);
    }
    bench_close(&bench);
}

Test(pull, a_message_given_back_comes_again_after_its_delay_and_says_so)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    bench_fill(bench.bus, "ledger.a", 1, 1);
    Hand *hand = hand_open(bench.bus, 10, false);
    TURN_UNTIL(bench.bus, hand->held == 1);
    cr_assert_eq(hand->deliveries[0].delivered, 1);
    cr_assert_eq(hand->deliveries[0].sequence, 1);
    int64_t given_ms = clock_monotonic_ms();
    bus_nak(bench.bus, &hand->deliveries[0], 300);
    bus_delivery_release(&hand->deliveries[0]);
    hand->held = 0;
    bus_pull_want(hand->pull, 10);
    TURN_UNTIL(bench.bus, hand->held == 1);
    cr_assert_geq(clock_monotonic_ms() - given_ms, 290, "the delay is the least that it takes");
    cr_assert_eq(hand->deliveries[0].delivered, 2);
    hand_ack_one(hand);
    settle(bench.bus);
    WAIT_UNTIL(ack_pending(&bench) == 0);
    hand_close(hand);
    bench_close(&bench);
}

Test(pull, progress_keeps_a_message_and_silence_gives_it_to_the_next)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 1000, 1000);
    bench_fill(bench.bus, "ledger.a", 1, 2);
    Hand *hand = hand_open(bench.bus, 10, false);
    TURN_UNTIL(bench.bus, hand->held == 2);
    /* The second message times itself: it comes again while the first one is kept alive. */
    int64_t told_ms = 0;
    for (int rounds = 0; rounds < 3; rounds++) {
        size_t calls = hand->calls;
        int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
        while (hand->calls == calls) {
            cr_assert_lt(clock_monotonic_ms(), deadline_ms);
            if (clock_monotonic_ms() - told_ms > 200) {
                told_ms = clock_monotonic_ms();
                bus_progress(bench.bus, &hand->deliveries[0]);
            }
            bench_turn(bench.bus);
        }
    }
    cr_assert_geq(hand->seen[2], 2);
    cr_assert_leq(hand->seen[1], hand->seen[2]);
    hand_close(hand);
    bench_close(&bench);
}

Test(pull, a_terminated_message_never_comes_again)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 1000, 1000);
    bench_fill(bench.bus, "ledger.a", 1, 1);
    Hand *hand = hand_open(bench.bus, 10, false);
    TURN_UNTIL(bench.bus, hand->held == 1);
    bus_terminate(bench.bus, &hand->deliveries[0]);
    settle(bench.bus);
    WAIT_UNTIL(ack_pending(&bench) == 0);
    hand_close(hand);
    bench_close(&bench);
}

Test(pull, an_empty_message_with_a_status_header_is_delivered)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    Hand *hand = hand_open(bench.bus, 10, false);
    Told told = {0};
    BusMessage message = {.subject = STR("ledger.1")}; /* ends like the reply subject of a request */
    bus_message_add(&message, "Status", STR("409"));
    bus_store(bench.bus, &message, BENCH_TIMEOUT_MS, told_stored, &told);
    TURN_UNTIL(bench.bus, hand->held == 1);
    hand_close(hand);
    bench_close(&bench);
}

Test(pull, draining_brings_what_was_on_its_way_and_then_says_so)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 1000, 1000);
    bench_fill(bench.bus, "ledger.a", 1, 5000);
    Hand *hand = hand_open(bench.bus, 256, true);
    TURN_UNTIL(bench.bus, hand->calls >= 500);
    bus_pull_drain(hand->pull, hand_ended);
    TURN_UNTIL(bench.bus, hand->ended > 0);
    size_t calls = hand->calls;
    settle(bench.bus);
    cr_assert_eq(hand->calls, calls, "a message came after the end");
    cr_assert_eq(hand->ended, 1);
    /* Whatever was delivered was seen and acked: the next worker gets the rest, and nothing twice. */
    Hand *next = hand_open(bench.bus, 256, true);
    TURN_UNTIL(bench.bus, hand->calls + next->calls >= 5000);
    for (int number = 1; number <= 5000; number++) {
        cr_assert_eq(hand->seen[number] + next->seen[number], 1, "%d came %d times", number,
                     hand->seen[number] + next->seen[number]);
    }
    hand_close(hand);
    hand_close(next);
    bench_close(&bench);
}

Test(pull, draining_ends_while_the_server_is_away)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    Hand *hand = hand_open(bench.bus, 10, true);
    settle(bench.bus);
    stack_kill(bench.stack, STACK_NATS, 0, SIGKILL);
    TURN_UNTIL(bench.bus, !bus_is_connected(bench.bus));
    bus_pull_drain(hand->pull, hand_ended);
    TURN_UNTIL(bench.bus, hand->ended > 0);
    bus_close(bench.bus);
    hand_close(hand);
    stack_stop(bench.stack);
}

Test(pull, a_server_killed_in_the_middle_loses_nothing_and_the_work_goes_on)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 1000, 1000);
    bench_fill(bench.bus, "ledger.a", 1, 10000);
    Hand *hand = hand_open(bench.bus, 100, true);
    for (int kills = 1; kills <= 2; kills++) {
        TURN_UNTIL(bench.bus, hand->calls >= (size_t)kills * 1500);
        stack_restart(bench.stack, STACK_NATS, 0, SIGKILL);
    }
    TURN_UNTIL(bench.bus, hand_has_all(hand, 10000));
    TURN_UNTIL(bench.bus, ack_pending(&bench) == 0);
    hand_close(hand);
    bench_close(&bench);
}

Test(pull, a_consumer_deleted_and_made_again_is_found_again)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    Hand *hand = hand_open(bench.bus, 10, true);
    bench_fill(bench.bus, "ledger.a", 1, 10);
    TURN_UNTIL(bench.bus, hand->calls == 10);
    cr_assert_eq(js_DeleteConsumer(stack_js(bench.stack), "LEDGER", "work", NULL, NULL), NATS_OK);
    bench_fill(bench.bus, "ledger.a", 11, 10);
    settle(bench.bus);
    bench_ensure_consumer(bench.bus, 30000, 1000);
    TURN_UNTIL(bench.bus, hand->seen[20] > 0);
    hand_close(hand);
    bench_close(&bench);
}
