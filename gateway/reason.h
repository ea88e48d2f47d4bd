/* reason - the optional body of PUT /blacklist/{customer_id}: {"reason": "..."}. Pure. */
#ifndef TAI_GATEWAY_REASON_H
#define TAI_GATEWAY_REASON_H

#include "shared/base/arena.h"

#define REASON_MAX 500 /* bytes */

/* An empty body gives no reason. REJECT says what is wrong: no JSON object, another member, too long, control
 * characters, a card number. */
MUST_USE Err reason_read(Arena *arena, Str body, Str *reason);

#endif
