/* problem - answers that say what is wrong. */
#include "gateway/problem.h"

#include "shared/base/json.h"

#define PROBLEM_TEXT_MAX 1024
#define PROBLEM_INSTANCE_MAX 200
#define PROBLEM_RETRY_AFTER_S 1

typedef struct {
    unsigned status;
    const char *type;
    const char *title;
} ProblemText;

static const ProblemText problem_texts[] = {
    [PROBLEM_INVALID] = {400, "urn:tai:problem:invalid-request", "The request is not valid"},
    [PROBLEM_NOT_FOUND] = {404, "urn:tai:problem:not-found", "There is no such thing here"},
    [PROBLEM_METHOD] = {405, "urn:tai:problem:method-not-allowed", "The resource does not have this method"},
    [PROBLEM_CONFLICT] = {409, "urn:tai:problem:conflict", "This cannot be done any more"},
    [PROBLEM_PRECONDITION] = {412, "urn:tai:problem:precondition-failed", "The resource has changed meanwhile"},
    [PROBLEM_TOO_LARGE] = {413, "urn:tai:problem:body-too-large", "The body is too large"},
    [PROBLEM_MEDIA_TYPE] = {415, "urn:tai:problem:unsupported-media-type", "The body is not of a type taken here"},
    [PROBLEM_KEY_REUSED] = {422, "urn:tai:problem:idempotency-key-reused",
                            "The Idempotency-Key was used for another request"},
    [PROBLEM_POLICY] = {422, "urn:tai:problem:invalid-policy", "The policy is not valid"},
    [PROBLEM_OVERLOADED] = {503, "urn:tai:problem:overloaded", "Too much to do at the moment"},
    [PROBLEM_UNAVAILABLE] = {503, "urn:tai:problem:unavailable", "Not available at the moment"},
};

static Str problem_print(Request *request, const ProblemText *text, Str detail, Str member)
{
    Buffer out = arena_buffer(&request->arena, PROBLEM_TEXT_MAX + 6 * (detail.length + PROBLEM_INSTANCE_MAX));
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '{');
    json_put_string(&json, "type", str_from(text->type));
    json_put_string(&json, "title", str_from(text->title));
    json_put_int(&json, "status", (int64_t)text->status);
    json_put_string(&json, "detail", detail);
    json_put_string(&json, "instance", str_slice(request->path, 0, PROBLEM_INSTANCE_MAX));
    if (member.length > 0) {
        json_put_string(&json, "member", member);
    }
    json_put_string(&json, "trace_id", str_from(request->trace.trace_id));
    json_close(&json, '}');
    buffer_append_char(&out, '\n');
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}

static void problem_answer_detail(Request *request, ProblemKind kind, Str detail, Str member)
{
    const ProblemText *text = &problem_texts[kind];
    if (text->status == 503) {
        request->answer.retry_after_s = PROBLEM_RETRY_AFTER_S;
    }
    request->answer.why = detail;
    request_answer(request, text->status, MEDIA_PROBLEM, problem_print(request, text, detail, member));
}

void problem_answer(Request *request, ProblemKind kind, const char *format, ...)
{
    char memory[512];
    Buffer detail = buffer_over(memory, sizeof(memory));
    va_list arguments;
    va_start(arguments, format);
    buffer_vprint(&detail, format, arguments);
    va_end(arguments);
    problem_answer_detail(request, kind, arena_copy(&request->arena, buffer_str(&detail)), (Str){0});
}

/* "currency: is not one" is about currency; a sentence without such a beginning is about the whole. */
static Str problem_member(Str reason)
{
    size_t length = 0;
    while (length < reason.length && reason.data[length] != ':') {
        char byte = reason.data[length];
        bool name = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                    byte == '_' || byte == '.' || byte == '[' || byte == ']';
        if (!name) {
            return (Str){0};
        }
        length++;
    }
    Str member = str_slice(reason, 0, length);
    return length < reason.length && !str_equal(member, STR("body")) ? member : (Str){0};
}

void problem_answer_reason(Request *request, ProblemKind kind, const Err *why)
{
    Str reason = arena_copy(&request->arena, str_from(why->why));
    problem_answer_detail(request, kind, reason, problem_member(reason));
}

#define PROBLEM_LATE_BODY                                                                                              \
    "{\"type\":\"urn:tai:problem:request-timeout\",\"title\":\"The request did not come in in "                        \
    "time\",\"status\":408}\n"

Str problem_late_text(void)
{
    _Static_assert(sizeof(PROBLEM_LATE_BODY) - 1 == 102, "Content-Length below");
    return STR("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
               "Content-Length: 102\r\n\r\n" PROBLEM_LATE_BODY);
}
