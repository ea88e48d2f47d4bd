/* Tests of gateway/waiting: tokens, and who is behind them. */
#include <criterion/criterion.h>

#include "gateway/waiting.h"

Test(waiting, a_full_table_takes_nobody_until_a_place_is_given_back)
{
    Waiting waiting;
    int holders[3];
    uint64_t tokens[3] = {0};
    waiting_open(&waiting, 2);
    cr_assert(waiting_take(&waiting, &holders[0], &tokens[0]));
    cr_assert(waiting_take(&waiting, &holders[1], &tokens[1]));
    cr_assert_not(waiting_take(&waiting, &holders[2], &tokens[2]));
    cr_assert(waiting.count == 2);
    waiting_give_back(&waiting, tokens[0]);
    cr_assert(waiting_take(&waiting, &holders[2], &tokens[2]));
    cr_assert(waiting_find(&waiting, tokens[2]) == &holders[2]);
    cr_assert(waiting_find(&waiting, tokens[1]) == &holders[1]);
    waiting_close(&waiting);
}

Test(waiting, a_late_answer_to_an_earlier_holder_finds_nobody)
{
    Waiting waiting;
    int first;
    int second;
    uint64_t early = 0;
    uint64_t late = 0;
    waiting_open(&waiting, 1);
    cr_assert(waiting_take(&waiting, &first, &early));
    waiting_give_back(&waiting, early);
    cr_assert(waiting_take(&waiting, &second, &late));
    cr_assert(early != late);
    cr_assert_null(waiting_find(&waiting, early));
    waiting_give_back(&waiting, early); /* given back twice: not the new holder's place */
    cr_assert(waiting_find(&waiting, late) == &second);
    cr_assert_not(waiting_take(&waiting, &first, &early));
    waiting_close(&waiting);
}

Test(waiting, the_token_nobody_has_and_places_outside_the_table_are_harmless)
{
    Waiting waiting;
    waiting_open(&waiting, 4);
    waiting_give_back(&waiting, 0);
    cr_assert_null(waiting_find(&waiting, 0));
    cr_assert_null(waiting_find(&waiting, UINT64_MAX));
    waiting_give_back(&waiting, UINT64_MAX);
    cr_assert(waiting.count == 0);
    waiting_close(&waiting);
}

Test(waiting, a_token_reads_back_as_printed_and_nothing_else_reads)
{
    char memory[WAITING_TOKEN_TEXT_MAX];
    Buffer out = buffer_over(memory, sizeof(memory));
    uint64_t token = 0;
    waiting_token_print(UINT64_C(0x0000000700000a1f), &out);
    cr_assert_str_eq(memory, "0000000700000a1f");
    cr_assert(waiting_token_parse(buffer_str(&out), &token) && token == UINT64_C(0x0000000700000a1f));
    static const char *const others[] = {"", "0000000700000a1", "0000000700000a1f0", "0000000700000A1F",
                                         "000000070000 a1f"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_expect_not(waiting_token_parse(str_from(others[i]), &token), "%s", others[i]);
    }
}
