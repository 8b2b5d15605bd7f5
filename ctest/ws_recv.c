/* Receiving messages that a peer frames by hand. */

#include <libdill.h>

#include "list.h"
#include "test.h"
#include "wire.h"

static struct wire w;
static char buf[200000];

/* --- Types and lengths --- */

TEST(a_text_message_arrives_with_its_type) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_message(w.ws, WS_TEXT, "hello", 5);
    }
}

TEST(a_binary_message_arrives_with_its_type) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send(&w, FIN | BINARY, "\0\xff\x80", 3);
        expect_message(w.ws, WS_BINARY, "\0\xff\x80", 3);
    }
}

TEST(the_flags_are_replaced_as_a_whole) {
    EACH_ROLE(&w, WS_TEXT) {
        int flags = -1;
        wire_send_text(&w, FIN | BINARY, "A");
        CHECK_INT(ws_recv(w.ws, &flags, buf, 1, now() + 5000), 1);
        CHECK_INT(flags, WS_BINARY);
        flags = -1;
        wire_send_text(&w, FIN | TEXT, "A");
        CHECK_INT(ws_recv(w.ws, &flags, buf, 1, now() + 5000), 1);
        CHECK_INT(flags, WS_TEXT);
    }
}

TEST(NULL_flags_mean_that_the_caller_does_not_want_them) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(ws_recv(w.ws, NULL, buf, 5, now() + 5000), 5);
        CHECK_MEM(buf, "hello", 5);
    }
}

TEST(an_empty_message_has_size_0) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "");
        wire_send_text(&w, FIN | BINARY, "");
        expect_message(w.ws, WS_TEXT, "", 0);
        CHECK_INT(ws_recv(w.ws, NULL, NULL, 0, now() + 5000), 0);
    }
}

TEST(messages_of_every_class_of_length_arrive) {
    const size_t lengths[] = {1, 2, 124, 125, 126, 127, 1000, 1984, 4096, 65535, 65536, 65537, 100000};
    static char data[100000];
    for (size_t i = 0; i != sizeof(data); ++i) data[i] = (char)(i * 7);
    for (size_t i = 0; i != sizeof(lengths) / sizeof(*lengths); ++i) EACH_ROLE(&w, WS_BINARY) {
            wire_send(&w, FIN | BINARY, data, lengths[i]);
            expect_message(w.ws, WS_BINARY, data, lengths[i]);
            CHECK_INT(close(w.fd), 0);
            CHECK_INT(hclose(w.ws), 0);
        }
}

TEST(a_message_is_taken_as_it_is_when_its_length_is_encoded_in_more_bytes_than_needed_or_refused) {
    EACH_ROLE(&w, WS_BINARY) {
        uint8_t frame[32];
        size_t n = frame_header(frame, FIN | BINARY, w.role == SERVER, 0, 2);
        ssize_t rc;
        raw_send(w.fd, frame, n);
        rc = ws_recv(w.ws, NULL, buf, 1, now() + 5000);
        CHECK(rc == 0 || (rc == -1 && errno == EPROTO));
    }
}

TEST(many_messages_in_one_segment_arrive_one_by_one) {
    EACH_ROLE(&w, WS_TEXT) {
        uint8_t frames[10000];
        size_t n = 0;
        for (int i = 0; i != 300; ++i) {
            char text[16];
            n += frame_build(frames + n, w.role, FIN | TEXT, text, (size_t)snprintf(text, 16, "number %d", i));
        }
        raw_send(w.fd, frames, n);
        for (int i = 0; i != 300; ++i) {
            char text[16];
            snprintf(text, sizeof(text), "number %d", i);
            expect_text(w.ws, text);
        }
    }
}

coroutine static void receive_into(int ws, volatile ssize_t *size) { *size = ws_recv(ws, NULL, buf, sizeof(buf), -1); }

