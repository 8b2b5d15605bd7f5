/* Messages that are gathered: that they are, that they leave in time, and what becomes of them when a deadline
   or a cancellation interrupts the call that sends them off at every byte. */

#include <sys/ioctl.h>

#include <libdill.h>

#include "sweep.h"
#include "sweep_stream.h"
#include "test.h"

static struct wire w;
static char buf[300];
static uint8_t seen[70000];
enum { SMALL_BUFFER = 4608 };

/* Gathered messages leave when they are a millisecond old, so that a slow machine may not see them gather: of
   many attempts one must. */
static int attempts_that_gathered;

/* Bytes that have reached the plain peer, found without a call of the library. */
static int bytes_at_peer(void) {
    int n = -1;
    raw_wait_for_arrival(raw_other_end(w.fd), w.fd);
    CHECK_INT(ioctl(w.fd, FIONREAD, &n), 0);
    return n;
}

/* Until more than so many have: what does not fit in the window at first comes when the kernel answers. */
static void wait_for_more_than(int least) {
    while (bytes_at_peer() <= least) CHECK_INT(usleep(1000), 0);
}

static void close_both(void) {
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
}

static int header_size(void) { return w.role == CLIENT ? 6 : 2; }

static void gather(const char *text) {
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_GATHER, text, strlen(text), 0), 0);
}

/* What is in seen, as if the peer received it now. */
static void replay(size_t len) {
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    raw_send(fds[0], seen, len);
    CHECK_INT(close(fds[0]), 0);
    CHECK_INT(close(w.fd), 0);
    CHECK_INT(dup2(fds[1], w.fd), w.fd);
    CHECK_INT(close(fds[1]), 0);
}

/* --- That messages gather --- */

TEST(answers_gather_on_TCP_while_the_next_message_is_there) {
    for (int attempt = 0; attempt != 40; ++attempt) {
        enum role role = attempt % 2 ? SERVER : CLIENT;
        uint8_t bytes[100];
        size_t n = 0;
        w.role = role;
        w.ws = attach_without_http(open_stream(TCP, &w.fd, 0), role, WS_TEXT | WS_GATHER);
        for (int i = 0; i != 3; ++i) n += frame_build(bytes + n, w.role, FIN | TEXT, "hello", 5);
        raw_send(w.fd, bytes, n);
        for (int i = 0; i != 3; ++i) {
            if (i == 2 && bytes_at_peer() == 0) ++attempts_that_gathered;
            CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), 5);
            CHECK_INT(ws_send(w.ws, WS_TEXT, buf, 5, 0), 0);
        }
        CHECK_INT(bytes_at_peer(), 3 * (header_size() + 5));
        for (int i = 0; i != 3; ++i) wire_expect_text(&w, FIN | TEXT, "hello");
        close_both();
    }
    CHECK(attempts_that_gathered);
}

static void by_yield(void) { CHECK_INT(yield(), 0); }
static void by_sleep(void) { CHECK_INT(msleep(now() + 1), 0); }
static void by_done(void) { CHECK_INT(ws_done(w.ws, 1000, NULL, 0, 0), 0); }
static void by_plain_send(void) { CHECK_INT(ws_send(w.ws, WS_TEXT, "plain", 5, 0), 0); }
static void by_waiting_receive(void) { CHECK_ERR(ws_recv(w.ws, NULL, buf, 1, now() + 1), -1, ETIMEDOUT); }
static void by_detach(void) { CHECK_ERR(ws_detach(w.ws, 1000, NULL, 0, 0), -1, ETIMEDOUT); }
static void by_close(void) { CHECK_INT(hclose(w.ws), 0); }

TEST(gathered_messages_leave_with_every_call_that_waits_sends_or_closes) {
    static void (*const calls[])(void) = {by_yield,           by_sleep,  by_done, by_plain_send,
                                          by_waiting_receive, by_detach, by_close};
    for (size_t i = 0; i != sizeof(calls) / sizeof(*calls); ++i)
        EACH_OWN_CONNECTION(transport, role) {
            sweep_open(&w, (enum transport)transport, (enum role)role, 0);
            gather("one");
            gather("two");
            if (bytes_at_peer() == 0) ++attempts_that_gathered;
            calls[i]();
            CHECK(bytes_at_peer() >= 2 * (header_size() + 3));
            wire_expect_text(&w, FIN | TEXT, "one");
            wire_expect_text(&w, FIN | TEXT, "two");
            hclose(w.ws);
            CHECK_INT(close(w.fd), 0);
        }
    CHECK(attempts_that_gathered);
}

