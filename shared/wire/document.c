/* document - JSON text to a jansson tree, with reasons for a person.
 * jansson reads valid JSON; what it would read differently from what is written (depth, digits) is looked at first. */
#include "shared/wire/document.h"

#include <string.h>

#include "shared/base/id.h"

#define NAME_SHOWN_MAX 40

/* In text that is not JSON the depth is a guess, but then jansson finds that out itself. */
static bool is_deeper_than(Str text, int depth_max)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (in_string) {
            i += c == '\\' ? 1 : 0;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

/* jansson's text without the piece of the input that it quotes. */
static Err explain(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return err_reject("duplicate member at line %d column %d", error->line, error->column);
    case json_error_numeric_overflow:
        return err_reject("number out of range at line %d column %d", error->line, error->column);
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return err_reject("NUL in a string at line %d column %d", error->line, error->column);
    case json_error_out_of_memory:
        return err_retry("out of memory");
    default:
        break;
    }
    const char *quoted = strstr(error->text, " near '");
    int length = quoted != NULL ? (int)(quoted - error->text) : (int)strlen(error->text);
    return err_reject("not JSON: line %d column %d: %.*s", error->line, error->column, length, error->text);
}

Err document_load(Str text, size_t length_max, int depth_max, json_t **object)
{
    if (text.length > length_max) {
        return err_reject("body: longer than %zu bytes", length_max);
    }
    if (text.length == 0) {
        return err_reject("body: empty");
    }
    if (memchr(text.data, '\0', text.length) != NULL) {
        return err_reject("not JSON: holds a NUL byte");
    }
    if (is_deeper_than(text, depth_max)) {
        return err_reject("nested deeper than %d levels", depth_max);
    }
    json_error_t error;
    json_t *root = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL) {
        return explain(&error);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return err_reject("must be a JSON object");
    }
    *object = root;
    return err_none();
}

/* Names are the publisher's own text: cut, no control characters, no card number. */
Err document_unknown_member(const char *parent, Str key)
{
    const char *dot = parent[0] != '\0' ? "." : "";
    char shown[NAME_SHOWN_MAX + 1];
    if (id_holds_card_number(key) || !str_copy_to(key, shown, sizeof(shown))) {
        return err_reject("unknown member in %s", parent[0] != '\0' ? parent : "the body");
    }
    for (char *c = shown; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F) {
            *c = '?';
        }
    }
    return err_reject("unknown member \"%s%s%s\"", parent, dot, shown);
}

Str document_string(const json_t *string)
{
    return (Str){json_string_value(string), json_string_length(string)};
}
