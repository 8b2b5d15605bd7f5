/* A coroutine is inside a call, waiting or ready to run, when the handle, whatever is below it, or its bundle is
   closed. It fails, touches nothing, and what it left behind is nobody's: the next connection works. */

#include <libdill.h>
#include <libdillext.h>

#include "lower.h"
#include "tls.h"

/* A call, and what it is about. */
struct scene {
    int lower[2]; /* connected bytestreams, until something is attached */
    int h;        /* what is called, or -1 */
    int peer;     /* the other end, or -1 */
    int keep;     /* another handle that stays open, or -1 */
    int raw[2];   /* descriptors of the test */
    char name[64];
    struct ipaddr addr;
    int rc, error, returned;
};

struct call {
    const char *name;
    void (*make)(struct scene *);
    int (*run)(struct scene *);  /* inside a coroutine; waits */
    void (*wake)(struct scene *); /* makes it ready */
    int finishes;     /* is over when it was woken */
    int gives_handle; /* if it succeeds */
    int may_fail_with; /* besides EBADF and ECANCELED */
    int has_no_handle; /* only the bundle ends it */
};

/* More than the kernel keeps of a connection. */
static char block[16 << 20];

/* --- Lower layers --- */

/* Its own lower layer may be closed before it, by its number. */
static void close_gently(struct hvfs *hvfs) { hclose(((struct user_stream *)hvfs)->lower); }
static void make_pair_of_users(int s[2]) {
    make_user_pair(s);
    for (int i = 0; i != 2; ++i) lower_user[i].hvfs.close = close_gently;
}

static void make_tls_pair(int s[2]) {
    int below[2];
    make_ipc_pair(below);
    make_tls_over(below, s);
}

/* --- Bytestreams --- */

static void as_stream(struct scene *c) {
    c->h = c->lower[0];
    c->peer = c->lower[1];
}

static int do_brecv(struct scene *c) {
    static char buf[64];
    return brecv(c->h, buf, 10, -1);
}
static int do_skip(struct scene *c) { return brecv(c->h, NULL, 10, -1); }
static int do_bsend(struct scene *c) { return bsend(c->h, block, sizeof(block), -1); }
static int do_tcp_close(struct scene *c) { return tcp_close(c->h, -1); }
static int do_ipc_close(struct scene *c) { return ipc_close(c->h, -1); }
static void send_ten(struct scene *c) { CHECK_INT(bsend(c->peer, "0123456789", 10, -1), 0); }
static void take_some(struct scene *c) { CHECK_INT(brecv(c->peer, NULL, 100000, -1), 0); }
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
static void as_lower(struct scene *c) {
    make_certificate();
    c->h = -1;
    c->peer = c->lower[1];
}
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

static int do_mrecv(struct scene *c) {
    static char buf[64];
    return mrecv(c->h, buf, sizeof(buf), -1) < 0 ? -1 : 0;
}
static int do_mrecv_nothing(struct scene *c) { return mrecvl(c->h, NULL, NULL, -1) < 0 ? -1 : 0; }
static int do_msend(struct scene *c) { return msend(c->h, block, sizeof(block), -1); }
static int do_small(struct scene *c) {
    for (int rc;;)
        if ((rc = msend(c->h, block, 5000, -1)) < 0) return rc;
}
static int do_gather(struct scene *c) {
    for (int rc;;)
        if ((rc = ws_send(c->h, WS_BINARY | WS_GATHER, block, 5000, -1)) < 0) return rc;
}
static void message(struct scene *c) { CHECK_INT(msend(c->peer, "hello", 5, -1), 0); }
static void large_message(struct scene *c) { CHECK_INT(msend(c->peer, block, 60000, -1), 0); }
static int do_mrecv_large(struct scene *c) {
    static char buf[60000];
    return mrecv(c->h, buf, sizeof(buf), -1) < 0 ? -1 : 0;
}
static void drain(struct scene *c) {
    /* Of a large one, the part that has come. */
    static char buf[5000];
    mrecv(c->peer, buf, sizeof(buf), 0);
}

