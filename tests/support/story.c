/* story - what the ledger says of a deployment. */
#include "tests/support/story.h"

#include <string.h>

#include "shared/wire/andon.h"

#define IS(subject, prefix) (strncmp(subject, "tai.deployment." prefix, strlen("tai.deployment." prefix)) == 0)

/* --- names ----------------------------------------------------------------------------------------------------- */

static bool is_about(const StorySubject *about, Str id)
{
    return str_equal(id, str_from(about->id));
}

/* "2" for the second region, "2:restore" for its way back. */
static const char *region_told(Stack *stack, const StorySubject *about, Str label)
{
    for (size_t i = 0; i < about->region_count; i++) {
        Str name = str_from(about->regions[i]);
        if (str_starts_with(label, name) && (label.length == name.length || label.data[name.length] == ':')) {
            return stack_print(stack, "%zu" STR_FMT, i + 1, STR_ARG(str_slice(label, name.length, label.length)));
        }
    }
    return "?";
}

/* A command's id without the deployment's and the region's. */
static const char *command_told(Stack *stack, const StorySubject *about, Str id)
{
    Str rest = str_slice(id, strlen(about->id) + 1, id.length);
    size_t dot = 0;
    while (dot < rest.length && rest.data[dot] != '.') {
        dot++;
    }
    return stack_print(stack, "%s" STR_FMT, region_told(stack, about, str_slice(rest, 0, dot)),
                       STR_ARG(str_slice(rest, dot, rest.length)));
}

/* --- lines ----------------------------------------------------------------------------------------------------- */

static const char *event_line(Stack *stack, const StorySubject *about, Str body)
{
    RolloutEvent event;
    Str stage = {0};
    Err err = wire_decode_rollout_event_named(&stack->arena, body, &event, &stage);
    cr_assert(!err_is(err), "%s", err.why);
    const char *verdict = event.judged ? judge_verdict_name(event.verdict.verdict) : "unjudged";
    const char *phase = event.kind == ROLLOUT_EVENT_ENDED ? rollout_phase_name(event.phase) : "";
    return stack_print(stack, "event %s %s " STR_FMT " weight=%d%s cause=%d %s who=" STR_FMT " %s\n",
                       region_told(stack, about, event.region), rollout_event_name(event.kind), STR_ARG(stage),
                       (int)event.weight_percent, event.full ? " full" : "", (int)event.cause, phase,
                       STR_ARG(event.who), verdict);
}

static const char *command_line(Stack *stack, const StorySubject *about, Str body)
{
    DeploymentCommand command;
    Err err = wire_decode_deployment_command(&stack->arena, body, &command);
    cr_assert(!err_is(err), "%s", err.why);
    if (!is_about(about, command.deployment_id)) {
        return "";
    }
    return stack_print(stack, "command %s %s %d previous=" STR_FMT "\n", command_told(stack, about, command.command_id),
                       rollout_command_name(command.kind), (int)command.weight_percent,
                       STR_ARG(command.previous_version));
}

static const char *work_line(Stack *stack, const StorySubject *about, Str body)
{
    DeploymentRegionWork work;
    Err err = wire_decode_region_work(&stack->arena, body, &work);
    cr_assert(!err_is(err), "%s", err.why);
    if (!is_about(about, work.decision.signal.deployment_id)) {
        return "";
    }
    return stack_print(stack, "work %d %s who=" STR_FMT "\n", (int)work.region_index + 1,
                       work.kind == REGION_WORK_RESTORE ? "restore" : "rollout", STR_ARG(work.who));
}

static const char *running_line(Stack *stack, const StorySubject *about, Str body)
{
    DeploymentRunning running;
    Err err = wire_decode_deployment_running(&stack->arena, body, &running);
    cr_assert(!err_is(err), "%s", err.why);
    return is_about(about, running.deployment_id)
               ? stack_print(stack, "running %s " STR_FMT "\n", region_told(stack, about, running.region),
                             STR_ARG(running.version))
               : "";
}

static const char *outcome_line(Stack *stack, const StorySubject *about, Str body)
{
    DeploymentOutcome outcome;
    Err err = wire_decode_deployment_outcome(&stack->arena, body, &outcome);
    cr_assert(!err_is(err), "%s", err.why);
    const char *line = stack_print(stack, "outcome %s", deployment_status_name(outcome.status));
    for (size_t i = 0; i < outcome.region_count; i++) {
        const DeploymentRegionResult *result = &outcome.regions[i];
        line = stack_print(stack, "%s, %s %s after %zu stages", line, region_told(stack, about, result->region),
                           deployment_status_name(result->status), result->stages_count);
    }
    return stack_print(stack, "%s\n", line);
}

