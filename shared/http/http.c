/* http - libcurl's multi interface behind one epoll descriptor.
 * Calls are pooled with their easy handles and their memory: a call like the last one sets four options. */
#include "shared/http/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "shared/http/call.h"

#define IDLE_CONNECTIONS_MAX 1024 /* kept open where max_connections is 0 */
#define EVENTS_PER_TURN 256
#define TIMER_OFF INT64_MAX

struct Http {
    CURLM *multi;
    int epoll;
    int64_t timer_ms; /* when libcurl wants to be called; TIMER_OFF: on sockets only */
    Call *flying;     /* doubly linked */
    Call *refused;    /* never got to libcurl; told at the next dispatch */
    Call *idle;       /* for reuse */
    char *user_agent;
    char *ca_file;
};

static int64_t http_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* libcurl asks to watch a socket; `known` tells whether the epoll set has it. */
static int http_watch(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    (void)easy;
    Http *http = context;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(http->epoll, EPOLL_CTL_DEL, fd, NULL); /* fails harmlessly where it is closed already */
        curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    struct epoll_event event = {.data.fd = fd};
    event.events =
        ((what & CURL_POLL_IN) != 0 ? (uint32_t)EPOLLIN : 0) | ((what & CURL_POLL_OUT) != 0 ? (uint32_t)EPOLLOUT : 0);
    if (known != NULL && epoll_ctl(http->epoll, EPOLL_CTL_MOD, fd, &event) == 0) {
        return 0;
    }
    if (epoll_ctl(http->epoll, EPOLL_CTL_ADD, fd, &event) != 0 && errno == EEXIST) {
        TAI_ASSERT(epoll_ctl(http->epoll, EPOLL_CTL_MOD, fd, &event) == 0);
    }
    curl_multi_assign(http->multi, fd, http);
    return 0;
}

static int http_set_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    Http *http = context;
    http->timer_ms = timeout_ms < 0 ? TIMER_OFF : timeout_ms == 0 ? 0 : http_now_ms() + timeout_ms;
    return 0;
}

static char *http_keep(Str text)
{
    char *copy = strndup(text.length > 0 ? text.data : "", text.length);
    TAI_ASSERT(copy != NULL);
    return copy;
}

Err http_open(const HttpOptions *options, Http **out)
{
    TAI_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); /* counts its calls */
    Http *http = calloc(1, sizeof *http);
    TAI_ASSERT(http != NULL);
    http->timer_ms = TIMER_OFF;
    http->user_agent = http_keep(options->user_agent);
    http->ca_file = http_keep(options->ca_file);
    http->multi = curl_multi_init();
    TAI_ASSERT(http->multi != NULL);
    http->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (http->epoll < 0) {
        Err err = err_retry("http: no descriptors left: %s", strerror(errno));
        http_close(http);
        return err;
    }
    long connections = (long)options->max_connections;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, http_watch);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, http_set_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, connections > 0 ? connections : IDLE_CONNECTIONS_MAX);
    *out = http;
    return err_none();
}

static void http_link(Call **list, Call *call)
{
    call->previous = NULL;
    call->next = *list;
    if (call->next != NULL) {
        call->next->previous = call;
    }
    *list = call;
}

static void http_unlink(Call **list, Call *call)
{
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        *list = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
}

static void http_finish(Http *http, Call *call, HttpResult *result)
{
    result->duration_ms = http_now_ms() - call->sent_ms;
    call->callback(call->context, result);
    call_clear(call);
    http_link(&http->idle, call);
}

void http_send(Http *http, const HttpRequest *request, HttpCallback *callback, void *context)
{
    Call *call = http->idle;
    if (call != NULL) {
        http_unlink(&http->idle, call);
    } else {
        call = call_make(http->user_agent, http->ca_file);
    }
    call->callback = callback;
    call->context = context;
    call->sent_ms = http_now_ms();
    if (!call_prepare(call, request)) {
        http_link(&http->refused, call);
        return;
    }
    http_link(&http->flying, call);
    TAI_ASSERT(curl_multi_add_handle(http->multi, call->easy) == CURLM_OK);
}

int http_descriptor(const Http *http)
{
    return http->epoll;
}

int64_t http_deadline_ms(const Http *http)
{
    return http->refused != NULL ? 0 : http->timer_ms;
}

static void http_tell_refused(Http *http)
{
    Call *last = http->refused;
    http->refused = NULL; /* what is refused meanwhile waits for the next dispatch */
    while (last != NULL) {
        Call *call = last;
        last = call->next;
        HttpResult result = call_result(call, CURLE_BAD_FUNCTION_ARGUMENT);
        http_finish(http, call, &result);
    }
}

static void http_tell_done(Http *http)
{
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(http->multi, &left); message != NULL;
         message = curl_multi_info_read(http->multi, &left)) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = message->data.result;
        Call *call = call_of(message->easy_handle);
        curl_multi_remove_handle(http->multi, call->easy);
        http_unlink(&http->flying, call);
        HttpResult result = call_result(call, code);
        http_finish(http, call, &result);
    }
}

void http_dispatch(Http *http, int64_t now_ms)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int running = 0;
    http_tell_refused(http);
    int count = epoll_wait(http->epoll, events, EVENTS_PER_TURN, 0);
    for (int i = 0; i < count; i++) {
        int what = ((events[i].events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                   ((events[i].events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                   ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(http->multi, events[i].data.fd, what, &running);
    }
    if (http->timer_ms <= now_ms) {
        http->timer_ms = TIMER_OFF; /* libcurl sets it again where it wants it */
        curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    http_tell_done(http);
}

void http_close(Http *http)
{
    if (http == NULL) {
        return;
    }
    while (http->flying != NULL || http->refused != NULL) {
        http_tell_refused(http);
        Call *call = http->flying;
        if (call != NULL) {
            curl_multi_remove_handle(http->multi, call->easy);
            http_unlink(&http->flying, call);
            HttpResult result = call_result(call, CURLE_ABORTED_BY_CALLBACK);
            http_finish(http, call, &result);
        }
    }
    while (http->idle != NULL) {
        Call *call = http->idle;
        http->idle = call->next;
        call_free(call);
    }
    curl_multi_cleanup(http->multi);
    if (http->epoll >= 0) {
        close(http->epoll);
    }
    free(http->user_agent);
    free(http->ca_file);
    free(http);
    curl_global_cleanup();
}
