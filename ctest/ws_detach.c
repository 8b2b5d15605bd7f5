/* ws_detach: the closing handshake, and the stream that remains. */

#include <libdill.h>

#include "stream.h"
#include "test.h"
#include "wire.h"

static struct wire w;
static char buf[200];

/* The stream that came back works, in both directions, for other bytes. */
static void check_stream(int s) {
    CHECK(s >= 0);
    CHECK_INT(bsend(s, "raw", 3, -1), 0);
    raw_recv(w.fd, buf, 3);
    CHECK_MEM(buf, "raw", 3);
    raw_send(w.fd, "war", 3);
    CHECK_INT(brecv(s, buf, 3, now() + 5000), 0);
    CHECK_MEM(buf, "war", 3);
    CHECK_ERR(hclose(w.ws), -1, EBADF);
    CHECK_INT(hclose(s), 0);
}

TEST(ws_detach_sends_a_close_frame_and_waits_for_that_of_the_peer) {
    EACH_ROLE(&w, WS_TEXT) {
        int s;
        wire_send_close(&w, 1000, "");
        s = ws_detach(w.ws, 1001, "bye", 3, now() + 5000);
        CHECK(s >= 0);
        wire_expect(&w, FIN | CLOSE, "\x03\xe9" "bye", 5);
        check_stream(s);
    }
}

TEST(ws_detach_with_status_0_sends_an_empty_close_frame) {
    EACH_ROLE(&w, WS_TEXT) {
        int s;
        wire_send_text(&w, FIN | CLOSE, "");
        s = ws_detach(w.ws, 0, NULL, 0, now() + 5000);
        wire_expect_text(&w, FIN | CLOSE, "");
        check_stream(s);
    }
}

TEST(ws_detach_after_ws_done_sends_no_second_close_frame) {
    EACH_ROLE(&w, WS_TEXT) {
        int s;
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        wire_expect_close(&w, 1000);
        wire_send_close(&w, 1000, "");
        s = ws_detach(w.ws, 1001, "ignored", 7, now() + 5000);
        CHECK_RAW_SILENT(w.fd);
        check_stream(s);
    }
}

