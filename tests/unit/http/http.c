/* Tests of shared/http against a small server of their own, a thread for each connection; the path says how it
 * behaves. */
#include "shared/http/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define PATIENCE_MS 20000
#define TOGETHER 300

static int listener = -1;
static int port;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gathered = PTHREAD_COND_INITIALIZER;
static int waiting;
static int requests;
static char last_request[4096];

static void say(int fd, const char *text)
{
    cr_assert_geq(send(fd, text, strlen(text), MSG_NOSIGNAL), 0);
}

/* Reads one request with its body. False where the client closed. */
static bool read_request(int fd, char *request, size_t capacity)
{
    size_t length = 0;
    while (length + 1 < capacity) {
        ssize_t got = recv(fd, request + length, capacity - length - 1, 0);
        if (got <= 0) {
            return false;
        }
        length += (size_t)got;
        request[length] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        const char *body_length = strcasestr(request, "\r\nContent-Length: ");
        size_t wanted = body_length != NULL ? (size_t)strtoul(body_length + 18, NULL, 10) : 0;
        if (end != NULL && length >= (size_t)(end + 4 - request) + wanted) {
            return true;
        }
    }
    return false;
}

static void say_after_the_others(int fd)
{
    pthread_mutex_lock(&mutex);
    waiting++;
    pthread_cond_broadcast(&gathered);
    while (waiting < TOGETHER) {
        pthread_cond_wait(&gathered, &mutex);
    }
    pthread_mutex_unlock(&mutex);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void say_date(int fd)
{
    char answer[256];
    char date[64];
    time_t then = time(NULL) + 100;
    struct tm parts;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &parts));
    Buffer text = buffer_over(answer, sizeof answer);
    buffer_print(&text, "HTTP/1.1 503 Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    say(fd, answer);
}

static void say_too_much(int fd)
{
    static char kilobyte[1025];
    memset(kilobyte, 'x', 1024);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 262145\r\n\r\n");
    for (int i = 0; i < 257; i++) {
        if (send(fd, kilobyte, 1024, MSG_NOSIGNAL) < 0) {
            return;
        }
    }
}

static void say_as_much_as_is_read(int fd)
{
    static char kilobyte[1025];
    memset(kilobyte, 'x', 1024);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 262144\r\n\r\n");
    for (int i = 0; i < 256; i++) {
        say(fd, kilobyte);
    }
}

/* False ends the connection. */
static bool behave(int fd, const char *request, int number)
{
    const char *path = strchr(request, ' ') + 1;
    if (strncmp(path, "/ok", 3) == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    } else if (strncmp(path, "/402", 4) == 0) {
        say(fd, "HTTP/1.1 402 Payment Required\r\nContent-Length: 8\r\nIdempotent-Replayed: true\r\n\r\ndeclined");
    } else if (strncmp(path, "/seconds", 8) == 0) {
        say(fd, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nIdempotent-Replayed: false\r\nContent-Length: 0\r\n\r\n");
    } else if (strncmp(path, "/year", 5) == 0) {
        say(fd, "HTTP/1.1 429 Slow\r\nRetry-After: 31536000\r\nContent-Length: 0\r\n\r\n");
    } else if (strncmp(path, "/date", 5) == 0) {
        say_date(fd);
    } else if (strncmp(path, "/past", 5) == 0) {
        say(fd, "HTTP/1.1 503 Busy\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
    } else if (strncmp(path, "/redirect", 9) == 0) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    } else if (strncmp(path, "/half", 5) == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of");
        return false;
    } else if (strncmp(path, "/garbage", 8) == 0) {
        say(fd, "what is this\r\n\r\n");
        return false;
    } else if (strncmp(path, "/silent", 7) == 0) {
        char byte;
        (void)!recv(fd, &byte, 1, 0); /* until the client closes */
        return false;
    } else if (strncmp(path, "/big", 4) == 0) {
        say_too_much(fd);
        return false;
    } else if (strncmp(path, "/full", 5) == 0) {
        say_as_much_as_is_read(fd);
    } else if (strncmp(path, "/together", 9) == 0) {
        say_after_the_others(fd);
    } else if (strncmp(path, "/fresh-only", 11) == 0 && number == 1) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh");
    } else {
        return false; /* /close, and /fresh-only on a kept connection */
    }
    return true;
}

