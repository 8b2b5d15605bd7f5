/* TERM: an agreed last message. What it shares with other protocols is tested in layers.c. */

#include "lower.h"

static int s[2], h[2], fd;

/* What TERM runs on. */
static void lines(int lower[2]) {
    make_ipc_pair(lower);
    for (int i = 0; i != 2; ++i) lower[i] = suffix_attach(lower[i], "\r\n", 2);
}
static void lengths(int lower[2]) {
    make_ipc_pair(lower);
    for (int i = 0; i != 2; ++i) lower[i] = prefix_attach(lower[i], 2, 0);
}
static void lengths_over_tcp(int lower[2]) {
    make_tcp_pair(lower);
    for (int i = 0; i != 2; ++i) lower[i] = prefix_attach(lower[i], 2, 0);
}
static void datagrams(int lower[2]) {
    struct ipaddr a, b;
    CHECK_INT(ipaddr_local(&a, "127.0.0.1", 0, 0), 0);
    lower[0] = udp_open(&a, NULL);
    CHECK_INT(ipaddr_local(&b, "127.0.0.1", 0, 0), 0);
    lower[1] = udp_open(&b, &a);
    CHECK_INT(hclose(lower[0]), 0);
    lower[0] = udp_open(&a, &b);
    CHECK(lower[0] >= 0 && lower[1] >= 0);
}

static void (*const kinds[])(int lower[2]) = {lines, lengths, lengths_over_tcp, datagrams};
#define EACH_KIND(S) for (int kind_ = 0; kind_ != 4 && (kinds[kind_](S), 1); ++kind_)

static void attach_both(const char *terminator, size_t len) {
    for (int i = 0; i != 2; ++i) {
        h[i] = term_attach(s[i], terminator, len);
        CHECK(h[i] >= 0);
    }
}

/* --- Messages --- */

TEST(messages_pass_unchanged) {
    EACH_KIND(s) {
        attach_both("STOP", 4);
        for (int i = 0; i != 2; ++i) {
            SEND_MESSAGE(h[i], "");
            SEND_MESSAGE(h[i], "STO");
            SEND_MESSAGE(h[i], "STOPP");
            SEND_MESSAGE(h[i], "stop");
            SEND_MESSAGE(h[i], "something longer than the terminator");
            RECV_MESSAGE(h[1 - i], "");
            RECV_MESSAGE(h[1 - i], "STO");
            RECV_MESSAGE(h[1 - i], "STOPP");
            RECV_MESSAGE(h[1 - i], "stop");
            RECV_MESSAGE(h[1 - i], "something longer than the terminator");
        }
    }
}

TEST(a_message_may_end_in_any_element_of_the_list) {
    EACH_KIND(s) {
        char a[4], b[4];
        struct iolist list[3] = {{a, 3, NULL, 0}, {NULL, 2, NULL, 0}, {b, 3, NULL, 0}};
        attach_both("STOP", 4);
        for (size_t len = 0; len <= 8; ++len) {
            memset(a, '.', 4), memset(b, '.', 4);
            CHECK_INT(msend(h[0], "ABCDEFGH", len, -1), 0);
            CHECK_INT(mrecvl(h[1], &list[0], link_list(list, 3), now() + 5000), len);
            for (size_t i = 0; i != 3; ++i) CHECK_INT(a[i], i < len ? 'A' + (int)i : '.');
            for (size_t i = 0; i != 3; ++i) CHECK_INT(b[i], i + 5 < len ? 'F' + (int)i : '.');
            CHECK_INT(a[3], '.');
            CHECK_INT(b[3], '.');
            CHECK(list[0].iol_len == 3 && list[0].iol_next == &list[1] && list[1].iol_len == 2);
        }
    }
}

TEST(nothing_is_written_behind_the_message) {
    EACH_KIND(s) {
        char buf[32];
        attach_both("A TERMINATOR OF MANY BYTES", 26);
        memset(buf, '.', sizeof(buf));
        SEND_MESSAGE(h[0], "AB");
        CHECK_INT(mrecv(h[1], buf, sizeof(buf), now() + 5000), 2);
        CHECK_MEM(buf, "AB..............................", 32);
    }
}

