/* A deadline or a cancellation interrupts a receive at every byte of a conversation, on every transport and by
   every call that receives. Nothing is lost. */

#include <libdill.h>

#include "sweep.h"
#include "test.h"

static struct wire w;
static char buf[300];

/* --- The conversation --- */

static uint8_t bytes[1000];
static size_t ends[16]; /* where its frames end */
static char medium[140];

static struct {
    int flags;
    const char *text;
} const messages[] = {{WS_TEXT, "caf\xc3\xa9"}, {WS_TEXT, "abcdef"}, {WS_TEXT, medium}, {WS_TEXT, ""}};
enum { MESSAGES = 4 };

static size_t add(size_t n, enum role receiver, int first, const char *payload) {
    return n + frame_build(bytes + n, receiver, first, payload, strlen(payload));
}

static size_t build(enum role receiver) {
    size_t n = 0;
    memset(medium, 'm', sizeof(medium) - 1);
    n = add(n, receiver, FIN | TEXT, messages[0].text);
    n = add(n, receiver, FIN | PING, "ping");
    n = add(n, receiver, TEXT, "abc");
    n = add(n, receiver, FIN | PONG, "");
    n = add(n, receiver, CONTINUATION, "");
    n = add(n, receiver, FIN | CONTINUATION, "def");
    /* The length in eight bytes: longer than need be, which is tolerated. */
    ends[0] = frame_header(bytes + n, FIN | TEXT, receiver == SERVER, strlen(medium), 8);
    for (size_t i = 0; i != strlen(medium); ++i)
        bytes[n + ends[0] + i] = (uint8_t)(medium[i] ^ (receiver == SERVER ? wire_key[i % 4] : 0));
    n += ends[0] + strlen(medium);
    n = add(n, receiver, FIN | TEXT, "");
    return add(n, receiver, FIN | CLOSE, "\x0f\xa0" "bye");
}

/* --- The calls --- */

static long long by_recv(struct interrupted_call *c, int64_t deadline) {
    return ws_recv(c->s, &c->flags, c->buf, c->len, deadline);
}

static long long by_mrecv(struct interrupted_call *c, int64_t deadline) { return mrecv(c->s, c->buf, c->len, deadline); }

/* Three elements, the middle one empty. */
static void make_list(struct iolist list[3], const struct interrupted_call *c) {
    struct iolist made[3] = {{c->buf, 4, &list[1], 0}, {NULL, 0, &list[2], 0}, {(char *)c->buf + 4, c->len - 4, NULL, 0}};
    memcpy(list, made, sizeof(made));
}

static long long by_recvl(struct interrupted_call *c, int64_t deadline) {
    struct iolist list[3];
    make_list(list, c);
    return ws_recvl(c->s, &c->flags, &list[0], &list[2], deadline);
}

static long long by_mrecvl(struct interrupted_call *c, int64_t deadline) {
    struct iolist list[3];
    make_list(list, c);
    return mrecvl(c->s, &list[0], &list[2], deadline);
}

static struct interrupted_call receive(long long (*call)(struct interrupted_call *, int64_t)) {
    struct interrupted_call c = {w.ws, buf, sizeof(buf), WS_TEXT, call, 0, 0};
    memset(buf, '?', sizeof(buf));
    return c;
}

static void check_message(const struct interrupted_call *c, size_t number) {
    CHECK(number < MESSAGES);
    CHECK_INT(c->rc, strlen(messages[number].text));
    CHECK_INT(c->flags, messages[number].flags);
    CHECK_MEM(buf, messages[number].text, (size_t)c->rc);
}

/* --- The sweeps --- */

/* The peer sends a part, what can be received is received until the interruption, the peer sends the rest. */
static void check_split(size_t at, size_t n, enum interruption how, long long (*call)(struct interrupted_call *, int64_t)) {
    size_t count = 0;
    struct interrupted_call c;
    raw_send(w.fd, bytes, at);
    for (c = receive(call); interrupt(how, &c) >= 0; c = receive(call)) check_message(&c, count++);
    if (at == n && c.err == EPIPE) CHECK_INT(count, MESSAGES);
    else CHECK_INTERRUPTED(how, &c);
    raw_send(w.fd, bytes + at, n - at);
    for (; count != MESSAGES; ++count) {
        c = receive(call);
        run_call(&c, now() + 5000);
        check_message(&c, count);
    }
    CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    CHECK_INT(ws_status(w.ws, &c.flags, buf, sizeof(buf)), 3);
    CHECK_INT(c.flags, 4000);
    wire_expect_text(&w, FIN | PONG, "ping");
    CHECK_INT(ws_send(w.ws, WS_TEXT, "still open", 10, 0), 0);
    wire_expect_text(&w, FIN | TEXT, "still open");
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
}

