/* policy - the fraud policy as a JSON document that people write: every member required (but currencies), nothing
 * else allowed, so that a misspelt threshold is refused instead of ignored. */
#include <string.h>

#include "shared/base/json.h"
#include "shared/wire/document.h"
#include "shared/wire/payment.h"

#define POLICY_DEPTH_MAX 4 /* checks.high_amount.currencies */
#define POINTS_MAX 1000
#define COUNT_MAX 1000000
#define WINDOW_MAX_SECONDS 604800 /* a week */
#define MAJOR_MAX_DIGITS 14       /* with four more after the point it still fits an int64 */
#define PATH_MAX_BYTES 64
#define DOCUMENT_MAX_BYTES 4096

/* Where a member goes: an int64 within bounds, or a limit in major units. */
typedef struct {
    const char *name;
    int64_t *number;
    int64_t least;
    int64_t most;
    FraudMajorE4 *major;
} Member;

typedef struct {
    Str document;
    const json_t *object;
    const char *path; /* of object, "" at the top */
} Place;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "5000", "0.25": exact, no exponent, at most four digits after the point that count. */
static bool parse_major(Str raw, FraudMajorE4 *major)
{
    Str whole = {0};
    Str rest = raw;
    Str fraction = {0};
    if (!str_next_token(&rest, '.', &whole) || whole.length == 0 || whole.length > MAJOR_MAX_DIGITS) {
        return false;
    }
    if (rest.data != NULL) {
        fraction = rest;
    }
    while (fraction.length > 4 && fraction.data[fraction.length - 1] == '0') {
        fraction.length--;
    }
    if (fraction.length > 4) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < whole.length + 4; i++) {
        size_t at = i - whole.length; /* in the fraction, once i is past the whole */
        char digit = i < whole.length ? whole.data[i] : (at < fraction.length ? fraction.data[at] : '0');
        if (!is_digit(digit)) {
            return false;
        }
        value = 10 * value + (digit - '0');
    }
    *major = value;
    return true;
}

static void print_path(const char *parent, const char *name, char out[PATH_MAX_BYTES])
{
    Buffer path = buffer_over(out, PATH_MAX_BYTES);
    buffer_print(&path, "%s%s%s", parent, parent[0] != '\0' ? "." : "", name);
    TAI_ASSERT(!path.overflow);
}

static Err read_major(Str document, const char *path, const json_t *value, FraudMajorE4 *major)
{
    Str raw = json_is_number(value) ? json_find_raw(document, str_from(path)) : (Str){0};
    if (raw.length == 0 || !parse_major(raw, major)) {
        return err_reject("%s: must be a number like 5000 or 99.5, at most %d digits and 4 after the point", path,
                          MAJOR_MAX_DIGITS);
    }
    return err_none();
}

static Err read_member(const Place *place, const Member *member, const json_t *value)
{
    char path[PATH_MAX_BYTES];
    print_path(place->path, member->name, path);
    if (value == NULL) {
        return err_reject("%s: missing", path);
    }
    if (member->major != NULL) {
        return read_major(place->document, path, value, member->major);
    }
    if (!json_is_integer(value) || json_integer_value(value) < member->least ||
        json_integer_value(value) > member->most) {
        return err_reject("%s: must be a whole number from %lld to %lld", path, (long long)member->least,
                          (long long)member->most);
    }
    *member->number = json_integer_value(value);
    return err_none();
}

static bool is_among(Str key, const Member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(key, str_from(members[i].name))) {
            return true;
        }
    }
    return false;
}

/* All members there, no other but `optional` (which may be NULL). */
static Err read_members(const Place *place, const Member *members, size_t count, const char *optional)
{
    json_t *object = (json_t *)place->object; /* iterating takes no const, and changes nothing */
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        if (!is_among(key, members, count) && !(optional != NULL && str_equal(key, str_from(optional)))) {
            return document_unknown_member(place->path, key);
        }
    }
    for (size_t i = 0; i < count; i++) {
        Err err = read_member(place, &members[i], json_object_get(object, members[i].name));
        if (err_is(err)) {
            return err;
        }
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
        char path[PATH_MAX_BYTES];
        print_path(parent, limit->currency, path);
        Err err = read_major(document, path, json_object_iter_value(at), &limit->more_than_e4);
        if (err_is(err)) {
            return err;
        }
        policy->currency_limit_count++;
    }
    return err_none();
}

/* What a check's object holds besides its points. */
static size_t list_members(FraudCheck check, int64_t *points, FraudPolicy *policy, Member members[3])
{
    members[0] = (Member){.name = "points", .number = points, .most = POINTS_MAX};
    switch (check) {
    case FRAUD_BLACKLIST:
        return 1;
    case FRAUD_HIGH_AMOUNT:
        members[1] = (Member){.name = "more_than", .major = &policy->high_amount_more_than_e4};
        return 2;
    case FRAUD_VELOCITY:
        members[1] = (Member){.name = "more_than", .number = &policy->velocity_more_than, .most = COUNT_MAX};
        members[2] = (Member){"window_seconds", &policy->velocity_window_ms, 1, WINDOW_MAX_SECONDS, NULL};
        return 3;
    case FRAUD_GEOLOCATION:
        members[1] = (Member){.name = "more_than", .number = &policy->geolocation_more_than, .most = COUNT_MAX};
        members[2] = (Member){"window_seconds", &policy->geolocation_window_ms, 1, WINDOW_MAX_SECONDS, NULL};
        return 3;
    }
    return 0;
}

static Err read_check(Str document, const json_t *checks, FraudCheck check, FraudPolicy *policy)
{
    char path[PATH_MAX_BYTES];
    print_path("checks", fraud_check_name(check), path);
    json_t *object = json_object_get(checks, fraud_check_name(check));
    if (!json_is_object(object)) {
        return err_reject("%s: %s", path, object == NULL ? "missing" : "must be an object");
    }
    int64_t points = 0;
    Member members[3];
    size_t count = list_members(check, &points, policy, members);
    const Place place = {document, object, path};
    Err err = read_members(&place, members, count, check == FRAUD_HIGH_AMOUNT ? "currencies" : NULL);
    policy->points[check] = (int32_t)points;
    if (!err_is(err) && check == FRAUD_HIGH_AMOUNT) {
        err = read_currencies(document, json_object_get(object, "currencies"), policy);
    }
    return err;
}

static Err read_checks(Str document, json_t *checks, FraudPolicy *policy)
{
    if (!json_is_object(checks)) {
        return err_reject("checks: %s", checks == NULL ? "missing" : "must be an object");
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
    const Member members[] = {{"reject_at_points", &reject_at_points, 1, POINTS_MAX, NULL}};
    const Place top = {document, object, ""};
    Err err = read_members(&top, members, 1, "checks");
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

static void print_major(Buffer *out, FraudMajorE4 major)
{
    buffer_print(out, "%lld", (long long)(major / 10000));
    int fraction = (int)(major % 10000);
    int digits = 4;
    while (digits > 0 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    if (digits > 0) {
        buffer_print(out, ".%0*d", digits, fraction);
    }
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
    print_major(out, policy->high_amount_more_than_e4);
    for (int32_t i = 0; i < policy->currency_limit_count; i++) {
        const FraudCurrencyLimit *limit = &policy->currency_limits[i];
        buffer_print(out, "%s\"%s\": ", i == 0 ? ", \"currencies\": {" : ", ", limit->currency);
        print_major(out, limit->more_than_e4);
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
