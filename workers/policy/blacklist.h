/* blacklist - the set of customers that are not served, kept in step with the ledger.
 * A change that was PubAck'ed before a signal was published is seen before that signal: both come over one
 * connection, in order. */
#ifndef TAI_WORKERS_POLICY_BLACKLIST_H
#define TAI_WORKERS_POLICY_BLACKLIST_H

#include "shared/worker/worker.h"

typedef struct Blacklist Blacklist;

MUST_USE Err blacklist_open(Worker *worker, Blacklist **blacklist); /* loads while the loop turns */
void blacklist_close(Blacklist *blacklist);                         /* NULL is fine */
bool blacklist_is_loaded(const Blacklist *blacklist);
bool blacklist_holds(const Blacklist *blacklist, Str customer_id);

#endif
