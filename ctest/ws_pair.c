/* Two WebSockets of ours, from the handshake to the end. */

#include <libdill.h>

#include "stream.h"
#include "test.h"
#include "wire.h"

static int s[2], ws[2];
static char resource[256], host[256];

coroutine static void attach_client(int flags) {
    ws[0] = ws_attach_client(s[0], flags, "/chat?room=1", "example.org:8080", now() + 5000);
}

/* A full handshake on the pair. */
static void shake_hands(int flags) {
    int h;
    ws[0] = ws[1] = -2;
    h = go(attach_client(flags));
    ws[1] = ws_attach_server(s[1], flags, resource, sizeof(resource), host, sizeof(host), now() + 5000);
    CHECK(ws[1] >= 0);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK(ws[0] >= 0);
    CHECK_INT(hclose(h), 0);
}

static void exchange(void) {
    for (int i = 0; i != 2; ++i) {
        CHECK_INT(ws_send(ws[i], WS_TEXT, "hello", 5, -1), 0);
        expect_text(ws[1 - i], "hello");
        CHECK_INT(ws_send(ws[i], WS_BINARY, "\xff\0", 2, -1), 0);
        expect_message(ws[1 - i], WS_BINARY, "\xff\0", 2);
    }
}

TEST(a_handshake_succeeds_and_the_server_learns_resource_and_host) {
    EACH_STREAM(s) {
        shake_hands(WS_TEXT);
        CHECK_STR(resource, "/chat?room=1");
        CHECK_STR(host, "example.org:8080");
    }
}

TEST(messages_pass_after_the_handshake) {
    EACH_STREAM(s) {
        shake_hands(WS_TEXT);
        exchange();
    }
}

TEST(messages_pass_without_handshake) {
    make_ws_pair(ws, WS_TEXT);
    exchange();
}

TEST(msend_and_mrecv_exchange_messages_of_the_type_given_at_attaching) {
    const int types[] = {WS_TEXT, WS_BINARY};
    for (int i = 0; i != 2; ++i) EACH_STREAM(s) {
            char buf[16];
            shake_hands(types[i]);
            CHECK_INT(msend(ws[0], "hello", 5, -1), 0);
            CHECK_INT(mrecv(ws[1], buf, sizeof(buf), now() + 5000), 5);
            CHECK_MEM(buf, "hello", 5);
            CHECK_INT(msend(ws[1], "hello", 5, -1), 0);
            expect_message(ws[0], types[i], "hello", 5);
        }
}

coroutine static void detach_client(void) { s[0] = ws_detach(ws[0], 1000, "bye", 3, now() + 5000); }

TEST(a_connection_is_closed_gracefully_from_top_to_bottom) {
    EACH_STREAM_WITH(s, done, close) {
        int h, status;
        char reason[16];
        shake_hands(WS_TEXT);
        exchange();
        h = go(detach_client());
        CHECK_ERR(ws_recv(ws[1], NULL, NULL, 0, now() + 5000), -1, EPIPE);
        CHECK_INT(ws_status(ws[1], &status, reason, sizeof(reason)), 3);
        CHECK_INT(status, 1000);
        CHECK_MEM(reason, "bye", 3);
        s[1] = ws_detach(ws[1], 1000, NULL, 0, now() + 5000);
        CHECK(s[1] >= 0);
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK(s[0] >= 0);
        CHECK_INT(done(s[0], -1), 0);
        CHECK_INT(close(s[1], now() + 5000), 0);
        CHECK_INT(close(s[0], now() + 5000), 0);
        CHECK_INT(hclose(h), 0);
    }
}

coroutine static void echo(int h) {
    static char buf[1 << 20];
    for (;;) {
        int flags;
        ssize_t n = ws_recv(h, &flags, buf, sizeof(buf), -1);
        if (n < 0) break;
        CHECK_INT(ws_send(h, flags, buf, (size_t)n, -1), 0);
    }
    CHECK_INT(errno, EPIPE);
    CHECK_INT(ws_done(h, 1000, NULL, 0, -1), 0);
}

