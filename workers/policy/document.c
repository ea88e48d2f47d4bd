/* document - get, validate, put on the ledger, go live. */
#include "workers/policy/document.h"

#include <stdlib.h>

#include "shared/bus/stream.h"
#include "shared/wire/payment.h"

#define DOCUMENT_BUCKET "tai_policy"
#define DOCUMENT_STREAM "KV_tai_policy"
#define DOCUMENT_SUBJECT "$KV.tai_policy.payment"
#define DOCUMENT_ACTIVATION "tai.payment.policy"
#define DOCUMENT_TIMEOUT_MS 2000
/* Changes are told by subscription; looking again now and then covers a message that was lost. */
#define DOCUMENT_REFRESH_MS 5000

struct Document {
    Worker *worker;
    BusSubscription *changes;
    Timer refresh;
    bool asking;  /* one look at a time */
    bool again;   /* something changed while looking */
    bool live;
    FraudPolicy policy;
    uint64_t revision;
    uint64_t refused_revision; /* said once, not every five seconds */
    Arena arena;               /* of the look under way */
    FraudPolicy candidate;
    uint64_t candidate_revision;
    Str candidate_text;
};

static void document_look(void *context);

static void document_looked(Document *document)
{
    document->asking = false;
    loop_timer_set(worker_loop(document->worker), &document->refresh,
                   document->again || !document->live ? 50 : DOCUMENT_REFRESH_MS);
    document->again = false;
}

static void document_go_live(Document *document)
{
    document->policy = document->candidate;
    document->revision = document->candidate_revision;
    document->live = true;
    log_event(worker_log(document->worker), LOG_INFO, "policy_live",
              LOG_FIELDS(log_number("revision", (int64_t)document->revision)));
    document_looked(document);
}

static void document_on_ledger(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    Document *document = context;
    if (err_is(err)) {
        log_event(worker_log(document->worker), LOG_WARN, "policy_not_on_ledger", LOG_FIELDS(log_why(&err)));
        document_looked(document);
        return;
    }
    document_go_live(document);
}

/* Many workers go live with one revision: the id, and a look at what stands there, keep it at one record. */
static void document_last_activation(void *context, Err err, const BusDelivery *message)
{
    Document *document = context;
    uint64_t revision = 0;
    Str text;
    int64_t when_ms;
    if (!err_is(err) && message != NULL) {
        Err decoded = wire_decode_payment_policy_activated(&document->arena, message->body, &revision, &text, &when_ms);
        if (!err_is(decoded) && revision == document->candidate_revision) {
            document_go_live(document);
            return;
        }
    }
    Str body = wire_encode_payment_policy_activated(&document->arena, document->candidate_revision,
                                                    document->candidate_text,
                                                    loop_unix_ms(worker_loop(document->worker)));
    BusMessage record = {.subject = STR(DOCUMENT_ACTIVATION), .body = body};
    bus_message_add(&record, BUS_HEADER_MSG_ID,
                    arena_print(&document->arena, "policy.payment.%llu",
                                (unsigned long long)document->candidate_revision));
    bus_store(worker_bus(document->worker), &record, DOCUMENT_TIMEOUT_MS, document_on_ledger, document);
}

static void document_made(void *context, Err err, const BusStored *stored)
{
    (void)err; /* another worker was first, or the bus is away: looking again tells */
    (void)stored;
    document_looked(context);
}

static void document_make_default(Document *document)
{
    FraudPolicy policy = fraud_policy_default();
    BusMessage message = {.subject = STR(DOCUMENT_SUBJECT), .body = wire_print_fraud_policy(&document->arena, &policy)};
    bus_message_expect_new(&message);
    bus_store(worker_bus(document->worker), &message, DOCUMENT_TIMEOUT_MS, document_made, document);
}

