/* registry - does an OCI registry have an image, and under which digest?
 * Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md, "Checking if content exists". */
#ifndef TAI_WORKERS_POLICY_REGISTRY_H
#define TAI_WORKERS_POLICY_REGISTRY_H

#include "shared/base/arena.h"
#include "shared/deployment/policy.h"
#include "shared/http/http.h"

/* HEAD of the manifest of image:tag, with every type that a manifest or an index may have. `url` is the registry's,
 * without a path. A registry's host in front of the image's name is not part of the name that is asked for. */
HttpRequest registry_ask(Arena *arena, Str url, Str image, Str tag);

/* What the answer says. UNKNOWN: it could not say; `why` (may be NULL) tells a person. `digest` is copied. */
DeploymentImage registry_read(Arena *arena, const HttpResult *answer, Str *digest, Err *why);

#endif
