/* ring - the store's requests in the order they were asked: first those that were sent, then those that were not.
 * Private to shared/store. */
#ifndef TAI_STORE_RING_H
#define TAI_STORE_RING_H

#include "shared/store/store.h"

#define STORE_WORDS_MAX (STORE_KEYS_MAX + STORE_ARGUMENTS_MAX)

typedef struct {
    StoreCallback *callback;
    void *context;
    StoreScript script;
    bool with_source; /* EVAL, after the server did not know the digest */
    size_t key_count;
    size_t word_count;                      /* keys and arguments */
    uint32_t word_lengths[STORE_WORDS_MAX]; /* bytes */
    char *text;                             /* the words one after the other; owned */
    int64_t deadline_ms;                    /* once sent */
} StoreRequest;

typedef struct {
    StoreRequest *slots; /* capacity is a power of two */
    size_t capacity;
    size_t first;
    size_t count;
    size_t sent; /* of count */
} Ring;

void ring_put(Ring *ring, StoreRequest request); /* as the youngest, not sent */
StoreRequest ring_take(Ring *ring);              /* the oldest; the caller releases it */
StoreRequest *ring_at(const Ring *ring, size_t index);
void ring_free(Ring *ring); /* must be empty */

void request_copy_words(StoreRequest *request, const Str *keys, size_t key_count, const Str *arguments,
                        size_t argument_count);
void request_release(StoreRequest *request);

#endif
