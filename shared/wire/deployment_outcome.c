/* deployment_outcome - the one final result of a deployment, and what runs in a region since, as bytes. */
#include "shared/wire/deployment.h"
#include "shared/wire/deployment_parts.h"

static Err check_outcome(const DeploymentOutcome *outcome)
{
    Err err = parts_check_token("deployment_id", outcome->deployment_id);
    if (!err_is(err)) {
        err = parts_check_range("status", (int)outcome->status, DEPLOYMENT_SUCCESS, DEPLOYMENT_STATUS_COUNT - 1);
    }
    if (!err_is(err)) {
        err = parts_check_present("service", outcome->service);
    }
    if (!err_is(err)) {
        err = parts_check_present("version", outcome->version);
    }
    if (!err_is(err)) {
        err = message_check_time("received_ms", outcome->received_ms);
    }
    if (!err_is(err)) {
        err = parts_check_range("time_scale_e4", outcome->time_scale_e4, 0, PARTS_SCALE_MAX_E4);
    }
    return err_is(err) ? err : message_check_time("timestamp_ms", outcome->timestamp_ms);
}

static Err read_outcome_texts(const Tai__V1__DeploymentOutcome *packed, DeploymentOutcome *outcome)
{
    const MessageText texts[] = {
        {"deployment_id", packed->deployment_id, &outcome->deployment_id},
        {"publisher", packed->publisher, &outcome->publisher},
        {"service", packed->service, &outcome->service},
        {"version", packed->version, &outcome->version},
        {"strategy", packed->strategy, &outcome->strategy},
        {"error_message", packed->error_message, &outcome->error_message},
        {"trace_id", packed->trace_id, &outcome->trace_id},
    };
    return message_read_texts(texts, MESSAGE_COUNT(texts));
}

Err wire_decode_deployment_outcome(Arena *arena, Str body, DeploymentOutcome *outcome)
{
    Tai__V1__DeploymentOutcome *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_outcome__descriptor, body, MESSAGE_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *outcome = (DeploymentOutcome){
        .status = (DeploymentStatus)packed->status,
        .received_ms = packed->received_ms,
        .timestamp_ms = packed->timestamp_ms,
        .time_scale_e4 = packed->time_scale_e4,
    };
    err = read_outcome_texts(packed, outcome);
    if (!err_is(err)) {
        err = parts_read_results(arena, packed->regions, packed->n_regions, &outcome->regions, &outcome->region_count);
    }
    if (!err_is(err)) {
        err = parts_read_violations(arena, packed->violations, packed->n_violations, &outcome->violations,
                                    &outcome->violation_count);
    }
    return err_is(err) ? err : check_outcome(outcome);
}

Str wire_encode_deployment_outcome(Arena *arena, const DeploymentOutcome *outcome)
{
    Tai__V1__DeploymentOutcome packed = TAI__V1__DEPLOYMENT_OUTCOME__INIT;
    packed.deployment_id = message_write_text(arena, outcome->deployment_id);
    packed.publisher = message_write_text(arena, outcome->publisher);
    packed.service = message_write_text(arena, outcome->service);
    packed.version = message_write_text(arena, outcome->version);
    packed.strategy = message_write_text(arena, outcome->strategy);
    packed.status = (Tai__V1__DeploymentStatus)outcome->status;
    packed.n_regions = outcome->region_count;
    packed.regions = parts_write_results(arena, outcome->regions, outcome->region_count);
    packed.n_violations = outcome->violation_count;
    packed.violations = parts_write_violations(arena, outcome->violations, outcome->violation_count);
    packed.error_message = message_write_text(arena, outcome->error_message);
    packed.received_ms = outcome->received_ms;
    packed.timestamp_ms = outcome->timestamp_ms;
    packed.time_scale_e4 = outcome->time_scale_e4;
    packed.trace_id = message_write_text(arena, outcome->trace_id);
    return message_pack(arena, &packed);
}

Err wire_decode_deployment_running(Arena *arena, Str body, DeploymentRunning *running)
{
    Tai__V1__DeploymentRunning *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_running__descriptor, body, MESSAGE_SMALL_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *running = (DeploymentRunning){.since_ms = packed->since_ms};
    const MessageText texts[] = {
        {"region", packed->region, &running->region},
        {"service", packed->service, &running->service},
        {"version", packed->version, &running->version},
        {"digest", packed->digest, &running->digest},
        {"image", packed->image, &running->image},
        {"deployment_id", packed->deployment_id, &running->deployment_id},
    };
    err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err)) {
        err = parts_check_token("region", running->region);
    }
    if (!err_is(err)) {
        err = parts_check_token("service", running->service);
    }
    return err_is(err) ? err : message_check_time("since_ms", running->since_ms);
}

Str wire_encode_deployment_running(Arena *arena, const DeploymentRunning *running)
{
    Tai__V1__DeploymentRunning packed = TAI__V1__DEPLOYMENT_RUNNING__INIT;
    packed.region = message_write_text(arena, running->region);
    packed.service = message_write_text(arena, running->service);
    packed.version = message_write_text(arena, running->version);
    packed.digest = message_write_text(arena, running->digest);
    packed.image = message_write_text(arena, running->image);
    packed.deployment_id = message_write_text(arena, running->deployment_id);
    packed.since_ms = running->since_ms;
    return message_pack(arena, &packed);
}