TEST(a_message_larger_than_the_buffer_gives_EMSGSIZE) {
    EACH_KIND(s) {
        char buf[8] = ".......";
        attach_both("STOPSTOP", 8);
        SEND_MESSAGE(h[0], "ABCDEF");
        CHECK_ERR(mrecv(h[1], buf, 4, now() + 5000), -1, EMSGSIZE);
        CHECK_STR(buf + 4, "...");
        SEND_MESSAGE(h[0], "GH");
        RECV_MESSAGE(h[1], "GH");
    }
}

TEST(messages_can_be_dropped) {
    EACH_KIND(s) {
        struct iolist skip = {NULL, SIZE_MAX, NULL, 0};
        attach_both("STOP", 4);
        SEND_MESSAGE(h[0], "AB");
        SEND_MESSAGE(h[0], "something longer than the terminator");
        SEND_MESSAGE(h[0], "");
        CHECK_INT(mrecvl(h[1], NULL, NULL, now() + 5000), 2);
        CHECK_INT(mrecvl(h[1], &skip, &skip, now() + 5000), 36);
        CHECK_INT(mrecvl(h[1], NULL, NULL, now() + 5000), 0);
    }
}

/* --- The terminator --- */

TEST(the_terminator_is_seen_whatever_the_buffer) {
    for (int way = 0; way != 5; ++way) EACH_KIND(s) {
            char buf[100];
            struct iolist list[2] = {{buf, 2, NULL, 0}, {NULL, 100, NULL, 0}};
            attach_both("STOP", 4);
            CHECK_INT(term_done(h[0], now() + 5000), 0);
            if (way == 0) CHECK_ERR(mrecv(h[1], buf, 100, now() + 5000), -1, EPIPE);
            if (way == 1) CHECK_ERR(mrecv(h[1], buf, 2, now() + 5000), -1, EPIPE);
            if (way == 2) CHECK_ERR(mrecv(h[1], NULL, 0, now() + 5000), -1, EPIPE);
            if (way == 3) CHECK_ERR(mrecvl(h[1], NULL, NULL, now() + 5000), -1, EPIPE);
            if (way == 4) CHECK_ERR(mrecvl(h[1], &list[0], link_list(list, 2), now() + 5000), -1, EPIPE);
            CHECK_ERR(mrecv(h[1], buf, 100, now() + 5000), -1, EPIPE);
        }
}

TEST(the_terminator_may_be_the_empty_message) {
    for (int way = 0; way != 2; ++way) EACH_KIND(s) {
            char buf[10];
            attach_both(way ? NULL : "", 0);
            SEND_MESSAGE(h[0], "A");
            CHECK_INT(term_done(h[0], now() + 5000), 0);
            RECV_MESSAGE(h[1], "A");
            if (way == 0) CHECK_ERR(mrecv(h[1], buf, 10, now() + 5000), -1, EPIPE);
            if (way == 1) CHECK_ERR(mrecvl(h[1], NULL, NULL, now() + 5000), -1, EPIPE);
            CHECK_ERR(mrecv(h[1], buf, 10, now() + 5000), -1, EPIPE);
        }
}

TEST(the_terminator_has_at_most_32_bytes_or_the_socket_is_closed) {
    const char *bytes = "012345678901234567890123456789012";
    struct term_storage mem;
    lines(s);
    attach_both(bytes, 32);
    CHECK_INT(term_done(h[0], -1), 0);
    CHECK_ERR(mrecv(h[1], NULL, 0, now() + 5000), -1, EPIPE);
    for (int way = 0; way != 4; ++way) {
        lines(s);
        if (way == 0) CHECK_ERR(term_attach(s[0], bytes, 33), -1, EINVAL);
        if (way == 1) CHECK_ERR(term_attach(s[0], NULL, 1), -1, EINVAL);
        if (way == 2) CHECK_ERR(term_attach_mem(s[0], bytes, 33, &mem), -1, EINVAL);
        if (way == 3) CHECK_ERR(term_attach_mem(s[0], bytes, SIZE_MAX, NULL), -1, EINVAL);
        CHECK_CLOSED(s[0]);
    }
}

