/* kill - every process is killed with -9 in turn, several times, under load; then the money is counted.
 *
 * Clients pay over HTTP, with and without keys, repeating what got no answer when they have a key; others publish
 * directly. The sandbox is slow, fails, throttles, declines some cards, drops answers and errs after having charged. In
 * the end the sandbox's book and the ledger must tell one story (invariants 1, 2, 4, 6, 8). TAI_CHAOS_SEED repeats a
 * run as far as the machine's timing allows. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/pay.h"

#define ROUNDS 3
#define HTTP_CLIENTS 5
#define DIRECT_CLIENTS 2
#define CLIENTS (HTTP_CLIENTS + DIRECT_CLIENTS)
#define SETTLE_MS 90000

#define SETTINGS                                                                                                       \
    "TAI_POLICY_LANES_POLICY_ACK_WAIT_MS=2000 TAI_POLICY_LANES_POLICY_MAX_TRIES=1000 "                                 \
    "TAI_ACTION_LANES_CHARGE_ACK_WAIT_MS=2000 TAI_ACTION_LANES_CHARGE_MAX_TRIES=1000 "                                 \
    "TAI_ACTION_BREAKER_OPEN_MS=300 TAI_ACTION_BREAKER_OPEN_MAX_MS=600 TAI_ACTION_CHARGE_KEEP_MS=200 "                 \
    "TAI_ACTION_CHARGE_KEEP_MAX_MS=1000 TAI_ACTION_CHARGE_BACKOFF_MS=20 TAI_ACTION_CHARGE_BACKOFF_MAX_MS=200 "         \
    "TAI_ACTION_CHARGE_TIMEOUT_MS=3000"
#define SANDBOX                                                                                                        \
    "--latency-ms 20 --latency-jitter-ms 60 --failure-rate 0.05 --throttle-rate 0.02 "                                 \
    "--drop-rate 0.05 --error-after-rate 0.03 --seed"

/* What clients were told: transaction id → the statuses they saw, "" for a mere PubAck. */
typedef struct {
    Stack *stack;
    json_t *told;
    pthread_mutex_t lock;
    atomic_bool over;
    atomic_int asked;
    unsigned seed;
} Chaos;

typedef struct {
    Chaos *chaos;
    int number;
    unsigned random;
} Client;

static int chance(unsigned *random, int below)
{
    return rand_r(random) % below;
}

static void chaos_tell(Chaos *chaos, const char *id, const char *status)
{
    pthread_mutex_lock(&chaos->lock);
    json_t *seen = json_object_get(chaos->told, id);
    if (!seen) {
        seen = json_object();
        json_object_set_new(chaos->told, id, seen);
    }
    json_object_set_new(seen, status, json_true());
    pthread_mutex_unlock(&chaos->lock);
}

/* Whether the answer says that the payment is on the ledger. 202 with a "detail" says that it is not known. */
static bool answer_is_accepted(const Answer *answer)
{
    return *json_text(answer->json, "transaction_id") && !json_at(answer->json, "detail");
}

static void client_pay(Client *client, int payment)
{
    Chaos *chaos = client->chaos;
    Stack *stack = chaos->stack;
    const char *customer = stack_print(stack, "k%d.%d", client->number, chance(&client->random, 8) ? payment : 0);
    const char *amount = chance(&client->random, 6) ? "10.01" : "5001";
    /* Declined by its card, not by chance: the sandbox forgets declines when it is killed, as no real gateway does. */
    const char *card = chance(&client->random, 10) ? "pm_card_visa" : "pm_card_chargeDeclined";
    const char *body = stack_print(stack,
                                   "{\"amount\":%s,\"currency\":\"USD\",\"customer_id\":\"%s\",\"merchant_id\":\"m\","
                                   "\"payment_method\":\"%s\"}",
                                   amount, customer, card);
    bool keyed = chance(&client->random, 2);
    const char *headers = keyed
                              ? stack_print(stack, "Idempotency-Key: k-%d-%d\nPrefer: wait=2", client->number, payment)
                              : "Prefer: wait=2";
    int tries = keyed ? 1 + chance(&client->random, 3) : 1;
    bool answered = false;
    for (int i = 0; i < tries || (keyed && !answered && i < 50); i++) {
        Answer answer = http_try(stack, (Call){.method = "POST", .path = "/payment", .body = body, .headers = headers});
        answered = answer_is_accepted(&answer);
        if (answered) {
            chaos_tell(chaos, json_text(answer.json, "transaction_id"), json_text(answer.json, "status"));
        } else {
            clock_pause(50);
        }
    }
}

