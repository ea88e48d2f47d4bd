/* registry - does an OCI registry have an image, and under which digest?
 * Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md, "Checking if content exists"; and for
 * registries that want a token, https://distribution.github.io/distribution/spec/auth/token/. */
#ifndef TAI_WORKERS_POLICY_REGISTRY_H
#define TAI_WORKERS_POLICY_REGISTRY_H

#include "shared/base/arena.h"
#include "shared/deployment/policy.h"
#include "shared/http/http.h"

/* Where to ask, and as whom. `credentials` is "user:password"; empty: as nobody. */
typedef struct {
    Str url; /* without a path */
    Str credentials;
} Registry;

/* HEAD of the manifest of image:tag, with every type that a manifest or an index may have. A registry's host in front
 * of the image's name is not part of the name that is asked for. `authorization` is that field's value; empty: none. */
HttpRequest registry_ask(Arena *arena, const Registry *registry, Str image, Str tag, Str authorization);

/* What the answer says. UNKNOWN: it could not say; `why` (may be NULL) tells a person. `digest` is copied. */
DeploymentImage registry_read(Arena *arena, const HttpResult *answer, Str *digest, Err *why);

/* An answer that wants the caller authenticated: either `authorization` is there at once, or a token is to be fetched
 * first. Anything else gives neither: the answer is to be read as it is. */
typedef enum { REGISTRY_NO_CHALLENGE, REGISTRY_AUTHORIZE, REGISTRY_FETCH_TOKEN } RegistryChallenge;
RegistryChallenge registry_challenge(Arena *arena, const Registry *registry, const HttpResult *answer,
                                     Str *authorization, HttpRequest *token_request);

/* REJECT or RETRY where there is no token in the answer. */
MUST_USE Err registry_read_token(Arena *arena, const HttpResult *answer, Str *authorization);

#endif
