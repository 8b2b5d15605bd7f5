/* TLS: deadlines, cancellation, and several coroutines on one connection. */

#include <libdill.h>

#include "test.h"
#include "tls.h"

/* --- Deadlines and cancellation --- */

TEST(a_receive_that_times_out_breaks_its_direction_only) {
    int h[2];
    EACH_TLS(h) {
        int64_t deadline = now() + 30;
        CHECK_ERR(brecv(h[0], NULL, 1, deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        CHECK_STAYS(brecv(h[0], NULL, 1, soon()), ECONNRESET);
        CHECK_SENT(h[0], "goes on");
        CHECK_RECEIVED(h[1], "goes on");
        CHECK_INT(tls_done(h[0], soon()), 0);
        CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
        CHECK_ERR(tls_detach(h[0], soon()), -1, ECONNRESET);
    }
}

TEST(what_has_arrived_is_received_after_the_deadline) {
    int h[2];
    char buf[4];
    make_tls_over_ipc(h);
    CHECK_SENT(h[0], "here");
    CHECK_INT(brecv(h[1], buf, 4, 0), 0);
    CHECK_MEM(buf, "here", 4);
}

TEST(a_send_that_times_out_breaks_its_direction_only) {
    int h[2];
    EACH_TLS(h) {
        fill_stream(h[0]);
        CHECK_STAYS(bsend(h[0], "x", 1, soon()), ECONNRESET);
        CHECK_STAYS(tls_done(h[0], soon()), ECONNRESET);
        CHECK_SENT(h[1], "goes on");
        CHECK_RECEIVED(h[0], "goes on");
        CHECK_ERR(tls_detach(h[0], soon()), -1, ECONNRESET);
    }
}

coroutine static void receive_expecting(int h, int64_t deadline, int err) {
    int rc = brecv(h, NULL, 1, deadline);
    CHECK_INT(rc == 0 ? 0 : errno, err);
}

TEST(each_call_has_its_own_deadline) {
    int h[2];
    EACH_TLS(h) {
        int b = go(receive_expecting(h[0], -1, 0));
        CHECK_INT(bsend(h[0], "soon over", 9, now() + 1), 0);
        CHECK_INT(msleep(now() + 50), 0);
        CHECK_SENT(h[1], "x");
        CHECK_INT(bundle_wait(b, soon()), 0);
        b = go(receive_expecting(h[0], now() + 30, ETIMEDOUT));
        CHECK_INT(bsend(h[0], "no end", 6, -1), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

TEST(a_detach_that_times_out_closes_everything) {
    int h[2];
    EACH_TLS(h) {
        int64_t deadline = now() + 30;
        CHECK_ERR(tls_detach(h[0], deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        CHECK_ERR(hclose(h[0]), -1, EBADF);
        CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
    }
}

TEST(a_cancelled_receive_gives_ECANCELED_and_breaks_its_direction) {
    int h[2];
    EACH_TLS(h) {
        int b = go(receive_expecting(h[0], -1, ECANCELED));
        CHECK_INT(hclose(b), 0);
        CHECK_STAYS(brecv(h[0], NULL, 1, soon()), ECONNRESET);
        CHECK_SENT(h[0], "goes on");
        CHECK_RECEIVED(h[1], "goes on");
    }
}

/* --- Several coroutines --- */

TEST(a_second_receiver_gets_EBUSY_and_disturbs_nothing) {
    int h[2];
    EACH_TLS(h) {
        int b = go(receive_expecting(h[0], -1, 0));
        CHECK_STAYS(brecv(h[0], NULL, 1, soon()), EBUSY);
        CHECK_SENT(h[0], "other direction");
        CHECK_RECEIVED(h[1], "other direction");
        CHECK_SENT(h[1], "x");
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK_SENT(h[1], "y");
        CHECK_RECEIVED(h[0], "y");
    }
}

coroutine static void send_expecting(int h, size_t len, int err) {
    char *block = (char *)calloc(1, len);
    int rc = bsend(h, block, len, -1);
    CHECK_INT(rc == 0 ? 0 : errno, err);
    free(block);
}

TEST(a_second_sender_gets_EBUSY_and_disturbs_nothing) {
    int h[2];
    EACH_TLS(h) {
        int b = go(send_expecting(h[0], 10000000, 0));
        CHECK_STAYS(bsend(h[0], "x", 1, soon()), EBUSY);
        CHECK_STAYS(tls_done(h[0], soon()), EBUSY);
        CHECK_INT(brecv(h[1], NULL, 10000000, soon()), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK_SENT(h[0], "y");
        CHECK_RECEIVED(h[1], "y");
    }
}

TEST(closing_the_handle_wakes_those_who_wait_with_EBADF) {
    int h[2];
    EACH_TLS(h) {
        if (each_tls_ == 2) continue; /* the user's bytestream does not let itself be closed like that */
        int b = bundle();
        CHECK_INT(bundle_go(b, receive_expecting(h[0], -1, EBADF)), 0);
        CHECK_INT(bundle_go(b, send_expecting(h[0], 10000000, EBADF)), 0);
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

static int runs;
coroutine static void count_runs(void) {
    for (;;) {
        if (yield() < 0) return;
        ++runs;
    }
}

TEST(what_can_be_done_at_once_lets_nobody_else_run) {
    int h[2];
    make_tls_over_ipc(h);
    int b = go(count_runs());
    runs = 0;
    CHECK_SENT(h[0], "at once");
    CHECK_RECEIVED(h[1], "at once");
    CHECK_INT(tls_done(h[0], soon()), 0);
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
    CHECK_INT(tls_done(h[1], soon()), 0);
    CHECK(tls_detach(h[0], soon()) >= 0);
    CHECK(tls_detach(h[1], soon()) >= 0);
    CHECK_INT(runs, 0);
    CHECK_INT(hclose(b), 0);
}

/* Each is a record of its own: more than are opened in one go lie in the kernel before the first is received. */
TEST(thousands_of_small_records_arrive_whole) {
    enum { COUNT = 5000 };
    static unsigned char sent[COUNT], received[COUNT];
    int h[2];
    fill_pattern(sent, COUNT, 0);
    for (int i = 0; i != 2; ++i) {
        i ? make_tls_over_tcp(h) : make_tls_over_ipc(h);
        int count = 0;
        while (count != COUNT && bsend(h[0], &sent[count], 1, now() + 50) == 0) ++count;
        CHECK(count > 200);
        memset(received, 0, COUNT);
        for (int at = 0, len; at != count; at += len) {
            len = count - at < 7 ? count - at : 7;
            CHECK_INT(brecv(h[1], &received[at], (size_t)len, soon()), 0);
        }
        CHECK_MEM(received, sent, (size_t)count);
        CHECK_ERR(brecv(h[1], NULL, 1, now() + 20), -1, ETIMEDOUT);
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
    }
}

TEST(a_handshake_in_small_records_lets_others_run) {
    /* The front of a message of 60000 bytes, one in each record, and behind it what is no record. */
    enum { COUNT = 15000 };
    static const unsigned char record[] = {22, 3, 3, 0, 1, 0}, message[] = {1, 0, 60000 >> 8, 60000 & 255};
    static unsigned char hello[COUNT][sizeof(record)];
    for (int i = 0; i != COUNT; ++i) memcpy(hello[i], record, sizeof(record));
    for (int i = 0; i != 4; ++i) hello[i][5] = message[i];
    hello[COUNT - 1][0] = 99;
    make_certificate();
    int s, fd;
    make_ipc_and_raw(&s, &fd);
    raw_send(fd, hello, sizeof(hello));
    int b = go(count_runs());
    runs = 0;
    CHECK_ERR(tls_attach_server(s, in_directory("server.pem"), in_directory("server.key"), soon()), -1, EPROTO);
    CHECK(runs > 0);
    CHECK_INT(hclose(b), 0);
}
