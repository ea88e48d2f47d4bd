/* identity - whose signal it is, and under which id: the same on every delivery, whichever way it came in.
 *
 * A decision is taken once for each id: the server admits one signal for a key's subject, an id made just now was not
 * used before, and every other id is claimed on the ledger first. */
#ifndef TAI_WORKERS_POLICY_IDENTITY_H
#define TAI_WORKERS_POLICY_IDENTITY_H

#include "shared/worker/task.h"

/* How ids are made and where they are claimed in a domain. */
typedef struct {
    const char *signals; /* "tai.payment.signal." */
    const char *claims;  /* "tai.payment.claim." */
    const char *stream;  /* "PAYMENT" */
    const char *prefix;  /* "txn_" */
    const char *member;  /* "transaction_id": what errors call it */
} IdentityDomain;

typedef struct {
    const IdentityDomain *domain;
    Str publisher;
    Str named;    /* the subject's last token; empty: the plain subject */
    Str id;       /* once identity_begin() gave it */
    bool fresh;   /* the id cannot have been used before */
    bool claimed; /* the id must be claimed before it is judged */
} Identity;

/* Publisher and name, of the subject. REJECT: buried. */
MUST_USE Err identity_read(const Task *task, const IdentityDomain *domain, Identity *identity);

/* Tags of identity's own requests; a handler's other tags are below them. */
#define IDENTITY_TAG_KEYED 2000
#define IDENTITY_TAG_CLAIM 2001
#define IDENTITY_TAG_CLAIMED 2002

typedef enum {
    IDENTITY_WAITS, /* something is asked, or the task has ended */
    IDENTITY_OURS,  /* the id is there, and is this signal's: judge it */
    IDENTITY_TAKEN, /* an earlier signal of this publisher has it: that one's outcome stands */
} IdentityStep;

/* After identity_read(); `stated` is the id in the body. A key of the publisher's own on the plain subject goes on as
 * the signal of its id, which the server admits once. */
IdentityStep identity_begin(Task *task, Identity *identity, Str stated);
bool identity_is_asked(const TaskEvent *event); /* its tag is one of ours */
IdentityStep identity_hear(Task *task, const Identity *identity, const TaskEvent *event);

Str identity_claim_subject(Task *task, const Identity *identity);
Str identity_claim_body(Task *task, const Identity *identity);

/* What was received when: the body's time where the gateway gave it, otherwise the ledger's. */
int64_t identity_received_ms(const Task *task, int64_t stated_ms);

/* How long after its signal a decision's id is certainly still known to the ledger: the dedup window, less what clocks
 * may differ. */
#define DECISION_KNOWN_MS 570000

/* When to look at the task again: longer from delivery to delivery. */
int64_t identity_keep_ms(const Task *task);

#endif
