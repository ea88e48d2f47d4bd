/* Tests of shared/store against a redis-server of their own: each test starts one on a socket in a folder of its own,
 * and it dies with the test. */
#include "shared/store/store.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define PATIENCE_MS 20000

typedef struct {
    char folder[64];
    char socket[96];
    pid_t process;
} Server;

typedef struct {
    int calls;
    Err err;
    int64_t values[STORE_VALUES_MAX];
    size_t count;
} Answer;

static Server server;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool server_answers(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cr_assert(str_copy_to(str_from(server.socket), address.sun_path, sizeof address.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

static void server_start(const char *password)
{
    server.process = fork();
    if (server.process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        cr_assert(freopen("/dev/null", "w", stdout) != NULL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server.socket, "--save", "", "--dir",
               server.folder, "--requirepass", password, (char *)NULL);
        _exit(127);
    }
    int64_t until_ms = now_ms() + PATIENCE_MS;
    while (!server_answers()) {
        cr_assert(now_ms() < until_ms, "redis-server does not start");
        poll(NULL, 0, 5);
    }
}

static void server_kill(void)
{
    if (server.process > 0) {
        kill(server.process, SIGKILL);
        waitpid(server.process, NULL, 0);
        unlink(server.socket);
    }
    server.process = 0;
}

static void before(void)
{
    signal(SIGPIPE, SIG_IGN);
    cr_assert(str_copy_to(STR("/tmp/tai-store-XXXXXX"), server.folder, sizeof server.folder));
    cr_assert(mkdtemp(server.folder) != NULL);
    Buffer path = buffer_over(server.socket, sizeof server.socket);
    buffer_print(&path, "%s/redis", server.folder);
    server_start("");
}

static void after(void)
{
    server_kill();
    rmdir(server.folder);
}

static Store *open_with(Str username, Str password, int64_t timeout_ms)
{
    static char address[128];
    Buffer text = buffer_over(address, sizeof address);
    buffer_print(&text, "unix:%s", server.socket);
    StoreOptions options = {
        .address = buffer_str(&text), .username = username, .password = password, .timeout_ms = timeout_ms};
    Store *store = NULL;
    Err err = store_open(&options, &store);
    cr_assert(!err_is(err), "%s", err.why);
    return store;
}

static Store *open_store(void)
{
    return open_with(STR(""), STR(""), PATIENCE_MS);
}

/* One turn of a loop: sleeps until the store has something to do. */
static void turn(Store *store)
{
    struct pollfd ready = {.fd = store_descriptor(store), .events = POLLIN};
    int64_t wait_ms = store_deadline_ms(store) == INT64_MAX ? PATIENCE_MS : store_deadline_ms(store) - now_ms();
    poll(&ready, 1, wait_ms < 0 ? 0 : (int)wait_ms);
    store_dispatch(store, now_ms());
}

static void run_until(Store *store, const int *value, int wanted)
{
    int64_t until_ms = now_ms() + PATIENCE_MS;
    while (*value < wanted) {
        cr_assert(now_ms() < until_ms, "%d of %d answers", *value, wanted);
        turn(store);
    }
}

static void run_until_connected(Store *store)
{
    int64_t until_ms = now_ms() + PATIENCE_MS;
    while (!store_is_connected(store)) {
        cr_assert(now_ms() < until_ms, "never connected");
        turn(store);
    }
}

static void keep_answer(void *context, Err err, const int64_t *values, size_t count)
{
    Answer *answer = context;
    answer->calls++;
    answer->err = err;
    answer->count = count;
    if (count > 0) {
        memcpy(answer->values, values, count * sizeof *values);
    }
}

static Answer ask(Store *store, Str source)
{
    StoreScript script = store_script(source);
    Answer answer = {0};
    store_eval(store, &script, NULL, 0, NULL, 0, keep_answer, &answer);
    run_until(store, &answer.calls, 1);
    return answer;
}

TestSuite(store, .init = before, .fini = after);

Test(store, a_script_is_named_by_the_sha1_of_its_source)
{
    cr_assert_str_eq(store_script(STR("return 1")).sha1, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
}

Test(store, an_address_without_host_port_or_path_is_refused)
{
    const char *addresses[] = {"",      "localhost", "localhost:", "localhost:0", "localhost:65536",
                               ":6379", "unix:",     "a:b"};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        Store *store = NULL;
        Err err = store_open(&(StoreOptions){.address = str_from(addresses[i])}, &store);
        cr_assert_eq(err.kind, ERR_REJECT, "%s", addresses[i]);
    }
}

Test(store, a_script_gets_its_keys_and_arguments_and_its_integers_come_back)
{
    Store *store = open_store();
    StoreScript script =
        store_script(STR("return {#KEYS, #ARGV, #ARGV[2], tonumber(ARGV[1]) + 1, redis.call('incr', KEYS[2])}"));
    Str keys[] = {STR("a"), STR("b")};
    Str arguments[] = {STR("41"), {"x\0\r\ny", 5}, STR("")};
    Answer answer = {0};
    store_eval(store, &script, keys, 2, arguments, 3, keep_answer, &answer);
    cr_assert_eq(answer.calls, 0);
    run_until(store, &answer.calls, 1);
    int64_t wanted[] = {2, 3, 5, 42, 1};
    cr_assert(!err_is(answer.err), "%s", answer.err.why);
    cr_assert_eq(answer.count, 5);
    cr_assert_arr_eq(answer.values, wanted, sizeof wanted);
    store_close(store);
}

Test(store, one_integer_and_no_value_are_answers_too)
{
    Store *store = open_store();
    Answer one = ask(store, STR("return -7"));
    cr_assert(one.count == 1 && one.values[0] == -7);
    Answer none = ask(store, STR("return {}"));
    cr_assert(!err_is(none.err) && none.count == 0);
    Answer eight = ask(store, STR("return {1,2,3,4,5,6,7,8}"));
    cr_assert(eight.count == 8 && eight.values[7] == 8);
    store_close(store);
}

Test(store, an_answer_of_another_type_is_rejected)
{
    Store *store = open_store();
    const char *sources[] = {"return 'text'",
                             "return nil",
                             "return {1, 'text'}",
                             "return {1, {2}}",
                             "return {1,2,3,4,5,6,7,8,9}",
                             "return redis.status_reply('FINE')"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        Answer answer = ask(store, str_from(sources[i]));
        cr_assert_eq(answer.err.kind, ERR_REJECT, "%s: %s", sources[i], answer.err.why);
        cr_assert_eq(answer.count, 0);
    }
    cr_assert(store_is_connected(store));
    store_close(store);
}

Test(store, an_error_of_the_server_is_a_retry_in_its_words)
{
    Store *store = open_store();
    const char *codes[] = {"LOADING Redis is loading the dataset in memory", "BUSY Redis is busy running a script",
                           "READONLY You can't write against a read only replica.", "ERR nonsense"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char source[128];
        Buffer text = buffer_over(source, sizeof source);
        buffer_print(&text, "return redis.error_reply(\"%s\")", codes[i]);
        Answer answer = ask(store, buffer_str(&text));
        cr_assert_eq(answer.err.kind, ERR_RETRY);
        cr_assert(strstr(answer.err.why, codes[i]) != NULL, "%s", answer.err.why);
    }
    store_close(store);
}

Test(store, sixty_four_requests_leave_in_one_write_and_are_one_round_trip)
{
    Store *store = open_store();
    StoreScript script = store_script(STR("return tonumber(ARGV[1])"));
    ask(store, script.source);
    Answer answers[64] = {0};
    for (int i = 0; i < 64; i++) {
        char number[8];
        Buffer text = buffer_over(number, sizeof number);
        buffer_print(&text, "%d", i);
        Str argument = buffer_str(&text);
        store_eval(store, &script, NULL, 0, &argument, 1, keep_answer, &answers[i]);
    }
    kill(server.process, SIGSTOP);
    store_dispatch(store, now_ms()); /* the server sees nothing before all of them have left */
    kill(server.process, SIGCONT);
    for (int turns = 0; answers[63].calls == 0 && turns < 4; turns++) {
        turn(store);
    }
    for (int i = 0; i < 64; i++) {
        cr_assert_eq(answers[i].calls, 1);
        cr_assert(answers[i].count == 1 && answers[i].values[0] == i, "answers keep their order");
    }
    store_close(store);
}

Test(store, more_requests_than_the_socket_takes_at_once_all_come_back)
{
    Store *store = open_store();
    StoreScript script = store_script(STR("return #ARGV[1]"));
    static char text[10000];
    memset(text, 'x', sizeof text);
    Str argument = {text, sizeof text};
    static Answer answers[2000];
    for (int i = 0; i < 2000; i++) {
        store_eval(store, &script, NULL, 0, &argument, 1, keep_answer, &answers[i]);
    }
    for (int i = 0; i < 2000; i++) {
        run_until(store, &answers[i].calls, 1);
        cr_assert(answers[i].calls == 1 && answers[i].values[0] == 10000, "%s", answers[i].err.why);
    }
    store_close(store);
}

Test(store, a_server_that_forgot_the_scripts_learns_them_again_in_mid_flight)
{
    Store *store = open_store();
    StoreScript work = store_script(STR("return redis.call('incr', KEYS[1])"));
    StoreScript known = store_script(STR("return 5"));
    Str key = STR("n");
    ask(store, known.source);
    Answer answers[32] = {0};
    Answer others[32] = {0};
    for (int i = 0; i < 32; i++) {
        store_eval(store, &work, &key, 1, NULL, 0, keep_answer, &answers[i]);
        store_eval(store, &known, NULL, 0, NULL, 0, keep_answer, &others[i]);
        if (i == 16) {
            char command[160];
            Buffer text = buffer_over(command, sizeof command);
            buffer_print(&text, "redis-cli -s %s script flush > /dev/null", server.socket);
            cr_assert_eq(system(command), 0);
            store_dispatch(store, now_ms());
        }
    }
    int64_t sum = 0;
    for (int i = 0; i < 32; i++) {
        run_until(store, &answers[i].calls, 1);
        run_until(store, &others[i].calls, 1);
        cr_assert(!err_is(answers[i].err) && !err_is(others[i].err), "%s", answers[i].err.why);
        cr_assert_eq(others[i].values[0], 5);
        sum += answers[i].values[0];
    }
    cr_assert_eq(sum, 32 * 33 / 2, "each ran exactly once");
    store_close(store);
}

Test(store, a_request_on_an_idle_store_makes_the_descriptor_readable)
{
    Store *store = open_store();
    ask(store, STR("return 1"));
    struct pollfd ready = {.fd = store_descriptor(store), .events = POLLIN};
    cr_assert_eq(poll(&ready, 1, 0), 0);
    cr_assert_eq(store_deadline_ms(store), INT64_MAX);
    StoreScript script = store_script(STR("return 1"));
    Answer answer = {0};
    store_eval(store, &script, NULL, 0, NULL, 0, keep_answer, &answer);
    cr_assert_eq(poll(&ready, 1, 0), 1);
    run_until(store, &answer.calls, 1);
    cr_assert_eq(poll(&ready, 1, 0), 0);
    store_close(store);
}

Test(store, a_killed_server_fails_each_outstanding_request_once_and_a_new_one_is_found_again)
{
    Store *store = open_store();
    StoreScript script = store_script(STR("return 1"));
    ask(store, script.source);
    kill(server.process, SIGSTOP);
    Answer answers[100] = {0};
    for (int i = 0; i < 100; i++) {
        if (i == 50) {
            store_dispatch(store, now_ms()); /* half of them are sent */
        }
        store_eval(store, &script, NULL, 0, NULL, 0, keep_answer, &answers[i]);
    }
    server_kill();
    run_until(store, &answers[99].calls, 1);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(answers[i].calls, 1);
        cr_assert_eq(answers[i].err.kind, ERR_RETRY);
    }
    cr_assert(!store_is_connected(store));
    Answer away = ask(store, script.source);
    cr_assert_eq(away.err.kind, ERR_RETRY);
    server_start("");
    run_until_connected(store);
    cr_assert(!err_is(ask(store, script.source).err));
    cr_assert_eq(answers[0].calls, 1);
    store_close(store);
}

Test(store, a_server_that_does_not_answer_in_time_fails_what_was_asked_and_is_connected_to_anew)
{
    Store *store = open_with(STR(""), STR(""), 100);
    StoreScript script = store_script(STR("return 1"));
    run_until_connected(store);
    kill(server.process, SIGSTOP);
    Answer first = {0};
    Answer second = {0};
    store_eval(store, &script, NULL, 0, NULL, 0, keep_answer, &first);
    store_eval(store, &script, NULL, 0, NULL, 0, keep_answer, &second);
    run_until(store, &second.calls, 1);
    cr_assert_eq(first.calls, 1);
    cr_assert_eq(first.err.kind, ERR_RETRY);
    cr_assert(strstr(first.err.why, "no answer in time") != NULL, "%s", first.err.why);
    kill(server.process, SIGCONT);
    Answer answer = {.err = {.kind = ERR_RETRY}};
    for (int64_t until_ms = now_ms() + PATIENCE_MS; err_is(answer.err) && now_ms() < until_ms;) {
        run_until_connected(store);
        answer = ask(store, script.source);
    }
    cr_assert(!err_is(answer.err), "%s", answer.err.why);
    cr_assert_eq(first.calls, 1);
    store_close(store);
}

Test(store, closing_fails_what_is_outstanding)
{
    Store *store = open_store();
    StoreScript script = store_script(STR("return 1"));
    run_until_connected(store);
    kill(server.process, SIGSTOP);
    Answer sent = {0};
    Answer unsent = {0};
    store_eval(store, &script, NULL, 0, NULL, 0, keep_answer, &sent);
    store_dispatch(store, now_ms());
    store_eval(store, &script, NULL, 0, NULL, 0, keep_answer, &unsent);
    store_close(store);
    cr_assert(sent.calls == 1 && sent.err.kind == ERR_RETRY);
    cr_assert(unsent.calls == 1 && unsent.err.kind == ERR_RETRY);
}

typedef struct {
    Store *store;
    StoreScript script;
    Answer inner;
    int calls;
} Chain;

static void ask_again(void *context, Err err, const int64_t *values, size_t count)
{
    (void)values;
    (void)count;
    Chain *chain = context;
    cr_assert(!err_is(err), "%s", err.why);
    chain->calls++;
    store_eval(chain->store, &chain->script, NULL, 0, NULL, 0, keep_answer, &chain->inner);
}

Test(store, a_callback_may_ask_again)
{
    Chain chain = {.store = open_store(), .script = store_script(STR("return 3"))};
    store_eval(chain.store, &chain.script, NULL, 0, NULL, 0, ask_again, &chain);
    run_until(chain.store, &chain.inner.calls, 1);
    cr_assert(chain.calls == 1 && chain.inner.values[0] == 3);
    store_close(chain.store);
}

Test(store, a_password_is_given_before_anything_is_asked)
{
    server_kill();
    server_start("open sesame");
    Store *store = open_with(STR(""), STR("open sesame"), PATIENCE_MS);
    cr_assert_eq(ask(store, STR("return 1")).values[0], 1);
    store_close(store);
    store = open_with(STR("default"), STR("open sesame"), PATIENCE_MS);
    cr_assert_eq(ask(store, STR("return 1")).values[0], 1);
    store_close(store);
}

Test(store, a_wrong_password_is_a_retry_that_does_not_repeat_it)
{
    server_kill();
    server_start("open sesame");
    Store *store = open_with(STR(""), STR("guess-1234"), PATIENCE_MS);
    Answer answer = ask(store, STR("return 1"));
    cr_assert_eq(answer.err.kind, ERR_RETRY);
    cr_assert(strstr(answer.err.why, "WRONGPASS") != NULL, "%s", answer.err.why);
    cr_assert(strstr(answer.err.why, "guess") == NULL);
    cr_assert(!store_is_connected(store));
    store_close(store);
}
