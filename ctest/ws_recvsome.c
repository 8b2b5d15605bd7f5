/* Messages that are received in parts. */

#include <libdillext.h>

#include "deflate_pair.h"
#include "test.h"
#include "tls.h"
#include "wire.h"

static struct wire w;

/* The next part is this text, of at most so many bytes, with these flags. */
static void expect_part_of(size_t len, int flags, const char *text) {
    char buf[100];
    int seen = -1;
    memset(buf, '#', sizeof(buf));
    CHECK_INT(ws_recvsome(w.ws, &seen, buf, len, in_time()), strlen(text));
    CHECK_INT(seen, flags);
    CHECK_MEM(buf, text, strlen(text));
    CHECK_INT(buf[strlen(text)], '#');
}

static void expect_part(int flags, const char *text) { expect_part_of(sizeof((char[100]){0}), flags, text); }

TEST(a_message_comes_in_parts_of_the_size_that_is_asked_for) {
    EACH_ROLE(&w, WS_BINARY) {
        wire_send_text(&w, FIN | TEXT, "abcdefgh");
        wire_send_text(&w, FIN | BINARY, "xy");
        expect_part_of(3, WS_TEXT | WS_MORE, "abc");
        expect_part_of(3, WS_TEXT | WS_MORE, "def");
        expect_part_of(3, WS_TEXT, "gh");
        expect_part_of(2, WS_BINARY, "xy");
        wire_send_text(&w, FIN | TEXT, "whole");
        expect_text(w.ws, "whole");
    }
}

TEST(a_fragment_is_given_before_the_next_one_is_there_and_the_end_may_be_empty) {
    EACH_ROLE_ON_OWN(&w, WS_BINARY) {
        wire_send_text(&w, TEXT, "ab");
        expect_part(WS_TEXT | WS_MORE, "ab");
        CHECK_ERR(ws_recvsome(w.ws, NULL, (char[9]){0}, 9, now() + 5), -1, ETIMEDOUT);
        wire_send_text(&w, CONTINUATION, "");
        wire_send_text(&w, CONTINUATION, "c");
        expect_part(WS_TEXT | WS_MORE, "c");
        wire_send_text(&w, FIN | CONTINUATION, "");
        expect_part(WS_TEXT, "");
        wire_send_text(&w, FIN | BINARY, "");
        expect_part(WS_BINARY, "");
    }
}

TEST(bytes_of_a_frame_are_given_when_they_are_there) {
    EACH_ROLE_ON_OWN(&w, WS_BINARY) {
        uint8_t frame[64];
        size_t n = frame_build(frame, w.role, FIN | TEXT, "0123456789", 10);
        raw_send(w.fd, frame, n - 6);
        expect_part(WS_TEXT | WS_MORE, "0123");
        CHECK_ERR(ws_recvsome(w.ws, NULL, (char[9]){0}, 9, now() + 5), -1, ETIMEDOUT);
        raw_send(w.fd, frame + n - 6, 6);
        expect_part(WS_TEXT, "456789");
    }
}

TEST(NULL_skips) {
    EACH_ROLE(&w, WS_BINARY) {
        int flags = -1;
        wire_send_text(&w, FIN | TEXT, "abcdefgh");
        CHECK_INT(ws_recvsome(w.ws, &flags, NULL, 3, in_time()), 3);
        CHECK_INT(flags, WS_TEXT | WS_MORE);
        expect_part_of(2, WS_TEXT | WS_MORE, "de");
        CHECK_INT(ws_recvsome(w.ws, NULL, NULL, (size_t)-1, in_time()), 3);
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
    }
}

TEST(arguments_that_are_wrong_give_EINVAL_and_bad_handles_come_first) {
    int s[2];
    char c;
    make_ipc_pair(s);
    CHECK_ERR(ws_recvsome(-1, NULL, &c, 0, -1), -1, EBADF);
    CHECK_ERR(ws_recvsome(s[0], NULL, &c, 0, -1), -1, ENOTSUP);
    EACH_ROLE(&w, WS_BINARY) {
        wire_send_text(&w, FIN | TEXT, "ab");
        CHECK_ERR(ws_recvsome(w.ws, NULL, &c, 0, -1), -1, EINVAL);
        CHECK_ERR(ws_recvsome(w.ws, NULL, NULL, 0, -1), -1, EINVAL);
        expect_part(WS_TEXT, "ab");
    }
}

