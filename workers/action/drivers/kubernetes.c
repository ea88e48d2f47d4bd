/* drivers/kubernetes - a command is a short list of steps; each asks the API server something and waits for its answer,
 * or asks again until the pods are there. */
#include "workers/action/drivers/kubernetes.h"

#include <fcntl.h>
#include <unistd.h>

#include "shared/base/json.h"

#define POLL_MS 500
#define TOKEN_MAX 8192
#define CALL_TIMEOUT_MS 10000

typedef enum {
    STEP_APPLY_CANARY, /* the new image, and as many pods as the weight says */
    STEP_AWAIT_CANARY,
    STEP_SCALE_STABLE,   /* to the pods that the canary leaves */
    STEP_RESTORE_STABLE, /* the previous image, all pods */
    STEP_PROMOTE_STABLE, /* the new image, all pods */
    STEP_AWAIT_STABLE,
    STEP_DISMISS_CANARY, /* no pods */
    STEP_TELL,           /* what is really there */
    STEP_DONE,
} Step;

/* The pods that serve are never taken away before those that replace them are there. */
static const Step apply_steps[] = {STEP_APPLY_CANARY, STEP_AWAIT_CANARY, STEP_SCALE_STABLE, STEP_DONE};
static const Step read_steps[] = {STEP_AWAIT_CANARY, STEP_AWAIT_STABLE, STEP_TELL};
static const Step rollback_steps[] = {STEP_RESTORE_STABLE, STEP_AWAIT_STABLE, STEP_DISMISS_CANARY, STEP_DONE};
static const Step remove_steps[] = {STEP_DISMISS_CANARY, STEP_DONE};
static const Step finish_steps[] = {STEP_PROMOTE_STABLE, STEP_AWAIT_STABLE, STEP_DISMISS_CANARY, STEP_DONE};

/* One Deployment as the API server told it last. */
typedef struct {
    bool exists;
    bool settled;     /* what was asked for is what runs */
    bool is_new;      /* it runs the command's version */
    int64_t replicas; /* asked for */
    int64_t available;
} Workload;

typedef struct {
    DriverJob *job;
    const Step *step;
    bool looked; /* the present step knows whether its Deployment exists */
    bool late;   /* time is over */
    int calls;   /* that have not come back */
    Timer again;
    Workload canary;
    Workload stable;
} Kubernetes;

static void kubernetes_go(Kubernetes *kubernetes);

Err kubernetes_settings_check(const DeploySettings *settings)
{
    Str url = str_from(settings->kubernetes_url);
    bool good = url.length == 0 || str_starts_with(url, STR("http://")) || str_starts_with(url, STR("https://"));
    return good ? err_none() : err_reject("action.deploy_kubernetes_url: must begin with http:// or https://");
}

/* --- requests --------------------------------------------------------------------------------------------------------
 */

/* Empty: there is none. The kubelet replaces the file from time to time. */
static Str kubernetes_read_token(DriverJob *job)
{
    const char *path = job->deploy->settings->kubernetes_token_file;
    char *text = arena_alloc(&job->task->arena, TOKEN_MAX);
    int file = path[0] != '\0' ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (file < 0) {
        return (Str){0};
    }
    ssize_t length = read(file, text, TOKEN_MAX - 1);
    close(file);
    size_t used = 0;
    while (length > 0 && used < (size_t)length && text[used] > ' ' && text[used] <= '~') {
        used++;
    }
    return (Str){text, used};
}

static void kubernetes_answered(void *context, const HttpResult *result);

static void kubernetes_send(Kubernetes *kubernetes, const char *method, Str path, const char *type, Str body)
{
    DriverJob *job = kubernetes->job;
    Arena *arena = &job->task->arena;
    const DeploySettings *settings = job->deploy->settings;
    Str token = kubernetes_read_token(job);
    HttpRequest request = {
        .method = str_from(method),
        .url = arena_print(arena, "%s/apis/apps/v1/namespaces/%s/deployments/" STR_FMT, settings->kubernetes_url,
                           settings->kubernetes_namespace, STR_ARG(path)),
        .body = body,
        .timeout_ms = job->timeout_ms < CALL_TIMEOUT_MS ? job->timeout_ms : CALL_TIMEOUT_MS,
    };
    request.headers[request.header_count++] = STR("Accept: application/json");
    if (type != NULL) {
        request.headers[request.header_count++] = arena_print(arena, "Content-Type: %s", type);
    }
    if (token.length > 0) {
        request.headers[request.header_count++] = arena_print(arena, "Authorization: Bearer " STR_FMT, STR_ARG(token));
    }
    kubernetes->calls++;
    http_send(job->deploy->kubernetes, &request, kubernetes_answered, kubernetes);
}