TEST(a_message_may_come_byte_by_byte) {
    EACH_ROLE(&w, WS_TEXT) {
        uint8_t frame[400];
        char data[300];
        volatile ssize_t size = -2;
        int h = go(receive_into(w.ws, &size));
        memset(data, 'x', sizeof(data));
        size_t n = frame_build(frame, w.role, FIN | TEXT, data, sizeof(data));
        for (size_t i = 0; i != n; ++i) {
            CHECK_INT(size, -2);
            raw_send(w.fd, frame + i, 1);
            CHECK_INT(msleep(now()), 0);
        }
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK_INT(size, 300);
        CHECK_MEM(buf, data, 300);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(nothing_is_written_behind_the_message) {
    EACH_ROLE(&w, WS_TEXT) {
        memset(buf, '.', 100);
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(ws_recv(w.ws, NULL, buf, 100, now() + 5000), 5);
        for (int i = 5; i != 100; ++i) CHECK_INT(buf[i], '.');
    }
}

/* --- Lists --- */

TEST(a_list_is_filled_in_order_and_left_as_it_was) {
    EACH_ROLE(&w, WS_TEXT) {
        char a[4] = "...", b[4] = "...";
        struct iolist l[3] = {{a, 3, &l[1], 0}, {NULL, 0, &l[2], 0}, {b, 3, NULL, 0}}, copy[3];
        int flags = -1;
        memcpy(copy, l, sizeof(l));
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(ws_recvl(w.ws, &flags, &l[0], &l[2], now() + 5000), 5);
        CHECK_INT(flags, WS_TEXT);
        CHECK_SAME_LIST(l, copy);
        CHECK_STR(a, "hel");
        CHECK_STR(b, "lo.");
    }
}

TEST(elements_without_base_are_skipped) {
    EACH_ROLE(&w, WS_TEXT) {
        char a[4] = "...", b[4] = "...";
        struct iolist l[3] = {{a, 3, &l[1], 0}, {NULL, 2, &l[2], 0}, {b, 3, NULL, 0}};
        wire_send_text(&w, FIN | TEXT, "abcdefgh");
        CHECK_INT(ws_recvl(w.ws, NULL, &l[0], &l[2], now() + 5000), 8);
        CHECK_STR(a, "abc");
        CHECK_STR(b, "fgh");
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
    }
}

TEST(a_NULL_buffer_skips_the_message) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "hello");
        wire_send_text(&w, FIN | TEXT, "next");
        CHECK_INT(ws_recv(w.ws, NULL, NULL, 5, now() + 5000), 5);
        expect_text(w.ws, "next");
    }
}

TEST(without_a_list_the_message_is_dropped_and_its_size_returned) {
    EACH_ROLE(&w, WS_TEXT) {
        int flags = -1;
        wire_send_text(&w, FIN | TEXT, "hello");
        wire_send_text(&w, FIN | TEXT, "again");
        wire_send_text(&w, FIN | TEXT, "next");
        CHECK_INT(ws_recvl(w.ws, &flags, NULL, NULL, now() + 5000), 5);
        CHECK_INT(flags, WS_TEXT);
        CHECK_INT(mrecvl(w.ws, NULL, NULL, now() + 5000), 5);
        expect_text(w.ws, "next");
    }
}

TEST(a_list_trimmed_in_front_of_its_last_element_is_filled_up_to_its_end) {
    EACH_ROLE(&w, WS_TEXT) {
        char a[6] = ".....", b[4] = "...";
        struct iolist l[2] = {{a, 5, NULL, 0}, {b, 3, NULL, 0}};
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(ws_recvl(w.ws, NULL, &l[0], &l[1], now() + 5000), 5);
        CHECK_STR(a, "hello");
        CHECK_STR(b, "...");
    }
}

/* --- Messages that do not fit --- */

TEST(a_message_larger_than_the_buffer_gives_EMSGSIZE_and_the_next_one_is_intact) {
    EACH_ROLE(&w, WS_TEXT) {
        for (size_t len = 0; len != 5; ++len) {
            memset(buf, '.', 16);
            wire_send_text(&w, FIN | TEXT, "hello");
            wire_send_text(&w, FIN | TEXT, "next");
            CHECK_ERR(ws_recv(w.ws, NULL, buf, len, now() + 5000), -1, EMSGSIZE);
            for (size_t i = len; i != 16; ++i) CHECK_INT(buf[i], '.');
            expect_text(w.ws, "next");
        }
    }
}

TEST(a_message_larger_than_a_NULL_buffer_gives_EMSGSIZE) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "hello");
        wire_send_text(&w, FIN | TEXT, "next");
        CHECK_ERR(ws_recv(w.ws, NULL, NULL, 4, now() + 5000), -1, EMSGSIZE);
        expect_text(w.ws, "next");
    }
}

