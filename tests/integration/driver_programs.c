/* driver_programs - ops/drivers/terraform and ops/drivers/kubectl as the worker runs them, against stand-ins for the
 * two tools: scripts that know the command lines the programs may use and refuse any other, keep what is set in files,
 * have Terraform's lock, and fail with the tools' messages and exit codes. No cluster or provider has seen this test.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/deploy.h"
#include "tests/support/rollout.h"

#define ONLY_ACTION "redis gateway policy metrics sandbox"
#define IMAGE "registry.local/team/api@"
#define NEW "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define OLD "sha256:1111111111111111111111111111111111111111111111111111111111111111"

/* bin/ has the stand-in, cloud/ what is really set, conf/ the configuration. */
typedef struct {
    char folder[64];
    char settings[256];
} Tool;

static const char terraform[] =
    "wrong() { echo \"$*\" >>$here/wrong; echo \"Error: $*\" >&2; exit 1; }\n"
    "[ \"$1\" = -chdir=$here/conf ] && [ \"$TF_IN_AUTOMATION\" = 1 ] && [ \"$TF_VAR_tai_service\" = api ] || wrong $*\n"
    "verb=$2; shift 2; given=' '; refresh=\n"
    "case $verb in\n"
    "validate)\n"
    "  [ \"$*\" = -no-color ] || wrong validate $*\n"
    "  [ ! -e $here/invalid ] || { printf '\\nError: Unsupported argument\\n\\n  on main.tf line 3\\n' >&2; exit 1; }\n"
    "  echo 'Success! The configuration is valid.' ;;\n"
    "output)\n"
    "  [ $# = 3 ] && [ \"$1 $2\" = '-no-color -raw' ] || wrong output $*\n"
    "  [ -e $here/state/$3 ] || { printf '\\nError: Output \"%s\" not found\\n' $3 >&2; exit 1; }\n"
    "  printf %s $(cat $here/state/$3) ;;\n"
    "apply)\n"
    "  for word; do\n"
    "    case $word in\n"
    "    -refresh-only) refresh=1 ;;\n"
    "    -auto-approve | -input=false | -no-color | -lock-timeout=1s) given=\"$given$word \" ;;\n"
    "    -var=tai_stable_version=* | -var=tai_stable_digest=* | -var=tai_canary_version=* | \\\n"
    "    -var=tai_canary_digest=* | -var=tai_weight=*)\n"
    "      value=${word#-var=}; eval \"${value%%=*}='${value#*=}'\"; given=\"$given${value%%=*} \" ;;\n"
    "    *) wrong apply $word ;;\n"
    "    esac\n"
    "  done\n"
    "  for word in -auto-approve -input=false -no-color -lock-timeout=1s tai_stable_version tai_stable_digest \\\n"
    "    tai_canary_version tai_canary_digest tai_weight; do\n"
    "    case $given in *\" $word \"*) ;; *) wrong \"$word is missing\" ;; esac\n"
    "  done\n"
    "  exec 9>$here/state.lock\n"
    "  flock -w 1 9 || { printf '\\nError: Error acquiring the state lock\\n\\nError message: resource\\n' >&2; exit "
    "1; }\n"
    "  if [ -e $here/slow ]; then sleep 1000 & trap 'kill $!; echo x >$here/asked; exit 1' INT; wait; fi\n"
    "  if [ -e $here/hang ]; then trap '' INT; sleep 1000 & echo $! >$here/child; while :; do wait; done; fi\n"
    "  if [ -e $here/flood ]; then head -c 3000000 /dev/zero | tr '\\0' x; echo; fi\n"
    "  if [ -e $here/fail ]; then rm $here/fail; printf '\\nError: creating rule: Throttling\\n' >&2; exit 1; fi\n"
    "  if [ ! $refresh ]; then\n"
    "    echo ${tai_stable_digest:-$tai_stable_version} >$here/cloud/tai_stable\n"
    "    echo ${tai_canary_digest:-$tai_canary_version} >$here/cloud/tai_canary\n"
    "    if [ -e $here/lie ] && [ $tai_weight = 5 ]; then tai_weight=3; fi; echo $tai_weight >$here/cloud/tai_weight\n"
    "  fi\n"
    "  cp $here/cloud/* $here/state/\n"
    "  printf '\\nApply complete! Resources: 0 added, 1 changed, 0 destroyed.\\n' ;;\n"
    "*) wrong $verb ;;\n"
    "esac\n";