static void check_every_split(long long (*call)(struct interrupted_call *, int64_t)) {
    CHECK_NOTHING_LEAKED({
        EACH_SWEEP(how, transport, role) {
            size_t n = build((enum role)role);
            for (size_t at = 0; at <= n; ++at) {
                sweep_open(&w, (enum transport)transport, (enum role)role, 0);
                check_split(at, n, (enum interruption)how, call);
            }
        }
    });
}

TEST(ws_recv_interrupted_at_any_byte_loses_nothing) { check_every_split(by_recv); }
TEST(ws_recvl_interrupted_at_any_byte_loses_nothing) { check_every_split(by_recvl); }
TEST(mrecv_interrupted_at_any_byte_loses_nothing) { check_every_split(by_mrecv); }
TEST(mrecvl_interrupted_at_any_byte_loses_nothing) { check_every_split(by_mrecvl); }

TEST(a_receive_interrupted_at_every_byte_one_after_the_other_loses_nothing) {
    EACH_SWEEP(how, transport, role) {
        size_t n = build((enum role)role), count = 0;
        struct interrupted_call c;
        sweep_open(&w, (enum transport)transport, (enum role)role, 0);
        for (size_t i = 0; i != n; ++i) {
            raw_send(w.fd, &bytes[i], 1);
            c = receive(by_recv);
            if (interrupt((enum interruption)how, &c) >= 0) check_message(&c, count++);
            else if (c.err != EPIPE) CHECK_INTERRUPTED(how, &c);
        }
        while (count != MESSAGES) {
            c = receive(by_recv);
            run_call(&c, now() + 5000);
            check_message(&c, count++);
        }
        wire_expect_text(&w, FIN | PONG, "ping");
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(close(w.fd), 0);
    }
}

/* --- What the next receive finds of a message that was begun --- */

enum { LEN = 10 };
static const char digits[] = "0123456789";

/* A message of 10 bytes comes up to a byte, then the rest of it and another one. */
static size_t split_digits(size_t at, enum interruption how, size_t room) {
    uint8_t frame[32];
    size_t n = frame_build(frame, w.role, FIN | TEXT, digits, LEN);
    struct interrupted_call c = receive(by_recv);
    if (at >= n) return 0;
    c.len = room;
    raw_send(w.fd, frame, at);
    interrupt(how, &c);
    CHECK_INTERRUPTED(how, &c);
    raw_send(w.fd, frame + at, n - at);
    wire_send_text(&w, FIN | TEXT, "next");
    return n;
}

TEST(a_message_whose_receive_was_interrupted_does_not_fit_in_a_smaller_buffer) {
    EACH_SWEEP(how, transport, role) {
        for (size_t at = 0;; ++at)
            for (size_t room = 0; room <= LEN; ++room) {
                sweep_open(&w, (enum transport)transport, (enum role)role, 0);
                if (!split_digits(at, (enum interruption)how, sizeof(buf))) goto next_role;
                memset(buf, '?', sizeof(buf));
                if (room < LEN) {
                    CHECK_ERR(ws_recv(w.ws, NULL, buf, room, now() + 5000), -1, EMSGSIZE);
                } else {
                    CHECK_INT(ws_recv(w.ws, NULL, buf, room, now() + 5000), LEN);
                    CHECK_MEM(buf, digits, LEN);
                }
                CHECK_INT(buf[room], '?');
                expect_text(w.ws, "next");
                CHECK_INT(hclose(w.ws), 0);
                CHECK_INT(close(w.fd), 0);
            }
    next_role:
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(close(w.fd), 0);
    }
}

