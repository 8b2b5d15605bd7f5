/* cc: -O0 */
/* cc: -O1 -fomit-frame-pointer */
/* cc: -O2 -fno-pie -no-pie */
/* cc: -O3 */
/* cc: -Os */
/* The go macro and the order in which coroutines run. */

#include <libdill.h>

#include <sys/mman.h>

#include "dies.h"
#include "test.h"

static char trace[256];
static void note(const char *text) { strcat(trace, text); }

coroutine static void yield_and_note(const char *name, int n) {
    char text[32];
    for (int i = 0; i != n; ++i) {
        snprintf(text, sizeof(text), "%s%d ", name, i);
        note(text);
        CHECK_INT(yield(), 0);
    }
    snprintf(text, sizeof(text), "%sE ", name);
    note(text);
}

TEST(a_new_coroutine_runs_first_and_its_parent_continues_last) {
    int b = bundle();
    CHECK_INT(bundle_go(b, yield_and_note("a", 3)), 0);
    note("main0 ");
    CHECK_INT(bundle_go(b, yield_and_note("b", 2)), 0);
    note("main1 ");
    CHECK_INT(bundle_go(b, yield_and_note("c", 1)), 0);
    note("main2 ");
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(trace, "a0 main0 b0 a1 main1 c0 b1 a2 main2 cE bE aE ");
    CHECK_INT(hclose(b), 0);
}

coroutine static void add(volatile int *sum, int n) { *sum += n; }

TEST(two_coroutines_can_be_launched_and_closed) {
    volatile int sum = 0;
    int a = go(add(&sum, 1));
    int b = go(add(&sum, 2));
    CHECK(a >= 0);
    CHECK(b >= 0);
    CHECK(a != b);
    CHECK_INT(sum, 3);
    CHECK_INT(hclose(a), 0);
    CHECK_INT(hclose(b), 0);
}

coroutine static void add_and_yield(volatile int *sum, int times, int n) {
    for (; times; --times) {
        *sum += n;
        CHECK_INT(yield(), 0);
    }
}

TEST(yielding_coroutines_finish_by_themselves) {
    volatile int sum = 0;
    int h[3];
    h[0] = go(add_and_yield(&sum, 3, 7));
    h[1] = go(add_and_yield(&sum, 1, 11));
    h[2] = go(add_and_yield(&sum, 2, 5));
    CHECK_INT(msleep(now() + 100), 0);
    CHECK_INT(sum, 42);
    for (int i = 0; i != 3; ++i) CHECK_INT(hclose(h[i]), 0);
}

coroutine static void nap(int64_t deadline, volatile int *ended) {
    CHECK_INT(msleep(deadline), 0);
    ++*ended;
}

TEST(twenty_sleepers_finish_and_can_be_closed_afterwards) {
    volatile int ended = 0;
    int h[20];
    int64_t deadline = now() + 50;
    for (int i = 0; i != 20; ++i) {
        h[i] = go(nap(deadline, &ended));
        CHECK(h[i] >= 0);
    }
    CHECK_INT(msleep(now() + 200), 0);
    CHECK_INT(ended, 20);
    for (int i = 0; i != 20; ++i) CHECK_INT(hclose(h[i]), 0);
}

coroutine static void sleep_twice(volatile int *ended) {
    CHECK_ERR(msleep(now() + 10000), -1, ECANCELED);
    CHECK_ERR(msleep(now() + 10000), -1, ECANCELED);
    ++*ended;
}

TEST(closing_waits_until_the_coroutine_has_ended) {
    volatile int ended = 0;
    int h[3];
    for (int i = 0; i != 3; ++i) h[i] = go(sleep_twice(&ended));
    for (int i = 0; i != 3; ++i) {
        CHECK_INT(msleep(now() + 30), 0);
        CHECK_INT(ended, i);
        CHECK_INT(hclose(h[i]), 0);
        CHECK_INT(ended, i + 1);
    }
}

