/* gate - stands between a process and nats-server: every message that the process sends is judged before it passes, so
 * that a test can let it die, or be cut off, exactly after a chosen message. What the server sends passes freely. */
#ifndef TAI_TESTS_GATE_H
#define TAI_TESTS_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *subject;
    const char *reply;   /* "" for none */
    const char *headers; /* as on the wire; "" for none */
    const char *body;    /* NUL-terminated as well */
    size_t body_length;
} GateMessage;

typedef enum {
    GATE_PASS,
    GATE_DROP,
    GATE_HOLD, /* kept until gate_release(); of those with one $JS.API subject the last only */
} GateVerdict;

/* Runs on the gate's thread, one message at a time. */
typedef GateVerdict GateJudge(void *context, int number, const GateMessage *message);

typedef struct Gate Gate;

/* `number` tells gates apart to the judge. */
Gate *gate_open(int number, int server_port, GateJudge *judge, void *context);
int gate_port(const Gate *gate); /* where the process connects to */
void gate_release(Gate *gate);   /* sends what is held, in its order */
/* After the process's end: waits until the server was told, and forgets what is held. */
void gate_cut(Gate *gate);
void gate_close(Gate *gate);

#endif
