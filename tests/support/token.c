/* token - JSON web tokens, RS256, with the certificate in their header. */
#include "tests/support/token.h"

#include <criterion/criterion.h>
#include <microhttpd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "shared/base/json.h"

#define TEXT_MAX 8192

struct TokenService {
    struct MHD_Daemon *daemon;
    EVP_PKEY *key;
    char certificate[2048]; /* DER in base64, as the header has it */
    const char *path;
    int port;
    atomic_int count;
};

/* --- the certificate ------------------------------------------------------------------------------------------- */

static X509 *certificate_make(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 24L * 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)TOKEN_ISSUER, -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    cr_assert_gt(X509_sign(certificate, key, EVP_sha256()), 0);
    return certificate;
}

static void certificate_keep(TokenService *service, Stack *stack)
{
    X509 *certificate = certificate_make(service->key);
    service->path = stack_print(stack, "%s/token.pem", stack->folder);
    FILE *file = fopen(service->path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(PEM_write_X509(file, certificate), 1);
    fclose(file);
    unsigned char *der = NULL;
    int length = i2d_X509(certificate, &der);
    cr_assert(length > 0 && (size_t)length < sizeof service->certificate / 2);
    EVP_EncodeBlock((unsigned char *)service->certificate, der, length);
    OPENSSL_free(der);
    X509_free(certificate);
}

/* --- a token --------------------------------------------------------------------------------------------------- */

static void append_base64url(Buffer *out, const void *bytes, size_t length)
{
    char text[TEXT_MAX];
    cr_assert_lt(length, (size_t)TEXT_MAX / 2);
    int count = EVP_EncodeBlock((unsigned char *)text, bytes, (int)length);
    for (int i = 0; i < count && text[i] != '='; i++) {
        buffer_append_char(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    }
}

static void append_claims(Buffer *out, const char *repository)
{
    char memory[TEXT_MAX];
    Buffer claims = buffer_over(memory, sizeof memory);
    long long now_s = (long long)time(NULL);
    buffer_print(&claims,
                 "{\"iss\":\"" TOKEN_ISSUER "\",\"sub\":\"\",\"aud\":\"" TOKEN_SERVICE
                 "\",\"exp\":%lld,\"nbf\":%lld,\"iat\":%lld,\"jti\":\"1\",\"access\":[",
                 now_s + 300, now_s - 10, now_s);
    if (repository) {
        buffer_print(&claims, "{\"type\":\"repository\",\"name\":\"%s\",\"actions\":[\"pull\"]}", repository);
    }
    buffer_print(&claims, "]}");
    cr_assert_not(claims.overflow);
    append_base64url(out, claims.data, claims.length);
}

static void append_signature(TokenService *service, Buffer *out)
{
    unsigned char signature[512];
    size_t length = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    cr_assert_eq(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, service->key), 1);
    cr_assert_eq(EVP_DigestSign(context, signature, &length, (const unsigned char *)out->data, out->length), 1);
    EVP_MD_CTX_free(context);
    buffer_append_char(out, '.');
    append_base64url(out, signature, length);
}

static void append_token(TokenService *service, Buffer *out, const char *repository)
{
    char header[TEXT_MAX / 2];
    int length =
        snprintf(header, sizeof header, "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"x5c\":[\"%s\"]}", service->certificate);
    cr_assert(length > 0 && (size_t)length < sizeof header);
    char memory[TEXT_MAX];
    Buffer token = buffer_over(memory, sizeof memory);
    append_base64url(&token, header, (size_t)length);
    buffer_append_char(&token, '.');
    append_claims(&token, repository);
    append_signature(service, &token);
    cr_assert_not(token.overflow);
    buffer_print(out, "{\"token\": \"" STR_FMT "\", \"expires_in\": 300}", STR_ARG(buffer_str(&token)));
}

/* --- the service ----------------------------------------------------------------------------------------------- */

static bool is_known(struct MHD_Connection *connection)
{
    char *password = NULL;
    char *user = MHD_basic_auth_get_username_password(connection, &password);
    char both[128] = "";
    snprintf(both, sizeof both, "%s:%s", user ? user : "", password ? password : "");
    MHD_free(user);
    MHD_free(password);
    return strcmp(both, TOKEN_CREDENTIALS) == 0;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, Str body)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.length, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version, const char *data, size_t *length, void **request)
{
    (void)url, (void)method, (void)version, (void)data, (void)length, (void)request;
    TokenService *service = context;
    const char *asked = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "service");
    const char *scope = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "scope");
    char repository[128];
    if (!asked || strcmp(asked, TOKEN_SERVICE) != 0 || !scope ||
        sscanf(scope, "repository:%127[^:]:pull", repository) != 1) {
        return answer(connection, 400, STR("{}"));
    }
    if (strncmp(repository, "shop/", 5) != 0 && !is_known(connection)) {
        return answer(connection, 401, STR("{}"));
    }
    char memory[TEXT_MAX];
    Buffer body = buffer_over(memory, sizeof memory);
    append_token(service, &body, repository);
    atomic_fetch_add(&service->count, 1);
    return answer(connection, 200, buffer_str(&body));
}

TokenService *token_start(Stack *stack)
{
    TokenService *service = calloc(1, sizeof *service);
    cr_assert_not_null(service);
    service->key = EVP_RSA_gen(2048);
    cr_assert_not_null(service->key);
    certificate_keep(service, stack);
    service->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, serve, service, MHD_OPTION_END);
    cr_assert_not_null(service->daemon);
    service->port = MHD_get_daemon_info(service->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return service;
}

void token_stop(TokenService *service)
{
    MHD_stop_daemon(service->daemon);
    EVP_PKEY_free(service->key);
    free(service);
}

int token_port(const TokenService *service)
{
    return service->port;
}

const char *token_certificate(const TokenService *service)
{
    return service->path;
}

int token_count(const TokenService *service)
{
    return atomic_load(&service->count);
}
