/* gate - a thread that reads the NATS protocol between a process and its server. */
#include "tests/support/gate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/clock.h"

#define READ_BYTES 65536
#define LINE_MAX_BYTES 4096

/* A growing run of bytes. */
typedef struct {
    char *bytes;
    size_t length;
    size_t capacity;
} Bytes;

typedef struct Held Held;
struct Held {
    Held *next;
    char *subject;
    Bytes frame;
};

struct Gate {
    int number;
    int server_port;
    int port;
    int listener;
    int stop[2]; /* a pipe: closed at the end */
    GateJudge *judge;
    void *context;
    pthread_t thread;
    Bytes input; /* of the process, not a whole frame yet */
    pthread_mutex_t lock;
    int process; /* -1: not connected; under the lock, as the rest */
    int server;
    Held *held;
};

/* --- bytes ----------------------------------------------------------------------------------------------------- */

static void bytes_add(Bytes *to, const char *bytes, size_t length)
{
    if (to->length + length > to->capacity) {
        to->capacity = 2 * (to->length + length);
        to->bytes = realloc(to->bytes, to->capacity);
        cr_assert_not_null(to->bytes);
    }
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
}

static void bytes_drop(Bytes *from, size_t length)
{
    memmove(from->bytes, from->bytes + length, from->length - length);
    from->length -= length;
}

static void send_all(int to, const char *bytes, size_t length)
{
    while (to >= 0 && length > 0) {
        ssize_t sent = send(to, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; /* the reading side finds out */
        }
        bytes += sent;
        length -= (size_t)sent;
    }
}

/* --- frames ---------------------------------------------------------------------------------------------------- */

/* "PUB subject [reply] total" or "HPUB subject [reply] headers total". */
typedef struct {
    char line[LINE_MAX_BYTES];
    const char *words[5];
    size_t word_count;
    size_t header_length;
    size_t total_length;
    bool publishes;
} Head;

static void head_read(Head *head, const char *line, size_t length)
{
    *head = (Head){0};
    cr_assert_lt(length, sizeof head->line);
    if (strncmp(line, "PUB ", 4) != 0 && strncmp(line, "HPUB ", 5) != 0) {
        return;
    }
    memcpy(head->line, line, length);
    char *rest = NULL;
    for (char *word = strtok_r(head->line, " ", &rest); word && head->word_count < 5;
         word = strtok_r(NULL, " ", &rest)) {
        head->words[head->word_count++] = word;
    }
    head->publishes = true;
    head->total_length = strtoul(head->words[head->word_count - 1], NULL, 10);
    if (line[0] == 'H') {
        head->header_length = strtoul(head->words[head->word_count - 2], NULL, 10);
    }
}

static const char *head_reply(const Head *head)
{
    size_t without = head->line[0] == 'H' ? 4 : 3;
    return head->word_count > without ? head->words[2] : "";
}

static void held_free(Held *held)
{
    free(held->subject);
    free(held->frame.bytes);
    free(held);
}

static void gate_hold(Gate *gate, const char *subject, const char *frame, size_t length)
{
    bool replaces = strncmp(subject, "$JS.API", 7) == 0;
    Held **last = &gate->held;
    while (*last) {
        Held *found = *last;
        if (replaces && strcmp(found->subject, subject) == 0) {
            *last = found->next;
            held_free(found);
        } else {
            last = &found->next;
        }
    }
    *last = calloc(1, sizeof **last);
    (*last)->subject = strdup(subject);
    bytes_add(&(*last)->frame, frame, length);
}

static char *text_copy(const char *bytes, size_t length)
{
    char *text = calloc(1, length + 1);
    cr_assert_not_null(text);
    memcpy(text, bytes, length);
    return text;
}

static GateVerdict gate_ask(Gate *gate, const Head *head, const char *payload)
{
    size_t length = head->total_length - head->header_length;
    char *headers = text_copy(payload, head->header_length);
    char *body = text_copy(payload + head->header_length, length);
    GateMessage message = {head->words[1], head_reply(head), headers, body, length};
    GateVerdict verdict = gate->judge(gate->context, gate->number, &message);
    free(headers);
    free(body);
    return verdict;
}

