/* Sending messages: the frames on the wire, seen by a peer that reads them by hand. */

#include <sys/mman.h>

#include <libdill.h>

#include "list.h"
#include "test.h"
#include "usersock.h"
#include "wire.h"

static struct wire w;

/* --- Frames --- */

TEST(a_text_message_is_one_final_text_frame) {
    EACH_ROLE(&w, WS_BINARY) {
        CHECK_INT(ws_send(w.ws, WS_TEXT, "hello", 5, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "hello");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(a_binary_message_is_one_final_binary_frame) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_send(w.ws, WS_BINARY, "\0\xff\x80", 3, -1), 0);
        wire_expect(&w, FIN | BINARY, "\0\xff\x80", 3);
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(WS_NOHTTP_among_the_flags_of_a_message_is_ignored) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_NOHTTP, "A", 1, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
        CHECK_INT(ws_send(w.ws, WS_BINARY | WS_NOHTTP, "A", 1, -1), 0);
        wire_expect_text(&w, FIN | BINARY, "A");
    }
}

TEST(an_empty_message_is_an_empty_frame) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_send(w.ws, WS_TEXT, NULL, 0, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "");
        CHECK_INT(ws_send(w.ws, WS_BINARY, "x", 0, -1), 0);
        wire_expect_text(&w, FIN | BINARY, "");
    }
}

/* wire_recv checks that lengths are encoded in as few bytes as possible. */
TEST(messages_of_every_class_of_length_arrive) {
    const size_t lengths[] = {1, 124, 125, 126, 127, 128, 1000, 65535, 65536, 65537, 100000};
    static char data[100000];
    for (size_t i = 0; i != sizeof(data); ++i) data[i] = (char)(i * 7);
    for (size_t i = 0; i != sizeof(lengths) / sizeof(*lengths); ++i) EACH_ROLE_ON_OWN(&w, WS_BINARY) {
            CHECK_INT(ws_send(w.ws, WS_BINARY, data, lengths[i], now() + 5000), 0);
            wire_expect(&w, FIN | BINARY, data, lengths[i]);
            CHECK_RAW_SILENT(w.fd);
            CHECK_INT(close(w.fd), 0);
            CHECK_INT(hclose(w.ws), 0);
        }
}

TEST(every_frame_of_a_client_is_masked_with_a_new_key) {
    struct wire_frame a = {0, 0, {0}, 0, NULL}, b = a;
    int equal = 0, zero = 0;
    wire_open(&w, CLIENT, WS_TEXT);
    for (int i = 0; i != 1000; ++i) {
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        wire_recv(&w, &b);
        equal += memcmp(a.key, b.key, 4) == 0;
        zero += memcmp(b.key, "\0\0\0\0", 4) == 0;
        memcpy(a.key, b.key, 4);
    }
    free(b.payload);
    CHECK(equal <= 1);
    CHECK(zero <= 1);
}

TEST(text_is_not_validated_on_sending) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_send(w.ws, WS_TEXT, "\xff\xfe", 2, -1), 0);
        wire_expect(&w, FIN | TEXT, "\xff\xfe", 2);
    }
}

/* --- Lists --- */

