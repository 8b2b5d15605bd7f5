/* Peers that break the protocol: the close code on the wire, and what the handle says afterwards. */

#include <libdillext.h>

#include "test.h"
#include "wire.h"

static struct wire w;
static char buf[70000];

/* The receive fails, the peer is told why, and both directions are over. */
static void expect_violation(int code) {
    CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
    wire_expect_close(&w, code);
    for (int i = 0; i != 2; ++i) {
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, ECONNRESET);
        CHECK_ERR(mrecv(w.ws, buf, sizeof(buf), now() + 5000), -1, ECONNRESET);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, -1), -1, EPIPE);
        CHECK_ERR(msend(w.ws, "A", 1, -1), -1, EPIPE);
    }
    CHECK_ERR(ws_done(w.ws, 1000, NULL, 0, -1), -1, EPIPE);
    CHECK_INT(hclose(w.ws), 0);
}

#define VIOLATION_TEST(NAME, CODE, ...)   \
    TEST(NAME##_gives_EPROTO_and_##CODE) { \
        EACH_ROLE(&w, WS_TEXT) {          \
            __VA_ARGS__;                  \
            expect_violation(CODE);       \
        }                                 \
    }

/* --- The header of a frame --- */

VIOLATION_TEST(reserved_bit_1, 1002, wire_send_text(&w, FIN | 0x40 | TEXT, "A"))
VIOLATION_TEST(reserved_bit_2, 1002, wire_send_text(&w, FIN | 0x20 | TEXT, "A"))
VIOLATION_TEST(reserved_bit_3, 1002, wire_send_text(&w, FIN | 0x10 | TEXT, "A"))
VIOLATION_TEST(a_reserved_bit_of_a_ping, 1002, wire_send_text(&w, FIN | 0x40 | PING, ""))

TEST(reserved_opcodes_give_EPROTO_and_1002) {
    const int opcodes[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    for (int i = 0; i != 10; ++i) EACH_ROLE(&w, WS_TEXT) {
            wire_send_text(&w, FIN | opcodes[i], "");
            expect_violation(1002);
        }
}

/* Sends a frame header only. */
static void send_header(int first, int masked, uint64_t len, int extended) {
    uint8_t header[14];
    raw_send(w.fd, header, frame_header(header, first, masked, len, extended));
}

VIOLATION_TEST(a_length_with_the_top_bit_set, 1002, send_header(FIN | BINARY, w.role == SERVER, 1ULL << 63, 8))
VIOLATION_TEST(the_largest_length, 1002, send_header(FIN | BINARY, w.role == SERVER, UINT64_MAX, 8))
VIOLATION_TEST(a_fragmented_ping, 1002, wire_send_text(&w, PING, "p"))
VIOLATION_TEST(a_fragmented_pong, 1002, wire_send_text(&w, PONG, "p"))
VIOLATION_TEST(a_fragmented_close, 1002, wire_send_text(&w, CLOSE, ""))
VIOLATION_TEST(a_ping_of_126_bytes, 1002, memset(buf, 'x', 126); wire_send(&w, FIN | PING, buf, 126))
VIOLATION_TEST(a_pong_of_200_bytes, 1002, memset(buf, 'x', 200); wire_send(&w, FIN | PONG, buf, 200))
VIOLATION_TEST(a_close_of_126_bytes, 1002, memset(buf, 'x', 126); memcpy(buf, "\x03\xe8", 2);
               wire_send(&w, FIN | CLOSE, buf, 126))
VIOLATION_TEST(a_continuation_of_nothing, 1002, wire_send_text(&w, CONTINUATION, "A"))
VIOLATION_TEST(a_final_continuation_of_nothing, 1002, wire_send_text(&w, FIN | CONTINUATION, "A"))
VIOLATION_TEST(a_text_frame_inside_a_message, 1002, wire_send_text(&w, TEXT, "A"); wire_send_text(&w, FIN | TEXT, "B"))
VIOLATION_TEST(a_binary_frame_inside_a_message, 1002, wire_send_text(&w, TEXT, "A");
               wire_send_text(&w, BINARY, "B"))

/* The rest of its header may never come. */
TEST(a_frame_that_may_not_begin_within_a_message_is_refused_by_its_first_byte) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        uint8_t first = FIN | TEXT;
        wire_send_text(&w, TEXT, "A");
        raw_send(w.fd, &first, 1);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        wire_expect_close(&w, 1002);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(a_continuation_after_a_whole_message_gives_EPROTO_and_1002) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "A");
        wire_send_text(&w, FIN | CONTINUATION, "B");
        expect_text(w.ws, "A");
        expect_violation(1002);
    }
}

