/* pull - overlapping requests to $JS.API.CONSUMER.MSG.NEXT, and acks as plain publications.
 *
 * The server fills requests in the order in which it got them, so an arriving message is counted to the oldest open
 * request. A status message names its request by the reply subject's last token and ends it. A request that nobody
 * ended (its status was lost with a connection) ends by its own deadline. */
#include "shared/bus/pull.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/bus/private.h"

#define PULL_REQUESTS_MAX 8
/* A request to a consumer that is not there is met with silence: this is how long it goes unnoticed. */
#define PULL_EXPIRES_MS 10000
#define PULL_GRACE_MS 2000
#define PULL_RETRY_MS 250
/* A stream's and a consumer's name with what stands before them; a worker may have thousands of lanes. */
#define PULL_API_MAX 192
/* What the server sends after the end of a subscription is lost until the ack wait is over. So a draining pull first
 * takes what it has asked for, which comes at once where there is work, and waits no longer where there is none. */
#define PULL_DRAIN_MS 250

typedef struct {
    uint64_t number; /* 0: free */
    size_t remaining;
    int64_t deadline_ms;
} PullRequest;

struct BusPull {
    Bus *bus;
    char api[PULL_API_MAX];
    char inbox[BUS_INBOX_MAX];
    BusSubscription *subscription;
    BusPullCallback *callback;
    void *context;
    void (*ended)(void *context);
    void (*trouble)(void *context);
    PullRequest requests[PULL_REQUESTS_MAX]; /* oldest first, without holes */
    size_t request_count;
    uint64_t last_number;
    size_t free_hands;
    int64_t quiet_until_ms; /* after an error: no new request before */
    Timer timer;
    ReconnectHook hook;
    bool draining;
    bool unsubscribed;
};

static size_t pull_promised(const BusPull *pull)
{
    size_t promised = 0;
    for (size_t i = 0; i < pull->request_count; i++) {
        promised += pull->requests[i].remaining;
    }
    return promised;
}

static void pull_remove(BusPull *pull, size_t index)
{
    memmove(&pull->requests[index], &pull->requests[index + 1],
            (pull->request_count - index - 1) * sizeof(pull->requests[0]));
    pull->request_count--;
}

static void pull_set_timer(BusPull *pull)
{
    int64_t due_ms = TIMER_NEVER;
    if (pull->request_count > 0) {
        due_ms = pull->requests[0].deadline_ms;
    }
    if (pull->quiet_until_ms > bus_clock_ms() && pull->quiet_until_ms < due_ms) {
        due_ms = pull->quiet_until_ms;
    }
    bool stands = timer_is_set(&pull->timer) && pull->timer.due_ms == due_ms;
    if (due_ms != TIMER_NEVER && !stands) {
        timer_set(&pull->bus->timers, &pull->timer, due_ms);
    }
}

static void pull_request(BusPull *pull, size_t batch)
{
    PullRequest *request = &pull->requests[pull->request_count++];
    *request = (PullRequest){
        .number = ++pull->last_number,
        .remaining = batch,
        .deadline_ms = bus_clock_ms() + PULL_EXPIRES_MS + PULL_GRACE_MS,
    };
    char reply[BUS_INBOX_MAX + 24];
    Buffer reply_text = buffer_over(reply, sizeof(reply));
    buffer_print(&reply_text, "%s.%" PRIu64, pull->inbox, request->number);
    char body[96];
    Buffer body_text = buffer_over(body, sizeof(body));
    buffer_print(&body_text, "{\"batch\":%zu,\"expires\":%" PRId64 "}", batch,
                 (int64_t)PULL_EXPIRES_MS * INT64_C(1000000));
    TAI_ASSERT(!reply_text.overflow && !body_text.overflow);
    Err err = bus_send(pull->bus, &(BusMessage){.subject = str_from(pull->api), .body = buffer_str(&body_text)}, reply);
    if (err_is(err)) {
        pull->request_count--;
        pull->quiet_until_ms = bus_clock_ms() + PULL_RETRY_MS;
    }
}

/* Asks for what the free hands are not promised yet; small remainders wait until they are worth a request, so that a
 * steady flow costs a few requests for hundreds of messages. */
static void pull_ask(BusPull *pull)
{
    if (pull->draining) {
        return;
    }
    if (bus_clock_ms() >= pull->quiet_until_ms) {
        size_t promised = pull_promised(pull);
        size_t open = pull->free_hands > promised ? pull->free_hands - promised : 0;
        bool worth = promised == 0 || open * 4 >= pull->free_hands;
        if (open > 0 && worth && pull->request_count < PULL_REQUESTS_MAX) {
            pull_request(pull, open);
        }
    }
    pull_set_timer(pull);
}

static void pull_ended(void *context);

static void pull_unsubscribe(BusPull *pull)
{
    timer_clear(&pull->bus->timers, &pull->timer);
    pull->unsubscribed = true;
    bus_subscription_drain(pull->subscription, pull_ended);
}

static void pull_ring(void *context)
{
    BusPull *pull = context;
    if (pull->draining) {
        pull_unsubscribe(pull);
        return;
    }
    while (pull->request_count > 0 && pull->requests[0].deadline_ms <= bus_clock_ms()) {
        pull_remove(pull, 0);
    }
    pull_ask(pull);
}

/* 408 ends a request that expired, as planned. Anything else (consumer gone, server shutting down, nobody there) gets
 * a short pause, so that an error does not turn into a storm of requests. */
