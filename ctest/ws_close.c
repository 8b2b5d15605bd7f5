/* ws_done, ws_status, hclose, and the close frame of the peer. */

#include <limits.h>

#include <libdill.h>

#include "dies.h"
#include "test.h"
#include "wire.h"

static struct wire w;
static char buf[200];

/* --- ws_done --- */

TEST(ws_done_sends_code_and_reason_in_one_frame) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 1000, "bye", 3, -1), 0);
        wire_expect(&w, FIN | CLOSE, "\x03\xe8" "bye", 5);
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(ws_done_without_reason_sends_the_code_alone) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 3000, NULL, 0, -1), 0);
        wire_expect(&w, FIN | CLOSE, "\x0b\xb8", 2);
    }
}

TEST(ws_done_with_status_0_sends_an_empty_close_frame) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 0, NULL, 0, -1), 0);
        wire_expect_text(&w, FIN | CLOSE, "");
    }
}

TEST(ws_done_sends_every_code_that_is_allowed) {
    const int codes[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                         1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    for (size_t i = 0; i != sizeof(codes) / sizeof(*codes); ++i) EACH_ROLE(&w, WS_TEXT) {
            CHECK_INT(ws_done(w.ws, codes[i], NULL, 0, -1), 0);
            wire_expect_close(&w, codes[i]);
        }
}

TEST(ws_done_sends_a_reason_of_123_bytes) {
    EACH_ROLE(&w, WS_TEXT) {
        memset(buf, 'r', 123);
        CHECK_INT(ws_done(w.ws, 1000, buf, 123, -1), 0);
        memcpy(buf, "\x03\xe8", 2);
        memset(buf + 2, 'r', 123);
        wire_expect(&w, FIN | CLOSE, buf, 125);
    }
}

/* The call is refused, nothing is sent, and the handle is as it was. */
static void check_done_refused(int status, const void *reason, size_t len) {
    CHECK_ERR(ws_done(w.ws, status, reason, len, -1), -1, EINVAL);
    CHECK_RAW_SILENT(w.fd);
    CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
    wire_expect_text(&w, FIN | TEXT, "A");
}

TEST(ws_done_refuses_codes_that_are_not_allowed_on_the_wire) {
    const int codes[] = {-1, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, 66536, INT_MIN, INT_MAX};
    EACH_ROLE(&w, WS_TEXT)
        for (size_t i = 0; i != sizeof(codes) / sizeof(*codes); ++i) check_done_refused(codes[i], NULL, 0);
}

TEST(ws_done_refuses_a_reason_of_more_than_123_bytes) {
    EACH_ROLE(&w, WS_TEXT) {
        memset(buf, 'r', sizeof(buf));
        check_done_refused(1000, buf, 124);
        check_done_refused(1000, buf, sizeof(buf));
    }
}

TEST(ws_done_refuses_a_reason_that_is_not_UTF_8) {
    EACH_ROLE(&w, WS_TEXT) {
        check_done_refused(1000, "abc\xff", 4);
        check_done_refused(1000, "\xe2\x82", 2);
    }
}

TEST(ws_done_refuses_a_reason_without_code) {
    EACH_ROLE(&w, WS_TEXT) check_done_refused(0, "bye", 3);
}

TEST(ws_done_refuses_NULL_with_a_length) {
    EACH_ROLE(&w, WS_TEXT) {
        check_done_refused(1000, NULL, 3);
        check_done_refused(0, NULL, 1);
    }
}

TEST(a_second_ws_done_gives_EPIPE_and_sends_nothing) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        wire_expect_close(&w, 1000);
        CHECK_ERR(ws_done(w.ws, 1001, NULL, 0, -1), -1, EPIPE);
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(messages_can_be_received_after_ws_done) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        wire_send_text(&w, FIN | TEXT, "still here");
        expect_text(w.ws, "still here");
    }
}

TEST(ws_done_to_a_peer_that_is_gone_gives_ECONNRESET) {
    EACH_ROLE_ON_IPC(&w, WS_TEXT) {
        CHECK_INT(close(w.fd), 0);
        CHECK_ERR(ws_done(w.ws, 1000, NULL, 0, now() + 10000), -1, ECONNRESET);
    }
}

