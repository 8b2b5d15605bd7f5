#define _GNU_SOURCE
#include "load.h"
#include "../common/net.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 256 };

static clockid_t cpu_clocks[PROCESSES];
static pid_t pids[PROCESSES];
static int clock_count;
static int counters[THREADS];
static int counter_count;

/* The number of the tracepoint that every system call passes. */
static unsigned long long tracepoint(void)
{
    static const char *const paths[] = {
        "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
        "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
    };
    unsigned long long id = 0;
    for(size_t i = 0; i < sizeof paths / sizeof paths[0] && id == 0; i++) {
        FILE *f = fopen(paths[i], "r");
        if(!f) continue;
        if(fscanf(f, "%llu", &id) != 1) id = 0;
        fclose(f);
    }
    if(id == 0) die("no access to the tracepoint of system calls");
    return id;
}

static void count_thread(unsigned long long id, pid_t thread)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT,
        .size = sizeof attr,
        .config = id,
    };
    if(counter_count == THREADS) die("too many threads");
    int fd = (int)syscall(SYS_perf_event_open, &attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if(fd < 0) die("perf_event_open");
    counters[counter_count++] = fd;
}

static void count_syscalls(pid_t pid)
{
    char path[64];
    unsigned long long id = tracepoint();
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if(!dir) die(path);
    for(struct dirent *entry; (entry = readdir(dir));)
        if(entry->d_name[0] != '.') count_thread(id, (pid_t)strtol(entry->d_name, NULL, 10));
    closedir(dir);
}

void account_open(const struct options *o)
{
    for(int i = 0; i < PROCESSES && o->pids[i] != 0; i++) {
        pids[i] = o->pids[i];
        errno = clock_getcpuclockid(pids[i], &cpu_clocks[clock_count++]);
        if(errno) die("clock_getcpuclockid");
        if(o->syscalls) count_syscalls(o->pids[i]);
    }
}

struct account account_now(void)
{
    struct account a = {.wall_ns = clock_ns(CLOCK_MONOTONIC)};
    for(int i = 0; i < clock_count; i++) a.cpu_ns += clock_ns(cpu_clocks[i]);
    for(int i = 0; i < counter_count; i++) {
        uint64_t value;
        if(read(counters[i], &value, sizeof value) != sizeof value) die("read of a counter");
        a.syscalls += value;
    }
    return a;
}

struct account account_since(struct account start)
{
    struct account a = account_now();
    a.wall_ns -= start.wall_ns;
    a.cpu_ns -= start.cpu_ns;
    a.syscalls -= start.syscalls;
    return a;
}

uint64_t account_resident(void)
{
    uint64_t pages = 0;
    for(int i = 0; i < clock_count; i++) {
        char path[64];
        unsigned long resident;
        snprintf(path, sizeof path, "/proc/%d/statm", (int)pids[i]);
        FILE *f = fopen(path, "r");
        if(!f || fscanf(f, "%*u %lu", &resident) != 1) die(path);
        fclose(f);
        pages += resident;
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