TEST(whole_messages_cannot_be_received_in_the_middle_of_one) {
    EACH_ROLE(&w, WS_TEXT) {
        char buf[9];
        struct iolist list = {buf, sizeof(buf), NULL, 0};
        wire_send_text(&w, FIN | TEXT, "abc");
        wire_send_text(&w, FIN | TEXT, "next");
        expect_part_of(1, WS_TEXT | WS_MORE, "a");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), -1), -1, EBUSY);
        CHECK_ERR(ws_recvl(w.ws, NULL, &list, &list, -1), -1, EBUSY);
        CHECK_ERR(mrecv(w.ws, buf, sizeof(buf), -1), -1, EBUSY);
        expect_part(WS_TEXT, "bc");
        expect_text(w.ws, "next");
    }
}

TEST(after_a_deadline_of_ws_recv_the_message_is_given_from_its_start) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        char buf[20];
        uint8_t frame[64];
        size_t n = frame_build(frame, w.role, FIN | CONTINUATION, "cdefg", 5);
        wire_send_text(&w, TEXT, "ab");
        raw_send(w.fd, frame, n - 2);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5), -1, ETIMEDOUT);
        expect_part_of(1, WS_TEXT | WS_MORE, "a");
        expect_part_of(2, WS_TEXT | WS_MORE, "bc");
        CHECK_INT(ws_recvsome(w.ws, NULL, NULL, 1, in_time()), 1);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5), -1, EBUSY);
        expect_part(WS_TEXT | WS_MORE, "e");
        raw_send(w.fd, frame + n - 2, 2);
        expect_part(WS_TEXT, "fg");
    }
}

TEST(bytes_that_a_call_before_has_skipped_are_gone_and_what_follows_them_is_given) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "ab");
        CHECK_ERR(ws_recv(w.ws, NULL, NULL, 9, now() + 5), -1, ETIMEDOUT);
        CHECK_INT(ws_recvsome(w.ws, NULL, NULL, 1, in_time()), 1);
        CHECK_INT(ws_recvsome(w.ws, NULL, NULL, 9, in_time()), 1);
        wire_send_text(&w, FIN | CONTINUATION, "c");
        expect_part(WS_TEXT, "c");
        wire_send_text(&w, TEXT, "ab");
        CHECK_ERR(ws_recv(w.ws, NULL, NULL, 9, now() + 5), -1, ETIMEDOUT);
        wire_send_text(&w, FIN | CONTINUATION, "c");
        wire_send_text(&w, FIN | BINARY, "next");
        expect_part(WS_TEXT, "c");
        expect_part(WS_BINARY, "next");
    }
}

TEST(a_message_some_of_which_was_skipped_ends_before_the_next_one_begins) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        char front[2], end[9];
        struct iolist list[3] = {{front, 2, &list[1], 0}, {NULL, 2, &list[2], 0}, {end, sizeof(end), NULL, 0}};
        wire_send_text(&w, TEXT, "abcdef");
        CHECK_ERR(ws_recvl(w.ws, NULL, &list[0], &list[2], now() + 5), -1, ETIMEDOUT);
        wire_send_text(&w, FIN | CONTINUATION, "gh");
        wire_send_text(&w, FIN | BINARY, "next");
        expect_part_of(9, WS_TEXT | WS_MORE, "ab");
        expect_part_of(1, WS_TEXT | WS_MORE, "e");
        expect_part_of(9, WS_TEXT | WS_MORE, "f");
        expect_part_of(9, WS_TEXT, "gh");
        expect_part(WS_BINARY, "next");
    }
}

TEST(the_rest_of_a_message_that_was_too_long_is_skipped_first) {
    EACH_ROLE(&w, WS_TEXT) {
        char buf[3];
        wire_send_text(&w, FIN | TEXT, "abcdef");
        wire_send_text(&w, FIN | TEXT, "next");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), in_time()), -1, EMSGSIZE);
        expect_part(WS_TEXT, "next");
    }
}

TEST(a_sequence_of_UTF8_may_be_cut_by_the_buffer_and_by_fragments) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "\xe2\x82");
        wire_send_text(&w, FIN | CONTINUATION, "\xac\xf0\x9f\x98\x80");
        expect_part_of(1, WS_TEXT | WS_MORE, "\xe2");
        expect_part_of(1, WS_TEXT | WS_MORE, "\x82");
        expect_part_of(3, WS_TEXT | WS_MORE, "\xac\xf0\x9f");
        expect_part_of(3, WS_TEXT, "\x98\x80");
    }
}

