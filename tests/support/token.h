/* token - a token service, as registries that want a token name one: it signs what docker-registry then checks.
 * https://distribution.github.io/distribution/spec/auth/jwt/ */
#ifndef TAI_TESTS_TOKEN_H
#define TAI_TESTS_TOKEN_H

#include "tests/support/stack.h"

#define TOKEN_ISSUER "test-issuer"
#define TOKEN_SERVICE "test-registry"
#define TOKEN_CREDENTIALS "ci:s3cret-of-ci"

typedef struct TokenService TokenService;

/* Listens on a port of its own. Everybody may pull shop/...; with TOKEN_CREDENTIALS, everything. */
TokenService *token_start(Stack *stack);
void token_stop(TokenService *service);

int token_port(const TokenService *service);
const char *token_certificate(const TokenService *service); /* path of the PEM file to check tokens with */
int token_count(const TokenService *service);               /* tokens given so far */

#endif
