/* andon - alerts as bytes. The alert's name becomes a subject token, so nothing else may stand in it. */
#include "shared/wire/andon.h"

#include "shared/wire/message.h"
#include "tai/v1/andon.pb-c.h"

static Err check(const Andon *andon)
{
    if (!id_is_token(andon->domain)) {
        return err_reject("domain: must be one subject token");
    }
    if (!id_is_token(andon->alert)) {
        return err_reject("alert: must be one subject token");
    }
    if (andon->severity != ANDON_HIGH && andon->severity != ANDON_CRITICAL) {
        return err_reject("severity: unknown severity %d", (int)andon->severity);
    }
    return message_check_time("when_ms", andon->when_ms);
}

Err wire_decode_andon(Arena *arena, Str body, Andon *andon)
{
    Tai__V1__Andon *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__andon__descriptor, body, MESSAGE_SMALL_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *andon = (Andon){
        .severity = (AndonSeverity)packed->severity,
        .cleared = packed->cleared,
        .when_ms = packed->when_ms,
    };
    const MessageText texts[] = {
        {"domain", packed->domain, &andon->domain},
        {"alert", packed->alert, &andon->alert},
        {"summary", packed->summary, &andon->summary},
        {"source", packed->source, &andon->source},
    };
    err = message_read_texts(texts, MESSAGE_COUNT(texts));
    return err_is(err) ? err : check(andon);
}

Str wire_encode_andon(Arena *arena, const Andon *andon)
{
    Tai__V1__Andon packed = TAI__V1__ANDON__INIT;
    packed.domain = message_write_text(arena, andon->domain);
    packed.alert = message_write_text(arena, andon->alert);
    packed.severity = (Tai__V1__AndonSeverity)andon->severity;
    packed.cleared = andon->cleared;
    packed.summary = message_write_text(arena, andon->summary);
    packed.when_ms = andon->when_ms;
    packed.source = message_write_text(arena, andon->source);
    return message_pack(arena, &packed);
}
