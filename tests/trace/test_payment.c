/* Trace tests of a payment that no worker dies with, as golden text.
 * "<worker> <sequence> (<delivery>)" begins a delivery; what follows is what it did, up to its end. */
#include "tests/trace/world.h"

#define SIGNAL "tai.payment.signal.shop1"
#define SIGNAL_NAMED "tai.payment.signal.shop1.order-17"

/* --- without a death ------------------------------------------------------------------------------------------ */

Test(payment, is_judged_charged_and_answered)
{
    World *world = world_make();
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, with_a_key_becomes_the_signal_of_its_transaction)
{
    World *world = world_make();
    world_signal(world, SIGNAL, "order-17");
    world_end(world, "policy 1 (1)\n"
                     "  store signal.shop1.txn_KQN1HK8DYP37HTBXQKJA6Q7MTVSJ8MKC\n"
                     "  ack\n"
                     "policy 2 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 3 (1)\n"
                     "  look at outcome.T: none\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, published_twice_with_a_key_is_one_payment)
{
    World *world = world_make();
    world_signal(world, SIGNAL, "order-17");
    world->now_ms += 700000;
    world_signal(world, SIGNAL, "order-17");
    world_end(world, "policy 1 (1)\n"
                     "  store signal.shop1.txn_KQN1HK8DYP37HTBXQKJA6Q7MTVSJ8MKC\n"
                     "  ack\n"
                     "policy 2 (1)\n"
                     "  store signal.shop1.txn_KQN1HK8DYP37HTBXQKJA6Q7MTVSJ8MKC: duplicate\n"
                     "  ack\n"
                     "policy 3 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 4 (1)\n"
                     "  look at outcome.T: none\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, with_a_chosen_id_claims_it)
{
    World *world = world_make();
    world_signal(world, SIGNAL_NAMED, "");
    world_end(world, "policy 1 (1)\n"
                     "  store claim.T\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 3 (1)\n"
                     "  look at outcome.T: none\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, of_a_blacklisted_customer_is_rejected)
{
    World *world = world_make();
    world->blacklisted = true;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.rejected\n"
                     "  store outcome.T REJECTED\n"
                     "  answer REJECTED\n"
                     "  ack\n");
}

Test(payment, whose_card_is_declined_is_not_asked_again)
{
    World *world = world_make();
    world->calls[0] = CALL_DECLINES;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: 402\n"
                     "  store outcome.T DECLINED\n"
                     "  answer DECLINED\n"
                     "  ack\n");
}

Test(payment, while_redis_is_away_waits_and_fails_at_its_deadline)
{
    World *world = world_make();
    world->redis_down = true;
    world_signal(world, SIGNAL, "");
    world_run_lane(world, LANE_POLICY);
    world->now_ms += WORLD_DEADLINE_MS;
    world_end(world, "policy 1 (1)\n"
                     "  count: Redis is away\n"
                     "  kept (retry)\n"
                     "policy 1 (2)\n"
                     "  store claim.T\n"
                     "  store outcome.T FAILED deadline_exceeded\n"
                     "  answer FAILED deadline_exceeded\n"
                     "  ack\n");
}

Test(payment, that_meets_an_open_breaker_fails_at_once)
{
    World *world = world_make();
    world->breaker_open = true;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  store outcome.T FAILED breaker_open\n"
                     "  answer FAILED breaker_open\n"
                     "  ack\n");
}

Test(payment, whose_answer_is_lost_is_asked_again_with_the_same_key)
{
    World *world = world_make();
    world->calls[0] = CALL_CHARGES_UNHEARD;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: no answer\n"
                     "  call: 200 again\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

/* --- answers of the ledger that do not come ------------------------------------------------------------------- */

Test(payment, whose_outcome_gets_no_puback_is_not_asked_for_again)
{
    World *world = world_make();
    world->lost_pubacks = 0;
    world_signal(world, SIGNAL, "");
    world_run_lane(world, LANE_POLICY);
    world->lost_pubacks = 1;
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  no PubAck\n"
                     "  store outcome.T SUCCESS: exists\n"
                     "  look at outcome.T: outcome.T\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, whose_outcome_cannot_be_stored_yet_waits_with_what_it_knows)
{
    World *world = world_make();
    world->breaker_open = true;
    world_signal(world, SIGNAL, "");
    world_run_lane(world, LANE_POLICY);
    world->refused_store = 3;
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  store outcome.T: not stored\n"
                     "  store outcome.T: not stored\n"
                     "  store outcome.T: not stored\n"
                     "  store outcome.T FAILED breaker_open\n"
                     "  answer FAILED breaker_open\n"
                     "  ack\n");
}

Test(payment, whose_decision_gets_no_puback_follows_it)
{
    World *world = world_make();
    world->lost_pubacks = 1;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  no PubAck\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n"
                     "policy 1 (2)\n"
                     "  count: 1\n"
                     "  store decision.approved: duplicate\n"
                     "  look at what stands: decision.approved\n"
                     "  ack\n");
}

/* --- long past the deadline ----------------------------------------------------------------------------------- */

Test(payment, undelivered_fails)
{
    World *world = world_make();
    world_signal(world, SIGNAL, "");
    world->now_ms += 3600000;
    world_end(world, "policy 1 (1)\n"
                     "  look at outcome.T: none\n"
                     "  store outcome.T FAILED deadline_exceeded\n"
                     "  answer FAILED deadline_exceeded\n"
                     "  ack\n");
}

Test(payment, delivered_before_is_left_to_a_person)
{
    World *world = world_make();
    world_die(world, 1, false);
    world->outage_ms = 3600000;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  dies before: count\n"
                     "policy 1 (2)\n"
                     "  look at outcome.T: none\n"
                     "  dead letter (unknown)\n"
                     "  ack\n");
}

Test(payment, unresolved_past_the_horizon_is_left_to_a_person)
{
    World *world = world_make();
    world->calls_lost = 5000;
    world_signal(world, SIGNAL, "");
    world_run(world, INT64_C(200000000));
    world_check(world);
    cr_assert_eq(world_outcome(world), PAYMENT_PENDING);
    cr_assert_eq(world_count(world, "tai.dead.payment.charge"), 1);
    world_free(world);
}
