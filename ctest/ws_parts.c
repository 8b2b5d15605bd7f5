/* Messages that are sent in parts. */

#include <libdillext.h>

#include "deflate_pair.h"
#include "http.h"
#include "test.h"
#include "tls.h"
#include "wire.h"

static struct wire w;

static void send_part(const char *text) {
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE, text, strlen(text), in_time()), 0);
}

static void send_last(const char *text) { CHECK_INT(ws_send(w.ws, WS_TEXT, text, strlen(text), in_time()), 0); }

TEST(parts_are_fragments_of_one_message) {
    EACH_ROLE(&w, WS_TEXT) {
        send_part("a");
        wire_expect_text(&w, TEXT, "a");
        send_part("bc");
        wire_expect_text(&w, CONTINUATION, "bc");
        send_last("d");
        wire_expect_text(&w, FIN | CONTINUATION, "d");
        send_last("next");
        wire_expect_text(&w, FIN | TEXT, "next");
    }
}

TEST(the_type_is_that_of_the_first_part_and_parts_may_be_empty) {
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(ws_send(w.ws, WS_BINARY | WS_MORE, NULL, 0, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE, "a", 1, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "", 0, in_time()), 0);
        wire_expect_text(&w, BINARY, "");
        wire_expect_text(&w, CONTINUATION, "a");
        wire_expect_text(&w, FIN | CONTINUATION, "");
    }
}

TEST(every_sending_call_goes_on_with_the_message) {
    EACH_ROLE(&w, WS_TEXT) {
        struct iolist second = {"cd", 2, NULL, 0}, first = {"ab", 2, &second, 0};
        CHECK_INT(ws_sendl(w.ws, WS_TEXT | WS_MORE, &first, &second, in_time()), 0);
        CHECK_INT(ws_sendl(w.ws, WS_BINARY | WS_MORE, &first, &second, in_time()), 0);
        CHECK_INT(msend(w.ws, "e", 1, in_time()), 0);
        wire_expect_text(&w, TEXT, "abcd");
        wire_expect_text(&w, CONTINUATION, "abcd");
        wire_expect_text(&w, FIN | CONTINUATION, "e");
        CHECK_INT(msend(w.ws, "f", 1, in_time()), 0);
        wire_expect_text(&w, FIN | TEXT, "f");
    }
}

TEST(parts_may_be_gathered) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE | WS_GATHER, "a", 1, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE | WS_GATHER, "b", 1, in_time()), 0);
        CHECK_ERR(recv(w.fd, (char[1]){0}, 1, MSG_DONTWAIT), -1, EAGAIN);
        send_last("c");
        wire_expect_text(&w, TEXT, "a");
        wire_expect_text(&w, CONTINUATION, "b");
        wire_expect_text(&w, FIN | CONTINUATION, "c");
    }
}

coroutine static void send_text(const char *text) {
    CHECK_INT(ws_send(w.ws, WS_TEXT, text, strlen(text), in_time()), 0);
}

