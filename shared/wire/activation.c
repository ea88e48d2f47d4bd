/* activation - a policy document became live, as bytes: the document itself, so that the ledger alone tells under
 * which rules a decision was taken. */
#include "shared/wire/message.h"
#include "shared/wire/payment.h"

/* A document's bound is its domain's business: as much as a message of the bus may have. */
#define ACTIVATION_BODY_MAX ((size_t)1024 * 1024)

Str wire_encode_payment_policy_activated(Arena *arena, uint64_t revision, Str document, int64_t when_ms)
{
    Tai__V1__PaymentPolicyActivated packed = TAI__V1__PAYMENT_POLICY_ACTIVATED__INIT;
    packed.revision = revision;
    packed.document = message_write_text(arena, document);
    packed.when_ms = when_ms;
    return message_pack(arena, &packed);
}

Err wire_decode_payment_policy_activated(Arena *arena, Str body, uint64_t *revision, Str *document, int64_t *when_ms)
{
    Tai__V1__PaymentPolicyActivated *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__payment_policy_activated__descriptor, body, ACTIVATION_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    const MessageText text = {"document", packed->document, document};
    err = message_read_texts(&text, 1);
    if (!err_is(err) && document->length == 0) {
        err = err_reject("document: missing");
    }
    *revision = packed->revision;
    *when_ms = packed->when_ms;
    return err_is(err) ? err : message_check_time("when_ms", packed->when_ms);
}
