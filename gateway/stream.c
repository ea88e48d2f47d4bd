/* stream - a queue between the ledger's reader and the HTTP library's writer, which rests while the queue is empty. */
#include "gateway/stream.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/problem.h"
#include "gateway/server.h"

#define STREAM_BLOCK_BYTES 4096
#define STREAM_QUEUE_MAX ((size_t)1024 * 1024)
/* A comment now and then keeps proxies from closing a quiet connection, and finds out that a client is gone. */
#define STREAM_HEARTBEAT_MS 15000

struct Stream {
    Request *request;
    BusRead *read;
    Timer heartbeat;
    char *queue;
    size_t length;
    size_t capacity;
    bool ended;
};

static void stream_wake(Stream *stream)
{
    if (stream->request->suspended) {
        server_resume(stream->request);
    }
}

Request *stream_request(const Stream *stream)
{
    return stream->request;
}

void stream_end(Stream *stream)
{
    stream->ended = true;
    stream_wake(stream);
}

void stream_write(Stream *stream, Str text)
{
    if (stream->length + text.length > STREAM_QUEUE_MAX) {
        stream_end(stream);
        return;
    }
    if (stream->length + text.length > stream->capacity) {
        size_t capacity = 2 * (stream->length + text.length);
        char *queue = realloc(stream->queue, capacity);
        TAI_ASSERT(queue != NULL);
        stream->queue = queue;
        stream->capacity = capacity;
    }
    memcpy(stream->queue + stream->length, text.data, text.length);
    stream->length += text.length;
    stream_wake(stream);
}

static void stream_beat(void *context)
{
    Stream *stream = context;
    stream_write(stream, STR(": still here\n\n"));
    loop_timer_set(stream->request->gateway->loop, &stream->heartbeat, STREAM_HEARTBEAT_MS);
}

static ssize_t stream_pull(void *context, uint64_t position, char *out, size_t room)
{
    Stream *stream = context;
    (void)position;
    if (stream->length == 0) {
        if (stream->ended) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
        stream->request->suspended = true;
        MHD_suspend_connection(stream->request->connection);
        return 0;
    }
    size_t taken = stream->length < room ? stream->length : room;
    memcpy(out, stream->queue, taken);
    memmove(stream->queue, stream->queue + taken, stream->length - taken);
    stream->length -= taken;
    return (ssize_t)taken;
}

struct MHD_Response *stream_response(Request *request)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, stream_pull, request->stream, NULL);
}

void stream_answer(Request *request, const char *media_type, const BusReadOptions *options, BusReadCallback *read)
{
    Stream *stream = calloc(1, sizeof(*stream));
    TAI_ASSERT(stream != NULL);
    stream->request = request;
    stream->heartbeat = timer_make(stream_beat, stream);
    Err err = bus_read_open(request->gateway->bus, options, read, stream, &stream->read);
    if (err_is(err)) {
        free(stream);
        problem_answer(request, PROBLEM_UNAVAILABLE, "the ledger cannot be read at the moment");
        return;
    }
    request->stream = stream;
    stream_beat(stream);
    request_answer(request, 200, media_type, (Str){0});
}

void stream_close(Stream *stream)
{
    if (stream == NULL) {
        return;
    }
    bus_read_close(stream->read);
    loop_timer_clear(stream->request->gateway->loop, &stream->heartbeat);
    free(stream->queue);
    free(stream);
}
