/* http - the gateway and the sandbox as a client sees them. */
#ifndef TAI_TESTS_HTTP_H
#define TAI_TESTS_HTTP_H

#include <jansson.h>

#include "tests/support/stack.h"

typedef struct {
    long status;         /* 0: no answer */
    const char *headers; /* as they came */
    const char *body;
    size_t length;
    json_t *json; /* NULL where the body is not JSON; borrowed from the stack's memory of answers */
} Answer;

typedef struct {
    const char *method;
    const char *path;
    const char *body;    /* NULL: none */
    size_t body_length;  /* 0: strlen(body) */
    const char *headers; /* "Name: value\nName: value"; Content-Type: application/json goes with every body */
    Kind to;             /* 0: the gateway */
} Call;

/* Thread-safe. Fails the test when nothing answers; http_try() answers status 0 then. */
Answer http_call(Stack *stack, Call call);
Answer http_try(Stack *stack, Call call);

Answer http_get(Stack *stack, const char *path);
Answer http_post(Stack *stack, const char *path, const char *body);
Answer http_put(Stack *stack, const char *path, const char *body);

/* A header's value, or "". */
const char *http_header(Stack *stack, const Answer *answer, const char *name);

/* A connection of bytes, for what no client library would send. */
int raw_open(Stack *stack, Kind to);
void raw_send(int socket, const void *bytes, size_t length); /* what the peer no longer takes is dropped */
void raw_print(int socket, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What comes until the peer closes, or `text` was seen, or within_ms are over. NUL-terminated. */
const char *raw_read(Stack *stack, int socket, const char *text, int64_t within_ms);
bool raw_is_closed(int socket, int64_t within_ms); /* reads until then */
/* Bytes as they are, then the answer's status; 0 when there is none. The rest of the answer into `body`, if asked. */
long raw_ask(Stack *stack, const void *bytes, size_t length, const char **body);

/* Members of JSON by dotted path, without a crash where they are missing: "", 0, false. */
json_t *json_at(const json_t *json, const char *path);
const char *json_text(const json_t *json, const char *path);
double json_number(const json_t *json, const char *path);

#endif
