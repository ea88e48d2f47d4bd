/* control - the pages under /sandbox: behavior while it runs, and what was charged. For tests; no key needed. */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include "ops/sandbox/sandbox.h"

Answer control_answer(Sandbox *sandbox, const Request *request);

/* Writes the book as CSV from `*line` on (0: the head), as much as fits `out`; false when nothing is left. */
bool control_write_csv(const Sandbox *sandbox, uint64_t *line, Buffer *out);

#endif
