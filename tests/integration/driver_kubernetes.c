/* driver_kubernetes - the driver against a fake API server that knows just Deployments: what is asked of it, in which
 * order, and that pods are waited for. No real cluster has seen it. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/deploy.h"

#define ONLY_ACTION "redis gateway policy metrics sandbox"
#define REQUEST_MAX 16384

typedef struct {
    bool exists;
    int replicas;
    int available; /* comes one pod nearer to replicas with every look */
    bool selected; /* was made with a selector */
    int generation;
    char version[64];
    char image[256];
} Workload;

typedef struct {
    int listener;
    int port;
    pthread_t thread;
    int stop[2];
    pthread_mutex_t lock;
    Workload stable;
    Workload canary;
    bool stuck;      /* no pod ever comes or goes */
    int failures;    /* requests that are answered with 503 before anything else */
    int changes;     /* PATCHes that were let through */
    int fewest;      /* pods available at once, over all looks; of both */
    char wrong[512]; /* what a real server would have refused */
} Api;

/* --- the fake --------------------------------------------------------------------------------------------------------
 */

static void api_complain(Api *api, const char *what, const char *request)
{
    if (!api->wrong[0]) {
        snprintf(api->wrong, sizeof api->wrong, "%s: %.400s", what, request);
    }
}

static int workload_print(Workload *workload, const char *name, bool stuck, char *out, size_t size)
{
    if (!workload->exists) {
        return snprintf(
            out, size,
            "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 17\r\n\r\n{\"code\":       404}");
    }
    int step = workload->replicas > workload->available ? 1 : workload->replicas < workload->available ? -1 : 0;
    workload->available += stuck ? 0 : step;
    char body[1024];
    int length =
        snprintf(body, sizeof body,
                 "{\"metadata\":{\"name\":\"%s\",\"generation\":%d,\"annotations\":{\"tai-version\":\"%s\"}},"
                 "\"spec\":{\"replicas\":%d},\"status\":{\"observedGeneration\":%d,\"replicas\":%d,\"updatedReplicas\":"
                 "%d%s%.*d}}",
                 name, workload->generation, workload->version, workload->replicas, workload->generation,
                 workload->available, workload->available, workload->available ? ",\"availableReplicas\":" : "",
                 workload->available ? 1 : 0, workload->available);
    return snprintf(
        out, size,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
        length, body);
}

static void workload_apply(Api *api, Workload *workload, const char *request, const char *body)
{
    json_error_t where;
    json_t *json = json_loads(body, 0, &where);
    const char *image = NULL;
    const char *version = NULL;
    int replicas = -1;
    json_t *selector = NULL;
    if (!strstr(request, "fieldManager=tai&force=true") || !strstr(request, "application/apply-patch+yaml") ||
        json_unpack(json, "{s:s, s:{s:{s:s}}, s:{s:i, s?:o, s:{s:{s:[{s:s}]}}}}", "kind", &(const char *){0},
                    "metadata", "annotations", "tai-version", &version, "spec", "replicas", &replicas, "selector",
                    &selector, "template", "spec", "containers", "image", &image) != 0) {
        api_complain(api, "not a Deployment applied", request);
    } else {
        if (workload->exists == (selector != NULL)) {
            api_complain(api, "a selector for what is there already, or none for what is new", request);
        }
        workload->selected = workload->selected || selector != NULL;
        workload->exists = true;
        workload->replicas = replicas;
        workload->generation++;
        snprintf(workload->version, sizeof workload->version, "%s", version);
        snprintf(workload->image, sizeof workload->image, "%s", image);
    }
    json_decref(json);
}

static void workload_scale(Api *api, Workload *workload, const char *request, const char *body)
{
    if (!workload->exists || !strstr(request, "application/merge-patch+json") ||
        sscanf(body, "{\"spec\":{\"replicas\":%d}}", &workload->replicas) != 1) {
        api_complain(api, "not a scale", request);
    }
    workload->generation++;
}

