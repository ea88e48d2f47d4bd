/* fraud - the fraud policy: facts and a policy in, a verdict out.
 * Whole numbers only, so that a replay gives the same verdict on every machine. */
#include "shared/payment/fraud.h"

#include <string.h>

#define MAJOR_E4 INT64_C(10000) /* a FraudMajorE4 of one major unit */

const char *fraud_check_name(FraudCheck check)
{
    switch (check) {
    case FRAUD_BLACKLIST:
        return "blacklist";
    case FRAUD_VELOCITY:
        return "velocity";
    case FRAUD_HIGH_AMOUNT:
        return "high_amount";
    case FRAUD_GEOLOCATION:
        return "geolocation";
    }
    return "unknown";
}

FraudPolicy fraud_policy_default(void)
{
    return (FraudPolicy){
        .points =
            {
                [FRAUD_BLACKLIST] = 100,
                [FRAUD_VELOCITY] = 50,
                [FRAUD_HIGH_AMOUNT] = 30,
                [FRAUD_GEOLOCATION] = 20,
            },
        .reject_at_points = 50,
        .velocity_more_than = 5,
        .velocity_window_ms = INT64_C(60) * 1000,
        .high_amount_more_than_e4 = 5000 * MAJOR_E4,
        .geolocation_more_than = 1,
        .geolocation_window_ms = INT64_C(3600) * 1000,
    };
}

static FraudMajorE4 high_amount_limit(const FraudPolicy *policy, const char currency[4])
{
    for (int32_t i = 0; i < policy->currency_limit_count && i < FRAUD_CURRENCY_LIMITS_MAX; i++) {
        if (memcmp(policy->currency_limits[i].currency, currency, 3) == 0)
            return policy->currency_limits[i].more_than_e4;
    }
    return policy->high_amount_more_than_e4;
}

/* A currency that has no minor units known here cannot be compared, and is not waved through. */
static bool is_high_amount(const FraudPolicy *policy, const Money *money)
{
    int64_t minor_per_major = money_minor_per_major(str_from(money->currency));
    if (minor_per_major == 0)
        return true;
    /* A minor unit is a whole number of 1/10000 major units, so dividing the limit, rounded down, compares exactly
     * where multiplying the amount would overflow. */
    int64_t e4_per_minor = MAJOR_E4 / minor_per_major;
    return money->minor > high_amount_limit(policy, money->currency) / e4_per_minor;
}

static bool check_hits(const FraudPolicy *policy, const FraudFacts *facts, FraudCheck check)
{
    switch (check) {
    case FRAUD_BLACKLIST:
        return facts->blacklisted;
    case FRAUD_VELOCITY:
        return facts->velocity_count > policy->velocity_more_than;
    case FRAUD_HIGH_AMOUNT:
        return is_high_amount(policy, &facts->money);
    case FRAUD_GEOLOCATION:
        return facts->currency_count > policy->geolocation_more_than;
    }
    return false;
}

FraudVerdict fraud_evaluate(const FraudPolicy *policy, const FraudFacts *facts)
{
    FraudVerdict verdict = {0};
    for (int check = 0; check < FRAUD_CHECK_COUNT; check++) {
        if (policy->points[check] <= 0 || !check_hits(policy, facts, (FraudCheck)check))
            continue;
        verdict.hit_points[check] = policy->points[check];
        verdict.points += policy->points[check];
    }
    verdict.rejected = verdict.points >= policy->reject_at_points;
    return verdict;
}
