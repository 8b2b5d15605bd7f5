/* Taking over descriptors that were made elsewhere. */

#include <limits.h>

#include <libdill.h>

#include "mem.h"
#include "pair.h"
#include "test.h"

/* The four functions that take over a descriptor, and those that do so into storage of the caller. */
static int tcp_fromfd_null(int fd) { return tcp_fromfd_mem(fd, NULL); }
static int tcp_listener_fromfd_null(int fd) { return tcp_listener_fromfd_mem(fd, NULL); }
static int ipc_fromfd_null(int fd) { return ipc_fromfd_mem(fd, NULL); }
static int ipc_listener_fromfd_null(int fd) { return ipc_listener_fromfd_mem(fd, NULL); }

typedef int (*fromfd_call)(int fd);
static const fromfd_call all[] = {tcp_fromfd, tcp_listener_fromfd, ipc_fromfd, ipc_listener_fromfd};
static const fromfd_call all_null[] = {tcp_fromfd_null, tcp_listener_fromfd_null, ipc_fromfd_null,
                                       ipc_listener_fromfd_null};

/* A plain socket bound and listening, or connected, as asked. */
static int plain_listener(int family) {
    int fd = socket(family, SOCK_STREAM, 0);
    struct sockaddr_in any;
    memset(&any, 0, sizeof(any));
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0);
    if (family == AF_INET) {
        CHECK_INT(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    } else {
        sa_family_t unix_family = AF_UNIX; /* autobind: an abstract name chosen by the kernel */
        CHECK_INT(bind(fd, (struct sockaddr *)&unix_family, sizeof(unix_family)), 0);
    }
    CHECK_INT(listen(fd, 10), 0);
    return fd;
}

static void plain_tcp_pair(int fd[2]) {
    struct sockaddr_in to;
    socklen_t len = sizeof(to);
    int listener = plain_listener(AF_INET);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&to, &len), 0);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(connect(fd[0], (struct sockaddr *)&to, len), 0);
    fd[1] = accept(listener, NULL, NULL);
    CHECK(fd[1] >= 0);
    CHECK_INT(close(listener), 0);
}

static int flags_of(int fd) { return fcntl(fd, F_GETFL); }

static void check_refused(fromfd_call call, int fd, int err) {
    int flags = flags_of(fd), reuse[2] = {-1, -1};
    socklen_t len = sizeof(int);
    getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse[0], &len);
    CHECK_ERR(call(fd), -1, err);
    CHECK_INT(flags_of(fd), flags);
    getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse[1], &len);
    CHECK_INT(reuse[0], reuse[1]);
}

/* --- What works --- */

TEST(a_connected_blocking_TCP_socket_can_be_taken_over) {
    int fd[2], s[2];
    char buf[3];
    plain_tcp_pair(fd);
    for (int i = 0; i != 2; ++i) {
        s[i] = tcp_fromfd(fd[i]);
        CHECK(s[i] >= 0);
    }
    CHECK_ERR(brecv(s[0], buf, 3, now() + 10), -1, ETIMEDOUT);
    CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
    CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
    CHECK_MEM(buf, "ABC", 3);
    CHECK_INT(hclose(s[0]), 0);
    CHECK_INT(hclose(s[1]), 0);
}

TEST(a_connected_local_socket_can_be_taken_over) {
    int fd[2], s[2];
    char buf[3];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    for (int i = 0; i != 2; ++i) s[i] = ipc_fromfd(fd[i]);
    CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
    CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
    CHECK_INT(ipc_done(s[0], -1), 0);
    CHECK_ERR(brecv(s[1], buf, 1, now() + 5000), -1, EPIPE);
}

TEST(a_listening_TCP_socket_can_be_taken_over) {
    struct sockaddr_in to;
    socklen_t len = sizeof(to);
    int fd = plain_listener(AF_INET), client = socket(AF_INET, SOCK_STREAM, 0), listener;
    CHECK_INT(getsockname(fd, (struct sockaddr *)&to, &len), 0);
    listener = tcp_listener_fromfd(fd);
    CHECK(listener >= 0);
    CHECK_ERR(tcp_accept(listener, NULL, now() + 10), -1, ETIMEDOUT);
    CHECK_INT(connect(client, (struct sockaddr *)&to, len), 0);
    CHECK(tcp_accept(listener, NULL, now() + 5000) >= 0);
}