TEST(closing_a_finished_coroutine_is_quiet) {
    volatile int sum = 0;
    int h = go(add(&sum, 1));
    CHECK_INT(hclose(h), 0);
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_INT(sum, 1);
    CHECK_ERR(hclose(h), -1, EBADF);
}

/* --- Arguments and registers --- */

struct five_words {
    long w[5];
};

coroutine static void take_many(int a, long b, double c, float d, const char *e, struct five_words f, char g,
                                unsigned long h, double i, int j, int k, volatile int *ok) {
    *ok = a == 1 && b == -2 && c == 3.5 && d == 4.25f && strcmp(e, "five") == 0 && f.w[0] == 60 &&
          f.w[4] == 64 && g == 'g' && h == ~0UL && i == -9.75 && j == 10 && k == 11;
}

TEST(arguments_of_every_kind_reach_the_coroutine) {
    volatile int ok = 0;
    struct five_words f = {{60, 61, 62, 63, 64}};
    int h = go(take_many(1, -2, 3.5, 4.25f, "five", f, 'g', ~0UL, -9.75, 10, 11, &ok));
    CHECK_INT(ok, 1);
    CHECK_INT(hclose(h), 0);
}

TEST(arguments_are_evaluated_once_before_the_parent_goes_on) {
    volatile int sum = 0;
    volatile int i = 5;
    int b = bundle();
    CHECK_INT(bundle_go(b, add(&sum, i++)), 0);
    CHECK_INT(bundle_go(b, add(&sum, i++)), 0);
    CHECK_INT(sum, 11);
    CHECK_INT(i, 7);
    CHECK_INT(hclose(b), 0);
}

TEST(the_bundle_argument_is_evaluated_once) {
    volatile int sum = 0;
    int b[2];
    int *next = b;
    b[0] = bundle();
    b[1] = -2;
    CHECK_INT(bundle_go(*next++, add(&sum, 1)), 0);
    CHECK(next == b + 1);
    CHECK_INT(hclose(b[0]), 0);
}

coroutine static int add_and_return(volatile int *sum, int n) { return *sum += n; }

TEST(the_value_of_the_expression_is_discarded) {
    volatile int sum = 0;
    int h = go(add_and_return(&sum, 7));
    CHECK(h >= 0);
    CHECK_INT(sum, 7);
    CHECK_INT(hclose(h), 0);
}

TEST(any_expression_may_be_launched) {
    volatile int x = 1;
    int h = go((void)(x = x + 1));
    CHECK_INT(x, 2);
    CHECK_INT(hclose(h), 0);
}

/* More live values than there are registers, across switches of several coroutines. */
coroutine static void juggle(unsigned seed, int rounds, volatile int *ok) {
    unsigned a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13, g = seed * 17;
    double x = seed, y = seed * 0.5;
    for (int i = 1; i <= rounds; ++i) {
        a += 1, b += a, c ^= b, d += c, e ^= d, f += e, g ^= f;
        x += 1.5, y = x - y;
        CHECK_INT(yield(), 0);
    }
    for (int i = 1; i <= rounds; ++i) {
        g ^= f, f -= e, e ^= d, d -= c, c ^= b, b -= a, a -= 1;
        y = x - y, x -= 1.5;
    }
    *ok += a == seed && b == seed * 3 && c == seed * 5 && d == seed * 7 && e == seed * 11 && f == seed * 13 &&
           g == seed * 17 && x == seed && y == seed * 0.5;
}

