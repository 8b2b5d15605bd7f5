/* PREFIX: messages behind their length. What it shares with other protocols is tested in layers.c. */

#include "lower.h"

static int s[2], h[2], fd;

static void attach_both(size_t hdrlen, int flags) {
    for (int i = 0; i != 2; ++i) {
        h[i] = prefix_attach(s[i], hdrlen, flags);
        CHECK(h[i] >= 0);
    }
}

/* --- On the wire --- */

TEST(the_length_goes_first) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        struct iolist list[3] = {{(void *)"AB", 2, NULL, 0}, {NULL, 0, NULL, 0}, {(void *)"C", 1, NULL, 0}};
        h[0] = prefix_attach(s[0], 3, PREFIX_BIG_ENDIAN);
        SEND_MESSAGE(h[0], "hello");
        SEND_MESSAGE(h[0], "");
        CHECK_INT(msendl(h[0], &list[0], link_list(list, 3), -1), 0);
        RAW_RECV(fd, "\0\0\5hello\0\0\0\0\0\3ABC");
        CHECK(list[0].iol_next == &list[1] && list[1].iol_next == &list[2] && !list[2].iol_next);
    }
}

TEST(the_length_may_go_with_its_lowest_byte_first) {
    make_ipc_and_raw(&s[0], &fd);
    h[0] = prefix_attach(s[0], 3, PREFIX_LITTLE_ENDIAN);
    SEND_MESSAGE(h[0], "hello");
    RAW_RECV(fd, "\5\0\0hello");
}

TEST(only_the_lowest_flag_is_looked_at) {
    make_ipc_and_raw(&s[0], &fd);
    h[0] = prefix_attach(s[0], 2, 0x7ffffffe);
    SEND_MESSAGE(h[0], "A");
    RAW_RECV(fd, "\0\1A");
}

TEST(long_headers_are_padded_with_zeros) {
    make_ipc_and_raw(&s[0], &fd);
    h[0] = prefix_attach(s[0], 10, PREFIX_BIG_ENDIAN);
    SEND_MESSAGE(h[0], "A");
    RAW_RECV(fd, "\0\0\0\0\0\0\0\0\0\1A");
    RAW_SEND(fd, "\0\0\0\0\0\0\0\0\0\2BC");
    RECV_MESSAGE(h[0], "BC");
}

TEST(a_message_goes_down_in_one_call) {
    make_user_pair(s);
    h[0] = prefix_attach(s[0], 2, 0);
    SEND_MESSAGE(h[0], "hello");
    CHECK_INT(lower_user[0].sent.count, 1);
}

TEST(messages_pass_with_headers_of_1_to_255_bytes) {
    for (size_t len = 1; len <= 255; len += len < 12 ? 1 : 27) EACH_LOWER(s) {
            attach_both(len, (int)(len % 2));
            for (int i = 0; i != 2; ++i) {
                SEND_MESSAGE(h[i], "first");
                SEND_MESSAGE(h[i], "");
                RECV_MESSAGE(h[1 - i], "first");
                RECV_MESSAGE(h[1 - i], "");
            }
            CHECK_INT(hclose(h[0]), 0);
            CHECK_INT(hclose(h[1]), 0);
        }
}

TEST(the_stream_is_handed_back_behind_the_last_message) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        char buf[3];
        h[0] = prefix_attach(s[0], 1, 0);
        RAW_SEND(fd, "\5helloxyz");
        RECV_MESSAGE(h[0], "hello");
        s[0] = prefix_detach(h[0]);
        CHECK_INT(brecv(s[0], buf, 3, now() + 5000), 0);
        CHECK_MEM(buf, "xyz", 3);
    }
}

/* --- Lengths that do not fit --- */

TEST(a_length_that_does_not_fit_in_the_header_gives_EMSGSIZE_and_does_no_harm) {
    EACH_LOWER(s) {
        static char block[65536];
        attach_both(1, 0);
        CHECK_ERR(msend(h[0], block, 256, -1), -1, EMSGSIZE);
        CHECK_INT(msend(h[0], block, 255, -1), 0);
        CHECK_INT(mrecv(h[1], block, sizeof(block), now() + 5000), 255);
    }
    make_ipc_pair(s);
    attach_both(2, PREFIX_LITTLE_ENDIAN);
    static char large[65536];
    CHECK_ERR(msend(h[0], large, 65536, -1), -1, EMSGSIZE);
    SEND_MESSAGE(h[0], "A");
    RECV_MESSAGE(h[1], "A");
}

