/* bus - connection, subscriptions and the dispatch of what came in. */
#include "shared/bus/bus.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/bus/private.h"

#define BUS_SERVERS_MAX 16
#define BUS_FLUSH_MS 2000
#define BUS_DRAIN_MS 5000
#define BUS_RECONNECT_WAIT_MS 200
#define BUS_RECONNECT_JITTER_MS 300
#define BUS_PING_MS 20000

int64_t bus_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void bus_reconnected(natsConnection *connection, void *closure)
{
    (void)connection;
    handover_put(closure, (HandoverEntry){.kind = HANDOVER_RECONNECTED});
}

/* The library prints asynchronous errors to stderr unless somebody takes them. What they mean for us (slow consumer,
 * a lost connection) shows up as time-outs and gaps, which have owners. */
static void bus_async_error(natsConnection *connection, natsSubscription *subscription, natsStatus status,
                            void *closure)
{
    (void)connection;
    (void)subscription;
    (void)status;
    (void)closure;
}

static natsStatus options_set_servers(natsOptions *options, const char *urls)
{
    char copy[1024];
    if (!str_copy_to(str_from(urls), copy, sizeof(copy))) {
        return NATS_INVALID_ARG;
    }
    const char *servers[BUS_SERVERS_MAX];
    int count = 0;
    char *rest = NULL;
    for (char *url = strtok_r(copy, ", ", &rest); url != NULL; url = strtok_r(NULL, ", ", &rest)) {
        if (count == BUS_SERVERS_MAX) {
            return NATS_INVALID_ARG;
        }
        servers[count++] = url;
    }
    return natsOptions_SetServers(options, servers, count);
}

static natsStatus options_set_security(natsOptions *options, const BusOptions *wanted)
{
    natsStatus status = NATS_OK;
    if (wanted->credentials != NULL && wanted->credentials[0] != '\0') {
        status = natsOptions_SetUserCredentialsFromFiles(options, wanted->credentials, NULL);
    }
    if (status == NATS_OK && wanted->user != NULL && wanted->user[0] != '\0') {
        status = natsOptions_SetUserInfo(options, wanted->user, wanted->password);
    }
    if (status == NATS_OK && wanted->ca_file != NULL && wanted->ca_file[0] != '\0') {
        status = natsOptions_LoadCATrustedCertificates(options, wanted->ca_file);
        if (status == NATS_OK) {
            status = natsOptions_SetSecure(options, true);
        }
    }
    return status;
}

static natsStatus options_make(Bus *bus, const BusOptions *wanted, natsOptions **options)
{
    natsStatus status = natsOptions_Create(options);
    if (status != NATS_OK) {
        return status;
    }
    const natsStatus steps[] = {
        options_set_servers(*options, wanted->url),
        options_set_security(*options, wanted),
        natsOptions_SetName(*options, wanted->name),
        natsOptions_SetMaxReconnect(*options, -1),
        natsOptions_SetReconnectWait(*options, BUS_RECONNECT_WAIT_MS),
        natsOptions_SetReconnectJitter(*options, BUS_RECONNECT_JITTER_MS, BUS_RECONNECT_JITTER_MS),
        natsOptions_SetPingInterval(*options, BUS_PING_MS),
        /* One delivery thread for all subscriptions keeps messages in the order in which the server sent them, across
         * subscriptions: a blacklist entry is seen before the payment that was published after it. */
        natsOptions_UseGlobalMessageDelivery(*options, true),
        natsOptions_SetReconnectedCB(*options, bus_reconnected, bus->handover),
        natsOptions_SetErrorHandler(*options, bus_async_error, NULL),
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i] != NATS_OK) {
            return steps[i];
        }
    }
    return NATS_OK;
}

static natsStatus bus_connect(Bus *bus, natsOptions *options, int64_t wait_ms)
{
    int64_t deadline_ms = bus_clock_ms() + wait_ms;
    for (;;) {
        natsStatus status = natsConnection_Connect(&bus->connection, options);
        if (status == NATS_OK || status == NATS_INVALID_ARG || status == NATS_CONNECTION_AUTH_FAILED ||
            bus_clock_ms() >= deadline_ms) {
            return status;
        }
        poll(NULL, 0, BUS_RECONNECT_WAIT_MS);
    }
}

