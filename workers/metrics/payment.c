/* payment - the payment ledger's fold, kept with its place in the ledger.
 *
 * The snapshot holds figures and sequences in one message, so it is either there or not; a worker that starts goes on
 * behind it, and what was folded twice (an older snapshot, two workers) is told by its sequence. */
#include <stdlib.h>

#include "shared/base/json.h"
#include "shared/bus/read.h"
#include "shared/wire/andon.h"
#include "shared/wire/payment.h"
#include "workers/metrics/metrics.h"

#define SNAPSHOT_STREAM "KV_tai_metrics"
#define SNAPSHOT_SUBJECT "$KV.tai_metrics.payment"
#define SNAPSHOT_TIMEOUT_MS 2000
#define QUERY_SUBJECT "tai.query.payment.metrics"
#define BREAKER_SUBJECT "tai.breaker.payment_gateway"
/* Breakers announce themselves every two seconds; one that is silent that long is gone. */
#define BREAKER_SILENT_MS 10000
#define BREAKERS_MAX 64

typedef enum { STATE_CLOSED = 0, STATE_HALF_OPEN, STATE_OPEN } StateRank; /* worse is larger */

typedef struct {
    char source[32];
    StateRank state;
    int64_t heard_ms;
} BreakerSeen;

struct PaymentFold {
    Worker *worker;
    const MetricsSettings *settings;
    PaymentKaizen kaizen;
    PaymentKaizen saved; /* as put away last */
    bool restored;
    bool saving;
    BusRead *ledger;
    BusRead *andon;
    BusSubscription *queries;
    BusSubscription *breakers;
    BreakerSeen seen[BREAKERS_MAX];
    Timer snapshot;
    Arena arena; /* for one message or answer */
};

/* --- folding -------------------------------------------------------------------------------------------------------- */

static void fold_outcome(PaymentFold *fold, const BusDelivery *message)
{
    PaymentOutcome outcome;
    Err err = wire_decode_payment_outcome(&fold->arena, message->body, &outcome);
    if (err_is(err)) {
        log_event(worker_log(fold->worker), LOG_WARN, "outcome_not_counted",
                  LOG_FIELDS(log_number("sequence", (int64_t)message->sequence), log_why(&err)));
        payment_kaizen_other(&fold->kaizen, message->sequence);
        return;
    }
    payment_kaizen_outcome(&fold->kaizen, message->sequence, &outcome);
}

static void fold_ledger(void *context, Err err, const BusDelivery *message)
{
    (void)err;
    PaymentFold *fold = context;
    if (message == NULL) {
        return; /* the end as it stood: the read follows */
    }
    arena_reset(&fold->arena);
    if (str_starts_with(message->subject, STR("tai.payment.outcome."))) {
        fold_outcome(fold, message);
    } else if (str_starts_with(message->subject, STR("tai.payment.signal."))) {
        payment_kaizen_signal(&fold->kaizen, message->sequence);
    } else if (str_starts_with(message->subject, STR("tai.payment.decision."))) {
        bool approved = str_equal(message->subject, STR("tai.payment.decision.approved"));
        payment_kaizen_decision(&fold->kaizen, message->sequence, approved);
    } else {
        payment_kaizen_other(&fold->kaizen, message->sequence);
    }
}

static void fold_andon(void *context, Err err, const BusDelivery *message)
{
    (void)err;
    PaymentFold *fold = context;
    Andon andon;
    if (message == NULL) {
        return;
    }
    arena_reset(&fold->arena);
    Err decoded = wire_decode_andon(&fold->arena, message->body, &andon);
    if (!err_is(decoded) && str_equal(andon.alert, STR("circuit_breaker_open")) && !andon.cleared) {
        payment_kaizen_breaker_opened(&fold->kaizen, message->sequence);
    } else {
        payment_kaizen_other_andon(&fold->kaizen, message->sequence);
    }
}

