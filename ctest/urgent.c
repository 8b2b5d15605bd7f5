/* Urgent bytes: the kernel keeps them out of the stream, and cuts what is received in front of them. */

#include <libdillext.h>

#include "pair.h"
#include "test.h"

/* The peer sends, and all of it has come before anybody looks. */
static void send_with_urgent(int fd, const void *before, size_t len, const void *behind, size_t behind_len) {
    CHECK_INT(send(fd, before, len, MSG_NOSIGNAL), len);
    CHECK_INT(send(fd, "!", 1, MSG_NOSIGNAL | MSG_OOB), 1);
    CHECK_INT(send(fd, behind, behind_len, MSG_NOSIGNAL), behind_len);
}

static int64_t in_time(void) { return now() + 5000; }

TEST(what_is_behind_an_urgent_byte_is_received_without_waiting_for_more) {
    int s, fd;
    char buf[8];
    make_tcp_and_raw(&s, &fd);
    for (int i = 0; i != 5; ++i) {
        send_with_urgent(fd, "AAAA", 4, "BBBB", 4);
        wait_until_arrived();
        CHECK_INT(brecv(s, buf, 8, in_time()), 0);
        CHECK_MEM(buf, "AAAABBBB", 8);
    }
    CHECK_INT(hclose(s), 0);
    CHECK_INT(close(fd), 0);
}

coroutine static void receive_lines(int s, int *lines) {
    char buf[10];
    int h = suffix_attach(s, "\n", 1);
    CHECK(h >= 0);
    while (mrecv(h, buf, sizeof(buf), in_time()) == 3) ++*lines;
    CHECK_INT(errno, EPIPE);
    CHECK_INT(hclose(h), 0);
}

TEST(a_receiver_that_waits_is_given_all_that_comes_with_an_urgent_byte) {
    int s, fd, lines = 0, h;
    make_tcp_and_raw(&s, &fd);
    h = go(receive_lines(s, &lines));
    for (int i = 0; i != 5; ++i) {
        send_with_urgent(fd, "abc\nde", 6, "f\n", 2);
        while (lines != 2 * (i + 1)) CHECK_INT(msleep(now() + 1), 0);
    }
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    CHECK_INT(bundle_wait(h, in_time()), 0);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(close(fd), 0);
}

/* A text, cut in its middle; and a ping behind it. */
static void send_text_and_ping(int fd) { send_with_urgent(fd, "\x81\x04" "AA", 4, "BB" "\x89\x01p", 5); }

TEST(a_WebSocket_receives_a_message_with_an_urgent_byte_inside) {
    int s, fd, ws;
    char buf[10];
    make_tcp_and_raw(&s, &fd);
    ws = ws_attach_client(s, WS_TEXT | WS_NOHTTP, NULL, NULL, -1);
    CHECK(ws >= 0);
    for (int i = 0; i != 5; ++i) {
        send_text_and_ping(fd);
        wait_until_arrived();
        CHECK_INT(mrecv(ws, buf, sizeof(buf), in_time()), 4);
        CHECK_MEM(buf, "AABB", 4);
    }
    CHECK_INT(hclose(ws), 0);
    CHECK_INT(close(fd), 0);
}

TEST(pings_behind_an_urgent_byte_are_answered_while_nobody_receives) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT};
    int s, fd, ws;
    char pong[7];
    make_tcp_and_raw(&s, &fd);
    ws = ws_attach_client_opts(s, NULL, NULL, &opts, -1);
    CHECK(ws >= 0);
    for (int i = 0; i != 5; ++i) {
        send_text_and_ping(fd);
        while (recv(fd, pong, sizeof(pong), MSG_DONTWAIT | MSG_PEEK) < 0) CHECK_INT(msleep(now() + 10), 0);
        CHECK_INT(recv(fd, pong, sizeof(pong), MSG_DONTWAIT), 7);
    }
    CHECK_INT(hclose(ws), 0);
    CHECK_INT(close(fd), 0);
}
