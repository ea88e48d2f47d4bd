/* The fraud policy's document: what people write into the KV bucket. */
#include <stdio.h>

#include "tests/unit/wire/samples.h"

#define HEAD "{\"reject_at_points\":50,\"checks\":{"
#define BLACKLIST "\"blacklist\":{\"points\":100}"
#define VELOCITY "\"velocity\":{\"points\":50,\"more_than\":5,\"window_seconds\":60}"
#define HIGH_AMOUNT "\"high_amount\":{\"points\":30,\"more_than\":5000}"
#define GEOLOCATION "\"geolocation\":{\"points\":20,\"more_than\":1,\"window_seconds\":3600}"
#define TAIL "}}"
#define WITH_HIGH_AMOUNT(text) STR(HEAD BLACKLIST "," VELOCITY ",\"high_amount\":" text "," GEOLOCATION TAIL)
#define WITH_VELOCITY(text) STR(HEAD BLACKLIST ",\"velocity\":" text "," HIGH_AMOUNT "," GEOLOCATION TAIL)

static bool same_policy(const FraudPolicy *a, const FraudPolicy *b)
{
    bool same = memcmp(a->points, b->points, sizeof(a->points)) == 0 && a->reject_at_points == b->reject_at_points &&
                a->velocity_more_than == b->velocity_more_than && a->velocity_window_ms == b->velocity_window_ms &&
                a->high_amount_more_than_e4 == b->high_amount_more_than_e4 &&
                a->currency_limit_count == b->currency_limit_count &&
                a->geolocation_more_than == b->geolocation_more_than &&
                a->geolocation_window_ms == b->geolocation_window_ms;
    for (int32_t i = 0; same && i < a->currency_limit_count; i++) {
        same = strcmp(a->currency_limits[i].currency, b->currency_limits[i].currency) == 0 &&
               a->currency_limits[i].more_than_e4 == b->currency_limits[i].more_than_e4;
    }
    return same;
}

Test(policy, the_shipped_document_is_the_default_as_it_is_printed)
{
    Arena arena = sample_arena();
    FraudPolicy policy = fraud_policy_default();
    Str printed = wire_print_fraud_policy(&arena, &policy);
    char shipped[8192];
    Str root = str_slice(STR(__FILE__), 0, sizeof(__FILE__) - sizeof("tests/unit/wire/policy.c"));
    FILE *file = fopen(arena_print(&arena, STR_FMT "/ops/policy/payment.json", STR_ARG(root)).data, "rb");
    cr_assert(file != NULL);
    size_t length = fread(shipped, 1, sizeof(shipped) - 1, file);
    cr_assert_eq(fclose(file), 0);
    shipped[length] = '\0';
    sample_assert_text(printed, shipped, "the default policy");
    FraudPolicy read;
    sample_assert_ok(wire_decode_fraud_policy(&arena, (Str){shipped, length}, &read));
    cr_assert(same_policy(&read, &policy));
    arena_release(&arena);
}

Test(policy, limits_of_currencies_are_exact_and_printed_without_needless_zeros)
{
    Arena arena = sample_arena();
    FraudPolicy policy;
    Str document = WITH_HIGH_AMOUNT("{\"currencies\":{\"JPY\":500000,\"KWD\":99.5000,\"EUR\":0.0001},\"more_than\":"
                                    "99999999999999.9999,\"points\":0}");
    sample_assert_ok(wire_decode_fraud_policy(&arena, document, &policy));
    cr_assert_eq(policy.high_amount_more_than_e4, INT64_C(999999999999999999));
    cr_assert_eq(policy.points[FRAUD_HIGH_AMOUNT], 0);
    cr_assert_eq(policy.currency_limit_count, 3);
    cr_assert_eq(policy.currency_limits[0].more_than_e4, INT64_C(5000000000));
    cr_assert_eq(policy.currency_limits[1].more_than_e4, 995000);
    cr_assert_eq(policy.currency_limits[2].more_than_e4, 1);
    Str printed = wire_print_fraud_policy(&arena, &policy);
    const char *line = "    \"high_amount\": {\"points\": 0, \"more_than\": 99999999999999.9999, \"currencies\": "
                       "{\"JPY\": 500000, \"KWD\": 99.5, \"EUR\": 0.0001}},\n";
    cr_assert(memmem(printed.data, printed.length, line, strlen(line)) != NULL, "%.*s", STR_ARG(printed));
    FraudPolicy again;
    sample_assert_ok(wire_decode_fraud_policy(&arena, printed, &again));
    cr_assert(same_policy(&again, &policy));
    arena_release(&arena);
}

