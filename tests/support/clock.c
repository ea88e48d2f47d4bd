/* clock - waiting for something to become true, instead of sleeping and hoping. */
#include "tests/support/clock.h"

#include <time.h>

static int64_t clock_read(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t clock_unix_ms(void)
{
    return clock_read(CLOCK_REALTIME);
}

void clock_pause(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}
