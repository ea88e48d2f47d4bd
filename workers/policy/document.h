/* document - a live policy document of KV bucket tai_policy, watched and changed over without a restart.
 * A document that does not validate is refused and the old one stays. A document is live only after it stands on its
 * domain's ledger (tai.<domain>.policy), so that every decision's policy can be read back in an audit. */
#ifndef TAI_WORKERS_POLICY_DOCUMENT_H
#define TAI_WORKERS_POLICY_DOCUMENT_H

#include "shared/worker/worker.h"

typedef struct Document Document;

/* What differs from domain to domain. */
typedef struct {
    const char *domain;                                  /* "payment": also the key in the bucket */
    const char *ledger;                                  /* "PAYMENT" */
    size_t policy_bytes;                                 /* of the decoded policy */
    Err (*decode)(Arena *arena, Str text, void *policy); /* what it puts into the arena lives as long as the policy */
    Str (*print_default)(Arena *arena, const void *context); /* written where the bucket has none */
    const void *context;                                     /* outlives the document */
} DocumentKind;

MUST_USE Err document_open(Worker *worker, const DocumentKind *kind,
                           Document **document); /* loads while the loop turns */
void document_close(Document *document);         /* NULL is fine */
bool document_is_live(const Document *document);
const void *document_policy(
    const Document *document); /* the kind's own struct; changes between steps, with all that it points at */
uint64_t document_revision(const Document *document);

#endif
