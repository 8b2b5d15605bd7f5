/* Makes pairs of connected sockets of the same kind for closes.c, while others may close what they are made of. */

#ifndef CLOSES_MAKE_H
#define CLOSES_MAKE_H

#include "closes.h"

enum lower { TCP, IPC, USER, TLS, LOWERS };
enum upper {
    BYTES, PREFIX, SUFFIX, TERM, WS, GATHERING, HTTP,
    OPTIONS,   /* a WebSocket after a handshake, with options */
    CONNECTED, /* one from a URL: through a proxy, after a redirect, with TLS */
    SOCKS5,    /* bytes, on which both speak it */
    UDP,
    UPPERS
};

static int is_ws(enum upper upper) {
    return upper == WS || upper == GATHERING || upper == OPTIONS || upper == CONNECTED;
}

/* --- Bytestreams --- */

static int listen_somewhere(struct ipaddr *addr) {
    if (ipaddr_local(addr, "127.0.0.1", 0, 0) < 0) return -1;
    return hold((int)result(tcp_listen(addr, 3)));
}

static void close_held(int h) {
    let_go(h);
    if (h >= 0) hclose(h);
}

static int tcp_pair(int s[2]) {
    struct ipaddr addr;
    int listener = listen_somewhere(&addr);
    if (listener < 0) return -1;
    s[0] = hold((int)result(tcp_connect(&addr, now() + 1000)));
    if (s[0] >= 0) s[1] = hold((int)result(tcp_accept(listener, NULL, now() + 1000)));
    close_held(listener);
    return s[1] < 0 ? -1 : 0;
}

/* The server's part of making a pair, in a coroutine of its own. */
struct serving {
    int s; /* a bytestream or a listener, and afterwards what was made of it */
    int way;
    const char *location; /* where to redirect to */
};

/* Runs it beside the client's part, which is a call that consumes s[0]. */
#define BESIDE(S, WAY, LOCATION, SERVE, CLIENT) \
    do { \
        struct serving serving_ = {(S)[1], (WAY), (LOCATION)}; \
        int bundle_ = hold((int)result(bundle())), rc_ = bundle_; \
        if (rc_ >= 0) rc_ = bundle_go(bundle_, SERVE(&serving_)); \
        if (result(rc_) >= 0) { \
            let_go((S)[0]); \
            (S)[0] = hold((int)result(CLIENT)); \
            bundle_wait(bundle_, now() + 1000); \
        } else { \
            close_held((S)[0]); \
            (S)[0] = -1; \
        } \
        close_held(bundle_); \
        (S)[1] = serving_.s; \
    } while (0)

static int take(struct serving *v) {
    int s = v->s;
    v->s = -1;
    return s;
}

coroutine static void serve_tls(struct serving *v) {
    int s = take(v);
    let_go(s);
    const char *const certs[] = {cert, key, NULL};
    struct tls_server_opts opts = {.size = sizeof(opts), .certs = certs};
    int has_options = any(2) != 0;
    v->s = hold((int)result(has_options ? tls_attach_server_opts(s, &opts, now() + 1000)
                                        : tls_attach_server(s, cert, key, now() + 1000)));
}

static void tls_pair(int s[2]) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost", .ca_file = cert};
    int has_options = any(2) != 0;
    BESIDE(s, 0, NULL, serve_tls, has_options ? tls_attach_client_opts(s[0], &opts, now() + 1000)
                                              : tls_attach_client(s[0], now() + 1000));
}

static int lower_pair(enum lower lower, int s[2]) {
    if (lower == TCP) return tcp_pair(s);
    if (result(ipc_pair(s)) < 0) return -1;
    hold(s[0]);
    hold(s[1]);
    for (int i = 0; lower == USER && i != 2; ++i) {
        int h = user_make(s[i]);
        if (h < 0) return -1;
        s[i] = hold(h);
    }
    if (lower == TLS) tls_pair(s);
    return s[0] < 0 || s[1] < 0 ? -1 : 0;
}

/* --- WebSockets with a handshake --- */

