/* request - one HTTP request from its first line to its last byte out.
 * It lives until the HTTP library and the bus are both done with it: a client may be answered while an answer of the
 * bus is still on its way. Everything it needs is in its arena. Whoever answers first, answers. */
#ifndef TAI_GATEWAY_REQUEST_H
#define TAI_GATEWAY_REQUEST_H

#include "gateway/field.h"
#include "gateway/gateway.h"
#include "gateway/watch.h"
#include "shared/base/trace.h"
#include "shared/bus/read.h"

struct MHD_Connection;
struct Stream;

#define MEDIA_JSON "application/json"
#define MEDIA_PROBLEM "application/problem+json"

/* What the header said, as far as anybody here asks. Views into the connection's memory. */
typedef struct {
    Str content_type;
    Str key; /* Idempotency-Key */
    Str accept;
    Str if_match;
    Str if_none_match;
    Str last_event_id;
    FieldPrefer prefer;
    bool has_key;
    bool has_host;
    bool expects_continue;
    bool chunked;
    bool ambiguous;         /* its length or its key is said twice, or in two ways */
    int64_t content_length; /* -1: not said */
} RequestFields;

/* What will be sent. */
typedef struct {
    unsigned status;
    const char *media_type;
    Str body;
    Str location;
    Str allow;
    Str why;               /* for the log */
    int64_t retry_after_s; /* 0: none */
    uint64_t revision;     /* for ETag */
    bool has_revision;
    bool close; /* the connection ends with this answer */
} Answer;

/* A question to the metrics worker, asked again while it knows nothing (deployments.c). */
typedef struct {
    int times;
    void (*found)(Request *, Err err, Str known);
} LookUp;

struct Request {
    Gateway *gateway;
    Server *server;
    struct MHD_Connection *connection; /* NULL: the library is done with it */
    Request *next;                     /* in the list that it is in */
    Request *previous;
    Arena arena;

    Str method;
    Str path; /* as sent, percent escapes and all */
    Str id;   /* the path's segment that the route calls so, escapes undone */
    const struct RouteMethod *route;
    bool without_bus; /* of the route */
    bool takes_query; /* of the route */
    RequestFields fields;
    TraceContext trace;

    char *body;
    size_t body_length;
    size_t body_capacity;
    size_t dropped_bytes; /* of a body that nobody wants */

    bool begun;     /* the header was looked at */
    bool received;  /* all of it is there */
    bool suspended; /* the library waits for request_answer() */
    bool answered;
    Answer answer;

    size_t outstanding; /* calls to the bus that will come back */
    uint64_t token;     /* in the waiting table; 0: none */
    Timer deadline;
    Timer pause; /* before something is tried again */
    Watch watch;
    LookUp look_up;
    BusRead *read;
    struct Stream *stream; /* the answer has no end; NULL for an ordinary one */

    void *state;                                             /* the resource's own, from the arena */
    void (*on_reply)(Request *, const BusDelivery *message); /* a worker told the outcome; may be NULL */
    void (*on_give_up)(Request *);                           /* the process ends now: answer; NULL: 503 */
};

Request *request_open(Gateway *gateway, Server *server, struct MHD_Connection *connection);
/* The library is done with it. */
void request_close(Request *request);
/* All requests and their memory, at the end of the process. */
void request_release_all(Gateway *gateway);

void request_read_header(Request *request, Str method, Str path);

static inline Str request_body(const Request *request)
{
    return (Str){request->body, request->body_length};
}

/* The first answer counts, any further one is forgotten. `body` must last as long as the request (its arena). */
void request_answer(Request *request, unsigned status, const char *media_type, Str body);

/* Takes a place among those who wait for an outcome; false, with the request answered, when there is none. */
bool request_take_place(Request *request);
void request_set_deadline(Request *request, int64_t delay_ms, void (*ring)(void *request));

/* Calls to the bus on behalf of a request. The callback gets the Request as its context and must begin with
 * `if (!request_is_back(request)) return;`: false says that nobody waits any more, and that the request may be gone. */
void request_store(Request *request, const BusMessage *message, BusStoredCallback *callback);
void request_get_last(Request *request, Str stream, Str subject, BusReplyCallback *callback);
void request_ask(Request *request, const BusMessage *message, BusReplyCallback *callback);
bool request_is_back(Request *request);

/* A query parameter, escapes undone; false where it is not there, or cannot be read. */
bool request_query_value(Request *request, const char *name, Str *value);
unsigned request_query_count(const Request *request);

/* The request's traceparent as a header's value, from its arena. */
Str request_traceparent(Request *request);

#endif