TEST(a_length_beyond_SSIZE_MAX_gives_EMSGSIZE_and_breaks_receiving) {
    const char *headers[] = {"\200\0\0\0\0\0\0\0", "\377\377\377\377\377\377\377\377"};
    for (int i = 0; i != 2; ++i)
        for (int skip = 0; skip != 2; ++skip) EACH_LOWER_AND_RAW(&s[0], &fd) {
                struct iolist all = {NULL, SIZE_MAX, NULL, 0};
                struct iolist *list = skip ? &all : NULL;
                h[0] = prefix_attach(s[0], 8, 0);
                raw_send(fd, headers[i], 8);
                CHECK_ERR(mrecvl(h[0], list, list, now() + 5000), -1, EMSGSIZE);
                CHECK_ERR(mrecvl(h[0], list, list, now() + 5000), -1, ECONNRESET);
            }
}

TEST(high_bytes_of_a_long_header_are_not_lost) {
    make_ipc_and_raw(&s[0], &fd);
    h[0] = prefix_attach(s[0], 9, 0);
    RAW_SEND(fd, "\1\0\0\0\0\0\0\0\1A");
    CHECK_ERR(mrecv(h[0], NULL, 10, now() + 5000), -1, EMSGSIZE);
}

/* --- The caller's buffers --- */

TEST(a_list_is_filled_in_order_and_NULL_skips) {
    EACH_LOWER(s) {
        char a[3] = "..", b[5] = "....";
        struct iolist list[5] = {
            {NULL, 0, NULL, 0}, {a, 2, NULL, 0}, {NULL, 3, NULL, 0}, {b, 0, NULL, 0}, {b, 4, NULL, 0}};
        attach_both(2, 0);
        SEND_MESSAGE(h[0], "ABCDEFG");
        CHECK_INT(mrecvl(h[1], &list[0], link_list(list, 5), now() + 5000), 7);
        CHECK_STR(a, "AB");
        CHECK_STR(b, "FG..");
        CHECK(list[0].iol_next == &list[1] && list[4].iol_len == 4);
    }
}

TEST(a_message_may_end_in_any_element_of_the_list) {
    EACH_LOWER(s) {
        char a[4], b[4], c[4];
        struct iolist list[3] = {{a, 4, NULL, 0}, {b, 4, NULL, 0}, {c, 4, NULL, 0}};
        attach_both(2, 0);
        for (size_t len = 0; len <= 12; ++len) {
            memset(a, '.', 4), memset(b, '.', 4), memset(c, '.', 4);
            CHECK_INT(msend(h[0], "ABCDEFGHIJKL", len, -1), 0);
            CHECK_INT(mrecvl(h[1], &list[0], link_list(list, 3), now() + 5000), len);
            for (size_t i = 0; i != 12; ++i) {
                char seen = i < 4 ? a[i] : i < 8 ? b[i - 4] : c[i - 8];
                CHECK_INT(seen, i < len ? 'A' + (int)i : '.');
            }
            CHECK(list[0].iol_next == &list[1] && list[1].iol_next == &list[2] && !list[2].iol_next);
            CHECK(list[0].iol_len == 4 && list[1].iol_len == 4 && list[2].iol_len == 4);
        }
    }
}

coroutine static void send_long(int handle, size_t len) {
    char *block = (char *)malloc(len);
    memset(block, 'x', len);
    CHECK_INT(msend(handle, block, len, -1), 0);
    free(block);
}