static Str workload_name(Kubernetes *kubernetes, bool canary)
{
    return arena_print(&kubernetes->job->task->arena, STR_FMT "%s", STR_ARG(kubernetes->job->command.service),
                       canary ? "-canary" : "");
}

static void kubernetes_look(Kubernetes *kubernetes, bool canary)
{
    kubernetes_send(kubernetes, "GET", workload_name(kubernetes, canary), NULL, (Str){0});
}

static void kubernetes_scale(Kubernetes *kubernetes, bool canary, int64_t replicas)
{
    Arena *arena = &kubernetes->job->task->arena;
    kubernetes_send(
        kubernetes, "PATCH", arena_print(arena, STR_FMT "/scale", STR_ARG(workload_name(kubernetes, canary))),
        "application/merge-patch+json", arena_print(arena, "{\"spec\":{\"replicas\":%lld}}", (long long)replicas));
}

static void body_write_labels(JsonWriter *json, const char *key, Str service, bool canary)
{
    json_open(json, key, '{');
    json_put_string(json, "app", service);
    json_put_string(json, "tai-track", canary ? STR("canary") : STR("stable"));
    json_close(json, '}');
}

/* A selector cannot be changed: it is written where the Deployment is new. */
static void body_write_spec(JsonWriter *json, Str service, Str image, bool canary, bool exists, int64_t replicas)
{
    json_open(json, "spec", '{');
    json_put_int(json, "replicas", replicas);
    if (!exists) {
        json_open(json, "selector", '{');
        body_write_labels(json, "matchLabels", service, canary);
        json_close(json, '}');
    }
    json_open(json, "template", '{');
    if (!exists) {
        json_open(json, "metadata", '{');
        body_write_labels(json, "labels", service, canary);
        json_close(json, '}');
    }
    json_open(json, "spec", '{');
    json_open(json, "containers", '[');
    json_open(json, NULL, '{');
    json_put_string(json, "name", service);
    json_put_string(json, "image", image);
    json_close(json, '}');
    json_close(json, ']');
    json_close(json, '}');
    json_close(json, '}');
    json_close(json, '}');
}

static void kubernetes_apply(Kubernetes *kubernetes, bool canary, Str version, Str digest, int64_t replicas)
{
    const DeploymentCommand *command = &kubernetes->job->command;
    Arena *arena = &kubernetes->job->task->arena;
    Str name = workload_name(kubernetes, canary);
    Str image = arena_print(arena, STR_FMT "%s" STR_FMT, STR_ARG(command->image), digest.length > 0 ? "@" : ":",
                            STR_ARG(digest.length > 0 ? digest : version));
    Buffer body = arena_buffer(arena, 8192);
    JsonWriter json = json_writer(&body);
    json_open(&json, NULL, '{');
    json_put_string(&json, "apiVersion", STR("apps/v1"));
    json_put_string(&json, "kind", STR("Deployment"));
    json_open(&json, "metadata", '{');
    json_put_string(&json, "name", name);
    json_open(&json, "annotations", '{');
    json_put_string(&json, "tai-version", version);
    json_close(&json, '}');
    json_close(&json, '}');
    body_write_spec(&json, command->service, image, canary,
                    canary ? kubernetes->canary.exists : kubernetes->stable.exists, replicas);
    json_close(&json, '}');
    TAI_ASSERT(!body.overflow);
    kubernetes_send(kubernetes, "PATCH", arena_print(arena, STR_FMT "?fieldManager=tai&force=true", STR_ARG(name)),
                    "application/apply-patch+yaml", buffer_str(&body));
}

/* --- answers ---------------------------------------------------------------------------------------------------------
 */

static int64_t member_number(Str body, Str path)
{
    int64_t number = 0;
    return str_to_int64(json_find_raw(body, path), &number) ? number : 0;
}

static Workload workload_read(Str body, Str version)
{
    Str annotated = json_find_raw(body, STR("metadata.annotations.tai-version"));
    Workload workload = {
        .exists = true,
        .is_new =
            annotated.length == version.length + 2 && str_equal(str_slice(annotated, 1, annotated.length - 1), version),
        .replicas = member_number(body, STR("spec.replicas")),
        .available = member_number(body, STR("status.availableReplicas")),
    };
    workload.settled =
        member_number(body, STR("status.observedGeneration")) >= member_number(body, STR("metadata.generation")) &&
        workload.available == workload.replicas && member_number(body, STR("status.replicas")) == workload.replicas &&
        member_number(body, STR("status.updatedReplicas")) == workload.replicas;
    return workload;
}

