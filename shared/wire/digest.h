/* wire/digest - ids that are a digest, so that the same request has the same id wherever it comes in. */
#ifndef TAI_WIRE_DIGEST_H
#define TAI_WIRE_DIGEST_H

#include "shared/base/id.h"
#include "shared/base/str.h"

#define TRANSACTION_ID_MAX 40 /* bytes, closing NUL included */

/* "txn_" + ULID of time_ms and entropy: what the gateway gives a payment without an Idempotency-Key. */
void transaction_id_print_ulid(uint64_t time_ms, const uint8_t entropy[10], char out[TRANSACTION_ID_MAX]);

/* "txn_" + 32 characters base32 of SHA-256(publisher, NUL, key) cut to 160 bits: one id for each key of a publisher.
 * Longer than a ULID's 26, so the two kinds cannot meet. */
void transaction_id_print_keyed(Str publisher, Str key, char out[TRANSACTION_ID_MAX]);

/* "txn_" + ULID of the stream's time with entropy from SHA-256(stream, sequence): what a direct publication without
 * any id gets; the same on every delivery. */
void transaction_id_print_sequence(Str stream, uint64_t sequence, int64_t stream_time_ms, char out[TRANSACTION_ID_MAX]);

/* HMAC-SHA-256 as 64 lower-case hex digits and a NUL. */
void digest_hmac_hex(Str key, Str message, char out[65]);

#endif
