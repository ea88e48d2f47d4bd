/* deployment_registry - images in a real OCI registry, Debian's docker-registry: found by tag, pinned by digest. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/signal.h"
#include "tests/support/token.h"

#define CONFIG "{}"
#define CONFIG_DIGEST "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define INDEX "application/vnd.oci.image.index.v1+json"

/* TOKEN_CREDENTIALS' password, as crypt() has it. */
#define PASSWORD_HASH "$2y$05$abcdefghijklmnopqrstuuKn2yFFhVqnOUn6diHMlS0cg7eXSQmBS"

static int free_port(void)
{
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(bind(probe, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(probe, (struct sockaddr *)&address, &length), 0);
    close(probe);
    return ntohs(address.sin_port);
}

/* `more` stands behind the configuration; "" for none. */
static void registry_start(Stack *stack, Process *registry, int port, const char *more)
{
    const char *path = stack_print(stack, "%s/registry.yml", stack->folder);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fprintf(file,
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/registry\nhttp:\n  addr: 127.0.0.1:%d\n%s",
            stack->folder, port, more);
    fclose(file);
    *registry = (Process){.name = "registry"};
    snprintf(registry->log_path, sizeof registry->log_path, "%.63s/registry.log", stack->folder);
    words_add_all(&registry->command, "docker-registry serve");
    words_add(&registry->command, "%s", path);
    process_start(registry);
    cr_assert(process_wait_for_line(registry, "listening on", PATIENCE_MS));
    stack->ports[STACK_GATEWAY] = port; /* there is no gateway: http_call() asks the registry */
}

static void push_blob(Stack *stack, const char *name)
{
    Answer answer = http_call(
        stack, (Call){.method = "POST", .path = stack_print(stack, "/v2/%s/blobs/uploads/", name), .body = ""});
    cr_assert_eq(answer.status, 202, "%s", answer.body);
    const char *location = http_header(stack, &answer, "Location");
    const char *path = strstr(location, "/v2/");
    cr_assert_not_null(path, "%s", location);
    answer = http_call(stack, (Call){.method = "PUT",
                                     .path = stack_print(stack, "%s&digest=" CONFIG_DIGEST, path),
                                     .body = CONFIG,
                                     .headers = "Content-Type: application/octet-stream"});
    cr_assert_eq(answer.status, 201, "%s", answer.body);
}

/* The digest that the registry gave it. */
static const char *push_manifest(Stack *stack, const char *name, const char *tag, const char *type, const char *body)
{
    Answer answer = http_call(stack, (Call){.method = "PUT",
                                            .path = stack_print(stack, "/v2/%s/manifests/%s", name, tag),
                                            .body = body,
                                            .headers = stack_print(stack, "Content-Type: %s", type)});
    cr_assert_eq(answer.status, 201, "%s", answer.body);
    return http_header(stack, &answer, "Docker-Content-Digest");
}

static const char *push_image(Stack *stack, const char *name, const char *tag)
{
    push_blob(stack, name);
    return push_manifest(stack, name, tag, MANIFEST,
                         stack_print(stack,
                                     "{\"schemaVersion\": 2, \"mediaType\": \"" MANIFEST
                                     "\", \"config\": {\"mediaType\": "
                                     "\"application/vnd.oci.image.config.v1+json\", \"digest\": \"" CONFIG_DIGEST
                                     "\", \"size\": 2}, \"layers\": [], \"annotations\": {\"tag\": \"%s\"}}",
                                     tag));
}

/* An index of one image: what a build for several platforms pushes. */
static const char *push_index(Stack *stack, const char *name, const char *tag)
{
    const char *image = push_image(stack, name, "part");
    Answer answer = http_call(stack, (Call){.method = "GET",
                                            .path = stack_print(stack, "/v2/%s/manifests/part", name),
                                            .headers = "Accept: " MANIFEST});
    return push_manifest(stack, name, tag, INDEX,
                         stack_print(stack,
                                     "{\"schemaVersion\": 2, \"mediaType\": \"" INDEX
                                     "\", \"manifests\": [{\"mediaType\": \"" MANIFEST
                                     "\", \"digest\": \"%s\", \"size\": %zu, \"platform\": {\"os\": \"linux\", "
                                     "\"architecture\": \"amd64\"}}]}",
                                     image, answer.length));
}

static bool pinned(const DeploymentDecision *decision, const char *digest)
{
    return !decision->rejected && str_equal(decision->digest, str_from(digest));
}

Test(deployment_registry, an_image_is_pinned_by_the_digest_that_its_registry_has_for_the_tag)
{
    if (access("/usr/bin/docker-registry", X_OK) != 0) {
        cr_skip("docker-registry is not installed");
    }
    int port = free_port();
    char settings[200];
    snprintf(settings, sizeof settings, "TAI_POLICY_REGISTRY_URL=http://127.0.0.1:%d TAI_POLICY_REGISTRY_PREFIX=shop/",
             port);
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY, .settings = settings});
    Process registry;
    registry_start(stack, &registry, port, "");

    const char *first = push_image(stack, "shop/api", "v1");
    DeploymentDecision decision = decision_wait(stack, signal_send(stack, "k1", signal_body(stack, "api", "v1", WEST)));
    cr_assert(pinned(&decision, first), STR_FMT, STR_ARG(decision.digest));
    cr_assert(str_equal(decision.image, STR("shop/api")));

    const char *moved = push_manifest(
        stack, "shop/api", "v1", MANIFEST,
        "{\"schemaVersion\": 2, \"mediaType\": \"" MANIFEST
        "\", \"config\": {\"mediaType\": \"application/vnd.oci.image.config.v1+json\", \"digest\": \"" CONFIG_DIGEST
        "\", \"size\": 2}, \"layers\": []}");
    cr_assert_str_neq(moved, first);
    decision = decision_wait(stack, signal_send(stack, "k2", signal_body(stack, "api", "v1", WEST)));
    cr_assert(pinned(&decision, moved), "a tag that moved is another image");

    const char *index = push_index(stack, "team/multi", "v9");
    decision = decision_wait(
        stack, signal_send(stack, "k3", signal_body(stack, "multi", "v9", "\"image\": \"team/multi\", " WEST)));
    cr_assert(pinned(&decision, index), STR_FMT, STR_ARG(decision.digest));

    check_rejected_for(stack, signal_send(stack, "k4", signal_body(stack, "api", "v404", WEST)), "image_not_found");
    check_rejected_for(stack, signal_send(stack, "k5", signal_body(stack, "nobody", "v1", WEST)), "image_not_found");

    process_stop(&registry, SIGKILL);
    const char *waiting = signal_send(stack, "k6", signal_body(stack, "api", "v1", WEST));
    WAIT_UNTIL(process_log_has(stack_process(stack, STACK_POLICY, 0), "\"event\":\"kept\""));
    process_start(&registry);
    decision = decision_wait(stack, waiting);
    cr_assert(pinned(&decision, moved), "a registry that comes back is asked again");
    process_stop(&registry, SIGTERM);
    stack_stop(stack);
}

