/* identity - ids of signals: made by the gateway, by the ledger's place, of a key, or chosen by the publisher. */
#include "workers/policy/identity.h"

#include "shared/wire/digest.h"

#define KEEP_FIRST_MS 250
#define KEEP_MAX_MS 5000
#define KEY_MAX 255
/* How far from the ledger's time a time in a signal may be to be taken for the gateway's own. */
#define FRESH_WITHIN_MS 60000

int64_t identity_keep_ms(const Task *task)
{
    uint64_t doublings = task->message.delivered < 6 ? task->message.delivered : 6;
    int64_t delay_ms = (int64_t)KEEP_FIRST_MS << doublings;
    return delay_ms < KEEP_MAX_MS ? delay_ms : KEEP_MAX_MS;
}

/* <signals><publisher>[.<id>] */
Err identity_read(const Task *task, const IdentityDomain *domain, Identity *identity)
{
    Str subject = task->message.subject;
    Str rest = str_slice(subject, str_from(domain->signals).length, subject.length);
    *identity = (Identity){.domain = domain};
    if (!str_next_token(&rest, '.', &identity->publisher) || !id_is_token(identity->publisher)) {
        return err_reject("subject: the publisher must be one token of letters, digits, '_', ':' and '-'");
    }
    if (!str_next_token(&rest, '.', &identity->named)) {
        identity->named = (Str){0};
        return err_none();
    }
    Str more;
    if (str_next_token(&rest, '.', &more) || !id_is_token(identity->named)) {
        return err_reject("subject: the id must be one token of letters, digits, '_', ':' and '-'");
    }
    return err_none();
}

static bool identity_is_keyed(const Task *task, const Identity *identity, Str stated)
{
    Str key = bus_delivery_header(&task->message, BUS_HEADER_MSG_ID);
    return identity->named.length == 0 && stated.length == 0 && key.length != 0;
}

static void identity_publish_keyed(Task *task, const Identity *identity)
{
    const IdentityDomain *domain = identity->domain;
    Str key = bus_delivery_header(&task->message, BUS_HEADER_MSG_ID);
    char id[MADE_ID_MAX];
    if (key.length > KEY_MAX || !bus_header_is_sendable(key)) {
        task_bury(task, err_reject("Nats-Msg-Id: longer than %d, or with control characters", KEY_MAX));
        return;
    }
    made_id_print_keyed(domain->prefix, identity->publisher, key, id);
    Str subject = arena_print(&task->arena, "%s" STR_FMT ".%s", domain->signals, STR_ARG(identity->publisher), id);
    BusMessage message = task_derive(task, subject, task->message.body, arena_copy(&task->arena, str_from(id)));
    bus_message_add(&message, BUS_HEADER_KEY, key);
    bus_message_pass_on(&message, &task->message, BUS_HEADER_CONTENT_TYPE);
    bus_message_expect_new(&message);
    task_store(task, IDENTITY_TAG_KEYED, &message);
}

/* The gateway names its requests itself: a prefix and a ULID, the same in body and Nats-Msg-Id. It cannot have been
 * used before when it was made just now: within the dedup window, which keeps the same Nats-Msg-Id from entering
 * twice. */
static Err identity_check_made(const Task *task, Str stated, Identity *identity)
{
    Str prefix = str_from(identity->domain->prefix);
    uint64_t time_ms = 0;
    if (!str_starts_with(stated, prefix) || !id_ulid_time(str_slice(stated, prefix.length, stated.length), &time_ms)) {
        return err_reject("%s: must be \"%s\" and a ULID", identity->domain->member, identity->domain->prefix);
    }
    int64_t distance_ms = task->message.time_ms - (int64_t)time_ms;
    identity->fresh = distance_ms < FRESH_WITHIN_MS && distance_ms > -FRESH_WITHIN_MS;
    identity->claimed = !identity->fresh;
    identity->id = stated;
    return err_none();
}

static Err identity_check_named(const Task *task, Identity *identity)
{
    const char *prefix = identity->domain->prefix;
    Str key = bus_delivery_header(&task->message, BUS_HEADER_KEY);
    bool admitted_once = str_equal(bus_delivery_header(&task->message, BUS_HEADER_EXPECT_LAST), STR("0"));
    char id[MADE_ID_MAX];
    made_id_print_keyed(prefix, identity->publisher, key, id);
    bool keyed = key.length != 0 && str_equal(identity->named, str_from(id));
    identity->id = identity->named;
    identity->claimed = key.length == 0 || !admitted_once;
    return str_starts_with(identity->named, str_from(prefix)) && !keyed
               ? err_reject("subject: an id that begins with %s must be the one made of its Tai-Key", prefix)
               : err_none();
}

