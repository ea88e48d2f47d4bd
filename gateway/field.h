/* field - reading the fields of a request: Prefer, media types, Accept, keys, entity tags, percent escapes. Pure.
 * A field that is optional and malformed counts as absent, as HTTP wants it. */
#ifndef TAI_GATEWAY_FIELD_H
#define TAI_GATEWAY_FIELD_H

#include "shared/base/str.h"

#define FIELD_WAIT_MAX_S 60
#define FIELD_KEY_MAX 255

/* What Prefer (RFC 7240) asks for; several fields may be read into one. */
typedef struct {
    bool respond_async;
    int64_t wait_s; /* -1: not said */
} FieldPrefer;

FieldPrefer field_prefer_none(void);
void field_prefer_read(Str value, FieldPrefer *prefer);
/* How long to wait: wait=N before respond-async (which alone means not at all) before the default. */
int64_t field_prefer_wait_ms(const FieldPrefer *prefer, int64_t default_ms);

/* "application/json; charset=utf-8" is application/json. */
bool field_is_media_type(Str value, Str media_type);

/* Whether Accept names text/plain or application/openmetrics-text, and likes it no less than application/json. */
bool field_accepts_text(Str accept);

/* Whether Accept names this media type with a quality above 0. */
bool field_accepts(Str accept, Str media_type);

/* 1..255 visible ASCII characters. */
bool field_is_key(Str key);

/* `"17"` of If-Match. False for lists, weak tags and whatever else is not one of our revisions. */
bool field_entity_tag(Str value, uint64_t *revision);

/* Undoes %XX into `out`. False for a broken escape or a NUL. */
bool field_unescape(Str text, Buffer *out);

#endif
