/* Several coroutines that send on one handle. */

#include <libdill.h>

#include "test.h"
#include "wire.h"

static struct wire w;

enum { SENDERS = 10, EACH = 20 };

/* A message of a length of its own, filled with the number of its sender. */
static size_t length_of(int sender, int i) { return (size_t)(1 + sender * 7919 + i * 997); }

coroutine static void send_many(int ws, int sender) {
    for (int i = 0; i != EACH; ++i) {
        size_t len = length_of(sender, i);
        char *data = (char *)malloc(len);
        memset(data, 'a' + sender, len);
        CHECK_INT(ws_send(ws, WS_BINARY, data, len, -1), 0);
        free(data);
    }
}

TEST(messages_of_several_senders_go_out_whole) {
    int ws[2], b = bundle(), next[SENDERS] = {0};
    char *in = (char *)malloc(200000);
    make_ws_pair(ws, WS_BINARY);
    for (int i = 0; i != SENDERS; ++i) CHECK_INT(bundle_go(b, send_many(ws[0], i)), 0);
    for (int i = 0; i != SENDERS * EACH; ++i) {
        ssize_t n = ws_recv(ws[1], NULL, in, 200000, now() + 10000);
        int sender;
        CHECK(n > 0);
        sender = in[0] - 'a';
        CHECK(sender >= 0 && sender < SENDERS);
        CHECK_INT(n, length_of(sender, next[sender]));
        for (ssize_t k = 0; k != n; ++k) CHECK_INT(in[k], 'a' + sender);
        ++next[sender];
    }
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    free(in);
}

enum { LARGE = 20000000 };
static char large[LARGE];

coroutine static void send_large(int ws, volatile int *rc) { *rc = ws_send(ws, WS_BINARY, large, LARGE, -1); }

coroutine static void send_text(int ws, const char *text) {
    CHECK_INT(ws_send(ws, WS_TEXT, text, strlen(text), -1), 0);
}

/* Reads all of a large frame and returns a handle for the plain side. */
static int read_large(void) {
    int peer = wire_adopt(w.fd);
    CHECK_INT(brecv(peer, NULL, (w.role == CLIENT ? 14 : 10) + LARGE, now() + 10000), 0);
    return peer;
}

/* The next frame is a short text frame. */
static void expect_short_text(int peer, const char *text) {
    uint8_t head[6], frame[64];
    size_t len = strlen(text);
    CHECK_INT(brecv(peer, head, w.role == CLIENT ? 6 : 2, now() + 5000), 0);
    CHECK_INT(head[0], FIN | TEXT);
    CHECK_INT(head[1] & 0x7f, len);
    CHECK_INT(brecv(peer, frame, len, now() + 5000), 0);
    for (size_t i = 0; w.role == CLIENT && i != len; ++i) frame[i] ^= head[2 + i % 4];
    CHECK_MEM(frame, text, len);
}

TEST(messages_go_out_in_the_order_of_the_calls) {
    EACH_ROLE(&w, WS_TEXT) {
        volatile int rc = -2;
        int b = bundle(), peer;
        CHECK_INT(bundle_go(b, send_large(w.ws, &rc)), 0);
        CHECK_INT(rc, -2);
        CHECK_INT(bundle_go(b, send_text(w.ws, "first")), 0);
        CHECK_INT(bundle_go(b, send_text(w.ws, "second")), 0);
        CHECK_INT(bundle_go(b, send_text(w.ws, "third")), 0);
        peer = read_large();
        expect_short_text(peer, "first");
        expect_short_text(peer, "second");
        expect_short_text(peer, "third");
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(rc, 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_call_that_times_out_while_it_waits_for_its_turn_does_no_harm) {
    EACH_ROLE(&w, WS_TEXT) {
        volatile int rc = -2;
        int b = bundle(), peer;
        int64_t deadline;
        CHECK_INT(bundle_go(b, send_large(w.ws, &rc)), 0);
        deadline = now() + 30;
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "never", 5, deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "never", 5, 0), -1, ETIMEDOUT);
        CHECK_INT(bundle_go(b, send_text(w.ws, "sent")), 0);
        peer = read_large();
        expect_short_text(peer, "sent");
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(rc, 0);
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void send_cancelled(int ws) {
    CHECK_ERR(ws_send(ws, WS_TEXT, "never", 5, -1), -1, ECANCELED);
}

TEST(a_call_that_is_cancelled_while_it_waits_for_its_turn_does_no_harm) {
    EACH_ROLE(&w, WS_TEXT) {
        volatile int rc = -2;
        int b = bundle(), peer, h;
        CHECK_INT(bundle_go(b, send_large(w.ws, &rc)), 0);
        h = go(send_cancelled(w.ws));
        CHECK_INT(bundle_go(b, send_text(w.ws, "sent")), 0);
        CHECK_INT(hclose(h), 0);
        peer = read_large();
        expect_short_text(peer, "sent");
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(rc, 0);
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void send_broken(int ws) {
    CHECK_ERR(ws_send(ws, WS_BINARY, large, LARGE, now() + 30), -1, ETIMEDOUT);
}

coroutine static void send_after_broken(int ws, volatile int *done) {
    CHECK_ERR(ws_send(ws, WS_TEXT, "A", 1, -1), -1, ECONNRESET);
    *done = 1;
}

TEST(calls_that_wait_behind_a_broken_one_get_ECONNRESET) {
    EACH_ROLE(&w, WS_TEXT) {
        volatile int done = 0;
        int b = bundle();
        CHECK_INT(bundle_go(b, send_broken(w.ws)), 0);
        CHECK_INT(bundle_go(b, send_after_broken(w.ws, &done)), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(done, 1);
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void finish(int ws) { CHECK_INT(ws_done(ws, 1000, NULL, 0, -1), 0); }

TEST(ws_done_waits_for_its_turn_too) {
    EACH_ROLE(&w, WS_TEXT) {
        volatile int rc = -2;
        int b = bundle(), peer;
        uint8_t head[8];
        CHECK_INT(bundle_go(b, send_large(w.ws, &rc)), 0);
        CHECK_INT(bundle_go(b, finish(w.ws)), 0);
        peer = read_large();
        CHECK_INT(brecv(peer, head, w.role == CLIENT ? 8 : 4, now() + 5000), 0);
        CHECK_INT(head[0], FIN | CLOSE);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(rc, 0);
        CHECK_INT(hclose(b), 0);
    }
}

/* --- Both directions at once --- */

coroutine static void receive_many(int ws, int count) {
    char in[100];
    for (int i = 0; i != count; ++i) CHECK_INT(ws_recv(ws, NULL, in, sizeof(in), -1), 100);
}

coroutine static void send_hundreds(int ws, int count) {
    char out[100];
    memset(out, 'x', sizeof(out));
    for (int i = 0; i != count; ++i) CHECK_INT(ws_send(ws, WS_BINARY, out, sizeof(out), -1), 0);
}

TEST(twenty_thousand_messages_pass_in_both_directions_at_once) {
    int ws[2], b = bundle();
    make_ws_pair(ws, WS_BINARY);
    for (int i = 0; i != 2; ++i) {
        CHECK_INT(bundle_go(b, receive_many(ws[i], 20000)), 0);
        CHECK_INT(bundle_go(b, send_hundreds(ws[1 - i], 10000)), 0);
        CHECK_INT(bundle_go(b, send_hundreds(ws[1 - i], 10000)), 0);
    }
    CHECK_INT(bundle_wait(b, now() + 15000), 0);
    CHECK_INT(hclose(b), 0);
}
