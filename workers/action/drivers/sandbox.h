/* drivers/sandbox - tai-sandbox's cluster, over HTTP. */
#ifndef TAI_WORKERS_ACTION_DRIVERS_SANDBOX_H
#define TAI_WORKERS_ACTION_DRIVERS_SANDBOX_H

#include "workers/action/drivers/driver.h"

extern const Driver sandbox_driver;

MUST_USE Err sandbox_settings_check(const DeploySettings *settings);

#endif
