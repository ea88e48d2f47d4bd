/* message - what the protobuf messages share: unpacking into an arena, texts of a known length, and the parts that
 * several of them have (money, metadata, verdict). Only for the files of this folder. */
#ifndef TAI_WIRE_MESSAGE_H
#define TAI_WIRE_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "shared/base/arena.h"
#include "shared/base/id.h"
#include "shared/payment/payment.h"
#include "tai/v1/payment.pb-c.h"

/* Bytes of a body: what carries a signal or a document, and what is small by nature. */
#define MESSAGE_BODY_MAX 131072
#define MESSAGE_SMALL_BODY_MAX 8192

#define MESSAGE_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Unpacks the body into the arena; message_out points to a pointer of the message's type. REJECT where it is no such
 * message, and where it would take up far more memory than its own size (tens of thousands of empty fields). */
MUST_USE Err message_unpack(Arena *arena, const ProtobufCMessageDescriptor *descriptor, Str body, size_t body_max,
                            void *message_out);
Str message_pack(Arena *arena, const void *message);

/* A text of an unpacked message, and where it goes. */
typedef struct {
    const char *name; /* for the reason */
    const char *text; /* as message_unpack() left it: no other will do */
    Str *out;
} MessageText;

/* REJECT with the name of the first text that holds a NUL or is not UTF-8. */
MUST_USE Err message_read_texts(const MessageText *texts, size_t count);

/* For packing. What a payment gateway said may hold anything: a NUL and each byte of a text that is not UTF-8 become
 * '?', so that whatever is put on the ledger can be read again. */
char *message_write_text(Arena *arena, Str text);

/* Whether the first byte that is not white space is '{': what may come in both forms is JSON then. */
bool message_is_json(Str body);

/* Counts by bucket or by status. None is taken for all 0, any other number of them is REJECT. */
MUST_USE Err message_read_counts(const char *name, const uint64_t *packed, size_t packed_count, uint64_t *counts,
                                 size_t count);

/* REJECT outside 1970 to 9999. */
MUST_USE Err message_check_time(const char *name, int64_t time_ms);

/* REJECT a missing money or an unknown currency; the range is payment_signal_check()'s. */
MUST_USE Err message_read_money(const Tai__V1__Money *packed, Money *money);
Tai__V1__Money *message_write_money(Arena *arena, const Money *money);

/* REJECT more entries than PAYMENT_METADATA_MAX; the rest is payment_signal_check()'s. */
MUST_USE Err message_read_metadata(Arena *arena, Tai__V1__MetadataEntry *const *packed, size_t packed_count,
                                   PaymentMetadata **metadata, size_t *count);
Tai__V1__MetadataEntry **message_write_metadata(Arena *arena, const PaymentMetadata *metadata, size_t count);

MUST_USE Err message_read_verdict(const Tai__V1__FraudVerdict *packed, FraudVerdict *verdict);
Tai__V1__FraudVerdict *message_write_verdict(Arena *arena, const FraudVerdict *verdict);

/* Signal without the checks on what a publisher may ask for; a decision carries one inside. */
MUST_USE Err message_read_signal(Arena *arena, const Tai__V1__PaymentSignal *packed, PaymentSignal *signal);
Tai__V1__PaymentSignal *message_write_signal(Arena *arena, const PaymentSignal *signal);

/* payment_signal_check(), and id and publisher must be there: for what our own processes say about a transaction. */
MUST_USE Err message_check_transaction(const PaymentSignal *signal);

#endif
