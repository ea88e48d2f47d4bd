/* policy - the deployment policy: facts and a policy in, all violations and a plan out. Pure. */
#ifndef TAI_DEPLOYMENT_POLICY_H
#define TAI_DEPLOYMENT_POLICY_H

#include "shared/base/arena.h"
#include "shared/deployment/deployment.h"

#define DEPLOYMENT_STRATEGIES_MAX 16
#define DEPLOYMENT_FREEZES_MAX 32
/* Of the document; one deployment names at most DEPLOYMENT_REGIONS_MAX of them. */
#define DEPLOYMENT_POLICY_REGIONS_MAX 6000
/* The fullest policy as a document; nats-server's own default takes 1 MiB with the headers. */
#define DEPLOYMENT_POLICY_BODY_MAX (900 * 1024)

typedef struct {
    char name[32];
    DeploymentStage stages[DEPLOYMENT_STAGES_MAX];
    int32_t stage_count;
} DeploymentStrategy;

typedef struct {
    char name[64];    /* one subject token */
    int32_t capacity; /* services that fit */
    char driver[16];  /* "sandbox", "haproxy", "command", "kubernetes" */
} DeploymentRegionPolicy;

/* No deployment begins between the two, except by name: service "" is all. */
typedef struct {
    int64_t from_ms; /* Unix time */
    int64_t to_ms;
    char service[DEPLOYMENT_SERVICE_MAX + 1];
    char reason[128];
} DeploymentFreeze;

/* The regions and their index live in the arena that the policy was made or decoded in, and go with it. */
typedef struct {
    DeploymentStrategy strategies[DEPLOYMENT_STRATEGIES_MAX];
    int32_t strategy_count;
    DeploymentRegionPolicy *regions; /* in the order in which sequences go by default */
    int32_t region_count;
    int32_t *region_slots; /* by deployment_policy_index() */
    uint32_t region_slot_count;
    DeploymentFreeze freezes[DEPLOYMENT_FREEZES_MAX];
    int32_t freeze_count;
    JudgeLimits limits;
    int64_t time_scale_e4; /* durations are multiplied by it: 10000 is 1, 100 is a hundredth */
    int64_t look_ms;
    int64_t progress_deadline_ms;
    int64_t bake_ms;
    int64_t command_timeout_ms;
    int32_t command_tries;
    bool require_image; /* false: the registry is not asked (a trial without one) */
} DeploymentPolicy;

/* The design's: canary 5 % 300 s, staging 25 % 600 s, prod 100 %, judged after 60 s; blue_green (a preview without
 * traffic, then all), rolling (25, 50, 75, 100 %), immediate; us-west-2 before us-east-1 (and eu-west-1,
 * ap-southeast-1); time_scale 1. */
DeploymentPolicy deployment_policy_default(Arena *arena);

/* Makes regions known by their names: once they are set. False: one stands twice, the later one is `twice`. */
MUST_USE bool deployment_policy_index(DeploymentPolicy *policy, Arena *arena, int32_t *twice);
/* NULL: there is none of this name. */
const DeploymentRegionPolicy *deployment_policy_region(const DeploymentPolicy *policy, Str name);

typedef enum { IMAGE_FOUND, IMAGE_MISSING, IMAGE_UNKNOWN } DeploymentImage; /* UNKNOWN: the registry could not say */

typedef struct {
    DeploymentImage image;
    Str digest;
    struct {
        int32_t services;    /* that run there now, this one not counted */
        Str current_version; /* of this service; empty: none */
        Str current_digest;
        bool current_healthy;          /* of the current version, where there is one */
        bool known;                    /* false: the region's state could not be read */
    } regions[DEPLOYMENT_REGIONS_MAX]; /* as in the signal */
    int64_t now_ms;
} DeploymentFacts;

/* Fills rejected, violations (all at once), plan, digest and regions of `decision`, whose signal is set, and image
 * where the caller left it empty. Durations, looks and the bake are scaled (half up, at least 1 ms of what is not 0),
 * time-outs and deadlines are not. With require_image a version that runs now must be pinned to be a rollback plan. Its
 * Strs live in the arena, the signal or the facts. Codes: image_not_found, image_unknown, region_unknown,
 * region_unreadable, capacity_exhausted, no_rollback_plan, unhealthy, frozen, strategy_unknown (detail lists the known
 * ones), already_running. */
void deployment_evaluate(const DeploymentPolicy *policy, const DeploymentFacts *facts, Arena *arena,
                         DeploymentDecision *decision);

#endif
