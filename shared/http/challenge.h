/* challenge - how a server wants to be authenticated to: the answer's WWW-Authenticate, RFC 9110 section 11.6.1. */
#ifndef TAI_HTTP_CHALLENGE_H
#define TAI_HTTP_CHALLENGE_H

#include "shared/base/arena.h"

typedef struct {
    Str scheme; /* "Bearer", "Basic"; compare without case */
    Str realm;  /* the three empty where they are not there */
    Str service;
    Str scope;
} HttpChallenge;

/* The first challenge of the field; its texts are copied. False for what is none: nothing is to be relied on then. */
bool http_challenge_read(Arena *arena, Str field, HttpChallenge *challenge);

#endif
