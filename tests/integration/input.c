/* input - everything that is no payment: refused precisely over HTTP without a trace on the ledger, buried with a
 * reason when published directly, and the lane goes on either way. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/pay.h"

#define REST "\"customer_id\":\"c1\",\"merchant_id\":\"m1\""
#define USD "\"currency\":\"USD\","
#define GOOD "{\"amount\":1," USD REST "}"

typedef struct {
    const char *what;
    const char *body;
    size_t length; /* 0: strlen */
} Bad;

#define BYTES(text) text, sizeof(text) - 1
#define X32 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG_ID X32 X32 X32 X32 "x" /* 129 */

/* Every line of it is refused by both ways in. */
static const Bad bad_bodies[] = {
    {"not JSON", "hello", 0},
    {"JSON but no object", "[1,2]", 0},
    {"a string", "\"amount\"", 0},
    {"null", "null", 0},
    {"truncated", "{\"amount\":1," USD "\"customer_id\":\"c1\"", 0},
    {"truncated in a string", "{\"amount\":1," USD "\"customer_id\":\"c", 0},
    {"trailing bytes", GOOD " {}", 0},
    {"two documents", GOOD GOOD, 0},
    {"trailing comma", "{\"amount\":1," USD REST ",}", 0},
    {"single quotes", "{'amount':1," USD REST "}", 0},
    {"a comment", "{/* */\"amount\":1," USD REST "}", 0},
    {"an amount in a string", "{\"amount\":\"1\"," USD REST "}", 0},
    {"an amount that is true", "{\"amount\":true," USD REST "}", 0},
    {"an amount that is null", "{\"amount\":null," USD REST "}", 0},
    {"an amount that is an object", "{\"amount\":{}," USD REST "}", 0},
    {"a customer that is a number", "{\"amount\":1," USD "\"customer_id\":7,\"merchant_id\":\"m1\"}", 0},
    {"a currency that is a list", "{\"amount\":1,\"currency\":[\"USD\"]," REST "}", 0},
    {"no amount", "{" USD REST "}", 0},
    {"no currency", "{\"amount\":1," REST "}", 0},
    {"no customer", "{\"amount\":1," USD "\"merchant_id\":\"m1\"}", 0},
    {"no merchant", "{\"amount\":1," USD "\"customer_id\":\"c1\"}", 0},
    {"nothing in it", "{}", 0},
    {"an amount twice", "{\"amount\":1,\"amount\":2," USD REST "}", 0},
    {"a customer twice", "{\"amount\":1," USD REST ",\"customer_id\":\"c2\"}", 0},
    {"a metadata key twice", "{\"amount\":1," USD REST ",\"metadata\":{\"a\":\"1\",\"a\":\"2\"}}", 0},
    {"an unknown member", "{\"amount\":1," USD REST ",\"ammount\":2}", 0},
    {"NaN", "{\"amount\":NaN," USD REST "}", 0},
    {"Infinity", "{\"amount\":Infinity," USD REST "}", 0},
    {"-Infinity", "{\"amount\":-Infinity," USD REST "}", 0},
    {"1e999", "{\"amount\":1e999," USD REST "}", 0},
    {"zero", "{\"amount\":0," USD REST "}", 0},
    {"zero with digits", "{\"amount\":0.00," USD REST "}", 0},
    {"minus zero", "{\"amount\":-0," USD REST "}", 0},
    {"negative", "{\"amount\":-1," USD REST "}", 0},
    {"a plus sign", "{\"amount\":+1," USD REST "}", 0},
    {"a leading zero", "{\"amount\":01," USD REST "}", 0},
    {"hexadecimal", "{\"amount\":0x10," USD REST "}", 0},
    {"three digits of USD", "{\"amount\":1.001," USD REST "}", 0},
    {"one digit of JPY", "{\"amount\":1.5,\"currency\":\"JPY\"," REST "}", 0},
    {"four digits of KWD", "{\"amount\":1.0001,\"currency\":\"KWD\"," REST "}", 0},
    {"a tiny amount", "{\"amount\":1e-3," USD REST "}", 0},
    {"past the largest amount", "{\"amount\":10000000000000.00," USD REST "}", 0},
    {"past 64 bits", "{\"amount\":99999999999999999999999999," USD REST "}", 0},
    {"an unknown currency", "{\"amount\":1,\"currency\":\"XXQ\"," REST "}", 0},
    {"a lower-case currency", "{\"amount\":1,\"currency\":\"usd\"," REST "}", 0},
    {"an empty currency", "{\"amount\":1,\"currency\":\"\"," REST "}", 0},
    {"an empty customer", "{\"amount\":1," USD "\"customer_id\":\"\",\"merchant_id\":\"m1\"}", 0},
    {"an empty merchant", "{\"amount\":1," USD "\"customer_id\":\"c1\",\"merchant_id\":\"\"}", 0},
    {"a customer of 129", "{\"amount\":1," USD "\"customer_id\":\"" LONG_ID "\",\"merchant_id\":\"m1\"}", 0},
    {"a customer with a space", "{\"amount\":1," USD "\"customer_id\":\"c 1\",\"merchant_id\":\"m1\"}", 0},
    {"a customer with a star", "{\"amount\":1," USD "\"customer_id\":\"c*\",\"merchant_id\":\"m1\"}", 0},
    {"a merchant with an umlaut", "{\"amount\":1," USD "\"customer_id\":\"c\",\"merchant_id\":\"m\xc3\xbc\"}", 0},
    {"an escaped new line in an id", "{\"amount\":1," USD "\"customer_id\":\"c\\n\",\"merchant_id\":\"m1\"}", 0},
    {"an escaped NUL in an id", "{\"amount\":1," USD "\"customer_id\":\"c\\u0000\",\"merchant_id\":\"m1\"}", 0},
    {"an escaped NUL in free text", "{\"amount\":1," USD REST ",\"description\":\"a\\u0000b\"}", 0},
    {"a bare control character", "{\"amount\":1," USD REST ",\"description\":\"a\x01z\"}", 0},
    {"a NUL byte in a string", BYTES("{\"amount\":1," USD REST ",\"description\":\"a\0b\"}")},
    {"a NUL byte at the end", BYTES(GOOD "\0")},
    {"an overlong UTF-8 form", "{\"amount\":1," USD REST ",\"description\":\"\xc0\xaf\"}", 0},
    {"a lone continuation byte", "{\"amount\":1," USD REST ",\"description\":\"\x80\"}", 0},
    {"a cut UTF-8 sequence", "{\"amount\":1," USD REST ",\"description\":\"\xe2\x82\"}", 0},
    {"a surrogate in UTF-8", "{\"amount\":1," USD REST ",\"description\":\"\xed\xa0\x80\"}", 0},
    {"a lone escaped surrogate", "{\"amount\":1," USD REST ",\"description\":\"\\ud800\"}", 0},
    {"a card number", "{\"amount\":1," USD REST ",\"description\":\"card 4242424242424242\"}", 0},
    {"a card number with spaces", "{\"amount\":1," USD REST ",\"description\":\"4242 4242 4242 4242\"}", 0},
    {"a card number with dashes", "{\"amount\":1," USD REST ",\"metadata\":{\"n\":\"3782-822463-10005\"}}", 0},
    {"a card number as a metadata key", "{\"amount\":1," USD REST ",\"metadata\":{\"4242424242424242\":\"x\"}}", 0},
    {"metadata that is a list", "{\"amount\":1," USD REST ",\"metadata\":[]}", 0},
    {"metadata of numbers", "{\"amount\":1," USD REST ",\"metadata\":{\"a\":1}}", 0},
    {"metadata in metadata", "{\"amount\":1," USD REST ",\"metadata\":{\"a\":{}}}", 0},
};
#define BAD_COUNT (sizeof bad_bodies / sizeof bad_bodies[0])

