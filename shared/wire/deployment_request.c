/* deployment_request - what people write as JSON: a deployment, and an order to one that runs.
 * Every member must be known and of its type, so that a misspelt one is refused instead of ignored. */
#include <stddef.h>

#include "shared/wire/deployment.h"
#include "shared/wire/deployment_parts.h"
#include "shared/wire/document.h"

#define REQUEST_DEPTH_MAX 2 /* the object, and the regions in it */
#define ORDER_DEPTH_MAX 1
#define WHO_MAX_BYTES 128
#define WHY_MAX_BYTES 500

/* Where a string member goes. */
typedef struct {
    const char *name;
    Str *out;
} TextMember;

static Err read_text(Arena *arena, const json_t *value, const char *name, Str *out)
{
    if (!json_is_string(value)) {
        return err_reject("%s: must be a string", name);
    }
    *out = arena_copy(arena, document_string(value));
    return err_none();
}

static Err read_text_member(Arena *arena, Str key, const json_t *value, const TextMember *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(key, str_from(members[i].name))) {
            return read_text(arena, value, members[i].name, members[i].out);
        }
    }
    return document_unknown_member("", key);
}

static Err read_target_regions(Arena *arena, const json_t *array, DeploymentSignal *signal)
{
    if (!json_is_array(array)) {
        return err_reject("target_regions: must be an array of strings");
    }
    size_t count = json_array_size(array);
    if (count == 0) {
        return err_reject("target_regions: is empty");
    }
    if (count > DEPLOYMENT_REGIONS_MAX) {
        return err_reject("target_regions: more than %d regions", DEPLOYMENT_REGIONS_MAX);
    }
    Str *regions = arena_alloc_array(arena, count, sizeof(*regions));
    for (size_t i = 0; i < count; i++) {
        const json_t *region = json_array_get(array, i);
        if (!json_is_string(region)) {
            return err_reject("target_regions: entry %zu must be a string", i + 1);
        }
        regions[i] = arena_copy(arena, document_string(region));
    }
    signal->regions = regions;
    signal->region_count = count;
    return err_none();
}

static Err read_regions(Arena *arena, const json_t *object, DeploymentSignal *signal)
{
    const json_t *one = json_object_get(object, "target_region");
    const json_t *several = json_object_get(object, "target_regions");
    if (one != NULL && several != NULL) {
        return err_reject("target_regions: must not stand beside target_region");
    }
    if (several != NULL) {
        return read_target_regions(arena, several, signal);
    }
    if (one == NULL) {
        return err_reject("target_region: missing");
    }
    Str *region = arena_alloc(arena, sizeof(*region));
    Err err = read_text(arena, one, "target_region", region);
    if (!err_is(err)) {
        err = parts_check_present("target_region", *region);
    }
    signal->regions = region;
    signal->region_count = 1;
    return err;
}

static Err read_on_region_failure(const json_t *value, OnRegionFailure *on_region_failure)
{
    static const char *const names[] = {
        [ON_REGION_FAILURE_HALT] = "halt",
        [ON_REGION_FAILURE_ROLLBACK_ALL] = "rollback_all",
        [ON_REGION_FAILURE_CONTINUE] = "continue",
    };
    for (size_t i = 0; json_is_string(value) && i < MESSAGE_COUNT(names); i++) {
        if (str_equal(document_string(value), str_from(names[i]))) {
            *on_region_failure = (OnRegionFailure)i;
            return err_none();
        }
    }
    return err_reject("on_region_failure: must be halt, rollback_all or continue");
}

static Err read_request_member(Arena *arena, Str key, const json_t *value, DeploymentSignal *signal)
{
    if (str_equal(key, STR("on_region_failure"))) {
        return read_on_region_failure(value, &signal->on_region_failure);
    }
    if (str_equal(key, STR("target_region")) || str_equal(key, STR("target_regions"))) {
        return err_none(); /* one of the two: looked at together, after the walk */
    }
    const TextMember members[] = {
        {"service", &signal->service},
        {"version", &signal->version},
        {"image", &signal->image},
        {"rollout_strategy", &signal->strategy},
    };
    return read_text_member(arena, key, value, members, MESSAGE_COUNT(members));
}

