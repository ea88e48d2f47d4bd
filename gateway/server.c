/* server - an HTTP listener on the loop.
 * The library runs in external epoll mode on our thread: it is dispatched like any other source, and a request that
 * waits is suspended. Its own time-out counts idleness only and knows nothing of suspended connections, so each
 * connection has a deadline of ours for whatever it is sending. */
#include "gateway/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/problem.h"
#include "gateway/stream.h"

/* A refused body up to this size is read to its end, so that the client reads our answer and not a reset. */
#define SERVER_DROP_MAX 1048576
#define SERVER_BACKLOG 1024

struct Server {
    Gateway *gateway;
    struct MHD_Daemon *daemon; /* NULL: closed */
    const Route *routes;
    size_t route_count;
    const char *domain;
    bool resumed; /* the library has something to do at once */
    bool quiesced;
};

/* A connection's own part: when what it is sending must be there. */
typedef struct {
    Server *server;
    int descriptor;
    Timer late;
} Connection;

/* --- connections --------------------------------------------------------------------------------------------- */

/* The library cannot answer inside a body, but nothing of it is on its way out then: the words are ours. The shutdown
 * makes it notice and clean up. */
static void connection_late(void *context)
{
    Connection *connection = context;
    Str text = problem_late_text();
    (void)!send(connection->descriptor, text.data, text.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(connection->descriptor, SHUT_RDWR);
    log_event(connection->server->gateway->log, LOG_DEBUG, "request_late", LOG_NO_FIELDS);
}

static void connection_expect(Connection *connection, int64_t delay_ms)
{
    loop_timer_set(connection->server->gateway->loop, &connection->late, delay_ms);
}

static void connection_expect_nothing(Connection *connection)
{
    loop_timer_clear(connection->server->gateway->loop, &connection->late);
}

static void connection_changed(void *context, struct MHD_Connection *handle, void **socket_context,
                               enum MHD_ConnectionNotificationCode code)
{
    Server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
        Connection *connection = calloc(1, sizeof(*connection));
        TAI_ASSERT(connection != NULL && info != NULL);
        *connection = (Connection){.server = server, .descriptor = info->connect_fd};
        connection->late = timer_make(connection_late, connection);
        connection_expect(connection, server->gateway->settings.receive_ms);
        *socket_context = connection;
        return;
    }
    Connection *connection = *socket_context;
    if (connection != NULL) {
        connection_expect_nothing(connection);
        free(connection);
        *socket_context = NULL;
    }
}

static Connection *connection_of(struct MHD_Connection *handle)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    TAI_ASSERT(info != NULL && info->socket_context != NULL);
    return info->socket_context;
}

/* --- a request comes in -------------------------------------------------------------------------------------- */

/* The first line is there. */
static void *request_started(void *context, const char *uri, struct MHD_Connection *handle)
{
    Server *server = context;
    (void)uri;
    connection_expect(connection_of(handle), server->gateway->settings.receive_ms);
    return request_open(server->gateway, server, handle);
}

static void request_completed(void *context, struct MHD_Connection *handle, void **request_context,
                              enum MHD_RequestTerminationCode code)
{
    Server *server = context;
    Request *request = *request_context;
    (void)code;
    if (request != NULL) {
        *request_context = NULL;
        request_close(request);
    }
    /* Idleness is the library's to end; this bounds a next request that comes in byte by byte. */
    const GatewaySettings *settings = &server->gateway->settings;
    connection_expect(connection_of(handle), settings->idle_ms + settings->receive_ms);
}

static bool server_expects_body(const Request *request)
{
    return request->fields.chunked || request->fields.content_length > 0;
}

static size_t server_body_max(const Request *request)
{
    bool wanted = !request->answered && request->route->body != ROUTE_NO_BODY;
    return wanted ? request->route->body_max_bytes : SERVER_DROP_MAX;
}