static size_t bad_length(const Bad *bad)
{
    return bad->length ? bad->length : strlen(bad->body);
}

/* `depth` brackets that open where a value may stand, and close again. */
static const char *nested(Stack *stack, size_t depth)
{
    char *opened = stack_keep(stack, NULL, depth);
    char *closed = stack_keep(stack, NULL, depth);
    memset(opened, '[', depth);
    memset(closed, ']', depth);
    return stack_print(stack, "{\"amount\":1," USD REST ",\"metadata\":%s%s}", opened, closed);
}

/* A valid payment of exactly this many bytes, by white space. */
static const char *padded(Stack *stack, size_t length)
{
    char *body = stack_keep(stack, NULL, length);
    memset(body, ' ', length);
    memcpy(body, GOOD, strlen(GOOD));
    return body;
}

static const char *metadata_of(Stack *stack, int pairs, int key_length, int value_length)
{
    char *value = stack_keep(stack, NULL, (size_t)value_length);
    memset(value, 'v', (size_t)value_length);
    const char *members = "";
    for (int i = 0; i < pairs; i++) {
        members = stack_print(stack, "%s%s\"%0*d\":\"%s\"", members, i ? "," : "", key_length, i, value);
    }
    return stack_print(stack, "{\"amount\":1," USD REST ",\"metadata\":{%s}}", members);
}

