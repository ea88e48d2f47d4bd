/* lives - a deployment on each path that one can take, lived at once in regions of their own: passed, judged bad,
 * approved, paused, promoted, aborted in each state, starved of traffic, unable to go back, over several regions, gone
 * back from after its success. Behind each waits another deployment in its first region. */
#ifndef TAI_TESTS_LIVES_H
#define TAI_TESTS_LIVES_H

#include "tests/support/story.h"

#define LIVES_MAX 24
#define LIFE_TURNS 2

/* When the ledger says `after` (the beginning of a line of the story), somebody orders something. */
typedef struct {
    const char *after;
    int64_t later_ms;
    const char *order;
    const char *behavior; /* of the sandbox from then on; members of JSON; NULL: as before */
} LifeTurn;

typedef struct {
    const char *name;
    const char *strategy;
    int regions;
    const char *more;                /* members of the signal; NULL: none */
    const char *behavior;            /* of the sandbox; members of JSON; NULL: none */
    const char *bad_region_behavior; /* likewise, in the second region only */
    bool tries_often;                /* commands are tried nine times; otherwise never again */
    const char *ends; /* the beginning of the line after which nothing of the path comes; NULL: the outcome */
    DeploymentStatus status;
    LifeTurn turns[LIFE_TURNS];
} LifePath;

typedef struct {
    const LifePath *path;
    StorySubject about;
    StorySubject behind; /* the deployment that waits in the first region */
    size_t turns_taken;
    int64_t turn_due_ms; /* monotonic; 0: not seen yet what it waits for */
    bool over;
    bool behind_over;
} Life;

typedef struct {
    Stack *stack;
    Life lives[LIVES_MAX];
    size_t count;
    uint64_t seen; /* last sequence of the ledger that was looked at */
} Lives;

/* The policy of the paths, with a region for each region of each. */
void lives_prepare(Stack *stack);

/* Says which there will be; `name` tells them from those before. */
void lives_name(Lives *lives, Stack *stack, const char *name);
void lives_begin(Lives *lives);
/* Reads what was written meanwhile and gives the orders that are due; waits a few ms. */
void lives_step(Lives *lives);
bool lives_are_over(const Lives *lives);

/* Which life a region, or a deployment's id within a text, belongs to; NULL: none. */
Life *lives_in_region(Lives *lives, Str region);
Life *lives_with_id(Lives *lives, const char *text);

/* All stories of it: of the path, of what waited behind it, and what was set in the regions, repetitions left out. */
const char *life_story(const Lives *lives, const Life *life, const Entries *ledger, const Entries *alerts);

#endif
