/* fold - restore, follow, put away, answer. */
#include "workers/metrics/fold.h"

#include <stdlib.h>
#include <string.h>

#include "shared/bus/read.h"

#define SNAPSHOT_STREAM "KV_tai_metrics"
#define SNAPSHOT_TIMEOUT_MS 2000
#define SUBJECT_MAX 64

typedef struct {
    Fold *fold;
    const FoldSource *spec;
    BusRead *read;
} Source;

struct Fold {
    Worker *worker;
    const MetricsSettings *settings;
    FoldSpec spec;
    char key[SUBJECT_MAX];            /* "$KV.tai_metrics.payment" */
    char query[SUBJECT_MAX];          /* "tai.query.payment.metrics" */
    uint64_t saved[FOLD_SOURCES_MAX]; /* how far the figures were that were put away last */
    bool restored;
    bool saving;
    Source sources[FOLD_SOURCES_MAX];
    BusSubscription *queries;
    Timer snapshot;
    Arena arena; /* for one message or answer */
};

static uint64_t fold_sequence(const Fold *fold, size_t source)
{
    uint64_t sequence = 0;
    const char *figures = fold->spec.figures;
    memcpy(&sequence, figures + fold->spec.sources[source].sequence_offset, sizeof(sequence));
    return sequence;
}

static bool fold_is_unchanged(const Fold *fold)
{
    for (size_t i = 0; i < fold->spec.source_count; i++) {
        if (fold_sequence(fold, i) != fold->saved[i]) {
            return false;
        }
    }
    return true;
}

static void fold_note_saved(Fold *fold)
{
    for (size_t i = 0; i < fold->spec.source_count; i++) {
        fold->saved[i] = fold_sequence(fold, i);
    }
}

/* --- folding --------------------------------------------------------------------------------------------------------
 */

static void fold_message(void *context, Err err, const BusDelivery *message)
{
    (void)err;
    const Source *source = context;
    if (message == NULL) {
        return; /* the end as it stood: the read follows */
    }
    arena_reset(&source->fold->arena);
    source->spec->fold(source->fold->spec.context, &source->fold->arena, message);
}

static Err fold_follow(Fold *fold)
{
    Err err = err_none();
    for (size_t i = 0; i < fold->spec.source_count && !err_is(err); i++) {
        Source *source = &fold->sources[i];
        *source = (Source){.fold = fold, .spec = &fold->spec.sources[i]};
        err = bus_read_open(worker_bus(fold->worker),
                            &(BusReadOptions){
                                .stream = str_from(source->spec->stream),
                                .filter = str_from(source->spec->filter),
                                .from_sequence = fold_sequence(fold, i) + 1,
                                .follow = true,
                            },
                            fold_message, source, &source->read);
    }
    return err;
}

/* --- the snapshot ---------------------------------------------------------------------------------------------------
 */

static void fold_restored(void *context, Err err, const BusDelivery *message)
{
    Fold *fold = context;
    arena_reset(&fold->arena);
    if (!err_is(err) && message != NULL) {
        err = fold->spec.decode(&fold->arena, message->body, fold->spec.figures);
    }
    if (err.kind == ERR_RETRY) {
        bus_get_last(worker_bus(fold->worker), STR(SNAPSHOT_STREAM), str_from(fold->key), SNAPSHOT_TIMEOUT_MS,
                     fold_restored, fold);
        return;
    }
    if (err_is(err)) { /* unreadable: the ledger has it all, fold from its beginning */
        log_event(worker_log(fold->worker), LOG_WARN, "snapshot_ignored",
                  LOG_FIELDS(log_text("domain", str_from(fold->spec.domain)), log_why(&err)));
        memset(fold->spec.figures, 0, fold->spec.figures_bytes);
    }
    fold_note_saved(fold);
    err = fold_follow(fold);
    if (err_is(err)) {
        log_event(worker_log(fold->worker), LOG_ERROR, "ledger_not_read",
                  LOG_FIELDS(log_text("domain", str_from(fold->spec.domain)), log_why(&err)));
    }
    fold->restored = !err_is(err);
}

static void fold_saved(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    Fold *fold = context;
    fold->saving = false;
    if (err_is(err)) {
        memset(fold->saved, 0, sizeof(fold->saved)); /* put away again at the next turn */
        log_event(worker_log(fold->worker), LOG_WARN, "snapshot_not_stored",
                  LOG_FIELDS(log_text("domain", str_from(fold->spec.domain)), log_why(&err)));
    }
}

static void fold_save(Fold *fold)
{
    if (fold->saving || !fold->restored || fold_is_unchanged(fold)) {
        return;
    }
    arena_reset(&fold->arena);
    fold->saving = true;
    fold_note_saved(fold);
    bus_store(
        worker_bus(fold->worker),
        &(BusMessage){.subject = str_from(fold->key), .body = fold->spec.encode(&fold->arena, fold->spec.figures)},
        SNAPSHOT_TIMEOUT_MS, fold_saved, fold);
}

static void fold_snapshot(void *context)
{
    Fold *fold = context;
    fold_save(fold);
    loop_timer_set(worker_loop(fold->worker), &fold->snapshot, fold->settings->snapshot_ms);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void fold_query(void *context, const BusDelivery *request)
{
    Fold *fold = context;
    if (request->reply.length == 0) {
        return;
    }
    arena_reset(&fold->arena);
    Str body = fold->spec.print(fold->spec.context, &fold->arena, str_equal(request->body, STR("prometheus")));
    bus_publish(worker_bus(fold->worker), &(BusMessage){.subject = request->reply, .body = body});
}

static void fold_name(Fold *fold)
{
    Buffer key = buffer_over(fold->key, sizeof(fold->key));
    Buffer query = buffer_over(fold->query, sizeof(fold->query));
    buffer_print(&key, "$KV.tai_metrics.%s", fold->spec.domain);
    buffer_print(&query, "tai.query.%s.metrics", fold->spec.domain);
    TAI_ASSERT(!key.overflow && !query.overflow);
}

Err fold_open(Worker *worker, const MetricsSettings *settings, const FoldSpec *spec, Fold **out)
{
    Fold *fold = calloc(1, sizeof(*fold));
    TAI_ASSERT(fold != NULL && spec->source_count <= FOLD_SOURCES_MAX);
    fold->worker = worker;
    fold->settings = settings;
    fold->spec = *spec;
    fold->arena = arena_make(16 * 1024, 1024 * 1024);
    fold->snapshot = timer_make(fold_snapshot, fold);
    fold_name(fold);
    *out = fold;
    Err err =
        bus_subscribe(worker_bus(worker), str_from(fold->query), STR("metrics"), fold_query, fold, &fold->queries);
    bus_get_last(worker_bus(worker), STR(SNAPSHOT_STREAM), str_from(fold->key), SNAPSHOT_TIMEOUT_MS, fold_restored,
                 fold);
    fold_snapshot(fold);
    return err;
}

bool fold_is_ready(const Fold *fold)
{
    return fold->restored;
}

bool fold_is_saved(const Fold *fold)
{
    return !fold->saving && fold_is_unchanged(fold);
}

void fold_close(Fold *fold)
{
    if (fold == NULL) {
        return;
    }
    for (size_t i = 0; i < fold->spec.source_count; i++) {
        bus_read_close(fold->sources[i].read);
    }
    bus_unsubscribe(fold->queries);
    loop_timer_clear(worker_loop(fold->worker), &fold->snapshot);
    arena_release(&fold->arena);
    free(fold);
}