TEST(gathered_messages_keep_their_place_in_front_of_a_large_one_and_of_many) {
    EACH_OWN_CONNECTION(transport, role) {
        static char large[33000];
        sweep_open(&w, (enum transport)transport, (enum role)role, 0);
        gather("one");
        CHECK_INT(ws_send(w.ws, WS_BINARY, large, sizeof(large), now() + 5000), 0);
        for (int i = 0; i != 5; ++i)
            CHECK_INT(ws_send(w.ws, WS_BINARY | WS_GATHER, large, 30000, now() + 5000), 0);
        wait_for_more_than(50000);
        wire_expect_text(&w, FIN | TEXT, "one");
        wire_expect(&w, FIN | BINARY, large, sizeof(large));
        for (int i = 0; i != 5; ++i) wire_expect(&w, FIN | BINARY, large, 30000);
        close_both();
    }
}

TEST(gathered_lists_keep_their_place_in_front_of_one_that_does_not_fit_beside_them) {
    EACH_OWN_CONNECTION(transport, role) {
        static char large[30000];
        struct iolist last = {large + 1, sizeof(large) - 1, NULL, 0}, first = {large, 1, &last, 0};
        sweep_open(&w, (enum transport)transport, (enum role)role, 0);
        for (int i = 0; i != 5; ++i)
            CHECK_INT(ws_sendl(w.ws, WS_BINARY | WS_GATHER, &first, &last, now() + 5000), 0);
        wait_for_more_than(20000);
        for (int i = 0; i != 5; ++i) wire_expect(&w, FIN | BINARY, large, sizeof(large));
        close_both();
    }
}

TEST(a_pong_that_does_not_fit_beside_what_is_gathered_leaves_together_with_it) {
    for (int attempt = 0; attempt != 40; ++attempt) {
        static char large[32750];
        static char payload[100];
        int gathered;
        sweep_open(&w, attempt / 2 % 2 ? TCP : IPC, attempt % 2 ? SERVER : CLIENT, 0);
        wire_send(&w, FIN | PING, payload, sizeof(payload));
        wire_send_text(&w, FIN | TEXT, "here");
        wire_send_text(&w, FIN | TEXT, "and here");
        for (int i = 0; i != 4; ++i) CHECK_INT(ws_send(w.ws, WS_BINARY | WS_GATHER, large, sizeof(large), 0), 0);
        gathered = bytes_at_peer() == 0;
        attempts_that_gathered += gathered;
        CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), 4);
        if (gathered) wait_for_more_than(100000);
        for (int i = 0; i != 4; ++i) wire_expect(&w, FIN | BINARY, large, sizeof(large));
        wire_expect(&w, FIN | PONG, payload, sizeof(payload));
        close_both();
    }
    /* Nothing that slow can gather so much. */
    CHECK(attempts_that_gathered || is_wrapped());
}

TEST(a_list_gathers_too) {
    EACH_OWN_CONNECTION(transport, role) {
        char a[] = "on", b[] = "e";
        struct iolist last = {b, 1, NULL, 0}, first = {a, 2, &last, 0};
        sweep_open(&w, (enum transport)transport, (enum role)role, 0);
        CHECK_INT(ws_sendl(w.ws, WS_TEXT | WS_GATHER, &first, &last, 0), 0);
        if (bytes_at_peer() == 0) ++attempts_that_gathered;
        wire_expect_text(&w, FIN | TEXT, "one");
        close_both();
    }
    CHECK(attempts_that_gathered);
}

/* Lets time pass without a call of the library. */
static void wait_without_the_library(void) {
    struct timespec three = {0, 3000000};
    CHECK_INT(nanosleep(&three, NULL), 0);
}

TEST(gathered_messages_that_are_a_millisecond_old_leave_with_a_receive_that_does_not_wait) {
    EACH_OWN_CONNECTION(transport, role) {
        sweep_open(&w, (enum transport)transport, (enum role)role, 0);
        wire_send_text(&w, FIN | TEXT, "here");
        gather("one");
        wait_without_the_library();
        CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), 4);
        CHECK_INT(bytes_at_peer(), header_size() + 3);
        wire_expect_text(&w, FIN | TEXT, "one");
        close_both();
    }
}

