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
    Str id;       /* once identity_name() gave it */
    bool fresh;   /* the id cannot have been used before */
    bool claimed; /* the id must be claimed before it is judged */
} Identity;

/* Publisher and name, of the subject. REJECT: buried. */
MUST_USE Err identity_read(const Task *task, const IdentityDomain *domain, Identity *identity);

/* A key of the publisher's own on the plain subject: `stated` is the id in the body. */
bool identity_is_keyed(const Task *task, const Identity *identity, Str stated);
/* It goes on as the signal of its id, which the server admits once: ends the task, or stores with `tag`. */
void identity_publish_keyed(Task *task, const Identity *identity, int tag);

MUST_USE Err identity_name(Task *task, Str stated, Identity *identity);

Str identity_claim_subject(Task *task, const Identity *identity);
Str identity_claim_body(Task *task, const Identity *identity);
void identity_publish_claim(Task *task, const Identity *identity, int tag);

/* Of an id that is taken: by this signal in an earlier delivery, by an earlier signal of this publisher, which stands,
 * or by somebody else. */
typedef enum { CLAIM_UNREADABLE, CLAIM_OURS, CLAIM_EARLIER, CLAIM_FOREIGN } IdentityClaim;
IdentityClaim identity_read_claim(Task *task, const Identity *identity, const TaskEvent *event);

/* How far from the ledger's time a time in a signal may be to be taken for the gateway's own. */
#define IDENTITY_FRESH_WITHIN_MS 60000

/* How long after its signal a decision's id is certainly still known to the ledger: the dedup window, less what clocks
 * may differ. */
#define DECISION_KNOWN_MS 570000

/* When to look at the task again: longer from delivery to delivery. */
int64_t identity_keep_ms(const Task *task);

#endif