Err bus_open(const BusOptions *wanted, Bus **out)
{
    Bus *bus = calloc(1, sizeof(*bus));
    TAI_ASSERT(bus != NULL);
    bus->handover = handover_open();
    bus->hooks.next = &bus->hooks;
    bus->hooks.previous = &bus->hooks;
    natsOptions *options = NULL;
    natsStatus status = options_make(bus, wanted, &options);
    if (status == NATS_OK) {
        status = bus_connect(bus, options, wanted->connect_wait_ms);
    }
    natsOptions_Destroy(options);
    Err err = bus_error(status, "connect"); /* without the URL, which may hold a password */
    if (!err_is(err)) {
        err = bus_requests_open(bus);
    }
    if (err_is(err)) {
        bus_close(bus);
        return err;
    }
    *out = bus;
    return err_none();
}

static void hook_put(ReconnectHook *ring, ReconnectHook *hook)
{
    hook->next = ring;
    hook->previous = ring->previous;
    ring->previous->next = hook;
    ring->previous = hook;
}

void bus_hook_add(Bus *bus, ReconnectHook *hook, void (*callback)(void *context), void *context)
{
    *hook = (ReconnectHook){.callback = callback, .context = context};
    hook_put(&bus->hooks, hook);
}

void bus_hook_remove(ReconnectHook *hook)
{
    if (hook->next != NULL) {
        hook->next->previous = hook->previous;
        hook->previous->next = hook->next;
        hook->next = NULL;
    }
}

void bus_on_reconnect(Bus *bus, void (*callback)(void *context), void *context)
{
    ReconnectHook *hook = malloc(sizeof(*hook));
    TAI_ASSERT(hook != NULL);
    bus_hook_add(bus, hook, callback, context);
    hook->owned = true;
}

static void hooks_free(ReconnectHook *ring)
{
    ReconnectHook *hook = ring->next;
    while (hook != ring) {
        ReconnectHook *next = hook->next;
        hook->next = NULL; /* its owner may remove it later */
        if (hook->owned) {
            free(hook);
        }
        hook = next;
    }
    ring->next = ring;
    ring->previous = ring;
}

/* The library ends subscriptions on its own thread, which still uses our structures until it says so. */
static void bus_wait_for_subscriptions(Bus *bus)
{
    int64_t deadline_ms = bus_clock_ms() + BUS_FLUSH_MS;
    while (bus->subscriptions != NULL && bus_clock_ms() < deadline_ms) {
        struct pollfd waiting = {.fd = handover_descriptor(bus->handover), .events = POLLIN};
        poll(&waiting, 1, 50);
        bus_dispatch(bus, bus_clock_ms());
    }
}

void bus_close(Bus *bus)
{
    if (bus == NULL) {
        return;
    }
    bus->closing = true;
    if (bus->connection != NULL) {
        natsConnection_FlushTimeout(bus->connection, BUS_FLUSH_MS);
    }
    for (BusSubscription *subscription = bus->subscriptions; subscription != NULL; subscription = subscription->next) {
        if (!subscription->closed) {
            bus_unsubscribe(subscription);
            if (subscription->dropped != NULL) {
                subscription->dropped(subscription->context);
            }
        }
    }
    bus_wait_for_subscriptions(bus);
    natsConnection_Destroy(bus->connection);
    bus_requests_close(bus);
    timer_release(&bus->timers);
    handover_close(bus->handover);
    hooks_free(&bus->hooks);
    free(bus->batch.entries);
    free(bus);
}

bool bus_is_connected(const Bus *bus)
{
    return natsConnection_Status(bus->connection) == NATS_CONN_STATUS_CONNECTED;
}

uint64_t bus_reconnects(const Bus *bus)
{
    natsStatistics *statistics = NULL;
    uint64_t reconnects = 0;
    bool told = natsStatistics_Create(&statistics) == NATS_OK &&
                natsConnection_GetStats(bus->connection, statistics) == NATS_OK &&
                natsStatistics_GetCounts(statistics, NULL, NULL, NULL, NULL, &reconnects) == NATS_OK;
    natsStatistics_Destroy(statistics);
    TAI_ASSERT(told); /* only memory can be missing */
    return reconnects;
}

int bus_descriptor(const Bus *bus)
{
    return handover_descriptor(bus->handover);
}

int64_t bus_deadline_ms(const Bus *bus)
{
    return timer_next_ms(&bus->timers);
}

static void subscription_remove(BusSubscription *subscription)
{
    Bus *bus = subscription->bus;
    if (subscription->previous != NULL) {
        subscription->previous->next = subscription->next;
    } else {
        bus->subscriptions = subscription->next;
    }
    if (subscription->next != NULL) {
        subscription->next->previous = subscription->previous;
    }
    if (!subscription->closed) {
        natsSubscription_Destroy(subscription->handle);
        if (subscription->ended != NULL && !bus->closing) {
            subscription->ended(subscription->context);
        }
    }
    free(subscription);
}

