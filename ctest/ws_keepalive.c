/* Peers that are asked whether they are still there. */

#include <libdillext.h>

#include "test.h"
#include "tls.h"
#include "wire.h"

static struct wire w;
static int64_t opened;

static int64_t in_time(void) { return now() + 5000; }

static void attach_to(int s, enum role role, int64_t interval, int64_t timeout) {
    struct ws_opts opts = {
        .size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT, .ping_interval = interval, .ping_timeout = timeout};
    w.role = role;
    opened = now();
    w.ws = role == SERVER ? ws_attach_server_opts(s, &opts, -1) : ws_attach_client_opts(s, NULL, NULL, &opts, -1);
    CHECK(w.ws >= 0);
}

static void open_pinged(int i, int64_t interval, int64_t timeout) {
    int s;
    if (i / 2) make_ipc_and_raw(&s, &w.fd);
    else make_tcp_and_raw(&s, &w.fd);
    attach_to(s, (enum role)(i % 2), interval, timeout);
}

#define EACH_PINGED(INTERVAL, TIMEOUT) \
    for (int pinged_ = 0; pinged_ != 4 && (open_pinged(pinged_, INTERVAL, TIMEOUT), 1); ++pinged_)

static uint64_t pings_sent(void) {
    struct ws_info info = {.size = sizeof(info)};
    CHECK_INT(ws_info(w.ws, &info), 0);
    return info.pings_sent;
}

/* Sleeps until the peer gets something; the next frame is a ping, with this payload. */
static void get_ping(struct wire_frame *f) {
    struct pollfd p = {w.fd, POLLIN, 0};
    for (int i = 0; i != 5000 && poll(&p, 1, 0) == 0; ++i) CHECK_INT(msleep(now() + 1), 0);
    wire_recv(&w, f);
    CHECK_INT(f->first, FIN | PING);
}

TEST(a_silent_peer_is_asked_and_one_that_answers_is_asked_again) {
    for (int role = CLIENT; role <= SERVER; ++role) {
        open_pinged(role, 20, 5000);
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        struct ws_info info = {.size = sizeof(info)};
        for (int i = 0; i != 3; ++i) {
            get_ping(&f);
            CHECK(now() >= opened + (i + 1) * 20);
            wire_send(&w, FIN | PONG, f.payload, f.len);
        }
        wire_send_text(&w, FIN | TEXT, "a");
        expect_text(w.ws, "a");
        CHECK_INT(ws_info(w.ws, &info), 0);
        CHECK(info.pings_sent >= 3);
        CHECK(info.pongs_received >= 3);
        CHECK(info.round_trip >= 0);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(a_peer_whose_close_frame_has_come_behind_a_message_is_not_asked) {
    for (int role = CLIENT; role <= SERVER; ++role) {
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        open_pinged(role, 20, 20);
        wire_send_text(&w, FIN | TEXT, "a");
        wire_send_close(&w, 1000, "");
        while (ws_status(w.ws, NULL, NULL, 0) < 0) CHECK_INT(msleep(now() + 1), 0);
        /* A thread that was away may have asked before it saw that. */
        uint64_t before = pings_sent();
        CHECK(before <= 1);
        if (before) get_ping(&f);
        CHECK_INT(msleep(now() + 100), 0);
        CHECK_INT(pings_sent(), before);
        CHECK_RAW_SILENT(w.fd);
        expect_text(w.ws, "a");
        CHECK_ERR(ws_recv(w.ws, NULL, NULL, 1, in_time()), -1, EPIPE);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(a_ping_of_the_programs_is_answered_though_another_has_left_meanwhile) {
    EACH_PINGED(20, 5000) {
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        struct ws_info info = {.size = sizeof(info)};
        CHECK_INT(ws_ping(w.ws, "mine", 4, in_time()), 0);
        int64_t begin = now();
        wire_expect_text(&w, FIN | PING, "mine");
        get_ping(&f);
        int64_t trip = now() - begin;
        wire_send_text(&w, FIN | PONG, "mine");
        wire_send_text(&w, FIN | TEXT, "a");
        expect_text(w.ws, "a");
        CHECK_INT(ws_info(w.ws, &info), 0);
        CHECK(info.round_trip >= 1000 * (trip - 1));
        CHECK_INT(hclose(w.ws), 0);
    }
}

coroutine static void receive_nothing(int err, int *done) {
    char c;
    CHECK_ERR(ws_recv(w.ws, NULL, &c, 1, -1), -1, err);
    CHECK_STR(ws_errmsg(), "no answer to a ping for 30 ms");
    *done = 1;
}

TEST(whoever_waits_for_a_peer_that_does_not_answer_gets_ECONNRESET) {
    EACH_PINGED(20, 30) {
        int done = 0, h = go(receive_nothing(ECONNRESET, &done));
        char c;
        CHECK_INT(bundle_wait(h, in_time()), 0);
        CHECK(done);
        CHECK(now() >= opened + 50);
        CHECK_INT(hclose(h), 0);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "a", 1, -1), -1, ECONNRESET);
        CHECK_STR(ws_errmsg(), "no answer to a ping for 30 ms");
        CHECK_ERR(ws_recv(w.ws, NULL, &c, 1, -1), -1, ECONNRESET);
        CHECK_STR(ws_errmsg(), "no answer to a ping for 30 ms");
        CHECK_ERR(ws_recvsome(w.ws, NULL, &c, 1, -1), -1, ECONNRESET);
        CHECK_ERR(ws_ping(w.ws, NULL, 0, -1), -1, ECONNRESET);
        CHECK_STR(ws_errmsg(), "no answer to a ping for 30 ms");
        CHECK_ERR(ws_done(w.ws, 1000, NULL, 0, -1), -1, ECONNRESET);
        CHECK_STR(ws_errmsg(), "no answer to a ping for 30 ms");
        /* The stream below was closed. */
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        wire_recv(&w, &f);
        CHECK(raw_is_closed(w.fd));
        if (pinged_ % 2) CHECK_INT(hclose(w.ws), 0);
        else CHECK_ERR(ws_close(w.ws, 1000, NULL, 0, -1), -1, ECONNRESET);
    }
}

TEST(it_is_noticed_though_nobody_waits) {
    EACH_PINGED(10, 10) {
        int rc = 0;
        while (rc == 0) {
            CHECK_INT(msleep(now() + 50), 0);
            rc = ws_send(w.ws, WS_TEXT, "a", 1, -1);
        }
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "a", 1, -1), -1, ECONNRESET);
        CHECK_STR(ws_errmsg(), "no answer to a ping for 10 ms");
        CHECK_INT(hclose(w.ws), 0);
    }
}

