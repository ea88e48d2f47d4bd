/* pay - what most tests do: pay, and look at the sandbox what was charged. */
#ifndef TAI_TESTS_PAY_H
#define TAI_TESTS_PAY_H

#include "tests/support/http.h"
#include "tests/support/ledger.h"

/* The README's payment. */
#define PAYMENT                                                                                                        \
    "{\"amount\": 99.99, \"customer_id\": \"cust_123\", \"currency\": \"USD\", \"merchant_id\": \"merc_456\"}"

/* A payment's JSON. */
const char *pay_body(Stack *stack, const char *customer, const char *amount, const char *currency);

Answer pay(Stack *stack, const char *body);
Answer pay_with(Stack *stack, const char *body, const char *headers); /* "Idempotency-Key: order-1" */
Answer pay_look(Stack *stack, const char *transaction_id);            /* GET /payment/{id} */

/* Asks until the status is `status`, and answers the last answer. */
Answer pay_wait(Stack *stack, const char *transaction_id, const char *status);

/* A problem+json with all its members and this status. */
void check_problem(Stack *stack, const Answer *answer, long status);

/* How the sandbox behaves from now on: JSON as POST /sandbox/behavior takes it. */
void sandbox_behave(Stack *stack, const char *behavior);

json_t *sandbox_charges(Stack *stack, const char *key); /* key NULL: all */
size_t sandbox_captured(Stack *stack, const char *key); /* how many; key NULL: all */

#endif
