/* SUFFIX: messages before a delimiter. What it shares with other protocols is tested in layers.c. */

#include "lower.h"
#include "mem.h"

static int s[2], h[2], fd;

static void attach_both(const char *delimiter, size_t len) {
    for (int i = 0; i != 2; ++i) {
        h[i] = suffix_attach(s[i], delimiter, len);
        CHECK(h[i] >= 0);
    }
}

static void attach_lines(void) {
    h[0] = suffix_attach(s[0], "\r\n", 2);
    CHECK(h[0] >= 0);
}

/* --- On the wire --- */

TEST(a_message_is_followed_by_the_delimiter) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        struct iolist list[3] = {{(void *)"AB", 2, NULL, 0}, {NULL, 0, NULL, 0}, {(void *)"C", 1, NULL, 0}};
        attach_lines();
        SEND_MESSAGE(h[0], "hello");
        SEND_MESSAGE(h[0], "");
        CHECK_INT(msendl(h[0], &list[0], link_list(list, 3), -1), 0);
        RAW_RECV(fd, "hello\r\n\r\nABC\r\n");
        CHECK(list[0].iol_next == &list[1] && list[1].iol_next == &list[2] && !list[2].iol_next);
    }
}

TEST(a_message_goes_down_in_one_call) {
    make_user_pair(s);
    attach_lines();
    SEND_MESSAGE(h[0], "hello");
    CHECK_INT(lower_user[0].sent.count, 1);
}

TEST(messages_are_not_searched_for_the_delimiter_when_sent) {
    EACH_LOWER(s) {
        attach_both("\r\n", 2);
        SEND_MESSAGE(h[0], "one\r\ntwo");
        RECV_MESSAGE(h[1], "one");
        RECV_MESSAGE(h[1], "two");
    }
}

TEST(messages_pass_with_delimiters_of_1_to_32_bytes) {
    for (size_t len = 1; len <= 32; ++len) EACH_LOWER(s) {
            attach_both("0123456789abcdefghijklmnopqrstuv", len);
            for (int i = 0; i != 2; ++i) {
                SEND_MESSAGE(h[i], "first");
                SEND_MESSAGE(h[i], "");
                SEND_MESSAGE(h[i], "1234");
                RECV_MESSAGE(h[1 - i], "first");
                RECV_MESSAGE(h[1 - i], "");
                RECV_MESSAGE(h[1 - i], "1234");
            }
            CHECK_INT(hclose(h[0]), 0);
            CHECK_INT(hclose(h[1]), 0);
        }
}

TEST(a_delimiter_that_overlaps_itself_is_found_at_its_first_place) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        h[0] = suffix_attach(s[0], "aab", 3);
        RAW_SEND(fd, "aaabaabxaaaab");
        RECV_MESSAGE(h[0], "a");
        RECV_MESSAGE(h[0], "");
        RECV_MESSAGE(h[0], "xaa");
    }
}

TEST(a_part_of_the_delimiter_at_the_end_of_a_message_is_kept) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        attach_lines();
        RAW_SEND(fd, "A\r\r\n\n\r\n");
        RECV_MESSAGE(h[0], "A\r");
        RECV_MESSAGE(h[0], "\n");
    }
}

coroutine static void trickle(int raw, const char *text, size_t len) {
    for (size_t i = 0; i != len; ++i) {
        raw_send(raw, text + i, 1);
        CHECK_INT(msleep(now() + 1), 0);
    }
}

TEST(a_message_may_come_byte_by_byte) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        int b;
        attach_lines();
        b = go(trickle(fd, "hello\r\n\r\nbye\r\n", 14));
        RECV_MESSAGE(h[0], "hello");
        RECV_MESSAGE(h[0], "");
        RECV_MESSAGE(h[0], "bye");
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
}

/* --- The bytes behind the delimiter belong to somebody else --- */

TEST(nothing_behind_the_delimiter_is_consumed) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        char buf[4];
        attach_lines();
        RAW_SEND(fd, "hello\r\n\nxyz");
        RECV_MESSAGE(h[0], "hello");
        s[0] = suffix_detach(h[0], -1);
        CHECK(s[0] >= 0);
        CHECK_INT(brecv(s[0], buf, 4, now() + 5000), 0);
        CHECK_MEM(buf, "\nxyz", 4);
    }
}

