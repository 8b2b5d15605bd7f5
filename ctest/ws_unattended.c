/* Pings that come while nobody receives. */

#include <sys/syscall.h>

#include <libdillext.h>

#include "test.h"
#include "tls.h"
#include "wire.h"

static struct wire w;

/* Calls are counted: the program's symbol wins over that of libc. What they send may be held back, so that it
   comes at once. */
static int sends, is_held;
static struct { int fd; size_t len; char bytes[60000]; } held;

ssize_t send(int fd, const void *data, size_t len, int flags) {
    ++sends;
    if (is_held) {
        CHECK(len <= sizeof(held.bytes) - held.len);
        memcpy(held.bytes + held.len, data, len);
        held.len += len;
        held.fd = fd;
        return (ssize_t)len;
    }
    return (ssize_t)syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

static int64_t in_time(void) { return now() + 5000; }

static void attach_to(int s, enum role role, int64_t max) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT, .max_message = (uint64_t)max};
    w.role = role;
    w.ws = role == SERVER ? ws_attach_server_opts(s, &opts, -1) : ws_attach_client_opts(s, NULL, NULL, &opts, -1);
    CHECK(w.ws >= 0);
}

static void open_new(enum role role) {
    int s;
    make_tcp_and_raw(&s, &w.fd);
    attach_to(s, role, 0);
}

#define EACH_NEW_ROLE for (int role_ = CLIENT; role_ <= SERVER && (open_new((enum role)role_), 1); ++role_)

/* Lets the library see what has come. */
static void look(void) { CHECK_INT(msleep(now() + 5), 0); }

/* The next frame, which leaves while we sleep. */
static void expect_soon(int first, const char *text) {
    struct pollfd p = {w.fd, POLLIN, 0};
    for (int i = 0; i != 1000 && poll(&p, 1, 0) == 0; ++i) look();
    wire_expect_text(&w, first, text);
}

TEST(a_ping_is_answered_while_nobody_receives) {
    EACH_NEW_ROLE {
        wire_send_text(&w, FIN | PING, "one");
        expect_soon(FIN | PONG, "one");
        wire_send_text(&w, FIN | PING, "two");
        expect_soon(FIN | PONG, "two");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(a_ping_that_was_answered_is_not_answered_again_with_what_is_sent_later) {
    EACH_NEW_ROLE {
        wire_send_text(&w, FIN | PING, "p");
        expect_soon(FIN | PONG, "p");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE, "a", 1, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "b", 1, in_time()), 0);
        wire_expect_text(&w, TEXT, "a");
        wire_expect_text(&w, FIN | CONTINUATION, "b");
        CHECK_RAW_SILENT(w.fd);
    }
}

static char large[20000000];

coroutine static void send_large(void) {
    CHECK_INT(ws_send(w.ws, WS_BINARY, large, sizeof(large), in_time()), 0);
}

