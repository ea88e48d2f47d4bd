/* exchange - a non-blocking socket in the watch, with a deadline of its own. */
#include "workers/action/drivers/exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool address_parse_unix(Str path, SocketAddress *address)
{
    struct sockaddr_un *local = (struct sockaddr_un *)(void *)&address->address;
    local->sun_family = AF_UNIX;
    address->length = sizeof(*local);
    return path.length > 0 && str_copy_to(path, local->sun_path, sizeof(local->sun_path));
}

static bool address_parse_host(const char *host, uint16_t port, SocketAddress *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&address->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&address->address;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address->length = sizeof(*v4);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address->length = sizeof(*v6);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

bool exchange_parse_address(Str text, SocketAddress *address)
{
    char host[64];
    uint64_t port = 0;
    *address = (SocketAddress){0};
    if (str_starts_with(text, STR("unix:"))) {
        return address_parse_unix(str_slice(text, 5, text.length), address);
    }
    size_t colon = text.length;
    while (colon > 0 && text.data[colon - 1] != ':') {
        colon--;
    }
    if (colon < 2 || !str_to_uint64(str_slice(text, colon, text.length), &port) || port == 0 || port > UINT16_MAX) {
        return false;
    }
    Str name = str_slice(text, 0, colon - 1);
    if (name.data[0] == '[' && name.length > 2 && name.data[name.length - 1] == ']') {
        name = str_slice(name, 1, name.length - 1);
    }
    return str_copy_to(name, host, sizeof(host)) && address_parse_host(host, (uint16_t)port, address);
}

static void exchange_close(Exchange *exchange)
{
    if (exchange->item.descriptor >= 0) {
        loop_timer_clear(worker_loop(exchange->job->deploy->worker), &exchange->timer);
        watch_remove(exchange->job->deploy->watch, &exchange->item);
        close(exchange->item.descriptor);
        exchange->item.descriptor = -1;
    }
}

static void exchange_end(Exchange *exchange, const char *why)
{
    exchange_close(exchange);
    exchange->then(exchange, buffer_str(&exchange->reply), why);
}

static void exchange_late(void *context)
{
    exchange_end(context, "no whole answer in time");
}

static void exchange_send(Exchange *exchange)
{
    ssize_t sent = send(exchange->item.descriptor, exchange->line.data + exchange->sent,
                        exchange->line.length - exchange->sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            exchange_end(exchange, strerror(errno));
        }
        return;
    }
    exchange->sent += (size_t)sent;
    if (exchange->sent == exchange->line.length) {
        Err err = watch_add(exchange->job->deploy->watch, &exchange->item, EPOLLIN);
        if (err_is(err)) {
            exchange_end(exchange, "no descriptor can be watched");
        }
    }
}

static void exchange_receive(Exchange *exchange)
{
    char part[4096];
    ssize_t length = recv(exchange->item.descriptor, part, sizeof(part), 0);
    if (length > 0) {
        buffer_append(&exchange->reply, (Str){part, (size_t)length});
        if (exchange->reply.overflow) {
            exchange_end(exchange, "the answer is too long");
        }
    } else if (length == 0) {
        exchange_end(exchange, NULL);
    } else if (errno != EAGAIN && errno != EINTR) {
        exchange_end(exchange, strerror(errno));
    }
}

static void exchange_ready(void *context)
{
    Exchange *exchange = context;
    if (exchange->sent < exchange->line.length) {
        exchange_send(exchange);
    } else {
        exchange_receive(exchange);
    }
}

void exchange_begin(Exchange *exchange, DriverJob *job, const SocketAddress *address, Str line, ExchangeThen *then)
{
    *exchange = (Exchange){.job = job, .line = line, .then = then, .item = {.ready = exchange_ready}};
    exchange->item.context = exchange;
    exchange->reply = arena_buffer(&job->task->arena, EXCHANGE_REPLY_MAX);
    exchange->timer = timer_make(exchange_late, exchange);
    exchange->item.descriptor = socket(address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (exchange->item.descriptor < 0) {
        exchange_end(exchange, strerror(errno));
        return;
    }
    loop_timer_set(worker_loop(job->deploy->worker), &exchange->timer, EXCHANGE_TIMEOUT_MS);
    const struct sockaddr *to = (const struct sockaddr *)(const void *)&address->address;
    if (connect(exchange->item.descriptor, to, address->length) != 0 && errno != EINPROGRESS) {
        exchange_end(exchange, strerror(errno));
        return;
    }
    Err err = watch_add(job->deploy->watch, &exchange->item, EPOLLOUT);
    if (err_is(err)) {
        exchange_end(exchange, "no descriptor can be watched");
    }
}

void exchange_cancel(Exchange *exchange)
{
    if (exchange->job != NULL) {
        exchange_close(exchange);
    }
}
