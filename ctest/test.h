/* A test program is one .c file that includes this header and nothing else of the harness.

       TEST(closing_a_handle_twice_gives_EBADF) { ... CHECK(...); ... }

   Without arguments the program lists its cases; with the names of cases it runs those. Every case runs
   in a process of its own, under a time limit ($CTEST_LIMIT seconds), in a process group that is killed
   afterwards. test_directory is an empty directory that lives as long as the case.

   Do not put go() inside a CHECK: the macro moves the stack pointer while arguments are being built. */

#ifndef TEST_H
#define TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "errno_name.h"

enum { TEST_SKIPPED = 77 };

struct test_case {
    const char *name;
    void (*body)(void);
    struct test_case *next;
};

static struct test_case *test_first;
static struct test_case **test_end = &test_first;
static char test_directory[256];

static inline void test_register(struct test_case *c) {
    *test_end = c;
    test_end = &c->next;
}

#define TEST(NAME)                                                                                          \
    static void test_body_##NAME(void);                                                                     \
    static struct test_case test_case_##NAME = {#NAME, test_body_##NAME, NULL};                             \
    __attribute__((constructor)) static void test_register_##NAME(void) {                                   \
        test_register(&test_case_##NAME);                                                                   \
    }                                                                                                       \
    static void test_body_##NAME(void)

/* --- Checks: the first one that fails ends the process with status 1. --- */

__attribute__((noreturn, format(printf, 3, 4))) static inline void test_fail(const char *file, int line,
                                                                             const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    fflush(NULL);
    _exit(1);
}

static inline void test_check(const char *file, int line, const char *text, int holds) {
    int err = errno;
    if (!holds) test_fail(file, line, "%s does not hold (errno %s)", text, errno_name(err));
}

static inline void test_check_int(const char *file, int line, const char *text, long long seen,
                                  long long expected) {
    int err = errno;
    if (seen != expected)
        test_fail(file, line, "%s is %lld, not %lld (errno %s)", text, seen, expected, errno_name(err));
}

static inline void test_check_err(const char *file, int line, const char *text, long long seen, int err,
                                  long long expected, int expected_err) {
    if (seen != expected || err != expected_err)
        test_fail(file, line, "%s is %lld with errno %s, not %lld with errno %s", text, seen,
                  errno_name(err), expected, errno_name(expected_err));
}

static inline void test_check_mem(const char *file, int line, const char *text, const void *seen,
                                  const void *expected, size_t len) {
    const unsigned char *a = (const unsigned char *)seen, *b = (const unsigned char *)expected;
    size_t i;
    for (i = 0; i != len; ++i)
        if (a[i] != b[i])
            test_fail(file, line, "byte %zu of %s is %02x, not %02x", i, text, (unsigned)a[i],
                      (unsigned)b[i]);
}

static inline void test_check_str(const char *file, int line, const char *text, const char *seen,
                                  const char *expected) {
    if (!seen || strcmp(seen, expected) != 0)
        test_fail(file, line, "%s is \"%s\", not \"%s\"", text, seen ? seen : "(null)", expected);
}