/* Pods come while their rollout is waited for, and go at once. */
static const char kubectl[] =
    "wrong() { echo \"$*\" >>$here/wrong; echo \"error: $*\" >&2; exit 1; }\n"
    "[ \"$1 $2\" = '--context=prod-us-west-2 --namespace=shop' ] && [ \"$KUBECONFIG\" = $here/kubeconfig ] || wrong "
    "$*\n"
    "shift 2; [ ! -e $here/fail ] || { cat $here/fail >&2; rm $here/fail; exit 1; }\n"
    "case $* in\n"
    "'rollout status deployment/'*' --timeout='[1-9]*s) name=${3#*/} ;;\n"
    "'--request-timeout=10s set image deployment/'*' api=registry.local/team/api@sha256:'*) name=${4#*/} ;;\n"
    "'--request-timeout=10s scale deployment/'*' --replicas='[0-9]*) name=${3#*/} ;;\n"
    "'--request-timeout=10s get deployment/'*' -o jsonpath={.status.availableReplicas}|"
    "{.spec.template.spec.containers[?(@.name==\"api\")].image}') name=${3#*/} ;;\n"
    "*) wrong $* ;;\n"
    "esac\n"
    "at=$here/cloud/$name\n"
    "[ -e $at.image ] || { echo \"Error from server (NotFound): deployments.apps \\\"$name\\\" not found\" >&2; exit "
    "1; }\n"
    "case $1$2 in\n"
    "rolloutstatus)\n"
    "  [ ! -e $here/stuck ] || { echo 'error: timed out waiting for the condition' >&2; exit 1; }\n"
    "  cp $at.replicas $at.available; echo \"deployment \\\"$name\\\" successfully rolled out\" ;;\n"
    "*set) echo ${5#api=} >$at.image; echo \"deployment.apps/$name image updated\" ;;\n"
    "*scale)\n"
    "  replicas=${4#*=}; echo $replicas >$at.replicas\n"
    "  [ $(cat $at.available) -lt $replicas ] || echo $replicas >$at.available\n"
    "  echo \"deployment.apps/$name scaled\" ;;\n"
    "*get) printf '%s|%s' \"$(sed 's/^0$//' $at.available)\" $(cat $at.image) ;;\n"
    "esac\n"
    "total=$(($(cat $here/cloud/api.available) + $(cat $here/cloud/api-canary.available)))\n"
    "[ $total -ge $(cat $here/fewest) ] || echo $total >$here/fewest\n";

static const char *tool_path(const Tool *tool, const char *name)
{
    static char path[256];
    cr_assert_lt((size_t)snprintf(path, sizeof path, "%s/%s", tool->folder, name), sizeof path);
    return path;
}

