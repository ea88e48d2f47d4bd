/* err - the one error idiom: what went wrong, and what may be done about it.
 * A zero Err is success. Whoever returns an Err logs nothing; whoever ends the operation logs it once. */
#ifndef TAI_BASE_ERR_H
#define TAI_BASE_ERR_H

#include <stdbool.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))

typedef enum {
    ERR_NONE = 0, /* done */
    ERR_RETRY,    /* no effect yet, may work later */
    ERR_REJECT,   /* malformed or impossible, no effect: trying again cannot help */
    ERR_UNKNOWN,  /* an effect may have happened: reconcile, never resend blindly, never call it failed */
} ErrKind;

typedef struct {
    ErrKind kind;
    char why[124]; /* one sentence for a person, no newline; cut (never split inside an UTF-8 sequence) where longer */
} Err;

static inline Err err_none(void)
{
    return (Err){0};
}

static inline bool err_is(Err err)
{
    return err.kind != ERR_NONE;
}

MUST_USE Err err_retry(const char *format, ...) PRINTF_LIKE(1, 2);
MUST_USE Err err_reject(const char *format, ...) PRINTF_LIKE(1, 2);
MUST_USE Err err_unknown(const char *format, ...) PRINTF_LIKE(1, 2);

/* "none", "retry", "reject" or "unknown". */
const char *err_kind_name(ErrKind kind);

/* A programmer's error: writes file, line and the broken condition to stderr and aborts. Redelivery is the recovery. */
#define TAI_ASSERT(condition) ((condition) ? (void)0 : err_abort(__FILE__, __LINE__, #condition))
_Noreturn void err_abort(const char *file, int line, const char *condition);

#endif
