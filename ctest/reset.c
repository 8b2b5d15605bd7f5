/* Connections that break, and what each direction is told about it. The kernel tells it once, to whoever asks
   first. */

#include <libdillext.h>

#include "tls.h"

static const struct linger at_once = {1, 0};

/* The connection is broken from the peer's side, and here that is known. */
static void reset_by(int fd) {
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    CHECK_INT(close(fd), 0);
}

/* Somebody who sends is told, when the reset has come. */
#define CHECK_SENDER_IS_TOLD(S)                              \
    do {                                                     \
        wait_until_broken();                                 \
        CHECK_ERR(bsend(S, "x", 1, soon()), -1, ECONNRESET); \
    } while (0)

TEST(a_reset_that_a_sender_was_told_is_no_graceful_end_for_a_receiver) {
    int s, fd;
    char buf[2];
    make_tcp_and_raw(&s, &fd);
    raw_send(fd, "ab", 2);
    reset_by(fd);
    CHECK_SENDER_IS_TOLD(s);
    CHECK_RECEIVED(s, "ab");
    CHECK_ERR(brecv(s, buf, 1, soon()), -1, ECONNRESET);
    CHECK_ERR(brecv(s, buf, 1, soon()), -1, ECONNRESET);
    CHECK_INT(hclose(s), 0);
}

TEST(a_graceful_end_stays_one_though_the_connection_breaks_afterwards) {
    int s, fd;
    char buf[2];
    make_tcp_and_raw(&s, &fd);
    raw_send(fd, "ab", 2);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    reset_by(fd);
    CHECK_SENDER_IS_TOLD(s);
    CHECK_RECEIVED(s, "ab");
    CHECK_ERR(brecv(s, buf, 1, soon()), -1, EPIPE);
    CHECK_INT(hclose(s), 0);
}

/* What stands on a bytestream passes the error on. */
static int attach_suffix(int s) { return suffix_attach(s, "\n", 1); }
static int attach_prefix(int s) { return prefix_attach(s, 2, 0); }
static int attach_term(int s) { return term_attach(attach_suffix(s), "", 0); }

TEST(messages_that_were_cut_by_a_reset_are_not_taken_for_all) {
    static int (*const attach[])(int s) = {attach_suffix, attach_prefix, attach_term};
    for (size_t i = 0; i != sizeof(attach) / sizeof(*attach); ++i) {
        int s, fd, h;
        char buf[10];
        make_tcp_and_raw(&s, &fd);
        h = attach[i](s);
        CHECK(h >= 0);
        reset_by(fd);
        wait_until_broken();
        CHECK_ERR(msend(h, "x", 1, soon()), -1, ECONNRESET);
        CHECK_ERR(mrecv(h, buf, sizeof(buf), soon()), -1, ECONNRESET);
        CHECK_INT(hclose(h), 0);
    }
}

/* libdill's calls of TLS take an end without close_notify for a graceful one. A reset is none. */
TEST(a_reset_below_TLS_is_no_end_of_it) {
    int s[2], h[2];
    char buf[2];
    make_tcp_pair(s);
    make_tls_over(s, h);
    CHECK_INT(hclose(h[1]), 0);
    CHECK_SENDER_IS_TOLD(h[0]);
    CHECK_ERR(brecv(h[0], buf, 1, soon()), -1, ECONNRESET);
    CHECK_INT(hclose(h[0]), 0);
}