Test(policy, bounds_are_taken_and_one_more_is_not)
{
    const struct {
        Str document;
        const char *reason; /* NULL: taken */
    } table[] = {
        {STR("{\"reject_at_points\":1,\"checks\":{" BLACKLIST "," VELOCITY "," HIGH_AMOUNT "," GEOLOCATION TAIL), NULL},
        {STR("{\"reject_at_points\":1000,\"checks\":{" BLACKLIST "," VELOCITY "," HIGH_AMOUNT "," GEOLOCATION TAIL),
         NULL},
        {STR("{\"reject_at_points\":0,\"checks\":{" BLACKLIST "," VELOCITY "," HIGH_AMOUNT "," GEOLOCATION TAIL),
         "reject_at_points: must be a whole number from 1 to 1000"},
        {STR("{\"reject_at_points\":1001,\"checks\":{" BLACKLIST "," VELOCITY "," HIGH_AMOUNT "," GEOLOCATION TAIL),
         "reject_at_points: must be a whole number from 1 to 1000"},
        {WITH_VELOCITY("{\"points\":0,\"more_than\":0,\"window_seconds\":1}"), NULL},
        {WITH_VELOCITY("{\"points\":1000,\"more_than\":1000000,\"window_seconds\":604800}"), NULL},
        {WITH_VELOCITY("{\"points\":1001,\"more_than\":5,\"window_seconds\":60}"),
         "checks.velocity.points: must be a whole number from 0 to 1000"},
        {WITH_VELOCITY("{\"points\":-1,\"more_than\":5,\"window_seconds\":60}"),
         "checks.velocity.points: must be a whole number from 0 to 1000"},
        {WITH_VELOCITY("{\"points\":50,\"more_than\":1000001,\"window_seconds\":60}"),
         "checks.velocity.more_than: must be a whole number from 0 to 1000000"},
        {WITH_VELOCITY("{\"points\":50,\"more_than\":5,\"window_seconds\":0}"),
         "checks.velocity.window_seconds: must be a whole number from 1 to 604800"},
        {WITH_VELOCITY("{\"points\":50,\"more_than\":5,\"window_seconds\":604801}"),
         "checks.velocity.window_seconds: must be a whole number from 1 to 604800"},
        {WITH_VELOCITY("{\"points\":50,\"more_than\":5.5,\"window_seconds\":60}"),
         "checks.velocity.more_than: must be a whole number from 0 to 1000000"},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":0}"), NULL},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":0.12340}"), NULL},
    };
    Arena arena = sample_arena();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        FraudPolicy policy;
        Err err = wire_decode_fraud_policy(&arena, table[i].document, &policy);
        if (table[i].reason == NULL) {
            sample_assert_ok(err);
        } else {
            sample_assert_refused(err, table[i].reason, table[i].document.data);
        }
    }
    arena_release(&arena);
}

Test(policy, the_first_wrong_member_is_named_with_its_path)
{
    static const char more_than[] =
        "checks.high_amount.more_than: must be a number like 5000 or 99.5, at most 14 digits and 4 after the point";
    const struct {
        Str document;
        const char *reason;
    } table[] = {
        {STR("{}"), "reject_at_points: missing"},
        {STR("{\"reject_at_points\":50}"), "checks: missing"},
        {STR("{\"reject_at_points\":50,\"checks\":[]}"), "checks: must be an object"},
        {STR("{\"reject_at_points\":\"50\",\"checks\":{}}"), "reject_at_points: must be a whole number from 1 to 1000"},
        {STR(HEAD TAIL), "checks.blacklist: missing"},
        {STR(HEAD "\"blacklist\":{}" TAIL), "checks.blacklist.points: missing"},
        {STR(HEAD "\"blacklist\":5" TAIL), "checks.blacklist: must be an object"},
        {STR(HEAD "\"blacklist\":{\"points\":100,\"window_seconds\":5}" TAIL),
         "unknown member \"checks.blacklist.window_seconds\""},
        {STR(HEAD BLACKLIST "," VELOCITY "," HIGH_AMOUNT "," GEOLOCATION ",\"mood\":{}" TAIL),
         "unknown member \"checks.mood\""},
        {STR("{\"reject_at_point\":50,\"checks\":{}}"), "unknown member \"reject_at_point\""},
        {WITH_VELOCITY("{\"points\":50,\"more_than\":5}"), "checks.velocity.window_seconds: missing"},
        {WITH_HIGH_AMOUNT("{\"points\":30}"), "checks.high_amount.more_than: missing"},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":\"5000\"}"), more_than},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":-1}"), more_than},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":5e3}"), more_than},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":0.12345}"), more_than},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":100000000000000}"), more_than},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_\\u0074han\":5}"), more_than},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":5,\"currencies\":[]}"),
         "checks.high_amount.currencies: must be an object"},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":5,\"currencies\":{\"usd\":5}}"),
         "checks.high_amount.currencies: every name must be an ISO 4217 code in upper case"},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":5,\"currencies\":{\"U.D\":5}}"),
         "checks.high_amount.currencies: every name must be an ISO 4217 code in upper case"},
        {WITH_HIGH_AMOUNT("{\"points\":30,\"more_than\":5,\"currencies\":{\"USD\":5,\"USD\":6}}"),
         "duplicate member at line 1 column 187"},
        {STR("{\"reject_at_points\":50,\"checks\":{\"a\":{\"b\":{\"c\":{}}}}}"), "nested deeper than 4 levels"},
        {STR("not a policy"), "not JSON: line 1 column 3: invalid token"},
        {STR(""), "body: empty"},
        {STR("{}\0"), "not JSON: holds a NUL byte"},
    };
    Arena arena = sample_arena();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        FraudPolicy policy;
        sample_assert_refused(wire_decode_fraud_policy(&arena, table[i].document, &policy), table[i].reason,
                              table[i].document.data);
    }
    arena_release(&arena);
}
