/* Coroutines on stacks that the caller supplies. */

#include <libdill.h>

#include "mem.h"
#include "test.h"

coroutine static void count(volatile int *runs) { ++*runs; }

coroutine static void nap(volatile int *runs) {
    CHECK_INT(msleep(now() + 50), 0);
    ++*runs;
}

coroutine static void count_cancellation(volatile int *runs) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    ++*runs;
}

/* Makes the dynamic linker resolve what the coroutines call, which would need stack of its own. */
static void resolve_symbols(void) {
    volatile int runs = 0;
    int ch[2], fds[2], h;
    h = go(count(&runs));
    CHECK_INT(hclose(h), 0);
    h = bundle();
    CHECK_INT(bundle_wait(h, 0), 0);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(yield(), 0);
    CHECK_INT(msleep(now()), 0);
    CHECK_INT(chmake(ch), 0);
    CHECK_ERR(chrecv(ch[0], NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_ERR(chsend(ch[0], NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_INT(pipe(fds), 0);
    CHECK_ERR(fdin(fds[0], 0), -1, ETIMEDOUT);
    CHECK_INT(fdclean(fds[0]), 0);
}

TEST(go_mem_runs_a_sleeper_on_64_KiB_again_and_again) {
    for (int i = 0; i != 5; ++i) {
        volatile int runs = 0;
        int h;
        char *stack = (char *)malloc(65536);
        h = go_mem(nap(&runs), stack, 65536);
        CHECK(h >= 0);
        CHECK_INT(msleep(now() + 100), 0);
        CHECK_INT(runs, 1);
        CHECK_INT(hclose(h), 0);
        free(stack);
    }
}

TEST(bundle_go_mem_runs_on_a_4096_byte_array_of_the_parent) {
    char stack[4096];
    volatile int runs = 0;
    int b;
    skip_under_wrapper("valgrind takes a stack inside another one for the same stack");
    b = bundle();
    CHECK_INT(bundle_go_mem(b, count(&runs), stack, sizeof(stack)), 0);
    CHECK_INT(runs, 1);
    CHECK_INT(hclose(b), 0);
}

coroutine static void where_am_i(volatile uintptr_t *address) {
    volatile char local = 0;
    *address = (uintptr_t)&local;
}

TEST(the_coroutine_runs_inside_the_block) {
    struct guarded_mem m;
    volatile uintptr_t here = 0;
    uintptr_t start;
    int b = bundle();
    start = (uintptr_t)guarded_make(&m, 4096, 0);
    CHECK_INT(bundle_go_mem(b, where_am_i(&here), (void *)start, 4096), 0);
    CHECK(here >= start && here < start + 4096);
    CHECK_INT(hclose(b), 0);
    guarded_free(&m);
}

TEST(bundle_go_mem_works_at_every_alignment) {
    resolve_symbols();
    EACH_OFFSET(offset) {
        struct guarded_mem m;
        volatile int runs = 0;
        int b = bundle();
        void *stack = guarded_make(&m, 4096, offset);
        CHECK_INT(bundle_go_mem(b, count(&runs), stack, 4096), 0);
        CHECK_INT(runs, 1);
        CHECK_INT(bundle_wait(b, -1), 0);
        guarded_free(&m);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(go_mem_works_at_every_alignment) {
    resolve_symbols();
    EACH_OFFSET(offset) {
        struct guarded_mem m;
        volatile int runs = 0;
        int h;
        void *stack = guarded_make(&m, 4096, offset);
        h = go_mem(count(&runs), stack, 4096);
        CHECK(h >= 0);
        CHECK_INT(runs, 1);
        CHECK_INT(hclose(h), 0);
        guarded_free(&m);
    }
}

TEST(a_1000_byte_block_is_enough_for_an_empty_coroutine) {
    resolve_symbols();
    for (size_t offset = 1; offset != 4; ++offset) {
        struct guarded_mem m;
        volatile int runs = 0;
        int b = bundle();
        void *stack = guarded_make(&m, 1000, offset);
        CHECK_INT(bundle_go_mem(b, count(&runs), stack, 1000), 0);
        CHECK_INT(runs, 1);
        CHECK_INT(hclose(b), 0);
        guarded_free(&m);
    }
}

TEST(go_mem_on_a_block_of_any_size_runs_inside_it_or_refuses) {
    int failures = 0;
    skip_under_wrapper("needs more stack under valgrind");
    resolve_symbols();
    for (size_t len = 0; len <= 4096; ++len) {
        struct guarded_mem m;
        volatile int runs = 0;
        int h;
        void *stack = guarded_make(&m, len, len % 16);
        errno = 0;
        h = go_mem(count(&runs), stack, len);
        if (h >= 0) {
            CHECK_INT(hclose(h), 0);
            CHECK_INT(runs, 1);
        } else {
            CHECK(errno == ENOMEM || errno == EINVAL);
            CHECK_INT(runs, 0);
            ++failures;
        }
        guarded_free(&m);
    }
    CHECK(failures >= 64);
}

TEST(bundle_go_mem_on_a_block_of_any_size_runs_inside_it_or_refuses) {
    int failures = 0, b = bundle();
    skip_under_wrapper("needs more stack under valgrind");
    resolve_symbols();
    for (size_t len = 0; len <= 4096; ++len) {
        struct guarded_mem m;
        volatile int runs = 0;
        int rc;
        void *stack = guarded_make(&m, len, len % 16);
        errno = 0;
        rc = bundle_go_mem(b, count(&runs), stack, len);
        if (rc == 0) {
            CHECK_INT(runs, 1);
        } else {
            CHECK(errno == ENOMEM || errno == EINVAL);
            CHECK_INT(runs, 0);
            ++failures;
        }
        guarded_free(&m);
    }
    CHECK(failures >= 64);
    CHECK_INT(hclose(b), 0);
}

TEST(a_refused_block_is_not_written_to) {
    struct guarded_mem m;
    volatile int runs = 0;
    int h;
    unsigned char *stack = (unsigned char *)guarded_make(&m, 63, 1);
    h = go_mem(count(&runs), stack, 63);
    CHECK_INT(h, -1);
    for (int i = 0; i != 63; ++i) CHECK_INT(stack[i], MEM_CANARY_BYTE);
    guarded_free(&m);
}

TEST(a_length_beyond_the_end_of_the_address_space_is_refused) {
    char stack[4096];
    volatile int runs = 0;
    int b = bundle(), h;
    h = go_mem(count(&runs), stack, SIZE_MAX);
    CHECK_INT(h, -1);
    CHECK(errno == ENOMEM || errno == EINVAL);
    h = bundle_go_mem(b, count(&runs), stack, SIZE_MAX - 1);
    CHECK_INT(h, -1);
    CHECK(errno == ENOMEM || errno == EINVAL);
    CHECK_INT(runs, 0);
    CHECK_INT(hclose(b), 0);
}

TEST(go_mem_with_NULL_works_as_go) {
    volatile int runs = 0;
    int h = go_mem(nap(&runs), NULL, 5);
    CHECK(h >= 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(runs, 1);
    CHECK_INT(hclose(h), 0);
}

TEST(bundle_go_mem_with_NULL_works_as_bundle_go) {
    volatile int runs = 0;
    int b = bundle();
    CHECK_INT(bundle_go_mem(b, nap(&runs), NULL, 5), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(runs, 1);
    CHECK_INT(hclose(b), 0);
}

TEST(pointer_and_length_are_evaluated_once) {
    static char stacks[2][8192];
    char(*next)[8192] = stacks;
    size_t len = 8192;
    volatile int runs = 0;
    int b = bundle();
    CHECK_INT(bundle_go_mem(b, count(&runs), next++, len--), 0);
    CHECK(next == stacks + 1);
    CHECK_INT(len, 8191);
    CHECK_INT(runs, 1);
    CHECK_INT(hclose(b), 0);
}

TEST(the_block_may_be_reused_after_bundle_wait) {
    static char stack[8192];
    volatile int runs = 0;
    int b = bundle();
    skip_under_wrapper("valgrind takes what was once a stack for unused");
    for (int i = 0; i != 10; ++i) {
        CHECK_INT(bundle_go_mem(b, count(&runs), stack, sizeof(stack)), 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        memset(stack, i, sizeof(stack));
    }
    CHECK_INT(runs, 10);
    CHECK_INT(hclose(b), 0);
}

TEST(the_block_may_be_reused_after_hclose_of_go_mem) {
    static char stack[16384];
    volatile int runs = 0;
    skip_under_wrapper("valgrind takes what was once a stack for unused");
    for (int i = 0; i != 10; ++i) {
        int h = go_mem(count(&runs), stack, sizeof(stack));
        CHECK(h >= 0);
        CHECK_INT(hclose(h), 0);
        memset(stack, i, sizeof(stack));
    }
    CHECK_INT(runs, 10);
}

TEST(coroutines_may_be_added_to_the_bundle_of_go_mem) {
    static char stack[65536];
    volatile int runs = 0;
    int h = go_mem(nap(&runs), stack, sizeof(stack));
    CHECK_INT(bundle_go(h, nap(&runs)), 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(runs, 2);
    CHECK_INT(hclose(h), 0);
}

TEST(a_cancelled_coroutine_on_a_supplied_stack_ends_before_hclose_returns) {
    static char stack[65536];
    volatile int runs = 0;
    int h;
    skip_under_wrapper("valgrind takes what was once a stack for unused");
    h = go_mem(count_cancellation(&runs), stack, sizeof(stack));
    CHECK(h >= 0);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(runs, 1);
    memset(stack, 1, sizeof(stack));
    CHECK_INT(yield(), 0);
}

TEST(bundle_go_mem_in_a_stale_bundle_gives_EBADF) {
    char stack[4096];
    volatile int runs = 0;
    int b = bundle(), rc;
    CHECK_INT(hclose(b), 0);
    rc = bundle_go_mem(b, count(&runs), stack, sizeof(stack));
    CHECK_INT(rc, -1);
    CHECK_INT(errno, EBADF);
    CHECK_INT(runs, 0);
}

TEST(bundle_go_mem_in_another_kind_of_handle_gives_ENOTSUP) {
    char stack[4096];
    volatile int runs = 0;
    int ch[2], rc;
    CHECK_INT(chmake(ch), 0);
    rc = bundle_go_mem(ch[0], count(&runs), stack, sizeof(stack));
    CHECK_INT(rc, -1);
    CHECK_INT(errno, ENOTSUP);
    CHECK_INT(runs, 0);
}

/* --- What fits on 4096 bytes --- */

static int probe_channel[2], probe_pipe[2], probe_bundle;

coroutine static void probe_yield(volatile int *rc) { *rc = yield(); }
coroutine static void probe_msleep(volatile int *rc) { *rc = msleep(now() + 20); }
coroutine static void probe_chrecv(volatile int *rc) { *rc = chrecv(probe_channel[0], NULL, 0, -1); }
coroutine static void probe_chsend(volatile int *rc) { *rc = chsend(probe_channel[0], NULL, 0, -1); }
coroutine static void probe_fdin(volatile int *rc) { *rc = fdin(probe_pipe[0], now() + 5000); }
coroutine static void probe_bundle_wait(volatile int *rc) { *rc = bundle_wait(probe_bundle, -1); }
coroutine static void probe_go(volatile int *rc) {
    volatile int runs = 0;
    int h = go(count(&runs));
    *rc = h < 0 ? -1 : hclose(h);
}

static void probe_begin(struct guarded_mem *m, void **stack) {
    resolve_symbols();
    *stack = guarded_make(m, 4096, 0);
}

static void probe_end(int b, struct guarded_mem *m, const int *rc) {
    CHECK_INT(bundle_wait(b, now() + 10000), 0);
    CHECK_INT(*rc, 0);
    CHECK_INT(hclose(b), 0);
    guarded_free(m);
}

#define PROBE(CALL, BEFORE, AFTER)                             \
    TEST(four_KiB_are_enough_for_##CALL) {                     \
        struct guarded_mem m;                                  \
        void *stack;                                           \
        int rc = -2, b = bundle();                             \
        probe_begin(&m, &stack);                               \
        BEFORE;                                                \
        CHECK_INT(bundle_go_mem(b, probe_##CALL(&rc), stack, 4096), 0); \
        AFTER;                                                 \
        probe_end(b, &m, &rc);                                 \
    }

PROBE(yield, (void)0, (void)0)
PROBE(msleep, (void)0, (void)0)
PROBE(chrecv, CHECK_INT(chmake(probe_channel), 0), CHECK_INT(chsend(probe_channel[1], NULL, 0, -1), 0))
PROBE(chsend, CHECK_INT(chmake(probe_channel), 0), CHECK_INT(chrecv(probe_channel[1], NULL, 0, -1), 0))
PROBE(fdin, CHECK_INT(pipe(probe_pipe), 0), CHECK_INT(write(probe_pipe[1], "x", 1), 1))
PROBE(bundle_wait, probe_bundle = go(count(&rc)), (void)0)
PROBE(go, (void)0, (void)0)
