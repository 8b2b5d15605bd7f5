/* Scenarios in which every call that the library makes fails once, each in its turn.

       SCENARIO(a_pair) {
           int s[2];
           if (CALL(ipc_pair, s) < 0) return;
           ...
           CALL(hclose, s[0]);
       }

   A scenario is run without faults first, which counts the calls, and then again for each of them, in a
   process of its own, with that call failing: alone, or from then on; with each of its errors; or doing less
   than it was asked for. Its first use of the library is cold; after another run it is warm.

   CALL checks what the library returns: without faults the call must succeed. With them it may fail, with an
   errno that its manual page names, and in time. Whatever failed, a scenario must close what it has opened, for
   afterwards it is run once more without faults, must succeed, and must leave neither more descriptors nor more
   memory in use than two good runs do. */

#ifndef FAULTS_H
#define FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libdill.h>

#include "errno_name.h"
#include "errors.h" /* made from the manual: struct { function, names } manual_errors[] */
#include "plan.h"

/* --- What scenarios use --- */

struct scenario {
    const char *name;
    void (*body)(void);
    struct scenario *next;
};

#define SCENARIO(NAME)                                                                        \
    static void scenario_body_##NAME(void);                                                   \
    static struct scenario scenario_##NAME = {#NAME, scenario_body_##NAME, NULL};             \
    __attribute__((constructor)) static void scenario_register_##NAME(void) {                 \
        *scenario_end = &scenario_##NAME;                                                     \
        scenario_end = &scenario_##NAME.next;                                                 \
    }                                                                                         \
    static void scenario_body_##NAME(void)

/* Calls a function of the library; the result is what it returns. */
#define CALL(FUNCTION, ...) CALL_EXPECTING(0, FUNCTION, __VA_ARGS__)

