/* form - reads application/x-www-form-urlencoded bodies: what Stripe's API takes. */
#ifndef SANDBOX_FORM_H
#define SANDBOX_FORM_H

#include "shared/base/str.h"

#define FORM_FIELDS_MAX 256

typedef struct {
    Str name; /* decoded: "metadata[order]" */
    Str value;
} FormField;

typedef struct {
    FormField fields[FORM_FIELDS_MAX];
    size_t count;
} Form;

/* Decodes in place: the form points into `text`. False: more fields than are read, or a broken escape, or bytes that
 * are not UTF-8. */
bool form_read(Form *form, char *text, size_t length);

/* The value of a name; data NULL where there is none. The last one counts where there are several. */
Str form_find(const Form *form, Str name);

/* "order" of "metadata[order]" where name is "metadata"; data NULL for anything else. */
Str form_subkey(Str field, Str name);

/* The same for any order of the fields, different for different fields or values: tells a repeated request from
 * another one with the same idempotency key. */
uint64_t form_digest(const Form *form, Str path);

#endif
