/* policy - the fraud policy as a JSON document that people write: every member required (but currencies), nothing
 * else allowed, so that a misspelt threshold is refused instead of ignored. */
#include "shared/base/json.h"
#include "shared/wire/member.h"
#include "shared/wire/payment.h"

#define POLICY_DEPTH_MAX 4 /* checks.high_amount.currencies */
#define POINTS_MAX 1000
#define COUNT_MAX 1000000
#define WINDOW_MAX_SECONDS 604800 /* a week */
#define MAJOR_MAX_DIGITS 14       /* before the point */
#define MAJOR_DIGITS 4            /* after it */
#define DOCUMENT_MAX_BYTES 4096

static Err read_major(Str document, const char *path, const json_t *value, FraudMajorE4 *major)
{
    Str raw = json_is_number(value) ? json_find_raw(document, str_from(path)) : (Str){0};
    if (raw.length == 0 || !member_parse_decimal(raw, MAJOR_MAX_DIGITS, MAJOR_DIGITS, major)) {
        return err_reject("%s: must be a number like 5000 or 99.5, at most %d digits and 4 after the point", path,
                          MAJOR_MAX_DIGITS);
    }
    return err_none();
}

static Err read_currencies(Str document, json_t *object, FraudPolicy *policy)
{
    static const char parent[] = "checks.high_amount.currencies";
    if (object == NULL) {
        return err_none();
    }
    if (!json_is_object(object)) {
        return err_reject("%s: must be an object", parent);
    }
    if (json_object_size(object) > FRAUD_CURRENCY_LIMITS_MAX) {
        return err_reject("%s: more than %d currencies", parent, FRAUD_CURRENCY_LIMITS_MAX);
    }
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        FraudCurrencyLimit *limit = &policy->currency_limits[policy->currency_limit_count];
        if (money_currency_digits(key) < 0 || !str_copy_to(key, limit->currency, sizeof(limit->currency))) {
            return err_reject("%s: every name must be an ISO 4217 code in upper case", parent);
        }
        char path[MEMBER_PATH_MAX_BYTES];
        member_print_path(parent, limit->currency, path);
        Err err = read_major(document, path, json_object_iter_value(at), &limit->more_than_e4);
        if (err_is(err)) {
            return err;
        }
        policy->currency_limit_count++;
    }
    return err_none();
}

static Member window_member(int64_t *window_seconds)
{
    return member_whole("window_seconds", window_seconds, 1, WINDOW_MAX_SECONDS);
}

/* What a check's object holds besides its points. */
static size_t list_members(FraudCheck check, int64_t *points, FraudPolicy *policy, Member members[3])
{
    members[0] = member_whole("points", points, 0, POINTS_MAX);
    switch (check) {
    case FRAUD_BLACKLIST:
        return 1;
    case FRAUD_HIGH_AMOUNT:
        members[1] = member_other("more_than");
        members[2] = (Member){.name = "currencies", .kind = MEMBER_OTHER, .optional = true};
        return 3;
    case FRAUD_VELOCITY:
        members[1] = member_whole("more_than", &policy->velocity_more_than, 0, COUNT_MAX);
        members[2] = window_member(&policy->velocity_window_ms);
        return 3;
    case FRAUD_GEOLOCATION:
        members[1] = member_whole("more_than", &policy->geolocation_more_than, 0, COUNT_MAX);
        members[2] = window_member(&policy->geolocation_window_ms);
        return 3;
    }
    return 0;
}

static Err read_check(Str document, const json_t *checks, FraudCheck check, FraudPolicy *policy)
{
    char path[MEMBER_PATH_MAX_BYTES];
    member_print_path("checks", fraud_check_name(check), path);
    json_t *object = json_object_get(checks, fraud_check_name(check));
    if (!json_is_object(object)) {
        return err_reject("%s: %s", path, object == NULL ? "missing" : "must be an object");
    }
    int64_t points = 0;
    Member members[3];
    size_t count = list_members(check, &points, policy, members);
    const Place place = {document, object, path};
    Err err = member_read_all(&place, members, count);
    policy->points[check] = (int32_t)points;
    if (!err_is(err) && check == FRAUD_HIGH_AMOUNT) {
        err = read_major(document, "checks.high_amount.more_than", json_object_get(object, "more_than"),
                         &policy->high_amount_more_than_e4);
    }
    if (!err_is(err) && check == FRAUD_HIGH_AMOUNT) {
        err = read_currencies(document, json_object_get(object, "currencies"), policy);
    }
    return err;
}

