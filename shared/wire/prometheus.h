/* wire/prometheus - what Prometheus' HTTP API is asked for a window, and what it answers.
 * Source: https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries */
#ifndef TAI_WIRE_PROMETHEUS_H
#define TAI_WIRE_PROMETHEUS_H

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/deployment/counting.h"

/* What is asked where nothing else is configured: metrics as client libraries and their middleware name them. The
 * errors are told as 0 where there were none, so that their absence means something. */
#define PROMETHEUS_REQUESTS                                                                                            \
    "sum by (version, instance) (http_requests_total{service=\"{service}\",region=\"{region}\"})"
#define PROMETHEUS_ERRORS                                                                                              \
    "sum by (version, instance) (http_requests_total{service=\"{service}\",region=\"{region}\",code=~\"5..\"})"        \
    " or 0 * " PROMETHEUS_REQUESTS
#define PROMETHEUS_LATENCY                                                                                             \
    "sum by (version, instance, le) "                                                                                  \
    "(http_request_duration_seconds_bucket{service=\"{service}\",region=\"{region}\"})"
#define PROMETHEUS_STARTED                                                                                             \
    "max by (version, instance) (process_start_time_seconds{service=\"{service}\",region=\"{region}\"})"

/* A template with {service} and {region} put in: names that are tokens, so that nothing in them is a query.
 * Empty where it gets longer than anybody's query is. */
Str wire_print_prometheus_query(Arena *arena, const char *template, Str service, Str region);
Str wire_print_prometheus_seconds(Arena *arena, int64_t ms); /* "1700000000.250" */

typedef struct {
    CountingRange range;
    Str versions[2]; /* series of others are left out; empty: none */
    size_t series_max;
} PrometheusAsked;

/* The answer to a range query: series with their label "version" as its place in `versions`, "instance" as a number of
 * its own, and "le"; an empty table where there is none (missing series). REJECT for what is no such answer, or more
 * than series_max; RETRY with Prometheus' own text where it says that it could not evaluate the query. The series live
 * in the arena. */
MUST_USE Err wire_read_prometheus_matrix(Arena *arena, Str body, const PrometheusAsked *asked, CountingTable *table);

/* For an answer that is not 200: Prometheus' own text, empty where the body has none. */
Str wire_read_prometheus_error(Arena *arena, Str body);

#endif
