/* payment - the rules that a signal must obey, and what follows from a decision.
 * The order of the checks is the order in which a person would read the request. */
#include "shared/payment/payment.h"

#include "shared/base/id.h"

const char *payment_status_name(PaymentStatus status)
{
    switch (status) {
    case PAYMENT_PENDING:
        return "PENDING";
    case PAYMENT_SUCCESS:
        return "SUCCESS";
    case PAYMENT_REJECTED:
        return "REJECTED";
    case PAYMENT_DECLINED:
        return "DECLINED";
    case PAYMENT_FAILED:
        return "FAILED";
    }
    return "PENDING";
}

static Err check_id(const char *member, Str id)
{
    if (id.length == 0)
        return err_reject("%s: is missing or empty", member);
    if (id.length > ID_MAX_LENGTH)
        return err_reject("%s: is longer than %d characters", member, ID_MAX_LENGTH);
    if (!id_is_valid(id))
        return err_reject("%s: only A-Z a-z 0-9 _ . : - may stand in it", member);
    return err_none();
}

/* Control characters of both ranges, U+0000..U+001F and U+007F..U+009F: none belongs into a line of text. */
static bool is_control(Str character)
{
    unsigned first = (unsigned char)character.data[0];
    if (character.length == 2)
        return first == 0xC2 && (unsigned char)character.data[1] < 0xA0;
    return first < 0x20 || first == 0x7F;
}

/* One pass: UTF-8, control characters and length in characters, as the payment gateway counts. */
static Err check_text(const char *member, Str text, size_t max_characters)
{
    size_t characters = 0;
    for (size_t at = 0; at < text.length; characters++) {
        Str rest = str_slice(text, at, text.length);
        Str character = {rest.data, str_utf8_length(rest)};
        if (character.length == 0)
            return err_reject("%s: is not valid UTF-8", member);
        if (is_control(character))
            return err_reject("%s: holds a control character", member);
        at += character.length;
    }
    if (characters > max_characters)
        return err_reject("%s: is longer than %zu characters", member, max_characters);
    if (id_holds_card_number(text))
        return err_reject("%s: holds what looks like a card number; send a payment_method token instead", member);
    return err_none();
}

static Err check_ids(const PaymentSignal *signal)
{
    Err err = signal->transaction_id.length > 0 ? check_id("transaction_id", signal->transaction_id) : err_none();
    if (!err_is(err) && signal->publisher.length > 0 && !id_is_token(signal->publisher))
        err = err_reject("publisher: must be 1 to %d of A-Z a-z 0-9 _ : -", ID_MAX_LENGTH);
    if (!err_is(err))
        err = check_id("customer_id", signal->customer_id);
    if (!err_is(err))
        err = check_id("merchant_id", signal->merchant_id);
    return err;
}

static Err check_money(Money money)
{
    if (money_currency_digits(str_from(money.currency)) < 0)
        return err_reject("currency: is no active ISO 4217 code such as USD");
    if (money.minor <= 0)
        return err_reject("amount: must be more than zero");
    if (money.minor > MONEY_MAX_MINOR)
        return err_reject("amount: is more than %lld minor units", (long long)MONEY_MAX_MINOR);
    return err_none();
}

static Err check_payment_method(Str payment_method)
{
    if (payment_method.length == 0)
        return err_none();
    Err err = check_id("payment_method", payment_method);
    if (!err_is(err) && id_holds_card_number(payment_method))
        err = err_reject("payment_method: holds what looks like a card number; send a token instead");
    return err;
}

/* Square brackets would change what the key means in the form that goes to the payment gateway. */
static Err check_metadata_key(Str key)
{
    if (key.length == 0)
        return err_reject("metadata: a key is empty");
    for (size_t i = 0; i < key.length; i++) {
        if (key.data[i] == '[' || key.data[i] == ']')
            return err_reject("metadata: a key holds a square bracket");
    }
    return check_text("metadata: a key", key, PAYMENT_METADATA_KEY_MAX);
}

static Err check_metadata(const PaymentSignal *signal)
{
    if (signal->metadata_count > PAYMENT_METADATA_MAX)
        return err_reject("metadata: has more than %d pairs", PAYMENT_METADATA_MAX);
    for (size_t i = 0; i < signal->metadata_count; i++) {
        const PaymentMetadata *pair = &signal->metadata[i];
        Err err = check_metadata_key(pair->key);
        if (!err_is(err))
            err = check_text("metadata: a value", pair->value, PAYMENT_METADATA_VALUE_MAX);
        for (size_t j = 0; j < i && !err_is(err); j++) {
            if (str_equal(pair->key, signal->metadata[j].key))
                err = err_reject("metadata: a key stands twice");
        }
        if (err_is(err))
            return err;
    }
    return err_none();
}

Err payment_signal_check(const PaymentSignal *signal)
{
    Err err = check_ids(signal);
    if (!err_is(err))
        err = check_money(signal->money);
    if (!err_is(err))
        err = check_payment_method(signal->payment_method);
    if (!err_is(err))
        err = check_text("description", signal->description, PAYMENT_DESCRIPTION_MAX);
    if (!err_is(err))
        err = check_metadata(signal);
    return err;
}

static bool holds_pair(const PaymentSignal *signal, const PaymentMetadata *pair)
{
    for (size_t i = 0; i < signal->metadata_count; i++) {
        if (str_equal(signal->metadata[i].key, pair->key))
            return str_equal(signal->metadata[i].value, pair->value);
    }
    return false;
}

/* Keys stand once in a signal that passed its check, so equal counts and one direction are enough. */
static bool same_metadata(const PaymentSignal *a, const PaymentSignal *b)
{
    if (a->metadata_count != b->metadata_count)
        return false;
    for (size_t i = 0; i < a->metadata_count; i++) {
        if (!holds_pair(b, &a->metadata[i]))
            return false;
    }
    return true;
}

bool payment_signal_same_request(const PaymentSignal *a, const PaymentSignal *b)
{
    return str_equal(a->customer_id, b->customer_id) && str_equal(a->merchant_id, b->merchant_id) &&
           a->money.minor == b->money.minor && str_equal(str_from(a->money.currency), str_from(b->money.currency)) &&
           str_equal(a->payment_method, b->payment_method) && str_equal(a->description, b->description) &&
           same_metadata(a, b);
}

PaymentOutcome payment_outcome_from_decision(const PaymentDecision *decision, PaymentStatus status, int64_t now_ms)
{
    const PaymentSignal *signal = &decision->signal;
    return (PaymentOutcome){
        .transaction_id = signal->transaction_id,
        .publisher = signal->publisher,
        .customer_id = signal->customer_id,
        .merchant_id = signal->merchant_id,
        .money = signal->money,
        .status = status,
        .verdict = decision->verdict,
        .policy_revision = decision->policy_revision,
        .signal_sequence = decision->signal_sequence,
        .received_ms = signal->received_ms,
        .timestamp_ms = now_ms,
        .metadata = signal->metadata,
        .metadata_count = signal->metadata_count,
    };
}

int payment_http_status(PaymentStatus status, Str failure)
{
    switch (status) {
    case PAYMENT_SUCCESS:
        return 200;
    case PAYMENT_REJECTED:
        return 403;
    case PAYMENT_DECLINED:
        return 402;
    case PAYMENT_FAILED:
        return str_equal(failure, STR("breaker_open")) || str_equal(failure, STR("deadline_exceeded")) ? 503 : 502;
    case PAYMENT_PENDING:
        break;
    }
    return 202;
}
