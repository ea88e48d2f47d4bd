/* regions - a hash table by region and service, loaded from the last message of each subject and changed live.
 *
 * Live changes come by a plain subscription, which keeps their order with signals; a load may bring an older state of
 * a service after a live change. So every entry knows in which load it was last touched live, and a load leaves alone
 * what was touched during it. */
#include "workers/policy/regions.h"

#include <stdlib.h>
#include <string.h>

#include "shared/bus/read.h"
#include "shared/wire/deployment.h"

#define REGIONS_SUBJECTS "tai.deployment.running.>"
#define REGIONS_AGAIN_MS 500
#define REGIONS_BUCKETS 4096 /* entries are as few as services and regions: lists stay short */

typedef struct Region Region;
struct Region {
    Region *next; /* in its bucket */
    char *name;
    int32_t services; /* that run there */
};

typedef struct Entry Entry;
struct Entry {
    Entry *next; /* in its bucket */
    char *place; /* "<region>.<service>" */
    Region *region;
    char version[DEPLOYMENT_VERSION_MAX + 1]; /* empty: nothing runs any more */
    char digest[DEPLOYMENT_VERSION_MAX + 1];
    uint64_t touched; /* number of the load during which a live change came */
};

struct Regions {
    Worker *worker;
    BusSubscription *changes;
    BusRead *read;
    Timer again; /* after a load that failed */
    Arena arena; /* for decoding; reset after each message */
    Entry *buckets[REGIONS_BUCKETS];
    Region *names[REGIONS_BUCKETS];
    uint64_t load;
    bool loaded;
};

static size_t bucket_of(Str region, Str service)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    const Str parts[] = {region, STR("."), service};
    for (size_t part = 0; part < 3; part++) {
        for (size_t i = 0; i < parts[part].length; i++) {
            hash = (hash ^ (unsigned char)parts[part].data[i]) * UINT64_C(1099511628211);
        }
    }
    return (size_t)(hash % REGIONS_BUCKETS);
}

static bool entry_is(const Entry *entry, Str region, Str service)
{
    Str place = str_from(entry->place);
    return place.length == region.length + 1 + service.length && str_starts_with(place, region) &&
           place.data[region.length] == '.' && str_equal(str_slice(place, region.length + 1, place.length), service);
}

static Entry *entry_find(const Regions *regions, Str region, Str service)
{
    Entry *entry = regions->buckets[bucket_of(region, service)];
    while (entry != NULL && !entry_is(entry, region, service)) {
        entry = entry->next;
    }
    return entry;
}

static Region *region_find(const Regions *regions, Str name)
{
    Region *region = regions->names[str_hash(name) % REGIONS_BUCKETS];
    while (region != NULL && !str_equal(str_from(region->name), name)) {
        region = region->next;
    }
    return region;
}

static Region *region_take(Regions *regions, Str name)
{
    Region *region = region_find(regions, name);
    if (region != NULL) {
        return region;
    }
    region = calloc(1, sizeof(*region));
    TAI_ASSERT(region != NULL);
    region->name = strndup(name.data, name.length);
    TAI_ASSERT(region->name != NULL);
    Region **bucket = &regions->names[str_hash(name) % REGIONS_BUCKETS];
    region->next = *bucket;
    *bucket = region;
    return region;
}