static void client_publish(Client *client, int payment)
{
    Chaos *chaos = client->chaos;
    Stack *stack = chaos->stack;
    const char *key = stack_print(stack, "d-%d-%d", client->number, payment);
    const char *body = pay_body(stack, key, "10.01", "EUR");
    jsPubOptions options;
    jsPubOptions_Init(&options);
    options.MsgId = key;
    options.MaxWait = 1000;
    for (int i = 0; i < 50; i++) {
        jsPubAck *ack = NULL;
        natsStatus status =
            js_Publish(&ack, stack->js, "tai.payment.signal.direct", body, (int)strlen(body), &options, NULL);
        jsPubAck_Destroy(ack);
        if (status == NATS_OK) {
            chaos_tell(chaos, transaction_of_key(stack, "direct", key), "");
            return;
        }
        clock_pause(50);
    }
}

static void *client_run(void *context)
{
    Client *client = context;
    for (int payment = 1; !atomic_load(&client->chaos->over); payment++) {
        if (client->number < HTTP_CLIENTS) {
            client_pay(client, payment);
        } else {
            client_publish(client, payment);
            clock_pause(40);
        }
        atomic_fetch_add(&client->chaos->asked, 1);
    }
    return NULL;
}

/* Kills each process in turn; it stays away for a moment. */
static void chaos_kill_all(Chaos *chaos)
{
    static const Kind order[] = {STACK_POLICY,  STACK_ACTION, STACK_GATEWAY, STACK_METRICS, STACK_NATS,
                                 STACK_SANDBOX, STACK_REDIS,  STACK_ACTION,  STACK_POLICY,  STACK_NATS};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        clock_pause(200 + chance(&chaos->seed, 700));
        int index = chance(&chaos->seed, chaos->stack->counts[order[i]]);
        stack_kill(chaos->stack, order[i], index, SIGKILL);
        clock_pause(chance(&chaos->seed, 500));
        stack_begin(chaos->stack, order[i], index);
    }
}