static int64_t canary_replicas(const DriverJob *job)
{
    return (job->deploy->settings->kubernetes_replicas * job->command.weight_percent + 99) / 100;
}

/* Where the pods are as this weight asks for, it is that weight, whatever whole pods make of it. */
static void kubernetes_tell(Kubernetes *kubernetes)
{
    DriverJob *job = kubernetes->job;
    const Workload *canary = &kubernetes->canary;
    const Workload *stable = &kubernetes->stable;
    int64_t its = (canary->is_new ? canary->available : 0) + (stable->is_new ? stable->available : 0);
    int64_t total = canary->available + stable->available;
    bool as_asked =
        its == canary_replicas(job) && (!stable->exists || total == job->deploy->settings->kubernetes_replicas);
    int32_t percent = total == 0 ? 0 : (int32_t)((100 * its + total / 2) / total);
    driver_succeed(job, as_asked ? job->command.weight_percent : percent, "%lld of %lld pods", (long long)its,
                   (long long)total);
}

static void kubernetes_next(Kubernetes *kubernetes)
{
    kubernetes->step++;
    kubernetes->looked = false;
    kubernetes_go(kubernetes);
}

static bool step_is_about_canary(Step step)
{
    return step == STEP_APPLY_CANARY || step == STEP_AWAIT_CANARY || step == STEP_DISMISS_CANARY;
}

/* The answer to a look; what is not there has no pods. */
static void kubernetes_seen(Kubernetes *kubernetes, const HttpResult *result)
{
    Step step = *kubernetes->step;
    Workload *workload = step_is_about_canary(step) ? &kubernetes->canary : &kubernetes->stable;
    bool missing = result->kind == HTTP_ANSWERED && result->status == 404;
    if (!missing && !driver_http_succeeded(kubernetes->job, "kubernetes", result)) {
        return;
    }
    *workload = missing ? (Workload){.settled = true} : workload_read(result->body, kubernetes->job->command.version);
    if (step != STEP_AWAIT_CANARY && step != STEP_AWAIT_STABLE) {
        kubernetes->looked = true;
        kubernetes_go(kubernetes);
    } else if (workload->settled) {
        kubernetes_next(kubernetes);
    } else {
        loop_timer_set(worker_loop(kubernetes->job->deploy->worker), &kubernetes->again, POLL_MS);
    }
}

static void kubernetes_fail_late(Kubernetes *kubernetes)
{
    bool canary = step_is_about_canary(*kubernetes->step);
    const Workload *workload = canary ? &kubernetes->canary : &kubernetes->stable;
    driver_fail(kubernetes->job, "kubernetes: not as asked within %lld ms (%s has %lld of %lld pods)",
                (long long)kubernetes->job->timeout_ms, canary ? "canary" : "stable", (long long)workload->available,
                (long long)workload->replicas);
}

static void kubernetes_answered(void *context, const HttpResult *result)
{
    Kubernetes *kubernetes = context;
    kubernetes->calls--;
    if (kubernetes->job->deploy->stopping) {
        return;
    }
    if (kubernetes->late) {
        kubernetes_fail_late(kubernetes);
        return;
    }
    bool awaits = *kubernetes->step == STEP_AWAIT_CANARY || *kubernetes->step == STEP_AWAIT_STABLE;
    if (awaits || !kubernetes->looked) {
        kubernetes_seen(kubernetes, result);
    } else if (driver_http_succeeded(kubernetes->job, "kubernetes", result)) {
        kubernetes_next(kubernetes);
    }
}

/* --- steps -----------------------------------------------------------------------------------------------------------
 */

static void kubernetes_change_stable(Kubernetes *kubernetes)
{
    DriverJob *job = kubernetes->job;
    const DeploymentCommand *command = &job->command;
    int64_t all = job->deploy->settings->kubernetes_replicas;
    if (*kubernetes->step == STEP_PROMOTE_STABLE) {
        kubernetes_apply(kubernetes, false, command->version, command->digest, all);
    } else if (*kubernetes->step == STEP_RESTORE_STABLE && command->previous_digest.length > 0) {
        kubernetes_apply(kubernetes, false, command->previous_version, command->previous_digest, all);
    } else if (kubernetes->stable.exists) {
        kubernetes_scale(kubernetes, false,
                         *kubernetes->step == STEP_RESTORE_STABLE ? all : all - canary_replicas(job));
    } else if (command->previous_version.length > 0) {
        driver_refuse(job, "kubernetes: there is no Deployment " STR_FMT " to go back to", STR_ARG(command->service));
    } else {
        kubernetes_next(kubernetes); /* a first deployment: nothing to scale */
    }
}

