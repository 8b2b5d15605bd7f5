/* Pings are answered, pongs are ignored. */

#include <libdill.h>

#include "lower.h"
#include "test.h"
#include "wire.h"

static struct wire w;
static char buf[300];

TEST(a_ping_is_answered_with_a_pong_of_the_same_payload) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | PING, "are you there?");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        wire_expect_text(&w, FIN | PONG, "are you there?");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(an_empty_ping_is_answered_with_an_empty_pong) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | PING, "");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        wire_expect_text(&w, FIN | PONG, "");
    }
}

TEST(a_ping_of_125_bytes_is_answered_in_full) {
    EACH_ROLE(&w, WS_TEXT) {
        memset(buf, 0xFF, 125);
        wire_send(&w, FIN | PING, buf, 125);
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        memset(buf, 0xFF, 125);
        wire_expect(&w, FIN | PONG, buf, 125);
    }
}

TEST(a_ping_is_answered_by_a_receive_that_times_out) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | PING, "p");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 20), -1, ETIMEDOUT);
        wire_expect_text(&w, FIN | PONG, "p");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(a_ping_is_answered_by_mrecv_too) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | PING, "p");
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(mrecv(w.ws, buf, sizeof(buf), now() + 5000), 5);
        wire_expect_text(&w, FIN | PONG, "p");
    }
}

TEST(a_ping_is_answered_by_ws_detach_too) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | PING, "p");
        wire_send_close(&w, 1000, "");
        CHECK(ws_detach(w.ws, 1000, NULL, 0, now() + 5000) >= 0);
        wire_expect_close(&w, 1000);
    }
}

coroutine static void receive_text(int ws, const char *expected) { expect_text(ws, expected); }

TEST(a_ping_is_answered_while_a_receiver_waits) {
    EACH_ROLE(&w, WS_TEXT) {
        int h = go(receive_text(w.ws, "hello"));
        for (int i = 0; i != 3; ++i) {
            char text[2] = {(char)('a' + i), 0};
            wire_send_text(&w, FIN | PING, text);
            CHECK_INT(msleep(now() + 10), 0);
            wire_expect_text(&w, FIN | PONG, text);
        }
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(the_newest_of_many_pings_is_answered) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        char text[8];
        for (int i = 0; i != 50; ++i) {
            snprintf(text, sizeof(text), "%d", i);
            wire_send_text(&w, FIN | PING, text);
        }
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        do {
            wire_recv(&w, &f);
            CHECK_INT(f.first, FIN | PONG);
        } while (strcmp((char *)f.payload, "49") != 0);
        free(f.payload);
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(pongs_that_nobody_asked_for_are_ignored) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | PONG, "unasked");
        wire_send_text(&w, FIN | PONG, "");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(after_our_close_frame_no_pong_is_sent) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        wire_send_text(&w, FIN | PING, "p");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        wire_expect_close(&w, 1000);
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(a_ping_before_a_message_that_does_not_fit_is_answered) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | PING, "p");
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 2, now() + 5000), -1, EMSGSIZE);
        wire_expect_text(&w, FIN | PONG, "p");
    }
}

static int64_t receive(int64_t deadline) { return ws_recv(w.ws, NULL, buf, sizeof(buf), deadline); }

TEST(a_flood_of_pings_keeps_a_receiver_from_neither_its_deadline_nor_the_others) {
    for (int with_deadline = 0; with_deadline != 2; ++with_deadline) EACH_ROLE(&w, WS_TEXT) {
            char ping[16] = "";
            frame_build((uint8_t *)ping, w.role, FIN | PING, "p", 1);
            pid_t flood = write_for_ever(w.fd, ping);
            if (with_deadline) CHECK_ERR(receive(now() + 100), -1, ETIMEDOUT);
            else check_others_run(receive);
            CHECK_INT(kill(flood, SIGKILL), 0);
            CHECK_INT(waitpid(flood, NULL, 0), flood);
        }
}

/* --- While a sender is in the middle of a frame --- */

enum { LARGE = 20000000 };
static char large[LARGE];

coroutine static void send_large(int ws, volatile int *done) {
    CHECK_INT(ws_send(ws, WS_BINARY, large, LARGE, -1), 0);
    *done = 1;
}

coroutine static void send_small(int ws, volatile int *done) {
    CHECK_INT(ws_send(ws, WS_BINARY, "small", 5, -1), 0);
    *done = 1;
}

coroutine static void receive_until_cancelled(int ws) {
    char c;
    CHECK_ERR(ws_recv(ws, NULL, &c, 1, -1), -1, ECANCELED);
}

/* Reads frames from our handle without blocking the thread; returns the first byte of the next one. */
static int next_frame(int peer, enum role role, char *payload, size_t max) {
    uint8_t head[14];
    size_t len;
    CHECK_INT(brecv(peer, head, 2, now() + 5000), 0);
    len = head[1] & 0x7f;
    if (len == 127) {
        CHECK_INT(brecv(peer, head + 2, 8, now() + 5000), 0);
        len = 0;
        for (int i = 2; i != 10; ++i) len = len << 8 | head[i];
    }
    if (role == CLIENT) CHECK_INT(brecv(peer, head + 10, 4, now() + 5000), 0);
    CHECK_INT(brecv(peer, len <= max ? payload : NULL, len, now() + 10000), 0);
    for (size_t i = 0; role == CLIENT && i != len && len <= max; ++i) payload[i] ^= (char)head[10 + i % 4];
    payload[len <= max ? len : 0] = 0;
    return head[0];
}

TEST(a_pong_goes_out_right_after_the_frame_that_is_being_sent) {
    EACH_ROLE(&w, WS_BINARY) {
        volatile int done[2] = {0, 0};
        int senders = bundle(), receiver, peer;
        CHECK_INT(bundle_go(senders, send_large(w.ws, &done[0])), 0);
        CHECK_INT(done[0], 0);
        wire_send_text(&w, FIN | PING, "old");
        wire_send_text(&w, FIN | PING, "p");
        receiver = go(receive_until_cancelled(w.ws));
        CHECK_INT(msleep(now() + 20), 0);
        CHECK_INT(bundle_go(senders, send_small(w.ws, &done[1])), 0);
        peer = wire_adopt(w.fd);
        CHECK_INT(next_frame(peer, w.role, buf, 200), FIN | BINARY);
        do CHECK_INT(next_frame(peer, w.role, buf, 200), FIN | PONG);
        while (strcmp(buf, "p") != 0);
        CHECK_INT(next_frame(peer, w.role, buf, 200), FIN | BINARY);
        CHECK_STR(buf, "small");
        CHECK_INT(bundle_wait(senders, now() + 5000), 0);
        CHECK_INT(hclose(receiver) + hclose(senders), 0);
    }
}
