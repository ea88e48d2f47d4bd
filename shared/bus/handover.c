/* handover - the one place where the library's threads meet the loop: a locked queue and an eventfd.
 * The loop takes the whole queue at once and swaps in its own empty array, so the lock is held for a few instructions
 * and a busy process is woken once for many messages. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/bus/private.h"

struct Handover {
    pthread_mutex_t lock;
    HandoverBatch filling;
    int event;
};

Handover *handover_open(void)
{
    Handover *handover = calloc(1, sizeof(*handover));
    TAI_ASSERT(handover != NULL);
    TAI_ASSERT(pthread_mutex_init(&handover->lock, NULL) == 0);
    handover->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    TAI_ASSERT(handover->event >= 0);
    return handover;
}

void handover_close(Handover *handover)
{
    for (size_t i = 0; i < handover->filling.count; i++) {
        natsMsg_Destroy(handover->filling.entries[i].message);
    }
    free(handover->filling.entries);
    close(handover->event);
    pthread_mutex_destroy(&handover->lock);
    free(handover);
}

int handover_descriptor(const Handover *handover)
{
    return handover->event;
}

void handover_put(Handover *handover, HandoverEntry entry)
{
    pthread_mutex_lock(&handover->lock);
    HandoverBatch *filling = &handover->filling;
    if (filling->count == filling->capacity) {
        size_t capacity = filling->capacity == 0 ? 256 : filling->capacity * 2;
        HandoverEntry *entries = realloc(filling->entries, capacity * sizeof(*entries));
        TAI_ASSERT(entries != NULL);
        filling->entries = entries;
        filling->capacity = capacity;
    }
    bool was_empty = filling->count == 0;
    filling->entries[filling->count++] = entry;
    pthread_mutex_unlock(&handover->lock);
    if (was_empty) {
        uint64_t one = 1;
        ssize_t written = write(handover->event, &one, sizeof(one));
        TAI_ASSERT(written == sizeof(one) || errno == EAGAIN); /* EAGAIN: it is readable anyway */
    }
}

void handover_take(Handover *handover, HandoverBatch *batch)
{
    uint64_t ignored;
    ssize_t got = read(handover->event, &ignored, sizeof(ignored));
    TAI_ASSERT(got == sizeof(ignored) || errno == EAGAIN);
    batch->count = 0;
    pthread_mutex_lock(&handover->lock);
    HandoverBatch filled = handover->filling;
    handover->filling = *batch;
    *batch = filled;
    pthread_mutex_unlock(&handover->lock);
}