TEST(a_message_too_long_for_the_buffer_is_skipped_however_often_the_skip_is_interrupted) {
    EACH_SWEEP(how, transport, role) {
        uint8_t frame[64];
        size_t n;
        struct interrupted_call c = receive(by_recv);
        sweep_open(&w, (enum transport)transport, (enum role)role, 0);
        n = frame_build(frame, w.role, TEXT, digits, LEN);
        n += frame_build(frame + n, w.role, FIN | CONTINUATION, digits, LEN);
        c.s = w.ws;
        c.len = 5;
        for (size_t i = 0; i != n; ++i) {
            raw_send(w.fd, frame + i, 1);
            interrupt((enum interruption)how, &c);
            CHECK_INT(c.rc, -1);
            if (c.err == EMSGSIZE) c.len = sizeof(buf);
            else CHECK_INTERRUPTED(how, &c);
        }
        CHECK_INT(c.len, sizeof(buf));
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(close(w.fd), 0);
    }
}

/* A message whose bytes on the wire look like frames. */
static size_t build_disguised(uint8_t *frame, char *payload) {
    size_t n = frame_header(frame, FIN | BINARY, w.role == SERVER, 100, 0), end = n;
    while (end + 9 <= n + 100) end += frame_build(frame + end, w.role, FIN | BINARY, "abc", 3);
    memset(frame + end, 0, n + 100 - end);
    for (size_t i = 0; i != 100; ++i)
        payload[i] = (char)(frame[n + i] ^ (w.role == SERVER ? wire_key[i % 4] : 0));
    return n + 100;
}

TEST(the_rest_of_a_interrupted_message_is_not_taken_for_frames_whatever_it_looks_like) {
    EACH_SWEEP(how, transport, role) {
        size_t n = 1;
        for (size_t at = 0; at != n; ++at)
            for (size_t room = 5; room <= 100; room += 95) {
                uint8_t frame[120];
                char payload[100];
                struct interrupted_call c = receive(by_recv);
                sweep_open(&w, (enum transport)transport, (enum role)role, 0);
                n = build_disguised(frame, payload);
                c.s = w.ws;
                raw_send(w.fd, frame, at);
                interrupt((enum interruption)how, &c);
                CHECK_INTERRUPTED(how, &c);
                if (at > 10 && room < 100) CHECK_ERR(ws_recv(w.ws, NULL, buf, room, now() + 5000), -1, EMSGSIZE);
                raw_send(w.fd, frame + at, n - at);
                wire_send_text(&w, FIN | TEXT, "next");
                if (room == 100) expect_message(w.ws, WS_BINARY, payload, 100);
                else if (at <= 10) CHECK_ERR(ws_recv(w.ws, NULL, buf, room, now() + 5000), -1, EMSGSIZE);
                expect_text(w.ws, "next");
                CHECK_INT(hclose(w.ws), 0);
                CHECK_INT(close(w.fd), 0);
            }
    }
}

TEST(a_message_whose_receive_was_interrupted_may_be_received_into_nothing) {
    EACH_SWEEP(how, transport, role) {
        for (size_t at = 0; at != (role == SERVER ? 16 : 12); ++at) {
            sweep_open(&w, (enum transport)transport, (enum role)role, 0);
            CHECK(split_digits(at, (enum interruption)how, sizeof(buf)));
            CHECK_INT(ws_recv(w.ws, NULL, NULL, LEN, now() + 5000), LEN);
            expect_text(w.ws, "next");
            CHECK_INT(hclose(w.ws), 0);
            CHECK_INT(close(w.fd), 0);
        }
    }
}

/* --- What is received into nothing --- */

static long long into_nothing(struct interrupted_call *c, int64_t deadline) { return ws_recv(c->s, NULL, NULL, LEN, deadline); }

static long long into_no_list(struct interrupted_call *c, int64_t deadline) { return mrecvl(c->s, NULL, NULL, deadline); }

/* The bytes 0 to 2 and 6 to 9, into the beginning of buf. */
static long long into_a_list_with_a_gap(struct interrupted_call *c, int64_t deadline) {
    struct iolist list[3] = {{c->buf, 3, &list[1], 0}, {NULL, 3, &list[2], 0}, {(char *)c->buf + 3, 4, NULL, 0}};
    return ws_recvl(c->s, NULL, &list[0], &list[2], deadline);
}