TEST(a_ping_that_comes_while_a_message_is_leaving_is_answered_behind_it) {
    static char sink[1000000];
    size_t len = 0;
    open_new(SERVER);
    int h = go(send_large());
    wire_send_text(&w, FIN | PING, "p");
    look();
    look();
    while (len < 10 + sizeof(large)) {
        size_t most = 10 + sizeof(large) - len;
        ssize_t n = recv(w.fd, sink, most < sizeof(sink) ? most : sizeof(sink), MSG_DONTWAIT);
        if (n < 0) CHECK_INT(errno, EAGAIN);
        CHECK(n != 0);
        for (ssize_t i = 0; i < n; ++i, ++len)
            if (len >= 10) CHECK_INT(sink[i], 0);
        CHECK_INT(yield(), 0);
    }
    expect_soon(FIN | PONG, "p");
    CHECK_INT(bundle_wait(h, in_time()), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(behind_our_close_frame_a_ping_is_not_answered) {
    EACH_NEW_ROLE {
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, in_time()), 0);
        wire_expect_close(&w, 1000);
        wire_send_text(&w, FIN | PING, "p");
        wire_send_text(&w, FIN | TEXT, "a");
        look();
        expect_text(w.ws, "a");
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(a_ping_behind_messages_is_answered_once_and_the_messages_stay) {
    EACH_NEW_ROLE {
        wire_send_text(&w, FIN | TEXT, "first");
        wire_send_text(&w, TEXT, "sec");
        wire_send_text(&w, FIN | PING, "one");
        wire_send_text(&w, FIN | CONTINUATION, "ond");
        wire_send_text(&w, FIN | PING, "two");
        expect_soon(FIN | PONG, "one");
        expect_soon(FIN | PONG, "two");
        expect_text(w.ws, "first");
        expect_text(w.ws, "second");
        wire_send_text(&w, FIN | PING, "three");
        wire_send_text(&w, FIN | TEXT, "third");
        expect_text(w.ws, "third");
        wire_expect_text(&w, FIN | PONG, "three");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(a_ping_right_behind_the_handshake_is_answered) {
    struct ws_opts opts = {.size = sizeof(opts)};
    char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    uint8_t both[400];
    size_t n = strlen(request);
    int s;
    memcpy(both, request, n);
    n += frame_build(both + n, SERVER, FIN | PING, "hi", 2);
    w.role = SERVER;
    make_tcp_and_raw(&s, &w.fd);
    raw_send(w.fd, both, n);
    w.ws = ws_attach_server_opts(s, &opts, in_time());
    CHECK(w.ws >= 0);
    for (int ends = 0; ends != 4;) {
        char c;
        raw_recv(w.fd, &c, 1);
        ends = c == "\r\n\r\n"[ends] ? ends + 1 : 0;
    }
    expect_soon(FIN | PONG, "hi");
    CHECK_INT(hclose(w.ws), 0);
}

TEST(a_flood_of_pings_is_answered_by_few_calls) {
    enum { PINGS = 3000 };
    EACH_NEW_ROLE {
        uint8_t frames[PINGS * 8];
        size_t n = 0;
        for (int i = 0; i != PINGS; ++i) n += frame_build(frames + n, w.role, FIN | PING, "hi", 2);
        look();
        raw_send(w.fd, frames, n);
        sends = 0;
        look();
        CHECK(sends < 20);
        for (int i = 0; i != PINGS; ++i) expect_soon(FIN | PONG, "hi");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(frames_that_come_in_pieces_are_put_together) {
    EACH_NEW_ROLE {
        uint8_t frames[100];
        size_t n = frame_build(frames, w.role, FIN | TEXT, "hello", 5);
        n += frame_build(frames + n, w.role, FIN | PING, "hi", 2);
        for (size_t i = 0; i != n; ++i) {
            raw_send(w.fd, frames + i, 1);
            look();
        }
        expect_soon(FIN | PONG, "hi");
        expect_text(w.ws, "hello");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(what_a_receive_has_left_is_looked_at) {
    EACH_NEW_ROLE {
        uint8_t frames[100];
        size_t n = frame_build(frames, w.role, FIN | TEXT, "hello", 5);
        n += frame_build(frames + n, w.role, FIN | TEXT, "next", 4);
        n += frame_build(frames + n, w.role, FIN | PING, "hi", 2);
        raw_send(w.fd, frames, n);
        expect_text(w.ws, "hello");
        expect_soon(FIN | PONG, "hi");
        expect_text(w.ws, "next");
    }
}

TEST(a_ping_behind_a_large_message_that_was_received_is_answered) {
    EACH_NEW_ROLE {
        enum { LARGE = 300000 };
        static char large[LARGE];
        uint8_t *frames = (uint8_t *)malloc(LARGE + 100);
        size_t n = frame_build(frames, w.role, FIN | BINARY, large, LARGE);
        for (int i = 0; i != 3; ++i) n += frame_build(frames + n, w.role, FIN | PING, "hi", 2);
        int peer = wire_adopt(dup(w.fd));
        CHECK_INT(bsend(peer, frames, n, in_time()), 0);
        expect_message(w.ws, WS_BINARY, large, LARGE);
        expect_soon(FIN | PONG, "hi");
        free(frames);
    }
}

TEST(no_more_than_64_KiB_are_read) {
    EACH_NEW_ROLE {
        enum { PART = 1000, PARTS = 200 };
        static char part[PART];
        for (int i = 0; i != PARTS; ++i) {
            wire_send(&w, FIN | BINARY, part, PART);
            if (i % 10 == 0) look();
        }
        wire_send_text(&w, FIN | PING, "far");
        for (int i = 0; i != 20; ++i) look();
        CHECK_RAW_SILENT(w.fd);
        for (int i = 0; i != PARTS; ++i) expect_message(w.ws, WS_BINARY, part, PART);
        expect_soon(FIN | PONG, "far");
    }
}

TEST(a_close_frame_is_seen_at_once_and_received_in_its_place) {
    EACH_NEW_ROLE {
        int code = -1;
        char reason[20];
        wire_send_text(&w, FIN | TEXT, "hello");
        wire_send_close(&w, 1001, "bye");
        for (int i = 0; i != 1000 && ws_status(w.ws, &code, reason, sizeof(reason)) < 0; ++i) {
            CHECK_INT(errno, EAGAIN);
            look();
        }
        CHECK_INT(code, 1001);
        CHECK_MEM(reason, "bye", 3);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "a", 1, in_time()), 0);
        wire_expect_text(&w, FIN | TEXT, "a");
        expect_text(w.ws, "hello");
        CHECK_ERR(ws_recv(w.ws, NULL, reason, sizeof(reason), in_time()), -1, EPIPE);
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, in_time()), 0);
        wire_expect_close(&w, 1000);
    }
}

TEST(what_is_behind_a_close_frame_is_left_for_the_bytestream) {
    EACH_NEW_ROLE {
        uint8_t frames[100];
        char rest[4];
        size_t n = frame_build(frames, w.role, FIN | CLOSE, "", 0);
        int s;
        memcpy(frames + n, "rest", 4);
        raw_send(w.fd, frames, n + 4);
        for (int i = 0; i != 5; ++i) look();
        s = ws_detach(w.ws, 1000, NULL, 0, in_time());
        CHECK(s >= 0);
        CHECK_INT(brecv(s, rest, 4, in_time()), 0);
        CHECK_MEM(rest, "rest", 4);
        /* Nothing looks at the stream any more. */
        raw_send(w.fd, "more", 4);
        look();
        CHECK_INT(brecv(s, rest, 4, in_time()), 0);
        CHECK_MEM(rest, "more", 4);
    }
}

TEST(a_violation_and_the_end_are_kept_for_the_next_receive) {
    EACH_NEW_ROLE {
        char buf[20];
        wire_send_text(&w, FIN | TEXT, "hello");
        wire_send_text(&w, FIN | 3, "reserved");
        wire_send_text(&w, FIN | PING, "never");
        for (int i = 0; i != 5; ++i) look();
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "a", 1, in_time()), 0);
        wire_expect_text(&w, FIN | TEXT, "a");
        expect_text(w.ws, "hello");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), in_time()), -1, EPROTO);
        wire_expect_close(&w, 1002);
    }
    EACH_NEW_ROLE {
        char buf[20];
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        for (int i = 0; i != 5; ++i) look();
        expect_text(w.ws, "hello");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), in_time()), -1, ECONNRESET);
    }
}

