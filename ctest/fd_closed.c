/* Descriptors that are closed without fdclean, or are not to be had: errors, never a crash. */

#include <libdill.h>

#include "dies.h"
#include "pair.h"
#include "test.h"

static int sp[2];

static void wait_in_vain(void) {
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
    CHECK_ERR(fdin(sp[0], now() + 5), -1, ETIMEDOUT);
}

TEST(closing_right_after_a_wait_does_not_harm_the_next_poll) {
    wait_in_vain();
    CHECK_INT(close(sp[0]), 0);
    CHECK_INT(msleep(now() + 10), 0);
}

TEST(fdclean_after_close_does_not_abort) {
    wait_in_vain();
    CHECK_INT(close(sp[0]), 0);
    CHECK_INT(fdclean(sp[0]), 0);
    CHECK_INT(msleep(now() + 10), 0);
}

TEST(fdclean_after_close_and_a_poll_does_not_abort) {
    wait_in_vain();
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(close(sp[0]), 0);
    CHECK_INT(fdclean(sp[0]), 0);
    CHECK_INT(msleep(now() + 10), 0);
}

TEST(waiting_for_a_number_that_was_closed_gives_EBADF) {
    wait_in_vain();
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(close(sp[0]), 0);
    CHECK_ERR(fdin(sp[0], now() + 50), -1, EBADF);
}

static void check_reused_number(int polls_between) {
    int number;
    wait_in_vain();
    number = sp[0];
    if (polls_between) CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(close(number), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
    CHECK_INT(sp[0], number);
    CHECK_INT(write(sp[1], "x", 1), 1);
    CHECK_INT(fdin(number, now() + 5000), 0);
}

TEST(a_number_reused_before_the_next_poll_is_noticed) { check_reused_number(0); }

TEST(a_number_reused_after_a_poll_is_noticed) { check_reused_number(1); }

coroutine static void wait_and_time_out(int fd) {
    CHECK_INT(fdin(fd, now() + 100), -1);
    CHECK(errno == ETIMEDOUT || errno == EBADF);
}

TEST(closing_under_a_waiter_does_not_abort) {
    int b;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
    b = go(wait_and_time_out(sp[0]));
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(close(sp[0]), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
}

TEST(closing_and_cleaning_descriptors_over_and_over_works) {
    for (int i = 0; i != 2000; ++i) {
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
        CHECK_INT(write(sp[1], "x", 1), 1);
        CHECK_INT(fdin(sp[0], now() + 5000), 0);
        CHECK_INT(fdclean(sp[0]), 0);
        CHECK_INT(close(sp[0]), 0);
        CHECK_INT(close(sp[1]), 0);
    }
}

/* --- Limits --- */

static void set_soft_limit(rlim_t n) {
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < n) SKIP("the hard limit of descriptors is too low");
    limit.rlim_cur = n;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST(a_large_descriptor_number_can_be_waited_for) {
    set_soft_limit(4000);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
    CHECK_INT(dup2(sp[0], 3999), 3999);
    CHECK_INT(fdout(3999, now() + 5000), 0);
    CHECK_ERR(fdin(3999, now() + 10), -1, ETIMEDOUT);
}

TEST(a_descriptor_above_a_limit_that_was_raised_later_can_be_waited_for) {
    struct rlimit limit;
    set_soft_limit(100);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(msleep(now() + 1), 0);
    set_soft_limit(2000);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
    CHECK_INT(dup2(sp[0], 1999), 1999);
    CHECK_INT(fdout(1999, now() + 5000), 0);
}

/* The process has no descriptor left before it calls the library for the first time. */
static void use_up_descriptors(void) {
    struct rlimit limit;
    skip_under_wrapper("the wrapper has descriptors of its own");
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (dup(0) >= 0) continue;
    CHECK_INT(errno, EMFILE);
}

TEST(now_works_without_a_free_descriptor) {
    use_up_descriptors();
    CHECK(now() > 0);
}

coroutine static void echo(int ch) {
    int v;
    CHECK_INT(chrecv(ch, &v, sizeof(v), -1), 0);
    CHECK_INT(chsend(ch, &v, sizeof(v), -1), 0);
}

TEST(channels_work_without_a_free_descriptor) {
    int ch[2], v = 7, b;
    use_up_descriptors();
    CHECK_INT(chmake(ch), 0);
    b = go(echo(ch[0]));
    CHECK(b >= 0);
    CHECK_INT(chsend(ch[1], &v, sizeof(v), -1), 0);
    v = 0;
    CHECK_INT(chrecv(ch[1], &v, sizeof(v), -1), 0);
    CHECK_INT(v, 7);
    CHECK_INT(hclose(b), 0);
}

TEST(msleep_works_without_a_free_descriptor) {
    int64_t deadline;
    use_up_descriptors();
    deadline = now() + 20;
    CHECK_INT(msleep(deadline), 0);
    CHECK(now() >= deadline);
}

TEST(fdin_reports_that_there_is_no_free_descriptor_and_recovers) {
    int p[2];
    CHECK_INT(pipe(p), 0);
    CHECK_INT(write(p[1], "x", 1), 1);
    use_up_descriptors();
    CHECK_ERR(fdin(p[0], now() + 5000), -1, EMFILE);
    CHECK_INT(close(63), 0);
    CHECK_INT(fdin(p[0], now() + 5000), 0);
}

#ifndef WITHOUT_SOCKETS
TEST(sockets_report_that_there_is_no_free_descriptor) {
    struct ipaddr addr;
    int s[2];
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    use_up_descriptors();
    CHECK_ERR(tcp_listen(&addr, 10), -1, EMFILE);
    CHECK_ERR(tcp_connect(&addr, -1), -1, EMFILE);
    CHECK_ERR(ipc_pair(s), -1, EMFILE);
    CHECK_ERR(ipc_listen("nowhere", 10), -1, EMFILE);
    CHECK_ERR(ipc_connect("nowhere", -1), -1, EMFILE);
}
#endif
