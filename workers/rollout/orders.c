/* orders - what people say about a rollout, read from the ledger in order and heard once each. */
#include "shared/wire/deployment.h"
#include "workers/rollout/run.h"

typedef struct {
    Run *run;
    void (*then)(Run *run);
} OrderReading;

static void run_queue_order(Run *run, const BusDelivery *message)
{
    RunOrder *order = arena_alloc(&run->arena, sizeof(*order));
    order->sequence = message->sequence;
    run->order_sequence = message->sequence;
    Err err = wire_decode_deployment_control(&run->arena, message->body, &order->control);
    if (err_is(err)) {
        log_event(run->rollouts->log, LOG_WARN, "order_ignored",
                  LOG_FIELDS(log_text("deployment_id", run_id(run)), log_why(&err)));
        return;
    }
    RunOrder **last = &run->orders;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = order;
}

static void run_order_read(void *context, Err err, const BusDelivery *message)
{
    OrderReading *reading = context;
    Run *run = reading->run;
    if (message != NULL) {
        run_queue_order(run, message);
        return;
    }
    bus_read_close(run->read);
    run->read = NULL;
    run->busy = false;
    if (err_is(err)) {
        run->orders_hinted = true; /* read again with the next step */
    }
    reading->then(run);
}

static void run_try_again(void *context)
{
    Run *run = context;
    run->orders_hinted = true;
    run_advance(run);
}

void run_read_orders(Run *run, void (*then)(Run *run))
{
    OrderReading *reading = arena_alloc(&run->arena, sizeof(*reading));
    *reading = (OrderReading){run, then};
    Str filter = arena_print(&run->scratch, "tai.deployment.control." STR_FMT, STR_ARG(run_id(run)));
    run->busy = true;
    Err err = bus_read_open(
        run->rollouts->bus,
        &(BusReadOptions){.stream = STR("DEPLOYMENT"), .filter = filter, .from_sequence = run->order_sequence + 1},
        run_order_read, reading, &run->read);
    if (err_is(err)) {
        run->busy = false;
        run_retry(run, run_try_again, err);
    }
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
        log_event(run->rollouts->log, LOG_INFO, "order_refused",
                  LOG_FIELDS(log_text("deployment_id", run_id(run)),
                             log_text("order", str_from(rollout_order_name(heard.order))), log_text("who", heard.who),
                             log_why(&why_not)));
    }
    return false;
}
