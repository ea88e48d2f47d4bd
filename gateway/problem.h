/* problem - answers that say what is wrong: application/problem+json (RFC 9457). */
#ifndef TAI_GATEWAY_PROBLEM_H
#define TAI_GATEWAY_PROBLEM_H

#include "gateway/request.h"

typedef enum {
    PROBLEM_INVALID,      /* 400 */
    PROBLEM_NOT_FOUND,    /* 404 */
    PROBLEM_METHOD,       /* 405 */
    PROBLEM_CONFLICT,     /* 409 */
    PROBLEM_PRECONDITION, /* 412 */
    PROBLEM_TOO_LARGE,    /* 413 */
    PROBLEM_MEDIA_TYPE,   /* 415 */
    PROBLEM_KEY_REUSED,   /* 422 */
    PROBLEM_POLICY,       /* 422 */
    PROBLEM_OVERLOADED,   /* 503: too much to do; nothing was done */
    PROBLEM_UNAVAILABLE,  /* 503: something needed is missing; nothing was done */
} ProblemKind;

/* Answers the request with a problem. */
void problem_answer(Request *request, ProblemKind kind, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same for what a decoder found: a reason that begins with a member's name ("currency: …") also names it. */
void problem_answer_reason(Request *request, ProblemKind kind, const Err *why);

/* The answer to a request that did not come in in time, head and body, for a connection that is beyond the library. */
Str problem_late_text(void);

#endif
