/* stack - the harness itself: real servers come and go, and nothing of them stays behind. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/ledger.h"

#define SERVERS_ONLY "sandbox gateway policy action metrics"

typedef struct {
    char folder[64];
    pid_t pid;
} Told;

static void add_stream(Stack *stack)
{
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = "PAYMENT";
    config.Subjects = (const char *[]){"tai.payment.>"};
    config.SubjectsLen = 1;
    config.AllowDirect = true;
    cr_assert_eq(js_AddStream(NULL, stack_js(stack), &config, NULL, NULL), NATS_OK);
}

Test(stack, what_was_published_is_read_back_in_order_after_the_server_was_killed)
{
    Stack *stack = stack_start(&(StackPlan){.without = SERVERS_ONLY});
    add_stream(stack);
    ledger_publish_text(stack, "tai.payment.signal.a", "one", "1");
    ledger_publish_text(stack, "tai.payment.signal.b", NULL, "2");
    stack_restart(stack, STACK_NATS, 0, SIGKILL);
    WAIT_UNTIL(ledger_count(stack, "PAYMENT") == 2);
    Entries all = ledger_read(stack, "PAYMENT", NULL);
    cr_assert_eq(all.count, 2);
    cr_assert_str_eq(all.entries[0].msg_id, "one");
    cr_assert_str_eq(all.entries[1].body.data, "2");
    cr_assert_eq(ledger_read(stack, "PAYMENT", "tai.payment.signal.b").count, 1);
    stack_stop(stack);
}

Test(stack, a_test_that_crashes_leaves_no_process_and_no_folder)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t test = fork();
    if (test == 0) {
        cr_assert_not_null(freopen("/dev/null", "we", stderr)); /* what it would print of its logs */
        Stack *stack = stack_start(&(StackPlan){.without = SERVERS_ONLY});
        Told told = {.pid = stack_process(stack, STACK_NATS, 0)->pid};
        memcpy(told.folder, stack->folder, sizeof told.folder);
        (void)!write(ends[1], &told, sizeof told);
        kill(getpid(), SIGKILL);
    }
    Told told;
    cr_assert_eq(read(ends[0], &told, sizeof told), (ssize_t)sizeof told);
    waitpid(test, NULL, 0);
    struct stat facts;
    WAIT_UNTIL(kill(told.pid, 0) != 0);
    WAIT_UNTIL(stat(told.folder, &facts) != 0);
}
