/* behavior - how badly the sandbox behaves: rates, latency, decline share; set at start and while it runs. */
#ifndef SANDBOX_BEHAVIOR_H
#define SANDBOX_BEHAVIOR_H

#include "shared/base/json.h"

typedef struct {
    double failure_rate;       /* 503 before anything is executed */
    double throttle_rate;      /* 429 with Retry-After before anything is executed */
    double decline_rate;       /* of what would be charged: card_declined */
    double drop_rate;          /* executed, then the connection is closed without an answer */
    double error_after_rate;   /* executed, then 500 instead of the answer; the same key gets the true answer later */
    double saved_error_rate;   /* 500 from within the execution: nothing is charged, and the key keeps that answer */
    int64_t latency_ms;        /* before every answer of /v1 */
    int64_t latency_jitter_ms; /* added: 0 up to this */
} Behavior;

Behavior behavior_default(void);

/* Sets one value by its name ("failure_rate" or "failure-rate"): rates 0 to 1, times 0 to 600000.
 * REJECT: unknown name, not a number, out of range. */
MUST_USE Err behavior_set(Behavior *behavior, Str name, Str value);

/* All members of a JSON object, or none. */
MUST_USE Err behavior_set_json(Behavior *behavior, Str text);

void behavior_write(const Behavior *behavior, JsonWriter *json);

#endif