static Err read_checks(Str document, json_t *checks, FraudPolicy *policy)
{
    if (!json_is_object(checks)) {
        return err_reject("checks: must be an object");
    }
    for (FraudCheck check = 0; check < FRAUD_CHECK_COUNT; check++) {
        Err err = read_check(document, checks, check, policy);
        if (err_is(err)) {
            return err;
        }
    }
    for (void *at = json_object_iter(checks); at != NULL; at = json_object_iter_next(checks, at)) {
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        bool known = false;
        for (FraudCheck check = 0; check < FRAUD_CHECK_COUNT; check++) {
            known = known || str_equal(key, str_from(fraud_check_name(check)));
        }
        if (!known) {
            return document_unknown_member("checks", key);
        }
    }
    return err_none();
}

static Err read_policy(Str document, const json_t *object, FraudPolicy *policy)
{
    int64_t reject_at_points = 0;
    const Member members[] = {
        member_whole("reject_at_points", &reject_at_points, 1, POINTS_MAX),
        member_other("checks"),
    };
    const Place top = {document, object, ""};
    Err err = member_read_all(&top, members, sizeof(members) / sizeof(members[0]));
    policy->reject_at_points = (int32_t)reject_at_points;
    if (!err_is(err)) {
        err = read_checks(document, json_object_get(object, "checks"), policy);
    }
    policy->velocity_window_ms *= 1000;
    policy->geolocation_window_ms *= 1000;
    return err;
}

Err wire_decode_fraud_policy(Arena *arena, Str document, FraudPolicy *policy)
{
    (void)arena; /* a policy holds its values itself */
    *policy = (FraudPolicy){0};
    json_t *object = NULL;
    Err err = document_load(document, (size_t)PAYMENT_BODY_MAX, POLICY_DEPTH_MAX, &object);
    if (err_is(err)) {
        return err;
    }
    err = read_policy(document, object, policy);
    json_decref(object);
    return err;
}

static void print_counting_check(Buffer *out, const char *name, int32_t points, int64_t more_than, int64_t window_ms)
{
    TAI_ASSERT(window_ms % 1000 == 0);
    buffer_print(out, "    \"%s\": {\"points\": %d, \"more_than\": %lld, \"window_seconds\": %lld}", name, points,
                 (long long)more_than, (long long)(window_ms / 1000));
}

static void print_high_amount(Buffer *out, const FraudPolicy *policy)
{
    buffer_print(out, "    \"high_amount\": {\"points\": %d, \"more_than\": ", policy->points[FRAUD_HIGH_AMOUNT]);
    member_print_decimal(out, policy->high_amount_more_than_e4, MAJOR_DIGITS);
    for (int32_t i = 0; i < policy->currency_limit_count; i++) {
        const FraudCurrencyLimit *limit = &policy->currency_limits[i];
        buffer_print(out, "%s\"%s\": ", i == 0 ? ", \"currencies\": {" : ", ", limit->currency);
        member_print_decimal(out, limit->more_than_e4, MAJOR_DIGITS);
    }
    buffer_append(out, policy->currency_limit_count > 0 ? STR("}}") : STR("}"));
}

Str wire_print_fraud_policy(Arena *arena, const FraudPolicy *policy)
{
    Buffer out = arena_buffer(arena, DOCUMENT_MAX_BYTES);
    buffer_print(&out, "{\n  \"reject_at_points\": %d,\n  \"checks\": {\n    \"blacklist\": {\"points\": %d},\n",
                 policy->reject_at_points, policy->points[FRAUD_BLACKLIST]);
    print_counting_check(&out, "velocity", policy->points[FRAUD_VELOCITY], policy->velocity_more_than,
                         policy->velocity_window_ms);
    buffer_append(&out, STR(",\n"));
    print_high_amount(&out, policy);
    buffer_append(&out, STR(",\n"));
    print_counting_check(&out, "geolocation", policy->points[FRAUD_GEOLOCATION], policy->geolocation_more_than,
                         policy->geolocation_window_ms);
    buffer_append(&out, STR("\n  }\n}\n"));
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}
