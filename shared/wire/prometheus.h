/* wire/prometheus - what Prometheus' HTTP API answers to an instant query.
 * Source: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries */
#ifndef TAI_WIRE_PROMETHEUS_H
#define TAI_WIRE_PROMETHEUS_H

#include "shared/base/arena.h"
#include "shared/base/err.h"

typedef struct {
    Str version;  /* label "version"; empty where there is none */
    Str le;       /* label "le" of a histogram's bucket; empty where there is none */
    double value; /* may be NaN or infinite: Prometheus writes those as text */
} PrometheusSample;

/* A vector, possibly empty (missing series), or an error: REJECT for an answer that is no vector, RETRY when Prometheus
 * says that it could not evaluate the query (its own text). Samples live in the arena. */
MUST_USE Err wire_read_prometheus_vector(Arena *arena, Str body, PrometheusSample **samples, size_t *count);

#endif