TEST(messages_of_others_wait_for_the_end_in_the_order_of_their_calls) {
    EACH_ROLE(&w, WS_TEXT) {
        int b = bundle();
        send_part("a");
        CHECK_INT(bundle_go(b, send_text("first")), 0);
        CHECK_INT(bundle_go(b, send_text("second")), 0);
        send_part("b");
        CHECK_INT(yield(), 0);
        send_last("c");
        send_last("third");
        wire_expect_text(&w, TEXT, "a");
        wire_expect_text(&w, CONTINUATION, "b");
        wire_expect_text(&w, FIN | CONTINUATION, "c");
        wire_expect_text(&w, FIN | TEXT, "first");
        wire_expect_text(&w, FIN | TEXT, "second");
        wire_expect_text(&w, FIN | TEXT, "third");
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void send_too_late(int err, int64_t deadline, int *done) {
    CHECK_ERR(ws_send(w.ws, WS_TEXT, "never", 5, deadline), -1, err);
    *done = 1;
}

TEST(who_waits_for_the_end_does_so_until_the_deadline_or_until_it_is_cancelled) {
    EACH_ROLE(&w, WS_TEXT) {
        int64_t deadline = now() + 20;
        int late = 0, cancelled = 0, b = bundle(), c = bundle();
        send_part("a");
        CHECK_INT(bundle_go(b, send_too_late(ETIMEDOUT, deadline, &late)), 0);
        CHECK_INT(bundle_go(c, send_too_late(ECANCELED, -1, &cancelled)), 0);
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK(late && now() >= deadline);
        CHECK_INT(hclose(c), 0);
        CHECK(cancelled);
        CHECK_INT(hclose(b), 0);
        send_last("b");
        wire_expect_text(&w, TEXT, "a");
        wire_expect_text(&w, FIN | CONTINUATION, "b");
    }
}

coroutine static void send_ping(void) { CHECK_INT(ws_ping(w.ws, "hi", 2, in_time()), 0); }

TEST(pings_and_pongs_pass_between_parts) {
    EACH_ROLE(&w, WS_TEXT) {
        int b;
        send_part("a");
        b = go(send_ping());
        CHECK_INT(ws_pong(w.ws, "ho", 2, in_time()), 0);
        wire_send_text(&w, FIN | PING, "there?");
        wire_send_text(&w, FIN | TEXT, "x");
        expect_text(w.ws, "x");
        send_last("b");
        wire_expect_text(&w, TEXT, "a");
        wire_expect_text(&w, FIN | PING, "hi");
        wire_expect_text(&w, FIN | PONG, "ho");
        wire_expect_text(&w, FIN | PONG, "there?");
        wire_expect_text(&w, FIN | CONTINUATION, "b");
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void end_connection(void) { CHECK_INT(ws_done(w.ws, 1001, NULL, 0, in_time()), 0); }

TEST(ws_done_inside_a_message_sends_the_close_frame_and_others_get_EPIPE) {
    for (int by_another = 0; by_another != 2; ++by_another)
        EACH_ROLE(&w, WS_TEXT) {
            int done = 0, b = bundle();
            send_part("a");
            CHECK_INT(bundle_go(b, send_too_late(EPIPE, -1, &done)), 0);
            if (by_another) CHECK_INT(bundle_go(b, end_connection()), 0);
            else CHECK_INT(ws_done(w.ws, 1001, NULL, 0, in_time()), 0);
            CHECK_INT(bundle_wait(b, in_time()), 0);
            CHECK(done);
            CHECK_ERR(ws_send(w.ws, WS_TEXT, "b", 1, -1), -1, EPIPE);
            wire_expect_text(&w, TEXT, "a");
            wire_expect_close(&w, 1001);
            CHECK_INT(hclose(b), 0);
        }
}

enum { LARGE = 20000000 };
static char large[LARGE];

coroutine static void begin_large(int *b) {
    CHECK_INT(ws_send(w.ws, WS_BINARY | WS_MORE, large, LARGE, -1), 0);
    CHECK_INT(bundle_wait(*b, -1), 0);
}

TEST(a_close_frame_that_waits_behind_a_first_part_does_not_wait_for_the_end) {
    EACH_ROLE(&w, WS_TEXT) {
        int b = bundle(), waiting = bundle(), peer;
        uint8_t head[8];
        CHECK_INT(bundle_go(b, begin_large(&waiting)), 0);
        CHECK_INT(bundle_go(waiting, end_connection()), 0);
        peer = wire_adopt(w.fd);
        CHECK_INT(brecv(peer, NULL, (w.role == CLIENT ? 14 : 10) + LARGE, now() + 10000), 0);
        CHECK_INT(brecv(peer, head, w.role == CLIENT ? 8 : 4, in_time()), 0);
        CHECK_INT(head[0], FIN | CLOSE);
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK_INT(hclose(waiting), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(ws_close_inside_a_message_closes) {
    EACH_ROLE(&w, WS_TEXT) {
        send_part("a");
        wire_send_close(&w, 1000, "");
        CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
        CHECK_INT(ws_close(w.ws, 1000, NULL, 0, in_time()), 0);
        wire_expect_text(&w, TEXT, "a");
        wire_expect_close(&w, 1000);
    }
}

coroutine static void begin_and_end(void) { send_part("a"); }

coroutine static void receive_nothing(int err, int *done) {
    char c;
    CHECK_ERR(ws_recv(w.ws, NULL, &c, 1, -1), -1, err);
    *done = 1;
}

TEST(a_coroutine_that_ends_inside_its_message_fails_the_connection_with_1011) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        int sender = 0, receiver = 0, b = bundle(), h;
        CHECK_INT(bundle_go(b, receive_nothing(ECONNRESET, &receiver)), 0);
        h = go(begin_and_end());
        CHECK_INT(bundle_go(b, send_too_late(ECONNRESET, -1, &sender)), 0);
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK(sender && receiver);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "b", 1, -1), -1, ECONNRESET);
        wire_expect_text(&w, TEXT, "a");
        wire_expect_close(&w, 1011);
        CHECK_INT(hclose(h), 0);
        CHECK_INT(hclose(b), 0);
        CHECK_INT(hclose(w.ws), 0);
        CHECK_RAW_END(w.fd);
    }
}

TEST(on_a_bytestream_of_the_users_it_fails_too) {
    for (int role = CLIENT; role <= SERVER; ++role) {
        int sender = 0, b = bundle(), h;
        wire_open_user(&w, (enum role)role, WS_TEXT);
        h = go(begin_and_end());
        CHECK_INT(bundle_go(b, send_too_late(ECONNRESET, -1, &sender)), 0);
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK(sender);
        CHECK_ERR(ws_recv(w.ws, NULL, NULL, 1, -1), -1, ECONNRESET);
        CHECK_INT(hclose(h), 0);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(a_message_whose_handle_was_closed_can_end_as_it_likes) {
    EACH_ROLE(&w, WS_TEXT) {
        int sender = 0, b = bundle(), h;
        h = go(begin_and_end());
        CHECK_INT(hclose(h), 0);
        CHECK_INT(bundle_go(b, send_too_late(ECONNRESET, -1, &sender)), 0);
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void begin_and_close(int *done) {
    send_part("a");
    CHECK_INT(hclose(w.ws), 0);
    *done = 1;
}

TEST(closing_inside_a_message_sends_those_who_wait_away) {
    EACH_ROLE(&w, WS_TEXT) {
        int sender = 0, closed = 0, b = bundle();
        send_part("a");
        CHECK_INT(bundle_go(b, send_too_late(EBADF, -1, &sender)), 0);
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK(sender);
        wire_open(&w, SERVER, WS_TEXT);
        CHECK_INT(bundle_go(b, begin_and_close(&closed)), 0);
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK(closed);
        CHECK_INT(hclose(b), 0);
    }
}

/* Sends until the peer's and the kernel's buffers are full; returns how many parts have left. */
static int fill_up(int flags, const char *part, size_t len) {
    int sent = 0;
    while (ws_send(w.ws, flags | WS_MORE, part, len, now() + 10) == 0) ++sent;
    CHECK_INT(errno, ETIMEDOUT);
    return sent;
}

TEST(a_part_of_which_nothing_has_left_can_be_sent_again) {
    EACH_ROLE_ON_OWN(&w, WS_BINARY) {
        /* So small that the kernel takes a whole one or nothing. */
        static char part[100];
        int peer, sent = fill_up(WS_BINARY, part, sizeof(part)), again = 0;
        size_t frame = (w.role == CLIENT ? 6 : 2) + sizeof(part);
        char got[106];
        peer = wire_adopt(w.fd);
        for (; again < sent; ++again) CHECK_INT(brecv(peer, got, frame, in_time()), 0);
        if (ws_send(w.ws, WS_BINARY | WS_MORE, part, sizeof(part), in_time()) < 0) {
            /* A part of the frame had left after all. */
            CHECK_INT(errno, ECONNRESET);
            continue;
        }
        CHECK_INT(ws_send(w.ws, WS_BINARY, "end", 3, in_time()), 0);
        CHECK_INT(brecv(peer, got, frame, in_time()), 0);
        CHECK_INT((uint8_t)got[0], CONTINUATION);
        CHECK_INT(brecv(peer, got, frame - sizeof(part) + 3, in_time()), 0);
        CHECK_INT((uint8_t)got[0], FIN | CONTINUATION);
    }
}

TEST(a_message_goes_on_or_begins_anew_as_if_a_part_that_could_not_leave_had_not_been) {
    static char part[100];
    for (int more = 0; more <= WS_MORE; more += WS_MORE) EACH_ROLE_ON_OWN(&w, WS_BINARY) {
        int sent = 0, peer;
        size_t header = w.role == CLIENT ? 6 : 2;
        char got[106];
        while (ws_send(w.ws, WS_BINARY | more, part, sizeof(part), now() + 10) == 0) ++sent;
        CHECK_INT(errno, ETIMEDOUT);
        CHECK(ws_send(w.ws, WS_BINARY | (WS_MORE - more), part, sizeof(part), now() + 10) < 0);
        peer = wire_adopt(w.fd);
        for (int i = 0; i != sent; ++i) CHECK_INT(brecv(peer, got, header + sizeof(part), in_time()), 0);
        if (ws_send(w.ws, WS_BINARY, "end", 3, in_time()) < 0) {
            /* A part of a frame had left after all. */
            CHECK_INT(errno, ECONNRESET);
            continue;
        }
        CHECK_INT(brecv(peer, got, header + 3, in_time()), 0);
        CHECK_INT((uint8_t)got[0], FIN | (more ? CONTINUATION : BINARY));
    }
}

coroutine static void begin_too_late(int *done) {
    CHECK_ERR(ws_send(w.ws, WS_TEXT | WS_MORE, "never", 5, now() + 10), -1, ETIMEDOUT);
    *done = 1;
}

TEST(a_first_part_that_fails_opens_no_message) {
    EACH_ROLE_ON_OWN(&w, WS_BINARY) {
        int late = 0, b = bundle();
        send_part("a");
        CHECK_ERR(ws_send(w.ws, WS_TEXT | WS_MORE | 1 << 20, "x", 1, -1), -1, EINVAL);
        CHECK_ERR(ws_send(w.ws, WS_TEXT | WS_MORE, NULL, 1, -1), -1, EINVAL);
        CHECK_INT(bundle_go(b, begin_too_late(&late)), 0);
        CHECK_INT(bundle_wait(b, in_time()), 0);
        CHECK(late);
        send_last("b");
        send_last("c");
        wire_expect_text(&w, TEXT, "a");
        wire_expect_text(&w, FIN | CONTINUATION, "b");
        wire_expect_text(&w, FIN | TEXT, "c");
        CHECK_INT(hclose(b), 0);
    }
}

/* --- Compressed, and over TLS: both ends ours. --- */

enum { PART = 30000, PARTS = 40 };
static char part[PART], whole[PARTS * PART];

coroutine static void send_in_parts(int ws) {
    for (int i = 0; i != PARTS; ++i)
        CHECK_INT(ws_send(ws, (i + 1 < PARTS ? WS_MORE : 0) | (i % 3 ? WS_BINARY : WS_NODEFLATE), whole + i * PART,
                          PART, now() + 10000),
                  0);
}

static void exchange_in_parts(const int ws[2]) {
    for (size_t i = 0; i != sizeof(whole); ++i) whole[i] = "{\"name\": \"value\", \"number\": 12345}, "[(i + i / 900) % 36];
    for (int direction = 0; direction != 2; ++direction) {
        int h = go(send_in_parts(ws[direction]));
        expect_message(ws[!direction], WS_BINARY, whole, sizeof(whole));
        CHECK_INT(bundle_wait(h, -1), 0);
        CHECK_INT(hclose(h), 0);
        CHECK_INT(ws_send(ws[direction], WS_TEXT, whole, 1000, in_time()), 0);
        expect_message(ws[!direction], WS_TEXT, whole, 1000);
    }
}

TEST(compressed_parts_are_one_message) {
    for (int flags = 0; flags != 4; ++flags)
        for (int tcp = 0; tcp != 2; ++tcp) {
            int s[2], ws[2];
            how.flags = flags;
            if (tcp) make_tcp_pair(s);
            else make_ipc_pair(s);
            make_pair(s, ws);
            exchange_in_parts(ws);
            CHECK_INT(hclose(ws[0]), 0);
            CHECK_INT(hclose(ws[1]), 0);
        }
}

TEST(the_first_part_says_whether_a_message_is_compressed) {
    char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    struct wire_frame f = {0, 0, {0}, 0, NULL};
    int s;
    char answer[1];
    w.role = SERVER;
    make_tcp_and_raw(&s, &w.fd);
    raw_send(w.fd, request, strlen(request));
    w.ws = ws_attach_server_opts(s, &opts, in_time());
    CHECK(w.ws >= 0);
    for (int ends = 0; ends != 4;) {
        raw_recv(w.fd, answer, 1);
        ends = *answer == "\r\n\r\n"[ends] ? ends + 1 : 0;
    }
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE, "a", 1, in_time()), 0);
    wire_recv(&w, &f);
    CHECK_INT(f.first, TEXT | 0x40);
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_NODEFLATE, "a", 1, in_time()), 0);
    wire_recv(&w, &f);
    CHECK_INT(f.first, FIN | CONTINUATION);
    CHECK(f.len != 1);
    memset(part, 'a', sizeof(part));
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE | WS_NODEFLATE, "a", 1, in_time()), 0);
    CHECK_INT(ws_send(w.ws, WS_TEXT, part, sizeof(part), in_time()), 0);
    wire_expect_text(&w, TEXT, "a");
    wire_expect(&w, FIN | CONTINUATION, part, sizeof(part));
    /* The next one is compressed again. */
    CHECK_INT(ws_send(w.ws, WS_TEXT, part, sizeof(part), in_time()), 0);
    wire_recv(&w, &f);
    CHECK_INT(f.first, FIN | TEXT | 0x40);
}

coroutine static void receive_whole(int ws, char *in, size_t len) {
    CHECK_INT(ws_recv(ws, NULL, in, len, in_time()), len);
    CHECK_MEM(in, whole, len);
}

/* Parts that cannot leave, sent again until they can. One that has left in part is the end. */
coroutine static void send_stubbornly(int ws, int *failures) {
    for (int i = 0; i != PARTS; ++i) {
        int more = i + 1 < PARTS ? WS_MORE : 0;
        while (ws_send(ws, WS_BINARY | more, whole + i * PART, PART, now() + 1) < 0) {
            if (errno == ECONNRESET) {
                CHECK_INT(hclose(ws), 0);
                return;
            }
            CHECK_INT(errno, ETIMEDOUT);
            ++*failures;
        }
    }
}

TEST(compressed_parts_that_are_sent_again_are_one_message) {
    unsigned state = 1;
    for (size_t i = 0; i != sizeof(whole); ++i) whole[i] = (char)((state = state * 1103515245 + 12345) >> 16);
    for (int flags = 0; flags != 4; ++flags) {
        static char in[sizeof(whole)];
        ssize_t n = -1;
        how.flags = flags;
        ATTEMPT_UNTIL(n >= 0) {
            int s[2], ws[2], failures = 0, h;
            make_ipc_pair(s);
            make_pair(s, ws);
            h = go(send_stubbornly(ws[0], &failures));
            while (failures == 0) CHECK_INT(msleep(now() + 1), 0);
            n = ws_recv(ws[1], NULL, in, sizeof(in), in_time());
            if (n < 0) CHECK_INT(errno, ECONNRESET);
            CHECK_INT(bundle_wait(h, in_time()), 0);
            CHECK_INT(hclose(h), 0);
            CHECK(hclose(ws[0]) == 0 || errno == EBADF);
            CHECK_INT(hclose(ws[1]), 0);
        }
        CHECK_INT(n, sizeof(whole));
        CHECK_MEM(in, whole, sizeof(whole));
    }
}

/* The first part is gathered behind what the kernel does not take, so that nothing of the second one is even
   compressed; and so for the first part of the message behind that. */
TEST(a_compressed_part_that_was_not_begun_can_be_sent_again) {
    static char in[sizeof(whole)];
    unsigned state = 1;
    for (size_t i = 0; i != sizeof(whole); ++i) whole[i] = (char)((state = state * 1103515245 + 12345) >> 16);
    for (int flags = 0; flags != 4; ++flags) {
        int s[2], ws[2], fds[2], size = 4096;
        how.flags = flags;
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        CHECK_INT(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        for (int i = 0; i != 2; ++i) CHECK((s[i] = ipc_fromfd(fds[i])) >= 0);
        make_pair(s, ws);
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(ws_send(ws[0], WS_BINARY | WS_MORE | WS_GATHER, whole, PART, 0), 0);
            CHECK_INT(yield(), 0);
            CHECK_ERR(ws_send(ws[0], WS_BINARY, whole + PART, PART, 0), -1, ETIMEDOUT);
            int h = go(receive_whole(ws[1], in, 2 * PART));
            CHECK_INT(ws_send(ws[0], WS_BINARY, whole + PART, PART, in_time()), 0);
            CHECK_INT(bundle_wait(h, in_time()), 0);
            CHECK_INT(hclose(h), 0);
            CHECK_INT(ws_send(ws[0], WS_BINARY | WS_GATHER, whole, PART, 0), 0);
            CHECK_INT(yield(), 0);
            CHECK_ERR(ws_send(ws[0], WS_BINARY, whole, PART, 0), -1, ETIMEDOUT);
            h = go(receive_whole(ws[1], in, PART));
            CHECK_INT(bundle_wait(h, in_time()), 0);
            CHECK_INT(hclose(h), 0);
        }
        CHECK_INT(hclose(ws[0]), 0);
        CHECK_INT(hclose(ws[1]), 0);
    }
}

#ifndef DILL_DISABLE_TLS
TEST(parts_pass_over_TLS) {
    int s[2], ws[2];
    make_tls_over_tcp(s);
    how.flags = 0;
    make_pair(s, ws);
    exchange_in_parts(ws);
}
#endif
