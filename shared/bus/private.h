/* bus/private - what the files of bus share among themselves. */
#ifndef TAI_BUS_PRIVATE_H
#define TAI_BUS_PRIVATE_H

#include <nats/nats.h>

#include "shared/bus/bus.h"

#define BUS_SUBJECT_MAX 512
#define BUS_INBOX_MAX 48
/* How long a request to the JetStream API may take before it is given up. */
#define BUS_API_TIMEOUT_MS 5000

/* --- handover: from the library's threads to the loop (handover.c, the only file with a lock) -------------------- */

typedef enum { HANDOVER_MESSAGE, HANDOVER_SUBSCRIPTION_ENDED, HANDOVER_RECONNECTED } HandoverKind;

typedef struct {
    HandoverKind kind;
    BusSubscription *subscription;
    natsMsg *message;
} HandoverEntry;

typedef struct {
    HandoverEntry *entries;
    size_t count;
    size_t capacity;
} HandoverBatch;

typedef struct Handover Handover;

Handover *handover_open(void);
void handover_close(Handover *handover); /* destroys messages that nobody took */
int handover_descriptor(const Handover *handover);
void handover_put(Handover *handover, HandoverEntry entry); /* any thread */
/* Everything that has arrived since the last call, in order; `batch` is used again from call to call. */
void handover_take(Handover *handover, HandoverBatch *batch);

/* --- the connection ------------------------------------------------------------------------------------------- */

struct BusSubscription {
    Bus *bus;
    natsSubscription *handle;
    BusMessageCallback *callback;
    void (*takes)(void *context, BusDelivery *delivery); /* instead of callback: the delivery becomes the receiver's */
    void (*ended)(void *context); /* told when the last message of a draining subscription was delivered; may be NULL */
    void (*dropped)(void *context); /* told when bus_close() ends it; may be NULL */
    void *context;
    bool closed; /* nobody listens any more; lives on until the library has ended it */
    BusSubscription *next;
    BusSubscription *previous;
};

typedef struct PendingRequest PendingRequest;

/* Who hears of a reconnect: lives in the structure that it belongs to, in a ring that begins and ends at the bus. */
typedef struct ReconnectHook ReconnectHook;
struct ReconnectHook {
    ReconnectHook *next; /* NULL: in no ring */
    ReconnectHook *previous;
    void (*callback)(void *context);
    void *context;
    bool owned; /* by the bus, which frees it */
};

struct Bus {
    natsConnection *connection;
    Handover *handover;
    HandoverBatch batch;
    TimerHeap timers;
    BusSubscription *subscriptions; /* all that the library has not ended yet */
    ReconnectHook hooks;            /* of the ring; itself none */

    /* request.c */
    char inbox[BUS_INBOX_MAX]; /* "_INBOX.<unique>" */
    BusSubscription *replies;
    PendingRequest **requests;
    size_t request_count;
    PendingRequest *free_requests;
    bool closing;
};

/* As bus_on_reconnect(), until it is taken out. */
void bus_hook_add(Bus *bus, ReconnectHook *hook, void (*callback)(void *context), void *context);
void bus_hook_remove(ReconnectHook *hook); /* harmless when it is in no ring */

/* bus_request(), and `dropped` where bus_close() comes before the answer. */
void bus_request_or_drop(Bus *bus, const BusMessage *message, int64_t timeout_ms, BusReplyCallback *callback,
                         void (*dropped)(void *context), void *context);

Err bus_requests_open(Bus *bus);
void bus_requests_close(Bus *bus);

/* Ends a subscription softly: what the server sent already still arrives, then `ended` is called. */
void bus_subscription_drain(BusSubscription *subscription, void (*ended)(void *context));

struct BusPull;
/* For read.c: `trouble` is told of every status that is not a planned end, and by then the pull may be dropped. */
void bus_pull_on_trouble(struct BusPull *pull, void (*trouble)(void *context));

/* --- messages (message.c) -------------------------------------------------------------------------------------- */

/* Views into the library's message, with the stream's facts when the reply subject holds them. */
BusDelivery bus_delivery_from(natsMsg *message);
/* The same for an answer to a direct get, whose facts are headers. */
BusDelivery bus_delivery_from_direct(natsMsg *message);
/* The status of a reply without a body ("404", "408", "503"), 0 for an ordinary message. */
int bus_delivery_status(const BusDelivery *delivery);

/* Publishes; `reply` may be NULL. */
Err bus_send(Bus *bus, const BusMessage *message, const char *reply);
/* A subject (or any text the library wants with a closing NUL); too long is a programmer's error. */
void bus_text(Str text, char *out, size_t capacity_bytes);

/* Monotonic ms, read anew: a request may be made long after the last dispatch. */
int64_t bus_clock_ms(void);

Err bus_error(natsStatus status, const char *doing);

#endif