TEST(a_descriptor_may_travel_behind_a_message) {
    if (OVER_TLS) SKIP("no descriptor travels over TLS");
    int pipes[2], got;
    CHECK_INT(pipe(pipes), 0);
    make_ipc_pair(s);
    attach_both("\r\n", 2);
    SEND_MESSAGE(h[0], "a descriptor follows, and it must not be taken for a part of this line");
    for (int i = 0; i != 2; ++i) {
        if (i == 1)
            RECV_MESSAGE(h[1], "a descriptor follows, and it must not be taken for a part of this line");
        s[i] = suffix_detach(h[i], -1);
        CHECK(s[i] >= 0);
        if (i == 0) CHECK_INT(ipc_sendfd(s[0], pipes[1], -1), 0);
    }
    got = ipc_recvfd(s[1], now() + 5000);
    CHECK(got >= 0);
    CHECK_INT(write(got, "A", 1), 1);
}

TEST(a_foreign_stream_is_asked_for_no_more_than_must_come) {
    make_user_and_raw(&s[0], &fd);
    h[0] = suffix_attach(s[0], "----------", 10);
    RAW_SEND(fd, "hello--world----------");
    RECV_MESSAGE(h[0], "hello--world");
    CHECK(lower_user[0].received.count <= 4);
}

/* --- The caller's buffers --- */

TEST(a_list_is_filled_in_order_and_NULL_skips) {
    EACH_LOWER(s) {
        char a[3] = "..", b[5] = "....";
        struct iolist list[5] = {
            {NULL, 0, NULL, 0}, {a, 2, NULL, 0}, {NULL, 3, NULL, 0}, {b, 0, NULL, 0}, {b, 4, NULL, 0}};
        attach_both("\r\n", 2);
        SEND_MESSAGE(h[0], "ABCDEFG");
        CHECK_INT(mrecvl(h[1], &list[0], link_list(list, 5), now() + 5000), 7);
        CHECK_STR(a, "AB");
        CHECK_STR(b, "FG..");
        CHECK(list[0].iol_next == &list[1] && list[4].iol_len == 4);
    }
}

TEST(a_buffer_of_the_size_of_the_message_is_large_enough) {
    EACH_LOWER(s) {
        char buf[6] = ".....";
        attach_both("\r\n", 2);
        SEND_MESSAGE(h[0], "ABCD");
        CHECK_INT(mrecv(h[1], buf, 4, now() + 5000), 4);
        CHECK_STR(buf, "ABCD.");
        SEND_MESSAGE(h[0], "");
        CHECK_INT(mrecv(h[1], NULL, 0, now() + 5000), 0);
    }
}

TEST(a_message_larger_than_the_buffer_gives_EMSGSIZE_and_breaks_receiving) {
    EACH_LOWER(s) {
        char buf[6] = ".....";
        attach_both("\r\n", 2);
        SEND_MESSAGE(h[0], "ABCDE");
        CHECK_ERR(mrecv(h[1], buf, 4, now() + 5000), -1, EMSGSIZE);
        CHECK_INT(buf[4], '.');
        CHECK_ERR(mrecv(h[1], buf, 4, now() + 5000), -1, ECONNRESET);
        CHECK_ERR(suffix_detach(h[1], -1), -1, ECONNRESET);
        CHECK_CLOSED(h[1]);
    }
}

coroutine static void send_long(int handle, size_t len) {
    char *block = (char *)malloc(len);
    memset(block, 'x', len);
    CHECK_INT(msend(handle, block, len, -1), 0);
    SEND_MESSAGE(handle, "next");
    free(block);
}

