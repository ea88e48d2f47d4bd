/* regions - what runs in each region, kept in step with the ledger (tai.deployment.running.>).
 * As with the blacklist: what was PubAck'ed before a signal was published is seen before that signal. */
#ifndef TAI_WORKERS_POLICY_REGIONS_H
#define TAI_WORKERS_POLICY_REGIONS_H

#include "shared/worker/worker.h"

typedef struct Regions Regions;

MUST_USE Err regions_open(Worker *worker, Regions **regions); /* loads while the loop turns */
void regions_close(Regions *regions);                         /* NULL is fine */
bool regions_are_loaded(const Regions *regions);

typedef struct {
    int32_t services; /* that run there, the one asked for not counted */
    Str version;      /* of the one asked for; empty: it does not run there. Valid until the loop turns */
    Str digest;
} RegionState;

RegionState regions_look(const Regions *regions, Str region, Str service);

#endif
