/* driver_haproxy - two real HAProxy processes as two regions, real requests through them, counted by who answered. */
#include <arpa/inet.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/deploy.h"

#define ONLY_ACTION "redis gateway policy metrics sandbox"
#define REQUESTS 400

/* One HAProxy with a front, the backend "api", and three little servers that answer with their version. */
typedef struct {
    const char *name;
    char socket[128];
    int front;
    int versions[3]; /* ports of v1, v2, v3 */
    Process process;
} Region;

typedef struct {
    char folder[64];
    char settings[1024];
    Region west;
    Region east;
} Regions;

static int pick_port(void)
{
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    cr_assert_eq(bind(probe, (struct sockaddr *)&address, length), 0);
    cr_assert_eq(getsockname(probe, (struct sockaddr *)&address, &length), 0);
    close(probe);
    return ntohs(address.sin_port);
}

static void region_write(const Regions *regions, const Region *region)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s.cfg", regions->folder, region->name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fprintf(file,
            "global\n  stats socket %s mode 600 level admin expose-fd listeners\n"
            "defaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n  timeout server 10s\n"
            "frontend front\n  bind 127.0.0.1:%d\n  default_backend api\n"
            "backend api\n  balance roundrobin\n  option http-server-close\n"
            "  server stable 127.0.0.1:%d weight 100\n  server canary 127.0.0.1:%d weight 0\n"
            "backend fixed\n  balance source\n"
            "  server stable 127.0.0.1:%d weight 100\n  server canary 127.0.0.1:%d weight 0\n",
            region->socket, region->front, region->versions[0], region->versions[1], region->versions[0],
            region->versions[1]);
    for (int i = 0; i < 3; i++) {
        fprintf(file, "frontend v%d\n  bind 127.0.0.1:%d\n", i + 1, region->versions[i]);
        fprintf(file, "  http-request return status 200 content-type text/plain string v%d\n", i + 1);
        char address[256];
        snprintf(address, sizeof address, "%s/%s-v%d", regions->folder, region->name, i + 1);
        FILE *told = fopen(address, "we");
        cr_assert_not_null(told);
        fprintf(told, "127.0.0.1:%d\n", region->versions[i]);
        fclose(told);
    }
    fclose(file);
}

static bool region_answers(const Region *region);

static void region_start(const Regions *regions, Region *region, pid_t successor_of)
{
    region->process = (Process){0};
    snprintf(region->process.log_path, sizeof region->process.log_path, "%s/%s.log", regions->folder, region->name);
    words_add_all(&region->process.command, "haproxy -db -f");
    words_add(&region->process.command, "%s/%s.cfg", regions->folder, region->name);
    if (successor_of) {
        words_add_all(&region->process.command, "-x");
        words_add(&region->process.command, "%s", region->socket);
        words_add_all(&region->process.command, "-sf");
        words_add(&region->process.command, "%d", (int)successor_of);
    }
    process_start(&region->process);
}

static void region_open(Regions *regions, Region *region, const char *name)
{
    region->name = name;
    snprintf(region->socket, sizeof region->socket, "%s/%s.sock", regions->folder, name);
    region->front = pick_port();
    for (int i = 0; i < 3; i++) {
        region->versions[i] = pick_port();
    }
    region_write(regions, region);
    region_start(regions, region, 0);
    WAIT_UNTIL(region_answers(region));
}

/* As an operator reloads it: the successor takes the sockets over and lets the old one finish. */
static void region_reload(const Regions *regions, Region *region)
{
    Process old = region->process;
    region_start(regions, region, old.pid);
    WAIT_UNTIL(!process_is_running(&old));
    process_stop(&old, SIGTERM);
    WAIT_UNTIL(region_answers(region));
}