/* The bucket's newest document is bad, and this process has none yet: the last one that was live stays. */
static void document_restore(void *context, Err err, const BusDelivery *message)
{
    Document *document = context;
    Str text;
    int64_t when_ms;
    if (err_is(err) || message == NULL) {
        document_looked(document);
        return;
    }
    err = wire_decode_payment_policy_activated(&document->arena, message->body, &document->candidate_revision, &text,
                                               &when_ms);
    if (!err_is(err)) {
        err = wire_decode_fraud_policy(&document->arena, text, &document->candidate);
    }
    if (err_is(err)) {
        log_event(worker_log(document->worker), LOG_ERROR, "policy_not_restored", LOG_FIELDS(log_why(&err)));
        document_looked(document);
        return;
    }
    document_go_live(document);
}

static void document_refuse(Document *document, uint64_t revision, const Err *why)
{
    if (document->refused_revision != revision) {
        document->refused_revision = revision;
        log_event(worker_log(document->worker), LOG_ERROR, "policy_refused",
                  LOG_FIELDS(log_number("revision", (int64_t)revision),
                             log_number("live_revision", (int64_t)document->revision), log_why(why)));
    }
    if (document->live) {
        document_looked(document);
        return;
    }
    bus_get_last(worker_bus(document->worker), STR("PAYMENT"), STR(DOCUMENT_ACTIVATION), DOCUMENT_TIMEOUT_MS,
                 document_restore, document);
}

static void document_got(void *context, Err err, const BusDelivery *message)
{
    Document *document = context;
    if (err_is(err)) {
        document_looked(document);
        return;
    }
    if (message == NULL) {
        document_make_default(document);
        return;
    }
    if (document->live && message->sequence == document->revision) {
        document_looked(document);
        return;
    }
    if (bus_delivery_header(message, "KV-Operation").length != 0) {
        Err why = err_reject("the document was deleted");
        document_refuse(document, message->sequence, &why);
        return;
    }
    document->candidate_text = arena_copy(&document->arena, message->body);
    document->candidate_revision = message->sequence;
    Err why = wire_decode_fraud_policy(&document->arena, document->candidate_text, &document->candidate);
    if (err_is(why)) {
        document_refuse(document, message->sequence, &why);
        return;
    }
    bus_get_last(worker_bus(document->worker), STR("PAYMENT"), STR(DOCUMENT_ACTIVATION), DOCUMENT_TIMEOUT_MS,
                 document_last_activation, document);
}

static void document_look(void *context)
{
    Document *document = context;
    if (document->asking) {
        document->again = true;
        return;
    }
    document->asking = true;
    arena_reset(&document->arena);
    bus_get_last(worker_bus(document->worker), STR(DOCUMENT_STREAM), STR(DOCUMENT_SUBJECT), DOCUMENT_TIMEOUT_MS,
                 document_got, document);
}

static void document_changed(void *context, const BusDelivery *message)
{
    (void)message; /* it does not know its revision: look it up */
    document_look(context);
}

Err document_open(Worker *worker, Document **out)
{
    Err err = worker_ensure_bucket(worker, DOCUMENT_BUCKET);
    if (err_is(err)) {
        return err;
    }
    Document *document = calloc(1, sizeof(*document));
    TAI_ASSERT(document != NULL);
    document->worker = worker;
    document->arena = arena_make(16 * 1024, 8 * 1024 * 1024);
    document->refresh = timer_make(document_look, document);
    *out = document;
    err = bus_subscribe(worker_bus(worker), STR(DOCUMENT_SUBJECT), (Str){0}, document_changed, document,
                        &document->changes);
    if (!err_is(err)) {
        bus_on_reconnect(worker_bus(worker), document_look, document);
        document_look(document);
    }
    return err;
}

void document_close(Document *document)
{
    if (document == NULL) {
        return;
    }
    loop_timer_clear(worker_loop(document->worker), &document->refresh);
    bus_unsubscribe(document->changes);
    arena_release(&document->arena);
    free(document);
}

bool document_is_live(const Document *document)
{
    return document->live;
}

const FraudPolicy *document_policy(const Document *document)
{
    return &document->policy;
}

uint64_t document_revision(const Document *document)
{
    return document->revision;
}
