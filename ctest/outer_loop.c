/* The library in an event loop of the program's own: dill_loop says what to wait for, dill_run does the rest. */

#include <sys/syscall.h>
#include <sys/socket.h>
#include <sys/epoll.h>
#include <poll.h>

#include <libdillext.h>

#include "dies.h"
#ifndef WITHOUT_SOCKETS
#include "pair.h"
#endif
#include "test.h"

/* --- System calls are counted: the program's symbols win over those of libc. --- */

static int calls;

int epoll_wait(int set, struct epoll_event *events, int most, int timeout) {
    ++calls;
    return (int)syscall(SYS_epoll_pwait, set, events, most, timeout, NULL, 8);
}

int epoll_ctl(int set, int op, int fd, struct epoll_event *event) {
    ++calls;
    return (int)syscall(SYS_epoll_ctl, set, op, fd, event);
}

/* At each reading of the clock the thread seems to have been held up for so long. */
static int seconds_held_up;

int clock_gettime(clockid_t clock, struct timespec *time) {
    static time_t sum;
    int rc = (int)syscall(SYS_clock_gettime, clock, time);
    sum += seconds_held_up;
    time->tv_sec += sum;
    return rc;
}

/* --- A loop as programs have it --- */

/* One round: waits as long as the library lets it, at most `most` milliseconds; says whether something came. */
static int go_round(int most) {
    int64_t next;
    struct pollfd wanted = {.fd = dill_loop(&next), .events = POLLIN};
    CHECK(wanted.fd >= 0);
    int64_t left = next < 0 ? most : next - now();
    if (left < 0) left = 0;
    ++calls;
    int ready = poll(&wanted, 1, left < most ? (int)left : most);
    CHECK(ready >= 0);
    CHECK(dill_run() >= 0);
    return ready;
}

static int is_readable(int fd) {
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    CHECK(poll(&wanted, 1, 0) >= 0);
    return wanted.revents != 0;
}

static int woken;

coroutine static void sleeper(int ms) {
    msleep(now() + ms);
    woken++;
}

coroutine static void reader(int fd) {
    char c;
    while (fdin(fd, -1) == 0 && read(fd, &c, 1) == 1) woken++;
}

TEST(nothing_is_due_in_a_thread_without_coroutines) {
    int64_t next = 0;
    int fd = dill_loop(&next);
    CHECK(fd >= 0);
    CHECK_INT(next, -1);
    CHECK_INT(is_readable(fd), 0);
    CHECK_INT(dill_run(), 0);
    CHECK_INT(dill_loop(NULL), fd);
}

TEST(the_first_deadline_is_told) {
    int64_t next = 0, before = now();
    int h = go(sleeper(10000));
    CHECK(dill_loop(&next) >= 0);
    CHECK(next >= before + 10000);
    CHECK(next <= now() + 10000);
    CHECK_INT(hclose(h), 0);
}

TEST(a_sleeper_wakes_up_when_its_time_has_come_and_not_before) {
    int64_t before = now();
    int h = go(sleeper(20));
    while (!woken) go_round(1000);
    CHECK(now() >= before + 20);
    CHECK_INT(hclose(h), 0);
}