/* The peer masks although it must not, or does not mask although it must. */
static void send_with_wrong_mask(int first) {
    uint8_t frame[32];
    enum role pretended = w.role == SERVER ? CLIENT : SERVER;
    raw_send(w.fd, frame, frame_build(frame, pretended, first, "A", 1));
}

VIOLATION_TEST(a_text_frame_masked_or_not_by_the_wrong_side, 1002, send_with_wrong_mask(FIN | TEXT))
VIOLATION_TEST(a_ping_masked_or_not_by_the_wrong_side, 1002, send_with_wrong_mask(FIN | PING))
VIOLATION_TEST(an_unasked_pong_masked_or_not_by_the_wrong_side, 1002, send_with_wrong_mask(FIN | PONG))

/* --- Close frames --- */

VIOLATION_TEST(a_close_payload_of_1_byte, 1002, wire_send_text(&w, FIN | CLOSE, "A"))

TEST(close_codes_that_are_not_allowed_on_the_wire_give_EPROTO_and_1002) {
    const int codes[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i != sizeof(codes) / sizeof(*codes); ++i) EACH_ROLE(&w, WS_TEXT) {
            wire_send_close(&w, codes[i], "");
            expect_violation(1002);
        }
}

VIOLATION_TEST(a_close_reason_that_is_not_UTF_8, 1007, wire_send_close(&w, 1000, "abc\xff"))
VIOLATION_TEST(a_close_reason_that_ends_in_the_middle_of_a_character, 1007, wire_send_close(&w, 1000, "\xe2\x82"))

/* --- Text --- */

#define INVALID_TEXT_TEST(NAME, TEXT_BYTES) VIOLATION_TEST(NAME, 1007, wire_send_text(&w, FIN | TEXT, TEXT_BYTES))

INVALID_TEXT_TEST(text_with_a_byte_that_is_never_used, "abc\xff" "def")
INVALID_TEXT_TEST(text_with_a_lonely_continuation_byte, "\x80")
INVALID_TEXT_TEST(text_with_an_overlong_slash, "\xc0\xaf")
INVALID_TEXT_TEST(text_with_an_overlong_character_of_3_bytes, "\xe0\x80\xaf")
INVALID_TEXT_TEST(text_with_an_overlong_character_of_4_bytes, "\xf0\x80\x80\xaf")
INVALID_TEXT_TEST(text_with_a_surrogate, "\xed\xa0\x80")
INVALID_TEXT_TEST(text_beyond_the_last_character, "\xf4\x90\x80\x80")
INVALID_TEXT_TEST(text_that_ends_in_the_middle_of_a_character, "abc\xe2\x82")
INVALID_TEXT_TEST(text_with_a_character_that_is_cut_short, "\xe2\x82" "abc")

VIOLATION_TEST(a_fragmented_text_that_ends_in_the_middle_of_a_character, 1007, wire_send_text(&w, TEXT, "abc\xe2");
               wire_send_text(&w, FIN | CONTINUATION, "\x82"))
VIOLATION_TEST(a_character_cut_short_across_fragments, 1007, wire_send_text(&w, TEXT, "\xe2\x82");
               wire_send_text(&w, CONTINUATION, "A"))

TEST(invalid_text_is_found_before_the_message_has_arrived) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        uint8_t header[14], bytes[4] = {'a', 0xff, 'b', 'c'};
        size_t n = frame_header(header, FIN | TEXT, w.role == SERVER, 100, 0);
        for (int i = 0; w.role == SERVER && i != 4; ++i) bytes[i] ^= wire_key[i];
        raw_send(w.fd, header, n);
        raw_send(w.fd, bytes, 4);
        expect_violation(1007);
    }
}

TEST(invalid_text_is_found_while_a_message_that_does_not_fit_is_dropped) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        uint8_t header[14];
        size_t n = frame_header(header, FIN | TEXT, w.role == SERVER, sizeof(buf) + 1, 8);
        raw_send(w.fd, header, n);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EMSGSIZE);
        raw_send(w.fd, "\xff\xff", 2);
        expect_violation(1007);
    }
}

TEST(invalid_text_is_found_in_a_fragment_before_the_message_is_complete) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, TEXT, "a\xff");
        expect_violation(1007);
    }
}

TEST(binary_messages_are_not_validated) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send(&w, FIN | BINARY, "\xff\xfe\x80", 3);
        expect_message(w.ws, WS_BINARY, "\xff\xfe\x80", 3);
    }
}

