/* ws_close: the closing handshake, and what is below it. */

#include <libdillext.h>

#include "test.h"
#include "wire.h"

struct closer {
    int ws, status;
    const char *reason;
    int64_t deadline;
    int rc, err;
};

coroutine static void close_it(struct closer *c) {
    errno = 0;
    c->rc = ws_close(c->ws, c->status, c->reason, strlen(c->reason), c->deadline);
    c->err = errno;
}

TEST(a_server_answers_the_close_frame_and_ends_the_stream_first) {
    struct wire w;
    wire_open_tcp(&w, SERVER, WS_TEXT);
    wire_send_close(&w, 1001, "away");
    CHECK_INT(ws_close(w.ws, 1000, "bye", 3, now() + 5000), 0);
    CHECK_ERR(hclose(w.ws), -1, EBADF);
    wire_expect(&w, FIN | CLOSE, "\x03\xe8""bye", 5);
    CHECK_RAW_END(w.fd);
}

TEST(messages_before_the_peers_close_frame_are_dropped) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        struct closer c = {w.ws, 1000, "", now() + 5000, -2, 0};
        int b = go(close_it(&c));
        wire_expect(&w, FIN | CLOSE, "\x03\xe8", 2);
        wire_send_text(&w, FIN | TEXT, "late");
        wire_send_close(&w, 1000, "");
        CHECK_INT(close(w.fd), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(c.rc, 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_client_waits_for_the_servers_end_until_the_deadline) {
    struct wire w;
    wire_open_tcp(&w, CLIENT, WS_TEXT);
    wire_send_close(&w, 1000, "");
    /* Only the end is waited for. */
    CHECK_ERR(ws_recv(w.ws, NULL, NULL, 0, now() + 5000), -1, EPIPE);
    int64_t begin = now();
    CHECK_INT(ws_close(w.ws, 1000, NULL, 0, begin + 50), 0);
    CHECK(now() >= begin + 50);
    wire_expect(&w, FIN | CLOSE, "\x03\xe8", 2);
    CHECK_RAW_END(w.fd);
}

TEST(after_ws_done_it_only_waits) {
    struct wire w;
    wire_open_tcp(&w, SERVER, WS_TEXT);
    CHECK_INT(ws_done(w.ws, 1001, NULL, 0, -1), 0);
    wire_send_close(&w, 1001, "");
    CHECK_INT(ws_close(w.ws, 1000, NULL, 0, now() + 5000), 0);
    wire_expect(&w, FIN | CLOSE, "\x03\xe9", 2);
    CHECK_RAW_END(w.fd);
}

TEST(the_close_frame_leaves_though_the_deadline_has_passed) {
    struct wire w;
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        CHECK_ERR(ws_close(w.ws, 1001, "soon", 4, 0), -1, ETIMEDOUT);
        CHECK_ERR(hclose(w.ws), -1, EBADF);
        wire_expect(&w, FIN | CLOSE, "\x03\xe9soon", 6);
    }
}

TEST(the_close_frame_leaves_though_the_coroutine_is_cancelled) {
    struct wire w;
    wire_open_tcp(&w, SERVER, WS_TEXT);
    struct closer c = {w.ws, 1001, "", now() + 5000, -2, 0};
    int b = go(close_it(&c));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(c.rc, -1);
    CHECK_INT(c.err, ECANCELED);
    wire_expect(&w, FIN | CLOSE, "\x03\xe9", 2);
    CHECK_RAW_END(w.fd);
}

struct receiver {
    int ws, count, err;
};

coroutine static void receive_all(struct receiver *r) {
    char buf[64];
    while (ws_recv(r->ws, NULL, buf, sizeof(buf), now() + 5000) >= 0) ++r->count;
    r->err = errno;
}

TEST(a_coroutine_that_is_receiving_goes_on_and_gets_EPIPE) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        struct receiver r = {w.ws, 0, 0};
        struct closer c = {w.ws, 1000, "", now() + 5000, -2, 0};
        int b = bundle();
        CHECK_INT(bundle_go(b, receive_all(&r)), 0);
        CHECK_INT(yield(), 0);
        CHECK_INT(bundle_go(b, close_it(&c)), 0);
        wire_expect(&w, FIN | CLOSE, "\x03\xe8", 2);
        wire_send_text(&w, FIN | TEXT, "one");
        CHECK_INT(msleep(now() + 5), 0);
        wire_send_text(&w, FIN | TEXT, "two");
        CHECK_INT(msleep(now() + 5), 0);
        wire_send_close(&w, 1000, "");
        CHECK_INT(close(w.fd), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(c.rc, 0);
        CHECK_INT(r.err, EPIPE);
        CHECK_INT(r.count, 2);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_coroutine_that_is_receiving_gets_EBADF_if_the_peer_does_not_answer) {
    struct wire w;
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        struct receiver r = {w.ws, 0, 0};
        int b = go(receive_all(&r));
        CHECK_INT(yield(), 0);
        CHECK_ERR(ws_close(w.ws, 1000, NULL, 0, now() + 20), -1, ETIMEDOUT);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(r.err, EBADF);
        CHECK_INT(hclose(b), 0);
        close(w.fd);
    }
}

TEST(wrong_arguments_close_everything_and_send_nothing) {
    struct wire w;
    char c;
    wire_open_tcp(&w, SERVER, WS_TEXT);
    CHECK_ERR(ws_close(w.ws, 1005, NULL, 0, -1), -1, EINVAL);
    CHECK_ERR(hclose(w.ws), -1, EBADF);
    CHECK(recv(w.fd, &c, 1, 0) <= 0);
    wire_open_tcp(&w, SERVER, WS_TEXT);
    CHECK_ERR(ws_close(w.ws, 1000, NULL, 1, -1), -1, EINVAL);
    CHECK_ERR(hclose(w.ws), -1, EBADF);
}

TEST(what_is_no_WebSocket_is_left_alone) {
    int s[2];
    make_ipc_pair(s);
    CHECK_ERR(ws_close(-1, 1000, NULL, 0, -1), -1, EBADF);
    CHECK_ERR(ws_close(s[0], 1000, NULL, 0, -1), -1, ENOTSUP);
    CHECK_INT(hclose(s[0]), 0);
}

TEST(a_peer_that_is_gone_gives_ECONNRESET_and_everything_is_closed) {
    struct wire w;
    int before;
    /* What the library opens for itself is open. */
    wire_open(&w, SERVER, WS_TEXT);
    CHECK_ERR(ws_recv(w.ws, NULL, NULL, 0, now() + 1), -1, ETIMEDOUT);
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
    before = open_descriptors();
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        CHECK_ERR(ws_close(w.ws, 1000, NULL, 0, now() + 5000), -1, ECONNRESET);
        CHECK_ERR(hclose(w.ws), -1, EBADF);
        CHECK_INT(close(w.fd), 0);
    }
    CHECK_INT(open_descriptors(), before);
}
