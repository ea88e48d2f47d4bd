/* charge - the hands of the charge's state machine: it says what to do next, this file does it.
 *
 *   LOOK    read the outcome's subject
 *   CALL    the gate's permit, then the payment gateway
 *   FINISH  publish the outcome, admitted by the server as the only one; answer whoever waits
 */
#include "shared/base/trace.h"
#include "shared/wire/payment.h"
#include "workers/action/action.h"

#define AGAIN_MS 500

enum { TAG_LOOK, TAG_EXISTING, TAG_CALL, TAG_WAIT, TAG_OUTCOME, TAG_OUTCOME_AGAIN };

typedef struct {
    PaymentDecision decision;
    Charge charge;
    BreakerPermit permit;
    PaymentGatewayResponse response; /* of the last call */
    Str outcome_subject;
    Str outcome; /* encoded */
} Job;

static void job_move(const Action *action, Task *task, ChargeMove move);

static void job_store_outcome(Task *task)
{
    const Job *job = task->state;
    BusMessage message = task_derive(task, job->outcome_subject, job->outcome, (Str){0});
    bus_message_expect_new(&message);
    task_store(task, TAG_OUTCOME, &message);
}

static void job_publish_outcome(Task *task, ChargeMove move)
{
    Job *job = task->state;
    TraceContext trace;
    PaymentOutcome outcome = payment_outcome_from_decision(&job->decision, move.status, task->unix_ms);
    outcome.failure = str_from(move.failure);
    outcome.retry_after_ms = move.retry_after_ms;
    outcome.gateway = job->response;
    if (trace_parse(bus_delivery_header(&task->message, BUS_HEADER_TRACE), &trace)) {
        outcome.trace_id = arena_copy(&task->arena, str_from(trace.trace_id));
    }
    job->outcome = wire_encode_payment_outcome(&task->arena, &outcome);
    job_store_outcome(task);
}

static void job_call(const Action *action, Task *task)
{
    Job *job = task->state;
    job->permit = gate_admit(action->gate);
    if (!job->permit.admitted) {
        job_move(action, task,
                 charge_not_permitted(&job->charge, &action->settings.charge, job->permit.paced,
                                      job->permit.retry_after_ms, task->unix_ms, task->random));
        return;
    }
    HttpRequest request = stripe_charge_request(&task->arena, &action->settings.stripe, &job->decision);
    task_call(task, TAG_CALL, &request);
}

/* A bus that was killed while this task waited may have given the charge to another worker, who called: what this task
 * knows of itself is then no ground for calling the charge failed. */
static bool job_may_be_elsewhere(const Action *action, const Task *task, ChargeMove move)
{
    const Job *job = task->state;
    return move.status == PAYMENT_FAILED && !job->charge.touched &&
           !recall_is_certain(action->recall, task->message.sequence);
}

static void job_move(const Action *action, Task *task, ChargeMove move)
{
    const Job *job = task->state;
    switch (move.step) {
    case CHARGE_LOOK:
        task_get_last(task, TAG_LOOK, STR("PAYMENT"), job->outcome_subject);
        break;
    case CHARGE_CALL:
        job_call(action, task);
        break;
    case CHARGE_WAIT:
        task_sleep(task, TAG_WAIT, move.wait_ms);
        break;
    case CHARGE_FINISH:
        if (job_may_be_elsewhere(action, task, move)) {
            task_keep(task, AGAIN_MS, err_unknown("another worker may have been given this charge meanwhile"));
        } else {
            job_publish_outcome(task, move);
        }
        break;
    case CHARGE_REPEAT:
        task_get_last(task, TAG_EXISTING, STR("PAYMENT"), job->outcome_subject);
        break;
    case CHARGE_KEEP:
        task_keep(task, move.wait_ms,
                  err_unknown("charge unresolved: " STR_FMT, STR_ARG(str_slice(job->response.message, 0, 80))));
        break;
    case CHARGE_BURY:
        task_bury(task, err_unknown("charge unresolved past its horizon: a person must ask the payment gateway"));
        break;
    }
}

/* Which delivery this is, as far as anybody knows: one that the server may have forgotten is not the first. */
static uint64_t job_delivered(const Action *action, const BusDelivery *message)
{
    bool forgotten = message->delivered <= 1 && !recall_is_certain(action->recall, message->sequence);
    return forgotten ? 2 : message->delivered;
}