static void tool_write(const Tool *tool, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void tool_write(const Tool *tool, const char *name, const char *format, ...)
{
    FILE *file = fopen(tool_path(tool, name), "we");
    cr_assert_not_null(file);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

/* "" where there is none. */
static const char *tool_read(const Tool *tool, const char *name)
{
    static char text[4096];
    int file = open(tool_path(tool, name), O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : 0;
    text[length > 0 ? length : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    if (file >= 0) {
        close(file);
    }
    return text;
}

/* The shipped program under the same name beside settings of the test's own. */
static Tool tool_open(const char *name, const char *stand_in, const char *settings)
{
    static const char *const folders[] = {"bin", "cloud", "conf", "state"};
    char program[256];
    Tool tool = {0};
    snprintf(tool.folder, sizeof tool.folder, "%s", "/tmp/tai-tool-XXXXXX");
    cr_assert_not_null(mkdtemp(tool.folder));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        cr_assert_eq(mkdir(tool_path(&tool, folders[i]), 0700), 0);
    }
    snprintf(program, sizeof program, "bin/%s", name);
    tool_write(&tool, program, "#!/bin/sh\nhere=%s\n%s", tool.folder, stand_in);
    cr_assert_eq(chmod(tool_path(&tool, program), 0700), 0);
    snprintf(program, sizeof program, TAI_SOURCE "/ops/drivers/%s", name);
    cr_assert_eq(symlink(program, tool_path(&tool, "program")), 0);
    tool_write(&tool, "program.conf", "PATH=%s/bin:$PATH\nlock_folder=%s\n%s\n", tool.folder, tool.folder, settings);
    cr_assert_eq(chmod(tool_path(&tool, "program.conf"), 0600), 0);
    snprintf(tool.settings, sizeof tool.settings, "TAI_ACTION_DEPLOY_COMMAND=%s/program", tool.folder);
    return tool;
}

static Tool terraform_open(void)
{
    return tool_open("terraform", terraform, "folder=${0%/*}/conf lock_timeout_s=1");
}

static Tool kubectl_open(void)
{
    Tool tool = tool_open("kubectl", kubectl,
                          "export KUBECONFIG=${0%/*}/kubeconfig\ncontext=prod-$TAI_REGION namespace=shop replicas=20");
    tool_write(&tool, "cloud/api.image", "%s", IMAGE OLD);
    tool_write(&tool, "cloud/api.replicas", "20");
    tool_write(&tool, "cloud/api.available", "20");
    tool_write(&tool, "cloud/api-canary.image", "none");
    tool_write(&tool, "cloud/api-canary.replicas", "0");
    tool_write(&tool, "cloud/api-canary.available", "0");
    tool_write(&tool, "fewest", "20");
    return tool;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

static void tool_close(const Tool *tool)
{
    cr_expect_str_eq(tool_read(tool, "wrong"), "");
    nftw(tool->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static Stack *start(const Tool *tool, const char *more)
{
    char settings[512];
    snprintf(settings, sizeof settings, "%s %s", tool->settings, more);
    return stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = settings});
}

static DeploymentResult carry_out(Stack *stack, RolloutCommand kind, int32_t weight)
{
    DeploymentCommand command = deploy_command("command", kind, weight);
    return deploy_do(stack, &command);
}

static void check_fails(const DeploymentResult *result, bool impossible, const char *detail)
{
    cr_assert(!result->succeeded);
    cr_assert_eq(result->impossible, impossible, STR_FMT, STR_ARG(result->detail));
    cr_assert_not_null(memmem(result->detail.data, result->detail.length, detail, strlen(detail)), "\"" STR_FMT "\"",
                       STR_ARG(result->detail));
}

static void check_is(const Tool *tool, const char *name, const char *text)
{
    cr_assert_str_eq(tool_read(tool, name), text, "%s", name);
}

/* Somebody else holds it; closing the descriptor gives it back. */
static int lock_hold(const Tool *tool, const char *name, int flags)
{
    int lock = open(tool_path(tool, name), flags | O_CLOEXEC, 0600);
    cr_assert_eq(flock(lock, LOCK_EX | LOCK_NB), 0);
    return lock;
}

/* --- terraform -------------------------------------------------------------------------------------------------------
 */

Test(driver_programs, terraform_sets_weights_and_goes_back_and_ends)
{
    Tool tool = terraform_open();
    Stack *stack = start(&tool, "");
    static const int32_t weights[] = {5, 25, 100};
    for (size_t i = 0; i < 3; i++) {
        deploy_apply(stack, "command", weights[i]);
        deploy_apply(stack, "command", weights[i]);
        cr_assert_eq(deploy_read(stack, "command", weights[i]), weights[i]);
        check_is(&tool, "cloud/tai_canary", NEW);
        check_is(&tool, "cloud/tai_stable", OLD);
    }
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK, 0).succeeded);
    check_is(&tool, "cloud/tai_canary", "");
    check_is(&tool, "cloud/tai_stable", OLD);
    cr_assert_eq(deploy_read(stack, "command", 0), 0);
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_FINISH, 0).succeeded);
    check_is(&tool, "cloud/tai_stable", NEW);
    cr_assert_eq(deploy_read(stack, "command", 100), 100);
    stack_stop(stack);
    tool_close(&tool);
}

Test(driver_programs, terraform_reads_what_is_set_and_not_what_it_was_told)
{
    Tool tool = terraform_open();
    Stack *stack = start(&tool, "");
    deploy_apply(stack, "command", 25);
    tool_write(&tool, "cloud/tai_weight", "7\n");
    cr_assert_eq(deploy_read(stack, "command", 25), 7);
    tool_write(&tool, "cloud/tai_canary", "sha256:stranger\n");
    cr_assert_eq(deploy_read(stack, "command", 25), 0, "it has 7 %% of the traffic, but is not our version");
    tool_write(&tool, "cloud/tai_weight", "many\n");
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_READ, 25);
    check_fails(&result, true, "exit 78: program: the output tai_weight is no number");
    stack_stop(stack);
    tool_close(&tool);
}

