/* driver_nsupdate - a program that shifts traffic by DNS: a real nsupdate against a real BIND. Of a name's four
 * addresses as many are the new version's as its weight says. */
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

/* The new version's addresses are 192.0.2.1 to .4, the old one's 192.0.2.101 to .104. */
static const char script[] =
    "#!/bin/sh\n"
    "name=$TAI_SERVICE.example.test.\n"
    "if [ $TAI_COMMAND = read ]; then\n"
    "  answer=$(dig +short +tries=1 +time=5 @127.0.0.1 -p $port $name A) || exit 75\n"
    "  echo $(($(echo \"$answer\" | grep -c '^192\\.0\\.2\\.[1-4]$') * 25)); exit 0\n"
    "fi\n"
    "weight=$TAI_WEIGHT; [ $TAI_COMMAND = rollback ] && weight=0; [ $TAI_COMMAND = finish ] && weight=100\n"
    "{\n"
    "  echo server 127.0.0.1 $port; echo zone example.test; echo update delete $name A\n"
    "  for i in 1 2 3 4; do\n"
    "    if [ $((i * 25)) -le $weight ]; then address=$i; else address=$((100 + i)); fi\n"
    "    echo update add $name 5 A 192.0.2.$address\n"
    "  done\n"
    "  echo send\n"
    "} | nsupdate -t 5 || exit 75\n";

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

static void write_file(const Dns *dns, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void write_file(const Dns *dns, const char *name, const char *format, ...)
{
    char path[128];
    cr_assert_lt((size_t)snprintf(path, sizeof path, "%s/%s", dns->folder, name), sizeof path);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
    cr_assert_eq(chmod(path, 0700), 0);
}

static void dns_open(Dns *dns)
{
    *dns = (Dns){.port = pick_port()};
    snprintf(dns->folder, sizeof dns->folder, "%s", "/tmp/tai-dns-XXXXXX");
    cr_assert_not_null(mkdtemp(dns->folder));
    write_file(dns, "named.conf",
               "options { directory \"%s\"; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;\n"
               "  pid-file none; session-keyfile none; dnssec-validation no; };\n"
               "controls { };\n"
               "zone \"example.test\" { type primary; file \"example.test\"; allow-update { 127.0.0.1; }; };\n",
               dns->folder, dns->port);
    write_file(dns, "example.test",
               "$TTL 5\n@ SOA ns hostmaster 1 3600 600 86400 5\n@ NS ns\nns A 127.0.0.1\n"
               "api A 192.0.2.101\napi A 192.0.2.102\napi A 192.0.2.103\napi A 192.0.2.104\n");
    write_file(dns, "program", "%.9s\nport=%d\n%s", script, dns->port, script + 10);
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