TEST(what_has_happened_to_a_descriptor_makes_that_of_the_loop_readable) {
    int p[2];
    int64_t next;
    CHECK_INT(pipe(p), 0);
    int h = go(reader(p[0]));
    CHECK_INT(dill_run(), 0);
    int fd = dill_loop(&next);
    CHECK_INT(next, -1);
    CHECK_INT(is_readable(fd), 0);
    CHECK_INT(write(p[1], "x", 1), 1);
    CHECK_INT(is_readable(fd), 1);
    CHECK_INT(woken, 0);
    CHECK_INT(dill_run(), 0);
    CHECK_INT(woken, 1);
    CHECK_INT(is_readable(dill_loop(NULL)), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(what_is_ready_runs_in_one_call_however_often_it_yields) {
    int more = 1;
    ATTEMPT_UNTIL(!more) {
        int b = bundle();
        woken = 0;
        for (int i = 0; i != 100; ++i) CHECK_INT(bundle_go(b, sleeper(0)), 0);
        more = dill_run();
        if (!more) CHECK_INT(woken, 100);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
    CHECK_INT(more, 0);
}

static int turns;

coroutine static void busy(void) {
    while (yield() == 0) turns++;
}

TEST(who_is_always_ready_does_not_keep_the_loop_from_running) {
    int64_t next;
    int a = go(busy()), b = go(busy());
    for (int i = 0; i != 10; ++i) {
        int before = turns;
        CHECK_INT(dill_run(), 1);
        CHECK(turns > before);
        CHECK(dill_loop(&next) >= 0);
        CHECK(next >= 0);
        CHECK(next <= now());
    }
    CHECK_INT(hclose(a), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(dill_run(), 0);
}

TEST(each_call_runs_somebody_though_the_thread_is_held_up) {
    int h = go(busy());
    seconds_held_up = 1;
    for (int i = 0; i != 10; ++i) {
        int before = turns;
        CHECK_INT(dill_run(), 1);
        CHECK(turns > before);
    }
    CHECK_INT(hclose(h), 0);
}

static int results[2], errors[2];

coroutine static void inside(void) {
    results[0] = dill_loop(NULL);
    errors[0] = errno;
    results[1] = dill_run();
    errors[1] = errno;
}

TEST(a_coroutine_is_no_place_for_it) {
    int h = go(inside());
    CHECK_INT(bundle_wait(h, -1), 0);
    for (int i = 0; i != 2; ++i) {
        CHECK_INT(results[i], -1);
        CHECK_INT(errors[i], ENOTSUP);
    }
    CHECK_INT(hclose(h), 0);
}

TEST(errno_is_left_alone) {
    int h = go(sleeper(10000));
    errno = 42;
    CHECK(dill_loop(NULL) >= 0);
    CHECK_INT(errno, 42);
    CHECK_INT(dill_run(), 0);
    CHECK_INT(errno, 42);
    CHECK_INT(hclose(h), 0);
}

TEST(a_call_that_waits_stops_the_loop_and_works) {
    int p[2], h = go(sleeper(1));
    CHECK_INT(dill_run(), 0);
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_INT(woken, 1);
    CHECK_INT(pipe(p), 0);
    CHECK_ERR(fdin(p[0], now() + 1), -1, ETIMEDOUT);
    CHECK_INT(dill_run(), 0);
    CHECK_INT(bundle_wait(h, 0), 0);
    CHECK_INT(hclose(h), 0);
}

static void loop_of_child(void) {
    int p[2];
    CHECK_INT(pipe(p), 0);
    int h = go(reader(p[0]));
    CHECK_INT(go_round(0), 0);
    CHECK_INT(write(p[1], "x", 1), 1);
    CHECK_INT(go_round(5000), 1);
    CHECK_INT(woken, 1);
    CHECK_INT(hclose(h), 0);
}

TEST(the_child_of_a_fork_has_a_descriptor_of_its_own) {
    int p[2];
    CHECK_INT(pipe(p), 0);
    int h = go(reader(p[0]));
    CHECK_INT(go_round(0), 0);
    CHECK_EXITS_WITH(loop_of_child, 0);
    CHECK_INT(hclose(h), 0);
}

TEST(a_closed_descriptor_of_the_loop_is_replaced) {
    int p[2];
    CHECK_INT(pipe(p), 0);
    int h = go(reader(p[0]));
    CHECK_INT(go_round(0), 0);
    CHECK_INT(close(dill_loop(NULL)), 0);
    CHECK(dill_run() >= 0);
    CHECK_INT(write(p[1], "x", 1), 1);
    for (int i = 0; i != 3 && !woken; ++i) go_round(5000);
    CHECK_INT(woken, 1);
    CHECK_INT(hclose(h), 0);
}

#ifndef WITHOUT_SOCKETS
static int peer;

coroutine static void echo(int s) {
    char buf[64];
    ssize_t len;
    while ((len = ws_recv(s, NULL, buf, sizeof(buf), -1)) >= 0) ws_send(s, WS_TEXT, buf, (size_t)len, -1);
    hclose(s);
}

/* A WebSocket whose peer is a plain descriptor, which sends frames with a masking key of zeros. */
static int make_ws(void) {
    int s;
    make_tcp_and_raw(&s, &peer);
    s = ws_attach_server(s, WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, -1);
    CHECK(s >= 0);
    return s;
}

static void ask(void) { raw_send(peer, "\x81\x82\0\0\0\0hi", 8); }

static void expect_answer(void) {
    char answer[8];
    CHECK_INT(recv(peer, answer, sizeof(answer), 0), 4);
    CHECK_MEM(answer, "\x81\x02hi", 4);
}

TEST(gathered_messages_leave_before_the_loop_polls) {
    char c;
    int s = make_ws();
    CHECK_INT(ws_send(s, WS_TEXT | WS_GATHER, "hi", 2, -1), 0);
    CHECK_ERR(recv(peer, &c, 1, MSG_DONTWAIT), -1, EAGAIN);
    CHECK(dill_loop(NULL) >= 0);
    expect_answer();
    CHECK_INT(hclose(s), 0);
}

/* A receive that has emptied the socket knows that until something else can have run: so does the next one. */
TEST(what_comes_between_two_receives_in_the_loop_is_there_for_the_second) {
    int s = make_ws();
    char buf[8];
    CHECK_ERR(ws_recv(s, NULL, buf, sizeof(buf), now() + 5), -1, ETIMEDOUT);
    for (int i = 0; i != 3; ++i) {
        ask();
        CHECK_INT(go_round(5000), 1);
        CHECK_INT(ws_recv(s, NULL, buf, sizeof(buf), 0), 2);
    }
    CHECK_INT(hclose(s), 0);
}

TEST(an_echo_takes_two_calls_to_be_told_of_and_no_more) {
    int h = go(echo(make_ws()));
    /* That the socket can be written to is told once. */
    while (go_round(0)) continue;
    calls = 250;
    ATTEMPT_UNTIL(calls < 250) {
        calls = 0;
        for (int i = 0; i != 100; ++i) {
            ask();
            CHECK_INT(go_round(5000), 1);
            expect_answer();
        }
        /* poll of ours, epoll_wait of the library's, which its own loop makes too; now and then one more because half
           a millisecond has passed, which it always has under valgrind. */
        CHECK(calls >= 200);
    }
    CHECK(calls < 250 || is_wrapped());
    CHECK_INT(hclose(h), 0);
}
#endif
