/* Tests of the command line, on a real worker: what it prints and what it exits with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "shared/worker/worker.h"

typedef struct {
    int code;
    char text[32768]; /* stdout and stderr */
} Ran;

static Ran *run(const char *arguments)
{
    static Ran ran;
    char command[1024];
    int length = snprintf(command, sizeof command, "env -u TAI_CONFIG -u TAI_LOG %s 2>&1", arguments);
    cr_assert(length > 0 && (size_t)length < sizeof command);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t got = fread(ran.text, 1, sizeof ran.text - 1, pipe);
    ran.text[got] = '\0';
    int status = pclose(pipe);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return &ran;
}

#define POLICY TAI_BIN "/tai-policy"

Test(settings, help_names_every_setting_and_ends_well)
{
    const Ran *ran = run(POLICY " --help");
    static const char *const words[] = {"--config FILE",
                                        "policy.deadline_ms",
                                        "nats.url",
                                        "redis.password",
                                        "log.level",
                                        "policy.lanes.policy.wip",
                                        "policy.lanes.policy.slots",
                                        "policy.lanes.policy.ack_wait_ms",
                                        "policy.lanes.policy.max_tries",
                                        "policy.drain_ms",
                                        "Exit codes: 0 drained, 64 usage"};
    cr_assert_eq(ran->code, 0);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        cr_expect_not_null(strstr(ran->text, words[i]), "%s is missing", words[i]);
    }
}

Test(settings, version_is_one_line)
{
    const Ran *ran = run(POLICY " --version");
    cr_assert_eq(ran->code, 0);
    cr_assert_str_eq(ran->text, "tai-policy " TAI_VERSION "\n");
}

Test(settings, check_says_nothing_where_all_is_well)
{
    const Ran *ran = run(POLICY " --check");
    cr_assert_eq(ran->code, 0, "%s", ran->text);
    cr_assert_str_eq(ran->text, "");
}

typedef struct {
    const char *arguments;
    int code;
    const char *says;
} Wrong;

static const Wrong wrongs[] = {
    {POLICY " --nonsense", EXIT_USAGE, "unknown option or missing value: --nonsense"},
    {POLICY " --config", EXIT_USAGE, "unknown option or missing value: --config"},
    {POLICY " extra", EXIT_USAGE, "unknown option or missing value: extra"},
    {POLICY " --check --config /nowhere", EXIT_CONFIG, "/nowhere: No such file or directory"},
    {"TAI_CONFIG=/nowhere " POLICY " --check", EXIT_CONFIG, "/nowhere: No such file or directory"},
    {"TAI_LOG=loud " POLICY " --check", EXIT_CONFIG, "log.level: must be debug, info, warn or error, not \"loud\""},
    {"TAI_LOG_FORMAT=xml " POLICY " --check", EXIT_CONFIG, "log.format: must be json, text or auto"},
    {"TAI_POLICY_DEADLINE_MS=600000 " POLICY " --check", EXIT_CONFIG, "TAI_POLICY_DEADLINE_MS: must be a whole number"},
    {"TAI_POLICY_LANES_POLICY_WIP=10 TAI_POLICY_LANES_POLICY_SLOTS=11 " POLICY " --check", EXIT_CONFIG,
     "policy.lanes.policy.slots: must not be more than wip"},
    {"TAI_NATS_URL=nats://shop:hunter2@127.0.0.1:1 TAI_NATS_CONNECT_WAIT_MS=10 " POLICY, EXIT_UNAVAILABLE,
     "cannot_start"},
};

Test(settings, what_is_wrong_is_said_and_has_its_exit_code)
{
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        const Ran *ran = run(wrongs[i].arguments);
        cr_expect_eq(ran->code, wrongs[i].code, "%s: %d %s", wrongs[i].arguments, ran->code, ran->text);
        cr_expect_not_null(strstr(ran->text, wrongs[i].says), "%s: %s", wrongs[i].arguments, ran->text);
        cr_expect_null(strstr(ran->text, "hunter2"), "%s", ran->text);
    }
}
