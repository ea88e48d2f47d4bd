/* ledger - the bus as an outsider with a NATS client sees it: publish anything, read everything, independently of
 * the project's own bus library. */
#ifndef TAI_TESTS_LEDGER_H
#define TAI_TESTS_LEDGER_H

#include "shared/wire/payment.h"
#include "tests/support/stack.h"

typedef struct {
    const char *subject;
    Str body; /* NUL-terminated as well */
    uint64_t sequence;
    int64_t time_ms;
    const char *msg_id;  /* "" where there is none */
    const char *headers; /* all of them: "Name: value\n…" */
} Entry;

typedef struct {
    Entry *entries;
    size_t count;
} Entries;

/* Every message of a stream, in order; `filter` NULL: all. */
Entries ledger_read(Stack *stack, const char *stream, const char *filter);
uint64_t ledger_count(Stack *stack, const char *stream); /* messages in it */
size_t ledger_count_of(Stack *stack, const char *stream, const char *filter);

/* Publishes and waits for the PubAck: its sequence. `msg_id` may be NULL. `retries` as long as nobody answers. */
uint64_t ledger_publish(Stack *stack, const char *subject, const char *msg_id, const void *body, size_t length);
uint64_t ledger_publish_text(Stack *stack, const char *subject, const char *msg_id, const char *body);

/* A request on core NATS: the answer, NULL when nobody answers. */
const char *ledger_request(Stack *stack, const char *subject, const char *body);
/* All answers within the time, as a JSON array: for $SRV.PING. */
json_t *ledger_request_many(Stack *stack, const char *subject, int64_t within_ms);

typedef struct {
    uint64_t num_pending;    /* not delivered yet */
    int64_t num_ack_pending; /* delivered, not acked */
    int64_t num_redelivered;
} LaneState;
LaneState ledger_lane(Stack *stack, const char *consumer); /* of PAYMENT */
bool ledger_lanes_are_empty(Stack *stack);                 /* every signal judged, every decision ended */

/* The outcome of a transaction; false while there is none. */
bool outcome_find(Stack *stack, const char *transaction_id, PaymentOutcome *outcome);
/* Waits for it. */
PaymentOutcome outcome_wait(Stack *stack, const char *transaction_id);
/* The transaction id that a publisher's key stands for. */
const char *transaction_of_key(Stack *stack, const char *publisher, const char *key);

#endif
