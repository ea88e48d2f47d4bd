/* payment - what is said about a payment: the signal, the decision, the outcome. Plain data, no behaviour but
 * the rules a signal must obey. Every Str is borrowed (mostly from the arena of the message it was decoded from). */
#ifndef TAI_PAYMENT_PAYMENT_H
#define TAI_PAYMENT_PAYMENT_H

#include "shared/base/err.h"
#include "shared/base/money.h"
#include "shared/base/str.h"
#include "shared/payment/fraud.h"

/* Stripe's own bounds on metadata, so that it can be passed on whole. */
#define PAYMENT_METADATA_MAX 50
#define PAYMENT_METADATA_KEY_MAX 40
#define PAYMENT_METADATA_VALUE_MAX 500
#define PAYMENT_DESCRIPTION_MAX 500
/* A signal's body on the bus or in HTTP, in bytes. */
#define PAYMENT_BODY_MAX (64 * 1024)

typedef struct {
    Str key;
    Str value;
} PaymentMetadata;

/* Someone wants a customer charged. */
typedef struct {
    Str transaction_id; /* "txn_…"; empty in what a publisher sends: subject, Nats-Msg-Id or sequence give it */
    Str publisher;      /* one subject token */
    Str customer_id;
    Str merchant_id;
    Money money;
    Str payment_method; /* the payment gateway's token for it ("pm_…"); empty: the configured default */
    Str description;    /* free text; may be empty */
    PaymentMetadata *metadata;
    size_t metadata_count;
    int64_t received_ms; /* Unix time in ms: at the gateway, or the stream's time of a direct publication */
} PaymentSignal;

/* What the policy made of it. An approved decision is the durable intent to charge. */
typedef struct {
    PaymentSignal signal;
    FraudFacts facts;
    FraudVerdict verdict;
    uint64_t policy_revision; /* of the KV bucket tai_policy */
    uint64_t signal_sequence; /* of the signal in the ledger */
    int64_t decided_ms;       /* Unix time */
    int64_t deadline_ms;      /* Unix time; from then on no charge is begun */
    bool fresh;               /* the transaction id cannot have been used before (made by us for this signal alone) */
} PaymentDecision;

typedef enum {
    PAYMENT_PENDING = 0, /* no final result yet; never in an outcome */
    PAYMENT_SUCCESS,
    PAYMENT_REJECTED,
    PAYMENT_DECLINED,
    PAYMENT_FAILED,
} PaymentStatus;
#define PAYMENT_STATUS_COUNT 5

const char *payment_status_name(PaymentStatus status); /* "PENDING", … */

/* What the payment gateway answered; all empty where it was never asked. */
typedef struct {
    Str id;           /* "pi_…" or "ch_…" */
    Str status;       /* "succeeded", or the error's type ("card_error") */
    Str code;         /* the error's code ("card_declined") */
    Str decline_code; /* "insufficient_funds" */
    Str message;      /* for a person */
    int http_status;  /* 0: no answer */
    bool replayed;    /* the gateway said that this answer is a repeat for the same key */
} PaymentGatewayResponse;

/* The one final result of a transaction. */
typedef struct {
    Str transaction_id;
    Str publisher;
    Str customer_id;
    Str merchant_id;
    Money money;
    PaymentStatus status;
    Str failure; /* why FAILED: "breaker_open", "gateway_refused", "gateway_unreachable", "deadline_exceeded" */
    int64_t retry_after_ms; /* with breaker_open: when it may be worth trying again, from timestamp_ms */
    FraudVerdict verdict;
    uint64_t policy_revision;
    uint64_t signal_sequence;
    PaymentGatewayResponse gateway;
    int64_t received_ms;  /* Unix time the signal came in */
    int64_t timestamp_ms; /* Unix time of this outcome; the difference is the processing time */
    Str trace_id;
    PaymentMetadata *metadata;
    size_t metadata_count;
} PaymentOutcome;

/* A customer's entry on the blacklist was put or taken away. */
typedef struct {
    Str customer_id;
    bool listed;
    Str who;         /* publisher's name */
    Str reason;      /* may be empty */
    int64_t when_ms; /* Unix time */
} PaymentBlacklistChange;

/* REJECT with the first rule that a signal breaks: ids, money range, metadata bounds, UTF-8, control characters,
 * card numbers in free text and payment_method. Lengths of text are in characters. The reason begins with the member's
 * name ("customer_id: …"). An empty transaction_id or publisher passes: the subject gives them, after the body. */
MUST_USE Err payment_signal_check(const PaymentSignal *signal);

/* Whether two signals ask for the same thing: all that a publisher chooses, metadata in any order. Ids, times and
 * publisher are not compared. What an Idempotency-Key may be repeated with. */
bool payment_signal_same_request(const PaymentSignal *a, const PaymentSignal *b);

/* Fills an outcome's fields that come from the decision (ids, money, verdict, revision, metadata, received_ms). */
PaymentOutcome payment_outcome_from_decision(const PaymentDecision *decision, PaymentStatus status, int64_t now_ms);

/* What POST /payment answers for an outcome: 200, 403, 402, 502 or 503 (202 for PENDING). */
int payment_http_status(PaymentStatus status, Str failure);

#endif
