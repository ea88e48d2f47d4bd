/* deployment_decision - what the policy made of a deployment's signal, as bytes. An approved one is carried out without
 * looking at the policy again, so a decoder that is unsure refuses it. */
#include "shared/wire/deployment.h"
#include "shared/wire/deployment_parts.h"

static Err read_judged_signal(Arena *arena, const Tai__V1__DeploymentDecision *packed, DeploymentSignal *signal)
{
    if (packed->signal == NULL) {
        return err_reject("signal: missing");
    }
    Err err = parts_read_signal(arena, packed->signal, signal);
    if (!err_is(err)) {
        const MessageText publisher = {"publisher", packed->publisher, &signal->publisher};
        err = message_read_texts(&publisher, 1);
    }
    if (!err_is(err)) {
        err = parts_check_present("deployment_id", signal->deployment_id);
    }
    if (!err_is(err)) {
        err = parts_check_present("publisher", signal->publisher);
    }
    return err_is(err) ? err : deployment_signal_check(signal);
}

static Err read_region(const Tai__V1__DeploymentRegion *packed, Str expected, bool rejected, DeploymentRegion *region)
{
    const MessageText texts[] = {
        {"regions.region", packed->region, &region->region},
        {"regions.previous_version", packed->previous_version, &region->previous_version},
        {"regions.previous_digest", packed->previous_digest, &region->previous_digest},
        {"regions.driver", packed->driver, &region->driver},
    };
    Err err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err) && !str_equal(region->region, expected)) {
        err = err_reject("regions: are not those of the signal");
    }
    return err_is(err) || rejected ? err : parts_check_present("regions.driver", region->driver);
}

static Err read_regions(Arena *arena, const Tai__V1__DeploymentDecision *packed, DeploymentDecision *decision)
{
    if (packed->rejected && packed->n_regions == 0) {
        return err_none();
    }
    if (packed->n_regions != decision->signal.region_count) {
        return err_reject("regions: are not those of the signal");
    }
    decision->regions = arena_alloc_array(arena, packed->n_regions, sizeof(decision->regions[0]));
    for (size_t i = 0; i < packed->n_regions; i++) {
        Err err = read_region(packed->regions[i], decision->signal.regions[i], packed->rejected, &decision->regions[i]);
        if (err_is(err)) {
            return err;
        }
    }
    return err_none();
}

static Err read_verdict(Arena *arena, const Tai__V1__DeploymentDecision *packed, DeploymentDecision *decision)
{
    decision->rejected = packed->rejected;
    Err err = parts_read_violations(arena, packed->violations, packed->n_violations, &decision->violations,
                                    &decision->violation_count);
    if (!err_is(err) && decision->rejected != (decision->violation_count > 0)) {
        err = err_reject("violations: %s", decision->rejected ? "missing" : "of an approved deployment");
    }
    return err;
}

Err parts_read_decision(Arena *arena, const Tai__V1__DeploymentDecision *packed, DeploymentDecision *decision)
{
    *decision = (DeploymentDecision){
        .policy_revision = packed->policy_revision,
        .signal_sequence = packed->signal_sequence,
        .decided_ms = packed->decided_ms,
    };
    const MessageText texts[] = {
        {"image", packed->image, &decision->image},
        {"digest", packed->digest, &decision->digest},
    };
    Err err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err)) {
        err = read_judged_signal(arena, packed, &decision->signal);
    }
    if (!err_is(err)) {
        err = read_verdict(arena, packed, decision);
    }
    if (!err_is(err) && (packed->plan != NULL || !decision->rejected)) {
        err = parts_read_plan(packed->plan, &decision->plan);
    }
    if (!err_is(err)) {
        err = read_regions(arena, packed, decision);
    }
    return err_is(err) ? err : message_check_time("decided_ms", decision->decided_ms);
}

Err wire_decode_deployment_decision(Arena *arena, Str body, DeploymentDecision *decision)
{
    Tai__V1__DeploymentDecision *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_decision__descriptor, body, MESSAGE_BODY_MAX, &packed);
    return err_is(err) ? err : parts_read_decision(arena, packed, decision);
}

/* A rejected one may name none: whoever rejects may not have got so far. */
static void write_regions(Arena *arena, const DeploymentDecision *decision, Tai__V1__DeploymentDecision *packed)
{
    if (decision->rejected && decision->regions == NULL) {
        return;
    }
    packed->n_regions = decision->signal.region_count;
    packed->regions = arena_alloc_array(arena, packed->n_regions + 1, sizeof(Tai__V1__DeploymentRegion *));
    for (size_t i = 0; i < packed->n_regions; i++) {
        const DeploymentRegion *region = &decision->regions[i];
        packed->regions[i] = arena_alloc(arena, sizeof(*packed->regions[i]));
        tai__v1__deployment_region__init(packed->regions[i]);
        packed->regions[i]->region = message_write_text(arena, region->region);
        packed->regions[i]->previous_version = message_write_text(arena, region->previous_version);
        packed->regions[i]->previous_digest = message_write_text(arena, region->previous_digest);
        packed->regions[i]->driver = message_write_text(arena, region->driver);
    }
}

Tai__V1__DeploymentDecision *parts_write_decision(Arena *arena, const DeploymentDecision *decision)
{
    Tai__V1__DeploymentDecision *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__deployment_decision__init(packed);
    packed->signal = parts_write_signal(arena, &decision->signal);
    packed->publisher = message_write_text(arena, decision->signal.publisher);
    packed->rejected = decision->rejected;
    packed->n_violations = decision->violation_count;
    packed->violations = parts_write_violations(arena, decision->violations, decision->violation_count);
    packed->image = message_write_text(arena, decision->image);
    packed->digest = message_write_text(arena, decision->digest);
    packed->plan = decision->plan.stage_count > 0 ? parts_write_plan(arena, &decision->plan) : NULL;
    write_regions(arena, decision, packed);
    packed->policy_revision = decision->policy_revision;
    packed->signal_sequence = decision->signal_sequence;
    packed->decided_ms = decision->decided_ms;
    return packed;
}

Str wire_encode_deployment_decision(Arena *arena, const DeploymentDecision *decision)
{
    return message_pack(arena, parts_write_decision(arena, decision));
}
