/* world - the ledger, the clock, the text, and what must hold. */
#include "tests/trace/world.h"

#include <stdio.h>
#include <string.h>

#include "shared/bus/private.h"
#include "shared/wire/payment.h"

#define DEDUP_WINDOW_MS 600000
#define TEXT_BYTES 65536

static const char signal_body[] = "{\"amount\": 99.99, \"customer_id\": \"cust_123\", \"currency\": \"USD\", "
                                  "\"merchant_id\": \"merc_456\"}";

World *world_make(void)
{
    cr_assert_eq(nats_Open(-1), NATS_OK); /* messages are the library's, and it wants to be asked first */
    World *world = calloc(1, sizeof(*world));
    cr_assert_not_null(world);
    world->arena = arena_make(65536, 64 * 1024 * 1024);
    world->text = arena_buffer(&world->arena, TEXT_BYTES);
    world->now_ms = WORLD_START_MS;
    world->policy = fraud_policy_default();
    return world;
}

void world_free(World *world)
{
    arena_release(&world->arena);
    free(world);
}

void world_say(World *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buffer_vprint(&world->text, format, arguments);
    va_end(arguments);
    buffer_append_char(&world->text, '\n');
}

/* --- the ledger --------------------------------------------------------------------------------------------------- */

static BusMessage message_copy(Arena *arena, const BusMessage *message)
{
    BusMessage copy = *message;
    copy.subject = arena_copy(arena, message->subject);
    copy.body = arena_copy(arena, message->body);
    for (size_t i = 0; i < copy.header_count; i++) {
        copy.headers[i].value = arena_copy(arena, message->headers[i].value);
    }
    return copy;
}

static Str message_header(const BusMessage *message, const char *name)
{
    for (size_t i = 0; i < message->header_count; i++) {
        if (strcmp(message->headers[i].name, name) == 0) {
            return message->headers[i].value;
        }
    }
    return (Str){0};
}

/* As the server judges: the id first, then the expectation. */
BusStored world_store(World *world, const BusMessage *message, Err *err)
{
    Str id = message_header(message, BUS_HEADER_MSG_ID);
    bool as_first = message_header(message, BUS_HEADER_EXPECT_LAST).length != 0;
    *err = err_none();
    for (size_t i = 0; i < world->count; i++) {
        const Record *record = &world->records[i];
        if (id.length != 0 && str_equal(record->msg_id, id) && world->now_ms - record->time_ms < DEDUP_WINDOW_MS) {
            return (BusStored){.sequence = i + 1, .duplicate = true};
        }
    }
    for (size_t i = 0; i < world->count; i++) {
        if (as_first && str_equal(world->records[i].message.subject, message->subject)) {
            *err = err_reject("stream refused: wrong last sequence");
            return (BusStored){.exists = true};
        }
    }
    cr_assert_lt(world->count, WORLD_RECORDS_MAX, "the ledger grows without end");
    Record *record = &world->records[world->count++];
    *record = (Record){.message = message_copy(&world->arena, message), .time_ms = world->now_ms};
    record->msg_id = message_header(&record->message, BUS_HEADER_MSG_ID);
    record->due_ms = world->now_ms;
    return (BusStored){.sequence = world->count};
}

void world_signal(World *world, const char *subject, const char *msg_id)
{
    Err err;
    BusMessage message = {.subject = str_from(subject), .body = str_from(signal_body)};
    bus_message_add(&message, BUS_HEADER_MSG_ID, str_from(msg_id));
    bus_message_add(&message, BUS_HEADER_REPLY, STR("tai.reply.gateway.1"));
    (void)world_store(world, &message, &err);
    cr_assert(!err_is(err), "%s", err.why);
}

