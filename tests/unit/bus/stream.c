/* Tests of making sure: once or ten times is the same, and what is not as the design needs it is refused. */
#include <pthread.h>

#include "tests/unit/bus/bench.h"

Test(stream, a_stream_is_made_once_and_then_left_alone)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_store(bench.bus, "ledger.a", "one", "", false);
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_stream(bench.bus, 5000); /* an operator's limit is an operator's affair */
    jsStreamInfo *info = NULL;
    cr_assert_eq(js_GetStreamInfo(&info, stack_js(bench.stack), "LEDGER", NULL, NULL), NATS_OK);
    cr_assert_eq(info->State.Msgs, 1);
    cr_assert_eq(info->Config->MaxBytes, -1);
    cr_assert_eq(info->Config->Duplicates, INT64_C(600) * 1000000000);
    cr_assert_eq(info->Config->Discard, js_DiscardNew);
    cr_assert_eq(info->Config->Storage, js_FileStorage);
    cr_assert(info->Config->AllowDirect);
    jsStreamInfo_Destroy(info);
    bench_close(&bench);
}

Test(stream, a_stream_that_is_no_ledger_is_refused)
{
    Bench bench = bench_open();
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char *subjects[] = {"ledger.>"};
    config.Name = "LEDGER";
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Discard = js_DiscardOld;
    cr_assert_eq(js_AddStream(NULL, stack_js(bench.stack), &config, NULL, NULL), NATS_OK);
    Err err = bus_ensure_stream(bench.bus, &(BusStreamSpec){.name = "LEDGER", .subject = "ledger.>", .replicas = 1});
    cr_assert_eq(err.kind, ERR_REJECT, "%s", err.why);
    err = bus_ensure_stream(bench.bus, &(BusStreamSpec){.name = "LEDGER", .subject = "other.>", .replicas = 1});
    cr_assert_eq(err.kind, ERR_REJECT, "%s", err.why);
    bench_close(&bench);
}

static int64_t consumer_max_ack_pending(Bench *bench, int64_t *ack_wait_ms)
{
    jsConsumerInfo *info = NULL;
    cr_assert_eq(js_GetConsumerInfo(&info, stack_js(bench->stack), "LEDGER", "work", NULL, NULL), NATS_OK);
    int64_t pending = info->Config->MaxAckPending;
    *ack_wait_ms = info->Config->AckWait / 1000000;
    cr_assert_eq(info->Config->MaxDeliver, -1);
    jsConsumerInfo_Destroy(info);
    return pending;
}

Test(stream, a_consumer_gets_new_limits_and_keeps_its_place)
{
    Bench bench = bench_open();
    int64_t ack_wait_ms = 0;
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 10);
    bench_ensure_consumer(bench.bus, 30000, 10);
    cr_assert_eq(consumer_max_ack_pending(&bench, &ack_wait_ms), 10);
    bench_ensure_consumer(bench.bus, 5000, 20);
    cr_assert_eq(consumer_max_ack_pending(&bench, &ack_wait_ms), 20);
    cr_assert_eq(ack_wait_ms, 5000);
    bench_close(&bench);
}

Test(stream, a_consumer_with_another_filter_is_refused)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    bench_ensure_consumer(bench.bus, 30000, 10);
    Err err = bus_ensure_consumer(
        bench.bus,
        &(BusConsumerSpec){
            .stream = "LEDGER", .name = "work", .filter = "ledger.other", .ack_wait_ms = 30000, .max_ack_pending = 10});
    cr_assert_eq(err.kind, ERR_REJECT, "%s", err.why);
    bench_close(&bench);
}

Test(stream, a_consumer_of_no_stream_may_work_later)
{
    Bench bench = bench_open();
    Err err = bus_ensure_consumer(
        bench.bus, &(BusConsumerSpec){
                       .stream = "NONE", .name = "work", .filter = "none", .ack_wait_ms = 1000, .max_ack_pending = 1});
    cr_assert_eq(err.kind, ERR_RETRY, "%s", err.why);
    bench_close(&bench);
}

static void told_consumer(void *context, Err err)
{
    Told *told = context;
    told->calls++;
    told->err = err;
}

static Err ask_consumer(Bus *bus, const char *stream, const char *filter, int64_t ack_wait_ms)
{
    Told told = {0};
    const BusConsumerSpec spec = {
        .stream = stream, .name = "work", .filter = filter, .ack_wait_ms = ack_wait_ms, .max_ack_pending = 10};
    bus_ask_consumer(bus, &spec, BENCH_TIMEOUT_MS, told_consumer, &told);
    cr_assert_eq(told.calls, 0, "never from inside the call");
    TURN_UNTIL(bus, told.calls > 0);
    return told.err;
}

