/* Answers may be gathered while the next message is already there, but they leave in time and in order. */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <libdillext.h>

#include "dies.h"
#include "test.h"
#include "wire.h"

static struct wire w;
static char buf[100000];

/* --- What leaves is counted: the program's symbols win over those of libc. --- */

static int sends;
/* How many bytes the next send takes at most. */
static size_t most = SIZE_MAX;
/* The last one: how many bytes it was given, and how many filled a segment. */
static size_t last_len, last_segment;

ssize_t send(int fd, const void *data, size_t len, int flags) {
    ++sends;
    int segment = 0;
    socklen_t size = sizeof(segment);
    getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, &size);
    last_len = len;
    last_segment = segment > 0 ? (size_t)segment : SIZE_MAX;
    if (len > most) len = most;
    most = SIZE_MAX;
    return (ssize_t)syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    ++sends;
    return (ssize_t)syscall(SYS_sendmsg, fd, message, flags);
}

/* Bytes that have reached the plain peer, found without a call of the library. */
static int bytes_at_peer(void) {
    int n = -1;
    raw_wait_for_arrival(raw_other_end(w.fd), w.fd);
    CHECK_INT(ioctl(w.fd, FIONREAD, &n), 0);
    return n;
}

/* The peer sends that many messages in one segment. */
static void send_burst(int count) {
    static uint8_t frames[60000];
    size_t n = 0;
    for (int i = 0; i != count; ++i) {
        char text[16];
        n += frame_build(frames + n, w.role, FIN | TEXT, text, (size_t)snprintf(text, sizeof(text), "%d", i));
        CHECK(n < sizeof(frames) - 32);
    }
    raw_send(w.fd, frames, n);
}

static void answer_one(void) {
    ssize_t n = ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000);
    CHECK(n > 0);
    CHECK_INT(ws_send(w.ws, WS_TEXT, buf, (size_t)n, -1), 0);
}

static void expect_answers(int from, int to) {
    for (int i = from; i != to; ++i) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        wire_expect_text(&w, FIN | TEXT, text);
    }
}

/* One answer stays back, and two more messages are there. What is a millisecond old leaves, so that a slow
   machine may need another attempt. */
static void hold_one_answer(void) {
    int is_held = 0;
    ATTEMPT_UNTIL(is_held) {
        send_burst(3);
        answer_one();
        is_held = bytes_at_peer() == 0;
        if (is_held) break;
        for (int i = 1; i != 3; ++i) answer_one();
        expect_answers(0, 3);
    }
    CHECK(is_held);
}

TEST(all_answers_to_a_burst_leave_in_one_call_of_the_system) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        int before = sends;
        ATTEMPT_UNTIL(sends - before == 1) {
            send_burst(10);
            before = sends;
            for (int i = 0; i != 10; ++i) answer_one();
            expect_answers(0, 10);
        }
        CHECK_INT(sends - before, 1);
    }
}

TEST(all_answers_to_a_burst_arrive_in_order) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT | WS_GATHER) {
        send_burst(100);
        for (int i = 0; i != 100; ++i) answer_one();
        expect_answers(0, 100);
        CHECK_RAW_SILENT(w.fd);
    }
}

TEST(answers_longer_than_the_gathering_limit_arrive_in_order) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT | WS_GATHER) {
        const size_t len = 30000;
        send_burst(6);
        for (int i = 0; i != 6; ++i) {
            CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), 1);
            memset(buf, 'a' + i, len);
            CHECK_INT(ws_send(w.ws, WS_TEXT, buf, len, now() + 5000), 0);
        }
        for (int i = 0; i != 6; ++i) {
            memset(buf, 'a' + i, len);
            wire_expect(&w, FIN | TEXT, buf, len);
        }
    }
}

/* Gathers until something leaves: whether that was whole segments. Checks that everything arrives. */
static int gather_more_than_may_stay(void) {
    const size_t len = 30000;
    int n = 0;
    for (int before = sends; sends == before; ++n) {
        CHECK(n != 5);
        memset(buf, 'a' + n, len);
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_GATHER, buf, len, now() + 5000), 0);
    }
    /* Over TLS, whole records: of version 1.3 or of 1.2. */
    int whole = OVER_TLS ? last_len % (16384 + 22) == 0 || last_len % (16384 + 29) == 0
                         : last_len % last_segment == 0;
    /* The rest waits for whatever comes next. */
    CHECK_INT(ws_send(w.ws, WS_TEXT, "end", 3, now() + 5000), 0);
    for (int i = 0; i != n; ++i) {
        memset(buf, 'a' + i, len);
        wire_expect(&w, FIN | TEXT, buf, len);
    }
    wire_expect_text(&w, FIN | TEXT, "end");
    return whole;
}

TEST(while_more_follows_only_whole_segments_leave) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        int whole = 0;
        ATTEMPT_UNTIL(whole) whole = gather_more_than_may_stay();
        /* Nothing that slow can gather so much. */
        CHECK(whole || is_wrapped());
    }
}

