/* store - pipelined Lua scripts on one non-blocking hiredis context.
 * Requests stand in one ring, oldest first: those that were sent, then those that leave at the next dispatch. */
#include "shared/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <hiredis/hiredis.h>
#include <openssl/evp.h>

#include "shared/store/ring.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 2000

typedef enum {
    STORE_AWAY,       /* no connection; the next attempt is at retry_at_ms */
    STORE_CONNECTING, /* the socket is not writable yet */
    STORE_CONNECTED,
} StoreState;

struct Store {
    redisContext *redis; /* NULL while AWAY */
    StoreState state;
    bool authenticating;   /* the oldest answer to come is that of AUTH */
    uint32_t epoll_events; /* what is registered for the socket; 0: it is not registered */
    int epoll;
    int wake;   /* eventfd: readable while there is something to send */
    bool awake; /* it was written to */
    bool inside_dispatch;
    Ring ring;
    int64_t timeout_ms;
    int64_t retry_at_ms;
    int64_t backoff_ms;
    int64_t connect_deadline_ms; /* for the connection and AUTH */
    char host[256];              /* or the path of a socket, where port is 0 */
    int port;
    char *username;
    char *password;
    char lost_why[sizeof((Err){0}).why]; /* why there is no connection */
};

StoreScript store_script(Str source)
{
    StoreScript script = {.source = source};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    TAI_ASSERT(EVP_Digest(source.data, source.length, digest, &length, EVP_sha1(), NULL) == 1 && length == 20);
    Buffer hex = buffer_over(script.sha1, sizeof script.sha1);
    for (unsigned int i = 0; i < length; i++) {
        buffer_print(&hex, "%02x", digest[i]);
    }
    return script;
}

static void store_wake(Store *store)
{
    if (store->awake || store->inside_dispatch) {
        return;
    }
    uint64_t one = 1;
    store->awake = write(store->wake, &one, sizeof one) == (ssize_t)sizeof one;
}

static void store_clear_wake(Store *store)
{
    uint64_t count;
    if (store->awake && read(store->wake, &count, sizeof count) == (ssize_t)sizeof count) {
        store->awake = false;
    }
}

static void store_watch(Store *store, uint32_t events)
{
    if (events == store->epoll_events) {
        return;
    }
    struct epoll_event event = {.events = events};
    int operation = store->epoll_events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    TAI_ASSERT(epoll_ctl(store->epoll, operation, store->redis->fd, &event) == 0);
    store->epoll_events = events;
}

/* Only what stands in the ring now: a callback may ask again, and that waits for the next dispatch. */
static void store_fail_all(Store *store, Err err)
{
    for (size_t left = store->ring.count; left > 0; left--) {
        StoreRequest request = ring_take(&store->ring);
        request.callback(request.context, err, NULL, 0);
        request_release(&request);
    }
}

static int64_t store_jitter_ms(int64_t span_ms)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random) {
        return 0;
    }
    return (int64_t)(random % (uint32_t)(span_ms + 1));
}

static void store_lose(Store *store, int64_t now_ms, const char *why)
{
    Err err = err_retry("redis: %s", why); /* first: `why` may lie in the context */
    memcpy(store->lost_why, err.why, sizeof err.why);
    redisFree(store->redis); /* closes the socket, which takes it out of the epoll set */
    store->redis = NULL;
    store->epoll_events = 0;
    store->state = STORE_AWAY;
    store->authenticating = false;
    store->retry_at_ms = now_ms + store->backoff_ms / 2 + store_jitter_ms(store->backoff_ms / 2);
    store->backoff_ms = store->backoff_ms * 2 < BACKOFF_LAST_MS ? store->backoff_ms * 2 : BACKOFF_LAST_MS;
    store_fail_all(store, err);
}

static void store_connect(Store *store, int64_t now_ms)
{
    store->redis =
        store->port == 0 ? redisConnectUnixNonBlock(store->host) : redisConnectNonBlock(store->host, store->port);
    TAI_ASSERT(store->redis != NULL);
    if (store->redis->err != 0) {
        store_lose(store, now_ms, store->redis->errstr);
        return;
    }
    store->state = STORE_CONNECTING;
    store->connect_deadline_ms = now_ms + store->timeout_ms;
    store_watch(store, EPOLLOUT);
}

/* True once the socket is connected. */
static bool store_finish_connect(Store *store, int64_t now_ms)
{
    struct sockaddr_storage peer;
    socklen_t peer_length = sizeof peer;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(store->redis->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
        error = errno;
    }
    if (error != 0) {
        store_lose(store, now_ms, strerror(error));
        return false;
    }
    if (getpeername(store->redis->fd, (struct sockaddr *)&peer, &peer_length) != 0) {
        return false;
    }
    store->state = STORE_CONNECTED;
    if (store->password == NULL) {
        return true;
    }
    int appended = store->username != NULL
                       ? redisAppendCommand(store->redis, "AUTH %s %s", store->username, store->password)
                       : redisAppendCommand(store->redis, "AUTH %s", store->password);
    TAI_ASSERT(appended == REDIS_OK);
    store->authenticating = true;
    return true;
}

