/* What happens inside calls on WebSockets when something is closed. */

#include "closed_inside.h"

static void as_ws_server(struct scene *c) {
    c->h = ws_attach_server(c->lower[0], WS_NOHTTP, NULL, 0, NULL, 0, -1);
    c->peer = ws_attach_client(c->lower[1], WS_NOHTTP, NULL, NULL, -1);
}
static void as_ws_client(struct scene *c) {
    c->h = ws_attach_client(c->lower[0], WS_NOHTTP, NULL, NULL, -1);
    c->peer = ws_attach_server(c->lower[1], WS_NOHTTP, NULL, 0, NULL, 0, -1);
}
static void as_gathering(struct scene *c) {
    c->h = ws_attach_server(c->lower[0], WS_NOHTTP | WS_GATHER, NULL, 0, NULL, 0, -1);
    c->peer = ws_attach_client(c->lower[1], WS_NOHTTP, NULL, NULL, -1);
}

static int do_gather(struct scene *c) {
    for (int rc;;)
        if ((rc = ws_send(c->h, WS_BINARY | WS_GATHER, block, 5000, -1)) < 0) return rc;
}
static int do_ws_detach(struct scene *c) { return ws_detach(c->h, 1000, "", 0, -1); }
static int do_ws_close(struct scene *c) { return ws_close(c->h, 1000, "", 0, -1); }
static int do_ws_recvrequest(struct scene *c) { return ws_recvrequest(c->lower[0], -1); }
static int do_ws_opts_server(struct scene *c) {
    struct ws_opts opts = {.size = sizeof(opts)};
    return ws_attach_server_opts(c->lower[0], &opts, -1);
}
static int do_ws_opts_client(struct scene *c) {
    struct ws_opts opts = {.size = sizeof(opts)};
    return ws_attach_client_opts(c->lower[0], "/", "h", &opts, -1);
}
static int do_ws_ping(struct scene *c) {
    for (int rc;;)
        if ((rc = ws_ping(c->h, block, 125, -1)) < 0) return rc;
}

/* A request, whose number is dead as soon as it is being answered. */
static void as_request(struct scene *c) {
    c->peer = c->lower[1];
    CHECK_INT(bsend(c->peer, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27, -1), 0);
    CHECK((c->h = ws_recvrequest(c->lower[0], -1)) >= 0);
}
static int do_ws_reply(struct scene *c) { return ws_reply(c->h, 200, NULL, block, sizeof(block), -1); }

static void ws_end(struct scene *c) { CHECK_INT(ws_done(c->peer, 1000, "", 0, -1), 0); }
static int do_ws_server(struct scene *c) { return ws_attach_server(c->lower[0], 0, NULL, 0, NULL, 0, -1); }
static int do_ws_client(struct scene *c) { return ws_attach_client(c->lower[0], 0, "/", "h", -1); }

static const struct call ws_calls[] = {
    MESSAGES(as_ws_server),
    MESSAGES(as_ws_client),
};
static const struct call more_ws_calls[] = {
    {"ws_send that gathers", as_gathering, do_gather, drain, 0, 0, 0, 0},
    {"ws_recv that gathers", as_gathering, do_mrecv, message, 1, 0, 0, 0},
    {"ws_detach of a server", as_ws_server, do_ws_detach, ws_end, 1, 1, 0, 0},
    {"ws_detach of a client", as_ws_client, do_ws_detach, ws_end, 1, 1, 0, 0},
    {"ws_close of a server", as_ws_server, do_ws_close, ws_end, 0, 0, 0, 0},
    {"ws_close of a client", as_ws_client, do_ws_close, ws_end, 0, 0, 0, 0},
    {"ws_ping", as_ws_client, do_ws_ping, drain, 0, 0, 0, 0},
    {"ws_detach among messages", as_ws_client, do_ws_detach, message, 0, 1, 0, 0},
};

static const struct call attaching_calls[] = {
    {"ws_attach_server", as_lower, do_ws_server, request, 1, 1, EPROTO, 1},
    {"ws_attach_client", as_lower, do_ws_client, answer, 1, 1, EPROTO, 1},
    {"ws_attach_server_opts", as_lower, do_ws_opts_server, request, 1, 1, EPROTO, 1},
    {"ws_attach_client_opts", as_lower, do_ws_opts_client, answer, 1, 1, EPROTO, 1},
    {"ws_reply", as_request, do_ws_reply, take_some, 0, 1, 0, 1},
    {"ws_recvrequest", as_lower, do_ws_recvrequest, request, 1, 1, EPROTO, 1},
};

/* --- From a URL --- */

/* Somebody who listens, and is silent until the plot wants it otherwise. */
static void as_silent(struct scene *c) { CHECK((c->keep = listen_somewhere(&c->addr)) >= 0); }
static void say(struct scene *c, const char *text) {
    CHECK((c->peer = tcp_accept(c->keep, NULL, -1)) >= 0);
    CHECK_INT(bsend(c->peer, text, strlen(text), -1), 0);
}
static void say_no(struct scene *c) { say(c, "HTTP/1.1 403 No\r\n\r\n"); }
static void say_nonsense(struct scene *c) { say(c, "\1\2\3\4\5\6\7\10"); }
static void send_elsewhere(struct scene *c) {
    char text[100];
    snprintf(text, sizeof(text), "HTTP/1.1 302 There\r\nLocation: ws://127.0.0.1:%d/\r\n\r\n", ipaddr_port(&c->addr));
    say(c, text);
}

static int connect_to_url(const struct scene *c, const char *scheme, const char *proxy) {
    char url[64], through[64] = "";
    struct tls_opts tls = {.size = sizeof(tls), .flags = TLS_NOVERIFY};
    struct ws_opts opts = {.size = sizeof(opts), .redirects = 1, .proxy = through, .tls = &tls};
    if (strcmp(scheme, "ws") == 0) opts.tls = NULL;
    snprintf(url, sizeof(url), "%s://127.0.0.1:%d/", scheme, ipaddr_port(&c->addr));
    if (proxy) snprintf(through, sizeof(through), "%s://127.0.0.1:%d", proxy, ipaddr_port(&c->addr));
    return ws_connect(url, &opts, -1);
}
static int do_ws_connect(struct scene *c) { return connect_to_url(c, "ws", NULL); }
static int do_wss_connect(struct scene *c) { return connect_to_url(c, "wss", NULL); }
static int do_connect_by_socks5(struct scene *c) { return connect_to_url(c, "ws", "socks5"); }
static int do_connect_by_http(struct scene *c) { return connect_to_url(c, "wss", "http"); }

static const struct call url_calls[] = {
    {"ws_connect that gets no connection", as_full_listener, do_ws_connect, NULL, 0, 1, 0, 1},
    {"ws_connect", as_silent, do_ws_connect, say_no, 1, 1, EPROTO, 1},
    {"ws_connect that is redirected", as_silent, do_ws_connect, send_elsewhere, 0, 1, EPROTO, 1},
    {"ws_connect with TLS", as_silent, do_wss_connect, say_nonsense, 1, 1, EPROTO, 1},
    {"ws_connect by SOCKS5", as_silent, do_connect_by_socks5, say_nonsense, 1, 1, EPROTO, 1},
    {"ws_connect by a proxy of HTTP", as_silent, do_connect_by_http, say_no, 1, 1, EPROTO, 1},
};

TEST(WebSockets_from_URLs) { RUN(url_calls); }
OVER_EACH(WebSocket_handshakes, attaching_calls)
OVER_EACH(WebSocket, ws_calls)
OVER_EACH(WebSocket_that_gathers_or_ends, more_ws_calls)
