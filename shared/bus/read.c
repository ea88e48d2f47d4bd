/* read - an ephemeral consumer without acks, made again from the last message seen whenever something is missing. */
#include "shared/bus/read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "shared/base/json.h"
#include "shared/bus/private.h"
#include "shared/bus/pull.h"

#define READ_RETRY_MS 250
#define READ_BATCH 500
/* A read without `follow` is given up after so many failures in a row: somebody waits for it. */
#define READ_TRIES_MAX 4
/* Seen with nats-server 2.9.10: a consumer with a wildcard in its filter, made within milliseconds of a message that
 * was stored, told one pending message too many, so that "pending" never got to 0 though all was delivered. Where
 * nothing comes for so long, and doubling, the rest is read with a new consumer. */
#define READ_DOUBT_FIRST_MS 200
#define READ_DOUBT_LAST_MS 6400
/* How long the server keeps the consumer when we are gone. */
#define READ_INACTIVE_NS (INT64_C(60) * 1000000000)

struct BusRead {
    Bus *bus;
    char stream[64];
    char filter[BUS_SUBJECT_MAX];
    BusReadOptions options;
    BusReadCallback *callback;
    void *context;
    BusPull *pull;
    char consumer[BUS_INBOX_MAX]; /* the server's name for it; "": none */
    Timer timer;
    ReconnectHook hook;
    Timer doubt; /* until the end is told */
    int64_t doubt_ms;
    uint64_t doubted; /* next_consumer_sequence, the last time */
    uint64_t last_sequence;
    uint64_t next_consumer_sequence;
    int failures;
    bool asked;   /* an answer to the creation of a consumer is on its way and will touch this structure */
    bool calling; /* inside the callback */
    bool closed;
    bool told_end;
};

static void read_begin(BusRead *read);
static void read_restart(void *context);

static void read_free_when_unused(BusRead *read)
{
    if (read->closed && !read->asked && !read->calling) {
        free(read);
    }
}

/* The server would keep it for a minute; look-ups come faster than that. */
static void read_delete_consumer(BusRead *read)
{
    if (read->consumer[0] == '\0') {
        return;
    }
    char api[BUS_SUBJECT_MAX];
    Buffer text = buffer_over(api, sizeof(api));
    buffer_print(&text, "$JS.API.CONSUMER.DELETE.%s.%s", read->stream, read->consumer);
    TAI_ASSERT(!text.overflow);
    bus_publish(read->bus, &(BusMessage){.subject = buffer_str(&text)});
    read->consumer[0] = '\0';
}

static void read_stop(BusRead *read)
{
    bus_pull_drop(read->pull);
    read->pull = NULL;
    read_delete_consumer(read);
    timer_clear(&read->bus->timers, &read->timer);
    timer_clear(&read->bus->timers, &read->doubt);
}

void bus_read_close(BusRead *read)
{
    if (read == NULL || read->closed) {
        return;
    }
    read_stop(read);
    bus_hook_remove(&read->hook);
    read->closed = true;
    read_free_when_unused(read);
}

/* False when the callback closed the read: it must not be touched any more. */
static bool read_tell(BusRead *read, Err err, const BusDelivery *message)
{
    read->calling = true;
    read->callback(read->context, err, message);
    read->calling = false;
    bool open = !read->closed;
    read_free_when_unused(read);
    return open;
}

static void read_end(BusRead *read, Err err)
{
    if (read->told_end) {
        return;
    }
    read->told_end = true;
    timer_clear(&read->bus->timers, &read->doubt);
    if (!read->options.follow) {
        read_stop(read);
    }
    (void)read_tell(read, err, NULL);
}

static void read_failed(BusRead *read, Err why)
{
    read_stop(read);
    read->failures++;
    if (!read->options.follow && read->failures >= READ_TRIES_MAX) {
        read_end(read, why);
        return;
    }
    timer_set(&read->bus->timers, &read->timer, bus_clock_ms() + READ_RETRY_MS);
}

static void read_trouble(void *context)
{
    read_failed(context, err_retry("the stream's consumer is gone"));
}

static void read_doubt_later(BusRead *read)
{
    if (!read->told_end) {
        read->doubted = read->next_consumer_sequence;
        timer_set(&read->bus->timers, &read->doubt, bus_clock_ms() + read->doubt_ms);
    }
}

static void read_doubted(void *context)
{
    BusRead *read = context;
    if (read->next_consumer_sequence != read->doubted) {
        read_doubt_later(read);
        return;
    }
    read->doubt_ms = read->doubt_ms * 2 > READ_DOUBT_LAST_MS ? READ_DOUBT_LAST_MS : read->doubt_ms * 2;
    read_restart(read);
}

static void read_message(void *context, BusDelivery *delivery)
{
    BusRead *read = context;
    BusDelivery message = *delivery;
    if (message.consumer_sequence != read->next_consumer_sequence) {
        bus_delivery_release(&message);
        read_restart(read);
        return;
    }
    read->next_consumer_sequence++;
    read->last_sequence = message.sequence;
    read->failures = 0;
    bool at_end = message.pending == 0;
    bool open = read_tell(read, err_none(), &message);
    bus_delivery_release(&message);
    if (!open) {
        return;
    }
    bus_pull_want(read->pull, read->options.batch);
    if (at_end) {
        read_end(read, err_none());
    }
}

