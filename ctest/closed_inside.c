/* What happens inside calls on bytestreams, messages, HTTP, SOCKS5 and the runtime when something is closed. */

#include "closed_inside.h"

/* --- Bytestreams --- */

static int do_brecv(struct scene *c) {
    static char buf[64];
    return brecv(c->h, buf, 10, -1);
}
static int do_skip(struct scene *c) { return brecv(c->h, NULL, 10, -1); }
static int do_bsend(struct scene *c) { return bsend(c->h, block, sizeof(block), -1); }
static int do_tcp_close(struct scene *c) { return tcp_close(c->h, -1); }
static int do_ipc_close(struct scene *c) { return ipc_close(c->h, -1); }
static void hang_up(struct scene *c) {
    CHECK_INT(hclose(c->peer), 0);
    c->peer = -1;
}

static const struct call stream_calls[] = {
    {"brecv", as_stream, do_brecv, send_ten, 1, 0, 0, 0},
    {"brecv of nothing wanted", as_stream, do_skip, send_ten, 1, 0, 0, 0},
    {"bsend", as_stream, do_bsend, take_some, 0, 0, 0, 0},
};
static const struct call tcp_calls[] = {{"tcp_close", as_stream, do_tcp_close, hang_up, 1, 0, ECONNRESET, 0}};

/* --- TLS --- */

static int do_tls_detach(struct scene *c) { return tls_detach(c->h, -1); }
static int do_tls_client(struct scene *c) { return tls_attach_client(c->lower[0], -1); }
static int do_tls_server(struct scene *c) {
    return tls_attach_server(c->lower[0], in_directory("server.pem"), in_directory("server.key"), -1);
}
static void tls_end(struct scene *c) { CHECK_INT(tls_done(c->peer, -1), 0); }
static const struct call tls_calls[] = {{"tls_detach", as_stream, do_tls_detach, tls_end, 1, 1, 0, 0}};
static const struct call tls_attaching[] = {
    {"tls_attach_client", as_lower, do_tls_client, send_ten, 1, 1, EPROTO, 1},
    {"tls_attach_server", as_lower, do_tls_server, send_ten, 1, 1, EPROTO, 1},
};

/* --- Messages --- */

static void as_prefix(struct scene *c) {
    c->h = prefix_attach(c->lower[0], 4, PREFIX_BIG_ENDIAN);
    c->peer = prefix_attach(c->lower[1], 4, PREFIX_BIG_ENDIAN);
}
static void as_suffix(struct scene *c) {
    c->h = suffix_attach(c->lower[0], "\r\n", 2);
    c->peer = suffix_attach(c->lower[1], "\r\n", 2);
}
static void as_term(struct scene *c) {
    as_prefix(c);
    c->h = term_attach(c->h, "end", 3);
    c->peer = term_attach(c->peer, "end", 3);
}

static int do_term_detach(struct scene *c) { return term_detach(c->h, -1); }
static void term_end(struct scene *c) { CHECK_INT(term_done(c->peer, -1), 0); }
static const struct call prefix_calls[] = {MESSAGES(as_prefix)};
static const struct call suffix_calls[] = {MESSAGES(as_suffix)};
static const struct call term_calls[] = {MESSAGES(as_term), {"term_detach", as_term, do_term_detach, term_end, 1, 1, 0, 0}};
/* --- HTTP and SOCKS5 --- */

static void as_http(struct scene *c) {
    c->h = http_attach(c->lower[0]);
    c->peer = c->lower[1];
}
static int do_recvrequest(struct scene *c) {
    char a[64], b[64];
    return http_recvrequest(c->h, a, sizeof(a), b, sizeof(b), -1);
}
static int do_recvstatus(struct scene *c) {
    char a[64];
    return http_recvstatus(c->h, a, sizeof(a), -1) < 0 ? -1 : 0;
}
static int do_recvfield(struct scene *c) {
    char a[64], b[64];
    return http_recvfield(c->h, a, sizeof(a), b, sizeof(b), -1);
}
static int do_sendfield(struct scene *c) {
    static char value[900];
    memset(value, 'x', sizeof(value) - 1);
    for (int rc;;)
        if ((rc = http_sendfield(c->h, "name", value, -1)) < 0) return rc;
}
static int do_http_detach(struct scene *c) { return http_detach(c->h, -1); }
static void field(struct scene *c) { CHECK_INT(bsend(c->peer, "a: b\r\n", 6, -1), 0); }
static void blank(struct scene *c) { CHECK_INT(bsend(c->peer, "\r\n", 2, -1), 0); }

