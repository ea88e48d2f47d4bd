/* pay - what most tests do: pay, and look at the sandbox what was charged. */
#include "tests/support/pay.h"

#include <string.h>

const char *pay_body(Stack *stack, const char *customer, const char *amount, const char *currency)
{
    return stack_print(stack,
                       "{\"amount\": %s, \"customer_id\": \"%s\", \"currency\": \"%s\", \"merchant_id\": \"merc_456\"}",
                       amount, customer, currency);
}

Answer pay(Stack *stack, const char *body)
{
    return http_post(stack, "/payment", body);
}

Answer pay_with(Stack *stack, const char *body, const char *headers)
{
    return http_call(stack, (Call){.method = "POST", .path = "/payment", .body = body, .headers = headers});
}

Answer pay_look(Stack *stack, const char *transaction_id)
{
    return http_get(stack, stack_print(stack, "/payment/%s", transaction_id));
}

Answer pay_wait(Stack *stack, const char *transaction_id, const char *status)
{
    Answer answer = {0};
    WAIT_UNTIL((answer = pay_look(stack, transaction_id), strcmp(json_text(answer.json, "status"), status) == 0));
    return answer;
}

void check_problem(Stack *stack, const Answer *answer, long status)
{
    cr_assert_eq(answer->status, status, "%ld instead of %ld: %s", answer->status, status, answer->body);
    const char *type = http_header(stack, answer, "Content-Type");
    cr_assert_eq(strncmp(type, "application/problem+json", 24), 0, "Content-Type: %s", type);
    cr_assert_eq((long)json_number(answer->json, "status"), status, "%s", answer->body);
    cr_assert_str_not_empty(json_text(answer->json, "title"), "%s", answer->body);
    cr_assert_str_not_empty(json_text(answer->json, "type"), "%s", answer->body);
    cr_assert_str_not_empty(json_text(answer->json, "detail"), "%s", answer->body);
}

void sandbox_behave(Stack *stack, const char *behavior)
{
    Answer answer =
        http_call(stack, (Call){.method = "POST", .path = "/sandbox/behavior", .body = behavior, .to = STACK_SANDBOX});
    cr_assert_eq(answer.status / 100, 2, "%s", answer.body);
}

json_t *sandbox_charges(Stack *stack, const char *key)
{
    const char *path = key ? stack_print(stack, "/sandbox/charges?key=%s", key) : "/sandbox/charges";
    Answer answer = http_call(stack, (Call){.method = "GET", .path = path, .to = STACK_SANDBOX});
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    return answer.json;
}

size_t sandbox_captured(Stack *stack, const char *key)
{
    return (size_t)json_number(sandbox_charges(stack, key), "captured");
}
