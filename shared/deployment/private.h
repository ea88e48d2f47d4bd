/* private - what the files of the rollout share. Nobody else includes it. */
#ifndef TAI_DEPLOYMENT_PRIVATE_H
#define TAI_DEPLOYMENT_PRIVATE_H

#include "shared/deployment/rollout.h"

/* Sum and difference that stop at the ends of the range, so that no clock and no plan can overflow them. */
int64_t rollout_add_ms(int64_t time_ms, int64_t length_ms);
int64_t rollout_subtract_ms(int64_t later_ms, int64_t earlier_ms);

/* No command can have been sent yet, so there is nothing to go back from. */
bool rollout_is_untouched(const Rollout *rollout);

bool rollout_is_going_back(const Rollout *rollout);

/* The present stage passes by a person's order. */
bool rollout_is_promoted(const Rollout *rollout);

bool rollout_plan_is_usable(const DeploymentPlan *plan);

/* The present stage is one of the plan's, where the phase asks for one: before the first and on the way back none is.
 */
bool rollout_fits_plan(const Rollout *rollout, const DeploymentPlan *plan);

/* When a lack of progress aborts it; INT64_MAX where the phase may take as long as it likes. */
int64_t rollout_deadline_ms(const Rollout *rollout, const DeploymentPlan *plan);

/* How a rollback for this cause ends. */
RolloutPhase rollout_phase_by_cause(RolloutCause cause);

/* An event of this kind at this time about the present stage, everything else empty. */
RolloutEvent rollout_event_make(const Rollout *rollout, RolloutEventKind kind, int64_t now_ms);

/* The order's part of rollout_hear(). */
bool rollout_hear_order(const Rollout *rollout, const RolloutHeard *heard, int64_t now_ms, RolloutEvent *event,
                        Err *why_not);

#endif
