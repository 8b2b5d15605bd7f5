/* What ws_close waits for, and what ends that. */

#include <libdillext.h>

#include "test.h"
#include "wire.h"

static struct wire w;
static char large[20000000];

static int64_t in_time(void) { return now() + 5000; }

coroutine static void close_it(int64_t deadline, int *rc, int *err) {
    *rc = ws_close(w.ws, 1000, NULL, 0, deadline);
    *err = errno;
}

/* A client whose server has answered the close frame and does not end the stream, which the client waits for. */
static int close_half(int64_t deadline, int *rc, int *err) {
    *rc = -2;
    int h = go(close_it(deadline, rc, err));
    wire_expect_close(&w, 1000);
    wire_send_close(&w, 1000, "");
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(*rc, -2);
    return h;
}

TEST(a_handle_that_is_closed_while_ws_close_waits_for_the_end_gives_EBADF) {
    for (int i = 0; i != 2; ++i) {
        int rc, err;
        (i ? wire_open : wire_open_tcp)(&w, CLIENT, WS_TEXT);
        int h = close_half(in_time(), &rc, &err);
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(bundle_wait(h, in_time()), 0);
        CHECK_INT(rc, -1);
        CHECK_INT(err, EBADF);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(ws_close_does_not_wait_for_the_end_of_a_peer_that_goes_on_sending) {
    for (int i = 0; i != 2; ++i) {
        int rc, err;
        (i ? wire_open : wire_open_tcp)(&w, CLIENT, WS_TEXT);
        int h = close_half(-1, &rc, &err);
        for (int k = 0; k != 1000 && rc == -2; ++k) {
            raw_send_some(w.fd, large, 1000, MSG_DONTWAIT | MSG_NOSIGNAL);
            CHECK_INT(yield(), 0);
        }
        CHECK_INT(bundle_wait(h, in_time()), 0);
        CHECK_INT(rc, 0);
        CHECK_INT(hclose(h), 0);
    }
}

coroutine static void send_large(int *err) {
    CHECK_INT(ws_send(w.ws, WS_BINARY, large, sizeof(large), -1), -1);
    *err = errno;
}

TEST(a_close_frame_that_cannot_leave_in_time_is_not_put_into_the_message_that_is_leaving) {
    for (int i = 0; i != 2; ++i) {
        int err = 0;
        memset(large, 'L', sizeof(large));
        (i ? wire_open : wire_open_tcp)(&w, SERVER, WS_TEXT);
        int h = go(send_large(&err));
        CHECK_ERR(ws_close(w.ws, 1000, NULL, 0, now() + 20), -1, ETIMEDOUT);
        CHECK_INT(bundle_wait(h, in_time()), 0);
        CHECK_INT(err, EBADF);
        CHECK_INT(hclose(h), 0);
        char got[65536];
        ssize_t n;
        size_t len = 0;
        while ((n = recv(w.fd, got, sizeof(got), 0)) > 0)
            for (ssize_t k = 0; k != n; ++k, ++len)
                if (len >= 10) CHECK_INT(got[k], 'L');
        CHECK(len < sizeof(large));
    }
}

coroutine static void send_all(int *rc) { *rc = ws_send(w.ws, WS_BINARY, large, sizeof(large), -1); }

coroutine static void say_goodbye(int *rc) { *rc = ws_done(w.ws, 1000, NULL, 0, -1); }

TEST(ws_close_goes_on_if_another_coroutine_sends_the_close_frame_while_it_waits_to_send_its_own) {
    for (int i = 0; i != 2; ++i) {
        int sent = -2, done = -2, closed = -2, err = 0, all = bundle();
        (i ? wire_open : wire_open_tcp)(&w, SERVER, WS_TEXT);
        CHECK_INT(bundle_go(all, send_all(&sent)), 0);
        CHECK_INT(bundle_go(all, say_goodbye(&done)), 0);
        CHECK_INT(bundle_go(all, close_it(-1, &closed, &err)), 0);
        CHECK_INT(sent, -2);
        char got[65536];
        for (size_t left = 10 + sizeof(large); left > 0;) {
            CHECK_INT(yield(), 0);
            ssize_t n = recv(w.fd, got, left < sizeof(got) ? left : sizeof(got), MSG_DONTWAIT);
            if (n > 0) left -= (size_t)n;
        }
        while (done == -2) CHECK_INT(msleep(now() + 1), 0);
        wire_expect_close(&w, 1000);
        CHECK_INT(sent, 0);
        CHECK_INT(done, 0);
        CHECK_INT(closed, -2);
        wire_send_close(&w, 1000, "");
        CHECK_INT(bundle_wait(all, in_time()), 0);
        CHECK_INT(closed, 0);
        CHECK_INT(hclose(all), 0);
    }
}