/* Sends a message, a list and a pong while the next message is there. */
static void check_that_nothing_gathers(int flags) {
    EACH_OWN_CONNECTION(transport, role) {
        struct iolist last = {&buf[1], 2, NULL, 0}, first = {buf, 1, &last, 0};
        int s = open_stream((enum transport)transport, &w.fd, 0);
        w.role = (enum role)role;
        w.ws = attach_without_http(s, w.role, WS_TEXT | flags);
        for (int i = 0; i != 2; ++i) wire_send_text(&w, FIN | TEXT, "here");
        wire_send_text(&w, FIN | PING, "");
        for (int i = 0; i != 2; ++i) wire_send_text(&w, FIN | TEXT, "here");
        CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), 4);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "one", 3, 0), 0);
        CHECK_INT(bytes_at_peer(), header_size() + 3);
        CHECK_INT(ws_sendl(w.ws, WS_TEXT, &first, &last, 0), 0);
        CHECK_INT(bytes_at_peer(), 2 * (header_size() + 3));
        CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), 4);
        CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), 4);
        CHECK_INT(bytes_at_peer(), 3 * header_size() + 6);
        close_both();
    }
}

TEST(nothing_gathers_unless_it_was_asked_for) { check_that_nothing_gathers(0); }

TEST(nothing_gathers_on_a_handle_attached_with_WS_NOGATHER_whatever_the_environment_says) {
    CHECK_INT(setenv("DILL_WS_GATHER", "1", 1), 0);
    check_that_nothing_gathers(WS_NOGATHER);
}

TEST(answers_gather_if_the_environment_asks_for_it) {
    CHECK_INT(setenv("DILL_WS_GATHER", "1", 1), 0);
    for (int attempt = 0; attempt != 40 && !attempts_that_gathered; ++attempt) {
        sweep_open(&w, TCP, SERVER, 0);
        for (int i = 0; i != 2; ++i) wire_send_text(&w, FIN | TEXT, "here");
        CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), 4);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "one", 3, 0), 0);
        attempts_that_gathered += bytes_at_peer() == 0;
        close_both();
    }
    CHECK(attempts_that_gathered);
}

TEST(a_violation_sends_the_close_frame_behind_messages_that_the_kernel_does_not_take) {
    EACH_OWN_CONNECTION(transport, role) {
        size_t passed;
        sweep_open(&w, (enum transport)transport, (enum role)role, SMALL_BUFFER);
        gather("one");
        gate_close(1);
        CHECK_INT(yield(), 0);
        raw_send(w.fd, "\xff\xff", 2);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, EPROTO);
        passed = gate_drain(seen);
        CHECK_PASSED(passed, 1);
        peer_recv(w.fd, seen + passed, (size_t)header_size() + 3 - passed);
        wire_expect_close(&w, 1002);
        CHECK_RAW_SILENT(w.fd);
        close_both();
    }
}

TEST(flags_that_mean_nothing_are_refused_by_ws_send) {
    EACH_OWN_CONNECTION(transport, role) {
        sweep_open(&w, (enum transport)transport, (enum role)role, 0);
        CHECK_ERR(ws_send(w.ws, 1 << 20, "A", 1, 0), -1, EINVAL);
        CHECK_RAW_SILENT(w.fd);
        close_both();
    }
}

/* --- Interruptions --- */

static long long send_third(struct interrupted_call *c, int64_t deadline) {
    return ws_send(c->s, WS_TEXT, "three", 5, deadline);
}

/* Two messages are gathered, at the first attempt or a later one. */
static void gather_two(void) {
    int are_held = 0;
    ATTEMPT_UNTIL(are_held) {
        gather("one");
        gather("two");
        are_held = bytes_at_peer() == 0;
        if (are_held) break;
        wire_expect_text(&w, FIN | TEXT, "one");
        wire_expect_text(&w, FIN | TEXT, "two");
    }
    CHECK(are_held);
}

