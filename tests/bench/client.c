/* client - epoll over non-blocking sockets; requests are small enough for one send(2) each, answers are read as far as
 * their Content-Length says. */
#include "tests/bench/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_BYTES 8192
#define EVENTS_MAX 256

typedef struct Connection Connection;

struct Connection {
    Connection *next_free;
    int socket;
    bool busy;
    int64_t due_ns;
    size_t length; /* of the answer so far */
    char answer[ANSWER_BYTES];
};

struct Client {
    ClientOptions options;
    ClientCallback *callback;
    void *context;
    int epoll;
    Connection *connections;
    Connection *free;
    size_t free_count;
    uint64_t payments; /* sent so far */
};

int64_t client_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static Err connection_open(const Client *client, Connection *connection)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(client->options.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1;
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->socket < 0 ||
        connect(connection->socket, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) {
        return err_retry("port %u: %s", client->options.port, strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, connection->socket, &event) != 0) {
        return err_retry("epoll_ctl: %s", strerror(errno));
    }
    return err_none();
}

static void connection_free(Client *client, Connection *connection)
{
    connection->busy = false;
    connection->length = 0;
    connection->next_free = client->free;
    client->free = connection;
    client->free_count++;
}

Err client_open(const ClientOptions *options, ClientCallback *callback, void *context, Client **out)
{
    Client *client = calloc(1, sizeof(*client));
    TAI_ASSERT(client != NULL);
    *client = (Client){.options = *options, .callback = callback, .context = context};
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    client->connections = calloc(options->connections, sizeof(*client->connections));
    TAI_ASSERT(client->epoll >= 0 && client->connections != NULL);
    for (size_t i = 0; i < options->connections; i++) {
        client->connections[i].socket = -1;
    }
    Err err = err_none();
    for (size_t i = 0; i < options->connections && !err_is(err); i++) {
        err = connection_open(client, &client->connections[i]);
        connection_free(client, &client->connections[i]);
    }
    if (err_is(err)) {
        client_close(client);
        return err;
    }
    *out = client;
    return err_none();
}

void client_close(Client *client)
{
    for (size_t i = 0; i < client->options.connections; i++) {
        if (client->connections[i].socket >= 0) {
            close(client->connections[i].socket);
        }
    }
    close(client->epoll);
    free(client->connections);
    free(client);
}

size_t client_free_connections(const Client *client)
{
    return client->free_count;
}

/* A connection that broke is opened again; where that fails, too, there is nothing left to measure. */
static void connection_broke(Client *client, Connection *connection)
{
    close(connection->socket);
    Err err = connection_open(client, connection);
    TAI_ASSERT(!err_is(err));
    if (connection->busy) {
        connection_free(client, connection);
        client->callback(client->context, connection->due_ns, client_clock_ns(), 0);
    }
}

void client_pay(Client *client, int64_t due_ns)
{
    Connection *connection = client->free;
    TAI_ASSERT(connection != NULL);
    client->free = connection->next_free;
    client->free_count--;
    connection->busy = true;
    connection->due_ns = due_ns;

    char body_memory[256];
    Buffer body = buffer_over(body_memory, sizeof(body_memory));
    buffer_print(&body,
                 "{\"amount\": %llu.%02llu, \"customer_id\": \"cust_%s_%llu\", \"currency\": \"USD\", "
                 "\"merchant_id\": \"merc_456\"}",
                 (unsigned long long)(10 + client->payments % 90), (unsigned long long)(client->payments % 100),
                 client->options.name, (unsigned long long)client->payments);
    char memory[512];
    Buffer request = buffer_over(memory, sizeof(memory));
    buffer_print(&request,
                 "POST /payment HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n" STR_FMT,
                 client->options.port, body.length, STR_ARG(buffer_str(&body)));
    TAI_ASSERT(!body.overflow && !request.overflow);
    client->payments++;
    if (send(connection->socket, request.data, request.length, MSG_NOSIGNAL) != (ssize_t)request.length) {
        connection_broke(client, connection);
    }
}

/* Bytes of the whole answer once its head is there, 0 before. */
static size_t answer_length(const Connection *connection)
{
    static const char name[] = "\r\nContent-Length:";
    const char *end = memmem(connection->answer, connection->length, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    const char *field = strcasestr(connection->answer, name);
    TAI_ASSERT(field != NULL && field < end); /* the gateway sends no chunked answers */
    return (size_t)(end - connection->answer) + 4 + strtoul(field + sizeof(name) - 1, NULL, 10);
}

static void connection_read(Client *client, Connection *connection)
{
    ssize_t got = recv(connection->socket, connection->answer + connection->length,
                       sizeof(connection->answer) - 1 - connection->length, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0 || !connection->busy) {
        connection_broke(client, connection);
        return;
    }
    connection->length += (size_t)got;
    connection->answer[connection->length] = '\0';
    size_t length = answer_length(connection);
    if (length > 0 && connection->length >= length) {
        int status = (int)strtol(connection->answer + strlen("HTTP/1.1 "), NULL, 10);
        connection_free(client, connection);
        client->callback(client->context, connection->due_ns, client_clock_ns(), status);
    }
}

void client_wait(Client *client, int64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t left_ns = until_ns - client_clock_ns();
    left_ns = left_ns > 0 ? left_ns : 0;
    struct timespec timeout = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    int count = epoll_pwait2(client->epoll, events, EVENTS_MAX, &timeout, NULL);
    for (int i = 0; i < count; i++) {
        connection_read(client, events[i].data.ptr);
    }
}