static Regions regions_open(void)
{
    Regions regions = {0};
    snprintf(regions.folder, sizeof regions.folder, "%s", "/tmp/tai-haproxy-XXXXXX");
    cr_assert_not_null(mkdtemp(regions.folder));
    region_open(&regions, &regions.west, "us-west-2");
    region_open(&regions, &regions.east, "us-east-1");
    snprintf(regions.settings, sizeof regions.settings,
             "TAI_ACTION_DEPLOY_HAPROXY=us-west-2=unix:%s,us-east-1=unix:%s,nowhere=unix:/nowhere/at.all",
             regions.west.socket, regions.east.socket);
    return regions;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

static void regions_close(Regions *regions)
{
    process_stop(&regions->west.process, SIGTERM);
    process_stop(&regions->east.process, SIGTERM);
    nftw(regions->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Which version answered one request to the front: 1, 2, 3; 0 for none of them. */
static int region_ask(const Region *region)
{
    char answer[1024] = "";
    size_t length = 0;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)region->front)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(client, (struct sockaddr *)&address, sizeof address) == 0) {
        static const char request[] = "GET / HTTP/1.0\r\n\r\n";
        ssize_t got = send(client, request, sizeof request - 1, MSG_NOSIGNAL);
        while (got > 0 && length < sizeof answer - 1) {
            got = recv(client, answer + length, sizeof answer - 1 - length, 0);
            length += got > 0 ? (size_t)got : 0;
        }
    }
    close(client);
    bool whole = length > 2 && strncmp(answer + 9, "200", 3) == 0 && answer[length - 2] == 'v';
    return whole ? answer[length - 1] - '0' : 0;
}

static bool region_answers(const Region *region)
{
    return region_ask(region) != 0;
}

/* Of REQUESTS to this region, about the share goes to the version, and none is lost. */
static void check_traffic(const Region *region, int version, int percent)
{
    int counts[4] = {0};
    for (int i = 0; i < REQUESTS; i++) {
        counts[region_ask(region)]++;
    }
    int expected = REQUESTS * percent / 100;
    cr_assert_eq(counts[0], 0, "%d requests were lost", counts[0]);
    cr_assert(abs(counts[version] - expected) <= 4, "v%d got %d of %d, not %d", version, counts[version], REQUESTS,
              expected);
}

static DeploymentCommand command_in(const char *region, RolloutCommand kind, int32_t weight)
{
    DeploymentCommand command = deploy_command("haproxy", kind, weight);
    command.region = str_from(region);
    return command;
}

static void carry_out(Stack *stack, const char *region, RolloutCommand kind, int32_t weight)
{
    DeploymentCommand command = command_in(region, kind, weight);
    DeploymentResult result = deploy_do(stack, &command);
    cr_assert(result.succeeded, STR_FMT, STR_ARG(result.detail));
}

static int32_t read_weight(Stack *stack, const char *region)
{
    DeploymentCommand command = command_in(region, ROLLOUT_COMMAND_READ, 0);
    DeploymentResult result = deploy_do(stack, &command);
    cr_assert(result.succeeded, STR_FMT, STR_ARG(result.detail));
    return result.weight_percent;
}

Test(driver_haproxy, traffic_shifts_region_by_region_and_back)
{
    Regions regions = regions_open();
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = regions.settings});
    static const int32_t weights[] = {5, 25, 100};
    for (size_t i = 0; i < 3; i++) {
        carry_out(stack, "us-west-2", ROLLOUT_COMMAND_APPLY, weights[i]);
        cr_assert_eq(read_weight(stack, "us-west-2"), weights[i]);
        check_traffic(&regions.west, 2, weights[i]);
        cr_assert_eq(read_weight(stack, "us-east-1"), 0);
    }
    check_traffic(&regions.east, 2, 0);
    carry_out(stack, "us-east-1", ROLLOUT_COMMAND_APPLY, 25);
    check_traffic(&regions.east, 2, 25);
    carry_out(stack, "us-west-2", ROLLOUT_COMMAND_ROLLBACK, 0);
    cr_assert_eq(read_weight(stack, "us-west-2"), 0);
    check_traffic(&regions.west, 2, 0);
    cr_assert_eq(read_weight(stack, "us-east-1"), 25);
    stack_stop(stack);
    regions_close(&regions);
}

Test(driver_haproxy, every_percent_reads_back_as_it_was_set)
{
    Regions regions = regions_open();
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = regions.settings});
    for (int32_t percent = 0; percent <= 100; percent++) {
        carry_out(stack, "us-west-2", ROLLOUT_COMMAND_APPLY, percent);
        cr_assert_eq(read_weight(stack, "us-west-2"), percent);
    }
    stack_stop(stack);
    regions_close(&regions);
}

