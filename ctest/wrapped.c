/* A handle of the program's that answers every query as the handle inside it does. */

#include <libdillext.h>
#include <libdillimpl.h>

#include "test.h"
#include "wire.h"

struct wrapper {
    struct hvfs hvfs;
    int inner;
};

static void *wrapper_query(struct hvfs *hvfs, const void *type) {
    return hquery(((struct wrapper *)hvfs)->inner, type);
}

static void wrapper_close(struct hvfs *hvfs) { CHECK_INT(hclose(((struct wrapper *)hvfs)->inner), 0); }

static int wrap(struct wrapper *self, int inner) {
    int h;
    self->hvfs.query = wrapper_query;
    self->hvfs.close = wrapper_close;
    self->inner = inner;
    h = hmake(&self->hvfs);
    CHECK(h >= 0);
    return h;
}

TEST(calls_go_through_it) {
    struct wrapper wrapper;
    char buf[8];
    int s[2], w;
    make_ws_pair(s, WS_TEXT);
    w = wrap(&wrapper, s[0]);
    CHECK_INT(ws_send(w, WS_TEXT, "ABC", 3, now() + 5000), 0);
    CHECK_INT(ws_recv(s[1], NULL, buf, sizeof(buf), now() + 5000), 3);
    CHECK_INT(ws_send(s[1], WS_BINARY, "DE", 2, now() + 5000), 0);
    CHECK_INT(ws_recv(w, NULL, buf, sizeof(buf), now() + 5000), 2);
    CHECK_INT(ws_close(w, 1000, "", 0, now() + 10), -1);
    CHECK_ERR(ws_send(s[0], WS_TEXT, "ABC", 3, now() + 5000), -1, EBADF);
    CHECK_INT(hclose(s[1]), 0);
}

TEST(what_is_inside_is_not_given_away) {
    struct wrapper wrapper;
    char buf[8];
    int s[2], w;
    make_ws_pair(s, WS_TEXT);
    w = wrap(&wrapper, s[0]);
    CHECK_ERR(ws_detach(w, 1000, "", 0, now() + 5000), -1, ENOTSUP);
    CHECK_INT(ws_send(w, WS_TEXT, "ABC", 3, now() + 5000), 0);
    CHECK_INT(ws_recv(s[1], NULL, buf, sizeof(buf), now() + 5000), 3);
    CHECK_INT(hclose(w), 0);
    CHECK_INT(hclose(s[1]), 0);
}

TEST(a_layer_inside_is_not_given_away) {
    struct wrapper wrapper;
    char c;
    int s[2], p, w;
    make_ipc_pair(s);
    p = prefix_attach(s[0], 1, 0);
    w = wrap(&wrapper, p);
    CHECK_ERR(prefix_detach(w), -1, ENOTSUP);
    CHECK_INT(msend(w, "A", 1, now() + 5000), 0);
    CHECK_INT(brecv(s[1], &c, 1, now() + 5000), 0);
    CHECK_INT(c, 1);
    CHECK_INT(hclose(w), 0);
    CHECK_ERR(hclose(p), -1, EBADF);
    CHECK_INT(hclose(s[1]), 0);
}

TEST(a_request_inside_is_not_given_away) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct wrapper wrapper;
    int s[2], r, w;
    make_tcp_pair(s);
    CHECK_INT(bsend(s[0], request, strlen(request), now() + 5000), 0);
    r = ws_recvrequest(s[1], now() + 5000);
    w = wrap(&wrapper, r);
    CHECK_ERR(ws_reply(w, 404, NULL, NULL, 0, now() + 5000), -1, ENOTSUP);
    CHECK_ERR(ws_accept(w, NULL, now() + 5000), -1, ENOTSUP);
    s[1] = ws_reply(r, 404, NULL, NULL, 0, now() + 5000);
    CHECK(s[1] >= 0);
    CHECK_ERR(hclose(r), -1, EBADF);
    CHECK_INT(hclose(s[0]), 0);
}