/* The record as the bus would hand it out, through the bus's own reader of messages. */
BusDelivery world_delivery(World *world, const Record *record, LaneName lane)
{
    char reply[200];
    Buffer text = buffer_over(reply, sizeof(reply));
    size_t sequence = (size_t)(record - world->records) + 1;
    buffer_print(&text, "$JS.ACK.PAYMENT.%s.%llu.%zu.%zu.%lld000000.0", lane == LANE_POLICY ? "policy" : "charge",
                 (unsigned long long)record->delivered, sequence, sequence, (long long)record->time_ms);
    natsMsg *message = NULL;
    char *subject = strndup(record->message.subject.data, record->message.subject.length);
    natsStatus status =
        natsMsg_Create(&message, subject, reply, record->message.body.data, (int)record->message.body.length);
    for (size_t i = 0; i < record->message.header_count && status == NATS_OK; i++) {
        char *value = strndup(record->message.headers[i].value.data, record->message.headers[i].value.length);
        status = natsMsgHeader_Set(message, record->message.headers[i].name, value);
        free(value);
    }
    cr_assert_eq(status, NATS_OK);
    free(subject);
    return bus_delivery_from(message);
}

/* --- what must hold ------------------------------------------------------------------------------------------------
 */

size_t world_count(const World *world, const char *prefix)
{
    size_t count = 0;
    for (size_t i = 0; i < world->count; i++) {
        count += str_starts_with(world->records[i].message.subject, str_from(prefix)) ? 1 : 0;
    }
    return count;
}

PaymentStatus world_outcome(const World *world)
{
    Arena arena = arena_make(16384, 1 << 20);
    PaymentOutcome outcome = {.status = PAYMENT_PENDING};
    for (size_t i = 0; i < world->count; i++) {
        if (str_starts_with(world->records[i].message.subject, STR("tai.payment.outcome."))) {
            Err err = wire_decode_payment_outcome(&arena, world->records[i].message.body, &outcome);
            cr_assert(!err_is(err), "%s", err.why);
        }
    }
    arena_release(&arena);
    return outcome.status;
}

bool world_has_died(const World *world)
{
    return world->death == sizeof(world->deaths) / sizeof(world->deaths[0]) || world->deaths[world->death].effect == 0;
}

static void check_that(const World *world, bool holds, const char *what)
{
    cr_assert(holds, "%s\n%s", what, world->text.data);
}

void world_check(const World *world)
{
    size_t outcomes = world_count(world, "tai.payment.outcome.");
    size_t letters = world_count(world, "tai.dead.");
    PaymentStatus status = world_outcome(world);
    check_that(world, world->captured <= 1, "charged twice");
    check_that(world, world->other_keys == 0, "a second key for the transaction");
    check_that(world, outcomes <= 1, "two outcomes");
    check_that(world, outcomes + letters == 1, "not exactly one outcome or dead letter");
    check_that(world, world->captured == 0 || status == PAYMENT_SUCCESS || letters == 1, "charged, and not SUCCESS");
    check_that(world, status != PAYMENT_SUCCESS || world->captured == 1, "SUCCESS without a charge");
    check_that(world, status != PAYMENT_DECLINED || world->declined, "DECLINED by nobody");
    check_that(world, status != PAYMENT_REJECTED || world->received == 0, "REJECTED, and asked for the money");
    check_that(world, world_count(world, "tai.payment.decision.") <= 1, "decided twice");
    for (size_t i = 0; i < world->count; i++) {
        Str subject = world->records[i].message.subject;
        bool is_work = str_starts_with(subject, STR("tai.payment.signal.")) ||
                       str_equal(subject, STR("tai.payment.decision.approved"));
        check_that(world, !is_work || world->records[i].acked, "a message is left over");
    }
}

void world_expect(const World *world, const char *golden)
{
    cr_assert_not(world->text.overflow);
    cr_assert_str_eq(world->text.data, golden, "is:\n%s\nshould be:\n%s", world->text.data, golden);
}

void world_end(World *world, const char *golden)
{
    world_run_all(world);
    world_expect(world, golden);
    world_check(world);
    world_free(world);
}

void world_die(World *world, int effect, bool after)
{
    world->deaths[0] = (Death){effect, after};
}
