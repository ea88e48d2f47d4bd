/* drivers/haproxy - look at the servers as they stand, then change what differs, in one line of commands. */
#include "workers/action/drivers/haproxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "workers/action/drivers/exchange.h"

#define STATE_ADMIN 6 /* columns of "show servers state", from 0 */
#define STATE_WEIGHT 7
#define STATE_PORT 18
#define ADDRESS_MAX 128

typedef struct {
    bool found;
    bool in_service; /* not in maintenance, not drained */
    int64_t weight;
    Str address;
    Str port;
} Server;

typedef struct {
    Exchange exchange;
    SocketAddress socket;
    Str version; /* "ip:port" of the new version; empty: the servers' addresses are left alone */
    Str previous;
} Haproxy;

/* --- settings ------------------------------------------------------------------------------------------------------
 */

Err haproxy_settings_check(const DeploySettings *settings)
{
    Str rest = str_from(settings->haproxy);
    Str entry;
    while (rest.length > 0 && str_next_token(&rest, ',', &entry)) {
        Str address = entry;
        Str region;
        SocketAddress parsed;
        (void)str_next_token(&address, '=', &region);
        if (region.length == 0 || !exchange_parse_address(address, &parsed)) {
            return err_reject("action.deploy_haproxy: must be region=unix:/path or region=ip:port, comma-separated");
        }
    }
    return err_none();
}

static bool haproxy_find_socket(const DeploySettings *settings, Str region, SocketAddress *socket)
{
    Str rest = str_from(settings->haproxy);
    Str entry;
    while (rest.length > 0 && str_next_token(&rest, ',', &entry)) {
        Str address = entry;
        Str name;
        (void)str_next_token(&address, '=', &name);
        if (str_equal(name, region)) {
            return exchange_parse_address(address, socket);
        }
    }
    return false;
}

/* --- a version's address --------------------------------------------------------------------------------------------
 */

static bool address_is_good(Str address)
{
    SocketAddress parsed;
    return !str_starts_with(address, STR("unix:")) && exchange_parse_address(address, &parsed);
}

static Str address_put_in(Arena *arena, const DeploySettings *settings, const DeploymentCommand *command, Str version)
{
    const struct {
        Str name;
        Str value;
    } facts[] = {{STR("{region}"), command->region}, {STR("{service}"), command->service}, {STR("{version}"), version}};
    Str rest = str_from(settings->haproxy_address);
    Buffer out = arena_buffer(arena, 4096);
    while (rest.length > 0) {
        size_t taken = 0;
        for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]) && taken == 0; i++) {
            if (str_starts_with(rest, facts[i].name)) {
                buffer_append(&out, facts[i].value);
                taken = facts[i].name.length;
            }
        }
        if (taken == 0) {
            buffer_append_char(&out, rest.data[0]);
            taken = 1;
        }
        rest = str_slice(rest, taken, rest.length);
    }
    return out.overflow ? (Str){0} : buffer_str(&out);
}

