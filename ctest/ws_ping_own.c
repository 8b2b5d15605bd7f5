/* Pings and pongs that the program sends. */

#include <libdillext.h>

#include "test.h"
#include "wire.h"

TEST(a_ping_and_a_pong_leave_as_they_were_asked_for) {
    struct wire w;
    char longest[125];
    memset(longest, 'x', sizeof(longest));
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_ping(w.ws, "hi", 2, now() + 10000), 0);
        CHECK_INT(ws_pong(w.ws, longest, sizeof(longest), now() + 10000), 0);
        CHECK_INT(ws_ping(w.ws, NULL, 0, now() + 10000), 0);
        wire_expect(&w, FIN | PING, "hi", 2);
        wire_expect(&w, FIN | PONG, longest, sizeof(longest));
        wire_expect(&w, FIN | PING, "", 0);
    }
}

TEST(the_answer_to_a_ping_disturbs_no_message) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_ping(w.ws, "hi", 2, now() + 10000), 0);
        wire_send_text(&w, TEXT, "a");
        wire_send_text(&w, FIN | PONG, "hi");
        wire_send_text(&w, FIN | CONTINUATION, "b");
        expect_text(w.ws, "ab");
    }
}

TEST(a_gathered_message_leaves_before_a_ping) {
    struct wire w;
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_GATHER, "one", 3, now() + 10000), 0);
        CHECK_INT(ws_ping(w.ws, "hi", 2, now() + 10000), 0);
        wire_expect_text(&w, FIN | TEXT, "one");
        wire_expect(&w, FIN | PING, "hi", 2);
    }
}

TEST(what_is_too_long_gives_EINVAL_and_is_not_sent) {
    struct wire w;
    char payload[126] = {0};
    wire_open_tcp(&w, SERVER, WS_TEXT);
    CHECK_ERR(ws_ping(w.ws, payload, sizeof(payload), -1), -1, EINVAL);
    CHECK(strstr(ws_errmsg(), "more than 125 bytes"));
    CHECK_ERR(ws_pong(w.ws, payload, sizeof(payload), -1), -1, EINVAL);
    CHECK_ERR(ws_ping(w.ws, NULL, 1, -1), -1, EINVAL);
    CHECK_RAW_SILENT(w.fd);
}

TEST(nothing_is_sent_after_the_close_frame) {
    struct wire w;
    wire_open_tcp(&w, SERVER, WS_TEXT);
    CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
    CHECK_ERR(ws_ping(w.ws, NULL, 0, -1), -1, EPIPE);
    CHECK_ERR(ws_pong(w.ws, NULL, 0, -1), -1, EPIPE);
}

TEST(what_is_no_WebSocket_is_told_so) {
    int s[2];
    make_ipc_pair(s);
    CHECK_ERR(ws_ping(-1, NULL, 0, -1), -1, EBADF);
    CHECK_ERR(ws_ping(s[0], NULL, 0, -1), -1, ENOTSUP);
    CHECK_ERR(ws_pong(-1, NULL, 0, -1), -1, EBADF);
}