coroutine static void send_many(int ws, int count) {
    for (int i = 0; i != count; ++i) CHECK_INT(ws_send(ws, WS_TEXT, "x", 1, in_time()), 0);
}

TEST(a_program_that_does_nothing_but_send_answers) {
    EACH_NEW_ROLE {
        int pongs = 0, h;
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        struct pollfd p = {w.fd, POLLIN, 0};
        wire_send_text(&w, FIN | PING, "hi");
        h = go(send_many(w.ws, 1000));
        for (int i = 0; i != 1000 && !pongs; ++i) {
            CHECK_INT(msleep(now() + 1), 0);
            while (!pongs && poll(&p, 1, 0) == 1) {
                wire_recv(&w, &f);
                pongs += f.first == (FIN | PONG);
            }
        }
        CHECK_INT(pongs, 1);
        CHECK_INT(hclose(h), 0);
    }
}

coroutine static void ping_and_end(void) {
    CHECK_INT(msleep(now() + 5), 0);
    wire_send_text(&w, FIN | PING, "hi");
}

/* Whoever ends polls once more, on a stack that is free already. */
TEST(a_ping_that_is_seen_while_a_coroutine_ends_is_answered) {
    open_new(SERVER);
    int h = go(ping_and_end());
    CHECK_INT(msleep(now() + 50), 0);
    expect_soon(FIN | PONG, "hi");
    CHECK_INT(hclose(h), 0);
}