/* --- a registry that wants a token ------------------------------------------------------------------------------- */

typedef struct {
    Stack *stack;
    TokenService *tokens;
    Process registry;
    const char *shop; /* digests of what was pushed while nobody was asked who they are */
    const char *team;
} Guarded;

static Guarded guarded_start(const char *credentials)
{
    int port = free_port();
    char settings[400];
    snprintf(settings, sizeof settings,
             "TAI_POLICY_REGISTRY_URL=http://127.0.0.1:%d TAI_POLICY_DEPLOYMENT_FACTS_MS=300%s%s", port,
             credentials ? " TAI_POLICY_REGISTRY_CREDENTIALS=" : "", credentials ? credentials : "");
    Guarded guarded = {.stack = stack_start(&(StackPlan){POLICY_ONLY, .settings = settings})};
    registry_start(guarded.stack, &guarded.registry, port, "");
    guarded.shop = push_image(guarded.stack, "shop/api", "v1");
    guarded.team = push_image(guarded.stack, "team/api", "v1");
    process_stop(&guarded.registry, SIGTERM);
    guarded.tokens = token_start(guarded.stack);
    const char *auth = stack_print(guarded.stack,
                                   "auth:\n  token:\n    realm: http://127.0.0.1:%d/token\n    service: " TOKEN_SERVICE
                                   "\n    issuer: " TOKEN_ISSUER "\n    rootcertbundle: %s\n",
                                   token_port(guarded.tokens), token_certificate(guarded.tokens));
    registry_start(guarded.stack, &guarded.registry, port, auth);
    Answer answer = http_call(guarded.stack, (Call){.method = "GET", .path = "/v2/shop/api/manifests/v1"});
    cr_assert_eq(answer.status, 401, "the registry wants a token: %s", answer.body);
    return guarded;
}

