/* driver_nsupdate - ops/drivers/nsupdate shifts traffic by DNS: a real nsupdate against a real BIND, with a TSIG key.
 */
#include <arpa/inet.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/deploy.h"

#define ONLY_ACTION "redis gateway policy metrics sandbox"

typedef struct {
    char folder[64];
    char settings[256];
    int port;
    Process named;
} Dns;

static const char good_key[] = "bm90IGEgc2VjcmV0OiBhIGtleSBvZiBhIHRlc3QgLi4=";
static const char other_key[] = "YW5vdGhlciBvbmUsIHdoaWNoIG5hbWVkIHJlZnVzZXM=";

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

static const char *path_of(const Dns *dns, const char *name)
{
    static char path[128];
    cr_assert_lt((size_t)snprintf(path, sizeof path, "%s/%s", dns->folder, name), sizeof path);
    return path;
}

static void write_file(const Dns *dns, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void write_file(const Dns *dns, const char *name, const char *format, ...)
{
    FILE *file = fopen(path_of(dns, name), "we");
    cr_assert_not_null(file);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
    cr_assert_eq(chmod(path_of(dns, name), 0600), 0);
}

static void dns_open(Dns *dns)
{
    *dns = (Dns){.port = pick_port()};
    snprintf(dns->folder, sizeof dns->folder, "%s", "/tmp/tai-dns-XXXXXX");
    cr_assert_not_null(mkdtemp(dns->folder));
    write_file(dns, "key", "key \"tai\" { algorithm hmac-sha256; secret \"%s\"; };\n", good_key);
    write_file(dns, "named.conf",
               "include \"%s/key\";\noptions { directory \"%s\"; listen-on port %d { 127.0.0.1; }; listen-on-v6 { "
               "none; }; recursion no;\n"
               "  pid-file none; session-keyfile none; dnssec-validation no; };\n"
               "controls { };\n"
               "zone \"example.test\" { type primary; file \"example.test\"; allow-update { key tai; }; };\n",
               dns->folder, dns->folder, dns->port);
    write_file(dns, "example.test",
               "$TTL 5\n@ SOA ns hostmaster 1 3600 600 86400 5\n@ NS ns\nns A 127.0.0.1\n"
               "api A 192.0.2.101\napi A 192.0.2.102\napi A 192.0.2.103\napi A 192.0.2.104\n");
    write_file(dns, "program.conf",
               "server=127.0.0.1 port=%d zone=example.test key_file=%s/key lock_folder=%s\n"
               "new_addresses='192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4'\n"
               "old_addresses='192.0.2.101 192.0.2.102 192.0.2.103 192.0.2.104'\n",
               dns->port, dns->folder, dns->folder);
    cr_assert_eq(symlink(TAI_SOURCE "/ops/drivers/nsupdate", path_of(dns, "program")), 0);
    snprintf(dns->settings, sizeof dns->settings, "TAI_ACTION_DEPLOY_COMMAND=%s/program", dns->folder);
    snprintf(dns->named.log_path, sizeof dns->named.log_path, "%s/named.log", dns->folder);
    words_add_all(&dns->named.command, "named -g -c");
    words_add(&dns->named.command, "%s/named.conf", dns->folder);
    process_start(&dns->named);
    cr_assert(process_wait_for_line(&dns->named, "running", PATIENCE_MS));
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

static void dns_close(Dns *dns)
{
    process_stop(&dns->named, SIGTERM);
    nftw(dns->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

Test(driver_nsupdate, addresses_follow_the_weight_and_go_back)
{
    Dns dns;
    dns_open(&dns);
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = dns.settings});
    cr_assert_eq(deploy_read(stack, "command", 0), 0);
    static const int32_t weights[] = {25, 50, 100};
    for (size_t i = 0; i < 3; i++) {
        deploy_apply(stack, "command", weights[i]);
        cr_assert_eq(deploy_read(stack, "command", weights[i]), weights[i]);
    }
    DeploymentCommand back = deploy_command("command", ROLLOUT_COMMAND_ROLLBACK, 0);
    cr_assert(deploy_do(stack, &back).succeeded);
    cr_assert_eq(deploy_read(stack, "command", 0), 0);
    back.kind = ROLLOUT_COMMAND_FINISH;
    cr_assert(deploy_do(stack, &back).succeeded);
    cr_assert_eq(deploy_read(stack, "command", 100), 100);
    stack_stop(stack);
    dns_close(&dns);
}

Test(driver_nsupdate, a_weight_that_is_no_number_of_addresses_and_a_wrong_key_are_impossible)
{
    Dns dns;
    dns_open(&dns);
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = dns.settings});
    DeploymentCommand command = deploy_command("command", ROLLOUT_COMMAND_APPLY, 5);
    DeploymentResult result = deploy_do(stack, &command);
    cr_assert(result.impossible &&
                  strstr(stack_print(stack, STR_FMT, STR_ARG(result.detail)), "5 % is no whole number of 4 addresses"),
              STR_FMT, STR_ARG(result.detail));
    write_file(&dns, "key", "key \"tai\" { algorithm hmac-sha256; secret \"%s\"; };\n", other_key);
    command.weight_percent = 25;
    result = deploy_do(stack, &command);
    cr_assert(result.impossible, STR_FMT, STR_ARG(result.detail));
    cr_assert_null(memmem(result.detail.data, result.detail.length, other_key, strlen(other_key)));
    command.kind = ROLLOUT_COMMAND_READ;
    result = deploy_do(stack, &command);
    cr_assert(result.impossible, STR_FMT, STR_ARG(result.detail));
    write_file(&dns, "key", "key \"tai\" { algorithm hmac-sha256; secret \"%s\"; };\n", good_key);
    cr_assert_eq(deploy_read(stack, "command", 0), 0, "nothing was changed");
    stack_stop(stack);
    dns_close(&dns);
}

Test(driver_nsupdate, a_name_server_that_is_down_fails_the_command_for_now)
{
    Dns dns;
    dns_open(&dns);
    Stack *stack = stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = dns.settings});
    process_stop(&dns.named, SIGKILL);
    DeploymentCommand command = deploy_command("command", ROLLOUT_COMMAND_APPLY, 25);
    DeploymentResult result = deploy_do(stack, &command);
    cr_assert(!result.succeeded && !result.impossible, STR_FMT, STR_ARG(result.detail));
    command.kind = ROLLOUT_COMMAND_READ;
    result = deploy_do(stack, &command);
    cr_assert(!result.succeeded && !result.impossible, STR_FMT, STR_ARG(result.detail));
    process_start(&dns.named);
    cr_assert(process_wait_for_line(&dns.named, "running", PATIENCE_MS));
    command.kind = ROLLOUT_COMMAND_APPLY;
    WAIT_UNTIL(deploy_do(stack, &command).succeeded); /* a zone just loaded may refuse updates for a moment */
    cr_assert_eq(deploy_read(stack, "command", 25), 25);
    stack_stop(stack);
    dns_close(&dns);
}