TEST(text_is_judged_as_it_passes) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        char buf[9];
        wire_send_text(&w, TEXT, "ab\xe2");
        expect_part_of(2, WS_TEXT | WS_MORE, "ab");
        expect_part_of(2, WS_TEXT | WS_MORE, "\xe2");
        wire_send_text(&w, CONTINUATION, "x");
        CHECK_ERR(ws_recvsome(w.ws, NULL, buf, sizeof(buf), in_time()), -1, EPROTO);
        CHECK_ERR(ws_recvsome(w.ws, NULL, buf, sizeof(buf), in_time()), -1, ECONNRESET);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), in_time()), -1, ECONNRESET);
        wire_expect_close(&w, 1007);
    }
}

TEST(the_close_frame_gives_EPIPE_and_the_end_of_the_stream_ECONNRESET) {
    EACH_ROLE(&w, WS_TEXT) {
        char buf[9];
        wire_send_text(&w, TEXT, "ab");
        wire_send_close(&w, 1000, "");
        expect_part(WS_TEXT | WS_MORE, "ab");
        CHECK_ERR(ws_recvsome(w.ws, NULL, buf, sizeof(buf), in_time()), -1, EPIPE);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), in_time()), -1, EPIPE);
    }
    EACH_ROLE(&w, WS_TEXT) {
        char buf[9];
        wire_send_text(&w, TEXT, "ab");
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        expect_part(WS_TEXT | WS_MORE, "ab");
        CHECK_ERR(ws_recvsome(w.ws, NULL, buf, sizeof(buf), in_time()), -1, ECONNRESET);
    }
}

TEST(pings_between_fragments_are_answered) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "ab");
        wire_send_text(&w, FIN | PING, "hi");
        wire_send_text(&w, FIN | CONTINUATION, "c");
        expect_part(WS_TEXT | WS_MORE, "ab");
        expect_part(WS_TEXT, "c");
        wire_expect_text(&w, FIN | PONG, "hi");
    }
}

TEST(closing_drops_the_rest) {
    for (int detach = 0; detach != 2; ++detach)
        EACH_ROLE(&w, WS_TEXT) {
            wire_send_text(&w, FIN | TEXT, "abc");
            wire_send_close(&w, 1000, "");
            CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
            expect_part_of(1, WS_TEXT | WS_MORE, "a");
            if (detach) CHECK(ws_detach(w.ws, 1000, NULL, 0, in_time()) >= 0);
            else CHECK_INT(ws_close(w.ws, 1000, NULL, 0, in_time()), 0);
            wire_expect_close(&w, 1000);
        }
}

coroutine static void receive_nothing(int *done) {
    char c;
    CHECK_ERR(ws_recvsome(w.ws, NULL, &c, 1, -1), -1, EBADF);
    *done = 1;
}

TEST(one_coroutine_receives_at_a_time_until_the_handle_is_closed) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        int done = 0, h = go(receive_nothing(&done));
        CHECK_ERR(ws_recvsome(w.ws, NULL, NULL, 1, -1), -1, EBUSY);
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(bundle_wait(h, in_time()), 0);
        CHECK(done);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(a_maximum_holds_for_parts_too) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT, .max_message = 5};
    int s;
    char buf[9];
    w.role = SERVER;
    make_tcp_and_raw(&s, &w.fd);
    w.ws = ws_attach_server_opts(s, &opts, -1);
    wire_send_text(&w, TEXT, "abc");
    wire_send_text(&w, CONTINUATION, "def");
    expect_part(WS_TEXT | WS_MORE, "abc");
    CHECK_ERR(ws_recvsome(w.ws, NULL, buf, sizeof(buf), in_time()), -1, EPROTO);
    wire_expect_close(&w, 1009);
}

/* --- Long messages, compressed ones, and TLS: both ends ours. --- */

/* So long that keeping it would be noticed. */
enum { PART = 100000, PARTS = 1000 };

static void fill_text(char *part, int i) {
    for (size_t k = 0; k != PART; ++k) part[k] = (char)('a' + (k * 7 + (size_t)i + k / 900) % 26);
}

coroutine static void send_long(int ws, int more) {
    static char part[PART];
    for (int i = 0; i != PARTS; ++i) {
        fill_text(part, i);
        CHECK_INT(ws_send(ws, WS_TEXT | (i + 1 < PARTS ? more : 0), part, PART, now() + 20000), 0);
    }
}

