/* process - one program that a test runs: started, waited for, killed, its log read.
 * A process dies with the test, however the test ends (PR_SET_PDEATHSIG), so nothing stays behind. */
#ifndef TAI_TESTS_PROCESS_H
#define TAI_TESTS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_WORDS_MAX 40
#define PROCESS_WORD_BYTES 256

/* Words of a command line, or NAME=value settings. */
typedef struct {
    char words[PROCESS_WORDS_MAX][PROCESS_WORD_BYTES];
    size_t count;
} Words;

void words_add(Words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
void words_add_all(Words *words, const char *text); /* separated by spaces; NULL adds nothing */

typedef struct {
    char name[32];      /* "action-1" */
    char log_path[256]; /* stdout and stderr, appended to over restarts */
    Words command;
    Words environment; /* over the test's own */
    pid_t pid;         /* 0: not running */
    int64_t log_start; /* where this start's lines begin */
} Process;

void process_start(Process *process);

/* Waits until the log of this start has `text`. False when the process ended first or `within_ms` is over. */
bool process_wait_for_line(Process *process, const char *text, int64_t within_ms);
bool process_log_has(const Process *process, const char *text); /* in the whole log */
size_t process_log_count(const Process *process, const char *text);

/* Sends the signal and waits for the end. The exit code, 128 + signal where it was killed, -1 where it does not end
 * within 30 s (it is killed then). */
int process_stop(Process *process, int signal);
bool process_is_running(Process *process);

#endif
