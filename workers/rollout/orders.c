/* orders - what people say about a rollout, read from the ledger in order and heard once each. */
#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

/* So many at a time: what comes after them is read when these are heard. */
#define ORDERS_MAX 256

static void run_ask_for_order(Run *run);

/* How many wait now. */
static size_t run_queue_order(Run *run, const BusDelivery *message)
{
    RunOrder *order = arena_alloc(&run->order_arena, sizeof(*order));
    order->sequence = message->sequence;
    run->order_sequence = message->sequence;
    Err err = wire_decode_deployment_control(&run->order_arena, message->body, &order->control);
    if (err_is(err)) {
        log_event(run->rollouts->log, LOG_WARN, "order_ignored",
                  LOG_FIELDS(log_text("deployment_id", run_id(run)), log_why(&err)));
        return 0;
    }
    size_t count = 1;
    RunOrder **last = &run->orders;
    while (*last != NULL) {
        last = &(*last)->next;
        count++;
    }
    *last = order;
    return count;
}

static void run_read_orders_again(void *context)
{
    Run *run = context;
    run_read_orders(run, run->then);
}

static void run_order_read(void *context, Err err, const BusDelivery *message)
{
    Run *run = context;
    if (!run_is_back(run)) {
        return;
    }
    bool found = !err_is(err) && message != NULL;
    bool full = found && run_queue_order(run, message) >= ORDERS_MAX;
    if (found && !full) {
        run_ask_for_order(run);
        return;
    }
    run->busy = false;
    if (err_is(err)) {
        run_retry(run, run_read_orders_again, err);
        return;
    }
    run->orders_hinted = run->orders_hinted || full; /* the rest after these */
    run->then(run);
}

static void run_ask_for_order(Run *run)
{
    Str subject = arena_print(&run->scratch, "tai.deployment.control." STR_FMT, STR_ARG(run_id(run)));
    run_asks(run);
    bus_get_next(run->rollouts->bus, STR("DEPLOYMENT"), subject, run->order_sequence + 1, ROLLOUT_BUS_TIMEOUT_MS,
                 run_order_read, run);
}

void run_read_orders(Run *run, void (*then)(Run *run))
{
    run->busy = true;
    run->then = then;
    if (run->orders == NULL) {
        arena_release(&run->order_arena);
    }
    run_ask_for_order(run);
}

/* Refused with a reason, or fulfilled already. */
void run_log_unheard(const Run *run, const RolloutHeard *heard, Err why_not)
{
    Err why = err_is(why_not) ? why_not : err_reject("it is so already");
    log_event(run->rollouts->log, LOG_INFO, err_is(why_not) ? "order_refused" : "order_not_needed",
              LOG_FIELDS(log_text("deployment_id", run_id(run)),
                         log_text("order", str_from(rollout_order_name(heard->order))), log_text("who", heard->who),
                         log_why(&why)));
}

bool run_hear_order(Run *run)
{
    while (run->orders != NULL) {
        RunOrder *order = run->orders;
        run->event = arena_alloc(&run->scratch, sizeof(*run->event));
        run->orders = order->next;
        run->order_heard = order->sequence;
        RolloutHeard heard = {
            .kind = ROLLOUT_HEARD_ORDER,
            .order = order->control.order,
            .who = order->control.who,
            .why = order->control.why,
        };
        Err why_not = err_none();
        if (rollout_hear(&run->state, run_plan(run), &heard, run_now_ms(run), &run->scratch, run->event, &why_not)) {
            run_store_event(run);
            return true;
        }
        run_log_unheard(run, &heard, why_not);
    }
    return false;
}
