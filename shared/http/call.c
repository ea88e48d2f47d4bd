/* call - sets up an easy handle for a request, and reads what became of it. */
#include "shared/http/call.h"

#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 2000
#define TIMEOUT_MS 30000
/* Newer libcurl (8.14 of Debian 13, not 7.88 of Debian 12) cuts it there by itself. */
#define RETRY_AFTER_MAX_S (6 * 60 * 60)
#define KEPT_BYTES 16384 /* of a buffer, between requests */
#define READ_BYTES 4096L /* libcurl's buffer for each call in flight; answers are mostly shorter */

static size_t call_read(char *bytes, size_t size, size_t count, void *context)
{
    Call *call = context;
    size_t length = size * count;
    if (length > call->answer_max_bytes - call->answer_length) {
        call->oversized = true;
        return 0;
    }
    if (call->answer_length + length > call->answer_capacity) {
        size_t capacity = call->answer_capacity == 0 ? 4096 : call->answer_capacity;
        while (capacity < call->answer_length + length) {
            capacity *= 2;
        }
        call->answer = realloc(call->answer, capacity);
        TAI_ASSERT(call->answer != NULL);
        call->answer_capacity = capacity;
    }
    memcpy(call->answer + call->answer_length, bytes, length);
    call->answer_length += length;
    return length;
}

/* Called when there is a connection and the first byte is about to be written. On a kept connection that turns out
 * to be dead libcurl sends the request again by itself, which only a repeatable request may have. */
static int call_begins(void *context, char *address, char *local_address, int port, int local_port)
{
    (void)address;
    (void)local_address;
    (void)port;
    (void)local_port;
    Call *call = context;
    if (call->attempts > 0 && !call->may_repeat) {
        return CURL_PREREQFUNC_ABORT;
    }
    call->attempts++;
    return CURL_PREREQFUNC_OK;
}

Call *call_make(const char *user_agent, const char *ca_file)
{
    Call *call = calloc(1, sizeof *call);
    TAI_ASSERT(call != NULL);
    call->easy = curl_easy_init();
    TAI_ASSERT(call->easy != NULL);
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->why);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, call_read);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_PREREQFUNCTION, call_begins);
    curl_easy_setopt(call->easy, CURLOPT_PREREQDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(call->easy, CURLOPT_BUFFERSIZE, READ_BYTES);
    curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(call->easy, CURLOPT_PROXY, ""); /* the environment does not decide where money goes */
    curl_easy_setopt(call->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(call->easy, CURLOPT_USERAGENT, user_agent[0] != '\0' ? user_agent : NULL);
    if (ca_file[0] != '\0') {
        curl_easy_setopt(call->easy, CURLOPT_CAINFO, ca_file);
    }
    return call;
}

Call *call_of(CURL *easy)
{
    char *call = NULL;
    TAI_ASSERT(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call) == CURLE_OK);
    return (Call *)(void *)call;
}

static bool call_header_is(Str header, Str name)
{
    return header.length > name.length && header.data[name.length] == ':' &&
           str_equal_ignore_case(str_slice(header, 0, name.length), name);
}

/* What would end a line early, or end the text early. */
static bool call_is_one_line(Str text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0') {
            return false;
        }
    }
    return true;
}

static const char *call_check(const HttpRequest *request)
{
    if (request->method.length == 0 || !call_is_one_line(request->method)) {
        return "the request has no method";
    }
    if (request->url.length == 0 || !call_is_one_line(request->url)) {
        return "the request has no URL of one line";
    }
    for (size_t i = 0; i < request->header_count; i++) {
        if (!call_is_one_line(request->headers[i])) {
            return "a header of the request has a line break in it";
        }
    }
    return NULL;
}

static char *call_put(char **end, Str text)
{
    char *start = *end;
    if (text.length > 0) {
        memcpy(start, text.data, text.length);
    }
    start[text.length] = '\0';
    *end = start + text.length + 1;
    return start;
}

static void call_reserve(Call *call, const HttpRequest *request)
{
    size_t bytes = request->url.length + 1 + request->body.length + 1;
    for (size_t i = 0; i < request->header_count; i++) {
        bytes += request->headers[i].length + 1;
    }
    if (bytes > call->text_capacity) {
        free(call->text);
        call->text_capacity = bytes < 1024 ? 1024 : bytes;
        call->text = malloc(call->text_capacity);
        TAI_ASSERT(call->text != NULL);
    }
}

/* A header list in the call's own memory. "Name:" with no value tells libcurl not to send its own. */
static void call_set_headers(Call *call, const HttpRequest *request, char **end)
{
    static char no_expect[] = "Expect:";
    static char no_content_type[] = "Content-Type:";
    size_t count = 0;
    bool typed = false;
    for (size_t i = 0; i < request->header_count; i++) {
        call->headers[count].data = call_put(end, request->headers[i]);
        count++;
        typed = typed || call_header_is(request->headers[i], STR("Content-Type"));
        call->may_repeat = call->may_repeat || call_header_is(request->headers[i], STR("Idempotency-Key"));
    }
    call->headers[count].data = no_expect;
    count++;
    if (!typed) {
        call->headers[count].data = no_content_type;
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        call->headers[i].next = i + 1 < count ? &call->headers[i + 1] : NULL;
    }
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
}