#define MESSAGES(MAKE)                                            \
    {#MAKE " mrecv", MAKE, do_mrecv, message, 1, 0, 0, 0},           \
    {#MAKE " mrecvl of nothing", MAKE, do_mrecv_nothing, message, 1, 0, 0, 0}, \
    {#MAKE " mrecv of much", MAKE, do_mrecv_large, large_message, 1, 0, 0, 0}, \
    {#MAKE " msend of much", MAKE, do_msend, drain, 0, 0, 0, 0},     \
    {#MAKE " msend", MAKE, do_small, drain, 0, 0, 0, 0}

static int do_term_detach(struct scene *c) { return term_detach(c->h, -1); }
static void term_end(struct scene *c) { CHECK_INT(term_done(c->peer, -1), 0); }
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
static void ws_end(struct scene *c) { CHECK_INT(ws_done(c->peer, 1000, "", 0, -1), 0); }
static int do_ws_server(struct scene *c) { return ws_attach_server(c->lower[0], 0, NULL, 0, NULL, 0, -1); }
static int do_ws_client(struct scene *c) { return ws_attach_client(c->lower[0], 0, "/", "h", -1); }

static const struct call prefix_calls[] = {MESSAGES(as_prefix)};
static const struct call suffix_calls[] = {MESSAGES(as_suffix)};
static const struct call term_calls[] = {MESSAGES(as_term), {"term_detach", as_term, do_term_detach, term_end, 1, 1, 0, 0}};
static void ping(struct scene *c) { message(c); }
static const struct call ws_calls[] = {
    MESSAGES(as_ws_server),
    MESSAGES(as_ws_client),
};
static const struct call more_ws_calls[] = {
    {"ws_send that gathers", as_gathering, do_gather, drain, 0, 0, 0, 0},
    {"ws_recv that gathers", as_gathering, do_mrecv, ping, 1, 0, 0, 0},
    {"ws_detach of a server", as_ws_server, do_ws_detach, ws_end, 1, 1, 0, 0},
    {"ws_detach of a client", as_ws_client, do_ws_detach, ws_end, 1, 1, 0, 0},
    {"ws_close of a server", as_ws_server, do_ws_close, ws_end, 0, 0, 0, 0},
    {"ws_close of a client", as_ws_client, do_ws_close, ws_end, 0, 0, 0, 0},
    {"ws_detach among messages", as_ws_client, do_ws_detach, message, 0, 1, 0, 0},
};

static void answer(struct scene *c) {
    char all[] = "HTTP/1.1 403 No\r\n\r\n";
    CHECK_INT(bsend(c->peer, all, sizeof(all) - 1, -1), 0);
}
static void request(struct scene *c) {
    char all[] = "GET / HTTP/1.1\r\n\r\n";
    CHECK_INT(bsend(c->peer, all, sizeof(all) - 1, -1), 0);
}

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
    {"ws_attach_server", as_lower, do_ws_server, request, 1, 1, EPROTO, 1},
    {"ws_attach_client", as_lower, do_ws_client, answer, 1, 1, EPROTO, 1},
    {"ws_attach_server_opts", as_lower, do_ws_opts_server, request, 1, 1, EPROTO, 1},
    {"ws_attach_client_opts", as_lower, do_ws_opts_client, answer, 1, 1, EPROTO, 1},
    {"ws_recvrequest", as_lower, do_ws_recvrequest, request, 1, 1, EPROTO, 1},
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

static void as_full_listener(struct scene *c) {
    /* Nobody is accepted, so connecting waits once the queue is full. */
    CHECK_INT(ipaddr_local(&c->addr, "127.0.0.1", 0, 0), 0);
    CHECK((c->keep = tcp_listen(&c->addr, 0)) >= 0);
    for (int i = 0; i != 2; ++i) {
        CHECK((c->raw[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) >= 0);
        connect(c->raw[i], ipaddr_sockaddr(&c->addr), (socklen_t)ipaddr_len(&c->addr));
    }
}
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

/* --- The plot --- */

static char playing[200];
#define EXPECT(EXPR) \
    do { \
        if (!(EXPR)) \
            test_fail(__FILE__, __LINE__, "%s: %s does not hold; the call gave %d, errno %s", playing, #EXPR, c->rc, \
                      errno_name(c->error)); \
    } while (0)

coroutine static void inside(const struct call *call, struct scene *c) {
    c->rc = call->run(c);
    c->error = errno;
    c->returned = 1;
}

static void spin(int64_t milliseconds) {
    int64_t until = now() + milliseconds;
    while (now() < until) continue;
}

/* What is closed. */
enum target { HANDLE, BUNDLE, UPWARDS, DOWNWARDS, TARGETS };
static const char *const target_names[] = {"its handle", "its bundle", "every handle", "every handle, the last first"};

static void close_all(const struct scene *c, int b, int downwards) {
    for (int i = 0; i != 512; ++i) {
        int h = downwards ? 511 - i : i;
        if (h != b && h != c->peer && h != c->keep) hclose(h);
    }
}

/* A coroutine whose time slice is over has to wait a little. */
static void wait_for(const struct scene *c) {
    int64_t limit = now() + 5000;
    while (!c->returned && now() < limit) CHECK_INT(yield(), 0);
}

/* When it is closed: before the coroutine was woken; while the kernel only knows that it is; when it is ready; and
   when it has run. */
enum { ASLEEP, TOLD, READY, AWAKE, MOMENTS };

static void play(const struct call *call, struct scene *c, enum target target, int moment) {
    call->make(c);
    int b = go(inside(call, c));
    CHECK(b >= 0);
    /* Slow waits: from now on descriptors are polled in each of them. */
    for (int i = 0; i != 20; ++i) CHECK_INT(yield(), 0);
    spin(2);
    CHECK_INT(yield(), 0);
    EXPECT(!c->returned);
    if (moment != ASLEEP && call->wake) {
        call->wake(c);
        spin(2);
        for (int i = TOLD; i != moment; ++i) CHECK_INT(yield(), 0);
        if (moment == AWAKE && call->finishes) {
            wait_for(c);
            EXPECT(c->returned);
        }
    }
    int before = c->returned;
    if (target == HANDLE) hclose(c->h);
    if (target == UPWARDS || target == DOWNWARDS) close_all(c, b, target == DOWNWARDS);
    if (target != BUNDLE && !call->has_no_handle) wait_for(c);
    /* What has no handle, nobody else can end. */
    int by_bundle = !c->returned;
    EXPECT(target == BUNDLE || call->has_no_handle || !by_bundle);
    CHECK_INT(hclose(b), 0);
    EXPECT(c->returned);
    if (c->rc >= 0) {
        EXPECT(before || by_bundle || call->has_no_handle);
        if (call->gives_handle) hclose(c->rc);
    } else if (!before) {
        int is_below = target == UPWARDS || target == DOWNWARDS;
        EXPECT(c->error == EBADF || c->error == ECANCELED || (is_below && c->error == ECONNRESET) ||
              (call->may_fail_with && c->error == call->may_fail_with));
    }
}

/* Connections that are made afterwards hear nothing of it. */
static void check_aftermath(int64_t patience) {
    char c;
    int s[2];
    EACH_STREAM(s) {
        CHECK_INT(yield(), 0);
        for (int end = 0; end != 2; ++end) {
            CHECK_INT(bsend(s[end], "x", 1, -1), 0);
            CHECK_INT(brecv(s[!end], &c, 1, now() + 5000), 0);
            CHECK_INT(c, 'x');
            CHECK_ERR(brecv(s[!end], &c, 1, patience ? now() + patience : 0), -1, ETIMEDOUT);
        }
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

static void (*make_lower)(int s[2]);

static void run(const struct call *calls, size_t count) {
    check_aftermath(1); /* so that what the library keeps is there */
    if (make_lower) make_certificate();
    for (size_t i = 0; i != count; ++i)
        for (int target = 0; target != TARGETS; ++target)
            for (int moment = 0; moment != MOMENTS; ++moment) {
                static struct scene none = {{-1, -1}, -1, -1, -1, {-1, -1}, "", {""}, 0, 0, 0};
                struct scene c = none;
                int descriptors = open_descriptors();
                snprintf(playing, sizeof(playing), "%s, closing %s at moment %d", calls[i].name, target_names[target], moment);
                if (make_lower) make_lower(c.lower);
                play(&calls[i], &c, target, moment);
                for (int h = 0; h != 512; ++h) hclose(h);
                for (int k = 0; k != 2; ++k)
                    if (c.raw[k] >= 0) CHECK_INT(close(c.raw[k]), 0);
                CHECK_INT(open_descriptors(), descriptors);
                check_aftermath(moment == MOMENTS - 1);
            }
}

#define RUN(CALLS) run(CALLS, sizeof(CALLS) / sizeof((CALLS)[0]))
#define OVER_EACH(NAME, CALLS)                       \
    TEST(NAME##_over_TCP) { make_lower = make_tcp_pair; RUN(CALLS); }          \
    TEST(NAME##_over_AF_UNIX) { make_lower = make_ipc_pair; RUN(CALLS); }      \
    TEST(NAME##_over_a_users_bytestream) { make_lower = make_pair_of_users; RUN(CALLS); } \
    TEST(NAME##_over_TLS) { make_lower = make_tls_pair; RUN(CALLS); }

OVER_EACH(bytes, stream_calls)
OVER_EACH(TLS_handshakes, tls_attaching)
OVER_EACH(PREFIX, prefix_calls)
OVER_EACH(SUFFIX, suffix_calls)
OVER_EACH(TERM, term_calls)
OVER_EACH(WebSocket, ws_calls)
OVER_EACH(WebSocket_that_gathers_or_ends, more_ws_calls)
OVER_EACH(HTTP, http_calls)
OVER_EACH(SOCKS5, socks5_calls)
TEST(TCP) { make_lower = make_tcp_pair; RUN(tcp_calls); }
TEST(AF_UNIX) { make_lower = make_ipc_pair; RUN(ipc_calls); }
TEST(TLS) { make_lower = make_tls_pair; RUN(tls_calls); }
TEST(listeners_and_datagrams) { RUN(listener_calls); }
TEST(the_runtime) { RUN(runtime_calls); }
