/* A deadline or a cancellation interrupts what sends at every byte of the frame, on every transport. Before the
   first byte nothing has happened; after it the outbound half is broken, and the inbound one is not. */

#include <libdill.h>

#include "sweep.h"
#include "test.h"

static struct wire w;
static char buf[300];
static char data[100000];
static uint8_t seen[200000];
enum { SMALL_BUFFER = 4608 };

static long long by_send(struct interrupted_call *c, int64_t deadline) {
    return ws_send(c->s, WS_TEXT, c->buf, c->len, deadline);
}
static long long by_msend(struct interrupted_call *c, int64_t deadline) { return msend(c->s, c->buf, c->len, deadline); }
static long long by_sendl(struct interrupted_call *c, int64_t deadline) {
    struct iolist last = {(char *)c->buf + 1, c->len - 1, NULL, 0};
    struct iolist first = {c->buf, 1, &last, 0};
    return ws_sendl(c->s, WS_TEXT, &first, &last, deadline);
}
static long long by_done(struct interrupted_call *c, int64_t deadline) {
    return ws_done(c->s, 1000, c->buf, c->len, deadline);
}

typedef long long (*call)(struct interrupted_call *c, int64_t deadline);

static struct interrupted_call sending(call function, size_t len) {
    struct interrupted_call c = {w.ws, data, len, 0, function, 0, 0};
    memset(data, 'd', len);
    return c;
}

/* The frame that the call sends, as the peer is to see it. */
static void expect_frame(call function, size_t len) {
    if (function == by_done) {
        memmove(seen + 2, data, len);
        memcpy(seen, "\x03\xe8", 2);
        wire_expect(&w, FIN | CLOSE, seen, len + 2);
    } else {
        wire_expect(&w, FIN | TEXT, data, len);
    }
}

static size_t frame_size(call function, size_t len) {
    uint8_t header[14];
    if (function == by_done) len += 2;
    return len + frame_header(header, FIN, w.role == CLIENT, len, extended_length(len));
}

static void check_receiving(void) {
    wire_send_text(&w, FIN | TEXT, "hello");
    expect_text(w.ws, "hello");
}

static void sweep_close(void) {
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
}

/* Everything was as before: the call is made again, and its frame goes out once. */
static void check_repeatable(struct interrupted_call *c) {
    CHECK_INT(gate_drain(NULL), 0);
    CHECK_RAW_SILENT(w.fd);
    check_receiving();
    CHECK_RAW_SILENT(w.fd);
    run_call(c, now() + 5000);
    CHECK_INT(c->rc, 0);
    expect_frame(c->call, c->len);
}

/* Nothing goes out any more. */
static void check_broken(size_t passed) {
    CHECK_PASSED(gate_drain(NULL), passed);
    for (int i = 0; i != 2; ++i) CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, now() + 5000), -1, ECONNRESET);
    CHECK_ERR(ws_done(w.ws, 1000, NULL, 0, now() + 5000), -1, ECONNRESET);
    wire_send_text(&w, FIN | PING, "not answered");
    check_receiving();
    CHECK_RAW_SILENT(w.fd);
}

/* Of a stream of the user's that has failed nobody knows what has left. */
static void check_interrupted_send(call function, size_t len, size_t at, enum interruption how, enum transport transport) {
    struct interrupted_call c = sending(function, len);
    size_t size = frame_size(function, len);
    gate_close(at);
    interrupt(how, &c);
    if (at >= size + SEALED || (OVER_TLS && at >= size && c.rc == 0)) {
        CHECK_INT(c.rc, 0);
        gate_open();
        expect_frame(function, len);
        return;
    }
    CHECK_INTERRUPTED(how, &c);
    if (at == 0 && transport != USER) check_repeatable(&c);
    else check_broken(at);
}

static void sweep(call function, size_t len, const size_t *places, size_t count, int kernel_buffer) {
    CHECK_NOTHING_LEAKED({
        EACH_SWEEP(how, transport, role) {
            for (size_t i = 0; i != count; ++i) {
                sweep_open(&w, (enum transport)transport, (enum role)role, kernel_buffer);
                check_interrupted_send(function, len, places[i], (enum interruption)how, (enum transport)transport);
                sweep_close();
            }
        }
    });
}

/* Every byte of a frame with a payload of that length, and one place beyond its end. */
static void sweep_every_byte(call function, size_t len) {
    size_t places[200], count = len + 16 + SEALED;
    for (size_t i = 0; i != count; ++i) places[i] = i;
    sweep(function, len, places, count, SMALL_BUFFER);
}

TEST(ws_send_interrupted_before_its_first_byte_can_be_repeated_and_afterwards_breaks_sending) {
    sweep_every_byte(by_send, 20);
}
TEST(ws_send_with_a_longer_header_too) { sweep_every_byte(by_send, 130); }
TEST(ws_sendl_interrupted_before_its_first_byte_can_be_repeated_and_afterwards_breaks_sending) {
    sweep_every_byte(by_sendl, 20);
}
TEST(msend_interrupted_before_its_first_byte_can_be_repeated_and_afterwards_breaks_sending) {
    sweep_every_byte(by_msend, 20);
}
TEST(ws_done_interrupted_before_its_first_byte_can_be_repeated_and_afterwards_breaks_sending) {
    sweep_every_byte(by_done, 20);
}

TEST(a_large_message_interrupted_before_its_first_byte_can_be_repeated_and_afterwards_breaks_sending) {
    static const size_t places[] = {0,  1,  2,  3,  4,  5,     6,     7,     8,     9,     10,    11,   12,
                                    13, 14, 15, 16, 99, 32767, 32768, 32769, 65535, 65536, 65537, 65550};
    sweep(by_send, sizeof(data), places, sizeof(places) / sizeof(*places), 0);
}

