/* watched - a service behind a real HAProxy, with requests that keep coming, scraped by a real Prometheus. */
#include "tests/support/watched.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>
#include <jansson.h>

#include "tests/support/stack.h"

#define ANSWER_MAX_BYTES (64 * 1024)
#define CLIENT_PAUSE_MS 10

/* --- one request ---------------------------------------------------------------------------------------------------
 */

static int connect_to(int port)
{
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(made, (struct sockaddr *)&address, sizeof address) != 0) {
        close(made);
        return -1;
    }
    return made;
}

/* The length of the whole answer, headers included; 0 where there is none. */
static size_t request_once(int port, const char *path, char *answer, size_t capacity)
{
    char request[4096];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    int client = connect_to(port);
    size_t got = 0;
    if (client < 0 || length >= (int)sizeof request) {
        return 0;
    }
    ssize_t some = send(client, request, (size_t)length, MSG_NOSIGNAL);
    while (some > 0 && got < capacity - 1) {
        some = recv(client, answer + got, capacity - 1 - got, 0);
        got += some > 0 ? (size_t)some : 0;
    }
    close(client);
    answer[got] = 0;
    return strncmp(answer, "HTTP/1.", 7) == 0 && strstr(answer, "\r\n\r\n") ? got : 0;
}

char *watched_get(int port, const char *path, int *status)
{
    char *answer = calloc(1, ANSWER_MAX_BYTES);
    cr_assert_not_null(answer);
    bool whole = request_once(port, path, answer, ANSWER_MAX_BYTES) > 0;
    char *body = whole ? strdup(strstr(answer, "\r\n\r\n") + 4) : NULL;
    if (status) {
        *status = whole ? atoi(answer + 9) : 0;
    }
    free(answer);
    return body;
}

static void *client_run(void *context)
{
    Watched *watched = context;
    char answer[2048];
    while (!atomic_load(&watched->closing)) {
        bool whole = request_once(watched->front, "/", answer, sizeof answer) > 0;
        atomic_fetch_add(whole ? &watched->answered : &watched->lost, 1);
        clock_pause(CLIENT_PAUSE_MS);
    }
    return NULL;
}

/* --- looking -------------------------------------------------------------------------------------------------------
 */

WatchedVersion *watched_version(Watched *watched, const char *name)
{
    for (int i = 0; i < watched->version_count; i++) {
        if (strcmp(watched->versions[i].name, name) == 0) {
            return &watched->versions[i];
        }
    }
    cr_assert_fail("no version %s", name);
    return NULL;
}

double watched_own(const Watched *watched, const char *version, const char *metric)
{
    const WatchedVersion *its = watched_version((Watched *)(uintptr_t)watched, version);
    char *text = watched_get(its->port, "/metrics", NULL);
    size_t length = strlen(metric);
    double sum = -1;
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, metric, length) == 0 && line[length] == '{') {
            sum = (sum < 0 ? 0 : sum) + strtod(strstr(line, "} ") + 2, NULL);
        }
    }
    free(text);
    return sum;
}

double watched_ask(const Watched *watched, const char *query, const char *time)
{
    char path[4096];
    char *escaped = curl_easy_escape(NULL, query, 0);
    snprintf(path, sizeof path, "/api/v1/query?query=%s%s%s", escaped, time ? "&time=" : "", time ? time : "");
    curl_free(escaped);
    char *body = watched_get(watched->prometheus_port, path, NULL);
    json_t *json = body ? json_loads(body, 0, NULL) : NULL;
    json_t *result = json_object_get(json_object_get(json, "data"), "result");
    const json_t *value = json_array_get(json_object_get(json_array_get(result, 0), "value"), 1);
    double told = json_array_size(result) == 1 ? strtod(json_string_value(value), NULL) : -1;
    json_decref(json);
    free(body);
    return told;
}

/* --- starting ------------------------------------------------------------------------------------------------------
 */

bool watched_is_possible(void)
{
    return access("/usr/sbin/haproxy", X_OK) == 0 && access("/usr/bin/prometheus", X_OK) == 0;
}

static FILE *file_open(const Watched *watched, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", watched->folder, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file, "%s", path);
    return file;
}

static void process_describe(const Watched *watched, Process *process, const char *name)
{
    snprintf(process->name, sizeof process->name, "%s", name);
    snprintf(process->log_path, sizeof process->log_path, "%s/%s.log", watched->folder, name);
}

/* The driver finds a version's address in a file of its region and name. */
static void version_open(Watched *watched, WatchedVersion *version, const char *options)
{
    size_t name_length = strcspn(options, " ");
    char name[sizeof version->name];
    snprintf(name, sizeof name, "%.*s", (int)name_length, options);
    memcpy(version->name, name, sizeof name);
    version->port = stack_pick_port();
    process_describe(watched, &version->process, name);
    Words *command = &version->process.command;
    words_add(command, "%s/tai-demo", TAI_BIN);
    words_add_all(command, "--service api --region " WATCHED_REGION " --version");
    words_add(command, "%s", name);
    words_add_all(command, "--port");
    words_add(command, "%d", version->port);
    words_add_all(command, options + name_length);
    process_start(&version->process);
    cr_assert(process_wait_for_line(&version->process, "tai-demo ready", PATIENCE_MS));
    char file[64];
    snprintf(file, sizeof file, WATCHED_REGION "-%s", name);
    FILE *address = file_open(watched, file);
    fprintf(address, "127.0.0.1:%d\n", version->port);
    fclose(address);
}

