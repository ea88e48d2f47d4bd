/* The payment as JSON: what is taken, and for everything else the reason. */
#include "tests/unit/wire/samples.h"

#define REST "\"customer_id\":\"c\",\"merchant_id\":\"m\"}"
#define WITH_AMOUNT(text) STR("{\"amount\":" text ",\"currency\":\"USD\"," REST)
#define WITH_MORE(text) STR("{\"amount\":1,\"currency\":\"USD\"," text "," REST)

Test(request, the_payment_of_the_readme_is_taken_as_it_stands)
{
    Arena arena = sample_arena();
    PaymentSignal signal;
    Str body = STR("{\"amount\": 99.99, \"customer_id\": \"cust_123\", \"currency\": \"USD\", "
                   "\"merchant_id\": \"merc_456\"}");
    sample_assert_ok(wire_decode_payment_signal_json(&arena, body, &signal));
    sample_assert_text(signal.customer_id, "cust_123", "customer_id");
    sample_assert_text(signal.merchant_id, "merc_456", "merchant_id");
    cr_assert(sample_same_money(signal.money, (Money){9999, "USD"}));
    cr_assert_eq(signal.transaction_id.length, 0);
    cr_assert_eq(signal.received_ms, 0);
    cr_assert_eq(signal.metadata_count, 0);
    arena_release(&arena);
}

Test(request, every_member_is_taken_in_any_order_and_with_escapes)
{
    Arena arena = sample_arena();
    PaymentSignal signal;
    Str body = STR("\r\n\t {\"metadata\":{\"order\":\"A-17\",\"amount\":\"5\"},\"description\":\"two \\u0062ooks\","
                   "\"payment_method\":\"pm_1\",\"merchant_id\":\"m\",\"customer_id\":\"c\",\"currency\":\"KWD\","
                   "\"amount\":1.234}\n");
    sample_assert_ok(wire_decode_payment_signal_json(&arena, body, &signal));
    sample_assert_text(signal.description, "two books", "description");
    sample_assert_text(signal.payment_method, "pm_1", "payment_method");
    cr_assert(sample_same_money(signal.money, (Money){1234, "KWD"}));
    cr_assert_eq(signal.metadata_count, 2);
    sample_assert_text(signal.metadata[0].key, "order", "key");
    sample_assert_text(signal.metadata[1].value, "5", "value");
    arena_release(&arena);
}

Test(request, an_amount_is_read_from_its_digits_and_never_through_a_double)
{
    const struct {
        Str body;
        int64_t minor;
    } table[] = {
        {WITH_AMOUNT("0.01"), 1},
        {WITH_AMOUNT("1"), 100},
        {WITH_AMOUNT("1.500"), 150},
        {WITH_AMOUNT("1e2"), 10000},
        {WITH_AMOUNT("4.35"), 435},
        {WITH_AMOUNT("1.15"), 115},
        {WITH_AMOUNT("9999999999999.99"), MONEY_MAX_MINOR},
    };
    Arena arena = sample_arena();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        PaymentSignal signal;
        sample_assert_ok(wire_decode_payment_signal_json(&arena, table[i].body, &signal));
        cr_assert(signal.money.minor == table[i].minor, "%.*s", STR_ARG(table[i].body));
    }
    arena_release(&arena);
}

typedef struct {
    Str body;
    const char *reason;
} Refusal;

