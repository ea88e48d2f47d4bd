/* takeover - rollouts on every path lose their workers after every single write, and live as they would have.
 *
 * What ends up on the ledger, among the alerts and in the regions may differ in nothing from an undisturbed run: no
 * step twice, none left out, every command once, one outcome, each alert once, no stage observed anew (invariants 4, 8,
 * 10). How workers are killed and stopped is in tests/support/reaper.h, which paths there are in tests/support/lives.c.
 */
#include <string.h>

#include "tests/support/reaper.h"

typedef struct {
    const char *stories[LIVES_MAX];
} Library;

static void library_fill(Library *library, Reaper *reaper, const char *name, Disturbance disturbance)
{
    Stack *stack = reaper_stack(reaper);
    const Lives *lives = reaper_live(reaper, name, disturbance);
    Entries ledger = ledger_read(stack, "DEPLOYMENT", NULL);
    Entries alerts = ledger_read(stack, "ANDON", NULL);
    for (size_t i = 0; i < lives->count; i++) {
        const Life *life = &lives->lives[i];
        library->stories[i] = life_story(lives, life, &ledger, &alerts);
        story_check(stack, &life->about, &ledger);
        story_check(stack, &life->behind, &ledger);
    }
}

/* Without commands and items of lanes that stood there before. */
static const char *without_repeats(Stack *stack, const char *story)
{
    const char *kept = "\n";
    for (const char *line = story; *line;) {
        int length = (int)strcspn(line, "\n") + 1;
        const char *copy = stack_print(stack, "\n%.*s", length, line);
        bool may_repeat = strncmp(line, "command ", 8) == 0 || strncmp(line, "work ", 5) == 0;
        if (!may_repeat || !strstr(kept, copy)) {
            kept = stack_print(stack, "%s%s", kept, copy + 1);
        }
        line += length;
    }
    return kept;
}

static void compare(Stack *stack, const Library *undisturbed, const Library *disturbed, bool may_repeat)
{
    for (size_t i = 0; i < LIVES_MAX && undisturbed->stories[i]; i++) {
        const char *as_was = undisturbed->stories[i];
        const char *as_is = disturbed->stories[i];
        if (may_repeat) {
            as_was = without_repeats(stack, as_was);
            as_is = without_repeats(stack, as_is);
        }
        cr_expect(strcmp(as_was, as_is) == 0, "--- undisturbed\n%s--- disturbed\n%s", as_was, as_is);
    }
}

/* From now on the ledger knows a message id for a tenth of a second, the least there is, instead of ten minutes. */
static void forget_ids(Stack *stack)
{
    jsStreamInfo *info = NULL;
    cr_assert_eq(js_GetStreamInfo(&info, stack_js(stack), "DEPLOYMENT", NULL, NULL), NATS_OK);
    info->Config->Duplicates = INT64_C(100) * 1000000;
    cr_assert_eq(js_UpdateStream(NULL, stack_js(stack), info->Config, NULL, NULL), NATS_OK);
    jsStreamInfo_Destroy(info);
}

/* The reaper after it, to be looked at and closed. */
static Reaper *live_twice(Disturbance disturbance, bool forgetful)
{
    Library undisturbed = {0};
    Library disturbed = {0};
    Reaper *reaper = reaper_open();
    library_fill(&undisturbed, reaper, "undisturbed", UNDISTURBED);
    if (forgetful) {
        forget_ids(reaper_stack(reaper));
    }
    library_fill(&disturbed, reaper, "disturbed", disturbance);
    compare(reaper_stack(reaper), &undisturbed, &disturbed, forgetful);
    reaper_print_times(reaper);
    cr_expect_eq(ledger_count(reaper_stack(reaper), "DEAD"), 0);
    return reaper;
}

static size_t logged(Reaper *reaper, const char *event)
{
    Stack *stack = reaper_stack(reaper);
    size_t count = 0;
    for (int i = 0; i < stack->counts[STACK_ROLLOUT]; i++) {
        count +=
            process_log_count(stack_process(stack, STACK_ROLLOUT, i), stack_print(stack, "\"event\":\"%s\"", event));
    }
    return count;
}

Test(takeover, rollout_workers_killed_after_any_write_on_any_path_are_followed_by_others)
{
    reaper_close(live_twice(KILLED, false));
}

Test(takeover, rollout_workers_that_wake_after_others_went_on_change_nothing_on_any_path)
{
    Reaper *reaper = live_twice(STOPPED, false);
    cr_expect_gt(logged(reaper, "given_up"), 0);
    reaper_close(reaper);
}

Test(takeover, action_workers_killed_before_and_after_any_result_change_nothing_on_any_path)
{
    reaper_close(live_twice(ACTIONS_KILLED, false));
}

Test(takeover, rollout_and_action_workers_killed_together_after_any_write_change_nothing_on_any_path)
{
    reaper_close(live_twice(BOTH_KILLED, false));
}

/* As after an outage that was longer than the bus remembers. */
Test(takeover, a_bus_that_forgot_what_was_said_before_changes_nothing_on_any_path)
{
    Reaper *reaper = live_twice(KILLED, true);
    cr_expect_gt(logged(reaper, "over_already"), 0);
    reaper_close(reaper);
}

/* Every message of every lane goes to whoever asks first then, and the worker that had it still stands. */
Test(takeover, a_bus_that_is_away_for_longer_than_the_ack_wait_changes_nothing_on_any_path)
{
    reaper_close(live_twice(BUS_KILLED, false));
}
