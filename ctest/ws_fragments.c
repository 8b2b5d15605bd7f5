/* Fragmented messages, and control frames between the fragments. */

#include <libdill.h>

#include "test.h"
#include "wire.h"

static struct wire w;

TEST(two_fragments_are_one_message) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "hel");
        wire_send_text(&w, FIN | CONTINUATION, "lo");
        expect_message(w.ws, WS_TEXT, "hello", 5);
    }
}

TEST(the_first_fragment_gives_the_type) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send(&w, BINARY, "\xff", 1);
        wire_send(&w, CONTINUATION, "\xfe", 1);
        wire_send(&w, FIN | CONTINUATION, "\xfd", 1);
        expect_message(w.ws, WS_BINARY, "\xff\xfe\xfd", 3);
    }
}

TEST(fragments_may_be_empty) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "");
        wire_send_text(&w, CONTINUATION, "");
        wire_send_text(&w, CONTINUATION, "A");
        wire_send_text(&w, FIN | CONTINUATION, "");
        expect_text(w.ws, "A");
    }
}

TEST(a_message_of_empty_fragments_is_empty) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "");
        wire_send_text(&w, FIN | CONTINUATION, "");
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "");
        expect_text(w.ws, "next");
    }
}

TEST(a_thousand_fragments_are_one_message) {
    EACH_ROLE(&w, WS_BINARY) {
        char data[1000];
        uint8_t frames[8000];
        size_t n = 0;
        for (int i = 0; i != 1000; ++i) {
            data[i] = (char)i;
            n += frame_build(frames + n, w.role, (i == 999 ? FIN : 0) | (i ? CONTINUATION : BINARY), &data[i], 1);
        }
        raw_send(w.fd, frames, n);
        expect_message(w.ws, WS_BINARY, data, 1000);
    }
}

TEST(control_frames_between_fragments_are_handled_and_not_part_of_the_message) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "a");
        wire_send_text(&w, FIN | PING, "one");
        wire_send_text(&w, CONTINUATION, "b");
        wire_send_text(&w, FIN | PONG, "two");
        wire_send_text(&w, FIN | CONTINUATION, "c");
        expect_text(w.ws, "abc");
        wire_expect_text(&w, FIN | PONG, "one");
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(fragments_may_cut_characters_anywhere) {
    static const char text[] = "\x24\xc2\xa2\xe2\x82\xac\xf0\x90\x8d\x88\xf4\x8f\xbf\xbf";
    for (size_t cut = 0; cut != sizeof(text); ++cut) EACH_ROLE(&w, WS_TEXT) {
            wire_send(&w, TEXT, text, cut);
            wire_send(&w, FIN | CONTINUATION, text + cut, sizeof(text) - 1 - cut);
            expect_message(w.ws, WS_TEXT, text, sizeof(text) - 1);
            CHECK_INT(hclose(w.ws), 0);
            CHECK_INT(close(w.fd), 0);
        }
}

TEST(every_byte_of_a_text_may_be_a_fragment) {
    static const char text[] = "\x24\xc2\xa2\xe2\x82\xac\xf0\x90\x8d\x88";
    EACH_ROLE(&w, WS_TEXT) {
        size_t n = sizeof(text) - 1;
        for (size_t i = 0; i != n; ++i)
            wire_send(&w, (i == n - 1 ? FIN : 0) | (i ? CONTINUATION : TEXT), text + i, 1);
        expect_message(w.ws, WS_TEXT, text, n);
    }
}

TEST(fragments_are_gathered_into_a_list) {
    EACH_ROLE(&w, WS_TEXT) {
        char a[5] = "....", b[6] = ".....";
        struct iolist l[3] = {{a, 4, &l[1], 0}, {NULL, 2, &l[2], 0}, {b, 5, NULL, 0}};
        wire_send_text(&w, TEXT, "abc");
        wire_send_text(&w, CONTINUATION, "defg");
        wire_send_text(&w, FIN | CONTINUATION, "hij");
        CHECK_INT(ws_recvl(w.ws, NULL, &l[0], &l[2], now() + 5000), 10);
        CHECK_STR(a, "abcd");
        CHECK_STR(b, "ghij.");
    }
}

