/* deployment_figures - the Kaizen figures of deployments: JSON for people and scripts, Prometheus' text, and the fold
 * as the KV bucket keeps it. Percentages and averages are exact hundredths, never doubles. */
#include "shared/base/json.h"
#include "shared/wire/deployment.h"
#include "shared/wire/deployment_parts.h"
#include "shared/wire/metric.h"

#define FIGURES_MAX_BYTES 512

Str wire_print_deployment_figures_json(Arena *arena, const DeploymentFigures *figures)
{
    Buffer out = arena_buffer(arena, FIGURES_MAX_BYTES);
    JsonWriter json = json_writer(&out);
    json_open(&json, NULL, '{');
    json_put_int(&json, "total_deployments", (int64_t)figures->total_deployments);
    json_put_int(&json, "successful_deployments", (int64_t)figures->successful_deployments);
    json_put_int(&json, "rollback_count", (int64_t)figures->rollback_count);
    json_put_decimal(&json, "success_rate_percent", (int64_t)figures->success_rate_percent_e2, 2);
    json_put_decimal(&json, "avg_duration_secs", (int64_t)figures->avg_duration_secs_e2, 2);
    json_close(&json, '}');
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}

static void print_outcomes(Buffer *out, const DeploymentKaizen *kaizen)
{
    static const char name[] = "deployment_total";
    metric_print_head(out, name, "counter", "Deployments with a final result, by status.");
    for (DeploymentStatus status = DEPLOYMENT_SUCCESS; status < DEPLOYMENT_STATUS_COUNT; status++) {
        buffer_print(out, "%s{status=\"%s\"} %llu\n", name, deployment_status_name(status),
                     (unsigned long long)kaizen->status[status]);
    }
}

Str wire_print_deployment_exposition(Arena *arena, const DeploymentKaizen *kaizen)
{
    Buffer out = arena_buffer(arena, METRIC_TEXT_MAX_BYTES);
    print_outcomes(&out, kaizen);
    metric_print_counter(&out, "deployment_success_total", "Deployments that reached all their regions.",
                         kaizen->status[DEPLOYMENT_SUCCESS]);
    metric_print_counter(&out, "deployment_rollback_total", "Deployments that were rolled back.",
                         kaizen->status[DEPLOYMENT_ROLLED_BACK]);
    metric_print_histogram(&out, "deployment_duration_seconds",
                           "Time from a signal's arrival to its outcome, of all deployments but rejected ones.",
                           deployment_duration_bounds_ms, kaizen->duration_buckets, DEPLOYMENT_DURATION_BUCKETS,
                           kaizen->duration_sum_ms);
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}

Err wire_decode_deployment_kaizen(Arena *arena, Str body, DeploymentKaizen *kaizen)
{
    Tai__V1__DeploymentKaizen *packed = NULL;
    Err err = message_unpack(arena, &tai__v1__deployment_kaizen__descriptor, body, MESSAGE_SMALL_BODY_MAX, &packed);
    if (err_is(err)) {
        return err;
    }
    *kaizen = (DeploymentKaizen){
        .sequence = packed->sequence,
        .duration_sum_ms = packed->duration_sum_ms,
    };
    err = message_read_counts("status", packed->status, packed->n_status, kaizen->status, DEPLOYMENT_STATUS_COUNT);
    if (!err_is(err)) {
        err = message_read_counts("duration_buckets", packed->duration_buckets, packed->n_duration_buckets,
                                  kaizen->duration_buckets, DEPLOYMENT_DURATION_BUCKETS + 1);
    }
    return err;
}

Str wire_encode_deployment_kaizen(Arena *arena, const DeploymentKaizen *kaizen)
{
    DeploymentKaizen figures = *kaizen; /* protobuf-c takes its arrays without const */
    Tai__V1__DeploymentKaizen packed = TAI__V1__DEPLOYMENT_KAIZEN__INIT;
    packed.sequence = figures.sequence;
    packed.n_status = DEPLOYMENT_STATUS_COUNT;
    packed.status = figures.status;
    packed.duration_sum_ms = figures.duration_sum_ms;
    packed.n_duration_buckets = DEPLOYMENT_DURATION_BUCKETS + 1;
    packed.duration_buckets = figures.duration_buckets;
    return message_pack(arena, &packed);
}