/* The same for one that must fail with this errno if nothing else is wrong. */
#define CALL_EXPECTING(ERRNO, FUNCTION, ...)                                                      \
    __extension__({                                                                               \
        int64_t began_ = clock_without_starving();                                                \
        long long result_ = (long long)FUNCTION(__VA_ARGS__);                                     \
        check_call(__FILE__, __LINE__, #FUNCTION, result_, errno, ERRNO, began_);                 \
    })

/* For go(), which must not stand among the arguments of a call. */
#define CALLED(FUNCTION, RESULT) check_call(__FILE__, __LINE__, #FUNCTION, RESULT, errno, 0, 0)

/* What must be true whatever has failed. */
#define MUST(CONDITION) \
    do { if (!(CONDITION)) report("%s:%d: %s does not hold", __FILE__, __LINE__, #CONDITION); } while (0)

static struct scenario *scenario_first, **scenario_end = &scenario_first;

/* A scenario is being run with a fault. */
static int with_fault;

/* How long a call may take: when something is wrong, it is waited for in vain. */
enum { PATIENCE = 10000, PATIENCE_WITH_FAULT = 150, DELAY = 4000 };

static inline int64_t deadline(void) { return now() + (with_fault ? PATIENCE_WITH_FAULT : PATIENCE); }

/* --- Reporting --- */

/* What a child has to say, in memory that it shares with its parent. */
struct outcome {
    char complaint[400];
    long bytes, mapped, descriptors;
};
static struct outcome *outcome;
static struct plan *plan;

__attribute__((format(printf, 1, 2))) static inline void report(const char *format, ...) {
    va_list args;
    plan->armed = 0;
    va_start(args, format);
    vsnprintf(outcome->complaint, sizeof(outcome->complaint), format, args);
    va_end(args);
    _exit(1);
}

static inline int64_t clock_in_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* How long this thread has waited for a processor, which is no fault of the library. */
static inline int64_t starved_for_ms(void) {
    long long ran = 0, waited = 0;
    char text[100] = "";
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    if (read(fd, text, sizeof(text) - 1) > 0) sscanf(text, "%lld %lld", &ran, &waited);
    close(fd);
    return waited / 1000000;
}

static inline int64_t clock_without_starving(void) { return clock_in_ms() - starved_for_ms(); }

/* Whether the page of a function names an error. */
static inline int is_documented(const char *function, int error) {
    char name[32];
    snprintf(name, sizeof(name), " %s ", errno_name(error));
    /* The short names are macros for the long ones. Some functions have a long name only. */
    const char *short_name = strncmp(function, "dill_", 5) == 0 ? function + 5 : function;
    for (size_t i = 0; i != sizeof(manual_errors) / sizeof(*manual_errors); ++i)
        if (strcmp(manual_errors[i].function, short_name) == 0 || strcmp(manual_errors[i].function, function) == 0)
            return strstr(manual_errors[i].names, name) != NULL;
    report("%s has no page", function);
    return 0;
}

static inline long long check_call(const char *file, int line, const char *function, long long result, int error,
                                   int expected, int64_t began) {
    int64_t took = began ? clock_without_starving() - began : 0;
    if (with_fault && took > PATIENCE_WITH_FAULT + DELAY)
        report("%s:%d: %s took %lld ms", file, line, function, (long long)took);
    if (!with_fault && (expected ? result >= 0 || error != expected : result < 0))
        report("%s:%d: %s returned %lld with errno %s without a fault", file, line, function, result,
               errno_name(error));
    if (result < 0 && !is_documented(function, error))
        report("%s:%d: %s failed with errno %s, which its page does not name", file, line, function,
               errno_name(error));
    return result;
}

/* --- Faults --- */

static const char *const call_names[] = {
#define CALL_NAME(NAME) #NAME,
    EACH_CALL(CALL_NAME)
};

#ifndef RANDOM_ERRORS
#define RANDOM_ERRORS EINTR, EAGAIN, ENOSYS
#endif

/* Error codes with which a call fails in practice, and how it may fall short. */
struct kind {
    enum call call;
    int ways;
    int errors[10];
};
enum { MAY_BE_SHORT = 1, MAY_END = 2 };

static const struct kind kinds[] = {
    {CALL_malloc, 0, {ENOMEM}},
    {CALL_calloc, 0, {ENOMEM}},
    {CALL_realloc, 0, {ENOMEM}},
    {CALL_posix_memalign, 0, {ENOMEM}},
    {CALL_aligned_alloc, 0, {ENOMEM}},
    {CALL_mmap, 0, {ENOMEM, EAGAIN}},
    {CALL_madvise, 0, {ENOMEM, EINVAL, EAGAIN}},
    {CALL_mprotect, 0, {ENOMEM, EACCES}},
    {CALL_epoll_create1, 0, {EMFILE, ENFILE, ENOMEM}},
    {CALL_epoll_ctl, 0, {ENOMEM, ENOSPC, EBADF, EINVAL}},
    {CALL_epoll_wait, 0, {EINTR, EBADF, EINVAL}},
    {CALL_socket, 0, {EMFILE, ENFILE, ENOMEM, ENOBUFS, EAFNOSUPPORT, EACCES}},
    {CALL_socketpair, 0, {EMFILE, ENFILE, ENOMEM, ENOBUFS}},
    {CALL_connect, 0,
     {ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EINTR, ENOBUFS, ENOMEM, EACCES}},
    {CALL_bind, 0, {EADDRINUSE, EACCES, ENOMEM}},
    {CALL_listen, 0, {EADDRINUSE, ENOMEM}},
    {CALL_accept4, 0, {EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED, EINTR, EPERM, EPROTO, ENETDOWN}},
    {CALL_recv, MAY_BE_SHORT | MAY_END, {ECONNRESET, ENOMEM, ENOBUFS, ETIMEDOUT, EHOSTUNREACH, EINTR, EAGAIN}},
    {CALL_recvmsg, MAY_BE_SHORT | MAY_END, {ECONNRESET, ENOMEM, ENOBUFS, ETIMEDOUT, EHOSTUNREACH, EINTR, EAGAIN}},
    {CALL_recvfrom, MAY_BE_SHORT | MAY_END, {ECONNRESET, ENOMEM, EINTR, EAGAIN}},
    {CALL_send, MAY_BE_SHORT, {EPIPE, ECONNRESET, ENOMEM, ENOBUFS, ETIMEDOUT, EHOSTUNREACH, EINTR, EAGAIN}},
    {CALL_sendmsg, MAY_BE_SHORT, {EPIPE, ECONNRESET, ENOMEM, ENOBUFS, ETIMEDOUT, EHOSTUNREACH, EINTR, EAGAIN}},
    {CALL_sendto, MAY_BE_SHORT, {EPIPE, ECONNRESET, ENOMEM, EINTR, EAGAIN}},
    {CALL_read, MAY_BE_SHORT | MAY_END, {EIO, EINTR, EISDIR}},
    {CALL_write, MAY_BE_SHORT, {EIO, EINTR}},
    {CALL_readv, MAY_BE_SHORT | MAY_END, {EIO, EINTR}},
    {CALL_writev, MAY_BE_SHORT, {EIO, EINTR}},
    {CALL_getrandom, MAY_BE_SHORT, {RANDOM_ERRORS}},
    {CALL_eventfd, 0, {EMFILE, ENFILE, ENOMEM, ENODEV}},
    {CALL_pthread_create, 0, {EAGAIN, ENOMEM, EPERM}},
    {CALL_pthread_key_create, 0, {EAGAIN, ENOMEM}},
    {CALL_pthread_atfork, 0, {ENOMEM}},
    {CALL_pthread_setspecific, 0, {ENOMEM}},
    {CALL_pthread_attr_init, 0, {ENOMEM}},
    {CALL_pthread_attr_setstacksize, 0, {EINVAL}},
    {CALL_getaddrinfo, 0, {EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_NONAME, EAI_SYSTEM}},
    {CALL_getifaddrs, 0, {ENOMEM, EMFILE, EACCES}},
    {CALL_open, 0, {EMFILE, ENFILE, ENOENT, EACCES, ENOMEM, EINTR}},
    {CALL_opendir, 0, {EMFILE, ENFILE, ENOENT, EACCES, ENOMEM}},
    {CALL_fcntl, 0, {EBADF}},
    {CALL_getsockopt, 0, {ENOBUFS, ENOMEM}},
    {CALL_setsockopt, 0, {ENOBUFS, ENOMEM, EINVAL, ENOPROTOOPT}},
    {CALL_getsockname, 0, {ENOBUFS}},
    {CALL_shutdown, 0, {ENOTCONN, ENOBUFS}},
    {CALL_poll, 0, {EINTR, ENOMEM}},
    {CALL_dup, 0, {EMFILE}},
    {CALL_close, 0, {EINTR, EIO}},
    {CALL_readlink, 0, {ENOENT, EACCES}},
    {CALL_ioctl, 0, {ENOTTY, EINVAL}},
    {CALL_getpeername, 0, {ENOTCONN, ENOBUFS}},
    {CALL_statx, 0, {ENOENT, EIO}},
};

/* --- Running --- */

static inline long count_entries(const char *directory) {
    long count = 0;
    DIR *dir = opendir(directory);
    while (readdir(dir)) ++count;
    closedir(dir);
    return count - 2;
}

/* What they are, for whoever has to find out. */
static inline void list_descriptors(char *place, size_t size) {
    for (int fd = 3; fd != 600; ++fd) {
        char path[32], target[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof(target) - 1);
        if (len < 0) continue;
        target[len] = 0;
        int written = snprintf(place, size, " %d=%s", fd, target);
        if (written < 0 || (size_t)written >= size) return;
        place += written;
        size -= (size_t)written;
    }
}

/* Brings what the library keeps for as long as a thread lives to the same size, whatever has happened: a little
   for each number that a descriptor may have. */
static inline void settle(void) {
    int copies[110], numbers = 0, p[2];
    for (int i = 0; i != 300 && count_entries("/proc/self/task") != 1; ++i) usleep(10000);
    if (pipe(p) != 0) report("there is no pipe");
    fdin(p[0], 0);
    fdout(p[1], 0);
    copies[numbers] = fcntl(p[0], F_DUPFD, 500); /* tables grow to what that takes, however large they were */
    fdin(copies[numbers++], 0);
    while (numbers != 101) {
        copies[numbers] = dup(p[0]);
        fdin(copies[numbers++], 0);
    }
    /* The number of the epoll descriptor too: another one is made. */
    for (int fd = 3; fd != 100; ++fd) {
        char path[32], target[32] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof(target) - 1) < 0 || !strstr(target, "eventpoll")) continue;
        copies[numbers++] = dup2(p[0], fd);
        fdin(fd, 0);
    }
    for (int i = 0; i != numbers; ++i) {
        fdclean(copies[i]);
        close(copies[i]);
    }
    for (int i = 0; i != 2; ++i) {
        fdclean(p[i]);
        close(p[i]);
    }
}

static inline void run_in_child(const struct scenario *scenario, int warm, const struct plan *fault) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGALRM, SIG_DFL);
    alarm(60);
    if (fault && !freopen("/dev/null", "w", stderr)) return; /* what an abort says */
    if (warm) scenario->body();
    memset(plan->seen, 0, sizeof(plan->seen));
    if (fault) {
        plan->call = fault->call;
        plan->way = fault->way;
        plan->error = fault->error;
        plan->repeated = fault->repeated;
        plan->nth = fault->nth;
    }
    with_fault = fault != NULL;
    plan->armed = 1;
    scenario->body();
    plan->armed = 0;
    with_fault = 0;
    scenario->body();
    settle();
    outcome->bytes = plan->bytes;
    outcome->mapped = plan->mapped;
    outcome->descriptors = count_entries("/proc/self/fd");
    list_descriptors(outcome->complaint, sizeof(outcome->complaint));
    _exit(0);
}

