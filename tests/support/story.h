/* story - what the ledger says of a deployment, as a text in which nothing is left that differs between two runs of the
 * same: no ids, no times, no counts. A disturbed deployment must have the story of an undisturbed one. */
#ifndef TAI_TESTS_STORY_H
#define TAI_TESTS_STORY_H

#include "shared/wire/deployment.h"
#include "tests/support/ledger.h"

#define STORY_REGIONS 4

typedef struct {
    const char *id;
    const char *service;
    const char *regions[STORY_REGIONS]; /* told as "1", "2", … */
    size_t region_count;
} StorySubject;

/* A line for each event, command, item of a lane, version that runs, outcome and alert, in the ledger's order;
 * `ledger` and `alerts` are all of DEPLOYMENT and of ANDON. */
const char *story_tell(Stack *stack, const StorySubject *about, const Entries *ledger, const Entries *alerts);

/* The line of one message; "" for one that the story leaves out or that is about another deployment. */
const char *story_line(Stack *stack, const StorySubject *about, const char *subject, Str body);

/* Every event fits the state that those before it make, so each was written by somebody who knew those (invariant 10);
 * an observation is as long as was planned and no stage passes before its time, pauses not counted. */
void story_check(Stack *stack, const StorySubject *about, const Entries *ledger);

#endif