/* --- The close frame of the peer --- */

TEST(the_close_frame_of_the_peer_gives_EPIPE_again_and_again) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "last words");
        wire_send_close(&w, 1000, "bye");
        expect_text(w.ws, "last words");
        for (int i = 0; i != 3; ++i) CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
        CHECK_ERR(mrecv(w.ws, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    }
}

TEST(an_empty_close_frame_gives_EPIPE) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | CLOSE, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    }
}

TEST(a_close_frame_inside_a_fragmented_message_gives_EPIPE) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "abc");
        wire_send_close(&w, 1000, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    }
}

TEST(what_follows_the_close_frame_is_not_received) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_close(&w, 1000, "");
        wire_send_text(&w, FIN | TEXT, "too late");
        for (int i = 0; i != 2; ++i) CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    }
}

TEST(after_the_close_frame_of_the_peer_we_may_still_send_and_answer_with_ws_done) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_close(&w, 1000, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        wire_expect_close(&w, 1000);
    }
}

TEST(the_end_of_the_stream_after_the_close_frame_is_still_EPIPE) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_close(&w, 1000, "");
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        for (int i = 0; i != 2; ++i) CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    }
}

/* --- ws_status --- */

static void receive_close(int code, const char *reason) {
    wire_send_close(&w, code, reason);
    CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
}

TEST(ws_status_before_the_close_frame_gives_EAGAIN) {
    EACH_ROLE(&w, WS_TEXT) {
        int status = -5;
        CHECK_ERR(ws_status(w.ws, &status, buf, sizeof(buf)), -1, EAGAIN);
        CHECK_INT(status, -5);
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        CHECK_ERR(ws_status(w.ws, &status, buf, sizeof(buf)), -1, EAGAIN);
    }
}

TEST(ws_status_gives_code_and_reason_of_the_peer) {
    EACH_ROLE(&w, WS_TEXT) {
        int status = -5;
        receive_close(4321, "so long");
        memset(buf, '.', sizeof(buf));
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(ws_status(w.ws, &status, buf, sizeof(buf)), 7);
            CHECK_INT(status, 4321);
            CHECK_MEM(buf, "so long.", 8);
        }
    }
}

TEST(ws_status_gives_a_reason_of_123_bytes) {
    EACH_ROLE(&w, WS_TEXT) {
        char reason[124];
        memset(reason, 'r', 123);
        reason[123] = 0;
        receive_close(1000, reason);
        CHECK_INT(ws_status(w.ws, NULL, buf, sizeof(buf)), 123);
        CHECK_MEM(buf, reason, 123);
    }
}

