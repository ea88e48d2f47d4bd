/* waiting - who waits for which answer. */
#include "gateway/waiting.h"

#include <stdlib.h>

#include "shared/base/err.h"

#define WAITING_NONE UINT32_MAX

struct WaitingSlot {
    void *holder; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

void waiting_open(Waiting *waiting, uint32_t capacity)
{
    *waiting = (Waiting){.slots = calloc(capacity, sizeof(WaitingSlot)), .capacity = capacity};
    TAI_ASSERT(waiting->slots != NULL && capacity > 0 && capacity < WAITING_NONE);
    for (uint32_t i = 0; i < capacity; i++) {
        waiting->slots[i] = (WaitingSlot){.generation = 1, .next_free = i + 1 < capacity ? i + 1 : WAITING_NONE};
    }
}

void waiting_close(Waiting *waiting)
{
    free(waiting->slots);
    *waiting = (Waiting){0};
}

bool waiting_take(Waiting *waiting, void *holder, uint64_t *token)
{
    uint32_t place = waiting->first_free;
    if (place == WAITING_NONE) {
        return false;
    }
    WaitingSlot *slot = &waiting->slots[place];
    waiting->first_free = slot->next_free;
    waiting->count++;
    slot->holder = holder;
    *token = (uint64_t)slot->generation << 32 | place;
    return true;
}

static WaitingSlot *waiting_slot(const Waiting *waiting, uint64_t token)
{
    uint32_t place = (uint32_t)token;
    if (place >= waiting->capacity) {
        return NULL;
    }
    WaitingSlot *slot = &waiting->slots[place];
    return slot->holder != NULL && slot->generation == (uint32_t)(token >> 32) ? slot : NULL;
}

void waiting_give_back(Waiting *waiting, uint64_t token)
{
    WaitingSlot *slot = waiting_slot(waiting, token);
    if (slot == NULL) {
        return;
    }
    slot->holder = NULL;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = waiting->first_free;
    waiting->first_free = (uint32_t)token;
    waiting->count--;
}

void *waiting_find(const Waiting *waiting, uint64_t token)
{
    WaitingSlot *slot = waiting_slot(waiting, token);
    return slot == NULL ? NULL : slot->holder;
}

void waiting_token_print(uint64_t token, Buffer *out)
{
    static const char digits[] = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4) {
        buffer_append_char(out, digits[token >> shift & 15]);
    }
}

bool waiting_token_parse(Str text, uint64_t *token)
{
    if (text.length != 16) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        bool digit = byte >= '0' && byte <= '9';
        if (!digit && (byte < 'a' || byte > 'f')) {
            return false;
        }
        value = value << 4 | (uint64_t)(digit ? byte - '0' : byte - 'a' + 10);
    }
    *token = value;
    return true;
}
