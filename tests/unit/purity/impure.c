/* impure - what a pure library must not do: asks the environment and the clock.
 * Shows that the purity check notices it. */
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

bool impure_is_late(void);

bool impure_is_late(void)
{
    return getenv("TAI_LATE") != NULL || time(NULL) > 0;
}
