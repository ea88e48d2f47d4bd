/* parts - what several messages carry inside: money, metadata, a fraud verdict.
 * Nothing in here is trusted: whoever can publish can write any number into a field. */
#include "shared/wire/message.h"

Err message_read_money(const Tai__V1__Money *packed, Money *money)
{
    if (packed == NULL) {
        return err_reject("amount: missing");
    }
    Str currency = {0};
    const MessageText text = {"currency", packed->currency, &currency};
    Err err = message_read_texts(&text, 1);
    if (err_is(err)) {
        return err;
    }
    if (money_currency_digits(currency) < 0 || !str_copy_to(currency, money->currency, sizeof(money->currency))) {
        return err_reject("currency: is no active ISO 4217 code such as USD");
    }
    money->minor = packed->minor;
    return err_none();
}

Tai__V1__Money *message_write_money(Arena *arena, const Money *money)
{
    Tai__V1__Money *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__money__init(packed);
    packed->minor = money->minor;
    packed->currency = message_write_text(arena, str_from(money->currency));
    return packed;
}

Err message_read_metadata(Arena *arena, Tai__V1__MetadataEntry *const *packed, size_t packed_count,
                          PaymentMetadata **metadata, size_t *count)
{
    *metadata = NULL;
    *count = 0;
    if (packed_count == 0) {
        return err_none();
    }
    if (packed_count > PAYMENT_METADATA_MAX) {
        return err_reject("metadata: more than %d entries", PAYMENT_METADATA_MAX);
    }
    PaymentMetadata *entries = arena_alloc_array(arena, packed_count, sizeof(*entries));
    for (size_t i = 0; i < packed_count; i++) {
        const MessageText texts[] = {
            {"metadata", packed[i]->key, &entries[i].key},
            {"metadata", packed[i]->value, &entries[i].value},
        };
        Err err = message_read_texts(texts, MESSAGE_COUNT(texts));
        if (err_is(err)) {
            return err;
        }
    }
    *metadata = entries;
    *count = packed_count;
    return err_none();
}

Tai__V1__MetadataEntry **message_write_metadata(Arena *arena, const PaymentMetadata *metadata, size_t count)
{
    if (count == 0) {
        return NULL;
    }
    Tai__V1__MetadataEntry **packed = arena_alloc_array(arena, count, sizeof(Tai__V1__MetadataEntry *));
    Tai__V1__MetadataEntry *entries = arena_alloc_array(arena, count, sizeof(*entries));
    for (size_t i = 0; i < count; i++) {
        tai__v1__metadata_entry__init(&entries[i]);
        entries[i].key = message_write_text(arena, metadata[i].key);
        entries[i].value = message_write_text(arena, metadata[i].value);
        packed[i] = &entries[i];
    }
    return packed;
}

static Err read_hit(const Tai__V1__FraudHit *hit, FraudVerdict *verdict)
{
    /* An enum of the wire may hold any number, also one that a newer publisher has a meaning for. */
    int check = (int)hit->check - 1;
    if (check < 0 || check >= FRAUD_CHECK_COUNT) {
        return err_reject("verdict: unknown check %d", (int)hit->check);
    }
    if (verdict->hit_points[check] != 0) {
        return err_reject("verdict: check %s stands twice", fraud_check_name((FraudCheck)check));
    }
    if (hit->points < 1 || hit->points > 1000) {
        return err_reject("verdict: points of %s must be 1 to 1000", fraud_check_name((FraudCheck)check));
    }
    verdict->hit_points[check] = hit->points;
    verdict->points += hit->points;
    return err_none();
}

Err message_read_verdict(const Tai__V1__FraudVerdict *packed, FraudVerdict *verdict)
{
    if (packed == NULL) {
        return err_reject("verdict: missing");
    }
    *verdict = (FraudVerdict){.rejected = packed->rejected};
    for (size_t i = 0; i < packed->n_hits; i++) {
        Err err = read_hit(packed->hits[i], verdict);
        if (err_is(err)) {
            return err;
        }
    }
    if (packed->points != verdict->points) {
        return err_reject("verdict: points are not the sum of its checks");
    }
    return err_none();
}

Tai__V1__FraudVerdict *message_write_verdict(Arena *arena, const FraudVerdict *verdict)
{
    Tai__V1__FraudVerdict *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__fraud_verdict__init(packed);
    packed->rejected = verdict->rejected;
    packed->points = verdict->points;
    packed->hits = arena_alloc_array(arena, FRAUD_CHECK_COUNT, sizeof(Tai__V1__FraudHit *));
    for (int check = 0; check < FRAUD_CHECK_COUNT; check++) {
        if (verdict->hit_points[check] == 0) {
            continue;
        }
        Tai__V1__FraudHit *hit = arena_alloc(arena, sizeof(*hit));
        tai__v1__fraud_hit__init(hit);
        hit->check = (Tai__V1__FraudCheck)(check + 1);
        hit->points = verdict->hit_points[check];
        packed->hits[packed->n_hits++] = hit;
    }
    return packed;
}
