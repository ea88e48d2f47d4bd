/* fuzz_json_find - the raw finder against jansson.
 * On any bytes it stays inside them. On valid JSON every member of the object, and of the objects in it, is found
 * where jansson has it, and its raw text reads as jansson's value. */
#include <string.h>

#include <jansson.h>

#include "shared/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH_MAX_BYTES 256

/* Plain names only: an escaped one is compared as written, and a dot would part the path. */
static bool is_plain(Str key)
{
    for (size_t i = 0; i < key.length; i++) {
        unsigned char c = (unsigned char)key.data[i];
        if (c < 0x20 || c > 0x7E || c == '.' || c == '"' || c == '\\' || c == '/')
            return false;
    }
    return key.length > 0;
}

static void check_value(Str raw, const json_t *expected)
{
    json_t *actual = json_loadb(raw.data, raw.length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    TAI_ASSERT(actual != NULL && json_equal(actual, expected));
    json_decref(actual);
}

/* A key of plain letters may still have been written with escapes; then the finder says that it is not there. */
static void check_member(Str text, const char *parent, Str key, json_t *value)
{
    char memory[PATH_MAX_BYTES];
    Buffer path = buffer_over(memory, sizeof(memory));
    buffer_print(&path, "%s%s" STR_FMT, parent, parent[0] != '\0' ? "." : "", STR_ARG(key));
    if (path.overflow)
        return;
    Str raw = json_find_raw(text, buffer_str(&path));
    if (raw.data == NULL) {
        TAI_ASSERT(memchr(text.data, '\\', text.length) != NULL);
        return;
    }
    check_value(raw, value);
    if (!json_is_object(value))
        return;
    for (void *at = json_object_iter(value); at != NULL; at = json_object_iter_next(value, at)) {
        Str inner = {json_object_iter_key(at), json_object_iter_key_len(at)};
        if (is_plain(inner))
            check_member(text, memory, inner, json_object_iter_value(at));
    }
}

static void check_inside(Str text, Str path)
{
    Str raw = json_find_raw(text, path);
    if (raw.data != NULL)
        TAI_ASSERT(raw.data >= text.data && raw.data + raw.length <= text.data + text.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Str text = {(const char *)data, size};
    check_inside(text, STR("amount"));
    check_inside(text, STR("a.b.c"));
    check_inside(text, STR(""));
    if (size > 0 && memchr(data, '\0', size) != NULL)
        return 0; /* jansson passes over a NUL between two tokens; that is not JSON, and our decoders refuse it before
                   */
    json_t *root = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return 0;
    }
    for (void *at = json_object_iter(root); at != NULL; at = json_object_iter_next(root, at)) {
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        if (is_plain(key))
            check_member(text, "", key, json_object_iter_value(at));
    }
    json_decref(root);
    return 0;
}
