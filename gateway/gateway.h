/* gateway - what all parts of tai-gateway share: settings, the bus, who waits, what is known of the ledger.
 * One thread, one loop: nothing here needs a lock. */
#ifndef TAI_GATEWAY_GATEWAY_H
#define TAI_GATEWAY_GATEWAY_H

#include "gateway/waiting.h"
#include "shared/worker/worker.h"

typedef struct Server Server;
typedef struct Request Request;

typedef struct {
    char payment_address[64]; /* numeric, IPv4 or IPv6 */
    int64_t payment_port;     /* 0: any free one */
    char deployment_address[64];
    int64_t deployment_port;
    bool share_port; /* several gateways on one port (SO_REUSEPORT) */
    int64_t wait_ms; /* for an outcome, when the client does not say */
    int64_t deployment_wait_ms;
    int64_t max_waiting;
    int64_t max_backlog; /* signals on the policy lane */
    int64_t max_connections;
    int64_t connection_bytes;
    int64_t receive_ms; /* for all of a request to come in */
    int64_t idle_ms;    /* of a kept-alive connection */
    int64_t store_ms;   /* for a PubAck */
    int64_t query_ms;   /* for answers to questions */
    int64_t unready_ms; /* after SIGTERM, still taking connections */
} GatewaySettings;

/* What is known of the policy lane; asked for only while requests come in. */
typedef struct {
    bool asking;
    int64_t asked_ms;
    int64_t answered_ms;
    int64_t backlog;
} Admission;

/* Random bytes, fetched many at a time. */
typedef struct {
    uint8_t bytes[1024];
    size_t left;
} Entropy;

typedef struct {
    GatewaySettings settings;
    Worker *worker;
    Bus *bus;
    Loop *loop;
    const Log *log;
    Server *payment;
    Server *deployment;
    Waiting waiting;          /* for outcomes; holders are Requests */
    BusSubscription *replies; /* tai.reply.<gateway>.* */
    Request *open;            /* all that MHD or the bus still knows of */
    Request *spare;           /* recycled */
    size_t open_count;
    size_t spare_count;
    Admission admission;
    Entropy entropy;
    int64_t ready_until_ms;    /* the ledger answered a moment ago */
    bool searching;            /* a costly search of the ledger is on its way */
    int64_t search_began_ms;   /* the last one */
    int64_t search_after_ms;   /* the next one not earlier */
    int64_t draining_since_ms; /* 0: not draining */
} Gateway;

void gateway_entropy(Gateway *gateway, uint8_t *bytes, size_t count);

/* False when the policy lane is too far behind to take on more. */
bool admission_allows(Gateway *gateway);

#endif