Test(driver_programs, terraform_tells_what_may_pass_from_what_does_not)
{
    Tool tool = terraform_open();
    Stack *stack = start(&tool, "");
    int lock = lock_hold(&tool, "state.lock", O_RDWR | O_CREAT);
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 5);
    check_fails(&result, false, "exit 75: program: the state is locked: Error acquiring the state lock");
    close(lock);
    tool_write(&tool, "fail", "once");
    result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 5);
    check_fails(&result, false, "exit 75: program: terraform apply: creating rule: Throttling");
    tool_write(&tool, "flood", "x");
    deploy_apply(stack, "command", 5);
    tool_write(&tool, "invalid", "x");
    result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 25);
    check_fails(&result, true, "exit 78: program: terraform validate: Unsupported argument");
    check_is(&tool, "cloud/tai_weight", "5");
    cr_assert_eq(chmod(tool_path(&tool, "program.conf"), 0666), 0);
    result = carry_out(stack, ROLLOUT_COMMAND_READ, 5);
    check_fails(&result, true, "may be written by anybody");
    unlink(tool_path(&tool, "program.conf"));
    result = carry_out(stack, ROLLOUT_COMMAND_READ, 5);
    check_fails(&result, true, "are not there");
    stack_stop(stack);
    tool_close(&tool);
}

/* As a program that a dead worker left behind would. */
Test(driver_programs, terraform_waits_for_who_is_at_work_in_the_folder)
{
    Tool tool = tool_open("terraform", terraform, "folder=${0%/*}/conf lock_timeout_s=1 timeout_s=2");
    Stack *stack = start(&tool, "");
    int lock = lock_hold(&tool, "conf", O_RDONLY | O_DIRECTORY);
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 5);
    check_fails(&result, false, "conf is locked by another run");
    close(lock);
    tool_write(&tool, "program.conf", "PATH=%s/bin:$PATH\nfolder=%s/conf lock_timeout_s=1\n", tool.folder, tool.folder);
    deploy_apply(stack, "command", 5);
    stack_stop(stack);
    tool_close(&tool);
}

Test(driver_programs, a_terraform_that_hangs_is_killed_with_its_children)
{
    Tool tool = terraform_open();
    Stack *stack = start(&tool, "TAI_ACTION_DEPLOY_TIMEOUT_MS=2000");
    tool_write(&tool, "hang", "x");
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 5);
    check_fails(&result, false, "killed: not done within 2000 ms");
    pid_t child = (pid_t)strtol(tool_read(&tool, "child"), NULL, 10);
    cr_assert_gt(child, 1);
    WAIT_UNTIL(kill(child, 0) != 0);
    unlink(tool_path(&tool, "hang"));
    WAIT_UNTIL(carry_out(stack, ROLLOUT_COMMAND_APPLY, 5).succeeded);
    stack_stop(stack);
    tool_close(&tool);
}

/* So that Terraform's state lock is given back. */
Test(driver_programs, a_terraform_that_is_slow_is_asked_to_end_before_the_worker_kills_it)
{
    Tool tool = tool_open("terraform", terraform, "folder=${0%/*}/conf lock_timeout_s=1 timeout_s=1");
    Stack *stack = start(&tool, "");
    tool_write(&tool, "slow", "x");
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 5);
    check_fails(&result, false, "exit 75: program: terraform: not done within 1 s");
    check_is(&tool, "asked", "x");
    stack_stop(stack);
    tool_close(&tool);
}

/* --- kubectl ---------------------------------------------------------------------------------------------------------
 */

Test(driver_programs, kubectl_turns_weights_into_pods_and_waits_for_them)
{
    Tool tool = kubectl_open();
    Stack *stack = start(&tool, "");
    static const int32_t weights[] = {5, 25, 33, 100};
    static const char *const pods[] = {"1", "5", "7", "20"};
    for (size_t i = 0; i < 4; i++) {
        deploy_apply(stack, "command", weights[i]);
        deploy_apply(stack, "command", weights[i]);
        cr_assert_eq(deploy_read(stack, "command", weights[i]), weights[i]);
        check_is(&tool, "cloud/api-canary.available", pods[i]);
    }
    check_is(&tool, "cloud/api-canary.image", IMAGE NEW);
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK, 0).succeeded);
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK, 0).succeeded);
    cr_assert_eq(deploy_read(stack, "command", 0), 0);
    check_is(&tool, "cloud/api.image", IMAGE OLD);
    check_is(&tool, "cloud/api.available", "20");
    check_is(&tool, "fewest", "20");
    stack_stop(stack);
    tool_close(&tool);
}

