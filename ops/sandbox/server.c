/* server - libmicrohttpd run from a loop of our own, so that nothing needs a lock.
 * An answer with latency is made at once, as a gateway executes at once; its connection is suspended until it is due.
 */
#include "ops/sandbox/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "ops/sandbox/control.h"
#include "ops/sandbox/region.h"
#include "ops/sandbox/registry.h"
#include "ops/sandbox/stripe.h"
#include "shared/base/timer.h"

#define STRIPE_VERSION "2024-06-20"
#define IDLE_TIMEOUT_S 120U
#define CSV_PART_BYTES 65536

struct Server {
    Sandbox *sandbox;
    struct MHD_Daemon *daemon;
    TimerHeap timers;
    int signals;
    uint64_t exchanges; /* for Request-Id */
};

/* One request and its answer. */
typedef struct {
    Server *server;
    struct MHD_Connection *connection;
    char *body; /* owned; allocated with the first byte */
    size_t body_length;
    size_t body_capacity;
    bool oversized;
    bool answered; /* response or drop is set */
    bool drop;
    int status;
    struct MHD_Response *response; /* owned until it is queued */
    Timer timer;                   /* resumes the connection */
} Exchange;

typedef struct {
    const Sandbox *sandbox;
    uint64_t line;
    char part[CSV_PART_BYTES];
    size_t part_length;
    size_t part_sent;
} CsvStream;

static int64_t server_now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static Str server_header(struct MHD_Connection *connection, const char *name)
{
    return str_from(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name));
}

static ssize_t server_read_csv(void *context, uint64_t position, char *out, size_t capacity)
{
    (void)position;
    CsvStream *stream = context;
    if (stream->part_sent == stream->part_length) {
        Buffer part = buffer_over(stream->part, sizeof stream->part);
        bool more = control_write_csv(stream->sandbox, &stream->line, &part);
        stream->part_length = part.length;
        stream->part_sent = 0;
        if (!more) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
    }
    size_t length = stream->part_length - stream->part_sent;
    length = length < capacity ? length : capacity;
    memcpy(out, stream->part + stream->part_sent, length);
    stream->part_sent += length;
    return (ssize_t)length;
}

static struct MHD_Response *server_make_csv(const Sandbox *sandbox)
{
    CsvStream *stream = calloc(1, sizeof *stream);
    TAI_ASSERT(stream != NULL);
    stream->sandbox = sandbox;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CSV_PART_BYTES, server_read_csv, stream, free);
}

static void server_add_header(struct MHD_Response *response, const char *name, const char *value)
{
    TAI_ASSERT(MHD_add_response_header(response, name, value) == MHD_YES);
}

static void server_add_stripe_headers(Exchange *exchange, const Answer *answer, const char *key)
{
    char id[32];
    Buffer text = buffer_over(id, sizeof id);
    exchange->server->exchanges++;
    buffer_print(&text, "req_Sandbox%07llu", (unsigned long long)exchange->server->exchanges);
    server_add_header(exchange->response, "Request-Id", id);
    server_add_header(exchange->response, "Stripe-Version", STRIPE_VERSION);
    if (key != NULL && strlen(key) <= IDEMPOTENCY_KEY_MAX) {
        server_add_header(exchange->response, "Idempotency-Key", key);
    }
    if (answer->replayed) {
        server_add_header(exchange->response, "Idempotent-Replayed", "true");
    }
}

