/* form - application/x-www-form-urlencoded, decoded in place. */
#include "ops/sandbox/form.h"

static int form_digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* False on a '%' without two hex digits. */
static bool form_decode(Str raw, Str *decoded)
{
    char *out = (char *)(uintptr_t)raw.data; /* the text is the caller's to change */
    size_t length = 0;
    for (size_t i = 0; i < raw.length; i++) {
        char byte = raw.data[i];
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            int high = i + 2 < raw.length ? form_digit(raw.data[i + 1]) : -1;
            int low = i + 2 < raw.length ? form_digit(raw.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (char)(high * 16 + low);
            i += 2;
        }
        out[length] = byte;
        length++;
    }
    *decoded = (Str){raw.data, length};
    return str_is_utf8(*decoded);
}

bool form_read(Form *form, char *text, size_t length)
{
    form->count = 0;
    Str rest = {text, length};
    Str pair;
    while (length > 0 && str_next_token(&rest, '&', &pair)) {
        if (pair.length == 0) {
            continue;
        }
        if (form->count == FORM_FIELDS_MAX) {
            return false;
        }
        Str raw_value = pair;
        Str raw_name;
        FormField *field = &form->fields[form->count];
        *field = (FormField){.value = STR("")};
        str_next_token(&raw_value, '=', &raw_name);
        if (!form_decode(raw_name, &field->name) ||
            (raw_value.data != NULL && !form_decode(raw_value, &field->value))) {
            return false;
        }
        form->count++;
    }
    return true;
}

Str form_find(const Form *form, Str name)
{
    for (size_t i = form->count; i > 0; i--) {
        if (str_equal(form->fields[i - 1].name, name)) {
            return form->fields[i - 1].value;
        }
    }
    return (Str){0};
}

Str form_subkey(Str field, Str name)
{
    if (field.length < name.length + 2 || !str_starts_with(field, name) || field.data[name.length] != '[' ||
        field.data[field.length - 1] != ']') {
        return (Str){0};
    }
    return str_slice(field, name.length + 1, field.length - 1);
}

static uint64_t form_hash(uint64_t hash, Str text)
{
    for (size_t i = 0; i < text.length; i++) {
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3);
    }
    return (hash ^ 0x1ff) * UINT64_C(0x100000001b3); /* an end that no byte is: "a","bc" is not "ab","c" */
}

/* Spreads the bits, so that the sum over the fields keeps what FNV gathered. */
static uint64_t form_mix(uint64_t hash)
{
    hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
    return hash ^ (hash >> 31);
}

uint64_t form_digest(const Form *form, Str path)
{
    const uint64_t seed = UINT64_C(0xcbf29ce484222325);
    uint64_t digest = form_mix(form_hash(seed, path));
    for (size_t i = 0; i < form->count; i++) {
        digest += form_mix(form_hash(form_hash(seed, form->fields[i].name), form->fields[i].value));
    }
    return digest;
}