/* KiB that the process has had at most. */
static long peak(void) {
    struct rusage usage;
    CHECK_INT(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

static void exchange_long(int ws[2]) {
    static char in[PART], expected[PART];
    int h = go(send_long(ws[0], WS_MORE)), flags = WS_MORE;
    size_t at = 0, i = 0;
    long before = peak();
    fill_text(expected, 0);
    while (flags & WS_MORE) {
        size_t most = 1 + (at * 31 + i) % (PART - 1);
        ssize_t n = ws_recvsome(ws[1], &flags, in, most, now() + 20000);
        CHECK(n >= 0 && (size_t)n <= most);
        CHECK_INT(flags & WS_TEXT, WS_TEXT);
        for (ssize_t k = 0; k != n;) {
            size_t step = (size_t)(n - k) < PART - at ? (size_t)(n - k) : PART - at;
            CHECK_MEM(in + k, expected + at, step);
            k += (ssize_t)step;
            if ((at += step) == PART) {
                at = 0;
                fill_text(expected, (int)++i);
            }
        }
    }
    CHECK_INT(i, PARTS);
    CHECK_INT(bundle_wait(h, in_time()), 0);
    CHECK_INT(hclose(h), 0);
    if (!is_wrapped()) CHECK(peak() - before < 8 * 1024);
}

/* Two stored blocks, and the third one of an empty flush without its end (RFC 7692, 7.2.1). */
TEST(what_is_decompressed_is_given_before_the_rest_of_its_frame_is_there) {
    static const char payload[] = "\0\5\0\xfa\xffHello\0\5\0\xfa\xffworld";
    char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    uint8_t frame[64];
    size_t n = frame_build(frame, SERVER, FIN | 0x40 | TEXT, payload, sizeof(payload));
    int s;
    w.role = SERVER;
    make_tcp_and_raw(&s, &w.fd);
    raw_send(w.fd, request, strlen(request));
    w.ws = ws_attach_server_opts(s, &opts, in_time());
    CHECK(w.ws >= 0);
    raw_send(w.fd, frame, n - 8);
    expect_part(WS_TEXT | WS_MORE, "Hello");
    CHECK_ERR(ws_recvsome(w.ws, NULL, (char[9]){0}, 9, now() + 5), -1, ETIMEDOUT);
    raw_send(w.fd, frame + n - 8, 8);
    expect_part(WS_TEXT, "world");
}

TEST(a_message_of_100_MB_passes_in_constant_memory) {
    int s[2], ws[2];
    opts.flags = WS_TEXT;
    opts.deflate = NULL;
    make_tcp_pair(s);
    make_pair(s, ws);
    exchange_long(ws);
}

TEST(a_compressed_message_of_100_MB_passes_in_constant_memory) {
    for (int flags = 0; flags <= 3; flags += 3) {
        int s[2], ws[2];
        how.flags = flags;
        make_tcp_pair(s);
        make_pair(s, ws);
        exchange_long(ws);
        CHECK_INT(hclose(ws[0]), 0);
        CHECK_INT(hclose(ws[1]), 0);
    }
}

TEST(a_compressed_message_that_is_dropped_inside_a_character_is_no_violation) {
    static char text[3000], buf[1000];
    for (size_t i = 0; i != sizeof(text); ++i) text[i] = "\xe2\x82\xac"[i % 3];
    for (int flags = 0; flags != 4; ++flags)
        for (int some = 0; some != 2; ++some) {
            int s[2], ws[2], seen;
            how.flags = flags;
            make_tcp_pair(s);
            make_pair(s, ws);
            CHECK_INT(ws_send(ws[0], WS_TEXT, text, sizeof(text), in_time()), 0);
            CHECK_INT(ws_send(ws[0], WS_TEXT, "next", 4, in_time()), 0);
            if (some) {
                CHECK_INT(ws_recvsome(ws[1], &seen, buf, sizeof(buf), in_time()), sizeof(buf));
                CHECK_INT(ws_done(ws[0], 1000, NULL, 0, in_time()), 0);
                CHECK(ws_detach(ws[1], 1000, NULL, 0, in_time()) >= 0);
                continue;
            }
            CHECK_ERR(ws_recv(ws[1], NULL, buf, sizeof(buf), in_time()), -1, EMSGSIZE);
            expect_text(ws[1], "next");
        }
}

#ifndef DILL_DISABLE_TLS
TEST(parts_are_received_over_TLS) {
    int s[2], ws[2];
    make_tls_over_tcp(s);
    make_pair(s, ws);
    exchange_long(ws);
}
#endif