static void chaos_load_and_kill(Chaos *chaos)
{
    pthread_t threads[CLIENTS];
    Client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (Client){.chaos = chaos, .number = i, .random = chaos->seed + (unsigned)i};
        cr_assert_eq(pthread_create(&threads[i], NULL, client_run, &clients[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        chaos_kill_all(chaos);
    }
    atomic_store(&chaos->over, true);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* --- counting -------------------------------------------------------------------------------------------------- */

typedef struct {
    json_t *outcomes; /* transaction id → status name */
    json_t *captured; /* key → how often */
    size_t successes;
} Books;

static const char *signal_transaction(Stack *stack, const Entry *entry)
{
    const char *publisher = entry->subject + strlen("tai.payment.signal.");
    const char *id = strchr(publisher, '.');
    if (id) {
        return id + 1;
    }
    PaymentSignal signal;
    Err err = wire_decode_payment_signal(&stack->arena, entry->body, &signal);
    cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
    if (signal.transaction_id.length > 0) {
        return stack_print(stack, STR_FMT, STR_ARG(signal.transaction_id));
    }
    return transaction_of_key(stack, publisher, entry->msg_id);
}

static void books_read_outcomes(Stack *stack, Books *books)
{
    Entries entries = ledger_read(stack, "PAYMENT", "tai.payment.outcome.>");
    for (size_t i = 0; i < entries.count; i++) {
        PaymentOutcome outcome;
        Err err = wire_decode_payment_outcome(&stack->arena, entries.entries[i].body, &outcome);
        cr_assert_eq(err.kind, ERR_NONE, "%s", err.why);
        const char *id = entries.entries[i].subject + strlen("tai.payment.outcome.");
        cr_assert_null(json_object_get(books->outcomes, id), "%s has two outcomes", id);
        json_object_set_new(books->outcomes, id, json_string(payment_status_name(outcome.status)));
        books->successes += outcome.status == PAYMENT_SUCCESS;
    }
}

static void books_read_sandbox(Stack *stack, Books *books)
{
    Answer csv = http_call(stack, (Call){.method = "GET", .path = "/sandbox/charges.csv", .to = STACK_SANDBOX});
    cr_assert_eq(csv.status, 200);
    const char *line = strchr(csv.body, '\n') + 1;
    for (; *line; line = strchr(line, '\n') + 1) {
        char key[200];
        int count = 0;
        cr_assert_eq(sscanf(line, "\"%199[^\"]\",%d", key, &count), 2, "%s", line);
        json_object_set_new(books->captured, key, json_integer(count));
    }
}

static void check_signals_ended(Stack *stack, const Books *books)
{
    Entries signals = ledger_read(stack, "PAYMENT", "tai.payment.signal.>");
    for (size_t i = 0; i < signals.count; i++) {
        const char *id = signal_transaction(stack, &signals.entries[i]);
        cr_expect_not_null(json_object_get(books->outcomes, id), "%s has no outcome", id);
    }
    Entries dead = ledger_read(stack, "DEAD", NULL);
    cr_expect_eq(dead.count, 0, "%zu dead letters, the first: %s", dead.count,
                 dead.count ? dead.entries[0].headers : "");
}

static void check_what_clients_were_told(const Chaos *chaos, const Books *books)
{
    const char *id;
    json_t *seen;
    json_object_foreach(chaos->told, id, seen)
    {
        const char *outcome = json_text(books->outcomes, id);
        cr_expect_str_not_empty(outcome, "%s was accepted and has no outcome", id);
        const char *status;
        json_t *ignored;
        json_object_foreach(seen, status, ignored)
        {
            bool final = *status && strcmp(status, "PENDING") != 0;
            cr_expect(!final || strcmp(status, outcome) == 0, "%s was said to be %s and is %s", id, status, outcome);
        }
    }
}

static void check_money(Stack *stack, const Books *books)
{
    const char *key;
    json_t *count;
    json_object_foreach(books->captured, key, count)
    {
        cr_expect_eq(json_integer_value(count), 1, "%s was charged %d times", key, (int)json_integer_value(count));
        if (strcmp(json_text(books->outcomes, key), "SUCCESS") != 0) {
            cr_expect_fail("%s was charged, but: %s", key, pay_look(stack, key).body);
        }
    }
    cr_expect_eq(json_object_size(books->captured), books->successes, "%zu charged, %zu SUCCESS",
                 json_object_size(books->captured), books->successes);
}

static void check_figures(Stack *stack, const Books *books)
{
    size_t total = json_object_size(books->outcomes);
    Answer said = {0};
    WAIT_UNTIL((said = http_get(stack, "/metrics"), (size_t)json_number(said.json, "total_transactions") >= total));
    cr_expect_eq((size_t)json_number(said.json, "total_transactions"), total, "%s", said.body);
    cr_expect_eq((size_t)json_number(said.json, "successful_transactions"), books->successes, "%s", said.body);
}

static void print_summary(const Chaos *chaos, const Books *books)
{
    json_t *counts = json_object();
    const char *id;
    json_t *status;
    json_object_foreach(books->outcomes, id, status)
    {
        json_t *before = json_object_get(counts, json_string_value(status));
        json_object_set_new(counts, json_string_value(status), json_integer(json_integer_value(before) + 1));
    }
    char *text = json_dumps(counts, JSON_SORT_KEYS);
    printf("%d payments asked for, %zu known to be accepted, %zu charged, outcomes %s\n", atomic_load(&chaos->asked),
           json_object_size(chaos->told), json_object_size(books->captured), text);
    free(text);
    json_decref(counts);
}

Test(kill, every_process_in_turn_under_load_and_count_the_money)
{
    const char *given = getenv("TAI_CHAOS_SEED");
    Chaos chaos = {.seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL)};
    printf("TAI_CHAOS_SEED=%u\n", chaos.seed);
    char sandbox[400];
    snprintf(sandbox, sizeof sandbox, "%s %u", SANDBOX, chaos.seed);
    chaos.stack = stack_start(&(StackPlan){.policies = 2, .actions = 2, .sandbox = sandbox, .settings = SETTINGS});
    chaos.told = json_object();
    pthread_mutex_init(&chaos.lock, NULL);
    stack_js(chaos.stack);
    chaos_load_and_kill(&chaos);

    sandbox_behave(chaos.stack,
                   "{\"failure_rate\": 0, \"throttle_rate\": 0, \"drop_rate\": 0, \"error_after_rate\": 0}");
    WAIT_UNTIL_WITHIN(ledger_lanes_are_empty(chaos.stack), SETTLE_MS);
    Books books = {.outcomes = json_object(), .captured = json_object()};
    books_read_outcomes(chaos.stack, &books);
    books_read_sandbox(chaos.stack, &books);
    print_summary(&chaos, &books);
    check_signals_ended(chaos.stack, &books);
    check_what_clients_were_told(&chaos, &books);
    check_money(chaos.stack, &books);
    check_figures(chaos.stack, &books);
    cr_assert_gt(json_object_size(chaos.told), 200, "too few payments to mean anything");
    json_decref(books.outcomes);
    json_decref(books.captured);
    json_decref(chaos.told);
    pthread_mutex_destroy(&chaos.lock);
    stack_stop(chaos.stack);
}