static Err read_request(Arena *arena, json_t *object, DeploymentSignal *signal)
{
    signal->strategy = STR("canary");
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        Err err = read_request_member(arena, key, json_object_iter_value(at), signal);
        if (err_is(err)) {
            return err;
        }
    }
    if (signal->service.data == NULL) { /* an empty string has a place; what never came has none */
        return err_reject("service: missing");
    }
    if (signal->version.data == NULL) {
        return err_reject("version: missing");
    }
    Err err = read_regions(arena, object, signal);
    return err_is(err) ? err : deployment_signal_check(signal);
}

Err wire_decode_deployment_signal_json(Arena *arena, Str body, DeploymentSignal *signal)
{
    *signal = (DeploymentSignal){0};
    json_t *object = NULL;
    Err err = document_load(body, DEPLOYMENT_BODY_MAX, REQUEST_DEPTH_MAX, &object);
    if (err_is(err)) {
        return err;
    }
    err = read_request(arena, object, signal);
    json_decref(object);
    return err;
}

/* Orders are shown to people and kept for good, so they are short and on one line. */
static Err check_line(const char *name, Str text, size_t bytes_max)
{
    if (text.length > bytes_max) {
        return err_reject("%s: is longer than %zu bytes", name, bytes_max);
    }
    for (size_t i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7F) {
            return err_reject("%s: holds a control character", name);
        }
    }
    return err_none();
}

static Err check_control(Str order, DeploymentControl *control)
{
    if (control->deployment_id.length > 0 && !id_is_token(control->deployment_id)) {
        return err_reject("deployment_id: must be one subject token");
    }
    if (!rollout_order_parse(order, &control->order)) {
        return err_reject("order: must be pause, resume, promote, promote_full, abort or approve");
    }
    if (str_trim(control->who).length == 0) {
        return err_reject("who: missing");
    }
    Err err = check_line("who", control->who, WHO_MAX_BYTES);
    if (!err_is(err)) {
        err = check_line("why", control->why, WHY_MAX_BYTES);
    }
    return err_is(err) ? err : message_check_time("when_ms", control->when_ms);
}

static Err read_order(Arena *arena, json_t *object, DeploymentControl *control)
{
    Str order = {0};
    const TextMember members[] = {
        {"order", &order},
        {"who", &control->who},
        {"why", &control->why},
        {"deployment_id", &control->deployment_id},
    };
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        Str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        Err err = read_text_member(arena, key, json_object_iter_value(at), members, MESSAGE_COUNT(members));
        if (err_is(err)) {
            return err;
        }
    }
    return check_control(order, control);
}

static Err decode_control_json(Arena *arena, Str body, DeploymentControl *control)
{
    json_t *object = NULL;
    Err err = document_load(body, MESSAGE_SMALL_BODY_MAX, ORDER_DEPTH_MAX, &object);
    if (err_is(err)) {
        return err;
    }
    err = read_order(arena, object, control);
    json_decref(object);
    return err;
}

Err wire_decode_deployment_control(Arena *arena, Str body, DeploymentControl *control)
{
    *control = (DeploymentControl){0};
    if (message_is_json(body)) {
        return decode_control_json(arena, body, control);
    }
    Tai__V1__DeploymentControl *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_control__descriptor, body, MESSAGE_SMALL_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    control->when_ms = packed->when_ms;
    Str order = {0};
    const MessageText texts[] = {
        {"deployment_id", packed->deployment_id, &control->deployment_id},
        {"order", packed->order, &order},
        {"who", packed->who, &control->who},
        {"why", packed->why, &control->why},
    };
    err = message_read_texts(texts, MESSAGE_COUNT(texts));
    return err_is(err) ? err : check_control(order, control);
}

Str wire_encode_deployment_control(Arena *arena, const DeploymentControl *control)
{
    Tai__V1__DeploymentControl packed = TAI__V1__DEPLOYMENT_CONTROL__INIT;
    packed.deployment_id = message_write_text(arena, control->deployment_id);
    packed.order = message_write_text(arena, str_from(rollout_order_name(control->order)));
    packed.who = message_write_text(arena, control->who);
    packed.why = message_write_text(arena, control->why);
    packed.when_ms = control->when_ms;
    return message_pack(arena, &packed);
}
