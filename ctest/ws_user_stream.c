/* WebSockets on a bytestream that the user wrote. */

#include <libdillext.h>
#include <libdillimpl.h>

#include "http.h"
#include "test.h"
#include "usersock.h"
#include "wire.h"

static struct wire w;
static struct user_stream stream;
static char buf[1000];

/* A user's stream between the WebSocket and the plain peer. */
static void open_on_stream(enum role role) {
    int s;
    make_ipc_and_raw(&s, &w.fd);
    w.role = role;
    w.ws = attach_without_http(user_stream_make(&stream, s), role, WS_TEXT);
}

#define EACH_ROLE_ON_STREAM \
    for (int role_ = CLIENT; role_ <= SERVER && (open_on_stream((enum role)role_), 1); ++role_)

TEST(messages_pass) {
    EACH_ROLE_ON_STREAM {
        CHECK_INT(ws_send(w.ws, WS_TEXT, "hello", 5, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "hello");
        wire_send_text(&w, FIN | BINARY, "hello");
        expect_message(w.ws, WS_BINARY, "hello", 5);
    }
}

TEST(large_messages_pass) {
    EACH_ROLE_ON_STREAM {
        static char data[100000];
        for (size_t i = 0; i != sizeof(data); ++i) data[i] = (char)(i * 3);
        CHECK_INT(ws_send(w.ws, WS_BINARY, data, sizeof(data), now() + 5000), 0);
        wire_expect(&w, FIN | BINARY, data, sizeof(data));
        wire_send(&w, FIN | BINARY, data, sizeof(data));
        expect_message(w.ws, WS_BINARY, data, sizeof(data));
    }
}

TEST(fragments_and_pings_pass) {
    EACH_ROLE_ON_STREAM {
        wire_send_text(&w, TEXT, "hel");
        wire_send_text(&w, FIN | PING, "p");
        wire_send_text(&w, FIN | CONTINUATION, "lo");
        expect_text(w.ws, "hello");
        wire_expect_text(&w, FIN | PONG, "p");
    }
}

TEST(every_message_reaches_the_stream_before_ws_send_returns) {
    EACH_ROLE_ON_STREAM {
        uint8_t frames[100];
        size_t n = 0;
        for (int i = 0; i != 3; ++i) n += frame_build(frames + n, w.role, FIN | TEXT, "A", 1);
        raw_send(w.fd, frames, n);
        for (int i = 0; i != 3; ++i) {
            expect_text(w.ws, "A");
            CHECK_INT(ws_send(w.ws, WS_TEXT, "B", 1, -1), 0);
            CHECK_INT(stream.sent.count, i + 1);
        }
    }
}

TEST(ws_close_waits_for_no_answer_to_a_close_frame_that_the_stream_refused) {
    EACH_ROLE_ON_STREAM {
        stream.fail_send = EPIPE;
        CHECK_ERR(ws_close(w.ws, 1000, NULL, 0, now() + 100), -1, EPIPE);
        CHECK_INT(stream.received.count, 0);
        CHECK_INT(stream.closes, 1);
    }
}

TEST(nothing_is_read_beyond_the_close_frame) {
    EACH_ROLE_ON_STREAM {
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
    }
}

TEST(ws_detach_returns_the_stream_of_the_user) {
    EACH_ROLE_ON_STREAM {
        int s, before;
        wire_send_close(&w, 1000, "");
        s = ws_detach(w.ws, 1000, NULL, 0, now() + 5000);
        wire_expect_close(&w, 1000);
        before = stream.sent.count;
        CHECK_INT(bsend(s, "raw", 3, -1), 0);
        CHECK_INT(stream.sent.count, before + 1);
        raw_recv(w.fd, buf, 3);
        CHECK_MEM(buf, "raw", 3);
        CHECK_INT(stream.closes, 0);
        CHECK_INT(hclose(s), 0);
        CHECK_INT(stream.closes, 1);
    }
}

TEST(hclose_closes_the_stream_once) {
    EACH_ROLE_ON_STREAM {
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(stream.closes, 1);
        CHECK_RAW_END(w.fd);
    }
}

TEST(a_failed_ws_detach_closes_the_stream_once) {
    EACH_ROLE_ON_STREAM {
        CHECK_ERR(ws_detach(w.ws, 1000, NULL, 0, now() + 10), -1, ETIMEDOUT);
        CHECK_INT(stream.closes, 1);
    }
}

TEST(a_failed_handshake_closes_the_stream_once) {
    int s;
    make_ipc_and_raw(&s, &w.fd);
    s = user_stream_make(&stream, s);
    raw_send_text(w.fd, "hello\r\n\r\n");
    CHECK_ERR(ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 10000), -1, EPROTO);
    CHECK_INT(stream.closes, 1);
}

TEST(a_refusal_that_cannot_leave_in_time_gives_ETIMEDOUT) {
    int s;
    make_ipc_and_raw(&s, &w.fd);
    s = user_stream_make(&stream, s);
    stream.fail_send = ETIMEDOUT;
    raw_send_text(w.fd, "hello\r\n\r\n");
    CHECK_ERR(ws_recvrequest(s, now() + 10000), -1, ETIMEDOUT);
    CHECK_INT(stream.closes, 1);
}

TEST(the_deadline_reaches_the_stream) {
    EACH_ROLE_ON_STREAM {
        int64_t deadline = now() + 20;
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, deadline), 0);
        CHECK_INT(stream.sent.deadline, deadline);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
    }
}

TEST(a_send_error_of_the_stream_is_reported_and_breaks_sending) {
    EACH_ROLE_ON_STREAM {
        stream.fail_send = EXDEV;
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, -1), -1, EXDEV);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), -1);
    }
}

TEST(a_receive_error_of_the_stream_is_reported) {
    EACH_ROLE_ON_STREAM {
        stream.fail_receive = EXDEV;
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), -1), -1, EXDEV);
    }
}

TEST(an_end_of_the_stream_without_close_frame_gives_ECONNRESET) {
    EACH_ROLE_ON_STREAM {
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, ECONNRESET);
    }
}

coroutine static void attach_client(int s, volatile int *ws) {
    *ws = ws_attach_client(s, WS_TEXT, "/chat", "example.org", now() + 5000);
}

TEST(the_handshake_works_over_two_streams_of_the_user_and_reads_nothing_beyond_it) {
    struct user_stream other;
    volatile int ws[2] = {-2, -2};
    int s[2], h;
    make_ipc_pair(s);
    s[0] = user_stream_make(&stream, s[0]);
    s[1] = user_stream_make(&other, s[1]);
    h = go(attach_client(s[0], &ws[0]));
    ws[1] = ws_attach_server(s[1], WS_TEXT, buf, 500, buf + 500, 500, now() + 5000);
    CHECK(ws[1] >= 0);
    CHECK_STR(buf, "/chat");
    CHECK_STR(buf + 500, "example.org");
    CHECK_INT(msend(ws[1], "first", 5, -1), 0);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK(ws[0] >= 0);
    expect_text(ws[0], "first");
    CHECK_INT(ws_send(ws[0], WS_BINARY, "second", 6, -1), 0);
    expect_message(ws[1], WS_BINARY, "second", 6);
    CHECK_INT(hclose(h), 0);
}