static void server_make_response(Exchange *exchange, const Answer *answer, bool is_stripe)
{
    exchange->answered = true;
    exchange->drop = answer->drop;
    exchange->status = answer->status;
    if (answer->drop) {
        return;
    }
    if (answer->stream_csv) {
        exchange->response = server_make_csv(exchange->server->sandbox);
        server_add_header(exchange->response, "Content-Type", "text/csv");
        return;
    }
    exchange->response = MHD_create_response_from_buffer(answer->body.length, (void *)(uintptr_t)answer->body.data,
                                                         MHD_RESPMEM_MUST_COPY);
    TAI_ASSERT(exchange->response != NULL);
    server_add_header(exchange->response, "Content-Type",
                      answer->content_type != NULL ? answer->content_type : "application/json");
    if (answer->content_digest != NULL) {
        server_add_header(exchange->response, "Docker-Content-Digest", answer->content_digest);
    }
    if (answer->retry_after_s > 0) {
        char seconds[16];
        Buffer text = buffer_over(seconds, sizeof seconds);
        buffer_print(&text, "%d", answer->retry_after_s);
        server_add_header(exchange->response, "Retry-After", seconds);
    }
    if (answer->allow != NULL) {
        server_add_header(exchange->response, "Allow", answer->allow);
    }
    if (is_stripe) {
        server_add_stripe_headers(
            exchange, answer, MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Idempotency-Key"));
    }
}

static Answer server_refuse_size(Sandbox *sandbox)
{
    buffer_append(&sandbox->text, STR("{\"error\":{\"message\":\"The body is longer than 65536 bytes.\","
                                      "\"type\":\"invalid_request_error\"}}"));
    return (Answer){.status = 413, .body = buffer_str(&sandbox->text)};
}

static Answer server_route(Sandbox *sandbox, const Request *request)
{
    if (str_starts_with(request->path, STR("/v1/"))) {
        return stripe_answer(sandbox, request);
    }
    if (str_starts_with(request->path, STR("/v2/"))) {
        return registry_answer(sandbox, request);
    }
    return str_starts_with(request->path, STR("/cluster")) ? region_answer(sandbox, request)
                                                           : control_answer(sandbox, request);
}

static Str server_query(struct MHD_Connection *connection, const char *name)
{
    return str_from(MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name));
}

/* Makes the answer, and tells how long it is to wait. */
static int64_t server_answer(Exchange *exchange, const char *method, const char *path)
{
    Sandbox *sandbox = exchange->server->sandbox;
    struct MHD_Connection *connection = exchange->connection;
    bool is_stripe = str_starts_with(str_from(path), STR("/v1/"));
    Request request = {
        .method = str_from(method),
        .path = str_from(path),
        .authorization = server_header(connection, "Authorization"),
        .content_type = server_header(connection, "Content-Type"),
        .idempotency_key = server_header(connection, "Idempotency-Key"),
        .query_key = server_query(connection, "key"),
        .query_since = server_query(connection, "since"),
        .query_until = server_query(connection, "until"),
        .body = exchange->body,
        .body_length = exchange->body_length,
        .now_ms = server_now_ms(CLOCK_MONOTONIC),
        .unix_ms = server_now_ms(CLOCK_REALTIME),
    };
    request.now_s = request.unix_ms / 1000;
    buffer_reset(&sandbox->text);
    Answer answer = exchange->oversized ? server_refuse_size(sandbox) : server_route(sandbox, &request);
    TAI_ASSERT(!sandbox->text.overflow);
    server_make_response(exchange, &answer, is_stripe);
    return answer.latency_ms;
}

static void server_resume(void *context)
{
    Exchange *exchange = context;
    MHD_resume_connection(exchange->connection);
}

static enum MHD_Result server_queue(Exchange *exchange)
{
    if (exchange->drop) {
        return MHD_NO; /* closes the connection */
    }
    enum MHD_Result queued =
        MHD_queue_response(exchange->connection, (unsigned int)exchange->status, exchange->response);
    MHD_destroy_response(exchange->response);
    exchange->response = NULL;
    return queued;
}

static void server_take_body(Exchange *exchange, const char *bytes, size_t length)
{
    if (length > SERVER_BODY_MAX - exchange->body_length) {
        exchange->oversized = true;
        return;
    }
    if (exchange->body_length + length > exchange->body_capacity) {
        size_t capacity = exchange->body_capacity == 0 ? 2048 : exchange->body_capacity;
        while (capacity < exchange->body_length + length) {
            capacity *= 2;
        }
        exchange->body = realloc(exchange->body, capacity);
        TAI_ASSERT(exchange->body != NULL);
        exchange->body_capacity = capacity;
    }
    memcpy(exchange->body + exchange->body_length, bytes, length);
    exchange->body_length += length;
}

static Exchange *server_begin(Server *server, struct MHD_Connection *connection)
{
    Exchange *exchange = calloc(1, sizeof *exchange);
    TAI_ASSERT(exchange != NULL);
    exchange->server = server;
    exchange->connection = connection;
    exchange->timer = timer_make(server_resume, exchange);
    return exchange;
}

