/* wire/digest - ids that are a digest, so that the same request has the same id wherever it comes in. */
#ifndef TAI_WIRE_DIGEST_H
#define TAI_WIRE_DIGEST_H

#include "shared/base/id.h"
#include "shared/base/str.h"

#define MADE_ID_MAX 40 /* bytes, closing NUL included */
#define TRANSACTION_PREFIX "txn_"
#define DEPLOYMENT_PREFIX "dep_"

/* Prefix + ULID of time_ms and entropy: what the gateway gives a request without an Idempotency-Key. */
void made_id_print_ulid(const char *prefix, uint64_t time_ms, const uint8_t entropy[10], char out[MADE_ID_MAX]);

/* Prefix + 32 characters base32 of SHA-256(publisher, NUL, key) cut to 160 bits: one id for each key of a publisher.
 * Longer than a ULID's 26, so the two kinds cannot meet. */
void made_id_print_keyed(const char *prefix, Str publisher, Str key, char out[MADE_ID_MAX]);

/* Prefix + ULID of the stream's time with entropy from SHA-256(stream, sequence): what a direct publication without any
 * id gets; the same on every delivery. */
void made_id_print_sequence(const char *prefix, Str stream, uint64_t sequence, int64_t stream_time_ms,
                            char out[MADE_ID_MAX]);

#define TRANSACTION_ID_MAX MADE_ID_MAX

static inline void transaction_id_print_ulid(uint64_t time_ms, const uint8_t entropy[10], char out[MADE_ID_MAX])
{
    made_id_print_ulid(TRANSACTION_PREFIX, time_ms, entropy, out);
}

static inline void transaction_id_print_keyed(Str publisher, Str key, char out[MADE_ID_MAX])
{
    made_id_print_keyed(TRANSACTION_PREFIX, publisher, key, out);
}

static inline void transaction_id_print_sequence(Str stream, uint64_t sequence, int64_t stream_time_ms,
                                                 char out[MADE_ID_MAX])
{
    made_id_print_sequence(TRANSACTION_PREFIX, stream, sequence, stream_time_ms, out);
}

/* HMAC-SHA-256 as 64 lower-case hex digits and a NUL. */
void digest_hmac_hex(Str key, Str message, char out[65]);

#endif