static void check_refused(Stack *stack, const char *what, const char *body, size_t length, long status)
{
    Answer answer = http_call(stack, (Call){.method = "POST", .path = "/payment", .body = body, .body_length = length});
    cr_expect_eq(answer.status, status, "%s: %ld %s", what, answer.status, answer.body);
    if (answer.status == status) {
        check_problem(stack, &answer, status);
    }
    cr_expect_null(strstr(answer.body, "4242"), "%s: a card number comes back: %s", what, answer.body);
}

Test(input, bad_bodies_are_400_over_http_and_leave_no_trace)
{
    Stack *stack = stack_start(&(StackPlan){0});
    uint64_t before = ledger_count(stack, "PAYMENT");
    for (size_t i = 0; i < BAD_COUNT; i++) {
        check_refused(stack, bad_bodies[i].what, bad_bodies[i].body, bad_length(&bad_bodies[i]), 400);
    }
    check_refused(stack, "100 brackets", nested(stack, 100), 0, 400);
    check_refused(stack, "30000 brackets", nested(stack, 30000), 0, 400);
    check_refused(stack, "51 metadata", metadata_of(stack, 51, 2, 1), 0, 400);
    check_refused(stack, "a metadata key of 41", metadata_of(stack, 1, 41, 1), 0, 400);
    check_refused(stack, "a metadata value of 501", metadata_of(stack, 1, 2, 501), 0, 400);
    cr_assert_eq(ledger_count(stack, "PAYMENT"), before);
    cr_assert_eq(ledger_count(stack, "DEAD"), 0);
    cr_assert_eq(pay(stack, GOOD).status, 200);
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}

Test(input, bad_bodies_published_directly_are_buried_with_a_reason_and_the_lane_goes_on)
{
    Stack *stack = stack_start(&(StackPlan){0});
    for (size_t i = 0; i < BAD_COUNT; i++) {
        ledger_publish(stack, "tai.payment.signal.shop1", NULL, bad_bodies[i].body, bad_length(&bad_bodies[i]));
    }
    ledger_publish_text(stack, "tai.payment.signal.shop1.shop1-after", NULL, GOOD);
    outcome_wait(stack, "shop1-after");
    WAIT_UNTIL(ledger_lanes_are_empty(stack));
    Entries dead = ledger_read(stack, "DEAD", NULL);
    cr_assert_eq(dead.count, BAD_COUNT, "%zu of %zu", dead.count, BAD_COUNT);
    for (size_t i = 0; i < dead.count; i++) {
        cr_expect_str_eq(dead.entries[i].subject, "tai.dead.payment.policy");
        cr_expect(strlen(dead.entries[i].headers) > 20, "%s has no reason: %s", bad_bodies[i].what,
                  dead.entries[i].headers);
        cr_expect_null(strstr(dead.entries[i].headers, "4242424242424242"), "%s", dead.entries[i].headers);
    }
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.outcome.>"), 1);
    cr_assert_eq(sandbox_captured(stack, NULL), 1);
    stack_stop(stack);
}

Test(input, bytes_that_are_neither_json_nor_protobuf_are_buried)
{
    Stack *stack = stack_start(&(StackPlan){0});
    unsigned seed = 17;
    uint8_t noise[512];
    for (size_t length = 0; length < sizeof noise; length += 16) {
        for (size_t i = 0; i < length; i++) {
            noise[i] = (uint8_t)rand_r(&seed);
        }
        ledger_publish(stack, "tai.payment.signal.shop1", NULL, noise, length);
    }
    const char *large = padded(stack, 65 * 1024);
    ledger_publish(stack, "tai.payment.signal.shop1", NULL, large, 65 * 1024);
    ledger_publish_text(stack, "tai.payment.signal.shop1", NULL, nested(stack, 30000));
    WAIT_UNTIL(ledger_count(stack, "DEAD") == sizeof noise / 16 + 2);
    cr_assert_eq(pay(stack, GOOD).status, 200);
    stack_stop(stack);
}

Test(input, subjects_that_name_no_id_are_buried_or_refused)
{
    static const char *const subjects[] = {
        "tai.payment.signal.shop1.a.b",
        "tai.payment.signal.shop1.order=1",
        "tai.payment.signal.shop1.txn_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "tai.payment.signal.sh\xc3\xb6p",
    };
    Stack *stack = stack_start(&(StackPlan){0});
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        ledger_publish_text(stack, subjects[i], NULL, GOOD);
        WAIT_UNTIL(ledger_count(stack, "DEAD") == i + 1);
    }
    cr_assert_eq(pay(stack, GOOD).status, 200);
    stack_stop(stack);
}