static char large[20000000];

coroutine static void send_large(int *done) {
    CHECK_ERR(ws_send(w.ws, WS_BINARY, large, sizeof(large), -1), -1, ECONNRESET);
    CHECK_STR(ws_errmsg(), "no answer to a ping for 30 ms");
    ++*done;
}

TEST(those_who_wait_to_send_get_ECONNRESET_too) {
    EACH_PINGED(20, 30) {
        int done = 0, b = bundle();
        CHECK_INT(bundle_go(b, send_large(&done)), 0);
        CHECK_INT(bundle_go(b, send_large(&done)), 0);
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK_INT(done, 2);
        CHECK_INT(hclose(b), 0);
        CHECK_INT(hclose(w.ws), 0);
    }
}

coroutine static void send_slowly_read(int *rc) { *rc = ws_send(w.ws, WS_BINARY, large, sizeof(large), -1); }

/* Whether the peer was held to be there. For how long it took nothing at the most goes to *longest. */
static int read_slowly(int64_t *longest) {
    int rc = -2, b = bundle();
    static char sink[1000000];
    int64_t last = now();
    CHECK_INT(bundle_go(b, send_slowly_read(&rc)), 0);
    for (*longest = 0; rc == -2;) {
        ssize_t n;
        size_t got = 0;
        /* Over TLS a call gives a record. */
        while (got < sizeof(sink) && (n = recv(w.fd, sink, sizeof(sink), MSG_DONTWAIT)) > 0) got += (size_t)n;
        CHECK_INT(msleep(now() + 10), 0);
        if (now() - last > *longest) *longest = now() - last;
        last = now();
    }
    CHECK_INT(bundle_wait(b, in_time()), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
    return rc == 0;
}

TEST(a_peer_that_reads_slowly_is_there) {
    int is_there = 0;
    int64_t longest = 100;
    /* Where the thread was away, the peer has not read either. */
    ATTEMPT_UNTIL(is_there || longest < 50) {
        open_pinged(SERVER, 20, 100);
        is_there = read_slowly(&longest);
    }
    CHECK(is_there);
}

/* Zeros become a thousandth of what they were: all of it fits in the kernel, and what takes time is to compress
   them. No ping can leave meanwhile. */
TEST(a_peer_that_cannot_be_asked_while_a_message_is_sent_is_not_given_up) {
    enum { PIECE = 1000000, PIECES = 140 };
    static char zeros[PIECE];
    static struct iolist list[PIECES];
    struct ws_deflate how = {.size = sizeof(how), .level = 1};
    struct ws_opts opts = {.size = sizeof(opts),
                           .flags = WS_BINARY | WS_DEFLATE,
                           .deflate = &how,
                           .ping_interval = 1,
                           .ping_timeout = 5};
    char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    int s;
    for (int i = 0; i != PIECES; ++i) list[i] = (struct iolist){zeros, PIECE, i + 1 < PIECES ? &list[i + 1] : NULL, 0};
    make_tcp_and_raw(&s, &w.fd);
    raw_send(w.fd, request, strlen(request));
    w.ws = ws_attach_server_opts(s, &opts, in_time());
    CHECK(w.ws >= 0);
    CHECK_INT(ws_sendl(w.ws, WS_BINARY, list, &list[PIECES - 1], now() + 60000), 0);
    CHECK_INT(hclose(w.ws), 0);
}

TEST(anything_that_comes_is_a_sign_of_life) {
    EACH_PINGED(200, 5000) {
        char buf[4];
        uint64_t silences = 1;
        int64_t heard = now();
        for (int i = 0; i != 30; ++i) {
            int64_t before = heard;
            wire_send_text(&w, FIN | TEXT, "a");
            heard = now();
            CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), in_time()), 1);
            CHECK_INT(msleep(now() + 10), 0);
            /* So slow may this machine be that it looks silent. */
            silences += (uint64_t)(now() - before) / 190;
        }
        CHECK(pings_sent() <= silences);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(a_thread_that_was_away_does_not_mistake_that_for_silence) {
    EACH_PINGED(10, 200) {
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        get_ping(&f);
        wire_send(&w, FIN | PONG, f.payload, f.len);
        usleep(300000);
        wire_send_text(&w, FIN | TEXT, "a");
        expect_text(w.ws, "a");
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(a_pong_that_nobody_reads_is_a_sign_of_life) {
    /* Over IPC nothing is read while nobody receives. */
    for (int role = CLIENT; role <= SERVER; ++role) {
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        open_pinged(2 + role, 10, 200);
        get_ping(&f);
        wire_send(&w, FIN | PONG, f.payload, f.len);
        CHECK_INT(msleep(now() + 500), 0);
        wire_send_text(&w, FIN | TEXT, "a");
        expect_text(w.ws, "a");
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(nobody_is_asked_while_what_was_broadcast_waits_for_the_kernel) {
    enum { LEN = 1000000 };
    open_pinged(2 + SERVER, 20, 1000);
    struct wire_frame f = {0, 0, {0}, 0, NULL};
    int error;
    CHECK_INT(ws_broadcast(&w.ws, 1, WS_BINARY, large, LEN, SIZE_MAX, &error), 1);
    /* A thread that was away may have asked before. */
    for (uint64_t i = pings_sent(); i != 0; --i) get_ping(&f);
    CHECK_INT(msleep(now() + 100), 0);
    static char got[LEN + 10];
    for (size_t len = 0; len != sizeof(got);) {
        ssize_t n = recv(w.fd, got + len, sizeof(got) - len, MSG_DONTWAIT);
        if (n > 0) len += (size_t)n;
        CHECK_INT(msleep(now() + 1), 0);
    }
    CHECK_MEM(got + 10, large, LEN);
    get_ping(&f);
    CHECK_INT(hclose(w.ws), 0);
}

TEST(after_a_close_frame_nobody_is_asked) {
    EACH_PINGED(10, 10) {
        char c;
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        /* A thread that was away may ask before that. */
        uint64_t before;
        if (pinged_ % 2) {
            CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
            before = pings_sent();
            CHECK_INT(msleep(now() + 100), 0);
            wire_send_text(&w, FIN | TEXT, "a");
            expect_text(w.ws, "a");
        } else {
            wire_send_close(&w, 1000, "");
            CHECK_ERR(ws_recv(w.ws, NULL, &c, 1, in_time()), -1, EPIPE);
            before = pings_sent();
            CHECK_INT(msleep(now() + 100), 0);
            CHECK_INT(ws_send(w.ws, WS_TEXT, "a", 1, in_time()), 0);
            for (uint64_t i = 0; i != before; ++i) get_ping(&f);
            wire_expect_text(&w, FIN | TEXT, "a");
        }
        CHECK_INT(pings_sent(), before);
        CHECK(before <= 1);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(a_detached_bytestream_is_left_alone) {
    EACH_PINGED(30, 30) {
        int s;
        wire_send_close(&w, 1000, "");
        s = ws_detach(w.ws, 1000, NULL, 0, in_time());
        CHECK(s >= 0);
        CHECK_INT(msleep(now() + 100), 0);
        CHECK_INT(bsend(s, "x", 1, in_time()), 0);
        CHECK_INT(hclose(s), 0);
    }
}

TEST(pings_pass_between_the_parts_of_a_message) {
    EACH_PINGED(20, 5000) {
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE, "a", 1, in_time()), 0);
        /* A thread that was away may have asked before. */
        do wire_recv(&w, &f);
        while (f.first == (FIN | PING));
        CHECK_INT(f.first, TEXT);
        get_ping(&f);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "b", 1, in_time()), 0);
        do wire_recv(&w, &f);
        while (f.first == (FIN | PING));
        CHECK_INT(f.first, FIN | CONTINUATION);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(the_child_of_a_fork_asks_nobody) {
    EACH_PINGED(20, 20) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            CHECK_INT(msleep(now() + 100), 0);
            CHECK_RAW_SILENT(w.fd);
            exit(0);
        }
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(times_that_are_wrong_give_EINVAL) {
    static const int64_t wrong[][2] = {{-1, 0}, {0, -1}, {0, 1}, {5, -1}, {INT64_MIN, 5}};
    for (size_t i = 0; i != sizeof(wrong) / sizeof(*wrong); ++i) {
        struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP, .ping_interval = wrong[i][0],
                               .ping_timeout = wrong[i][1]};
        int s, fd;
        make_tcp_and_raw(&s, &fd);
        CHECK_ERR(ws_attach_server_opts(s, &opts, -1), -1, EINVAL);
        CHECK(strstr(ws_errmsg(), "ping_"));
        CHECK_ERR(hclose(s), -1, EBADF);
    }
}

TEST(on_a_bytestream_of_the_users_it_is_EINVAL) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP, .ping_interval = 1000};
    int s, fd;
    make_byte_stream_and_raw(&s, &fd);
    CHECK_ERR(ws_attach_server_opts(s, &opts, -1), -1, EINVAL);
    CHECK(strstr(ws_errmsg(), "ping_interval"));
    CHECK_ERR(hclose(s), -1, EBADF);
}

TEST(the_longest_times_are_for_ever) {
    open_pinged(SERVER, INT64_MAX, INT64_MAX);
    wire_send_text(&w, FIN | TEXT, "a");
    expect_text(w.ws, "a");
    CHECK_INT(msleep(now() + 5), 0);
    CHECK_RAW_SILENT(w.fd);
}

TEST(many_peers_are_asked_and_judged_each_at_its_time) {
    enum { MANY = 150 };
    struct { int s, fd; } all[MANY];
    for (int i = 0; i != MANY; ++i) {
        int s;
        make_tcp_and_raw(&s, &all[i].fd);
        attach_to(s, SERVER, 50 + i % 7 * 10, 100000);
        all[i].s = w.ws;
        if (i % 3 == 0) CHECK_INT(hclose(all[i].s), 0);
    }
    for (int i = 0; i != MANY; ++i) {
        struct wire_frame f = {0, 0, {0}, 0, NULL};
        if (i % 3 == 0) continue;
        w.fd = all[i].fd;
        get_ping(&f);
    }
}

TEST(others_run_between_pings_that_are_due_at_the_same_time) {
    enum { MANY = 400 };
    static struct pollfd all[MANY];
    int asked, most = 0;
    for (int i = 0; i != MANY; ++i) {
        int s, fd;
        make_ipc_and_raw(&s, &fd);
        attach_to(s, SERVER, 20, 100000);
        all[i] = (struct pollfd){fd, POLLIN, 0};
    }
    /* Where so many handshakes take time, the first ones have been asked already. */
    asked = poll(all, MANY, 0);
    usleep(50000);
    while (asked != MANY) {
        CHECK_INT(msleep(now()), 0);
        int before = asked;
        asked = poll(all, MANY, 0);
        if (asked - before > most) most = asked - before;
    }
    CHECK(most <= 100);
}

#ifndef DILL_DISABLE_TLS
coroutine static void receive_until_closed(int ws) {
    char c;
    CHECK_INT(ws_recv(ws, NULL, &c, 1, -1), -1);
}

TEST(over_TLS_it_is_the_same) {
    if (OVER_TLS) SKIP("it has TLS of its own");
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT, .ping_interval = 20};
    struct ws_opts silent = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT};
    struct ws_info info = {.size = sizeof(info)};
    int s[2], ws[2], h;
    opts.ping_timeout = 5000;
    make_tls_over_tcp(s);
    ws[0] = ws_attach_client_opts(s[0], NULL, NULL, &opts, -1);
    ws[1] = ws_attach_server_opts(s[1], &silent, -1);
    h = go(receive_until_closed(ws[0]));
    for (int i = 0; i != 5000 && info.pongs_received < 3; ++i) {
        CHECK_INT(msleep(now() + 1), 0);
        CHECK_INT(ws_info(ws[0], &info), 0);
    }
    CHECK(info.pongs_received >= 3);
    CHECK(info.round_trip >= 0);
    CHECK_INT(hclose(ws[0]), 0);
    CHECK_INT(bundle_wait(h, in_time()), 0);
    CHECK_INT(hclose(h), 0);
}
#endif