static Err fold_follow(PaymentFold *fold)
{
    Err err = bus_read_open(worker_bus(fold->worker),
                            &(BusReadOptions){
                                .stream = STR("PAYMENT"),
                                .from_sequence = fold->kaizen.payment_sequence + 1,
                                .follow = true,
                            },
                            fold_ledger, fold, &fold->ledger);
    if (err_is(err)) {
        return err;
    }
    return bus_read_open(worker_bus(fold->worker),
                         &(BusReadOptions){
                             .stream = STR("ANDON"),
                             .filter = STR("tai.andon.payment.>"),
                             .from_sequence = fold->kaizen.andon_sequence + 1,
                             .follow = true,
                         },
                         fold_andon, fold, &fold->andon);
}

/* --- the snapshot --------------------------------------------------------------------------------------------------- */

static void fold_restored(void *context, Err err, const BusDelivery *message)
{
    PaymentFold *fold = context;
    arena_reset(&fold->arena);
    if (!err_is(err) && message != NULL) {
        err = wire_decode_payment_kaizen(&fold->arena, message->body, &fold->kaizen);
    }
    if (err.kind == ERR_RETRY) {
        bus_get_last(worker_bus(fold->worker), STR(SNAPSHOT_STREAM), STR(SNAPSHOT_SUBJECT), SNAPSHOT_TIMEOUT_MS,
                     fold_restored, fold);
        return;
    }
    if (err_is(err)) { /* unreadable: the ledger has it all, fold from its beginning */
        log_event(worker_log(fold->worker), LOG_WARN, "snapshot_ignored", LOG_FIELDS(log_why(&err)));
        fold->kaizen = (PaymentKaizen){0};
    }
    fold->saved = fold->kaizen;
    err = fold_follow(fold);
    if (err_is(err)) {
        log_event(worker_log(fold->worker), LOG_ERROR, "ledger_not_read", LOG_FIELDS(log_why(&err)));
    }
    fold->restored = !err_is(err);
}

static bool fold_is_unchanged(const PaymentFold *fold)
{
    return fold->kaizen.payment_sequence == fold->saved.payment_sequence &&
           fold->kaizen.andon_sequence == fold->saved.andon_sequence;
}

static void fold_saved(void *context, Err err, const BusStored *stored)
{
    (void)stored;
    PaymentFold *fold = context;
    fold->saving = false;
    if (err_is(err)) {
        fold->saved = (PaymentKaizen){0}; /* put away again at the next turn */
        log_event(worker_log(fold->worker), LOG_WARN, "snapshot_not_stored", LOG_FIELDS(log_why(&err)));
    }
}

static void fold_save(PaymentFold *fold)
{
    if (fold->saving || !fold->restored || fold_is_unchanged(fold)) {
        return;
    }
    arena_reset(&fold->arena);
    fold->saving = true;
    fold->saved = fold->kaizen;
    bus_store(worker_bus(fold->worker),
              &(BusMessage){.subject = STR(SNAPSHOT_SUBJECT),
                            .body = wire_encode_payment_kaizen(&fold->arena, &fold->kaizen)},
              SNAPSHOT_TIMEOUT_MS, fold_saved, fold);
}

static void fold_snapshot(void *context)
{
    PaymentFold *fold = context;
    fold_save(fold);
    loop_timer_set(worker_loop(fold->worker), &fold->snapshot, fold->settings->snapshot_ms);
}

/* --- breakers and queries --------------------------------------------------------------------------------------------- */

static BreakerSeen *breaker_slot(PaymentFold *fold, Str source)
{
    BreakerSeen *oldest = &fold->seen[0];
    for (size_t i = 0; i < BREAKERS_MAX; i++) {
        if (str_equal(str_from(fold->seen[i].source), source)) {
            return &fold->seen[i];
        }
        if (fold->seen[i].heard_ms < oldest->heard_ms) {
            oldest = &fold->seen[i];
        }
    }
    return oldest;
}