static void store_append(Store *store, const StoreRequest *request)
{
    const char *words[3 + STORE_WORDS_MAX];
    size_t lengths[3 + STORE_WORDS_MAX];
    char key_count[24];
    Buffer number = buffer_over(key_count, sizeof key_count);
    buffer_print(&number, "%zu", request->key_count);
    words[0] = request->with_source ? "EVAL" : "EVALSHA";
    lengths[0] = strlen(words[0]);
    words[1] = request->with_source ? request->script.source.data : request->script.sha1;
    lengths[1] = request->with_source ? request->script.source.length : 40;
    words[2] = key_count;
    lengths[2] = number.length;
    size_t count = 3;
    const char *word = request->text;
    for (size_t i = 0; i < request->word_count; i++) {
        words[count] = word;
        lengths[count] = request->word_lengths[i];
        word += request->word_lengths[i];
        count++;
    }
    TAI_ASSERT(redisAppendCommandArgv(store->redis, (int)count, words, lengths) == REDIS_OK);
}

/* Everything that is not sent yet goes into hiredis's buffer, and from there as far as the socket takes it. */
static void store_flush(Store *store, int64_t now_ms)
{
    for (; store->ring.sent < store->ring.count; store->ring.sent++) {
        StoreRequest *request = ring_at(&store->ring, store->ring.sent);
        store_append(store, request);
        request->deadline_ms = now_ms + store->timeout_ms;
    }
    int done = 0;
    if (redisBufferWrite(store->redis, &done) != REDIS_OK) {
        store_lose(store, now_ms, store->redis->errstr);
        return;
    }
    store_watch(store, done ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static Err store_read_values(const redisReply *reply, int64_t values[STORE_VALUES_MAX], size_t *count)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        return err_retry("redis: %.*s", (int)(reply->len < 100 ? reply->len : 100), reply->str);
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        values[0] = reply->integer;
        *count = 1;
        return err_none();
    }
    if (reply->type != REDIS_REPLY_ARRAY) {
        return err_reject("redis: the script answered neither an integer nor an array of integers");
    }
    if (reply->elements > STORE_VALUES_MAX) {
        return err_reject("redis: the script answered %zu values, at most %d are read", reply->elements,
                          STORE_VALUES_MAX);
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER) {
            return err_reject("redis: value %zu of the script's answer is not an integer", i + 1);
        }
        values[i] = reply->element[i]->integer;
    }
    *count = reply->elements;
    return err_none();
}

static bool store_reply_is(const redisReply *reply, const char *code)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, code, strlen(code)) == 0;
}

static void store_answer(Store *store, const redisReply *reply)
{
    StoreRequest request = ring_take(&store->ring);
    if (!request.with_source && store_reply_is(reply, "NOSCRIPT")) {
        request.with_source = true; /* EVAL loads the script for those that come after */
        ring_put(&store->ring, request);
        return;
    }
    int64_t values[STORE_VALUES_MAX] = {0};
    size_t count = 0;
    Err err = store_read_values(reply, values, &count);
    request.callback(request.context, err, values, err_is(err) ? 0 : count);
    request_release(&request);
}

static void store_answer_auth(Store *store, const redisReply *reply, int64_t now_ms)
{
    store->authenticating = false;
    if (reply->type == REDIS_REPLY_ERROR) {
        store_lose(store, now_ms, reply->str);
    }
}

static void store_read(Store *store, int64_t now_ms)
{
    if (redisBufferRead(store->redis) != REDIS_OK) {
        store_lose(store, now_ms, store->redis->errstr);
        return;
    }
    while (store->state == STORE_CONNECTED) {
        void *reply = NULL;
        if (redisGetReplyFromReader(store->redis, &reply) != REDIS_OK) {
            store_lose(store, now_ms, store->redis->errstr);
            return;
        }
        if (reply == NULL) {
            return;
        }
        if (store->authenticating) {
            store_answer_auth(store, reply, now_ms);
        } else if (store->ring.sent == 0) {
            store_lose(store, now_ms, "an answer came that nothing asked for");
        } else {
            store->backoff_ms = BACKOFF_FIRST_MS;
            store_answer(store, reply);
        }
        freeReplyObject(reply);
    }
}

