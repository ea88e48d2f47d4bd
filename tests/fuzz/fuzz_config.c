/* fuzz_config - any bytes as the configuration file.
 * What is refused says so in one line and quotes no secret; what is taken keeps every setting within its range. */
#include <string.h>

#include "shared/worker/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GUARD 0x5a
#define SECRET "hunter2hunter2"

typedef struct {
    char address[16];
    uint8_t after_address;
    char password[32];
    uint8_t after_password;
    int64_t timeout_ms;
    int64_t any;
    bool on;
    int64_t wip;
} Settings;

#define FIELD(field) SETTING_FIELD(Settings, field)

static const Setting settings[] = {
    {"redis.address", SETTING_TEXT, FIELD(address), "here:1", 0, 0, ""},
    {"redis.password", SETTING_SECRET, FIELD(password), "", 0, 0, ""},
    {"redis.timeout_ms", SETTING_INTEGER, FIELD(timeout_ms), "500", 1, 60000, ""},
    {"policy.any", SETTING_INTEGER, FIELD(any), "0", 0, 0, ""},
    {"policy.on", SETTING_FLAG, FIELD(on), "false", 0, 0, ""},
    {"policy.lanes.charge.wip", SETTING_INTEGER, FIELD(wip), "10", 1, 100, ""},
};

static bool holds_secret(const uint8_t *data, size_t size)
{
    return memmem(data, size, SECRET, sizeof(SECRET) - 1) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Settings target = {.after_address = GUARD, .after_password = GUARD};
    const SettingTable tables[] = {{settings, sizeof(settings) / sizeof(settings[0]), &target}};
    Err err = config_load_text("tai.json", (Str){(const char *)data, size}, tables, 1);
    if (err_is(err)) {
        TAI_ASSERT(err.kind == ERR_REJECT && strncmp(err.why, "tai.json", 8) == 0);
        for (const char *c = err.why; *c != '\0'; c++) {
            TAI_ASSERT((unsigned char)*c >= 0x20 && *c != 0x7f);
        }
    }
    /* A key may be named, a value never: the corpus has the secret only as a value, and mutations of it are no keys. */
    bool quoted_key = err_is(err) && strstr(err.why, "unknown setting") != NULL;
    TAI_ASSERT(!holds_secret(data, size) || quoted_key || strstr(err.why, SECRET) == NULL);
    TAI_ASSERT(target.after_address == GUARD && target.after_password == GUARD);
    TAI_ASSERT(memchr(target.address, '\0', sizeof(target.address)) != NULL);
    TAI_ASSERT(memchr(target.password, '\0', sizeof(target.password)) != NULL);
    TAI_ASSERT(target.timeout_ms >= 1 && target.timeout_ms <= 60000);
    TAI_ASSERT(target.wip >= 1 && target.wip <= 100);
    return 0;
}