static Err identity_name(Task *task, Str stated, Identity *identity)
{
    const BusDelivery *message = &task->message;
    if (stated.length != 0 && !str_equal(stated, bus_delivery_header(message, BUS_HEADER_MSG_ID)) &&
        !str_equal(stated, identity->named)) {
        return err_reject("%s: must be the Nats-Msg-Id or the last token of the subject", identity->domain->member);
    }
    if (identity->named.length != 0) {
        return identity_check_named(task, identity);
    }
    if (stated.length != 0) {
        return identity_check_made(task, stated, identity);
    }
    char id[MADE_ID_MAX];
    made_id_print_sequence(identity->domain->prefix, str_from(identity->domain->stream), message->sequence,
                           message->time_ms, id);
    identity->fresh = true;
    identity->id = arena_copy(&task->arena, str_from(id));
    return err_none();
}

Str identity_claim_subject(Task *task, const Identity *identity)
{
    return arena_print(&task->arena, "%s" STR_FMT, identity->domain->claims, STR_ARG(identity->id));
}

/* "<publisher> <sequence of the signal>": the first to say so owns the id. */
Str identity_claim_body(Task *task, const Identity *identity)
{
    return arena_print(&task->arena, STR_FMT " %llu", STR_ARG(identity->publisher),
                       (unsigned long long)task->message.sequence);
}

static void identity_publish_claim(Task *task, const Identity *identity)
{
    BusMessage message =
        task_derive(task, identity_claim_subject(task, identity), identity_claim_body(task, identity), (Str){0});
    bus_message_expect_new(&message);
    task_store(task, IDENTITY_TAG_CLAIM, &message);
}

int64_t identity_received_ms(const Task *task, int64_t stated_ms)
{
    int64_t before_ms = task->message.time_ms - stated_ms;
    return before_ms < 0 || before_ms > FRESH_WITHIN_MS ? task->message.time_ms : stated_ms;
}

IdentityStep identity_begin(Task *task, Identity *identity, Str stated)
{
    if (identity_is_keyed(task, identity, stated)) {
        identity_publish_keyed(task, identity);
        return IDENTITY_WAITS;
    }
    Err err = identity_name(task, stated, identity);
    if (err_is(err)) {
        task_bury(task, err);
        return IDENTITY_WAITS;
    }
    if (identity->claimed) {
        identity_publish_claim(task, identity);
        return IDENTITY_WAITS;
    }
    return IDENTITY_OURS;
}

bool identity_is_asked(const TaskEvent *event)
{
    return event->tag >= IDENTITY_TAG_KEYED && event->tag <= IDENTITY_TAG_CLAIMED;
}

/* The id is taken: by this signal in an earlier delivery, by an earlier signal of this publisher, or by somebody else.
 */
static IdentityStep identity_hear_claim(Task *task, const Identity *identity, const TaskEvent *event)
{
    Str owner;
    Str rest = {0};
    bool there = !err_is(event->err) && event->message != NULL;
    if (there) {
        rest = event->message->body;
    }
    if (!there || !str_next_token(&rest, ' ', &owner)) {
        task_keep(task, identity_keep_ms(task), err_retry("the claim of the id could not be read"));
        return IDENTITY_WAITS;
    }
    if (str_equal(event->message->body, identity_claim_body(task, identity))) {
        return IDENTITY_OURS;
    }
    if (str_equal(owner, identity->publisher)) {
        return IDENTITY_TAKEN;
    }
    task_bury(task, err_reject("%s: belongs to another publisher", identity->domain->member));
    return IDENTITY_WAITS;
}

IdentityStep identity_hear(Task *task, const Identity *identity, const TaskEvent *event)
{
    if (event->tag == IDENTITY_TAG_CLAIMED) {
        return identity_hear_claim(task, identity, event);
    }
    bool exists = event->stored->exists;
    if (exists && event->tag == IDENTITY_TAG_CLAIM) {
        task_get_last(task, IDENTITY_TAG_CLAIMED, str_from(identity->domain->stream),
                      identity_claim_subject(task, identity));
    } else if (!exists && err_is(event->err)) {
        task_keep(task, identity_keep_ms(task), event->err);
    } else if (event->tag == IDENTITY_TAG_CLAIM) {
        return IDENTITY_OURS;
    } else { /* the signal of the key's id is on the ledger, by us or by whoever was first */
        task_done(task);
    }
    return IDENTITY_WAITS;
}