TEST(valid_text_at_the_edges_of_UTF_8_is_accepted) {
    static const char text[] =
        "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, text);
        expect_text(w.ws, text);
    }
}

TEST(a_long_text_with_one_bad_byte_near_its_end_is_refused) {
    EACH_ROLE(&w, WS_TEXT) {
        memset(buf, 'x', 60000);
        buf[59990] = (char)0xC0;
        wire_send(&w, FIN | TEXT, buf, 60000);
        expect_violation(1007);
    }
}

/* --- The moment of the violation --- */

TEST(messages_before_the_violation_are_received) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "one");
        wire_send_text(&w, FIN | TEXT, "two");
        wire_send_text(&w, FIN | 3, "");
        expect_text(w.ws, "one");
        expect_text(w.ws, "two");
        expect_violation(1002);
    }
}

TEST(after_ws_done_a_violation_gives_EPROTO_without_a_second_close_frame) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0);
        wire_expect_close(&w, 1000);
        wire_send_text(&w, FIN | 3, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, ECONNRESET);
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(a_violation_while_the_transport_is_full_does_not_wait) {
    EACH_ROLE(&w, WS_TEXT) {
        static char block[1000];
        while (ws_send(w.ws, WS_BINARY, block, sizeof(block), now()) == 0) continue;
        CHECK_INT(errno, ETIMEDOUT);
        wire_send_text(&w, FIN | 3, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_INT(hclose(w.ws), 0);
    }
}

/* The peer reads so many bytes, and the next frame is a close frame with this code. */
static void expect_close_behind(size_t len, int code) {
    static char sink[100000];
    while (len) {
        ssize_t n = recv(w.fd, sink, len < sizeof(sink) ? len : sizeof(sink), MSG_DONTWAIT);
        if (n > 0) len -= (size_t)n;
        else CHECK_INT(msleep(now() + 1), 0);
    }
    /* Over TLS it may have been taken from the socket before. */
    while (recv(w.fd, sink, 1, MSG_PEEK | MSG_DONTWAIT) < 0) CHECK_INT(msleep(now() + 1), 0);
    wire_expect_close(&w, code);
}

static char large[1000000];

TEST(the_close_frame_of_a_violation_leaves_behind_what_is_queued) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        struct ws_info info = {.size = sizeof(info)};
        int taken = 0;
        while (ws_broadcast(&w.ws, 1, WS_BINARY, large, sizeof(large), 0, NULL) == 1) ++taken;
        CHECK_INT(ws_info(w.ws, &info), 0);
        CHECK(info.queued > 0);
        wire_send_text(&w, FIN | 3, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_ERR(ws_broadcast(&w.ws, 1, WS_BINARY, large, 1, SIZE_MAX, NULL), 0, 0);
        expect_close_behind((size_t)taken * (sizeof(large) + (w.role == CLIENT ? 14 : 10)), 1002);
        CHECK_INT(hclose(w.ws), 0);
    }
}

TEST(a_stream_that_is_cut_short_is_reset_though_a_close_frame_was_queued) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT) {
        while (ws_broadcast(&w.ws, 1, WS_BINARY, large, sizeof(large), 0, NULL) == 1) continue;
        wire_send_text(&w, FIN | 3, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_INT(hclose(w.ws), 0);
        ssize_t n;
        while ((n = recv(w.fd, large, sizeof(large), 0)) > 0) continue;
        CHECK(n < 0 && errno == ECONNRESET);
    }
}

TEST(the_close_code_of_a_violation_survives_hclose_on_TCP) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT) {
        wire_send_text(&w, FIN | 3, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_INT(hclose(w.ws), 0);
        wire_expect_close(&w, 1002);
        CHECK_RAW_END(w.fd);
    }
}

TEST(ws_detach_after_a_violation_fails_and_closes_everything) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | 3, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_INT(ws_detach(w.ws, 1000, NULL, 0, now() + 5000), -1);
        CHECK_ERR(hclose(w.ws), -1, EBADF);
        wire_expect_close(&w, 1002);
        CHECK(raw_is_closed(w.fd));
    }
}

TEST(a_violation_during_ws_detach_fails_with_EPROTO_and_closes_everything) {
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | 3, "");
        CHECK_ERR(ws_detach(w.ws, 1000, NULL, 0, now() + 5000), -1, EPROTO);
        CHECK_ERR(hclose(w.ws), -1, EBADF);
        wire_expect_close(&w, 1000);
        CHECK(raw_is_closed(w.fd));
    }
}
