/* idempotency - what a repeated Idempotency-Key gets, as https://docs.stripe.com/api/idempotent_requests says:
 * the first result again, for 24 hours; an error for other parameters, or while the first one is executing. */
#ifndef SANDBOX_IDEMPOTENCY_H
#define SANDBOX_IDEMPOTENCY_H

#include "ops/sandbox/book.h"

#define IDEMPOTENCY_KEY_MAX 255
#define IDEMPOTENCY_LIFE_S (24 * 60 * 60)

typedef enum {
    KEY_NEW,      /* execute */
    KEY_REPEATED, /* answer from `first` */
    KEY_IN_USE,   /* 409 */
    KEY_MISUSED,  /* 400: other parameters */
} KeyVerdict;

/* `results` has the youngest executed request of each key, whatever became of it. An empty key is always new. */
KeyVerdict idempotency_judge(const Table *results, Str key, uint64_t digest, int64_t now_s, int64_t now_ms,
                             Charge **first);

/* The error object for KEY_IN_USE and KEY_MISUSED, and for a key that is too long. */
StripeError idempotency_error(KeyVerdict verdict, Str key);
StripeError idempotency_error_too_long(void);

#endif
