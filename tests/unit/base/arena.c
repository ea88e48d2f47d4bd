/* Tests of arena: zeroed and aligned memory within a limit, over many resets. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shared/base/arena.h"

Test(arena, nothing_is_allocated_before_the_first_use)
{
    Arena arena = arena_make(1024, 4096);
    cr_assert_null(arena.first);
    arena_reset(&arena);
    arena_release(&arena);
    cr_assert_null(arena.first);
}

Test(arena, memory_is_zeroed_aligned_and_apart)
{
    static const size_t sizes[] = {0, 1, 7, 16, 17, 64, 65, 200, 3};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    Arena arena = arena_make(64, 64 * 1024);
    for (int round = 0; round < 3; round++) {
        unsigned char *taken[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            taken[i] = arena_alloc(&arena, sizes[i]);
            cr_assert_not_null(taken[i]);
            cr_assert_eq((uintptr_t)taken[i] % alignof(max_align_t), 0);
            for (size_t b = 0; b < sizes[i]; b++)
                cr_assert_eq(taken[i][b], 0);
            memset(taken[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < COUNT; i++) {
            for (size_t b = 0; b < sizes[i]; b++)
                cr_assert_eq(taken[i][b], i + 1, "allocation %zu was written over", i);
        }
        arena_reset(&arena);
    }
    arena_release(&arena);
}

Test(arena, a_reset_keeps_the_first_block_and_forgets_the_rest)
{
    Arena arena = arena_make(128, 4096);
    void *first = arena_alloc(&arena, 100);
    for (int i = 0; i < 10; i++)
        arena_alloc(&arena, 100);
    cr_assert_eq(arena.used_bytes, 11 * 112);
    arena_reset(&arena);
    cr_assert_eq(arena.used_bytes, 0);
    cr_assert_eq(arena_alloc(&arena, 100), first);
    arena_release(&arena);
    cr_assert_not_null(arena_alloc(&arena, 10), "it may be used again");
    arena_release(&arena);
}

Test(arena, a_large_request_does_not_waste_the_block_in_use)
{
    Arena arena = arena_make(256, 4096);
    unsigned char *before = arena_alloc(&arena, 32);
    arena_alloc(&arena, 1000);
    unsigned char *after = arena_alloc(&arena, 32);
    cr_assert_eq(after, before + 32);
    arena_release(&arena);
}

Test(arena, the_whole_limit_can_be_used)
{
    Arena arena = arena_make(64, 1024);
    cr_assert_not_null(arena_alloc(&arena, 512));
    cr_assert_not_null(arena_alloc(&arena, 512));
    cr_assert_eq(arena.used_bytes, 1024);
    arena_release(&arena);
}

Test(arena, passing_the_limit_aborts, .signal = SIGABRT)
{
    Arena arena = arena_make(64, 1024);
    arena_alloc(&arena, 512);
    arena_alloc(&arena, 513);
}

Test(arena, an_absurd_size_aborts, .signal = SIGABRT)
{
    Arena arena = arena_make(64, 1024);
    arena_alloc(&arena, SIZE_MAX);
}

Test(arena, an_array_whose_size_overflows_aborts, .signal = SIGABRT)
{
    Arena arena = arena_make(64, 1024);
    arena_alloc_array(&arena, SIZE_MAX / 2, 3);
}

Test(arena, copies_and_prints_end_in_nul)
{
    Arena arena = arena_make(64, 4096);
    Str copy = arena_copy(&arena, str_slice(STR("abcdef"), 0, 3));
    cr_assert_eq(copy.length, 3);
    cr_assert_str_eq(copy.data, "abc");
    Str empty = arena_copy(&arena, (Str){0});
    cr_assert_eq(empty.length, 0);
    cr_assert_str_eq(empty.data, "");
    Str printed = arena_print(&arena, "%s/%0*d", "x", 200, 7);
    cr_assert_eq(printed.length, 202);
    cr_assert_eq(printed.data[201], '7');
    cr_assert_eq(printed.data[202], '\0');
    arena_release(&arena);
}

Test(arena, a_buffer_has_the_capacity_that_was_asked_for)
{
    Arena arena = arena_make(64, 4096);
    Buffer buffer = arena_buffer(&arena, 4);
    buffer_append(&buffer, STR("abc"));
    cr_assert_not(buffer.overflow);
    buffer_append_char(&buffer, 'd');
    cr_assert(buffer.overflow);
    arena_release(&arena);
}
