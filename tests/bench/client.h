/* client - many HTTP/1.1 keep-alive connections in one thread, each with one payment on its way at a time. */
#ifndef TAI_TESTS_BENCH_CLIENT_H
#define TAI_TESTS_BENCH_CLIENT_H

#include "shared/base/err.h"
#include "shared/base/str.h"

typedef struct Client Client;

typedef struct {
    uint16_t port;      /* on 127.0.0.1 */
    size_t connections; /* all are opened at once */
    const char *name;   /* of this run: makes every payment's customer a new one */
} ClientOptions;

/* An answer came, with its HTTP status; 0: the connection broke instead. `due_ns` is what client_pay() was given. */
typedef void ClientCallback(void *context, int64_t due_ns, int64_t now_ns, int status);

MUST_USE Err client_open(const ClientOptions *options, ClientCallback *callback, void *context, Client **client);
void client_close(Client *client);

size_t client_free_connections(const Client *client);

/* Sends one payment on a free connection. */
void client_pay(Client *client, int64_t due_ns);

/* Waits for answers until something came or `until_ns` is reached. */
void client_wait(Client *client, int64_t until_ns);

int64_t client_clock_ns(void); /* monotonic */

#endif
