/* watch - descriptors that drivers wait for, behind one descriptor in the loop. */
#ifndef TAI_WORKERS_ACTION_DRIVERS_WATCH_H
#define TAI_WORKERS_ACTION_DRIVERS_WATCH_H

#include "shared/worker/loop.h"

typedef struct Watch Watch;

/* Lives inside what it belongs to. */
typedef struct {
    int descriptor;
    void (*ready)(void *context); /* may remove this item and any other */
    void *context;
} WatchItem;

/* The loop must not turn any more after watch_close(). */
MUST_USE Err watch_open(Loop *loop, Watch **watch);
void watch_close(Watch *watch); /* NULL is fine */

/* `events` as for epoll_ctl(2): EPOLLIN, EPOLLOUT; level-triggered. Adding a second time changes the events. */
MUST_USE Err watch_add(Watch *watch, WatchItem *item, uint32_t events);
void watch_remove(Watch *watch, WatchItem *item); /* before the descriptor is closed */

#endif
