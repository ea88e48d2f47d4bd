/* metric - parts of Prometheus' text format 0.0.4: heads, counters, histograms. */
#include "shared/wire/metric.h"

void metric_print_head(Buffer *out, const char *name, const char *type, const char *help)
{
    buffer_print(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metric_print_counter(Buffer *out, const char *name, const char *help, uint64_t value)
{
    metric_print_head(out, name, "counter", help);
    buffer_print(out, "%s %llu\n", name, (unsigned long long)value);
}

/* Milliseconds as seconds without needless zeros: 2500 is 2.5. */
static void print_seconds(Buffer *out, uint64_t time_ms)
{
    buffer_print(out, "%llu", (unsigned long long)(time_ms / 1000));
    int fraction = (int)(time_ms % 1000);
    int digits = 3;
    while (digits > 0 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    if (digits > 0) {
        buffer_print(out, ".%0*d", digits, fraction);
    }
}

void metric_print_histogram(Buffer *out, const char *name, const char *help, const int64_t *bounds_ms,
                            const uint64_t *buckets, size_t bound_count, uint64_t sum_ms)
{
    metric_print_head(out, name, "histogram", help);
    uint64_t count = 0;
    for (size_t i = 0; i < bound_count; i++) {
        count += buckets[i];
        buffer_print(out, "%s_bucket{le=\"", name);
        print_seconds(out, (uint64_t)bounds_ms[i]);
        buffer_print(out, "\"} %llu\n", (unsigned long long)count);
    }
    count += buckets[bound_count];
    buffer_print(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum ", name, (unsigned long long)count, name);
    print_seconds(out, sum_ms);
    buffer_print(out, "\n%s_count %llu\n", name, (unsigned long long)count);
}
