/* Tests of deployment: what a signal may say, and how each end is told. */
#include <criterion/criterion.h>
#include <string.h>

#include "shared/deployment/deployment.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static DeploymentSignal signal_make(void)
{
    static const Str regions[] = {STR("us-west-2"), STR("us-east-1")};
    return (DeploymentSignal){
        .service = STR("api-service"),
        .version = STR("v2.0.0"),
        .regions = regions,
        .region_count = 2,
        .strategy = STR("canary"),
    };
}

static Str repeat(char *memory, char byte, size_t count)
{
    memset(memory, byte, count);
    return (Str){memory, count};
}

Test(deployment, each_status_has_its_name_and_its_answer)
{
    static const struct {
        DeploymentStatus status;
        const char *name;
        int http;
    } rows[] = {
        {DEPLOYMENT_IN_PROGRESS, "IN_PROGRESS", 202}, {DEPLOYMENT_SUCCESS, "SUCCESS", 200},
        {DEPLOYMENT_REJECTED, "REJECTED", 403},       {DEPLOYMENT_ROLLED_BACK, "ROLLED_BACK", 409},
        {DEPLOYMENT_ABORTED, "ABORTED", 409},         {DEPLOYMENT_FAILED, "FAILED", 502},
    };
    cr_assert_eq(LENGTH(rows), DEPLOYMENT_STATUS_COUNT);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        cr_assert_str_eq(deployment_status_name(rows[i].status), rows[i].name);
        cr_assert_eq(deployment_http_status(rows[i].status), rows[i].http);
    }
    cr_assert_str_eq(deployment_status_name((DeploymentStatus)99), "IN_PROGRESS");
}

