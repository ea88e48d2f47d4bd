/* drivers/command - a configured program carries the command out: terraform, kubectl, nsupdate in a script.
 * It gets the facts in its environment and nothing else but PATH: TAI_COMMAND (apply, read, rollback, finish),
 * TAI_COMMAND_ID, TAI_DEPLOYMENT_ID, TAI_REGION, TAI_SERVICE, TAI_VERSION, TAI_IMAGE, TAI_DIGEST, TAI_WEIGHT,
 * TAI_PREVIOUS_VERSION, TAI_PREVIOUS_DIGEST.
 * Exit 0: done; for read, the last line of its output is the weight that the version really has. 64 (usage) and 78
 * (configuration): trying again cannot help. Any other: it may, 75 says so on purpose. What it says last, on stderr
 * rather than stdout, becomes the result's detail on the ledger: it must not say secrets.
 * It runs in a process group of its own, which is killed when the program ends and when its time is over. A program
 * that was started by a worker that died may still run when it is started again: it must lock what two must not touch.
 */
#ifndef TAI_WORKERS_ACTION_DRIVERS_COMMAND_H
#define TAI_WORKERS_ACTION_DRIVERS_COMMAND_H

#include "workers/action/drivers/driver.h"

extern const Driver command_driver;

MUST_USE Err command_settings_check(const DeploySettings *settings);

#endif
