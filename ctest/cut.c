/* Conversations that a third party between the two cuts at any byte: by a reset, by an end of both directions or of
   one. Both sides are ours. */

#include <pthread.h>
#include <sys/ioctl.h>

#include <libdillext.h>

#include "tls.h"

/* --- Whoever cuts --- */

enum cut { RESET, END, HALF, CUTS };

static struct {
    int fd[2];
    size_t allowed, passed; /* in both directions together */
    enum cut how;
} relay;

static void end_relay(int abruptly) {
    const struct linger at_once = {1, 0};
    for (int i = 0; i != 2; ++i) {
        if (abruptly) CHECK_INT(setsockopt(relay.fd[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
        CHECK_INT(close(relay.fd[i]), 0);
    }
}

/* Passes on what comes from each side, a few bytes at a time. */
static void *run_relay(void *arg) {
    struct pollfd p[2] = {{relay.fd[0], POLLIN, 0}, {relay.fd[1], POLLIN, 0}};
    int is_cut = 0;
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        CHECK(poll(p, 2, 10000) > 0);
        for (int i = 0; i != 2; ++i) {
            char bytes[16];
            ssize_t n;
            if (p[i].fd < 0 || !p[i].revents) continue;
            if (!is_cut && relay.passed == relay.allowed) {
                if (relay.how != HALF) return end_relay(relay.how == RESET), arg;
                /* Nothing more comes from here, though what is sent here is taken. */
                is_cut = 1;
                (void)shutdown(relay.fd[!i], SHUT_WR);
                p[i].fd = -1;
                continue;
            }
            size_t room = is_cut ? sizeof(bytes) : relay.allowed - relay.passed;
            n = recv(relay.fd[i], bytes, room < sizeof(bytes) ? room : sizeof(bytes), 0);
            if (n < 0) return end_relay(1), arg;
            if (n == 0) {
                (void)shutdown(relay.fd[!i], SHUT_WR);
                p[i].fd = -1;
            }
            (void)send(relay.fd[!i], bytes, (size_t)n, MSG_NOSIGNAL);
            relay.passed += (size_t)n;
        }
    }
    return end_relay(0), arg;
}

/* --- Whoever talks --- */

/* A call fails with one of these, if it fails, and the first is what a cut is. */
static long long seen(long long rc, int is_gentle) {
    if (rc < 0) CHECK(errno == ECONNRESET || (errno == EPIPE && (is_gentle || relay.how != RESET)));
    return rc;
}

#define CUT_ONLY(CALL) seen(CALL, 0)
/* Or the peer has ended gracefully before. */
#define ENDED_OR_CUT(CALL) seen(CALL, 1)

static int is_secure;

static void leave(int s) {
    if (s >= 0 && is_secure) s = (int)ENDED_OR_CUT(tls_detach(s, soon()));
    if (s >= 0) (void)ENDED_OR_CUT(tcp_close(s, soon()));
}

static void lines(int s, int is_client) {
    char line[300] = {0};
    int h = suffix_attach(s, "\n", 1);
    CHECK(h >= 0);
    for (int i = 0; i != 3; ++i)
        if ((is_client && CUT_ONLY(msend(h, line, 100 * i, soon())) < 0) ||
            CUT_ONLY(mrecv(h, line, sizeof(line), soon())) < 0 ||
            (!is_client && CUT_ONLY(msend(h, line, 10, soon())) < 0)) {
            (void)CUT_ONLY(msend(h, line, 1, soon()));
            (void)CUT_ONLY(mrecv(h, line, sizeof(line), soon()));
            CHECK_INT(hclose(h), 0);
            return;
        }
    leave(suffix_detach(h, soon()));
}

static void heads(int s, int is_client) {
    char name[50], value[50];
    int h = http_attach(s);
    CHECK(h >= 0);
    if (is_client) (void)CUT_ONLY(http_sendrequest(h, "GET", "/", soon()));
    else (void)CUT_ONLY(http_recvrequest(h, name, sizeof(name), value, sizeof(value), soon()));
    (void)CUT_ONLY(http_sendfield(h, "Name", "value", soon()));
    (void)CUT_ONLY(http_done(h, soon()));
    while (ENDED_OR_CUT(http_recvfield(h, name, sizeof(name), value, sizeof(value), soon())) == 0) continue;
    leave((int)ENDED_OR_CUT(http_detach(h, soon())));
}

static void proxies(int s, int is_client) {
    struct ipaddr addr;
    long long rc;
    CHECK_INT(ipaddr_remote(&addr, "1.2.3.4", 80, 0, 0), 0);
    if (is_client) rc = CUT_ONLY(socks5_client_connect(s, NULL, NULL, &addr, soon()));
    else if ((rc = CUT_ONLY(socks5_proxy_auth(s, NULL, soon()))) >= 0 &&
             (rc = CUT_ONLY(socks5_proxy_recvcommand(s, &addr, soon()))) >= 0)
        rc = CUT_ONLY(socks5_proxy_sendreply(s, SOCKS5_SUCCESS, &addr, soon()));
    if (rc < 0) CHECK_INT(hclose(s), 0);
    else leave(s);
}

static void talk(int ws, int is_client) {
    char buf[400] = {0};
    for (int i = 0; i != 3; ++i) {
        if (is_client) (void)ENDED_OR_CUT(ws_send(ws, WS_TEXT, buf, 100, soon()));
        if (ENDED_OR_CUT(ws_recv(ws, NULL, buf, sizeof(buf), soon())) < 0) break;
        if (!is_client) (void)ENDED_OR_CUT(ws_send(ws, WS_BINARY, buf, 300, soon()));
        (void)ENDED_OR_CUT(ws_ping(ws, "p", 1, soon()));
    }
}

static void websockets(int s, int is_client) {
    int ws = (int)(is_client ? CUT_ONLY(ws_attach_client(s, WS_TEXT, "/", "h", soon()))
                             : CUT_ONLY(ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, soon())));
    if (ws < 0) return;
    talk(ws, is_client);
    leave((int)ENDED_OR_CUT(ws_detach(ws, 1000, "bye", 3, soon())));
}

static void modern_websockets(int s, int is_client) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_DEFLATE, .ping_interval = 10000};
    int ws = (int)(is_client ? CUT_ONLY(ws_attach_client_opts(s, "/", "h", &opts, soon()))
                             : ENDED_OR_CUT(ws_attach_server_opts(s, &opts, soon())));
    if (ws < 0) return;
    talk(ws, is_client);
    (void)ENDED_OR_CUT(ws_close(ws, 1000, "bye", 3, soon()));
}