static Str json_text(Str raw)
{
    return raw.length >= 2 ? str_slice(raw, 1, raw.length - 1) : (Str){0};
}

static void fold_breaker(void *context, const BusDelivery *message)
{
    PaymentFold *fold = context;
    Str source = json_text(json_find_raw(message->body, STR("source")));
    Str state = json_text(json_find_raw(message->body, STR("state")));
    BreakerSeen *seen = breaker_slot(fold, source);
    if (source.length == 0 || !str_copy_to(source, seen->source, sizeof(seen->source))) {
        return;
    }
    seen->heard_ms = loop_now_ms(worker_loop(fold->worker));
    seen->state = str_equal(state, STR("open"))        ? STATE_OPEN
                  : str_equal(state, STR("half_open")) ? STATE_HALF_OPEN
                                                       : STATE_CLOSED;
}

/* The worst state of any process that still announces itself. */
static Str breaker_state(const PaymentFold *fold)
{
    static const char *const names[] = {"closed", "half_open", "open"};
    StateRank worst = STATE_CLOSED;
    int64_t silent_since_ms = loop_now_ms(worker_loop(fold->worker)) - BREAKER_SILENT_MS;
    for (size_t i = 0; i < BREAKERS_MAX; i++) {
        const BreakerSeen *seen = &fold->seen[i];
        if (seen->source[0] != '\0' && seen->heard_ms > silent_since_ms && seen->state > worst) {
            worst = seen->state;
        }
    }
    return str_from(names[worst]);
}

static void fold_query(void *context, const BusDelivery *request)
{
    PaymentFold *fold = context;
    if (request->reply.length == 0) {
        return;
    }
    arena_reset(&fold->arena);
    PaymentFigures figures = payment_kaizen_figures(&fold->kaizen);
    Str body = str_equal(request->body, STR("prometheus"))
                   ? wire_print_payment_exposition(&fold->arena, &fold->kaizen, breaker_state(fold))
                   : wire_print_payment_figures_json(&fold->arena, &figures);
    bus_publish(worker_bus(fold->worker), &(BusMessage){.subject = request->reply, .body = body});
}

/* --- life ------------------------------------------------------------------------------------------------------------- */

Err payment_fold_open(Worker *worker, const MetricsSettings *settings, PaymentFold **out)
{
    PaymentFold *fold = calloc(1, sizeof(*fold));
    TAI_ASSERT(fold != NULL);
    fold->worker = worker;
    fold->settings = settings;
    fold->arena = arena_make(16 * 1024, 1024 * 1024);
    fold->snapshot = timer_make(fold_snapshot, fold);
    *out = fold;
    Bus *bus = worker_bus(worker);
    Err err = bus_subscribe(bus, STR(BREAKER_SUBJECT), (Str){0}, fold_breaker, fold, &fold->breakers);
    if (!err_is(err)) {
        err = bus_subscribe(bus, STR(QUERY_SUBJECT), STR("metrics"), fold_query, fold, &fold->queries);
    }
    bus_get_last(bus, STR(SNAPSHOT_STREAM), STR(SNAPSHOT_SUBJECT), SNAPSHOT_TIMEOUT_MS, fold_restored, fold);
    fold_snapshot(fold);
    return err;
}

bool payment_fold_is_ready(const PaymentFold *fold)
{
    return fold->restored;
}

bool payment_fold_is_saved(const PaymentFold *fold)
{
    return !fold->saving && fold_is_unchanged(fold);
}

void payment_fold_close(PaymentFold *fold)
{
    if (fold == NULL) {
        return;
    }
    bus_read_close(fold->ledger);
    bus_read_close(fold->andon);
    bus_unsubscribe(fold->queries);
    bus_unsubscribe(fold->breakers);
    loop_timer_clear(worker_loop(fold->worker), &fold->snapshot);
    arena_release(&fold->arena);
    free(fold);
}
