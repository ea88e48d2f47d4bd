/* wire/andon - alerts to bytes and back. */
#ifndef TAI_WIRE_ANDON_H
#define TAI_WIRE_ANDON_H

#include "shared/base/arena.h"
#include "shared/base/err.h"

typedef enum { ANDON_HIGH = 1, ANDON_CRITICAL = 2 } AndonSeverity;

typedef struct {
    Str domain;
    Str alert; /* one subject token */
    AndonSeverity severity;
    bool cleared;
    Str summary;
    int64_t when_ms; /* Unix time */
    Str source;
} Andon;

MUST_USE Err wire_decode_andon(Arena *arena, Str body, Andon *andon);
Str wire_encode_andon(Arena *arena, const Andon *andon);

#endif
