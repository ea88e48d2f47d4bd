/* deployment_work - a region's work, a command to a driver, and what the driver answered, as bytes. */
#include "shared/wire/deployment.h"
#include "shared/wire/deployment_parts.h"

static Err check_work(const DeploymentRegionWork *work)
{
    if (work->decision.rejected) {
        return err_reject("decision: is not approved");
    }
    int64_t region_count = (int64_t)work->decision.signal.region_count;
    Err err = parts_check_range("region_index", work->region_index, 0, region_count - 1);
    return err_is(err) ? err : parts_check_range("kind", (int)work->kind, REGION_WORK_ROLLOUT, REGION_WORK_RESTORE);
}

Err wire_decode_region_work(Arena *arena, Str body, DeploymentRegionWork *work)
{
    Tai__V1__DeploymentRegionWork *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_region_work__descriptor, body, MESSAGE_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    if (packed->decision == NULL) {
        return err_reject("decision: missing");
    }
    *work = (DeploymentRegionWork){
        .region_index = packed->region_index,
        .kind = (RegionWorkKind)packed->kind,
    };
    const MessageText texts[] = {
        {"who", packed->who, &work->who},
        {"why", packed->why, &work->why},
    };
    err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err)) {
        err = parts_read_decision(arena, packed->decision, &work->decision);
    }
    if (!err_is(err)) {
        err = parts_read_results(arena, packed->results, packed->n_results, &work->results, &work->result_count);
    }
    return err_is(err) ? err : check_work(work);
}

Str wire_encode_region_work(Arena *arena, const DeploymentRegionWork *work)
{
    Tai__V1__DeploymentRegionWork packed = TAI__V1__DEPLOYMENT_REGION_WORK__INIT;
    packed.decision = parts_write_decision(arena, &work->decision);
    packed.region_index = work->region_index;
    packed.kind = (Tai__V1__RegionWorkKind)work->kind;
    packed.n_results = work->result_count;
    packed.results = parts_write_results(arena, work->results, work->result_count);
    packed.who = message_write_text(arena, work->who);
    packed.why = message_write_text(arena, work->why);
    return message_pack(arena, &packed);
}

static Err check_command(const DeploymentCommand *command)
{
    Err err = parts_check_present("command_id", command->command_id);
    if (!err_is(err)) {
        err = parts_check_token("deployment_id", command->deployment_id);
    }
    if (!err_is(err)) {
        err = parts_check_token("region", command->region);
    }
    if (!err_is(err)) {
        err = parts_check_range("kind", (int)command->kind, ROLLOUT_COMMAND_APPLY, ROLLOUT_COMMAND_FINISH);
    }
    if (!err_is(err)) {
        err = parts_check_present("driver", command->driver);
    }
    if (!err_is(err)) {
        err = parts_check_present("service", command->service);
    }
    if (!err_is(err)) {
        err = parts_check_range("weight_percent", command->weight_percent, 0, 100);
    }
    if (!err_is(err)) {
        err = message_check_time("not_before_ms", command->not_before_ms);
    }
    return err_is(err) ? err : message_check_time("not_after_ms", command->not_after_ms);
}

Err wire_decode_deployment_command(Arena *arena, Str body, DeploymentCommand *command)
{
    Tai__V1__DeploymentCommand *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_command__descriptor, body, MESSAGE_SMALL_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *command = (DeploymentCommand){
        .kind = (RolloutCommand)packed->kind,
        .weight_percent = packed->weight_percent,
        .not_before_ms = packed->not_before_ms,
        .not_after_ms = packed->not_after_ms,
        .fence_sequence = packed->fence_sequence,
    };
    const MessageText texts[] = {
        {"command_id", packed->command_id, &command->command_id},
        {"deployment_id", packed->deployment_id, &command->deployment_id},
        {"region", packed->region, &command->region},
        {"driver", packed->driver, &command->driver},
        {"service", packed->service, &command->service},
        {"version", packed->version, &command->version},
        {"image", packed->image, &command->image},
        {"digest", packed->digest, &command->digest},
        {"previous_version", packed->previous_version, &command->previous_version},
        {"previous_digest", packed->previous_digest, &command->previous_digest},
    };
    err = message_read_texts(texts, MESSAGE_COUNT(texts));
    return err_is(err) ? err : check_command(command);
}

Str wire_encode_deployment_command(Arena *arena, const DeploymentCommand *command)
{
    Tai__V1__DeploymentCommand packed = TAI__V1__DEPLOYMENT_COMMAND__INIT;
    packed.command_id = message_write_text(arena, command->command_id);
    packed.deployment_id = message_write_text(arena, command->deployment_id);
    packed.region = message_write_text(arena, command->region);
    packed.kind = (Tai__V1__DeploymentCommandKind)command->kind;
    packed.driver = message_write_text(arena, command->driver);
    packed.service = message_write_text(arena, command->service);
    packed.version = message_write_text(arena, command->version);
    packed.image = message_write_text(arena, command->image);
    packed.digest = message_write_text(arena, command->digest);
    packed.previous_version = message_write_text(arena, command->previous_version);
    packed.previous_digest = message_write_text(arena, command->previous_digest);
    packed.weight_percent = command->weight_percent;
    packed.not_before_ms = command->not_before_ms;
    packed.not_after_ms = command->not_after_ms;
    packed.fence_sequence = command->fence_sequence;
    return message_pack(arena, &packed);
}

Err wire_decode_deployment_result(Arena *arena, Str body, DeploymentResult *result)
{
    Tai__V1__DeploymentResult *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_result__descriptor, body, MESSAGE_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *result = (DeploymentResult){
        .succeeded = packed->succeeded,
        .impossible = packed->impossible,
        .weight_percent = packed->weight_percent,
        .at_ms = packed->at_ms,
    };
    const MessageText texts[] = {
        {"command_id", packed->command_id, &result->command_id},
        {"deployment_id", packed->deployment_id, &result->deployment_id},
        {"detail", packed->detail, &result->detail},
    };
    err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err)) {
        err = parts_check_present("command_id", result->command_id);
    }
    if (!err_is(err)) {
        err = parts_check_token("deployment_id", result->deployment_id);
    }
    if (!err_is(err)) {
        err = parts_check_range("weight_percent", result->weight_percent, -1, 100);
    }
    return err_is(err) ? err : message_check_time("at_ms", result->at_ms);
}

Str wire_encode_deployment_result(Arena *arena, const DeploymentResult *result)
{
    Tai__V1__DeploymentResult packed = TAI__V1__DEPLOYMENT_RESULT__INIT;
    packed.command_id = message_write_text(arena, result->command_id);
    packed.deployment_id = message_write_text(arena, result->deployment_id);
    packed.succeeded = result->succeeded;
    packed.impossible = result->impossible;
    packed.weight_percent = result->weight_percent;
    packed.detail = message_write_text(arena, result->detail);
    packed.at_ms = result->at_ms;
    return message_pack(arena, &packed);
}
