/* With DILL_DISABLE_RAW_NAMES the short names are the program's own. */

#define DILL_DISABLE_RAW_NAMES
#include <libdillext.h>
#include <libdillimpl.h>

#include "test.h"

static int now = 1, yield = 2, bundle = 3, choose = 4, go = 5, coroutine = 6, hclose = 7, fdin = 8;
struct iolist {
    int mine;
};
struct hvfs {
    int mine;
};
enum { CHSEND = 100, WS_TEXT = 200, IPADDR_IPV4 = 300 };
static int ws_send(int a) { return a + 1; }
static int tcp_connect(int a) { return a + 2; }
static int msend(int a) { return a + 3; }

dill_coroutine static void send_one(int ch) {
    int v = 42;
    CHECK_INT(dill_chsend(ch, &v, sizeof(v), -1), 0);
}

TEST(short_names_are_free) {
    struct iolist list = {1};
    struct hvfs vfs = {2};
    CHECK_INT(now + yield + bundle + choose + go + coroutine + hclose + fdin, 36);
    CHECK_INT(list.mine + vfs.mine, 3);
    CHECK_INT(CHSEND + WS_TEXT + IPADDR_IPV4, 600);
    CHECK_INT(ws_send(1) + tcp_connect(1) + msend(1), 9);
}

TEST(long_names_work) {
    int ch[2], v = 0, b;
    CHECK_INT(dill_chmake(ch), 0);
    b = dill_go(send_one(ch[0]));
    CHECK(b >= 0);
    CHECK_INT(dill_chrecv(ch[1], &v, sizeof(v), dill_now() + 5000), 0);
    CHECK_INT(v, 42);
    CHECK_INT(dill_hclose(b), 0);
}

#ifndef WITHOUT_SOCKETS
TEST(both_forms_of_the_WebSocket_calls_work_with_long_names) {
    CHECK_ERR(dill_ws_attach_client(-1, "/", "", DILL_WS_TEXT, -1), -1, EBADF);
    CHECK_ERR(dill_ws_attach_client(-1, DILL_WS_TEXT, "/", "", -1), -1, EBADF);
    CHECK_ERR(dill_ws_detach(-1, -1), -1, EBADF);
    CHECK_ERR(dill_ws_detach(-1, 1000, NULL, 0, -1), -1, EBADF);
}
#endif
