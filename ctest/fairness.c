/* A peer that sends without a pause, or takes whatever it is sent, keeps a coroutine busy that never has to wait. The
   others of its thread, those that sleep and those that wait for sockets, go on all the same, and its deadline ends the call.
   A test that fails here does not come to its end. */

#include <libdillext.h>

#include "lower.h"
#include "tls.h"

/* How far the others have to come. */
enum { ENOUGH = 20 };

static int ticks, echoes;

coroutine static void sleep_and_count(void) {
    while (msleep(now() + 1) == 0) ++ticks;
}

coroutine static void echo_and_count(int s) {
    char c = 'e';
    while (bsend(s, &c, 1, -1) == 0 && brecv(s, &c, 1, -1) == 0) ++echoes;
}


static pid_t children[16];
static int child_count;

/* A process that runs the function for ever. */
static void in_process(void (*run)(int fd, const char *text), int fd, const char *text) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        run(fd, text);
        _exit(0);
    }
    children[child_count++] = child;
}

static void write_text(int fd, const char *text) {
    static char all[65536];
    size_t len = strlen(text), at = 0;
    for (; at + len <= sizeof(all); at += len) memcpy(all + at, text, len);
    while (send(fd, all, at, MSG_NOSIGNAL) >= 0) continue;
}

static void read_all(int fd, const char *text) {
    static char all[1 << 20];
    struct timeval none = {0, 0};
    (void)text;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    while (recv(fd, all, sizeof(all), 0) > 0) continue;
}

static void echo(int fd, const char *text) {
    char c;
    struct timeval none = {0, 0};
    (void)text;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    while (recv(fd, &c, 1, 0) == 1 && send(fd, &c, 1, MSG_NOSIGNAL) == 1) continue;
}

static void start_others(void) {
    int s, fd;
    make_tcp_and_raw(&s, &fd);
    in_process(echo, fd, "");
    CHECK(go(sleep_and_count()) >= 0);
    CHECK(go(echo_and_count(s)) >= 0);
    CHECK_INT(yield(), 0);
}

static void end_children(void) {
    while (child_count > 0) {
        CHECK_INT(kill(children[--child_count], SIGKILL), 0);
        CHECK_INT(waitpid(children[child_count], NULL, 0), children[child_count]);
    }
}

/* Repeats the statement until the others have come far enough. */
#define WHILE_OTHERS_RUN(STATEMENT)                          \
    do {                                                     \
        start_others();                                      \
        while (ticks < ENOUGH || echoes < ENOUGH) STATEMENT; \
        end_children();                                      \
    } while (0)

/* Repeats the call, whose deadline is `deadline`, until it fails: for that reason. */
#define UNTIL_THE_DEADLINE(CALL)                     \
    do {                                             \
        int64_t deadline = now() + 50;              \
        while ((CALL) >= 0) continue;                \
        CHECK_INT(errno, ETIMEDOUT);                 \
        CHECK(now() >= deadline);                    \
        end_children();                              \
    } while (0)

/* --- A peer that floods --- */

static char buf[1000];
static int h, fd;

static int attach_nothing(int s) { return s; }
static int attach_prefix(int s) { return prefix_attach(s, 1, 0); }
static int attach_suffix(int s) { return suffix_attach(s, "\n", 1); }
static int attach_term(int s) { return term_attach(suffix_attach(s, "\n", 1), "end", 3); }
static int attach_http(int s) { return http_attach(s); }
static int attach_ws(int s) { return ws_attach_server(s, WS_NOHTTP, NULL, 0, NULL, 0, -1); }

static void flood(int lower, int (*attach)(int s), const char *text) {
    int s;
    if (lower == 0) make_tcp_and_raw(&s, &fd);
    if (lower == 1) make_ipc_and_raw(&s, &fd);
    if (lower == 2) make_user_and_raw(&s, &fd);
    CHECK((h = attach(s)) >= 0);
    in_process(write_text, fd, text);
    /* What is answered must not fill its buffers. */
    if (attach == attach_ws) in_process(read_all, fd, text);
}

#define LINES "hello\n"
#define FRAMES "\x82\x85" "abcd" "\x09\x07\x0f\x08\x0e"
#define PINGS "\x89\x85" "abcd" "\x09\x07\x0f\x08\x0e"
#define FRAGMENTS "\x02\x85" "abcd" "\x09\x07\x0f\x08\x0e" "\x80\x85" "abcd" "\x09\x07\x0f\x08\x0e"

static int get_bytes(int64_t deadline) { return brecv(h, buf, 5, deadline); }
static int skip_bytes(int64_t deadline) { return brecv(h, NULL, 5, deadline); }
static int get_message(int64_t deadline) { return (int)mrecv(h, buf, sizeof(buf), deadline); }
static int drop_message(int64_t deadline) { return (int)mrecvl(h, NULL, NULL, deadline); }
static int get_field(int64_t deadline) {
    char name[32];
    return http_recvfield(h, name, sizeof(name), buf, sizeof(buf), deadline);
}
static int echo_message(int64_t deadline) {
    int rc = get_message(deadline);
    return rc < 0 ? rc : ws_send(h, WS_TEXT, buf, (size_t)rc, -1);
}