Test(input, bounds_are_where_they_are_said_to_be)
{
    Stack *stack = stack_start(&(StackPlan){0});
    uint64_t before = ledger_count(stack, "PAYMENT");
    check_refused(stack, "64 KiB and one", padded(stack, 64 * 1024 + 1), 64 * 1024 + 1, 413);
    check_refused(stack, "a megabyte", padded(stack, 1024 * 1024), 1024 * 1024, 413);
    cr_assert_eq(ledger_count(stack, "PAYMENT"), before);
    Answer largest = http_call(
        stack,
        (Call){.method = "POST", .path = "/payment", .body = padded(stack, 64 * 1024), .body_length = 64 * 1024});
    cr_assert_eq(largest.status, 200, "%s", largest.body);
    Answer metadata = pay(stack, metadata_of(stack, 50, 40, 500));
    cr_assert_eq(metadata.status, 200, "%s", metadata.body);
    Answer customer = pay(stack, pay_body(stack, X32 X32 X32 X32, "9999999999999.99", "USD"));
    cr_assert_eq(customer.status, 502, "%s", customer.body); /* more than the gateway takes, but whole */
    cr_assert_not_null(strstr(customer.body, "\"amount\":9999999999999.99,"), "%s", customer.body);
    stack_stop(stack);
}

Test(input, methods_paths_and_media_types_that_are_not_served)
{
    static const struct {
        Call call;
        long status;
        const char *allow;
    } rows[] = {
        {{.method = "GET", .path = "/"}, 404, ""},
        {{.method = "GET", .path = "/nothing"}, 404, ""},
        {{.method = "GET", .path = "/payment/"}, 404, ""},
        {{.method = "GET", .path = "/payment/a/b"}, 404, ""},
        {{.method = "GET", .path = "/payment"}, 405, "POST"},
        {{.method = "DELETE", .path = "/payment"}, 405, "POST"},
        {{.method = "PATCH", .path = "/payment", .body = GOOD}, 405, "POST"},
        {{.method = "POST", .path = "/metrics", .body = GOOD}, 405, "GET"},
        {{.method = "POST", .path = "/payment/txn_x", .body = GOOD}, 405, "GET"},
        {{.method = "POST", .path = "/payment", .body = GOOD, .headers = "Content-Type: text/plain"}, 415, ""},
        {{.method = "POST", .path = "/payment", .body = GOOD, .headers = "Content-Type: application/xml"}, 415, ""},
        {{.method = "POST", .path = "/payment", .body = GOOD, .headers = "Content-Type:"}, 415, ""},
        {{.method = "POST", .path = "/payment", .body = "", .headers = ""}, 400, ""},
    };
    Stack *stack = stack_start(&(StackPlan){0});
    uint64_t before = ledger_count(stack, "PAYMENT");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Answer answer = http_call(stack, rows[i].call);
        cr_expect_eq(answer.status, rows[i].status, "%s %s (%s): %ld %s", rows[i].call.method, rows[i].call.path,
                     rows[i].call.headers ? rows[i].call.headers : "", answer.status, answer.body);
        cr_expect_not_null(strstr(http_header(stack, &answer, "Allow"), rows[i].allow), "%s", answer.headers);
    }
    cr_assert_eq(ledger_count(stack, "PAYMENT"), before);
    Answer parameters = pay_with(stack, GOOD, "Content-Type: application/json; charset=utf-8");
    cr_assert_eq(parameters.status, 200, "%s", parameters.body);
    stack_stop(stack);
}

/* --- broken and slow HTTP -------------------------------------------------------------------------------------- */

#define POST_HEAD "POST /payment HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

Test(input, chunked_bodies_are_read_whole_and_bounded)
{
    Stack *stack = stack_start(&(StackPlan){0});
    const char *body = NULL;
    const char *good = stack_print(stack,
                                   POST_HEAD "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n%.5s\r\n"
                                             "%zx\r\n%s\r\n0\r\n\r\n",
                                   GOOD, strlen(GOOD) - 5, &GOOD[5]);
    cr_expect_eq(raw_ask(stack, good, strlen(good), &body), 200, "%s", body);
    const char *broken = POST_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n";
    long status = raw_ask(stack, broken, strlen(broken), &body);
    cr_expect(status == 400 || status == 0, "%ld %s", status, body);
    int connection = raw_open(stack, STACK_GATEWAY);
    raw_print(connection, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        raw_print(connection, "1000\r\n%s\r\n", padded(stack, 4096));
    }
    raw_print(connection, "0\r\n\r\n");
    const char *answer = raw_read(stack, connection, "\r\n", PATIENCE_MS);
    cr_expect(strstr(answer, " 413 ") || !*answer, "%s", answer);
    close(connection);
    WAIT_UNTIL(ledger_lanes_are_empty(stack));
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.signal.>"), 1);
    stack_stop(stack);
}

