/* Bundles: making them, launching into them, waiting for them. */

#include <limits.h>

#include <libdill.h>

#include "mem.h"
#include "test.h"

coroutine static void count(volatile int *runs) { ++*runs; }

coroutine static void nap(int64_t ms, volatile int *runs) {
    CHECK_INT(msleep(now() + ms), 0);
    ++*runs;
}

coroutine static void expect_cancellation(volatile int *seen) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    ++*seen;
}

/* --- Making --- */

TEST(an_empty_bundle_can_be_closed) {
    int b = bundle();
    CHECK(b >= 0);
    CHECK_INT(hclose(b), 0);
    CHECK_ERR(hclose(b), -1, EBADF);
}

TEST(bundle_mem_refuses_NULL) { CHECK_ERR(bundle_mem(NULL), -1, EINVAL); }

TEST(bundle_mem_works_at_every_alignment) {
    EACH_OFFSET(offset) {
        struct guarded_mem m;
        volatile int runs = 0;
        int b;
        b = bundle_mem((struct bundle_storage *)guarded_make(&m, sizeof(struct bundle_storage), offset));
        CHECK(b >= 0);
        CHECK_INT(bundle_go(b, count(&runs)), 0);
        CHECK_INT(bundle_go(b, nap(1, &runs)), 0);
        CHECK_INT(bundle_go(b, expect_cancellation(&runs)), 0);
        CHECK_INT(bundle_wait(b, now() + 20), -1);
        CHECK_INT(hclose(b), 0);
        CHECK_INT(runs, 3);
        guarded_free(&m);
    }
}

TEST(the_storage_of_a_closed_bundle_may_be_reused) {
    struct bundle_storage mem;
    for (int i = 0; i != 10; ++i) {
        volatile int runs = 0;
        int b = bundle_mem(&mem);
        CHECK(b >= 0);
        CHECK_INT(bundle_go(b, count(&runs)), 0);
        CHECK_INT(hclose(b), 0);
        memset(&mem, i, sizeof(mem));
        CHECK_INT(runs, 1);
    }
}

/* --- Launching --- */

TEST(bundle_go_returns_0) {
    volatile int runs = 0;
    int b = bundle();
    CHECK_INT(bundle_go(b, count(&runs)), 0);
    CHECK_INT(runs, 1);
    CHECK_INT(hclose(b), 0);
}

