/* Tests of tai-sandbox over HTTP: each starts a sandbox of its own on a free port, which dies with it. */
#include "shared/http/http.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define PATIENCE_MS 20000
#define KEY "Authorization: Bearer sk_test_tai"
#define GOOD "amount=9999&currency=usd&confirm=true&payment_method=pm_card_visa&metadata[transaction_id]=txn_1"

typedef struct {
    int calls;
    HttpResult result;
    char body[8192];
} Answer;

static pid_t process;
static int port;
static Http *http;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Starts the program with up to four arguments, and gives the end of its standard output to read. */
static int launch(const char *const arguments[4])
{
    int pipes[2];
    cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
    process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipes[1], STDOUT_FILENO);
        execl(SANDBOX_PROGRAM, "tai-sandbox", arguments[0], arguments[1], arguments[2], arguments[3], (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    return pipes[0];
}

static void start(const char *option, const char *value)
{
    const char *arguments[4] = {"--port=0", "--failure-rate=0", option, value};
    FILE *out = fdopen(launch(arguments), "r");
    char line[256] = "";
    cr_assert(fgets(line, sizeof line, out) != NULL, "the sandbox does not start");
    cr_assert_eq(sscanf(line, "tai-sandbox ready on 127.0.0.1 port %d", &port), 1, "%s", line);
    cr_assert_eq(fclose(out), 0);
}

static int stop(int signal_number)
{
    int status = -1;
    if (process > 0) {
        kill(process, signal_number);
        waitpid(process, &status, 0);
    }
    process = 0;
    return status;
}

static void before(void)
{
    signal(SIGPIPE, SIG_IGN);
    start(NULL, NULL);
    Err err = http_open(&(HttpOptions){0}, &http);
    cr_assert(!err_is(err), "%s", err.why);
}

static void after(void)
{
    http_close(http);
    stop(SIGKILL);
}

static void keep_answer(void *context, const HttpResult *result)
{
    Answer *answer = context;
    answer->calls++;
    answer->result = *result;
    (void)!str_copy_to(result->body, answer->body, sizeof answer->body);
}

static void send_with(const char *method, const char *path, const char *header, const char *key, Str body,
                      int64_t timeout_ms, Answer *answer)
{
    char url[256];
    char key_header[400];
    Buffer text = buffer_over(url, sizeof url);
    buffer_print(&text, "http://127.0.0.1:%d%s", port, path);
    Buffer key_text = buffer_over(key_header, sizeof key_header);
    buffer_print(&key_text, "Idempotency-Key: %s", key != NULL ? key : "");
    HttpRequest request = {
        .method = str_from(method), .url = buffer_str(&text), .body = body, .timeout_ms = timeout_ms};
    if (header != NULL) {
        request.headers[request.header_count] = str_from(header);
        request.header_count++;
    }
    if (key != NULL) {
        request.headers[request.header_count] = buffer_str(&key_text);
        request.header_count++;
    }
    http_send(http, &request, keep_answer, answer);
}

static void wait_for(const Answer *answer)
{
    int64_t until_ms = now_ms() + PATIENCE_MS;
    while (answer->calls == 0) {
        cr_assert(now_ms() < until_ms, "no answer");
        int64_t deadline_ms = http_deadline_ms(http);
        int64_t wait_ms = deadline_ms == INT64_MAX ? PATIENCE_MS : deadline_ms - now_ms();
        struct pollfd ready = {.fd = http_descriptor(http), .events = POLLIN};
        poll(&ready, 1, wait_ms < 0 ? 0 : (int)wait_ms);
        http_dispatch(http, now_ms());
    }
}

static Answer call(const char *method, const char *path, const char *header, const char *key, const char *body)
{
    Answer answer = {0};
    send_with(method, path, header, key, str_from(body), PATIENCE_MS, &answer);
    wait_for(&answer);
    return answer;
}

static Answer charge(const char *key, const char *body)
{
    return call("POST", "/v1/payment_intents", KEY, key, body);
}

static void behave(const char *form)
{
    Answer answer = call("POST", "/sandbox/behavior", NULL, NULL, form);
    cr_assert_eq(answer.result.status, 200, "%s", answer.body);
}

#define has(answer, text) cr_assert(strstr((answer).body, text) != NULL, "%s is not in %s", text, (answer).body)

static void assert_captured(const char *key, int count)
{
    char path[300];
    char wanted[40];
    Buffer text = buffer_over(path, sizeof path);
    buffer_print(&text, "/sandbox/charges?key=%s", key);
    Buffer member = buffer_over(wanted, sizeof wanted);
    buffer_print(&member, "\"captured\":%d,", count);
    Answer answer = call("GET", path, NULL, NULL, "");
    has(answer, wanted);
}

TestSuite(sandbox, .init = before, .fini = after);

Test(sandbox, a_confirmed_payment_intent_is_captured_and_can_be_read_again)
{
    Answer answer = charge("k1", GOOD "&metadata[%22%C3%A9]=a+b&off_session=true&description=An%20order");
    cr_assert_eq(answer.result.status, 200, "%s", answer.body);
    has(answer, "\"object\":\"payment_intent\"");
    has(answer, "\"status\":\"succeeded\"");
    has(answer, "\"amount_received\":9999");
    has(answer, "\"description\":\"An order\"");
    has(answer, "\"metadata\":{\"transaction_id\":\"txn_1\",\"\\\"\xC3\xA9\":\"a b\"}");
    cr_assert(!answer.result.idempotent_replayed);
    Answer intent = call("GET", "/v1/payment_intents/pi_3Sandbox000000000001", KEY, NULL, "");
    cr_assert_str_eq(intent.body, answer.body);
    Answer money = call("GET", "/v1/charges/ch_3Sandbox000000000001", KEY, NULL, "");
    has(money, "\"payment_intent\":\"pi_3Sandbox000000000001\"");
    has(money, "\"captured\":true");
    assert_captured("k1", 1);
}

Test(sandbox, a_charge_is_captured)
{
    Answer answer = call("POST", "/v1/charges", KEY, "k1", "amount=500&currency=EUR&source=tok_mastercard");
    cr_assert_eq(answer.result.status, 200);
    has(answer, "\"object\":\"charge\"");
    has(answer, "\"currency\":\"eur\"");
    has(answer, "\"brand\":\"mastercard\"");
    assert_captured("k1", 1);
}

Test(sandbox, an_intent_that_is_not_confirmed_moves_no_money)
{
    has(charge("k1", "amount=100&currency=usd"), "\"status\":\"requires_payment_method\"");
    has(charge("k2", "amount=100&currency=usd&payment_method=pm_x"), "\"status\":\"requires_confirmation\"");
    assert_captured("k1", 0);
}

Test(sandbox, only_the_key_of_the_account_is_let_in)
{
    const char *headers[] = {NULL, "Authorization: Bearer sk_test_other",
                             "Authorization: Basic c2tfdGVzdF90YWk=", "Authorization: Bearer sk_test_taix"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        Answer answer = call("POST", "/v1/payment_intents", headers[i], "k", GOOD);
        cr_assert_eq(answer.result.status, 401);
        has(answer, "\"type\":\"invalid_request_error\"");
        cr_assert(strstr(answer.body, "sk_test") == NULL, "no key is repeated");
    }
    Answer basic = call("POST", "/v1/payment_intents", "Authorization: Basic c2tfdGVzdF90YWk6", "k", GOOD);
    cr_assert_eq(basic.result.status, 200);
}

Test(sandbox, a_repeated_key_gets_the_first_answer_and_charges_once)
{
    Answer first = charge("k1", GOOD);
    Answer again = charge(
        "k1", "currency=usd&metadata[transaction_id]=txn_1&amount=9999&payment_method=pm_card_visa&confirm=true");
    cr_assert_eq(again.result.status, 200);
    cr_assert(again.result.idempotent_replayed);
    cr_assert_str_eq(again.body, first.body);
    assert_captured("k1", 1);
    charge("k2", GOOD);
    charge(NULL, GOOD);
    charge(NULL, GOOD);
    Answer counters = call("GET", "/sandbox/charges", NULL, NULL, "");
    has(counters, "\"captured\":4,\"keys\":2,\"max_captured_per_key\":1,\"captured_without_key\":2,\"requests\":5,"
                  "\"replayed\":1");
}

Test(sandbox, a_key_with_other_parameters_or_another_path_is_refused)
{
    charge("k1", GOOD);
    Answer misuse = charge("k1", GOOD "&description=x");
    cr_assert_eq(misuse.result.status, 400);
    has(misuse, "\"type\":\"idempotency_error\"");
    Answer path = call("POST", "/v1/charges", KEY, "k1", GOOD);
    cr_assert_eq(path.result.status, 400);
    has(path, "\"type\":\"idempotency_error\"");
    assert_captured("k1", 1);
}

Test(sandbox, a_key_is_in_use_while_its_first_request_executes)
{
    behave("latency_ms=600000");
    Answer first = {0};
    send_with("POST", "/v1/payment_intents", KEY, "k1", STR(GOOD), 200, &first);
    wait_for(&first);
    cr_assert_eq(first.result.kind, HTTP_LOST);
    behave("latency_ms=0");
    Answer second = charge("k1", GOOD);
    cr_assert_eq(second.result.status, 409);
    has(second, "\"code\":\"idempotency_key_in_use\"");
    assert_captured("k1", 1);
}

Test(sandbox, wrong_parameters_are_named_and_leave_the_key_free)
{
    static const struct {
        const char *body;
        const char *param;
        const char *code; /* NULL: none */
    } cases[] = {
        {"", "currency", "parameter_missing"},
        {"currency=usd", "amount", "parameter_missing"},
        {"amount=100", "currency", "parameter_missing"},
        {"amount=1.5&currency=usd", "amount", "parameter_invalid_integer"},
        {"amount=0&currency=usd", "amount", "parameter_invalid_integer"},
        {"amount=-5&currency=usd", "amount", "parameter_invalid_integer"},
        {"amount=49&currency=usd", "amount", "amount_too_small"},
        {"amount=49&currency=jpy", "amount", "amount_too_small"},
        {"amount=100000000&currency=usd", "amount", "amount_too_large"},
        {"amount=100&currency=xyz", "currency", NULL},
        {"amount=100&currency=us", "currency", NULL},
        {"amount=100&currency=usd&confirm=true", "payment_method", NULL},
        {"amount=100&currency=usd&confirm=yes", "confirm", NULL},
        {"amount=100&currency=usd&payment_method=visa", "payment_method", "resource_missing"},
        {"amount=100&currency=usd&nonsense=1", "nonsense", "parameter_unknown"},
        {"amount=100&currency=usd&capture_method=manual", "capture_method", NULL},
        {"amount=100&currency=usd&metadata[]=1", "metadata", NULL},
        {"amount=100&currency=usd&metadata["
         "12345678901234567890123456789012345678901234567890123456789012345678901234567"
         "890123456789012345678901234567890123456789012345678901234567890123456789012345678901]=1",
         "metadata", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char param[80];
        Buffer text = buffer_over(param, sizeof param);
        buffer_print(&text, "\"param\":\"%s\"", cases[i].param);
        Answer answer = charge("k1", cases[i].body);
        cr_assert_eq(answer.result.status, 400, "%s: %s", cases[i].body, answer.body);
        has(answer, param);
        cr_assert(cases[i].code == NULL || strstr(answer.body, cases[i].code) != NULL, "%s", answer.body);
    }
    cr_assert_eq(charge("k1", "amount=50&currency=usd&confirm=true&payment_method=pm_1").result.status, 200);
    cr_assert_eq(charge("k2", "amount=99999999&currency=usd&confirm=true&payment_method=pm_1").result.status, 200);
}

Test(sandbox, what_is_no_form_is_refused)
{
    const char *bodies[] = {"{\"amount\":100}", "amount=%zz", "amount=%4", "amount=%ff&currency=usd"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        cr_assert_eq(charge("k", bodies[i]).result.status, 400, "%s", bodies[i]);
    }
    static char large[65537];
    memset(large, 'a', sizeof large);
    Answer answer = {0};
    send_with("POST", "/v1/charges", KEY, NULL, (Str){large, sizeof large}, PATIENCE_MS, &answer);
    wait_for(&answer);
    cr_assert_eq(answer.result.status, 413);
}

Test(sandbox, test_cards_are_declined_with_their_codes_and_stay_declined)
{
    static const struct {
        const char *method;
        const char *code;
        const char *decline_code;
    } cases[] = {
        {"pm_card_chargeDeclined", "card_declined", "generic_decline"},
        {"pm_card_visa_chargeDeclined", "card_declined", "generic_decline"},
        {"pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"},
        {"pm_card_chargeDeclinedLostCard", "card_declined", "lost_card"},
        {"pm_card_chargeDeclinedExpiredCard", "expired_card", NULL},
        {"tok_chargeDeclinedProcessingError", "processing_error", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        Buffer text = buffer_over(body, sizeof body);
        buffer_print(&text, "amount=100&currency=usd&confirm=true&payment_method=%s", cases[i].method);
        Answer answer = charge(cases[i].method, body);
        cr_assert_eq(answer.result.status, 402);
        has(answer, "\"type\":\"card_error\"");
        has(answer, cases[i].code);
        has(answer, cases[i].decline_code != NULL ? cases[i].decline_code : "message");
        has(answer, "\"last_payment_error\":{");
        Answer again = charge(cases[i].method, body);
        cr_assert(again.result.idempotent_replayed && strcmp(again.body, answer.body) == 0);
        assert_captured(cases[i].method, 0);
    }
    Answer money = call("POST", "/v1/charges", KEY, "k", "amount=100&currency=usd&source=tok_chargeDeclined");
    cr_assert_eq(money.result.status, 402);
    has(money, "\"charge\":\"ch_");
}

Test(sandbox, a_failure_executes_nothing_and_is_not_remembered)
{
    behave("failure_rate=1");
    Answer failed = charge("k1", GOOD);
    cr_assert_eq(failed.result.status, 503);
    has(failed, "\"type\":\"api_error\"");
    behave("failure_rate=0&throttle_rate=1");
    Answer throttled = charge("k1", GOOD);
    cr_assert(throttled.result.status == 429 && throttled.result.retry_after_ms == 1000);
    assert_captured("k1", 0);
    behave("throttle_rate=0");
    Answer answer = charge("k1", GOOD);
    cr_assert(answer.result.status == 200 && !answer.result.idempotent_replayed);
}

Test(sandbox, a_dropped_answer_is_there_for_the_same_key)
{
    behave("drop_rate=1");
    http_close(http); /* on a kept connection the client would ask again by itself */
    Err err = http_open(&(HttpOptions){0}, &http);
    cr_assert(!err_is(err), "%s", err.why);
    cr_assert_eq(charge("k1", GOOD).result.kind, HTTP_LOST);
    Answer again = charge("k1", GOOD);
    cr_assert(again.result.status == 200 && again.result.idempotent_replayed);
    assert_captured("k1", 1);
}

Test(sandbox, an_error_after_the_charge_hides_an_answer_that_the_key_still_has)
{
    behave("error_after_rate=1");
    cr_assert_eq(charge("k1", GOOD).result.status, 500);
    Answer again = charge("k1", GOOD);
    cr_assert(again.result.status == 200 && again.result.idempotent_replayed);
    assert_captured("k1", 1);
}

Test(sandbox, an_error_from_within_stays_with_its_key)
{
    behave("saved_error_rate=1");
    cr_assert_eq(charge("k1", GOOD).result.status, 500);
    behave("saved_error_rate=0");
    Answer again = charge("k1", GOOD);
    cr_assert(again.result.status == 500 && again.result.idempotent_replayed);
    assert_captured("k1", 0);
}

Test(sandbox, a_random_decline_is_a_generic_one)
{
    behave("decline_rate=1");
    has(charge("k1", GOOD), "\"decline_code\":\"generic_decline\"");
    assert_captured("k1", 0);
}

Test(sandbox, behavior_is_changed_whole_or_not_at_all)
{
    Answer shown = call("GET", "/sandbox/behavior", NULL, NULL, "");
    const char *bodies[] = {"latency_ms=5&nonsense=1",   "latency_ms=5&drop_rate=2", "{\"latency_ms\":5,\"x\":1}",
                            "{\"latency_ms\":\"five\"}", "{\"latency_ms\":1.5}",     "{\"latency_ms\":-1}",
                            "{\"drop_rate\":null}",      "{\"latency_ms\":5",        "latency_ms="};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        cr_assert_eq(call("POST", "/sandbox/behavior", NULL, NULL, bodies[i]).result.status, 400, "%s", bodies[i]);
    }
    cr_assert_str_eq(call("GET", "/sandbox/behavior", NULL, NULL, "").body, shown.body);
    behave("{\"latency_ms\": 1, \"drop_rate\": 0.25}");
    Answer changed = call("GET", "/sandbox/behavior", NULL, NULL, "");
    has(changed, "\"drop_rate\":0.25");
    has(changed, "\"latency_ms\":1,");
}

Test(sandbox, the_book_can_be_read_as_csv_and_emptied)
{
    charge("k,\"1", GOOD);
    charge("k2", "amount=700&currency=jpy&confirm=true&payment_method=pm_1");
    Answer csv = call("GET", "/sandbox/charges.csv", NULL, NULL, "");
    cr_assert_str_eq(csv.body, "key,count,amount,currency,transaction_id\n\"k,\"\"1\",1,9999,usd,\"txn_1\"\n"
                               "\"k2\",1,700,jpy,\"\"\n");
    cr_assert_eq(call("DELETE", "/sandbox/charges", NULL, NULL, "").result.status, 200);
    has(call("GET", "/sandbox/charges", NULL, NULL, ""), "\"captured\":0,\"keys\":0,\"max_captured_per_key\":0");
    cr_assert_str_eq(call("GET", "/sandbox/charges.csv", NULL, NULL, "").body,
                     "key,count,amount,currency,transaction_id\n");
    cr_assert(!charge("k2", GOOD).result.idempotent_replayed);
}

Test(sandbox, many_answers_wait_at_once_and_a_stop_does_not_wait_for_them)
{
    static Answer answers[500];
    behave("latency_ms=1&latency_jitter_ms=50");
    for (int i = 0; i < 500; i++) {
        char key[16];
        Buffer text = buffer_over(key, sizeof key);
        buffer_print(&text, "k%d", i);
        send_with("POST", "/v1/payment_intents", KEY, key, STR(GOOD), PATIENCE_MS, &answers[i]);
    }
    for (int i = 0; i < 500; i++) {
        wait_for(&answers[i]);
        cr_assert_eq(answers[i].result.status, 200);
    }
    behave("latency_ms=600000");
    Answer late = {0};
    send_with("POST", "/v1/payment_intents", KEY, "late", STR(GOOD), 200, &late);
    wait_for(&late);
    cr_assert_eq(stop(SIGTERM), 0, "exit 0");
}

Test(sandbox, what_is_not_there_is_404_and_what_is_not_allowed_405)
{
    const char *paths[] = {"/v1/charges/ch_1", "/v1/payment_intents/pi_3Sandbox000000000009",
                           "/v1/refunds",      "/v1/",
                           "/sandbox/nothing", "/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        cr_assert_eq(call("GET", paths[i], KEY, NULL, "").result.status, 404, "%s", paths[i]);
    }
    cr_assert_eq(call("PUT", "/sandbox/behavior", NULL, NULL, "").result.status, 405);
    cr_assert_eq(call("POST", "/sandbox/charges", NULL, NULL, "").result.status, 405);
}

Test(sandbox, a_journal_keeps_charges_and_keys_over_a_kill)
{
    char folder[] = "/tmp/tai-sandbox-XXXXXX";
    char path[64];
    cr_assert(mkdtemp(folder) != NULL);
    Buffer text = buffer_over(path, sizeof path);
    buffer_print(&text, "%s/journal", folder);
    stop(SIGKILL);
    start("--journal", path);
    Answer first = charge("k1", GOOD "&metadata[x]=%22");
    charge("k2", "amount=100&currency=usd&confirm=true&payment_method=pm_card_chargeDeclined");
    stop(SIGKILL);
    FILE *journal = fopen(path, "a");
    cr_assert(fputs("{\"number\":7,\"key\":\"half", journal) >= 0 && fclose(journal) == 0);
    for (int times = 0; times < 2; times++) {
        start("--journal", path);
        has(call("GET", "/sandbox/charges", NULL, NULL, ""), "\"captured\":1,\"keys\":1,\"max_captured_per_key\":1");
        Answer again = charge("k1", GOOD "&metadata[x]=%22");
        cr_assert(again.result.idempotent_replayed);
        cr_assert_str_eq(again.body, first.body);
        stop(SIGKILL);
    }
    cr_assert(unlink(path) == 0 && rmdir(folder) == 0);
}

static int exit_status(const char *option, const char *value)
{
    const char *arguments[4] = {option, value, NULL, NULL};
    int status = 0;
    stop(SIGKILL);
    int out = launch(arguments);
    waitpid(process, &status, 0);
    close(out);
    process = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(sandbox, a_wrong_command_line_a_taken_port_and_a_bad_journal_have_their_exit_codes)
{
    static const char *const wrong[][2] = {{"--port", "65536"},  {"--port", "x"},           {"--drop-rate", "1.1"},
                                           {"--nonsense", NULL}, {"--key", "sk_live_real"}, {"--address", "nowhere"},
                                           {"extra", NULL},      {"--latency-ms", "-1"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(exit_status(wrong[i][0], wrong[i][1]), 64, "%s", wrong[i][0]);
    }
    cr_assert_eq(exit_status("--help", NULL), 0);
    cr_assert_eq(exit_status("--version", NULL), 0);
    cr_assert_eq(exit_status("--journal", "/proc/version"), 78);
    start(NULL, NULL);
    pid_t first = process;
    char taken[16];
    Buffer text = buffer_over(taken, sizeof taken);
    buffer_print(&text, "%d", port);
    process = 0;
    cr_assert_eq(exit_status("--port", taken), 69);
    process = first;
}
