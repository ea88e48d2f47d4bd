/* config - defaults, one JSON file, the environment. */
#include "shared/worker/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/json.h"

#define CONFIG_FILE_MAX ((size_t)1024 * 1024)
#define CONFIG_NAME_MAX 128
#define CONFIG_DEPTH_MAX 6

/* Sections of the shared file that belong to some process; each is checked by whom it belongs to. */
static const char *const sections[] = {"nats",   "redis",   "log",     "gateway", "policy",
                                       "action", "metrics", "rollout", "payment", "deployment"};

typedef struct {
    const char *file;
    Str text;
    const SettingTable *tables;
    size_t table_count;
} ConfigSource;

static const Setting *setting_find(const ConfigSource *source, Str name, void **target)
{
    for (size_t t = 0; t < source->table_count; t++) {
        for (size_t i = 0; i < source->tables[t].count; i++) {
            if (str_equal(name, str_from(source->tables[t].settings[i].name))) {
                *target = source->tables[t].target;
                return &source->tables[t].settings[i];
            }
        }
    }
    return NULL;
}

/* Whether a setting of ours begins with "<name>.". */
static bool section_is_ours(const ConfigSource *source, Str name)
{
    for (size_t t = 0; t < source->table_count; t++) {
        for (size_t i = 0; i < source->tables[t].count; i++) {
            Str setting = str_from(source->tables[t].settings[i].name);
            if (str_starts_with(setting, name) && setting.length > name.length && setting.data[name.length] == '.') {
                return true;
            }
        }
    }
    return false;
}

static bool section_is_known(Str name)
{
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (str_equal(name, str_from(sections[i]))) {
            return true;
        }
    }
    return false;
}

static Err setting_store_integer(const Setting *setting, void *target, int64_t value)
{
    bool bounded = setting->min != 0 || setting->max != 0;
    if (bounded && (value < setting->min || value > setting->max)) {
        return err_reject("must be a whole number from %lld to %lld", (long long)setting->min, (long long)setting->max);
    }
    memcpy((char *)target + setting->offset, &value, sizeof(value));
    return err_none();
}

static Err setting_store_text(const Setting *setting, void *target, Str value)
{
    if (memchr(value.data != NULL ? value.data : "", '\0', value.length) != NULL ||
        !str_copy_to(value, (char *)target + setting->offset, setting->size)) {
        return err_reject("must be at most %zu bytes of text", setting->size - 1);
    }
    return err_none();
}

static void setting_store_flag(const Setting *setting, void *target, bool value)
{
    memcpy((char *)target + setting->offset, &value, sizeof(value));
}

/* As the environment and the built-in defaults say it. */
static Err setting_store(const Setting *setting, void *target, Str value)
{
    int64_t number = 0;
    switch (setting->kind) {
    case SETTING_TEXT:
    case SETTING_SECRET:
        return setting_store_text(setting, target, value);
    case SETTING_INTEGER:
        if (!str_to_int64(value, &number)) {
            return err_reject("must be a whole number");
        }
        return setting_store_integer(setting, target, number);
    case SETTING_FLAG:
        if (!str_equal(value, STR("true")) && !str_equal(value, STR("false"))) {
            return err_reject("must be true or false");
        }
        setting_store_flag(setting, target, str_equal(value, STR("true")));
        return err_none();
    }
    return err_reject("unknown kind of setting");
}

static Err setting_store_json(const Setting *setting, void *target, const json_t *value)
{
    switch (setting->kind) {
    case SETTING_TEXT:
    case SETTING_SECRET:
        if (!json_is_string(value)) {
            return err_reject("must be text");
        }
        return setting_store_text(setting, target, (Str){json_string_value(value), json_string_length(value)});
    case SETTING_INTEGER:
        if (!json_is_integer(value)) {
            return err_reject("must be a whole number");
        }
        return setting_store_integer(setting, target, json_integer_value(value));
    case SETTING_FLAG:
        if (!json_is_boolean(value)) {
            return err_reject("must be true or false");
        }
        setting_store_flag(setting, target, json_is_true(value));
        return err_none();
    }
    return err_reject("unknown kind of setting");
}

