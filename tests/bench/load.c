/* bench_load: posts payments and tells what came of them, as one line of JSON.
 *
 *   bench_load --port 3001 [--connections 256] [--seconds 10] [--warmup 1] [--rate 0] [--name run]
 *
 * Without a rate every connection posts again as soon as it is answered: the largest throughput. With one, payments
 * are due at even distances whatever the answers do, and a latency begins when its payment was due, not when it could
 * be sent: a system that stalls cannot hide it by being asked less.
 * exit       0 told, 64 usage, 69 nothing to connect to */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/bench/client.h"

#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define SECOND_NS INT64_C(1000000000)
#define PATIENCE_NS (60 * SECOND_NS)

typedef struct {
    ClientOptions client;
    double seconds;
    double warmup_seconds;
    double rate; /* payments/s; 0: as many as get through */
} Options;

typedef struct {
    int64_t *latencies_ns; /* of the measured part */
    size_t count;
    size_t capacity;
    int64_t from_ns; /* measured are payments due from here */
    int64_t to_ns;   /* until here; for the throughput, those answered between the two */
    uint64_t sent;
    uint64_t answered;
    uint64_t succeeded; /* 200 */
    uint64_t answered_measured;
    int64_t last_ns;
} Run;

static void run_answered(void *context, int64_t due_ns, int64_t now_ns, int status)
{
    Run *run = context;
    run->answered += status != 0;
    run->succeeded += status == 200;
    run->last_ns = now_ns;
    if (now_ns >= run->from_ns && now_ns < run->to_ns && status == 200) {
        run->answered_measured++;
    }
    if (due_ns < run->from_ns || due_ns >= run->to_ns || status != 200) {
        return;
    }
    if (run->count == run->capacity) {
        run->capacity = run->capacity == 0 ? 65536 : run->capacity * 2;
        run->latencies_ns = realloc(run->latencies_ns, run->capacity * sizeof(*run->latencies_ns));
        TAI_ASSERT(run->latencies_ns != NULL);
    }
    run->latencies_ns[run->count++] = now_ns - due_ns;
}

static void run_closed(Client *client, Run *run)
{
    for (int64_t now_ns = client_clock_ns(); now_ns < run->to_ns; now_ns = client_clock_ns()) {
        while (client_free_connections(client) > 0) {
            client_pay(client, client_clock_ns());
            run->sent++;
        }
        client_wait(client, run->to_ns);
    }
}

static void run_open(Client *client, Run *run, int64_t start_ns, double rate)
{
    for (;;) {
        int64_t due_ns = start_ns + (int64_t)((double)run->sent * (double)SECOND_NS / rate);
        if (due_ns >= run->to_ns) {
            return;
        }
        bool late = client_clock_ns() >= due_ns;
        if (late && client_free_connections(client) > 0) {
            client_pay(client, due_ns);
            run->sent++;
        } else {
            client_wait(client, late ? run->to_ns : due_ns);
        }
    }
}

static void run_drain(Client *client, const ClientOptions *options)
{
    int64_t deadline_ns = client_clock_ns() + PATIENCE_NS;
    while (client_free_connections(client) < options->connections && client_clock_ns() < deadline_ns) {
        client_wait(client, deadline_ns);
    }
}

static int compare_ns(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static double run_quantile_ms(const Run *run, double quantile)
{
    if (run->count == 0) {
        return 0;
    }
    size_t at = (size_t)(quantile * (double)(run->count - 1) + 0.5);
    return (double)run->latencies_ns[at] / 1e6;
}

static double own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void run_print(Run *run)
{
    qsort(run->latencies_ns, run->count, sizeof(*run->latencies_ns), compare_ns);
    double measured_s = (double)(run->to_ns - run->from_ns) / 1e9;
    printf("{\"sent\":%llu,\"answered\":%llu,\"succeeded\":%llu,\"measured\":%zu,\"per_second\":%.1f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_us\":%.1f}\n",
           (unsigned long long)run->sent, (unsigned long long)run->answered, (unsigned long long)run->succeeded,
           run->count, (double)run->answered_measured / measured_s, run_quantile_ms(run, 0.5),
           run_quantile_ms(run, 0.99), run_quantile_ms(run, 1.0),
           own_cpu_seconds() * 1e6 / (double)(run->answered > 0 ? run->answered : 1));
}

static int load(const Options *options)
{
    Run run = {0};
    Client *client = NULL;
    Err err = client_open(&options->client, run_answered, &run, &client);
    if (err_is(err)) {
        (void)fprintf(stderr, "bench_load: %s\n", err.why);
        return EXIT_UNAVAILABLE;
    }
    int64_t start_ns = client_clock_ns();
    run.from_ns = start_ns + (int64_t)(options->warmup_seconds * (double)SECOND_NS);
    run.to_ns = run.from_ns + (int64_t)(options->seconds * (double)SECOND_NS);
    if (options->rate > 0) {
        run_open(client, &run, start_ns, options->rate);
    } else {
        run_closed(client, &run);
    }
    run_drain(client, &options->client);
    run_print(&run);
    client_close(client);
    free(run.latencies_ns);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},
        {"rate", required_argument, NULL, 'r'},
        {"name", required_argument, NULL, 'n'},
        {0},
    };
    Options options = {.client = {.connections = 256, .name = "run"}, .seconds = 10, .warmup_seconds = 1};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'p':
            options.client.port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'c':
            options.client.connections = strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'w':
            options.warmup_seconds = strtod(optarg, NULL);
            break;
        case 'r':
            options.rate = strtod(optarg, NULL);
            break;
        case 'n':
            options.client.name = optarg;
            break;
        default:
            return EXIT_USAGE;
        }
    }
    bool sound = options.client.port != 0 && options.client.connections >= 1 && options.client.connections <= 8192 &&
                 options.seconds > 0 && options.warmup_seconds >= 0 && options.rate >= 0 && optind == argc;
    if (!sound) {
        (void)fprintf(stderr, "bench_load: see the head of tests/bench/load.c\n");
        return EXIT_USAGE;
    }
    return load(&options);
}