TEST(a_list_is_sent_as_one_message_and_left_as_it_was) {
    EACH_ROLE(&w, WS_TEXT) {
        char a[] = "hel", c[] = "lo";
        struct iolist l[3] = {{a, 3, &l[1], 0}, {NULL, 0, &l[2], 0}, {c, 2, NULL, 0}}, copy[3];
        memcpy(copy, l, sizeof(l));
        CHECK_INT(ws_sendl(w.ws, WS_TEXT, &l[0], &l[2], -1), 0);
        CHECK_SAME_LIST(l, copy);
        wire_expect_text(&w, FIN | TEXT, "hello");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(pieces_of_a_list_are_masked_as_one_range) {
    EACH_ROLE(&w, WS_BINARY) {
        for (size_t first = 0; first != 10; ++first) {
            char data[] = "0123456789abcdef";
            struct iolist l[3] = {{data, first, &l[1], 0},
                                  {data + first, 5, &l[2], 0},
                                  {data + first + 5, 11 - first, NULL, 0}};
            CHECK_INT(ws_sendl(w.ws, WS_BINARY, &l[0], &l[2], -1), 0);
            wire_expect(&w, FIN | BINARY, "0123456789abcdef", 16);
        }
    }
}

TEST(a_list_of_five_thousand_elements_is_sent_as_one_message) {
    enum { LONG = 5000 };
    static struct iolist l[LONG];
    static char data[LONG];
    for (int i = 0; i != LONG; ++i) {
        struct iolist e = {data + i, 1, i == LONG - 1 ? NULL : &l[i + 1], 0};
        data[i] = (char)i;
        l[i] = e;
    }
    EACH_ROLE_ON_OWN(&w, WS_BINARY) {
        CHECK_INT(ws_sendl(w.ws, WS_BINARY, &l[0], &l[LONG - 1], -1), 0);
        wire_expect(&w, FIN | BINARY, data, LONG);
    }
}

/* --- The user's buffer --- */

TEST(the_buffer_of_the_user_is_only_read) {
    const size_t len = 100000;
    char *data = (char *)mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    memset(data, 'x', len);
    CHECK_INT(mprotect(data, len, PROT_READ), 0);
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        const size_t lengths[] = {5, 200, 4000, 100000};
        for (int i = 0; i != 4; ++i) {
            struct iolist l = {data, lengths[i], NULL, 0};
            CHECK_INT(ws_send(w.ws, WS_TEXT, data, lengths[i], now() + 5000), 0);
            wire_expect(&w, FIN | TEXT, data, lengths[i]);
            CHECK_INT(ws_sendl(w.ws, WS_TEXT, &l, &l, now() + 5000), 0);
            wire_expect(&w, FIN | TEXT, data, lengths[i]);
        }
    }
}

coroutine static void send_slowly(int ws, const char *data, size_t len, volatile int *done) {
    CHECK_INT(ws_send(ws, WS_BINARY, data, len, -1), 0);
    *done = 1;
}

TEST(the_buffer_of_the_user_is_only_read_while_a_send_is_blocked) {
    const size_t len = 20000000;
    char *data = (char *)malloc(len);
    for (size_t i = 0; i != len; ++i) data[i] = (char)(i % 253);
    EACH_ROLE(&w, WS_BINARY) {
        volatile int done = 0;
        int peer, h;
        uint8_t head[14];
        char *in = (char *)malloc(len);
        size_t n = w.role == CLIENT ? 14 : 10;
        h = go(send_slowly(w.ws, data, len, &done));
        CHECK_INT(yield(), 0);
        CHECK_INT(done, 0);
        for (size_t i = 0; i != len; ++i) CHECK(data[i] == (char)(i % 253));
        peer = wire_adopt(w.fd);
        CHECK_INT(brecv(peer, head, n, now() + 5000), 0);
        CHECK_INT(brecv(peer, in, len, now() + 15000), 0);
        for (size_t i = 0; i != len; ++i)
            CHECK(in[i] == (char)(data[i] ^ (w.role == CLIENT ? head[10 + i % 4] : 0)));
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK_INT(done, 1);
        free(in);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(a_small_message_reaches_the_stream_in_one_call) {
    for (int role = CLIENT; role <= SERVER; ++role) {
        struct user_stream stream;
        char c = 'A';
        struct iolist l[2] = {{&c, 1, &l[1], 0}, {&c, 1, NULL, 0}};
        int s, fd, ws;
        make_ipc_and_raw(&s, &fd);
        ws = attach_without_http(user_stream_make(&stream, s), (enum role)role, WS_TEXT);
        CHECK_INT(ws_send(ws, WS_TEXT, "hello", 5, -1), 0);
        CHECK_INT(stream.sent.count, 1);
        CHECK_INT(ws_sendl(ws, WS_TEXT, &l[0], &l[1], -1), 0);
        CHECK_INT(stream.sent.count, 2);
        CHECK_INT(ws_done(ws, 1000, "bye", 3, -1), 0);
        CHECK_INT(stream.sent.count, 3);
    }
}

/* --- As a message socket --- */

TEST(msend_sends_the_type_given_at_attaching) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(msend(w.ws, "hello", 5, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "hello");
    }
    EACH_ROLE(&w, WS_BINARY) {
        CHECK_INT(msend(w.ws, "hello", 5, -1), 0);
        wire_expect_text(&w, FIN | BINARY, "hello");
    }
}

TEST(msendl_sends_the_type_given_at_attaching) {
    EACH_ROLE(&w, WS_TEXT) {
        char a[] = "hel", b[] = "lo";
        struct iolist l[2] = {{a, 3, &l[1], 0}, {b, 2, NULL, 0}};
        CHECK_INT(msendl(w.ws, &l[0], &l[1], -1), 0);
        wire_expect_text(&w, FIN | TEXT, "hello");
    }
}

TEST(msend_of_no_bytes_sends_an_empty_message) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(msend(w.ws, NULL, 0, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "");
    }
}

/* --- Ends --- */

TEST(a_peer_that_is_gone_gives_ECONNRESET_and_no_signal) {
    EACH_ROLE_ON_IPC(&w, WS_TEXT) {
        CHECK_INT(close(w.fd), 0);
        for (int i = 0; i != 3; ++i) CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, now() + 10000), -1, ECONNRESET);
    }
}

TEST(after_ws_done_sending_gives_EPIPE) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        wire_expect_close(&w, 1000);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, -1), -1, EPIPE);
        CHECK_ERR(msend(w.ws, "A", 1, -1), -1, EPIPE);
        CHECK_RAW_SILENT(w.fd);
    }
}

/* --- Without waiting --- */

coroutine static void set(volatile int *flag) {
    if (yield() == 0) *flag = 1;
}

TEST(sending_does_not_switch_when_the_transport_takes_the_message) {
    EACH_ROLE(&w, WS_TEXT) {
        volatile int flag = 0;
        int h = go(set(&flag));
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, 0), 0);
        CHECK_INT(flag, 0);
        CHECK_INT(hclose(h), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
    }
}

coroutine static void send_when_cancelled(int ws) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    CHECK_INT(ws_send(ws, WS_TEXT, "A", 1, -1), 0);
}

TEST(a_cancelled_coroutine_can_send_what_needs_no_waiting) {
    EACH_ROLE(&w, WS_TEXT) {
        int h = go(send_when_cancelled(w.ws));
        CHECK_INT(hclose(h), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
    }
}
