/* Closing bundles: the order of cancellation, closers that meet, closes that can never end. */

#include <libdill.h>

#include "dies.h"
#include "test.h"

static char order[64];
static void note(char c) {
    size_t len = strlen(order);
    order[len] = c;
}

coroutine static void count(volatile int *runs) { ++*runs; }

coroutine static void sleep_then_note(char name) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    note(name);
}

coroutine static void yield_times(int n, volatile int *runs) {
    for (; n; --n) CHECK_INT(yield(), 0);
    ++*runs;
}

/* Sleeps; when cancelled it closes a chain of such sleepers, so that it takes many switches to end. */
coroutine static void sleep_then_close_chain(int length, char name) {
    int rest = -1;
    if (length > 0) {
        rest = go(sleep_then_close_chain(length - 1, 0));
        CHECK(rest >= 0);
    }
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    if (rest >= 0) CHECK_INT(hclose(rest), 0);
    if (name) note(name);
}

TEST(closing_cancels_every_member) {
    int b = bundle();
    CHECK_INT(bundle_go(b, sleep_then_note('a')), 0);
    CHECK_INT(bundle_go(b, sleep_then_note('b')), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_STR(order, "ab");
}

TEST(closing_a_bundle_of_finished_coroutines_does_not_switch) {
    volatile int runs = 0, other = 0;
    int b = bundle(), o;
    CHECK_INT(bundle_go(b, count(&runs)), 0);
    o = go(yield_times(1, &other));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(other, 0);
    CHECK_INT(bundle_wait(o, -1), 0);
    CHECK_INT(hclose(o), 0);
}

coroutine static void work_until_cancelled(volatile int *progress) {
    while (yield() == 0) ++*progress;
    CHECK_INT(errno, ECANCELED);
    note('w');
}

TEST(members_are_cancelled_one_after_another_in_launch_order) {
    volatile int progress = 0;
    int b = bundle();
    CHECK_INT(bundle_go(b, sleep_then_note('x')), 0);
    CHECK_INT(bundle_go(b, work_until_cancelled(&progress)), 0);
    CHECK_INT(bundle_go(b, sleep_then_note('y')), 0);
    CHECK_INT(bundle_go(b, sleep_then_note('z')), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_STR(order, "xwyz");
}

TEST(later_members_go_on_working_until_earlier_ones_have_ended) {
    volatile int progress = 0;
    int before, b = bundle();
    CHECK_INT(bundle_go(b, sleep_then_close_chain(10, 'x')), 0);
    CHECK_INT(bundle_go(b, work_until_cancelled(&progress)), 0);
    before = progress;
    CHECK_INT(hclose(b), 0);
    CHECK(progress > before + 5);
    CHECK_STR(order, "xw");
}

TEST(members_that_end_by_themselves_while_the_bundle_is_closed_are_not_cancelled) {
    volatile int runs = 0;
    int b = bundle();
    CHECK_INT(bundle_go(b, sleep_then_close_chain(10, 'x')), 0);
    CHECK_INT(bundle_go(b, yield_times(3, &runs)), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(runs, 1);
    CHECK_STR(order, "x");
}

coroutine static void launch_into(int b) {
    CHECK_INT(yield(), 0);
    CHECK_INT(bundle_go(b, sleep_then_note('n')), 0);
}

TEST(a_coroutine_launched_into_a_bundle_that_is_being_closed_runs_and_is_cancelled_last) {
    int b = bundle(), o;
    CHECK_INT(bundle_go(b, sleep_then_close_chain(10, 'x')), 0);
    CHECK_INT(bundle_go(b, sleep_then_note('y')), 0);
    o = go(launch_into(b));
    CHECK_INT(hclose(b), 0);
    CHECK_STR(order, "xyn");
    CHECK_INT(hclose(o), 0);
}

TEST(five_thousand_members_can_be_closed_at_once) {
    enum { COUNT = 5000 };
    volatile int progress[2] = {0, 0};
    int b = bundle();
    CHECK_INT(bundle_go(b, work_until_cancelled(&progress[0])), 0);
    for (int i = 0; i != COUNT; ++i) CHECK_INT(bundle_go(b, (void)msleep(-1)), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_STR(order, "w");
}

/* --- Overload: closers are not starved --- */

coroutine static void relay(int from, int to) {
    int v;
    for (;;) {
        if (chrecv(from, &v, sizeof(v), -1) < 0) break;
        if (chsend(to, &v, sizeof(v), -1) < 0) break;
    }
    CHECK_INT(errno, ECANCELED);
}

TEST(coroutines_that_are_always_ready_do_not_starve_a_closer) {
    int a[2], b[2], v = 1, first, second;
    CHECK_INT(chmake(a), 0);
    CHECK_INT(chmake(b), 0);
    first = go(relay(a[0], b[1]));
    second = go(relay(b[0], a[1]));
    CHECK_INT(chsend(a[1], &v, sizeof(v), -1), 0);
    CHECK_INT(hclose(first), 0);
    CHECK_INT(hclose(second), 0);
}

/* --- Closers that meet --- */

static int is_closing;
coroutine static void close_a_chain(volatile int *closed) {
    int chain = go(sleep_then_close_chain(10, 'c'));
    CHECK(chain >= 0);
    is_closing = 1;
    CHECK_INT(hclose(chain), 0);
    ++*closed;
    CHECK_ERR(yield(), -1, ECANCELED);
    ++*closed;
}

TEST(a_coroutine_that_is_closing_its_own_child_may_be_closed) {
    volatile int closed = 0;
    int b = go(close_a_chain(&closed));
    while (!is_closing) CHECK_INT(yield(), 0);
    CHECK_INT(closed, 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(closed, 2);
    CHECK_STR(order, "c");
}

struct closer {
    volatile int rc, err;
};

coroutine static void close_and_report(int b, struct closer *c) {
    errno = 0;
    c->rc = hclose(b);
    c->err = errno;
}

TEST(two_coroutines_may_close_one_bundle_and_neither_hangs) {
    struct closer c[2] = {{-2, 0}, {-2, 0}};
    int b = bundle(), closers = bundle();
    CHECK_INT(bundle_go(b, sleep_then_close_chain(10, 'x')), 0);
    CHECK_INT(bundle_go(closers, close_and_report(b, &c[0])), 0);
    CHECK_INT(bundle_go(closers, close_and_report(b, &c[1])), 0);
    CHECK_INT(bundle_wait(closers, now() + 5000), 0);
    CHECK_INT(c[0].rc, 0);
    CHECK(c[1].rc == 0 || (c[1].rc == -1 && c[1].err == EBADF));
    CHECK_INT(hclose(closers), 0);
    CHECK_STR(order, "x");
}

/* --- Closes that can never end --- */

static int outer, inner;

coroutine static void close_own_bundle(void) {
    CHECK_INT(yield(), 0);
    hclose(outer);
}

static void run_self_close(void) {
    outer = bundle();
    CHECK_INT(bundle_go(outer, close_own_bundle()), 0);
    msleep(now() + 1000);
}

TEST(a_coroutine_that_closes_its_own_bundle_aborts) { CHECK_DIES_BY(run_self_close, SIGABRT); }

coroutine static void close_outer_when_cancelled(void) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    hclose(outer);
}

coroutine static void close_inner_after_yield(void) {
    CHECK_INT(yield(), 0);
    hclose(inner);
}

static void run_mutual_close(void) {
    inner = go(close_outer_when_cancelled());
    outer = go(close_inner_after_yield());
    msleep(now() + 1000);
}

TEST(two_coroutines_that_close_each_other_abort) { CHECK_DIES_BY(run_mutual_close, SIGABRT); }
