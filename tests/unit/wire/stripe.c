/* Tests of Stripe's answers: what is evidence, and what is not. */
#include "shared/wire/stripe.h"

#include <stdlib.h>

#include "tests/unit/wire/samples.h"

typedef struct {
    int status;
    const char *body;
    ChargeAnswer answer;
} Case;

#define INTENT(status) "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"status\":\"" status "\"}"
#define ERROR(type) "{\"error\":{\"type\":\"" type "\",\"code\":\"c\",\"message\":\"m\"}}"

static const Case cases[] = {
    {200, INTENT("succeeded"), CHARGE_SUCCEEDED},
    {201, INTENT("succeeded"), CHARGE_SUCCEEDED},
    {200, INTENT("requires_action"), CHARGE_DECLINED},
    {200, INTENT("requires_payment_method"), CHARGE_DECLINED},
    {200, INTENT("failed"), CHARGE_DECLINED},
    {200, INTENT("processing"), CHARGE_UNCLEAR},
    {200, INTENT("pending"), CHARGE_UNCLEAR},
    {200, INTENT("requires_capture"), CHARGE_UNCLEAR},
    {200, INTENT("something new"), CHARGE_UNCLEAR},
    {200, "{\"status\":\"succeeded\"}", CHARGE_UNCLEAR},
    {200, "{\"id\":7,\"status\":\"succeeded\"}", CHARGE_UNCLEAR},
    {200, "{\"id\":\"pi_1\",\"status\":true}", CHARGE_UNCLEAR},
    {200, "", CHARGE_UNCLEAR},
    {200, "<html>", CHARGE_UNCLEAR},
    {200, "[]", CHARGE_UNCLEAR},
    {200, "{\"id\":\"pi_1\",\"status\":\"succe", CHARGE_UNCLEAR},
    {204, "", CHARGE_UNCLEAR},
    {302, INTENT("succeeded"), CHARGE_UNCLEAR},
    {402, ERROR("card_error"), CHARGE_DECLINED},
    {400, ERROR("card_error"), CHARGE_DECLINED},
    {402, ERROR("invalid_request_error"), CHARGE_DECLINED},
    {400, ERROR("invalid_request_error"), CHARGE_REFUSED},
    {401, ERROR("authentication_error"), CHARGE_REFUSED},
    {400, ERROR("idempotency_error"), CHARGE_UNCLEAR},
    {409, ERROR("idempotency_error"), CHARGE_UNCLEAR},
    {408, ERROR("api_error"), CHARGE_UNCLEAR},
    {409, ERROR("card_error"), CHARGE_UNCLEAR},
    {403, "<html>forbidden</html>", CHARGE_UNCLEAR},
    {429, "", CHARGE_THROTTLED},
    {429, ERROR("rate_limit_error"), CHARGE_THROTTLED},
    {500, ERROR("card_error"), CHARGE_UNCLEAR},
    {503, INTENT("succeeded"), CHARGE_UNCLEAR},
    {0, INTENT("succeeded"), CHARGE_UNCLEAR},
};

Test(stripe, only_evidence_decides)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Arena arena = sample_arena();
        PaymentGatewayResponse response = {0};
        ChargeAnswer answer = wire_read_stripe_answer(&arena, cases[i].status, str_from(cases[i].body), &response);
        cr_expect_eq(answer, cases[i].answer, "%d %s: %d", cases[i].status, cases[i].body, (int)answer);
        cr_expect_eq(response.http_status, cases[i].status);
        arena_release(&arena);
    }
}

Test(stripe, a_decline_says_why)
{
    Arena arena = sample_arena();
    PaymentGatewayResponse response = {0};
    ChargeAnswer answer = wire_read_stripe_answer(
        &arena, 402,
        STR("{\"error\":{\"type\":\"card_error\",\"code\":\"card_declined\",\"decline_code\":\"insufficient_funds\","
            "\"message\":\"Your card has insufficient funds.\",\"payment_intent\":{\"id\":\"pi_9\"}}}"),
        &response);
    cr_assert_eq(answer, CHARGE_DECLINED);
    sample_assert_text(response.id, "pi_9", "id");
    sample_assert_text(response.status, "card_error", "status");
    sample_assert_text(response.code, "card_declined", "code");
    sample_assert_text(response.decline_code, "insufficient_funds", "decline_code");
    sample_assert_text(response.message, "Your card has insufficient funds.", "message");
    arena_release(&arena);
}

Test(stripe, the_charge_of_an_error_is_named_where_there_is_no_intent)
{
    Arena arena = sample_arena();
    PaymentGatewayResponse response = {0};
    (void)wire_read_stripe_answer(&arena, 402, STR("{\"error\":{\"type\":\"card_error\",\"charge\":\"ch_3\"}}"),
                                  &response);
    sample_assert_text(response.id, "ch_3", "id");
    arena_release(&arena);
}

Test(stripe, a_long_text_is_cut_between_characters)
{
    Arena arena = sample_arena();
    PaymentGatewayResponse response = {0};
    char body[1024];
    Buffer text = buffer_over(body, sizeof body);
    buffer_append(&text, STR("{\"error\":{\"type\":\"card_error\",\"message\":\"x"));
    for (int i = 0; i < 150; i++) {
        buffer_append(&text, STR("\xC3\xBC"));
    }
    buffer_append(&text, STR("\"}}"));
    (void)wire_read_stripe_answer(&arena, 402, buffer_str(&text), &response);
    cr_assert_leq(response.message.length, 200);
    cr_assert_gt(response.message.length, 190);
    cr_assert(str_is_utf8(response.message));
    arena_release(&arena);
}

Test(stripe, an_answer_of_a_quarter_megabyte_or_a_deep_one_is_no_evidence)
{
    Arena arena = sample_arena();
    PaymentGatewayResponse response = {0};
    size_t length = 256 * 1024 + 1;
    char *body = malloc(length);
    cr_assert_not_null(body);
    memset(body, ' ', length);
    memcpy(body, INTENT("succeeded"), sizeof INTENT("succeeded") - 1);
    cr_assert_eq(wire_read_stripe_answer(&arena, 200, (Str){body, length}, &response), CHARGE_UNCLEAR);
    cr_assert_eq(wire_read_stripe_answer(&arena, 200, (Str){body, length - 1}, &response), CHARGE_SUCCEEDED);
    memset(body, '[', 1000);
    cr_assert_eq(wire_read_stripe_answer(&arena, 200, (Str){body, length - 1}, &response), CHARGE_UNCLEAR);
    free(body);
    arena_release(&arena);
}