TEST(registers_survive_switches) {
    volatile int ok = 0;
    int b = bundle();
    for (unsigned i = 1; i <= 10; ++i) CHECK_INT(bundle_go(b, juggle(i, 50, &ok)), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(ok, 10);
    CHECK_INT(hclose(b), 0);
}

TEST(locals_of_the_parent_survive_launches) {
    volatile int sum = 0;
    int b = bundle();
    long a = 1, c = 3, d = 5, e = 7, f = 11, g = 13, h = 17;
    for (int i = 0; i != 100; ++i) {
        CHECK_INT(bundle_go(b, add_and_yield(&sum, 2, i)), 0);
        a += 1, c += a, d += c, e += d, f += e, g += f, h += g;
    }
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(sum, 9900);
    for (int i = 0; i != 100; ++i) h -= g, g -= f, f -= e, e -= d, d -= c, c -= a, a -= 1;
    CHECK(a == 1 && c == 3 && d == 5 && e == 7 && f == 11 && g == 13 && h == 17);
    CHECK_INT(hclose(b), 0);
}

#ifndef __clang__ /* which must be told that such a variable is volatile */
coroutine static void change_later(int *v) {
    *v = 1;
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    *v = 2;
}

TEST(a_local_of_the_parent_that_the_coroutine_changes_is_read_again_by_the_parent) {
    int v = 0;
    int h = go(change_later(&v));
    CHECK_INT(v, 1);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(v, 2);
}
#endif

coroutine static void look_at_frame(volatile int *misalignment) {
    *misalignment = (int)((uintptr_t)__builtin_frame_address(0) % 16);
}

TEST(the_stack_of_a_coroutine_is_aligned) {
    volatile int misalignment = -1;
    int h = go(look_at_frame(&misalignment));
    CHECK_INT(misalignment, 0);
    CHECK_INT(hclose(h), 0);
}

/* --- Stacks --- */

coroutine static void use_stack(size_t len, volatile int *ok) {
    volatile char *block = (volatile char *)alloca(len);
    for (size_t i = 0; i < len; i += 512) block[i] = (char)i;
    CHECK_INT(yield(), 0);
    *ok = 1;
    for (size_t i = 0; i < len; i += 512)
        if (block[i] != (char)i) *ok = 0;
}

TEST(a_coroutine_has_at_least_240_KiB_of_stack) {
    volatile int ok = 0;
    int h = go(use_stack(240 * 1024, &ok));
    CHECK_INT(yield(), 0);
    CHECK_INT(ok, 1);
    CHECK_INT(hclose(h), 0);
}

TEST(stacks_of_live_coroutines_are_separate) {
    volatile int ok[50];
    int b = bundle();
    for (int i = 0; i != 50; ++i) CHECK_INT(bundle_go(b, use_stack(100 * 1024, &ok[i])), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    for (int i = 0; i != 50; ++i) CHECK_INT(ok[i], 1);
    CHECK_INT(hclose(b), 0);
}

coroutine static int recurse(volatile int depth) {
    volatile char frame[1024];
    frame[0] = (char)depth;
    return depth == 0 ? 0 : recurse(depth - 1) + frame[0];
}

static void overflow_a_stack(void) {
    int h = go(recurse(100000));
    (void)h;
}

TEST(a_stack_overflow_hits_a_guard) { CHECK_DIES_BY(overflow_a_stack, SIGSEGV); }

static void overflow_between_others(void) {
    volatile int ok[3];
    int b = bundle(), h;
    for (int i = 0; i != 3; ++i) CHECK_INT(bundle_go(b, use_stack(1000, &ok[i])), 0);
    h = go(recurse(100000));
    (void)h;
}

TEST(a_stack_overflow_hits_a_guard_among_other_stacks) { CHECK_DIES_BY(overflow_between_others, SIGSEGV); }

coroutine static void use_the_low_end_of_a_frame(size_t len) {
    volatile char *block = (volatile char *)alloca(len);
    block[0] = 1;
}

static void step_over_a_guard(int others, size_t frame) {
    volatile int ended = 0;
    int b = bundle(), h;
    for (int i = 0; i != others; ++i) CHECK_INT(bundle_go(b, nap(-1, &ended)), 0);
    h = go(use_the_low_end_of_a_frame(frame));
    (void)h;
}
static void one_of_few_has_a_frame_of_a_megabyte(void) { step_over_a_guard(3, 1024 * 1024); }
static void one_of_many_has_a_frame_of_300_KiB(void) { step_over_a_guard(1000, 300 * 1024); }

TEST(a_large_frame_does_not_step_over_the_guard) {
    CHECK_DIES_BY(one_of_few_has_a_frame_of_a_megabyte, SIGSEGV);
    CHECK_DIES_BY(one_of_many_has_a_frame_of_300_KiB, SIGSEGV);
}

/* --- Many --- */

TEST(a_million_short_coroutines_come_and_go) {
    volatile int sum = 0;
    for (int i = 0; i != 1000000; ++i) {
        int h = go(add(&sum, 1));
        CHECK(h >= 0);
        CHECK_INT(hclose(h), 0);
    }
    CHECK_INT(sum, 1000000);
}

/* Whether a stack's guard takes no memory mapping of its own. An older kernel has no such guards, and an emulator takes
   any advice and does nothing. */
static int has_guard_advice(void) {
    enum { SIZE = 65536, GUARD_INSTALL = 102, NO_ADVICE = 12345 };
    void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    int has = madvise(memory, SIZE, GUARD_INSTALL) == 0 && madvise(memory, SIZE, NO_ADVICE) != 0;
    CHECK_INT(munmap(memory, SIZE), 0);
    return has;
}

/* More than half as many as a process may have memory mappings, where each takes one. */
/* Under valgrind, which searches the list of all stacks at each switch, they are two thousand. */
TEST(forty_thousand_coroutines_live_at_once) {
    const int count = is_wrapped() ? 2000 : has_guard_advice() ? 40000 : 20000;
    volatile int ended = 0;
    int b = bundle();
    int64_t deadline = now() + 300;
    for (int i = 0; i != count; ++i) CHECK_INT(bundle_go(b, nap(deadline, &ended)), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(ended, count);
    CHECK_INT(hclose(b), 0);
}

coroutine static void whisper(int left, int right) {
    int v;
    CHECK_INT(chrecv(right, &v, sizeof(v), -1), 0);
    ++v;
    CHECK_INT(chsend(left, &v, sizeof(v), -1), 0);
}

TEST(a_value_passes_through_a_chain_of_whispering_coroutines) {
    enum { LINKS = 2000 };
    int first[2], left, b = bundle(), v = 0;
    CHECK_INT(chmake(first), 0);
    left = first[0];
    for (int i = 0; i != LINKS; ++i) {
        int next[2];
        CHECK_INT(chmake(next), 0);
        CHECK_INT(bundle_go(b, whisper(left, next[1])), 0);
        left = next[0];
    }
    CHECK_INT(chsend(left, &v, sizeof(v), -1), 0);
    CHECK_INT(chrecv(first[1], &v, sizeof(v), -1), 0);
    CHECK_INT(v, LINKS);
    CHECK_INT(hclose(b), 0);
}

coroutine static void nest(int depth, volatile int *deepest) {
    int h;
    *deepest = depth;
    if (depth == 100) return;
    h = go(nest(depth + 1, deepest));
    CHECK(h >= 0);
    CHECK_INT(yield(), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(coroutines_launch_coroutines) {
    volatile int deepest = 0;
    int h = go(nest(1, &deepest));
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_INT(deepest, 100);
    CHECK_INT(hclose(h), 0);
}

TEST(yield_returns_0_when_nobody_else_is_ready) {
    for (int i = 0; i != 1000; ++i) CHECK_INT(yield(), 0);
}

TEST(successful_yield_leaves_errno_0) {
    errno = EXDEV;
    CHECK_INT(yield(), 0);
    CHECK_INT(errno, 0);
}

TEST(successful_go_leaves_errno_alone) {
    volatile int sum = 0;
    int h;
    errno = EXDEV;
    h = go(add(&sum, 1));
    CHECK_INT(errno, EXDEV);
    CHECK_INT(hclose(h), 0);
}
