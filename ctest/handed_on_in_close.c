/* A handle is being closed, and the program's bytestream below it takes its time over that: meanwhile its close function,
   or a coroutine that it waits for, wants to detach the same handle, or to make something else of it. */

#include <libdillext.h>

#include "pair.h"
#include "test.h"
#include "usersock.h"

static struct user_stream user;
static int h, b, other, (*hand_on)(void);

static int prefix(void) { return prefix_detach(h); }
static int suffix(void) { return suffix_detach(h, now() + 10); }
static int term(void) { return term_detach(h, now() + 10); }
static int http(void) { return http_detach(h, now() + 10); }
static int websocket(void) { return ws_detach(h, 0, NULL, 0, now() + 10); }
static int websocket_close(void) { return ws_close(h, 0, NULL, 0, now() + 10); }
static int accept_request(void) { return ws_accept(h, NULL, now() + 10); }
static int reply(void) { return ws_reply(h, 404, NULL, NULL, 0, now() + 10); }
static int own(void) { return hown(h); }
static int close_again(void) { return hclose(h); }

coroutine static void hand_on_when_cancelled(void) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    CHECK_ERR(hand_on(), -1, EBADF);
}

static void close_by_itself(struct hvfs *hvfs) {
    CHECK_ERR(hand_on(), -1, EBADF);
    user_stream_close(hvfs);
}

static void close_with_a_bundle(struct hvfs *hvfs) {
    CHECK_INT(hclose(b), 0);
    user_stream_close(hvfs);
}

/* No number is given out twice. */
static void check_numbers(void) {
    static int pairs[500][2];
    static char used[4096];
    for (int i = 0; i != 500; ++i) {
        CHECK_INT(chmake(pairs[i]), 0);
        for (int end = 0; end != 2; ++end) {
            CHECK(pairs[i][end] < (int)sizeof(used) && !used[pairs[i][end]]);
            used[pairs[i][end]] = 1;
        }
    }
}

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static int attach_prefix(int s) { return prefix_attach(s, 1, 0); }
static int attach_suffix(int s) { return suffix_attach(s, "\n", 1); }
static int attach_term(int s) { return term_attach(prefix_attach(s, 1, 0), "end", 3); }
static int attach_http(int s) { return http_attach(s); }
static int attach_ws(int s) { return ws_attach_server(s, WS_NOHTTP, NULL, 0, NULL, 0, -1); }
static int attach_request(int s) {
    CHECK_INT(bsend(other, request, sizeof(request) - 1, now() + 1000), 0);
    return ws_recvrequest(s, now() + 1000);
}

static const struct {
    int (*attach)(int);
    int (*hand_on)(void);
} cases[] = {{attach_prefix, prefix}, {attach_suffix, suffix}, {attach_term, term}, {attach_http, http}, {attach_ws, websocket},
             {attach_ws, websocket_close}, {attach_request, accept_request}, {attach_request, reply}, {attach_prefix, own},
             {attach_ws, own}, {attach_request, own}, {attach_request, close_again}};

static void each_case(void (*close)(struct hvfs *)) {
    enum { CASES = sizeof(cases) / sizeof(*cases) };
    /* Often enough to show in how many numbers are free. */
    for (size_t i = 0; i != 8 * CASES; ++i) {
        int s[2], rc;
        make_ipc_pair(s);
        other = s[1];
        hand_on = cases[i % CASES].hand_on;
        h = cases[i % CASES].attach(user_stream_make(&user, s[0]));
        CHECK(h >= 0);
        user.hvfs.close = close;
        b = bundle();
        rc = bundle_go(b, hand_on_when_cancelled());
        CHECK_INT(rc, 0);
        CHECK_INT(hclose(h), 0);
        CHECK_ERR(hclose(h), -1, EBADF);
        if (close == close_by_itself) hand_on = close_again, CHECK_INT(hclose(b), 0);
        CHECK_INT(hclose(other), 0);
    }
    check_numbers();
}

TEST(by_the_close_function_gives_EBADF) { each_case(close_by_itself); }

TEST(by_a_coroutine_that_the_close_function_waits_for_gives_EBADF) { each_case(close_with_a_bundle); }