static int api_answer(Api *api, const char *request, const char *body, char *out, size_t size)
{
    static const char place[] = "/apis/apps/v1/namespaces/shop/deployments/api";
    const char *path = strstr(request, place);
    if (!path || !strstr(request, "Authorization: Bearer token-of-the-kubelet\r\n")) {
        api_complain(api, "wrong path or token", request);
        return snprintf(out, size, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
    if (api->failures > 0) {
        api->failures--;
        return snprintf(out, size,
                        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
    path += strlen(place);
    bool canary = strncmp(path, "-canary", 7) == 0;
    Workload *workload = canary ? &api->canary : &api->stable;
    path += canary ? 7 : 0;
    if (strncmp(request, "PATCH ", 6) == 0) {
        api->changes++;
        if (strncmp(path, "/scale ", 7) == 0) {
            workload_scale(api, workload, request, body);
        } else {
            workload_apply(api, workload, request, body);
        }
    }
    int length = workload_print(workload, canary ? "api-canary" : "api", api->stuck, out, size);
    int available = api->canary.available + api->stable.available;
    api->fewest = available < api->fewest ? available : api->fewest;
    return length;
}

/* One request after the other, each on a connection of its own. */
static void api_serve(Api *api, int client)
{
    static const struct timeval patience = {.tv_sec = 5};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    char request[REQUEST_MAX] = "";
    size_t length = 0;
    char *body = NULL;
    size_t wanted = 0;
    while (!body || length < (size_t)(body - request) + wanted) {
        ssize_t got = recv(client, request + length, sizeof request - 1 - length, 0);
        if (got <= 0) {
            return;
        }
        length += (size_t)got;
        request[length] = 0;
        body = strstr(request, "\r\n\r\n");
        const char *said = strcasestr(request, "\r\nContent-Length:");
        wanted = said ? strtoul(said + 17, NULL, 10) : 0;
        body = body ? body + 4 : NULL;
    }
    char answer[4096];
    pthread_mutex_lock(&api->lock);
    int answer_length = api_answer(api, request, body, answer, sizeof answer);
    pthread_mutex_unlock(&api->lock);
    (void)!send(client, answer, (size_t)answer_length, MSG_NOSIGNAL);
}

static void *api_run(void *context)
{
    Api *api = context;
    struct pollfd watched[2] = {{.fd = api->listener, .events = POLLIN}, {.fd = api->stop[0], .events = POLLIN}};
    while (poll(watched, 2, -1) > 0 && !watched[1].revents) {
        int client = accept4(api->listener, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0) {
            api_serve(api, client);
            close(client);
        }
    }
    return NULL;
}

static void api_open(Api *api)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *api = (Api){.fewest = 1000};
    pthread_mutex_init(&api->lock, NULL);
    cr_assert_eq(pipe2(api->stop, O_CLOEXEC), 0);
    api->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(api->listener, (struct sockaddr *)&address, length), 0);
    cr_assert_eq(listen(api->listener, 64), 0);
    cr_assert_eq(getsockname(api->listener, (struct sockaddr *)&address, &length), 0);
    api->port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&api->thread, NULL, api_run, api), 0);
}

static void api_close(Api *api)
{
    cr_assert_eq(write(api->stop[1], "x", 1), 1);
    pthread_join(api->thread, NULL);
    close(api->listener);
    close(api->stop[0]);
    close(api->stop[1]);
    cr_assert_str_empty(api->wrong);
}

static void workload_is_there(Workload *workload, const char *version, int replicas)
{
    workload->exists = true;
    workload->replicas = replicas;
    workload->available = replicas;
    snprintf(workload->version, sizeof workload->version, "%s", version);
}

/* --- tests -----------------------------------------------------------------------------------------------------------
 */

static char token_path[64];

static Stack *start(const Api *api, const char *more)
{
    snprintf(token_path, sizeof token_path, "%s", "/tmp/tai-token-XXXXXX");
    int file = mkstemp(token_path);
    cr_assert_eq(write(file, "token-of-the-kubelet\n", 21), 21);
    close(file);
    char settings[512];
    snprintf(settings, sizeof settings,
             "TAI_ACTION_DEPLOY_KUBERNETES_URL=http://127.0.0.1:%d TAI_ACTION_DEPLOY_KUBERNETES_NAMESPACE=shop "
             "TAI_ACTION_DEPLOY_KUBERNETES_TOKEN_FILE=%s %s",
             api->port, token_path, more);
    return stack_start(&(StackPlan){.without = ONLY_ACTION, .settings = settings});
}

static void stop(Stack *stack, Api *api)
{
    cr_assert(!process_log_has(stack_process(stack, STACK_ACTION, 0), "token-of-the-kubelet"));
    stack_stop(stack);
    unlink(token_path);
    api_close(api);
}

static DeploymentResult carry_out(Stack *stack, RolloutCommand kind, int32_t weight)
{
    DeploymentCommand command = deploy_command("kubernetes", kind, weight);
    return deploy_do(stack, &command);
}

Test(driver_kubernetes, weights_become_pods_and_are_waited_for)
{
    Api api;
    api_open(&api);
    workload_is_there(&api.stable, "v1", 20);
    Stack *stack = start(&api, "");
    static const int32_t weights[] = {5, 25, 33};
    static const int pods[] = {1, 5, 7};
    for (size_t i = 0; i < 3; i++) {
        deploy_apply(stack, "kubernetes", weights[i]);
        deploy_apply(stack, "kubernetes", weights[i]);
        cr_assert_eq(deploy_read(stack, "kubernetes", weights[i]), weights[i]);
        cr_assert_eq(api.canary.available, pods[i]);
        cr_assert_eq(api.stable.available, 20 - pods[i]);
    }
    cr_assert_eq(deploy_read(stack, "kubernetes", 50), 35, "not as asked: the share of the pods");
    cr_assert_str_eq(api.canary.image,
                     "registry.local/team/api@sha256:2222222222222222222222222222222222222222222222222222222222222222");
    cr_assert(api.canary.selected);
    cr_assert_geq(api.fewest, 20, "there never were fewer pods than there should be");
    stop(stack, &api);
}

