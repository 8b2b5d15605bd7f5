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

/* --- Compression --- */

static struct ws_deflate deflate = {sizeof(deflate), 1, 9, 9, WS_DEFLATE_CONTEXT | WS_DEFLATE_PEER_CONTEXT, 0};

static void send_compressed(int s) {
    static char text[20000];
    struct ws_opts opts = options(WS_DEFLATE | WS_KEEP_HEAD);
    char extensions[100];
    opts.deflate = &deflate;
    s = (int)CALL(ws_attach_client_opts, s, "/", "example.com", &opts, deadline());
    if (s < 0) return;
    CALL(ws_field, s, "Sec-WebSocket-Extensions", extensions, sizeof(extensions));
    for (size_t i = 0; i != sizeof(text); ++i) text[i] = (char)('a' + i * i % 26);
    for (int i = 0; i != 3; ++i)
        if (CALL(ws_send, s, WS_TEXT, text, sizeof(text), deadline()) < 0) break;
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}
static void receive_compressed(int s) {
    static char place[20000];
    struct ws_opts opts = options(WS_DEFLATE);
    opts.deflate = &deflate;
    opts.max_message = 0;
    s = (int)CALL(ws_attach_server_opts, s, &opts, deadline());
    if (s < 0) return;
    for (int i = 0; i != 3; ++i) {
        long long size = CALL(ws_recv, s, NULL, place, sizeof(place), deadline());
        if (size < 0) break;
        MUST(size == sizeof(place) && place[1] == 'b' && place[sizeof(place) - 1] == 'a' + 19999LL * 19999 % 26);
    }
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}
SCENARIO(ws_compressed) { converse(TCP, send_compressed, receive_compressed); }

/* --- Messages in parts --- */

static void send_parts(int s) {
    char part[300] = "";
    s = (int)CALL(ws_attach_client, s, WS_BINARY | WS_NOHTTP, NULL, NULL, deadline());
    if (s < 0) return;
    for (int i = 0; i != 3; ++i)
        if (CALL(ws_send, s, WS_BINARY | (i == 2 ? 0 : WS_MORE), part, sizeof(part), deadline()) < 0) break;
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}
static void receive_parts(int s) {
    char part[200];
    int flags = WS_MORE;
    s = (int)CALL(ws_attach_server, s, WS_BINARY | WS_NOHTTP, NULL, 0, NULL, 0, deadline());
    if (s < 0) return;
    while (flags & WS_MORE)
        if (CALL(ws_recvsome, s, &flags, part, sizeof(part), deadline()) < 0) break;
    struct ws_info info = {.size = sizeof(info)};
    CALL(ws_info, s, &info);
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}
SCENARIO(ws_in_parts) { converse(TCP, send_parts, receive_parts); }

/* --- Pings --- */

static void ping(int s) {
    char buf[10];
    s = (int)CALL(ws_attach_client, s, WS_TEXT | WS_NOHTTP, NULL, NULL, deadline());
    if (s < 0) return;
    CALL(ws_ping, s, "ping", 4, deadline());
    CALL(ws_pong, s, "pong", 4, deadline());
    CALL(ws_recv, s, NULL, buf, sizeof(buf), deadline());
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}
static void answer_pings(int s) {
    char buf[10];
    s = (int)CALL(ws_attach_server, s, WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, deadline());
    if (s < 0) return;
    CALL(ws_send, s, WS_TEXT, "hello", 5, deadline());
    CALL_EXPECTING(EPIPE, ws_recv, s, NULL, buf, sizeof(buf), deadline());
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}
SCENARIO(ws_pings) { converse(TCP, ping, answer_pings); }

/* --- From a URL --- */

enum route { DIRECTLY, REDIRECTED, BY_SOCKS5, BY_CONNECT };
struct serving {
    int listener;
    enum route route;
    char url[64];
};

static void redirect(int s, const char *url) {
    char field[80];
    const char *const list[] = {field, NULL};
    snprintf(field, sizeof(field), "Location: %s", url);
    int r = (int)CALL(ws_recvrequest, s, deadline());
    if (r >= 0 && (s = (int)CALL(ws_reply, r, 302, list, NULL, 0, deadline())) >= 0) CALL(hclose, s);
}

static int let_through_socks5(int s) {
    struct ipaddr address;
    char host[256];
    int port;
    if (ipaddr_local(&address, "127.0.0.1", 1, IPADDR_IPV4) < 0) return -1;
    if (CALL(socks5_proxy_auth, s, NULL, deadline()) < 0) return -1;
    if (CALL(socks5_proxy_recvcommandbyname, s, host, &port, deadline()) < 0) return -1;
    return (int)CALL(socks5_proxy_sendreply, s, SOCKS5_SUCCESS, &address, deadline());
}

static int let_through_connect(int s) {
    static const char end[] = "\r\n\r\n", established[] = "HTTP/1.1 200 OK\r\n\r\n";
    char c;
    for (int seen = 0; seen != 4; seen = c == end[seen] ? seen + 1 : c == '\r')
        if (CALL(brecv, s, &c, 1, deadline()) < 0) return -1;
    return (int)CALL(bsend, s, established, sizeof(established) - 1, deadline());
}

