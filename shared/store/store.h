/* store - Redis for soft state: Lua scripts, pipelined, on one non-blocking connection. hiredis stays in here.
 * Everything asked for between two store_dispatch() calls leaves in one write and is one round trip.
 * Not thread-safe: one loop owns it. A connection that is lost is made again by itself, with backoff and jitter;
 * what was asked on it fails with RETRY (a script may have run: scripts must be idempotent).
 * The process must ignore SIGPIPE. */
#ifndef TAI_STORE_STORE_H
#define TAI_STORE_STORE_H

#include "shared/base/err.h"
#include "shared/base/str.h"

typedef struct Store Store;

typedef struct {
    Str address;        /* "host:port" (a name that is not numeric is resolved, which may block) or "unix:/path" */
    Str username;       /* empty: none */
    Str password;       /* empty: no AUTH */
    int64_t timeout_ms; /* an answer later than this fails, and the connection is made anew; 0: 1000 */
} StoreOptions;

/* A Lua script, run by EVALSHA and loaded again by itself where the server does not know it (any more). */
typedef struct {
    Str source;    /* must outlive the store */
    char sha1[41]; /* filled in by store_script() */
} StoreScript;
StoreScript store_script(Str source);

#define STORE_KEYS_MAX 8
#define STORE_ARGUMENTS_MAX 16
#define STORE_VALUES_MAX 8
#define STORE_PENDING_MAX 65536 /* requests without an answer yet; one more aborts */

/* Called exactly once for each request, from store_dispatch() or store_close(), never from store_eval() itself. */
typedef void StoreCallback(void *context, Err err, const int64_t *values, size_t count);

MUST_USE Err store_open(const StoreOptions *options, Store **store); /* does not wait for the server */
void store_close(Store *store);                                      /* fails what is outstanding with RETRY */

/* The script must answer an integer or an array of at most STORE_VALUES_MAX integers. Keys and arguments are copied.
 * With no connection the request fails at the next dispatch: nothing waits for a server that is away. It waits only
 * for an attempt to connect that is under way, at most timeout_ms.
 * RETRY: connection, time-out, or an error from the server, in its words. REJECT: an answer of another type. */
void store_eval(Store *store, const StoreScript *script, const Str *keys, size_t key_count, const Str *arguments,
                size_t argument_count, StoreCallback *callback, void *context);

/* For the loop: one descriptor for poll(2) (an epoll instance: POLLIN when there is anything to do), when to come back
 * at the latest (INT64_MAX: no need), and the work itself. now_ms is a monotonic clock. */
int store_descriptor(const Store *store);
int64_t store_deadline_ms(const Store *store);
void store_dispatch(Store *store, int64_t now_ms);

bool store_is_connected(const Store *store);

#endif
