/* member - the members of a JSON object that people write.
 * jansson turns numbers into doubles, so a decimal is read from its own digits in the text. */
#include "shared/wire/member.h"

#include "shared/base/id.h"
#include "shared/base/json.h"

#define DECIMAL_MAX_DIGITS 18

Member member_whole(const char *name, int64_t *number, int64_t least, int64_t most)
{
    return (Member){.name = name, .kind = MEMBER_WHOLE, .number = number, .least = least, .most = most};
}

Member member_decimal(const char *name, int64_t *number, int64_t least, int64_t most, int digits)
{
    return (Member){
        .name = name, .kind = MEMBER_DECIMAL, .number = number, .least = least, .most = most, .digits = digits};
}

Member member_flag(const char *name, bool *flag)
{
    return (Member){.name = name, .kind = MEMBER_FLAG, .flag = flag};
}

Member member_text(const char *name, MemberKind kind, char *text, size_t text_bytes)
{
    return (Member){.name = name, .kind = kind, .text = text, .text_bytes = text_bytes};
}

Member member_other(const char *name)
{
    return (Member){.name = name, .kind = MEMBER_OTHER};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool member_parse_decimal(Str raw, size_t whole_max, int digits, int64_t *value)
{
    TAI_ASSERT(digits >= 0 && whole_max + (size_t)digits <= DECIMAL_MAX_DIGITS);
    size_t fraction_digits = (size_t)digits;
    Str whole = {0};
    Str rest = raw;
    if (!str_next_token(&rest, '.', &whole) || whole.length == 0 || whole.length > whole_max) {
        return false;
    }
    Str fraction = rest.data != NULL ? rest : (Str){0};
    while (fraction.length > fraction_digits && fraction.data[fraction.length - 1] == '0') {
        fraction.length--;
    }
    if (fraction.length > fraction_digits) {
        return false;
    }
    int64_t read = 0;
    for (size_t i = 0; i < whole.length + fraction_digits; i++) {
        size_t at = i - whole.length; /* in the fraction, once i is past the whole */
        char digit = i < whole.length ? whole.data[i] : (at < fraction.length ? fraction.data[at] : '0');
        if (!is_digit(digit)) {
            return false;
        }
        read = 10 * read + (digit - '0');
    }
    *value = read;
    return true;
}

void member_print_decimal(Buffer *out, int64_t value, int digits)
{
    while (digits > 0 && value % 10 == 0) {
        value /= 10;
        digits--;
    }
    buffer_append_decimal(out, value, digits);
}

void member_print_path(const char *parent, const char *name, char out[MEMBER_PATH_MAX_BYTES])
{
    Buffer path = buffer_over(out, MEMBER_PATH_MAX_BYTES);
    buffer_print(&path, "%s%s%s", parent, parent[0] != '\0' ? "." : "", name);
    TAI_ASSERT(!path.overflow);
}

void member_print_index(const char *parent, size_t index, char out[MEMBER_PATH_MAX_BYTES])
{
    Buffer path = buffer_over(out, MEMBER_PATH_MAX_BYTES);
    buffer_print(&path, "%s[%zu]", parent, index);
    TAI_ASSERT(!path.overflow);
}

static Err read_whole(const char *path, const Member *member, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < member->least ||
        json_integer_value(value) > member->most) {
        return err_reject("%s: must be a whole number from %lld to %lld", path, (long long)member->least,
                          (long long)member->most);
    }
    *member->number = json_integer_value(value);
    return err_none();
}

static Err read_decimal(const Place *place, const char *path, const Member *member, const json_t *value)
{
    Str raw = json_is_number(value) ? json_find_raw(place->document, str_from(path)) : (Str){0};
    int64_t number = 0;
    size_t whole_max = (size_t)(DECIMAL_MAX_DIGITS - member->digits);
    if (member_parse_decimal(raw, whole_max, member->digits, &number) && number >= member->least &&
        number <= member->most) {
        *member->number = number;
        return err_none();
    }
    char memory[64];
    Buffer range = buffer_over(memory, sizeof(memory));
    member_print_decimal(&range, member->least, member->digits);
    buffer_append(&range, STR(" to "));
    member_print_decimal(&range, member->most, member->digits);
    return err_reject("%s: must be a number from %s, at most %d digits after the point", path, memory, member->digits);
}

static bool is_line(Str text)
{
    for (size_t i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7F) {
            return false;
        }
    }
    return true;
}

static Err read_text(const char *path, const Member *member, const json_t *value)
{
    size_t most = member->text_bytes - 1;
    if (!json_is_string(value)) {
        return err_reject("%s: must be a string", path);
    }
    Str text = document_string(value);
    if (member->kind == MEMBER_TOKEN && (!id_is_token(text) || text.length > most)) {
        return err_reject("%s: must be 1 to %zu of A-Z a-z 0-9 _ : -", path, most);
    }
    if (!is_line(text) || !str_copy_to(text, member->text, member->text_bytes)) {
        return err_reject("%s: must be one line of at most %zu bytes", path, most);
    }
    return err_none();
}

static Err read_member(const Place *place, const Member *member, const json_t *value)
{
    char path[MEMBER_PATH_MAX_BYTES];
    member_print_path(place->path, member->name, path);
    if (value == NULL) {
        return member->optional ? err_none() : err_reject("%s: missing", path);
    }
    switch (member->kind) {
    case MEMBER_WHOLE:
        return read_whole(path, member, value);
    case MEMBER_DECIMAL:
        return read_decimal(place, path, member, value);
    case MEMBER_FLAG:
        *member->flag = json_is_true(value);
        return json_is_boolean(value) ? err_none() : err_reject("%s: must be true or false", path);
    case MEMBER_TOKEN:
    case MEMBER_LINE:
        return read_text(path, member, value);
    case MEMBER_OTHER:
        break;
    }
    return err_none();
}

static bool is_among(Str key, const Member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(key, str_from(members[i].name))) {
            return true;
        }
    }
    return false;
}

Err member_read_all(const Place *place, const Member *members, size_t count)
{
    json_t *object = (json_t *)place->object; /* iterating takes no const, and changes nothing */
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        if (!is_among(key, members, count)) {
            return document_unknown_member(place->path, key);
        }
    }
    for (size_t i = 0; i < count; i++) {
        Err err = read_member(place, &members[i], json_object_get(object, members[i].name));
        if (err_is(err)) {
            return err;
        }
    }
    return err_none();
}
