/* Tests of trace: what the standard accepts, what it tells us to ignore, and what we send. */
#include <criterion/criterion.h>
#include <string.h>

#include "shared/base/trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

Test(trace, a_valid_traceparent_is_read)
{
    static const struct {
        const char *text;
        bool sampled;
    } rows[] = {
        {"00-" TRACE "-" SPAN "-01", true},
        {"00-" TRACE "-" SPAN "-00", false},
        {"00-" TRACE "-" SPAN "-ff", true},
        {"00-" TRACE "-" SPAN "-02", false},
        {"01-" TRACE "-" SPAN "-01", true},
        {"fe-" TRACE "-" SPAN "-01", true},
        {"cc-" TRACE "-" SPAN "-01-what-the-future-brings", true},
        {"cc-" TRACE "-" SPAN "-01-", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        TraceContext context;
        cr_assert(trace_parse(str_from(rows[i].text), &context), "%s", rows[i].text);
        cr_assert_str_eq(context.trace_id, TRACE);
        cr_assert_str_eq(context.span_id, SPAN);
        cr_assert_eq(context.sampled, rows[i].sampled, "%s", rows[i].text);
    }
}

Test(trace, an_invalid_traceparent_is_ignored)
{
    static const char *rows[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01-more",
        "00-" TRACE "-" SPAN "-01 ",
        " 00-" TRACE "-" SPAN "-01",
        "cc-" TRACE "-" SPAN "-01.what-the-future-brings",
        "cc-" TRACE "-" SPAN "-011",
        "ff-" TRACE "-" SPAN "-01",
        "0g-" TRACE "-" SPAN "-01",
        "FE-" TRACE "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-" TRACE "-" SPAN "-0A",
        "00-" TRACE "-" SPAN "-zz",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "00-01",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        TraceContext context;
        memset(&context, 'x', sizeof context.trace_id);
        cr_assert_not(trace_parse(str_from(rows[i]), &context), "%s", rows[i]);
        cr_assert_str_eq(context.trace_id, "");
        cr_assert_str_eq(context.span_id, "");
        cr_assert_not(context.sampled);
    }
    TraceContext context;
    cr_assert_not(trace_parse((Str){0}, &context));
}

Test(trace, what_is_made_prints_and_reads_back)
{
    uint8_t entropy[24];
    for (size_t i = 0; i < sizeof entropy; i++)
        entropy[i] = (uint8_t)(i * 11 + 3);
    TraceContext made;
    TraceContext read;
    char text[TRACEPARENT_LENGTH + 1];
    trace_make(entropy, &made);
    trace_print(&made, text);
    cr_assert_str_eq(text, "00-030e19242f3a45505b66717c87929da8-b3bec9d4dfeaf500-01");
    cr_assert(trace_parse(str_from(text), &read));
    cr_assert_str_eq(read.trace_id, made.trace_id);
    cr_assert_str_eq(read.span_id, made.span_id);
    cr_assert(read.sampled);
    made.sampled = false;
    trace_print(&made, text);
    cr_assert_str_eq(text + 52, "-00");
}

Test(trace, entropy_of_zeros_still_makes_a_valid_context)
{
    TraceContext made;
    TraceContext read;
    char text[TRACEPARENT_LENGTH + 1];
    trace_make((const uint8_t[24]){0}, &made);
    trace_print(&made, text);
    cr_assert(trace_parse(str_from(text), &read));
}

Test(trace, no_trace_prints_nothing)
{
    char text[TRACEPARENT_LENGTH + 1] = "x";
    trace_print(&(TraceContext){0}, text);
    cr_assert_str_eq(text, "");
}
