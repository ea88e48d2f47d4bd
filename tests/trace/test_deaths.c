/* Every death there can be: each scenario is run with a worker dying before and after each of its effects, alone and
 * in pairs, and whatever happens, what must hold holds. Thousands of lives of a payment in a second. */
#include <string.h>

#include "tests/trace/world.h"

#define SIGNAL "tai.payment.signal.shop1"
#define SIGNAL_NAMED "tai.payment.signal.shop1.order-17"

typedef struct {
    const char *name;
    const char *subject;
    const char *msg_id;
    CallMode calls[16];
    size_t calls_lost;
    int64_t outage_ms; /* after each death */
    bool blacklisted;
    bool flips;
    bool redis_down;
    bool breaker_open;
    bool bus_forgets;
    int lost_pubacks;
    int refused_store;
} Scenario;

static const Scenario scenarios[] = {
    {.name = "plain", .subject = SIGNAL},
    {.name = "keyed", .subject = SIGNAL, .msg_id = "order-17"},
    {.name = "claimed", .subject = SIGNAL_NAMED},
    {.name = "rejected", .subject = SIGNAL, .blacklisted = true},
    {.name = "approved, then rejected", .subject = SIGNAL, .flips = true},
    {.name = "rejected, then approved", .subject = SIGNAL, .flips = true, .blacklisted = true},
    {.name = "claimed and changed", .subject = SIGNAL_NAMED, .flips = true},
    {.name = "past the deadline", .subject = SIGNAL, .outage_ms = 280000},
    {.name = "past the deadline, changed", .subject = SIGNAL, .outage_ms = 280000, .flips = true},
    {.name = "claimed, past the deadline", .subject = SIGNAL_NAMED, .outage_ms = 280000},
    {.name = "unheard", .subject = SIGNAL, .calls = {CALL_CHARGES_UNHEARD}},
    {.name = "unheard, then away", .subject = SIGNAL, .calls = {CALL_CHARGES_UNHEARD}, .calls_lost = 9},
    {.name = "lost for long", .subject = SIGNAL, .calls_lost = 40, .outage_ms = 280000},
    {.name = "declined", .subject = SIGNAL, .calls = {CALL_DECLINES}},
    {.name = "failing", .subject = SIGNAL, .calls = {CALL_FAILS, CALL_FAILS, CALL_FAILS, CALL_FAILS}},
    {.name = "refused", .subject = SIGNAL, .calls = {CALL_REFUSED, CALL_CHARGES}},
    {.name = "not sent",
     .subject = SIGNAL,
     .calls = {CALL_IS_NOT_SENT, CALL_IS_NOT_SENT, CALL_IS_NOT_SENT, CALL_IS_NOT_SENT}},
    {.name = "throttled", .subject = SIGNAL, .calls = {CALL_THROTTLED, CALL_THROTTLED}},
    {.name = "breaker open", .subject = SIGNAL, .breaker_open = true},
    {.name = "Redis away", .subject = SIGNAL, .redis_down = true},
    {.name = "bus forgets", .subject = SIGNAL, .bus_forgets = true},
    {.name = "bus forgets, unheard", .subject = SIGNAL, .bus_forgets = true, .calls = {CALL_CHARGES_UNHEARD}},
    {.name = "no PubAcks", .subject = SIGNAL, .lost_pubacks = 3},
    {.name = "no PubAcks, rejected", .subject = SIGNAL, .lost_pubacks = 3, .blacklisted = true},
    {.name = "ledger away", .subject = SIGNAL, .refused_store = 3},
    {.name = "invalid", .subject = "tai.payment.signal.shop1.txn_forged"},
};

/* Runs a life; how many effects it had. */
static int live(const Scenario *scenario, Death first, Death second)
{
    World *world = world_make();
    memcpy(world->calls, scenario->calls, sizeof(world->calls));
    world->calls_lost_from = scenario->calls[0] == CALL_CHARGES ? 0 : 1;
    world->calls_lost = scenario->calls_lost;
    world->outage_ms = scenario->outage_ms;
    world->blacklisted = scenario->blacklisted;
    world->flips = scenario->flips;
    world->redis_down = scenario->redis_down;
    world->breaker_open = scenario->breaker_open;
    world->bus_forgets = scenario->bus_forgets;
    world->lost_pubacks = scenario->lost_pubacks;
    world->refused_store = scenario->refused_store;
    world->deaths[0] = first;
    world->deaths[1] = second;
    world_signal(world, scenario->subject, scenario->msg_id != NULL ? scenario->msg_id : "");
    /* Redis and breakers come back after a while: what was kept for them goes on. */
    world_run(world, scenario->redis_down ? 900000 : 200000);
    world->breaker_open = false;
    world->redis_down = false;
    world_run(world, INT64_C(200000000));
    buffer_print(&world->text, "(%s, %d %s, %d %s)\n", scenario->name, first.effect, first.after ? "after" : "before",
                 second.effect, second.after ? "after" : "before");
    world_check(world);
    int effects = world->effects;
    world_free(world);
    return effects;
}

/* A death that its life does not reach says so by having no effect: the numbers end there. */
static int live_all_deaths(const Scenario *scenario)
{
    int lives = 1;
    int effects = live(scenario, (Death){0}, (Death){0});
    for (int first = 1; first <= effects && first <= 24; first++) {
        for (int after = 0; after < 2; after++) {
            Death death = {first, after != 0};
            int more = live(scenario, death, (Death){0});
            lives++;
            for (int second = first + 1; second <= more && second <= first + 16; second++) {
                (void)live(scenario, death, (Death){second, false});
                (void)live(scenario, death, (Death){second, true});
                lives += 2;
            }
        }
    }
    return lives;
}

Test(deaths, whatever_dies_whenever_there_is_one_charge_and_one_result)
{
    int lives = 0;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        lives += live_all_deaths(&scenarios[i]);
    }
    cr_log_info("%d lives", lives);
    cr_assert_gt(lives, 2000);
}