static void *serve_connection(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char request[4096];
    for (int number = 1; read_request(fd, request, sizeof request); number++) {
        pthread_mutex_lock(&mutex);
        requests++;
        memcpy(last_request, request, sizeof request);
        pthread_mutex_unlock(&mutex);
        if (!behave(fd, request, number)) {
            break;
        }
    }
    close(fd);
    return NULL;
}

static void *serve(void *argument)
{
    (void)argument;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        pthread_t thread;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 256 * 1024);
        pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
        cr_assert_eq(pthread_create(&thread, &small, serve_connection, (void *)(intptr_t)fd), 0);
        pthread_attr_destroy(&small);
    }
}

static int listen_anywhere(int backlog, int *at)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *at = ntohs(address.sin_port);
    return fd;
}

static void before(void)
{
    signal(SIGPIPE, SIG_IGN);
    listener = listen_anywhere(512, &port);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, serve, NULL), 0);
    pthread_detach(thread);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

typedef struct {
    int calls;
    HttpResult result;
    char body[64];
    char header[64];
    char second[64];
} Answer;

static void keep_answer(void *context, const HttpResult *result)
{
    Answer *answer = context;
    answer->calls++;
    answer->result = *result;
    (void)!str_copy_to(str_slice(result->body, 0, 63), answer->body, sizeof answer->body);
    (void)!str_copy_to(str_slice(result->headers[0], 0, 63), answer->header, sizeof answer->header);
    (void)!str_copy_to(str_slice(result->headers[1], 0, 63), answer->second, sizeof answer->second);
}

static Http *open_http(int64_t max_connections)
{
    Http *http = NULL;
    Err err = http_open(&(HttpOptions){.max_connections = max_connections, .user_agent = STR("test/1")}, &http);
    cr_assert(!err_is(err), "%s", err.why);
    return http;
}

static void run_until(Http *http, const int *value, int wanted)
{
    int64_t until_ms = now_ms() + PATIENCE_MS;
    while (*value < wanted) {
        cr_assert(now_ms() < until_ms, "%d of %d answers", *value, wanted);
        int64_t deadline_ms = http_deadline_ms(http);
        int64_t wait_ms = deadline_ms == INT64_MAX ? PATIENCE_MS : deadline_ms - now_ms();
        struct pollfd ready = {.fd = http_descriptor(http), .events = POLLIN};
        poll(&ready, 1, wait_ms < 0 ? 0 : (int)wait_ms);
        http_dispatch(http, now_ms());
    }
}

static Str url_at(int at, const char *path, char memory[128], const char *scheme)
{
    Buffer url = buffer_over(memory, 128);
    buffer_print(&url, "%s://127.0.0.1:%d%s", scheme, at, path);
    return buffer_str(&url);
}

static void send_to(Http *http, const char *method, const char *path, HttpRequest request, Answer *answer)
{
    char memory[128];
    request.method = str_from(method);
    request.url = url_at(port, path, memory, "http");
    http_send(http, &request, keep_answer, answer);
}

static Answer call_with(Http *http, const char *method, const char *path, HttpRequest request)
{
    Answer answer = {0};
    send_to(http, method, path, request, &answer);
    cr_assert_eq(answer.calls, 0, "never from http_send itself");
    run_until(http, &answer.calls, 1);
    return answer;
}

static Answer call(Http *http, const char *method, const char *path)
{
    return call_with(http, method, path, (HttpRequest){0});
}

TestSuite(http, .init = before);

Test(http, a_whole_answer_comes_with_its_status_and_body)
{
    Http *http = open_http(0);
    Answer ok = call(http, "GET", "/ok");
    cr_assert(ok.result.kind == HTTP_ANSWERED && ok.result.status == 200);
    cr_assert_str_eq(ok.body, "hello");
    cr_assert(ok.result.retry_after_ms == 0 && !ok.result.idempotent_replayed);
    Answer declined = call(http, "POST", "/402");
    cr_assert(declined.result.kind == HTTP_ANSWERED && declined.result.status == 402);
    cr_assert_str_eq(declined.body, "declined");
    cr_assert(declined.result.idempotent_replayed);
    cr_assert(!call(http, "GET", "/ok").result.idempotent_replayed, "nothing is left of the call before");
    http_close(http);
}

