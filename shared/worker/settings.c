/* settings - the command line, and the settings that every process has. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/worker/private.h"

#define RUNTIME(field) SETTING_FIELD(RuntimeSettings, field)
#define LANE_SETTINGS 4
#define SETTING_NAME_MAX 96
#define MAX_MS INT64_C(86400000)

static const Setting runtime_settings[] = {
    {"nats.url", SETTING_TEXT, RUNTIME(url), "nats://127.0.0.1:4222", 0, 0, "servers, comma-separated"},
    {"nats.credentials", SETTING_TEXT, RUNTIME(credentials), "", 0, 0, "file with user JWT and seed"},
    {"nats.user", SETTING_TEXT, RUNTIME(user), "", 0, 0, "user name, where no credentials file is used"},
    {"nats.password", SETTING_SECRET, RUNTIME(password), "", 0, 0, "its password"},
    {"nats.ca_file", SETTING_TEXT, RUNTIME(ca_file), "", 0, 0, "PEM file of authorities; turns TLS on"},
    {"nats.connect_wait_ms", SETTING_INTEGER, RUNTIME(connect_wait_ms), "30000", 0, MAX_MS,
     "how long to wait for a server at the start, ms"},
    {"nats.replicas", SETTING_INTEGER, RUNTIME(replicas), "1", 1, 5, "copies of streams that are made new"},
    {"nats.ledger_max_bytes", SETTING_INTEGER, RUNTIME(ledger_max_bytes), "0", 0, INT64_MAX,
     "size at which a new ledger refuses more, bytes; 0: none"},
    {"redis.address", SETTING_TEXT, RUNTIME(redis_address), "127.0.0.1:6379", 0, 0, "host:port or unix:/path"},
    {"redis.username", SETTING_TEXT, RUNTIME(redis_username), "", 0, 0, "ACL user"},
    {"redis.password", SETTING_SECRET, RUNTIME(redis_password), "", 0, 0, "its password"},
    {"redis.timeout_ms", SETTING_INTEGER, RUNTIME(redis_timeout_ms), "500", 1, 60000, "longest wait for an answer, ms"},
    {"log.level", SETTING_TEXT, RUNTIME(log_level), "info", 0, 0, "debug, info, warn or error; also TAI_LOG"},
    {"log.format", SETTING_TEXT, RUNTIME(log_format), "auto", 0, 0, "json, text or auto (text on a terminal)"},
};
#define RUNTIME_SETTINGS (sizeof(runtime_settings) / sizeof(runtime_settings[0]))

/* Settings whose names depend on the process: of its lanes, and how long its drain may take. */
typedef struct {
    Setting settings[WORKER_LANES_MAX * LANE_SETTINGS];
    char names[WORKER_LANES_MAX * LANE_SETTINGS][SETTING_NAME_MAX];
    char initials[WORKER_LANES_MAX * LANE_SETTINGS][24];
    size_t count;
    Setting drain;
    char drain_name[SETTING_NAME_MAX];
} NamedSettings;

/* A process may have lanes of one name in two domains: the second one's settings go by its domain. */
static const char *named_lane(const Worker *worker, size_t lane)
{
    const WorkerLane *lanes = worker->spec->lanes;
    for (size_t i = 0; i < lane; i++) {
        if (strcmp(lanes[i].name, lanes[lane].name) == 0) {
            return lanes[lane].domain;
        }
    }
    return lanes[lane].name;
}

static void named_add(NamedSettings *named, const Worker *worker, size_t lane, const char *name, size_t field,
                      int64_t initial, int64_t max, const char *help)
{
    size_t i = named->count++;
    Buffer name_text = buffer_over(named->names[i], SETTING_NAME_MAX);
    buffer_print(&name_text, "%s.lanes.%s.%s", worker->spec->name, named_lane(worker, lane), name);
    Buffer initial_text = buffer_over(named->initials[i], sizeof(named->initials[i]));
    buffer_print(&initial_text, "%lld", (long long)initial);
    TAI_ASSERT(!name_text.overflow && !initial_text.overflow);
    named->settings[i] = (Setting){
        .name = named->names[i],
        .kind = SETTING_INTEGER,
        .offset = offsetof(Worker, lanes) + lane * sizeof(Lane) + offsetof(Lane, settings) + field,
        .size = sizeof(int64_t),
        .initial = named->initials[i],
        .min = 1,
        .max = max,
        .help = help,
    };
}

