/* member - the members of a JSON object that people write, each read to where it goes: no other allowed, so that a
 * misspelt one is refused instead of ignored. Only for the files of this folder. */
#ifndef TAI_WIRE_MEMBER_H
#define TAI_WIRE_MEMBER_H

#include "shared/wire/document.h"

#define MEMBER_PATH_MAX_BYTES 128

typedef enum {
    MEMBER_WHOLE = 0, /* a whole number into `number`, from least to most */
    MEMBER_DECIMAL,   /* value * 10^digits into `number`, from least to most; exact, never through a double */
    MEMBER_FLAG,      /* true or false into `flag` */
    MEMBER_TOKEN,     /* one subject token into `text` */
    MEMBER_LINE,      /* any text on one line, also none, into `text` */
    MEMBER_OTHER,     /* known; the caller reads it */
} MemberKind;

typedef struct {
    const char *name;
    MemberKind kind;
    bool optional;
    int64_t *number;
    int64_t least;
    int64_t most;
    int digits;
    bool *flag;
    char *text;
    size_t text_bytes; /* the closing NUL included */
} Member;

/* Required ones. `text` is given with the bytes that it has room for, the closing NUL included. */
Member member_whole(const char *name, int64_t *number, int64_t least, int64_t most);
Member member_decimal(const char *name, int64_t *number, int64_t least, int64_t most, int digits);
Member member_flag(const char *name, bool *flag);
Member member_text(const char *name, MemberKind kind, char *text, size_t text_bytes);
Member member_other(const char *name);

/* An object, and where it stands: `path` is "" at the top. A DECIMAL must not stand inside an array. */
typedef struct {
    Str document;
    const json_t *object;
    const char *path;
} Place;

/* REJECT names the first member that is wrong: unknown ones first, then in the order of `members`. */
MUST_USE Err member_read_all(const Place *place, const Member *members, size_t count);

/* "parent.name", or "name" at the top. */
void member_print_path(const char *parent, const char *name, char out[MEMBER_PATH_MAX_BYTES]);
/* "parent[index]" */
void member_print_index(const char *parent, size_t index, char out[MEMBER_PATH_MAX_BYTES]);

/* "5000", "0.25" as value * 10^digits: exact, no exponent, no sign, at most whole_max digits before the point and
 * `digits` after it that count. Both together must fit an int64: at most 18. */
MUST_USE bool member_parse_decimal(Str raw, size_t whole_max, int digits, int64_t *value);
/* The same back, without needless zeros. */
void member_print_decimal(Buffer *out, int64_t value, int digits);

#endif