static void pull_status(BusPull *pull, uint64_t number, int status)
{
    for (size_t i = 0; i < pull->request_count; i++) {
        if (pull->requests[i].number == number) {
            pull_remove(pull, i);
            break;
        }
    }
    if (status != 408) {
        pull->quiet_until_ms = bus_clock_ms() + PULL_RETRY_MS;
    }
    pull_ask(pull);
    if (status != 408 && pull->trouble != NULL) {
        pull->trouble(pull->context);
    }
}

static void pull_message(void *context, BusDelivery *delivery)
{
    BusPull *pull = context;
    int status = bus_delivery_status(delivery);
    if (status != 0) {
        uint64_t number = 0;
        const char *token = strrchr(delivery->subject.data, '.'); /* nats.c ends subjects with NUL */
        bool named = token != NULL && str_to_uint64(str_from(token + 1), &number);
        bus_delivery_release(delivery);
        if (named && status != 100) {
            pull_status(pull, number, status);
        }
        return; /* the pull may be dropped */
    }
    if (pull->request_count > 0 && --pull->requests[0].remaining == 0) {
        pull_remove(pull, 0);
    }
    if (pull->free_hands > 0) {
        pull->free_hands--;
    }
    if (pull->draining && !pull->unsubscribed && pull->request_count == 0) {
        pull_unsubscribe(pull);
    }
    pull->callback(pull->context, delivery);
}

static void pull_ended(void *context)
{
    BusPull *pull = context;
    timer_clear(&pull->bus->timers, &pull->timer);
    bus_hook_remove(&pull->hook);
    pull->ended(pull->context);
    free(pull);
}

void bus_pull_on_trouble(BusPull *pull, void (*trouble)(void *context))
{
    pull->trouble = trouble;
}

void bus_pull_drop(BusPull *pull)
{
    if (pull == NULL) {
        return;
    }
    timer_clear(&pull->bus->timers, &pull->timer);
    bus_hook_remove(&pull->hook);
    bus_unsubscribe(pull->subscription);
    free(pull);
}

/* The bus closes; timers go with it. */
static void pull_dropped(void *context)
{
    BusPull *pull = context;
    bus_hook_remove(&pull->hook);
    free(pull);
}

/* The server forgets requests with the connection. */
static void pull_reconnected(void *context)
{
    BusPull *pull = context;
    pull->request_count = 0;
    pull->quiet_until_ms = 0;
    pull_ask(pull);
}

Err bus_pull_open(Bus *bus, Str stream, Str consumer, BusPullCallback *callback, void *context, BusPull **out)
{
    BusPull *pull = calloc(1, sizeof(*pull));
    TAI_ASSERT(pull != NULL);
    pull->bus = bus;
    pull->callback = callback;
    pull->context = context;
    pull->timer = timer_make(pull_ring, pull);
    Buffer api = buffer_over(pull->api, sizeof(pull->api));
    buffer_print(&api, "$JS.API.CONSUMER.MSG.NEXT." STR_FMT "." STR_FMT, STR_ARG(stream), STR_ARG(consumer));
    TAI_ASSERT(!api.overflow);
    natsInbox *inbox = NULL;
    Err err = bus_error(natsInbox_Create(&inbox), "inbox");
    if (!err_is(err)) {
        bus_text(str_from(inbox), pull->inbox, sizeof(pull->inbox));
        natsInbox_Destroy(inbox);
        char subject[BUS_INBOX_MAX + 4];
        Buffer text = buffer_over(subject, sizeof(subject));
        buffer_print(&text, "%s.*", pull->inbox);
        err = bus_subscribe(bus, buffer_str(&text), (Str){0}, NULL, pull, &pull->subscription);
    }
    if (err_is(err)) {
        free(pull);
        return err;
    }
    pull->subscription->takes = pull_message;
    pull->subscription->dropped = pull_dropped;
    bus_hook_add(bus, &pull->hook, pull_reconnected, pull);
    *out = pull;
    return err_none();
}

void bus_pull_want(BusPull *pull, size_t free_hands)
{
    pull->free_hands = free_hands;
    pull_ask(pull);
}

void bus_pull_drain(BusPull *pull, void (*ended)(void *context))
{
    pull->draining = true;
    pull->ended = ended;
    if (pull->request_count == 0 || !bus_is_connected(pull->bus)) {
        pull_unsubscribe(pull);
    } else {
        timer_set(&pull->bus->timers, &pull->timer, bus_clock_ms() + PULL_DRAIN_MS);
    }
}

static void ack_send(Bus *bus, const BusDelivery *delivery, const char *text)
{
    char reply[BUS_SUBJECT_MAX];
    bus_text(delivery->reply, reply, sizeof(reply));
    /* A lost ack is a redelivery, which every handler stands. */
    natsStatus status = natsConnection_PublishString(bus->connection, reply, text);
    (void)status;
}

void bus_ack(Bus *bus, const BusDelivery *delivery)
{
    ack_send(bus, delivery, "+ACK");
}

void bus_nak(Bus *bus, const BusDelivery *delivery, int64_t delay_ms)
{
    char text[64];
    Buffer buffer = buffer_over(text, sizeof(text));
    buffer_print(&buffer, "-NAK {\"delay\":%" PRId64 "}", (delay_ms < 1 ? 1 : delay_ms) * INT64_C(1000000));
    ack_send(bus, delivery, text);
}

void bus_progress(Bus *bus, const BusDelivery *delivery)
{
    ack_send(bus, delivery, "+WPI");
}

void bus_terminate(Bus *bus, const BusDelivery *delivery)
{
    ack_send(bus, delivery, "+TERM");
}
