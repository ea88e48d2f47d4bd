/* world - all that the payment workers stand on, in memory: a ledger, Redis, a payment gateway, a clock that only the
 * test moves, and workers that die at any effect the test names.
 *
 * What happens is written down line by line, for golden text; what must hold whatever happens is checked by
 * world_check(). */
#ifndef TAI_TESTS_TRACE_WORLD_H
#define TAI_TESTS_TRACE_WORLD_H

#include <criterion/criterion.h>

#include "workers/action/action.h"
#include "workers/policy/policy.h"

#define WORLD_START_MS INT64_C(1700000000000)
#define WORLD_ACK_WAIT_MS 30000
#define WORLD_DEADLINE_MS 300000
#define WORLD_RECORDS_MAX 64

/* A message on the ledger. */
typedef struct {
    BusMessage message; /* in the world's arena */
    Str msg_id;
    int64_t time_ms;
    uint64_t delivered; /* by the lane that pulls its subject */
    int64_t due_ms;     /* when it may be delivered next */
    bool acked;
} Record;

/* What a call to the payment gateway comes to; the charge itself happens once for a key. */
typedef enum {
    CALL_CHARGES = 0,
    CALL_DECLINES,
    CALL_CHARGES_UNHEARD, /* captured, and the answer is lost */
    CALL_IS_LOST,         /* sent, never arrived, no answer */
    CALL_IS_NOT_SENT,
    CALL_FAILS,     /* 500, nothing captured */
    CALL_THROTTLED, /* 429, Retry-After: 1 */
    CALL_REFUSED,   /* 400 */
} CallMode;

/* Where a worker dies: at the number-th effect of the test (from 1), before it or right after it; 0: nowhere. */
typedef struct {
    int effect;
    bool after;
} Death;

typedef enum { LANE_POLICY, LANE_CHARGE, LANES } LaneName;

typedef struct {
    Arena arena;
    Buffer text; /* the golden text */
    int64_t now_ms;
    Record records[WORLD_RECORDS_MAX]; /* sequence n is records[n - 1] */
    size_t count;

    Death deaths[4];   /* in order */
    size_t death;      /* the next one */
    int effects;       /* performed or died at so far */
    bool flips;        /* with every death the blacklist changes */
    int64_t outage_ms; /* after every death, beyond the ack wait */

    /* Redis */
    bool redis_down;
    Str counted[16]; /* transaction ids, each once */
    size_t counted_count;

    /* the policy worker's memory */
    bool blacklisted;
    FraudPolicy policy;

    /* the action worker's memory */
    bool breaker_open;
    bool bus_forgets; /* how often it delivered: every count says 1 */

    /* the payment gateway */
    CallMode calls[16]; /* modes of the calls to come; CALL_CHARGES after the last */
    size_t call;
    size_t calls_lost_from; /* over `calls`: from that one on so many are lost */
    size_t calls_lost;
    int captured;  /* charges, over all keys */
    bool declined; /* what the key remembers */
    int received;  /* calls of which a byte arrived or may have */
    Str key;       /* of the first call */
    int other_keys;

    int lost_pubacks;  /* so many stores happen without an answer */
    int refused_store; /* so many stores do not happen */
    Str answers;       /* to whoever waits: statuses, separated by spaces */
} World;

World *world_make(void);
void world_free(World *world);

/* Puts a signal on the ledger; `msg_id` may be empty. */
void world_signal(World *world, const char *subject, const char *msg_id);

/* Delivers and works on everything, both lanes, moving the clock to what is due next, until nothing is left to do or
 * `until_ms` after the start. */
void world_run(World *world, int64_t until_ms);
void world_run_all(World *world); /* a day */
/* One lane alone, at this moment. */
void world_run_lane(World *world, LaneName lane);

/* One charge at most, one key, one final result for each signal, no refusal of what was captured. */
void world_check(const World *world);

/* Compares the text; prints both where they differ. */
void world_expect(const World *world, const char *golden);

/* Runs it all, compares, checks and frees. */
void world_end(World *world, const char *golden);

/* The first death. */
void world_die(World *world, int effect, bool after);

size_t world_count(const World *world, const char *subject_prefix);
/* Status of the one outcome, PENDING where there is none. */
PaymentStatus world_outcome(const World *world);
bool world_has_died(const World *world); /* as often as it should */

/* --- among the files of this folder --------------------------------------------------------------------------------
 */

void world_say(World *world, const char *format, ...) PRINTF_LIKE(2, 3);
BusStored world_store(World *world, const BusMessage *message, Err *err);
BusDelivery world_delivery(World *world, const Record *record, LaneName lane);
HttpResult provider_call(World *world, const HttpRequest *request);

#endif