TEST(a_buffer_may_be_reused_as_soon_as_ws_send_has_returned) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT | WS_GATHER) {
        send_burst(3);
        for (int i = 0; i != 3; ++i) {
            answer_one();
            memset(buf, 'X', 16);
        }
        expect_answers(0, 3);
    }
}

TEST(an_answer_to_the_last_message_leaves_at_once) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT | WS_GATHER) {
        send_burst(1);
        answer_one();
        CHECK(bytes_at_peer() > 0);
    }
}

TEST(a_message_sent_without_anything_received_leaves_at_once) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT | WS_GATHER) {
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        CHECK(bytes_at_peer() > 0);
    }
}

/* --- Gathered answers leave with any call that waits, yields or polls --- */

static int pipe_fds[2], channel[2];

static void call_yield(void) { CHECK_INT(yield(), 0); }
static void call_msleep(void) { CHECK_INT(msleep(0), 0); }
static void call_fdin(void) { CHECK_ERR(fdin(pipe_fds[0], 0), -1, ETIMEDOUT); }
static void call_fdout(void) { CHECK_INT(fdout(pipe_fds[1], -1), 0); }
static void call_chrecv(void) { CHECK_ERR(chrecv(channel[0], NULL, 0, now()), -1, ETIMEDOUT); }
static void call_chsend(void) { CHECK_ERR(chsend(channel[0], NULL, 0, now()), -1, ETIMEDOUT); }
static void call_choose(void) { CHECK_ERR(choose(NULL, 0, now()), -1, ETIMEDOUT); }
static void call_ws_done(void) { CHECK_INT(ws_done(w.ws, 1000, NULL, 0, -1), 0); }
static void call_hclose(void) { CHECK_INT(hclose(w.ws), 0); }
static void call_ws_detach(void) { CHECK_ERR(ws_detach(w.ws, 1000, NULL, 0, 0), -1, ETIMEDOUT); }

coroutine static void sleep_a_little(void) { CHECK_INT(msleep(now() + 100), 0); }
static int sleeper;
static void call_bundle_wait(void) { CHECK_INT(bundle_wait(sleeper, -1), 0); }

static void call_ws_recv(void) {
    for (int i = 0; i != 2; ++i) CHECK(ws_recv(w.ws, NULL, buf, sizeof(buf), -1) > 0);
    CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5), -1, ETIMEDOUT);
}

static void check_leaves_with(void (*call)(void)) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        CHECK_INT(pipe(pipe_fds), 0);
        CHECK_INT(chmake(channel), 0);
        sleeper = go(sleep_a_little());
        hold_one_answer();
        call();
        CHECK(bytes_at_peer() > 0);
        expect_answers(0, 1);
    }
}

TEST(what_one_connection_has_gathered_leaves_before_another_one_sends) {
    struct wire other;
    EACH_ROLE_ON_OWN(&w, WS_TEXT) {
        wire_open(&other, w.role, WS_TEXT);
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_GATHER, "one", 3, -1), 0);
        CHECK_INT(ws_send(other.ws, WS_TEXT, "two", 3, -1), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "three", 5, -1), 0);
        wire_expect_text(&other, FIN | TEXT, "two");
        wire_expect_text(&w, FIN | TEXT, "one");
        wire_expect_text(&w, FIN | TEXT, "three");
        CHECK_RAW_SILENT(other.fd);
    }
}

#define LEAVES_WITH_TEST(CALL) \
    TEST(gathered_answers_leave_with_##CALL) { check_leaves_with(call_##CALL); }

LEAVES_WITH_TEST(yield)
LEAVES_WITH_TEST(msleep)
LEAVES_WITH_TEST(fdin)
LEAVES_WITH_TEST(fdout)
LEAVES_WITH_TEST(chrecv)
LEAVES_WITH_TEST(chsend)
LEAVES_WITH_TEST(choose)
LEAVES_WITH_TEST(bundle_wait)
LEAVES_WITH_TEST(ws_recv)
LEAVES_WITH_TEST(ws_done)
LEAVES_WITH_TEST(ws_detach)
LEAVES_WITH_TEST(hclose)

coroutine static void answer_and_end(void) { hold_one_answer(); }

TEST(gathered_answers_leave_when_the_coroutine_ends) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        int h = go(answer_and_end());
        CHECK(bytes_at_peer() > 0);
        CHECK_INT(hclose(h), 0);
    }
}

static void answer_and_exit(void) {
    hold_one_answer();
    exit(0);
}

TEST(gathered_answers_leave_at_exit) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        CHECK_EXITS_WITH(answer_and_exit, 0);
        CHECK(bytes_at_peer() > 0);
        expect_answers(0, 1);
    }
}

static void let_a_millisecond_pass(void) {
    struct timespec t = {0, 20000000};
    CHECK_INT(nanosleep(&t, NULL), 0);
}