const char *story_line(Stack *stack, const StorySubject *about, const char *subject, Str body)
{
    const char *last = strrchr(subject, '.') + 1;
    bool ours = strcmp(last, about->id) == 0;
    if (IS(subject, "event.")) {
        return ours ? event_line(stack, about, body) : "";
    }
    if (IS(subject, "outcome.")) {
        return ours ? outcome_line(stack, about, body) : "";
    }
    if (IS(subject, "command.")) {
        return command_line(stack, about, body);
    }
    if (IS(subject, "region.")) {
        return work_line(stack, about, body);
    }
    return IS(subject, "running.") ? running_line(stack, about, body) : "";
}

/* --- alerts ---------------------------------------------------------------------------------------------------- */

static const char *alert_line(Stack *stack, const StorySubject *about, const Entry *entry)
{
    Andon andon;
    if (!strstr(entry->msg_id, about->id)) {
        return "";
    }
    Err err = wire_decode_andon(&stack->arena, entry->body, &andon);
    cr_assert(!err_is(err), "%s", err.why);
    return stack_print(stack, "alert " STR_FMT " %s%s\n", STR_ARG(andon.alert),
                       andon.severity == ANDON_CRITICAL ? "CRITICAL" : "HIGH", andon.cleared ? " cleared" : "");
}

const char *story_tell(Stack *stack, const StorySubject *about, const Entries *ledger, const Entries *alerts)
{
    const char *story = "";
    for (size_t i = 0; i < ledger->count; i++) {
        const Entry *entry = &ledger->entries[i];
        const char *line = story_line(stack, about, entry->subject, entry->body);
        story = line[0] ? stack_print(stack, "%s%s", story, line) : story;
    }
    for (size_t i = 0; i < alerts->count; i++) {
        const char *line = alert_line(stack, about, &alerts->entries[i]);
        story = line[0] ? stack_print(stack, "%s%s", story, line) : story;
    }
    return story;
}

/* --- times ----------------------------------------------------------------------------------------------------- */

static DeploymentPlan plan_read(Stack *stack, const StorySubject *about, const Entries *ledger)
{
    for (size_t i = 0; i < ledger->count; i++) {
        DeploymentDecision decision;
        if (IS(ledger->entries[i].subject, "decision.approved") &&
            !err_is(wire_decode_deployment_decision(&stack->arena, ledger->entries[i].body, &decision)) &&
            is_about(about, decision.signal.deployment_id)) {
            decision.plan.bake_ms = 0; /* kept after the end, not within the rollout */
            return decision.plan;
        }
    }
    cr_assert_fail("%s was not approved", about->id);
    return (DeploymentPlan){0};
}

static void event_check(const StorySubject *about, const DeploymentPlan *plan, const Rollout *before,
                        const RolloutEvent *event)
{
    if (event->kind == ROLLOUT_EVENT_OBSERVING) {
        cr_expect_eq(event->until_ms - event->at_ms, plan->stages[event->stage].duration_ms, "%s", about->service);
    } else if (event->kind == ROLLOUT_EVENT_STAGE_PASSED && !before->promote && !before->promote_full) {
        cr_expect_geq(event->at_ms, before->until_ms, "%s: stage %d before its time", about->service, event->stage);
    }
}

void story_check(Stack *stack, const StorySubject *about, const Entries *ledger)
{
    DeploymentPlan plan = plan_read(stack, about, ledger);
    const char *subject = stack_print(stack, "tai.deployment.event.%s", about->id);
    Str label = {0};
    Rollout state = rollout_make();
    for (size_t i = 0; i < ledger->count; i++) {
        RolloutEvent event;
        if (strcmp(ledger->entries[i].subject, subject) != 0) {
            continue;
        }
        Err err = wire_decode_rollout_event(&stack->arena, ledger->entries[i].body, &event);
        cr_assert(!err_is(err), "%s", err.why);
        if (!str_equal(event.region, label)) {
            cr_expect(state.events == 0 || rollout_phase_is_final(state.phase),
                      "%s: " STR_FMT " before " STR_FMT " was over", about->service, STR_ARG(event.region),
                      STR_ARG(label));
            state = rollout_make();
            label = event.region;
        }
        event_check(about, &plan, &state, &event);
        cr_expect(rollout_apply(&state, &plan, &event), "%s: %s does not fit", about->service,
                  rollout_event_name(event.kind));
    }
    cr_expect(rollout_phase_is_final(state.phase), "%s: %s", about->service, rollout_phase_name(state.phase));
}