static void server_check_body(Request *request)
{
    const RequestFields *fields = &request->fields;
    bool json = request->route->body == ROUTE_JSON ||
                (request->route->body == ROUTE_JSON_OPTIONAL && server_expects_body(request));
    if (json && !field_is_media_type(fields->content_type, STR(MEDIA_JSON))) {
        problem_answer(request, PROBLEM_MEDIA_TYPE, "Content-Type must be " MEDIA_JSON);
    } else if (fields->content_length > (int64_t)server_body_max(request)) {
        problem_answer(request, PROBLEM_TOO_LARGE, "at most %zu bytes are taken", server_body_max(request));
    }
}

/* The header is there: whatever is wrong with it is found before a body is taken. */
static void server_begin(Request *request, const char *method, const char *path, const char *version)
{
    Server *server = request->server;
    request->begun = true;
    request_read_header(request, str_from(method), str_from(path));
    if (request->fields.ambiguous) {
        request->answer.close = true;
        problem_answer(request, PROBLEM_INVALID, "the header says its length or its key more than once");
        return;
    }
    /* The library's own check (0.9.75) answers with its header twice. */
    if (!request->fields.has_host && strcmp(version, "HTTP/1.1") == 0) {
        request->answer.close = true;
        problem_answer(request, PROBLEM_INVALID, "HTTP/1.1 needs a Host field");
        return;
    }
    route_request(request, server->routes, server->route_count);
    if (request->answered) {
        return;
    }
    if (!request->takes_query &&
        MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, NULL, NULL) > 0) {
        problem_answer(request, PROBLEM_INVALID, "there are no query parameters here");
        return;
    }
    server_check_body(request);
}

/* False: the connection cannot go on. */
static bool server_take(Request *request, const char *data, size_t length)
{
    if (request->answered || request->route->body == ROUTE_NO_BODY) {
        request->dropped_bytes += length;
        return request->dropped_bytes <= SERVER_DROP_MAX;
    }
    size_t body_max = server_body_max(request);
    if (length > body_max - request->body_length) {
        problem_answer(request, PROBLEM_TOO_LARGE, "at most %zu bytes are taken", body_max);
        return true;
    }
    if (request->body == NULL) {
        int64_t said = request->fields.content_length;
        request->body_capacity = said > 0 ? (size_t)said : body_max;
        request->body = arena_alloc(&request->arena, request->body_capacity);
    }
    if (length > request->body_capacity - request->body_length) {
        return false;
    }
    memcpy(request->body + request->body_length, data, length);
    request->body_length += length;
    return true;
}

/* --- and its answer goes out --------------------------------------------------------------------------------- */

static void server_add(struct MHD_Response *response, const char *name, Str value)
{
    if (value.length > 0) {
        /* Values end in NUL: they come from arena_copy(), arena_print(), a Buffer or a literal. */
        TAI_ASSERT(MHD_add_response_header(response, name, value.data) == MHD_YES);
    }
}

static void server_add_fields(struct MHD_Response *response, Request *request)
{
    const Answer *answer = &request->answer;
    Arena *arena = &request->arena;
    server_add(response, "Content-Type", str_from(answer->media_type));
    server_add(response, BUS_HEADER_TRACE, request_traceparent(request));
    server_add(response, "Location", answer->location);
    server_add(response, "Allow", answer->allow);
    if (answer->retry_after_s > 0) {
        server_add(response, "Retry-After", arena_print(arena, "%lld", (long long)answer->retry_after_s));
    }
    if (answer->has_revision) {
        server_add(response, "ETag", arena_print(arena, "\"%llu\"", (unsigned long long)answer->revision));
    }
    if (answer->close || request->gateway->draining_since_ms != 0) {
        server_add(response, "Connection", STR("close"));
    }
}

static void server_log(const Request *request)
{
    if (request->answer.status >= 400) {
        log_event(request->gateway->log, LOG_DEBUG, "request_refused",
                  LOG_FIELDS(log_number("status", request->answer.status), log_text("method", request->method),
                             log_text("path", request->path), log_text("why", request->answer.why),
                             log_text("trace_id", str_from(request->trace.trace_id))));
    }
}