TEST(a_long_message_may_end_in_any_element_of_the_list) {
    EACH_LOWER(s) {
        static char part[3][4000];
        struct iolist list[3] = {
            {part[0], 4000, NULL, 0}, {part[1], 4000, NULL, 0}, {part[2], 4000, NULL, 0}};
        int b;
        attach_both(4, 0);
        memset(part, '.', sizeof(part));
        b = go(send_long(h[0], 7000));
        CHECK_INT(mrecvl(h[1], &list[0], link_list(list, 3), now() + 5000), 7000);
        CHECK_INT(part[1][2999], 'x');
        CHECK_INT(part[1][3000], '.');
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_message_larger_than_the_list_gives_EMSGSIZE_and_breaks_receiving) {
    EACH_LOWER(s) {
        char buf[6] = ".....";
        attach_both(2, 0);
        SEND_MESSAGE(h[0], "ABCDE");
        CHECK_ERR(mrecv(h[1], buf, 4, now() + 5000), -1, EMSGSIZE);
        CHECK_STR(buf, ".....");
        CHECK_ERR(mrecv(h[1], buf, 4, now() + 5000), -1, ECONNRESET);
        CHECK_ERR(prefix_detach(h[1]), -1, ECONNRESET);
        CHECK_CLOSED(h[1]);
    }
}

TEST(messages_can_be_dropped) {
    EACH_LOWER(s) {
        struct iolist skip = {NULL, SIZE_MAX, NULL, 0};
        int b;
        attach_both(4, 0);
        SEND_MESSAGE(h[0], "ABC");
        SEND_MESSAGE(h[0], "");
        SEND_MESSAGE(h[0], "DEFG");
        CHECK_INT(mrecvl(h[1], NULL, NULL, now() + 5000), 3);
        CHECK_INT(mrecvl(h[1], NULL, NULL, now() + 5000), 0);
        CHECK_INT(mrecvl(h[1], &skip, &skip, now() + 5000), 4);
        b = go(send_long(h[0], 1000001));
        CHECK_INT(mrecvl(h[1], NULL, NULL, now() + 5000), 1000001);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        SEND_MESSAGE(h[0], "HI");
        RECV_MESSAGE(h[1], "HI");
        CHECK_INT(hclose(b), 0);
    }
}

TEST(dropping_a_message_that_never_comes_is_an_error) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        h[0] = prefix_attach(s[0], 1, 0);
        RAW_SEND(fd, "\5he");
        CHECK_INT(shutdown(fd, SHUT_WR), 0);
        CHECK_ERR(mrecvl(h[0], NULL, NULL, now() + 5000), -1, EPIPE);
    }
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        h[0] = prefix_attach(s[0], 1, 0);
        RAW_SEND(fd, "\5he");
        CHECK_ERR(mrecv(h[0], NULL, 100, now() + 20), -1, ETIMEDOUT);
        CHECK_ERR(mrecv(h[0], NULL, 100, now() + 20), -1, ECONNRESET);
    }
}

static int64_t drop_message(int64_t deadline) { return mrecvl(h[0], NULL, NULL, deadline); }

TEST(a_message_without_end_neither_outlasts_the_deadline_nor_holds_the_others_up) {
    for (int with_deadline = 0; with_deadline != 2; ++with_deadline) EACH_LOWER_AND_RAW(&s[0], &fd) {
            h[0] = prefix_attach(s[0], 8, 0);
            write_for_ever(fd, "\x7fxxxxxxx");
            if (with_deadline) CHECK_ERR(drop_message(now() + 100), -1, ETIMEDOUT);
            else check_others_run(drop_message);
            CHECK_INT(hclose(h[0]), 0);
        }
}

TEST(long_lists_are_sent_and_received) {
    EACH_LOWER(s) {
        enum { COUNT = 1500 };
        static struct iolist list[COUNT];
        static char out[COUNT], in[COUNT];
        attach_both(2, 0);
        for (int i = 0; i != COUNT; ++i) {
            out[i] = (char)i;
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

TEST(headers_have_1_to_255_bytes_or_the_stream_is_closed) {
    const size_t bad[] = {0, 256, SIZE_MAX};
    for (int i = 0; i != 3; ++i) {
        make_ipc_pair(s);
        CHECK_ERR(prefix_attach(s[0], bad[i], 0), -1, EINVAL);
        CHECK_CLOSED(s[0]);
    }
}

coroutine static void refuse_once(int *lower) {
    CHECK_INT(msleep(now() + 20), 0);
    lower_user[0].fail_receive = EBUSY;
    raw_send(*lower, "\3", 1);
}

TEST(EBUSY_in_the_middle_of_a_message_breaks_receiving) {
    int b;
    make_user_and_raw(&s[0], &fd);
    h[0] = prefix_attach(s[0], 1, 0);
    b = go(refuse_once(&fd));
    CHECK_ERR(mrecv(h[0], NULL, 10, now() + 5000), -1, ECONNRESET);
    lower_user[0].fail_receive = 0;
    CHECK_ERR(mrecv(h[0], NULL, 10, now() + 5000), -1, ECONNRESET);
    CHECK_INT(hclose(b), 0);
}

TEST(messages_sent_before_the_peer_detached_can_be_read) {
    EACH_LOWER(s) {
        attach_both(3, PREFIX_LITTLE_ENDIAN);
        SEND_MESSAGE(h[0], "one");
        SEND_MESSAGE(h[0], "two");
        s[0] = prefix_detach(h[0]);
        CHECK(s[0] >= 0);
        RECV_MESSAGE(h[1], "one");
        RECV_MESSAGE(h[1], "two");
        s[1] = prefix_detach(h[1]);
        CHECK(s[1] >= 0);
    }
}