TEST(answers_that_are_a_millisecond_old_leave_with_the_next_send) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        hold_one_answer();
        let_a_millisecond_pass();
        CHECK_INT(ws_send(w.ws, WS_TEXT, "late", 4, -1), 0);
        CHECK(bytes_at_peer() > 0);
        expect_answers(0, 1);
        wire_expect_text(&w, FIN | TEXT, "late");
    }
}

TEST(answers_that_are_a_millisecond_old_leave_with_the_next_send_of_a_list) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        hold_one_answer();
        let_a_millisecond_pass();
        struct iolist last = {"te", 2, NULL, 0}, first = {"la", 2, &last, 0};
        CHECK_INT(ws_sendl(w.ws, WS_TEXT, &first, &last, -1), 0);
        CHECK(bytes_at_peer() > 0);
        expect_answers(0, 1);
        wire_expect_text(&w, FIN | TEXT, "late");
    }
}

static ssize_t receive_by_ws_recv(void) { return ws_recv(w.ws, NULL, buf, sizeof(buf), -1); }
static ssize_t receive_by_mrecv(void) { return mrecv(w.ws, buf, sizeof(buf), -1); }

static void check_old_answers_leave_with(ssize_t (*receive)(void)) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        hold_one_answer();
        let_a_millisecond_pass();
        CHECK(receive() > 0);
        CHECK(bytes_at_peer() > 0);
    }
}

TEST(answers_that_are_a_millisecond_old_leave_with_the_next_receive) {
    check_old_answers_leave_with(receive_by_ws_recv);
}

TEST(answers_that_are_a_millisecond_old_leave_with_the_next_mrecv) {
    check_old_answers_leave_with(receive_by_mrecv);
}

TEST(an_old_message_that_the_kernel_takes_in_part_stays_before_the_next_one) {
    EACH_ROLE_ON_TCP(&w, WS_TEXT | WS_GATHER) {
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_GATHER, "first", 5, -1), 0);
        let_a_millisecond_pass();
        int before = sends;
        most = 3;
        CHECK_INT(ws_send(w.ws, WS_TEXT, "second", 6, now() + 5000), 0);
        /* A part of the first one, and the rest of both. */
        CHECK_INT(sends - before, 2);
        wire_expect_text(&w, FIN | TEXT, "first");
        wire_expect_text(&w, FIN | TEXT, "second");
    }
}

TEST(an_error_of_a_gathered_answer_is_reported_by_a_later_send) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT | WS_GATHER) {
        int rc = 0;
        send_burst(10);
        CHECK(ws_recv(w.ws, NULL, buf, sizeof(buf), -1) > 0);
        CHECK_INT(close(w.fd), 0);
        for (int i = 0; i != 1000 && rc == 0; ++i) {
            CHECK_INT(msleep(now() + 1), 0);
            rc = ws_send(w.ws, WS_TEXT, "A", 1, now() + 10000);
        }
        CHECK_INT(rc, -1);
        CHECK_INT(errno, ECONNRESET);
    }
}

TEST(a_pong_keeps_its_place_behind_the_answers_before_it) {
    EACH_ROLE_ON_OWN(&w, WS_TEXT | WS_GATHER) {
        uint8_t frames[100];
        size_t n = frame_build(frames, w.role, FIN | TEXT, "0", 1);
        n += frame_build(frames + n, w.role, FIN | TEXT, "1", 1);
        n += frame_build(frames + n, w.role, FIN | PING, "p", 1);
        n += frame_build(frames + n, w.role, FIN | TEXT, "2", 1);
        raw_send(w.fd, frames, n);
        for (int i = 0; i != 3; ++i) answer_one();
        expect_answers(0, 2);
        wire_expect_text(&w, FIN | PONG, "p");
        expect_answers(2, 3);
    }
}

/* --- The end --- */

/* The peer has sent its close frame. The kernel takes four bytes of what was gathered, and later the rest. */
static void end_behind_gathered(void (*open)(struct wire *, enum role, int), int closes) {
    open(&w, SERVER, WS_TEXT | WS_GATHER);
    wire_send_close(&w, 1000, "");
    CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_GATHER, "first", 5, now() + 5000), 0);
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_GATHER, "second", 6, now() + 5000), 0);
    most = 4;
    if (closes) {
        CHECK_INT(ws_close(w.ws, 1000, NULL, 0, now() + 5000), 0);
    } else {
        CHECK_INT(ws_done(w.ws, 1000, NULL, 0, now() + 5000), 0);
        CHECK_INT(hclose(w.ws), 0);
    }
    most = SIZE_MAX;
    wire_expect_text(&w, FIN | TEXT, "first");
    wire_expect_text(&w, FIN | TEXT, "second");
    wire_expect_close(&w, 1000);
}

TEST(what_was_gathered_arrives_before_a_close_frame_that_answers) {
    for (int closes = 0; closes != 2; ++closes) {
        end_behind_gathered(wire_open, closes);
        end_behind_gathered(wire_open_tcp, closes);
    }
}