Test(http, method_headers_and_body_are_sent_as_they_are)
{
    Http *http = open_http(0);
    HttpRequest request = {
        .headers = {STR("Idempotency-Key: k1"), STR("Content-Type: text/x")}, .header_count = 2, .body = STR("a=b")};
    call_with(http, "POST", "/ok", request);
    cr_assert(strncmp(last_request, "POST /ok HTTP/1.1\r\n", 19) == 0, "%s", last_request);
    cr_assert(strstr(last_request, "\r\nIdempotency-Key: k1\r\n") != NULL);
    cr_assert(strstr(last_request, "\r\nContent-Type: text/x\r\n") != NULL);
    cr_assert(strstr(last_request, "\r\nUser-Agent: test/1\r\n") != NULL);
    cr_assert(strstr(last_request, "\r\nContent-Length: 3\r\n") != NULL);
    cr_assert(strstr(last_request, "Expect") == NULL);
    cr_assert(strcmp(strstr(last_request, "\r\n\r\n"), "\r\n\r\na=b") == 0);
    http_close(http);
}

Test(http, each_method_may_follow_each_other_on_the_same_handle)
{
    const char *methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH"};
    Http *http = open_http(0);
    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < 10; j++) {
            const char *method = methods[(i + j) % 5];
            Str body = j % 2 == 0 || strcmp(method, "GET") == 0 ? STR("") : STR("payload");
            cr_assert_eq(call_with(http, method, "/ok", (HttpRequest){.body = body}).result.status, 200);
            cr_assert(strncmp(last_request, method, strlen(method)) == 0, "%s: %s", method, last_request);
            cr_assert(last_request[strlen(method)] == ' ');
            cr_assert_eq(strstr(last_request, "payload") != NULL, body.length > 0, "%s", last_request);
            cr_assert(strstr(last_request, "Content-Type") == NULL);
        }
    }
    http_close(http);
}

Test(http, a_large_body_is_sent_whole_at_once)
{
    Http *http = open_http(0);
    static char body[3500];
    memset(body, 'b', sizeof body);
    call_with(http, "POST", "/ok", (HttpRequest){.body = {body, sizeof body}});
    cr_assert_eq(strlen(strstr(last_request, "\r\n\r\n") + 4), sizeof body);
    http_close(http);
}

Test(http, retry_after_is_read_in_seconds_and_as_a_date_and_is_at_most_six_hours)
{
    Http *http = open_http(0);
    Answer seconds = call(http, "GET", "/seconds");
    cr_assert(seconds.result.status == 429 && seconds.result.retry_after_ms == 7000);
    cr_assert(!seconds.result.idempotent_replayed);
    int64_t date_ms = call(http, "GET", "/date").result.retry_after_ms;
    cr_assert(date_ms > 0 && date_ms <= 100000, "%ld", (long)date_ms);
    cr_assert_eq(call(http, "GET", "/past").result.retry_after_ms, 0);
    cr_assert_eq(call(http, "GET", "/year").result.retry_after_ms, INT64_C(21600000));
    cr_assert_eq(call(http, "GET", "/ok").result.retry_after_ms, 0);
    http_close(http);
}

Test(http, the_header_that_a_request_asked_for_is_told_and_no_other)
{
    Http *http = open_http(0);
    HttpRequest wanting = {.wanted_headers = {"location"}};
    cr_assert_str_eq(call_with(http, "GET", "/redirect", wanting).header, "/ok");
    cr_assert_str_empty(call_with(http, "GET", "/ok", wanting).header);
    wanting.wanted_headers[0] = NULL;
    wanting.wanted_headers[1] = "location";
    Answer second = call_with(http, "GET", "/redirect", wanting);
    cr_assert_str_eq(second.second, "/ok");
    cr_assert_str_empty(second.header);
    cr_assert_str_empty(call(http, "GET", "/redirect").header, "nothing is left of the call before");
    http_close(http);
}

Test(http, a_redirect_is_an_answer_and_is_not_followed)
{
    Http *http = open_http(0);
    cr_assert_eq(call(http, "GET", "/redirect").result.status, 302);
    cr_assert_eq(requests, 1);
    http_close(http);
}

