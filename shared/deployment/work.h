/* work - what passes between the processes while a deployment is carried out. Plain data; every Str is borrowed. */
#ifndef TAI_DEPLOYMENT_WORK_H
#define TAI_DEPLOYMENT_WORK_H

#include "shared/deployment/rollout.h"

typedef struct {
    Str region;
    DeploymentStatus status;
    Str detail;
    Str stages_completed[DEPLOYMENT_STAGES_MAX];
    size_t stages_count;
    int64_t started_ms;
    int64_t ended_ms;
} DeploymentRegionResult;

typedef enum { REGION_WORK_ROLLOUT = 0, REGION_WORK_RESTORE } RegionWorkKind;

/* An item of a region's lane. */
typedef struct {
    DeploymentDecision decision;
    int32_t region_index; /* into decision.signal.regions */
    RegionWorkKind kind;
    DeploymentRegionResult *results; /* of the regions before */
    size_t result_count;
    Str who; /* with RESTORE */
    Str why;
} DeploymentRegionWork;

typedef struct {
    Str command_id;
    Str deployment_id;
    Str region;
    RolloutCommand kind;
    Str driver;
    Str service;
    Str version;
    Str image;
    Str digest;
    Str previous_version;
    Str previous_digest;
    int32_t weight_percent;
    int64_t not_before_ms;   /* 0: at once */
    int64_t not_after_ms;    /* 0: no bound */
    uint64_t fence_sequence; /* last sequence of the deployment's events when it was given; 0: no fence */
} DeploymentCommand;

typedef struct {
    Str command_id;
    Str deployment_id;
    bool succeeded;
    bool impossible;
    int32_t weight_percent; /* as read back; -1: not known */
    Str detail;
    int64_t at_ms;
} DeploymentResult;

typedef struct {
    Str deployment_id;
    RolloutOrder order;
    Str who;
    Str why;
    int64_t when_ms;
} DeploymentControl;

typedef struct {
    Str deployment_id;
    Str publisher;
    Str service;
    Str version;
    Str strategy;
    DeploymentStatus status;
    DeploymentRegionResult *regions;
    size_t region_count;
    DeploymentViolation *violations;
    size_t violation_count;
    Str error_message;
    int64_t received_ms;
    int64_t timestamp_ms;
    int64_t time_scale_e4; /* of the plan it followed; 0: not known */
    Str trace_id;
} DeploymentOutcome;

/* What runs in a region. */
typedef struct {
    Str region;
    Str service;
    Str version; /* empty: nothing any more */
    Str digest;
    Str image;
    Str deployment_id;
    int64_t since_ms;
} DeploymentRunning;

#endif