static const struct {
    int (*attach)(int s);
    const char *text;
    int (*call)(int64_t deadline);
} floods[] = {
    {attach_nothing, LINES, get_bytes},     {attach_nothing, LINES, skip_bytes},  {attach_prefix, "\5hello", get_message},
    {attach_prefix, "\5hello", drop_message}, {attach_suffix, LINES, get_message},  {attach_suffix, LINES, drop_message},
    {attach_term, LINES, get_message},      {attach_http, "a: b\r\n", get_field}, {attach_ws, FRAMES, get_message},
    {attach_ws, FRAMES, drop_message},      {attach_ws, FRAMES, echo_message},    {attach_ws, FRAGMENTS, get_message},
};
enum { FLOODS = sizeof(floods) / sizeof(floods[0]) };

static void run_floods(int lower, int with_deadline) {
    for (int i = 0; i != FLOODS; ++i) {
        flood(lower, floods[i].attach, floods[i].text);
        ticks = echoes = 0;
        if (with_deadline) UNTIL_THE_DEADLINE(floods[i].call(deadline));
        else WHILE_OTHERS_RUN(CHECK(floods[i].call(-1) >= 0));
        CHECK_INT(hclose(h), 0);
        CHECK_INT(close(fd), 0);
    }
}

TEST(others_run_while_somebody_receives_from_a_flood_over_TCP) { run_floods(0, 0); }
TEST(others_run_while_somebody_receives_from_a_flood_over_AF_UNIX) { run_floods(1, 0); }
TEST(others_run_while_somebody_receives_from_a_flood_over_a_users_bytestream) { run_floods(2, 0); }
TEST(deadlines_end_calls_in_a_flood_over_TCP) { run_floods(0, 1); }
TEST(deadlines_end_calls_in_a_flood_over_AF_UNIX) { run_floods(1, 1); }
TEST(deadlines_end_calls_in_a_flood_over_a_users_bytestream) { run_floods(2, 1); }

/* --- One call that a flood keeps inside --- */

coroutine static void receive_for_ever(void) { get_message(-1); }
coroutine static void skip_for_ever(void) { brecvl(h, NULL, NULL, -1); }

TEST(others_run_while_one_call_answers_pings) {
    for (int lower = 0; lower != 3; ++lower) {
        flood(lower, attach_ws, PINGS);
        ticks = echoes = 0;
        int b = go(receive_for_ever());
        WHILE_OTHERS_RUN(CHECK_INT(yield(), 0));
        CHECK_INT(hclose(b), 0);
    }
}

TEST(others_run_while_one_call_drops_all_that_comes) {
    for (int lower = 0; lower != 2; ++lower) {
        flood(lower, attach_nothing, LINES);
        ticks = echoes = 0;
        int b = go(skip_for_ever());
        WHILE_OTHERS_RUN(CHECK_INT(yield(), 0));
        CHECK_INT(hclose(b), 0);
    }
}

TEST(the_deadline_of_one_call_ends_it_among_pings) {
    for (int lower = 0; lower != 3; ++lower) {
        flood(lower, attach_ws, PINGS);
        UNTIL_THE_DEADLINE(get_message(deadline));
    }
}

TEST(detaching_ends_at_its_deadline_whatever_is_sent) {
    for (int lower = 0; lower != 3; ++lower) {
        flood(lower, attach_ws, FRAMES);
        UNTIL_THE_DEADLINE(ws_detach(h, 1000, "", 0, deadline));
        flood(lower, attach_ws, PINGS);
        UNTIL_THE_DEADLINE(ws_detach(h, 1000, "", 0, deadline));
        flood(lower, attach_http, "a: b\r\n");
        UNTIL_THE_DEADLINE(http_detach(h, deadline));
        flood(lower, attach_term, LINES);
        UNTIL_THE_DEADLINE(term_detach(h, deadline));
    }
    flood(0, attach_nothing, LINES);
    UNTIL_THE_DEADLINE(tcp_close(h, deadline));
    flood(1, attach_nothing, LINES);
    UNTIL_THE_DEADLINE(ipc_close(h, deadline));
}

/* --- A peer that takes everything --- */

static void absorb(int lower, int (*attach)(int s)) {
    int s;
    if (lower == 0) make_tcp_and_raw(&s, &fd);
    if (lower == 1) make_ipc_and_raw(&s, &fd);
    if (lower == 2) make_user_and_raw(&s, &fd);
    CHECK((h = attach(s)) >= 0);
    in_process(read_all, fd, "");
}

