/* fdin, fdout, fdclean. */

#include <limits.h>

#include <libdill.h>

#include "pair.h"
#include "test.h"

static int sp[2];
static void make_socketpair(void) { CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0); }

static void write_byte(int fd) { CHECK_INT(write(fd, "x", 1), 1); }

/* --- Arguments --- */

TEST(descriptors_that_are_not_open_give_EBADF) {
    const int bad[] = {-1, INT_MIN, 900, 5000000, INT_MAX};
    for (int i = 0; i != 5; ++i) {
        CHECK_ERR(fdin(bad[i], 0), -1, EBADF);
        CHECK_ERR(fdout(bad[i], 0), -1, EBADF);
    }
}

TEST(a_regular_file_gives_ENOTSUP) {
    char path[300];
    snprintf(path, sizeof(path), "%s/file", test_directory);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    CHECK_ERR(fdin(fd, 0), -1, ENOTSUP);
    CHECK_ERR(fdout(fd, 0), -1, ENOTSUP);
}

TEST(a_directory_gives_ENOTSUP) {
    int fd = open(test_directory, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    CHECK_ERR(fdin(fd, 0), -1, ENOTSUP);
}

TEST(a_descriptor_opened_after_EBADF_can_be_waited_for) {
    make_socketpair();
    CHECK_INT(close(sp[1]), 0);
    CHECK_ERR(fdin(sp[1], 0), -1, EBADF);
    CHECK_INT(dup2(sp[0], sp[1]), sp[1]);
    CHECK_INT(fdout(sp[1], now() + 5000), 0);
}

/* --- Waiting --- */

TEST(a_socket_is_writable_at_once_and_readable_never) {
    make_socketpair();
    CHECK_INT(fdout(sp[0], 0), 0);
    CHECK_INT(fdout(sp[0], -1), 0);
    CHECK_INT(fdout(sp[0], now() + 5000), 0);
    CHECK_ERR(fdin(sp[0], 0), -1, ETIMEDOUT);
}

TEST(fdin_times_out_and_never_early) {
    int64_t deadline = now() + 50;
    make_socketpair();
    CHECK_ERR(fdin(sp[0], deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
}

TEST(fdout_times_out_on_a_full_socket) {
    static char block[65536];
    int64_t deadline = now() + 50;
    make_socketpair();
    while (send(sp[0], block, sizeof(block), MSG_DONTWAIT) > 0) continue;
    CHECK_ERR(fdout(sp[0], deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
    while (recv(sp[1], block, sizeof(block), MSG_DONTWAIT) > 0) continue;
    CHECK_INT(fdout(sp[0], now() + 5000), 0);
}

TEST(success_leaves_errno_0) {
    make_socketpair();
    errno = EXDEV;
    CHECK_INT(fdout(sp[0], -1), 0);
    CHECK_INT(errno, 0);
}

TEST(data_that_is_there_makes_a_descriptor_readable) {
    make_socketpair();
    write_byte(sp[1]);
    CHECK_INT(fdin(sp[0], -1), 0);
    CHECK_INT(fdin(sp[0], 0), 0);
}

TEST(readiness_wins_over_a_deadline_long_past) {
    make_socketpair();
    write_byte(sp[1]);
    CHECK_INT(fdin(sp[0], 1), 0);
}

coroutine static void write_after(int64_t ms, int fd) {
    CHECK_INT(msleep(now() + ms), 0);
    write_byte(fd);
}

TEST(data_wakes_fdin) {
    int64_t start = now();
    int h;
    make_socketpair();
    h = go(write_after(50, sp[1]));
    CHECK_INT(fdin(sp[0], start + 10000), 0);
    CHECK(now() >= start + 50);
    CHECK_INT(hclose(h), 0);
}

coroutine static void set(volatile int *flag) {
    CHECK_INT(yield(), 0);
    *flag = 1;
}

TEST(ready_coroutines_run_first_even_if_the_descriptor_is_ready) {
    int seen = 0;
    make_socketpair();
    ATTEMPT_UNTIL(seen) {
        volatile int flag = 0;
        int h = go(set(&flag));
        CHECK_INT(fdout(sp[0], -1), 0);
        seen = flag;
        CHECK_INT(bundle_wait(h, -1), 0);
        CHECK_INT(hclose(h), 0);
    }
    CHECK(seen);
}

/* --- Ends of streams --- */

TEST(a_closed_peer_makes_both_directions_ready) {
    make_socketpair();
    CHECK_INT(close(sp[1]), 0);
    CHECK_INT(fdin(sp[0], now() + 5000), 0);
    CHECK_INT(fdout(sp[0], now() + 5000), 0);
}

TEST(data_in_front_of_the_end_is_readable) {
    char buf[4];
    make_socketpair();
    CHECK_ERR(fdin(sp[1], 0), -1, ETIMEDOUT);
    CHECK_INT(write(sp[1], "ABC", 3), 3);
    CHECK_INT(fdclean(sp[1]), 0);
    CHECK_INT(close(sp[1]), 0);
    CHECK_INT(fdin(sp[0], now() + 5000), 0);
    CHECK_INT(fdout(sp[0], now() + 5000), 0);
    CHECK_INT(read(sp[0], buf, 3), 3);
    CHECK_INT(fdin(sp[0], now() + 5000), 0);
    CHECK_INT(read(sp[0], buf, 1), 0);
}

TEST(a_peer_that_shuts_down_its_writing_half_makes_the_descriptor_readable) {
    make_socketpair();
    CHECK_INT(shutdown(sp[1], SHUT_WR), 0);
    CHECK_INT(fdin(sp[0], now() + 5000), 0);
}

TEST(a_pipe_without_writer_is_readable) {
    int p[2];
    CHECK_INT(pipe(p), 0);
    CHECK_INT(close(p[1]), 0);
    CHECK_INT(fdin(p[0], now() + 5000), 0);
}

TEST(fdout_on_the_read_end_of_a_pipe_waits_until_the_other_side_closes) {
    int p[2];
    CHECK_INT(pipe(p), 0);
    CHECK_ERR(fdout(p[0], now() + 20), -1, ETIMEDOUT);
    CHECK_INT(close(p[1]), 0);
    CHECK_INT(fdout(p[0], now() + 5000), 0);
}

/* --- Several waiters --- */

static char order[32];
static void note(char c) {
    size_t len = strlen(order);
    order[len] = c;
}

coroutine static void wait_in(int fd, int64_t deadline, int rc, int err) {
    CHECK_ERR(fdin(fd, deadline), rc, err);
    note('i');
}

coroutine static void wait_out(int fd, int64_t deadline, int rc, int err) {
    CHECK_ERR(fdout(fd, deadline), rc, err);
    note('o');
}

coroutine static void wait_timer(int64_t deadline) {
    CHECK_INT(msleep(deadline), 0);
    note('t');
}

TEST(events_of_one_poll_come_in_the_order_in_out_timers) {
    ATTEMPT_UNTIL(strcmp(order, "iot") == 0) {
        int b = bundle();
        memset(order, 0, sizeof(order));
        make_socketpair();
        write_byte(sp[1]);
        CHECK_INT(bundle_go(b, wait_timer(now() - 10)), 0);
        CHECK_INT(bundle_go(b, wait_out(sp[0], -1, 0, 0)), 0);
        CHECK_INT(bundle_go(b, wait_in(sp[0], -1, 0, 0)), 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
    CHECK_STR(order, "iot");
}

TEST(one_reader_and_one_writer_may_wait_for_one_descriptor) {
    int b = bundle();
    make_socketpair();
    CHECK_INT(bundle_go(b, wait_in(sp[0], -1, 0, 0)), 0);
    CHECK_INT(fdout(sp[0], -1), 0);
    CHECK_STR(order, "");
    write_byte(sp[1]);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(order, "i");
}

TEST(a_second_waiter_in_the_same_direction_gives_EBUSY_and_does_not_disturb_the_first) {
    int b = bundle();
    make_socketpair();
    CHECK_INT(bundle_go(b, wait_in(sp[0], -1, 0, 0)), 0);
    CHECK_ERR(fdin(sp[0], now() + 10), -1, EBUSY);
    CHECK_ERR(fdin(sp[0], 0), -1, EBUSY);
    write_byte(sp[1]);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_STR(order, "i");
}

TEST(a_second_writer_gives_EBUSY) {
    static char block[65536];
    int b = bundle();
    make_socketpair();
    while (send(sp[0], block, sizeof(block), MSG_DONTWAIT) > 0) continue;
    CHECK_INT(bundle_go(b, wait_out(sp[0], -1, -1, ECANCELED)), 0);
    CHECK_ERR(fdout(sp[0], -1), -1, EBUSY);
    CHECK_INT(hclose(b), 0);
}

TEST(three_hundred_descriptors_become_ready_at_once) {
    enum { PIPES = 300 };
    static int p[PIPES][2];
    int b = bundle();
    for (int i = 0; i != PIPES; ++i) {
        CHECK_INT(pipe(p[i]), 0);
        CHECK_INT(bundle_go(b, (void)fdin(p[i][0], -1)), 0);
    }
    for (int i = 0; i != PIPES; ++i) write_byte(p[i][1]);
    CHECK_INT(bundle_wait(b, now() + 10000), 0);
}

TEST(a_timed_out_wait_does_not_disturb_a_later_sleep) {
    int64_t deadline;
    make_socketpair();
    CHECK_ERR(fdin(sp[0], now() + 10), -1, ETIMEDOUT);
    write_byte(sp[1]);
    deadline = now() + 50;
    CHECK_INT(msleep(deadline), 0);
    CHECK(now() >= deadline);
    CHECK_INT(fdin(sp[0], 0), 0);
}

/* --- fdclean --- */

TEST(fdclean_of_a_descriptor_that_was_never_waited_for_returns_0) {
    make_socketpair();
    CHECK_INT(fdclean(sp[0]), 0);
    CHECK_INT(fdclean(sp[0]), 0);
}

TEST(fdclean_of_an_impossible_descriptor_does_not_crash) {
    const int bad[] = {-1, INT_MIN, 900, 5000000, INT_MAX};
    for (int i = 0; i != 5; ++i) {
        errno = 0;
        CHECK(fdclean(bad[i]) == 0 || errno == EBADF);
    }
}

TEST(fdclean_of_a_descriptor_in_use_gives_EBUSY_and_changes_nothing) {
    int b = bundle();
    make_socketpair();
    CHECK_INT(bundle_go(b, wait_in(sp[0], -1, 0, 0)), 0);
    CHECK_ERR(fdclean(sp[0]), -1, EBUSY);
    write_byte(sp[1]);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
}

TEST(a_descriptor_can_be_waited_for_again_after_fdclean) {
    make_socketpair();
    for (int i = 0; i != 3; ++i) {
        CHECK_ERR(fdin(sp[0], now() + 5), -1, ETIMEDOUT);
        CHECK_INT(fdclean(sp[0]), 0);
    }
    write_byte(sp[1]);
    CHECK_INT(fdin(sp[0], now() + 5000), 0);
}

TEST(a_cleaned_and_closed_number_can_be_reused_for_another_file) {
    int number;
    make_socketpair();
    number = sp[0];
    CHECK_ERR(fdin(number, 0), -1, ETIMEDOUT);
    CHECK_INT(fdclean(number), 0);
    CHECK_INT(close(number), 0);
    CHECK_ERR(fdin(number, 0), -1, EBADF);
    make_socketpair();
    CHECK_INT(sp[0], number);
    write_byte(sp[1]);
    CHECK_INT(fdin(number, now() + 5000), 0);
}