TEST(coroutines_may_be_added_to_the_bundle_of_go) {
    volatile int runs = 0;
    int h = go(nap(20, &runs));
    CHECK_INT(bundle_go(h, nap(40, &runs)), 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(runs, 2);
    CHECK_INT(hclose(h), 0);
}

TEST(bundle_go_in_a_bad_handle_gives_EBADF) {
    const int bad[] = {-2, -1000, INT_MIN, 99999, INT_MAX};
    volatile int runs = 0;
    for (int i = 0; i != 5; ++i) {
        int rc = bundle_go(bad[i], count(&runs));
        CHECK_INT(rc, -1);
        CHECK_INT(errno, EBADF);
    }
    CHECK_INT(runs, 0);
}

TEST(bundle_go_in_a_closed_bundle_gives_EBADF) {
    volatile int runs = 0;
    int b = bundle(), rc;
    CHECK_INT(hclose(b), 0);
    rc = bundle_go(b, count(&runs));
    CHECK_INT(rc, -1);
    CHECK_INT(errno, EBADF);
    CHECK_INT(runs, 0);
}

TEST(bundle_go_in_another_kind_of_handle_gives_ENOTSUP) {
    volatile int runs = 0;
    int ch[2], rc;
    CHECK_INT(chmake(ch), 0);
    rc = bundle_go(ch[0], count(&runs));
    CHECK_INT(rc, -1);
    CHECK_INT(errno, ENOTSUP);
    CHECK_INT(runs, 0);
}

/* --- Waiting --- */

TEST(bundle_wait_on_an_empty_bundle_returns_0_at_once) {
    int b = bundle();
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(bundle_wait(b, 0), 0);
    CHECK_INT(bundle_wait(b, now() + 1000), 0);
    CHECK_INT(hclose(b), 0);
}

TEST(bundle_wait_on_an_empty_bundle_leaves_errno_alone) {
    int b = bundle();
    errno = EXDEV;
    CHECK_INT(bundle_wait(b, 0), 0);
    CHECK_INT(errno, EXDEV);
}

TEST(bundle_wait_returns_0_when_the_last_coroutine_has_ended) {
    volatile int runs = 0;
    int b = bundle();
    CHECK_INT(bundle_go(b, nap(20, &runs)), 0);
    CHECK_INT(bundle_go(b, nap(50, &runs)), 0);
    errno = EXDEV;
    CHECK_INT(bundle_wait(b, now() + 10000), 0);
    CHECK_INT(errno, 0);
    CHECK_INT(runs, 2);
    CHECK_INT(hclose(b), 0);
}

TEST(a_bundle_can_be_used_again_after_bundle_wait) {
    volatile int runs = 0;
    int b = bundle();
    for (int i = 1; i != 4; ++i) {
        CHECK_INT(bundle_go(b, nap(10, &runs)), 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(runs, i);
    }
    CHECK_INT(hclose(b), 0);
}

TEST(bundle_wait_times_out_and_leaves_the_coroutines_alone) {
    volatile int runs = 0;
    int b = bundle();
    int64_t deadline = now() + 30;
    CHECK_INT(bundle_go(b, nap(150, &runs)), 0);
    CHECK_ERR(bundle_wait(b, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
    CHECK_INT(runs, 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(runs, 1);
    CHECK_INT(hclose(b), 0);
}

coroutine static void yield_times(int n, volatile int *runs) {
    for (; n; --n) CHECK_INT(yield(), 0);
    ++*runs;
}

TEST(bundle_wait_with_deadline_0_lets_ready_coroutines_run_first) {
    int rc = -1;
    ATTEMPT_UNTIL(rc == 0) {
        volatile int runs = 0;
        int b = bundle();
        CHECK_INT(bundle_go(b, yield_times(3, &runs)), 0);
        rc = bundle_wait(b, 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(runs, 1);
        CHECK_INT(hclose(b), 0);
    }
    CHECK_INT(rc, 0);
}

TEST(bundle_wait_with_deadline_0_times_out_on_a_sleeper) {
    volatile int seen = 0;
    int b = bundle();
    CHECK_INT(bundle_go(b, expect_cancellation(&seen)), 0);
    CHECK_ERR(bundle_wait(b, 0), -1, ETIMEDOUT);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(seen, 1);
}

coroutine static void add_a_member(int b, volatile int *runs) {
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_INT(bundle_go(b, nap(60, runs)), 0);
    ++*runs;
}

TEST(coroutines_added_while_waiting_extend_the_wait) {
    volatile int runs = 0;
    int b = bundle();
    CHECK_INT(bundle_go(b, add_a_member(b, &runs)), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(runs, 2);
    CHECK_INT(hclose(b), 0);
}

TEST(bundle_wait_on_a_bad_handle_gives_EBADF) {
    int b = bundle();
    CHECK_INT(hclose(b), 0);
    CHECK_ERR(bundle_wait(b, -1), -1, EBADF);
    CHECK_ERR(bundle_wait(-1, -1), -1, EBADF);
    CHECK_ERR(bundle_wait(INT_MAX, -1), -1, EBADF);
}

TEST(bundle_wait_on_another_kind_of_handle_gives_ENOTSUP) {
    int ch[2];
    CHECK_INT(chmake(ch), 0);
    CHECK_ERR(bundle_wait(ch[0], 0), -1, ENOTSUP);
}

struct waiter {
    volatile int rc, err, done;
};

coroutine static void wait_for(int b, int64_t deadline, struct waiter *w) {
    errno = 0;
    w->rc = bundle_wait(b, deadline);
    w->err = errno;
    w->done = 1;
}

TEST(any_number_of_coroutines_may_wait_for_one_bundle) {
    struct waiter w[5] = {{0, 0, 0}};
    volatile int runs = 0;
    int b = bundle(), waiters = bundle();
    CHECK_INT(bundle_go(b, nap(50, &runs)), 0);
    for (int i = 0; i != 5; ++i) CHECK_INT(bundle_go(waiters, wait_for(b, -1, &w[i])), 0);
    CHECK_INT(bundle_wait(waiters, now() + 5000), 0);
    for (int i = 0; i != 5; ++i) {
        CHECK_INT(w[i].done, 1);
        CHECK_INT(w[i].rc, 0);
    }
    CHECK_INT(hclose(waiters), 0);
    CHECK_INT(hclose(b), 0);
}

TEST(one_waiter_that_times_out_does_not_disturb_another) {
    struct waiter patient = {0, 0, 0}, hasty = {0, 0, 0};
    volatile int runs = 0;
    int b = bundle(), waiters = bundle();
    CHECK_INT(bundle_go(b, nap(300, &runs)), 0);
    CHECK_INT(bundle_go(waiters, wait_for(b, -1, &patient)), 0);
    CHECK_INT(bundle_go(waiters, wait_for(b, now() + 20, &hasty)), 0);
    CHECK_INT(bundle_wait(waiters, now() + 5000), 0);
    CHECK_INT(hasty.rc, -1);
    CHECK_INT(hasty.err, ETIMEDOUT);
    CHECK_INT(patient.rc, 0);
    CHECK_INT(hclose(waiters), 0);
    CHECK_INT(hclose(b), 0);
}

static void check_waiter_of_closed_bundle(int64_t deadline) {
    struct waiter w = {0, 0, 0};
    volatile int seen = 0;
    int b = bundle(), waiters = bundle();
    CHECK_INT(bundle_go(b, expect_cancellation(&seen)), 0);
    CHECK_INT(bundle_go(waiters, wait_for(b, deadline, &w)), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(bundle_wait(waiters, now() + 5000), 0);
    CHECK_INT(w.rc, -1);
    CHECK_INT(w.err, EBADF);
    CHECK_INT(hclose(waiters), 0);
}

TEST(closing_a_bundle_wakes_its_waiter_with_EBADF) { check_waiter_of_closed_bundle(-1); }

TEST(a_waiter_of_a_closed_bundle_with_a_deadline_gets_EBADF_too) {
    check_waiter_of_closed_bundle(now() + 100);
    CHECK_INT(msleep(now() + 200), 0);
}

TEST(a_bundle_may_be_closed_between_its_end_and_the_resumption_of_its_waiter) {
    struct waiter w = {0, 0, 0};
    volatile int runs = 0;
    int b = bundle(), waiters = bundle();
    CHECK_INT(bundle_go(b, yield_times(1, &runs)), 0);
    CHECK_INT(bundle_go(waiters, wait_for(b, -1, &w)), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(bundle_wait(waiters, now() + 5000), 0);
    CHECK_INT(w.done, 1);
    CHECK(w.rc == 0 || w.err == EBADF);
    CHECK_INT(hclose(waiters), 0);
}
