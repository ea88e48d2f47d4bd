/* idempotency - the rules; the results themselves stand in the book, from which an answer is written anew. */
#include "ops/sandbox/idempotency.h"

KeyVerdict idempotency_judge(const Table *results, Str key, uint64_t digest, int64_t now_s, int64_t now_ms,
                             Charge **first)
{
    *first = key.length > 0 ? table_find(results, key) : NULL;
    if (*first == NULL || now_s - (*first)->created_s >= IDEMPOTENCY_LIFE_S) {
        return KEY_NEW;
    }
    if ((*first)->digest != digest) {
        return KEY_MISUSED;
    }
    return now_ms < (*first)->busy_until_ms ? KEY_IN_USE : KEY_REPEATED;
}

StripeError idempotency_error(KeyVerdict verdict, Str key)
{
    Str shown = str_slice(key, 0, 64);
    if (verdict == KEY_IN_USE) {
        return order_error(409, "idempotency_error", "idempotency_key_in_use", NULL,
                           "There is currently another in-progress request using this Idempotent Key (" STR_FMT
                           "). Please try again later.",
                           STR_ARG(shown));
    }
    return order_error(400, "idempotency_error", NULL, NULL,
                       "Keys for idempotent requests can only be used with the same parameters they were first used "
                       "with. Try using a key other than '" STR_FMT "'.",
                       STR_ARG(shown));
}

StripeError idempotency_error_too_long(void)
{
    return order_error(400, "invalid_request_error", NULL, NULL, "Idempotency keys have at most %d characters.",
                       IDEMPOTENCY_KEY_MAX);
}
