/* Tests of settings: defaults, the file over them, the environment over that, and every way to be wrong. */
#include "shared/worker/config.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

typedef struct {
    char address[16];
    char password[16];
    int64_t timeout_ms;
    int64_t any;
    bool on;
    int64_t wip;
} Settings;

#define FIELD(field) SETTING_FIELD(Settings, field)

static const Setting shared_settings[] = {
    {"redis.address", SETTING_TEXT, FIELD(address), "here:1", 0, 0, ""},
    {"redis.password", SETTING_SECRET, FIELD(password), "", 0, 0, ""},
    {"redis.timeout_ms", SETTING_INTEGER, FIELD(timeout_ms), "500", 1, 60000, ""},
};
static const Setting own_settings[] = {
    {"policy.any", SETTING_INTEGER, FIELD(any), "-7", 0, 0, ""},
    {"policy.on", SETTING_FLAG, FIELD(on), "true", 0, 0, ""},
    {"policy.lanes.charge.wip", SETTING_INTEGER, FIELD(wip), "10", 1, 100, ""},
};

static Err load_text(const char *text, Settings *settings)
{
    const SettingTable tables[] = {{shared_settings, 3, settings}, {own_settings, 3, settings}};
    *settings = (Settings){0};
    return config_load_text("tai.json", str_from(text), tables, 2);
}

static Err load_file(const char *file, Settings *settings)
{
    const SettingTable tables[] = {{shared_settings, 3, settings}, {own_settings, 3, settings}};
    *settings = (Settings){0};
    return config_load(file, tables, 2);
}

Test(config, without_a_word_everything_has_its_default)
{
    Settings settings;
    Err err = load_text("{}", &settings);
    cr_assert(!err_is(err), "%s", err.why);
    cr_assert_str_eq(settings.address, "here:1");
    cr_assert_str_eq(settings.password, "");
    cr_assert_eq(settings.timeout_ms, 500);
    cr_assert_eq(settings.any, -7);
    cr_assert(settings.on);
    cr_assert_eq(settings.wip, 10);
}

Test(config, the_file_is_over_the_defaults)
{
    Settings settings;
    Err err = load_text("{\"redis\": {\"address\": \"there:2\", \"timeout_ms\": 60000},\n"
                        " \"policy\": {\"any\": -9223372036854775808, \"on\": false, \"lanes\": {\"charge\": {\"wip\": "
                        "1}}}}",
                        &settings);
    cr_assert(!err_is(err), "%s", err.why);
    cr_assert_str_eq(settings.address, "there:2");
    cr_assert_eq(settings.timeout_ms, 60000);
    cr_assert_eq(settings.any, INT64_MIN);
    cr_assert_not(settings.on);
    cr_assert_eq(settings.wip, 1);
}

Test(config, sections_of_other_processes_are_left_to_them)
{
    Settings settings;
    Err err = load_text("{\"gateway\": {\"whatever\": [1, 2]}, \"action\": 7, \"redis\": {}}", &settings);
    cr_assert(!err_is(err), "%s", err.why);
}

typedef struct {
    const char *text;
    const char *why;
} Wrong;

static const Wrong wrong_files[] = {
    {"{\n  \"redis\": {\"tiemout_ms\": 5}}", "tai.json:2:27: unknown setting \"redis.tiemout_ms\""},
    {"{\"redsi\": {}}", "tai.json:1:11: unknown setting \"redsi\""},
    {"{\"policy\": {\"lanes\": {\"chrage\": {}}}}", "tai.json:1:33: unknown setting \"policy.lanes.chrage\""},
    {"{\"redis\": {\"timeout_ms\": 0}}", "tai.json:1:26: must be a whole number from 1 to 60000 \"redis.timeout_ms\""},
    {"{\"redis\": {\"timeout_ms\": 60001}}",
     "tai.json:1:26: must be a whole number from 1 to 60000 \"redis.timeout_ms\""},
    {"{\"redis\": {\"timeout_ms\": 1.0}}", "tai.json:1:26: must be a whole number \"redis.timeout_ms\""},
    {"{\"redis\": {\"timeout_ms\": \"5\"}}", "tai.json:1:26: must be a whole number \"redis.timeout_ms\""},
    {"{\"redis\": {\"timeout_ms\": null}}", "tai.json:1:26: must be a whole number \"redis.timeout_ms\""},
    {"{\"redis\": {\"timeout_ms\": {}}}", "tai.json:1:26: must be a whole number \"redis.timeout_ms\""},
    {"{\"redis\": {\"address\": 5}}", "tai.json:1:23: must be text \"redis.address\""},
    {"{\"redis\": {\"address\": \"0123456789012345\"}}",
     "tai.json:1:23: must be at most 15 bytes of text \"redis.address\""},
    {"{\"policy\": {\"on\": \"true\"}}", "tai.json:1:19: must be true or false \"policy.on\""},
    {"{\"policy\": {\"on\": 1}}", "tai.json:1:19: must be true or false \"policy.on\""},
    {"{\"redis\": 5}", "tai.json:1:11: must be an object: \"redis\""},
    {"{\"policy\": {\"lanes\": []}}", "tai.json:1:22: must be an object: \"policy.lanes\""},
    {"{\"redis.timeout_ms\": 5}", "tai.json: unknown setting \"redis.timeout_ms\""},
    {"{\"redis\": {\"\\u0074imeout_m\": 5}}", "tai.json: unknown setting \"redis.timeout_m\""},
    {"{\"a\\nb\": 5}", "tai.json: unknown setting \"a?b\""},
    {"{\"a\x7f\": 5}", "tai.json:1:8: unknown setting \"a?\""},
    {"[]", "tai.json: must be a JSON object"},
};

