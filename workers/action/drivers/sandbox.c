/* drivers/sandbox - one request for each command: PUT, GET, POST /rollback, POST /finish. */
#include "workers/action/drivers/sandbox.h"

#include "shared/base/json.h"

#define TAG_CALL 100

Err sandbox_settings_check(const DeploySettings *settings)
{
    Str url = str_from(settings->sandbox_url);
    return str_starts_with(url, STR("http://")) || str_starts_with(url, STR("https://"))
               ? err_none()
               : err_reject("action.deploy_sandbox_url: must begin with http:// or https://");
}

static Str sandbox_body(Arena *arena, const DeploymentCommand *command)
{
    Buffer body = arena_buffer(arena, 4096);
    JsonWriter json = json_writer(&body);
    json_open(&json, NULL, '{');
    json_put_string(&json, "version", command->version);
    if (command->kind == ROLLOUT_COMMAND_APPLY) {
        json_put_string(&json, "digest", command->digest);
        json_put_int(&json, "weight_percent", command->weight_percent);
    }
    if (command->kind != ROLLOUT_COMMAND_FINISH) {
        json_put_string(&json, "previous_version", command->previous_version);
    }
    json_close(&json, '}');
    TAI_ASSERT(!body.overflow); /* the lane bounds all of them */
    return buffer_str(&body);
}

static void sandbox_begin(DriverJob *job)
{
    Arena *arena = &job->task->arena;
    const DeploymentCommand *command = &job->command;
    const char *page = command->kind == ROLLOUT_COMMAND_ROLLBACK ? "/rollback"
                       : command->kind == ROLLOUT_COMMAND_FINISH ? "/finish"
                                                                 : "";
    HttpRequest request = {
        .url = arena_print(arena, "%s/cluster/" STR_FMT "/services/" STR_FMT "%s", job->deploy->settings->sandbox_url,
                           STR_ARG(command->region), STR_ARG(command->service), page),
        .timeout_ms = job->timeout_ms,
    };
    if (command->kind == ROLLOUT_COMMAND_READ) {
        request.method = STR("GET");
    } else {
        request.method = command->kind == ROLLOUT_COMMAND_APPLY ? STR("PUT") : STR("POST");
        request.body = sandbox_body(arena, command);
        request.headers[request.header_count++] = STR("Content-Type: application/json");
    }
    task_call(job->task, TAG_CALL, &request);
}

/* A version's text as it stands in JSON; ids have nothing to escape. */
static bool sandbox_is(Str body, Str member, Str version)
{
    Str raw = json_find_raw(body, member);
    return raw.length == version.length + 2 && str_equal(str_slice(raw, 1, raw.length - 1), version);
}

static void sandbox_read(DriverJob *job, const HttpResult *result)
{
    int64_t weight = 0;
    if (result->kind == HTTP_ANSWERED && result->status == 404) {
        driver_succeed(job, 0, "the service is not in this region");
        return;
    }
    if (!driver_http_succeeded(job, "sandbox", result)) {
        return;
    }
    if (!str_to_int64(json_find_raw(result->body, STR("weight_percent")), &weight) || weight < 0 || weight > 100) {
        driver_fail(job, "sandbox: the answer has no weight_percent");
    } else if (sandbox_is(result->body, STR("version"), job->command.version)) {
        driver_succeed(job, (int32_t)weight, "has %lld %% of the traffic", (long long)weight);
    } else if (sandbox_is(result->body, STR("stable_version"), job->command.version)) {
        driver_succeed(job, (int32_t)(100 - weight), "is the stable version");
    } else {
        driver_succeed(job, 0, "the version is not in this region");
    }
}

static void sandbox_step(DriverJob *job, const TaskEvent *event)
{
    if (event->kind != TASK_CALLED) {
        return;
    }
    if (job->command.kind == ROLLOUT_COMMAND_READ) {
        sandbox_read(job, event->http);
    } else if (driver_http_succeeded(job, "sandbox", event->http)) {
        driver_succeed(job, -1, "%s", "done");
    }
}

const Driver sandbox_driver = {.name = "sandbox", .begin = sandbox_begin, .step = sandbox_step};