coroutine static void serve_url(const struct serving *v) {
    int s = (int)CALL(tcp_accept, v->listener, NULL, deadline());
    if (s >= 0 && v->route == REDIRECTED) {
        redirect(s, v->url);
        s = (int)CALL(tcp_accept, v->listener, NULL, deadline());
    }
    if (s < 0) return;
    int rc = v->route == BY_SOCKS5 ? let_through_socks5(s) : v->route == BY_CONNECT ? let_through_connect(s) : 0;
    if (rc < 0)
        CALL(hclose, s);
    else
        server(s);
}

static void connect_to_url(enum route route) {
    struct serving serving = {.route = route};
    struct ipaddr address;
    char proxy[64];
    if (CALL(ipaddr_local, &address, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    serving.listener = (int)CALL(tcp_listen, &address, 10);
    if (serving.listener < 0) return;
    snprintf(serving.url, sizeof(serving.url), "ws://localhost:%d/", ipaddr_port(&address));
    snprintf(proxy, sizeof(proxy), "%s://127.0.0.1:%d", route == BY_SOCKS5 ? "socks5" : "http", ipaddr_port(&address));
    int h = go(serve_url(&serving));
    if (CALLED(go, h) >= 0) {
        struct ws_opts opts = options(0);
        opts.proxy = route == BY_SOCKS5 || route == BY_CONNECT ? proxy : "";
        opts.redirects = 1;
        say_hello((int)CALL(ws_connect, serving.url, &opts, deadline()));
        CALL(hclose, h);
    }
    CALL(hclose, serving.listener);
}

SCENARIO(ws_connect_to_a_URL) { connect_to_url(DIRECTLY); }
SCENARIO(ws_connect_after_a_redirect) { connect_to_url(REDIRECTED); }
SCENARIO(ws_connect_through_SOCKS5) { connect_to_url(BY_SOCKS5); }
SCENARIO(ws_connect_through_a_proxy_of_HTTP) { connect_to_url(BY_CONNECT); }

/* --- One message to many --- */

static char text[150000];

/* What a broadcast says of a handle. */
static int is_known(int error) {
    return error == 0 || error == EAGAIN || error == ECONNRESET || error == ENOMEM || error == EPIPE;
}

SCENARIO(ws_broadcast_to_two_that_are_slow) {
    int s[2][2], ends[2][2], list[2] = {-1, -1}, errors[2] = {0, 0}, count = 0;
    static char place[sizeof(text)];
    memset(text, 't', sizeof(text));
    for (; count != 2; ++count) {
        if (CALL(ipc_pair, s[count]) < 0) break;
        ends[count][0] = (int)CALL(ws_attach_server, s[count][0], WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, deadline());
        ends[count][1] = (int)CALL(ws_attach_client, s[count][1], WS_TEXT | WS_NOHTTP, NULL, NULL, deadline());
        list[count] = ends[count][0];
    }
    int taken = 0;
    /* The kernel takes one of them, and not all of the second. */
    for (int i = 0; i != 2 && count == 2 && list[0] >= 0 && list[1] >= 0; ++i) {
        taken = (int)CALL(ws_broadcast, list, 2, WS_TEXT, text, sizeof(text), 1000000, errors);
        MUST(is_known(errors[0]) && is_known(errors[1]));
        if (taken == 2) MUST(errors[0] == 0 && errors[1] == 0);
        if (taken < 2) break;
    }
    for (int i = 0; i != 2 && taken == 2; ++i)
        for (int k = 0; k != 2; ++k)
            if (CALL(ws_recv, ends[i][1], NULL, place, sizeof(place), deadline()) == sizeof(place))
                MUST(memcmp(place, text, sizeof(text)) == 0);
    for (int i = 0; i != count; ++i)
        for (int k = 0; k != 2; ++k)
            if (ends[i][k] >= 0) CALL(hclose, ends[i][k]);
}

static void tell(int s) {
    struct ws_opts opts = options(WS_DEFLATE);
    int ws = (int)CALL(ws_attach_server_opts, s, &opts, deadline()), error = 0;
    if (ws < 0) return;
    if (CALL(ws_broadcast, &ws, 1, WS_TEXT, text, 900, 0, &error) >= 0) MUST(is_known(error));
    CALL_EXPECTING(EPIPE, ws_recv, ws, NULL, NULL, 0, deadline());
    CALL(hclose, ws);
}
static void listen_to(int s) {
    static char place[1000];
    struct ws_opts opts = options(WS_DEFLATE);
    memset(text, 't', sizeof(text));
    int ws = (int)CALL(ws_attach_client_opts, s, "/", "example.com", &opts, deadline());
    if (ws < 0) return;
    if (CALL(ws_recv, ws, NULL, place, sizeof(place), deadline()) == 900) MUST(memcmp(place, text, 900) == 0);
    CALL(ws_done, ws, 1000, NULL, 0, deadline());
    CALL(hclose, ws);
}
SCENARIO(ws_broadcast_with_compression) { converse(TCP, listen_to, tell); }
