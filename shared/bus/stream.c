/* stream - streams, consumers and buckets, made sure of at the start. */
#include "shared/bus/stream.h"

#include <string.h>

#include "shared/bus/private.h"

#define DEDUP_WINDOW_NS (INT64_C(600) * 1000000000)
#define BUCKET_HISTORY 16

static Err api_error(natsStatus status, jsErrCode code, const char *doing, const char *name)
{
    if (status == NATS_OK) {
        return err_none();
    }
    return err_retry("%s %s: %s (%d)", doing, name, natsStatus_GetText(status), (int)code);
}

static Err stream_check(const jsStreamInfo *info, const BusStreamSpec *spec)
{
    const jsStreamConfig *config = info->Config;
    if (config->SubjectsLen != 1 || strcmp(config->Subjects[0], spec->subject) != 0) {
        return err_reject("stream %s has other subjects than %s", spec->name, spec->subject);
    }
    if (config->Retention != js_LimitsPolicy || config->Discard != js_DiscardNew || !config->AllowDirect) {
        return err_reject("stream %s is not a ledger: limits retention, discard new and allow direct are needed",
                          spec->name);
    }
    return err_none();
}

static Err stream_add(jsCtx *js, const BusStreamSpec *spec)
{
    const char *subjects[] = {spec->subject};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = spec->name;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = js_LimitsPolicy;
    config.Storage = js_FileStorage;
    config.Discard = js_DiscardNew;
    config.Duplicates = DEDUP_WINDOW_NS;
    config.AllowDirect = true;
    config.Replicas = spec->replicas;
    config.MaxBytes = spec->max_bytes == 0 ? -1 : spec->max_bytes;
    jsErrCode code = 0;
    natsStatus status = js_AddStream(NULL, js, &config, NULL, &code);
    return api_error(status, code, "add stream", spec->name);
}

Err bus_ensure_stream(Bus *bus, const BusStreamSpec *spec)
{
    jsCtx *js = NULL;
    Err err = bus_error(natsConnection_JetStream(&js, bus->connection, NULL), "JetStream");
    if (err_is(err)) {
        return err;
    }
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus status = js_GetStreamInfo(&info, js, spec->name, NULL, &code);
    if (status == NATS_OK) {
        err = stream_check(info, spec);
    } else if (status == NATS_NOT_FOUND) {
        err = stream_add(js, spec);
    } else {
        err = api_error(status, code, "look up stream", spec->name);
    }
    jsStreamInfo_Destroy(info);
    jsCtx_Destroy(js);
    return err;
}

static Err consumer_add(jsCtx *js, const BusConsumerSpec *spec)
{
    jsConsumerConfig config;
    jsConsumerConfig_Init(&config);
    config.Durable = spec->name;
    config.FilterSubject = spec->filter;
    config.DeliverPolicy = js_DeliverAll;
    config.AckPolicy = js_AckExplicit;
    config.AckWait = spec->ack_wait_ms * INT64_C(1000000);
    config.MaxAckPending = spec->max_ack_pending;
    config.MaxDeliver = -1;
    jsErrCode code = 0;
    /* The server updates an existing consumer from the same call. */
    natsStatus status = js_AddConsumer(NULL, js, spec->stream, &config, NULL, &code);
    return api_error(status, code, "add consumer", spec->name);
}

static bool consumer_is_as_wanted(const jsConsumerInfo *info, const BusConsumerSpec *spec)
{
    return info->Config->AckWait == spec->ack_wait_ms * INT64_C(1000000) &&
           info->Config->MaxAckPending == spec->max_ack_pending;
}

Err bus_ensure_consumer(Bus *bus, const BusConsumerSpec *spec)
{
    jsCtx *js = NULL;
    Err err = bus_error(natsConnection_JetStream(&js, bus->connection, NULL), "JetStream");
    if (err_is(err)) {
        return err;
    }
    jsConsumerInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus status = js_GetConsumerInfo(&info, js, spec->stream, spec->name, NULL, &code);
    if (status == NATS_OK && strcmp(info->Config->FilterSubject, spec->filter) != 0) {
        err = err_reject("consumer %s filters %s, not %s", spec->name, info->Config->FilterSubject, spec->filter);
    } else if (status == NATS_NOT_FOUND || (status == NATS_OK && !consumer_is_as_wanted(info, spec))) {
        err = consumer_add(js, spec);
    } else {
        err = api_error(status, code, "look up consumer", spec->name);
    }
    jsConsumerInfo_Destroy(info);
    jsCtx_Destroy(js);
    return err;
}

Err bus_ensure_bucket(Bus *bus, const char *bucket, int64_t replicas)
{
    jsCtx *js = NULL;
    Err err = bus_error(natsConnection_JetStream(&js, bus->connection, NULL), "JetStream");
    if (err_is(err)) {
        return err;
    }
    kvStore *store = NULL;
    natsStatus status = js_KeyValue(&store, js, bucket);
    if (status == NATS_NOT_FOUND) {
        kvConfig config;
        kvConfig_Init(&config);
        config.Bucket = bucket;
        config.History = BUCKET_HISTORY;
        config.StorageType = js_FileStorage;
        config.Replicas = (int)replicas;
        status = js_CreateKeyValue(&store, js, &config);
    }
    kvStore_Destroy(store);
    jsCtx_Destroy(js);
    return api_error(status, 0, "ensure bucket", bucket);
}