Test(driver_haproxy, a_reload_forgets_the_weights_which_is_seen_and_put_right)
{
    Regions regions = regions_open();
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = regions.settings});
    carry_out(stack, "us-west-2", ROLLOUT_COMMAND_APPLY, 25);
    cr_assert_eq(read_weight(stack, "us-west-2"), 25);
    region_reload(&regions, &regions.west);
    cr_assert_eq(read_weight(stack, "us-west-2"), 0);
    carry_out(stack, "us-west-2", ROLLOUT_COMMAND_APPLY, 25);
    cr_assert_eq(read_weight(stack, "us-west-2"), 25);
    check_traffic(&regions.west, 2, 25);
    stack_stop(stack);
    regions_close(&regions);
}

Test(driver_haproxy, with_addresses_a_version_becomes_the_stable_one_and_can_be_taken_back)
{
    Regions regions = regions_open();
    char settings[1200];
    snprintf(settings, sizeof settings, "%s TAI_ACTION_DEPLOY_HAPROXY_ADDRESS=%s/{region}-{version}", regions.settings,
             regions.folder);
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = settings});
    carry_out(stack, "us-west-2", ROLLOUT_COMMAND_APPLY, 100);
    carry_out(stack, "us-west-2", ROLLOUT_COMMAND_FINISH, 0);
    carry_out(stack, "us-west-2", ROLLOUT_COMMAND_FINISH, 0);
    cr_assert_eq(read_weight(stack, "us-west-2"), 100);
    check_traffic(&regions.west, 2, 100);
    DeploymentCommand next = command_in("us-west-2", ROLLOUT_COMMAND_APPLY, 5);
    next.version = STR("v3");
    next.previous_version = STR("v2");
    cr_assert(deploy_do(stack, &next).succeeded);
    check_traffic(&regions.west, 3, 5);
    cr_assert_eq(read_weight(stack, "us-west-2"), 95);
    next.kind = ROLLOUT_COMMAND_ROLLBACK;
    cr_assert(deploy_do(stack, &next).succeeded);
    check_traffic(&regions.west, 2, 100);
    carry_out(stack, "us-west-2", ROLLOUT_COMMAND_ROLLBACK, 0); /* to v1, after the end */
    cr_assert_eq(read_weight(stack, "us-west-2"), 0);
    check_traffic(&regions.west, 1, 100);
    next.kind = ROLLOUT_COMMAND_APPLY;
    next.version = STR("v9");
    DeploymentResult result = deploy_do(stack, &next);
    cr_assert(!result.succeeded && result.impossible, "v9 has no address");
    stack_stop(stack);
    regions_close(&regions);
}

Test(driver_haproxy, what_cannot_work_is_impossible_and_what_may_pass_is_failed)
{
    Regions regions = regions_open();
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = regions.settings});
    const struct {
        const char *region;
        const char *service;
        bool impossible;
    } cases[] = {
        {"us-west-2", "no-such-backend", true},
        {"us-west-2", "fixed", true}, /* a static algorithm takes 0 and 100 only */
        {"eu-west-1", "api", true},   /* no socket is set */
        {"nowhere", "api", false},    /* nobody listens there */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        DeploymentCommand command = command_in(cases[i].region, ROLLOUT_COMMAND_APPLY, 25);
        command.service = str_from(cases[i].service);
        DeploymentResult result = deploy_do(stack, &command);
        cr_assert(!result.succeeded);
        cr_assert_eq(result.impossible, cases[i].impossible, "%s %s: " STR_FMT, cases[i].region, cases[i].service,
                     STR_ARG(result.detail));
    }
    stack_stop(stack);
    regions_close(&regions);
}

Test(driver_haproxy, a_frozen_haproxy_fails_its_region_and_holds_up_no_other)
{
    Regions regions = regions_open();
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = regions.settings});
    kill(regions.west.process.pid, SIGSTOP);
    DeploymentCommand west = command_in("us-west-2", ROLLOUT_COMMAND_APPLY, 25);
    west.command_id = STR("dep_1.us-west-2.1.apply.1");
    uint64_t sequence = deploy_send(stack, &west);
    carry_out(stack, "us-east-1", ROLLOUT_COMMAND_APPLY, 25);
    cr_assert_eq(ledger_count_of(stack, "DEPLOYMENT", "tai.deployment.result.dep_1"), 1);
    DeploymentResult result = deploy_wait(stack, &west, sequence);
    cr_assert(!result.succeeded && !result.impossible);
    kill(regions.west.process.pid, SIGCONT);
    carry_out(stack, "us-west-2", ROLLOUT_COMMAND_APPLY, 25);
    cr_assert_eq(read_weight(stack, "us-west-2"), 25);
    stack_stop(stack);
    regions_close(&regions);
}