static Entry *entry_take(Regions *regions, Str region, Str service)
{
    Entry *entry = entry_find(regions, region, service);
    if (entry != NULL) {
        return entry;
    }
    entry = calloc(1, sizeof(*entry));
    TAI_ASSERT(entry != NULL);
    entry->place = strndup(arena_print(&regions->arena, STR_FMT "." STR_FMT, STR_ARG(region), STR_ARG(service)).data,
                           region.length + 1 + service.length);
    TAI_ASSERT(entry->place != NULL);
    entry->region = region_take(regions, region);
    Entry **bucket = &regions->buckets[bucket_of(region, service)];
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

static void entry_change(Regions *regions, Entry *entry, const DeploymentRunning *running)
{
    int32_t ran = entry->version[0] != '\0' ? 1 : 0;
    bool fits = str_copy_to(running->version, entry->version, sizeof(entry->version));
    if (!str_copy_to(running->digest, entry->digest, sizeof(entry->digest)) || !fits) {
        log_event(worker_log(regions->worker), LOG_WARN, "running_too_long",
                  LOG_FIELDS(log_text("place", str_from(entry->place))));
    }
    entry->region->services += (entry->version[0] != '\0' ? 1 : 0) - ran;
}

static bool regions_decode(Regions *regions, const BusDelivery *message, DeploymentRunning *running)
{
    arena_reset(&regions->arena);
    Err err = wire_decode_deployment_running(&regions->arena, message->body, running);
    if (err_is(err)) {
        log_event(worker_log(regions->worker), LOG_WARN, "running_ignored", LOG_FIELDS(log_why(&err)));
    }
    return !err_is(err);
}

static void regions_changed(void *context, const BusDelivery *message)
{
    Regions *regions = context;
    DeploymentRunning running;
    if (regions_decode(regions, message, &running)) {
        Entry *entry = entry_take(regions, running.region, running.service);
        entry_change(regions, entry, &running);
        entry->touched = regions->load;
    }
}

static void regions_read(void *context, Err err, const BusDelivery *message)
{
    Regions *regions = context;
    DeploymentRunning running;
    if (message == NULL) {
        regions->loaded = regions->loaded || !err_is(err);
        bus_read_close(regions->read);
        regions->read = NULL;
        if (err_is(err)) {
            log_event(worker_log(regions->worker), LOG_WARN, "regions_not_read", LOG_FIELDS(log_why(&err)));
            loop_timer_set(worker_loop(regions->worker), &regions->again, REGIONS_AGAIN_MS);
        }
        return;
    }
    if (regions_decode(regions, message, &running)) {
        Entry *entry = entry_take(regions, running.region, running.service);
        if (entry->touched != regions->load) {
            entry_change(regions, entry, &running);
        }
    }
}

/* At the start, and after a lost connection, during which changes may have been missed. */
static void regions_load(void *context)
{
    Regions *regions = context;
    bus_read_close(regions->read);
    regions->read = NULL;
    loop_timer_clear(worker_loop(regions->worker), &regions->again);
    regions->load++;
    Err err = bus_read_open(worker_bus(regions->worker),
                            &(BusReadOptions){
                                .stream = STR("DEPLOYMENT"),
                                .filter = STR(REGIONS_SUBJECTS),
                                .last_per_subject = true,
                            },
                            regions_read, regions, &regions->read);
    if (err_is(err)) {
        log_event(worker_log(regions->worker), LOG_ERROR, "regions_not_read", LOG_FIELDS(log_why(&err)));
        loop_timer_set(worker_loop(regions->worker), &regions->again, REGIONS_AGAIN_MS);
    }
}

Err regions_open(Worker *worker, Regions **out)
{
    Regions *regions = calloc(1, sizeof(*regions));
    TAI_ASSERT(regions != NULL);
    regions->worker = worker;
    regions->arena = arena_make(4096, 1024 * 1024);
    regions->again = timer_make(regions_load, regions);
    *out = regions;
    Err err =
        bus_subscribe(worker_bus(worker), STR(REGIONS_SUBJECTS), (Str){0}, regions_changed, regions, &regions->changes);
    if (!err_is(err)) {
        bus_on_reconnect(worker_bus(worker), regions_load, regions);
        regions_load(regions);
    }
    return err;
}

static void names_free(Region *region)
{
    while (region != NULL) {
        Region *next = region->next;
        free(region->name);
        free(region);
        region = next;
    }
}

static void entries_free(Entry *entry)
{
    while (entry != NULL) {
        Entry *next = entry->next;
        free(entry->place);
        free(entry);
        entry = next;
    }
}

void regions_close(Regions *regions)
{
    if (regions == NULL) {
        return;
    }
    bus_read_close(regions->read);
    bus_unsubscribe(regions->changes);
    loop_timer_clear(worker_loop(regions->worker), &regions->again);
    for (size_t i = 0; i < REGIONS_BUCKETS; i++) {
        entries_free(regions->buckets[i]);
        names_free(regions->names[i]);
    }
    arena_release(&regions->arena);
    free(regions);
}

bool regions_are_loaded(const Regions *regions)
{
    return regions->loaded;
}

RegionState regions_look(const Regions *regions, Str region, Str service)
{
    const Region *place = region_find(regions, region);
    RegionState state = {.services = place == NULL ? 0 : place->services};
    const Entry *entry = entry_find(regions, region, service);
    if (entry != NULL && entry->version[0] != '\0') {
        state.services--;
        state.version = str_from(entry->version);
        state.digest = str_from(entry->digest);
    }
    return state;
}
