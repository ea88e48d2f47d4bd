/* route - which resource a path and a method mean. */
#include "gateway/route.h"

#include "gateway/problem.h"

static bool route_matches(const Route *route, Str path, Str *id)
{
    Str pattern = str_from(route->path);
    Str wanted = {0};
    Str given = {0};
    *id = (Str){0};
    while (str_next_token(&pattern, '/', &wanted)) {
        if (!str_next_token(&path, '/', &given)) {
            return false;
        }
        if (!str_equal(wanted, STR("*"))) {
            if (!str_equal(wanted, given)) {
                return false;
            }
        } else if (given.length == 0) {
            return false;
        } else {
            *id = given;
        }
    }
    return !str_next_token(&path, '/', &given);
}

static Str route_allow(Request *request, const Route *route)
{
    Buffer out = arena_buffer(&request->arena, 64);
    for (size_t i = 0; i < ROUTE_METHODS_MAX && route->methods[i].name != NULL; i++) {
        buffer_print(&out, "%s, ", route->methods[i].name);
        if (str_equal(str_from(route->methods[i].name), STR("GET"))) {
            buffer_append(&out, STR("HEAD, "));
        }
    }
    buffer_append(&out, STR("OPTIONS"));
    TAI_ASSERT(!out.overflow);
    return buffer_str(&out);
}

static void route_method(Request *request, const Route *route)
{
    Str method = str_equal(request->method, STR("HEAD")) ? STR("GET") : request->method;
    for (size_t i = 0; i < ROUTE_METHODS_MAX && route->methods[i].name != NULL; i++) {
        if (str_equal(method, str_from(route->methods[i].name))) {
            request->route = &route->methods[i];
            request->without_bus = route->without_bus;
            request->takes_query = route->takes_query;
            return;
        }
    }
    request->answer.allow = route_allow(request, route);
    if (str_equal(method, STR("OPTIONS"))) {
        request_answer(request, 204, NULL, (Str){0});
        return;
    }
    problem_answer(request, PROBLEM_METHOD, "this resource has " STR_FMT, STR_ARG(request->answer.allow));
}

void route_request(Request *request, const Route *routes, size_t route_count)
{
    for (size_t i = 0; i < route_count; i++) {
        Str rest;
        if (!route_matches(&routes[i], request->path, &rest)) {
            continue;
        }
        Buffer id = arena_buffer(&request->arena, rest.length + 1);
        if (!field_unescape(rest, &id)) {
            problem_answer(request, PROBLEM_INVALID, "the path has a percent escape that stands for nothing");
            return;
        }
        request->id = buffer_str(&id);
        route_method(request, &routes[i]);
        return;
    }
    if (str_equal(request->path, STR("*")) && str_equal(request->method, STR("OPTIONS"))) {
        request->answer.allow = STR("GET, HEAD, POST, PUT, DELETE, OPTIONS");
        request_answer(request, 204, NULL, (Str){0});
        return;
    }
    problem_answer(request, PROBLEM_NOT_FOUND, "nothing has this path");
}