static enum MHD_Result server_send(Request *request)
{
    Str body = request->answer.body;
    /* The body is in the arena, which is reset only when the library has told that the request is complete. */
    struct MHD_Response *response =
        request->stream != NULL
            ? stream_response(request)
            : MHD_create_response_from_buffer(body.length, body.length > 0 ? (void *)(uintptr_t)body.data : NULL,
                                              MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    connection_expect_nothing(connection_of(request->connection));
    server_add_fields(response, request);
    server_log(request);
    enum MHD_Result result = MHD_queue_response(request->connection, request->answer.status, response);
    MHD_destroy_response(response);
    return result;
}

/* A body that is too long to be dropped, or that the client holds back until we ask for it. */
static bool server_answers_early(const Request *request)
{
    return request->answered && server_expects_body(request) &&
           (request->fields.expects_continue || request->fields.content_length > SERVER_DROP_MAX);
}

static void server_begin_work(Request *request)
{
    if (!request->without_bus && !bus_is_connected(request->gateway->bus)) {
        problem_answer(request, PROBLEM_UNAVAILABLE, "the bus cannot be reached; nothing was done");
        return;
    }
    request->route->begin(request);
}

/* The library calls this with the header, with each piece of the body, at its end, and again after a resume. */
static enum MHD_Result server_handle(void *context, struct MHD_Connection *handle, const char *url, const char *method,
                                     const char *version, const char *data, size_t *data_length, void **request_context)
{
    Request *request = *request_context;
    (void)context;
    if (request == NULL) {
        return MHD_NO;
    }
    if (!request->begun) {
        server_begin(request, method, url, version);
        if (server_answers_early(request)) {
            request->answer.close = true;
            return server_send(request);
        }
        return MHD_YES;
    }
    if (*data_length > 0) {
        bool taken = server_take(request, data, *data_length);
        *data_length = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    if (!request->received) {
        request->received = true;
        connection_expect_nothing(connection_of(handle));
        if (!request->answered) {
            server_begin_work(request);
        }
    }
    if (request->answered) {
        return server_send(request);
    }
    request->suspended = true;
    MHD_suspend_connection(handle);
    return MHD_YES;
}

void server_resume(Request *request)
{
    request->suspended = false;
    request->server->resumed = true;
    MHD_resume_connection(request->connection);
}

/* --- the listener -------------------------------------------------------------------------------------------- */

static int64_t server_deadline_ms(void *context)
{
    Server *server = context;
    if (server->daemon == NULL) {
        return TIMER_NEVER;
    }
    unsigned long long wait_ms = 0;
    int64_t now_ms = loop_now_ms(server->gateway->loop);
    if (server->resumed) {
        return now_ms;
    }
    return MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES ? now_ms + (int64_t)wait_ms : TIMER_NEVER;
}

static void server_dispatch(void *context, int64_t now_ms)
{
    Server *server = context;
    (void)now_ms;
    if (server->daemon != NULL) {
        server->resumed = false;
        (void)MHD_run(server->daemon);
    }
}

/* Escapes in a path are undone by route.c, which notices an escaped NUL; the library would cut the path there. */
static size_t server_keep_escapes(void *context, struct MHD_Connection *handle, char *text)
{
    (void)context;
    (void)handle;
    return strlen(text);
}

static void server_library_says(void *context, const char *format, va_list arguments)
{
    Server *server = context;
    char text[256];
    int length = vsnprintf(text, sizeof(text), format, arguments);
    if (length > 0) {
        size_t kept = (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1;
        while (kept > 0 && (text[kept - 1] == '\n' || text[kept - 1] == '\r')) {
            kept--;
        }
        log_event(server->gateway->log, LOG_DEBUG, "http_library", LOG_FIELDS(log_text("says", (Str){text, kept})));
    }
}

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Address;

static bool server_address(const ServerOptions *options, Address *address)
{
    *address = (Address){0};
    uint16_t port = htons((uint16_t)options->port);
    if (inet_pton(AF_INET, options->address, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = port;
        return true;
    }
    if (inet_pton(AF_INET6, options->address, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = port;
        return true;
    }
    return false;
}

static struct MHD_Daemon *server_start(Server *server, const Address *address)
{
    const GatewaySettings *settings = &server->gateway->settings;
    /* Without TURBO the library (0.9.75) drops a half-closed client's pipelined requests unanswered. */
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_TURBO;
    if (address->any.sa_family == AF_INET6) {
        flags |= MHD_USE_DUAL_STACK;
    }
    struct MHD_OptionItem share[] = {
        {settings->share_port ? MHD_OPTION_LISTENING_ADDRESS_REUSE : MHD_OPTION_END, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(
        flags, 0, NULL, NULL, server_handle, server, MHD_OPTION_EXTERNAL_LOGGER, server_library_says, server,
        MHD_OPTION_SOCK_ADDR, &address->any, MHD_OPTION_CONNECTION_LIMIT, (unsigned)settings->max_connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)settings->connection_bytes, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((settings->idle_ms + 999) / 1000), MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)SERVER_BACKLOG,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK, server_keep_escapes, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, request_started, server, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, server,
        MHD_OPTION_NOTIFY_COMPLETED, request_completed, server, MHD_OPTION_ARRAY, share, MHD_OPTION_END);
}

static void server_log_address(const Server *server, const ServerOptions *options)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    log_event(server->gateway->log, LOG_INFO, "listening",
              LOG_FIELDS(log_text("address", str_from(options->address)),
                         log_number("port", info != NULL ? info->port : options->port)));
}

Err server_open(Gateway *gateway, const ServerOptions *options, Server **server)
{
    Address address;
    if (!server_address(options, &address)) {
        return err_reject("\"%s\" is no numeric address to listen on", options->address);
    }
    Server *opened = calloc(1, sizeof(*opened));
    TAI_ASSERT(opened != NULL);
    *opened = (Server){
        .gateway = gateway, .routes = options->routes, .route_count = options->route_count, .domain = options->domain};
    errno = 0;
    opened->daemon = server_start(opened, &address);
    const union MHD_DaemonInfo *info =
        opened->daemon == NULL ? NULL : MHD_get_daemon_info(opened->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL) {
        int why = errno;
        free(opened);
        return err_retry("cannot listen on %s port %lld: %s", options->address, (long long)options->port,
                         why != 0 ? strerror(why) : "the HTTP library does not start");
    }
    server_log_address(opened, options);
    loop_add(gateway->loop, (LoopSource){.descriptor = info->epoll_fd,
                                         .deadline_ms = server_deadline_ms,
                                         .dispatch = server_dispatch,
                                         .context = opened});
    *server = opened;
    return err_none();
}

const char *server_domain(const Server *server)
{
    return server->domain;
}

void server_quiesce(Server *server)
{
    if (server->quiesced || server->daemon == NULL) {
        return;
    }
    server->quiesced = true;
    MHD_socket listener = MHD_quiesce_daemon(server->daemon);
    if (listener != MHD_INVALID_SOCKET) {
        (void)close(listener);
    }
    for (Request *request = server->gateway->open; request != NULL; request = request->next) {
        if (request->server == server && request->stream != NULL) {
            stream_end(request->stream); /* it would never end by itself */
        }
    }
}

static void server_give_up(Request *request)
{
    if (request->on_give_up != NULL) {
        request->on_give_up(request);
    } else {
        problem_answer(request, PROBLEM_UNAVAILABLE, "this process ends before the answer is known");
    }
}

void server_close(Server *server)
{
    if (server == NULL || server->daemon == NULL) {
        return;
    }
    server_quiesce(server);
    for (Request *request = server->gateway->open; request != NULL; request = request->next) {
        if (request->server == server && request->stream == NULL && request->suspended) {
            server_give_up(request);
        }
    }
    /* Once to take the resumed ones on, once to send what they got. */
    (void)MHD_run(server->daemon);
    (void)MHD_run(server->daemon);
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}

void server_release(Server *server)
{
    free(server);
}