Test(stream, a_consumer_that_is_asked_for_is_the_one_that_is_made_by_waiting)
{
    Bench bench = bench_open();
    int64_t ack_wait_ms = 0;
    bench_ensure_stream(bench.bus, 0);
    cr_assert_not(err_is(ask_consumer(bench.bus, "LEDGER", "ledger.>", 30000)));
    bench_ensure_consumer(bench.bus, 30000, 10);
    cr_assert_not(err_is(ask_consumer(bench.bus, "LEDGER", "ledger.>", 30000)));
    cr_assert_eq(consumer_max_ack_pending(&bench, &ack_wait_ms), 10);
    cr_assert_eq(ack_wait_ms, 30000);
    cr_assert_not(err_is(ask_consumer(bench.bus, "LEDGER", "ledger.>", 5000)));
    cr_assert_eq(consumer_max_ack_pending(&bench, &ack_wait_ms), 10);
    cr_assert_eq(ack_wait_ms, 5000);
    Err err = ask_consumer(bench.bus, "LEDGER", "elsewhere", 30000);
    cr_assert(err.kind == ERR_REJECT || err.kind == ERR_NONE,
              "nats-server 2.9 refuses another filter, 2.10 takes it: %s", err.why);
    err = ask_consumer(bench.bus, "NONE", "ledger.>", 30000);
    cr_assert_neq(err.kind, ERR_NONE);
    bench_close(&bench);
}

Test(stream, a_consumer_that_nobody_waits_for_any_more_does_no_harm)
{
    Bench bench = bench_open();
    bench_ensure_stream(bench.bus, 0);
    Told told = {0};
    const BusConsumerSpec spec = {
        .stream = "LEDGER", .name = "work", .filter = "ledger.>", .ack_wait_ms = 1000, .max_ack_pending = 1};
    bus_ask_consumer(bench.bus, &spec, BENCH_TIMEOUT_MS, told_consumer, &told);
    bench_close(&bench);
    cr_assert_eq(told.calls, 0);
}

Test(stream, a_bucket_is_made_once_and_keeps_sixteen_revisions)
{
    Bench bench = bench_open();
    for (int i = 0; i < 2; i++) {
        Err err = bus_ensure_bucket(bench.bus, "things", 1);
        cr_assert(!err_is(err), "%s", err.why);
    }
    for (int i = 0; i < 20; i++) {
        Told told = bench_store(bench.bus, "$KV.things.key", "value", "", false);
        cr_assert(!err_is(told.err), "%s", told.err.why);
    }
    Told gone = {0};
    Told kept = {0};
    bus_get(bench.bus, STR("KV_things"), 4, BENCH_TIMEOUT_MS, told_reply, &gone);
    bus_get(bench.bus, STR("KV_things"), 5, BENCH_TIMEOUT_MS, told_reply, &kept);
    TURN_UNTIL(bench.bus, gone.calls > 0 && kept.calls > 0);
    cr_assert_not(gone.there);
    cr_assert(kept.there);
    bench_close(&bench);
}

typedef struct {
    Stack *stack;
    Err err;
} Maker;

static void *make_everything(void *context)
{
    Maker *maker = context;
    Bus *bus = bench_connect(maker->stack);
    maker->err = bus_ensure_stream(bus, &(BusStreamSpec){.name = "LEDGER", .subject = "ledger.>", .replicas = 1});
    if (!err_is(maker->err)) {
        maker->err = bus_ensure_consumer(
            bus,
            &(BusConsumerSpec){
                .stream = "LEDGER", .name = "work", .filter = "ledger.>", .ack_wait_ms = 30000, .max_ack_pending = 7});
    }
    if (!err_is(maker->err)) {
        maker->err = bus_ensure_bucket(bus, "things", 1);
    }
    bus_close(bus);
    return NULL;
}

Test(stream, many_that_make_the_same_at_once_agree)
{
    Bench bench = bench_open();
    Maker makers[6];
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) {
        makers[i] = (Maker){.stack = bench.stack};
        cr_assert_eq(pthread_create(&threads[i], NULL, make_everything, &makers[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        cr_expect(!err_is(makers[i].err), "%s", makers[i].err.why);
    }
    bench_close(&bench);
}
