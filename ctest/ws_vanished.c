/* Peers that would answer, but nothing gets through to them any more: both live in a network namespace whose only
   interface is switched off. */

#include <libdillext.h>

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "test.h"
#include "wire.h"

enum { INTERVAL = 50 }; /* ms */
static int64_t timeout = 400;
#define COMPLAINT "no answer to a ping for 400 ms"

/* Whether packets get through. */
static void set_network(int up) {
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0);
    CHECK_INT(ioctl(fd, SIOCGIFFLAGS, &request), 0);
    if (up) request.ifr_flags |= IFF_UP;
    else request.ifr_flags &= ~IFF_UP;
    CHECK_INT(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    CHECK_INT(close(fd), 0);
}

static void make_network(void) {
    if (unshare(CLONE_NEWNET) != 0) SKIP("no network namespace can be made here");
    set_network(1);
}

/* The client first: that side which asks has lived through some pings when this returns. */
static void make_living_pair(int ws[2], int asks) {
    struct ws_opts keepalive = {.size = sizeof(keepalive), .flags = WS_NOHTTP | WS_TEXT, .ping_interval = INTERVAL,
                                .ping_timeout = timeout};
    struct ws_opts usual = {.size = sizeof(usual), .flags = WS_NOHTTP | WS_TEXT};
    struct ws_info info = {.size = sizeof(info)};
    int s[2];
    make_tcp_pair(s);
    ws[0] = ws_attach_client_opts(s[0], NULL, NULL, asks == 0 ? &keepalive : &usual, -1);
    ws[1] = ws_attach_server_opts(s[1], asks == 1 ? &keepalive : &usual, -1);
    CHECK(ws[0] >= 0 && ws[1] >= 0);
    while (info.pongs_received < 3) {
        CHECK_INT(msleep(now() + 1), 0);
        CHECK_INT(ws_info(ws[asks], &info), 0);
    }
}

#define EACH_SIDE(WS, ASKS) \
    for (int ASKS = (make_network(), 0); ASKS != 2 && (set_network(1), make_living_pair(WS, ASKS), 1); ++ASKS)

static void close_both(const int ws[2]) {
    CHECK_INT(hclose(ws[0]), 0);
    CHECK_INT(hclose(ws[1]), 0);
}

coroutine static void receive(int ws, int *done) {
    char c;
    CHECK_ERR(ws_recv(ws, NULL, &c, 1, -1), -1, ECONNRESET);
    CHECK_STR(ws_errmsg(), COMPLAINT);
    *done = 1;
}

TEST(whoever_waits_for_a_peer_that_has_vanished_is_told) {
    int ws[2];
    EACH_SIDE(ws, asks) {
        int done = 0, h = go(receive(ws[asks], &done));
        int64_t start = now();
        set_network(0);
        CHECK_INT(bundle_wait(h, -1), 0);
        CHECK(done);
        CHECK(now() >= start + timeout);
        CHECK_INT(hclose(h), 0);
        close_both(ws);
    }
}

TEST(that_a_peer_has_vanished_is_noticed_though_nobody_waits) {
    int ws[2];
    EACH_SIDE(ws, asks) {
        struct ws_info info = {.size = sizeof(info)};
        set_network(0);
        int rc = 0;
        while (rc == 0) {
            CHECK_INT(msleep(now() + INTERVAL + 2 * timeout), 0);
            rc = ws_send(ws[asks], WS_TEXT, "a", 1, -1);
        }
        CHECK_ERR(ws_send(ws[asks], WS_TEXT, "a", 1, -1), -1, ECONNRESET);
        CHECK_STR(ws_errmsg(), COMPLAINT);
        /* The side that does not ask has noticed nothing. */
        CHECK_INT(ws_info(ws[!asks], &info), 0);
        CHECK_INT(ws_send(ws[!asks], WS_TEXT, "a", 1, now() + 10000), 0);
        close_both(ws);
    }
}

static char large[20000000];

coroutine static void send_large(int ws, int *done) {
    CHECK_ERR(ws_send(ws, WS_BINARY, large, sizeof(large), -1), -1, ECONNRESET);
    CHECK_STR(ws_errmsg(), COMPLAINT);
    *done = 1;
}

TEST(whoever_sends_to_a_peer_that_has_vanished_is_told) {
    int ws[2];
    EACH_SIDE(ws, asks) {
        int done = 0;
        set_network(0);
        int h = go(send_large(ws[asks], &done));
        CHECK_INT(bundle_wait(h, -1), 0);
        CHECK(done);
        CHECK_INT(hclose(h), 0);
        close_both(ws);
    }
}

TEST(a_peer_that_comes_back_in_time_is_there) {
    int ws[2];
    timeout = 10000;
    EACH_SIDE(ws, asks) {
        set_network(0);
        CHECK_INT(ws_send(ws[asks], WS_TEXT, "late", 4, now() + 10000), 0);
        CHECK_INT(msleep(now() + INTERVAL), 0);
        set_network(1);
        expect_text(ws[!asks], "late");
        CHECK_INT(ws_send(ws[!asks], WS_TEXT, "later", 5, now() + 10000), 0);
        expect_text(ws[asks], "later");
        close_both(ws);
    }
}
