/* http - the gateway and the sandbox as a client sees them. */
#include "tests/support/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- libcurl --------------------------------------------------------------------------------------------------- */

typedef struct {
    char *bytes;
    size_t length;
} Gathered;

static size_t http_gather(char *bytes, size_t size, size_t count, void *context)
{
    Gathered *gathered = context;
    size_t length = size * count;
    gathered->bytes = realloc(gathered->bytes, gathered->length + length + 1);
    memcpy(gathered->bytes + gathered->length, bytes, length);
    gathered->length += length;
    gathered->bytes[gathered->length] = 0;
    return length;
}

static struct curl_slist *http_headers(const Call *call)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (!call->headers || !strstr(call->headers, "Content-Type:")) {
        list = curl_slist_append(list, call->body ? "Content-Type: application/json" : "Content-Type:");
    }
    for (const char *line = call->headers; line && *line;) {
        size_t length = strcspn(line, "\n");
        char text[1024];
        cr_assert_lt(length, sizeof text);
        snprintf(text, sizeof text, "%.*s", (int)length, line);
        list = curl_slist_append(list, text);
        line += length + (line[length] == '\n');
    }
    return list;
}

Answer http_try(Stack *stack, Call call)
{
    CURL *curl = curl_easy_init();
    char url[600];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", stack->ports[call.to ? call.to : STACK_GATEWAY], call.path);
    Gathered headers = {0};
    Gathered body = {0};
    struct curl_slist *list = http_headers(&call);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_gather);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &headers);
    if (call.body) {
        size_t length = call.body_length ? call.body_length : strlen(call.body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)length);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call.method);
    if (strcmp(call.method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    }
    Answer answer = {0};
    if (curl_easy_perform(curl) == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
        answer.json = stack_own_json(stack, body.length ? json_loadb(body.bytes, body.length, 0, NULL) : NULL);
    }
    answer.headers = stack_keep(stack, headers.bytes, headers.length);
    answer.body = stack_keep(stack, body.bytes, body.length);
    answer.length = body.length;
    free(headers.bytes);
    free(body.bytes);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return answer;
}

Answer http_call(Stack *stack, Call call)
{
    Answer answer = http_try(stack, call);
    cr_assert_neq(answer.status, 0, "%s %s: no answer", call.method, call.path);
    return answer;
}

Answer http_get(Stack *stack, const char *path)
{
    return http_call(stack, (Call){.method = "GET", .path = path});
}

Answer http_post(Stack *stack, const char *path, const char *body)
{
    return http_call(stack, (Call){.method = "POST", .path = path, .body = body});
}

Answer http_put(Stack *stack, const char *path, const char *body)
{
    return http_call(stack, (Call){.method = "PUT", .path = path, .body = body});
}

const char *http_header(Stack *stack, const Answer *answer, const char *name)
{
    size_t name_length = strlen(name);
    for (const char *line = answer->headers; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncasecmp(line, name, name_length) == 0 && line[name_length] == ':') {
            const char *value = line + name_length + 1;
            value += strspn(value, " ");
            return stack_keep(stack, value, strcspn(value, "\r\n"));
        }
    }
    return "";
}

/* --- raw ------------------------------------------------------------------------------------------------------- */

int raw_open(Stack *stack, Kind to)
{
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)stack->ports[to])};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(connect(connection, (struct sockaddr *)&address, sizeof address), 0);
    return connection;
}

void raw_send(int connection, const void *bytes, size_t length)
{
    const char *next = bytes;
    while (length > 0) {
        ssize_t sent = send(connection, next, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        next += sent;
        length -= (size_t)sent;
    }
}

void raw_print(int connection, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    cr_assert_geq(length, 0);
    raw_send(connection, text, (size_t)length);
    free(text);
}

const char *raw_read(Stack *stack, int connection, const char *text, int64_t within_ms)
{
    static const size_t limit = 1 << 18;
    char *bytes = calloc(1, limit);
    size_t length = 0;
    int64_t deadline_ms = clock_monotonic_ms() + within_ms;
    while (length + 1 < limit && !(text && strstr(bytes, text))) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd ready = {.fd = connection, .events = POLLIN};
        if (left_ms <= 0 || poll(&ready, 1, (int)left_ms) <= 0) {
            break;
        }
        ssize_t count = recv(connection, bytes + length, limit - 1 - length, 0);
        if (count <= 0) {
            break;
        }
        length += (size_t)count;
    }
    const char *got = stack_keep(stack, bytes, length);
    free(bytes);
    return got;
}

bool raw_is_closed(int connection, int64_t within_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + within_ms;
    char bytes[4096];
    for (;;) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd ready = {.fd = connection, .events = POLLIN};
        if (left_ms <= 0 || poll(&ready, 1, (int)left_ms) <= 0) {
            return false;
        }
        if (recv(connection, bytes, sizeof bytes, 0) <= 0) {
            return true;
        }
    }
}

long raw_ask(Stack *stack, const void *bytes, size_t length, const char **body)
{
    int connection = raw_open(stack, STACK_GATEWAY);
    raw_send(connection, bytes, length);
    shutdown(connection, SHUT_WR);
    const char *answer = raw_read(stack, connection, NULL, PATIENCE_MS);
    close(connection);
    if (body) {
        const char *end = strstr(answer, "\r\n\r\n");
        *body = end ? end + 4 : "";
    }
    return strncmp(answer, "HTTP/1.", 7) == 0 ? strtol(answer + 9, NULL, 10) : 0;
}

/* --- JSON ------------------------------------------------------------------------------------------------------ */

json_t *json_at(const json_t *json, const char *path)
{
    json_t *found = (json_t *)json;
    while (found && *path) {
        size_t length = strcspn(path, ".");
        char name[64];
        cr_assert_lt(length, sizeof name);
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        found = json_is_array(found) ? json_array_get(found, strtoul(name, NULL, 10)) : json_object_get(found, name);
        path += length + (path[length] == '.');
    }
    return found;
}

const char *json_text(const json_t *json, const char *path)
{
    const char *text = json_string_value(json_at(json, path));
    return text ? text : "";
}

double json_number(const json_t *json, const char *path)
{
    return json_number_value(json_at(json, path));
}
