/* metric - parts of Prometheus' text format 0.0.4. Only for the files of this folder. */
#ifndef TAI_WIRE_METRIC_H
#define TAI_WIRE_METRIC_H

#include "shared/base/str.h"

#define METRIC_TEXT_MAX_BYTES 8192

void metric_print_head(Buffer *out, const char *name, const char *type, const char *help);
void metric_print_counter(Buffer *out, const char *name, const char *help, uint64_t value);
/* In seconds. `buckets` is not cumulative and has one more than `bounds_ms`: the rest. */
void metric_print_histogram(Buffer *out, const char *name, const char *help, const int64_t *bounds_ms,
                            const uint64_t *buckets, size_t bound_count, uint64_t sum_ms);

#endif
