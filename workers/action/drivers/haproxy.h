/* drivers/haproxy - weights of two servers, through HAProxy's runtime API.
 * A backend of the service's name has the servers "stable" and "canary"; of a weight of 25 % the canary has 25 and the
 * stable server 75. HAProxy forgets both at a reload: reading back shows it, and applying again puts it right.
 * Source: https://docs.haproxy.org/2.6/management.html#9.3 */
#ifndef TAI_WORKERS_ACTION_DRIVERS_HAPROXY_H
#define TAI_WORKERS_ACTION_DRIVERS_HAPROXY_H

#include "workers/action/drivers/driver.h"

extern const Driver haproxy_driver;

MUST_USE Err haproxy_settings_check(const DeploySettings *settings);

#endif
