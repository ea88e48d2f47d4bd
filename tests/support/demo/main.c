/* tai-demo: a little service with the metrics that a rollout is judged by.
 *
 *     tai-demo --port 18001 --service api --region us-west-2 --version v2 --fail-every 5 --slow-every 0 --slow-ms 150
 *
 * answers   any path: 200 and its version; each fail-every-th request 500, each slow-every-th only after slow-ms
 *           GET /metrics: http_requests_total{…,code}, http_request_duration_seconds (histogram) and
 *           process_start_time_seconds, each with service, region and version
 * Which requests fail and which are slow goes by their number, not by chance. Slow ones really wait, and what the
 * histogram holds was measured: from the request's arrival here until its answer is handed over. As with client
 * libraries, the counter of a code begins with the first request that has it. All counters change together.
 * SIGTERM or SIGINT ends it. */
#include <arpa/inet.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <microhttpd.h>

#define BOUNDS 11
#define NAME_MAX_BYTES 64
#define METRICS_MAX_BYTES 8192

static const double bounds_s[BOUNDS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5};

typedef struct {
    char service[NAME_MAX_BYTES];
    char region[NAME_MAX_BYTES];
    char version[NAME_MAX_BYTES];
    unsigned port;
    unsigned fail_every; /* 0: none */
    unsigned slow_every;
    unsigned slow_ms;
    double started_s; /* Unix */
    pthread_mutex_t lock;
    unsigned long begun; /* gives requests their numbers */
    unsigned long good;
    unsigned long failed;
    unsigned long buckets[BOUNDS + 1]; /* not cumulative */
    double seconds;
} Demo;

static double now_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- metrics -------------------------------------------------------------------------------------------------------
 */

static void metrics_code(const Demo *demo, FILE *out, const char *code, unsigned long count)
{
    if (count > 0) {
        fprintf(out, "http_requests_total{service=\"%s\",region=\"%s\",version=\"%s\",code=\"%s\"} %lu\n",
                demo->service, demo->region, demo->version, code, count);
    }
}

static void metrics_histogram(const Demo *demo, FILE *out)
{
    unsigned long cumulative = 0;
    fprintf(out, "# TYPE http_request_duration_seconds histogram\n");
    for (int i = 0; i <= BOUNDS; i++) {
        char bound[32] = "+Inf";
        if (i < BOUNDS) {
            snprintf(bound, sizeof bound, "%g", bounds_s[i]);
        }
        cumulative += demo->buckets[i];
        fprintf(out,
                "http_request_duration_seconds_bucket{service=\"%s\",region=\"%s\",version=\"%s\",le=\"%s\"} %lu\n",
                demo->service, demo->region, demo->version, bound, cumulative);
    }
    fprintf(out, "http_request_duration_seconds_sum{service=\"%s\",region=\"%s\",version=\"%s\"} %.6f\n", demo->service,
            demo->region, demo->version, demo->seconds);
    fprintf(out, "http_request_duration_seconds_count{service=\"%s\",region=\"%s\",version=\"%s\"} %lu\n",
            demo->service, demo->region, demo->version, cumulative);
}

static struct MHD_Response *metrics_print(Demo *demo)
{
    char text[METRICS_MAX_BYTES];
    FILE *out = fmemopen(text, sizeof text, "w");
    if (out == NULL) {
        abort();
    }
    pthread_mutex_lock(&demo->lock);
    fprintf(out, "# TYPE http_requests_total counter\n");
    metrics_code(demo, out, "200", demo->good);
    metrics_code(demo, out, "500", demo->failed);
    metrics_histogram(demo, out);
    pthread_mutex_unlock(&demo->lock);
    fprintf(out, "# TYPE process_start_time_seconds gauge\n");
    fprintf(out, "process_start_time_seconds{service=\"%s\",region=\"%s\",version=\"%s\"} %.3f\n", demo->service,
            demo->region, demo->version, demo->started_s);
    long length = ftell(out);
    fclose(out);
    return MHD_create_response_from_buffer((size_t)length, text, MHD_RESPMEM_MUST_COPY);
}

