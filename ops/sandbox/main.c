/* tai-sandbox: a payment gateway, a cluster and an image registry to try everything on.
 * listens    --address 127.0.0.1 --port 12111 (0: any; the line "ready" tells)
 * serves     /v1/payment_intents, /v1/charges as Stripe documents them; /sandbox/behavior, /sandbox/charges for tests;
 *            /cluster for deployments, with simulated traffic; /v2 for images
 * keeps      executed requests in memory, captured charges also in --journal FILE
 * exit       0 after SIGTERM or SIGINT, 64 usage, 69 the port is taken, 78 a bad journal */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ops/sandbox/server.h"

#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define EXIT_CONFIG 78

#define METADATA_BYTES (512 * 1024) /* a body of 64 KiB, each byte written as \u00xx */
#define TEXT_BYTES (1024 * 1024)

typedef struct {
    const char *address;
    const char *key;
    const char *journal;
    uint16_t port;
} Options;

static const char help[] =
    "tai-sandbox " TAI_VERSION ": a payment gateway to try everything on, speaking enough of Stripe's API,\n"
    "and a cluster with simulated traffic and an image registry for deployments (see its README)\n"
    "\n"
    "  --address 127.0.0.1     where to listen\n"
    "  --port 12111            0: any free one, told by the line \"ready\"\n"
    "  --key sk_test_tai       the API key that is let in\n"
    "  --journal FILE          keep captured charges there, and read them at start\n"
    "  --seed N                for the same faults again; otherwise random\n"
    "  --failure-rate 0.05     answers 503, nothing executed\n"
    "  --throttle-rate 0       answers 429 with Retry-After, nothing executed\n"
    "  --decline-rate 0        declines cards at random, besides pm_card_chargeDeclined and the like\n"
    "  --drop-rate 0           executes, then closes the connection without an answer\n"
    "  --error-after-rate 0    executes, then answers 500; the same key gets the true answer later\n"
    "  --saved-error-rate 0    answers 500 from within: not charged, and the key keeps that answer\n"
    "  --latency-ms 0          before every answer\n"
    "  --latency-jitter-ms 0   added: 0 up to this\n"
    "  --help, --version\n";

static const struct option names[] = {
    {"address", required_argument, NULL, 'a'},
    {"port", required_argument, NULL, 'p'},
    {"key", required_argument, NULL, 'k'},
    {"journal", required_argument, NULL, 'j'},
    {"seed", required_argument, NULL, 's'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'v'},
    {"failure-rate", required_argument, NULL, 'b'},
    {"throttle-rate", required_argument, NULL, 'b'},
    {"decline-rate", required_argument, NULL, 'b'},
    {"drop-rate", required_argument, NULL, 'b'},
    {"error-after-rate", required_argument, NULL, 'b'},
    {"saved-error-rate", required_argument, NULL, 'b'},
    {"latency-ms", required_argument, NULL, 'b'},
    {"latency-jitter-ms", required_argument, NULL, 'b'},
    {0},
};

