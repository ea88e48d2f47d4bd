/* Tests of reads: every message once, in order, from where it was asked for, whatever happens to the server. */
#include "tests/unit/bus/bench.h"

typedef struct {
    Bus *bus;
    BusRead *read;
    int numbers[30000]; /* bodies, in the order of the calls */
    size_t count;
    int ends;
    Err err;
    size_t close_at; /* closes the read inside the call of that many messages; 0: never */
} Reader;

static void reader_take(void *context, Err err, const BusDelivery *message)
{
    Reader *reader = context;
    if (message == NULL) {
        reader->ends++;
        reader->err = err;
        return;
    }
    char text[16];
    cr_assert_lt(reader->count, sizeof reader->numbers / sizeof reader->numbers[0]);
    cr_assert(str_copy_to(message->body, text, sizeof text));
    reader->numbers[reader->count++] = atoi(text);
    if (reader->close_at != 0 && reader->count == reader->close_at) {
        bus_read_close(reader->read);
    }
}

static Reader *reader_open(Bus *bus, BusReadOptions options)
{
    Reader *reader = calloc(1, sizeof *reader);
    cr_assert_not_null(reader);
    reader->bus = bus;
    options.stream = STR("LEDGER");
    Err err = bus_read_open(bus, &options, reader_take, reader, &reader->read);
    cr_assert(!err_is(err), "%s", err.why);
    return reader;
}

static void reader_close(Reader *reader)
{
    bus_read_close(reader->read);
    free(reader);
}

static void check_numbers(const Reader *reader, int from, size_t count)
{
    cr_assert_eq(reader->count, count, "%zu messages, not %zu", reader->count, count);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(reader->numbers[i], from + (int)i, "place %zu holds %d", i, reader->numbers[i]);
    }
}

Test(read, all_of_a_stream_comes_in_order_and_then_its_end)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 2500);
    static const size_t batches[] = {0, 1, 7, 5000};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        Reader *reader = reader_open(bench.bus, (BusReadOptions){.batch = batches[i]});
        TURN_UNTIL(bench.bus, reader->ends > 0);
        check_numbers(reader, 1, 2500);
        cr_assert(!err_is(reader->err));
        cr_assert_eq(reader->ends, 1);
        reader_close(reader);
    }
    bench_close(&bench);
}

Test(read, an_empty_stream_and_a_filter_that_nothing_passes_end_at_once)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    Reader *empty = reader_open(bench.bus, (BusReadOptions){0});
    TURN_UNTIL(bench.bus, empty->ends > 0);
    bench_fill(bench.bus, "ledger.a", 1, 10);
    Reader *filtered = reader_open(bench.bus, (BusReadOptions){.filter = STR("ledger.b")});
    TURN_UNTIL(bench.bus, filtered->ends > 0);
    cr_assert_eq(empty->count + filtered->count, 0);
    cr_assert(!err_is(empty->err) && !err_is(filtered->err));
    reader_close(empty);
    reader_close(filtered);
    bench_close(&bench);
}

Test(read, a_read_begins_at_a_sequence_or_a_time)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 10);
    clock_pause(5);
    int64_t between_ms = clock_unix_ms();
    clock_pause(5);
    bench_fill(bench.bus, "ledger.a", 11, 10);
    Reader *by_sequence = reader_open(bench.bus, (BusReadOptions){.from_sequence = 15});
    Reader *by_time = reader_open(bench.bus, (BusReadOptions){.from_time_ms = between_ms});
    Reader *beyond = reader_open(bench.bus, (BusReadOptions){.from_sequence = 99});
    TURN_UNTIL(bench.bus, by_sequence->ends > 0 && by_time->ends > 0 && beyond->ends > 0);
    check_numbers(by_sequence, 15, 6);
    check_numbers(by_time, 11, 10);
    cr_assert_eq(beyond->count, 0);
    reader_close(by_sequence);
    reader_close(by_time);
    reader_close(beyond);
    bench_close(&bench);
}

Test(read, the_last_message_of_each_subject_alone)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 5);
    bench_fill(bench.bus, "ledger.b", 6, 5);
    bench_fill(bench.bus, "ledger.c", 11, 1);
    bench_fill(bench.bus, "ledger.a", 12, 1);
    Reader *reader = reader_open(bench.bus, (BusReadOptions){.last_per_subject = true});
    TURN_UNTIL(bench.bus, reader->ends > 0);
    cr_assert_eq(reader->count, 3);
    cr_assert_eq(reader->numbers[0] + reader->numbers[1] + reader->numbers[2], 10 + 11 + 12);
    reader_close(reader);
    bench_close(&bench);
}

Test(read, following_says_the_end_once_and_goes_on)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 10);
    Reader *reader = reader_open(bench.bus, (BusReadOptions){.follow = true});
    Reader *from_empty = reader_open(bench.bus, (BusReadOptions){.follow = true, .filter = STR("ledger.b")});
    TURN_UNTIL(bench.bus, reader->ends > 0 && from_empty->ends > 0);
    check_numbers(reader, 1, 10);
    bench_fill(bench.bus, "ledger.a", 11, 10);
    bench_fill(bench.bus, "ledger.b", 21, 10);
    TURN_UNTIL(bench.bus, reader->count >= 30 && from_empty->count >= 10);
    check_numbers(reader, 1, 30);
    check_numbers(from_empty, 21, 10);
    cr_assert_eq(reader->ends, 1);
    cr_assert_eq(from_empty->ends, 1);
    reader_close(reader);
    reader_close(from_empty);
    bench_close(&bench);
}

