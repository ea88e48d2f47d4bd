/* Tests of messages: what the reply subject tells of the stream. No server is needed. */
#include <criterion/criterion.h>

#include "shared/bus/private.h"

static BusDelivery delivery_with_reply(const char *reply)
{
    natsMsg *message = NULL;
    cr_assert_eq(nats_Open(-1), NATS_OK); /* messages are freed through the library's own collector */
    cr_assert_eq(natsMsg_Create(&message, "s.a", reply, "x", 1), NATS_OK);
    return bus_delivery_from(message);
}

Test(message, the_streams_facts_are_read_from_the_old_and_the_new_form_of_the_reply)
{
    const char *replies[] = {
        "$JS.ACK.PAYMENT.policy.2.17.9.1795492967674659199.4",
        "$JS.ACK._.ACCOUNT.PAYMENT.policy.2.17.9.1795492967674659199.4",
        "$JS.ACK.hub.ACCOUNT.PAYMENT.policy.2.17.9.1795492967674659199.4.random",
        "$JS.ACK.hub.ACCOUNT.PAYMENT.policy.2.17.9.1795492967674659199.4.random.more",
    };
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        BusDelivery delivery = delivery_with_reply(replies[i]);
        cr_assert_eq(delivery.delivered, 2, "%s", replies[i]);
        cr_assert_eq(delivery.sequence, 17, "%s", replies[i]);
        cr_assert_eq(delivery.consumer_sequence, 9, "%s", replies[i]);
        cr_assert_eq(delivery.pending, 4, "%s", replies[i]);
        cr_assert_eq(delivery.time_ms, INT64_C(1795492967674), "%s", replies[i]);
        bus_delivery_release(&delivery);
    }
}

Test(message, another_reply_says_nothing_of_a_stream)
{
    const char *replies[] = {NULL, "_INBOX.a.1", "$JS.ACK.PAYMENT.policy.2.17", "$JS.ACKNOWLEDGE.1.2.3.4.5.6.7.8"};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        BusDelivery delivery = delivery_with_reply(replies[i]);
        cr_assert(delivery.delivered == 0 && delivery.sequence == 0 && delivery.time_ms == 0, "case %zu", i);
        bus_delivery_release(&delivery);
    }
}
