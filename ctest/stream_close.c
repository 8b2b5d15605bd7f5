/* Closing connections, TCP and IPC: graceful, abortive, of the wrong kind, under a waiter. */

#include <libdill.h>

#include "dies.h"
#include "stream.h"
#include "test.h"

static int s[2];

coroutine static void close_expecting(stream_call close, int end, int64_t deadline, int err) {
    CHECK_ERR(close(end, deadline), err ? -1 : 0, err);
}

TEST(close_on_both_sides_succeeds) {
    EACH_STREAM_WITH(s, done, close) {
        int b = go(close_expecting(close, s[0], -1, 0));
        CHECK_INT(close(s[1], now() + 5000), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(close_reads_and_drops_what_the_peer_still_sends) {
    EACH_STREAM_WITH(s, done, close) {
        int b = go(close_expecting(close, s[0], -1, 0));
        static char block[200000];
        CHECK_INT(bsend(s[1], block, sizeof(block), now() + 5000), 0);
        CHECK_INT(close(s[1], now() + 5000), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(close_delivers_everything_that_was_sent) {
    EACH_STREAM_WITH(s, done, close) {
        char buf[3];
        int b;
        CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
        b = go(close_expecting(close, s[0], -1, 0));
        CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
        CHECK_MEM(buf, "ABC", 3);
        CHECK_ERR(brecv(s[1], buf, 1, now() + 5000), -1, EPIPE);
        CHECK_INT(close(s[1], now() + 5000), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(close_times_out_when_the_peer_does_not_finish_and_destroys_the_handle) {
    EACH_STREAM_WITH(s, done, close) {
        int64_t deadline = now() + 30;
        CHECK_ERR(close(s[0], deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        CHECK_ERR(hclose(s[0]), -1, EBADF);
    }
}

TEST(a_blocked_close_can_be_cancelled) {
    EACH_STREAM_WITH(s, done, close) {
        int b = go(close_expecting(close, s[0], -1, ECANCELED));
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_close_that_was_not_scheduled_since_the_peer_closed_is_still_cancelled) {
    EACH_STREAM_WITH(s, done, close) {
        char buf[1];
        int b = go(close_expecting(close, s[0], -1, ECANCELED));
        CHECK_ERR(brecv(s[1], buf, 1, now() + 5000), -1, EPIPE);
        CHECK_INT(close(s[1], -1), 0);
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void flood(stream_call close, int end) {
    static char block[4096];
    while (bsend(end, block, sizeof(block), -1) == 0) continue;
    CHECK_INT(errno, ECONNRESET);
    CHECK_ERR(close(end, -1), -1, ECONNRESET);
}

TEST(close_with_a_deadline_gets_rid_of_an_endless_sender) {
    EACH_STREAM_WITH(s, done, close) {
        int b = go(flood(close, s[1]));
        CHECK_ERR(close(s[0], now() + 50), -1, ETIMEDOUT);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_closed_number_is_released_and_gives_EBADF) {
    EACH_STREAM_WITH(s, done, close) {
        int b = go(close_expecting(close, s[0], -1, 0));
        char buf[1];
        CHECK_INT(close(s[1], now() + 5000), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        for (int i = 0; i != 2; ++i) {
            CHECK_ERR(hclose(s[i]), -1, EBADF);
            CHECK_ERR(close(s[i], -1), -1, EBADF);
            CHECK_ERR(done(s[i], -1), -1, EBADF);
            CHECK_ERR(bsend(s[i], "A", 1, -1), -1, EBADF);
            CHECK_ERR(brecv(s[i], buf, 1, -1), -1, EBADF);
        }
        CHECK_INT(hclose(b), 0);
    }
}

TEST(two_thousand_graceful_closes_do_not_use_up_numbers) {
    for (int i = 0; i != 2000; ++i) {
        CHECK_INT(ipc_pair(s), 0);
        CHECK(s[1] < 1000);
        CHECK_INT(ipc_done(s[0], -1), 0);
        CHECK_INT(ipc_done(s[1], -1), 0);
        CHECK_INT(ipc_close(s[0], -1), 0);
        CHECK_INT(ipc_close(s[1], -1), 0);
    }
}

TEST(two_thousand_abortive_closes_leave_no_descriptor_behind) {
    int before;
    CHECK_INT(msleep(now() + 1), 0);
    before = open_descriptors();
    for (int i = 0; i != 2000; ++i) {
        CHECK_INT(ipc_pair(s), 0);
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
    CHECK_INT(open_descriptors(), before);
}

/* --- Wrong handles --- */

TEST(close_and_done_of_another_kind_of_handle_give_ENOTSUP_and_leave_it_open) {
    EACH_STREAM_WITH(s, done, close) {
        int ch[2];
        CHECK_INT(chmake(ch), 0);
        CHECK_ERR(close(ch[0], -1), -1, ENOTSUP);
        CHECK_ERR(done(ch[0], -1), -1, ENOTSUP);
        CHECK_INT(hclose(ch[0]), 0);
    }
}

TEST(close_and_done_of_the_other_protocol_give_ENOTSUP_and_leave_the_connection_working) {
    EACH_STREAM_WITH(s, done, close) {
        stream_call other_done = done == tcp_done ? ipc_done : tcp_done;
        stream_call other_close = close == tcp_close ? ipc_close : tcp_close;
        char buf[1];
        CHECK_ERR(other_done(s[0], -1), -1, ENOTSUP);
        CHECK_ERR(other_close(s[0], -1), -1, ENOTSUP);
        CHECK_INT(bsend(s[0], "A", 1, -1), 0);
        CHECK_INT(brecv(s[1], buf, 1, now() + 5000), 0);
    }
}

TEST(bad_handles_give_EBADF) {
    const int bad[] = {-1, -1000, 99999};
    for (int i = 0; i != 3; ++i) {
        CHECK_ERR(tcp_close(bad[i], -1), -1, EBADF);
        CHECK_ERR(tcp_done(bad[i], -1), -1, EBADF);
        CHECK_ERR(ipc_close(bad[i], -1), -1, EBADF);
        CHECK_ERR(ipc_done(bad[i], -1), -1, EBADF);
    }
}

/* --- Abortive closes --- */

TEST(hclose_resets_a_TCP_connection_but_not_the_data_that_has_arrived) {
    char buf[3];
    make_tcp_pair(s);
    CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
    CHECK_INT(brecv(s[1], buf, 1, now() + 5000), 0);
    CHECK_INT(hclose(s[0]), 0);
    CHECK_INT(brecv(s[1], buf, 2, now() + 5000), 0);
    CHECK_ERR(brecv(s[1], buf, 1, now() + 5000), -1, ECONNRESET);
}

TEST(hclose_of_an_IPC_connection_leaves_what_was_sent_readable) {
    char buf[3];
    make_ipc_pair(s);
    CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
    CHECK_INT(hclose(s[0]), 0);
    CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
    CHECK_ERR(brecv(s[1], buf, 1, now() + 5000), -1, EPIPE);
}

TEST(sending_to_a_peer_that_is_gone_ends_in_ECONNRESET_and_not_in_a_signal) {
    EACH_STREAM(s) {
        int rc = 0;
        CHECK_INT(hclose(s[1]), 0);
        for (int i = 0; i != 100 && rc == 0; ++i) {
            rc = bsend(s[0], "ABC", 3, now() + 5000);
            if (rc == 0) CHECK_INT(msleep(now() + 1), 0);
        }
        CHECK_INT(rc, -1);
        CHECK_INT(errno, ECONNRESET);
    }
}

TEST(sending_no_bytes_to_a_peer_that_is_gone_succeeds) {
    EACH_STREAM(s) {
        CHECK_INT(hclose(s[1]), 0);
        CHECK_INT(bsend(s[0], NULL, 0, -1), 0);
    }
}

/* --- Under a waiter --- */

static void (*make_pair)(int s[2]);

coroutine static void receive_and_fail(int end) {
    char buf[1];
    CHECK_INT(brecv(end, buf, 1, now() + 1000), -1);
}

static void close_under_a_receiver(void) {
    int b;
    make_pair(s);
    b = go(receive_and_fail(s[0]));
    CHECK_INT(hclose(s[0]), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
}

TEST(closing_under_a_receiver_wakes_it_with_an_error_or_aborts) {
    for (int i = 0; i != 2; ++i) {
        int status;
        make_pair = make_stream_pair[i];
        status = status_of_child(close_under_a_receiver);
        CHECK(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGABRT);
    }
}

coroutine static void send_and_fail(int end) {
    static char block[20000000];
    CHECK_ERR(bsend(end, block, sizeof(block), now() + 5000), -1, EBADF);
}

TEST(close_in_the_middle_of_a_send_gives_EBUSY_and_does_not_pass_for_a_graceful_end) {
    EACH_STREAM_WITH(s, done, close) {
        int b = go(send_and_fail(s[0]));
        CHECK_ERR(close(s[0], now() + 5000), -1, EBUSY);
        CHECK_ERR(hclose(s[0]), -1, EBADF);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
    }
}

coroutine static void receive_and_see_it_closed(int end) {
    char buf[1];
    CHECK_ERR(brecv(end, buf, 1, now() + 5000), -1, EBADF);
}

TEST(close_in_the_middle_of_a_receive_gives_EBUSY_and_closes) {
    EACH_STREAM_WITH(s, done, close) {
        int b = go(receive_and_see_it_closed(s[0]));
        CHECK_ERR(close(s[0], now() + 5000), -1, EBUSY);
        CHECK_ERR(hclose(s[0]), -1, EBADF);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
    }
}