/* One frame off the input's beginning. False: it is not whole yet. */
static bool gate_take_frame(Gate *gate)
{
    Bytes *input = &gate->input;
    const char *end = input->length > 0 ? memmem(input->bytes, input->length, "\r\n", 2) : NULL;
    if (!end) {
        return false;
    }
    size_t line_length = (size_t)(end - input->bytes);
    Head head;
    head_read(&head, input->bytes, line_length);
    size_t length = line_length + 2 + (head.publishes ? head.total_length + 2 : 0);
    if (input->length < length) {
        return false;
    }
    GateVerdict verdict = head.publishes ? gate_ask(gate, &head, end + 2) : GATE_PASS;
    pthread_mutex_lock(&gate->lock);
    if (verdict == GATE_PASS) {
        send_all(gate->server, input->bytes, length);
    } else if (verdict == GATE_HOLD) {
        gate_hold(gate, head.words[1], input->bytes, length);
    }
    pthread_mutex_unlock(&gate->lock);
    bytes_drop(input, length);
    return true;
}

/* --- connections ----------------------------------------------------------------------------------------------- */

static void gate_disconnect(Gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    close(gate->process);
    close(gate->server);
    gate->process = -1;
    gate->server = -1;
    while (gate->held) {
        Held *held = gate->held;
        gate->held = held->next;
        held_free(held);
    }
    pthread_mutex_unlock(&gate->lock);
    gate->input.length = 0;
}

static void gate_connect(Gate *gate)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)gate->server_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int process = accept(gate->listener, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (process < 0 || connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
        close(process);
        close(server);
        return;
    }
    int at_once = 1;
    setsockopt(process, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    pthread_mutex_lock(&gate->lock);
    gate->process = process;
    gate->server = server;
    pthread_mutex_unlock(&gate->lock);
}

static bool gate_pump(Gate *gate, bool from_process)
{
    static _Thread_local char bytes[READ_BYTES];
    ssize_t got = recv(from_process ? gate->process : gate->server, bytes, sizeof bytes, 0);
    if (got <= 0) {
        return false;
    }
    if (!from_process) {
        send_all(gate->process, bytes, (size_t)got);
        return true;
    }
    bytes_add(&gate->input, bytes, (size_t)got);
    while (gate_take_frame(gate)) {
    }
    return true;
}

static void *gate_run(void *context)
{
    Gate *gate = context;
    for (;;) {
        bool connected = gate->process >= 0;
        struct pollfd ends[3] = {{.fd = gate->stop[0], .events = POLLIN},
                                 {.fd = connected ? gate->process : gate->listener, .events = POLLIN},
                                 {.fd = connected ? gate->server : -1, .events = POLLIN}};
        poll(ends, 3, -1);
        if (ends[0].revents) {
            return NULL;
        }
        if (!connected) {
            gate_connect(gate);
        } else if ((ends[1].revents && !gate_pump(gate, true)) || (ends[2].revents && !gate_pump(gate, false))) {
            gate_disconnect(gate);
        }
    }
}

/* --- from the test --------------------------------------------------------------------------------------------- */

Gate *gate_open(int number, int server_port, GateJudge *judge, void *context)
{
    Gate *gate = calloc(1, sizeof *gate);
    cr_assert_not_null(gate);
    *gate = (Gate){.number = number, .server_port = server_port, .judge = judge, .context = context};
    gate->process = -1;
    gate->server = -1;
    pthread_mutex_init(&gate->lock, NULL);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    gate->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(gate->listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(gate->listener, 8), 0);
    cr_assert_eq(getsockname(gate->listener, (struct sockaddr *)&address, &size), 0);
    gate->port = ntohs(address.sin_port);
    cr_assert_eq(pipe2(gate->stop, O_CLOEXEC), 0);
    cr_assert_eq(pthread_create(&gate->thread, NULL, gate_run, gate), 0);
    return gate;
}

int gate_port(const Gate *gate)
{
    return gate->port;
}

void gate_release(Gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->held) {
        Held *held = gate->held;
        gate->held = held->next;
        send_all(gate->server, held->frame.bytes, held->frame.length);
        held_free(held);
    }
    pthread_mutex_unlock(&gate->lock);
}

static bool gate_is_cut(Gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    bool cut = gate->process < 0;
    pthread_mutex_unlock(&gate->lock);
    return cut;
}

void gate_cut(Gate *gate)
{
    WAIT_UNTIL(gate_is_cut(gate));
}

void gate_close(Gate *gate)
{
    close(gate->stop[1]);
    pthread_join(gate->thread, NULL);
    gate_disconnect(gate);
    close(gate->listener);
    close(gate->stop[0]);
    free(gate->input.bytes);
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}
