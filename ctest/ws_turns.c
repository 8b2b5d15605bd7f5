/* Who sends when several want to, and what goes between the frames of others. */

#include <libdillext.h>

#include "test.h"
#include "usersock.h"
#include "wire.h"

static struct wire w;
static char large[2000000];

static int64_t in_time(void) { return now() + 5000; }

/* --- On a stream of the user's that waits at a gate when it is told to --- */

static struct user_stream stream;
static int is_slow, gate[2];

static int send_slowly(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    if (is_slow) {
        is_slow = 0;
        CHECK_INT(chrecv(gate[1], NULL, 0, in_time()), 0);
    }
    return user_stream_bsendl(bvfs, first, last, deadline);
}

static void open_slow(enum role role) {
    int s;
    make_ipc_and_raw(&s, &w.fd);
    s = user_stream_make(&stream, s);
    stream.bvfs.bsendl = send_slowly;
    w.role = role;
    w.ws = attach_without_http(s, role, WS_TEXT);
}

coroutine static void send_ping(void) { CHECK_INT(ws_ping(w.ws, "hi", 2, in_time()), 0); }

TEST(a_close_frame_that_is_too_late_between_two_parts_leaves_the_message_open) {
    for (int role = CLIENT; role <= SERVER; ++role) {
        open_slow((enum role)role);
        CHECK_INT(chmake(gate), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE, "a", 1, in_time()), 0);
        is_slow = 1;
        int h = go(send_ping());
        CHECK_ERR(ws_done(w.ws, 1000, NULL, 0, now() + 10), -1, ETIMEDOUT);
        CHECK_INT(chsend(gate[0], NULL, 0, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "b", 1, in_time()), 0);
        wire_expect_text(&w, TEXT, "a");
        wire_expect_text(&w, FIN | PING, "hi");
        wire_expect_text(&w, FIN | CONTINUATION, "b");
        CHECK_INT(bundle_wait(h, in_time()), 0);
        CHECK_INT(hclose(h), 0);
        CHECK_INT(hclose(w.ws), 0);
    }
}

/* --- On our own streams --- */

coroutine static void send_two_parts(int ws) {
    CHECK_INT(ws_send(ws, WS_BINARY | WS_MORE, large, sizeof(large) - 1, in_time()), 0);
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(ws_send(ws, WS_BINARY, "", 1, in_time()), 0);
}

coroutine static void send_next(int ws) { CHECK_INT(ws_send(ws, WS_TEXT, "next", 4, in_time()), 0); }

TEST(who_waits_behind_a_first_part_waits_for_the_last_one_too) {
    int ws[2];
    make_ws_pair(ws, WS_TEXT);
    for (int i = 0; i != 2; ++i) {
        int b = bundle();
        CHECK_INT(bundle_go(b, send_two_parts(ws[i])), 0);
        CHECK_INT(bundle_go(b, send_next(ws[i])), 0);
        expect_message(ws[!i], WS_BINARY, large, sizeof(large));
        expect_text(ws[!i], "next");
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_pong_for_which_too_much_was_gathered_leaves_with_that) {
    /* The library gathers 128 KiB, for about a millisecond. */
    enum { LEN = 16000, COUNT = 8, LAST = 128 * 1024 - COUNT * (LEN + 4) - 4 - 50, PONG_SIZE = 127 };
    enum { TOTAL = COUNT * (LEN + 4) + 4 + LAST + PONG_SIZE };
    static uint8_t got[TOTAL], frames[300];
    char ping[125] = "", text[4];
    int is_together = 0;
    wire_open_tcp(&w, SERVER, WS_TEXT | WS_GATHER);
    size_t n = frame_build(frames, SERVER, FIN | PING, ping, sizeof(ping));
    n += frame_build(frames + n, SERVER, FIN | TEXT, "a", 1);
    n += frame_build(frames + n, SERVER, FIN | TEXT, "b", 1);
    ATTEMPT_UNTIL(is_together) {
        for (int i = 0; i != COUNT; ++i) CHECK_INT(ws_send(w.ws, WS_BINARY | WS_GATHER, large, LEN, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_BINARY | WS_GATHER, large, LAST, in_time()), 0);
        raw_send(w.fd, frames, n);
        CHECK_INT(ws_recv(w.ws, NULL, text, sizeof(text), in_time()), 1);
        size_t len = 0;
        for (ssize_t k; (k = recv(w.fd, got + len, TOTAL - len, MSG_DONTWAIT)) > 0;) len += (size_t)k;
        is_together = len == TOTAL;
        raw_recv(w.fd, got + len, TOTAL - len);
        CHECK_INT(got[TOTAL - PONG_SIZE], FIN | PONG);
        expect_text(w.ws, "b");
    }
    CHECK(is_together);
}
