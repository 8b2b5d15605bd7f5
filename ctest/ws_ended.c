/* What ws_errmsg says of connections that end too early. */

#include <libdillext.h>

#include "test.h"

static int s[2];
static char c;

/* Makes a pair whose other side sends no more, and checks what a call on it comes to. */
#define CHECK_ENDED(CALL, BEFORE)                                          \
    do {                                                                   \
        CHECK_INT(ipc_pair(s), 0);                                         \
        CHECK_INT(ipc_done(s[1], -1), 0);                                  \
        CHECK_ERR(CALL, -1, ECONNRESET);                                   \
        CHECK_STR(ws_errmsg(), "the connection has ended before " BEFORE); \
        CHECK_INT(hclose(s[1]), 0);                                        \
    } while (0)

static ssize_t attach_and_receive(void) {
    int ws = ws_attach_client(s[0], WS_NOHTTP, NULL, NULL, -1);
    ssize_t len = ws_recv(ws, NULL, &c, 1, -1);
    int err = errno;
    CHECK_INT(hclose(ws), 0);
    errno = err;
    return len;
}

TEST(a_client_is_told_that_the_server_has_ended_the_connection_instead_of_answering) {
    CHECK_ENDED(ws_attach_client(s[0], WS_TEXT, "/", "host", -1), "the head of HTTP was complete");
}

TEST(a_receiver_is_told_that_there_was_no_close_frame) { CHECK_ENDED(attach_and_receive(), "a close frame came"); }
