/* deployment - the deployment ledger's figures. */
#include <stddef.h>
#include <stdlib.h>

#include "shared/wire/deployment.h"
#include "workers/metrics/fold.h"

struct DeploymentFold {
    Worker *worker;
    Fold *fold;
    DeploymentKaizen kaizen;
};

static void deployment_fold_ledger(void *context, Arena *arena, const BusDelivery *message)
{
    DeploymentFold *deployment = context;
    DeploymentOutcome outcome;
    if (!str_starts_with(message->subject, STR("tai.deployment.outcome."))) {
        deployment_kaizen_other(&deployment->kaizen, message->sequence);
        return;
    }
    Err err = wire_decode_deployment_outcome(arena, message->body, &outcome);
    if (err_is(err)) {
        log_event(worker_log(deployment->worker), LOG_WARN, "outcome_not_counted",
                  LOG_FIELDS(log_number("sequence", (int64_t)message->sequence), log_why(&err)));
        deployment_kaizen_other(&deployment->kaizen, message->sequence);
        return;
    }
    deployment_kaizen_outcome(&deployment->kaizen, message->sequence, outcome.status,
                              outcome.timestamp_ms - outcome.received_ms);
}

static Err deployment_decode(Arena *arena, Str body, void *figures)
{
    return wire_decode_deployment_kaizen(arena, body, figures);
}

static Str deployment_encode(Arena *arena, const void *figures)
{
    return wire_encode_deployment_kaizen(arena, figures);
}

static Str deployment_print(void *context, Arena *arena, bool prometheus)
{
    const DeploymentFold *deployment = context;
    DeploymentFigures figures = deployment_kaizen_figures(&deployment->kaizen);
    return prometheus ? wire_print_deployment_exposition(arena, &deployment->kaizen)
                      : wire_print_deployment_figures_json(arena, &figures);
}

Err deployment_fold_open(Worker *worker, const MetricsSettings *settings, DeploymentFold **out)
{
    DeploymentFold *deployment = calloc(1, sizeof(*deployment));
    TAI_ASSERT(deployment != NULL);
    deployment->worker = worker;
    *out = deployment;
    return fold_open(worker, settings,
                     &(FoldSpec){
                         .domain = "deployment",
                         .figures = &deployment->kaizen,
                         .figures_bytes = sizeof(deployment->kaizen),
                         .decode = deployment_decode,
                         .encode = deployment_encode,
                         .print = deployment_print,
                         .sources = {{"DEPLOYMENT", "", offsetof(DeploymentKaizen, sequence), deployment_fold_ledger}},
                         .source_count = 1,
                         .context = deployment,
                     },
                     &deployment->fold);
}

bool deployment_fold_is_ready(const DeploymentFold *deployment)
{
    return fold_is_ready(deployment->fold);
}

bool deployment_fold_is_saved(const DeploymentFold *deployment)
{
    return fold_is_saved(deployment->fold);
}

void deployment_fold_close(DeploymentFold *deployment)
{
    if (deployment != NULL) {
        fold_close(deployment->fold);
        free(deployment);
    }
}
