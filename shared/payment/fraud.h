/* fraud - the fraud policy: facts and a policy in, a verdict out. Pure: the same function serves the live worker,
 * a replay of the ledger and the tests, and gives the same verdict bit for bit. */
#ifndef TAI_PAYMENT_FRAUD_H
#define TAI_PAYMENT_FRAUD_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/money.h"

typedef enum {
    FRAUD_BLACKLIST = 0,
    FRAUD_VELOCITY,
    FRAUD_HIGH_AMOUNT,
    FRAUD_GEOLOCATION,
} FraudCheck;
#define FRAUD_CHECK_COUNT 4
#define FRAUD_CURRENCY_LIMITS_MAX 64

const char *fraud_check_name(FraudCheck check); /* "blacklist", "velocity", "high_amount", "geolocation" */

/* A limit in major units, exact to four decimals: 5000.00 is 50000000. */
typedef int64_t FraudMajorE4;

typedef struct {
    char currency[4];
    FraudMajorE4 more_than_e4;
} FraudCurrencyLimit;

/* What is allowed. Data, kept in the KV bucket tai_policy. */
typedef struct {
    int32_t points[FRAUD_CHECK_COUNT]; /* 0 switches a check off; each 0..1000 */
    int32_t reject_at_points;          /* 1..1000 */
    int64_t velocity_more_than;        /* signals of the customer in the window, this one included */
    int64_t velocity_window_ms;
    FraudMajorE4 high_amount_more_than_e4;
    FraudCurrencyLimit currency_limits[FRAUD_CURRENCY_LIMITS_MAX]; /* override it for their currency */
    int32_t currency_limit_count;
    int64_t geolocation_more_than; /* different currencies of the customer in the window, this one included */
    int64_t geolocation_window_ms;
} FraudPolicy;

/* What was known when the decision was taken. */
typedef struct {
    Money money;
    bool blacklisted;
    int64_t velocity_count; /* as in velocity_more_than */
    int64_t currency_count; /* as in geolocation_more_than */
} FraudFacts;

typedef struct {
    int32_t points;                        /* sum over the checks that hit */
    int32_t hit_points[FRAUD_CHECK_COUNT]; /* 0: did not hit */
    bool rejected;
} FraudVerdict;

/* The design's defaults: 100/50/30/20 points, reject at 50, 5 in 60 s, 5000 major units, 1 currency in 3600 s. */
FraudPolicy fraud_policy_default(void);

FraudVerdict fraud_evaluate(const FraudPolicy *policy, const FraudFacts *facts);

#endif
