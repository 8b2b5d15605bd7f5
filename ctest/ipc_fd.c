/* ipc_sendfd and ipc_recvfd. */

#include <limits.h>

#include <libdill.h>

#include "pair.h"
#include "test.h"

static int s[2], p[2];

static void make_pair_and_pipe(void) {
    make_ipc_pair(s);
    CHECK_INT(pipe(p), 0);
}

static void check_pipe_end(int reading_end) {
    char c = 0;
    CHECK_INT(write(p[1], "x", 1), 1);
    CHECK_INT(read(reading_end, &c, 1), 1);
    CHECK_INT(c, 'x');
}

TEST(a_descriptor_arrives_and_is_a_new_one) {
    int fd;
    make_pair_and_pipe();
    CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
    fd = ipc_recvfd(s[1], now() + 5000);
    CHECK(fd >= 0);
    CHECK(fd != p[0]);
    check_pipe_end(fd);
    check_pipe_end(p[0]);
}

TEST(a_descriptor_may_be_sent_in_the_middle_of_data) {
    char buf[3];
    int fd;
    make_pair_and_pipe();
    CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
    CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
    CHECK_INT(bsend(s[0], "DEF", 3, -1), 0);
    CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
    CHECK_MEM(buf, "ABC", 3);
    fd = ipc_recvfd(s[1], now() + 5000);
    CHECK(fd >= 0);
    CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
    CHECK_MEM(buf, "DEF", 3);
    check_pipe_end(fd);
}

TEST(a_descriptor_travels_on_the_byte_CC) {
    int fd;
    unsigned char c = 0;
    make_ipc_and_raw(&s[0], &fd);
    CHECK_INT(pipe(p), 0);
    CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
    raw_recv(fd, &c, 1);
    CHECK_INT(c, 0xCC);
    CHECK_RAW_SILENT(fd);
}

coroutine static void send_pipe_later(int h) {
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_INT(ipc_sendfd(h, p[0], -1), 0);
}

TEST(recvfd_waits_for_a_descriptor) {
    int b, fd;
    make_pair_and_pipe();
    b = go(send_pipe_later(s[0]));
    fd = ipc_recvfd(s[1], now() + 5000);
    CHECK(fd >= 0);
    check_pipe_end(fd);
    CHECK_INT(bundle_wait(b, -1), 0);
}

TEST(a_hundred_descriptors_arrive_in_order) {
    make_ipc_pair(s);
    for (int i = 0; i != 100; ++i) {
        CHECK_INT(pipe(p), 0);
        CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
        CHECK_INT(close(p[0]), 0);
        p[0] = ipc_recvfd(s[1], now() + 5000);
        CHECK(p[0] >= 0);
        check_pipe_end(p[0]);
        CHECK_INT(close(p[0]), 0);
        CHECK_INT(close(p[1]), 0);
    }
}

/* --- Arguments --- */

TEST(bad_handles_give_EBADF) {
    CHECK_ERR(ipc_sendfd(-1, 0, -1), -1, EBADF);
    CHECK_ERR(ipc_sendfd(99999, 0, -1), -1, EBADF);
    CHECK_ERR(ipc_recvfd(-1, -1), -1, EBADF);
    CHECK_ERR(ipc_recvfd(INT_MAX, -1), -1, EBADF);
}

TEST(other_kinds_of_handle_give_ENOTSUP) {
    int b = bundle();
    make_tcp_pair(s);
    CHECK_ERR(ipc_sendfd(s[0], 0, -1), -1, ENOTSUP);
    CHECK_ERR(ipc_recvfd(s[0], -1), -1, ENOTSUP);
    CHECK_ERR(ipc_sendfd(b, 0, -1), -1, ENOTSUP);
    CHECK_ERR(ipc_recvfd(b, -1), -1, ENOTSUP);
}

TEST(a_negative_descriptor_gives_EINVAL) {
    make_ipc_pair(s);
    CHECK_ERR(ipc_sendfd(s[0], -1, -1), -1, EINVAL);
    CHECK_ERR(ipc_sendfd(s[0], INT_MIN, -1), -1, EINVAL);
}

