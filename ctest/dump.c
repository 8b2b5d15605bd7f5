/* dill_dump: a line for each coroutine, with what it waits for, and for each handle. */

#include <pthread.h>

#include <libdillext.h>

#ifndef WITHOUT_SOCKETS
#include "pair.h"
#endif
#include "test.h"

static char text[16384];

/* What it writes. */
static void dump(void) {
    int p[2];
    CHECK_INT(pipe(p), 0);
    errno = 42;
    dill_dump(p[1]);
    CHECK_INT(errno, 42);
    CHECK_INT(close(p[1]), 0);
    ssize_t n, len = 0;
    while ((n = read(p[0], text + len, sizeof(text) - 1 - (size_t)len)) > 0) len += n;
    text[len] = 0;
    CHECK_INT(close(p[0]), 0);
}

/* The line is this, "..." being anything. */
static int matches(const char *line, const char *wanted) {
    if (strncmp(wanted, "...", 3) == 0) {
        do
            if (matches(line, wanted + 3)) return 1;
        while (*line++);
        return 0;
    }
    return *line == *wanted && (!*line || matches(line + 1, wanted + 1));
}

/* A line of it is this, "..." being anything. */
__attribute__((format(printf, 1, 2))) static void expect(const char *format, ...) {
    char wanted[512];
    va_list args;
    va_start(args, format);
    vsnprintf(wanted, sizeof(wanted), format, args);
    va_end(args);
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        char copy[512];
        size_t len = strcspn(line, "\n");
        CHECK(len < sizeof(copy));
        memcpy(copy, line, len);
        copy[len] = 0;
        if (matches(copy, wanted)) return;
    }
    test_fail(__FILE__, __LINE__, "no line \"%s\" in:\n%s", wanted, text);
}

static void *elsewhere(void *unused) {
    dump();
    return unused;
}

TEST(a_thread_that_has_not_used_the_library_says_so) {
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, elsewhere, NULL), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_STR(text, "this thread has not used libdill\n");
}

coroutine static void sleeper(int64_t deadline) { msleep(deadline); }
coroutine static void receiver(int ch) { chrecv(ch, NULL, 0, -1); }
coroutine static void sender(int ch, int64_t deadline) { chsend(ch, NULL, 0, deadline); }
coroutine static void reader(int fd) { fdin(fd, -1); }
coroutine static void waiter(int b) { bundle_wait(b, -1); }
coroutine static void dumper(void) { dump(); }
coroutine static void busy(void) {
    while (yield() == 0) continue;
}

TEST(each_coroutine_says_what_it_waits_for) {
    int ch[2], other[2], p[2], b = bundle();
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(chmake(other), 0);
    CHECK_INT(pipe(p), 0);
    int line = __LINE__ + 1;
    CHECK_INT(bundle_go(b, sleeper(now() + 1000000)), 0);
    CHECK_INT(bundle_go(b, sleeper(-1)), 0);
    CHECK_INT(bundle_go(b, receiver(ch[0])), 0);
    CHECK_INT(bundle_go(b, sender(other[0], now() + 1000000)), 0);
    CHECK_INT(bundle_go(b, reader(p[0])), 0);
    CHECK_INT(bundle_go(b, waiter(b)), 0);
    CHECK_INT(bundle_go(b, busy()), 0);
    int h = go(dumper());
    expect("main: is ready to run");
    expect("coroutine 1, bundle %d, launched at %s:%d: waits for its deadline, in ... ms", b, __FILE__, line);
    expect("coroutine 2, bundle %d, launched at %s:%d: waits", b, __FILE__, line + 1);
    expect("coroutine 3, ...: waits for somebody to send to channel %d", ch[0]);
    expect("coroutine 4, ... ms, or for somebody to receive from channel %d", other[0]);
    expect("coroutine 5, ...: waits for descriptor %d to be readable", p[0]);
    expect("coroutine 6, ...: waits for the coroutines of bundle %d to end", b);
    expect("coroutine 7, ...: is ready to run");
    expect("coroutine 8, ...: runs");
    expect("handle %d: bundle", b);
    expect("handle %d: channel", ch[1]);
    CHECK_INT(hclose(h), 0);
    dump();
    expect("main: runs");
    CHECK_INT(hclose(b), 0);
    dump();
    CHECK(!strstr(text, "coroutine"));
}

coroutine static void chooser(int a, int b) {
    struct chclause clauses[] = {{CHSEND, a, NULL, 0}, {CHRECV, b, NULL, 0}};
    choose(clauses, 2, -1);
}

TEST(choose_says_all_that_it_waits_for) {
    int a[2], b[2];
    CHECK_INT(chmake(a), 0);
    CHECK_INT(chmake(b), 0);
    int h = go(chooser(a[0], b[0]));
    dump();
    expect("coroutine 1, ... somebody to send to channel %d, or for somebody to receive from channel %d", b[0], a[0]);
    CHECK_INT(hclose(h), 0);
}

#ifndef WITHOUT_SOCKETS
TEST(each_handle_says_what_it_is_and_on_what) {
    struct ipaddr addr;
    int s[2], tcp[2], listener = listen_somewhere(&addr);
    make_ipc_pair(s);
    make_tcp_pair(tcp);
    int ws = ws_attach_server(s[0], WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, -1);
    int prefix = prefix_attach(tcp[0], 2, 0);
    dump();
    int fd, connection;
    make_ipc_and_raw(&connection, &fd);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    int request = ws_recvrequest(connection, now() + 5000);
    dump();
    expect("handle %d: HTTP request, on handle ...", request);
    expect("handle %d: TCP listener, descriptor ...", listener);
    expect("handle ...: AF_UNIX connection, descriptor ...");
    expect("handle %d: WebSocket, on handle ..., open", ws);
    expect("handle %d: PREFIX, on handle ...", prefix);
    CHECK_INT(ws_done(ws, 1000, NULL, 0, -1), 0);
    CHECK_INT(tcp_done(tcp[1], -1), 0);
    dump();
    expect("handle %d: WebSocket, on handle ..., closed by us", ws);
    expect("handle %d: TCP connection, descriptor ..., ended by us", tcp[1]);
}

coroutine static void receive(int ws) { ws_recv(ws, NULL, NULL, 0, now() + 1000000); }

TEST(who_receives_from_a_WebSocket_waits_for_its_descriptor) {
    int s[2];
    make_ipc_pair(s);
    int ws = ws_attach_server(s[0], WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, -1), h = go(receive(ws));
    dump();
    expect("coroutine 1, ... to be readable");
    CHECK_INT(hclose(h), 0);
}
#endif
