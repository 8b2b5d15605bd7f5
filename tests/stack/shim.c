/* Goes in front of the library and measures how much stack each of its functions takes: what lies below the
   stack pointer is painted before the call, and looked at afterwards.

   FUNCTIONS is a list of FUNCTION(name). When the process ends, "name bytes program" for each function that was called
   is appended to the file $STACK_USE. Nothing here may take the stack of the program: it has small ones. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* No function has more arguments than these, six of them in registers. Those that it has not are harmless. */
typedef long function(long, long, long, long, long, long, long, long);

struct entry {
    const char *name;
    function *real;
    size_t most;
};

/* So much is painted, several times what a function may take: more of it takes time, which some cases measure. Of stacks
   that the program has given, no more than there is. */
enum { DEPTH = 16 * 1024, RANGES = 4096 };
#define PAINT UINT64_C(0xA5C35A3CA5C35A3C)

static struct { uintptr_t low, high; } ranges[RANGES];
static unsigned next_range;

static uintptr_t lowest(uintptr_t sp) {
    uintptr_t low = sp - DEPTH;
    for (unsigned i = 0; i != RANGES && ranges[i].high; ++i)
        if (ranges[i].low < sp && sp <= ranges[i].high && ranges[i].low > low) low = ranges[i].low;
    return (low + 7) & ~(uintptr_t)7;
}

__attribute__((noinline)) static long measure(struct entry *e, long a, long b, long c, long d, long f, long g, long h,
                                               long i) {
    register uintptr_t sp __asm__("rsp");
    uintptr_t at = sp, low = lowest(at);
    for (volatile uint64_t *p = (uint64_t *)low; (uintptr_t)p < at; ++p) *p = PAINT;
    long result = e->real(a, b, c, d, f, g, h, i);
    volatile uint64_t *p = (uint64_t *)low;
    while ((uintptr_t)p < at && *p == PAINT) ++p;
    size_t used = at - (uintptr_t)p, most = __atomic_load_n(&e->most, __ATOMIC_RELAXED);
    while (used > most && !__atomic_compare_exchange_n(&e->most, &most, used, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return result;
}

#define FUNCTION(NAME)                                                                                      \
    static struct entry entry_##NAME = {#NAME, NULL, 0};                                                    \
    long NAME(long a, long b, long c, long d, long f, long g, long h, long i) {                             \
        return measure(&entry_##NAME, a, b, c, d, f, g, h, i);                                              \
    }
FUNCTIONS
#undef FUNCTION

#define FUNCTION(NAME) &entry_##NAME,
static struct entry prologue = {"dill_prologue", NULL, 0};
static struct entry *const entries[] = {FUNCTIONS &prologue};
#undef FUNCTION
enum { ENTRIES = sizeof(entries) / sizeof(*entries) };

/* Launching a coroutine: the program tells where its stack is, if it has one for it. */
int dill_prologue(void **ctx, void **ptr, size_t len, int bndl, const char *file, int line) {
    if (*ptr) {
        unsigned i = next_range++ % RANGES;
        ranges[i].low = (uintptr_t)*ptr;
        ranges[i].high = (uintptr_t)*ptr + len;
    }
    return (int)measure(&prologue, (long)ctx, (long)ptr, (long)len, bndl, (long)file, line, 0, 0);
}

__attribute__((constructor)) static void find(void) {
    for (int i = 0; i != ENTRIES; ++i) entries[i]->real = (function *)dlsym(RTLD_NEXT, entries[i]->name);
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("STACK_USE");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    for (int i = 0; fd >= 0 && i != ENTRIES; ++i)
        if (entries[i]->most) dprintf(fd, "%s %zu %s\n", entries[i]->name, entries[i]->most, program_invocation_short_name);
    if (fd >= 0) close(fd);
}
