/* config - settings of a process: defaults built in, one JSON file over them, TAI_… environment over that.
 * "redis.timeout_ms" is {"redis": {"timeout_ms": 500}} in the file and TAI_REDIS_TIMEOUT_MS in the environment.
 * All processes may share one file: a process checks its own and the shared sections to the last key, and of the
 * others only that such a section exists. */
#ifndef TAI_WORKER_CONFIG_H
#define TAI_WORKER_CONFIG_H

#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

typedef enum {
    SETTING_TEXT,    /* char[size] */
    SETTING_SECRET,  /* char[size]; never shown */
    SETTING_INTEGER, /* int64_t within min..max */
    SETTING_FLAG,    /* bool */
} SettingKind;

typedef struct {
    const char *name; /* dotted: "redis.timeout_ms" */
    SettingKind kind;
    size_t offset;       /* into the process's settings struct */
    size_t size;         /* of the field, in bytes */
    const char *initial; /* the default, as the environment would say it */
    int64_t min, max;    /* INTEGER; both 0: any */
    const char *help;    /* half a sentence, with the unit */
} Setting;

#define SETTING_FIELD(type, field) offsetof(type, field), sizeof(((type *)0)->field)

typedef struct {
    const Setting *settings;
    size_t count;
    void *target;
} SettingTable;

/* Fills every table. `file` may be NULL. REJECT says what is wrong and where: "tai.json:12:5: unknown setting
 * \"redis.tiemout_ms\"", "TAI_REDIS_TIMEOUT_MS: must be a whole number from 1 to 60000". */
MUST_USE Err config_load(const char *file, const SettingTable *tables, size_t table_count);

/* The same from text in memory; `file` is only named in errors. Without the environment. For tests and fuzzing. */
MUST_USE Err config_load_text(const char *file, Str text, const SettingTable *tables, size_t table_count);

#endif