TEST(others_run_while_somebody_sends_to_a_fast_reader) {
    for (int lower = 0; lower != 3; ++lower) {
        absorb(lower, attach_nothing);
        ticks = echoes = 0;
        WHILE_OTHERS_RUN(CHECK_INT(bsend(h, buf, 20, -1), 0));
        absorb(lower, attach_prefix);
        ticks = echoes = 0;
        WHILE_OTHERS_RUN(CHECK_INT(msend(h, buf, 20, -1), 0));
        absorb(lower, attach_http);
        ticks = echoes = 0;
        WHILE_OTHERS_RUN(CHECK_INT(http_sendfield(h, "a", "b", -1), 0));
        absorb(lower, attach_ws);
        ticks = echoes = 0;
        WHILE_OTHERS_RUN(CHECK_INT(ws_send(h, WS_BINARY, buf, 20, -1), 0));
        absorb(lower, attach_ws);
        ticks = echoes = 0;
        WHILE_OTHERS_RUN(CHECK_INT(ws_send(h, WS_BINARY | WS_GATHER, buf, 20, -1), 0));
    }
}

/* --- What has no connection --- */

static struct ipaddr addr;

static void connect_for_ever(int unused, const char *text) {
    (void)unused, (void)text;
    for (;;) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        struct linger reset = {1, 0};
        setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        connect(s, ipaddr_sockaddr(&addr), (socklen_t)ipaddr_len(&addr));
        close(s);
    }
}

TEST(others_run_while_somebody_accepts_for_ever) {
    h = listen_somewhere(&addr);
    in_process(connect_for_ever, -1, "");
    in_process(connect_for_ever, -1, "");
    WHILE_OTHERS_RUN({
        int s = tcp_accept(h, NULL, -1);
        CHECK(s >= 0);
        CHECK_INT(hclose(s), 0);
    });
}

static void send_datagrams(int unused, const char *text) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    (void)unused;
    for (;;) sendto(s, text, 5, 0, ipaddr_sockaddr(&addr), (socklen_t)ipaddr_len(&addr));
}

TEST(others_run_while_somebody_receives_datagrams_for_ever) {
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    CHECK((h = udp_open(&addr, NULL)) >= 0);
    in_process(send_datagrams, -1, "hello");
    in_process(send_datagrams, -1, "hello");
    WHILE_OTHERS_RUN(CHECK_INT(udp_recv(h, NULL, buf, sizeof(buf), -1), 5));
}

TEST(others_run_while_somebody_sends_datagrams_for_ever) {
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    CHECK((h = udp_open(&addr, NULL)) >= 0);
    WHILE_OTHERS_RUN(CHECK_INT(udp_send(h, &addr, "hello", 5), 0));
}

static void tls_flood(int s, const char *text) {
    while (bsend(s, text, 5, -1) == 0) continue;
}

TEST(others_run_while_somebody_receives_from_a_flood_over_TLS) {
    int pair[2];
    make_tls_over_ipc(pair);
    in_process(tls_flood, pair[1], "hello");
    WHILE_OTHERS_RUN(CHECK_INT(brecv(pair[0], buf, 5, -1), 0));
}

/* --- What nobody sends --- */

coroutine static void end_at_once(void) {}

TEST(others_run_while_somebody_launches_coroutines_for_ever) {
    int b = bundle();
    CHECK(b >= 0);
    WHILE_OTHERS_RUN({
        int rc = bundle_go(b, end_at_once());
        CHECK_INT(rc, 0);
    });
    ticks = echoes = 0;
    WHILE_OTHERS_RUN({
        int one = go(end_at_once());
        CHECK_INT(hclose(one), 0);
    });
}

TEST(others_run_while_somebody_passes_descriptors_for_ever) {
    int pair[2];
    make_ipc_pair(pair);
    WHILE_OTHERS_RUN({
        CHECK_INT(ipc_sendfd(pair[0], 0, -1), 0);
        CHECK_INT(close(ipc_recvfd(pair[1], -1)), 0);
    });
}

/* Of an AF_UNIX stream nothing is read ahead, so that this takes many system calls. */
TEST(others_run_while_somebody_receives_long_heads_for_ever) {
    static char head[50000];
    size_t len = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i != 100; ++i)
        len += (size_t)snprintf(head + len, sizeof(head) - len, "Name-%d: %0400d\r\n", i, i);
    len += (size_t)snprintf(head + len, sizeof(head) - len, "\r\n");
    WHILE_OTHERS_RUN({
        int s;
        int peer;
        make_ipc_and_raw(&s, &peer);
        raw_send(peer, head, len);
        CHECK((s = ws_recvrequest(s, -1)) >= 0);
        CHECK_INT(hclose(s), 0);
        CHECK_INT(close(peer), 0);
    });
}

/* Of several that have used up their time, each comes to its turn. */
coroutine static void receive_and_count(int s, int *count) {
    while (mrecv(s, NULL, 5, -1) >= 0) ++*count;
}

TEST(several_floods_are_served_in_turn) {
    static int counts[5];
    for (int i = 0; i != 5; ++i) {
        flood(i % 3, attach_ws, FRAMES);
        CHECK(go(receive_and_count(h, &counts[i])) >= 0);
    }
    for (int i = 0; i != 5;) {
        CHECK_INT(yield(), 0);
        if (counts[i] > 1000) ++i;
    }
    end_children();
}
