/* stream - an answer of no known length: what comes from the ledger is sent on until its end, or the client's. */
#ifndef TAI_GATEWAY_STREAM_H
#define TAI_GATEWAY_STREAM_H

#include "gateway/request.h"

typedef struct Stream Stream;

/* Answers 200 and begins to read; `read` gets the Stream as its context and writes into it. */
void stream_answer(Request *request, const char *media_type, const BusReadOptions *options, BusReadCallback *read);

Request *stream_request(const Stream *stream);

/* A client that does not take what it asked for, past a bound, is cut off. */
void stream_write(Stream *stream, Str text);

/* What was written is still sent. */
void stream_end(Stream *stream);

/* For server.c: the response's body, and its end. */
struct MHD_Response;
struct MHD_Response *stream_response(Request *request);
void stream_close(Stream *stream); /* NULL is fine */

#endif
