/* now, msleep, and the order in which timers fire. */

#include <limits.h>

#include <libdill.h>

#include "test.h"

static void sleep_thread(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    CHECK_INT(nanosleep(&t, NULL), 0);
}

/* Appends its id to the log when its deadline has passed. */
static char log_text[64];

coroutine static void log_after(int64_t deadline, char id) {
    size_t len;
    CHECK_INT(msleep(deadline), 0);
    len = strlen(log_text);
    log_text[len] = id;
}

coroutine static void count_yields(int n, volatile int *count) {
    for (; n; --n) {
        CHECK_INT(yield(), 0);
        ++*count;
    }
}

TEST(now_is_positive) { CHECK(now() > 0); }

TEST(now_never_goes_back) {
    int64_t last = now();
    for (int i = 0; i != 100000; ++i) {
        int64_t t = now();
        CHECK(t >= last);
        last = t;
    }
}

TEST(now_counts_milliseconds) {
    int64_t start = now();
    sleep_thread(200);
    CHECK(now() - start >= 150);
}

TEST(now_leaves_errno_alone) {
    errno = EXDEV;
    now();
    CHECK_INT(errno, EXDEV);
}

TEST(msleep_never_ends_early) {
    for (int i = 0; i != 60; ++i) {
        int64_t deadline = now() + i % 12;
        CHECK_INT(msleep(deadline), 0);
        CHECK(now() >= deadline);
    }
}

TEST(msleep_ends_after_its_deadline) {
    int64_t deadline = now() + 100;
    CHECK_INT(msleep(deadline), 0);
    CHECK(now() >= deadline);
}

TEST(successful_msleep_leaves_errno_0) {
    errno = EXDEV;
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(errno, 0);
}

