/* Trace tests of a payment: the crash table of shared/README.md, row by row as golden text.
 * "<worker> <sequence> (<delivery>)" begins a delivery; what follows is what it did, up to its end. */
#include "tests/trace/world.h"

#define SIGNAL "tai.payment.signal.shop1"
#define SIGNAL_NAMED "tai.payment.signal.shop1.order-17"

Test(payment, dies_before_anything_was_done)
{
    World *world = world_make();
    world_die(world, 1, false);
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  dies before: count\n"
                     "policy 1 (2)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, dies_with_its_key_made_a_transaction)
{
    World *world = world_make();
    world_die(world, 1, true);
    world_signal(world, SIGNAL, "order-17");
    world_end(world, "policy 1 (1)\n"
                     "  store signal.shop1.txn_KQN1HK8DYP37HTBXQKJA6Q7MTVSJ8MKC\n"
                     "  dies after it\n"
                     "policy 2 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 3 (1)\n"
                     "  look at outcome.T: none\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n"
                     "policy 1 (2)\n"
                     "  store signal.shop1.txn_KQN1HK8DYP37HTBXQKJA6Q7MTVSJ8MKC: duplicate\n"
                     "  ack\n");
}

Test(payment, dies_with_its_id_claimed)
{
    World *world = world_make();
    world_die(world, 1, true);
    world_signal(world, SIGNAL_NAMED, "");
    world_end(world, "policy 1 (1)\n"
                     "  store claim.T\n"
                     "  dies after it\n"
                     "policy 1 (2)\n"
                     "  store claim.T: exists\n"
                     "  look at claim.T: claim.T\n"
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

Test(payment, dies_with_its_features_counted_and_they_count_once)
{
    World *world = world_make();
    world_die(world, 1, true);
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  dies after it\n"
                     "policy 1 (2)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, dies_with_its_decision_on_the_ledger_and_that_one_stands)
{
    World *world = world_make();
    world_die(world, 2, true);
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  dies after it\n"
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

Test(payment, dies_with_an_approval_on_the_ledger_and_is_not_rejected_later)
{
    World *world = world_make();
    world_die(world, 2, true);
    world->flips = true;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  dies after it\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n"
                     "policy 1 (2)\n"
                     "  count: 1\n"
                     "  store decision.rejected: duplicate\n"
                     "  look at what stands: decision.approved\n"
                     "  ack\n");
}

Test(payment, dies_with_a_rejection_on_the_ledger_and_is_not_approved_later)
{
    World *world = world_make();
    world_die(world, 2, true);
    world->flips = true;
    world->blacklisted = true;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.rejected\n"
                     "  dies after it\n"
                     "policy 1 (2)\n"
                     "  count: 1\n"
                     "  store decision.approved: duplicate\n"
                     "  look at what stands: decision.rejected\n"
                     "  store outcome.T REJECTED\n"
                     "  answer REJECTED\n"
                     "  ack\n");
}

Test(payment, dies_with_an_approval_on_the_ledger_and_does_not_fail_at_its_deadline)
{
    World *world = world_make();
    world_die(world, 2, true);
    world->outage_ms = 400000;
    world->calls[0] = CALL_CHARGES_UNHEARD;
    world->calls_lost_from = 1;
    world->calls_lost = 8;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  dies after it\n"
                     "charge 2 (1)\n"
                     "  call: no answer\n"
                     "  call: no answer\n"
                     "  call: no answer\n"
                     "  call: no answer\n"
                     "  kept (unknown)\n"
                     "charge 2 (2)\n"
                     "  look at outcome.T: none\n"
                     "  call: no answer\n"
                     "  call: no answer\n"
                     "  call: no answer\n"
                     "  call: no answer\n"
                     "  kept (unknown)\n"
                     "charge 2 (3)\n"
                     "  look at outcome.T: none\n"
                     "  call: no answer\n"
                     "  call: 200 again\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n"
                     "policy 1 (2)\n"
                     "  store claim.T: duplicate\n"
                     "  look at what stands: decision.approved\n"
                     "  ack\n");
}

Test(payment, dies_with_a_rejection_ended_and_its_answer_is_repeated)
{
    World *world = world_make();
    world_die(world, 3, true);
    world->blacklisted = true;
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.rejected\n"
                     "  store outcome.T REJECTED\n"
                     "  dies after it\n"
                     "policy 1 (2)\n"
                     "  count: 1\n"
                     "  store decision.rejected: duplicate\n"
                     "  look at what stands: decision.rejected\n"
                     "  store outcome.T REJECTED: exists\n"
                     "  look at outcome.T: outcome.T\n"
                     "  answer REJECTED\n"
                     "  ack\n");
}

Test(payment, dies_before_the_call)
{
    World *world = world_make();
    world_die(world, 4, false);
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  dies before: call\n"
                     "charge 2 (2)\n"
                     "  look at outcome.T: none\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, dies_with_the_call_made_and_learns_what_became_of_it)
{
    World *world = world_make();
    world_die(world, 4, true);
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  dies after it\n"
                     "charge 2 (2)\n"
                     "  look at outcome.T: none\n"
                     "  call: 200 again\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, dies_with_the_call_made_and_the_breaker_open_is_kept_not_failed)
{
    World *world = world_make();
    world_die(world, 4, true);
    world->outage_ms = 400000;
    world_signal(world, SIGNAL, "");
    world_run_lane(world, LANE_POLICY);
    world_run_lane(world, LANE_CHARGE);
    world->breaker_open = true;
    world_run(world, 600000);
    cr_assert_eq(world_outcome(world), PAYMENT_PENDING);
    world->breaker_open = false;
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  dies after it\n"
                     "charge 2 (2)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (3)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (4)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (5)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (6)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (7)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (8)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (9)\n"
                     "  look at outcome.T: none\n"
                     "  call: 200 again\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, dies_with_its_outcome_on_the_ledger_and_repeats_it)
{
    World *world = world_make();
    world_die(world, 5, true);
    world_signal(world, SIGNAL, "");
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  dies after it\n"
                     "charge 2 (2)\n"
                     "  look at outcome.T: outcome.T\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, dies_where_the_bus_forgets_that_it_delivered)
{
    World *world = world_make();
    world_die(world, 4, true);
    world->bus_forgets = true;
    world_signal(world, SIGNAL, "");
    world_run_lane(world, LANE_POLICY);
    world_run_lane(world, LANE_CHARGE);
    world->breaker_open = true;
    world_run(world, 200000);
    world->breaker_open = false;
    world_end(world, "policy 1 (1)\n"
                     "  count: 1\n"
                     "  store decision.approved\n"
                     "  ack\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  dies after it\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  kept (unknown)\n"
                     "charge 2 (1)\n"
                     "  look at outcome.T: none\n"
                     "  call: 200\n"
                     "  store outcome.T SUCCESS\n"
                     "  answer SUCCESS\n"
                     "  ack\n");
}

Test(payment, that_is_invalid_dies_with_its_dead_letter_stored_and_leaves_one)
{
    World *world = world_make();
    world_die(world, 1, true);
    world_signal(world, "tai.payment.signal.shop1.txn_forged", "");
    world_end(world, "policy 1 (1)\n"
                     "  dead letter (reject)\n"
                     "  dies after it\n"
                     "policy 1 (2)\n"
                     "  dead letter (reject)\n"
                     "  ack\n");
}