Test(driver_programs, kubectl_ends_with_the_new_image_as_the_stable_one)
{
    Tool tool = kubectl_open();
    Stack *stack = start(&tool, "");
    deploy_apply(stack, "command", 100);
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_FINISH, 0).succeeded);
    cr_assert_eq(deploy_read(stack, "command", 100), 100);
    check_is(&tool, "cloud/api.image", IMAGE NEW);
    check_is(&tool, "cloud/api-canary.available", "0");
    check_is(&tool, "fewest", "20");
    stack_stop(stack);
    tool_close(&tool);
}

Test(driver_programs, kubectl_tells_what_is_there_and_what_may_pass_from_what_does_not)
{
    Tool tool = kubectl_open();
    Stack *stack = start(&tool, "");
    deploy_apply(stack, "command", 25);
    tool_write(&tool, "cloud/api-canary.replicas", "2");
    cr_assert_eq(deploy_read(stack, "command", 25), 12, "2 of 17 pods");
    tool_write(&tool, "cloud/api-canary.image", "registry.local/team/api@sha256:stranger");
    cr_assert_eq(deploy_read(stack, "command", 25), 0);
    tool_write(&tool, "stuck", "x");
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 50);
    check_fails(&result, false, "exit 75: program: error: timed out waiting for the condition");
    check_is(&tool, "cloud/api.replicas", "15");
    unlink(tool_path(&tool, "stuck"));
    tool_write(&tool, "fail",
               "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host?\n");
    result = carry_out(stack, ROLLOUT_COMMAND_READ, 50);
    check_fails(&result, false, "exit 75: program: The connection to the server");
    tool_write(&tool, "fail", "error: You must be logged in to the server (Unauthorized)\n");
    result = carry_out(stack, ROLLOUT_COMMAND_READ, 50);
    check_fails(&result, true, "exit 78: program: error: You must be logged in");
    unlink(tool_path(&tool, "cloud/api-canary.image"));
    result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 50);
    check_fails(&result, true,
                "exit 78: program: Error from server (NotFound): deployments.apps \"api-canary\" not found");
    stack_stop(stack);
    tool_close(&tool);
}

/* --- a whole deployment ----------------------------------------------------------------------------------------------
 */

/* us-west-2 is deployed by the program, through stages that nobody judges. */
static Stack *deployment_stack(const Tool *tool)
{
    Stack *stack = rollout_stack(&(StackPlan){.settings = tool->settings});
    json_t *document = rollout_policy(stack);
    rollout_add_strategy(document, "steps", "canary:5 staging:25 prod:100");
    json_t *stages = json_at(document, "strategies.steps.stages");
    for (size_t i = 0; i < json_array_size(stages); i++) {
        json_object_set_new(json_array_get(stages, i), "judged", json_false());
    }
    json_object_set_new(json_at(document, "regions.0"), "driver", json_string("command"));
    rollout_put_policy(stack, document);
    return stack;
}

Test(driver_programs, a_deployment_by_terraform_goes_through_and_one_that_is_not_as_asked_goes_back)
{
    static const char steps[] = ROLLOUT_WEST ", \"rollout_strategy\": \"steps\"";
    Tool tool = terraform_open();
    Stack *stack = deployment_stack(&tool);
    tool_write(&tool, "fail", "once"); /* the first apply: the rollout worker has it tried again */
    const char *id = rollout_begin(stack, rollout_body(stack, "api", "v1", steps));
    rollout_end_as(stack, id, "SUCCESS");
    cr_assert_eq(rollout_count(stack, id, "verified", "us-west-2", NULL), 3);
    check_is(&tool, "fail", "");
    WAIT_UNTIL(strstr(tool_read(&tool, "cloud/tai_stable"), "sha256:") != NULL); /* the end of the bake time */
    const char *first = stack_print(stack, "%s", tool_read(&tool, "cloud/tai_stable"));
    tool_write(&tool, "lie", "x");
    id = rollout_begin(stack, rollout_body(stack, "api", "v2", steps));
    rollout_end_as(stack, id, "FAILED");
    check_is(&tool, "cloud/tai_stable", first);
    check_is(&tool, "cloud/tai_canary", "");
    check_is(&tool, "cloud/tai_weight", "0");
    stack_stop(stack);
    tool_close(&tool);
}