/* "unix:/path", "host:port" or "[::1]:port". */
static Err store_read_address(Store *store, Str address)
{
    if (str_starts_with(address, STR("unix:"))) {
        if (!str_copy_to(str_slice(address, 5, address.length), store->host,
                         sizeof(((struct sockaddr_un *)0)->sun_path)) ||
            store->host[0] == '\0') {
            return err_reject("redis: no path of a socket: " STR_FMT, STR_ARG(address));
        }
        return err_none();
    }
    size_t colon = address.length;
    while (colon > 0 && address.data[colon - 1] != ':') {
        colon--;
    }
    int64_t port = 0;
    if (colon == 0 || !str_to_int64(str_slice(address, colon, address.length), &port) || port < 1 || port > 65535) {
        return err_reject("redis: not an address of the form host:port: " STR_FMT, STR_ARG(address));
    }
    Str host = str_slice(address, 0, colon - 1);
    if (host.length > 2 && host.data[0] == '[' && host.data[host.length - 1] == ']') {
        host = str_slice(host, 1, host.length - 1);
    }
    if (host.length == 0 || !str_copy_to(host, store->host, sizeof store->host)) {
        return err_reject("redis: no host in the address " STR_FMT, STR_ARG(address));
    }
    store->port = (int)port;
    return err_none();
}

static char *store_keep(Str text)
{
    if (text.length == 0) {
        return NULL;
    }
    char *copy = strndup(text.data, text.length);
    TAI_ASSERT(copy != NULL);
    return copy;
}

Err store_open(const StoreOptions *options, Store **out)
{
    Store *store = calloc(1, sizeof *store);
    TAI_ASSERT(store != NULL);
    store->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : 1000;
    store->backoff_ms = BACKOFF_FIRST_MS;
    store->username = store_keep(options->username);
    store->password = store_keep(options->password);
    store->epoll = epoll_create1(EPOLL_CLOEXEC);
    store->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    Err err = store_read_address(store, options->address);
    struct epoll_event event = {.events = EPOLLIN};
    if (!err_is(err) &&
        (store->epoll < 0 || store->wake < 0 || epoll_ctl(store->epoll, EPOLL_CTL_ADD, store->wake, &event) != 0)) {
        err = err_retry("redis: no descriptors left: %s", strerror(errno));
    }
    if (err_is(err)) {
        store_close(store);
        return err;
    }
    store_wake(store); /* the first dispatch connects */
    *out = store;
    return err_none();
}

void store_close(Store *store)
{
    if (store == NULL) {
        return;
    }
    while (store->ring.count > 0) {
        store_fail_all(store, err_retry("redis: the store is closed"));
    }
    if (store->redis != NULL) {
        redisFree(store->redis);
    }
    if (store->epoll >= 0) {
        close(store->epoll);
    }
    if (store->wake >= 0) {
        close(store->wake);
    }
    ring_free(&store->ring);
    free(store->username);
    free(store->password);
    free(store);
}

void store_eval(Store *store, const StoreScript *script, const Str *keys, size_t key_count, const Str *arguments,
                size_t argument_count, StoreCallback *callback, void *context)
{
    TAI_ASSERT(key_count <= STORE_KEYS_MAX && argument_count <= STORE_ARGUMENTS_MAX);
    StoreRequest request = {.callback = callback, .context = context, .script = *script};
    request_copy_words(&request, keys, key_count, arguments, argument_count);
    ring_put(&store->ring, request);
    store_wake(store);
}

int store_descriptor(const Store *store)
{
    return store->epoll;
}

int64_t store_deadline_ms(const Store *store)
{
    if (store->state == STORE_AWAY) {
        return store->retry_at_ms;
    }
    if (store->state == STORE_CONNECTING || store->authenticating) {
        return store->connect_deadline_ms;
    }
    return store->ring.sent > 0 ? ring_at(&store->ring, 0)->deadline_ms : INT64_MAX;
}

bool store_is_connected(const Store *store)
{
    return store->state == STORE_CONNECTED && !store->authenticating;
}

void store_dispatch(Store *store, int64_t now_ms)
{
    store->inside_dispatch = true;
    store_clear_wake(store);
    if (store->state == STORE_AWAY && now_ms >= store->retry_at_ms) {
        store_connect(store, now_ms);
    } else if (store->state == STORE_AWAY) {
        store_fail_all(store, err_retry("%s", store->lost_why));
    }
    if (store->state == STORE_CONNECTING) {
        store_finish_connect(store, now_ms);
    }
    if (store->state == STORE_CONNECTED) {
        store_read(store, now_ms);
    }
    if (store->state != STORE_AWAY && now_ms >= store_deadline_ms(store)) {
        store_lose(store, now_ms, "no answer in time");
    }
    if (store->state == STORE_CONNECTED) {
        store_flush(store, now_ms);
    }
    store->inside_dispatch = false;
    if (store->state == STORE_AWAY && store->ring.count > 0) {
        store_wake(store);
    }
}
