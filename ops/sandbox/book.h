/* book - everything that was executed, and how often each idempotency key was charged.
 * What was captured is counted here, apart from the memory for repeated keys: a double charge would show. */
#ifndef SANDBOX_BOOK_H
#define SANDBOX_BOOK_H

#include "ops/sandbox/card.h"
#include "ops/sandbox/order.h"

#define BOOK_CHARGES_MAX 2000000          /* more are refused with 507 */
#define BOOK_BYTES_MAX (INT64_C(1) << 30) /* for all of them together */

typedef enum {
    CHARGE_CAPTURED,
    CHARGE_DECLINED,
    CHARGE_UNCONFIRMED, /* a PaymentIntent without confirm: no money moved */
    CHARGE_ERRORED,     /* failed inside: no money moved, the key keeps the 500 */
} ChargeState;

typedef struct Charge {
    uint64_t number; /* its ids end in it; grows */
    OrderKind kind;
    ChargeState state;
    int64_t amount; /* minor units */
    char currency[4];
    int64_t created_s;          /* since 1970 */
    int64_t busy_until_ms;      /* monotonic: its first request is executing until then */
    uint64_t digest;            /* of the request's parameters */
    const CardDecline *decline; /* with DECLINED */
    Str key;                    /* Idempotency-Key; these point behind the struct */
    Str payment_method;
    Str customer;
    Str description;
    Str transaction_id;
    Str metadata;            /* JSON */
    struct Charge *previous; /* captured with the same key before this one */
    int64_t captured_of_key; /* this one included */
} Charge;

/* Open addressing by key; a key stands in it once. */
typedef struct {
    Charge **slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
} Table;

Charge *table_find(const Table *table, Str key); /* NULL: none */
void table_put(Table *table, Charge *charge);    /* in place of another one with its key */
void table_clear(Table *table);

typedef struct {
    Charge **charges; /* in the order of their numbers; owned */
    size_t count;
    size_t capacity;
    uint64_t last_number;
    int64_t bytes;
    Table captured; /* by key: the youngest captured charge of it */
    int64_t captured_count;
    int64_t captured_without_key;
    int64_t max_captured_per_key;
} Book;

/* Copies what the order and the key point at. The number is the next one. NULL: the book is full. */
Charge *book_add(Book *book, const Order *order, ChargeState state, Str key, int64_t created_s);

Charge *book_find(const Book *book, uint64_t number); /* NULL: none */
void book_clear(Book *book);                          /* frees all; numbers go on */

#endif