Test(input, a_request_that_is_no_http_or_says_its_length_twice_is_refused)
{
    static const char *const rows[] = {
        "NONSENSE\r\n\r\n",
        "POST /payment\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        POST_HEAD "Content-Length: 5\r\nContent-Length: 67\r\n\r\n" GOOD,
        POST_HEAD "Content-Length: -1\r\n\r\n" GOOD,
        POST_HEAD "Content-Length: abc\r\n\r\n" GOOD,
        POST_HEAD "Content-Length: 99999999999999999999\r\n\r\n" GOOD,
        POST_HEAD "Content-Length: 67\r\nTransfer-Encoding: chunked\r\n\r\n43\r\n" GOOD "\r\n0\r\n\r\n",
    };
    Stack *stack = stack_start(&(StackPlan){0});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *body = NULL;
        long status = raw_ask(stack, rows[i], strlen(rows[i]), &body);
        cr_expect(status == 0 || (status >= 400 && status < 500), "row %zu: %ld %s", i, status, body);
    }
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.signal.>"), 0);
    cr_assert_eq(pay(stack, GOOD).status, 200);
    stack_stop(stack);
}

Test(input, a_body_cut_short_by_a_closed_connection_leaves_no_trace)
{
    Stack *stack = stack_start(&(StackPlan){0});
    for (size_t sent = 0; sent < strlen(GOOD); sent += 7) {
        int connection = raw_open(stack, STACK_GATEWAY);
        raw_print(connection, POST_HEAD "Content-Length: %zu\r\n\r\n%.*s", strlen(GOOD), (int)sent, GOOD);
        close(connection);
    }
    cr_assert_eq(pay(stack, GOOD).status, 200);
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.signal.>"), 1);
    stack_stop(stack);
}

Test(input, a_half_closed_connection_is_answered)
{
    Stack *stack = stack_start(&(StackPlan){.sandbox = "--latency-ms 200"});
    const char *body = NULL;
    const char *request =
        stack_print(stack, POST_HEAD "Connection: close\r\nContent-Length: %zu\r\n\r\n%s", strlen(GOOD), GOOD);
    cr_assert_eq(raw_ask(stack, request, strlen(request), &body), 200, "%s", body);
    const char *cut = stack_print(stack, POST_HEAD "Content-Length: %zu\r\n\r\n%.10s", strlen(GOOD), GOOD);
    long status = raw_ask(stack, cut, strlen(cut), &body);
    cr_assert(status == 400 || status == 408 || status == 0, "%ld %s", status, body);
    cr_assert_eq(ledger_count_of(stack, "PAYMENT", "tai.payment.signal.>"), 1);
    stack_stop(stack);
}

Test(input, a_client_that_trickles_is_cut_off_while_others_are_served)
{
    Stack *stack = stack_start(&(StackPlan){.settings = "TAI_GATEWAY_RECEIVE_MS=1500 TAI_GATEWAY_IDLE_MS=1500"});
    int connection = raw_open(stack, STACK_GATEWAY);
    raw_print(connection, POST_HEAD "Content-Length: %zu\r\n\r\n", strlen(GOOD));
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    bool closed = false;
    for (size_t i = 0; i + 1 < strlen(GOOD) && !closed; i++) {
        cr_assert_lt(clock_monotonic_ms(), deadline_ms);
        raw_send(connection, &GOOD[i], 1);
        cr_assert_eq(pay(stack, pay_body(stack, stack_print(stack, "c%zu", i), "1", "USD")).status, 200);
        closed = raw_is_closed(connection, 200);
    }
    cr_assert(closed, "the whole body was trickled in");
    close(connection);
    stack_stop(stack);
}

Test(input, keep_alive_serves_many_requests_on_one_connection)
{
    Stack *stack = stack_start(&(StackPlan){0});
    int connection = raw_open(stack, STACK_GATEWAY);
    for (int i = 0; i < 5; i++) {
        const char *body = pay_body(stack, stack_print(stack, "c%d", i), "1", "USD");
        raw_print(connection, POST_HEAD "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
        const char *answer = raw_read(stack, connection, "\"merchant_id\":\"merc_456\"}", PATIENCE_MS);
        cr_assert_not_null(strstr(answer, " 200 "), "%s", answer);
        cr_assert_not_null(strstr(answer, "SUCCESS"), "%s", answer);
    }
    close(connection);
    stack_stop(stack);
}
