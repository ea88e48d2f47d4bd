/* kaizen - the figures of the deployment system, folded from its ledger. Pure; as shared/payment/kaizen.h. */
#ifndef TAI_DEPLOYMENT_KAIZEN_H
#define TAI_DEPLOYMENT_KAIZEN_H

#include "shared/deployment/deployment.h"

#define DEPLOYMENT_DURATION_BUCKETS 12
extern const int64_t deployment_duration_bounds_ms[DEPLOYMENT_DURATION_BUCKETS];

typedef struct {
    uint64_t sequence;                        /* last message of DEPLOYMENT folded in */
    uint64_t status[DEPLOYMENT_STATUS_COUNT]; /* outcomes */
    uint64_t duration_sum_ms;                 /* of all outcomes but REJECTED */
    uint64_t duration_buckets[DEPLOYMENT_DURATION_BUCKETS + 1];
} DeploymentKaizen;

bool deployment_kaizen_outcome(DeploymentKaizen *kaizen, uint64_t sequence, DeploymentStatus status,
                               int64_t duration_ms);
bool deployment_kaizen_other(DeploymentKaizen *kaizen, uint64_t sequence);

typedef struct {
    uint64_t total_deployments; /* outcomes but REJECTED */
    uint64_t successful_deployments;
    uint64_t rollback_count; /* ROLLED_BACK */
    uint64_t success_rate_percent_e2;
    uint64_t avg_duration_secs_e2;
} DeploymentFigures;

DeploymentFigures deployment_kaizen_figures(const DeploymentKaizen *kaizen);

#endif