static void bus_dispatch_message(HandoverEntry *entry)
{
    BusSubscription *subscription = entry->subscription;
    if (subscription->closed || subscription->bus->closing) {
        natsMsg_Destroy(entry->message);
        return;
    }
    BusDelivery delivery = bus_delivery_from(entry->message);
    if (subscription->takes != NULL) {
        subscription->takes(subscription->context, &delivery);
    } else {
        subscription->callback(subscription->context, &delivery);
        bus_delivery_release(&delivery);
    }
}

/* A hook may take itself or another one out, or add one: each of the beginning that is still there is called once. */
static void bus_run_hooks(Bus *bus)
{
    ReconnectHook todo = bus->hooks;
    if (todo.next == &bus->hooks) {
        return;
    }
    todo.next->previous = &todo;
    todo.previous->next = &todo;
    bus->hooks.next = &bus->hooks;
    bus->hooks.previous = &bus->hooks;
    while (todo.next != &todo) {
        ReconnectHook *hook = todo.next;
        bus_hook_remove(hook);
        hook_put(&bus->hooks, hook);
        if (!bus->closing) {
            hook->callback(hook->context);
        }
    }
}

void bus_dispatch(Bus *bus, int64_t now_ms)
{
    handover_take(bus->handover, &bus->batch);
    for (size_t i = 0; i < bus->batch.count; i++) {
        HandoverEntry *entry = &bus->batch.entries[i];
        switch (entry->kind) {
        case HANDOVER_MESSAGE:
            bus_dispatch_message(entry);
            break;
        case HANDOVER_SUBSCRIPTION_ENDED:
            subscription_remove(entry->subscription);
            break;
        case HANDOVER_RECONNECTED:
            bus_run_hooks(bus);
            break;
        }
    }
    if (!bus->closing) {
        timer_run(&bus->timers, now_ms);
    }
}

static void subscription_message(natsConnection *connection, natsSubscription *handle, natsMsg *message, void *closure)
{
    (void)connection;
    (void)handle;
    BusSubscription *subscription = closure;
    handover_put(subscription->bus->handover, (HandoverEntry){HANDOVER_MESSAGE, subscription, message});
}

static void subscription_complete(void *closure)
{
    BusSubscription *subscription = closure;
    handover_put(subscription->bus->handover, (HandoverEntry){HANDOVER_SUBSCRIPTION_ENDED, subscription, NULL});
}

Err bus_subscribe(Bus *bus, Str subject, Str queue, BusMessageCallback *callback, void *context, BusSubscription **out)
{
    char subject_text[BUS_SUBJECT_MAX];
    char queue_text[BUS_SUBJECT_MAX];
    bus_text(subject, subject_text, sizeof(subject_text));
    bus_text(queue, queue_text, sizeof(queue_text));
    BusSubscription *subscription = calloc(1, sizeof(*subscription));
    TAI_ASSERT(subscription != NULL);
    *subscription = (BusSubscription){.bus = bus, .callback = callback, .context = context};
    natsStatus status = queue.length == 0
                            ? natsConnection_Subscribe(&subscription->handle, bus->connection, subject_text,
                                                       subscription_message, subscription)
                            : natsConnection_QueueSubscribe(&subscription->handle, bus->connection, subject_text,
                                                            queue_text, subscription_message, subscription);
    if (status != NATS_OK) {
        free(subscription);
        return bus_error(status, "subscribe");
    }
    natsSubscription_SetPendingLimits(subscription->handle, -1, -1);
    natsSubscription_SetOnCompleteCB(subscription->handle, subscription_complete, subscription);
    subscription->next = bus->subscriptions;
    if (bus->subscriptions != NULL) {
        bus->subscriptions->previous = subscription;
    }
    bus->subscriptions = subscription;
    *out = subscription;
    return err_none();
}

void bus_unsubscribe(BusSubscription *subscription)
{
    if (subscription == NULL || subscription->closed) {
        return;
    }
    subscription->closed = true;
    natsSubscription_Destroy(subscription->handle);
}

void bus_subscription_drain(BusSubscription *subscription, void (*ended)(void *context))
{
    subscription->ended = ended;
    /* Without a connection nothing is on its way, and the library would wait for one. */
    natsStatus status =
        natsSubscription_DrainTimeout(subscription->handle, bus_is_connected(subscription->bus) ? BUS_DRAIN_MS : 1);
    if (status != NATS_OK) {
        natsSubscription_Unsubscribe(subscription->handle);
    }
}

void bus_publish(Bus *bus, const BusMessage *message)
{
    Err err = bus_send(bus, message, NULL);
    (void)err; /* at most once by contract: a full buffer while disconnected is a loss like any other */
}
