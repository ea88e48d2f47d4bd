/* driver_command - any program carries commands out: what it is given, what its end means, and that it is ended. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/deploy.h"

#define ONLY_ACTION "redis gateway policy metrics sandbox"

typedef struct {
    char folder[64];
    char program[128];
    char settings[512];
} Program;

/* A shell script; its own folder is in $here. */
static Program program_write(const char *script)
{
    Program program = {0};
    snprintf(program.folder, sizeof program.folder, "%s", "/tmp/tai-command-XXXXXX");
    cr_assert_not_null(mkdtemp(program.folder));
    snprintf(program.program, sizeof program.program, "%s/program", program.folder);
    snprintf(program.settings, sizeof program.settings, "TAI_ACTION_DEPLOY_COMMAND=%s", program.program);
    FILE *file = fopen(program.program, "we");
    cr_assert_not_null(file);
    fprintf(file, "#!/bin/sh\nhere=%s\n%s\n", program.folder, script);
    fclose(file);
    cr_assert_eq(chmod(program.program, 0700), 0);
    return program;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

static void program_remove(const Program *program)
{
    nftw(program->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file that the program wrote; "" where it did not. */
static const char *program_wrote(Stack *stack, const Program *program, const char *name)
{
    char text[8192] = "";
    int file = open(stack_print(stack, "%s/%s", program->folder, name), O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        ssize_t length = read(file, text, sizeof text - 1);
        text[length > 0 ? length : 0] = 0;
        close(file);
    }
    return stack_print(stack, "%s", text);
}

static DeploymentResult carry_out(Stack *stack, RolloutCommand kind, int32_t weight)
{
    DeploymentCommand command = deploy_command("command", kind, weight);
    return deploy_do(stack, &command);
}

static void check_detail(const DeploymentResult *result, const char *text)
{
    cr_assert_not_null(memmem(result->detail.data, result->detail.length, text, strlen(text)), "\"" STR_FMT "\"",
                       STR_ARG(result->detail));
}

Test(driver_command, a_program_gets_the_facts_and_nothing_of_the_workers_own)
{
    Program program =
        program_write("env | sort > $here/environment; ps -o pgid= -p $$ | tr -d ' ' > $here/group\n"
                      "echo $$ > $here/pid; ls /proc/$$/fd | sort -n > $here/descriptors; echo well done");
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 25);
    cr_assert(result.succeeded, STR_FMT, STR_ARG(result.detail));
    check_detail(&result, "well done");
    const char *environment = program_wrote(stack, &program, "environment");
    static const char *const facts[] = {
        "TAI_COMMAND=apply\n",
        "TAI_COMMAND_ID=dep_1.us-west-2.0.c.1\n",
        "TAI_DEPLOYMENT_ID=dep_1\n",
        "TAI_REGION=us-west-2\n",
        "TAI_SERVICE=api\n",
        "TAI_VERSION=v2\n",
        "TAI_IMAGE=registry.local/team/api\n",
        "TAI_DIGEST=sha256:2222",
        "TAI_PREVIOUS_VERSION=v1\n",
        "TAI_PREVIOUS_DIGEST=sha256:1111",
        "TAI_WEIGHT=25\n",
        "PATH=/usr/local/sbin:",
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        cr_assert_not_null(strstr(environment, facts[i]), "%s is not in\n%s", facts[i], environment);
    }
    cr_assert_null(strstr(environment, "TAI_ACTION"), "%s", environment);
    cr_assert_null(strstr(environment, "HOME"), "%s", environment);
    cr_assert_str_eq(program_wrote(stack, &program, "group"), program_wrote(stack, &program, "pid"));
    const char *descriptors = program_wrote(stack, &program, "descriptors");
    cr_assert_eq(strncmp(descriptors, "0\n1\n2\n", 6), 0, "%s", descriptors);
    cr_assert_leq(strlen(descriptors), strlen("0\n1\n2\n10\n"), "only the shell's own: %s", descriptors);
    stack_stop(stack);
    program_remove(&program);
}

Test(driver_command, the_last_line_of_a_read_is_the_weight)
{
    Program program = program_write("echo asking the balancer; echo 5 >&2; cat $here/weight");
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    static const struct {
        const char *line;
        int32_t weight; /* -1: none */
    } cases[] = {{"25", 25}, {" 100 ", 100}, {"0\n\n", 0}, {"101", -1}, {"25 %", -1}, {"", -1}, {"-1", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *file = fopen(stack_print(stack, "%s/weight", program.folder), "we");
        cr_assert_not_null(file);
        fprintf(file, "%s", cases[i].line);
        fclose(file);
        DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_READ, 25);
        cr_assert_eq(result.succeeded, cases[i].weight >= 0, "%s: " STR_FMT, cases[i].line, STR_ARG(result.detail));
        cr_assert_eq(result.weight_percent, cases[i].weight);
        cr_assert(!result.impossible);
    }
    stack_stop(stack);
    program_remove(&program);
}

Test(driver_command, exit_codes_say_whether_trying_again_can_help)
{
    Program program = program_write("echo said on stdout; echo because of $TAI_WEIGHT >&2; exit $TAI_WEIGHT");
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    static const struct {
        int32_t code;
        bool impossible;
    } cases[] = {{1, false}, {64, true}, {75, false}, {78, true}, {99, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, cases[i].code);
        cr_assert(!result.succeeded);
        cr_assert_eq(result.impossible, cases[i].impossible, "%d", cases[i].code);
        check_detail(&result, stack_print(stack, "exit %d: because of %d", cases[i].code, cases[i].code));
    }
    stack_stop(stack);
    program_remove(&program);
}

Test(driver_command, a_program_that_hangs_is_killed_with_all_its_children)
{
    Program program = program_write("if [ $TAI_COMMAND = rollback ]; then exit 0; fi\n"
                                    "sleep 1000 & echo $! > $here/child; echo not yet >&2; wait");
    snprintf(program.settings, sizeof program.settings, "TAI_ACTION_DEPLOY_COMMAND=%s TAI_ACTION_DEPLOY_TIMEOUT_MS=500",
             program.program);
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 5);
    cr_assert(!result.succeeded && !result.impossible);
    check_detail(&result, "killed: not done within 500 ms");
    pid_t child = (pid_t)strtol(program_wrote(stack, &program, "child"), NULL, 10);
    cr_assert_gt(child, 1);
    WAIT_UNTIL(kill(child, 0) != 0);
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK, 0).succeeded);
    stack_stop(stack);
    program_remove(&program);
}

