/* Tests of requests: answers, time-outs, nobody there; what stores and direct gets say. */
#include "tests/unit/bus/bench.h"

static void answer_with_echo(void *context, const BusDelivery *request)
{
    bus_publish(context, &(BusMessage){.subject = request->reply, .body = request->body});
}

static void answer_nothing(void *context, const BusDelivery *request)
{
    (void)request;
    ++*(int *)context;
}

Test(request, an_answer_comes_back_to_whoever_asked)
{
    Bench bench = bench_open();
    BusSubscription *subscription = NULL;
    Told told[100] = {0};
    Err err = bus_subscribe(bench.bus, STR("echo"), (Str){0}, answer_with_echo, bench.bus, &subscription);
    cr_assert(!err_is(err));
    for (int i = 0; i < 100; i++) {
        char body[8];
        snprintf(body, sizeof body, "%d", i);
        bus_request(bench.bus, &(BusMessage){.subject = STR("echo"), .body = str_from(body)}, BENCH_TIMEOUT_MS,
                    told_reply, &told[i]);
    }
    for (int i = 0; i < 100; i++) {
        TURN_UNTIL(bench.bus, told[i].calls > 0);
        cr_assert(told[i].there);
        cr_assert_eq(atoi(told[i].text), i);
        cr_assert_eq(told[i].calls, 1);
    }
    bench_close(&bench);
}

Test(request, nobody_there_is_told_long_before_the_time_is_over)
{
    Bench bench = bench_open();
    Told told = {0};
    int64_t began_ms = clock_monotonic_ms();
    bus_request(bench.bus, &(BusMessage){.subject = STR("nobody")}, 1000 * PATIENCE_MS, told_reply, &told);
    TURN_UNTIL(bench.bus, told.calls > 0);
    cr_assert_eq(told.err.kind, ERR_RETRY);
    cr_assert_not(told.there);
    cr_assert_lt(clock_monotonic_ms() - began_ms, PATIENCE_MS);
    bench_close(&bench);
}

Test(request, no_answer_in_time_is_told_once_and_a_late_answer_finds_nobody)
{
    Bench bench = bench_open();
    BusSubscription *subscription = NULL;
    Told told = {0};
    Told next = {0};
    int asked = 0;
    Err err = bus_subscribe(bench.bus, STR("silent"), (Str){0}, answer_nothing, &asked, &subscription);
    cr_assert(!err_is(err));
    bus_request(bench.bus, &(BusMessage){.subject = STR("silent")}, 50, told_reply, &told);
    TURN_UNTIL(bench.bus, told.calls > 0);
    cr_assert_eq(told.err.kind, ERR_RETRY);
    TURN_UNTIL(bench.bus, asked == 1);
    /* The slot's first use was 0-1: an answer to it must not be taken for one to its second use. */
    bus_unsubscribe(subscription);
    err = bus_subscribe(bench.bus, STR("echo"), (Str){0}, answer_with_echo, bench.bus, &subscription);
    cr_assert(!err_is(err));
    bus_request(bench.bus, &(BusMessage){.subject = STR("echo"), .body = STR("second")}, BENCH_TIMEOUT_MS, told_reply,
                &next);
    TURN_UNTIL(bench.bus, next.calls > 0);
    cr_assert_str_eq(next.text, "second");
    cr_assert_eq(told.calls, 1);
    bench_close(&bench);
}

Test(request, a_message_is_stored_once_for_an_id_and_says_where)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    Told first = bench_store(bench.bus, "ledger.a", "one", "id-1", false);
    Told again = bench_store(bench.bus, "ledger.b", "other", "id-1", false);
    Told second = bench_store(bench.bus, "ledger.a", "two", "id-2", false);
    cr_assert(!err_is(first.err) && !err_is(again.err) && !err_is(second.err));
    cr_assert_eq(first.stored.sequence, 1);
    cr_assert_not(first.stored.duplicate);
    cr_assert_eq(again.stored.sequence, 1, "the first one's place, whatever the subject");
    cr_assert(again.stored.duplicate);
    cr_assert_eq(second.stored.sequence, 2);
    bench_close(&bench);
}

