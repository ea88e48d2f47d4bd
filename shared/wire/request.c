/* request - a payment as JSON, the way HTTP and direct publishers write it.
 * jansson turns numbers into doubles, so the amount is read from its own digits in the text. */
#include <stddef.h>
#include <string.h>

#include "shared/base/json.h"
#include "shared/wire/document.h"
#include "shared/wire/payment.h"

#define REQUEST_DEPTH_MAX 2 /* the object, and metadata in it */

typedef struct {
    const char *name;
    size_t offset; /* of its Str in PaymentSignal */
    bool required;
} Member;

static const Member text_members[] = {
    {"customer_id", offsetof(PaymentSignal, customer_id), true},
    {"merchant_id", offsetof(PaymentSignal, merchant_id), true},
    {"payment_method", offsetof(PaymentSignal, payment_method), false},
    {"description", offsetof(PaymentSignal, description), false},
};
#define TEXT_MEMBER_COUNT (sizeof(text_members) / sizeof(text_members[0]))

static Str *member_of(PaymentSignal *signal, const Member *member)
{
    return (Str *)(void *)((char *)signal + member->offset);
}

static Err read_metadata(Arena *arena, json_t *object, PaymentSignal *signal)
{
    if (!json_is_object(object)) {
        return err_reject("metadata: must be an object of strings");
    }
    size_t count = json_object_size(object);
    if (count > PAYMENT_METADATA_MAX) {
        return err_reject("metadata: more than %d entries", PAYMENT_METADATA_MAX);
    }
    if (count == 0) {
        return err_none();
    }
    signal->metadata = arena_alloc_array(arena, count, sizeof(*signal->metadata));
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const json_t *value = json_object_iter_value(at);
        if (!json_is_string(value)) {
            return err_reject("metadata: entry %zu must be a string", signal->metadata_count + 1);
        }
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        signal->metadata[signal->metadata_count++] = (PaymentMetadata){
            .key = arena_copy(arena, key),
            .value = arena_copy(arena, document_string(value)),
        };
    }
    return err_none();
}

static Err read_text_member(Arena *arena, Str key, const json_t *value, PaymentSignal *signal)
{
    for (size_t i = 0; i < TEXT_MEMBER_COUNT; i++) {
        const Member *member = &text_members[i];
        if (!str_equal(key, str_from(member->name))) {
            continue;
        }
        if (!json_is_string(value)) {
            return err_reject("%s: must be a string", member->name);
        }
        *member_of(signal, member) = arena_copy(arena, document_string(value));
        return err_none();
    }
    return document_unknown_member("", key);
}

/* Money needs both its members, so it is put together after the walk. */
typedef struct {
    const json_t *amount;
    const json_t *currency;
} MoneyMembers;

static Err read_member(Arena *arena, Str key, json_t *value, MoneyMembers *money, PaymentSignal *signal)
{
    if (str_equal(key, STR("amount"))) {
        money->amount = value;
        return json_is_number(value) ? err_none() : err_reject("amount: must be a number");
    }
    if (str_equal(key, STR("currency"))) {
        money->currency = value;
        return json_is_string(value) ? err_none() : err_reject("currency: must be a string");
    }
    if (str_equal(key, STR("metadata"))) {
        return read_metadata(arena, value, signal);
    }
    return read_text_member(arena, key, value, signal);
}

static Err read_money(Str body, const MoneyMembers *members, Money *money)
{
    if (members->amount == NULL) {
        return err_reject("amount: missing");
    }
    if (members->currency == NULL) {
        return err_reject("currency: missing");
    }
    Str currency = document_string(members->currency);
    if (money_currency_digits(currency) < 0) {
        return err_reject("currency: is no active ISO 4217 code such as USD");
    }
    Str digits = json_find_raw(body, STR("amount"));
    if (digits.length == 0) {
        return err_reject("amount: its name must be written without escapes");
    }
    Err err = money_parse(digits, currency, money);
    return err_is(err) ? err_reject("amount: %s", err.why) : err;
}

static Err check_required(PaymentSignal *signal)
{
    for (size_t i = 0; i < TEXT_MEMBER_COUNT; i++) {
        /* An empty string has a place; what never came has none. */
        if (text_members[i].required && member_of(signal, &text_members[i])->data == NULL) {
            return err_reject("%s: missing", text_members[i].name);
        }
    }
    return err_none();
}

static Err read_request(Arena *arena, Str body, json_t *object, PaymentSignal *signal)
{
    MoneyMembers members = {0};
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        Err err = read_member(arena, key, json_object_iter_value(at), &members, signal);
        if (err_is(err)) {
            return err;
        }
    }
    Err err = read_money(body, &members, &signal->money);
    if (!err_is(err)) {
        err = check_required(signal);
    }
    return err_is(err) ? err : payment_signal_check(signal);
}

Err wire_decode_payment_signal_json(Arena *arena, Str body, PaymentSignal *signal)
{
    *signal = (PaymentSignal){0};
    json_t *object = NULL;
    Err err = document_load(body, (size_t)PAYMENT_BODY_MAX, REQUEST_DEPTH_MAX, &object);
    if (err_is(err)) {
        return err;
    }
    err = read_request(arena, body, object, signal);
    json_decref(object);
    return err;
}
