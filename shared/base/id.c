/* id - identifiers: ULIDs, what an id may look like, and what must never stand in one.
 * Pure: time and entropy come in as arguments. */
#include "shared/base/id.h"

#include <string.h>

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#define ULID_TIME_LENGTH 10
#define CARD_MIN_DIGITS 13
#define CARD_MAX_DIGITS 19

void id_base32_print(const uint8_t *bytes, size_t count, Buffer *out)
{
    unsigned held = 0;
    int held_bits = 0;
    for (size_t i = 0; i < count; i++) {
        held = (held << 8 | bytes[i]) & 0xFFFU;
        held_bits += 8;
        while (held_bits >= 5) {
            held_bits -= 5;
            buffer_append_char(out, crockford[held >> held_bits & 31U]);
        }
    }
    if (held_bits > 0)
        buffer_append_char(out, crockford[held << (5 - held_bits) & 31U]);
}

void id_ulid_print(uint64_t time_ms, const uint8_t entropy[10], char out[ID_ULID_LENGTH + 1])
{
    Buffer text = buffer_over(out, ID_ULID_LENGTH + 1);
    for (int i = 0; i < ULID_TIME_LENGTH; i++)
        buffer_append_char(&text,
                           crockford[(time_ms & UINT64_C(0xFFFFFFFFFFFF)) >> (5 * (ULID_TIME_LENGTH - 1 - i)) & 31U]);
    id_base32_print(entropy, 10, &text);
}

bool id_ulid_time(Str ulid, uint64_t *time_ms)
{
    if (ulid.length != ID_ULID_LENGTH || ulid.data[0] > '7')
        return false;
    uint64_t time = 0;
    for (size_t i = 0; i < ID_ULID_LENGTH; i++) {
        const char *digit = memchr(crockford, ulid.data[i], sizeof crockford - 1);
        if (digit == NULL)
            return false;
        if (i < ULID_TIME_LENGTH)
            time = time << 5 | (uint64_t)(digit - crockford);
    }
    *time_ms = time;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '.' || c == ':' ||
           c == '-';
}

bool id_is_valid(Str id)
{
    if (id.length == 0 || id.length > ID_MAX_LENGTH)
        return false;
    for (size_t i = 0; i < id.length; i++) {
        if (!is_id_char(id.data[i]))
            return false;
    }
    return true;
}

bool id_is_token(Str token)
{
    return id_is_valid(token) && memchr(token.data, '.', token.length) == NULL;
}

/* ISO/IEC 7812-1, annex B: every second digit from the right is doubled, and the sum of digits divides by ten. */
static bool passes_luhn(const char *digits, size_t count)
{
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(digits[count - 1 - i] - '0');
        if (i % 2 == 1)
            digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
        sum += digit;
    }
    return sum % 10 == 0;
}

static bool is_card_number(const char *digits, size_t count)
{
    return count >= CARD_MIN_DIGITS && count <= CARD_MAX_DIGITS && passes_luhn(digits, count);
}

/* The last groups of digits before the present place, newest last: "4242 4242 4242 4242" is four groups of four. */
typedef struct {
    char digits[CARD_MAX_DIGITS]; /* the last digits of the run, separators left out */
    size_t held;
    size_t run;       /* digits in the whole run */
    size_t groups[5]; /* lengths of the last groups, the present one at [4] */
} DigitRun;

static void run_add(DigitRun *run, char digit)
{
    if (run->held == CARD_MAX_DIGITS) {
        memmove(run->digits, run->digits + 1, CARD_MAX_DIGITS - 1);
        run->held--;
    }
    run->digits[run->held++] = digit;
    run->run++;
    run->groups[4]++;
}

static void run_next_group(DigitRun *run)
{
    memmove(run->groups, run->groups + 1, 4 * sizeof run->groups[0]);
    run->groups[4] = 0;
}

static bool run_ends_with_card(const DigitRun *run, size_t count)
{
    return count <= run->held && is_card_number(run->digits + run->held - count, count);
}

/* At the end of a group: does what stands before this place, in the ways that cards are printed, make a card number? */
static bool group_ends_card(const DigitRun *run)
{
    const size_t *g = run->groups;
    if (run_ends_with_card(run, g[4]))
        return true;
    bool four_fours = g[1] == 4 && g[2] == 4 && g[3] == 4 && g[4] == 4;
    bool nineteen = g[0] == 4 && g[1] == 4 && g[2] == 4 && g[3] == 4 && g[4] <= 3;
    bool american_express = g[2] == 4 && g[3] == 6 && (g[4] == 5 || g[4] == 4);
    if (four_fours && run_ends_with_card(run, 16))
        return true;
    if (nineteen && run_ends_with_card(run, 16 + g[4]))
        return true;
    return american_express && run_ends_with_card(run, 10 + g[4]);
}

bool id_holds_card_number(Str text)
{
    DigitRun run = {0};
    for (size_t i = 0; i < text.length; i++) {
        if (!is_digit(text.data[i]))
            continue;
        run_add(&run, text.data[i]);
        if (i + 1 < text.length && is_digit(text.data[i + 1]))
            continue;
        if (group_ends_card(&run))
            return true;
        bool goes_on =
            i + 2 < text.length && (text.data[i + 1] == ' ' || text.data[i + 1] == '-') && is_digit(text.data[i + 2]);
        if (goes_on) {
            run_next_group(&run);
            continue;
        }
        if (run.run <= CARD_MAX_DIGITS && run_ends_with_card(&run, run.run))
            return true;
        run = (DigitRun){0};
    }
    return false;
}

void id_print_as_token(Str id, Buffer *out)
{
    Str rest = id;
    Str part;
    for (bool first = true; str_next_token(&rest, '.', &part); first = false) {
        if (!first)
            buffer_append(out, STR("=2E"));
        buffer_append(out, part);
    }
}
