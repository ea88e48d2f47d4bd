/* call - one request and its answer: a libcurl easy handle with the memory it points into. Private to shared/http. */
#ifndef TAI_HTTP_CALL_H
#define TAI_HTTP_CALL_H

#include <curl/curl.h>

#include "shared/http/http.h"

typedef struct Call {
    CURL *easy;
    struct Call *previous;
    struct Call *next;
    HttpCallback *callback;
    void *context;
    int64_t sent_ms; /* http_send(), CLOCK_MONOTONIC */

    char *text; /* URL, headers and body, NUL after each; owned */
    size_t text_capacity;
    struct curl_slist headers[HTTP_HEADERS_MAX + 2]; /* point into text */
    const char *wanted_headers[HTTP_WANTED_MAX];     /* NULL: none */
    char method[16];                                 /* what the handle is set up for; "" for a new one */
    bool may_repeat;                                 /* sending it twice has the effect of sending it once */
    int attempts;       /* how often libcurl had a connection and began to send; 0: no byte left */
    const char *refuse; /* why it does not go to libcurl at all; NULL: it does */

    char *answer; /* the body so far; owned */
    size_t answer_length;
    size_t answer_capacity;
    size_t answer_max_bytes;
    bool oversized;
    char why[CURL_ERROR_SIZE];
} Call;

Call *call_make(const char *user_agent, const char *ca_file);
bool call_prepare(Call *call, const HttpRequest *request); /* false: `refuse` says why */
HttpResult call_result(Call *call, CURLcode code);         /* valid until call_clear() */
void call_clear(Call *call);                               /* ready for the next request */
void call_free(Call *call);
Call *call_of(CURL *easy);

#endif