TEST(fragments_larger_than_the_read_buffer_arrive_intact) {
    EACH_ROLE(&w, WS_BINARY) {
        static char data[60000];
        for (size_t i = 0; i != sizeof(data); ++i) data[i] = (char)(i * 11);
        wire_send(&w, BINARY, data, 20001);
        wire_send(&w, CONTINUATION, data + 20001, 19998);
        wire_send(&w, FIN | CONTINUATION, data + 39999, 20001);
        expect_message(w.ws, WS_BINARY, data, sizeof(data));
    }
}

TEST(mrecv_receives_a_fragmented_message_as_one) {
    EACH_ROLE(&w, WS_TEXT) {
        char buf[16];
        wire_send_text(&w, TEXT, "hel");
        wire_send_text(&w, FIN | CONTINUATION, "lo");
        CHECK_INT(mrecv(w.ws, buf, sizeof(buf), now() + 5000), 5);
        CHECK_MEM(buf, "hello", 5);
    }
}

/* --- Random messages, random fragments, random segments --- */

enum { MESSAGES = 100, STREAM = 200000 };

struct message {
    int flags;
    size_t len;
    char data[600];
};

static struct message messages[MESSAGES];
static uint8_t stream[STREAM];

/* Writes one message in fragments with pings in between; returns the size. */
static size_t build_message(uint8_t *out, enum role receiver, const struct message *m, unsigned *seed) {
    size_t n = 0, at = 0;
    int first = m->flags == WS_TEXT ? TEXT : BINARY;
    for (;;) {
        size_t len = (size_t)rand_r(seed) % (m->len - at + 1);
        int last = at + len == m->len && rand_r(seed) % 2;
        n += frame_build(out + n, receiver, (last ? FIN : 0) | first, m->data + at, len);
        at += len;
        first = CONTINUATION;
        if (last) return n;
        if (rand_r(seed) % 4 == 0) n += frame_build(out + n, receiver, FIN | PONG, "pong", 4);
    }
}

coroutine static void send_in_segments(int peer, size_t len, unsigned seed) {
    for (size_t at = 0, n; at != len; at += n) {
        n = 1 + (size_t)rand_r(&seed) % 700;
        if (n > len - at) n = len - at;
        CHECK_INT(bsend(peer, stream + at, n, -1), 0);
        if (rand_r(&seed) % 2) CHECK_INT(yield(), 0);
    }
}

TEST(random_messages_arrive_intact_however_they_are_fragmented_and_segmented) {
    for (unsigned seed = 1; seed != 9; ++seed) EACH_ROLE(&w, WS_TEXT) {
            unsigned s = seed;
            size_t n = 0;
            int h, peer;
            for (int i = 0; i != MESSAGES; ++i) {
                struct message *m = &messages[i];
                m->flags = rand_r(&s) % 2 ? WS_TEXT : WS_BINARY;
                m->len = (size_t)rand_r(&s) % sizeof(m->data);
                for (size_t k = 0; k != m->len; ++k)
                    m->data[k] = (char)(rand_r(&s) % (m->flags == WS_TEXT ? 128 : 256));
                n += build_message(stream + n, w.role, m, &s);
                CHECK(n < STREAM - 2000);
            }
            peer = wire_adopt(w.fd);
            h = go(send_in_segments(peer, n, seed));
            for (int i = 0; i != MESSAGES; ++i)
                expect_message(w.ws, messages[i].flags, messages[i].data, messages[i].len);
            CHECK_INT(bundle_wait(h, now() + 5000), 0);
            CHECK_INT(hclose(h), 0);
        }
}

TEST(an_interrupted_message_that_becomes_too_long_gives_EMSGSIZE_and_the_next_one_arrives) {
    EACH_ROLE(&w, WS_TEXT) {
        char place[4];
        wire_send_text(&w, TEXT, "ab");
        CHECK_ERR(ws_recv(w.ws, NULL, place, sizeof(place), now() + 20), -1, ETIMEDOUT);
        wire_send_text(&w, FIN | CONTINUATION, "cdefg");
        CHECK_ERR(ws_recv(w.ws, NULL, place, sizeof(place), now() + 5000), -1, EMSGSIZE);
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
    }
}
