/* sandbox - the whole state of tai-sandbox, and a request and an answer as its parts see them.
 * One thread; the HTTP library is known to server.c alone. */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "ops/sandbox/behavior.h"
#include "ops/sandbox/cluster.h"
#include "ops/sandbox/idempotency.h"
#include "ops/sandbox/journal.h"

#define SANDBOX_STATUS_MAX 600

typedef struct {
    Behavior behavior;
    Book book;
    Table results; /* by idempotency key: the youngest executed request */
    Journal journal;
    Cluster cluster;
    uint64_t random;  /* state of the generator that the rates are drawn with */
    char bearer[256]; /* the Authorization headers that are let in */
    char basic[384];
    int64_t requests; /* of /v1 */
    int64_t replayed;
    int64_t dropped;
    int64_t by_status[SANDBOX_STATUS_MAX];
    char content_digest[80]; /* of the last manifest */
    Form form;
    Buffer metadata; /* scratch for one request */
    Buffer scratch;
    Buffer text; /* the answer's body, until the next request */
} Sandbox;

typedef struct {
    Str method;
    Str path;
    Str authorization;
    Str content_type;
    Str idempotency_key;
    Str query_key; /* ?key=; data NULL where there is none */
    Str query_since;
    Str query_until;
    char *body; /* may be changed */
    size_t body_length;
    int64_t now_ms; /* monotonic */
    int64_t now_s;  /* since 1970 */
    int64_t unix_ms;
} Request;

typedef struct {
    int status;
    Str body;                   /* JSON, in Sandbox.text */
    bool replayed;              /* Idempotent-Replayed: true */
    bool drop;                  /* close the connection instead */
    bool stream_csv;            /* the body is the book as CSV */
    int retry_after_s;          /* 0: none */
    const char *allow;          /* with 405 */
    const char *content_type;   /* NULL: JSON */
    const char *content_digest; /* Docker-Content-Digest; NULL: none */
    int64_t latency_ms;         /* to wait before it leaves */
} Answer;

/* Uniform from 0 up to, not including, 1. */
double sandbox_draw(Sandbox *sandbox);

#endif