Test(request, a_subject_takes_one_message_that_must_be_its_first)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    Told first = bench_store(bench.bus, "ledger.a", "one", "", true);
    Told second = bench_store(bench.bus, "ledger.a", "two", "", true);
    Told other = bench_store(bench.bus, "ledger.b", "three", "", true);
    cr_assert(!err_is(first.err) && !err_is(other.err));
    cr_assert_eq(second.err.kind, ERR_REJECT);
    cr_assert(second.stored.exists);
    cr_assert_not(second.stored.full);
    bench_close(&bench);
}

Test(request, a_full_stream_refuses_and_keeps_what_it_has)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 2000);
    char body[501];
    memset(body, 'x', sizeof body - 1);
    body[500] = '\0';
    Told told = {0};
    int stored = -1;
    do {
        stored++;
        told = bench_store(bench.bus, "ledger.a", body, "", false);
    } while (!err_is(told.err));
    cr_assert_eq(told.err.kind, ERR_RETRY);
    cr_assert(told.stored.full);
    cr_assert_not(told.stored.exists);
    cr_assert_geq(stored, 2);
    Told first = {0};
    bus_get(bench.bus, STR("LEDGER"), 1, BENCH_TIMEOUT_MS, told_reply, &first);
    TURN_UNTIL(bench.bus, first.calls > 0);
    cr_assert(first.there, "the oldest message made room");
    bench_close(&bench);
}

Test(request, what_no_stream_takes_is_certainly_not_stored)
{
    Bench bench = bench_open();
    Told told = bench_store(bench.bus, "ledger.a", "one", "", false);
    cr_assert_eq(told.err.kind, ERR_RETRY, "%s", told.err.why);
    bench_close(&bench);
}

Test(request, a_store_without_an_answer_may_have_happened)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    Told told = {0};
    kill(stack_process(bench.stack, STACK_NATS, 0)->pid, SIGSTOP);
    bus_store(bench.bus, &(BusMessage){.subject = STR("ledger.a"), .body = STR("one")}, 100, told_stored, &told);
    TURN_UNTIL(bench.bus, told.calls > 0);
    cr_assert_eq(told.err.kind, ERR_UNKNOWN);
    kill(stack_process(bench.stack, STACK_NATS, 0)->pid, SIGCONT);
    Told next = bench_store(bench.bus, "ledger.a", "two", "", false);
    cr_assert_eq(next.stored.sequence, 2, "the first one was stored");
    cr_assert_eq(told.calls, 1);
    bench_close(&bench);
}

Test(request, what_is_larger_than_the_server_takes_is_refused_and_said_so)
{
    enum { MORE_THAN_A_MIB = 1100 * 1024 };
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    char *large = calloc(1, MORE_THAN_A_MIB);
    Told told = {0};
    bus_store(bench.bus, &(BusMessage){.subject = STR("ledger.a"), .body = {large, MORE_THAN_A_MIB}}, BENCH_TIMEOUT_MS,
              told_stored, &told);
    free(large);
    cr_assert_eq(told.calls, 0, "never from inside the call");
    TURN_UNTIL(bench.bus, told.calls > 0);
    cr_assert_eq(told.err.kind, ERR_REJECT);
    cr_assert_not_null(strstr(told.err.why, "max_payload"), "%s", told.err.why);
    cr_assert_not(told.stored.exists);
    bench_close(&bench);
}

static Told look_last(Bus *bus, const char *subject)
{
    Told told = {0};
    bus_get_last(bus, STR("LEDGER"), str_from(subject), BENCH_TIMEOUT_MS, told_reply, &told);
    TURN_UNTIL(bus, told.calls > 0);
    return told;
}

