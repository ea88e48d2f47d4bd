/* registry - as much of the OCI distribution API as tells whether an image is there, and its digest.
 * Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md */
#ifndef SANDBOX_REGISTRY_H
#define SANDBOX_REGISTRY_H

#include "ops/sandbox/sandbox.h"

/* Every tag is there, but for those with "missing" in them (404); "registrydown" in it gives 503. */
Answer registry_answer(Sandbox *sandbox, const Request *request);

#endif
