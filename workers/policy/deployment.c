/* deployment - a deployment signal's way to its decision, and to its first region's lane.
 *
 *   BEGUN   decode, name the deployment; ask the registry for the image, and how the versions do that run now
 *   CALLED  when all have answered: evaluate the live policy on the facts, publish the decision
 *   STORED  decision: approved goes on to the first region's lane, rejected to its outcome; then done
 *   READ    there was a decision already: that one is followed; or an outcome: answer that one
 *
 * Ids are made and claimed as those of payments (identity.h). Everything that follows from a decision has an id of its
 * own, so that a delivery that repeats it stores nothing twice.
 */
#include "shared/base/trace.h"
#include "shared/wire/deployment.h"
#include "shared/wire/digest.h"
#include "workers/policy/facts.h"
#include "workers/policy/identity.h"
#include "workers/policy/policy.h"

#define QUICK_SCALE_E4 100

enum { TAG_DECISION, TAG_STANDING, TAG_WORK, TAG_OUTCOME, TAG_EARLIER, TAG_LATE, TAG_TAKEN };

static const IdentityDomain deployments = {
    .signals = "tai.deployment.signal.",
    .claims = "tai.deployment.claim.",
    .stream = "DEPLOYMENT",
    .prefix = DEPLOYMENT_PREFIX,
    .member = "deployment_id",
};

typedef struct {
    DeploymentDecision decision;
    Identity identity;
    Facts facts;
    Str outcome; /* encoded */
} Judgement;

/* --- the policy document -------------------------------------------------------------------------------------------
 */

static Err document_decode(Arena *arena, Str text, void *policy)
{
    return wire_decode_deployment_policy(arena, text, policy);
}

static Str document_print_default(Arena *arena, const void *context)
{
    const PolicySettings *settings = context;
    DeploymentPolicy *policy = arena_alloc(arena, sizeof(*policy));
    *policy = deployment_policy_default(arena);
    if (str_equal(str_from(settings->deployment_profile), STR("quick"))) {
        policy->time_scale_e4 = QUICK_SCALE_E4;
    }
    return wire_print_deployment_policy(arena, policy);
}

DocumentKind deployment_document(const PolicySettings *settings)
{
    return (DocumentKind){
        .domain = "deployment",
        .ledger = "DEPLOYMENT",
        .policy_bytes = sizeof(DeploymentPolicy),
        .decode = document_decode,
        .print_default = document_print_default,
        .context = settings,
    };
}

Err deployment_settings_check(const PolicySettings *settings)
{
    Str profile = str_from(settings->deployment_profile);
    Str health = str_from(settings->health);
    if (!str_equal(profile, STR("real")) && !str_equal(profile, STR("quick"))) {
        return err_reject("policy.deployment_profile: must be real or quick");
    }
    if (!str_equal(health, STR("sandbox")) && !str_equal(health, STR("prometheus"))) {
        return err_reject("policy.health: must be sandbox or prometheus");
    }
    return err_none();
}

/* --- whose signal it is ------------------------------------------------------------------------------------------ */

static Err signal_read(Task *task, Judgement *judgement)
{
    DeploymentSignal *signal = &judgement->decision.signal;
    Err err = identity_read(task, &deployments, &judgement->identity);
    if (!err_is(err)) {
        err = wire_decode_deployment_signal(&task->arena, task->message.body, signal);
    }
    signal->publisher = judgement->identity.publisher;
    return err;
}

static void signal_complete(Task *task, const Policy *policy, Judgement *judgement)
{
    DeploymentDecision *decision = &judgement->decision;
    decision->signal.received_ms = identity_received_ms(task, decision->signal.received_ms);
    decision->signal.deployment_id = judgement->identity.id;
    decision->signal_sequence = task->message.sequence;
    decision->image = facts_image(task, &policy->settings, &decision->signal);
}

/* --- results ------------------------------------------------------------------------------------------------------ */

static Str outcome_subject(Task *task, const Judgement *judgement)
{
    return arena_print(&task->arena, "tai.deployment.outcome." STR_FMT, STR_ARG(judgement->identity.id));
}

/* "image_not_found, frozen": all that is wrong, in a line. */
static Str codes_print(Task *task, const DeploymentDecision *decision)
{
    Str codes = STR("rejected by policy");
    for (size_t i = 0; i < decision->violation_count; i++) {
        codes = arena_print(&task->arena, STR_FMT "%s" STR_FMT, STR_ARG(codes), i == 0 ? ": " : ", ",
                            STR_ARG(decision->violations[i].code));
    }
    return codes;
}

