/* payment - the payment ledger's figures, and the state that the breakers announce. */
#include <stddef.h>
#include <stdlib.h>

#include "shared/base/json.h"
#include "shared/wire/andon.h"
#include "shared/wire/payment.h"
#include "workers/metrics/fold.h"

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
    Fold *fold;
    PaymentKaizen kaizen;
    BusSubscription *breakers;
    BreakerSeen seen[BREAKERS_MAX];
};

/* --- folding --------------------------------------------------------------------------------------------------------
 */

static void payment_fold_outcome(PaymentFold *payment, Arena *arena, const BusDelivery *message)
{
    PaymentOutcome outcome;
    Err err = wire_decode_payment_outcome(arena, message->body, &outcome);
    if (err_is(err)) {
        log_event(worker_log(payment->worker), LOG_WARN, "outcome_not_counted",
                  LOG_FIELDS(log_number("sequence", (int64_t)message->sequence), log_why(&err)));
        payment_kaizen_other(&payment->kaizen, message->sequence);
        return;
    }
    payment_kaizen_outcome(&payment->kaizen, message->sequence, &outcome);
}

static void payment_fold_ledger(void *context, Arena *arena, const BusDelivery *message)
{
    PaymentFold *payment = context;
    if (str_starts_with(message->subject, STR("tai.payment.outcome."))) {
        payment_fold_outcome(payment, arena, message);
    } else if (str_starts_with(message->subject, STR("tai.payment.signal."))) {
        payment_kaizen_signal(&payment->kaizen, message->sequence);
    } else if (str_starts_with(message->subject, STR("tai.payment.decision."))) {
        bool approved = str_equal(message->subject, STR("tai.payment.decision.approved"));
        payment_kaizen_decision(&payment->kaizen, message->sequence, approved);
    } else {
        payment_kaizen_other(&payment->kaizen, message->sequence);
    }
}

static void payment_fold_andon(void *context, Arena *arena, const BusDelivery *message)
{
    PaymentFold *payment = context;
    Andon andon;
    Err err = wire_decode_andon(arena, message->body, &andon);
    if (!err_is(err) && str_equal(andon.alert, STR("circuit_breaker_open")) && !andon.cleared) {
        payment_kaizen_breaker_opened(&payment->kaizen, message->sequence);
    } else {
        payment_kaizen_other_andon(&payment->kaizen, message->sequence);
    }
}

/* --- breakers -------------------------------------------------------------------------------------------------------
 */

static BreakerSeen *breaker_slot(PaymentFold *payment, Str source)
{
    BreakerSeen *oldest = &payment->seen[0];
    for (size_t i = 0; i < BREAKERS_MAX; i++) {
        if (str_equal(str_from(payment->seen[i].source), source)) {
            return &payment->seen[i];
        }
        if (payment->seen[i].heard_ms < oldest->heard_ms) {
            oldest = &payment->seen[i];
        }
    }
    return oldest;
}

static Str json_text(Str raw)
{
    return raw.length >= 2 ? str_slice(raw, 1, raw.length - 1) : (Str){0};
}

static void breaker_heard(void *context, const BusDelivery *message)
{
    PaymentFold *payment = context;
    Str source = json_text(json_find_raw(message->body, STR("source")));
    Str state = json_text(json_find_raw(message->body, STR("state")));
    BreakerSeen *seen = breaker_slot(payment, source);
    if (source.length == 0 || !str_copy_to(source, seen->source, sizeof(seen->source))) {
        return;
    }
    seen->heard_ms = loop_now_ms(worker_loop(payment->worker));
    seen->state = str_equal(state, STR("open"))        ? STATE_OPEN
                  : str_equal(state, STR("half_open")) ? STATE_HALF_OPEN
                                                       : STATE_CLOSED;
}

/* The worst state of any process that still announces itself. */
static Str breaker_state(const PaymentFold *payment)
{
    static const char *const names[] = {"closed", "half_open", "open"};
    StateRank worst = STATE_CLOSED;
    int64_t silent_since_ms = loop_now_ms(worker_loop(payment->worker)) - BREAKER_SILENT_MS;
    for (size_t i = 0; i < BREAKERS_MAX; i++) {
        const BreakerSeen *seen = &payment->seen[i];
        if (seen->source[0] != '\0' && seen->heard_ms > silent_since_ms && seen->state > worst) {
            worst = seen->state;
        }
    }
    return str_from(names[worst]);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static Err payment_decode(Arena *arena, Str body, void *figures)
{
    return wire_decode_payment_kaizen(arena, body, figures);
}

static Str payment_encode(Arena *arena, const void *figures)
{
    return wire_encode_payment_kaizen(arena, figures);
}

static Str payment_print(void *context, Arena *arena, bool prometheus)
{
    const PaymentFold *payment = context;
    PaymentFigures figures = payment_kaizen_figures(&payment->kaizen);
    return prometheus ? wire_print_payment_exposition(arena, &payment->kaizen, breaker_state(payment))
                      : wire_print_payment_figures_json(arena, &figures);
}

Err payment_fold_open(Worker *worker, const MetricsSettings *settings, PaymentFold **out)
{
    PaymentFold *payment = calloc(1, sizeof(*payment));
    TAI_ASSERT(payment != NULL);
    payment->worker = worker;
    *out = payment;
    Err err =
        bus_subscribe(worker_bus(worker), STR(BREAKER_SUBJECT), (Str){0}, breaker_heard, payment, &payment->breakers);
    if (err_is(err)) {
        return err;
    }
    return fold_open(
        worker, settings,
        &(FoldSpec){
            .domain = "payment",
            .figures = &payment->kaizen,
            .figures_bytes = sizeof(payment->kaizen),
            .decode = payment_decode,
            .encode = payment_encode,
            .print = payment_print,
            .sources = {{"PAYMENT", "", offsetof(PaymentKaizen, payment_sequence), payment_fold_ledger},
                        {"ANDON", "tai.andon.payment.>", offsetof(PaymentKaizen, andon_sequence), payment_fold_andon}},
            .source_count = 2,
            .context = payment,
        },
        &payment->fold);
}

bool payment_fold_is_ready(const PaymentFold *payment)
{
    return fold_is_ready(payment->fold);
}

bool payment_fold_is_saved(const PaymentFold *payment)
{
    return fold_is_saved(payment->fold);
}

void payment_fold_close(PaymentFold *payment)
{
    if (payment == NULL) {
        return;
    }
    fold_close(payment->fold);
    bus_unsubscribe(payment->breakers);
    free(payment);
}