TEST(messages_of_any_length_can_be_dropped) {
    EACH_LOWER(s) for (int way = 0; way != 2; ++way) {
        struct iolist skip = {NULL, SIZE_MAX, NULL, 0};
        int b;
        if (way == 0) attach_both("\r\n", 2);
        b = go(send_long(h[0], 600001));
        if (way == 0) CHECK_INT(mrecvl(h[1], NULL, NULL, now() + 10000), 600001);
        if (way == 1) CHECK_INT(mrecvl(h[1], &skip, &skip, now() + 10000), 600001);
        RECV_MESSAGE(h[1], "next");
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(long_messages_are_received_whole) {
    EACH_LOWER(s) {
        size_t len = 300000;
        char *buf = (char *)malloc(len);
        int b;
        attach_both("\r\n", 2);
        b = go(send_long(h[0], len));
        CHECK_INT(mrecv(h[1], buf, len, now() + 10000), len);
        for (size_t i = 0; i != len; ++i) CHECK(buf[i] == 'x');
        RECV_MESSAGE(h[1], "next");
        CHECK_INT(hclose(b), 0);
        free(buf);
    }
}

TEST(long_lists_are_sent_and_received) {
    EACH_LOWER(s) {
        enum { COUNT = 1500 };
        static struct iolist list[COUNT];
        static char out[COUNT], in[COUNT];
        attach_both("\r\n", 2);
        for (int i = 0; i != COUNT; ++i) {
            out[i] = (char)('a' + i % 26);
            list[i].iol_base = out + i;
            list[i].iol_len = 1;
        }
        CHECK_INT(msendl(h[0], &list[0], link_list(list, COUNT), -1), 0);
        for (int i = 0; i != COUNT; ++i) list[i].iol_base = in + i;
        CHECK_INT(mrecvl(h[1], &list[0], &list[COUNT - 1], now() + 5000), COUNT);
        CHECK_MEM(in, out, COUNT);
    }
}

/* --- Errors --- */

TEST(the_delimiter_has_1_to_32_bytes_or_the_stream_is_closed) {
    const char *bytes = "012345678901234567890123456789012";
    const struct {
        const char *bytes;
        size_t len;
    } bad[] = {{bytes, 0}, {bytes, 33}, {NULL, 2}, {NULL, 0}, {bytes, SIZE_MAX}};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) {
        struct suffix_storage mem;
        for (int way = 0; way != 2; ++way) {
            make_ipc_pair(s);
            if (way == 0) CHECK_ERR(suffix_attach(s[0], bad[i].bytes, bad[i].len), -1, EINVAL);
            if (way == 1) CHECK_ERR(suffix_attach_mem(s[0], bad[i].bytes, bad[i].len, &mem), -1, EINVAL);
            CHECK_CLOSED(s[0]);
        }
    }
}

TEST(the_delimiter_is_copied) {
    char delimiter[] = "\r\n";
    make_ipc_and_raw(&s[0], &fd);
    h[0] = suffix_attach(s[0], delimiter, 2);
    memset(delimiter, 'x', 2);
    SEND_MESSAGE(h[0], "A");
    RAW_RECV(fd, "A\r\n");
}

TEST(a_timeout_in_the_middle_of_a_message_is_for_good) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        char c;
        attach_lines();
        RAW_SEND(fd, "hel");
        CHECK_ERR(mrecv(h[0], NULL, 100, now() + 20), -1, ETIMEDOUT);
        RAW_SEND(fd, "lo\r\n");
        CHECK_ERR(mrecv(h[0], &c, 1, now() + 20), -1, ECONNRESET);
        SEND_MESSAGE(h[0], "A");
        RAW_RECV(fd, "A\r\n");
    }
}

static int64_t drop_message(int64_t deadline) {
    struct iolist skip = {NULL, SIZE_MAX, NULL, 0};
    return mrecvl(h[0], &skip, &skip, deadline);
}

TEST(a_message_without_end_neither_outlasts_the_deadline_nor_holds_the_others_up) {
    for (int with_deadline = 0; with_deadline != 2; ++with_deadline) EACH_LOWER_AND_RAW(&s[0], &fd) {
            attach_lines();
            write_for_ever(fd, "x");
            if (with_deadline) CHECK_ERR(drop_message(now() + 100), -1, ETIMEDOUT);
            else check_others_run(drop_message);
            CHECK_INT(hclose(h[0]), 0);
        }
}

TEST(an_end_in_the_middle_of_a_message_is_EPIPE) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        char c;
        attach_lines();
        RAW_SEND(fd, "hello\r");
        CHECK_INT(shutdown(fd, SHUT_WR), 0);
        CHECK_ERR(mrecv(h[0], NULL, 100, now() + 5000), -1, EPIPE);
        CHECK_ERR(mrecv(h[0], &c, 1, now() + 5000), -1, EPIPE);
        CHECK_ERR(suffix_detach(h[0], -1), -1, ECONNRESET);
    }
}

TEST(messages_sent_before_the_peer_detached_can_be_read) {
    EACH_LOWER(s) {
        char buf[3];
        attach_both("\r\n", 2);
        SEND_MESSAGE(h[0], "one");
        SEND_MESSAGE(h[0], "two");
        s[0] = suffix_detach(h[0], -1);
        CHECK_INT(bsend(s[0], "raw", 3, -1), 0);
        RECV_MESSAGE(h[1], "one");
        RECV_MESSAGE(h[1], "two");
        s[1] = suffix_detach(h[1], -1);
        CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
        CHECK_MEM(buf, "raw", 3);
    }
}
