/* deployment - the rules that a signal must obey, and the names of what becomes of it.
 * The order of the checks is the order in which a person would read the request. */
#include "shared/deployment/deployment.h"

#include "shared/base/id.h"

#define REGION_MAX 63
#define STRATEGY_MAX 31
#define IMAGE_MAX 255

const char *deployment_status_name(DeploymentStatus status)
{
    switch (status) {
    case DEPLOYMENT_IN_PROGRESS:
        return "IN_PROGRESS";
    case DEPLOYMENT_SUCCESS:
        return "SUCCESS";
    case DEPLOYMENT_REJECTED:
        return "REJECTED";
    case DEPLOYMENT_ROLLED_BACK:
        return "ROLLED_BACK";
    case DEPLOYMENT_ABORTED:
        return "ABORTED";
    case DEPLOYMENT_FAILED:
        return "FAILED";
    }
    return "IN_PROGRESS";
}

int deployment_http_status(DeploymentStatus status)
{
    switch (status) {
    case DEPLOYMENT_SUCCESS:
        return 200;
    case DEPLOYMENT_REJECTED:
        return 403;
    case DEPLOYMENT_ROLLED_BACK:
    case DEPLOYMENT_ABORTED:
        return 409;
    case DEPLOYMENT_FAILED:
        return 502;
    case DEPLOYMENT_IN_PROGRESS:
        break;
    }
    return 202;
}

static bool is_lower_or_digit(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
}

static bool is_tag_start(char byte)
{
    return is_lower_or_digit(byte) || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static Err check_service(Str service)
{
    if (service.length == 0)
        return err_reject("service: is missing or empty");
    if (service.length > DEPLOYMENT_SERVICE_MAX)
        return err_reject("service: is longer than %d characters", DEPLOYMENT_SERVICE_MAX);
    bool valid = service.data[0] != '-' && service.data[service.length - 1] != '-';
    for (size_t i = 0; i < service.length; i++)
        valid = valid && (is_lower_or_digit(service.data[i]) || service.data[i] == '-');
    if (!valid)
        return err_reject("service: must be a DNS label: a-z 0-9, and - inside");
    return err_none();
}

static Err check_version(Str version)
{
    if (version.length == 0)
        return err_reject("version: is missing or empty");
    if (version.length > DEPLOYMENT_VERSION_MAX)
        return err_reject("version: is longer than %d characters", DEPLOYMENT_VERSION_MAX);
    bool valid = is_tag_start(version.data[0]);
    for (size_t i = 1; i < version.length; i++)
        valid = valid && (is_tag_start(version.data[i]) || version.data[i] == '.' || version.data[i] == '-');
    if (!valid)
        return err_reject("version: must be an image tag: A-Z a-z 0-9 _ and, not at its start, . -");
    return err_none();
}

/* One part of an OCI repository name: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* */
static bool is_repository_part(Str part)
{
    if (part.length == 0 || !is_lower_or_digit(part.data[0]) || !is_lower_or_digit(part.data[part.length - 1]))
        return false;
    for (size_t i = 1; i < part.length; i++) {
        char byte = part.data[i];
        char before = part.data[i - 1];
        bool doubled = byte == before && (byte == '-' || (byte == '_' && part.data[i - 2] != '_'));
        bool separates = byte == '.' || byte == '_' || byte == '-';
        if (!is_lower_or_digit(byte) && !(separates && (is_lower_or_digit(before) || doubled)))
            return false;
    }
    return true;
}

/* A registry's host, with or without a port, as it may stand before the first slash. */
static bool is_registry(Str host)
{
    Str name = {0};
    uint64_t port = 0;
    Str rest = host;
    if (!str_next_token(&rest, ':', &name) || name.length == 0)
        return false;
    if (rest.data != NULL && (!str_to_uint64(rest, &port) || port == 0 || port > 65535))
        return false;
    for (size_t i = 0; i < name.length; i++) {
        if (!is_tag_start(name.data[i]) && name.data[i] != '.' && name.data[i] != '-')
            return false;
    }
    return name.data[0] != '-' && name.data[0] != '.';
}

static Err check_image(Str image)
{
    if (image.length == 0)
        return err_none();
    if (image.length > IMAGE_MAX)
        return err_reject("image: is longer than %d characters", IMAGE_MAX);
    Str rest = image;
    Str part = {0};
    for (bool first = true; str_next_token(&rest, '/', &part); first = false) {
        bool host = first && rest.data != NULL && is_registry(part);
        if (!host && !is_repository_part(part))
            return err_reject("image: must be a repository's name without tag or digest (the version is the tag)");
    }
    return err_none();
}

static Err check_regions(const DeploymentSignal *signal)
{
    if (signal->region_count == 0)
        return err_reject("target_regions: at least one region is needed");
    if (signal->region_count > DEPLOYMENT_REGIONS_MAX)
        return err_reject("target_regions: has more than %d regions", DEPLOYMENT_REGIONS_MAX);
    for (size_t i = 0; i < signal->region_count; i++) {
        Str region = signal->regions[i];
        if (region.length > REGION_MAX || !id_is_token(region))
            return err_reject("target_regions: a region must be 1 to %d of A-Z a-z 0-9 _ : -", REGION_MAX);
        for (size_t j = 0; j < i; j++) {
            if (str_equal(region, signal->regions[j]))
                return err_reject("target_regions: " STR_FMT " stands twice", STR_ARG(region));
        }
    }
    return err_none();
}

static Err check_ids(const DeploymentSignal *signal)
{
    if (signal->deployment_id.length > 0 && !id_is_token(signal->deployment_id))
        return err_reject("deployment_id: must be 1 to %d of A-Z a-z 0-9 _ : -", ID_MAX_LENGTH);
    if (signal->publisher.length > 0 && !id_is_token(signal->publisher))
        return err_reject("publisher: must be 1 to %d of A-Z a-z 0-9 _ : -", ID_MAX_LENGTH);
    return err_none();
}

static Err check_strategy(const DeploymentSignal *signal)
{
    if (signal->strategy.length == 0)
        return err_reject("rollout_strategy: is missing or empty");
    if (signal->strategy.length > STRATEGY_MAX || !id_is_token(signal->strategy))
        return err_reject("rollout_strategy: must be 1 to %d of A-Z a-z 0-9 _ : -", STRATEGY_MAX);
    if ((unsigned)signal->on_region_failure > ON_REGION_FAILURE_CONTINUE)
        return err_reject("on_region_failure: must be halt, rollback_all or continue");
    return err_none();
}

Err deployment_signal_check(const DeploymentSignal *signal)
{
    Err err = check_ids(signal);
    if (!err_is(err))
        err = check_service(signal->service);
    if (!err_is(err))
        err = check_version(signal->version);
    if (!err_is(err))
        err = check_image(signal->image);
    if (!err_is(err))
        err = check_regions(signal);
    if (!err_is(err))
        err = check_strategy(signal);
    return err;
}

static bool same_regions(const DeploymentSignal *a, const DeploymentSignal *b)
{
    if (a->region_count != b->region_count)
        return false;
    for (size_t i = 0; i < a->region_count && i < DEPLOYMENT_REGIONS_MAX; i++) {
        if (!str_equal(a->regions[i], b->regions[i]))
            return false;
    }
    return true;
}

bool deployment_signal_same_request(const DeploymentSignal *a, const DeploymentSignal *b)
{
    return str_equal(a->service, b->service) && str_equal(a->version, b->version) && str_equal(a->image, b->image) &&
           str_equal(a->strategy, b->strategy) && a->on_region_failure == b->on_region_failure && same_regions(a, b);
}
