/* trace - W3C trace context (https://www.w3.org/TR/trace-context/): read, make and print a traceparent. Pure. */
#ifndef TAI_BASE_TRACE_H
#define TAI_BASE_TRACE_H

#include <stdint.h>

#include "shared/base/str.h"

#define TRACE_ID_LENGTH 32
#define TRACEPARENT_LENGTH 55

typedef struct {
    char trace_id[TRACE_ID_LENGTH + 1]; /* 32 lower-case hex digits; "" where there is no trace */
    char span_id[17];                   /* 16 lower-case hex digits */
    bool sampled;
} TraceContext;

/* False (and an empty context) where the text is no valid traceparent: such a header is ignored, per the standard. */
bool trace_parse(Str traceparent, TraceContext *context);

/* A context from 24 bytes of entropy: 16 for the trace id, 8 for the span id; sampled. */
void trace_make(const uint8_t entropy[24], TraceContext *context);

/* "00-<trace>-<span>-01" with a closing NUL; "" where there is no trace. */
void trace_print(const TraceContext *context, char out[TRACEPARENT_LENGTH + 1]);

#endif