static const char *const protocols[] = {"a", "b", NULL};
static const char *const headers[] = {"X-Name: value", NULL};

static struct ws_opts *any_options(struct ws_opts *opts, struct ws_deflate *deflate) {
    memset(opts, 0, sizeof(*opts));
    memset(deflate, 0, sizeof(*deflate));
    opts->size = sizeof(*opts);
    deflate->size = sizeof(*deflate);
    deflate->flags = (int)any(4);
    if (any(2)) opts->flags |= WS_DEFLATE;
    if (opts->flags && any(2)) opts->deflate = deflate;
    if (any(2)) opts->flags |= WS_KEEP_HEAD;
    if (any(2)) opts->flags |= WS_NOGATHER;
    if (any(2)) opts->subprotocols = protocols;
    if (any(2)) opts->headers = headers;
    if (any(4) == 0) opts->max_message = 1 + any(40000);
    return opts;
}

/* What a server may do with a request. */
enum { ACCEPTED_AT_ONCE, ACCEPTED, REPLIED, WITHOUT_OPTIONS, WAYS };

static int serve_request(int s, int way) {
    struct ws_opts opts;
    struct ws_deflate deflate;
    char text[64];
    int64_t limit = now() + 1000;
    any_options(&opts, &deflate);
    if (way == ACCEPTED_AT_ONCE) return (int)result(ws_attach_server_opts(s, &opts, limit));
    if (way == WITHOUT_OPTIONS)
        return (int)result(ws_attach_server(s, WS_BINARY, text, sizeof(text), text, sizeof(text), limit));
    int r = (int)result(ws_recvrequest(s, limit));
    if (r < 0) return -1;
    result(ws_field(r, ":path", text, sizeof(text)));
    if (way == ACCEPTED) return (int)result(ws_accept(r, &opts, limit));
    s = (int)result(ws_reply(r, 404, headers, text, sizeof(text), limit));
    return s < 0 ? s : serve_request(s, ACCEPTED);
}

coroutine static void serve_ws(struct serving *v) {
    int s = take(v);
    let_go(s);
    v->s = hold(serve_request(s, v->way));
}

static void options_pair(int s[2]) {
    struct ws_opts opts;
    struct ws_deflate deflate;
    any_options(&opts, &deflate);
    int way = (int)any(WAYS);
    BESIDE(s, way, NULL, serve_ws,
           way == WITHOUT_OPTIONS ? ws_attach_client(s[0], WS_BINARY, "/", "localhost", now() + 1000)
                                  : ws_attach_client_opts(s[0], "/", "localhost", &opts, now() + 1000));
}

/* --- WebSockets from a URL --- */

enum { DIRECTLY, REDIRECTED, BY_SOCKS5, BY_CONNECT, BY_TLS, URL_WAYS };

/* Reads the head of a request for a tunnel, and lets it be. */
static int serve_tunnel(int s, int64_t limit) {
    static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";
    int end = 0;
    char c;
    while (end != 4) {
        if (result(brecv(s, &c, 1, limit)) < 0) return -1;
        end = c == "\r\n\r\n"[end] ? end + 1 : c == '\r';
    }
    return (int)result(bsend(s, answer, sizeof(answer) - 1, limit));
}

static int serve_socks5(int s, int64_t limit) {
    struct ipaddr addr;
    char host[256];
    int port;
    if (ipaddr_local(&addr, "127.0.0.1", 1, 0) < 0 || result(socks5_proxy_auth(s, NULL, limit)) < 0) return -1;
    if (result(socks5_proxy_recvcommandbyname(s, host, &port, limit)) < 0) return -1;
    return (int)result(socks5_proxy_sendreply(s, SOCKS5_SUCCESS, &addr, limit));
}

