/* arena - memory with the lifetime of a message: many allocations, one reset, no frees.
 * Blocks hang in a list; the first is always of the usual size, so a reset leaves a predictable footprint. */
#include "shared/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ArenaBlock {
    ArenaBlock *next;
    size_t capacity;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

Arena arena_make(size_t block_bytes, size_t limit_bytes)
{
    return (Arena){.block_bytes = block_bytes, .limit_bytes = limit_bytes};
}

static size_t round_up(size_t bytes)
{
    const size_t unit = alignof(max_align_t);
    return bytes == 0 ? unit : (bytes + unit - 1) / unit * unit;
}

static ArenaBlock *block_make(size_t capacity)
{
    ArenaBlock *block = malloc(sizeof *block + capacity);
    TAI_ASSERT(block != NULL);
    block->next = NULL;
    block->capacity = capacity;
    block->used = 0;
    return block;
}

static void *block_take(ArenaBlock *block, size_t bytes)
{
    void *memory = block->bytes + block->used;
    block->used += bytes;
    return memset(memory, 0, bytes);
}

/* A request larger than a block hangs behind the current one, which stays in use for what comes next. */
static ArenaBlock *block_insert_after(ArenaBlock *block, size_t capacity)
{
    ArenaBlock *added = block_make(capacity);
    added->next = block->next;
    block->next = added;
    return added;
}

void *arena_alloc(Arena *arena, size_t bytes)
{
    TAI_ASSERT(bytes <= arena->limit_bytes && arena->limit_bytes < SIZE_MAX / 2);
    size_t size = round_up(bytes);
    TAI_ASSERT(size <= arena->limit_bytes - arena->used_bytes);
    size_t block_bytes = round_up(arena->block_bytes);
    if (arena->first == NULL) {
        arena->first = block_make(block_bytes);
        arena->current = arena->first;
    }
    arena->used_bytes += size;
    if (size <= arena->current->capacity - arena->current->used)
        return block_take(arena->current, size);
    if (size > block_bytes)
        return block_take(block_insert_after(arena->current, size), size);
    arena->current = block_insert_after(arena->current, block_bytes);
    return block_take(arena->current, size);
}

void *arena_alloc_array(Arena *arena, size_t count, size_t element_bytes)
{
    size_t bytes = 0;
    TAI_ASSERT(!__builtin_mul_overflow(count, element_bytes, &bytes));
    return arena_alloc(arena, bytes);
}

Str arena_copy(Arena *arena, Str text)
{
    char *copy = arena_alloc(arena, text.length + 1);
    if (text.length > 0)
        memcpy(copy, text.data, text.length);
    return (Str){copy, text.length};
}

Str arena_print(Arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    TAI_ASSERT(length >= 0);
    Buffer text = arena_buffer(arena, (size_t)length + 1);
    va_start(arguments, format);
    buffer_vprint(&text, format, arguments);
    va_end(arguments);
    return buffer_str(&text);
}

Buffer arena_buffer(Arena *arena, size_t capacity_bytes)
{
    return buffer_over(arena_alloc(arena, capacity_bytes), capacity_bytes);
}

static void blocks_free(ArenaBlock *block)
{
    while (block != NULL) {
        ArenaBlock *next = block->next;
        free(block);
        block = next;
    }
}

void arena_reset(Arena *arena)
{
    if (arena->first != NULL) {
        blocks_free(arena->first->next);
        arena->first->next = NULL;
        arena->first->used = 0;
    }
    arena->current = arena->first;
    arena->used_bytes = 0;
}

void arena_release(Arena *arena)
{
    blocks_free(arena->first);
    *arena = arena_make(arena->block_bytes, arena->limit_bytes);
}