/* Makes one call up to a byte of a message and the other for the rest, then finds the next message. */
static int check_split_drop(size_t at, enum interruption how, long long (*call)(struct interrupted_call *, int64_t),
                            long long (*again)(struct interrupted_call *, int64_t), long long expected) {
    uint8_t frame[32];
    size_t n = frame_build(frame, w.role, FIN | TEXT, digits, LEN);
    struct interrupted_call c = receive(call);
    raw_send(w.fd, frame, at);
    interrupt(how, &c);
    CHECK_INTERRUPTED(how, &c);
    raw_send(w.fd, frame + at, n - at);
    wire_send_text(&w, FIN | TEXT, "next");
    c = receive(again);
    run_call(&c, now() + 5000);
    CHECK_INT(c.rc, expected);
    if (expected == LEN) expect_text(w.ws, "next");
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
    return at + 1 < n;
}

TEST(a_message_whose_dropping_was_interrupted_is_dropped_by_the_next_call_and_no_other_one) {
    static long long (*const calls[])(struct interrupted_call *, int64_t) = {into_nothing, into_no_list};
    EACH_SWEEP(how, transport, role) {
        for (int i = 0; i != 4; ++i)
            for (size_t at = 0;; ++at) {
                sweep_open(&w, (enum transport)transport, (enum role)role, 0);
                if (!check_split_drop(at, (enum interruption)how, calls[i / 2], calls[i % 2], LEN)) break;
            }
    }
}

TEST(a_list_that_drops_some_bytes_receives_the_others_also_after_an_interruption) {
    EACH_SWEEP(how, transport, role) {
        for (size_t at = 0;; ++at) {
            int more;
            sweep_open(&w, (enum transport)transport, (enum role)role, 0);
            more = check_split_drop(at, (enum interruption)how, into_a_list_with_a_gap, into_a_list_with_a_gap, LEN);
            CHECK_MEM(buf, "0126789", 7);
            if (!more) break;
        }
    }
}

/* A stream of the user's gives all or nothing, so that nothing was dropped. */
TEST(a_receive_that_wants_bytes_that_a_interrupted_one_has_dropped_gets_the_next_message) {
    EACH_SWEEP(how, transport, role) {
        size_t header = role == SERVER ? 6 : 2;
        for (size_t at = 0;; ++at) {
            int dropped = transport != USER && at > header, more;
            sweep_open(&w, (enum transport)transport, (enum role)role, 0);
            more = check_split_drop(at, (enum interruption)how, into_nothing, by_recv, dropped ? 4 : LEN);
            CHECK_MEM(buf, dropped ? "next" : digits, dropped ? 4 : LEN);
            if (!more) break;
        }
    }
}

/* --- Violations and ends --- */

TEST(a_connection_cut_off_at_any_byte_gives_ECONNRESET_also_after_an_interruption) {
    CHECK_NOTHING_LEAKED({
        EACH_SWEEP(how, transport, role) {
            size_t n = build((enum role)role) - 5;
            for (size_t at = 0; at <= n; ++at) {
                struct interrupted_call c;
                sweep_open(&w, (enum transport)transport, (enum role)role, 0);
                raw_send(w.fd, bytes, at);
                for (c = receive(by_recv); interrupt((enum interruption)how, &c) >= 0; c = receive(by_recv)) continue;
                CHECK_INTERRUPTED(how, &c);
                CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
                for (int i = 0; i != 2; ++i) {
                    ssize_t rc;
                    while ((rc = ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000)) >= 0) continue;
                    CHECK_INT(errno, ECONNRESET);
                }
                CHECK_INT(hclose(w.ws), 0);
                CHECK_INT(close(w.fd), 0);
            }
        }
    });
}

TEST(a_text_that_is_not_UTF8_behind_a_good_one_in_the_same_segment_is_found) {
    static const char *const bad[] = {"A\xff", "cut short \xf0\x9f\x98"};
    for (size_t i = 0; i != 2; ++i)
        EACH_CONNECTION(transport, role) {
            size_t n = 0;
            sweep_open(&w, (enum transport)transport, (enum role)role, 0);
            n = add(n, w.role, FIN | TEXT, "good");
            n = add(n, w.role, FIN | BINARY, "\xff");
            n = add(n, w.role, FIN | TEXT, bad[i]);
            raw_send(w.fd, bytes, n);
            expect_text(w.ws, "good");
            expect_message(w.ws, WS_BINARY, "\xff", 1);
            CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
            CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, ECONNRESET);
            wire_expect_close(&w, 1007);
            CHECK_INT(hclose(w.ws), 0);
            CHECK_INT(close(w.fd), 0);
        }
}
