/* Tests of kaizen: every outcome counts once, rejected ones are no deployments, and figures are rounded half up. */
#include <criterion/criterion.h>

#include "shared/deployment/kaizen.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

Test(kaizen, every_status_counts_in_its_place_and_rejected_ones_are_no_deployments)
{
    DeploymentKaizen kaizen = {0};
    for (int status = DEPLOYMENT_IN_PROGRESS; status < DEPLOYMENT_STATUS_COUNT; status++)
        cr_assert(deployment_kaizen_outcome(&kaizen, (uint64_t)status + 1, (DeploymentStatus)status, 1000));
    for (int status = DEPLOYMENT_IN_PROGRESS; status < DEPLOYMENT_STATUS_COUNT; status++)
        cr_assert_eq(kaizen.status[status], 1);
    cr_assert_eq(kaizen.duration_sum_ms, 5000);
    DeploymentFigures figures = deployment_kaizen_figures(&kaizen);
    cr_assert_eq(figures.total_deployments, 5);
    cr_assert_eq(figures.successful_deployments, 1);
    cr_assert_eq(figures.rollback_count, 1);
    cr_assert_eq(figures.success_rate_percent_e2, 2000);
    cr_assert_eq(figures.avg_duration_secs_e2, 100);
}

Test(kaizen, a_message_folded_twice_counts_once)
{
    DeploymentKaizen kaizen = {0};
    cr_assert(deployment_kaizen_outcome(&kaizen, 7, DEPLOYMENT_SUCCESS, 960000));
    DeploymentKaizen before = kaizen;
    for (uint64_t sequence = 0; sequence <= 7; sequence++) {
        cr_assert_not(deployment_kaizen_outcome(&kaizen, sequence, DEPLOYMENT_FAILED, 1));
        cr_assert_not(deployment_kaizen_other(&kaizen, sequence));
    }
    cr_assert_arr_eq(&kaizen, &before, sizeof kaizen);
    cr_assert(deployment_kaizen_other(&kaizen, 9));
    cr_assert_not(deployment_kaizen_outcome(&kaizen, 8, DEPLOYMENT_FAILED, 1));
    cr_assert_eq(kaizen.sequence, 9);
}

Test(kaizen, a_duration_at_a_bound_belongs_below_it)
{
    for (int i = 0; i < DEPLOYMENT_DURATION_BUCKETS; i++) {
        DeploymentKaizen kaizen = {0};
        cr_assert(i == 0 || deployment_duration_bounds_ms[i] > deployment_duration_bounds_ms[i - 1]);
        deployment_kaizen_outcome(&kaizen, 1, DEPLOYMENT_SUCCESS, deployment_duration_bounds_ms[i]);
        cr_assert_eq(kaizen.duration_buckets[i], 1);
        deployment_kaizen_outcome(&kaizen, 2, DEPLOYMENT_SUCCESS, deployment_duration_bounds_ms[i] + 1);
        cr_assert_eq(kaizen.duration_buckets[i + 1], 1);
    }
}

Test(kaizen, durations_that_cannot_be_and_unknown_statuses_do_no_harm)
{
    DeploymentKaizen kaizen = {0};
    deployment_kaizen_outcome(&kaizen, 1, DEPLOYMENT_SUCCESS, INT64_MIN);
    deployment_kaizen_outcome(&kaizen, 2, DEPLOYMENT_SUCCESS, -1);
    cr_assert_eq(kaizen.duration_sum_ms, 0);
    cr_assert_eq(kaizen.duration_buckets[0], 2);
    deployment_kaizen_outcome(&kaizen, 3, DEPLOYMENT_SUCCESS, INT64_MAX);
    cr_assert_eq(kaizen.duration_buckets[DEPLOYMENT_DURATION_BUCKETS], 1);
    deployment_kaizen_outcome(&kaizen, 4, (DeploymentStatus)99, 1);
    cr_assert_eq(kaizen.status[DEPLOYMENT_IN_PROGRESS], 1);
}

Test(kaizen, figures_are_derived_and_rounded_half_up)
{
    static const struct {
        uint64_t success;
        uint64_t rolled_back;
        uint64_t failed;
        uint64_t sum_ms;
        uint64_t success_e2;
        uint64_t average_e2;
    } rows[] = {
        {0, 0, 0, 0, 0, 0},     {1, 0, 0, 960000, 10000, 96000}, {2, 1, 0, 10, 6667, 0},
        {1, 1, 1, 15, 3333, 1}, {1, 0, 0, 4, 10000, 0},          {1, 0, 0, 5, 10000, 1},
        {0, 0, 2, 30, 0, 2},    {9, 1, 0, 4500000, 9000, 45000}, {1, 0, 19999, 0, 1, 0},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        DeploymentKaizen kaizen = {.duration_sum_ms = rows[i].sum_ms};
        kaizen.status[DEPLOYMENT_SUCCESS] = rows[i].success;
        kaizen.status[DEPLOYMENT_ROLLED_BACK] = rows[i].rolled_back;
        kaizen.status[DEPLOYMENT_FAILED] = rows[i].failed;
        kaizen.status[DEPLOYMENT_REJECTED] = 1000;
        DeploymentFigures figures = deployment_kaizen_figures(&kaizen);
        cr_assert_eq(figures.total_deployments, rows[i].success + rows[i].rolled_back + rows[i].failed);
        cr_assert_eq(figures.rollback_count, rows[i].rolled_back);
        cr_assert_eq(figures.success_rate_percent_e2, rows[i].success_e2, "row %zu", i);
        cr_assert_eq(figures.avg_duration_secs_e2, rows[i].average_e2, "row %zu", i);
    }
}