static void publish_rejected(Task *task, Judgement *judgement)
{
    const DeploymentDecision *decision = &judgement->decision;
    const DeploymentSignal *signal = &decision->signal;
    TraceContext trace;
    DeploymentOutcome outcome = {
        .deployment_id = signal->deployment_id,
        .publisher = signal->publisher,
        .service = signal->service,
        .version = signal->version,
        .strategy = signal->strategy,
        .status = DEPLOYMENT_REJECTED,
        .violations = decision->violations,
        .violation_count = decision->violation_count,
        .error_message = codes_print(task, decision),
        .received_ms = signal->received_ms,
        .timestamp_ms = task->unix_ms,
        .time_scale_e4 = decision->plan.time_scale_e4,
    };
    if (trace_parse(bus_delivery_header(&task->message, BUS_HEADER_TRACE), &trace)) {
        outcome.trace_id = arena_copy(&task->arena, str_from(trace.trace_id));
    }
    judgement->outcome = wire_encode_deployment_outcome(&task->arena, &outcome);
    BusMessage message = task_derive(task, outcome_subject(task, judgement), judgement->outcome, (Str){0});
    bus_message_expect_new(&message);
    task_store(task, TAG_OUTCOME, &message);
}

/* The id holds the publisher: one publisher's decision must not be taken for a repeat of another's. */
static void publish_decision(Task *task, Judgement *judgement)
{
    const DeploymentDecision *decision = &judgement->decision;
    Str id = arena_print(&task->arena, "decision." STR_FMT "." STR_FMT, STR_ARG(decision->signal.publisher),
                         STR_ARG(decision->signal.deployment_id));
    Str subject =
        decision->rejected ? STR("tai.deployment.decision.rejected") : STR("tai.deployment.decision.approved");
    BusMessage message = task_derive(task, subject, wire_encode_deployment_decision(&task->arena, decision), id);
    task_store(task, TAG_DECISION, &message);
}

static void publish_work(Task *task, const Judgement *judgement)
{
    const DeploymentSignal *signal = &judgement->decision.signal;
    DeploymentRegionWork *work = arena_alloc(&task->arena, sizeof(*work));
    *work = (DeploymentRegionWork){.decision = judgement->decision, .kind = REGION_WORK_ROLLOUT};
    Str subject = arena_print(&task->arena, "tai.deployment.region." STR_FMT, STR_ARG(signal->regions[0]));
    Str id = arena_print(&task->arena, "region." STR_FMT ".0", STR_ARG(signal->deployment_id));
    BusMessage message = task_derive(task, subject, wire_encode_region_work(&task->arena, work), id);
    task_store(task, TAG_WORK, &message);
}