static void read_created(void *context, Err err, const BusDelivery *reply)
{
    BusRead *read = context;
    read->asked = false;
    Str name = err_is(err) ? (Str){0} : json_find_raw(reply->body, STR("name"));
    name = str_slice(name, 1, name.length > 0 ? name.length - 1 : 0); /* without its quotes */
    bool made = name.length > 0 && str_copy_to(name, read->consumer, sizeof(read->consumer));
    if (read->closed) {
        read_delete_consumer(read);
        read_free_when_unused(read);
        return;
    }
    if (!made) {
        Str why = err_is(err) ? str_from(err.why) : json_find_raw(reply->body, STR("error.description"));
        read_failed(read, err_retry("read: " STR_FMT, STR_ARG(why)));
        return;
    }
    uint64_t pending = 0;
    bool known = str_to_uint64(json_find_raw(reply->body, STR("num_pending")), &pending);
    read->next_consumer_sequence = 1;
    err = bus_pull_open(read->bus, str_from(read->stream), name, read_message, read, &read->pull);
    if (err_is(err)) {
        read_failed(read, err);
        return;
    }
    bus_pull_on_trouble(read->pull, read_trouble);
    if (known && pending == 0) {
        bool follow = read->options.follow;
        if (follow) {
            bus_pull_want(read->pull, read->options.batch);
        }
        read_end(read, err_none());
        return;
    }
    bus_pull_want(read->pull, read->options.batch);
    read_doubt_later(read);
}

/* The bus closes with the answer on its way. */
static void read_dropped(void *context)
{
    BusRead *read = context;
    read->asked = false;
    read_free_when_unused(read);
}

static void read_print_start(const BusRead *read, JsonWriter *json)
{
    if (read->options.last_per_subject && !read->told_end) {
        json_put_string(json, "deliver_policy", STR("last_per_subject"));
    } else if (read->last_sequence != 0 || read->options.from_sequence > 1) {
        uint64_t from = read->last_sequence != 0 ? read->last_sequence + 1 : read->options.from_sequence;
        json_put_string(json, "deliver_policy", STR("by_start_sequence"));
        json_put_int(json, "opt_start_seq", (int64_t)from);
    } else if (read->options.from_time_ms > 0) {
        time_t seconds = (time_t)(read->options.from_time_ms / 1000);
        struct tm parts;
        char text[64];
        gmtime_r(&seconds, &parts);
        Buffer buffer = buffer_over(text, sizeof(text));
        buffer_print(&buffer, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     (int)(read->options.from_time_ms % 1000));
        json_put_string(json, "deliver_policy", STR("by_start_time"));
        json_put_string(json, "opt_start_time", buffer_str(&buffer));
    } else {
        json_put_string(json, "deliver_policy", STR("all"));
    }
}

static void read_begin(BusRead *read)
{
    char api[BUS_SUBJECT_MAX];
    Buffer api_text = buffer_over(api, sizeof(api));
    buffer_print(&api_text, "$JS.API.CONSUMER.CREATE.%s", read->stream);
    char body[BUS_SUBJECT_MAX + 512];
    Buffer body_text = buffer_over(body, sizeof(body));
    JsonWriter json = json_writer(&body_text);
    json_open(&json, NULL, '{');
    json_put_string(&json, "stream_name", str_from(read->stream));
    json_open(&json, "config", '{');
    read_print_start(read, &json);
    if (read->filter[0] != '\0') {
        json_put_string(&json, "filter_subject", str_from(read->filter));
    }
    json_put_string(&json, "ack_policy", STR("none"));
    json_put_string(&json, "replay_policy", STR("instant"));
    json_put_int(&json, "inactive_threshold", READ_INACTIVE_NS);
    json_put_bool(&json, "mem_storage", true);
    json_close(&json, '}');
    json_close(&json, '}');
    TAI_ASSERT(!api_text.overflow && !body_text.overflow);
    read->asked = true;
    bus_request_or_drop(read->bus, &(BusMessage){.subject = buffer_str(&api_text), .body = buffer_str(&body_text)},
                        BUS_API_TIMEOUT_MS, read_created, read_dropped, read);
}

static void read_restart(void *context)
{
    BusRead *read = context;
    read_stop(read);
    if (!read->asked && !(read->told_end && !read->options.follow)) {
        read_begin(read);
    }
}

Err bus_read_open(Bus *bus, const BusReadOptions *options, BusReadCallback *callback, void *context, BusRead **out)
{
    BusRead *read = calloc(1, sizeof(*read));
    TAI_ASSERT(read != NULL);
    *read = (BusRead){.bus = bus, .options = *options, .callback = callback, .context = context};
    bus_text(options->stream, read->stream, sizeof(read->stream));
    /* The server wants one for the last of each subject. */
    Str filter = options->filter.length == 0 && options->last_per_subject ? STR(">") : options->filter;
    bus_text(filter, read->filter, sizeof(read->filter));
    read->options.batch = options->batch == 0 ? READ_BATCH : options->batch;
    read->timer = timer_make(read_restart, read);
    read->doubt = timer_make(read_doubted, read);
    read->doubt_ms = READ_DOUBT_FIRST_MS;
    /* Also without `follow`: a message that was lost with the connection may have been the last one. */
    bus_hook_add(bus, &read->hook, read_restart, read);
    read_begin(read);
    *out = read;
    return err_none();
}