TEST(ws_done_after_one_that_was_interrupted_before_its_first_byte_is_the_first) {
    for (int how = 0; how != INTERRUPTIONS; ++how) EACH_OWN_CONNECTION(transport, role) {
        sweep_open(&w, (enum transport)transport, (enum role)role, SMALL_BUFFER);
        check_interrupted_send(by_done, 3, 0, (enum interruption)how, (enum transport)transport);
        CHECK_ERR(ws_done(w.ws, 1000, NULL, 0, 0), -1, EPIPE);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, 0), -1, EPIPE);
        sweep_close();
    }
}

/* --- Waiting without an interruption --- */

coroutine static void send_all(struct interrupted_call *c) {
    run_call(c, -1);
    CHECK_INT(c->rc, 0);
}

/* The frame's first bytes leave, then others of the gate's, then the rest. */
static void check_delayed(call function, size_t len, size_t at) {
    struct interrupted_call c = sending(function, len);
    size_t size = frame_size(function, len), passed;
    int b = bundle(), fds[2];
    gate_close(at);
    CHECK_INT(bundle_go(b, send_all(&c)), 0);
    passed = gate_drain(seen);
    CHECK_PASSED(passed, at < size ? at : size);
    peer_recv(w.fd, seen + passed, size - passed);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_RAW_SILENT(w.fd);
    /* The pieces put together are the frame. */
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    raw_send(fds[0], seen, size);
    CHECK_INT(dup2(fds[1], w.fd), w.fd);
    CHECK_INT(close(fds[1]), 0);
    expect_frame(function, len);
    CHECK_INT(close(fds[0]), 0);
}

TEST(a_frame_that_has_to_wait_at_any_byte_goes_out_whole) {
    static const call functions[] = {by_send, by_sendl, by_msend, by_done};
    for (size_t i = 0; i != 4; ++i)
        EACH_CONNECTION(transport, role)
            for (size_t at = 0; at != 40; ++at) {
                sweep_open(&w, (enum transport)transport, (enum role)role, SMALL_BUFFER);
                check_delayed(functions[i], 20, at);
                sweep_close();
            }
}

/* --- Pongs and the automatic close frame do not wait --- */

/* On a stream of the user's it has to wait. */
TEST(a_pong_that_cannot_leave_at_once_does_not_hold_up_the_receive_and_leaves_whole_later) {
    EACH_OWN_CONNECTION(transport, role) {
        for (size_t at = 0; at != 12; ++at) {
            size_t size = role == CLIENT ? 10 : 6, passed;
            sweep_open(&w, (enum transport)transport, (enum role)role, SMALL_BUFFER);
            wire_send_text(&w, FIN | PING, "ping");
            wire_send_text(&w, FIN | TEXT, "hello");
            gate_close(at);
            CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), 5);
            CHECK_INT(yield(), 0);
            passed = gate_drain(seen);
            CHECK_PASSED(passed, at < size ? at : size);
            peer_recv(w.fd, seen + passed, size - passed);
            CHECK_INT(seen[0], FIN | PONG);
            CHECK_INT(seen[1], w.role == CLIENT ? 0x84 : 4);
            CHECK_INT(ws_send(w.ws, WS_TEXT, "next", 4, now() + 5000), 0);
            wire_expect_text(&w, FIN | TEXT, "next");
            sweep_close();
        }
    }
}

TEST(a_violation_is_reported_at_once_however_little_of_the_close_frame_can_leave) {
    EACH_CONNECTION(transport, role) {
        for (size_t at = 0; at != 10; ++at) {
            sweep_open(&w, (enum transport)transport, (enum role)role, SMALL_BUFFER);
            raw_send(w.fd, "\xff\xff", 2);
            gate_close(at);
            CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, EPROTO);
            CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, ECONNRESET);
            CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, 0), -1, EPIPE);
            gate_open();
            sweep_close();
        }
    }
}

/* --- Ends --- */

TEST(a_large_message_to_a_peer_that_is_gone_gives_ECONNRESET) {
    EACH_CONNECTION(transport, role) {
        sweep_open(&w, (enum transport)transport, (enum role)role, 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "not read", 8, 0), 0);
        CHECK_INT(close(w.fd), 0);
        if (transport == TCP) wait_until_broken();
        for (int i = 0; i != 2; ++i) CHECK_ERR(ws_send(w.ws, WS_TEXT, data, sizeof(data), now() + 5000), -1, ECONNRESET);
        CHECK_INT(hclose(w.ws), 0);
    }
}

coroutine static void send_interrupted(struct interrupted_call *c) { run_call(c, now() + 30); }

TEST(a_ping_is_not_answered_behind_a_frame_that_was_interrupted) {
    EACH_CONNECTION(transport, role) {
        struct interrupted_call c;
        int b = bundle();
        sweep_open(&w, (enum transport)transport, (enum role)role, SMALL_BUFFER);
        c = sending(by_send, sizeof(data));
        gate_close(100);
        CHECK_INT(bundle_go(b, send_interrupted(&c)), 0);
        wire_send_text(&w, FIN | PING, "ping");
        check_receiving();
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INTERRUPTED(DEADLINE_NOW, &c);
        CHECK_INT(hclose(b), 0);
        CHECK_PASSED(gate_drain(NULL), 100);
        CHECK_RAW_SILENT(w.fd);
        sweep_close();
    }
}