static void decision_follow(Task *task, Judgement *judgement)
{
    if (judgement->decision.rejected) {
        publish_rejected(task, judgement);
    } else {
        publish_work(task, judgement);
    }
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void signal_decide(Task *task, const Policy *policy, Judgement *judgement)
{
    Facts *facts = &judgement->facts;
    if (err_is(facts->unknown) && !facts_are_due(task, &policy->settings)) {
        task_keep(task, identity_keep_ms(task), facts->unknown);
        return;
    }
    facts->facts.now_ms = task->unix_ms;
    judgement->decision.policy_revision = document_revision(policy->deployment);
    judgement->decision.decided_ms = task->unix_ms;
    deployment_evaluate(document_policy(policy->deployment), &facts->facts, &task->arena, &judgement->decision);
    publish_decision(task, judgement);
}

/* A signal that was delivered before, longer ago than the ledger knows ids, may have been decided: what stands there
 * tells. */
static void signal_judge(Task *task, const Policy *policy, Judgement *judgement)
{
    if (task->message.delivered > 1 && task->unix_ms >= task->message.time_ms + DECISION_KNOWN_MS) {
        task_get_last(task, TAG_LATE, STR("DEPLOYMENT"), outcome_subject(task, judgement));
        return;
    }
    facts_ask(task, policy, &judgement->decision, &judgement->facts);
    if (judgement->facts.outstanding == 0) {
        signal_decide(task, policy, judgement);
    }
}

static void signal_named(Task *task, const Policy *policy, Judgement *judgement, IdentityStep step)
{
    switch (step) {
    case IDENTITY_WAITS:
        break;
    case IDENTITY_OURS:
        signal_complete(task, policy, judgement);
        signal_judge(task, policy, judgement);
        break;
    case IDENTITY_TAKEN:
        task_get_last(task, TAG_EARLIER, STR("DEPLOYMENT"), outcome_subject(task, judgement));
        break;
    }
}

static void signal_begun(Task *task, const Policy *policy)
{
    Judgement *judgement = arena_alloc(&task->arena, sizeof(*judgement));
    task->state = judgement;
    Err err = signal_read(task, judgement);
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    Str stated = judgement->decision.signal.deployment_id;
    signal_named(task, policy, judgement, identity_begin(task, &judgement->identity, stated));
}

static void signal_called(Task *task, const Policy *policy, const TaskEvent *event)
{
    Judgement *judgement = task->state;
    facts_hear(task, policy, &judgement->decision, event, &judgement->facts);
    if (judgement->facts.outstanding == 0) {
        signal_decide(task, policy, judgement);
    }
}

/* An earlier delivery decided, perhaps otherwise (the policy or a region changed since). That is followed. */
static void signal_standing(Task *task, const TaskEvent *event)
{
    Judgement *judgement = task->state;
    DeploymentDecision standing;
    if (err_is(event->err) || event->message == NULL) {
        task_keep(task, identity_keep_ms(task), err_retry("the decision that stands could not be read"));
        return;
    }
    Err err = wire_decode_deployment_decision(&task->arena, event->message->body, &standing);
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    judgement->decision = standing;
    decision_follow(task, judgement);
}

/* An outcome was there before: a redelivery, or a repeat of the same deployment. It stands. */
static void signal_earlier(Task *task, const TaskEvent *event)
{
    const Judgement *judgement = task->state;
    DeploymentOutcome earlier;
    if (err_is(event->err)) {
        task_keep(task, identity_keep_ms(task), event->err);
        return;
    }
    if (event->message == NULL) {
        task_done(task); /* the first signal is still on its way */
        return;
    }
    Err err = wire_decode_deployment_outcome(&task->arena, event->message->body, &earlier);
    if (!err_is(err) && !str_equal(earlier.publisher, judgement->identity.publisher)) {
        err = err_reject("deployment_id: belongs to another publisher");
    }
    if (err_is(err)) {
        task_bury(task, err);
        return;
    }
    task_answer(task, event->message->body);
    task_done(task);
}

static void signal_late(Task *task, const TaskEvent *event)
{
    const Judgement *judgement = task->state;
    if (err_is(event->err) || event->message != NULL) {
        signal_earlier(task, event);
        return;
    }
    task_get_last(task, TAG_TAKEN, STR("DEPLOYMENT"),
                  arena_print(&task->arena, "tai.deployment.event." STR_FMT, STR_ARG(judgement->identity.id)));
}

/* Without an outcome: a rollout that has events was approved. Otherwise nobody can tell from here. */
static void signal_taken(Task *task, const TaskEvent *event)
{
    if (err_is(event->err)) {
        task_keep(task, identity_keep_ms(task), event->err);
    } else if (event->message != NULL) {
        task_done(task);
    } else {
        task_bury(task, err_unknown("an earlier delivery may have decided, too long ago to tell: a person must look"));
    }
}

static void signal_read_ledger(Task *task, const TaskEvent *event)
{
    switch (event->tag) {
    case TAG_STANDING:
        signal_standing(task, event);
        break;
    case TAG_LATE:
        signal_late(task, event);
        break;
    case TAG_TAKEN:
        signal_taken(task, event);
        break;
    default:
        signal_earlier(task, event);
        break;
    }
}

static void signal_stored(Task *task, const TaskEvent *event)
{
    Judgement *judgement = task->state;
    if (event->stored->exists) { /* refused by the server: somebody was first */
        task_get_last(task, TAG_EARLIER, STR("DEPLOYMENT"), outcome_subject(task, judgement));
        return;
    }
    if (err_is(event->err)) {
        task_keep(task, identity_keep_ms(task), event->err);
        return;
    }
    switch (event->tag) {
    case TAG_DECISION:
        if (event->stored->duplicate) {
            task_get(task, TAG_STANDING, STR("DEPLOYMENT"), event->stored->sequence);
        } else {
            decision_follow(task, judgement);
        }
        return;
    case TAG_OUTCOME:
        task_answer(task, judgement->outcome);
        break;
    default:
        break;
    }
    task_done(task);
}

void deployment_signal_step(void *context, Task *task, const TaskEvent *event)
{
    const Policy *policy = context;
    Judgement *judgement = task->state;
    if (event->kind != TASK_BEGUN && identity_is_asked(event)) {
        signal_named(task, policy, judgement, identity_hear(task, &judgement->identity, event));
        return;
    }
    switch (event->kind) {
    case TASK_BEGUN:
        signal_begun(task, policy);
        break;
    case TASK_CALLED:
        signal_called(task, policy, event);
        break;
    case TASK_STORED:
        signal_stored(task, event);
        break;
    case TASK_READ:
        signal_read_ledger(task, event);
        break;
    case TASK_EVALUATED:
    case TASK_WOKEN:
        break; /* never asked for */
    }
}
