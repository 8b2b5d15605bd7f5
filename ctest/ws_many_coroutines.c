/* Several coroutines on one WebSocket handle. */

#include <libdill.h>

#include "sweep.h"
#include "test.h"

static struct wire w;
static char buf[300];
/* More than the kernel buffers. */
enum { LARGE = 1000000, KERNEL_BUFFER = 65536 };
static char large[LARGE];

#define EACH_OPEN_OF(COUNT) \
    EACH_CONNECTION_OF(COUNT, transport_, role_) \
        if (sweep_open(&w, (enum transport)transport_, (enum role)role_, KERNEL_BUFFER), 1)
#define EACH_OPEN EACH_OPEN_OF(TRANSPORTS)
/* A stream of the user's that is closed while somebody waits inside must see to him itself. */
#define EACH_OWN_OPEN EACH_OPEN_OF(OWN)

static void close_both(void) {
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
}

static size_t header_size(size_t len) {
    uint8_t header[14];
    return frame_header(header, FIN, w.role == CLIENT, len, extended_length(len));
}

/* The large frame leaves whole. The yields of the plain side let the library send. */
static void drain_large(void) { peer_recv(w.fd, NULL, header_size(LARGE) + LARGE); }

/* What a coroutine got. Changed by others: volatile. */
struct outcome {
    volatile int over;
    volatile long long rc;
    volatile int err;
};

#define OUTCOME(OUT, CALL)            \
    do {                              \
        errno = 0;                    \
        (OUT)->rc = (long long)(CALL); \
        (OUT)->err = errno;           \
        (OUT)->over = 1;              \
    } while (0)

static const struct outcome unknown = {0, 0, 0};

#define CHECK_OUTCOME(OUT, RC, ERR)                       \
    do {                                                  \
        CHECK_INT((OUT).over, 1);                         \
        CHECK_ERR((errno = (OUT).err, (OUT).rc), RC, ERR); \
    } while (0)

coroutine static void receiver(int ws, struct outcome *out) {
    static char in[300];
    OUTCOME(out, ws_recv(ws, NULL, in, sizeof(in), -1));
}
coroutine static void large_sender(int ws, struct outcome *out) {
    OUTCOME(out, ws_send(ws, WS_BINARY, large, LARGE, -1));
}
coroutine static void small_sender(int ws, struct outcome *out) { OUTCOME(out, ws_send(ws, WS_TEXT, "small", 5, -1)); }
coroutine static void finisher(int ws, struct outcome *out) { OUTCOME(out, ws_done(ws, 1000, NULL, 0, -1)); }
coroutine static void detacher(int ws, struct outcome *out) { OUTCOME(out, ws_detach(ws, 1000, NULL, 0, -1)); }

/* --- A receiver and a sender --- */

TEST(a_receiver_works_while_a_sender_is_stuck_in_a_frame) {
    EACH_OPEN {
        struct outcome sent = unknown;
        int b = bundle();
        CHECK_INT(bundle_go(b, large_sender(w.ws, &sent)), 0);
        for (int i = 0; i != 100; ++i) {
            wire_send_text(&w, FIN | TEXT, "hello");
            expect_text(w.ws, "hello");
        }
        CHECK_INT(sent.over, 0);
        drain_large();
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(sent.rc, 0);
        CHECK_INT(hclose(b), 0);
        close_both();
    }
}

TEST(a_sender_works_while_a_receiver_waits) {
    EACH_OPEN {
        struct outcome received = unknown;
        int b = bundle();
        CHECK_INT(bundle_go(b, receiver(w.ws, &received)), 0);
        for (int i = 0; i != 100; ++i) {
            CHECK_INT(ws_send(w.ws, WS_TEXT, "hello", 5, 0), 0);
            wire_expect_text(&w, FIN | TEXT, "hello");
        }
        CHECK_INT(received.over, 0);
        wire_send_text(&w, FIN | TEXT, "at last");
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(received.rc, 7);
        CHECK_INT(hclose(b), 0);
        close_both();
    }
}

/* --- Pings that come while a sender is stuck --- */

TEST(only_the_newest_ping_is_answered_right_after_the_frame_in_front_of_waiting_senders) {
    EACH_OPEN {
        struct outcome sent = unknown, next = unknown;
        int b = bundle();
        CHECK_INT(bundle_go(b, large_sender(w.ws, &sent)), 0);
        CHECK_INT(bundle_go(b, small_sender(w.ws, &next)), 0);
        for (int i = 0; i != 20; ++i) {
            char text[8];
            snprintf(text, sizeof(text), "ping %d", i);
            wire_send_text(&w, FIN | PING, text);
        }
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        CHECK_INT(sent.over, 0);
        drain_large();
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        wire_expect_text(&w, FIN | PONG, "ping 19");
        wire_expect_text(&w, FIN | TEXT, "small");
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(hclose(b), 0);
        close_both();
    }
}

