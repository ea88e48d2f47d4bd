/* blacklist - an open-addressing hash set, loaded from the last message of each subject and changed live.
 *
 * Live changes come by a plain subscription, which keeps their order with signals; a load may bring an older state of
 * a customer after a live change. So every entry knows in which load it was last touched live, and a load leaves alone
 * what was touched during it. Taken-off customers stay as entries that are not listed. */
#include "workers/policy/blacklist.h"

#include <stdlib.h>
#include <string.h>

#include "shared/bus/read.h"
#include "shared/wire/payment.h"

#define BLACKLIST_SUBJECTS "tai.payment.blacklist.>"
#define BLACKLIST_FIRST_CAPACITY 1024
#define BLACKLIST_AGAIN_MS 500

typedef struct {
    char *customer_id; /* NULL: free */
    uint64_t touched;  /* number of the load during which a live change came */
    bool listed;
} Entry;

struct Blacklist {
    Worker *worker;
    BusSubscription *changes;
    BusRead *read;
    Timer again; /* after a load that failed */
    Arena arena; /* for decoding; reset after each message */
    Entry *entries;
    size_t capacity; /* a power of two */
    size_t count;
    uint64_t load;
    bool loaded;
};

static uint64_t hash_id(Str id)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < id.length; i++) {
        hash = (hash ^ (unsigned char)id.data[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static Entry *entry_find(Entry *entries, size_t capacity, Str id)
{
    size_t place = (size_t)hash_id(id) & (capacity - 1);
    while (entries[place].customer_id != NULL && !str_equal(str_from(entries[place].customer_id), id)) {
        place = (place + 1) & (capacity - 1);
    }
    return &entries[place];
}

static void blacklist_grow(Blacklist *blacklist)
{
    size_t capacity = blacklist->capacity * 2;
    Entry *entries = calloc(capacity, sizeof(*entries));
    TAI_ASSERT(entries != NULL);
    for (size_t i = 0; i < blacklist->capacity; i++) {
        if (blacklist->entries[i].customer_id != NULL) {
            *entry_find(entries, capacity, str_from(blacklist->entries[i].customer_id)) = blacklist->entries[i];
        }
    }
    free(blacklist->entries);
    blacklist->entries = entries;
    blacklist->capacity = capacity;
}

static Entry *blacklist_entry(Blacklist *blacklist, Str id)
{
    if (blacklist->count * 2 >= blacklist->capacity) {
        blacklist_grow(blacklist);
    }
    Entry *entry = entry_find(blacklist->entries, blacklist->capacity, id);
    if (entry->customer_id == NULL) {
        entry->customer_id = strndup(id.data, id.length);
        TAI_ASSERT(entry->customer_id != NULL);
        blacklist->count++;
    }
    return entry;
}

static bool blacklist_decode(Blacklist *blacklist, Str body, PaymentBlacklistChange *change)
{
    arena_reset(&blacklist->arena);
    Err err = wire_decode_payment_blacklist(&blacklist->arena, body, change);
    if (err_is(err)) {
        log_event(worker_log(blacklist->worker), LOG_WARN, "blacklist_change_ignored", LOG_FIELDS(log_why(&err)));
    }
    return !err_is(err);
}

static void blacklist_changed(void *context, const BusDelivery *message)
{
    Blacklist *blacklist = context;
    PaymentBlacklistChange change;
    if (blacklist_decode(blacklist, message->body, &change)) {
        Entry *entry = blacklist_entry(blacklist, change.customer_id);
        entry->listed = change.listed;
        entry->touched = blacklist->load;
    }
}

static void blacklist_read(void *context, Err err, const BusDelivery *message)
{
    Blacklist *blacklist = context;
    PaymentBlacklistChange change;
    if (message == NULL) {
        blacklist->loaded = blacklist->loaded || !err_is(err);
        bus_read_close(blacklist->read);
        blacklist->read = NULL;
        if (err_is(err)) {
            log_event(worker_log(blacklist->worker), LOG_WARN, "blacklist_not_read", LOG_FIELDS(log_why(&err)));
            loop_timer_set(worker_loop(blacklist->worker), &blacklist->again, BLACKLIST_AGAIN_MS);
        }
        return;
    }
    if (blacklist_decode(blacklist, message->body, &change)) {
        Entry *entry = blacklist_entry(blacklist, change.customer_id);
        if (entry->touched != blacklist->load) {
            entry->listed = change.listed;
        }
    }
}

/* At the start, and after a lost connection, during which changes may have been missed. */
static void blacklist_load(void *context)
{
    Blacklist *blacklist = context;
    bus_read_close(blacklist->read);
    blacklist->read = NULL;
    loop_timer_clear(worker_loop(blacklist->worker), &blacklist->again);
    blacklist->load++;
    Err err = bus_read_open(worker_bus(blacklist->worker),
                            &(BusReadOptions){
                                .stream = STR("PAYMENT"),
                                .filter = STR(BLACKLIST_SUBJECTS),
                                .last_per_subject = true,
                            },
                            blacklist_read, blacklist, &blacklist->read);
    if (err_is(err)) {
        log_event(worker_log(blacklist->worker), LOG_ERROR, "blacklist_not_read", LOG_FIELDS(log_why(&err)));
        loop_timer_set(worker_loop(blacklist->worker), &blacklist->again, BLACKLIST_AGAIN_MS);
    }
}

Err blacklist_open(Worker *worker, Blacklist **out)
{
    Blacklist *blacklist = calloc(1, sizeof(*blacklist));
    TAI_ASSERT(blacklist != NULL);
    blacklist->worker = worker;
    blacklist->arena = arena_make(1024, 64 * 1024);
    blacklist->again = timer_make(blacklist_load, blacklist);
    blacklist->capacity = BLACKLIST_FIRST_CAPACITY;
    blacklist->entries = calloc(blacklist->capacity, sizeof(*blacklist->entries));
    TAI_ASSERT(blacklist->entries != NULL);
    *out = blacklist;
    Err err = bus_subscribe(worker_bus(worker), STR(BLACKLIST_SUBJECTS), (Str){0}, blacklist_changed, blacklist,
                            &blacklist->changes);
    if (!err_is(err)) {
        bus_on_reconnect(worker_bus(worker), blacklist_load, blacklist);
        blacklist_load(blacklist);
    }
    return err;
}

void blacklist_close(Blacklist *blacklist)
{
    if (blacklist == NULL) {
        return;
    }
    bus_read_close(blacklist->read);
    bus_unsubscribe(blacklist->changes);
    loop_timer_clear(worker_loop(blacklist->worker), &blacklist->again);
    for (size_t i = 0; i < blacklist->capacity; i++) {
        free(blacklist->entries[i].customer_id);
    }
    free(blacklist->entries);
    arena_release(&blacklist->arena);
    free(blacklist);
}

bool blacklist_is_loaded(const Blacklist *blacklist)
{
    return blacklist->loaded;
}

bool blacklist_holds(const Blacklist *blacklist, Str customer_id)
{
    const Entry *entry = entry_find(blacklist->entries, blacklist->capacity, customer_id);
    return entry->customer_id != NULL && entry->listed;
}