static void named_make(NamedSettings *named, const Worker *worker)
{
    for (size_t i = 0; i < worker->spec->lane_count; i++) {
        const WorkerLane *lane = &worker->spec->lanes[i];
        named_add(named, worker, i, "wip", offsetof(LaneSettings, wip), lane->wip, 65536,
                  "messages in work over all workers of the lane (MaxAckPending)");
        named_add(named, worker, i, "slots", offsetof(LaneSettings, slots), lane->slots, 65536,
                  "messages in work in this process; at most wip");
        named_add(named, worker, i, "ack_wait_ms", offsetof(LaneSettings, ack_wait_ms), 30000, MAX_MS,
                  "after a worker's death, how long until another gets its messages, ms");
        named_add(named, worker, i, "max_tries", offsetof(LaneSettings, max_tries), lane->max_tries, 1000000,
                  "deliveries before a message is given up as a dead letter");
    }
    Buffer name = buffer_over(named->drain_name, SETTING_NAME_MAX);
    buffer_print(&name, "%s.drain_ms", worker->spec->name);
    named->drain = (Setting){named->drain_name,
                             SETTING_INTEGER,
                             RUNTIME(drain_ms),
                             "25000",
                             0,
                             MAX_MS,
                             "how long SIGTERM waits for work in progress, ms"};
}

static void print_setting(const Setting *setting)
{
    const char *initial = setting->initial[0] == '\0' ? "\"\"" : setting->initial;
    printf("  %-32s %s (default %s)\n", setting->name, setting->help, initial);
}

static void print_help(const Worker *worker, const NamedSettings *named)
{
    const WorkerSpec *spec = worker->spec;
    printf("tai-%s [--config FILE] [--check] [--help] [--version]\n\n%s\n", spec->name, spec->manual);
    printf("\nSettings, each in the JSON file (--config or TAI_CONFIG) as {\"section\": {\"name\": value}} and over it "
           "in the\nenvironment as TAI_SECTION_NAME:\n");
    for (size_t i = 0; i < spec->setting_count; i++) {
        print_setting(&spec->settings[i]);
    }
    for (size_t i = 0; i < named->count; i++) {
        print_setting(&named->settings[i]);
    }
    print_setting(&named->drain);
    for (size_t i = 0; i < RUNTIME_SETTINGS; i++) {
        print_setting(&runtime_settings[i]);
    }
    printf("\nExit codes: 0 drained, %d usage, %d bus unavailable at the start, %d bad configuration.\n", EXIT_USAGE,
           EXIT_UNAVAILABLE, EXIT_CONFIG);
}

static Err log_configure(Worker *worker)
{
    const char *level = getenv("TAI_LOG");
    level = level != NULL ? level : worker->settings.log_level;
    Str format = str_from(worker->settings.log_format);
    worker->log.process = worker->spec->name;
    worker->log.descriptor = STDERR_FILENO;
    if (!log_level_parse(str_from(level), &worker->log.level)) {
        return err_reject("log.level: must be debug, info, warn or error, not \"%.20s\"", level);
    }
    if (!str_equal(format, STR("json")) && !str_equal(format, STR("text")) && !str_equal(format, STR("auto"))) {
        return err_reject("log.format: must be json, text or auto");
    }
    worker->log.json = str_equal(format, STR("json")) || (str_equal(format, STR("auto")) && !isatty(STDERR_FILENO));
    return err_none();
}

static Err settings_check(const Worker *worker)
{
    for (size_t i = 0; i < worker->spec->lane_count; i++) {
        const Lane *lane = &worker->lanes[i];
        if (lane->settings.slots > lane->settings.wip) {
            return err_reject("%s.lanes.%s.slots: must not be more than wip", worker->spec->name,
                              named_lane(worker, i));
        }
    }
    return err_none();
}

static Err settings_load(Worker *worker, const char *file, const NamedSettings *named)
{
    const SettingTable tables[] = {
        {runtime_settings, RUNTIME_SETTINGS, &worker->settings},
        {named->settings, named->count, worker},
        {&named->drain, 1, &worker->settings},
        {worker->spec->settings, worker->spec->setting_count, worker->spec->config},
    };
    Err err = config_load(file, tables, sizeof(tables) / sizeof(tables[0]));
    if (!err_is(err)) {
        err = settings_check(worker);
    }
    return err_is(err) ? err : log_configure(worker);
}

OptionsResult worker_read_settings(Worker *worker, int argc, char **argv, int *exit_code)
{
    const char *file = getenv("TAI_CONFIG");
    bool check = false;
    NamedSettings named = {0};
    named_make(&named, worker);
    *exit_code = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(worker, &named);
            return OPTIONS_EXIT;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("tai-%s %s\n", worker->spec->name, TAI_VERSION);
            return OPTIONS_EXIT;
        }
        if (strcmp(argv[i], "--check") == 0) {
            check = true;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            file = argv[++i];
        } else {
            fprintf(stderr, "tai-%s: unknown option or missing value: %s (see --help)\n", worker->spec->name, argv[i]);
            *exit_code = EXIT_USAGE;
            return OPTIONS_EXIT;
        }
    }
    Err err = settings_load(worker, file, &named);
    if (err_is(err)) {
        fprintf(stderr, "tai-%s: %s\n", worker->spec->name, err.why);
        *exit_code = EXIT_CONFIG;
        return OPTIONS_EXIT;
    }
    return check ? OPTIONS_EXIT : OPTIONS_RUN;
}