/* Runs a scenario and returns the wait status of the child. */
static inline int run_once(const struct scenario *scenario, int warm, const struct plan *fault) {
    int status = -1;
    memset(plan, 0, sizeof(*plan));
    memset(outcome, 0, sizeof(*outcome));
    plan->call = CALLS;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) run_in_child(scenario, warm, fault);
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        exit(2);
    }
    return status;
}

#ifndef MAY_STAY_MAPPED
/* So many bytes of mappings may be kept that are not kept without a fault. */
#define MAY_STAY_MAPPED 0
#endif

/* If there is no memory for the stacks of the first coroutines, there are fewer of them, and a busy moment makes the
   library map more, which stay. */
enum { PLACES_OF_STACKS = 128, STACKS = 8 * (256 + 1024) << 10 };

struct tally {
    long faults, not_reached, failed;
};

static inline void describe(const struct scenario *scenario, int warm, const struct plan *fault, const char *what) {
    static const char *const ways[] = {"fails with ", "does a single byte", "ends"};
    const char *error = "";
    if (fault->way == FAIL && fault->call == CALL_getaddrinfo) error = gai_strerror(fault->error);
    else if (fault->way == FAIL) error = errno_name(fault->error);
    printf("     %s %s: %s %ld %s%s%s: %s\n", scenario->name, warm ? "warm" : "cold", call_names[fault->call],
           fault->nth, ways[fault->way], error, fault->repeated ? " from then on" : "", what);
}