Test(read, a_server_that_dies_leaves_no_gap_and_repeats_nothing)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 1000);
    Reader *reader = reader_open(bench.bus, (BusReadOptions){.follow = true, .batch = 50});
    int last = 1000;
    TURN_UNTIL(bench.bus, reader->count >= 300);
    for (int i = 0; i < 3; i++) {
        stack_restart(bench.stack, STACK_NATS, 0, i == 1 ? SIGTERM : SIGKILL);
        TURN_UNTIL(bench.bus, bus_is_connected(bench.bus));
        Told told = {0};
        do {
            char body[16];
            snprintf(body, sizeof body, "%d", last + 1);
            told = bench_store(bench.bus, "ledger.a", body, body, false);
        } while (err_is(told.err));
        last++;
    }
    bench_fill(bench.bus, "ledger.a", last + 1, 500);
    TURN_UNTIL(bench.bus, reader->count >= (size_t)last + 500);
    check_numbers(reader, 1, (size_t)last + 500);
    cr_assert_eq(reader->ends, 1);
    reader_close(reader);
    bench_close(&bench);
}

Test(read, a_read_up_to_the_end_survives_a_server_that_dies)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 5000);
    Reader *reader = reader_open(bench.bus, (BusReadOptions){.batch = 10});
    TURN_UNTIL(bench.bus, reader->count >= 100);
    stack_restart(bench.stack, STACK_NATS, 0, SIGKILL);
    TURN_UNTIL(bench.bus, reader->ends > 0);
    if (!err_is(reader->err)) { /* given up is a way to end, with a word; to stop in silence is none */
        check_numbers(reader, 1, 5000);
    }
    reader_close(reader);
    bench_close(&bench);
}

Test(read, a_stream_that_is_not_there_is_told_and_following_waits_for_it)
{
    Bench bench = bench_open();
    Reader *once = reader_open(bench.bus, (BusReadOptions){0});
    Reader *following = reader_open(bench.bus, (BusReadOptions){.follow = true});
    TURN_UNTIL(bench.bus, once->ends > 0);
    cr_assert_eq(once->err.kind, ERR_RETRY);
    cr_assert_eq(following->ends, 0);
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 10);
    TURN_UNTIL(bench.bus, following->count >= 10);
    check_numbers(following, 1, 10);
    reader_close(once);
    reader_close(following);
    bench_close(&bench);
}

Test(read, a_read_may_be_closed_inside_its_own_call)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 100);
    static const size_t places[] = {1, 50, 100};
    for (size_t i = 0; i < 3; i++) {
        Reader *reader = calloc(1, sizeof *reader);
        cr_assert_not_null(reader);
        reader->close_at = places[i];
        const BusReadOptions options = {.stream = STR("LEDGER"), .follow = i == 1};
        Err err = bus_read_open(bench.bus, &options, reader_take, reader, &reader->read);
        cr_assert(!err_is(err));
        TURN_UNTIL(bench.bus, reader->count >= places[i]);
        Told mark = bench_store(bench.bus, "ledger.mark", "0", "", false);
        cr_assert(!err_is(mark.err));
        cr_assert_eq(reader->count, places[i]);
        cr_assert_eq(reader->ends, 0);
        free(reader);
    }
    bench_close(&bench);
}

static uint64_t consumer_count(Bench *bench)
{
    jsStreamInfo *info = NULL;
    cr_assert_eq(js_GetStreamInfo(&info, stack_js(bench->stack), "LEDGER", NULL, NULL), NATS_OK);
    uint64_t count = (uint64_t)info->State.Consumers;
    jsStreamInfo_Destroy(info);
    return count;
}

Test(read, a_read_that_is_over_leaves_no_consumer_behind)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_fill(bench.bus, "ledger.a", 1, 10);
    for (int i = 0; i < 5; i++) {
        Reader *reader = reader_open(bench.bus, (BusReadOptions){.follow = i == 4});
        TURN_UNTIL(bench.bus, reader->ends > 0);
        reader_close(reader);
    }
    bench_store(bench.bus, "ledger.mark", "0", "", false);
    WAIT_UNTIL(consumer_count(&bench) == 0);
    bench_close(&bench);
}

/* Where the server counts the last message twice, the read must not wait for another one. */
Test(read, the_end_is_told_also_when_the_last_message_was_stored_just_before)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    Reader *followers[8];
    for (size_t i = 0; i < 8; i++) {
        followers[i] = reader_open(bench.bus, (BusReadOptions){.filter = STR("ledger.*"), .follow = true});
    }
    for (int round = 1; round <= 200; round++) {
        bench_fill(bench.bus, "ledger.a", 3 * round - 2, 1);
        bench_fill(bench.bus, "ledger.b", 3 * round - 1, 1);
        bench_fill(bench.bus, "ledger.c", 3 * round, 1);
        Reader *reader = reader_open(
            bench.bus,
            (BusReadOptions){.filter = STR("ledger.*"), .from_sequence = (uint64_t)(3 * round - 1), .follow = true});
        TURN_UNTIL(bench.bus, reader->ends > 0);
        check_numbers(reader, 3 * round - 1, 2);
        reader_close(reader);
    }
    for (size_t i = 0; i < 8; i++) {
        TURN_UNTIL(bench.bus, followers[i]->count == 600 && followers[i]->ends == 1);
        check_numbers(followers[i], 1, 600);
        reader_close(followers[i]);
    }
    bench_close(&bench);
}
