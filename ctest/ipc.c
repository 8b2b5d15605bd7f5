/* IPC: names in the file system, pairs, and descriptors passed along with the data. */

#include <limits.h>

#include <libdill.h>

#include "mem.h"
#include "pair.h"
#include "test.h"

static char path[512];
static const char *in_directory(const char *name) {
    snprintf(path, sizeof(path), "%s/%s", test_directory, name);
    return path;
}

static int listen_in_directory(void) {
    int listener = ipc_listen(in_directory("socket"), 10);
    CHECK(listener >= 0);
    return listener;
}

/* --- Names --- */

TEST(a_listener_is_reached_by_its_name) {
    int listener = listen_in_directory(), s[2];
    char buf[3];
    s[0] = ipc_connect(path, now() + 5000);
    CHECK(s[0] >= 0);
    s[1] = ipc_accept(listener, now() + 5000);
    CHECK(s[1] >= 0);
    CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
    CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
    CHECK_MEM(buf, "ABC", 3);
}

TEST(an_existing_file_gives_EADDRINUSE) {
    listen_in_directory();
    CHECK_ERR(ipc_listen(path, 10), -1, EADDRINUSE);
}

TEST(the_file_stays_when_the_listener_is_closed) {
    int listener = listen_in_directory();
    CHECK_INT(hclose(listener), 0);
    CHECK_INT(access(path, F_OK), 0);
    CHECK_ERR(ipc_connect(path, now() + 5000), -1, ECONNREFUSED);
    CHECK_ERR(ipc_listen(path, 10), -1, EADDRINUSE);
}

TEST(a_name_without_file_gives_ENOENT_on_connecting) {
    CHECK_ERR(ipc_connect(in_directory("nothing"), -1), -1, ENOENT);
}

TEST(a_missing_directory_gives_ENOENT) {
    CHECK_ERR(ipc_listen(in_directory("no/such"), 10), -1, ENOENT);
    CHECK_ERR(ipc_connect(path, -1), -1, ENOENT);
}

TEST(a_file_in_the_place_of_a_directory_gives_ENOTDIR) {
    int fd = open(in_directory("file"), O_RDWR | O_CREAT, 0600);
    CHECK_INT(close(fd), 0);
    CHECK_ERR(ipc_listen(in_directory("file/socket"), 10), -1, ENOTDIR);
}

TEST(an_ordinary_file_gives_ECONNREFUSED_on_connecting) {
    int fd = open(in_directory("file"), O_RDWR | O_CREAT, 0600);
    CHECK_INT(close(fd), 0);
    CHECK_ERR(ipc_connect(path, -1), -1, ECONNREFUSED);
}

TEST(an_empty_name_gives_ENOENT) {
    CHECK_ERR(ipc_listen("", 10), -1, ENOENT);
    CHECK_ERR(ipc_connect("", -1), -1, ENOENT);
}

/* A name of exactly len bytes in the directory of the test. */
static const char *name_of_length(size_t len) {
    in_directory("");
    CHECK(strlen(path) < 100);
    memset(path + strlen(path), 'x', len - strlen(path));
    path[len] = 0;
    return path;
}

TEST(a_name_of_107_bytes_works) {
    CHECK(ipc_listen(name_of_length(107), 10) >= 0);
    CHECK(ipc_connect(path, now() + 5000) >= 0);
}

TEST(a_name_of_108_bytes_gives_ENAMETOOLONG) {
    CHECK_ERR(ipc_listen(name_of_length(108), 10), -1, ENAMETOOLONG);
    CHECK_ERR(ipc_connect(name_of_length(108), -1), -1, ENAMETOOLONG);
    CHECK_ERR(ipc_connect(name_of_length(400), -1), -1, ENAMETOOLONG);
}

TEST(failures_leave_no_descriptor_behind) {
    int before;
    CHECK_INT(msleep(now() + 1), 0);
    before = open_descriptors();
    CHECK_ERR(ipc_listen(in_directory("no/such"), 10), -1, ENOENT);
    CHECK_ERR(ipc_connect(path, -1), -1, ENOENT);
    CHECK_ERR(ipc_connect("", -1), -1, ENOENT);
    CHECK_INT(open_descriptors(), before);
}

/* --- Accepting and connecting --- */

