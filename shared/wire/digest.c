/* digest - ids that the same request always gets again, and message signatures. SHA-256 by OpenSSL.
 * Everything stored for years hangs on these ids: their form never changes. */
#include "shared/wire/digest.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define SHA256_BYTES 32
#define KEYED_BYTES 20 /* 160 bits: 32 characters of base32 */

/* SHA-256 of two texts with a NUL between them, so that ("ab", "c") and ("a", "bc") differ. */
static void hash_pair(Str first, const void *second, size_t second_bytes, uint8_t out[SHA256_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    TAI_ASSERT(context != NULL);
    bool hashed = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                  EVP_DigestUpdate(context, first.data, first.length) == 1 && EVP_DigestUpdate(context, "", 1) == 1 &&
                  EVP_DigestUpdate(context, second, second_bytes) == 1 && EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    TAI_ASSERT(hashed);
}

void made_id_print_ulid(const char *prefix, uint64_t time_ms, const uint8_t entropy[10], char out[MADE_ID_MAX])
{
    char ulid[ID_ULID_LENGTH + 1];
    id_ulid_print(time_ms, entropy, ulid);
    Buffer text = buffer_over(out, MADE_ID_MAX);
    buffer_print(&text, "%s%s", prefix, ulid);
    TAI_ASSERT(!text.overflow);
}

void made_id_print_keyed(const char *prefix, Str publisher, Str key, char out[MADE_ID_MAX])
{
    uint8_t hash[SHA256_BYTES];
    hash_pair(publisher, key.data, key.length, hash);
    Buffer text = buffer_over(out, MADE_ID_MAX);
    buffer_append(&text, str_from(prefix));
    id_base32_print(hash, KEYED_BYTES, &text);
    TAI_ASSERT(!text.overflow);
}

void made_id_print_sequence(const char *prefix, Str stream, uint64_t sequence, int64_t stream_time_ms,
                            char out[MADE_ID_MAX])
{
    uint8_t number[8];
    for (size_t i = 0; i < sizeof(number); i++) {
        number[i] = (uint8_t)(sequence >> (56 - 8 * i));
    }
    uint8_t hash[SHA256_BYTES];
    hash_pair(stream, number, sizeof(number), hash);
    made_id_print_ulid(prefix, stream_time_ms > 0 ? (uint64_t)stream_time_ms : 0, hash, out);
}

void digest_hmac_hex(Str key, Str message, char out[65])
{
    static const char digits[] = "0123456789abcdef";
    TAI_ASSERT(key.length <= INT32_MAX);
    uint8_t hash[SHA256_BYTES];
    const uint8_t *bytes = (const uint8_t *)(message.length > 0 ? message.data : "");
    const char *secret = key.length > 0 ? key.data : "";
    TAI_ASSERT(HMAC(EVP_sha256(), secret, (int)key.length, bytes, message.length, hash, NULL) != NULL);
    for (size_t i = 0; i < sizeof(hash); i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[64] = '\0';
}
