/* deployment_parts - what several of the deployment's protobuf messages carry inside. Only for the files of this
 * folder; as message.h, which it needs. */
#ifndef TAI_WIRE_DEPLOYMENT_PARTS_H
#define TAI_WIRE_DEPLOYMENT_PARTS_H

#include "shared/deployment/work.h"
#include "shared/wire/message.h"
#include "tai/v1/deployment.pb-c.h"

/* The rules' own list has at most 162. */
#define PARTS_VIOLATIONS_MAX 256

/* REJECT "name: must be least to most". */
/* A policy document's time_scale may be 10. */
#define PARTS_SCALE_MAX_E4 100000

MUST_USE Err parts_check_range(const char *name, int64_t value, int64_t least, int64_t most);
/* REJECT what is not one subject token. */
MUST_USE Err parts_check_token(const char *name, Str token);
MUST_USE Err parts_check_present(const char *name, Str text);

/* The signal without deployment_signal_check(). */
MUST_USE Err parts_read_signal(Arena *arena, const Tai__V1__DeploymentSignal *packed, DeploymentSignal *signal);
Tai__V1__DeploymentSignal *parts_write_signal(Arena *arena, const DeploymentSignal *signal);

MUST_USE Err parts_read_plan(const Tai__V1__DeploymentPlan *packed, DeploymentPlan *plan);
Tai__V1__DeploymentPlan *parts_write_plan(Arena *arena, const DeploymentPlan *plan);

/* With all checks: what our own processes say about a deployment. */
MUST_USE Err parts_read_decision(Arena *arena, const Tai__V1__DeploymentDecision *packed, DeploymentDecision *decision);
Tai__V1__DeploymentDecision *parts_write_decision(Arena *arena, const DeploymentDecision *decision);

MUST_USE Err parts_read_violations(Arena *arena, Tai__V1__DeploymentViolation *const *packed, size_t packed_count,
                                   DeploymentViolation **violations, size_t *count);
Tai__V1__DeploymentViolation **parts_write_violations(Arena *arena, const DeploymentViolation *violations,
                                                      size_t count);

/* At most one for each region. */
MUST_USE Err parts_read_results(Arena *arena, Tai__V1__DeploymentRegionResult *const *packed, size_t packed_count,
                                DeploymentRegionResult **results, size_t *count);
Tai__V1__DeploymentRegionResult **parts_write_results(Arena *arena, const DeploymentRegionResult *results,
                                                      size_t count);

#endif