/* --- Every cut --- */

typedef void (*side)(int s, int is_client);

coroutine static void run_side(side run, int s, int is_client) {
    if (is_secure)
        s = (int)(is_client ? CUT_ONLY(tls_attach_client(s, soon()))
                            : CUT_ONLY(tls_attach_server(s, in_directory("server.pem"), in_directory("server.key"), soon())));
    if (s >= 0) run(s, is_client);
}

static size_t cut_at(side run, enum cut how, size_t allowed) {
    pthread_t thread;
    int s[2], b = bundle();
    CHECK(b >= 0);
    relay.how = how;
    relay.allowed = allowed;
    relay.passed = 0;
    for (int i = 0; i != 2; ++i) make_tcp_and_raw(&s[i], &relay.fd[i]);
    CHECK_INT(pthread_create(&thread, NULL, run_relay, NULL), 0);
    for (int i = 0; i != 2; ++i) CHECK_INT(bundle_go(b, run_side(run, s[i], i == 0)), 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    return relay.passed;
}

/* Every stride-th byte; nothing stays open. */
static void cut_everywhere(side run, size_t stride) {
    for (int how = 0; how != CUTS; ++how) {
        size_t whole = cut_at(run, (enum cut)how, (size_t)-1);
        int before = open_descriptors();
        CHECK(whole > 10);
        for (size_t allowed = 0; allowed < whole; allowed += stride) cut_at(run, (enum cut)how, allowed);
        CHECK_INT(open_descriptors(), before);
    }
}

TEST(lines_are_cut) { cut_everywhere(lines, 7); }
TEST(heads_of_HTTP_are_cut) { cut_everywhere(heads, 1); }
TEST(SOCKS5_is_cut) { cut_everywhere(proxies, 1); }
TEST(WebSockets_are_cut) { cut_everywhere(websockets, 11); }
TEST(WebSockets_with_options_are_cut) { cut_everywhere(modern_websockets, 11); }

#ifndef DILL_DISABLE_TLS
TEST(lines_over_TLS_are_cut) {
    make_certificate();
    is_secure = 1;
    cut_everywhere(lines, 97);
}
TEST(WebSockets_over_TLS_are_cut) {
    make_certificate();
    is_secure = 1;
    cut_everywhere(modern_websockets, 97);
}
#endif
