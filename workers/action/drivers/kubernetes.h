/* drivers/kubernetes - two Deployments of a service, through the API server's REST interface.
 * <service> runs what is stable and <service>-canary what is new; a Service that selects "app: <service>" spreads the
 * traffic over the pods of both, so a weight is a share of action.deploy_kubernetes_replicas, rounded up to whole pods.
 * Server-side apply sets the image by digest, the replicas, the label "app" and the annotation "tai-version", and
 * nothing else: where pods need more than an image, both Deployments stand there before, the canary with 0 replicas.
 * The container is named as the service. Tested against a fake API server only.
 * Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/ */
#ifndef TAI_WORKERS_ACTION_DRIVERS_KUBERNETES_H
#define TAI_WORKERS_ACTION_DRIVERS_KUBERNETES_H

#include "workers/action/drivers/driver.h"

extern const Driver kubernetes_driver;

MUST_USE Err kubernetes_settings_check(const DeploySettings *settings);

/* Opens deploy->kubernetes where a URL is set. */
MUST_USE Err kubernetes_open(Deploy *deploy);
void kubernetes_close(Deploy *deploy);

#endif