TEST(ws_detach_after_the_close_frame_of_the_peer_only_answers) {
    EACH_ROLE(&w, WS_TEXT) {
        int s;
        wire_send_close(&w, 1000, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
        s = ws_detach(w.ws, 1000, NULL, 0, 0);
        wire_expect_close(&w, 1000);
        check_stream(s);
    }
}

TEST(ws_detach_drops_messages_that_still_come) {
    EACH_ROLE(&w, WS_TEXT) {
        static char large[50000];
        int s;
        wire_send_text(&w, FIN | TEXT, "dropped");
        wire_send(&w, BINARY, large, sizeof(large));
        wire_send_text(&w, FIN | PONG, "");
        wire_send_text(&w, FIN | CONTINUATION, "dropped too");
        wire_send_close(&w, 1000, "");
        s = ws_detach(w.ws, 1000, NULL, 0, now() + 5000);
        wire_expect_close(&w, 1000);
        check_stream(s);
    }
}

TEST(bytes_behind_the_close_frame_belong_to_the_stream) {
    EACH_ROLE(&w, WS_TEXT) {
        uint8_t bytes[64];
        size_t n = frame_build(bytes, w.role, FIN | TEXT, "dropped", 7);
        int s;
        n += frame_build(bytes + n, w.role, FIN | CLOSE, "\x03\xe8", 2);
        memcpy(bytes + n, "what follows", 12);
        raw_send(w.fd, bytes, n + 12);
        s = ws_detach(w.ws, 1000, NULL, 0, now() + 5000);
        CHECK(s >= 0);
        CHECK_INT(brecv(s, buf, 12, now() + 5000), 0);
        CHECK_MEM(buf, "what follows", 12);
        wire_expect_close(&w, 1000);
        check_stream(s);
    }
}

TEST(bytes_behind_a_close_frame_that_was_received_before_belong_to_the_stream) {
    EACH_ROLE(&w, WS_TEXT) {
        uint8_t bytes[64];
        size_t n = frame_build(bytes, w.role, FIN | CLOSE, "\x03\xe8", 2);
        int s;
        memcpy(bytes + n, "what follows", 12);
        raw_send(w.fd, bytes, n + 12);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
        s = ws_detach(w.ws, 1000, NULL, 0, now() + 5000);
        CHECK(s >= 0);
        CHECK_INT(brecv(s, buf, 12, now() + 5000), 0);
        CHECK_MEM(buf, "what follows", 12);
        wire_expect_close(&w, 1000);
        check_stream(s);
    }
}

coroutine static void detach_peer(int ws, volatile int *stream) {
    *stream = ws_detach(ws, 1000, NULL, 0, now() + 5000);
}

TEST(both_sides_detach_and_close_the_stream) {
    for (int i = 0; i != 2; ++i) {
        stream_call done = stream_done(i), close = stream_close(i);
        volatile int detached = -2;
        int s[2], ws[2], h;
        make_stream_pair[i](s);
        ws[0] = attach_without_http(s[0], CLIENT, WS_TEXT);
        ws[1] = attach_without_http(s[1], SERVER, WS_TEXT);
        CHECK_INT(ws_send(ws[0], WS_TEXT, "hello", 5, -1), 0);
        expect_text(ws[1], "hello");
        h = go(detach_peer(ws[0], &detached));
        s[1] = ws_detach(ws[1], 1000, NULL, 0, now() + 5000);
        CHECK(s[1] >= 0);
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        s[0] = detached;
        CHECK(s[0] >= 0);
        CHECK_INT(bsend(s[0], "raw", 3, -1), 0);
        CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
        CHECK_INT(done(s[0], -1), 0);
        CHECK_INT(close(s[1], now() + 5000), 0);
        CHECK_INT(close(s[0], now() + 5000), 0);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(a_WebSocket_may_be_attached_again_to_the_stream_that_remains) {
    int s[2], before = -1;
    make_ipc_pair(s);
    for (int i = 0; i != 2000; ++i) {
        int ws[2];
        ws[0] = attach_without_http(s[0], CLIENT, WS_TEXT);
        ws[1] = attach_without_http(s[1], SERVER, WS_TEXT);
        CHECK(ws[1] < 1000);
        CHECK_INT(ws_done(ws[0], 1000, NULL, 0, -1), 0);
        s[1] = ws_detach(ws[1], 1000, NULL, 0, now() + 5000);
        s[0] = ws_detach(ws[0], 1000, NULL, 0, now() + 5000);
        CHECK(s[0] >= 0 && s[1] >= 0);
        CHECK_ERR(ws_send(ws[0], WS_TEXT, "A", 1, -1), -1, EBADF);
        if (i == 0) before = open_descriptors();
    }
    CHECK_INT(open_descriptors(), before);
}

/* --- Failures close everything --- */

static void check_all_closed(void) {
    CHECK_ERR(hclose(w.ws), -1, EBADF);
    CHECK(raw_is_closed(w.fd));
}

TEST(ws_detach_times_out_when_the_peer_does_not_answer_and_closes_everything) {
    EACH_ROLE(&w, WS_TEXT) {
        int64_t deadline = now() + 30;
        CHECK_ERR(ws_detach(w.ws, 1000, NULL, 0, deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        wire_expect_close(&w, 1000);
        check_all_closed();
    }
}

coroutine static void detach_cancelled(int ws) {
    CHECK_ERR(ws_detach(ws, 1000, NULL, 0, -1), -1, ECANCELED);
}

TEST(a_cancelled_ws_detach_closes_everything) {
    EACH_ROLE(&w, WS_TEXT) {
        int h = go(detach_cancelled(w.ws));
        CHECK_INT(hclose(h), 0);
        wire_expect_close(&w, 1000);
        check_all_closed();
    }
}

TEST(a_peer_that_hangs_up_without_close_frame_makes_ws_detach_fail_with_ECONNRESET) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        CHECK_ERR(ws_detach(w.ws, 1000, NULL, 0, now() + 5000), -1, ECONNRESET);
        wire_expect_close(&w, 1000);
        check_all_closed();
    }
}

coroutine static void detach_in_vain(int ws) {
    CHECK_ERR(ws_detach(ws, 1000, NULL, 0, -1), -1, EBADF);
}

TEST(a_WebSocket_that_gets_another_number_during_ws_detach_keeps_its_bytestream) {
    EACH_ROLE(&w, WS_TEXT) {
        int h = go(detach_in_vain(w.ws));
        int other = hown(w.ws);
        CHECK(other >= 0);
        wire_send_close(&w, 1000, "");
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK_INT(hclose(h), 0);
        wire_expect_close(&w, 1000);
        CHECK_INT(hclose(other), 0);
        CHECK_RAW_END(w.fd);
    }
}

TEST(an_object_that_gets_the_number_of_a_WebSocket_during_ws_detach_keeps_it) {
    int h, b, i = 0;
    wire_open(&w, SERVER, WS_TEXT);
    h = go(detach_in_vain(w.ws));
    CHECK(hown(w.ws) >= 0);
    do {
        b = bundle();
    } while (b != w.ws && ++i < 10000);
    CHECK_INT(b, w.ws);
    wire_send_close(&w, 1000, "");
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
}

TEST(wrong_arguments_of_ws_detach_give_EINVAL_and_close_everything) {
    const struct {
        int status;
        const char *reason;
        size_t len;
    } bad[] = {{-1, NULL, 0}, {1, NULL, 0}, {1005, NULL, 0}, {1006, NULL, 0}, {5000, NULL, 0}, {1000, NULL, 3},
               {0, "bye", 3}, {1000, "\xff", 1}, {1000, buf, 124}};
    memset(buf, 'r', sizeof(buf));
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) EACH_ROLE(&w, WS_TEXT) {
            CHECK_ERR(ws_detach(w.ws, bad[i].status, bad[i].reason, bad[i].len, now() + 10000), -1, EINVAL);
            check_all_closed();
        }
}
