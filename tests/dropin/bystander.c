/* A program that does not use the library, and prints all that a library could change about it: run with
   and without the library preloaded it prints the same.

   usage: bystander [WHAT]

   Without argument it describes its surroundings. WHAT is "threads", "forks" or "segv": then it works with
   threads, or with children, or dies. */

#include <dirent.h>
#include <errno.h>
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void show_signals(void) {
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction action;
        if (sigaction(sig, NULL, &action) < 0)
            continue;
        const char *disposition = action.sa_handler == SIG_DFL   ? "default"
                                  : action.sa_handler == SIG_IGN ? "ignored"
                                                                 : "handled";
        printf("signal %d: %s, %s\n", sig, disposition, sigismember(&mask, sig) ? "blocked" : "free");
    }
    stack_t stack;
    sigaltstack(NULL, &stack);
    printf("alternate stack: %s\n", stack.ss_flags & SS_DISABLE ? "none" : "set");
    for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
        struct itimerval timer;
        getitimer(which, &timer);
        printf("timer %d: %s\n", which, timer.it_value.tv_sec || timer.it_value.tv_usec ? "set" : "off");
    }
}

/* The names in a directory of /proc, how many there are if they are numbers of threads. */
static void show_directory(const char *path, int names) {
    DIR *dir = opendir(path);
    if (!dir)
        return;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        count++;
        if (names)
            printf("%s/%s\n", path, entry->d_name);
    }
    printf("%s: %d\n", path, count);
    closedir(dir);
}

static void show_numbers(void) {
    double sum = 0.1;
    for (int i = 0; i < 10; i++)
        sum = sum / 3 + 0.1;
    printf("random: %ld %ld %d %f\n", random(), random(), rand(), drand48());
    printf("rounding: %d, exceptions: %d, sum: %a\n", fegetround(), fetestexcept(FE_ALL_EXCEPT & ~FE_INEXACT), sum);
}

static void show_process(void) {
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    printf("name: %s\n", name);
    printf("dumpable: %d\n", prctl(PR_GET_DUMPABLE));
    mode_t mask = umask(022);
    printf("umask: %o\n", (unsigned)mask);
    for (int resource = 0; resource < (int)RLIM_NLIMITS; resource++) {
        struct rlimit limit;
        if (getrlimit((__rlimit_resource_t)resource, &limit) == 0)
            printf("limit %d: %lu %lu\n", resource, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
    }
    printf("locale: %s, decimal point: %s, MB_CUR_MAX: %zu\n", setlocale(LC_ALL, NULL),
           localeconv()->decimal_point, MB_CUR_MAX);
    printf("errno: %d\n", errno);
}

/* The stack must not have become executable. */
static void show_stack(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "[stack]"))
            printf("stack: %.4s\n", strchr(line, ' ') + 1);
    if (maps)
        fclose(maps);
}

static void *count_up(void *counter) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&mutex);
        ++*(int *)counter;
        pthread_mutex_unlock(&mutex);
    }
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigisemptyset(&mask) ? counter : NULL;
}

static int work_with_threads(void) {
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    int counter = 0;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count_up, &counter);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        printf("thread: %s\n", result ? "well" : "its signal mask is not empty");
    }
    printf("counter: %d\n", counter);
    return 0;
}

static void at_exit(void) {
    printf("at exit\n");
}

static int work_with_children(void) {
    atexit(at_exit);
    printf("not flushed before the forks ");
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            printf("child %d\n", i);
            exit(i);
        }
        int status;
        waitpid(child, &status, 0);
        printf("status %d\n", WEXITSTATUS(status));
    }
    fflush(stdout);
    int status = system("exit 6");
    printf("system: %d\n", WEXITSTATUS(status));
    fflush(stdout);
    /* SIGPIPE kills, and is not ignored by who is executed either. */
    FILE *pipe = popen("kill -PIPE $$", "w");
    status = pclose(pipe);
    printf("killed by %d\n", WTERMSIG(status));
    return 3;
}

int main(int argc, char *argv[]) {
    if (argc > 1 && strcmp(argv[1], "threads") == 0)
        return work_with_threads();
    if (argc > 1 && strcmp(argv[1], "forks") == 0)
        return work_with_children();
    if (argc > 1 && strcmp(argv[1], "segv") == 0) {
        raise(SIGSEGV);
        return 0;
    }
    show_process();
    show_signals();
    show_numbers();
    show_stack();
    show_directory("/proc/self/fd", 1);
    show_directory("/proc/self/task", 0);
    return 0;
}
