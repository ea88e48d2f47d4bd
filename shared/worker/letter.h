/* letter - a dead letter: a message that nothing can be done with, put aside with why and where it came from. */
#ifndef TAI_WORKER_LETTER_H
#define TAI_WORKER_LETTER_H

#include "shared/base/arena.h"
#include "shared/bus/bus.h"

typedef struct {
    const char *domain; /* "payment": the letter goes to tai.dead.<domain>.<lane> */
    const char *lane;
    const char *stream; /* that the message is on */
} LetterPlace;

/* Its text is the message's or the arena's. Stored under an id made of stream, lane and sequence: a message that is
 * buried twice makes one letter. The message may be acked when the letter is stored, not before. */
BusMessage letter_make(Arena *arena, const LetterPlace *place, const BusDelivery *message, Str why);

#endif