static void check_others_run_first(int64_t deadline) {
    int seen = 0;
    ATTEMPT_UNTIL(seen == 3) {
        volatile int count = 0;
        int b = go(count_yields(3, &count));
        CHECK(b >= 0);
        CHECK_INT(msleep(deadline), 0);
        seen = count;
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
    CHECK_INT(seen, 3);
}

TEST(msleep_with_deadline_0_lets_ready_coroutines_run_first) { check_others_run_first(0); }

TEST(msleep_with_a_past_deadline_lets_ready_coroutines_run_first) { check_others_run_first(now() - 1000); }

/* On a machine that is busy the deadlines pass before all are launched, here and in the next one. */
TEST(sleepers_wake_in_the_order_of_their_deadlines) {
    const int delays[] = {60, 80, 20, 40};
    ATTEMPT_UNTIL(strcmp(log_text, "cdab") == 0) {
        int64_t start = now();
        int b = bundle();
        memset(log_text, 0, sizeof(log_text));
        for (int i = 0; i != 4; ++i) CHECK_INT(bundle_go(b, log_after(start + delays[i], (char)('a' + i))), 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
    CHECK_STR(log_text, "cdab");
}

TEST(equal_deadlines_fire_in_launch_order_and_earlier_ones_first) {
    ATTEMPT_UNTIL(strcmp(log_text, "ABCDEabcdefghij") == 0) {
        int64_t t = now() + 60;
        int b = bundle();
        memset(log_text, 0, sizeof(log_text));
        for (int i = 0; i != 10; ++i) CHECK_INT(bundle_go(b, log_after(t, (char)('a' + i))), 0);
        for (int i = 0; i != 5; ++i) CHECK_INT(bundle_go(b, log_after(t - 10, (char)('A' + i))), 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
    CHECK_STR(log_text, "ABCDEabcdefghij");
}

TEST(past_deadlines_fire_in_the_order_of_the_deadlines) {
    ATTEMPT_UNTIL(strcmp(log_text, "ab") == 0) {
        int64_t t = now();
        int b = bundle();
        memset(log_text, 0, sizeof(log_text));
        CHECK_INT(bundle_go(b, log_after(t - 10, 'b')), 0);
        CHECK_INT(bundle_go(b, log_after(t - 20, 'a')), 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
    CHECK_STR(log_text, "ab");
}

TEST(many_sleepers_with_scattered_deadlines_all_wake_in_time) {
    enum { SLEEPERS = 1000 };
    int64_t start = now();
    int b = bundle();
    for (int i = 0; i != SLEEPERS; ++i) CHECK_INT(bundle_go(b, (void)msleep(start + i * 7919 % 200)), 0);
    CHECK_INT(bundle_wait(b, start + 10000), 0);
    CHECK(now() >= start + 199);
    CHECK_INT(hclose(b), 0);
}

coroutine static void sleep_until_cancelled(int64_t deadline, volatile int *failures) {
    for (int i = 0; i != 2; ++i) {
        CHECK_ERR(msleep(deadline), -1, ECANCELED);
        ++*failures;
    }
}

static void check_cancelled_sleep(int64_t deadline) {
    volatile int failures = 0;
    int b = go(sleep_until_cancelled(deadline, &failures));
    CHECK(b >= 0);
    CHECK_INT(msleep(now() + 30), 0);
    CHECK_INT(failures, 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(failures, 2);
}

TEST(msleep_with_a_negative_deadline_sleeps_until_cancelled) { check_cancelled_sleep(-1); }

TEST(every_negative_deadline_means_none) { check_cancelled_sleep(INT64_MIN); }

TEST(cancelled_msleep_gives_ECANCELED_again_and_again) { check_cancelled_sleep(now() + 10000); }

TEST(a_deadline_of_2_to_the_31_ms_ahead_does_not_expire_early) { check_cancelled_sleep(now() + (1LL << 31)); }

TEST(a_deadline_of_2_to_the_32_ms_ahead_does_not_expire_early) { check_cancelled_sleep(now() + (1LL << 32)); }

TEST(the_largest_deadline_does_not_expire_early) { check_cancelled_sleep(INT64_MAX); }

static double processor_seconds(void) {
    struct rusage u;
    CHECK_INT(getrusage(RUSAGE_SELF, &u), 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* The far timer is the only one: a signal handler's pipe ends the wait. */
static int wake_pipe[2];
static void on_alarm(int sig) {
    (void)sig;
    (void)!write(wake_pipe[1], "x", 1);
}

static void check_idle_wait(int64_t deadline) {
    double before = processor_seconds();
    CHECK_INT(pipe(wake_pipe), 0);
    signal(SIGALRM, on_alarm);
    alarm(1);
    CHECK_INT(fdin(wake_pipe[0], deadline), 0);
    CHECK(processor_seconds() - before < 0.5);
}

TEST(a_deadline_of_2_to_the_31_ms_ahead_does_not_burn_the_processor) { check_idle_wait(now() + (1LL << 31)); }

TEST(a_deadline_of_2_to_the_32_ms_ahead_does_not_burn_the_processor) { check_idle_wait(now() + (1LL << 32)); }

TEST(the_largest_deadline_does_not_burn_the_processor) { check_idle_wait(INT64_MAX); }

TEST(waiting_without_a_deadline_does_not_burn_the_processor) { check_idle_wait(-1); }

coroutine static void yield_until(const volatile int *stop) {
    while (!*stop && yield() == 0) continue;
}

coroutine static void set_after(int64_t deadline, volatile int *flag) {
    CHECK_INT(msleep(deadline), 0);
    *flag = 1;
}

TEST(timers_fire_while_another_coroutine_is_always_ready) {
    volatile int stop = 0;
    int64_t start = now();
    int b = bundle();
    CHECK_INT(bundle_go(b, yield_until(&stop)), 0);
    CHECK_INT(bundle_go(b, set_after(start + 10, &stop)), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK(now() >= start + 10);
    CHECK_INT(hclose(b), 0);
}

coroutine static void wait_for_byte(int fd, volatile int *flag) {
    CHECK_INT(fdin(fd, -1), 0);
    *flag = 1;
}

TEST(descriptors_are_polled_while_another_coroutine_is_always_ready) {
    volatile int stop = 0;
    int fds[2];
    int b = bundle();
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_INT(bundle_go(b, yield_until(&stop)), 0);
    CHECK_INT(bundle_go(b, wait_for_byte(fds[0], &stop)), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(hclose(b), 0);
}
