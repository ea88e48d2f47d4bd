/* server - an HTTP listener on the loop. libmicrohttpd stays in here and in request.c. */
#ifndef TAI_GATEWAY_SERVER_H
#define TAI_GATEWAY_SERVER_H

#include "gateway/route.h"

typedef struct {
    const char *address; /* numeric, IPv4 or IPv6 */
    int64_t port;
    const Route *routes;
    size_t route_count;
    const char *domain; /* "payment" or "deployment": whose figures and policy it serves */
} ServerOptions;

/* Listens and adds itself to the loop. RETRY where the port cannot be had. */
MUST_USE Err server_open(Gateway *gateway, const ServerOptions *options, Server **server);
/* Takes no more connections; those there are go on. May be called again. */
void server_quiesce(Server *server);
/* Answers what still waits, and ends all connections. NULL is fine. */
void server_close(Server *server);
/* Gives the memory back, when the loop has run its last turn. */
void server_release(Server *server);

const char *server_domain(const Server *server);

/* The suspended request has its answer. */
void server_resume(Request *request);

#endif
