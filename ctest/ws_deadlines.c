/* Deadlines and cancellation interrupt at any byte of any frame, and nothing is lost. */

#include <libdill.h>

#include "test.h"
#include "wire.h"

static struct wire w;
static char buf[200];

/* A conversation whose every byte is a place for a deadline to pass. */
static uint8_t bytes[1000];
static char medium[131];
static size_t build_conversation(enum role receiver) {
    size_t n = 0;
    memset(medium, 'm', sizeof(medium) - 1);
    n += frame_build(bytes + n, receiver, FIN | TEXT, "caf\xc3\xa9", 5);
    n += frame_build(bytes + n, receiver, FIN | PING, "ping", 4);
    n += frame_build(bytes + n, receiver, BINARY, "abc", 3);
    n += frame_build(bytes + n, receiver, FIN | PONG, "", 0);
    n += frame_build(bytes + n, receiver, FIN | CONTINUATION, "def", 3);
    n += frame_build(bytes + n, receiver, FIN | BINARY, medium, sizeof(medium) - 1);
    n += frame_build(bytes + n, receiver, FIN | TEXT, "", 0);
    return n;
}

/* The messages in it. */
static const struct {
    int flags;
    const char *text;
} expected[] = {{WS_TEXT, "caf\xc3\xa9"}, {WS_BINARY, "abcdef"}, {WS_BINARY, medium}, {WS_TEXT, ""}};

/* Receives the rest of the conversation. */
static void expect_rest(size_t from) {
    for (size_t i = from; i != 4; ++i)
        expect_message(w.ws, expected[i].flags, expected[i].text, strlen(expected[i].text));
}

/* Receives with a short deadline until it times out; returns the number of messages received. */
static size_t receive_until_timeout(int64_t wait) {
    size_t count = 0;
    for (;;) {
        int flags = -1;
        ssize_t n;
        errno = 0;
        n = ws_recv(w.ws, &flags, buf, sizeof(buf), wait < 0 ? 0 : now() + wait);
        if (n < 0) {
            CHECK_INT(errno, ETIMEDOUT);
            return count;
        }
        CHECK(count < 4);
        CHECK_INT(flags, expected[count].flags);
        CHECK_INT(n, strlen(expected[count].text));
        CHECK_MEM(buf, expected[count].text, (size_t)n);
        ++count;
    }
}

static void check_split(size_t at, size_t n, int64_t wait) {
    size_t count;
    raw_send(w.fd, bytes, at);
    count = receive_until_timeout(wait);
    raw_send(w.fd, bytes + at, n - at);
    expect_rest(count);
    wire_expect_text(&w, FIN | PONG, "ping");
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
}

static void check_every_split(int64_t wait) {
    size_t n = 1;
    for (size_t at = 0; at < n; ++at) EACH_ROLE(&w, WS_TEXT) {
            n = build_conversation(w.role);
            if (at < n) check_split(at, n, wait);
        }
}

TEST(a_receive_with_deadline_0_at_any_byte_loses_nothing) { check_every_split(-1); }

TEST(a_receive_that_times_out_at_any_byte_loses_nothing) { check_every_split(1); }

TEST(a_receive_that_times_out_at_every_byte_loses_nothing) {
    EACH_ROLE(&w, WS_TEXT) {
        size_t n = build_conversation(w.role), count = 0;
        for (size_t i = 0; i != n; ++i) {
            int flags = -1;
            ssize_t size;
            raw_send(w.fd, &bytes[i], 1);
            errno = 0;
            size = ws_recv(w.ws, &flags, buf, sizeof(buf), 0);
            if (size < 0) {
                CHECK_INT(errno, ETIMEDOUT);
                continue;
            }
            CHECK(count < 4);
            CHECK_INT(flags, expected[count].flags);
            CHECK_INT(size, strlen(expected[count].text));
            CHECK_MEM(buf, expected[count].text, (size_t)size);
            ++count;
        }
        CHECK_INT(count, 4);
    }
}