/* The first line of a small local file. */
static Str address_read_file(Arena *arena, Str path)
{
    char *text = arena_alloc(arena, ADDRESS_MAX + 1);
    int file = open(path.data, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length = file >= 0 ? read(file, text, ADDRESS_MAX) : 0;
    if (file >= 0) {
        close(file);
    }
    Str line = {text, length > 0 ? (size_t)length : 0};
    Str first = {0};
    (void)str_next_token(&line, '\n', &first);
    return str_trim(first);
}

/* False where a version should have an address and has none. */
static bool address_of(DriverJob *job, Str version, Str *address)
{
    const DeploySettings *settings = job->deploy->settings;
    Arena *arena = &job->task->arena;
    *address = (Str){0};
    if (settings->haproxy_address[0] == '\0' || version.length == 0) {
        return true;
    }
    Str text = address_put_in(arena, settings, &job->command, version);
    *address = str_starts_with(text, STR("/")) ? address_read_file(arena, arena_copy(arena, text)) : text;
    return address_is_good(*address);
}

/* "[::1]:80" and "127.0.0.1:80" as HAProxy writes the two parts. */
static void address_split(Str address, Str *host, Str *port)
{
    size_t colon = address.length;
    while (colon > 0 && address.data[colon - 1] != ':') {
        colon--;
    }
    *port = str_slice(address, colon, address.length);
    *host = str_slice(address, 0, colon > 0 ? colon - 1 : 0);
    if (str_starts_with(*host, STR("["))) {
        *host = str_slice(*host, 1, host->length - 1);
    }
}

/* --- the servers as they stand ---------------------------------------------------------------------------------------
 */

static bool server_read(Str line, const char *name, Server *server)
{
    Str rest = line;
    Str word;
    int64_t admin_state = -1;
    *server = (Server){.weight = -1};
    for (int column = 0; str_next_token(&rest, ' ', &word); column++) {
        if (column == 3 && !str_equal(word, str_from(name))) {
            return false;
        }
        server->address = column == 4 ? word : server->address;
        server->port = column == STATE_PORT ? word : server->port;
        if ((column == STATE_ADMIN && !str_to_int64(word, &admin_state)) ||
            (column == STATE_WEIGHT && !str_to_int64(word, &server->weight))) {
            return false;
        }
    }
    server->in_service = admin_state == 0;
    server->found = server->weight >= 0 && admin_state >= 0 && server->port.length > 0;
    return server->found;
}

static Server server_find(Str state, const char *name)
{
    Server server = {0};
    Str line;
    while (str_next_token(&state, '\n', &line)) {
        if (line.length > 0 && line.data[0] != '#' && server_read(line, name, &server)) {
            return server;
        }
    }
    return (Server){0};
}

static bool server_is_at(const Server *server, Str address)
{
    Str host;
    Str port;
    address_split(address, &host, &port);
    return str_equal(server->address, host) && str_equal(server->port, port);
}

static int64_t server_weight(const Server *server)
{
    return server->in_service ? server->weight : 0;
}

/* The new version's share of the weights: of the servers at its address, or of the canary where addresses are not ours.
 */
static void haproxy_tell_weight(DriverJob *job, const Server *stable, const Server *canary)
{
    const Haproxy *haproxy = job->state;
    bool known = haproxy->version.length != 0;
    int64_t total = server_weight(stable) + server_weight(canary);
    int64_t its = (!known || server_is_at(canary, haproxy->version) ? server_weight(canary) : 0) +
                  (known && server_is_at(stable, haproxy->version) ? server_weight(stable) : 0);
    int32_t percent = total > 0 ? (int32_t)((100 * its + total / 2) / total) : 0;
    driver_succeed(job, percent, "stable has weight %lld, canary %lld", (long long)server_weight(stable),
                   (long long)server_weight(canary));
}

/* --- changing --------------------------------------------------------------------------------------------------------
 */

static void line_move(Buffer *line, const DriverJob *job, const char *name, const Server *server, Str address)
{
    Str host;
    Str port;
    if (address.length == 0 || server_is_at(server, address)) {
        return;
    }
    address_split(address, &host, &port);
    buffer_print(
        line, "set server " STR_FMT "/%s weight 0;set server " STR_FMT "/%s addr " STR_FMT " port " STR_FMT ";",
        STR_ARG(job->command.service), name, STR_ARG(job->command.service), name, STR_ARG(host), STR_ARG(port));
}

static void line_weigh(Buffer *line, const DriverJob *job, const char *name, int32_t weight)
{
    buffer_print(line, "set server " STR_FMT "/%s state ready;set server " STR_FMT "/%s weight %d;",
                 STR_ARG(job->command.service), name, STR_ARG(job->command.service), name, weight);
}

/* Who gains comes first, so that there is never nobody. */
static void haproxy_write_changes(Buffer *line, const DriverJob *job, const Server *stable, const Server *canary)
{
    const Haproxy *haproxy = job->state;
    const DeploymentCommand *command = &job->command;
    switch (command->kind) {
    case ROLLOUT_COMMAND_APPLY:
        line_move(line, job, "canary", canary, haproxy->version);
        line_weigh(line, job, "canary", command->weight_percent);
        line_weigh(line, job, "stable", 100 - command->weight_percent);
        break;
    case ROLLOUT_COMMAND_ROLLBACK:
        line_move(line, job, "stable", stable, haproxy->previous);
        line_weigh(line, job, "stable", command->previous_version.length > 0 ? 100 : 0);
        line_weigh(line, job, "canary", 0);
        break;
    case ROLLOUT_COMMAND_FINISH:
        if (haproxy->version.length > 0) { /* otherwise the version stays where it is: behind the canary */
            line_move(line, job, "stable", stable, haproxy->version);
            line_weigh(line, job, "stable", 100);
            line_weigh(line, job, "canary", 0);
        }
        break;
    case ROLLOUT_COMMAND_READ:
        break;
    }
}

/* Weights are answered with nothing, addresses with what became of them. */
static Str haproxy_find_complaint(Str reply)
{
    Str line;
    while (str_next_token(&reply, '\n', &line)) {
        bool told = str_starts_with(line, STR("IP changed")) || str_starts_with(line, STR("no need to change"));
        if (line.length > 0 && !told) {
            return line;
        }
    }
    return (Str){0};
}

static void haproxy_changed(Exchange *exchange, Str reply, const char *why)
{
    DriverJob *job = exchange->job;
    Str complaint = haproxy_find_complaint(reply);
    if (why != NULL) {
        driver_fail(job, "haproxy: %s", why);
    } else if (complaint.length > 0) {
        driver_refuse(job, "haproxy: " STR_FMT, STR_ARG(complaint));
    } else {
        driver_succeed(job, -1, "%s", "done");
    }
}

static void haproxy_seen(Exchange *exchange, Str reply, const char *why)
{
    DriverJob *job = exchange->job;
    Haproxy *haproxy = job->state;
    if (why != NULL) {
        driver_fail(job, "haproxy: %s", why);
        return;
    }
    Server stable = server_find(reply, "stable");
    Server canary = server_find(reply, "canary");
    if (!stable.found || !canary.found) {
        driver_refuse(job, "haproxy: no backend \"" STR_FMT "\" with the servers stable and canary: " STR_FMT,
                      STR_ARG(job->command.service), STR_ARG(str_slice(reply, 0, 80)));
        return;
    }
    if (job->command.kind == ROLLOUT_COMMAND_READ) {
        haproxy_tell_weight(job, &stable, &canary);
        return;
    }
    Buffer line = arena_buffer(&job->task->arena, 4096);
    haproxy_write_changes(&line, job, &stable, &canary);
    TAI_ASSERT(!line.overflow);
    if (line.length == 0) {
        driver_succeed(job, -1, "%s", "nothing to change: the addresses of the servers are not ours");
        return;
    }
    line.data[line.length - 1] = '\n';
    exchange_begin(&haproxy->exchange, job, &haproxy->socket, buffer_str(&line), haproxy_changed);
}

static void haproxy_begin(DriverJob *job)
{
    const DeploymentCommand *command = &job->command;
    Haproxy *haproxy = arena_alloc(&job->task->arena, sizeof(*haproxy));
    job->state = haproxy;
    if (!haproxy_find_socket(job->deploy->settings, command->region, &haproxy->socket)) {
        driver_refuse(job, "haproxy: action.deploy_haproxy names no socket for region " STR_FMT,
                      STR_ARG(command->region));
        return;
    }
    bool needs_previous = command->kind == ROLLOUT_COMMAND_ROLLBACK;
    bool has_version = address_of(job, command->version, &haproxy->version);
    if (needs_previous ? !address_of(job, command->previous_version, &haproxy->previous) : !has_version) {
        driver_refuse(job, "haproxy: action.deploy_haproxy_address gives no ip:port for version " STR_FMT,
                      STR_ARG(needs_previous ? command->previous_version : command->version));
        return;
    }
    exchange_begin(&haproxy->exchange, job, &haproxy->socket,
                   arena_print(&job->task->arena, "show servers state " STR_FMT "\n", STR_ARG(command->service)),
                   haproxy_seen);
}

static void haproxy_cancel(DriverJob *job)
{
    Haproxy *haproxy = job->state;
    exchange_cancel(&haproxy->exchange);
    driver_fail(job, "haproxy: not done within %lld ms", (long long)job->timeout_ms);
}

const Driver haproxy_driver = {.name = "haproxy", .begin = haproxy_begin, .cancel = haproxy_cancel};