TEST(after_done_nothing_is_sent) {
    EACH_KIND(s) {
        attach_both("STOP", 4);
        CHECK_INT(term_done(h[0], -1), 0);
        CHECK_ERR(term_done(h[0], -1), -1, EPIPE);
        CHECK_ERR(msend(h[0], "A", 1, -1), -1, EPIPE);
        SEND_MESSAGE(h[1], "B");
        RECV_MESSAGE(h[0], "B");
    }
}

TEST(after_the_terminator_nothing_is_received) {
    EACH_KIND(s) {
        char buf[10];
        attach_both("STOP", 4);
        SEND_MESSAGE(h[0], "STOP");
        SEND_MESSAGE(h[0], "A");
        CHECK_ERR(mrecv(h[1], buf, 10, now() + 5000), -1, EPIPE);
        CHECK_ERR(mrecv(h[1], buf, 10, now() + 5000), -1, EPIPE);
        s[1] = term_detach(h[1], now() + 5000);
        CHECK(s[1] >= 0);
        RECV_MESSAGE(s[1], "A");
    }
}

TEST(done_of_a_handle_of_another_kind_leaves_it_alone) {
    lines(s);
    CHECK_ERR(term_done(s[0], -1), -1, ENOTSUP);
    CHECK_ERR(term_done(-1, -1), -1, EBADF);
    SEND_MESSAGE(s[0], "A");
    RECV_MESSAGE(s[1], "A");
}

/* --- Detaching --- */

coroutine static void detach_other(int *lower) { *lower = term_detach(h[1], now() + 5000); }