TEST(accept_times_out_and_the_listener_stays_usable) {
    int listener = listen_in_directory();
    int64_t deadline = now() + 30;
    CHECK_ERR(ipc_accept(listener, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
    CHECK(ipc_connect(path, now() + 5000) >= 0);
    CHECK(ipc_accept(listener, 0) >= 0);
}

coroutine static void accept_expecting(int listener, int err) {
    int s = ipc_accept(listener, -1);
    CHECK_INT(s >= 0 ? 0 : errno, err);
}

TEST(a_cancelled_accept_gives_ECANCELED_and_the_listener_stays_usable) {
    int listener = listen_in_directory();
    int b = go(accept_expecting(listener, ECANCELED));
    CHECK_INT(hclose(b), 0);
    CHECK(ipc_connect(path, now() + 5000) >= 0);
    CHECK(ipc_accept(listener, now() + 5000) >= 0);
}

TEST(a_second_accept_gives_EBUSY_and_disturbs_nothing) {
    int listener = listen_in_directory();
    int b = go(accept_expecting(listener, 0));
    CHECK_ERR(ipc_accept(listener, -1), -1, EBUSY);
    CHECK(ipc_connect(path, now() + 5000) >= 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
}

TEST(accept_on_wrong_handles_gives_EBADF_or_ENOTSUP) {
    int s[2];
    CHECK_INT(ipc_pair(s), 0);
    CHECK_ERR(ipc_accept(-1, 0), -1, EBADF);
    CHECK_ERR(ipc_accept(INT_MAX, 0), -1, EBADF);
    CHECK_ERR(ipc_accept(s[0], 0), -1, ENOTSUP);
    CHECK_ERR(ipc_accept(bundle(), 0), -1, ENOTSUP);
}

TEST(ipc_close_closes_a_listener) {
    int listener = listen_in_directory();
    CHECK_INT(ipc_close(listener, -1), 0);
    CHECK_ERR(hclose(listener), -1, EBADF);
}

static int connect_until_the_backlog_is_full(int64_t wait) {
    int listener = ipc_listen(in_directory("small"), 1);
    CHECK(listener >= 0);
    for (int i = 0; i != 10; ++i) {
        int64_t deadline = now() + wait;
        if (ipc_connect(path, deadline) >= 0) continue;
        CHECK_INT(errno, ETIMEDOUT);
        CHECK(now() >= deadline);
        return listener;
    }
    SKIP("the kernel accepts any number of connections");
}

TEST(connect_to_a_full_backlog_times_out) { connect_until_the_backlog_is_full(50); }

coroutine static void accept_later(int listener) {
    CHECK_INT(msleep(now() + 50), 0);
    CHECK(ipc_accept(listener, now() + 5000) >= 0);
}

TEST(connect_to_a_full_backlog_succeeds_as_soon_as_there_is_room) {
    int listener = connect_until_the_backlog_is_full(10);
    int b = go(accept_later(listener));
    CHECK(ipc_connect(path, now() + 10000) >= 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
}

coroutine static void connect_cancelled(void) { CHECK_ERR(ipc_connect(path, -1), -1, ECANCELED); }

TEST(connect_to_a_full_backlog_can_be_cancelled) {
    int b;
    connect_until_the_backlog_is_full(10);
    b = go(connect_cancelled());
    CHECK_INT(msleep(now() + 30), 0);
    CHECK_INT(hclose(b), 0);
}

/* --- Storage supplied by the caller --- */

TEST(NULL_storage_gives_EINVAL) {
    int listener = listen_in_directory(), s[2];
    CHECK_ERR(ipc_listen_mem(in_directory("other"), 10, NULL), -1, EINVAL);
    CHECK_ERR(access(path, F_OK), -1, ENOENT);
    CHECK_ERR(ipc_accept_mem(listener, NULL, 0), -1, EINVAL);
    CHECK_ERR(ipc_connect_mem(in_directory("socket"), NULL, -1), -1, EINVAL);
    CHECK_ERR(ipc_pair_mem(NULL, s), -1, EINVAL);
}

TEST(storage_of_the_caller_works_at_every_alignment) {
    EACH_OFFSET(offset) {
        struct guarded_mem listener_mem, mem[2];
        int listener, s[2];
        char buf[3];
        snprintf(path, sizeof(path), "%s/%zu", test_directory, offset);
        listener = ipc_listen_mem(path, 10,
                                  (struct ipc_listener_storage *)guarded_make(
                                      &listener_mem, sizeof(struct ipc_listener_storage), offset));
        CHECK(listener >= 0);
        s[0] = ipc_connect_mem(
            path, (struct ipc_storage *)guarded_make(&mem[0], sizeof(struct ipc_storage), offset), -1);
        s[1] = ipc_accept_mem(listener,
                              (struct ipc_storage *)guarded_make(&mem[1], sizeof(struct ipc_storage), offset),
                              now() + 5000);
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(bsend(s[i], "ABC", 3, -1), 0);
            CHECK_INT(brecv(s[1 - i], buf, 3, now() + 5000), 0);
        }
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(ipc_close(s[1], now() + 5000), 0);
        CHECK_INT(hclose(listener), 0);
        guarded_free(&listener_mem);
        guarded_free(&mem[0]);
        guarded_free(&mem[1]);
    }
}

TEST(ipc_pair_mem_works_at_every_alignment) {
    EACH_OFFSET(offset) {
        struct guarded_mem m;
        int s[2];
        char buf[3];
        CHECK_INT(ipc_pair_mem((struct ipc_pair_storage *)guarded_make(&m, sizeof(struct ipc_pair_storage),
                                                                       offset),
                               s),
                  0);
        CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
        CHECK_INT(hclose(s[1]), 0);
        guarded_free(&m);
    }
}

coroutine static void receive_until_closed(int s) {
    char c;
    CHECK_ERR(brecv(s, &c, 1, now() + 5000), -1, EBADF);
}

coroutine static void send_later(int s) {
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(bsend(s, "x", 1, now() + 5000), 0);
}

TEST(who_waits_for_a_socket_whose_number_is_a_new_ones_gets_EBADF) {
    int s[2], t[2], number, b;
    char c;
    CHECK_INT(msleep(now() + 1), 0);
    number = dup(0);
    CHECK_INT(close(number), 0);
    CHECK_INT(ipc_pair(s), 0);
    b = go(receive_until_closed(s[0]));
    /* Behind the library's back. */
    CHECK_INT(close(number), 0);
    CHECK_INT(ipc_pair(t), 0);
    CHECK_INT(bundle_wait(b, now() + 4000), 0);
    CHECK_INT(bundle_go(b, send_later(t[1])), 0);
    CHECK_INT(brecv(t[0], &c, 1, now() + 5000), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
}