/* A key is whatever stands in the file, and an error is one line. */
static void name_show(Str name, char shown[CONFIG_NAME_MAX])
{
    Str cut = str_slice(name, 0, CONFIG_NAME_MAX - 1);
    for (size_t i = 0; i < cut.length; i++) {
        unsigned char c = (unsigned char)cut.data[i];
        shown[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    shown[cut.length] = '\0';
}

static Err error_at(const ConfigSource *source, Str name, const char *what)
{
    int line = 0;
    int column = 0;
    char shown[CONFIG_NAME_MAX];
    name_show(name, shown);
    Str raw = json_find_raw(source->text, name);
    if (raw.data == NULL) { /* a key with escapes, dots or more bytes than any name: without its place */
        return err_reject("%s: %s \"%s\"", source->file, what, shown);
    }
    json_place(source->text, raw.data, &line, &column);
    return err_reject("%s:%d:%d: %s \"%s\"", source->file, line, column, what, shown);
}

static Err config_apply_object(const ConfigSource *source, Str prefix, json_t *object, int depth);

static Err config_apply_member(const ConfigSource *source, Str name, json_t *value, int depth)
{
    void *target = NULL;
    const Setting *setting = setting_find(source, name, &target);
    if (setting != NULL) {
        Err err = setting_store_json(setting, target, value);
        return err_is(err) ? error_at(source, name, err.why) : err_none();
    }
    if (section_is_ours(source, name)) {
        return json_is_object(value) ? config_apply_object(source, name, value, depth + 1)
                                     : error_at(source, name, "must be an object:");
    }
    if (depth == 0 && section_is_known(name)) {
        return err_none();
    }
    return error_at(source, name, "unknown setting");
}

static Err config_apply_object(const ConfigSource *source, Str prefix, json_t *object, int depth)
{
    const char *key;
    json_t *value;
    if (depth > CONFIG_DEPTH_MAX) {
        return error_at(source, prefix, "nested too deep");
    }
    json_object_foreach(object, key, value)
    {
        char name[CONFIG_NAME_MAX];
        Buffer buffer = buffer_over(name, sizeof(name));
        if (prefix.length != 0) {
            buffer_append(&buffer, prefix);
            buffer_append_char(&buffer, '.');
        }
        buffer_append(&buffer, str_from(key));
        if (buffer.overflow || strchr(key, '.') != NULL) {
            char shown[CONFIG_NAME_MAX];
            name_show(str_from(key), shown);
            return err_reject("%s: unknown setting \"%s\"", source->file, shown);
        }
        Err err = config_apply_member(source, buffer_str(&buffer), value, depth);
        if (err_is(err)) {
            return err;
        }
    }
    return err_none();
}

static Err config_apply_defaults(const SettingTable *tables, size_t table_count)
{
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const Setting *setting = &tables[t].settings[i];
            Err err = setting_store(setting, tables[t].target, str_from(setting->initial));
            TAI_ASSERT(!err_is(err)); /* a default that its own setting refuses */
        }
    }
    return err_none();
}

static Err config_apply_file(const char *file, Str text, const SettingTable *tables, size_t table_count)
{
    json_error_t json_error;
    json_t *root = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &json_error);
    if (root == NULL) {
        /* jansson quotes the piece of the input where it stopped: it may be a password. */
        const char *quoted = strstr(json_error.text, " near '");
        int length = quoted != NULL ? (int)(quoted - json_error.text) : (int)strlen(json_error.text);
        return err_reject("%s:%d:%d: %.*s", file, json_error.line, json_error.column, length, json_error.text);
    }
    ConfigSource source = {file, text, tables, table_count};
    Err err = json_is_object(root) ? config_apply_object(&source, (Str){0}, root, 0)
                                   : err_reject("%s: must be a JSON object", file);
    json_decref(root);
    return err;
}

Err config_load_text(const char *file, Str text, const SettingTable *tables, size_t table_count)
{
    Err err = config_apply_defaults(tables, table_count);
    return err_is(err) ? err : config_apply_file(file, text, tables, table_count);
}

/* "redis.timeout_ms" as "TAI_REDIS_TIMEOUT_MS". */
static void environment_name(const char *name, char *out, size_t capacity_bytes)
{
    Buffer buffer = buffer_over(out, capacity_bytes);
    buffer_append(&buffer, STR("TAI_"));
    for (const char *c = name; *c != '\0'; c++) {
        buffer_append_char(&buffer, *c == '.' ? '_' : (char)toupper((unsigned char)*c));
    }
    TAI_ASSERT(!buffer.overflow);
}

static Err config_apply_environment(const SettingTable *tables, size_t table_count)
{
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const Setting *setting = &tables[t].settings[i];
            char name[CONFIG_NAME_MAX];
            environment_name(setting->name, name, sizeof(name));
            const char *value = getenv(name);
            if (value == NULL) {
                continue;
            }
            Err err = setting_store(setting, tables[t].target, str_from(value));
            if (err_is(err)) {
                return err_reject("%s: %s", name, err.why);
            }
        }
    }
    return err_none();
}

static Err file_read(const char *file, char **text, size_t *length)
{
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return err_reject("%s: %s", file, strerror(errno));
    }
    Err err = err_none();
    char *memory = malloc(CONFIG_FILE_MAX);
    TAI_ASSERT(memory != NULL);
    size_t used = 0;
    ssize_t got = 0;
    do {
        used += (size_t)got;
        got = read(descriptor, memory + used, CONFIG_FILE_MAX - used);
    } while (got > 0);
    if (got < 0) {
        err = err_reject("%s: %s", file, strerror(errno));
    } else if (used == CONFIG_FILE_MAX) {
        err = err_reject("%s: larger than 1 MiB", file);
    }
    close(descriptor);
    if (err_is(err)) {
        free(memory);
        return err;
    }
    *text = memory;
    *length = used;
    return err_none();
}

Err config_load(const char *file, const SettingTable *tables, size_t table_count)
{
    Err err = config_apply_defaults(tables, table_count);
    if (!err_is(err) && file != NULL) {
        char *text = NULL;
        size_t length = 0;
        err = file_read(file, &text, &length);
        if (!err_is(err)) {
            err = config_apply_file(file, (Str){text, length}, tables, table_count);
            free(text);
        }
    }
    return err_is(err) ? err : config_apply_environment(tables, table_count);
}