static _Noreturn void main_show(const char *text)
{
    (void)fputs(text, stdout);
    exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static Err main_read_number(Str text, const char *name, uint64_t most, uint64_t *number)
{
    if (!str_to_uint64(text, number) || *number > most) {
        return err_reject("--%s must be a whole number from 0 to %llu", name, (unsigned long long)most);
    }
    return err_none();
}

static Err main_read_option(int option, const char *name, Options *options, Sandbox *sandbox)
{
    uint64_t number = 0;
    Err err = err_none();
    switch (option) {
    case 'a':
        options->address = optarg;
        return err;
    case 'p':
        err = main_read_number(str_from(optarg), name, UINT16_MAX, &number);
        options->port = (uint16_t)number;
        return err;
    case 'k':
        options->key = optarg;
        return err;
    case 'j':
        options->journal = optarg;
        return err;
    case 's':
        err = main_read_number(str_from(optarg), name, UINT64_MAX, &number);
        sandbox->random = number;
        return err;
    case 'b':
        return behavior_set(&sandbox->behavior, str_from(name), str_from(optarg));
    default:
        return err_reject("see --help");
    }
}

static Err main_read_options(int argc, char **argv, Options *options, Sandbox *sandbox)
{
    for (;;) {
        int at = 0;
        int option = getopt_long(argc, argv, "", names, &at);
        if (option == 'h') {
            main_show(help);
        }
        if (option == 'v') {
            main_show("tai-sandbox " TAI_VERSION "\n");
        }
        if (option == -1) {
            return optind == argc ? err_none() : err_reject("no such argument: %.60s", argv[optind]);
        }
        Err err = main_read_option(option, names[at].name, options, sandbox);
        if (err_is(err)) {
            return err;
        }
    }
}

/* "Basic " + base64("<key>:"), as curl -u writes it. */
static void main_print_basic(const char *key, Buffer *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char memory[256] = "";
    Buffer text = buffer_over(memory, sizeof memory);
    buffer_print(&text, "%s:", key);
    buffer_append(out, STR("Basic "));
    for (size_t i = 0; i < text.length; i += 3) {
        size_t left = text.length - i;
        unsigned int bits = (unsigned int)(unsigned char)memory[i] << 16;
        bits |= left > 1 ? (unsigned int)(unsigned char)memory[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned int)(unsigned char)memory[i + 2] : 0;
        buffer_append_char(out, digits[bits >> 18]);
        buffer_append_char(out, digits[(bits >> 12) & 63]);
        buffer_append_char(out, left > 1 ? digits[(bits >> 6) & 63] : '=');
        buffer_append_char(out, left > 2 ? digits[bits & 63] : '=');
    }
}

static Err main_set_key(Sandbox *sandbox, const char *key)
{
    Buffer bearer = buffer_over(sandbox->bearer, sizeof sandbox->bearer);
    Buffer basic = buffer_over(sandbox->basic, sizeof sandbox->basic);
    if (!str_starts_with(str_from(key), STR("sk_test_")) || strlen(key) > 200) {
        return err_reject("--key must begin with sk_test_ and have at most 200 characters");
    }
    buffer_print(&bearer, "Bearer %s", key);
    main_print_basic(key, &basic);
    return err_none();
}

static void main_allocate(Sandbox *sandbox)
{
    char *metadata = malloc(METADATA_BYTES);
    char *scratch = malloc(TEXT_BYTES);
    char *text = malloc(TEXT_BYTES);
    TAI_ASSERT(metadata != NULL && scratch != NULL && text != NULL);
    sandbox->metadata = buffer_over(metadata, METADATA_BYTES);
    sandbox->scratch = buffer_over(scratch, TEXT_BYTES);
    sandbox->text = buffer_over(text, TEXT_BYTES);
}

static void main_release(Sandbox *sandbox)
{
    journal_close(&sandbox->journal);
    table_clear(&sandbox->results);
    book_clear(&sandbox->book);
    cluster_clear(&sandbox->cluster);
    free(sandbox->metadata.data);
    free(sandbox->scratch.data);
    free(sandbox->text.data);
    free(sandbox);
}

static int main_fail(Err err, int status)
{
    (void)fprintf(stderr, "tai-sandbox: %s\n", err.why);
    return status;
}

static int main_serve(Sandbox *sandbox, const Options *options)
{
    Server *server = NULL;
    Err err = options->journal != NULL
                  ? journal_open(&sandbox->journal, options->journal, &sandbox->book, &sandbox->results)
                  : err_none();
    if (err_is(err)) {
        return main_fail(err, EXIT_CONFIG);
    }
    err = server_open(sandbox, options->address, options->port, &server);
    if (err_is(err)) {
        return main_fail(err, err.kind == ERR_REJECT ? EXIT_USAGE : EXIT_UNAVAILABLE);
    }
    printf("tai-sandbox ready on %s port %u, %lld charges\n", options->address, server_port(server),
           (long long)sandbox->book.captured_count);
    (void)fflush(stdout);
    server_run(server);
    server_close(server);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    Options options = {.address = "127.0.0.1", .port = 12111, .key = "sk_test_tai"};
    Sandbox *sandbox = calloc(1, sizeof *sandbox);
    TAI_ASSERT(sandbox != NULL);
    sandbox->behavior = behavior_default();
    sandbox->journal.file = -1;
    if (getrandom(&sandbox->random, sizeof sandbox->random, 0) != (ssize_t)sizeof sandbox->random) {
        sandbox->random = 1;
    }
    main_allocate(sandbox);
    Err err = main_read_options(argc, argv, &options, sandbox);
    if (!err_is(err)) {
        err = main_set_key(sandbox, options.key);
    }
    int status = err_is(err) ? main_fail(err, EXIT_USAGE) : main_serve(sandbox, &options);
    main_release(sandbox);
    return status;
}
