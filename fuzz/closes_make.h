/* Makes pairs of connected sockets of the same kind for closes.c, while others may close what they are made of. */

#ifndef CLOSES_MAKE_H
#define CLOSES_MAKE_H

#include "closes.h"

enum lower { TCP, IPC, USER, TLS, LOWERS };
enum upper {
    BYTES, PREFIX, SUFFIX, TERM, WS, GATHERING, HTTP,
    OPTIONS,   /* a WebSocket after a handshake, with options */
    CONNECTED, /* one from a URL: directly, through a proxy, after a redirect, with TLS */
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
    s[0] = hold((int)result(tcp_connect(&addr, soon())));
    if (s[0] >= 0) s[1] = hold((int)result(tcp_accept(listener, NULL, soon())));
    close_held(listener);
    return s[1] < 0 ? -1 : 0;
}

/* The server's part of making a pair, in a coroutine of its own. */
struct serving {
    int s; /* a bytestream or a listener, and afterwards what was made of it */
    int way;
    int is_own; /* the bytestream is the library's */
    const char *location; /* where to redirect to */
};

/* Runs it beside the client's part, which is a call that consumes s[0]. */
#define BESIDE(S, WAY, IS_OWN, LOCATION, SERVE, CLIENT) \
    do { \
        struct serving serving_ = {(S)[1], (WAY), (IS_OWN), (LOCATION)}; \
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

static const char *const protocols[] = {"a", "b", NULL};
static const char *const other_protocols[] = {"b", "http/1.1", NULL};

static struct tls_opts *any_tls_options(struct tls_opts *opts) {
    memset(opts, 0, sizeof(*opts));
    opts->size = sizeof(*opts);
    opts->host = any(8) ? "localhost" : "127.0.0.1";
    opts->ca_file = cert;
    if (any(4) == 0) opts->flags = TLS_NOVERIFY;
    if (any(2)) opts->alpn = any(4) ? protocols : other_protocols;
    if (any(2)) opts->cert = cert, opts->key = key;
    if (any(4) == 0) opts->min_version = any(2) ? TLS_1_2 : TLS_1_3;
    return opts;
}

static int serve_tls_options(int s) {
    const char *const certs[] = {cert, key, NULL};
    struct tls_server_opts opts = {.size = sizeof(opts), .certs = certs};
    if (any(2)) opts.alpn = protocols;
    if (any(2)) {
        opts.client_ca_file = cert;
        opts.flags = any(2) ? TLS_CLIENT_CERT_WANTED : TLS_CLIENT_CERT_NEEDED;
    }
    if (any(4) == 0) opts.min_version = any(2) ? TLS_1_2 : TLS_1_3;
    return (int)result(tls_attach_server_opts(s, &opts, soon()));
}

coroutine static void serve_tls(struct serving *v) {
    int s = take(v);
    let_go(s);
    v->s = hold(any(2) ? serve_tls_options(s) : (int)result(tls_attach_server(s, cert, key, soon())));
}

static void tls_pair(int s[2]) {
    struct tls_opts opts;
    int has_options = any(2) != 0;
    any_tls_options(&opts);
    BESIDE(s, 0, 0, NULL, serve_tls, has_options ? tls_attach_client_opts(s[0], &opts, soon())
                                                 : tls_attach_client(s[0], soon()));
}

/* Returns -1 if it has failed, else whether the bytestreams are the library's own to the bottom. */
static int lower_pair(enum lower lower, int s[2]) {
    enum lower bottom = lower == TLS ? any(TLS) : lower;
    if (bottom == TCP) {
        if (tcp_pair(s) < 0) return -1;
    } else {
        if (result(ipc_pair(s)) < 0) return -1;
        hold(s[0]);
        hold(s[1]);
    }
    for (int i = 0; bottom == USER && i != 2; ++i) {
        int h = user_make(s[i]);
        if (h < 0) return -1;
        s[i] = hold(h);
    }
    if (lower == TLS) tls_pair(s);
    return s[0] < 0 || s[1] < 0 ? -1 : bottom != USER;
}

/* --- WebSockets with a handshake --- */

static const char *const headers[] = {"X-Name: value", NULL};

static struct ws_opts *any_options(struct ws_opts *opts, struct ws_deflate *deflate, int is_own) {
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
    if (is_own && any(2)) opts->ping_interval = 1 + any(10), opts->ping_timeout = any(20);
    return opts;
}

/* What a server may do with a request. */
enum { ACCEPTED_AT_ONCE, ACCEPTED, REPLIED, WITHOUT_OPTIONS, WAYS };

static int serve_request(int s, int way, int is_own) {
    struct ws_opts opts;
    struct ws_deflate deflate;
    char text[64];
    int64_t limit = soon();
    any_options(&opts, &deflate, is_own);
    if (way == ACCEPTED_AT_ONCE) return (int)result(ws_attach_server_opts(s, &opts, limit));
    if (way == WITHOUT_OPTIONS)
        return (int)result(ws_attach_server(s, WS_BINARY, text, sizeof(text), text, sizeof(text), limit));
    int r = (int)result(ws_recvrequest(s, limit));
    if (r < 0) return -1;
    result(ws_field(r, ":path", text, sizeof(text)));
    result(ws_fieldat(r, any(8), text, sizeof(text), text, sizeof(text)));
    if (way == ACCEPTED) return (int)result(ws_accept(r, &opts, limit));
    s = (int)result(ws_reply(r, 404, headers, text, sizeof(text), limit));
    return s < 0 ? s : serve_request(s, ACCEPTED, is_own);
}

coroutine static void serve_ws(struct serving *v) {
    int s = take(v);
    let_go(s);
    v->s = hold(serve_request(s, v->way, v->is_own));
}

static void options_pair(int s[2], int is_own) {
    struct ws_opts opts;
    struct ws_deflate deflate;
    any_options(&opts, &deflate, is_own);
    int way = (int)any(WAYS);
    BESIDE(s, way, is_own, NULL, serve_ws,
           way == WITHOUT_OPTIONS ? ws_attach_client(s[0], WS_BINARY, "/", "localhost", soon())
                                  : ws_attach_client_opts(s[0], "/", "localhost", &opts, soon()));
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
    int64_t limit = soon();
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
    if (s >= 0 && v->way == BY_TLS) s = serve_tls_options(s);
    hold(s);
    if (s >= 0 && v->way == BY_SOCKS5) rc = serve_socks5(s, limit);
    if (s >= 0 && v->way == BY_CONNECT) rc = serve_tunnel(s, limit);
    if (rc < 0) close_held(s);
    if (s < 0 || rc < 0) return;
    let_go(s);
    v->s = hold(serve_request(s, (int)any(WAYS), 1));
}

static void connected_pair(int s[2]) {
    char url[64], proxy[64], address[32];
    struct ipaddr addr;
    struct tls_opts tls;
    struct ws_opts opts;
    struct ws_deflate deflate;
    int way = (int)any(URL_WAYS), listener = listen_somewhere(&addr);
    if (listener < 0) return;
    any_options(&opts, &deflate, 1)->proxy = "";
    snprintf(address, sizeof(address), "%s:%d", any(8) ? "127.0.0.1" : "localhost", ipaddr_port(&addr));
    if (any(4) == 0) opts.connect_to = address;
    snprintf(url, sizeof(url), "%s://%s/", way == BY_TLS ? "wss" : "ws", opts.connect_to ? "there" : address);
    snprintf(proxy, sizeof(proxy), "%s://127.0.0.1:%d", way == BY_SOCKS5 ? "socks5" : "http", ipaddr_port(&addr));
    if (way == BY_SOCKS5 || way == BY_CONNECT) opts.proxy = proxy;
    if (way == BY_TLS) opts.tls = any_tls_options(&tls);
    if (way == REDIRECTED) opts.redirects = 1;
    int ends[2] = {-1, listener};
    BESIDE(ends, way, 1, url, serve_url, ws_connect(url, &opts, soon()));
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
    if (upper == UDP || upper == CONNECTED) {
        if (upper == UDP) udp_pair(s, first);
        else connected_pair(s);
        return;
    }
    int is_own = lower_pair(lower, s);
    if (is_own < 0) return;
    if (upper == OPTIONS) options_pair(s, is_own);
    else
        for (int i = 0; i != 2; ++i) s[i] = attach(upper, s[i], i);
}

#endif