static const char *guarded_ask(Guarded *guarded, const char *key, const char *image)
{
    const char *more = stack_print(guarded->stack, "\"image\": \"%s\", " WEST, image);
    return signal_send(guarded->stack, key, signal_body(guarded->stack, "api", "v1", more));
}

static void guarded_stop(Guarded *guarded)
{
    cr_assert_not(process_log_has(stack_process(guarded->stack, STACK_POLICY, 0), "s3cret"));
    cr_assert_not(process_log_has(stack_process(guarded->stack, STACK_POLICY, 0), "Bearer "));
    token_stop(guarded->tokens);
    process_stop(&guarded->registry, SIGTERM);
    stack_stop(guarded->stack);
}

Test(deployment_registry, a_token_that_everybody_gets_is_fetched_and_what_it_does_not_open_is_not_known)
{
    if (access("/usr/bin/docker-registry", X_OK) != 0) {
        cr_skip("docker-registry is not installed");
    }
    Guarded guarded = guarded_start(NULL);
    DeploymentDecision decision = decision_wait(guarded.stack, guarded_ask(&guarded, "k1", "shop/api"));
    cr_assert(pinned(&decision, guarded.shop), STR_FMT, STR_ARG(decision.digest));
    cr_assert_eq(token_count(guarded.tokens), 1);
    check_rejected_for(guarded.stack, guarded_ask(&guarded, "k2", "shop/nothing"), "image_not_found");
    check_rejected_for(guarded.stack, guarded_ask(&guarded, "k3", "team/api"), "image_unknown");
    guarded_stop(&guarded);
}

Test(deployment_registry, with_credentials_it_gets_a_token_for_what_is_private)
{
    if (access("/usr/bin/docker-registry", X_OK) != 0) {
        cr_skip("docker-registry is not installed");
    }
    Guarded guarded = guarded_start(TOKEN_CREDENTIALS);
    DeploymentDecision decision = decision_wait(guarded.stack, guarded_ask(&guarded, "k1", "team/api"));
    cr_assert(pinned(&decision, guarded.team), STR_FMT, STR_ARG(decision.digest));
    guarded_stop(&guarded);
}

Test(deployment_registry, a_registry_that_wants_a_password_gets_it)
{
    if (access("/usr/bin/docker-registry", X_OK) != 0) {
        cr_skip("docker-registry is not installed");
    }
    int port = free_port();
    char settings[200];
    snprintf(settings, sizeof settings,
             "TAI_POLICY_REGISTRY_URL=http://127.0.0.1:%d TAI_POLICY_REGISTRY_CREDENTIALS=" TOKEN_CREDENTIALS, port);
    Stack *stack = stack_start(&(StackPlan){POLICY_ONLY, .settings = settings});
    Process registry;
    registry_start(stack, &registry, port, "");
    const char *digest = push_image(stack, "team/api", "v1");
    process_stop(&registry, SIGTERM);
    const char *path = stack_print(stack, "%s/passwords", stack->folder);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs("ci:" PASSWORD_HASH "\n", file);
    fclose(file);
    registry_start(stack, &registry, port,
                   stack_print(stack, "auth:\n  htpasswd:\n    realm: test\n    path: %s\n", path));
    DeploymentDecision decision = decision_wait(
        stack, signal_send(stack, "k1", signal_body(stack, "api", "v1", "\"image\": \"team/api\", " WEST)));
    cr_assert(pinned(&decision, digest), STR_FMT, STR_ARG(decision.digest));
    process_stop(&registry, SIGTERM);
    stack_stop(stack);
}
