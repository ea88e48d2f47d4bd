/* process - one program that a test runs: started, waited for, killed, its log read. */
#include "tests/support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/clock.h"

void words_add(Words *words, const char *format, ...)
{
    cr_assert_lt(words->count, PROCESS_WORDS_MAX);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(words->words[words->count], PROCESS_WORD_BYTES, format, arguments);
    va_end(arguments);
    cr_assert(length >= 0 && length < PROCESS_WORD_BYTES, "a word is too long: %s", words->words[words->count]);
    words->count++;
}

void words_add_all(Words *words, const char *text)
{
    while (text && *text) {
        size_t length = strcspn(text, " ");
        if (length > 0) {
            words_add(words, "%.*s", (int)length, text);
        }
        text += length + strspn(text + length, " ");
    }
}

/* In the child: becomes the program. Dies with the test even when the test itself is killed. */
static _Noreturn void process_become(const Process *process, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127);
    }
    setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    int log = open(process->log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, 0);
    dup2(log, 1);
    dup2(log, 2);
    closefrom(3);
    char *words[PROCESS_WORDS_MAX + 1] = {0};
    for (size_t i = 0; i < process->command.count; i++) {
        words[i] = (char *)process->command.words[i];
    }
    for (size_t i = 0; i < process->environment.count; i++) {
        putenv((char *)process->environment.words[i]);
    }
    execvp(words[0], words);
    dprintf(2, "cannot run %s: %s\n", words[0], strerror(errno));
    _exit(127);
}

void process_start(Process *process)
{
    struct stat log;
    process->log_start = stat(process->log_path, &log) == 0 ? log.st_size : 0;
    pid_t parent = getpid();
    process->pid = fork();
    cr_assert_geq(process->pid, 0, "fork: %s", strerror(errno));
    if (process->pid == 0) {
        process_become(process, parent);
    }
}

/* The log from `offset` on, with a closing NUL; the caller frees it. */
static char *process_read_log(const Process *process, int64_t offset)
{
    FILE *file = fopen(process->log_path, "re");
    if (!file) {
        return calloc(1, 1);
    }
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    size_t wanted = size > offset ? (size_t)(size - offset) : 0;
    char *text = calloc(1, wanted + 1);
    fseek(file, (long)offset, SEEK_SET);
    size_t got = fread(text, 1, wanted, file);
    text[got] = 0;
    fclose(file);
    return text;
}

bool process_wait_for_line(Process *process, const char *text, int64_t within_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + within_ms;
    for (;;) {
        bool running = process_is_running(process);
        char *log = process_read_log(process, process->log_start);
        bool found = strstr(log, text) != NULL;
        free(log);
        if (found || !running || clock_monotonic_ms() >= deadline_ms) {
            return found && running;
        }
        clock_pause(5);
    }
}

size_t process_log_count(const Process *process, const char *text)
{
    char *log = process_read_log(process, 0);
    size_t count = 0;
    for (const char *place = strstr(log, text); place; place = strstr(place + 1, text)) {
        count++;
    }
    free(log);
    return count;
}

bool process_log_has(const Process *process, const char *text)
{
    return process_log_count(process, text) > 0;
}

bool process_is_running(Process *process)
{
    siginfo_t info = {0};
    return process->pid > 0 && waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

int process_stop(Process *process, int signal_number)
{
    if (process->pid <= 0) {
        return 0;
    }
    kill(process->pid, signal_number);
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    bool late = false;
    int status = 0;
    while (waitpid(process->pid, &status, WNOHANG) == 0) {
        if (!late && clock_monotonic_ms() >= deadline_ms) {
            late = true;
            kill(-process->pid, SIGKILL);
        }
        clock_pause(2);
    }
    process->pid = 0;
    if (late) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