TEST(an_echo_server_returns_messages_of_all_sizes) {
    EACH_STREAM(s) {
        static char out[1 << 20], in[1 << 20];
        int h;
        shake_hands(WS_BINARY);
        h = go(echo(ws[1]));
        for (size_t len = 0; len <= sizeof(out); len = len * 3 + 1) {
            for (size_t i = 0; i != len; ++i) out[i] = (char)(i * 31 + len);
            CHECK_INT(ws_send(ws[0], WS_BINARY, out, len, now() + 10000), 0);
            CHECK_INT(ws_recv(ws[0], NULL, in, sizeof(in), now() + 10000), len);
            CHECK_MEM(in, out, len);
        }
        CHECK_INT(ws_done(ws[0], 1000, NULL, 0, -1), 0);
        CHECK_ERR(ws_recv(ws[0], NULL, in, sizeof(in), now() + 5000), -1, EPIPE);
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK_INT(hclose(h), 0);
    }
}

coroutine static void send_one(int h, char *data, size_t len) {
    CHECK_INT(ws_send(h, WS_BINARY, data, len, -1), 0);
}

TEST(a_message_of_twenty_megabytes_passes_in_either_direction) {
    const size_t len = 20000000;
    char *out = (char *)malloc(len), *in = (char *)malloc(len);
    for (size_t i = 0; i != len; ++i) out[i] = (char)(i % 249);
    EACH_STREAM(s) {
        ws[0] = attach_without_http(s[0], CLIENT, WS_BINARY);
        ws[1] = attach_without_http(s[1], SERVER, WS_BINARY);
        for (int from = 0; from != 2; ++from) {
            int h = go(send_one(ws[from], out, len));
            memset(in, 0, len);
            CHECK_INT(ws_recv(ws[1 - from], NULL, in, len, now() + 15000), len);
            CHECK(memcmp(in, out, len) == 0);
            CHECK_INT(bundle_wait(h, now() + 5000), 0);
            CHECK_INT(hclose(h), 0);
        }
    }
}

/* --- Latency --- */

/* The value of TCP_NODELAY on our end of the connection with this plain peer. */
static int nodelay_of_peer(int fd) {
    struct sockaddr_in mine, theirs;
    socklen_t len = sizeof(mine);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&mine, &len), 0);
    for (int other = 3; other != 256; ++other) {
        int value = -1;
        len = sizeof(theirs);
        if (other == fd || getpeername(other, (struct sockaddr *)&theirs, &len) != 0) continue;
        if (theirs.sin_family != AF_INET || theirs.sin_port != mine.sin_port) continue;
        len = sizeof(value);
        CHECK_INT(getsockopt(other, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        return value != 0;
    }
    return -1;
}

TEST(attaching_switches_delays_off_on_TCP) {
    for (int role = CLIENT; role <= SERVER; ++role) {
        struct wire w;
        int raw, h;
        make_tcp_and_raw(&h, &raw);
        /* TLS needs that before. */
        CHECK_INT(nodelay_of_peer(raw), OVER_TLS);
        wire_open_tcp(&w, (enum role)role, WS_TEXT);
        CHECK_INT(nodelay_of_peer(w.fd), 1);
    }
}

TEST(a_thousand_round_trips_on_TCP_take_no_delayed_acknowledgements) {
    int h;
    make_tcp_pair(s);
    shake_hands(WS_TEXT);
    h = go(echo(ws[1]));
    /* With them it would be 40 s, which is more than a case may take. */
    for (int i = 0; i != 1000; ++i) {
        CHECK_INT(ws_send(ws[0], WS_TEXT, "ping", 4, -1), 0);
        expect_text(ws[0], "ping");
    }
    CHECK_INT(ws_done(ws[0], 1000, NULL, 0, -1), 0);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(a_thousand_connections_leave_nothing_behind) {
    int before = -1;
    for (int i = 0; i != 1000; ++i) {
        make_ipc_pair(s);
        shake_hands(WS_TEXT);
        exchange();
        CHECK(ws[1] < 1000);
        CHECK_INT(hclose(ws[0]), 0);
        CHECK_INT(hclose(ws[1]), 0);
        if (before < 0) before = open_descriptors();
    }
    CHECK_INT(open_descriptors(), before);
}