/* Two gathered messages and a third that sends them off, which is interrupted at a byte of all three. */
static void check_interrupted_batch(size_t at, enum interruption how) {
    size_t two = 2 * (size_t)(header_size() + 3), all = two + (size_t)header_size() + 5, passed;
    struct interrupted_call c = {w.ws, NULL, 0, 0, send_third, 0, 0};
    gather_two();
    gate_close(at);
    interrupt(how, &c);
    if (at >= all + SEALED || (OVER_TLS && at >= all && c.rc == 0)) CHECK_INT(c.rc, 0);
    else CHECK_INTERRUPTED(how, &c);
    passed = gate_drain(seen);
    CHECK_PASSED(passed, at < all ? at : all);
    /* Over TLS all three are in one record. */
    if (at > (OVER_TLS ? 0 : two) && c.rc < 0) {
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, now() + 5000), -1, ECONNRESET);
        CHECK_RAW_SILENT(w.fd);
        return;
    }
    /* The third has not begun: the others leave by themselves, and it may be sent again. */
    if (c.rc < 0) {
        peer_recv(w.fd, seen + passed, two - passed);
        CHECK_RAW_SILENT(w.fd);
        run_call(&c, now() + 5000);
        CHECK_INT(c.rc, 0);
        peer_recv(w.fd, seen + two, all - two);
    }
    CHECK_RAW_SILENT(w.fd);
    replay(all);
    wire_expect_text(&w, FIN | TEXT, "one");
    wire_expect_text(&w, FIN | TEXT, "two");
    wire_expect_text(&w, FIN | TEXT, "three");
}

TEST(a_send_that_is_interrupted_within_the_messages_gathered_before_it_can_be_repeated) {
    CHECK_NOTHING_LEAKED({
        for (int how = 0; how != INTERRUPTIONS; ++how) EACH_OWN_CONNECTION(transport, role) {
            for (size_t at = 0; at != 36 + SEALED; ++at) {
                sweep_open(&w, (enum transport)transport, (enum role)role, SMALL_BUFFER);
                check_interrupted_batch(at, (enum interruption)how);
                close_both();
            }
        }
    });
}

/* --- Pongs --- */

TEST(only_the_newest_pong_leaves_behind_gathered_messages_that_the_kernel_does_not_take) {
    EACH_OWN_CONNECTION(transport, role) {
        size_t size, passed;
        sweep_open(&w, (enum transport)transport, (enum role)role, SMALL_BUFFER);
        size = 2 * (size_t)header_size() + 3 + 1;
        gather("one");
        gate_close(1);
        CHECK_INT(yield(), 0);
        wire_send_text(&w, FIN | PING, "1");
        wire_send_text(&w, FIN | PING, "2");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        passed = gate_drain(seen);
        CHECK_PASSED(passed, 1);
        peer_recv(w.fd, seen + passed, size - passed);
        CHECK_RAW_SILENT(w.fd);
        replay(size);
        wire_expect_text(&w, FIN | TEXT, "one");
        wire_expect_text(&w, FIN | PONG, "2");
        close_both();
    }
}

coroutine static void send_over_stream(volatile int *rc) { *rc = ws_send(w.ws, WS_TEXT, "frame", 5, -1); }

TEST(a_ping_that_comes_while_a_stream_of_the_user_is_sending_is_answered_behind_the_frame) {
    EACH_OWN_CONNECTION(transport, role) {
        struct thin_stream stream;
        volatile int rc = -2;
        size_t size, passed;
        int b = bundle();
        w.role = (enum role)role;
        w.ws = attach_without_http(
            thin_stream_make(&stream, open_stream((enum transport)transport, &w.fd, SMALL_BUFFER)), w.role, WS_TEXT);
        size = 2 * (size_t)header_size() + 5 + 1;
        gate_close(3);
        CHECK_INT(bundle_go(b, send_over_stream(&rc)), 0);
        CHECK_INT(rc, -2);
        wire_send_text(&w, FIN | PING, "1");
        wire_send_text(&w, FIN | PING, "2");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        passed = gate_drain(seen);
        CHECK_PASSED(passed, 3);
        peer_recv(w.fd, seen + passed, size - passed);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(rc, 0);
        CHECK_INT(hclose(b), 0);
        replay(size);
        wire_expect_text(&w, FIN | TEXT, "frame");
        wire_expect_text(&w, FIN | PONG, "2");
        close_both();
    }
}
