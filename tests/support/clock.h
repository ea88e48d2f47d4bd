/* clock - waiting for something to become true, instead of sleeping and hoping. */
#ifndef TAI_TESTS_CLOCK_H
#define TAI_TESTS_CLOCK_H

#include <stdint.h>

#include <criterion/criterion.h>

/* How long anything may take before a test gives up: generous, because sanitizers and busy machines are slow. */
#define PATIENCE_MS 30000

int64_t clock_monotonic_ms(void);
int64_t clock_unix_ms(void);
void clock_pause(int64_t ms);

/* Asks again every few ms; fails the test with the condition's own text when `within_ms` are over. A macro, because a
 * condition is an expression over the test's own variables. */
#define WAIT_UNTIL_WITHIN(condition, within_ms)                                                                        \
    for (int64_t wait_until_ = clock_monotonic_ms() + (within_ms); !(condition); clock_pause(10))                      \
    cr_assert(clock_monotonic_ms() < wait_until_, "not so after %lld ms: %s", (long long)(within_ms), #condition)
#define WAIT_UNTIL(condition) WAIT_UNTIL_WITHIN(condition, PATIENCE_MS)

#endif