Test(request, the_last_message_of_a_subject_is_found_with_its_facts)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    int64_t before_ms = clock_unix_ms();
    bench_store(bench.bus, "ledger.a.x", "one", "", false);
    bench_store(bench.bus, "ledger.a.y", "two", "", false);
    bench_store(bench.bus, "ledger.b", "three", "", false);
    Told exact = look_last(bench.bus, "ledger.a.x");
    Told wild = look_last(bench.bus, "ledger.a.*");
    Told none = look_last(bench.bus, "ledger.c");
    cr_assert_str_eq(exact.text, "one");
    cr_assert_str_eq(exact.subject, "ledger.a.x");
    cr_assert_eq(exact.sequence, 1);
    cr_assert(exact.time_ms >= before_ms && exact.time_ms <= clock_unix_ms(), "%lld", (long long)exact.time_ms);
    cr_assert_str_eq(wild.text, "two");
    cr_assert_str_eq(wild.subject, "ledger.a.y");
    cr_assert(!err_is(none.err) && !none.there);
    bench_close(&bench);
}

Test(request, a_message_is_found_by_its_sequence)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_store(bench.bus, "ledger.a", "one", "", false);
    bench_store(bench.bus, "ledger.a", "two", "", false);
    Told first = {0};
    Told none = {0};
    bus_get(bench.bus, STR("LEDGER"), 1, BENCH_TIMEOUT_MS, told_reply, &first);
    bus_get(bench.bus, STR("LEDGER"), 99, BENCH_TIMEOUT_MS, told_reply, &none);
    TURN_UNTIL(bench.bus, first.calls > 0 && none.calls > 0);
    cr_assert_str_eq(first.text, "one");
    cr_assert(!err_is(none.err) && !none.there);
    bench_close(&bench);
}

static Told look_next(Bus *bus, const char *subject, uint64_t from_sequence)
{
    Told told = {0};
    bus_get_next(bus, STR("LEDGER"), str_from(subject), from_sequence, BENCH_TIMEOUT_MS, told_reply, &told);
    TURN_UNTIL(bus, told.calls > 0);
    return told;
}

Test(request, a_subjects_messages_are_found_one_after_the_other)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_store(bench.bus, "ledger.a", "one", "", false);
    bench_store(bench.bus, "ledger.b", "two", "", false);
    bench_store(bench.bus, "ledger.a", "three", "", false);
    bench_store(bench.bus, "ledger.b", "four", "", false);
    Told first = look_next(bench.bus, "ledger.a", 1);
    Told second = look_next(bench.bus, "ledger.a", first.sequence + 1);
    Told none = look_next(bench.bus, "ledger.a", second.sequence + 1);
    Told beyond = look_next(bench.bus, "ledger.a", 99);
    cr_assert_str_eq(first.text, "one");
    cr_assert_str_eq(second.text, "three");
    cr_assert_eq(second.sequence, 3);
    cr_assert(!err_is(none.err) && !none.there);
    cr_assert(!err_is(beyond.err) && !beyond.there);
    bench_close(&bench);
}

Test(request, an_empty_message_with_a_status_header_is_a_message)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    BusMessage message = {.subject = STR("ledger.odd")};
    bus_message_add(&message, "Status", STR("404"));
    Told stored = {0};
    bus_store(bench.bus, &message, BENCH_TIMEOUT_MS, told_stored, &stored);
    TURN_UNTIL(bench.bus, stored.calls > 0);
    Told told = look_last(bench.bus, "ledger.odd");
    cr_assert(told.there);
    cr_assert_eq(told.sequence, 1);
    bench_close(&bench);
}

Test(request, a_bus_that_closes_drops_what_is_outstanding)
{
    Bench bench = bench_open();
    BusSubscription *subscription = NULL;
    BusRead *read = NULL;
    Told told = {0};
    int asked = 0;
    Err err = bus_subscribe(bench.bus, STR("silent"), (Str){0}, answer_nothing, &asked, &subscription);
    cr_assert(!err_is(err));
    bus_request(bench.bus, &(BusMessage){.subject = STR("silent")}, PATIENCE_MS, told_reply, &told);
    err = bus_read_open(bench.bus, &(BusReadOptions){.stream = STR("LEDGER")}, told_reply, &told, &read);
    cr_assert(!err_is(err));
    bus_read_close(read);
    bench_close(&bench);
    cr_assert_eq(told.calls, 0);
}
