/* registry - a manifest for any tag, made of its name; its digest is really that of its bytes. */
#include "ops/sandbox/registry.h"

#include <string.h>

#include <openssl/evp.h>

#include "shared/base/json.h"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"

static Answer registry_refuse(Sandbox *sandbox, int status, const char *code, const char *message)
{
    JsonWriter json = json_writer(&sandbox->text);
    json_open(&json, NULL, '{');
    json_open(&json, "errors", '[');
    json_open(&json, NULL, '{');
    json_put_string(&json, "code", str_from(code));
    json_put_string(&json, "message", str_from(message));
    json_close(&json, '}');
    json_close(&json, ']');
    json_close(&json, '}');
    return (Answer){.status = status, .body = buffer_str(&sandbox->text)};
}

static void registry_digest(Str bytes, char *out, size_t capacity)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    int done = EVP_Digest(bytes.data, bytes.length, digest, &length, EVP_sha256(), NULL);
    TAI_ASSERT(done == 1);
    Buffer text = buffer_over(out, capacity);
    buffer_append(&text, STR("sha256:"));
    for (unsigned int i = 0; i < length; i++) {
        buffer_print(&text, "%02x", digest[i]);
    }
    TAI_ASSERT(!text.overflow);
}

static void registry_write_layer(JsonWriter *json, const char *key, const char *type)
{
    static const char empty[] = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"; /* of {} */
    json_open(json, key, '{');
    json_put_string(json, "mediaType", str_from(type));
    json_put_string(json, "digest", str_from(empty));
    json_put_int(json, "size", 2);
    json_close(json, '}');
}

static Answer registry_manifest(Sandbox *sandbox, Str name, Str reference)
{
    JsonWriter json = json_writer(&sandbox->text);
    json_open(&json, NULL, '{');
    json_put_int(&json, "schemaVersion", 2);
    json_put_string(&json, "mediaType", STR(MANIFEST_TYPE));
    registry_write_layer(&json, "config", "application/vnd.oci.image.config.v1+json");
    json_open(&json, "layers", '[');
    json_close(&json, ']');
    json_open(&json, "annotations", '{');
    json_put_string(&json, "org.opencontainers.image.ref.name", reference);
    json_put_string(&json, "org.opencontainers.image.title", name);
    json_close(&json, '}');
    json_close(&json, '}');
    Answer answer = {.status = 200, .body = buffer_str(&sandbox->text), .content_type = MANIFEST_TYPE};
    registry_digest(answer.body, sandbox->content_digest, sizeof sandbox->content_digest);
    answer.content_digest = sandbox->content_digest;
    return answer;
}

Answer registry_answer(Sandbox *sandbox, const Request *request)
{
    static const Str before = {"/v2/", 4};
    static const Str between = {"/manifests/", 11};
    if (!str_equal(request->method, STR("GET")) && !str_equal(request->method, STR("HEAD"))) {
        Answer answer = registry_refuse(sandbox, 405, "UNSUPPORTED", "this registry is only read");
        answer.allow = "GET, HEAD";
        return answer;
    }
    Str path = str_slice(request->path, before.length, request->path.length);
    if (path.length == 0) {
        return (Answer){.status = 200, .body = STR("{}")};
    }
    const char *at = memmem(path.data, path.length, between.data, between.length);
    if (at == NULL || at == path.data) {
        return registry_refuse(sandbox, 404, "NAME_UNKNOWN", "there is no such page");
    }
    Str name = str_slice(path, 0, (size_t)(at - path.data));
    Str reference = str_slice(path, name.length + between.length, path.length);
    if (memmem(reference.data, reference.length, "registrydown", 12) != NULL) {
        return registry_refuse(sandbox, 503, "UNAVAILABLE", "down on purpose");
    }
    bool is_missing = reference.length == 0 || memchr(reference.data, '/', reference.length) != NULL ||
                      memmem(reference.data, reference.length, "missing", 7) != NULL;
    return is_missing ? registry_refuse(sandbox, 404, "MANIFEST_UNKNOWN", "manifest unknown")
                      : registry_manifest(sandbox, name, reference);
}