Test(config, what_is_wrong_is_said_with_its_place)
{
    for (size_t i = 0; i < sizeof wrong_files / sizeof wrong_files[0]; i++) {
        Settings settings;
        Err err = load_text(wrong_files[i].text, &settings);
        cr_expect_eq(err.kind, ERR_REJECT, "%s", wrong_files[i].text);
        cr_expect_str_eq(err.why, wrong_files[i].why, "%s: %s", wrong_files[i].text, err.why);
    }
}

Test(config, a_key_written_with_escapes_is_the_same_key)
{
    Settings settings;
    Err err = load_text("{\"\\u0072edis\": {\"timeout\\u005fms\": 7}}", &settings);
    cr_assert(!err_is(err), "%s", err.why);
    cr_assert_eq(settings.timeout_ms, 7);
}

static const char *const broken_files[] = {
    "",
    "{",
    "{\"redis\": {\"password\": \"hunter2}",
    "{\"redis\": {\"password\": \"hunter2\" \"x\"}}",
    "{\"redis\": {\"password\": hunter2}}",
    "{\"redis\": {\"password\": \"hunter2\", \"password\": \"hunter2\"}}",
    "{} {}",
    "{\"policy\": {\"any\": 9223372036854775808}}",
    "{\"redis\": {\"address\": \"a\\u0000b\"}}",
    "{\"redis\": {\"address\": \"\xff\"}}",
};

Test(config, a_broken_file_says_where_and_quotes_nothing)
{
    for (size_t i = 0; i < sizeof broken_files / sizeof broken_files[0]; i++) {
        Settings settings;
        int line = 0;
        int column = -1;
        Err err = load_text(broken_files[i], &settings);
        cr_expect_eq(err.kind, ERR_REJECT, "%s", broken_files[i]);
        cr_expect_eq(sscanf(err.why, "tai.json:%d:%d: ", &line, &column), 2, "%s", err.why);
        cr_expect_null(strstr(err.why, "hunter2"), "%s", err.why);
    }
}

Test(config, nesting_without_end_is_refused)
{
    static char text[8001];
    Settings settings;
    memset(text, '[', 8000);
    Err err = load_text(text, &settings);
    cr_assert_eq(err.kind, ERR_REJECT);
}

static void write_file(char *path, const char *text)
{
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
}

Test(config, the_environment_is_over_the_file)
{
    Settings settings;
    char path[] = "/tmp/tai-config-XXXXXX";
    write_file(path, "{\"redis\": {\"address\": \"file:1\", \"timeout_ms\": 100}, \"policy\": {\"on\": true}}");
    setenv("TAI_REDIS_TIMEOUT_MS", "200", 1);
    setenv("TAI_POLICY_ON", "false", 1);
    setenv("TAI_POLICY_LANES_CHARGE_WIP", "3", 1);
    setenv("TAI_REDIS_PASSWORD", "", 1);
    Err err = load_file(path, &settings);
    unlink(path);
    cr_assert(!err_is(err), "%s", err.why);
    cr_assert_str_eq(settings.address, "file:1");
    cr_assert_eq(settings.timeout_ms, 200);
    cr_assert_not(settings.on);
    cr_assert_eq(settings.wip, 3);
}

static const Wrong wrong_environments[] = {
    {"TAI_REDIS_TIMEOUT_MS=0", "TAI_REDIS_TIMEOUT_MS: must be a whole number from 1 to 60000"},
    {"TAI_REDIS_TIMEOUT_MS=", "TAI_REDIS_TIMEOUT_MS: must be a whole number"},
    {"TAI_REDIS_TIMEOUT_MS= 5", "TAI_REDIS_TIMEOUT_MS: must be a whole number"},
    {"TAI_REDIS_TIMEOUT_MS=5ms", "TAI_REDIS_TIMEOUT_MS: must be a whole number"},
    {"TAI_REDIS_TIMEOUT_MS=99999999999999999999", "TAI_REDIS_TIMEOUT_MS: must be a whole number"},
    {"TAI_POLICY_ON=yes", "TAI_POLICY_ON: must be true or false"},
    {"TAI_REDIS_ADDRESS=0123456789012345", "TAI_REDIS_ADDRESS: must be at most 15 bytes of text"},
};

Test(config, a_wrong_word_in_the_environment_is_named)
{
    for (size_t i = 0; i < sizeof wrong_environments / sizeof wrong_environments[0]; i++) {
        Settings settings;
        char word[64];
        cr_assert(str_copy_to(str_from(wrong_environments[i].text), word, sizeof word));
        char *value = strchr(word, '=');
        *value++ = '\0';
        setenv(word, value, 1);
        Err err = load_file(NULL, &settings);
        unsetenv(word);
        cr_expect_eq(err.kind, ERR_REJECT, "%s", word);
        cr_expect_str_eq(err.why, wrong_environments[i].why, "%s", err.why);
    }
}

Test(config, a_file_that_cannot_be_read_is_said)
{
    Settings settings;
    Err missing = load_file("/nowhere/tai.json", &settings);
    Err folder = load_file("/tmp", &settings);
    cr_assert_eq(missing.kind, ERR_REJECT);
    cr_assert_str_eq(missing.why, "/nowhere/tai.json: No such file or directory");
    cr_assert_eq(folder.kind, ERR_REJECT);
    cr_assert_str_eq(folder.why, "/tmp: Is a directory");
}
