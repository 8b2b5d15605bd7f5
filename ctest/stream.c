/* The state of a connection, for TCP and IPC alike: data, ends, sticky errors, busy directions. */

#include <libdill.h>

#include "stream.h"
#include "test.h"

static int s[2];

static void pass(int from, int to) {
    char buf[3];
    CHECK_INT(bsend(from, "ABC", 3, -1), 0);
    CHECK_INT(brecv(to, buf, 3, now() + 5000), 0);
    CHECK_MEM(buf, "ABC", 3);
}

/* --- Data --- */

TEST(bytes_pass_in_both_directions) {
    EACH_STREAM(s) {
        pass(s[0], s[1]);
        pass(s[1], s[0]);
    }
}

TEST(receives_may_cut_the_stream_differently_than_sends) {
    EACH_STREAM(s) {
        char buf[6];
        CHECK_INT(bsend(s[0], "AB", 2, -1), 0);
        CHECK_INT(bsend(s[0], "CDEF", 4, -1), 0);
        CHECK_INT(brecv(s[1], buf, 1, now() + 5000), 0);
        CHECK_INT(brecv(s[1], buf + 1, 5, now() + 5000), 0);
        CHECK_MEM(buf, "ABCDEF", 6);
    }
}

coroutine static void send_pattern(int end, size_t len) {
    char *out = (char *)malloc(len);
    for (size_t i = 0; i != len; ++i) out[i] = (char)(i % 251);
    CHECK_INT(bsend(end, out, len, -1), 0);
    free(out);
}

TEST(five_thousand_bytes_arrive_whatever_the_size_of_the_receives) {
    const size_t sizes[] = {1, 2, 7, 1000, 1983, 1984, 1985, 2000, 2001, 3000, 5000};
    for (size_t i = 0; i != sizeof(sizes) / sizeof(*sizes); ++i) EACH_STREAM(s) {
            static char in[6000];
            size_t got = 0;
            int h = go(send_pattern(s[0], 5000));
            while (got != 5000) {
                size_t len = 5000 - got < sizes[i] ? 5000 - got : sizes[i];
                CHECK_INT(brecv(s[1], in + got, len, now() + 5000), 0);
                got += len;
            }
            for (size_t k = 0; k != 5000; ++k) CHECK_INT((unsigned char)in[k], k % 251);
            CHECK_INT(hclose(h), 0);
            CHECK_INT(hclose(s[0]), 0);
            CHECK_INT(hclose(s[1]), 0);
        }
}

coroutine static void receive_pattern(int end, size_t len) {
    char *in = (char *)malloc(len);
    CHECK_INT(brecv(end, in, len, -1), 0);
    for (size_t i = 0; i != len; ++i) CHECK(in[i] == (char)(i % 251));
    free(in);
}

