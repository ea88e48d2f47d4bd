/* watch - epoll in the loop's poll. */
#include "workers/action/drivers/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WATCH_TURN_MAX 64 /* items in one turn of the loop: what else is due comes in between */

struct Watch {
    int epoll;
};

static int64_t watch_deadline_ms(void *context)
{
    (void)context;
    return TIMER_NEVER;
}

/* One at a time: what becomes ready first may remove what was ready with it. */
static void watch_dispatch(void *context, int64_t now_ms)
{
    (void)now_ms;
    const Watch *watch = context;
    struct epoll_event event;
    for (int i = 0; i < WATCH_TURN_MAX && epoll_wait(watch->epoll, &event, 1, 0) == 1; i++) {
        const WatchItem *item = event.data.ptr;
        item->ready(item->context);
    }
}

Err watch_open(Loop *loop, Watch **out)
{
    Watch *watch = calloc(1, sizeof(*watch));
    TAI_ASSERT(watch != NULL);
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (watch->epoll < 0) {
        free(watch);
        return err_retry("epoll_create1: no descriptor left");
    }
    loop_add(loop, (LoopSource){watch->epoll, watch_deadline_ms, watch_dispatch, watch});
    *out = watch;
    return err_none();
}

void watch_close(Watch *watch)
{
    if (watch != NULL) {
        close(watch->epoll);
        free(watch);
    }
}

Err watch_add(Watch *watch, WatchItem *item, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = item};
    int failed = epoll_ctl(watch->epoll, EPOLL_CTL_ADD, item->descriptor, &event);
    if (failed != 0 && errno == EEXIST) {
        failed = epoll_ctl(watch->epoll, EPOLL_CTL_MOD, item->descriptor, &event);
    }
    return failed == 0 ? err_none() : err_retry("epoll_ctl: error %d", errno);
}

void watch_remove(Watch *watch, WatchItem *item)
{
    (void)epoll_ctl(watch->epoll, EPOLL_CTL_DEL, item->descriptor, NULL); /* fails only where it is not in */
}