coroutine static void serve_url(struct serving *v) {
    int listener = take(v), rc = 0, s;
    int64_t limit = now() + 1000;
    if (v->way == REDIRECTED) {
        char field[80];
        const char *const list[] = {field, NULL};
        snprintf(field, sizeof(field), "Location: %s", v->location);
        s = (int)result(tcp_accept(listener, NULL, limit));
        int r = s < 0 ? -1 : (int)result(ws_recvrequest(s, limit));
        s = r < 0 ? -1 : (int)result(ws_reply(r, 302, list, NULL, 0, limit));
        if (s < 0) return;
        hclose(s);
    }
    s = (int)result(tcp_accept(listener, NULL, limit));
    if (s >= 0 && v->way == BY_TLS) s = (int)result(tls_attach_server(s, cert, key, limit));
    hold(s);
    if (s >= 0 && v->way == BY_SOCKS5) rc = serve_socks5(s, limit);
    if (s >= 0 && v->way == BY_CONNECT) rc = serve_tunnel(s, limit);
    if (rc < 0) close_held(s);
    if (s < 0 || rc < 0) return;
    let_go(s);
    v->s = hold(serve_request(s, (int)any(WAYS)));
}

static void connected_pair(int s[2]) {
    char url[64], proxy[64];
    struct ipaddr addr;
    struct tls_opts tls = {.size = sizeof(tls), .flags = TLS_NOVERIFY};
    struct ws_opts opts;
    struct ws_deflate deflate;
    int way = (int)any(URL_WAYS), listener = listen_somewhere(&addr);
    if (listener < 0) return;
    any_options(&opts, &deflate)->proxy = "";
    snprintf(url, sizeof(url), "%s://127.0.0.1:%d/", way == BY_TLS ? "wss" : "ws", ipaddr_port(&addr));
    snprintf(proxy, sizeof(proxy), "%s://127.0.0.1:%d", way == BY_SOCKS5 ? "socks5" : "http", ipaddr_port(&addr));
    if (way == BY_SOCKS5 || way == BY_CONNECT) opts.proxy = proxy;
    if (way == BY_TLS) opts.tls = &tls;
    if (way == REDIRECTED) opts.redirects = 1;
    int ends[2] = {-1, listener};
    BESIDE(ends, way, url, serve_url, ws_connect(url, &opts, now() + 1000));
    s[0] = ends[0];
    s[1] = ends[1] == listener ? -1 : ends[1];
    close_held(listener);
}

/* --- Datagrams --- */

/* The second one only hears the first one. */
static int udp_pair(int s[2], struct ipaddr *first) {
    struct ipaddr second;
    if (ipaddr_local(first, "127.0.0.1", 0, 0) < 0 || ipaddr_local(&second, "127.0.0.1", 0, 0) < 0) return -1;
    s[0] = hold((int)result(udp_open(first, NULL)));
    s[1] = hold((int)result(udp_open(&second, first)));
    return 0;
}

/* --- All of them --- */

static int attach(enum upper upper, int s, int end) {
    int h, flags = WS_NOHTTP | (upper == GATHERING ? WS_GATHER : 0);
    if (upper == BYTES || upper == SOCKS5) return s;
    let_go(s);
    switch (upper) {
    case PREFIX: return hold((int)result(prefix_attach(s, 2, 0)));
    case SUFFIX: return hold((int)result(suffix_attach(s, "\r\n", 2)));
    case TERM:
        h = (int)result(prefix_attach(s, 4, 0));
        return h < 0 ? h : hold((int)result(term_attach(h, "end", 3)));
    case HTTP: return hold((int)result(http_attach(s)));
    default:
        return hold((int)result(end ? ws_attach_server(s, flags, NULL, 0, NULL, 0, -1)
                                    : ws_attach_client(s, flags, NULL, NULL, -1)));
    }
}

/* Each of the two is held, or -1. */
static void make(enum lower lower, enum upper upper, int s[2], struct ipaddr *first) {
    s[0] = s[1] = -1;
    if (upper == UDP) udp_pair(s, first);
    else if (upper == CONNECTED) connected_pair(s);
    else if (lower_pair(lower, s) < 0) return;
    else if (upper == OPTIONS) options_pair(s);
    else
        for (int i = 0; i != 2; ++i) s[i] = attach(upper, s[i], i);
}

#endif
