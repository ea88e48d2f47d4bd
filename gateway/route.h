/* route - which resource a path and a method mean. */
#ifndef TAI_GATEWAY_ROUTE_H
#define TAI_GATEWAY_ROUTE_H

#include "gateway/request.h"

#define ROUTE_METHODS_MAX 3

typedef enum {
    ROUTE_NO_BODY,       /* one that comes all the same is read and dropped */
    ROUTE_JSON_OPTIONAL, /* where there is one, it is JSON */
    ROUTE_JSON,
} RouteBody;

typedef struct RouteMethod {
    const char *name; /* "GET" serves HEAD too; NULL ends the list */
    RouteBody body;
    size_t body_max_bytes;
    void (*begin)(Request *request); /* everything is there; answers now or later */
} RouteMethod;

typedef struct {
    const char *path; /* "/payment"; a segment '*' is the id: "/payment/" followed by '*' */
    RouteMethod methods[ROUTE_METHODS_MAX];
    bool without_bus; /* answers even when the bus cannot be reached */
    bool takes_query; /* query parameters are its own business; elsewhere there are none */
} Route;

/* Finds request->route, request->without_bus and request->id, or answers 404, 405 or OPTIONS. */
void route_request(Request *request, const Route *routes, size_t route_count);

#endif
