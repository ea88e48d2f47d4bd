/* bus - NATS and JetStream for one loop: requests, stored messages, reads, subscriptions. nats.c stays in here.
 *
 * The library delivers on threads of its own; bus.c hands everything over through one locked queue and an eventfd, so
 * that every callback below runs from bus_dispatch(), on the loop's thread, in the order of arrival. Nothing else in
 * the project needs a lock because of NATS. Times are ms: durations and, in bus_dispatch(), a monotonic clock. */
#ifndef TAI_BUS_BUS_H
#define TAI_BUS_BUS_H

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/base/timer.h"

typedef struct Bus Bus;
typedef struct BusSubscription BusSubscription;

typedef struct {
    const char *url;         /* comma-separated: "nats://127.0.0.1:4222" */
    const char *name;        /* of the connection, as nats-server shows it */
    const char *credentials; /* file with user JWT and seed; "" for none */
    const char *user;        /* "" for none */
    const char *password;
    const char *ca_file;     /* PEM; "" for no TLS beyond what the URL's scheme asks */
    int64_t connect_wait_ms; /* how long bus_open() keeps trying to reach a first server */
} BusOptions;

/* --- messages ------------------------------------------------------------------------------------------------ */

#define BUS_HEADERS_MAX 10
#define BUS_HEADER_VALUE_MAX 1023 /* bytes */
#define BUS_HEADER_MSG_ID "Nats-Msg-Id"
#define BUS_HEADER_EXPECT_LAST "Nats-Expected-Last-Subject-Sequence"
#define BUS_HEADER_TRACE "traceparent"
#define BUS_HEADER_REPLY "Tai-Reply"
#define BUS_HEADER_KEY "Tai-Key" /* the publisher's key that a transaction id is made of */
#define BUS_HEADER_CONTENT_TYPE "Content-Type"

typedef struct {
    const char *name; /* static text */
    Str value;        /* as bus_header_is_sendable() says: another one is a programmer's error */
} BusHeader;

/* Going out; everything is borrowed until the call returns. */
typedef struct {
    Str subject;
    Str body;
    BusHeader headers[BUS_HEADERS_MAX];
    size_t header_count;
} BusMessage;

/* No control characters, at most BUS_HEADER_VALUE_MAX bytes. What others sent need not be so. */
bool bus_header_is_sendable(Str value);
/* Adds a header; an empty value adds nothing. More than BUS_HEADERS_MAX is a programmer's error. */
void bus_message_add(BusMessage *message, const char *name, Str value);
/* The server shall admit this message only as the first of its subject. */
void bus_message_expect_new(BusMessage *message);

/* Come in. Views are valid during the callback; a delivery of a pull is the receiver's until bus_delivery_release(). */
typedef struct {
    Str subject;
    Str reply;
    Str body;
    void *handle; /* natsMsg */
    /* Only for messages from a stream (pull, read, direct get): */
    uint64_t sequence;          /* in the stream */
    int64_t time_ms;            /* Unix time at which the stream stored it */
    uint64_t delivered;         /* 1 for the first delivery; 0 for a direct get */
    uint64_t consumer_sequence; /* counts the consumer's deliveries: a gap is a loss */
    uint64_t pending;           /* messages of the consumer after this one */
} BusDelivery;

Str bus_delivery_header(const BusDelivery *delivery, const char *name); /* empty where there is none */
/* Adds the header that came in under this name, unless it is none that can be sent. */
void bus_message_pass_on(BusMessage *message, const BusDelivery *from, const char *name);
void bus_delivery_release(BusDelivery *delivery);

/* --- connection ---------------------------------------------------------------------------------------------- */

/* Connects, RETRY when no server was reached in connect_wait_ms. From then on reconnects by itself, with jitter. */
MUST_USE Err bus_open(const BusOptions *options, Bus **bus);
/* Flushes what was written (at most two seconds), closes, and drops what is outstanding without calling back. */
void bus_close(Bus *bus);
bool bus_is_connected(const Bus *bus);
/* Connections lost and made again so far. Counted before the first message of the new one is read, which the hooks of
 * bus_on_reconnect() may see only later. */
uint64_t bus_reconnects(const Bus *bus);
/* Called on every reconnect, after subscriptions stand again. */
void bus_on_reconnect(Bus *bus, void (*callback)(void *context), void *context);

int bus_descriptor(const Bus *bus); /* readable when bus_dispatch() has something to do */
int64_t bus_deadline_ms(const Bus *bus);
void bus_dispatch(Bus *bus, int64_t now_ms);

/* --- core NATS ----------------------------------------------------------------------------------------------- */

typedef void BusMessageCallback(void *context, const BusDelivery *message);

/* `queue` may be empty. Never calls back after bus_unsubscribe(). */
MUST_USE Err bus_subscribe(Bus *bus, Str subject, Str queue, BusMessageCallback *callback, void *context,
                           BusSubscription **subscription);
void bus_unsubscribe(BusSubscription *subscription); /* NULL is fine */

/* Fire and forget: may be lost. While disconnected it is kept in a bounded buffer. */
void bus_publish(Bus *bus, const BusMessage *message);

/* Exactly one call back: with an answer, or with RETRY (time-out, nobody listens). */
typedef void BusReplyCallback(void *context, Err err, const BusDelivery *reply);
void bus_request(Bus *bus, const BusMessage *message, int64_t timeout_ms, BusReplyCallback *callback, void *context);

/* --- JetStream ----------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t sequence; /* where it is stored; of the first one for a duplicate */
    bool duplicate;    /* the id was known in the dedup window: stored once, earlier */
    bool exists;       /* refused: its subject has a message already (bus_message_expect_new) */
    bool full;         /* refused: the stream is at its limit and keeps its history */
} BusStored;

/* Publishes to a stream and waits for the PubAck. Exactly one call back. err: UNKNOWN for a time-out (it may be
 * stored: give it an id), RETRY when it certainly is not (nobody answers, not sent, `full`), REJECT for `exists`, for
 * what is larger than the server takes and whatever else it refuses. */
typedef void BusStoredCallback(void *context, Err err, const BusStored *stored);
void bus_store(Bus *bus, const BusMessage *message, int64_t timeout_ms, BusStoredCallback *callback, void *context);

/* The last message of a subject, by direct get. Exactly one call back; no error and reply NULL: there is none. */
void bus_get_last(Bus *bus, Str stream, Str subject, int64_t timeout_ms, BusReplyCallback *callback, void *context);

/* The first message of a subject that has this sequence or a later one, likewise. */
void bus_get_next(Bus *bus, Str stream, Str subject, uint64_t from_sequence, int64_t timeout_ms,
                  BusReplyCallback *callback, void *context);

/* The message at a sequence of a stream, likewise. */
void bus_get(Bus *bus, Str stream, uint64_t sequence, int64_t timeout_ms, BusReplyCallback *callback, void *context);

#endif
