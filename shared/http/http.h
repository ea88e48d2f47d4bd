/* http - outbound HTTP, many calls in flight on one loop. libcurl stays in here.
 * Not thread-safe: one loop owns it. Connections are kept and reused. HTTP/1.1; no redirects; proxies of the
 * environment are not used. The process must ignore SIGPIPE. */
#ifndef TAI_HTTP_HTTP_H
#define TAI_HTTP_HTTP_H

#include "shared/base/err.h"
#include "shared/base/str.h"

typedef struct Http Http;

typedef struct {
    int64_t max_connections; /* open at once to one host; 0: no bound */
    Str user_agent;
    Str ca_file; /* PEM bundle; empty: the system's */
} HttpOptions;

#define HTTP_HEADERS_MAX 12
#define HTTP_WANTED_MAX 2
#define HTTP_RESPONSE_MAX (256 * 1024) /* bytes, where a request says nothing else; a longer body is HTTP_LOST */

typedef struct {
    Str method; /* "GET", "POST", … */
    Str url;
    Str headers[HTTP_HEADERS_MAX]; /* "Name: value" */
    size_t header_count;
    Str body;                                    /* sent as it is; with POST also when empty */
    int64_t connect_timeout_ms;                  /* 0: 2000 */
    int64_t timeout_ms;                          /* for all of it; 0: 30000 */
    const char *wanted_headers[HTTP_WANTED_MAX]; /* static text: headers of the answer that are told; NULL: none */
    size_t response_max_bytes;                   /* 0: HTTP_RESPONSE_MAX */
} HttpRequest;

typedef enum {
    HTTP_ANSWERED, /* a whole answer came, whatever its status */
    HTTP_NOT_SENT, /* no byte of the request left this machine: name, connect, TLS */
    HTTP_LOST,     /* sent at least in part, and no whole answer: time-out, reset, broken or oversized answer */
} HttpResultKind;

typedef struct {
    HttpResultKind kind;
    int status;                   /* with ANSWERED */
    Str body;                     /* valid during the callback */
    Str headers[HTTP_WANTED_MAX]; /* as the request's wanted_headers, likewise; empty where there is none */
    int64_t duration_ms;          /* from http_send to here */
    int64_t retry_after_ms;       /* from Retry-After in seconds, or a date; 0 where there is none; at most 6 h */
    bool idempotent_replayed;     /* the answer has Idempotent-Replayed: true */
    char why[124];                /* with NOT_SENT and LOST: for a person */
} HttpResult;

/* Called exactly once for each request, from http_dispatch() or http_close(), never from http_send() itself. */
typedef void HttpCallback(void *context, const HttpResult *result);

MUST_USE Err http_open(const HttpOptions *options, Http **http);
void http_close(Http *http); /* what is in flight ends as HTTP_LOST (NOT_SENT where nothing was sent) */

/* Everything is copied. Never fails at once: what is wrong arrives at the callback.
 * Where a kept connection turns out to be closed before a byte of the answer, the request is sent once more on another
 * one if that is safe: GET, HEAD, PUT, DELETE, or any with an Idempotency-Key header. Without it is HTTP_LOST. */
void http_send(Http *http, const HttpRequest *request, HttpCallback *callback, void *context);

/* For the loop, as in store.h; now_ms is CLOCK_MONOTONIC. */
int http_descriptor(const Http *http);
int64_t http_deadline_ms(const Http *http);
void http_dispatch(Http *http, int64_t now_ms);

/* application/x-www-form-urlencoded, per WHATWG URL: appends "key=value", with '&' before it where something stands
 * in the buffer already. */
void http_form_append(Buffer *out, Str key, Str value);

#endif