static void job_begun(const Action *action, Task *task)
{
    Job *job = arena_alloc(&task->arena, sizeof(*job));
    task->state = job;
    Err err = wire_decode_payment_decision(&task->arena, task->message.body, &job->decision);
    if (!err_is(err) && job->decision.verdict.rejected) {
        err = err_reject("verdict: a rejected decision is not charged");
    }
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    job->outcome_subject =
        arena_print(&task->arena, "tai.payment.outcome." STR_FMT, STR_ARG(job->decision.signal.transaction_id));
    ChargeIntent intent = {
        .decided_ms = job->decision.decided_ms,
        .deadline_ms = job->decision.deadline_ms,
        .delivered = job_delivered(action, &task->message),
        .fresh = job->decision.fresh,
    };
    job_move(action, task, charge_start(&job->charge, &action->settings.charge, intent, task->unix_ms, task->random));
}

/* An outcome stands: it is repeated to whoever waits, unless it is not this publisher's at all. */
static void job_repeat(Task *task, const TaskEvent *event)
{
    const Job *job = task->state;
    PaymentOutcome existing;
    if (err_is(event->err) || event->message == NULL) {
        task_keep(task, AGAIN_MS, err_retry("the outcome that exists could not be read"));
        return;
    }
    Err err = wire_decode_payment_outcome(&task->arena, event->message->body, &existing);
    if (!err_is(err) && !str_equal(existing.publisher, job->decision.signal.publisher)) {
        err = err_reject("transaction_id: belongs to another publisher");
    }
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    task_answer(task, event->message->body);
    task_done(task);
}

static void job_looked(const Action *action, Task *task, const TaskEvent *event)
{
    Job *job = task->state;
    if (err_is(event->err)) {
        task_keep(task, AGAIN_MS, event->err);
    } else if (event->message != NULL) {
        job_repeat(task, event);
    } else {
        job_move(action, task,
                 charge_looked(&job->charge, &action->settings.charge, false, task->unix_ms, task->random));
    }
}

static BreakerCall breaker_call_of(ChargeAnswer answer)
{
    switch (answer) {
    case CHARGE_SUCCEEDED:
    case CHARGE_DECLINED:
    case CHARGE_REFUSED:
        return BREAKER_CALL_SUCCEEDED;
    case CHARGE_THROTTLED:
        return BREAKER_CALL_IGNORED;
    case CHARGE_UNREACHABLE:
    case CHARGE_UNCLEAR:
        break;
    }
    return BREAKER_CALL_FAILED;
}

static void job_called(const Action *action, Task *task, const TaskEvent *event)
{
    Job *job = task->state;
    ChargeAnswer answer = stripe_charge_answer(&task->arena, event->http, &job->response);
    bool conflict = event->http->kind == HTTP_ANSWERED && event->http->status == 409;
    gate_record(action->gate, &job->permit, conflict ? BREAKER_CALL_SUCCEEDED : breaker_call_of(answer),
                event->http->duration_ms);
    if (answer == CHARGE_THROTTLED) {
        gate_pace(action->gate, event->http->retry_after_ms);
    }
    job_move(action, task,
             charge_answered(&job->charge, &action->settings.charge, answer, event->http->retry_after_ms, task->unix_ms,
                             task->random));
}

static void job_stored(Task *task, const TaskEvent *event)
{
    const Job *job = task->state;
    if (event->stored->exists) {
        task_get_last(task, TAG_EXISTING, STR("PAYMENT"), job->outcome_subject);
    } else if (err_is(event->err)) {
        /* Not given back: the next delivery would know less, and ask the payment gateway for what is known here. */
        task_sleep(task, TAG_OUTCOME_AGAIN, AGAIN_MS);
    } else {
        task_answer(task, job->outcome);
        task_done(task);
    }
}

void charge_step(void *context, Task *task, const TaskEvent *event)
{
    const Action *action = context;
    Job *job = task->state;
    switch (event->kind) {
    case TASK_BEGUN:
        job_begun(action, task);
        break;
    case TASK_READ:
        if (event->tag == TAG_LOOK) {
            job_looked(action, task, event);
        } else {
            job_repeat(task, event);
        }
        break;
    case TASK_CALLED:
        job_called(action, task, event);
        break;
    case TASK_WOKEN:
        if (event->tag == TAG_OUTCOME_AGAIN) {
            job_store_outcome(task);
            break;
        }
        job_move(action, task, charge_resume(&job->charge, &action->settings.charge, task->unix_ms, task->random));
        break;
    case TASK_STORED:
        job_stored(task, event);
        break;
    case TASK_EVALUATED:
        break; /* never asked for */
    }
}
