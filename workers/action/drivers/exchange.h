/* exchange - one line to a local socket and everything that comes back until it is closed. Never blocks the loop. */
#ifndef TAI_WORKERS_ACTION_DRIVERS_EXCHANGE_H
#define TAI_WORKERS_ACTION_DRIVERS_EXCHANGE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "workers/action/drivers/driver.h"

#define EXCHANGE_REPLY_MAX (64 * 1024)
#define EXCHANGE_TIMEOUT_MS 2000

typedef struct {
    struct sockaddr_storage address;
    socklen_t length;
} SocketAddress;

/* "unix:/path", "127.0.0.1:9999", "[::1]:9999"; names are not resolved. */
bool exchange_parse_address(Str text, SocketAddress *address);

typedef struct Exchange Exchange;
/* `why` NULL: the whole reply. Otherwise it did not come, and whether the line had an effect is open. */
typedef void ExchangeThen(Exchange *exchange, Str reply, const char *why);

/* In the job's arena; may begin anew once it has called back. */
struct Exchange {
    DriverJob *job;
    WatchItem item; /* descriptor -1: not open */
    Timer timer;
    Str line;
    size_t sent;
    Buffer reply;
    ExchangeThen *then;
};

void exchange_begin(Exchange *exchange, DriverJob *job, const SocketAddress *address, Str line, ExchangeThen *then);
void exchange_cancel(Exchange *exchange); /* calls nothing back; harmless when it is over */

#endif
