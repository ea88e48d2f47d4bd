/* region - the pages under /cluster: services applied, read, rolled back, finished; their health; their behavior. */
#ifndef SANDBOX_REGION_H
#define SANDBOX_REGION_H

#include "ops/sandbox/sandbox.h"

Answer region_answer(Sandbox *sandbox, const Request *request);

#endif
