/* letter - see letter.h. */
#include "shared/worker/letter.h"

static Str print_uint(Arena *arena, uint64_t number)
{
    return arena_print(arena, "%llu", (unsigned long long)number);
}

/* A publisher's text as a header can hold it. */
static Str print_header(Arena *arena, Str text)
{
    Str copy = arena_copy(arena, str_slice(text, 0, BUS_HEADER_VALUE_MAX));
    for (char *c = (char *)copy.data; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    return copy;
}

BusMessage letter_make(Arena *arena, const LetterPlace *place, const BusDelivery *message, Str why)
{
    BusMessage letter = {
        .subject = arena_print(arena, "tai.dead.%s.%s", place->domain, place->lane),
        .body = message->body,
    };
    bus_message_add(
        &letter, BUS_HEADER_MSG_ID,
        arena_print(arena, "dead.%s.%s.%llu", place->stream, place->lane, (unsigned long long)message->sequence));
    bus_message_pass_on(&letter, message, BUS_HEADER_TRACE);
    bus_message_pass_on(&letter, message, BUS_HEADER_CONTENT_TYPE);
    bus_message_add(&letter, "Tai-Dead-Reason", print_header(arena, why));
    bus_message_add(&letter, "Tai-Dead-Subject", print_header(arena, message->subject));
    bus_message_add(&letter, "Tai-Dead-Stream", str_from(place->stream));
    bus_message_add(&letter, "Tai-Dead-Sequence", print_uint(arena, message->sequence));
    bus_message_add(&letter, "Tai-Dead-Deliveries", print_uint(arena, message->delivered));
    return letter;
}
