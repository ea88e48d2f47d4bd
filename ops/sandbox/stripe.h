/* stripe - the API under /v1: authorization, faults on purpose, idempotency, execution. */
#ifndef SANDBOX_STRIPE_H
#define SANDBOX_STRIPE_H

#include "ops/sandbox/sandbox.h"

Answer stripe_answer(Sandbox *sandbox, const Request *request);

#endif
