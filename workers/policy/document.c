/* document - get, validate, put on the ledger, go live. */
#include "workers/policy/document.h"

#include <stdlib.h>
#include <string.h>

#include "shared/wire/payment.h"

#define DOCUMENT_BUCKET "tai_policy"
#define DOCUMENT_STREAM "KV_tai_policy"
#define DOCUMENT_SUBJECT_MAX 64
#define DOCUMENT_TIMEOUT_MS 2000
/* Changes are told by subscription; looking again now and then covers a message that was lost. */
#define DOCUMENT_REFRESH_MS 5000
#define DOCUMENT_BLOCK_BYTES ((size_t)16 * 1024)
#define DOCUMENT_LIMIT_BYTES ((size_t)16 * 1024 * 1024)

struct Document {
    Worker *worker;
    DocumentKind kind;
    char subject[DOCUMENT_SUBJECT_MAX];    /* "$KV.tai_policy.payment" */
    char activation[DOCUMENT_SUBJECT_MAX]; /* "tai.payment.policy" */
    BusSubscription *changes;
    Timer refresh;
    bool asking; /* one look at a time */
    bool again;  /* something changed while looking */
    bool live;
    void *policy;
    Arena policy_arena; /* what the policy points at */
    uint64_t revision;
    uint64_t refused_revision; /* said once, not every five seconds */
    Arena arena;               /* of the look under way */
    void *candidate;
    Arena candidate_arena; /* becomes the policy's when the candidate becomes the policy */
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
    memcpy(document->policy, document->candidate, document->kind.policy_bytes);
    arena_release(&document->policy_arena);
    document->policy_arena = document->candidate_arena;
    document->candidate_arena = arena_make(DOCUMENT_BLOCK_BYTES, DOCUMENT_LIMIT_BYTES);
    document->revision = document->candidate_revision;
    document->live = true;
    log_event(worker_log(document->worker), LOG_INFO, "policy_live",
              LOG_FIELDS(log_text("domain", str_from(document->kind.domain)),
                         log_number("revision", (int64_t)document->revision)));
    document_looked(document);
}

static void document_on_ledger(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    Document *document = context;
    if (err_is(err)) {
        log_event(worker_log(document->worker), LOG_WARN, "policy_not_on_ledger",
                  LOG_FIELDS(log_text("domain", str_from(document->kind.domain)), log_why(&err)));
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
    Str body =
        wire_encode_payment_policy_activated(&document->arena, document->candidate_revision, document->candidate_text,
                                             loop_unix_ms(worker_loop(document->worker)));
    BusMessage record = {.subject = str_from(document->activation), .body = body};
    bus_message_add(&record, BUS_HEADER_MSG_ID,
                    arena_print(&document->arena, "policy.%s.%llu", document->kind.domain,
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
    BusMessage message = {.subject = str_from(document->subject),
                          .body = document->kind.print_default(&document->arena, document->kind.context)};
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
        err = document->kind.decode(&document->candidate_arena, text, document->candidate);
    }
    if (err_is(err)) {
        log_event(worker_log(document->worker), LOG_ERROR, "policy_not_restored",
                  LOG_FIELDS(log_text("domain", str_from(document->kind.domain)), log_why(&err)));
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
                  LOG_FIELDS(log_text("domain", str_from(document->kind.domain)),
                             log_number("revision", (int64_t)revision),
                             log_number("live_revision", (int64_t)document->revision), log_why(why)));
    }
    if (document->live) {
        document_looked(document);
        return;
    }
    bus_get_last(worker_bus(document->worker), str_from(document->kind.ledger), str_from(document->activation),
                 DOCUMENT_TIMEOUT_MS, document_restore, document);
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
    Err why = document->kind.decode(&document->candidate_arena, document->candidate_text, document->candidate);
    if (err_is(why)) {
        document_refuse(document, message->sequence, &why);
        return;
    }
    bus_get_last(worker_bus(document->worker), str_from(document->kind.ledger), str_from(document->activation),
                 DOCUMENT_TIMEOUT_MS, document_last_activation, document);
}

static void document_look(void *context)
{
    Document *document = context;
    if (document->asking) {
        document->again = true;
        return;
    }
    document->asking = true;
    arena_release(&document->arena); /* a document may be large, and looks are many */
    arena_release(&document->candidate_arena);
    bus_get_last(worker_bus(document->worker), STR(DOCUMENT_STREAM), str_from(document->subject), DOCUMENT_TIMEOUT_MS,
                 document_got, document);
}

static void document_changed(void *context, const BusDelivery *message)
{
    (void)message; /* it does not know its revision: look it up */
    document_look(context);
}

static void document_name(Document *document)
{
    Buffer subject = buffer_over(document->subject, sizeof(document->subject));
    Buffer activation = buffer_over(document->activation, sizeof(document->activation));
    buffer_print(&subject, "$KV." DOCUMENT_BUCKET ".%s", document->kind.domain);
    buffer_print(&activation, "tai.%s.policy", document->kind.domain);
    TAI_ASSERT(!subject.overflow && !activation.overflow);
}

Err document_open(Worker *worker, const DocumentKind *kind, Document **out)
{
    Err err = worker_ensure_bucket(worker, DOCUMENT_BUCKET);
    if (err_is(err)) {
        return err;
    }
    Document *document = calloc(1, sizeof(*document));
    TAI_ASSERT(document != NULL);
    document->worker = worker;
    document->kind = *kind;
    document->policy = calloc(1, kind->policy_bytes);
    document->candidate = calloc(1, kind->policy_bytes);
    TAI_ASSERT(document->policy != NULL && document->candidate != NULL);
    document_name(document);
    document->arena = arena_make(DOCUMENT_BLOCK_BYTES, DOCUMENT_LIMIT_BYTES);
    document->candidate_arena = arena_make(DOCUMENT_BLOCK_BYTES, DOCUMENT_LIMIT_BYTES);
    document->policy_arena = arena_make(DOCUMENT_BLOCK_BYTES, DOCUMENT_LIMIT_BYTES);
    document->refresh = timer_make(document_look, document);
    *out = document;
    err = bus_subscribe(worker_bus(worker), str_from(document->subject), (Str){0}, document_changed, document,
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
    arena_release(&document->candidate_arena);
    arena_release(&document->policy_arena);
    free(document->policy);
    free(document->candidate);
    free(document);
}

bool document_is_live(const Document *document)
{
    return document->live;
}

const void *document_policy(const Document *document)
{
    return document->policy;
}

uint64_t document_revision(const Document *document)
{
    return document->revision;
}
