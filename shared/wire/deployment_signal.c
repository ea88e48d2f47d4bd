/* deployment_signal - a deployment's signal as bytes: protobuf from the gateway, protobuf or JSON from a direct
 * publisher. The first byte that is not white space tells which. */
#include "shared/wire/deployment.h"
#include "shared/wire/deployment_parts.h"

static Err read_regions(Arena *arena, const Tai__V1__DeploymentSignal *packed, DeploymentSignal *signal)
{
    if (packed->n_regions > DEPLOYMENT_REGIONS_MAX) {
        return err_reject("target_regions: more than %d regions", DEPLOYMENT_REGIONS_MAX);
    }
    Str *regions = arena_alloc_array(arena, packed->n_regions, sizeof(*regions));
    for (size_t i = 0; i < packed->n_regions; i++) {
        const MessageText text = {"target_regions", packed->regions[i], &regions[i]};
        Err err = message_read_texts(&text, 1);
        if (err_is(err)) {
            return err;
        }
    }
    signal->regions = regions;
    signal->region_count = packed->n_regions;
    return err_none();
}

Err parts_read_signal(Arena *arena, const Tai__V1__DeploymentSignal *packed, DeploymentSignal *signal)
{
    *signal = (DeploymentSignal){
        .on_region_failure = (OnRegionFailure)packed->on_region_failure,
        .received_ms = packed->received_ms,
    };
    const MessageText texts[] = {
        {"deployment_id", packed->deployment_id, &signal->deployment_id},
        {"service", packed->service, &signal->service},
        {"version", packed->version, &signal->version},
        {"image", packed->image, &signal->image},
        {"rollout_strategy", packed->strategy, &signal->strategy},
    };
    Err err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err)) {
        err = read_regions(arena, packed, signal);
    }
    return err_is(err) ? err : message_check_time("received_ms", signal->received_ms);
}

static Err decode_protobuf(Arena *arena, Str body, DeploymentSignal *signal)
{
    if (body.length == 0) {
        return err_reject("body: empty");
    }
    if (body.length > DEPLOYMENT_BODY_MAX) {
        return err_reject("body: longer than %d bytes", DEPLOYMENT_BODY_MAX);
    }
    Tai__V1__DeploymentSignal *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_signal__descriptor, body, DEPLOYMENT_BODY_MAX, &packed);
    if (err_is(err)) {
        return err_reject("body: neither a JSON object nor a tai.v1.DeploymentSignal message");
    }
    err = parts_read_signal(arena, packed, signal);
    if (err_is(err)) {
        return err;
    }
    if (signal->strategy.length == 0) {
        signal->strategy = STR("canary");
    }
    return deployment_signal_check(signal);
}

Err wire_decode_deployment_signal(Arena *arena, Str body, DeploymentSignal *signal)
{
    return message_is_json(body) ? wire_decode_deployment_signal_json(arena, body, signal)
                                 : decode_protobuf(arena, body, signal);
}

Tai__V1__DeploymentSignal *parts_write_signal(Arena *arena, const DeploymentSignal *signal)
{
    Tai__V1__DeploymentSignal *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__deployment_signal__init(packed);
    packed->deployment_id = message_write_text(arena, signal->deployment_id);
    packed->service = message_write_text(arena, signal->service);
    packed->version = message_write_text(arena, signal->version);
    packed->image = message_write_text(arena, signal->image);
    packed->strategy = message_write_text(arena, signal->strategy);
    packed->on_region_failure = (Tai__V1__OnRegionFailure)signal->on_region_failure;
    packed->received_ms = signal->received_ms;
    TAI_ASSERT(signal->region_count <= DEPLOYMENT_REGIONS_MAX);
    packed->n_regions = signal->region_count;
    packed->regions = arena_alloc_array(arena, signal->region_count, sizeof(char *));
    for (size_t i = 0; i < signal->region_count; i++) {
        packed->regions[i] = message_write_text(arena, signal->regions[i]);
    }
    return packed;
}

Str wire_encode_deployment_signal(Arena *arena, const DeploymentSignal *signal)
{
    return message_pack(arena, parts_write_signal(arena, signal));
}
