/* server - HTTP for the sandbox on one thread: libmicrohttpd, answers held back by a timer heap, signals. */
#ifndef SANDBOX_SERVER_H
#define SANDBOX_SERVER_H

#include "ops/sandbox/sandbox.h"

typedef struct Server Server;

#define SERVER_BODY_MAX 65536 /* bytes; a longer body is 413 */

/* Port 0: any. RETRY where the port is taken, REJECT for an address that is none. */
MUST_USE Err server_open(Sandbox *sandbox, const char *address, uint16_t port, Server **server);
uint16_t server_port(const Server *server);
void server_run(Server *server); /* until SIGTERM or SIGINT */
void server_close(Server *server);

#endif
