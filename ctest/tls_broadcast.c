/* One message to many over TLS: each session encrypts it for itself, when it leaves. */

#include "test.h"
#include "tls.h"
#include "wire.h"

enum { COUNT = 3, LARGE = 1000000 };

static int servers[COUNT], clients[COUNT], errors[COUNT];
static char large[LARGE], buf[LARGE];

static void make_pairs(void (*make)(int h[2])) {
    for (int i = 0; i != COUNT; ++i) {
        int h[2];
        make(h);
        clients[i] = attach_without_http(h[0], CLIENT, WS_TEXT);
        servers[i] = attach_without_http(h[1], SERVER, WS_TEXT);
    }
    memset(large, 'L', sizeof(large));
}

static void close_pairs(void) {
    for (int i = 0; i != COUNT; ++i) {
        CHECK_INT(hclose(servers[i]), 0);
        CHECK_INT(hclose(clients[i]), 0);
    }
}

static void (*const streams[])(int h[2]) = {make_tls_over_tcp, make_tls_over_ipc};

TEST(everybody_gets_it_over_TLS) {
    for (int kind = 0; kind != 2; ++kind) {
        make_pairs(streams[kind]);
        CHECK_INT(ws_broadcast(servers, COUNT, WS_TEXT, "hello", 5, 0, errors), COUNT);
        CHECK_INT(ws_broadcast(clients, COUNT, WS_TEXT, "hello", 5, 0, errors), COUNT);
        for (int i = 0; i != COUNT; ++i) {
            CHECK_INT(errors[i], 0);
            expect_text(clients[i], "hello");
            expect_text(servers[i], "hello");
        }
        close_pairs();
    }
}

TEST(slow_sockets_get_all_that_they_took_over_TLS) {
    for (int kind = 0; kind != 2; ++kind) {
        int taken[COUNT] = {0};
        make_pairs(streams[kind]);
        /* What the kernel takes beside differs from one to the other. */
        while (ws_broadcast(servers, COUNT, WS_TEXT, large, LARGE, 3 * LARGE, errors) > 0)
            for (int i = 0; i != COUNT; ++i) {
                if (errors[i]) CHECK_INT(errors[i], EAGAIN);
                else taken[i]++;
            }
        for (int i = 0; i != COUNT; ++i) {
            CHECK(taken[i] >= 3);
            CHECK_INT(errors[i], EAGAIN);
        }
        CHECK_ERR(ws_send(servers[0], WS_TEXT, "never", 5, now() + 10), -1, ETIMEDOUT);
        for (int i = 0; i != COUNT; ++i)
            for (int k = 0; k != taken[i]; ++k) expect_message(clients[i], WS_TEXT, large, LARGE);
        CHECK_INT(ws_broadcast(servers, COUNT, WS_TEXT, "hello", 5, 0, errors), COUNT);
        CHECK_INT(ws_done(servers[0], 1000, NULL, 0, soon()), 0);
        for (int i = 0; i != COUNT; ++i) expect_text(clients[i], "hello");
        CHECK_ERR(ws_recv(clients[0], NULL, buf, sizeof(buf), soon()), -1, EPIPE);
        close_pairs();
    }
}

coroutine static void send_large(int s, int *rc) { *rc = ws_send(s, WS_TEXT, large, LARGE, soon()); }

TEST(behind_somebodys_message_over_TLS) {
    int rc[COUNT], b = bundle();
    make_pairs(make_tls_over_ipc);
    for (int i = 0; i != COUNT; ++i) {
        rc[i] = -2;
        CHECK_INT(bundle_go(b, send_large(servers[i], &rc[i])), 0);
        CHECK_INT(rc[i], -2);
    }
    CHECK_INT(ws_broadcast(servers, COUNT, WS_TEXT, "behind", 6, SIZE_MAX, errors), COUNT);
    for (int i = 0; i != COUNT; ++i) {
        expect_message(clients[i], WS_TEXT, large, LARGE);
        expect_text(clients[i], "behind");
    }
    CHECK_INT(bundle_wait(b, soon()), 0);
    for (int i = 0; i != COUNT; ++i) CHECK_INT(rc[i], 0);
    CHECK_INT(hclose(b), 0);
    close_pairs();
}

TEST(a_peer_that_dies_is_told_over_TLS) {
    make_pairs(make_tls_over_tcp);
    CHECK_INT(ws_broadcast(servers, COUNT, WS_TEXT, large, LARGE, 0, errors), COUNT);
    CHECK_INT(ws_broadcast(servers, COUNT, WS_TEXT, large, LARGE, SIZE_MAX, errors), COUNT);
    CHECK_INT(hclose(clients[1]), 0);
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_INT(ws_broadcast(servers, COUNT, WS_TEXT, "hello", 5, SIZE_MAX, errors), COUNT - 1);
    CHECK_INT(errors[1], ECONNRESET);
    for (int i = 0; i < COUNT; i += 2) {
        expect_message(clients[i], WS_TEXT, large, LARGE);
        expect_message(clients[i], WS_TEXT, large, LARGE);
        expect_text(clients[i], "hello");
    }
}