static void haproxy_open(Watched *watched)
{
    FILE *file = file_open(watched, "haproxy.cfg");
    watched->front = stack_pick_port();
    fprintf(file,
            "global\n  stats socket %s/haproxy.sock mode 600 level admin\n"
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
            "frontend front\n  bind 127.0.0.1:%d\n  default_backend api\n"
            "backend api\n  balance roundrobin\n"
            "  server stable 127.0.0.1:%d weight 100\n  server canary 127.0.0.1:%d weight 0\n",
            watched->folder, watched->front, watched->versions[0].port, watched->versions[0].port);
    fclose(file);
    process_describe(watched, &watched->haproxy, "haproxy");
    words_add_all(&watched->haproxy.command, "haproxy -db -f");
    words_add(&watched->haproxy.command, "%s/haproxy.cfg", watched->folder);
    process_start(&watched->haproxy);
}

static void prometheus_open(Watched *watched, const bool *unseen)
{
    FILE *file = file_open(watched, "prometheus.yml");
    fprintf(file, "global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n"
                  "scrape_configs:\n  - job_name: api\n    static_configs:\n      - targets:\n");
    for (int i = 0; i < watched->version_count; i++) {
        if (!unseen[i]) {
            fprintf(file, "          - 127.0.0.1:%d\n", watched->versions[i].port);
        }
    }
    fclose(file);
    watched->prometheus_port = stack_pick_port();
    process_describe(watched, &watched->prometheus, "prometheus");
    Words *command = &watched->prometheus.command;
    words_add_all(command, "prometheus");
    words_add(command, "--config.file=%s/prometheus.yml", watched->folder);
    words_add(command, "--storage.tsdb.path=%s/tsdb", watched->folder);
    words_add(command, "--web.listen-address=127.0.0.1:%d", watched->prometheus_port);
    process_start(&watched->prometheus);
    cr_assert(process_wait_for_line(&watched->prometheus, "Server is ready", PATIENCE_MS));
}

static bool is_scraped(const Watched *watched, int count)
{
    return (int)watched_ask(watched, "sum(up)", NULL) == count &&
           (int)watched_ask(watched, "count(http_request_duration_seconds_count)", NULL) == count;
}

Watched *watched_open(const char *const *versions)
{
    Watched *watched = calloc(1, sizeof *watched);
    cr_assert_not_null(watched);
    watched->folder = strdup("/tmp/tai-watched-XXXXXX");
    cr_assert_not_null(mkdtemp(watched->folder));
    bool unseen[WATCHED_VERSIONS] = {0};
    int seen = 0;
    for (; versions[watched->version_count]; watched->version_count++) {
        cr_assert_lt(watched->version_count, WATCHED_VERSIONS);
        const char *options = versions[watched->version_count];
        unseen[watched->version_count] = strncmp(options, "unseen ", 7) == 0;
        seen += unseen[watched->version_count] ? 0 : 1;
        options += unseen[watched->version_count] ? 7 : 0;
        version_open(watched, &watched->versions[watched->version_count], options);
    }
    haproxy_open(watched);
    prometheus_open(watched, unseen);
    char answer[2048];
    WAIT_UNTIL(request_once(watched->front, "/", answer, sizeof answer) > 0);
    for (int i = 0; i < WATCHED_CLIENTS; i++) {
        pthread_create(&watched->clients[i], NULL, client_run, watched);
    }
    WAIT_UNTIL(is_scraped(watched, seen));
    int length = asprintf(&watched->settings,
                          "TAI_ACTION_DEPLOY_HAPROXY=" WATCHED_REGION "=unix:%s/haproxy.sock "
                          "TAI_ACTION_DEPLOY_HAPROXY_ADDRESS=%s/{region}-{version} "
                          "TAI_ROLLOUT_HEALTH=prometheus TAI_ROLLOUT_HEALTH_URL=http://127.0.0.1:%d "
                          "TAI_POLICY_HEALTH=prometheus TAI_POLICY_HEALTH_URL=http://127.0.0.1:%d",
                          watched->folder, watched->folder, watched->prometheus_port, watched->prometheus_port);
    cr_assert_gt(length, 0);
    return watched;
}

/* --- the end -------------------------------------------------------------------------------------------------------
 */

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

void watched_close(Watched *watched)
{
    atomic_store(&watched->closing, true);
    for (int i = 0; i < WATCHED_CLIENTS; i++) {
        pthread_join(watched->clients[i], NULL);
    }
    process_stop(&watched->haproxy, SIGTERM);
    process_stop(&watched->prometheus, SIGKILL);
    for (int i = 0; i < watched->version_count; i++) {
        int code = process_stop(&watched->versions[i].process, SIGTERM);
        cr_assert_eq(code, 0, "%s ended with %d", watched->versions[i].name, code);
    }
    nftw(watched->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(watched->settings);
    free(watched->folder);
    free(watched);
}