TEST(a_listening_local_socket_can_be_taken_over) {
    struct sockaddr_storage to;
    socklen_t len = sizeof(to);
    int fd = plain_listener(AF_UNIX), client = socket(AF_UNIX, SOCK_STREAM, 0), listener;
    CHECK_INT(getsockname(fd, (struct sockaddr *)&to, &len), 0);
    listener = ipc_listener_fromfd(fd);
    CHECK(listener >= 0);
    CHECK_INT(connect(client, (struct sockaddr *)&to, len), 0);
    CHECK(ipc_accept(listener, now() + 5000) >= 0);
}

TEST(closing_the_handle_closes_the_descriptor_that_was_taken_over) {
    int fd[2], s, before;
    char c;
    CHECK_INT(msleep(now() + 1), 0);
    before = open_descriptors();
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    s = ipc_fromfd(fd[0]);
    CHECK_INT(hclose(s), 0);
    CHECK_INT(read(fd[1], &c, 1), 0);
    CHECK_INT(close(fd[1]), 0);
    CHECK_INT(open_descriptors(), before);
}

coroutine static void wait_in_vain(int fd) { CHECK_ERR(fdin(fd, now() + 5000), -1, EBADF); }

/* The number may be another file's than the one that is waited for. */
TEST(whoever_waits_for_a_number_that_is_taken_over_gets_EBADF) {
    for (int reused = 0; reused != 2; ++reused) {
        int fd[2], other[2];
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
        int h = go(wait_in_vain(fd[0]));
        CHECK_INT(msleep(now() + 10), 0);
        if (reused) CHECK_INT(dup2(other[0], fd[0]), fd[0]);
        int s = ipc_fromfd(fd[0]);
        CHECK(s >= 0);
        CHECK_ERR(fcntl(fd[0], F_GETFD), -1, EBADF);
        CHECK_INT(bundle_wait(h, -1), 0);
        CHECK_INT(hclose(s), 0);
    }
}

TEST(an_unconnected_socket_is_taken_over_and_fails_when_it_is_used) {
    char c;
    int s = tcp_fromfd(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(s >= 0);
    CHECK_ERR(brecv(s, &c, 1, now() + 100), -1, ENOTCONN);
    CHECK_ERR(bsend(s, "A", 1, now() + 100), -1, ECONNRESET);
}

TEST(done_on_an_unconnected_socket_gives_ECONNRESET) {
    int s = tcp_fromfd(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(s >= 0);
    CHECK_ERR(tcp_done(s, -1), -1, ECONNRESET);
}

TEST(storage_of_the_caller_works_at_every_alignment) {
    EACH_OFFSET(offset) {
        struct guarded_mem m[4];
        int tcp[2], ipc[2], h[4];
        plain_tcp_pair(tcp);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ipc), 0);
        h[0] = tcp_fromfd_mem(tcp[0], (struct tcp_storage *)guarded_make(&m[0], 72, offset));
        h[1] = ipc_fromfd_mem(ipc[0], (struct ipc_storage *)guarded_make(&m[1], 72, offset));
        h[2] = tcp_listener_fromfd_mem(
            plain_listener(AF_INET), (struct tcp_listener_storage *)guarded_make(&m[2], 56, offset));
        h[3] = ipc_listener_fromfd_mem(
            plain_listener(AF_UNIX), (struct ipc_listener_storage *)guarded_make(&m[3], 24, offset));
        CHECK_INT(bsend(h[0], "A", 1, -1), 0);
        CHECK_INT(bsend(h[1], "A", 1, -1), 0);
        CHECK_ERR(tcp_accept(h[2], NULL, 0), -1, ETIMEDOUT);
        CHECK_ERR(ipc_accept(h[3], 0), -1, ETIMEDOUT);
        for (int i = 0; i != 4; ++i) {
            CHECK_INT(hclose(h[i]), 0);
            guarded_free(&m[i]);
        }
        CHECK_INT(close(tcp[1]), 0);
        CHECK_INT(close(ipc[1]), 0);
    }
}

