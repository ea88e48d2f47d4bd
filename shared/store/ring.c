/* ring - the store's requests in the order they were asked.
 * It grows by doubling up to STORE_PENDING_MAX: more than that is a caller without a limit, and aborts. */
#include "shared/store/ring.h"

#include <stdlib.h>
#include <string.h>

static void ring_grow(Ring *ring)
{
    size_t capacity = ring->capacity == 0 ? 64 : ring->capacity * 2;
    TAI_ASSERT(capacity <= STORE_PENDING_MAX);
    StoreRequest *slots = malloc(capacity * sizeof *slots);
    TAI_ASSERT(slots != NULL);
    for (size_t i = 0; i < ring->count; i++) {
        slots[i] = *ring_at(ring, i);
    }
    free(ring->slots);
    ring->slots = slots;
    ring->capacity = capacity;
    ring->first = 0;
}

StoreRequest *ring_at(const Ring *ring, size_t index)
{
    return &ring->slots[(ring->first + index) & (ring->capacity - 1)];
}

void ring_put(Ring *ring, StoreRequest request)
{
    if (ring->count == ring->capacity) {
        ring_grow(ring);
    }
    ring->count++;
    *ring_at(ring, ring->count - 1) = request;
}

StoreRequest ring_take(Ring *ring)
{
    TAI_ASSERT(ring->count > 0);
    StoreRequest request = *ring_at(ring, 0);
    ring->first = (ring->first + 1) & (ring->capacity - 1);
    ring->count--;
    if (ring->sent > 0) {
        ring->sent--;
    }
    return request;
}

void ring_free(Ring *ring)
{
    free(ring->slots);
    *ring = (Ring){0};
}

static char *request_add_words(StoreRequest *request, char *end, const Str *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i].length > 0) {
            memcpy(end, words[i].data, words[i].length);
        }
        end += words[i].length;
        request->word_lengths[request->word_count] = (uint32_t)words[i].length;
        request->word_count++;
    }
    return end;
}

void request_copy_words(StoreRequest *request, const Str *keys, size_t key_count, const Str *arguments,
                        size_t argument_count)
{
    size_t bytes = 1;
    for (size_t i = 0; i < key_count; i++) {
        bytes += keys[i].length;
    }
    for (size_t i = 0; i < argument_count; i++) {
        bytes += arguments[i].length;
    }
    TAI_ASSERT(bytes <= UINT32_MAX);
    request->text = malloc(bytes);
    TAI_ASSERT(request->text != NULL);
    request->key_count = key_count;
    char *end = request_add_words(request, request->text, keys, key_count);
    request_add_words(request, end, arguments, argument_count);
}

void request_release(StoreRequest *request)
{
    free(request->text);
    request->text = NULL;
}