coroutine static void receive_cancelled(int ws) {
    while (ws_recv(ws, NULL, buf, sizeof(buf), -1) >= 0) continue;
    CHECK_INT(errno, ECANCELED);
}

TEST(a_receive_that_is_cancelled_at_any_byte_of_the_first_message_loses_nothing) {
    const size_t first_message[] = {7, 11}; /* from a server, from a client */
    for (size_t at = 0; at != 11; ++at) EACH_ROLE(&w, WS_TEXT) {
            size_t n = build_conversation(w.role);
            int h;
            if (at >= first_message[w.role]) continue;
            raw_send(w.fd, bytes, at);
            h = go(receive_cancelled(w.ws));
            CHECK_INT(hclose(h), 0);
            raw_send(w.fd, bytes + at, n - at);
            expect_rest(0);
        }
}

TEST(a_receive_that_timed_out_may_be_continued_into_another_buffer) {
    EACH_ROLE(&w, WS_TEXT) {
        uint8_t frame[64];
        char other[64];
        size_t n = frame_build(frame, w.role, FIN | TEXT, "one buffer or another", 21);
        raw_send(w.fd, frame, n - 5);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
        memset(buf, '?', sizeof(buf));
        raw_send(w.fd, frame + n - 5, 5);
        CHECK_INT(ws_recv(w.ws, NULL, other, sizeof(other), now() + 5000), 21);
        CHECK_MEM(other, "one buffer or another", 21);
    }
}

TEST(a_receive_that_timed_out_may_be_continued_into_a_smaller_buffer_with_EMSGSIZE) {
    EACH_ROLE(&w, WS_TEXT) {
        uint8_t frame[64];
        size_t n = frame_build(frame, w.role, FIN | TEXT, "0123456789", 10);
        raw_send(w.fd, frame, n - 1);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
        raw_send(w.fd, frame + n - 1, 1);
        wire_send_text(&w, FIN | TEXT, "next");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 5, now() + 5000), -1, EMSGSIZE);
        expect_text(w.ws, "next");
    }
}

TEST(a_receive_that_times_out_once_more_copies_nothing) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "hello");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
        memset(buf, '?', sizeof(buf));
        wire_send_text(&w, CONTINUATION, ", world");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 20, 0), -1, ETIMEDOUT);
        CHECK_INT(buf[0], '?');
        wire_send_text(&w, FIN | CONTINUATION, "!");
        CHECK_INT(ws_recv(w.ws, NULL, buf, 13, now() + 5000), 13);
        CHECK_MEM(buf, "hello, world!?", 14);
    }
}

TEST(a_fragment_that_does_not_fit_behind_a_timeout_gives_EMSGSIZE) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "hello");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
        wire_send_text(&w, CONTINUATION, "");
        wire_send_text(&w, FIN | CONTINUATION, "!");
        wire_send_text(&w, FIN | TEXT, "next");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 5, now() + 5000), -1, EMSGSIZE);
        expect_text(w.ws, "next");
    }
}

TEST(a_receive_that_timed_out_may_be_continued_by_mrecv) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "hel");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
        wire_send_text(&w, FIN | CONTINUATION, "lo");
        CHECK_INT(mrecv(w.ws, buf, sizeof(buf), now() + 5000), 5);
        CHECK_MEM(buf, "hello", 5);
    }
}

TEST(a_skip_that_times_out_goes_on_in_the_next_receive) {
    EACH_ROLE(&w, WS_TEXT) {
        uint8_t frame[64];
        size_t n = frame_build(frame, w.role, FIN | TEXT, "0123456789", 10);
        int rc;
        raw_send(w.fd, frame, n - 2);
        rc = (int)ws_recv(w.ws, NULL, buf, 3, 0);
        CHECK_INT(rc, -1);
        CHECK(errno == EMSGSIZE || errno == ETIMEDOUT);
        if (errno == EMSGSIZE) CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
        raw_send(w.fd, frame + n - 2, 2);
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
    }
}

