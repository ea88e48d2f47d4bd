/* wire/deployment - bytes on the bus to the deployment domain's structs and back. As wire/payment.h. */
#ifndef TAI_WIRE_DEPLOYMENT_H
#define TAI_WIRE_DEPLOYMENT_H

#include "shared/base/arena.h"
#include "shared/deployment/kaizen.h"
#include "shared/deployment/policy.h"
#include "shared/deployment/work.h"

/* JSON or protobuf, by the first byte, as for payments; includes deployment_signal_check(). JSON members: service,
 * version, target_region (text) or target_regions (array, ordered), rollout_strategy (default "canary"), image,
 * on_region_failure ("halt", "rollback_all", "continue"). */
MUST_USE Err wire_decode_deployment_signal(Arena *arena, Str body, DeploymentSignal *signal);
MUST_USE Err wire_decode_deployment_signal_json(Arena *arena, Str body, DeploymentSignal *signal);
Str wire_encode_deployment_signal(Arena *arena, const DeploymentSignal *signal);

MUST_USE Err wire_decode_deployment_decision(Arena *arena, Str body, DeploymentDecision *decision);
Str wire_encode_deployment_decision(Arena *arena, const DeploymentDecision *decision);

MUST_USE Err wire_decode_region_work(Arena *arena, Str body, DeploymentRegionWork *work);
Str wire_encode_region_work(Arena *arena, const DeploymentRegionWork *work);

MUST_USE Err wire_decode_deployment_command(Arena *arena, Str body, DeploymentCommand *command);
Str wire_encode_deployment_command(Arena *arena, const DeploymentCommand *command);

MUST_USE Err wire_decode_deployment_result(Arena *arena, Str body, DeploymentResult *result);
Str wire_encode_deployment_result(Arena *arena, const DeploymentResult *result);

/* At most 16 KiB: a query and reasons must stay short. */
MUST_USE Err wire_decode_rollout_event(Arena *arena, Str body, RolloutEvent *event);
/* `stage_name` is put beside the index for readers without the plan; may be empty. */
Str wire_encode_rollout_event(Arena *arena, const RolloutEvent *event, Str stage_name);

/* Also JSON ({"order": "pause", "who": "…", "why": "…"}): a control may be published directly. Order and who must be
 * there; a deployment_id is read but the subject's counts. From JSON when_ms is 0. */
MUST_USE Err wire_decode_deployment_control(Arena *arena, Str body, DeploymentControl *control);
Str wire_encode_deployment_control(Arena *arena, const DeploymentControl *control);

MUST_USE Err wire_decode_deployment_outcome(Arena *arena, Str body, DeploymentOutcome *outcome);
Str wire_encode_deployment_outcome(Arena *arena, const DeploymentOutcome *outcome);

MUST_USE Err wire_decode_deployment_running(Arena *arena, Str body, DeploymentRunning *running);
Str wire_encode_deployment_running(Arena *arena, const DeploymentRunning *running);

/* The policy document (ops/policy/deployment.json shows it), at most DEPLOYMENT_POLICY_BODY_MAX; regions go into the
 * arena. */
MUST_USE Err wire_decode_deployment_policy(Arena *arena, Str document, DeploymentPolicy *policy);
Str wire_print_deployment_policy(Arena *arena, const DeploymentPolicy *policy);

/* What HTTP answers: deployment_id, service, version, strategy, status, duration_secs, stages_completed (of the region
 * that got least far: "validation" first), regions[] (region, status, stages_completed, started, ended, detail),
 * error_message, violations[], trace_id, timestamp. */
Str wire_print_deployment_outcome_json(Arena *arena, const DeploymentOutcome *outcome);
/* One rollout event for GET /deployments/{id}/events: every field that the kind has, names instead of numbers, the
 * verdict with all findings. `sequence` is the ledger's. */
Str wire_print_rollout_event_json(Arena *arena, const RolloutEvent *event, Str stage_name, uint64_t sequence);
/* The name that stood beside the index in an encoded event. */
MUST_USE Err wire_decode_rollout_event_named(Arena *arena, Str body, RolloutEvent *event, Str *stage_name);

Str wire_print_deployment_figures_json(Arena *arena, const DeploymentFigures *figures);
Str wire_print_deployment_exposition(Arena *arena, const DeploymentKaizen *kaizen);
MUST_USE Err wire_decode_deployment_kaizen(Arena *arena, Str body, DeploymentKaizen *kaizen);
Str wire_encode_deployment_kaizen(Arena *arena, const DeploymentKaizen *kaizen);

#endif