static int do_socks5_connect(struct scene *c) { return socks5_client_connectbyname(c->h, NULL, NULL, "host", 80, -1); }
static int do_socks5_auth(struct scene *c) { return socks5_proxy_auth(c->h, NULL, -1); }
static int do_socks5_command(struct scene *c) {
    char host[256];
    int port;
    return socks5_proxy_recvcommandbyname(c->h, host, &port, -1) < 0 ? -1 : 0;
}
static void socks5_offer(struct scene *c) { CHECK_INT(bsend(c->peer, "\5\1\0", 3, -1), 0); }
static void socks5_method(struct scene *c) { CHECK_INT(bsend(c->peer, "\5\377", 2, -1), 0); }
static void socks5_command(struct scene *c) { CHECK_INT(bsend(c->peer, "\5\1\0\1\1\2\3\4\0\5", 10, -1), 0); }

static const struct call http_calls[] = {
    {"http_recvrequest", as_http, do_recvrequest, request, 1, 0, 0, 0},
    {"http_recvstatus", as_http, do_recvstatus, answer, 1, 0, 0, 0},
    {"http_recvfield", as_http, do_recvfield, field, 1, 0, 0, 0},
    {"http_sendfield", as_http, do_sendfield, take_some, 0, 0, 0, 0},
    {"http_detach", as_http, do_http_detach, blank, 1, 1, 0, 0},
    {"http_detach among fields", as_http, do_http_detach, field, 0, 1, 0, 0},
};
static const struct call socks5_calls[] = {
    {"socks5_client_connectbyname", as_stream, do_socks5_connect, socks5_method, 1, 0, EACCES, 0},
    {"socks5_proxy_auth", as_stream, do_socks5_auth, socks5_offer, 1, 0, 0, 0},
    {"socks5_proxy_recvcommandbyname", as_stream, do_socks5_command, socks5_command, 1, 0, 0, 0},
};

/* --- What has no bytestream below --- */

static void as_listener(struct scene *c) { c->h = listen_somewhere(&c->addr); }
static int do_accept(struct scene *c) { return tcp_accept(c->h, NULL, -1); }
static void connect_to(struct scene *c) { CHECK((c->keep = tcp_connect(&c->addr, -1)) >= 0); }
static void as_ipc_listener(struct scene *c) {
    static int count;
    snprintf(c->name, sizeof(c->name), "/tmp/closed_inside.%d.%d", getpid(), ++count);
    CHECK((c->h = ipc_listen(c->name, 10)) >= 0);
    CHECK_INT(unlink(c->name), 0);
}
static int do_ipc_accept(struct scene *c) { return ipc_accept(c->h, -1); }

static void as_udp(struct scene *c) {
    CHECK_INT(ipaddr_local(&c->addr, "127.0.0.1", 0, 0), 0);
    CHECK((c->h = udp_open(&c->addr, NULL)) >= 0);
    CHECK((c->peer = udp_open(NULL, &c->addr)) >= 0);
}
static int do_udp_recv(struct scene *c) {
    char buf[10];
    return udp_recv(c->h, NULL, buf, sizeof(buf), -1) < 0 ? -1 : 0;
}

static int do_recvfd(struct scene *c) {
    int fd = ipc_recvfd(c->h, -1);
    return fd < 0 ? -1 : close(fd);
}
static void send_fd(struct scene *c) { CHECK_INT(ipc_sendfd(c->peer, 0, -1), 0); }
static int do_sendfd(struct scene *c) {
    while (ipc_sendfd(c->h, 0, -1) == 0) continue;
    return -1;
}
static void take_fd(struct scene *c) { CHECK_INT(close(ipc_recvfd(c->peer, -1)), 0); }

static const struct call listener_calls[] = {
    {"tcp_accept", as_listener, do_accept, connect_to, 1, 1, 0, 0},
    {"ipc_accept", as_ipc_listener, do_ipc_accept, NULL, 0, 1, 0, 0},
    {"udp_recv", as_udp, do_udp_recv, message, 1, 0, 0, 0},
};
static const struct call ipc_calls[] = {
    {"ipc_close", as_stream, do_ipc_close, hang_up, 1, 0, 0, 0},
    {"ipc_recvfd", as_stream, do_recvfd, send_fd, 1, 0, 0, 0},
    {"ipc_sendfd", as_stream, do_sendfd, take_fd, 0, 0, 0, 0},
};