TEST(a_receive_that_times_out_never_does_so_early) {
    EACH_ROLE(&w, WS_TEXT) {
        int64_t deadline = now() + 50;
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
    }
}

TEST(a_large_message_that_comes_in_pieces_survives_many_timeouts) {
    EACH_ROLE(&w, WS_BINARY) {
        enum { LEN = 100000 };
        static char data[LEN], in[LEN];
        static uint8_t frame[LEN + 14];
        size_t n;
        for (size_t i = 0; i != LEN; ++i) data[i] = (char)(i * 13);
        n = frame_build(frame, w.role, FIN | BINARY, data, LEN);
        for (size_t at = 0; at < n; at += 777) {
            raw_send(w.fd, frame + at, n - at < 777 ? n - at : 777);
            if (n - at > 777) CHECK_ERR(ws_recv(w.ws, NULL, in, LEN, 0), -1, ETIMEDOUT);
        }
        CHECK_INT(ws_recv(w.ws, NULL, in, LEN, now() + 5000), LEN);
        CHECK_MEM(in, data, LEN);
    }
}

/* --- Sending --- */

/* Sends numbered messages until nothing more goes out; returns how many did. Each is small enough to leave
   as a whole or not at all. */
static int send_until_full(void) {
    for (int i = 0;; ++i) {
        char text[100];
        memset(text, '.', sizeof(text));
        text[snprintf(text, sizeof(text), "%d", i)] = '.';
        if (ws_send(w.ws, WS_TEXT, text, sizeof(text), now()) == 0) continue;
        CHECK_INT(errno, ETIMEDOUT);
        return i;
    }
}

static void expect_numbered(int i) {
    struct wire_frame f = {0, 0, {0}, 0, NULL};
    wire_recv(&w, &f);
    CHECK_INT(f.first, FIN | TEXT);
    CHECK_INT(f.len, 100);
    CHECK_INT(atoi((char *)f.payload), i);
    free(f.payload);
}

TEST(a_send_that_timed_out_before_its_first_byte_may_be_repeated) {
    EACH_ROLE_ON_IPC(&w, WS_TEXT) {
        int count = send_until_full();
        CHECK(count > 0);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "again", 5, 0), -1, ETIMEDOUT);
        for (int i = 0; i != count; ++i) expect_numbered(i);
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "again", 5, now() + 5000), 0);
        wire_expect_text(&w, FIN | TEXT, "again");
    }
}

coroutine static void send_cancelled(int ws) {
    CHECK_ERR(ws_send(ws, WS_TEXT, "cancelled", 9, -1), -1, ECANCELED);
}

TEST(a_send_that_was_cancelled_before_its_first_byte_leaves_the_handle_as_it_was) {
    EACH_ROLE_ON_IPC(&w, WS_TEXT) {
        int count = send_until_full(), h;
        h = go(send_cancelled(w.ws));
        CHECK_INT(hclose(h), 0);
        for (int i = 0; i != count; ++i) expect_numbered(i);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "again", 5, now() + 5000), 0);
        wire_expect_text(&w, FIN | TEXT, "again");
    }
}

TEST(a_send_that_timed_out_in_the_middle_of_a_frame_breaks_sending_but_not_receiving) {
    EACH_ROLE(&w, WS_TEXT) {
        static char large[20000000];
        int64_t deadline = now() + 30;
        CHECK_ERR(ws_send(w.ws, WS_BINARY, large, sizeof(large), deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        for (int i = 0; i != 2; ++i) CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, now() + 5000), -1, ECONNRESET);
        CHECK_ERR(msend(w.ws, "A", 1, now() + 5000), -1, ECONNRESET);
        CHECK_ERR(ws_done(w.ws, 1000, NULL, 0, now() + 5000), -1, ECONNRESET);
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
    }
}