TEST(a_ping_is_not_answered_after_a_close_frame_that_was_in_line_before_it) {
    EACH_OPEN {
        struct outcome sent = unknown, done = unknown;
        int b = bundle();
        CHECK_INT(bundle_go(b, large_sender(w.ws, &sent)), 0);
        drain_large();
        CHECK_INT(bundle_go(b, finisher(w.ws, &done)), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        wire_send_text(&w, FIN | PING, "late");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        wire_expect_close(&w, 1000);
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(hclose(b), 0);
        close_both();
    }
}

TEST(a_violation_while_a_sender_is_stuck_lets_its_frame_out_and_then_the_close_frame) {
    EACH_OPEN {
        struct outcome sent = unknown, next = unknown;
        int b = bundle();
        CHECK_INT(bundle_go(b, large_sender(w.ws, &sent)), 0);
        CHECK_INT(bundle_go(b, small_sender(w.ws, &next)), 0);
        raw_send(w.fd, "\xff\xff", 2);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, 0), -1, EPIPE);
        drain_large();
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_OUTCOME(next, -1, EPIPE);
        wire_expect_close(&w, 1002);
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(hclose(b), 0);
        close_both();
    }
}

TEST(a_sender_that_is_cancelled_in_its_frame_after_a_violation_leaves_EPIPE_to_the_next) {
    EACH_OPEN {
        struct outcome sent = unknown;
        int b = bundle();
        CHECK_INT(bundle_go(b, large_sender(w.ws, &sent)), 0);
        raw_send(w.fd, "\xff\xff", 2);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_INT(hclose(b), 0);
        CHECK_OUTCOME(sent, -1, ECANCELED);
        for (int i = 0; i != 2; ++i) CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, 0), -1, EPIPE);
        CHECK_ERR(ws_done(w.ws, 1000, NULL, 0, 0), -1, EPIPE);
        close_both();
    }
}

/* --- Eight senders --- */

enum { SENDERS = 8, ROUNDS = 3 };
static size_t order[SENDERS * ROUNDS], calls;
static size_t length_of(size_t number) { return 200000 + number * 10007; }

coroutine static void numbered_sender(int ws, char *data) {
    for (int i = 0; i != ROUNDS; ++i) {
        size_t number = calls++;
        memset(data, (int)number, length_of(number));
        order[number] = number;
        CHECK_INT(ws_send(ws, WS_BINARY, data, length_of(number), -1), 0);
    }
}

TEST(eight_senders_of_large_messages_each_send_them_whole_in_the_order_of_the_calls) {
    static void (*const make_pair[])(int s[2]) = {make_tcp_pair, make_ipc_pair, make_byte_stream_pair};
    for (int kind = 0; kind != 3; ++kind)
        for (int from = 0; from != 2; ++from) {
            int s[2], ws[2], b = bundle();
            char *in = (char *)malloc(1000000), *out[SENDERS];
            make_pair[kind](s);
            for (int i = 0; i != 2; ++i) ws[i] = attach_without_http(s[i], (enum role)i, WS_BINARY);
            calls = 0;
            for (int i = 0; i != SENDERS; ++i) {
                out[i] = (char *)malloc(1000000);
                CHECK_INT(bundle_go(b, numbered_sender(ws[from], out[i])), 0);
            }
            for (size_t i = 0; i != SENDERS * ROUNDS; ++i) {
                CHECK_INT(ws_recv(ws[1 - from], NULL, in, 1000000, now() + 5000), length_of(i));
                for (size_t k = 0; k != length_of(i); ++k) CHECK_INT(in[k], (char)i);
            }
            CHECK_INT(bundle_wait(b, now() + 5000), 0);
            CHECK_INT(hclose(b), 0);
            for (int i = 0; i != 2; ++i) CHECK_INT(hclose(ws[i]), 0);
            for (int i = 0; i != SENDERS; ++i) free(out[i]);
            free(in);
        }
}

/* --- Closing while others wait --- */

TEST(hclose_wakes_the_receiver_the_sender_and_those_in_line_with_EBADF) {
    CHECK_NOTHING_LEAKED({
        EACH_OWN_OPEN {
            struct outcome out[5] = {unknown, unknown, unknown, unknown, unknown};
            int b = bundle();
            CHECK_INT(bundle_go(b, receiver(w.ws, &out[0])), 0);
            CHECK_INT(bundle_go(b, large_sender(w.ws, &out[1])), 0);
            CHECK_INT(bundle_go(b, small_sender(w.ws, &out[2])), 0);
            CHECK_INT(bundle_go(b, finisher(w.ws, &out[3])), 0);
            CHECK_INT(bundle_go(b, large_sender(w.ws, &out[4])), 0);
            for (int i = 0; i != 5; ++i) CHECK_INT(out[i].over, 0);
            close_both();
            CHECK_INT(bundle_wait(b, now() + 5000), 0);
            for (int i = 0; i != 5; ++i) CHECK_OUTCOME(out[i], -1, EBADF);
            CHECK_INT(hclose(b), 0);
        }
    });
}

