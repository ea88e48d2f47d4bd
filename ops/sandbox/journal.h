/* journal - captured charges as JSON lines in a file, so that they outlive the sandbox.
 * A line is written before the answer leaves. What was declined or failed is not in it. */
#ifndef SANDBOX_JOURNAL_H
#define SANDBOX_JOURNAL_H

#include "ops/sandbox/book.h"

typedef struct {
    int file; /* -1: no journal */
} Journal;

/* Reads what is there into the book and the results by key; an unfinished last line is cut off. */
MUST_USE Err journal_open(Journal *journal, const char *path, Book *book, Table *results);
MUST_USE Err journal_append(Journal *journal, const Charge *charge, Buffer *scratch);
MUST_USE Err journal_empty(Journal *journal);
void journal_close(Journal *journal);

#endif