TEST(a_descriptor_that_is_not_open_gives_EBADF_and_harms_nothing) {
    char c;
    make_ipc_pair(s);
    CHECK_ERR(ipc_sendfd(s[0], 900, -1), -1, EBADF);
    CHECK_INT(bsend(s[0], "A", 1, -1), 0);
    CHECK_INT(brecv(s[1], &c, 1, now() + 5000), 0);
}

/* --- Failures --- */

TEST(recvfd_times_out_without_harm) {
    int64_t deadline = now() + 20;
    make_pair_and_pipe();
    CHECK_ERR(ipc_recvfd(s[1], deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
    CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
    CHECK(ipc_recvfd(s[1], now() + 5000) >= 0);
}

coroutine static void receive_cancelled(int h) { CHECK_ERR(ipc_recvfd(h, -1), -1, ECANCELED); }

TEST(a_cancelled_recvfd_does_no_harm) {
    int b;
    make_pair_and_pipe();
    b = go(receive_cancelled(s[1]));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
    CHECK(ipc_recvfd(s[1], now() + 5000) >= 0);
}

TEST(the_end_of_the_stream_gives_EPIPE_again_and_again) {
    char c;
    make_ipc_pair(s);
    CHECK_INT(ipc_done(s[0], -1), 0);
    for (int i = 0; i != 2; ++i) CHECK_ERR(ipc_recvfd(s[1], now() + 5000), -1, EPIPE);
    CHECK_ERR(brecv(s[1], &c, 1, -1), -1, EPIPE);
}

TEST(a_byte_without_descriptor_gives_EPROTO_and_then_ECONNRESET) {
    make_ipc_pair(s);
    CHECK_INT(bsend(s[0], "A", 1, -1), 0);
    CHECK_ERR(ipc_recvfd(s[1], now() + 5000), -1, EPROTO);
    CHECK_ERR(ipc_recvfd(s[1], -1), -1, ECONNRESET);
}

TEST(sendfd_after_done_gives_EPIPE) {
    make_pair_and_pipe();
    CHECK_INT(ipc_done(s[0], -1), 0);
    CHECK_ERR(ipc_sendfd(s[0], p[0], -1), -1, EPIPE);
}

TEST(sendfd_to_a_peer_that_is_gone_gives_ECONNRESET_and_no_signal) {
    make_pair_and_pipe();
    CHECK_INT(hclose(s[1]), 0);
    CHECK_ERR(ipc_sendfd(s[0], p[0], now() + 5000), -1, ECONNRESET);
    CHECK_ERR(ipc_sendfd(s[0], p[0], now() + 5000), -1, ECONNRESET);
}

TEST(recvfd_after_a_failed_receive_gives_ECONNRESET_but_sending_works) {
    char c;
    make_pair_and_pipe();
    CHECK_ERR(brecv(s[0], &c, 1, 0), -1, ETIMEDOUT);
    CHECK_ERR(ipc_recvfd(s[0], -1), -1, ECONNRESET);
    CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
}

TEST(sendfd_after_a_failed_send_gives_ECONNRESET) {
    make_pair_and_pipe();
    fill_stream(s[0]);
    CHECK_ERR(ipc_sendfd(s[0], p[0], now() + 20), -1, ECONNRESET);
}

coroutine static void receive_descriptor(int h, volatile int *fd) { *fd = ipc_recvfd(h, -1); }

TEST(a_receive_while_recvfd_waits_gives_EBUSY_and_disturbs_nothing) {
    volatile int fd = -2;
    int b;
    char c;
    make_pair_and_pipe();
    b = go(receive_descriptor(s[1], &fd));
    CHECK_ERR(brecv(s[1], &c, 1, -1), -1, EBUSY);
    CHECK_ERR(ipc_recvfd(s[1], -1), -1, EBUSY);
    CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK(fd >= 0);
    check_pipe_end(fd);
}

coroutine static void receive_byte(int h) {
    char c;
    CHECK_INT(brecv(h, &c, 1, -1), 0);
}

TEST(recvfd_while_a_receive_waits_gives_EBUSY) {
    int b;
    make_pair_and_pipe();
    b = go(receive_byte(s[1]));
    CHECK_ERR(ipc_recvfd(s[1], -1), -1, EBUSY);
    CHECK_INT(bsend(s[0], "A", 1, -1), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
}

/* Sends several descriptors on one byte, as a foreign peer may. */
static void raw_send_three_with(int fd, const int fds[3], char byte) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(3 * sizeof(int))];
    } control;
    struct iovec iov = {&byte, 1};
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    memset(&control, 0, sizeof(control));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof(control);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(&control.header), fds, 3 * sizeof(int));
    CHECK_INT(sendmsg(fd, &msg, 0), 1);
}

