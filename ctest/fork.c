/* fork: parent and child go on independently with what they had. */

#include <libdill.h>

#include "dies.h"
#include "pair.h"
#include "test.h"

static int p[2], q[2];

static void make_pipes(void) {
    CHECK_INT(pipe(p), 0);
    CHECK_INT(pipe(q), 0);
}

/* The runtime of this process has been used, polled and has its descriptors. */
static void use_runtime(void) {
    make_pipes();
    CHECK_ERR(fdin(p[0], now() + 5), -1, ETIMEDOUT);
}

static void wait_for_new_descriptor(void) {
    int n[2];
    CHECK_INT(pipe(n), 0);
    CHECK_ERR(fdin(n[0], now() + 10), -1, ETIMEDOUT);
    CHECK_INT(write(n[1], "x", 1), 1);
    CHECK_INT(fdin(n[0], now() + 5000), 0);
}

TEST(a_child_waits_for_a_descriptor_that_its_parent_never_saw) {
    use_runtime();
    CHECK_EXITS_WITH(wait_for_new_descriptor, 0);
}

coroutine static void fork_and_wait(volatile int *done) {
    CHECK_EXITS_WITH(wait_for_new_descriptor, 0);
    *done = 1;
}

TEST(a_coroutine_may_fork) {
    volatile int done = 0;
    int h;
    use_runtime();
    h = go(fork_and_wait(&done));
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(done, 1);
    CHECK_INT(hclose(h), 0);
}

static void wait_for_descriptor_of_parent(void) {
    CHECK_ERR(fdin(p[0], now() + 20), -1, ETIMEDOUT);
    CHECK_INT(write(p[1], "x", 1), 1);
    CHECK_INT(fdin(p[0], now() + 5000), 0);
    char c;
    CHECK_INT(read(p[0], &c, 1), 1);
}

TEST(a_child_waits_for_a_descriptor_that_its_parent_knew) {
    use_runtime();
    CHECK_EXITS_WITH(wait_for_descriptor_of_parent, 0);
}

static void clean_and_close_everything(void) {
    CHECK_ERR(fdin(p[0], now() + 5), -1, ETIMEDOUT);
    CHECK_INT(fdclean(p[0]), 0);
    CHECK_INT(close(p[0]), 0);
    wait_for_new_descriptor();
}

TEST(what_a_child_does_with_its_descriptors_does_not_affect_the_parent) {
    use_runtime();
    CHECK_EXITS_WITH(clean_and_close_everything, 0);
    CHECK_ERR(fdin(p[0], now() + 10), -1, ETIMEDOUT);
    CHECK_INT(write(p[1], "x", 1), 1);
    CHECK_INT(fdin(p[0], now() + 5000), 0);
}

coroutine static void wait_for_pipe(int fd, volatile int *woken) {
    CHECK_INT(fdin(fd, -1), 0);
    ++*woken;
}

coroutine static void sleep_until(int64_t deadline, volatile int *woken) {
    CHECK_INT(msleep(deadline), 0);
    ++*woken;
}

static int waiters, woken;
static void wake_waiters(void) {
    CHECK_INT(write(q[1], "x", 1), 1);
    CHECK_INT(bundle_wait(waiters, now() + 5000), 0);
    CHECK_INT(woken, 1);
}

TEST(a_coroutine_that_waited_for_a_descriptor_wakes_in_the_child_and_in_the_parent) {
    use_runtime();
    waiters = go(wait_for_pipe(q[0], &woken));
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_EXITS_WITH(wake_waiters, 0);
    CHECK_INT(woken, 0);
    CHECK_INT(bundle_wait(waiters, now() + 5000), 0);
    CHECK_INT(woken, 1);
}

TEST(a_coroutine_that_began_to_wait_just_before_the_fork_wakes_in_the_child) {
    use_runtime();
    waiters = go(wait_for_pipe(q[0], &woken));
    CHECK_EXITS_WITH(wake_waiters, 0);
}

static void wait_for_sleeper(void) {
    CHECK_INT(bundle_wait(waiters, now() + 5000), 0);
    CHECK_INT(woken, 1);
}

TEST(a_coroutine_that_slept_wakes_in_the_child_and_in_the_parent) {
    make_pipes();
    waiters = go(sleep_until(now() + 50, &woken));
    CHECK_EXITS_WITH(wait_for_sleeper, 0);
    wait_for_sleeper();
}

static void close_the_waiters(void) {
    CHECK_INT(hclose(waiters), 0);
}

coroutine static void wait_until_cancelled(int fd) { CHECK_ERR(fdin(fd, -1), -1, ECANCELED); }

TEST(a_child_may_cancel_what_it_inherited) {
    use_runtime();
    waiters = go(wait_until_cancelled(q[0]));
    CHECK_INT(msleep(now() + 5), 0);
    CHECK_EXITS_WITH(close_the_waiters, 0);
    CHECK_INT(hclose(waiters), 0);
}

static void fork_again(void) {
    wait_for_new_descriptor();
    CHECK_EXITS_WITH(wait_for_new_descriptor, 0);
    wait_for_new_descriptor();
}

TEST(a_child_may_fork_again) {
    use_runtime();
    CHECK_EXITS_WITH(fork_again, 0);
    wait_for_new_descriptor();
}

#ifndef WITHOUT_SOCKETS
static int sockets[2];
static void echo_from_child(void) {
    char buf[3];
    CHECK_INT(brecv(sockets[1], buf, 3, now() + 5000), 0);
    CHECK_INT(bsend(sockets[1], buf, 3, now() + 5000), 0);
}

TEST(parent_and_child_talk_over_a_pair_made_before) {
    char buf[3];
    pid_t child;
    int status = -1;
    CHECK_INT(ipc_pair(sockets), 0);
    CHECK_ERR(brecv(sockets[0], buf, 3, 0), -1, ETIMEDOUT);
    CHECK_INT(ipc_pair(sockets), 0);
    child = fork();
    if (child == 0) {
        echo_from_child();
        exit(0);
    }
    CHECK_INT(bsend(sockets[0], "ABC", 3, -1), 0);
    CHECK_INT(brecv(sockets[0], buf, 3, now() + 5000), 0);
    CHECK_MEM(buf, "ABC", 3);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}
#endif

static void exit_at_once(void) { exit(0); }

TEST(a_child_that_exits_at_once_leaves_the_parent_working) {
    use_runtime();
    waiters = go(wait_for_pipe(q[0], &woken));
    CHECK_EXITS_WITH(exit_at_once, 0);
    wake_waiters();
}

static void exec_a_shell(void) {
    execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
    _exit(1);
}

TEST(a_child_may_exec) {
    use_runtime();
    CHECK_EXITS_WITH(exec_a_shell, 5);
    wait_for_new_descriptor();
}

TEST(the_descriptors_of_the_runtime_are_close_on_exec) {
    use_runtime();
    for (int fd = 3; fd != 256; ++fd) {
        char link[64], target[64];
        ssize_t len;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        len = readlink(link, target, sizeof(target) - 1);
        if (len < 0) continue;
        target[len] = 0;
        if (strncmp(target, "anon_inode", 10) == 0) CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
}
