/* field - reading the fields of a request. */
#include "gateway/field.h"

#define QUALITY_ONE 1000 /* qvalues in thousandths */

FieldPrefer field_prefer_none(void)
{
    return (FieldPrefer){.wait_s = -1};
}

static Str field_unquote(Str value)
{
    bool quoted = value.length >= 2 && value.data[0] == '"' && value.data[value.length - 1] == '"';
    return quoted ? str_slice(value, 1, value.length - 1) : value;
}

static void field_prefer_one(Str preference, FieldPrefer *prefer)
{
    Str value = preference;
    Str name;
    if (!str_next_token(&value, '=', &name)) {
        return;
    }
    name = str_trim(name);
    int64_t wait_s = 0;
    if (str_equal_ignore_case(name, STR("respond-async")) && value.data == NULL) {
        prefer->respond_async = true;
    } else if (str_equal_ignore_case(name, STR("wait")) && prefer->wait_s < 0 &&
               str_to_int64(field_unquote(str_trim(value)), &wait_s) && wait_s >= 0 && wait_s <= FIELD_WAIT_MAX_S) {
        prefer->wait_s = wait_s;
    }
}

void field_prefer_read(Str value, FieldPrefer *prefer)
{
    Str one;
    while (str_next_token(&value, ',', &one)) {
        Str preference;
        if (str_next_token(&one, ';', &preference)) {
            field_prefer_one(preference, prefer);
        }
    }
}

int64_t field_prefer_wait_ms(const FieldPrefer *prefer, int64_t default_ms)
{
    if (prefer->wait_s >= 0) {
        return prefer->wait_s * 1000;
    }
    return prefer->respond_async ? 0 : default_ms;
}

bool field_is_media_type(Str value, Str media_type)
{
    Str type;
    return str_next_token(&value, ';', &type) && str_equal_ignore_case(str_trim(type), media_type);
}

/* "0.5" in thousandths; what cannot be read counts as 1, the default. */
static int field_quality(Str text)
{
    int quality = 0;
    int unit = QUALITY_ONE;
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (i == 1 && byte == '.') {
            continue;
        }
        if (byte < '0' || byte > '9' || i > 4) {
            return QUALITY_ONE;
        }
        quality += (byte - '0') * unit;
        unit /= 10;
    }
    return text.length == 0 || quality > QUALITY_ONE ? QUALITY_ONE : quality;
}

static int field_range_quality(Str parameters)
{
    Str parameter;
    while (str_next_token(&parameters, ';', &parameter)) {
        parameter = str_trim(parameter);
        if (str_starts_with(parameter, STR("q=")) || str_starts_with(parameter, STR("Q="))) {
            return field_quality(str_slice(parameter, 2, parameter.length));
        }
    }
    return QUALITY_ONE;
}

bool field_accepts_text(Str accept)
{
    int text = 0;
    int json = 0;
    Str range;
    while (str_next_token(&accept, ',', &range)) {
        Str type;
        if (!str_next_token(&range, ';', &type)) {
            continue;
        }
        type = str_trim(type);
        int quality = field_range_quality(range);
        bool is_text = str_equal_ignore_case(type, STR("text/plain")) ||
                       str_equal_ignore_case(type, STR("application/openmetrics-text"));
        if (is_text && quality > text) {
            text = quality;
        } else if (str_equal_ignore_case(type, STR("application/json")) && quality > json) {
            json = quality;
        }
    }
    return text > 0 && text >= json;
}

bool field_accepts(Str accept, Str media_type)
{
    Str range;
    while (str_next_token(&accept, ',', &range)) {
        Str type;
        if (str_next_token(&range, ';', &type) && str_equal_ignore_case(str_trim(type), media_type) &&
            field_range_quality(range) > 0) {
            return true;
        }
    }
    return false;
}

bool field_is_key(Str key)
{
    for (size_t i = 0; i < key.length; i++) {
        if (key.data[i] < '!' || key.data[i] > '~') {
            return false;
        }
    }
    return key.length >= 1 && key.length <= FIELD_KEY_MAX;
}

bool field_entity_tag(Str value, uint64_t *revision)
{
    value = str_trim(value);
    Str inside = field_unquote(value);
    return inside.length != value.length && str_to_uint64(inside, revision);
}

static int field_hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool field_unescape(Str text, Buffer *out)
{
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (byte == '%') {
            int high = text.length - i > 2 ? field_hex_digit(text.data[i + 1]) : -1;
            int low = text.length - i > 2 ? field_hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (char)(high * 16 + low);
            i += 2;
        }
        if (byte == '\0') {
            return false;
        }
        buffer_append_char(out, byte);
    }
    return !out->overflow;
}