TEST(over_AF_UNIX_and_libdills_own_calls_nothing_is_read) {
    for (int role = CLIENT; role <= SERVER; ++role) {
        int s;
        make_ipc_and_raw(&s, &w.fd);
        attach_to(s, (enum role)role, 0);
        wire_send_text(&w, FIN | PING, "hi");
        for (int i = 0; i != 5; ++i) look();
        CHECK_RAW_SILENT(w.fd);
        wire_open_tcp(&w, (enum role)role, WS_TEXT);
        wire_send_text(&w, FIN | PING, "hi");
        for (int i = 0; i != 5; ++i) look();
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(the_child_of_a_fork_answers_nothing) {
    EACH_NEW_ROLE {
        int status;
        pid_t child;
        look();
        child = fork();
        if (child == 0) {
            wire_send_text(&w, FIN | PING, "hi");
            for (int i = 0; i != 5; ++i) look();
            CHECK_RAW_SILENT(w.fd);
            exit(0);
        }
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
        expect_soon(FIN | PONG, "hi");
    }
}

TEST(a_handle_can_be_closed_before_it_was_looked_at) {
    EACH_NEW_ROLE {
        uint8_t frames[100];
        size_t n = frame_build(frames, w.role, FIN | TEXT, "hello", 5);
        n += frame_build(frames + n, w.role, FIN | PING, "hi", 2);
        raw_send(w.fd, frames, n);
        expect_text(w.ws, "hello");
        CHECK_INT(hclose(w.ws), 0);
        look();
    }
}

#ifndef DILL_DISABLE_TLS
TEST(over_TLS_pings_are_answered_too) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT};
    struct ws_info info = {.size = sizeof(info)};
    int s[2], ws[2];
    make_tls_over_tcp(s);
    ws[0] = ws_attach_client_opts(s[0], NULL, NULL, &opts, -1);
    ws[1] = ws_attach_server_opts(s[1], &opts, -1);
    CHECK(ws[0] >= 0 && ws[1] >= 0);
    CHECK_INT(ws_send(ws[0], WS_TEXT, "hello", 5, in_time()), 0);
    CHECK_INT(ws_ping(ws[0], "hi", 2, in_time()), 0);
    /* Nobody receives on either side: the answer is taken in. */
    for (int i = 0; i != 1000 && info.round_trip <= 0; ++i) {
        look();
        CHECK_INT(ws_info(ws[0], &info), 0);
    }
    CHECK_INT(info.pongs_received, 1);
    CHECK(info.round_trip > 0);
    expect_text(ws[1], "hello");
}

TEST(over_TLS_all_of_many_pings_in_records_of_their_own_are_answered) {
    enum { PINGS = 1800 };
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT};
    struct ws_info info = {.size = sizeof(info)};
    int s[2], ws[2];
    make_tls_over_tcp(s);
    ws[0] = ws_attach_client_opts(s[0], NULL, NULL, &opts, -1);
    ws[1] = ws_attach_server_opts(s[1], &opts, -1);
    CHECK(ws[0] >= 0 && ws[1] >= 0);
    look();
    is_held = 1;
    for (int i = 0; i != PINGS; ++i) CHECK_INT(ws_ping(ws[0], "hi", 2, in_time()), 0);
    is_held = 0;
    CHECK_INT(send(held.fd, held.bytes, held.len, 0), held.len);
    for (int i = 0; i != 1000 && info.pongs_received != PINGS; ++i) {
        look();
        CHECK_INT(ws_info(ws[0], &info), 0);
    }
    CHECK_INT(info.pongs_received, PINGS);
}
#endif
