/* document - JSON text to a jansson tree, with reasons for a person. Only for the files of this folder.
 * A reason names places and members, never the values: they may be what must not be repeated in a log. */
#ifndef TAI_WIRE_DOCUMENT_H
#define TAI_WIRE_DOCUMENT_H

#include <jansson.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

/* REJECT: too long, NUL, deeper than depth_max, not JSON, duplicate members, numbers past every range, not an object
 * at the top. The caller gives `object` back with json_decref(). */
MUST_USE Err document_load(Str text, size_t length_max, int depth_max, json_t **object);

/* For a member that is not known: its name as it may be shown. */
MUST_USE Err document_unknown_member(const char *parent, Str key);

Str document_string(const json_t *string);

#endif
