/* Tests of payment: the rules a signal must obey, sameness of requests, outcomes and their HTTP status. */
#include <criterion/criterion.h>
#include <string.h>

#include "shared/payment/payment.h"

static char long_text[2048];

static PaymentSignal good_signal(void)
{
    return (PaymentSignal){
        .transaction_id = STR("txn_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        .publisher = STR("shop1"),
        .customer_id = STR("cust_123"),
        .merchant_id = STR("merc_456"),
        .money = {9999, "USD"},
    };
}

static void passes(const PaymentSignal *signal)
{
    Err err = payment_signal_check(signal);
    cr_assert_not(err_is(err), "%s", err.why);
}

static void refused(const PaymentSignal *signal, const char *member)
{
    Err err = payment_signal_check(signal);
    cr_assert_eq(err.kind, ERR_REJECT, "%s passed", member);
    cr_assert(str_starts_with(str_from(err.why), str_from(member)), "%s: %s", member, err.why);
    cr_assert_eq(err.why[strlen(member)], ':');
}

static Str repeated(char byte, size_t length)
{
    memset(long_text, byte, sizeof long_text);
    cr_assert_leq(length, sizeof long_text);
    return (Str){long_text, length};
}

Test(payment, a_plain_signal_passes)
{
    PaymentSignal signal = good_signal();
    passes(&signal);
    signal.transaction_id = (Str){0};
    signal.publisher = (Str){0};
    passes(&signal);
}

Test(payment, ids_must_be_ids)
{
    static const Str bad[] = {{" ", 1}, {"a b", 3}, {"a/b", 3}, {"a*", 2}, {">", 1}, {"a\0b", 3}, {"\xC3\xA9", 2}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        PaymentSignal signal = good_signal();
        signal.transaction_id = bad[i];
        refused(&signal, "transaction_id");
        signal = good_signal();
        signal.publisher = bad[i];
        refused(&signal, "publisher");
        signal = good_signal();
        signal.customer_id = bad[i];
        refused(&signal, "customer_id");
        signal = good_signal();
        signal.merchant_id = bad[i];
        refused(&signal, "merchant_id");
        signal = good_signal();
        signal.payment_method = bad[i];
        refused(&signal, "payment_method");
    }
}

Test(payment, ids_have_1_to_128_characters)
{
    PaymentSignal signal = good_signal();
    signal.customer_id = (Str){0};
    refused(&signal, "customer_id");
    signal.customer_id = repeated('c', 128);
    passes(&signal);
    signal.customer_id.length = 129;
    refused(&signal, "customer_id");
    signal = good_signal();
    signal.merchant_id = STR("");
    refused(&signal, "merchant_id");
    signal.merchant_id = repeated('m', 129);
    refused(&signal, "merchant_id");
}

Test(payment, a_publisher_is_one_token)
{
    PaymentSignal signal = good_signal();
    signal.publisher = STR("shop.one");
    refused(&signal, "publisher");
    signal.publisher = STR("shop-one:2_x");
    passes(&signal);
}

Test(payment, money_must_be_in_range_and_in_a_currency)
{
    static const struct {
        Money money;
        const char *member; /* NULL: passes */
    } rows[] = {
        {{1, "USD"}, NULL},
        {{MONEY_MAX_MINOR, "JPY"}, NULL},
        {{0, "USD"}, "amount"},
        {{-1, "USD"}, "amount"},
        {{INT64_MIN, "USD"}, "amount"},
        {{MONEY_MAX_MINOR + 1, "USD"}, "amount"},
        {{INT64_MAX, "USD"}, "amount"},
        {{1, ""}, "currency"},
        {{1, "usd"}, "currency"},
        {{1, "XXX"}, "currency"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PaymentSignal signal = good_signal();
        signal.money = rows[i].money;
        if (rows[i].member == NULL)
            passes(&signal);
        else
            refused(&signal, rows[i].member);
    }
}

Test(payment, a_description_is_clean_text_of_at_most_500_characters)
{
    PaymentSignal signal = good_signal();
    signal.description = repeated('d', 500);
    passes(&signal);
    signal.description.length = 501;
    refused(&signal, "description");
    char accents[1002];
    for (size_t i = 0; i < sizeof accents; i += 2)
        memcpy(accents + i, "\xC3\xA9", 2);
    signal.description = (Str){accents, 1000};
    passes(&signal);
    signal.description = (Str){accents, 1002};
    refused(&signal, "description");

    static const Str bad[] = {
        {"a\0b", 3},
        {"a\nb", 3},
        {"\x1B[2J", 4},
        {"\x7F", 1},
        {"\xC2\x80", 2},
        {"\xC2\x9F", 2},
        {"\xFF", 1},
        {"\xC3", 1},
        {"4242 4242 4242 4242", 19},
        {"card 4242424242424242!", 22},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        signal.description = bad[i];
        refused(&signal, "description");
    }
    signal.description = (Str){"\xC2\xA0 \xE2\x80\xA8 4242", 10};
    passes(&signal);
}

Test(payment, a_card_number_is_no_payment_method)
{
    PaymentSignal signal = good_signal();
    signal.payment_method = STR("pm_card_visa");
    passes(&signal);
    signal.payment_method = STR("4242424242424242");
    refused(&signal, "payment_method");
    signal.payment_method = STR("4242-4242-4242-4242");
    refused(&signal, "payment_method");
}

Test(payment, a_refusal_never_repeats_what_was_refused)
{
    PaymentSignal signal = good_signal();
    signal.description = STR("4242424242424242");
    cr_assert_null(strstr(payment_signal_check(&signal).why, "4242"));
    signal = good_signal();
    signal.customer_id = STR("4242 4242 4242 4242");
    cr_assert_null(strstr(payment_signal_check(&signal).why, "4242"));
}

Test(payment, metadata_has_at_most_50_pairs_with_different_keys)
{
    char keys[PAYMENT_METADATA_MAX + 1][4];
    PaymentMetadata pairs[PAYMENT_METADATA_MAX + 1];
    for (size_t i = 0; i <= PAYMENT_METADATA_MAX; i++) {
        Buffer key = buffer_over(keys[i], sizeof keys[i]);
        buffer_print(&key, "k%zu", i);
        pairs[i] = (PaymentMetadata){buffer_str(&key), STR("v")};
    }
    PaymentSignal signal = good_signal();
    signal.metadata = pairs;
    signal.metadata_count = PAYMENT_METADATA_MAX;
    passes(&signal);
    signal.metadata_count = PAYMENT_METADATA_MAX + 1;
    refused(&signal, "metadata");
    signal.metadata_count = PAYMENT_METADATA_MAX;
    pairs[49].key = pairs[0].key;
    refused(&signal, "metadata");
}

Test(payment, metadata_keys_and_values_are_bounded_clean_text)
{
    static const struct {
        Str key;
        Str value;
        bool good;
    } rows[] = {
        {{"order", 5}, {"6735", 4}, true},
        {{"order", 5}, {0}, true},
        {{"kundennummer \xC3\xBC", 15}, {"\xF0\x9F\x98\x80", 4}, true},
        {{0}, {"v", 1}, false},
        {{"a[b]", 4}, {"v", 1}, false},
        {{"a]", 2}, {"v", 1}, false},
        {{"a\nb", 3}, {"v", 1}, false},
        {{"k", 1}, {"v\0", 2}, false},
        {{"k", 1}, {"\xFF", 1}, false},
        {{"\xC0\x80", 2}, {"v", 1}, false},
        {{"k", 1}, {"4242424242424242", 16}, false},
        {{"4242424242424242", 16}, {"v", 1}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PaymentMetadata pair = {rows[i].key, rows[i].value};
        PaymentSignal signal = good_signal();
        signal.metadata = &pair;
        signal.metadata_count = 1;
        if (rows[i].good)
            passes(&signal);
        else
            refused(&signal, "metadata");
    }
    static const struct {
        size_t key_length;
        size_t value_length;
        bool good;
    } bounds[] = {{40, 500, true}, {41, 1, false}, {1, 501, false}};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        PaymentMetadata pair = {repeated('x', bounds[i].key_length), repeated('x', bounds[i].value_length)};
        PaymentSignal signal = good_signal();
        signal.metadata = &pair;
        signal.metadata_count = 1;
        if (bounds[i].good)
            passes(&signal);
        else
            refused(&signal, "metadata");
    }
}

Test(payment, the_same_request_may_differ_in_what_the_publisher_does_not_choose)
{
    PaymentMetadata forward[] = {{STR("a"), STR("1")}, {STR("b"), STR("2")}};
    PaymentMetadata backward[] = {{STR("b"), STR("2")}, {STR("a"), STR("1")}};
    PaymentSignal a = good_signal();
    a.metadata = forward;
    a.metadata_count = 2;
    PaymentSignal b = a;
    b.metadata = backward;
    b.transaction_id = STR("txn_other");
    b.publisher = STR("shop2");
    b.received_ms = 99;
    cr_assert(payment_signal_same_request(&a, &b));
    cr_assert(payment_signal_same_request(&b, &a));
}

Test(payment, a_request_is_another_when_anything_chosen_differs)
{
    PaymentMetadata one[] = {{STR("a"), STR("1")}};
    PaymentMetadata other_value[] = {{STR("a"), STR("2")}};
    PaymentMetadata other_key[] = {{STR("b"), STR("1")}};
    PaymentSignal a = good_signal();
    a.metadata = one;
    a.metadata_count = 1;
    PaymentSignal others[10];
    for (size_t i = 0; i < 10; i++)
        others[i] = a;
    others[0].customer_id = STR("cust_124");
    others[1].merchant_id = STR("merc_457");
    others[2].money.minor = 9998;
    memcpy(others[3].money.currency, "EUR", 4);
    others[4].payment_method = STR("pm_1");
    others[5].description = STR("d");
    others[6].metadata_count = 0;
    others[7].metadata = other_value;
    others[8].metadata = other_key;
    others[9].customer_id = STR("CUST_123");
    for (size_t i = 0; i < 10; i++) {
        cr_assert_not(payment_signal_same_request(&a, &others[i]), "difference %zu", i);
        cr_assert_not(payment_signal_same_request(&others[i], &a), "difference %zu", i);
    }
}

Test(payment, an_outcome_takes_over_what_was_decided)
{
    PaymentMetadata pair = {STR("a"), STR("1")};
    PaymentDecision decision = {
        .signal = good_signal(),
        .verdict = {.points = 30, .hit_points = {0, 0, 30, 0}},
        .policy_revision = 7,
        .signal_sequence = 42,
        .decided_ms = 1500,
    };
    decision.signal.metadata = &pair;
    decision.signal.metadata_count = 1;
    decision.signal.received_ms = 1000;
    PaymentOutcome outcome = payment_outcome_from_decision(&decision, PAYMENT_SUCCESS, 2000);
    cr_assert(str_equal(outcome.transaction_id, decision.signal.transaction_id));
    cr_assert(str_equal(outcome.publisher, STR("shop1")));
    cr_assert(str_equal(outcome.customer_id, STR("cust_123")));
    cr_assert(str_equal(outcome.merchant_id, STR("merc_456")));
    cr_assert_eq(outcome.money.minor, 9999);
    cr_assert_str_eq(outcome.money.currency, "USD");
    cr_assert_eq(outcome.status, PAYMENT_SUCCESS);
    cr_assert_eq(outcome.verdict.points, 30);
    cr_assert_eq(outcome.verdict.hit_points[FRAUD_HIGH_AMOUNT], 30);
    cr_assert_eq(outcome.policy_revision, 7);
    cr_assert_eq(outcome.signal_sequence, 42);
    cr_assert_eq(outcome.received_ms, 1000);
    cr_assert_eq(outcome.timestamp_ms, 2000);
    cr_assert_eq(outcome.metadata, &pair);
    cr_assert_eq(outcome.metadata_count, 1);
    cr_assert_eq(outcome.failure.length, 0);
    cr_assert_eq(outcome.gateway.http_status, 0);
}

Test(payment, every_status_has_its_name_and_http_status)
{
    static const struct {
        PaymentStatus status;
        const char *failure;
        const char *name;
        int http;
    } rows[] = {
        {PAYMENT_PENDING, NULL, "PENDING", 202},
        {PAYMENT_SUCCESS, NULL, "SUCCESS", 200},
        {PAYMENT_REJECTED, NULL, "REJECTED", 403},
        {PAYMENT_DECLINED, NULL, "DECLINED", 402},
        {PAYMENT_FAILED, "breaker_open", "FAILED", 503},
        {PAYMENT_FAILED, "deadline_exceeded", "FAILED", 503},
        {PAYMENT_FAILED, "gateway_refused", "FAILED", 502},
        {PAYMENT_FAILED, "gateway_unreachable", "FAILED", 502},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_str_eq(payment_status_name(rows[i].status), rows[i].name);
        cr_assert_eq(payment_http_status(rows[i].status, str_from(rows[i].failure)), rows[i].http);
    }
}
