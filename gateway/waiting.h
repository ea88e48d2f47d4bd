/* waiting - who waits for which answer: a fixed table of slots, named by tokens that are never used twice.
 * A token is a slot and its generation, so that a late answer to an earlier holder finds nobody. All in O(1). */
#ifndef TAI_GATEWAY_WAITING_H
#define TAI_GATEWAY_WAITING_H

#include "shared/base/str.h"

#define WAITING_TOKEN_TEXT_MAX 18 /* bytes, closing NUL included */

typedef struct WaitingSlot WaitingSlot;

typedef struct {
    WaitingSlot *slots;
    uint32_t capacity;
    uint32_t count;
    uint32_t first_free;
} Waiting;

void waiting_open(Waiting *waiting, uint32_t capacity);
void waiting_close(Waiting *waiting);

/* False: the table is full. A token is never 0. */
bool waiting_take(Waiting *waiting, void *holder, uint64_t *token);
void waiting_give_back(Waiting *waiting, uint64_t token);   /* 0 is fine */
void *waiting_find(const Waiting *waiting, uint64_t token); /* NULL: nobody any more */

/* As one token of a subject. */
void waiting_token_print(uint64_t token, Buffer *out);
bool waiting_token_parse(Str text, uint64_t *token);

#endif
