/* control - the pages under /sandbox: behavior while it runs, and what was charged. For tests; no key needed. */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include "ops/sandbox/sandbox.h"

Answer control_answer(Sandbox *sandbox, const Request *request);

/* Writes captured keys as CSV lines from charge `*from` on, as many as fit `out`; false when nothing is left. */
bool control_write_csv(const Sandbox *sandbox, uint64_t *from, Buffer *out);

#endif
