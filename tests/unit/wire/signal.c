/* A signal's two forms on the bus, and protobuf that no honest encoder writes. */
#include "tests/unit/wire/samples.h"

Test(signal, a_signal_comes_back_as_it_was_sent)
{
    Arena arena = sample_arena();
    PaymentSignal sent = sample_signal();
    Str body = wire_encode_payment_signal(&arena, &sent);
    PaymentSignal signal;
    sample_assert_ok(wire_decode_payment_signal(&arena, body, &signal));
    cr_assert(sample_same_signal(&signal, &sent));
    cr_assert_eq(signal.publisher.length, 0, "the publisher is in the subject, not in the body");
    arena_release(&arena);
}

Test(signal, a_signal_without_anything_optional_comes_back)
{
    Arena arena = sample_arena();
    PaymentSignal sent = {.customer_id = STR("c"), .merchant_id = STR("m"), .money = {500, "JPY"}};
    PaymentSignal signal;
    sample_assert_ok(wire_decode_payment_signal(&arena, wire_encode_payment_signal(&arena, &sent), &signal));
    cr_assert(sample_same_signal(&signal, &sent));
    arena_release(&arena);
}

Test(signal, fifty_long_pairs_of_metadata_come_back)
{
    Arena arena = sample_arena();
    static char value[PAYMENT_METADATA_VALUE_MAX];
    memset(value, 'v', sizeof(value));
    static PaymentMetadata metadata[PAYMENT_METADATA_MAX];
    for (size_t i = 0; i < PAYMENT_METADATA_MAX; i++) {
        metadata[i] = (PaymentMetadata){arena_print(&arena, "a_key_%zu", i), {value, sizeof(value)}};
    }
    PaymentSignal sent = sample_signal();
    sent.metadata = metadata;
    sent.metadata_count = PAYMENT_METADATA_MAX;
    PaymentSignal signal;
    sample_assert_ok(wire_decode_payment_signal(&arena, wire_encode_payment_signal(&arena, &sent), &signal));
    cr_assert(sample_same_signal(&signal, &sent));
    arena_release(&arena);
}

Test(signal, the_bytes_on_the_bus_do_not_change)
{
    Arena arena = sample_arena();
    PaymentSignal sent = {.customer_id = STR("c"), .merchant_id = STR("m"), .money = {500, "JPY"}, .received_ms = 1};
    Str body = wire_encode_payment_signal(&arena, &sent);
    Str golden = STR("\x12\x01"
                     "c\x1A\x01m\"\x08\x08\xF4\x03\x12\x03JPY@\x01");
    cr_assert(str_equal(body, golden));
    arena_release(&arena);
}

Test(signal, the_first_byte_that_is_not_white_space_tells_json_from_protobuf)
{
    Arena arena = sample_arena();
    PaymentSignal signal;
    Str body = STR(" \r\n\t{\"amount\":5,\"currency\":\"USD\",\"customer_id\":\"c\",\"merchant_id\":\"m\"}");
    sample_assert_ok(wire_decode_payment_signal(&arena, body, &signal));
    cr_assert_eq(signal.money.minor, 500);
    sample_assert_refused(wire_decode_payment_signal(&arena, STR("{"), &signal),
                          "not JSON: line 1 column 1: string or '}' expected near end of file", "{");
    sample_assert_refused(wire_decode_payment_signal(&arena, STR("hello"), &signal),
                          "body: neither a JSON object nor a tai.v1.PaymentSignal message", "hello");
    sample_assert_refused(wire_decode_payment_signal(&arena, STR(""), &signal), "body: empty", "nothing");
    arena_release(&arena);
}

/* A valid message, to which a test adds or changes one field: the last of a field counts. */
static void put_valid(Buffer *out)
{
    sample_put_bytes(out, 2, STR("c"));
    sample_put_bytes(out, 3, STR("m"));
    sample_put_bytes(out, 4, STR("\x08\x64\x12\x03USD"));
}

static void assert_refused(void (*put)(Buffer *), const char *reason)
{
    Arena arena = sample_arena();
    Buffer body = arena_buffer(&arena, 65536);
    put(&body);
    PaymentSignal signal;
    sample_assert_refused(wire_decode_payment_signal(&arena, buffer_str(&body), &signal), reason, reason);
    arena_release(&arena);
}

static void put_nul(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 6, STR("a\0b"));
}

static void put_trailing_nul(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 2, STR("c\0"));
}

static void put_bad_utf8(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 6, STR("\xC3("));
}

static void put_no_money(Buffer *out)
{
    sample_put_bytes(out, 2, STR("c"));
    sample_put_bytes(out, 3, STR("m"));
}

static void put_negative(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 4, STR("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x12\x03USD"));
}

static void put_huge(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 4, STR("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x12\x03USD"));
}

static void put_zero(Buffer *out)
{
    put_no_money(out);
    sample_put_bytes(out, 4, STR("\x08\x00\x12\x03USD"));
}