/* The handle keeps its method from the request before: mostly there is nothing to do. */
static bool call_set_method(Call *call, Str method)
{
    if (str_equal(method, str_from(call->method))) {
        return true;
    }
    if (!str_copy_to(method, call->method, sizeof call->method)) {
        return false;
    }
    curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(call->easy, CURLOPT_NOBODY, 0L);
    curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
    if (str_equal(method, STR("HEAD"))) {
        curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
    } else if (str_equal(method, STR("POST"))) {
        curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
    } else if (!str_equal(method, STR("GET"))) {
        curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, call->method);
    }
    return true;
}

static void call_set_body(Call *call, Str body, char **end)
{
    if (body.length == 0 && !str_equal(str_from(call->method), STR("POST"))) {
        return;
    }
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call_put(end, body));
    if (!str_equal(str_from(call->method), STR("POST"))) {
        curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, call->method); /* a body makes it a POST otherwise */
        call->method[0] = '\0';                                            /* so the next request sets it anew */
    }
}

bool call_prepare(Call *call, const HttpRequest *request)
{
    TAI_ASSERT(request->header_count <= HTTP_HEADERS_MAX);
    call->attempts = 0;
    memcpy(call->wanted_headers, request->wanted_headers, sizeof(call->wanted_headers));
    call->answer_max_bytes = request->response_max_bytes > 0 ? request->response_max_bytes : HTTP_RESPONSE_MAX;
    call->refuse = call_check(request);
    if (call->refuse == NULL && !call_set_method(call, request->method)) {
        call->refuse = "the request's method is too long";
    }
    if (call->refuse != NULL) {
        return false;
    }
    call->may_repeat = str_equal(request->method, STR("GET")) || str_equal(request->method, STR("HEAD")) ||
                       str_equal(request->method, STR("PUT")) || str_equal(request->method, STR("DELETE"));
    call_reserve(call, request);
    char *end = call->text;
    curl_easy_setopt(call->easy, CURLOPT_URL, call_put(&end, request->url));
    call_set_headers(call, request, &end);
    call_set_body(call, request->body, &end);
    int64_t connect_ms = request->connect_timeout_ms > 0 ? request->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    int64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : TIMEOUT_MS;
    curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    return true;
}

static const char *call_why(const Call *call, CURLcode code)
{
    if (call->refuse != NULL) {
        return call->refuse;
    }
    if (call->oversized) {
        return "the answer is too long";
    }
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        return call->attempts > 0 ? "the connection or the client was closed before an answer came"
                                  : "the client was closed before the request was sent";
    }
    return call->why[0] != '\0' ? call->why : curl_easy_strerror(code);
}

HttpResult call_result(Call *call, CURLcode code)
{
    HttpResult result = {.kind = HTTP_ANSWERED};
    if (code != CURLE_OK) {
        result.kind = call->attempts > 0 ? HTTP_LOST : HTTP_NOT_SENT;
        Buffer why = buffer_over(result.why, sizeof result.why);
        buffer_append(&why, str_slice(str_from(call_why(call, code)), 0, sizeof result.why - 1));
        return result;
    }
    long status = 0;
    curl_off_t retry_after_s = 0;
    struct curl_header *replayed = NULL;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (retry_after_s > 0) {
        result.retry_after_ms = (retry_after_s < RETRY_AFTER_MAX_S ? (int64_t)retry_after_s : RETRY_AFTER_MAX_S) * 1000;
    }
    if (curl_easy_header(call->easy, "Idempotent-Replayed", 0, CURLH_HEADER, -1, &replayed) == CURLHE_OK) {
        result.idempotent_replayed = str_equal_ignore_case(str_from(replayed->value), STR("true"));
    }
    for (size_t i = 0; i < HTTP_WANTED_MAX; i++) {
        struct curl_header *wanted = NULL;
        if (call->wanted_headers[i] != NULL &&
            curl_easy_header(call->easy, call->wanted_headers[i], 0, CURLH_HEADER, -1, &wanted) == CURLHE_OK) {
            result.headers[i] = str_from(wanted->value);
        }
    }
    result.status = (int)status;
    result.body = (Str){call->answer, call->answer_length};
    return result;
}

void call_clear(Call *call)
{
    call->answer_length = 0;
    call->oversized = false;
    call->refuse = NULL;
    call->why[0] = '\0';
    if (call->answer_capacity > KEPT_BYTES) {
        free(call->answer);
        call->answer = NULL;
        call->answer_capacity = 0;
    }
    if (call->text_capacity > KEPT_BYTES) {
        free(call->text);
        call->text = NULL;
        call->text_capacity = 0;
    }
}

void call_free(Call *call)
{
    curl_easy_cleanup(call->easy);
    free(call->text);
    free(call->answer);
    free(call);
}