/* --- The runtime --- */

static int do_connect(struct scene *c) { return tcp_connect(&c->addr, -1); }
static int do_happyeyeballs(struct scene *c) { return happyeyeballs_connect("127.0.0.1", ipaddr_port(&c->addr), -1); }

coroutine static void sleeper(int64_t until) { msleep(until); }
static void as_bundle(struct scene *c) {
    CHECK((c->h = bundle()) >= 0);
    CHECK_INT(bundle_go(c->h, sleeper(-1)), 0);
}
static int do_bundle_wait(struct scene *c) { return bundle_wait(c->h, -1); }

/* Closing one end of a channel is silent. */
static void as_channel(struct scene *c) {
    CHECK_INT(chmake(c->lower), 0);
    c->h = c->lower[0];
    c->peer = c->lower[1];
}
static int do_chrecv(struct scene *c) {
    int value;
    return chrecv(c->h, &value, sizeof(value), -1);
}
static int do_chsend(struct scene *c) { return chsend(c->h, &c->rc, sizeof(c->rc), -1); }
static int do_choose(struct scene *c) {
    int value;
    struct chclause clauses[2] = {{CHRECV, c->h, &value, sizeof(value)}, {CHSEND, c->h, &value, sizeof(value)}};
    int rc = choose(clauses, 2, -1);
    return rc < 0 || errno ? -1 : 0;
}
static void channel_send(struct scene *c) { CHECK_INT(chsend(c->peer, "four", 4, 0), 0); }
static void channel_receive(struct scene *c) { CHECK_INT(chrecv(c->peer, block, 4, 0), 0); }

static void as_pipe(struct scene *c) { CHECK_INT(pipe(c->raw), 0); }
static int do_fdin(struct scene *c) { return fdin(c->raw[0], -1); }
static void feed_pipe(struct scene *c) { CHECK_INT(write(c->raw[1], "x", 1), 1); }
static void as_full_pipe(struct scene *c) {
    CHECK_INT(pipe(c->raw), 0);
    CHECK_INT(fcntl(c->raw[1], F_SETFL, O_NONBLOCK), 0);
    while (write(c->raw[1], block, 65536) > 0) continue;
}
static int do_fdout(struct scene *c) { return fdout(c->raw[1], -1); }
static void drain_pipe(struct scene *c) { CHECK_INT(read(c->raw[0], block, 65536), 65536); }

static const struct call runtime_calls[] = {
    {"tcp_connect", as_full_listener, do_connect, NULL, 0, 1, 0, 1},
    {"happyeyeballs_connect", as_full_listener, do_happyeyeballs, NULL, 0, 1, 0, 1},
    {"bundle_wait", as_bundle, do_bundle_wait, NULL, 0, 0, 0, 0},
    {"chrecv", as_channel, do_chrecv, channel_send, 1, 0, 0, 1},
    {"chsend", as_channel, do_chsend, channel_receive, 1, 0, 0, 1},
    {"choose", as_channel, do_choose, channel_send, 1, 0, 0, 1},
    {"fdin", as_pipe, do_fdin, feed_pipe, 1, 0, 0, 1},
    {"fdout", as_full_pipe, do_fdout, drain_pipe, 1, 0, 0, 1},
};

OVER_EACH(bytes, stream_calls)
OVER_EACH(TLS_handshakes, tls_attaching)
OVER_EACH(PREFIX, prefix_calls)
OVER_EACH(SUFFIX, suffix_calls)
OVER_EACH(TERM, term_calls)
OVER_EACH(HTTP, http_calls)
OVER_EACH(SOCKS5, socks5_calls)
TEST(TCP) { make_lower = make_tcp_pair; RUN(tcp_calls); }
TEST(AF_UNIX) { make_lower = make_ipc_pair; RUN(ipc_calls); }
TEST(TLS) { make_lower = make_tls_pair; RUN(tls_calls); }
TEST(listeners_and_datagrams) { RUN(listener_calls); }
TEST(the_runtime) { RUN(runtime_calls); }