Test(driver_command, a_program_that_leaves_something_behind_has_it_killed)
{
    Program program = program_write("sleep 1000 & echo $! > $here/child; echo done");
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_APPLY, 5).succeeded);
    pid_t child = (pid_t)strtol(program_wrote(stack, &program, "child"), NULL, 10);
    WAIT_UNTIL(kill(child, 0) != 0);
    stack_stop(stack);
    program_remove(&program);
}

Test(driver_command, endless_output_is_read_and_only_its_end_is_kept)
{
    Program program = program_write("head -c 3000000 /dev/zero | tr '\\0' 'x'; head -c 3000000 /dev/zero >&2; echo\n"
                                    "echo 25");
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_READ, 25);
    cr_assert(result.succeeded, STR_FMT, STR_ARG(result.detail));
    cr_assert_eq(result.weight_percent, 25);
    stack_stop(stack);
    program_remove(&program);
}

Test(driver_command, a_detail_is_one_bounded_line_of_text)
{
    Program program =
        program_write("printf 'bad \\001\\377 byte ' >&2; head -c 5000 /dev/zero | tr '\\0' 'y' >&2; exit 1");
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 25);
    cr_assert_leq(result.detail.length, 500);
    cr_assert(str_is_utf8(result.detail));
    check_detail(&result, "exit 1: bad    byte yyyy");
    stack_stop(stack);
    program_remove(&program);
}

Test(driver_command, programs_of_different_regions_run_at_once_and_of_one_region_never)
{
    Program program =
        program_write("mkdir $here/$TAI_REGION || exit 64\n"
                      "if [ $TAI_REGION = west ]; then until [ -e $here/east-was-here ]; do sleep 0.02; done\n"
                      "else touch $here/east-was-here; fi; rmdir $here/$TAI_REGION");
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    DeploymentCommand command = deploy_command("command", ROLLOUT_COMMAND_APPLY, 5);
    uint64_t sequences[6];
    for (int i = 0; i < 6; i++) {
        command.region = i < 5 ? STR("west") : STR("east");
        sequences[i] = deploy_send(stack, &command);
    }
    for (int i = 0; i < 6; i++) {
        DeploymentResult result = deploy_wait(stack, &command, sequences[i]);
        cr_assert(result.succeeded, "%d: " STR_FMT, i, STR_ARG(result.detail));
    }
    stack_stop(stack);
    program_remove(&program);
}

Test(driver_command, a_program_that_is_not_there_is_impossible)
{
    static const char *const settings[] = {"", "TAI_ACTION_DEPLOY_COMMAND=/nowhere/at.all",
                                           "TAI_ACTION_DEPLOY_COMMAND=/etc/passwd", "TAI_ACTION_DEPLOY_COMMAND=/etc"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = settings[i]});
        DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 5);
        cr_assert(!result.succeeded && result.impossible, "%s: " STR_FMT, settings[i], STR_ARG(result.detail));
        stack_stop(stack);
    }
}

Test(driver_command, a_worker_that_must_go_takes_its_program_along_and_the_command_comes_again)
{
    Program program = program_write("if [ -e $here/pid ]; then exit 0; fi; echo $$ > $here/pid; exec sleep 1000");
    snprintf(program.settings, sizeof program.settings,
             "TAI_ACTION_DEPLOY_COMMAND=%s TAI_ACTION_DRAIN_MS=200 TAI_ACTION_LANES_COMMAND_ACK_WAIT_MS=1000",
             program.program);
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = program.settings});
    DeploymentCommand command = deploy_command("command", ROLLOUT_COMMAND_APPLY, 5);
    uint64_t sequence = deploy_send(stack, &command);
    WAIT_UNTIL(program_wrote(stack, &program, "pid")[0] != '\0');
    pid_t pid = (pid_t)strtol(program_wrote(stack, &program, "pid"), NULL, 10);
    kill(stack_process(stack, STACK_ACTION, 0)->pid, SIGTERM);
    stack_kill(stack, STACK_ACTION, 0, SIGTERM); /* a second one: do not wait for what is under way */
    WAIT_UNTIL(kill(pid, 0) != 0);
    stack_begin(stack, STACK_ACTION, 0);
    cr_assert(deploy_wait(stack, &command, sequence).succeeded);
    stack_stop(stack);
    program_remove(&program);
}
