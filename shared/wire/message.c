/* message - protobuf bodies into an arena and out of it.
 * protobuf-c gives a text as a char* and forgets its length, so that a NUL inside would cut it unseen. Here each of
 * its allocations remembers its size, which tells the true length. */
#include "shared/wire/message.h"

#include <stddef.h>
#include <string.h>

/* Room for the most entries that a message may have, all as short as can be: fifty of metadata and what is still to
 * come, or the results of 32 regions with twelve stages each. */
#define UNPACK_BASE_BYTES 98304
#define UNPACK_SMALL_BASE_BYTES 16384
#define TIME_MAX_MS INT64_C(253402300799999) /* the last ms of the year 9999 */

typedef union {
    size_t size_bytes; /* of the block that follows */
    max_align_t align;
} BlockHead;

typedef struct {
    Arena *arena;
    size_t left_bytes; /* what this message may still take up */
} UnpackMemory;

static void *unpack_alloc(void *context, size_t size_bytes)
{
    UnpackMemory *memory = context;
    if (memory->left_bytes < sizeof(BlockHead) || size_bytes > memory->left_bytes - sizeof(BlockHead)) {
        return NULL;
    }
    memory->left_bytes -= sizeof(BlockHead) + size_bytes;
    BlockHead *head = arena_alloc(memory->arena, sizeof(BlockHead) + size_bytes);
    head->size_bytes = size_bytes;
    return head + 1;
}

static void unpack_free(void *context, void *block)
{
    (void)context; /* the arena is reset as a whole */
    (void)block;
}

Err message_unpack(Arena *arena, const ProtobufCMessageDescriptor *descriptor, Str body, size_t body_max,
                   void *message_out)
{
    if (body.length > body_max) {
        return err_reject("body: longer than %zu bytes", body_max);
    }
    size_t base_bytes = body_max > MESSAGE_SMALL_BODY_MAX ? UNPACK_BASE_BYTES : UNPACK_SMALL_BASE_BYTES;
    UnpackMemory memory = {.arena = arena, .left_bytes = base_bytes + 2 * body.length};
    ProtobufCAllocator allocator = {.alloc = unpack_alloc, .free = unpack_free, .allocator_data = &memory};
    const uint8_t *bytes = (const uint8_t *)(body.length > 0 ? body.data : "");
    const void *message = protobuf_c_message_unpack(descriptor, &allocator, body.length, bytes);
    if (message == NULL) {
        return err_reject("body: not a %s message", descriptor->name);
    }
    memcpy(message_out, &message, sizeof(message)); /* a pointer of any message type */
    return err_none();
}

Str message_pack(Arena *arena, const void *message)
{
    size_t size_bytes = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = arena_alloc(arena, size_bytes > 0 ? size_bytes : 1);
    TAI_ASSERT(protobuf_c_message_pack(message, packed) == size_bytes);
    return (Str){(const char *)packed, size_bytes};
}

static Str text_of(const char *text)
{
    if (text == NULL || text == protobuf_c_empty_string) {
        return (Str){0};
    }
    const BlockHead *head = (const BlockHead *)(const void *)text - 1;
    return (Str){text, head->size_bytes - 1};
}

Err message_read_texts(const MessageText *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Str text = text_of(texts[i].text);
        if (text.length > 0 && memchr(text.data, '\0', text.length) != NULL) {
            return err_reject("%s: holds a NUL", texts[i].name);
        }
        if (!str_is_utf8(text)) {
            return err_reject("%s: not UTF-8", texts[i].name);
        }
        *texts[i].out = text;
    }
    return err_none();
}

char *message_write_text(Arena *arena, Str text)
{
    if (text.length == 0) {
        return (char *)protobuf_c_empty_string;
    }
    char *copy = arena_alloc(arena, text.length + 1);
    memcpy(copy, text.data, text.length);
    if (memchr(copy, '\0', text.length) == NULL && str_is_utf8(text)) {
        return copy;
    }
    for (size_t i = 0; i < text.length;) {
        size_t length = text.data[i] == '\0' ? 0 : str_utf8_length(str_slice(text, i, text.length));
        if (length == 0) {
            copy[i] = '?';
            length = 1;
        }
        i += length;
    }
    return copy;
}

/* "\n{" is also the tag and the length of an id of 123 characters, but then one of them follows, which no JSON has. */
static bool begins_with_id(Str body)
{
    return str_starts_with(body, STR("\n{")) && id_is_valid(str_slice(body, 2, 3));
}

bool message_is_json(Str body)
{
    for (size_t i = 0; i < body.length; i++) {
        switch (body.data[i]) {
        case ' ':
        case '\t':
        case '\n':
        case '\r':
            break;
        default:
            return body.data[i] == '{' && !begins_with_id(body);
        }
    }
    return false;
}

Err message_read_counts(const char *name, const uint64_t *packed, size_t packed_count, uint64_t *counts, size_t count)
{
    if (packed_count != count && packed_count != 0) {
        return err_reject("%s: must have %zu counts, has %zu", name, count, packed_count);
    }
    if (packed_count > 0) {
        memcpy(counts, packed, count * sizeof(*counts));
    }
    return err_none();
}

Err message_check_time(const char *name, int64_t time_ms)
{
    if (time_ms < 0 || time_ms > TIME_MAX_MS) {
        return err_reject("%s: not a time in Unix ms", name);
    }
    return err_none();
}

Err message_check_transaction(const PaymentSignal *signal)
{
    if (signal->transaction_id.length == 0) {
        return err_reject("transaction_id: missing");
    }
    return signal->publisher.length > 0 ? payment_signal_check(signal) : err_reject("publisher: missing");
}