static void assert_all_refused(const Refusal *table, size_t count)
{
    Arena arena = sample_arena();
    for (size_t i = 0; i < count; i++) {
        PaymentSignal signal;
        Err err = wire_decode_payment_signal_json(&arena, table[i].body, &signal);
        char what[160];
        Buffer name = buffer_over(what, sizeof(what));
        buffer_print(&name, "%.*s", (int)(table[i].body.length < 100 ? table[i].body.length : 100),
                     table[i].body.data ? table[i].body.data : "");
        sample_assert_refused(err, table[i].reason, what);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

#define ASSERT_ALL_REFUSED(table) assert_all_refused(table, sizeof(table) / sizeof((table)[0]))

Test(request, what_is_not_json_is_refused_with_its_place)
{
    const Refusal table[] = {
        {STR(""), "body: empty"},
        {STR("hello"), "not JSON: line 1 column 5: invalid token"},
        {STR("{\"amount\": 99.99, \"cust"), "not JSON: line 1 column 23: premature end of input"},
        {STR("{\"amount\": 99.99"), "not JSON: line 1 column 16: '}' expected near end of file"},
        {STR("{\"amount\": 1}\n x"), "not JSON: line 2 column 2: end of file expected"},
        {STR("{} {}"), "not JSON: line 1 column 4: end of file expected"},
        {STR("{\"amount\": NaN}"), "not JSON: line 1 column 14: invalid token"},
        {STR("{\"amount\": Infinity}"), "not JSON: line 1 column 19: invalid token"},
        {STR("{\"amount\": -Infinity}"), "not JSON: line 1 column 12: invalid token"},
        {STR("{\"amount\": 01}"), "not JSON: line 1 column 12: invalid token"},
        {STR("{\"amount\": 1.}"), "not JSON: line 1 column 13: invalid token"},
        {STR("{\"amount\": +1}"), "not JSON: line 1 column 12: invalid token"},
        {STR("{'amount': 1}"), "not JSON: line 1 column 2: string or '}' expected"},
        {STR("{\"amount\": 1,}"), "not JSON: line 1 column 14: string or '}' expected"},
        {STR("// hi\n{}"), "not JSON: line 1 column 1: invalid token"},
        {STR("\xEF\xBB\xBF{}"), "not JSON: line 1 column 1: invalid token"},
        {STR("{\"description\": \"\xC3\x28\"}"), "not JSON: line 1 column 17: unable to decode byte 0xc3"},
        {STR("{\"description\": \"\xED\xA0\x80\"}"), "not JSON: line 1 column 17: unable to decode byte 0xed"},
        {STR("{\"description\": \"\xC0\xAF\"}"), "not JSON: line 1 column 17: unable to decode byte 0xc0"},
        {STR("{\"description\": \"\\ud800\"}"), "not JSON: line 1 column 24: invalid Unicode '\\uD800'"},
        {STR("{\"description\": \"\\udc00x\"}"), "not JSON: line 1 column 25: invalid Unicode '\\uDC00'"},
        {STR("{\"description\": \"a\nb\"}"), "not JSON: line 1 column 18: unexpected newline"},
        {STR("{\"description\": \"\\x\"}"), "not JSON: line 1 column 19: invalid escape"},
        {STR("[1]"), "must be a JSON object"},
        {STR("12"), "must be a JSON object"},
        {STR("null"), "must be a JSON object"},
        {STR("\"{}\""), "must be a JSON object"},
    };
    ASSERT_ALL_REFUSED(table);
}

Test(request, what_would_be_read_in_two_ways_is_refused)
{
    const Refusal table[] = {
        {STR("{\"amount\":1,\"amount\":2}"), "duplicate member at line 1 column 20"},
        {STR("{\"amount\":1,\"\\u0061mount\":2}"), "duplicate member at line 1 column 25"},
        {STR("{\"\\u0061mount\":1,\"currency\":\"USD\"," REST), "amount: its name must be written without escapes"},
        {STR("{\"metadata\":{\"a\":\"1\",\"a\":\"2\"}}"), "duplicate member at line 1 column 24"},
        {STR("{\"amount\":1}\0{}"), "not JSON: holds a NUL byte"},
        {STR("{\"amount\":1,\"description\":\"a\0b\"}"), "not JSON: holds a NUL byte"},
        {STR("{\"description\":\"a\\u0000b\"}"), "NUL in a string at line 1 column 25"},
        {STR("{\"a\\u0000b\":1}"), "NUL in a string at line 1 column 11"},
        {WITH_AMOUNT("1e999"), "number out of range at line 1 column 15"},
        {WITH_AMOUNT("-1e999"), "number out of range at line 1 column 16"},
        {WITH_AMOUNT("9223372036854775808"), "number out of range at line 1 column 29"},
        {WITH_AMOUNT("99999999999999999999999999"), "number out of range at line 1 column 36"},
    };
    ASSERT_ALL_REFUSED(table);
}

Test(request, an_amount_that_no_card_could_be_charged_is_refused)
{
    const Refusal table[] = {
        {WITH_AMOUNT("0"), "amount: must be more than zero"},
        {WITH_AMOUNT("0.00"), "amount: must be more than zero"},
        {WITH_AMOUNT("-0"), "amount: must be more than zero"},
        {WITH_AMOUNT("-5"), "amount: must be more than zero"},
        {WITH_AMOUNT("0.001"), "amount: has more digits after the point than its currency, which has 2"},
        {WITH_AMOUNT("1e-3"), "amount: has more digits after the point than its currency, which has 2"},
        {WITH_AMOUNT("10000000000000.00"), "amount: is more than 999999999999999 minor units of its currency"},
        {WITH_AMOUNT("1e300"), "amount: is more than 999999999999999 minor units of its currency"},
        {WITH_AMOUNT("9223372036854775807"), "amount: is more than 999999999999999 minor units of its currency"},
        {WITH_AMOUNT("\"5\""), "amount: must be a number"},
        {WITH_AMOUNT("null"), "amount: must be a number"},
        {WITH_AMOUNT("true"), "amount: must be a number"},
        {WITH_AMOUNT("[5]"), "amount: must be a number"},
        {STR("{\"amount\":1.5,\"currency\":\"JPY\"," REST),
         "amount: has more digits after the point than its currency, which has 0"},
        {STR("{\"amount\":1,\"currency\":\"usd\"," REST), "currency: is no active ISO 4217 code such as USD"},
        {STR("{\"amount\":1,\"currency\":\"XXX\"," REST), "currency: is no active ISO 4217 code such as USD"},
        {STR("{\"amount\":1,\"currency\":\"\"," REST), "currency: is no active ISO 4217 code such as USD"},
        {STR("{\"amount\":1,\"currency\":840," REST), "currency: must be a string"},
    };
    ASSERT_ALL_REFUSED(table);
}

Test(request, missing_unknown_and_mistyped_members_are_named)
{
    const Refusal table[] = {
        {STR("{}"), "amount: missing"},
        {STR("{\"amount\":1}"), "currency: missing"},
        {STR("{\"amount\":1,\"currency\":\"USD\",\"merchant_id\":\"m\"}"), "customer_id: missing"},
        {STR("{\"amount\":1,\"currency\":\"USD\",\"customer_id\":\"c\"}"), "merchant_id: missing"},
        {STR("{\"amout\":1}"), "unknown member \"amout\""},
        {WITH_MORE("\"transaction_id\":\"t\""), "unknown member \"transaction_id\""},
        {WITH_MORE("\"received_ms\":5"), "unknown member \"received_ms\""},
        {WITH_MORE("\"\":5"), "unknown member \"\""},
        {WITH_MORE("\"a\\nb\":5"), "unknown member \"a?b\""},
        {WITH_MORE("\"4242424242424242\":5"), "unknown member in the body"},
        {WITH_MORE("\"description\":null"), "description: must be a string"},
        {WITH_MORE("\"payment_method\":7"), "payment_method: must be a string"},
        {STR("{\"customer_id\":17}"), "customer_id: must be a string"},
        {WITH_MORE("\"metadata\":[]"), "metadata: must be an object of strings"},
        {WITH_MORE("\"metadata\":null"), "metadata: must be an object of strings"},
        {WITH_MORE("\"metadata\":{\"a\":\"b\",\"c\":5}"), "metadata: entry 2 must be a string"},
        {WITH_MORE("\"metadata\":{\"a\":{}}"), "nested deeper than 2 levels"},
        {WITH_MORE("\"x\":[[[[[[[[[["), "nested deeper than 2 levels"},
    };
    ASSERT_ALL_REFUSED(table);
}

static void assert_refused_by_rule(Str body, const char *member)
{
    Arena arena = sample_arena();
    PaymentSignal signal;
    Err err = wire_decode_payment_signal_json(&arena, body, &signal);
    cr_assert(err.kind == ERR_REJECT, "%.*s was taken", STR_ARG(body));
    cr_assert(str_starts_with(str_from(err.why), str_from(member)), "\"%s\" does not begin with %s", err.why, member);
    arena_release(&arena);
}

Test(request, the_rules_of_a_signal_are_applied)
{
    assert_refused_by_rule(STR("{\"amount\":1,\"currency\":\"USD\",\"customer_id\":\"\",\"merchant_id\":\"m\"}"),
                           "customer_id: ");
    assert_refused_by_rule(STR("{\"amount\":1,\"currency\":\"USD\",\"customer_id\":\"a b\",\"merchant_id\":\"m\"}"),
                           "customer_id: ");
    assert_refused_by_rule(STR("{\"amount\":1,\"currency\":\"USD\",\"customer_id\":\"c\",\"merchant_id\":\"\\u0001\"}"),
                           "merchant_id: ");
    assert_refused_by_rule(WITH_MORE("\"description\":\"card 4242 4242 4242 4242\""), "description: ");
    assert_refused_by_rule(WITH_MORE("\"metadata\":{\"card\":\"4242424242424242\"}"), "metadata");
    assert_refused_by_rule(WITH_MORE("\"metadata\":{\"\":\"empty\"}"), "metadata");
}

Test(request, ids_of_128_characters_pass_and_longer_ones_do_not)
{
    Arena arena = sample_arena();
    char id[130];
    memset(id, 'c', sizeof(id));
    for (int length = 128; length <= 129; length++) {
        PaymentSignal signal;
        Str body = arena_print(
            &arena, "{\"amount\":1,\"currency\":\"USD\",\"customer_id\":\"%.*s\",\"merchant_id\":\"m\"}", length, id);
        Err err = wire_decode_payment_signal_json(&arena, body, &signal);
        cr_assert_eq(err_is(err), length == 129);
    }
    arena_release(&arena);
}

Test(request, fifty_pairs_of_metadata_pass_and_fifty_one_do_not)
{
    Arena arena = sample_arena();
    for (int count = 50; count <= 51; count++) {
        Buffer body = arena_buffer(&arena, 4096);
        buffer_append(&body, STR("{\"amount\":1,\"currency\":\"USD\",\"metadata\":{"));
        for (int i = 0; i < count; i++) {
            buffer_print(&body, "%s\"k%d\":\"v\"", i > 0 ? "," : "", i);
        }
        buffer_append(&body, STR("}," REST));
        PaymentSignal signal;
        Err err = wire_decode_payment_signal_json(&arena, buffer_str(&body), &signal);
        if (count == 50) {
            sample_assert_ok(err);
            cr_assert_eq(signal.metadata_count, 50);
        } else {
            sample_assert_refused(err, "metadata: more than 50 entries", "51 entries");
        }
    }
    arena_release(&arena);
}

Test(request, a_body_of_64_kib_is_read_and_a_byte_more_is_refused)
{
    Arena arena = sample_arena();
    Str start = WITH_AMOUNT("5");
    for (size_t length = 65536; length <= 65537; length++) {
        char *body = arena_alloc(&arena, length);
        memset(body, ' ', length);
        memcpy(body, start.data, start.length);
        PaymentSignal signal;
        Err err = wire_decode_payment_signal_json(&arena, (Str){body, length}, &signal);
        if (length == 65536) {
            sample_assert_ok(err);
        } else {
            sample_assert_refused(err, "body: longer than 65536 bytes", "one byte more");
        }
    }
    arena_release(&arena);
}

Test(request, ten_thousand_open_brackets_are_refused_before_anything_recurses)
{
    Arena arena = sample_arena();
    char body[10000];
    memset(body, '[', sizeof(body));
    PaymentSignal signal;
    Err err = wire_decode_payment_signal_json(&arena, (Str){body, sizeof(body)}, &signal);
    sample_assert_refused(err, "nested deeper than 2 levels", "[[[[");
    arena_release(&arena);
}

Test(request, a_reason_never_repeats_a_value)
{
    Arena arena = sample_arena();
    const Str bodies[] = {
        STR("{\"amount\": 4242424242424242x}"),
        STR("{\"customer_id\": \"4242424242424242\", \"description\": 4242424242424242}"),
        STR("4242424242424242 x"),
        STR("{\"4242424242424242\":1,\"4242424242424242\":2}"),
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        PaymentSignal signal;
        Err err = wire_decode_payment_signal_json(&arena, bodies[i], &signal);
        cr_assert(err_is(err));
        cr_assert(strstr(err.why, "4242") == NULL, "%s", err.why);
    }
    arena_release(&arena);
}