Test(http, nothing_was_sent_where_there_was_no_connection)
{
    int closed_port;
    close(listen_anywhere(1, &closed_port));
    char refused[128];
    char no_tls[128];
    struct {
        Str url;
        const char *what;
    } cases[] = {
        {url_at(closed_port, "/", refused, "http"), "refused"},
        {url_at(port, "/", no_tls, "https"), "no TLS there"},
        {STR("http://name.invalid/"), "no such name"},
        {STR("ftp://127.0.0.1/"), "not HTTP"},
        {STR("http://127.0.0.1:99999/"), "no such port"},
        {STR("not an address"), "malformed"},
        {STR(""), "empty"},
        {STR("http://127.0.0.1/\r\nX: y"), "two lines"},
    };
    Http *http = open_http(0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Answer answer = {0};
        http_send(http, &(HttpRequest){.method = STR("POST"), .url = cases[i].url}, keep_answer, &answer);
        run_until(http, &answer.calls, 1);
        cr_assert_eq(answer.result.kind, HTTP_NOT_SENT, "%s", cases[i].what);
        cr_assert(answer.result.why[0] != '\0');
    }
    http_close(http);
}

Test(http, a_header_with_a_line_break_is_not_sent)
{
    Http *http = open_http(0);
    HttpRequest request = {.headers = {STR("X-Name: a\r\nX-Other: b")}, .header_count = 1};
    Answer answer = call_with(http, "GET", "/ok", request);
    cr_assert(answer.result.kind == HTTP_NOT_SENT && requests == 0);
    cr_assert_eq(call(http, "GET", "/ok").result.status, 200);
    http_close(http);
}

Test(http, a_time_out_before_the_connection_is_not_sent)
{
    int full_port;
    int full = listen_anywhere(0, &full_port);
    int fillers[4];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)full_port)};
    for (size_t i = 0; i < 4; i++) { /* nobody accepts: further connections hang */
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    char memory[128];
    HttpRequest request = {
        .method = STR("POST"), .url = url_at(full_port, "/", memory, "http"), .connect_timeout_ms = 100};
    Http *http = open_http(0);
    Answer answer = {0};
    http_send(http, &request, keep_answer, &answer);
    run_until(http, &answer.calls, 1);
    cr_assert_eq(answer.result.kind, HTTP_NOT_SENT);
    http_close(http);
    close(full);
    for (size_t i = 0; i < 4; i++) {
        close(fillers[i]);
    }
}

Test(http, what_was_sent_and_not_wholly_answered_is_lost)
{
    const char *paths[] = {"/close", "/half", "/garbage", "/silent", "/big"};
    Http *http = open_http(0);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        Answer answer = call_with(http, "POST", paths[i], (HttpRequest){.timeout_ms = 300, .body = STR("x")});
        cr_assert_eq(answer.result.kind, HTTP_LOST, "%s", paths[i]);
        cr_assert(answer.result.why[0] != '\0' && answer.calls == 1);
    }
    http_close(http);
}

Test(http, an_answer_of_exactly_the_largest_size_is_read)
{
    Http *http = open_http(0);
    Answer answer = call(http, "GET", "/full");
    cr_assert(answer.result.kind == HTTP_ANSWERED && answer.result.body.length == HTTP_RESPONSE_MAX);
    cr_assert_eq(call(http, "GET", "/ok").result.body.length, 5);
    http_close(http);
}

Test(http, a_request_says_how_long_its_answer_may_be)
{
    Http *http = open_http(0);
    HttpRequest wide = {.response_max_bytes = 2 * HTTP_RESPONSE_MAX};
    cr_assert_gt(call_with(http, "GET", "/big", wide).result.body.length, HTTP_RESPONSE_MAX);
    HttpRequest narrow = {.response_max_bytes = 4};
    cr_assert_eq(call_with(http, "GET", "/ok", narrow).result.kind, HTTP_LOST);
    cr_assert_eq(call(http, "GET", "/ok").result.body.length, 5, "the next one has the default again");
    http_close(http);
}

static void *accept_and_reset(void *argument)
{
    int fd = accept(*(int *)argument, NULL, NULL);
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    return NULL;
}

Test(http, a_connection_reset_before_the_request_is_read_is_no_answer)
{
    int reset_port;
    int fd = listen_anywhere(4, &reset_port);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, accept_and_reset, &fd), 0);
    char memory[128];
    Http *http = open_http(0);
    Answer answer = {0};
    HttpRequest request = {.method = STR("POST"), .url = url_at(reset_port, "/", memory, "http")};
    http_send(http, &request, keep_answer, &answer);
    run_until(http, &answer.calls, 1);
    cr_assert_neq(answer.result.kind, HTTP_ANSWERED);
    pthread_join(thread, NULL);
    http_close(http);
    close(fd);
}