static void put_unknown_currency(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 4, STR("\x08\x64\x12\x04USDX"));
}

static void put_nul_currency(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 4, STR("\x08\x64\x12\x04USD\0"));
}

static void put_too_much_metadata(Buffer *out)
{
    put_valid(out);
    for (int i = 0; i < 51; i++) {
        sample_put_bytes(out, 7, STR("\x0A\x01k\x12\x01v"));
    }
}

static void put_double_metadata(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 7, STR("\x0A\x01k\x12\x01v"));
    sample_put_bytes(out, 7, STR("\x0A\x01k\x12\x01w"));
}

static void put_nul_metadata(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 7, STR("\x0A\x01k\x12\x03v\0w"));
}

static void put_negative_time(Buffer *out)
{
    put_valid(out);
    sample_put_number(out, 8, UINT64_MAX);
}

static void put_bad_transaction_id(Buffer *out)
{
    put_valid(out);
    sample_put_bytes(out, 1, STR("txn 1"));
}

static void put_wrong_wire_type(Buffer *out)
{
    put_valid(out);
    sample_put_number(out, 2, 5);
}

static void put_truncated(Buffer *out)
{
    put_valid(out);
    buffer_append(out, STR("\x32\x10 too short"));
}

/* 64 KiB of two-byte fields would take 40 times its size to unpack. */
static void put_many_empty_entries(Buffer *out)
{
    put_valid(out);
    for (int i = 0; i < 30000; i++) {
        sample_put_bytes(out, 7, (Str){0});
    }
}

static void put_many_unknown_fields(Buffer *out)
{
    put_valid(out);
    for (int i = 0; i < 20000; i++) {
        sample_put_number(out, 15, 1);
    }
}

Test(signal, what_no_honest_encoder_writes_is_refused_with_a_reason)
{
    static const char not_a_signal[] = "body: neither a JSON object nor a tai.v1.PaymentSignal message";
    assert_refused(put_nul, "description: holds a NUL");
    assert_refused(put_trailing_nul, "customer_id: holds a NUL");
    assert_refused(put_bad_utf8, "description: not UTF-8");
    assert_refused(put_no_money, "amount: missing");
    assert_refused(put_negative, "amount: must be more than zero");
    assert_refused(put_zero, "amount: must be more than zero");
    assert_refused(put_huge, "amount: is more than 999999999999999 minor units");
    assert_refused(put_unknown_currency, "currency: is no active ISO 4217 code such as USD");
    assert_refused(put_nul_currency, "currency: holds a NUL");
    assert_refused(put_too_much_metadata, "metadata: more than 50 entries");
    assert_refused(put_double_metadata, "metadata: a key stands twice");
    assert_refused(put_nul_metadata, "metadata: holds a NUL");
    assert_refused(put_negative_time, "received_ms: not a time in Unix ms");
    assert_refused(put_bad_transaction_id, "transaction_id: only A-Z a-z 0-9 _ . : - may stand in it");
    assert_refused(put_wrong_wire_type, not_a_signal);
    assert_refused(put_truncated, not_a_signal);
    assert_refused(put_many_empty_entries, not_a_signal);
    assert_refused(put_many_unknown_fields, not_a_signal);
}

Test(signal, a_field_that_a_newer_publisher_knows_is_passed_over)
{
    Arena arena = sample_arena();
    Buffer body = arena_buffer(&arena, 256);
    put_valid(&body);
    sample_put_bytes(&body, 99, STR("of the future"));
    PaymentSignal signal;
    sample_assert_ok(wire_decode_payment_signal(&arena, buffer_str(&body), &signal));
    cr_assert_eq(signal.money.minor, 100);
    arena_release(&arena);
}

Test(signal, every_cut_of_a_signal_is_refused_or_read_without_harm)
{
    Arena arena = sample_arena();
    PaymentSignal sent = sample_signal();
    Str body = wire_encode_payment_signal(&arena, &sent);
    for (size_t length = 0; length < body.length; length++) {
        Arena scratch = sample_arena();
        PaymentSignal signal;
        Err err = wire_decode_payment_signal(&scratch, str_slice(body, 0, length), &signal);
        cr_assert(err.kind == ERR_REJECT || !sample_same_signal(&signal, &sent));
        arena_release(&scratch);
    }
    arena_release(&arena);
}

Test(signal, a_protobuf_body_over_64_kib_is_refused)
{
    Arena arena = sample_arena();
    char *body = arena_alloc(&arena, PAYMENT_BODY_MAX + 1);
    memset(body, 0x12, PAYMENT_BODY_MAX + 1);
    PaymentSignal signal;
    Err err = wire_decode_payment_signal(&arena, (Str){body, PAYMENT_BODY_MAX + 1}, &signal);
    sample_assert_refused(err, "body: longer than 65536 bytes", "one byte more");
    arena_release(&arena);
}
