/* A lack of memory at any place: what comes behind it is understood. */

#include "deflate_pair.h"
#include "failing_malloc.h"
#include "wire.h"

static char text[400], buf[500];

static void expect(int ws, const char *message, size_t len) {
    CHECK_INT(ws_recv(ws, NULL, buf, sizeof(buf), in_time()), len);
    CHECK_MEM(buf, message, len);
}

/* One of the sides broadcasts, and the allocation after so many fails. False: there were not so many. */
static int broadcast_without_memory(int side, int nth) {
    int s[2], ws[2], error = 0;
    make_ipc_pair(s);
    make_pair(s, ws);
    /* The window is not empty. */
    CHECK_INT(ws_send(ws[side], WS_TEXT, text + 100, 50, in_time()), 0);
    expect(ws[!side], text + 100, 50);
    left = nth;
    int taken = ws_broadcast(&ws[side], 1, WS_TEXT, text, sizeof(text), 1000000, &error);
    int has_failed = left < 0;
    left = -1;
    if (taken == 1)
        expect(ws[!side], text, sizeof(text));
    else
        CHECK(taken < 0 || error == ENOMEM);
    CHECK_INT(ws_send(ws[side], WS_TEXT, text + 1, sizeof(text) - 1, in_time()), 0);
    expect(ws[!side], text + 1, sizeof(text) - 1);
    CHECK_INT(hclose(ws[0]), 0);
    CHECK_INT(hclose(ws[1]), 0);
    return has_failed;
}

TEST(what_is_sent_after_a_broadcast_that_lacked_memory_is_understood) {
    how.flags = WS_DEFLATE_CONTEXT | WS_DEFLATE_PEER_CONTEXT;
    for (size_t i = 0; i != sizeof(text); ++i) text[i] = (char)('a' + (i * i / 7 + i / 3) % 26);
    for (int side = 0; side != 2; ++side) {
        int nth = 0;
        while (broadcast_without_memory(side, nth)) ++nth;
        CHECK(nth > 3 || is_wrapped());
    }
}

coroutine static void count_turns(int *turns) {
    for (;; ++*turns)
        if (yield() < 0) return;
}

TEST(a_broadcast_without_memory_to_copy_its_list_reaches_all_in_one_turn) {
    enum { SOCKETS = 50, LISTED = 8000 };
    static int list[LISTED];
    int turns = 0, fds[SOCKETS];
    if (OVER_TLS) SKIP("sealing needs memory");
    for (int i = 0; i != SOCKETS; ++i) {
        int s;
        make_ipc_and_raw(&s, &fds[i]);
        list[i] = attach_without_http(s, SERVER, WS_TEXT);
    }
    for (int i = SOCKETS; i != LISTED; ++i) list[i] = list[i - SOCKETS];
    int b = bundle();
    CHECK_INT(bundle_go(b, count_turns(&turns)), 0);
    int before = turns;
    left = 2; /* the frame and its count */
    all_fail = 1;
    int taken = ws_broadcast(list, LISTED, WS_TEXT, "hi", 2, SIZE_MAX, NULL), has_failed = left == 0;
    left = -1;
    all_fail = 0;
    CHECK_INT(taken, LISTED);
    CHECK(has_failed || is_wrapped());
    CHECK(turns - before <= 1 || is_wrapped());
    CHECK_INT(hclose(b), 0);
    for (int i = 0; i != SOCKETS; ++i) {
        char all[4 * LISTED / SOCKETS];
        raw_recv(fds[i], all, sizeof(all));
        CHECK_RAW_SILENT(fds[i]);
    }
}

TEST(what_is_received_after_a_receive_that_lacked_memory_is_understood) {
    static const char *const messages[] = {"x", text};
    memset(text, 't', sizeof(text) - 1);
    for (int way = 0; way != 4; ++way) {
        int has_failed = 1;
        for (int nth = 0; has_failed; ++nth) {
            struct wire w;
            const char *message = messages[way / 2];
            int has_own_stream = way % 2;
            /* Such a bytestream needs memory, too. */
            realloc_succeeds = has_own_stream;
            if (has_own_stream) wire_open_user(&w, SERVER, WS_TEXT);
            else wire_open_tcp(&w, SERVER, WS_TEXT);
            wire_send_text(&w, FIN | PING, "ping");
            wire_send_text(&w, FIN | TEXT, message);
            left = nth;
            ssize_t len = ws_recv(w.ws, NULL, buf, sizeof(buf), in_time());
            int error = errno;
            has_failed = left < 0;
            left = -1;
            if (len < 0) {
                CHECK_INT(error, ENOMEM);
                len = ws_recv(w.ws, NULL, buf, sizeof(buf), in_time());
            }
            CHECK_INT(len, strlen(message));
            CHECK_MEM(buf, message, strlen(message));
            CHECK_INT(hclose(w.ws), 0);
            CHECK_INT(close(w.fd), 0);
        }
    }
}
