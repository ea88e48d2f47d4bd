/* document - the live policy document of KV bucket tai_policy, watched and changed over without a restart.
 * A document that does not validate is refused and the old one stays. A document is live only after it stands on the
 * ledger (tai.payment.policy), so that every decision's policy can be read back in an audit. */
#ifndef TAI_WORKERS_POLICY_DOCUMENT_H
#define TAI_WORKERS_POLICY_DOCUMENT_H

#include "shared/payment/fraud.h"
#include "shared/worker/worker.h"

typedef struct Document Document;

MUST_USE Err document_open(Worker *worker, Document **document); /* loads while the loop turns */
void document_close(Document *document);                         /* NULL is fine */
bool document_is_live(const Document *document);
const FraudPolicy *document_policy(const Document *document);
uint64_t document_revision(const Document *document);

#endif
