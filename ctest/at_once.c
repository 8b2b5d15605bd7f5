/* What can be done at once is done at once: nobody else runs meanwhile, and errno stays as it was. */

#include <libdill.h>

#include <sys/syscall.h>

#include "lower.h"
#include "tls.h"

/* The clock, in ns: the program's symbol wins over libc's. When it goes by its readings, the thread seems never to be
   held up. */
enum { A_READING = 20000 };
static int64_t ahead, by_readings;

int clock_gettime(clockid_t clock, struct timespec *time) {
    int rc = (int)syscall(SYS_clock_gettime, clock, time);
    int64_t ns = time->tv_sec * INT64_C(1000000000) + time->tv_nsec + ahead;
    if (by_readings) ns = by_readings += A_READING;
    time->tv_sec = ns / 1000000000;
    time->tv_nsec = ns % 1000000000;
    return rc;
}

static int64_t clock_in_ns(void) {
    struct timespec time;
    CHECK_INT(clock_gettime(CLOCK_MONOTONIC, &time), 0);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void let_clock_go_by_readings(void) { by_readings = clock_in_ns(); }

/* It goes on from where it is. */
static void let_clock_go(void) {
    int64_t now_is = by_readings;
    by_readings = 0;
    ahead += now_is - clock_in_ns();
}

static int others;

coroutine static void other(void) {
    while (yield() == 0) ++others;
}

/* A call that succeeds. */
#define AT_ONCE(EXPR)                                                      \
    do {                                                                   \
        int before_ = others;                                              \
        errno = ERANGE;                                                    \
        long long result_ = (long long)(EXPR);                             \
        int error_ = errno;                                                \
        CHECK(result_ >= 0);                                               \
        if (error_ != ERANGE)                                              \
            test_fail(__FILE__, __LINE__, "%s sets errno to %s", #EXPR, errno_name(error_)); \
        if (others != before_) test_fail(__FILE__, __LINE__, "%s lets others run", #EXPR);   \
    } while (0)

/* Somebody is always ready. The time slice has just begun. */
static int begin(void) {
    int b = go(other());
    CHECK(b >= 0);
    CHECK_INT(yield(), 0);
    return b;
}

static char buf[256];

/* What was sent has arrived by now. */
static void settle(void) {
    for (int i = 0; i != 3; ++i) CHECK_INT(msleep(now() + 1), 0);
    wait_until_arrived();
}

static void exchange(int from, int to) {
    AT_ONCE(bsend(from, "hello", 5, -1));
    settle();
    AT_ONCE(brecv(to, buf, 2, -1));
    AT_ONCE(brecv(to, NULL, 3, -1));
}

TEST(bytes) {
    int s[2];
    begin();
    EACH_LOWER(s) {
        exchange(s[0], s[1]);
        exchange(s[1], s[0]);
        AT_ONCE(hclose(s[0]));
        AT_ONCE(hclose(s[1]));
    }
}

TEST(bytes_over_TLS) {
    int h[2];
    begin();
    EACH_TLS(h) {
        exchange(h[0], h[1]);
        AT_ONCE(tls_alpn(h[0], buf, sizeof(buf)));
        AT_ONCE(tls_done(h[0], -1));
        AT_ONCE(tls_done(h[1], -1));
        settle();
        int s[2];
        AT_ONCE(s[0] = tls_detach(h[0], -1));
        AT_ONCE(s[1] = tls_detach(h[1], -1));
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

static void exchange_messages(int from, int to) {
    struct iolist list = {buf, sizeof(buf), NULL, 0};
    AT_ONCE(msend(from, "hello", 5, -1));
    AT_ONCE(msend(from, "hello", 5, -1));
    AT_ONCE(msend(from, "hello", 5, -1));
    settle();
    AT_ONCE(mrecv(to, buf, sizeof(buf), -1));
    AT_ONCE(mrecvl(to, &list, &list, -1));
    AT_ONCE(mrecvl(to, NULL, NULL, -1));
}

/* Time slices end meanwhile. */
TEST(a_deadline_that_passes_now_is_late_enough_for_what_is_there) {
    enum { COUNT = 2000 };
    static char block[COUNT];
    int s[2];
    begin();
    EACH_LOWER(s) {
        CHECK_INT(bsend(s[0], block, COUNT, -1), 0);
        settle();
        let_clock_go_by_readings();
        for (int i = 0; i != COUNT; ++i) CHECK_INT(brecv(s[1], buf, 1, now()), 0);
        let_clock_go();
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
    EACH_STREAM(s) {
        int ws[] = {ws_attach_client(s[0], WS_TEXT | WS_NOHTTP, NULL, NULL, -1),
                    ws_attach_server(s[1], WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, -1)};
        for (int i = 0; i != COUNT; ++i) CHECK_INT(ws_send(ws[0], WS_TEXT | WS_GATHER, "x", 1, -1), 0);
        settle();
        let_clock_go_by_readings();
        for (int i = 0; i != COUNT; ++i) CHECK_INT(ws_recv(ws[1], NULL, buf, sizeof(buf), now()), 1);
        let_clock_go();
        CHECK_INT(hclose(ws[0]), 0);
        CHECK_INT(hclose(ws[1]), 0);
    }
    make_ipc_pair(s);
    s[0] = prefix_attach(s[0], 1, 0);
    s[1] = prefix_attach(s[1], 1, 0);
    CHECK(s[0] >= 0 && s[1] >= 0);
    let_clock_go_by_readings();
    for (int i = 0; i != COUNT; ++i) {
        CHECK_INT(msend(s[0], "x", 1, -1), 0);
        CHECK_INT(mrecv(s[1], buf, sizeof(buf), now()), 1);
    }
}

TEST(messages) {
    int s[2], h[2];
    begin();
    EACH_LOWER(s) {
        AT_ONCE(h[0] = prefix_attach(s[0], 2, 0));
        AT_ONCE(h[1] = prefix_attach(s[1], 2, 0));
        exchange_messages(h[0], h[1]);
        AT_ONCE(s[0] = prefix_detach(h[0]));
        AT_ONCE(s[1] = prefix_detach(h[1]));
        AT_ONCE(h[0] = suffix_attach(s[0], "\n", 1));
        AT_ONCE(h[1] = suffix_attach(s[1], "\n", 1));
        exchange_messages(h[0], h[1]);
        int t[2];
        AT_ONCE(t[0] = term_attach(h[0], "end", 3));
        AT_ONCE(t[1] = term_attach(h[1], "end", 3));
        exchange_messages(t[0], t[1]);
        AT_ONCE(term_done(t[0], -1));
        AT_ONCE(term_done(t[1], -1));
        settle();
        AT_ONCE(h[0] = term_detach(t[0], -1));
        AT_ONCE(h[1] = term_detach(t[1], -1));
        AT_ONCE(s[0] = suffix_detach(h[0], -1));
        AT_ONCE(s[1] = suffix_detach(h[1], -1));
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(WebSocket) {
    int s[2], h[2], flags, status;
    begin();
    EACH_LOWER(s) {
        AT_ONCE(h[0] = ws_attach_client(s[0], WS_NOHTTP, NULL, NULL, -1));
        AT_ONCE(h[1] = ws_attach_server(s[1], WS_NOHTTP, NULL, 0, NULL, 0, -1));
        exchange_messages(h[0], h[1]);
        exchange_messages(h[1], h[0]);
        AT_ONCE(ws_send(h[0], WS_TEXT, "hello", 5, -1));
        AT_ONCE(ws_send(h[0], WS_TEXT | WS_GATHER, "hello", 5, -1));
        settle();
        AT_ONCE(ws_recv(h[1], &flags, buf, sizeof(buf), -1));
        AT_ONCE(ws_recv(h[1], &flags, NULL, 5, -1));
        AT_ONCE(ws_done(h[0], 1000, "why", 3, -1));
        AT_ONCE(ws_done(h[1], 1000, "so", 2, -1));
        settle();
        AT_ONCE(s[0] = ws_detach(h[0], 1000, "", 0, -1));
        CHECK_ERR(ws_recv(h[1], NULL, buf, sizeof(buf), -1), -1, EPIPE);
        AT_ONCE(ws_status(h[1], &status, buf, sizeof(buf)));
        AT_ONCE(s[1] = ws_detach(h[1], 1000, "", 0, -1));
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(HTTP) {
    int s[2], h[2];
    char a[64], b[64];
    begin();
    EACH_LOWER(s) {
        AT_ONCE(h[0] = http_attach(s[0]));
        AT_ONCE(h[1] = http_attach(s[1]));
        AT_ONCE(http_sendrequest(h[0], "GET", "/", -1));
        AT_ONCE(http_sendfield(h[0], "Host", "here", -1));
        AT_ONCE(http_done(h[0], -1));
        AT_ONCE(http_sendstatus(h[1], 200, "OK", -1));
        AT_ONCE(http_done(h[1], -1));
        settle();
        AT_ONCE(http_recvrequest(h[1], a, sizeof(a), b, sizeof(b), -1));
        AT_ONCE(http_recvfield(h[1], a, sizeof(a), b, sizeof(b), -1));
        AT_ONCE(http_recvstatus(h[0], a, sizeof(a), -1));
        for (int i = 0; i != 2; ++i) {
            int before = others;
            /* Sets errno to 0, as libdill has it. */
            CHECK((s[i] = http_detach(h[i], -1)) >= 0);
            CHECK_INT(others, before);
        }
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(SOCKS5) {
    int s[2], port;
    struct ipaddr addr;
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 80, 0), 0);
    begin();
    EACH_LOWER(s) {
        CHECK_INT(bsend(s[0], "\5\1\0\5\1\0\1\1\2\3\4\0\5\5\1\0\1\1\2\3\4\0\5", 23, -1), 0);
        settle();
        AT_ONCE(socks5_proxy_auth(s[1], NULL, -1));
        AT_ONCE(socks5_proxy_recvcommand(s[1], &addr, -1));
        AT_ONCE(socks5_proxy_recvcommandbyname(s[1], buf, &port, -1));
        AT_ONCE(socks5_proxy_sendreply(s[1], SOCKS5_SUCCESS, &addr, -1));
        CHECK_INT(brecv(s[0], NULL, 2 + 10, -1), 0);
        CHECK_INT(bsend(s[1], "\5\0\5\0\0\1\1\2\3\4\0\5", 12, -1), 0);
        settle();
        AT_ONCE(socks5_client_connect(s[0], NULL, NULL, &addr, -1));
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(connections) {
    int s[2], l, pair[2], fd;
    struct ipaddr addr;
    char path[sizeof(test_directory) + 2];
    begin();
    AT_ONCE(ipaddr_local(&addr, "127.0.0.1", 0, 0));
    AT_ONCE(l = tcp_listen(&addr, 5));
    s[0] = tcp_connect(&addr, -1);
    wait_until_readable();
    AT_ONCE(s[1] = tcp_accept(l, NULL, -1));
    AT_ONCE(tcp_done(s[0], -1));
    AT_ONCE(tcp_done(s[1], -1));
    settle();
    AT_ONCE(tcp_close(s[0], -1));
    AT_ONCE(tcp_close(s[1], -1));
    AT_ONCE(hclose(l));
    snprintf(path, sizeof(path), "%s/s", test_directory);
    AT_ONCE(l = ipc_listen(path, 5));
    AT_ONCE(s[0] = ipc_connect(path, -1));
    AT_ONCE(s[1] = ipc_accept(l, -1));
    AT_ONCE(ipc_sendfd(s[0], 0, -1));
    AT_ONCE(fd = ipc_recvfd(s[1], -1));
    CHECK_INT(close(fd), 0);
    AT_ONCE(ipc_done(s[0], -1));
    AT_ONCE(ipc_done(s[1], -1));
    AT_ONCE(ipc_close(s[0], -1));
    AT_ONCE(ipc_close(s[1], -1));
    AT_ONCE(hclose(l));
    AT_ONCE(ipc_pair(pair));
    AT_ONCE(hclose(pair[0]));
    AT_ONCE(hclose(pair[1]));
}

TEST(datagrams) {
    struct ipaddr addr, from;
    int s;
    begin();
    AT_ONCE(ipaddr_local(&addr, "127.0.0.1", 0, 0));
    AT_ONCE(s = udp_open(&addr, NULL));
    AT_ONCE(udp_send(s, &addr, "hello", 5));
    wait_until_readable();
    AT_ONCE(udp_recv(s, &from, buf, sizeof(buf), -1));
    AT_ONCE(hclose(s));
}

coroutine static void wait_in(int ch) {
    int value;
    chrecv(ch, &value, sizeof(value), -1);
}
coroutine static void wait_out(int ch) {
    int value = 1;
    chsend(ch, &value, sizeof(value), -1);
}
coroutine static void nothing(void) {}

TEST(the_runtime) {
    int ch[2], b, value = 1, fds[2];
    AT_ONCE(b = bundle());
    bundle_go(b, wait_in(-1));
    AT_ONCE(bundle_wait(b, -1));
    AT_ONCE(hclose(b));
    AT_ONCE(chmake(ch));
    int in = go(wait_in(ch[1]));
    AT_ONCE(chsend(ch[0], &value, sizeof(value), -1));
    int out = go(wait_out(ch[1]));
    AT_ONCE(chrecv(ch[0], &value, sizeof(value), -1));
    AT_ONCE(chdone(ch[0]));
    AT_ONCE(hclose(ch[0]));
    AT_ONCE(hclose(ch[1]));
    CHECK_INT(hclose(in), 0);
    CHECK_INT(hclose(out), 0);
    b = go(nothing());
    AT_ONCE(bundle_wait(b, -1));
    AT_ONCE(b = hown(b));
    AT_ONCE(hclose(b));
    CHECK_INT(pipe(fds), 0);
    AT_ONCE(fdclean(fds[0]));
}