TEST(hclose_in_a_coroutine_that_is_woken_by_a_message_ends_the_senders) {
    EACH_OWN_OPEN {
        struct outcome sent = unknown;
        int b = bundle();
        CHECK_INT(bundle_go(b, large_sender(w.ws, &sent)), 0);
        wire_send_text(&w, FIN | TEXT, "close it");
        CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), 8);
        close_both();
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_OUTCOME(sent, -1, EBADF);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(ws_detach_while_somebody_receives_gives_EBUSY_and_closes_everything) {
    CHECK_NOTHING_LEAKED({
        EACH_OWN_OPEN {
            struct outcome received = unknown;
            int b = bundle();
            CHECK_INT(bundle_go(b, receiver(w.ws, &received)), 0);
            CHECK_ERR(ws_detach(w.ws, 1000, NULL, 0, now() + 5000), -1, EBUSY);
            CHECK_ERR(hclose(w.ws), -1, EBADF);
            CHECK_INT(bundle_wait(b, now() + 5000), 0);
            CHECK_OUTCOME(received, -1, EBADF);
            CHECK_INT(hclose(b), 0);
            CHECK_INT(close(w.fd), 0);
        }
    });
}

TEST(ws_detach_waits_behind_a_stuck_sender) {
    CHECK_NOTHING_LEAKED({
        EACH_OPEN {
            struct outcome sent = unknown, detached = unknown;
            int b = bundle();
            CHECK_INT(bundle_go(b, large_sender(w.ws, &sent)), 0);
            CHECK_INT(bundle_go(b, detacher(w.ws, &detached)), 0);
            CHECK_INT(detached.over, 0);
            drain_large();
            wire_expect_close(&w, 1000);
            wire_send_close(&w, 1000, "");
            CHECK_INT(bundle_wait(b, now() + 5000), 0);
            CHECK_INT(sent.rc, 0);
            CHECK(detached.rc >= 0);
            CHECK_INT(hclose((int)detached.rc), 0);
            CHECK_INT(hclose(b), 0);
            CHECK_INT(close(w.fd), 0);
        }
    });
}

TEST(hclose_ends_a_ws_detach_that_waits_for_the_close_frame_of_the_peer) {
    CHECK_NOTHING_LEAKED({
        EACH_OWN_OPEN {
            struct outcome detached = unknown;
            int b = bundle();
            CHECK_INT(bundle_go(b, detacher(w.ws, &detached)), 0);
            wire_expect_close(&w, 1000);
            close_both();
            CHECK_INT(bundle_wait(b, now() + 5000), 0);
            CHECK_OUTCOME(detached, -1, EBADF);
            CHECK_INT(hclose(b), 0);
        }
    });
}

TEST(a_second_receiver_gets_EBUSY_and_the_first_its_message) {
    EACH_OPEN {
        struct outcome received = unknown;
        int b = bundle();
        CHECK_INT(bundle_go(b, receiver(w.ws, &received)), 0);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, EBUSY);
        CHECK_ERR(mrecv(w.ws, buf, sizeof(buf), -1), -1, EBUSY);
        wire_send_text(&w, FIN | TEXT, "hello");
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(received.rc, 5);
        CHECK_INT(hclose(b), 0);
        close_both();
    }
}

TEST(the_turn_passes_on_from_a_sender_that_is_cancelled_when_it_has_just_got_it) {
    EACH_OPEN {
        struct outcome sent = unknown, first = unknown, second = unknown;
        int b = bundle(), cancelled = bundle();
        CHECK_INT(bundle_go(b, large_sender(w.ws, &sent)), 0);
        CHECK_INT(bundle_go(cancelled, small_sender(w.ws, &first)), 0);
        CHECK_INT(bundle_go(b, small_sender(w.ws, &second)), 0);
        while (!sent.over) {
            while (recv(w.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0) continue;
            CHECK_INT(yield(), 0);
        }
        CHECK_INT(hclose(cancelled), 0);
        CHECK_INT(first.over, 1);
        while (!second.over) {
            while (recv(w.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0) continue;
            CHECK_INT(yield(), 0);
        }
        CHECK_INT(second.rc, 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(hclose(b), 0);
        close_both();
    }
}
