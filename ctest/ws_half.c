/* A WebSocket on a bytestream of which a direction has ended or is broken: attaching fails. */

#include "tls.h"

static void (*const make[])(int s[2]) = {make_tcp_pair, make_ipc_pair, make_tls_over_tcp, make_tls_over_ipc,
                                         make_tls_over_user};

/* Whatever it is: over TLS, the first two pairs are that as well. */
static int end_ours(int s) {
    return ipc_done(s, soon()) == 0 || tcp_done(s, soon()) == 0 ? 0 : tls_done(s, soon());
}

/* Both ends are closed. */
static void check_refused(int s[2], int error) {
    CHECK_ERR(ws_attach_client(s[0], WS_TEXT | WS_NOHTTP, NULL, NULL, soon()), -1, error);
    CHECK_ERR(hclose(s[0]), -1, EBADF);
    CHECK_INT(hclose(s[1]), 0);
}

#define EACH(S) for (size_t each_ = 0; each_ != 5 && (make[each_](S), 1); ++each_)

TEST(after_a_send_that_has_timed_out_a_WebSocket_is_refused) {
    static char much[1 << 20];
    int s[2];
    EACH(s) {
        int rc;
        do rc = bsend(s[0], much, sizeof(much), now() + 10); while (rc == 0);
        CHECK_INT(errno, ETIMEDOUT);
        check_refused(s, ECONNRESET);
    }
}

TEST(after_a_receive_that_has_timed_out_a_WebSocket_is_refused) {
    int s[2];
    EACH(s) {
        char c;
        CHECK_ERR(brecv(s[0], &c, 1, now()), -1, ETIMEDOUT);
        check_refused(s, ECONNRESET);
    }
}

TEST(behind_our_end_of_the_stream_a_WebSocket_is_refused) {
    int s[2];
    EACH(s) {
        CHECK_INT(end_ours(s[0]), 0);
        check_refused(s, EPIPE);
    }
}

TEST(behind_the_peers_end_of_the_stream_a_WebSocket_is_refused) {
    int s[2];
    EACH(s) {
        char c;
        CHECK_INT(end_ours(s[1]), 0);
        CHECK_ERR(brecv(s[0], &c, 1, soon()), -1, EPIPE);
        check_refused(s, EPIPE);
    }
}