TEST(ten_megabytes_pass_in_both_directions_at_once) {
    EACH_STREAM(s) {
        int b = bundle();
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(bundle_go(b, send_pattern(s[i], 10000000)), 0);
            CHECK_INT(bundle_go(b, receive_pattern(s[1 - i], 10000000)), 0);
        }
        CHECK_INT(bundle_wait(b, now() + 15000), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(transfers_of_no_bytes_succeed_at_once) {
    EACH_STREAM(s) {
        CHECK_INT(bsend(s[0], NULL, 0, 0), 0);
        CHECK_INT(brecv(s[0], NULL, 0, 0), 0);
    }
}

TEST(a_receive_of_no_bytes_succeeds_at_the_end_of_the_stream) {
    EACH_STREAM_WITH(s, done, close) {
        CHECK_INT(done(s[0], -1), 0);
        CHECK_INT(brecv(s[1], NULL, 0, 0), 0);
    }
}

/* --- What needs no waiting does not wait --- */

coroutine static void set(volatile int *flag) {
    if (yield() == 0) *flag = 1;
}

TEST(operations_that_can_complete_at_once_do_not_switch) {
    EACH_STREAM_WITH(s, done, close) {
        char buf[3];
        volatile int flag = 0;
        int b;
        CHECK_INT(bsend(s[1], "XYZ", 3, -1), 0);
        wait_until_arrived();
        b = go(set(&flag));
        CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
        CHECK_INT(brecv(s[0], buf, 3, -1), 0);
        CHECK_INT(done(s[1], -1), 0);
        wait_until_arrived();
        CHECK_ERR(brecv(s[0], buf, 1, -1), -1, EPIPE);
        CHECK_INT(close(s[0], -1), 0);
        CHECK_INT(flag, 0);
        CHECK_INT(hclose(b), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(deadline_0_and_past_deadlines_suffice_for_what_can_complete_at_once) {
    EACH_STREAM(s) {
        char buf[3];
        CHECK_INT(bsend(s[0], "ABCDEF", 6, 0), 0);
        wait_until_arrived();
        CHECK_INT(brecv(s[1], buf, 3, 0), 0);
        CHECK_INT(brecv(s[1], buf, 3, now() - 1000), 0);
        CHECK_MEM(buf, "DEF", 3);
    }
}

TEST(success_leaves_errno_0_or_unchanged) {
    EACH_STREAM(s) {
        int h;
        char buf[3];
        errno = 0;
        CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
        CHECK_INT(errno, 0);
        CHECK_INT(brecv(s[1], buf, 3, -1), 0);
        CHECK_INT(errno, 0);
        h = go(send_pattern(s[0], 3000000));
        errno = 0;
        for (int i = 0; i != 300; ++i) {
            static char block[10000];
            CHECK_INT(brecv(s[1], block, sizeof(block), -1), 0);
            CHECK_INT(errno, 0);
        }
        CHECK_INT(hclose(h), 0);
    }
}

/* --- The end of a direction --- */

TEST(the_end_of_the_stream_is_EPIPE_again_and_again) {
    EACH_STREAM_WITH(s, done, close) {
        char buf[3];
        CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
        CHECK_INT(done(s[0], -1), 0);
        CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
        for (int i = 0; i != 3; ++i) CHECK_ERR(brecv(s[1], buf, 1, now() + 5000), -1, EPIPE);
    }
}

TEST(an_end_in_the_middle_of_a_receive_is_EPIPE) {
    EACH_STREAM_WITH(s, done, close) {
        char buf[10];
        CHECK_INT(bsend(s[0], "ABC", 3, -1), 0);
        CHECK_INT(done(s[0], -1), 0);
        CHECK_ERR(brecv(s[1], buf, 10, now() + 5000), -1, EPIPE);
    }
}

TEST(after_done_sending_gives_EPIPE_and_so_does_a_second_done) {
    EACH_STREAM_WITH(s, done, close) {
        CHECK_INT(done(s[0], -1), 0);
        CHECK_ERR(bsend(s[0], "A", 1, -1), -1, EPIPE);
        CHECK_ERR(done(s[0], -1), -1, EPIPE);
    }
}

TEST(after_done_the_opposite_direction_still_works) {
    EACH_STREAM_WITH(s, done, close) {
        CHECK_INT(done(s[0], -1), 0);
        pass(s[1], s[0]);
        CHECK_INT(done(s[1], -1), 0);
        CHECK_INT(close(s[0], now() + 5000), 0);
        CHECK_INT(close(s[1], now() + 5000), 0);
    }
}

TEST(done_ignores_its_deadline_and_does_not_switch) {
    EACH_STREAM_WITH(s, done, close) {
        volatile int flag = 0;
        int b = go(set(&flag));
        CHECK_INT(done(s[0], 1), 0);
        CHECK_INT(flag, 0);
        CHECK_INT(hclose(b), 0);
    }
}

/* --- Sticky errors --- */

TEST(a_receive_that_timed_out_is_followed_by_ECONNRESET) {
    EACH_STREAM(s) {
        char buf[3];
        int64_t deadline = now() + 30;
        CHECK_ERR(brecv(s[0], buf, 3, deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        for (int i = 0; i != 2; ++i) CHECK_ERR(brecv(s[0], buf, 3, -1), -1, ECONNRESET);
    }
}

TEST(a_receive_that_timed_out_leaves_sending_and_done_alone) {
    EACH_STREAM_WITH(s, done, close) {
        char buf[3];
        CHECK_ERR(brecv(s[0], buf, 3, 0), -1, ETIMEDOUT);
        pass(s[0], s[1]);
        CHECK_INT(done(s[0], -1), 0);
        CHECK_ERR(brecv(s[1], buf, 1, now() + 5000), -1, EPIPE);
    }
}

TEST(a_send_that_timed_out_is_followed_by_ECONNRESET) {
    EACH_STREAM_WITH(s, done, close) {
        fill_stream(s[0]);
        for (int i = 0; i != 2; ++i) CHECK_ERR(bsend(s[0], "A", 1, -1), -1, ECONNRESET);
        CHECK_ERR(done(s[0], -1), -1, ECONNRESET);
    }
}

TEST(a_send_that_timed_out_leaves_receiving_alone) {
    EACH_STREAM(s) {
        fill_stream(s[0]);
        pass(s[1], s[0]);
    }
}

coroutine static void receive_expecting(int end, int64_t deadline, int err) {
    char buf[3];
    CHECK_ERR(brecv(end, buf, 3, deadline), err ? -1 : 0, err);
}

TEST(a_cancelled_receive_is_followed_by_ECONNRESET) {
    EACH_STREAM(s) {
        char buf[3];
        int b = go(receive_expecting(s[0], -1, ECANCELED));
        CHECK_INT(hclose(b), 0);
        CHECK_ERR(brecv(s[0], buf, 3, -1), -1, ECONNRESET);
    }
}

TEST(close_after_a_failed_transfer_gives_ECONNRESET) {
    EACH_STREAM_WITH(s, done, close) {
        char buf[3];
        CHECK_ERR(brecv(s[0], buf, 3, 0), -1, ETIMEDOUT);
        CHECK_ERR(close(s[0], -1), -1, ECONNRESET);
        CHECK_ERR(close(s[0], -1), -1, EBADF);
    }
}

/* --- Skipping --- */

TEST(a_skip_without_data_times_out) {
    EACH_STREAM(s) {
        int64_t deadline = now() + 20;
        CHECK_ERR(brecv(s[0], NULL, 3000, deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        CHECK_ERR(brecv(s[0], NULL, 1, -1), -1, ECONNRESET);
    }
}

TEST(a_skip_over_the_end_gives_EPIPE) {
    EACH_STREAM_WITH(s, done, close) {
        CHECK_INT(bsend(s[1], "ABC", 3, -1), 0);
        CHECK_INT(done(s[1], -1), 0);
        CHECK_ERR(brecv(s[0], NULL, 3000, now() + 5000), -1, EPIPE);
    }
}

coroutine static void skip_until_cancelled(int end) { CHECK_ERR(brecv(end, NULL, 3000, -1), -1, ECANCELED); }

TEST(a_cancelled_skip_gives_ECANCELED) {
    EACH_STREAM(s) {
        int b = go(skip_until_cancelled(s[0]));
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_skip_of_the_largest_length_reads_until_the_end) {
    EACH_STREAM_WITH(s, done, close) {
        CHECK_INT(bsend(s[1], "ABC", 3, -1), 0);
        CHECK_INT(done(s[1], -1), 0);
        CHECK_ERR(brecv(s[0], NULL, SIZE_MAX, now() + 5000), -1, EPIPE);
    }
}

TEST(brecvl_without_a_list_reads_until_the_end) {
    EACH_STREAM_WITH(s, done, close) {
        CHECK_INT(bsend(s[1], "ABC", 3, -1), 0);
        CHECK_INT(done(s[1], -1), 0);
        CHECK_ERR(brecvl(s[0], NULL, NULL, now() + 5000), -1, EPIPE);
    }
}

TEST(brecvl_without_a_list_times_out) {
    EACH_STREAM(s) CHECK_ERR(brecvl(s[0], NULL, NULL, now() + 10), -1, ETIMEDOUT);
}

/* --- Busy directions --- */

TEST(a_second_receiver_gets_EBUSY_and_disturbs_nothing) {
    EACH_STREAM(s) {
        char buf[3];
        int b = go(receive_expecting(s[0], -1, 0));
        CHECK_ERR(brecv(s[0], buf, 3, -1), -1, EBUSY);
        CHECK_ERR(brecv(s[0], buf, 3, 0), -1, EBUSY);
        CHECK_INT(bsend(s[1], "ABCDEF", 6, -1), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(brecv(s[0], buf, 3, now() + 5000), 0);
        CHECK_MEM(buf, "DEF", 3);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_sender_and_a_receiver_do_not_disturb_each_other) {
    EACH_STREAM(s) {
        int b = go(receive_expecting(s[0], -1, 0));
        pass(s[0], s[1]);
        CHECK_INT(bsend(s[1], "ABC", 3, -1), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void send_large(int end, volatile int *rc) {
    static char block[20000000];
    *rc = bsend(end, block, sizeof(block), -1);
}

TEST(a_second_sender_gets_EBUSY_and_disturbs_nothing) {
    EACH_STREAM(s) {
        static char block[20000000];
        volatile int rc = -2;
        int b = go(send_large(s[0], &rc));
        CHECK_INT(rc, -2);
        CHECK_ERR(bsend(s[0], "A", 1, -1), -1, EBUSY);
        CHECK_INT(brecv(s[1], block, sizeof(block), now() + 15000), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(rc, 0);
        pass(s[0], s[1]);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(done_in_the_middle_of_a_send_gives_EBUSY_and_cuts_nothing_off) {
    EACH_STREAM_WITH(s, done, close) {
        static char block[20000000];
        volatile int rc = -2;
        int b = go(send_large(s[0], &rc));
        CHECK_INT(rc, -2);
        CHECK_ERR(done(s[0], -1), -1, EBUSY);
        CHECK_INT(brecv(s[1], block, sizeof(block), now() + 15000), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(rc, 0);
        CHECK_INT(done(s[0], -1), 0);
        CHECK_ERR(brecv(s[1], block, 1, now() + 5000), -1, EPIPE);
        CHECK_INT(hclose(b), 0);
    }
}

/* --- Descriptors --- */

TEST(descriptors_of_connections_do_not_block_and_are_inherited_by_other_programs) {
    EACH_STREAM(s) {
        int sockets = 0;
        for (int fd = 3; fd != 64; ++fd) {
            int type = 0;
            socklen_t len = sizeof(type);
            if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0) continue;
            ++sockets;
            CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
            CHECK_INT(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
        }
        CHECK(sockets >= 2);
    }
}

/* --- Kinds of handle --- */

TEST(a_stream_is_no_message_socket) {
    EACH_STREAM(s) {
        char buf[3];
        CHECK_ERR(msend(s[0], "ABC", 3, -1), -1, ENOTSUP);
        CHECK_ERR(mrecv(s[0], buf, 3, -1), -1, ENOTSUP);
        pass(s[0], s[1]);
    }
}
