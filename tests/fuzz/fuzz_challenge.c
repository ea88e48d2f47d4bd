/* fuzz_challenge - any bytes of a WWW-Authenticate field: what is read has a scheme, and fits what was sent. */
#include "shared/http/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena arena = arena_make(4096, (size_t)64 * 1024 * 1024);
    HttpChallenge challenge;
    Str field = {(const char *)data, size};
    if (http_challenge_read(&arena, field, &challenge)) {
        TAI_ASSERT(challenge.scheme.length > 0 && challenge.scheme.length <= size);
        TAI_ASSERT(challenge.realm.length + challenge.service.length + challenge.scope.length <= size);
    }
    arena_release(&arena);
    return 0;
}
