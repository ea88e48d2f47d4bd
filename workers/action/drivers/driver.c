/* driver - how jobs end. */
#include "workers/action/drivers/driver.h"

#include <stdarg.h>

#define HTTP_SAID_MAX 200 /* bytes of an error's body that are told */

/* What a server or a program said, on one line of text. */
static Str driver_clean(Arena *arena, Str text)
{
    Buffer out = arena_buffer(arena, text.length + 1);
    for (size_t i = 0; i < text.length;) {
        size_t length = str_utf8_length(str_slice(text, i, text.length));
        if (length == 0 || (unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f) {
            buffer_append_char(&out, ' ');
            i++;
        } else {
            buffer_append(&out, str_slice(text, i, i + length));
            i += length;
        }
    }
    return buffer_str(&out);
}

/* Cut at a whole character. */
static Str driver_bound(Str text, size_t most)
{
    size_t end = 0;
    while (end < text.length) {
        size_t length = str_utf8_length(str_slice(text, end, text.length));
        if (length == 0 || end + length > most) {
            break;
        }
        end += length;
    }
    return str_slice(text, 0, end);
}

static void driver_end(DriverJob *job, DeploymentResult result, const char *format, va_list arguments)
{
    if (job->ended || job->deploy->stopping) {
        return;
    }
    job->ended = true;
    Buffer text = arena_buffer(&job->task->arena, 4096);
    buffer_vprint(&text, format, arguments);
    Str detail = text.overflow ? str_from(format) : buffer_str(&text);
    result.command_id = job->command.command_id;
    result.deployment_id = job->command.deployment_id;
    result.detail = driver_bound(driver_clean(&job->task->arena, detail), DRIVER_DETAIL_MAX);
    result.at_ms = loop_unix_ms(worker_loop(job->deploy->worker));
    job->when_ended(job, &result);
}

void driver_succeed(DriverJob *job, int32_t weight_percent, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    driver_end(job, (DeploymentResult){.succeeded = true, .weight_percent = weight_percent}, format, arguments);
    va_end(arguments);
}

void driver_fail(DriverJob *job, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    driver_end(job, (DeploymentResult){.weight_percent = -1}, format, arguments);
    va_end(arguments);
}

void driver_refuse(DriverJob *job, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    driver_end(job, (DeploymentResult){.impossible = true, .weight_percent = -1}, format, arguments);
    va_end(arguments);
}

bool driver_http_succeeded(DriverJob *job, const char *whom, const HttpResult *result)
{
    if (result->kind != HTTP_ANSWERED) {
        driver_fail(job, "%s: %s", whom, result->why);
        return false;
    }
    if (result->status / 100 == 2) {
        return true;
    }
    Str said = str_slice(result->body, 0, HTTP_SAID_MAX);
    bool may_pass = result->status == 408 || result->status == 409 || result->status == 429;
    if (result->status / 100 == 4 && !may_pass) {
        driver_refuse(job, "%s answers %d: " STR_FMT, whom, result->status, STR_ARG(said));
    } else {
        driver_fail(job, "%s answers %d: " STR_FMT, whom, result->status, STR_ARG(said));
    }
    return false;
}
