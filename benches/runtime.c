/* What the runtime's parts cost: a switch, the life of a coroutine, a message through a
   channel, the same through choose, a timer; next to a call through a pointer. Or, with
   "alive N": N coroutines at once, each of which has run and waits. */
#include "common/net.h"

#include <libdill.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMES = 5000000, SLEEPERS = 10000, SLEEPS = 20 };

static void check(int rc, const char *what)
{
    if(rc < 0) die(what);
}

__attribute__((noinline)) static void nothing(void)
{
    __asm__ volatile("");
}

static void call(void)
{
    void (*volatile pointer)(void) = nothing;
    for(int i = 0; i < TIMES; i++) pointer();
}

static coroutine void yielder(int times)
{
    for(int i = 0; i < times; i++) yield();
}

static void run_switch(void)
{
    int other = go(yielder(TIMES / 2));
    check(other, "go");
    yielder(TIMES / 2);
    hclose(other);
}

static coroutine void end_at_once(void)
{
}

static void run_go(void)
{
    int all = bundle();
    check(all, "bundle");
    for(int i = 0; i < TIMES; i++) bundle_go(all, end_at_once());
    hclose(all);
}

static void run_go_hclose(void)
{
    for(int i = 0; i < TIMES; i++) hclose(go(end_at_once()));
}

/* Sends back every number it gets. */
static coroutine void chan_echo(int ch)
{
    int value;
    while(chrecv(ch, &value, sizeof value, -1) == 0) chsend(ch, &value, sizeof value, -1);
}

static void run_chan(void)
{
    int ch[2], value = 0;
    check(chmake(ch), "chmake");
    int other = go(chan_echo(ch[1]));
    check(other, "go");
    for(int i = 0; i < TIMES / 2; i++) {
        chsend(ch[0], &value, sizeof value, -1);
        chrecv(ch[0], &value, sizeof value, -1);
    }
    hclose(other);
    hclose(ch[0]);
    hclose(ch[1]);
}

static int choose_one(int op, int ch, int *value)
{
    struct chclause clause = {op, ch, value, sizeof *value};
    return choose(&clause, 1, -1);
}

static coroutine void choose_echo(int ch)
{
    int value;
    while(choose_one(CHRECV, ch, &value) >= 0 && choose_one(CHSEND, ch, &value) >= 0) {}
}

static void run_choose(void)
{
    int ch[2], value = 0;
    check(chmake(ch), "chmake");
    int other = go(choose_echo(ch[1]));
    check(other, "go");
    for(int i = 0; i < TIMES / 2; i++) {
        choose_one(CHSEND, ch[0], &value);
        choose_one(CHRECV, ch[0], &value);
    }
    hclose(other);
    hclose(ch[0]);
    hclose(ch[1]);
}

static coroutine void sleeper(unsigned seed)
{
    for(int i = 0; i < SLEEPS; i++) {
        seed = seed * 1103515245 + 12345;
        msleep(now() + 1 + (seed >> 16) % 20);
    }
}

static void run_timers(void)
{
    int all = bundle();
    check(all, "bundle");
    for(unsigned i = 0; i < SLEEPERS; i++) check(bundle_go(all, sleeper(i)), "bundle_go");
    check(bundle_wait(all, -1), "bundle_wait");
    hclose(all);
}

/* Processor time per operation, in ns. */
static double cost(void (*run)(void), int operations)
{
    uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    run();
    return (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / operations;
}

static coroutine void wait_for_ever(long *ran)
{
    (*ran)++;
    msleep(-1);
}

/* Fields of /proc/self/status, in KiB. */
static long status_kib(const char *field)
{
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "r");
    if(!f) die("/proc/self/status");
    while(fgets(line, sizeof line, f))
        if(strncmp(line, field, strlen(field)) == 0) value = strtol(line + strlen(field), NULL, 10);
    fclose(f);
    return value;
}

static void alive(long count)
{
    long ran = 0;
    int all = bundle();
    check(all, "bundle");
    long rss = status_kib("VmRSS:"), tables = status_kib("VmPTE:");
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    for(long i = 0; i < count; i++) check(bundle_go(all, wait_for_ever(&ran)), "bundle_go");
    uint64_t made = clock_ns(CLOCK_MONOTONIC);
    rss = status_kib("VmRSS:") - rss;
    tables = status_kib("VmPTE:") - tables;
    uint64_t measured = clock_ns(CLOCK_MONOTONIC);
    check(hclose(all), "hclose");
    uint64_t closed = clock_ns(CLOCK_MONOTONIC);
    printf("{\"alive\": %ld, \"go_ns\": %.1f, \"close_ns\": %.1f, \"rss_kib\": %ld, "
           "\"tables_kib\": %ld}\n", ran, (double)(made - start) / (double)count,
        (double)(closed - measured) / (double)count, rss, tables);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); int operations; } parts[] = {
        {"call", call, TIMES},
        {"switch", run_switch, TIMES},
        {"go", run_go, TIMES},
        {"go_hclose", run_go_hclose, TIMES},
        {"chan", run_chan, TIMES},
        {"choose", run_choose, TIMES},
        {"timer", run_timers, SLEEPERS * SLEEPS},
    };
    if(argc == 3 && strcmp(argv[1], "alive") == 0) {
        alive(number(argv[2], 1, 100000000));
        return 0;
    }
    if(argc != 1) {
        fprintf(stderr, "usage: %s [alive N]\n", argv[0]);
        return 2;
    }
    for(size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        printf("%s\"%s\": %.2f", i ? ", " : "{", parts[i].name,
            cost(parts[i].run, parts[i].operations));
        fflush(stdout);
    }
    puts("}");
    return 0;
}