/* --- What is refused, and left as it was --- */

TEST(a_negative_descriptor_gives_EINVAL) {
    for (int i = 0; i != 4; ++i) {
        CHECK_ERR(all[i](-1), -1, EINVAL);
        CHECK_ERR(all[i](INT_MIN), -1, EINVAL);
    }
}

TEST(a_descriptor_that_is_not_open_gives_EBADF) {
    for (int i = 0; i != 4; ++i) {
        CHECK_ERR(all[i](900), -1, EBADF);
        CHECK_ERR(all[i](INT_MAX), -1, EBADF);
    }
}

TEST(a_descriptor_that_is_no_socket_gives_ENOTSOCK) {
    int p[2];
    CHECK_INT(pipe(p), 0);
    for (int i = 0; i != 4; ++i) check_refused(all[i], p[0], ENOTSOCK);
}

TEST(a_datagram_socket_gives_EINVAL) {
    for (int i = 0; i != 4; ++i) check_refused(all[i], socket(i < 2 ? AF_INET : AF_UNIX, SOCK_DGRAM, 0), EINVAL);
}

TEST(a_seqpacket_socket_gives_EINVAL) {
    int fd[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
    check_refused(ipc_fromfd, fd[0], EINVAL);
}

TEST(a_listener_where_a_connection_is_wanted_gives_EINVAL) {
    check_refused(tcp_fromfd, plain_listener(AF_INET), EINVAL);
    check_refused(ipc_fromfd, plain_listener(AF_UNIX), EINVAL);
}

TEST(a_connection_where_a_listener_is_wanted_gives_EINVAL) {
    int tcp[2], ipc[2];
    plain_tcp_pair(tcp);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ipc), 0);
    check_refused(tcp_listener_fromfd, tcp[0], EINVAL);
    check_refused(ipc_listener_fromfd, ipc[0], EINVAL);
}

TEST(a_socket_of_another_family_gives_EINVAL) {
    int tcp[2], ipc[2];
    plain_tcp_pair(tcp);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ipc), 0);
    check_refused(ipc_fromfd, tcp[0], EINVAL);
    check_refused(tcp_fromfd, ipc[0], EINVAL);
    check_refused(ipc_listener_fromfd, plain_listener(AF_INET), EINVAL);
    check_refused(tcp_listener_fromfd, plain_listener(AF_UNIX), EINVAL);
}

TEST(NULL_storage_gives_EINVAL) {
    int tcp[2], ipc[2];
    plain_tcp_pair(tcp);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ipc), 0);
    check_refused(all_null[0], tcp[0], EINVAL);
    check_refused(all_null[1], plain_listener(AF_INET), EINVAL);
    check_refused(all_null[2], ipc[0], EINVAL);
    check_refused(all_null[3], plain_listener(AF_UNIX), EINVAL);
}

static int taken;
coroutine static void take_over_when_cancelled(fromfd_call call, int fd) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    check_refused(call, fd, ECANCELED);
    taken = 1;
}

TEST(a_refusal_by_cancellation_leaves_the_descriptor_open_and_unchanged) {
    int fd[2], b, before;
    char c;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    CHECK_INT(msleep(now() + 1), 0);
    before = open_descriptors();
    b = go(take_over_when_cancelled(ipc_fromfd, fd[0]));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(taken, 1);
    CHECK_INT(open_descriptors(), before);
    CHECK_INT(write(fd[0], "A", 1), 1);
    CHECK_INT(read(fd[1], &c, 1), 1);
}

TEST(a_refusal_for_lack_of_descriptors_leaves_the_descriptor_open) {
    struct rlimit limit;
    int fd[2], s;
    skip_under_wrapper("the wrapper has descriptors of its own");
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (dup(0) >= 0) continue;
    s = ipc_fromfd(fd[0]);
    CHECK(s >= 0 || errno == EMFILE);
    if (s < 0) CHECK_INT(write(fd[0], "A", 1), 1);
}