Test(http, a_kept_connection_that_died_is_replaced_only_where_sending_twice_is_safe)
{
    struct {
        const char *method;
        const char *header;
        HttpResultKind kind;
    } cases[] = {
        {"POST", NULL, HTTP_LOST},
        {"POST", "Idempotency-Key: k", HTTP_ANSWERED},
        {"GET", NULL, HTTP_ANSWERED},
    };
    for (size_t i = 0; i < 3; i++) {
        Http *http = open_http(0);
        cr_assert_eq(call(http, "GET", "/ok").result.status, 200);
        HttpRequest request = {.headers = {str_from(cases[i].header)}, .header_count = cases[i].header != NULL};
        Answer answer = call_with(http, cases[i].method, "/fresh-only", request);
        cr_assert_eq(answer.result.kind, cases[i].kind, "%s %zu: %s", cases[i].method, i, answer.result.why);
        http_close(http);
    }
}

Test(http, three_hundred_calls_are_in_flight_at_once)
{
    static Answer answers[TOGETHER];
    Http *http = open_http(0);
    for (int i = 0; i < TOGETHER; i++) {
        send_to(http, "POST", "/together", (HttpRequest){.body = STR("x"), .timeout_ms = PATIENCE_MS}, &answers[i]);
    }
    for (int i = 0; i < TOGETHER; i++) {
        run_until(http, &answers[i].calls, 1);
        cr_assert_eq(answers[i].result.status, 200, "%s", answers[i].result.why);
    }
    http_close(http);
}

Test(http, calls_past_the_connection_bound_wait_for_a_free_connection)
{
    static Answer answers[50];
    Http *http = open_http(2);
    for (int i = 0; i < 50; i++) {
        send_to(http, "GET", "/ok", (HttpRequest){0}, &answers[i]);
    }
    for (int i = 0; i < 50; i++) {
        run_until(http, &answers[i].calls, 1);
        cr_assert_eq(answers[i].result.status, 200);
    }
    http_close(http);
}

Test(http, closing_ends_what_is_in_flight)
{
    static Answer sent;
    static Answer unsent;
    Http *http = open_http(0);
    send_to(http, "POST", "/silent", (HttpRequest){.body = STR("x")}, &sent);
    int64_t until_ms = now_ms() + PATIENCE_MS;
    while (__atomic_load_n(&requests, __ATOMIC_RELAXED) == 0 && now_ms() < until_ms) {
        struct pollfd ready = {.fd = http_descriptor(http), .events = POLLIN};
        poll(&ready, 1, 1);
        http_dispatch(http, now_ms());
    }
    send_to(http, "POST", "/silent", (HttpRequest){.body = STR("x")}, &unsent);
    http_close(http);
    cr_assert(sent.calls == 1 && sent.result.kind == HTTP_LOST);
    cr_assert(unsent.calls == 1 && unsent.result.kind == HTTP_NOT_SENT);
}

static void send_again(void *context, const HttpResult *result)
{
    cr_assert_eq(result->kind, HTTP_ANSWERED);
    Answer *inner = context;
    Http *http = *(Http **)(void *)inner->body;
    send_to(http, "GET", "/ok", (HttpRequest){0}, inner);
}

Test(http, a_callback_may_send_again)
{
    Http *http = open_http(0);
    Answer inner = {0};
    memcpy(inner.body, &http, sizeof http);
    char memory[128];
    http_send(http, &(HttpRequest){.method = STR("GET"), .url = url_at(port, "/ok", memory, "http")}, send_again,
              &inner);
    run_until(http, &inner.calls, 1);
    cr_assert_eq(inner.result.status, 200);
    http_close(http);
}

Test(http, form_fields_are_encoded_as_browsers_do)
{
    char memory[256];
    Buffer out = buffer_over(memory, sizeof memory);
    http_form_append(&out, STR("amount"), STR("9999"));
    http_form_append(&out, STR("metadata[order id]"), STR("a*b-c.d_e~f&g=h+i/\xC3\xA9"));
    http_form_append(&out, STR("empty"), STR(""));
    cr_assert_str_eq(memory, "amount=9999&metadata%5Border+id%5D=a*b-c.d_e%7Ef%26g%3Dh%2Bi%2F%C3%A9&empty=");
}
