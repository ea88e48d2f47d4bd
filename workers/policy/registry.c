/* registry - the question and what the answers mean. No connection of its own: the runtime calls. */
#include "workers/policy/registry.h"

#include <string.h>

#define REGISTRY_TIMEOUT_MS 5000

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

HttpRequest registry_ask(Arena *arena, Str url, Str image, Str tag)
{
    Str name = repository_of(image);
    return (HttpRequest){
        .method = STR("HEAD"),
        .url =
            arena_print(arena, STR_FMT "/v2/" STR_FMT "/manifests/" STR_FMT, STR_ARG(url), STR_ARG(name), STR_ARG(tag)),
        .headers = {STR("Accept: application/vnd.oci.image.index.v1+json"),
                    STR("Accept: application/vnd.oci.image.manifest.v1+json"),
                    STR("Accept: application/vnd.docker.distribution.manifest.list.v2+json"),
                    STR("Accept: application/vnd.docker.distribution.manifest.v2+json")},
        .header_count = 4,
        .timeout_ms = REGISTRY_TIMEOUT_MS,
        .wanted_header = "Docker-Content-Digest",
    };
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
        *digest = arena_copy(arena, answer->header);
        return IMAGE_FOUND;
    }
    if (answer->status == 404) {
        return IMAGE_MISSING;
    }
    *reason = err_retry("registry: answers %d", answer->status);
    return IMAGE_UNKNOWN;
}
