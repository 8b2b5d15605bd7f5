/* With DILL_DISABLE_SOCKETS nothing that belongs to sockets is declared. */

#define DILL_DISABLE_SOCKETS
#include <libdillext.h>
#include <libdillimpl.h>

#include "test.h"

struct dill_iolist {
    int mine;
};
struct dill_bsock_vfs {
    int mine;
};
struct dill_ipaddr {
    int mine;
};
static int dill_bsend(void) { return 1; }
static int dill_msend(void) { return 2; }
static int dill_tcp_connect(void) { return 3; }
static int dill_ws_send(void) { return 4; }
static int dill_tls_done(void) { return 7; }
static int dill_dtls_done(void) { return 8; }
static int dill_bsock_type(void) { return 5; }
static int bsend(void) { return 6; }
static int ws_detach(int a, int b) { return a + b; }

TEST(names_of_sockets_are_free) {
    struct dill_iolist list = {1};
    struct dill_bsock_vfs vfs = {2};
    struct dill_ipaddr addr = {3};
    CHECK_INT(list.mine + vfs.mine + addr.mine, 6);
    CHECK_INT(dill_bsend() + dill_msend() + dill_tcp_connect() + dill_ws_send() + dill_bsock_type(), 15);
    CHECK_INT(dill_tls_done() + dill_dtls_done(), 15);
    CHECK_INT(bsend(), 6);
    CHECK_INT(ws_detach(3, 4), 7);
}

TEST(the_core_works) {
    int ch[2];
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_ERR(chrecv(ch[1], NULL, 0, -1), -1, EPIPE);
    CHECK_INT(msleep(now() + 1), 0);
}