static inline void inject(const struct scenario *scenario, int warm, const struct plan *fault,
                          const struct outcome *good, struct tally *tally) {
    char what[512] = "";
    int status = run_once(scenario, warm, fault), is_mmap = fault->call == CALL_mmap;
    ++tally->faults;
    if (plan->failed == 0) ++tally->not_reached;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(what, sizeof(what), "hangs");
    else if (WIFSIGNALED(status))
        snprintf(what, sizeof(what), "killed by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        snprintf(what, sizeof(what), "%s", *outcome->complaint ? outcome->complaint : "exited");
    else if (outcome->descriptors > good->descriptors)
        snprintf(what, sizeof(what), "leaves %ld descriptors:%s", outcome->descriptors - good->descriptors,
                 outcome->complaint);
    else if (outcome->bytes > good->bytes + (is_mmap ? PLACES_OF_STACKS : 0))
        snprintf(what, sizeof(what), "leaves %ld bytes", outcome->bytes - good->bytes);
    else if (outcome->mapped > good->mapped + MAY_STAY_MAPPED + (is_mmap ? STACKS : 0))
        snprintf(what, sizeof(what), "leaves %ld bytes mapped", outcome->mapped - good->mapped);
    if (!*what) return;
    if (++tally->failed <= 25) describe(scenario, warm, fault, what);
}

/* At most so many of the calls of a kind, and one error for each; 0: all of both. */
static long sample;

static inline void inject_kind(const struct scenario *scenario, int warm, const struct kind *kind, long count,
                               const struct outcome *good, struct tally *tally) {
    int errors = 0;
    while (errors != 10 && kind->errors[errors] != 0) ++errors;
    int variants = errors + 2;
    long step = sample && count > sample ? count / sample : 1;
    for (long nth = 1; nth <= count; nth += step) {
        for (int variant = 0; variant != variants; ++variant) {
            struct plan fault = {.call = (int)kind->call, .nth = nth};
            if (variant == errors && !(kind->ways & MAY_BE_SHORT)) continue;
            if (variant == errors + 1 && !(kind->ways & MAY_END)) continue;
            if (sample && (nth / step + variant) % variants > (variants > 3)) continue;
            fault.way = variant < errors ? FAIL : variant == errors ? SHORT : END;
            if (fault.way == FAIL) fault.error = kind->errors[variant];
            inject(scenario, warm, &fault, good, tally);
            /* Whoever makes these calls tries again at once. */
            if (fault.error == EINTR && (kind->call == CALL_getrandom || kind->call == CALL_open || kind->call == CALL_read))
                continue;
            fault.repeated = 1;
            inject(scenario, warm, &fault, good, tally);
        }
    }
}

/* Returns whether all went well. */
static inline int run_scenario(const struct scenario *scenario, int warm) {
    struct tally tally = {0, 0, 0};
    long seen[CALLS];
    int status = run_once(scenario, warm, NULL);
    struct outcome good = *outcome;
    if (status != 0) {
        printf("FAIL %s %s: %s (status %#x)\n", scenario->name, warm ? "warm" : "cold", good.complaint, status);
        return 0;
    }
    memcpy(seen, plan->seen, sizeof(seen));
    const char *only = getenv("FAULTS_CALL");
    for (size_t i = 0; i != sizeof(kinds) / sizeof(*kinds); ++i)
        if (!only || !*only || strcmp(only, call_names[kinds[i].call]) == 0)
            inject_kind(scenario, warm, &kinds[i], seen[kinds[i].call], &good, &tally);
    printf("%s %s %s: %ld faults, %ld of them not reached", tally.failed ? "FAIL" : "ok  ", scenario->name,
           warm ? "warm" : "cold", tally.faults, tally.not_reached);
    printf(tally.failed ? ", %ld failed\n" : "\n", tally.failed);
    return tally.failed == 0;
}

/* Without arguments: the names of the scenarios. With one: runs it, cold and warm. */
int main(int argc, char **argv) {
    struct plan **slot = (struct plan **)dlsym(RTLD_DEFAULT, "faults_plan");
    const char *text = getenv("FAULTS_SAMPLE");
    int good = 1;
    sample = text ? atol(text) : 0;
    if (argc == 1)
        for (struct scenario *s = scenario_first; s; s = s->next) puts(s->name);
    if (argc > 1 && !slot) {
        fprintf(stderr, "the shim is not loaded\n");
        return 2;
    }
    void *shared = mmap(NULL, sizeof(*plan) + sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 2;
    plan = (struct plan *)shared;
    outcome = (struct outcome *)(plan + 1);
    if (slot) *slot = plan;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; ++i)
        for (struct scenario *s = scenario_first; s; s = s->next)
            if (strcmp(s->name, argv[i]) == 0)
                for (int warm = 0; warm != 2; ++warm) good &= run_scenario(s, warm);
    return !good;
}

#endif
