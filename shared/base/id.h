/* id - identifiers: ULIDs, what an id may look like, and what must never stand in one. Pure. */
#ifndef TAI_BASE_ID_H
#define TAI_BASE_ID_H

#include <stdint.h>

#include "shared/base/str.h"

#define ID_ULID_LENGTH 26
#define ID_MAX_LENGTH 128

/* Crockford base32 of a 48-bit time in ms and 80 bits of entropy (https://github.com/ulid/spec). */
void id_ulid_print(uint64_t time_ms, const uint8_t entropy[10], char out[ID_ULID_LENGTH + 1]);

/* The time in a ULID (26 characters, upper case as printed). False where it is not one. */
bool id_ulid_time(Str ulid, uint64_t *time_ms);

/* Crockford base32, most significant bit first, of any bytes: ceil(8n/5) characters and a NUL into `out`. */
void id_base32_print(const uint8_t *bytes, size_t count, Buffer *out);

/* 1..128 characters out of A-Z a-z 0-9 _ . : - */
bool id_is_valid(Str id);

/* One token of a NATS subject that a publisher may be named by: an id without '.' (so no '*', '>', space). */
bool id_is_token(Str token);

/* True where the text holds a run of 13 to 19 digits that passes the Luhn check (ISO/IEC 7812-1): a card number.
 * Single spaces and dashes between digits are looked through ("4242 4242 4242 4242"). A run of more than 19
 * digits is searched for no card number inside it, but digits grouped as cards print them (4-4-4-4, 4-4-4-4-3, 4-6-5,
 * 4-6-4, or in one piece) are found beside other groups, as in "4242 4242 4242 4242 123". */
bool id_holds_card_number(Str text);

/* Writes an id as one subject token: '.' becomes "=2E" ('=' cannot stand in an id). */
void id_print_as_token(Str id, Buffer *out);

#endif