/* --- requests ------------------------------------------------------------------------------------------------------
 */

static void work_done(Demo *demo, bool fails, double seconds)
{
    int bucket = 0;
    while (bucket < BOUNDS && seconds > bounds_s[bucket]) {
        bucket++;
    }
    pthread_mutex_lock(&demo->lock);
    demo->good += fails ? 0 : 1;
    demo->failed += fails ? 1 : 0;
    demo->buckets[bucket]++;
    demo->seconds += seconds;
    pthread_mutex_unlock(&demo->lock);
}

static unsigned work(Demo *demo)
{
    double begun_s = now_s(CLOCK_MONOTONIC);
    pthread_mutex_lock(&demo->lock);
    unsigned long number = ++demo->begun;
    pthread_mutex_unlock(&demo->lock);
    bool fails = demo->fail_every > 0 && number % demo->fail_every == 0;
    bool slow = demo->slow_every > 0 && number % demo->slow_every == 0;
    if (slow) {
        struct timespec pause = {demo->slow_ms / 1000, (long)(demo->slow_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
    }
    work_done(demo, fails, now_s(CLOCK_MONOTONIC) - begun_s);
    return fails ? MHD_HTTP_INTERNAL_SERVER_ERROR : MHD_HTTP_OK;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)method;
    (void)version;
    (void)upload;
    (void)state;
    Demo *demo = context;
    *upload_size = 0;
    unsigned status = MHD_HTTP_OK;
    struct MHD_Response *response = NULL;
    if (strcmp(url, "/metrics") == 0) {
        response = metrics_print(demo);
    } else {
        status = work(demo);
        response = MHD_create_response_from_buffer(strlen(demo->version), demo->version, MHD_RESPMEM_PERSISTENT);
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* --- the process ---------------------------------------------------------------------------------------------------
 */

static unsigned number_of(const char *text)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || number > 1000000) {
        fprintf(stderr, "tai-demo: \"%s\" is not a number from 0 to 1000000\n", text);
        exit(64);
    }
    return (unsigned)number;
}

static void name_into(char *name, const char *text)
{
    if (snprintf(name, NAME_MAX_BYTES, "%s", text) >= NAME_MAX_BYTES || strpbrk(text, "\"\\\n") != NULL) {
        fprintf(stderr, "tai-demo: \"%s\" is no name\n", text);
        exit(64);
    }
}

static void options_read(int argc, char **argv, Demo *demo)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},       {"service", required_argument, NULL, 's'},
        {"region", required_argument, NULL, 'r'},     {"version", required_argument, NULL, 'v'},
        {"fail-every", required_argument, NULL, 'f'}, {"slow-every", required_argument, NULL, 'l'},
        {"slow-ms", required_argument, NULL, 'm'},    {0},
    };
    unsigned *const numbers[] = {
        ['p'] = &demo->port, ['f'] = &demo->fail_every, ['l'] = &demo->slow_every, ['m'] = &demo->slow_ms};
    char *const names[] = {['s'] = demo->service, ['r'] = demo->region, ['v'] = demo->version};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
        case 'r':
        case 'v':
            name_into(names[option], optarg);
            break;
        case '?':
            exit(64);
        default:
            *numbers[option] = number_of(optarg);
        }
    }
}

int main(int argc, char **argv)
{
    Demo demo = {.service = "api", .region = "us-west-2", .version = "v1", .started_s = now_s(CLOCK_REALTIME)};
    pthread_mutex_init(&demo.lock, NULL);
    options_read(argc, argv, &demo);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)demo.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, &demo,
                         MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, "tai-demo: port %u cannot be served\n", demo.port);
        return 69;
    }
    fprintf(stderr, "tai-demo ready: %s %s in %s on 127.0.0.1:%u\n", demo.service, demo.version, demo.region,
            demo.port);
    int ended = 0;
    sigwait(&ends, &ended);
    MHD_stop_daemon(daemon);
    return 0;
}