TEST(detaching_drops_messages_until_the_terminator) {
    EACH_KIND(s) {
        int b;
        attach_both("STOP", 4);
        SEND_MESSAGE(h[0], "dropped");
        SEND_MESSAGE(h[0], "something longer than the terminator, and dropped");
        SEND_MESSAGE(h[0], "");
        b = go(detach_other(&s[1]));
        s[0] = term_detach(h[0], now() + 5000);
        CHECK(s[0] >= 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK(s[1] >= 0);
        SEND_MESSAGE(s[0], "A");
        RECV_MESSAGE(s[1], "A");
        CHECK_INT(hclose(b), 0);
    }
}

TEST(detaching_sends_the_terminator_once) {
    make_ipc_and_raw(&s[0], &fd);
    s[0] = suffix_attach(s[0], "\r\n", 2);
    h[0] = term_attach(s[0], "STOP", 4);
    CHECK_INT(term_done(h[0], -1), 0);
    RAW_SEND(fd, "STOP\r\nA\r\n");
    s[0] = term_detach(h[0], now() + 5000);
    CHECK(s[0] >= 0);
    RAW_RECV(fd, "STOP\r\n");
    RECV_MESSAGE(s[0], "A");
}

TEST(detaching_without_the_peers_terminator_times_out_and_closes_everything) {
    EACH_KIND(s) {
        attach_both("STOP", 4);
        CHECK_ERR(term_detach(h[0], now() + 20), -1, ETIMEDOUT);
        CHECK_CLOSED(h[0]);
        CHECK_ERR(mrecv(h[1], NULL, 0, now() + 5000), -1, EPIPE);
    }
}

static int64_t detach(int64_t deadline) { return term_detach(h[0], deadline); }

TEST(messages_without_end_neither_outlast_the_deadline_nor_hold_the_others_up) {
    for (int with_deadline = 0; with_deadline != 2; ++with_deadline) EACH_LOWER_AND_RAW(&s[0], &fd) {
            h[0] = term_attach(suffix_attach(s[0], "\n", 1), "STOP", 4);
            write_for_ever(fd, "A\n");
            if (with_deadline) CHECK_ERR(detach(now() + 100), -1, ETIMEDOUT);
            else check_others_run(detach);
        }
}

TEST(the_end_of_the_layer_below_is_no_terminator) {
    void (*const streams[])(int lower[2]) = {lines, lengths, lengths_over_tcp};
    for (int i = 0; i != 3; ++i) {
        int lower;
        streams[i](s);
        attach_both("STOP", 4);
        CHECK_INT(hclose(h[1]), 0);
        CHECK(mrecv(h[0], NULL, 10, now() + 5000) < 0);
        lower = term_detach(h[0], now() + 5000);
        CHECK_INT(lower, -1);
        CHECK_CLOSED(h[0]);
    }
    make_ipc_and_raw(&s[0], &fd);
    s[0] = suffix_attach(s[0], "\r\n", 2);
    h[0] = term_attach(s[0], NULL, 0);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    CHECK_ERR(mrecv(h[0], NULL, 10, now() + 5000), -1, EPIPE);
    CHECK_ERR(term_detach(h[0], now() + 5000), -1, ECONNRESET);
}

coroutine static void detach_when_cancelled(int *seen) {
    *seen = term_detach(h[0], -1) < 0 ? errno : 0;
}

TEST(detaching_can_be_cancelled) {
    int seen = 0, b;
    lines(s);
    attach_both("STOP", 4);
    b = go(detach_when_cancelled(&seen));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(seen, ECANCELED);
    CHECK_CLOSED(h[0]);
}

/* --- Several coroutines --- */

coroutine static void send_messages(int handle, int count) {
    static char block[60000];
    for (int i = 0; i != count; ++i) CHECK_INT(msend(handle, block, sizeof(block), -1), 0);
}

TEST(done_in_the_middle_of_a_send_gives_EBUSY_and_does_no_harm) {
    int b;
    lengths(s);
    attach_both("STOP", 4);
    b = go(send_messages(h[0], 20));
    CHECK_ERR(term_done(h[0], now() + 5000), -1, EBUSY);
    for (int i = 0; i != 20; ++i) CHECK_INT(mrecv(h[1], NULL, SIZE_MAX, now() + 5000), 60000);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(term_done(h[0], now() + 5000), 0);
    CHECK_ERR(mrecv(h[1], NULL, SIZE_MAX, now() + 5000), -1, EPIPE);
}

/* --- Over a message socket of a user --- */

TEST(a_users_message_socket_gets_what_it_can_understand) {
    struct user_messages user;
    char buf[100];
    h[0] = term_attach(user_messages_make(&user), "STOP", 4);
    CHECK(h[0] >= 0);
    CHECK_INT(term_done(h[0], 1234), 0);
    CHECK_INT(user.sent.count, 1);
    CHECK_INT(user.sent.copy.iol_len, 4);
    CHECK_INT(user.sent.deadline, 1234);
    user.size = 50;
    CHECK_INT(mrecv(h[0], buf, 100, 77), 50);
    CHECK_INT(user.received.deadline, 77);
    user.fail = EPIPE;
    CHECK_ERR(term_detach(h[0], 5), -1, ECONNRESET);
}

TEST(errors_of_the_message_socket_are_not_for_good) {
    struct user_messages user;
    char buf[100];
    h[0] = term_attach(user_messages_make(&user), "STOP", 4);
    user.fail = ETIMEDOUT;
    CHECK_ERR(msend(h[0], "A", 1, -1), -1, ETIMEDOUT);
    CHECK_ERR(mrecv(h[0], buf, 100, -1), -1, ETIMEDOUT);
    CHECK_ERR(term_done(h[0], -1), -1, ETIMEDOUT);
    user.fail = 0;
    user.size = 1;
    CHECK_INT(msend(h[0], "A", 1, -1), 0);
    CHECK_INT(mrecv(h[0], buf, 100, -1), 1);
    CHECK_INT(term_done(h[0], -1), 0);
}
