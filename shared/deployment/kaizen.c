/* kaizen - the figures of the deployment system, folded from its ledger.
 * A sequence that was folded in already changes nothing, which makes a redelivery harmless. */
#include "shared/deployment/kaizen.h"

/* From a trial's seconds over the stages' 300 s and 600 s to hours of waiting for approvals. */
const int64_t deployment_duration_bounds_ms[DEPLOYMENT_DURATION_BUCKETS] = {
    1000, 5000, 15000, 30000, 60000, 300000, 600000, 900000, 1200000, 1800000, 3600000, 14400000};

static bool advance(uint64_t *last, uint64_t sequence)
{
    if (sequence <= *last)
        return false;
    *last = sequence;
    return true;
}

static void count_duration(DeploymentKaizen *kaizen, uint64_t duration_ms)
{
    int bucket = 0;
    while (bucket < DEPLOYMENT_DURATION_BUCKETS && duration_ms > (uint64_t)deployment_duration_bounds_ms[bucket])
        bucket++;
    kaizen->duration_buckets[bucket]++;
    kaizen->duration_sum_ms += duration_ms;
}

/* Two machines' clocks may disagree by a little: a time below zero counts as none. */
bool deployment_kaizen_outcome(DeploymentKaizen *kaizen, uint64_t sequence, DeploymentStatus status,
                               int64_t duration_ms)
{
    if (!advance(&kaizen->sequence, sequence))
        return false;
    unsigned known = (unsigned)status < DEPLOYMENT_STATUS_COUNT ? (unsigned)status : DEPLOYMENT_IN_PROGRESS;
    kaizen->status[known]++;
    if (known != DEPLOYMENT_REJECTED)
        count_duration(kaizen, duration_ms > 0 ? (uint64_t)duration_ms : 0);
    return true;
}

bool deployment_kaizen_other(DeploymentKaizen *kaizen, uint64_t sequence)
{
    return advance(&kaizen->sequence, sequence);
}

/* part * scale / whole, rounded half up; 0 where there is nothing to divide by. Divides first, so that sums of years
 * do not overflow. */
static uint64_t ratio(uint64_t part, uint64_t whole, uint64_t scale)
{
    if (whole == 0)
        return 0;
    return part / whole * scale + (part % whole * scale * 2 + whole) / (whole * 2);
}

DeploymentFigures deployment_kaizen_figures(const DeploymentKaizen *kaizen)
{
    uint64_t total = 0;
    for (int status = 0; status < DEPLOYMENT_STATUS_COUNT; status++)
        total += status == DEPLOYMENT_REJECTED ? 0 : kaizen->status[status];
    return (DeploymentFigures){
        .total_deployments = total,
        .successful_deployments = kaizen->status[DEPLOYMENT_SUCCESS],
        .rollback_count = kaizen->status[DEPLOYMENT_ROLLED_BACK],
        .success_rate_percent_e2 = ratio(kaizen->status[DEPLOYMENT_SUCCESS], total, 10000),
        .avg_duration_secs_e2 = ratio(kaizen->duration_sum_ms, total * 10, 1),
    };
}