Test(deployment, a_service_is_a_dns_label)
{
    static const struct {
        Str service;
        bool valid;
    } rows[] = {
        {STR("api-service"), true}, {STR("a"), true},         {STR("7"), true},    {STR("a--b"), true},
        {STR(""), false},           {STR("-a"), false},       {STR("a-"), false},  {STR("Api"), false},
        {STR("a_b"), false},        {STR("a.b"), false},      {STR("a b"), false}, {STR("a/../b"), false},
        {STR("a\0b"), false},       {STR("\xC3\xA4"), false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        DeploymentSignal signal = signal_make();
        signal.service = rows[i].service;
        Err err = deployment_signal_check(&signal);
        cr_assert_eq(err_is(err), !rows[i].valid, "row %zu", i);
        cr_assert(rows[i].valid || strncmp(err.why, "service: ", 9) == 0);
    }
}

Test(deployment, a_version_is_an_image_tag)
{
    static const struct {
        Str version;
        bool valid;
    } rows[] = {
        {STR("v2.0.0"), true},    {STR("_x"), true},       {STR("2024-01-01_rc.1"), true},
        {STR("A"), true},         {STR(""), false},        {STR(".1"), false},
        {STR("-1"), false},       {STR("1+build"), false}, {STR("a b"), false},
        {STR("a/b"), false},      {STR("a:b"), false},     {STR("a\n"), false},
        {STR("latest@x"), false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        DeploymentSignal signal = signal_make();
        signal.version = rows[i].version;
        Err err = deployment_signal_check(&signal);
        cr_assert_eq(err_is(err), !rows[i].valid, "row %zu", i);
        cr_assert(rows[i].valid || strncmp(err.why, "version: ", 9) == 0);
    }
}

Test(deployment, an_image_is_a_repository_without_tag_or_digest)
{
    static const struct {
        Str image;
        bool valid;
    } rows[] = {
        {STR(""), true},
        {STR("api"), true},
        {STR("team/api-service"), true},
        {STR("localhost:5000/team/api"), true},
        {STR("registry.example.com/a/b/c"), true},
        {STR("Registry.Example.com/a"), true},
        {STR("a__b/c--d/e.f"), true},
        {STR("a---b"), true},
        {STR("api:v1"), false},
        {STR("team/api:v1"), false},
        {STR("api@sha256:00"), false},
        {STR("localhost:0/a"), false},
        {STR("localhost:99999/a"), false},
        {STR("localhost:/a"), false},
        {STR("localhost:5000"), false},
        {STR("a//b"), false},
        {STR("/a"), false},
        {STR("a/"), false},
        {STR("a/B"), false},
        {STR("a/b___c"), false},
        {STR("a/b..c"), false},
        {STR("a/b._c"), false},
        {STR("a/-b"), false},
        {STR("../etc"), false},
        {STR("a b"), false},
        {STR("http://x/a"), false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        DeploymentSignal signal = signal_make();
        signal.image = rows[i].image;
        Err err = deployment_signal_check(&signal);
        cr_assert_eq(err_is(err), !rows[i].valid, "row %zu: " STR_FMT, i, STR_ARG(rows[i].image));
        cr_assert(rows[i].valid || strncmp(err.why, "image: ", 7) == 0);
    }
}

Test(deployment, lengths_are_bounded)
{
    static const struct {
        size_t offset;
        size_t maximum;
    } rows[] = {
        {offsetof(DeploymentSignal, service), DEPLOYMENT_SERVICE_MAX},
        {offsetof(DeploymentSignal, version), DEPLOYMENT_VERSION_MAX},
        {offsetof(DeploymentSignal, image), 255},
        {offsetof(DeploymentSignal, strategy), 31},
        {offsetof(DeploymentSignal, deployment_id), 128},
        {offsetof(DeploymentSignal, publisher), 128},
    };
    char memory[300];
    for (size_t i = 0; i < LENGTH(rows); i++) {
        for (size_t over = 0; over < 2; over++) {
            DeploymentSignal signal = signal_make();
            *(Str *)((char *)&signal + rows[i].offset) = repeat(memory, 'a', rows[i].maximum + over);
            cr_assert_eq(err_is(deployment_signal_check(&signal)), over == 1, "row %zu", i);
        }
    }
    for (size_t over = 0; over < 2; over++) {
        DeploymentSignal signal = signal_make();
        Str region = repeat(memory, 'a', 63 + over);
        signal.regions = &region;
        signal.region_count = 1;
        cr_assert_eq(err_is(deployment_signal_check(&signal)), over == 1, "a region");
    }
}

Test(deployment, regions_are_told_at_least_one_none_twice)
{
    DeploymentSignal signal = signal_make();
    cr_assert_not(err_is(deployment_signal_check(&signal)));
    signal.region_count = 0;
    cr_assert(err_is(deployment_signal_check(&signal)));
    signal.region_count = DEPLOYMENT_REGIONS_MAX + 1;
    cr_assert(err_is(deployment_signal_check(&signal)));
    signal = signal_make();
    Str regions[] = {STR("us-west-2"), STR("us-west-2")};
    signal.regions = regions;
    Err err = deployment_signal_check(&signal);
    cr_assert_str_eq(err.why, "target_regions: us-west-2 stands twice");
    cr_assert_eq(err.kind, ERR_REJECT);
    static const Str bad[] = {STR(""), STR("a.b"), STR("*"), STR(">"), STR("a b")};
    for (size_t i = 0; i < LENGTH(bad); i++) {
        regions[1] = bad[i];
        err = deployment_signal_check(&signal);
        cr_assert_eq(strncmp(err.why, "target_regions: ", 16), 0);
    }
}

Test(deployment, strategy_ids_and_what_to_do_on_failure_are_checked)
{
    DeploymentSignal signal = signal_make();
    signal.strategy = (Str){0};
    cr_assert(err_is(deployment_signal_check(&signal)));
    signal = signal_make();
    signal.on_region_failure = (OnRegionFailure)7;
    cr_assert(err_is(deployment_signal_check(&signal)));
    signal = signal_make();
    signal.deployment_id = STR("dep_01.x");
    cr_assert(err_is(deployment_signal_check(&signal)));
    signal = signal_make();
    signal.publisher = STR("a.b");
    cr_assert(err_is(deployment_signal_check(&signal)));
}

Test(deployment, the_same_request_is_all_that_a_publisher_chooses)
{
    DeploymentSignal one = signal_make();
    DeploymentSignal other = signal_make();
    other.deployment_id = STR("dep_2");
    other.publisher = STR("bob");
    other.received_ms = 5;
    cr_assert(deployment_signal_same_request(&one, &other));
    const Str swapped[] = {one.regions[1], one.regions[0]};
    for (int change = 0; change < 7; change++) {
        other = signal_make();
        other.service = change == 0 ? STR("b") : other.service;
        other.version = change == 1 ? STR("b") : other.version;
        other.image = change == 2 ? STR("b") : other.image;
        other.strategy = change == 3 ? STR("b") : other.strategy;
        other.on_region_failure = change == 4 ? ON_REGION_FAILURE_CONTINUE : other.on_region_failure;
        other.region_count = change == 5 ? 1 : other.region_count;
        other.regions = change == 6 ? swapped : other.regions;
        cr_assert_not(deployment_signal_same_request(&one, &other), "change %d", change);
    }
}