/* Called with the headers, then with each part of the body, then at its end, and once more after a resume. */
static enum MHD_Result server_handle(void *context, struct MHD_Connection *connection, const char *path,
                                     const char *method, const char *version, const char *upload, size_t *upload_length,
                                     void **state)
{
    (void)version;
    Server *server = context;
    Exchange *exchange = *state;
    if (exchange == NULL) {
        *state = server_begin(server, connection);
        return MHD_YES;
    }
    if (*upload_length > 0) {
        server_take_body(exchange, upload, *upload_length);
        *upload_length = 0;
        return MHD_YES;
    }
    if (!exchange->answered) {
        int64_t latency_ms = server_answer(exchange, method, path);
        if (latency_ms > 0) {
            MHD_suspend_connection(connection);
            timer_set(&server->timers, &exchange->timer, server_now_ms(CLOCK_MONOTONIC) + latency_ms);
            return MHD_YES;
        }
    }
    return server_queue(exchange);
}

static void server_end(void *context, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode how)
{
    (void)connection;
    (void)how;
    Server *server = context;
    Exchange *exchange = *state;
    if (exchange == NULL) {
        return;
    }
    timer_clear(&server->timers, &exchange->timer);
    if (exchange->response != NULL) {
        MHD_destroy_response(exchange->response);
    }
    free(exchange->body);
    free(exchange);
    *state = NULL;
}

static bool server_read_address(const char *address, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
    *out = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return inet_pton(AF_INET6, address, &v6->sin6_addr) == 1;
}

/* A connection is a descriptor: as many as the system allows. */
static unsigned int server_connection_limit(void)
{
    struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return (unsigned int)limit.rlim_cur - 64;
}

static void server_ignore_log(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

static Err server_start(Server *server, const struct sockaddr_storage *address)
{
    unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    if (address->ss_family == AF_INET6) {
        flags |= MHD_USE_IPv6;
    }
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, server_handle, server, MHD_OPTION_EXTERNAL_LOGGER, server_ignore_log,
                         NULL, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_NOTIFY_COMPLETED, server_end, server,
                         MHD_OPTION_CONNECTION_LIMIT, server_connection_limit(), MHD_OPTION_CONNECTION_TIMEOUT,
                         IDLE_TIMEOUT_S, MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096U, MHD_OPTION_END);
    return server->daemon != NULL ? err_none() : err_retry("cannot listen there: %s", strerror(errno));
}

Err server_open(Sandbox *sandbox, const char *address, uint16_t port, Server **out)
{
    struct sockaddr_storage socket_address;
    sigset_t stop;
    if (!server_read_address(address, port, &socket_address)) {
        return err_reject("not an IP address: %.80s", address);
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    Server *server = calloc(1, sizeof *server);
    TAI_ASSERT(server != NULL);
    server->sandbox = sandbox;
    server->signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    Err err = server_start(server, &socket_address);
    if (err_is(err)) {
        server_close(server);
        return err;
    }
    *out = server;
    return err_none();
}

uint16_t server_port(const Server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info != NULL ? info->port : 0;
}

static int server_wait_ms(const Server *server)
{
    MHD_UNSIGNED_LONG_LONG http_ms = 0;
    int64_t wait_ms = MHD_get_timeout(server->daemon, &http_ms) == MHD_YES ? (int64_t)http_ms : 60000;
    int64_t due_ms = timer_next_ms(&server->timers);
    if (due_ms != TIMER_NEVER) {
        int64_t left_ms = due_ms - server_now_ms(CLOCK_MONOTONIC);
        wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
    }
    return wait_ms < 0 ? 0 : wait_ms > 60000 ? 60000 : (int)wait_ms;
}

void server_run(Server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    TAI_ASSERT(info != NULL);
    struct pollfd watched[2] = {{.fd = info->epoll_fd, .events = POLLIN}, {.fd = server->signals, .events = POLLIN}};
    while (watched[1].revents == 0) {
        (void)poll(watched, 2, server_wait_ms(server));
        timer_run(&server->timers, server_now_ms(CLOCK_MONOTONIC));
        TAI_ASSERT(MHD_run(server->daemon) == MHD_YES);
    }
}

/* A suspended connection must be resumed before the library may stop. */
void server_close(Server *server)
{
    if (server->daemon != NULL) {
        timer_run(&server->timers, INT64_MAX - 1);
        MHD_stop_daemon(server->daemon);
    }
    timer_release(&server->timers);
    close(server->signals);
    free(server);
}
