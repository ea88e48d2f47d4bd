/* registry - the questions and what the answers mean. No connection of its own: the runtime calls. */
#include "workers/policy/registry.h"

#include <openssl/evp.h>
#include <string.h>

#include "shared/base/json.h"
#include "shared/http/challenge.h"

#define REGISTRY_TIMEOUT_MS 5000
#define TOKEN_BYTES_MAX 8192

enum { HEADER_DIGEST, HEADER_CHALLENGE };

static bool is_host(Str part)
{
    return str_equal(part, STR("localhost")) || memchr(part.data, '.', part.length) != NULL ||
           memchr(part.data, ':', part.length) != NULL;
}

/* "registry.example:5000/shop/api" is "shop/api" there. */
static Str repository_of(Str image)
{
    Str rest = image;
    Str first;
    return str_next_token(&rest, '/', &first) && rest.length > 0 && first.length > 0 && is_host(first) ? rest : image;
}

static void add_authorization(Arena *arena, HttpRequest *request, Str authorization)
{
    if (authorization.length > 0) {
        request->headers[request->header_count++] =
            arena_print(arena, "Authorization: " STR_FMT, STR_ARG(authorization));
    }
}

HttpRequest registry_ask(Arena *arena, const Registry *registry, Str image, Str tag, Str authorization)
{
    Str name = repository_of(image);
    HttpRequest request = {
        .method = STR("HEAD"),
        .url = arena_print(arena, STR_FMT "/v2/" STR_FMT "/manifests/" STR_FMT, STR_ARG(registry->url), STR_ARG(name),
                           STR_ARG(tag)),
        .headers = {STR("Accept: application/vnd.oci.image.index.v1+json"),
                    STR("Accept: application/vnd.oci.image.manifest.v1+json"),
                    STR("Accept: application/vnd.docker.distribution.manifest.list.v2+json"),
                    STR("Accept: application/vnd.docker.distribution.manifest.v2+json")},
        .header_count = 4,
        .timeout_ms = REGISTRY_TIMEOUT_MS,
        .wanted_headers = {[HEADER_DIGEST] = "Docker-Content-Digest", [HEADER_CHALLENGE] = "WWW-Authenticate"},
    };
    add_authorization(arena, &request, authorization);
    return request;
}

DeploymentImage registry_read(Arena *arena, const HttpResult *answer, Str *digest, Err *why)
{
    Err unused;
    Err *reason = why != NULL ? why : &unused;
    *digest = (Str){0};
    *reason = err_none();
    if (answer->kind != HTTP_ANSWERED) {
        *reason = err_retry("registry: %s", answer->why);
        return IMAGE_UNKNOWN;
    }
    if (answer->status == 200) {
        *digest = arena_copy(arena, answer->headers[HEADER_DIGEST]);
        return IMAGE_FOUND;
    }
    if (answer->status == 404) {
        return IMAGE_MISSING;
    }
    *reason = err_retry("registry: answers %d", answer->status);
    return IMAGE_UNKNOWN;
}

/* --- authentication ------------------------------------------------------------------------------------------------
 */

static Str print_basic(Arena *arena, Str credentials)
{
    Buffer text = arena_buffer(arena, 4 * (credentials.length / 3 + 1) + 1);
    int length =
        EVP_EncodeBlock((unsigned char *)text.data, (const unsigned char *)credentials.data, (int)credentials.length);
    return arena_print(arena, "Basic %.*s", length, text.data);
}

/* A registry names where its tokens are made. Credentials go there encrypted, or as openly as to the registry. */
static bool realm_is_safe(const Registry *registry, Str realm)
{
    return str_starts_with(realm, STR("https://")) ||
           (str_starts_with(realm, STR("http://")) && str_starts_with(registry->url, STR("http://")));
}

static void add_parameter(Buffer *query, const char *name, Str value)
{
    if (value.length > 0) {
        http_form_append(query, str_from(name), value);
    }
}

static HttpRequest token_request_make(Arena *arena, const Registry *registry, const HttpChallenge *challenge)
{
    Buffer query = arena_buffer(arena, 3 * (challenge->service.length + challenge->scope.length) + 32);
    add_parameter(&query, "service", challenge->service);
    add_parameter(&query, "scope", challenge->scope);
    TAI_ASSERT(!query.overflow);
    bool has_query = memchr(challenge->realm.data, '?', challenge->realm.length) != NULL;
    HttpRequest request = {
        .method = STR("GET"),
        .url = arena_print(arena, STR_FMT "%s" STR_FMT, STR_ARG(challenge->realm), has_query ? "&" : "?",
                           STR_ARG(buffer_str(&query))),
        .timeout_ms = REGISTRY_TIMEOUT_MS,
    };
    if (registry->credentials.length > 0) {
        add_authorization(arena, &request, print_basic(arena, registry->credentials));
    }
    return request;
}

RegistryChallenge registry_challenge(Arena *arena, const Registry *registry, const HttpResult *answer,
                                     Str *authorization, HttpRequest *token_request)
{
    HttpChallenge challenge;
    if (answer->kind != HTTP_ANSWERED || answer->status != 401 ||
        !http_challenge_read(arena, answer->headers[HEADER_CHALLENGE], &challenge)) {
        return REGISTRY_NO_CHALLENGE;
    }
    if (str_equal_ignore_case(challenge.scheme, STR("Basic")) && registry->credentials.length > 0) {
        *authorization = print_basic(arena, registry->credentials);
        return REGISTRY_AUTHORIZE;
    }
    if (str_equal_ignore_case(challenge.scheme, STR("Bearer")) && realm_is_safe(registry, challenge.realm)) {
        *token_request = token_request_make(arena, registry, &challenge);
        return REGISTRY_FETCH_TOKEN;
    }
    return REGISTRY_NO_CHALLENGE;
}

static bool is_token68(Str text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~' || text.data[i] == '"' || text.data[i] == '\\') {
            return false;
        }
    }
    return text.length > 0 && text.length <= TOKEN_BYTES_MAX;
}

Err registry_read_token(Arena *arena, const HttpResult *answer, Str *authorization)
{
    if (answer->kind != HTTP_ANSWERED) {
        return err_retry("registry's token service: %s", answer->why);
    }
    if (answer->status != 200) {
        return err_retry("registry's token service: answers %d", answer->status);
    }
    Str raw = json_find_raw(answer->body, STR("token"));
    if (raw.length < 2 || raw.data[0] != '"') {
        raw = json_find_raw(answer->body, STR("access_token"));
    }
    Str token = raw.length > 2 && raw.data[0] == '"' ? str_slice(raw, 1, raw.length - 1) : (Str){0};
    if (!is_token68(token)) {
        return err_retry("registry's token service: no token in its answer");
    }
    *authorization = arena_print(arena, "Bearer " STR_FMT, STR_ARG(token));
    return err_none();
}