TEST(ws_status_gives_code_0_when_the_peer_sent_none) {
    EACH_ROLE(&w, WS_TEXT) {
        int status = -5;
        wire_send_text(&w, FIN | CLOSE, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
        CHECK_INT(ws_status(w.ws, &status, buf, sizeof(buf)), 0);
        CHECK_INT(status, 0);
    }
}

TEST(ws_status_without_buffers_gives_the_length_of_the_reason) {
    EACH_ROLE(&w, WS_TEXT) {
        int status = -5;
        receive_close(1000, "bye");
        CHECK_INT(ws_status(w.ws, NULL, NULL, 0), 3);
        CHECK_INT(ws_status(w.ws, &status, NULL, 0), 3);
        CHECK_INT(status, 1000);
    }
}

TEST(ws_status_refuses_NULL_with_a_length) {
    EACH_ROLE(&w, WS_TEXT) {
        receive_close(1000, "bye");
        CHECK_ERR(ws_status(w.ws, NULL, NULL, 3), -1, EINVAL);
    }
}

TEST(ws_status_with_a_buffer_that_is_too_small_gives_EMSGSIZE) {
    EACH_ROLE(&w, WS_TEXT) {
        receive_close(1000, "bye");
        CHECK_ERR(ws_status(w.ws, NULL, buf, 2), -1, EMSGSIZE);
        CHECK_INT(ws_status(w.ws, NULL, buf, 3), 3);
        CHECK_MEM(buf, "bye", 3);
    }
}

TEST(ws_status_still_works_after_ws_done) {
    EACH_ROLE(&w, WS_TEXT) {
        receive_close(1001, "bye");
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        CHECK_INT(ws_status(w.ws, NULL, buf, sizeof(buf)), 3);
    }
}

TEST(messages_sent_and_received_do_not_disturb_the_status) {
    EACH_ROLE(&w, WS_TEXT) {
        int status;
        receive_close(1011, "oops");
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        CHECK_INT(ws_status(w.ws, &status, buf, sizeof(buf)), 4);
        CHECK_INT(status, 1011);
        CHECK_MEM(buf, "oops", 4);
    }
}

/* --- hclose --- */

TEST(hclose_sends_no_close_frame_and_closes_the_underlying_socket) {
    EACH_ROLE_ON_IPC(&w, WS_TEXT) {
        CHECK_INT(hclose(w.ws), 0);
        CHECK_ERR(hclose(w.ws), -1, EBADF);
        CHECK_RAW_END(w.fd);
    }
}

TEST(hclose_on_TCP_resets_the_connection) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT) {
        CHECK_INT(hclose(w.ws), 0);
        CHECK_ERR(recv(w.fd, buf, 1, 0), -1, ECONNRESET);
    }
}

TEST(hclose_after_ws_done_on_TCP_ends_the_connection_so_that_the_close_frame_arrives) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 1001, "going away", 10, -1), 0);
        CHECK_INT(hclose(w.ws), 0);
        wire_expect_close(&w, 1001);
        CHECK_RAW_END(w.fd);
    }
}

TEST(hclose_after_ws_done_and_the_answer_ends_the_connection) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        receive_close(1000, "");
        CHECK_INT(hclose(w.ws), 0);
        wire_expect_close(&w, 1000);
        CHECK_RAW_END(w.fd);
    }
}

/* Something comes between the last receive and the close. */
static void check_close_frame_arrives(void) {
    wire_send_text(&w, FIN | TEXT, "first");
    CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), 5);
    wire_send_text(&w, FIN | TEXT, "second");
    CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
    CHECK_INT(hclose(w.ws), 0);
    wire_expect_close(&w, 1000);
    CHECK_RAW_END(w.fd);
}

TEST(a_message_that_comes_between_the_last_receive_and_the_close_does_not_cost_the_peer_the_close_frame) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT) check_close_frame_arrives();
}

TEST(nor_does_it_on_a_stream_that_was_detached_and_attached_again) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT) {
        wire_send_close(&w, 1000, "");
        int s = ws_detach(w.ws, 1000, NULL, 0, now() + 5000);
        CHECK(s >= 0);
        wire_expect_close(&w, 1000);
        w.ws = attach_without_http(s, w.role, WS_TEXT);
        check_close_frame_arrives();
    }
}

/* --- Under a waiter --- */

coroutine static void receive_and_fail(int ws) {
    char c;
    CHECK_INT(ws_recv(ws, NULL, &c, 1, now() + 10000), -1);
}

static void close_under_a_receiver(void) {
    int h;
    wire_open(&w, SERVER, WS_TEXT);
    h = go(receive_and_fail(w.ws));
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
}

static void close_under_a_sender(void) {
    static char large[20000000];
    int h;
    wire_open(&w, SERVER, WS_TEXT);
    h = go((void)ws_send(w.ws, WS_BINARY, large, sizeof(large), now() + 10000));
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
}

static void check_error_or_abort(void (*body)(void)) {
    int status = status_of_child(body);
    CHECK(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGABRT);
}

TEST(closing_under_a_receiver_wakes_it_with_an_error_or_aborts) { check_error_or_abort(close_under_a_receiver); }

TEST(closing_under_a_sender_wakes_it_with_an_error_or_aborts) { check_error_or_abort(close_under_a_sender); }
