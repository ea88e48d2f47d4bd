/* form - application/x-www-form-urlencoded, as the WHATWG URL standard serializes it. */
#include "shared/http/http.h"

static bool form_stays(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '*' || byte == '-' || byte == '.' || byte == '_';
}

static void form_encode(Buffer *out, Str text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (form_stays(text.data[i])) {
            buffer_append_char(out, text.data[i]);
        } else if (byte == ' ') {
            buffer_append_char(out, '+');
        } else {
            char escaped[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            buffer_append(out, (Str){escaped, sizeof escaped});
        }
    }
}

void http_form_append(Buffer *out, Str key, Str value)
{
    if (out->length > 0) {
        buffer_append_char(out, '&');
    }
    form_encode(out, key);
    buffer_append_char(out, '=');
    form_encode(out, value);
}
