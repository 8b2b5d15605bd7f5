/* WebSocket with options: what is asked for and looked at in the handshake, and connecting to a URL. */

#include <libdillext.h>

#include "pairs.h"

static const char *const protocols[] = {"chat", "superchat", NULL};
static const char *const headers[] = {"Cookie: a=b", NULL};

static void say_hello(int s) {
    char buf[10];
    if (s < 0) return;
    CALL(ws_subprotocol, s, buf, sizeof(buf));
    if (CALL(ws_send, s, WS_TEXT, "hello", 5, deadline()) == 0) CALL(ws_recv, s, NULL, buf, sizeof(buf), deadline());
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}
static void answer(int s) {
    char buf[10];
    if (s < 0) return;
    if (CALL(ws_recv, s, NULL, buf, sizeof(buf), deadline()) >= 0) CALL(ws_send, s, WS_TEXT, buf, 5, deadline());
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}

static struct ws_opts options(int flags) {
    struct ws_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.size = sizeof(opts);
    opts.flags = WS_TEXT | flags;
    opts.subprotocols = protocols;
    opts.max_message = 1000;
    return opts;
}

static void client(int s) {
    struct ws_opts opts = options(WS_KEEP_HEAD);
    opts.headers = headers;
    say_hello((int)CALL(ws_attach_client_opts, s, "/", "example.com", &opts, deadline()));
}
static void server(int s) {
    struct ws_opts opts = options(0);
    answer((int)CALL(ws_attach_server_opts, s, &opts, deadline()));
}
SCENARIO(ws_with_options) { converse(TCP, client, server); }

/* The request is looked at before it is accepted. */
static void look_and_accept(int s) {
    struct ws_opts opts = options(0);
    char cookie[20];
    int r = (int)CALL(ws_recvrequest, s, deadline());
    if (r < 0) return;
    CALL(ws_field, r, "Cookie", cookie, sizeof(cookie));
    answer((int)CALL(ws_accept, r, &opts, deadline()));
}
SCENARIO(ws_request_that_is_looked_at) { converse(TCP, client, look_and_accept); }

static void ask_in_vain(int s) {
    s = (int)CALL_EXPECTING(EPROTO, ws_attach_client_opts, s, "/", "example.com", NULL, deadline());
    if (s >= 0) CALL(hclose, s);
}
static void reply_not_found(int s) {
    int r = (int)CALL(ws_recvrequest, s, deadline());
    if (r >= 0 && (s = (int)CALL(ws_reply, r, 404, NULL, "no", 2, deadline())) >= 0) CALL(hclose, s);
}
SCENARIO(ws_request_that_is_answered_with_404) { converse(IPC, ask_in_vain, reply_not_found); }

/* --- From a URL --- */

coroutine static void serve_url(int listener) {
    int s = (int)CALL(tcp_accept, listener, NULL, deadline());
    if (s >= 0) server(s);
}

SCENARIO(ws_connect_to_a_URL) {
    struct ipaddr address;
    char url[64];
    if (CALL(ipaddr_local, &address, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    int listener = (int)CALL(tcp_listen, &address, 10);
    if (listener < 0) return;
    snprintf(url, sizeof(url), "ws://localhost:%d/", ipaddr_port(&address));
    int h = go(serve_url(listener));
    if (CALLED(go, h) >= 0) {
        struct ws_opts opts = options(0);
        opts.proxy = "";
        say_hello((int)CALL(ws_connect, url, &opts, deadline()));
        CALL(hclose, h);
    }
    CALL(hclose, listener);
}