/* The expression is true. */
#define CHECK(EXPR) test_check(__FILE__, __LINE__, #EXPR, (EXPR) ? 1 : 0)
/* The integer expression has that value. */
#define CHECK_INT(EXPR, EXPECTED) \
    test_check_int(__FILE__, __LINE__, #EXPR, (long long)(EXPR), (long long)(EXPECTED))
/* The call returns that value (-1, mostly) and sets errno. */
#define CHECK_ERR(EXPR, EXPECTED, ERRNO)                                                                    \
    do {                                                                                                    \
        long long test_rc_;                                                                                 \
        errno = 0;                                                                                          \
        test_rc_ = (long long)(EXPR);                                                                       \
        test_check_err(__FILE__, __LINE__, #EXPR, test_rc_, errno, (long long)(EXPECTED), (ERRNO));         \
    } while (0)
/* The bytes are those of the expected block. */
#define CHECK_MEM(SEEN, EXPECTED, LEN) test_check_mem(__FILE__, __LINE__, #SEEN, (SEEN), (EXPECTED), (LEN))
/* The strings are equal. */
#define CHECK_STR(SEEN, EXPECTED) test_check_str(__FILE__, __LINE__, #SEEN, (SEEN), (EXPECTED))
/* For what holds unless the clock makes the library look at timers or descriptors in between, which a busy
   machine may bring about: the statement is repeated until the condition holds, and checked in the end. */
#define ATTEMPT_UNTIL(CONDITION) for (int attempt_ = 0; attempt_ != 20 && !(CONDITION); ++attempt_)

/* This machine cannot run the case. */
#define SKIP(REASON)                            \
    do {                                        \
        fprintf(stderr, "skipped: %s\n", REASON); \
        fflush(NULL);                           \
        _exit(TEST_SKIPPED);                    \
    } while (0)

/* A wrapper such as valgrind is watching, which is slow and cannot follow everything. */
static inline int is_wrapped(void) {
    const char *wrapped = getenv("CTEST_WRAPPED");
    return wrapped && *wrapped;
}

static inline void skip_under_wrapper(const char *reason) {
    if (is_wrapped()) SKIP(reason);
}

/* --- Running one case --- */

static inline void test_remove_directory(void) {
    DIR *dir = opendir(test_directory);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        char path[sizeof(test_directory) + sizeof(entry->d_name) + 1];
        snprintf(path, sizeof(path), "%s/%s", test_directory, entry->d_name);
        unlink(path);
    }
    if (dir) closedir(dir);
    rmdir(test_directory);
}

static inline void test_make_directory(void) {
    const char *tmp = getenv("TMPDIR");
    snprintf(test_directory, sizeof(test_directory), "%s/ctest.XXXXXX", tmp && strlen(tmp) < 64 ? tmp : "/tmp");
    if (!mkdtemp(test_directory)) {
        perror("mkdtemp");
        exit(2);
    }
}

/* Waits for the child as long as the limit allows. SIGCHLD must be blocked. */
static inline int test_wait_for(pid_t child, int *status) {
    const char *text = getenv("CTEST_LIMIT");
    struct timespec limit = {text ? atol(text) : 20, 0};
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    for (;;) {
        if (waitpid(child, status, WNOHANG) == child) return 0;
        if (sigtimedwait(&chld, NULL, &limit) < 0 && errno == EAGAIN) return -1;
    }
}

static inline int test_run(const struct test_case *c) {
    struct rlimit no_core = {0, 0};
    sigset_t chld, before;
    int status = 0, in_time;
    pid_t child;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, &before);
    test_make_directory();
    fflush(NULL);
    child = fork();
    if (child < 0) {
        perror("fork");
        exit(2);
    }
    if (child == 0) {
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &before, NULL);
        setrlimit(RLIMIT_CORE, &no_core);
        c->body();
        exit(0);
    }
    setpgid(child, child);
    in_time = test_wait_for(child, &status) == 0;
    kill(-child, SIGKILL);
    if (!in_time) waitpid(child, &status, 0);
    test_remove_directory();
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (!in_time)
        fprintf(stderr, "%s: still running at the time limit\n", c->name);
    else if (WIFSIGNALED(status))
        fprintf(stderr, "%s: killed by signal %d (%s)\n", c->name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    return in_time && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv) {
    int result = 0, i;
    if (argc == 1)
        for (struct test_case *c = test_first; c; c = c->next) puts(c->name);
    for (i = 1; i < argc; ++i) {
        const struct test_case *c = test_first;
        while (c && strcmp(c->name, argv[i]) != 0) c = c->next;
        if (!c) {
            fprintf(stderr, "no such case: %s\n", argv[i]);
            return 2;
        }
        int status = test_run(c);
        if (status != 0) result = status;
    }
    return result;
}

#endif