static void kubernetes_change_canary(Kubernetes *kubernetes)
{
    DriverJob *job = kubernetes->job;
    if (*kubernetes->step == STEP_APPLY_CANARY) {
        kubernetes_apply(kubernetes, true, job->command.version, job->command.digest, canary_replicas(job));
    } else if (kubernetes->canary.exists) {
        kubernetes_scale(kubernetes, true, 0);
    } else {
        kubernetes_next(kubernetes);
    }
}

static void kubernetes_go(Kubernetes *kubernetes)
{
    Step step = *kubernetes->step;
    bool canary = step_is_about_canary(step);
    if (step == STEP_DONE) {
        driver_succeed(kubernetes->job, -1, "%s", "done");
    } else if (step == STEP_TELL) {
        kubernetes_tell(kubernetes);
    } else if (!kubernetes->looked) {
        kubernetes_look(kubernetes, canary);
    } else if (canary) {
        kubernetes_change_canary(kubernetes);
    } else {
        kubernetes_change_stable(kubernetes);
    }
}

static void kubernetes_again(void *context)
{
    kubernetes_go(context);
}

static const Step *kubernetes_steps(const DeploymentCommand *command)
{
    switch (command->kind) {
    case ROLLOUT_COMMAND_APPLY:
        return apply_steps;
    case ROLLOUT_COMMAND_READ:
        return read_steps;
    case ROLLOUT_COMMAND_FINISH:
        return finish_steps;
    case ROLLOUT_COMMAND_ROLLBACK:
        break;
    }
    return command->previous_version.length > 0 ? rollback_steps : remove_steps;
}

static void kubernetes_begin(DriverJob *job)
{
    if (job->deploy->kubernetes == NULL) {
        driver_refuse(job, "%s", "kubernetes: action.deploy_kubernetes_url is not set");
        return;
    }
    if (job->command.image.length == 0 && job->command.kind != ROLLOUT_COMMAND_READ) {
        driver_refuse(job, "%s", "kubernetes: the command names no image");
        return;
    }
    Kubernetes *kubernetes = arena_alloc(&job->task->arena, sizeof(*kubernetes));
    kubernetes->job = job;
    kubernetes->step = kubernetes_steps(&job->command);
    kubernetes->again = timer_make(kubernetes_again, kubernetes);
    job->state = kubernetes;
    kubernetes_go(kubernetes);
}

/* A call that is under way points at the job: it ends with its answer. */
static void kubernetes_cancel(DriverJob *job)
{
    Kubernetes *kubernetes = job->state;
    kubernetes->late = true;
    loop_timer_clear(worker_loop(job->deploy->worker), &kubernetes->again);
    if (kubernetes->calls == 0) {
        kubernetes_fail_late(kubernetes);
    }
}

const Driver kubernetes_driver = {.name = "kubernetes", .begin = kubernetes_begin, .cancel = kubernetes_cancel};

/* --- the connection --------------------------------------------------------------------------------------------------
 */

static int64_t source_deadline_ms(void *context)
{
    return http_deadline_ms(context);
}

static void source_dispatch(void *context, int64_t now_ms)
{
    http_dispatch(context, now_ms);
}

Err kubernetes_open(Deploy *deploy)
{
    if (deploy->settings->kubernetes_url[0] == '\0') {
        return err_none();
    }
    Err err = http_open(&(HttpOptions){.user_agent = STR("tai/" TAI_VERSION),
                                       .ca_file = str_from(deploy->settings->kubernetes_ca_file)},
                        &deploy->kubernetes);
    if (!err_is(err)) {
        loop_add(worker_loop(deploy->worker), (LoopSource){http_descriptor(deploy->kubernetes), source_deadline_ms,
                                                           source_dispatch, deploy->kubernetes});
    }
    return err;
}

void kubernetes_close(Deploy *deploy)
{
    if (deploy->kubernetes != NULL) {
        http_close(deploy->kubernetes);
        deploy->kubernetes = NULL;
    }
}
