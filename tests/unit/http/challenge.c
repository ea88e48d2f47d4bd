/* Tests of challenge: what registries send, and what is none. */
#include <criterion/criterion.h>

#include "shared/http/challenge.h"

static bool same(Str text, const char *expected)
{
    return str_equal(text, str_from(expected));
}

Test(challenge, what_registries_send_is_read)
{
    static const struct {
        const char *field;
        const char *scheme;
        const char *realm;
        const char *service;
        const char *scope;
    } rows[] = {
        {"Bearer realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"repository:shop/api:pull\"",
         "Bearer", "https://auth.example/token", "registry.example", "repository:shop/api:pull"},
        {"bearer  Realm = \"https://a/t\" ,, SERVICE=registry , error=\"invalid_token\"", "bearer", "https://a/t",
         "registry", ""},
        {"Bearer realm=\"a \\\"quoted\\\" \\\\ one, with=signs\"", "Bearer", "a \"quoted\" \\ one, with=signs", "", ""},
        {"Basic realm=\"x\", Bearer realm=\"y\"", "Basic", "x", "", ""},
        {"Basic realm=x, Negotiate", "Basic", "x", "", ""},
        {"  Negotiate  ", "Negotiate", "", "", ""},
        {"Bearer realm=\"\"", "Bearer", "", "", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Arena arena = arena_make(256, 65536);
        HttpChallenge challenge;
        cr_assert(http_challenge_read(&arena, str_from(rows[i].field), &challenge), "%s", rows[i].field);
        cr_expect(same(challenge.scheme, rows[i].scheme) && same(challenge.realm, rows[i].realm) &&
                      same(challenge.service, rows[i].service) && same(challenge.scope, rows[i].scope),
                  "%s: " STR_FMT " " STR_FMT, rows[i].field, STR_ARG(challenge.scheme), STR_ARG(challenge.realm));
        arena_release(&arena);
    }
}

Test(challenge, what_is_none_is_refused)
{
    static const char *const rows[] = {
        "",
        " ",
        "\"Bearer\"",
        "Bearer\trealm=x",
        "Bearer realm=\"x",
        "Bearer realm=",
        "Bearer realm=\"x\" service=y",
        "Bearer =x",
        "Bearer realm=\"x\\",
        "Bearer realm=\x01",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Arena arena = arena_make(256, 65536);
        HttpChallenge challenge;
        cr_expect_not(http_challenge_read(&arena, str_from(rows[i]), &challenge), "%s", rows[i]);
        arena_release(&arena);
    }
}