TEST(a_fragmented_message_that_does_not_fit_is_skipped_to_its_last_fragment) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "abc");
        wire_send_text(&w, CONTINUATION, "def");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 4, now() + 5000), -1, EMSGSIZE);
        wire_send_text(&w, CONTINUATION, "ghi");
        wire_send_text(&w, FIN | PING, "p");
        wire_send_text(&w, FIN | CONTINUATION, "jkl");
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
        wire_expect_text(&w, FIN | PONG, "p");
    }
}

TEST(a_large_message_that_does_not_fit_is_skipped_without_being_sent_whole) {
    EACH_ROLE(&w, WS_BINARY) {
        uint8_t header[14];
        static char data[50000];
        size_t n = frame_header(header, FIN | BINARY, w.role == SERVER, 100000, 8);
        raw_send(w.fd, header, n);
        raw_send(w.fd, data, 50000);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 10, now() + 5000), -1, EMSGSIZE);
        raw_send(w.fd, data, 50000);
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
    }
}

TEST(mrecv_of_a_message_that_does_not_fit_gives_EMSGSIZE_and_the_next_one_is_intact) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "hello");
        wire_send_text(&w, FIN | TEXT, "next");
        CHECK_ERR(mrecv(w.ws, buf, 3, now() + 5000), -1, EMSGSIZE);
        CHECK_INT(mrecv(w.ws, buf, 4, now() + 5000), 4);
        CHECK_MEM(buf, "next", 4);
    }
}

/* --- As a message socket --- */

TEST(mrecv_receives_messages_of_the_type_given_at_attaching) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(mrecv(w.ws, buf, sizeof(buf), now() + 5000), 5);
        CHECK_MEM(buf, "hello", 5);
    }
    EACH_ROLE(&w, WS_BINARY) {
        wire_send_text(&w, FIN | BINARY, "hello");
        CHECK_INT(mrecv(w.ws, buf, sizeof(buf), now() + 5000), 5);
    }
}

TEST(mrecv_of_the_wrong_type_gives_EPROTO_consumes_the_message_and_the_connection_lives_on) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | BINARY, "wrong");
        wire_send_text(&w, FIN | TEXT, "right");
        CHECK_ERR(mrecv(w.ws, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_INT(mrecv(w.ws, buf, sizeof(buf), now() + 5000), 5);
        CHECK_MEM(buf, "right", 5);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
    }
}

/* --- Ends and busy receivers --- */

TEST(a_stream_that_ends_without_close_frame_gives_ECONNRESET_again_and_again) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        expect_text(w.ws, "hello");
        for (int i = 0; i != 2; ++i) CHECK_ERR(ws_recv(w.ws, NULL, buf, 10, now() + 5000), -1, ECONNRESET);
    }
}

TEST(a_stream_that_ends_in_the_middle_of_a_frame_gives_ECONNRESET) {
    EACH_ROLE(&w, WS_TEXT) {
        uint8_t frame[16];
        frame_build(frame, w.role, FIN | TEXT, "hello", 5);
        raw_send(w.fd, frame, 5);
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 10, now() + 5000), -1, ECONNRESET);
    }
}

coroutine static void receive_text(int ws, const char *expected) { expect_text(ws, expected); }

TEST(a_second_receiver_gets_EBUSY_and_disturbs_nothing) {
    EACH_ROLE(&w, WS_TEXT) {
        int h = go(receive_text(w.ws, "hello"));
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 10, -1), -1, EBUSY);
        CHECK_ERR(mrecv(w.ws, buf, 10, 0), -1, EBUSY);
        CHECK_ERR(ws_recvl(w.ws, NULL, NULL, NULL, -1), -1, EBUSY);
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
        CHECK_INT(hclose(h), 0);
    }
}

TEST(sending_works_while_a_receiver_waits) {
    EACH_ROLE(&w, WS_TEXT) {
        int h = go(receive_text(w.ws, "hello"));
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(a_message_that_has_arrived_is_received_with_deadline_0) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(ws_recv(w.ws, NULL, buf, 10, 0), 5);
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(ws_recv(w.ws, NULL, buf, 10, 1), 5);
    }
}