Test(driver_kubernetes, a_rollback_brings_the_previous_image_back_before_the_new_one_goes)
{
    Api api;
    api_open(&api);
    workload_is_there(&api.stable, "v1", 0);
    workload_is_there(&api.canary, "v2", 4);
    Stack *stack = start(&api, "TAI_ACTION_DEPLOY_KUBERNETES_REPLICAS=4");
    cr_assert_eq(deploy_read(stack, "kubernetes", 100), 100);
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK, 0).succeeded);
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK, 0).succeeded);
    cr_assert_eq(deploy_read(stack, "kubernetes", 0), 0);
    cr_assert_str_eq(api.stable.version, "v1");
    cr_assert_str_eq(api.stable.image,
                     "registry.local/team/api@sha256:1111111111111111111111111111111111111111111111111111111111111111");
    cr_assert_eq(api.stable.available, 4);
    cr_assert_eq(api.canary.available, 0);
    cr_assert_geq(api.fewest, 4);
    stop(stack, &api);
}

Test(driver_kubernetes, an_end_makes_the_new_image_the_stable_one)
{
    Api api;
    api_open(&api);
    workload_is_there(&api.stable, "v1", 0);
    workload_is_there(&api.canary, "v2", 4);
    Stack *stack = start(&api, "TAI_ACTION_DEPLOY_KUBERNETES_REPLICAS=4");
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_FINISH, 0).succeeded);
    cr_assert_eq(deploy_read(stack, "kubernetes", 100), 100);
    cr_assert_str_eq(api.stable.version, "v2");
    cr_assert_eq(api.canary.available, 0);
    cr_assert_geq(api.fewest, 4);
    stop(stack, &api);
}

Test(driver_kubernetes, a_first_deployment_makes_what_is_not_there_and_goes_without_a_trace_of_pods)
{
    Api api;
    api_open(&api);
    Stack *stack = start(&api, "TAI_ACTION_DEPLOY_KUBERNETES_REPLICAS=4");
    DeploymentCommand command = deploy_command("kubernetes", ROLLOUT_COMMAND_APPLY, 25);
    command.previous_version = STR("");
    command.previous_digest = STR("");
    cr_assert(deploy_do(stack, &command).succeeded);
    command.kind = ROLLOUT_COMMAND_READ;
    cr_assert_eq(deploy_do(stack, &command).weight_percent, 25);
    command.kind = ROLLOUT_COMMAND_FINISH;
    cr_assert(deploy_do(stack, &command).succeeded);
    cr_assert(api.stable.exists && api.stable.selected);
    cr_assert_eq(api.stable.available, 4);
    stop(stack, &api);
}

Test(driver_kubernetes, pods_that_never_come_fail_the_command_when_its_time_is_over)
{
    Api api;
    api_open(&api);
    api.stuck = true;
    workload_is_there(&api.stable, "v1", 20);
    Stack *stack = start(&api, "TAI_ACTION_DEPLOY_TIMEOUT_MS=1500");
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_APPLY, 25);
    cr_assert(!result.succeeded && !result.impossible);
    cr_assert_eq(api.stable.replicas, 20, "nothing was taken away");
    api.stuck = false;
    cr_assert(carry_out(stack, ROLLOUT_COMMAND_ROLLBACK, 0).succeeded);
    stop(stack, &api);
}

Test(driver_kubernetes, a_server_that_is_down_may_pass_and_one_that_refuses_does_not)
{
    Api api;
    api_open(&api);
    workload_is_there(&api.stable, "v1", 20);
    Stack *stack = start(&api, "");
    api.failures = 1;
    DeploymentResult result = carry_out(stack, ROLLOUT_COMMAND_READ, 0);
    cr_assert(!result.succeeded && !result.impossible);
    cr_assert_eq(carry_out(stack, ROLLOUT_COMMAND_READ, 0).weight_percent, 0);
    FILE *file = fopen(token_path, "we");
    cr_assert_not_null(file);
    fprintf(file, "another\n");
    fclose(file);
    result = carry_out(stack, ROLLOUT_COMMAND_READ, 0);
    cr_assert(!result.succeeded && result.impossible);
    cr_assert_eq(api.changes, 0);
    api.wrong[0] = 0;
    stop(stack, &api);
}
