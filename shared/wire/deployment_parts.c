/* deployment_parts - checks, violations and regions' results: what several of the deployment's messages carry inside.
 * Nothing in here is trusted: whoever can publish can write any number into a field. */
#include "shared/wire/deployment_parts.h"

Err parts_check_range(const char *name, int64_t value, int64_t least, int64_t most)
{
    if (value < least || value > most) {
        return err_reject("%s: must be %lld to %lld", name, (long long)least, (long long)most);
    }
    return err_none();
}

Err parts_check_token(const char *name, Str token)
{
    return id_is_token(token) ? err_none() : err_reject("%s: must be one subject token", name);
}

Err parts_check_present(const char *name, Str text)
{
    return text.length > 0 ? err_none() : err_reject("%s: missing", name);
}

Err parts_read_violations(Arena *arena, Tai__V1__DeploymentViolation *const *packed, size_t packed_count,
                          DeploymentViolation **violations, size_t *count)
{
    *violations = NULL;
    *count = 0;
    if (packed_count == 0) {
        return err_none();
    }
    if (packed_count > PARTS_VIOLATIONS_MAX) {
        return err_reject("violations: more than %d", PARTS_VIOLATIONS_MAX);
    }
    DeploymentViolation *read = arena_alloc_array(arena, packed_count, sizeof(*read));
    for (size_t i = 0; i < packed_count; i++) {
        const MessageText texts[] = {
            {"violations.code", packed[i]->code, &read[i].code},
            {"violations.detail", packed[i]->detail, &read[i].detail},
        };
        Err err = message_read_texts(texts, MESSAGE_COUNT(texts));
        if (!err_is(err)) {
            err = parts_check_token("violations.code", read[i].code);
        }
        if (err_is(err)) {
            return err;
        }
    }
    *violations = read;
    *count = packed_count;
    return err_none();
}

Tai__V1__DeploymentViolation **parts_write_violations(Arena *arena, const DeploymentViolation *violations, size_t count)
{
    Tai__V1__DeploymentViolation **packed = arena_alloc_array(arena, count + 1, sizeof(Tai__V1__DeploymentViolation *));
    for (size_t i = 0; i < count; i++) {
        packed[i] = arena_alloc(arena, sizeof(*packed[i]));
        tai__v1__deployment_violation__init(packed[i]);
        packed[i]->code = message_write_text(arena, violations[i].code);
        packed[i]->detail = message_write_text(arena, violations[i].detail);
    }
    return packed;
}

static Err read_stages_completed(const Tai__V1__DeploymentRegionResult *packed, DeploymentRegionResult *result)
{
    if (packed->n_stages_completed > DEPLOYMENT_STAGES_MAX) {
        return err_reject("results.stages_completed: more than %d", DEPLOYMENT_STAGES_MAX);
    }
    for (size_t i = 0; i < packed->n_stages_completed; i++) {
        const MessageText text = {"results.stages_completed", packed->stages_completed[i],
                                  &result->stages_completed[i]};
        Err err = message_read_texts(&text, 1);
        if (!err_is(err)) {
            err = parts_check_present("results.stages_completed", result->stages_completed[i]);
        }
        if (err_is(err)) {
            return err;
        }
    }
    result->stages_count = packed->n_stages_completed;
    return err_none();
}

static Err read_result(const Tai__V1__DeploymentRegionResult *packed, DeploymentRegionResult *result)
{
    *result = (DeploymentRegionResult){
        .status = (DeploymentStatus)packed->status,
        .started_ms = packed->started_ms,
        .ended_ms = packed->ended_ms,
    };
    const MessageText texts[] = {
        {"results.region", packed->region, &result->region},
        {"results.detail", packed->detail, &result->detail},
    };
    Err err = message_read_texts(texts, MESSAGE_COUNT(texts));
    if (!err_is(err)) {
        err = parts_check_token("results.region", result->region);
    }
    if (!err_is(err)) {
        err = parts_check_range("results.status", (int)packed->status, 0, DEPLOYMENT_STATUS_COUNT - 1);
    }
    if (!err_is(err)) {
        err = read_stages_completed(packed, result);
    }
    if (!err_is(err)) {
        err = message_check_time("results.started_ms", result->started_ms);
    }
    return err_is(err) ? err : message_check_time("results.ended_ms", result->ended_ms);
}

Err parts_read_results(Arena *arena, Tai__V1__DeploymentRegionResult *const *packed, size_t packed_count,
                       DeploymentRegionResult **results, size_t *count)
{
    *results = NULL;
    *count = 0;
    if (packed_count == 0) {
        return err_none();
    }
    if (packed_count > DEPLOYMENT_REGIONS_MAX) {
        return err_reject("results: more than %d", DEPLOYMENT_REGIONS_MAX);
    }
    DeploymentRegionResult *read = arena_alloc_array(arena, packed_count, sizeof(*read));
    for (size_t i = 0; i < packed_count; i++) {
        Err err = read_result(packed[i], &read[i]);
        if (err_is(err)) {
            return err;
        }
    }
    *results = read;
    *count = packed_count;
    return err_none();
}

static Tai__V1__DeploymentRegionResult *write_result(Arena *arena, const DeploymentRegionResult *result)
{
    Tai__V1__DeploymentRegionResult *packed = arena_alloc(arena, sizeof(*packed));
    tai__v1__deployment_region_result__init(packed);
    packed->region = message_write_text(arena, result->region);
    packed->status = (Tai__V1__DeploymentStatus)result->status;
    packed->detail = message_write_text(arena, result->detail);
    packed->started_ms = result->started_ms;
    packed->ended_ms = result->ended_ms;
    TAI_ASSERT(result->stages_count <= DEPLOYMENT_STAGES_MAX);
    packed->n_stages_completed = result->stages_count;
    packed->stages_completed = arena_alloc_array(arena, DEPLOYMENT_STAGES_MAX, sizeof(char *));
    for (size_t i = 0; i < result->stages_count; i++) {
        packed->stages_completed[i] = message_write_text(arena, result->stages_completed[i]);
    }
    return packed;
}

Tai__V1__DeploymentRegionResult **parts_write_results(Arena *arena, const DeploymentRegionResult *results, size_t count)
{
    Tai__V1__DeploymentRegionResult **packed =
        arena_alloc_array(arena, count + 1, sizeof(Tai__V1__DeploymentRegionResult *));
    for (size_t i = 0; i < count; i++) {
        packed[i] = write_result(arena, &results[i]);
    }
    return packed;
}
