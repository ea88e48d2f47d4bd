/* arena - memory with the lifetime of a message: many allocations, one reset, no frees.
 * Input is bounded at the door, so an arena that passes its limit is a programmer's error and aborts. */
#ifndef TAI_BASE_ARENA_H
#define TAI_BASE_ARENA_H

#include <stddef.h>

#include "shared/base/str.h"

typedef struct ArenaBlock ArenaBlock;

typedef struct {
    ArenaBlock *first;   /* kept across resets */
    ArenaBlock *current; /* where the next allocation comes from */
    size_t block_bytes;  /* size of a block; a larger request gets a block of its own */
    size_t used_bytes;   /* in all blocks since the last reset */
    size_t limit_bytes;  /* what used_bytes never passes */
} Arena;

/* Allocates nothing until the first use. */
Arena arena_make(size_t block_bytes, size_t limit_bytes);

/* Zeroed, aligned for any type, never NULL; valid until the next reset. */
void *arena_alloc(Arena *arena, size_t bytes);
void *arena_alloc_array(Arena *arena, size_t count, size_t element_bytes); /* checks the product */

/* A copy that is also NUL-terminated (the NUL is not part of the length). */
Str arena_copy(Arena *arena, Str text);
Str arena_print(Arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/* A buffer of that capacity inside the arena. */
Buffer arena_buffer(Arena *arena, size_t capacity_bytes);

void arena_reset(Arena *arena);   /* forgets everything, keeps the first block */
void arena_release(Arena *arena); /* gives all memory back; the arena may be used again */

#endif