TEST(surplus_descriptors_do_not_leak) {
    int raw, before, fd, fds[3];
    make_ipc_and_raw(&s[0], &raw);
    CHECK_INT(pipe(p), 0);
    for (int i = 0; i != 3; ++i) fds[i] = p[0];
    CHECK_ERR(ipc_recvfd(s[0], now() + 5), -1, ETIMEDOUT);
    before = open_descriptors();
    raw_send_three_with(raw, fds, 'x');
    fd = ipc_recvfd(s[0], now() + 5000);
    if (fd >= 0) CHECK_INT(close(fd), 0);
    CHECK_INT(open_descriptors(), before);
}

TEST(a_descriptor_that_was_read_as_data_does_not_leak) {
    int before;
    char c;
    make_pair_and_pipe();
    CHECK_ERR(ipc_recvfd(s[1], now() + 5), -1, ETIMEDOUT);
    before = open_descriptors();
    CHECK_INT(ipc_sendfd(s[0], p[0], -1), 0);
    CHECK_INT(brecv(s[1], &c, 1, now() + 5000), 0);
    CHECK_INT((unsigned char)c, 0xCC);
    CHECK_INT(open_descriptors(), before);
}

/* Each byte of the data comes with descriptors, and behind them a byte without. */
static void send_with_descriptors(int fd, const char *data) {
    static const int carried[3] = {0, 1, 2};
    for (; *data; ++data) {
        if (data[1]) raw_send_three_with(fd, carried, *data);
        else raw_send(fd, data, 1);
    }
}

/* The kernel cuts what is received behind such bytes. */
TEST(data_that_comes_with_descriptors_is_received_without_waiting_for_more) {
    int fd, before;
    char buf[8];
    make_ipc_and_raw(&s[0], &fd);
    for (int i = 0; i != 5; ++i) {
        send_with_descriptors(fd, "abcdefgh");
        CHECK_INT(msleep(now() + 5), 0);
        before = open_descriptors();
        CHECK_INT(brecv(s[0], buf, 8, now() + 5000), 0);
        CHECK_MEM(buf, "abcdefgh", 8);
        CHECK_INT(open_descriptors(), before);
    }
}

TEST(a_WebSocket_message_that_comes_with_descriptors_is_received_without_waiting_for_more) {
    int fd, ws;
    char buf[8];
    make_ipc_and_raw(&s[0], &fd);
    ws = ws_attach_client(s[0], WS_TEXT | WS_NOHTTP, NULL, NULL, -1);
    CHECK(ws >= 0);
    for (int i = 0; i != 5; ++i) {
        send_with_descriptors(fd, "\x81\x06" "abcdef");
        CHECK_INT(msleep(now() + 5), 0);
        CHECK_INT(mrecv(ws, buf, sizeof(buf), now() + 5000), 6);
        CHECK_MEM(buf, "abcdef", 6);
    }
}

/* With this option, what several processes send is not received together. */
TEST(data_of_several_processes_is_received_without_waiting_for_more) {
    int fds[2], on = 1, status;
    char buf[4];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_INT(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
    s[0] = ipc_fromfd(fds[0]);
    CHECK(s[0] >= 0);
    for (int i = 0; i != 3; ++i) {
        raw_send(fds[1], "ab", 2);
        pid_t child = fork();
        if (child == 0) _exit(send(fds[1], "cd", 2, 0) != 2);
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
        CHECK_INT(msleep(now() + 5), 0);
        CHECK_INT(brecv(s[0], buf, 4, now() + 5000), 0);
        CHECK_MEM(buf, "abcd", 4);
    }
}
