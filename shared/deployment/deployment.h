/* deployment - what is said about a deployment: the signal, the decision, the plan, the outcome. Plain data.
 * Every Str and every array is borrowed, mostly from the arena of the message that it was decoded from. */
#ifndef TAI_DEPLOYMENT_DEPLOYMENT_H
#define TAI_DEPLOYMENT_DEPLOYMENT_H

#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/deployment/judge.h"

#define DEPLOYMENT_REGIONS_MAX 32
#define DEPLOYMENT_STAGES_MAX 12
#define DEPLOYMENT_BODY_MAX (64 * 1024)
#define DEPLOYMENT_SERVICE_MAX 63  /* a DNS label, as Kubernetes wants it */
#define DEPLOYMENT_VERSION_MAX 128 /* an OCI tag */

typedef enum { ON_REGION_FAILURE_HALT = 0, ON_REGION_FAILURE_ROLLBACK_ALL, ON_REGION_FAILURE_CONTINUE } OnRegionFailure;

/* Someone wants a version in regions. */
typedef struct {
    Str deployment_id; /* "dep_…" */
    Str publisher;
    Str service;
    Str version;
    Str image;          /* repository without tag; empty: the policy's prefix and the service */
    const Str *regions; /* in order */
    size_t region_count;
    Str strategy; /* "canary", "blue_green", "rolling", "immediate", or one of the policy document's own */
    OnRegionFailure on_region_failure;
    int64_t received_ms; /* Unix time */
} DeploymentSignal;

/* One stage of a strategy, from the policy document. */
typedef struct {
    char name[32];          /* "canary" */
    int32_t weight_percent; /* of traffic, 0..100 */
    int64_t warm_up_ms;     /* after the weight is verified, before counting begins */
    int64_t duration_ms;    /* of observing; already scaled by time_scale */
    int64_t extend_max_ms;  /* by how much an inconclusive stage may be extended, in all */
    bool needs_approval;    /* waits for a named person before it is applied */
    bool judged;            /* false: passes when its time is over */
} DeploymentStage;

/* What was decided for good: enough to run the rollout without looking at the policy again. */
typedef struct {
    DeploymentStage stages[DEPLOYMENT_STAGES_MAX];
    int32_t stage_count;
    JudgeLimits limits;
    int64_t look_ms;              /* how often health is asked for while observing */
    int64_t progress_deadline_ms; /* longest time without progress before it is aborted; pauses do not count */
    int64_t bake_ms;              /* how long the old version is kept after 100 % */
    int64_t command_timeout_ms;
    int32_t command_tries;
    int64_t time_scale_e4; /* that the durations are multiplied by already: 10000 is 1; 0: not recorded */
} DeploymentPlan;

/* What ran in a region before: what a rollback restores. */
typedef struct {
    Str region;
    Str previous_version; /* empty: first deployment there; a rollback removes the new one */
    Str previous_digest;
    Str driver; /* of the action worker: "sandbox", "haproxy", "command", "kubernetes" */
} DeploymentRegion;

typedef struct {
    Str code;   /* "image_not_found", "region_unknown", … */
    Str detail; /* for a person */
} DeploymentViolation;

typedef struct {
    DeploymentSignal signal;
    bool rejected;
    DeploymentViolation *violations; /* all of them */
    size_t violation_count;
    Str image;  /* repository */
    Str digest; /* "sha256:…", pinned */
    DeploymentPlan plan;
    DeploymentRegion *regions; /* as many as in the signal; NULL: a rejected one names none */
    uint64_t policy_revision;
    uint64_t signal_sequence;
    int64_t decided_ms;
} DeploymentDecision;

typedef enum {
    DEPLOYMENT_IN_PROGRESS = 0,
    DEPLOYMENT_SUCCESS,
    DEPLOYMENT_REJECTED,
    DEPLOYMENT_ROLLED_BACK,
    DEPLOYMENT_ABORTED, /* by a person, or superseded by a newer version before it began */
    DEPLOYMENT_FAILED,  /* also when a rollback failed: a person must look */
} DeploymentStatus;
#define DEPLOYMENT_STATUS_COUNT 6

const char *deployment_status_name(DeploymentStatus status);
int deployment_http_status(DeploymentStatus status); /* 202, 200, 403, 409, 409, 502 */

/* REJECT with the first rule that a signal breaks: service a DNS label, version an OCI tag, at least one region, none
 * twice, names within bounds. The reason begins with the member's name. */
MUST_USE Err deployment_signal_check(const DeploymentSignal *signal);
bool deployment_signal_same_request(const DeploymentSignal *a, const DeploymentSignal *b);

#endif
