/* One message to many: nobody is waited for, and the slow ones share one copy. */

#include <malloc.h>
#include <sys/syscall.h>

#include <libdillext.h>

#include "wire.h"

enum { MANY = 40 };
#include "broadcast.h"

static char buf[LARGE];

/* --- What leaves is counted: the program's symbols win over those of libc. --- */

static int sends;

ssize_t send(int fd, const void *data, size_t len, int flags) {
    ++sends;
    return (ssize_t)syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    ++sends;
    return (ssize_t)syscall(SYS_sendmsg, fd, message, flags);
}

/* --- Pairs --- */

/* A server and a client; the kernel keeps little between them. */
static void make_pair_of(int *server, int *client, int flags) {
    int fds[2], size = 4096, s;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i != 2; ++i) CHECK_INT(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    s = ipc_fromfd(fds[0]);
    CHECK(s >= 0);
    *server = attach_without_http(s, SERVER, flags);
    s = ipc_fromfd(fds[1]);
    CHECK(s >= 0);
    *client = attach_without_http(s, CLIENT, flags);
}

static void make_pairs(int count) {
    for (int i = 0; i != count; ++i) make_pair_of(&servers[i], &clients[i], WS_TEXT);
    memset(large, 'L', sizeof(large));
}

/* The next message is so many bytes like this one. */
static void expect_letters(int s, char letter, size_t len) {
    CHECK_INT(ws_recv(s, NULL, buf, sizeof(buf), now() + 5000), len);
    for (size_t i = 0; i != len; ++i) CHECK_INT(buf[i], letter);
}

TEST(everybody_gets_it) {
    int *sides[] = {servers, clients}, *others[] = {clients, servers};
    make_pairs(MANY);
    for (int side = 0; side != 2; ++side) {
        sends = 0;
        CHECK_INT(ws_broadcast(sides[side], MANY, WS_TEXT, "hello", 5, 0, errors), MANY);
        CHECK_INT(sends, MANY);
        check_errors(MANY, 0);
        struct ws_info info = {.size = sizeof(info)};
        CHECK_INT(ws_info(sides[side][0], &info), 0);
        CHECK_INT(info.messages_sent, 1);
        CHECK_INT(info.payload_sent, 5);
        CHECK_INT(info.wire_sent, side ? 11 : 7);
        CHECK_INT(ws_broadcast(sides[side], MANY, WS_BINARY, NULL, 0, 0, NULL), MANY);
        for (int i = 0; i != MANY; ++i) {
            expect_text(others[side][i], "hello");
            expect_message(others[side][i], WS_BINARY, "", 0);
        }
    }
    close_pairs(MANY);
}

TEST(a_client_masks_each_with_a_key_of_its_own) {
    struct wire w[2];
    struct wire_frame f[2] = {{0, 0, {0}, 0, NULL}, {0, 0, {0}, 0, NULL}};
    int list[2];
    for (int i = 0; i != 2; ++i) {
        wire_open_tcp(&w[i], CLIENT, WS_TEXT);
        list[i] = w[i].ws;
    }
    CHECK_INT(ws_broadcast(list, 2, WS_TEXT, "hello", 5, 0, NULL), 2);
    for (int i = 0; i != 2; ++i) {
        wire_recv(&w[i], &f[i]);
        CHECK_INT(f[i].first, FIN | TEXT);
        CHECK_MEM(f[i].payload, "hello", 6);
    }
    CHECK(memcmp(f[0].key, f[1].key, 4) != 0);
    for (int i = 0; i != 2; ++i) {
        free(f[i].payload);
        CHECK_INT(hclose(list[i]), 0);
    }
}

TEST(a_handle_that_is_listed_twice_gets_it_twice) {
    make_pairs(2);
    int list[] = {servers[0], servers[1], servers[0]};
    CHECK_INT(ws_broadcast(list, 3, WS_TEXT, "hello", 5, 0, errors), 3);
    check_errors(3, 0);
    expect_text(clients[0], "hello");
    expect_text(clients[0], "hello");
    expect_text(clients[1], "hello");
    CHECK_ERR(ws_recv(clients[1], NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
    close_pairs(2);
}

TEST(what_cannot_take_it_is_told_and_the_others_get_it) {
    struct wire user;
    int plain[2], tcp, fd, b = bundle();
    make_pairs(5);
    make_ipc_pair(plain);
    make_tcp_and_raw(&tcp, &fd);
    wire_open_user(&user, SERVER, WS_TEXT);
    CHECK_INT(hclose(clients[1]), 0); /* its peer has gone, with unread bytes or without */
    CHECK_INT(ws_done(servers[2], 1000, NULL, 0, now() + 10000), 0);
    CHECK_INT(hclose(servers[3]), 0);
    int list[] = {servers[0], servers[1], servers[2], servers[3], plain[0], tcp, b, user.ws, -1, 1 << 30, servers[4]};
    int expected[] = {0, ECONNRESET, EPIPE, EBADF, ENOTSUP, ENOTSUP, ENOTSUP, ENOTSUP, EBADF, EBADF, 0};
    errno = 42;
    CHECK_INT(ws_broadcast(list, 11, WS_TEXT, "hello", 5, 0, errors), 2);
    CHECK_INT(errno, 42);
    for (int i = 0; i != 11; ++i) CHECK_INT(errors[i], expected[i]);
    expect_text(clients[0], "hello");
    expect_text(clients[4], "hello");
    CHECK_INT(ws_broadcast(&servers[1], 1, WS_TEXT, "hello", 5, 0, errors), 0);
    CHECK_INT(errors[0], ECONNRESET);
    CHECK_ERR(ws_send(servers[1], WS_TEXT, "hello", 5, -1), -1, ECONNRESET);
}

TEST(a_client_whose_server_has_gone_is_told) {
    make_pairs(2);
    CHECK_INT(hclose(servers[0]), 0);
    CHECK_INT(ws_broadcast(clients, 2, WS_TEXT, "hello", 5, 0, errors), 1);
    CHECK_INT(errors[0], ECONNRESET);
    CHECK_INT(errors[1], 0);
    expect_text(servers[1], "hello");
    CHECK_ERR(ws_send(clients[0], WS_TEXT, "hello", 5, -1), -1, ECONNRESET);
}

TEST(a_malformed_call_sends_nothing) {
    make_pairs(2);
    CHECK_ERR(ws_broadcast(servers, -1, WS_TEXT, "hello", 5, 0, errors), -1, EINVAL);
    CHECK_ERR(ws_broadcast(NULL, 2, WS_TEXT, "hello", 5, 0, errors), -1, EINVAL);
    CHECK_ERR(ws_broadcast(servers, 2, WS_TEXT, NULL, 5, 0, errors), -1, EINVAL);
    CHECK_ERR(ws_broadcast(servers, 2, WS_TEXT | WS_MORE, "hello", 5, 0, errors), -1, EINVAL);
    CHECK_ERR(ws_broadcast(servers, 2, 1 << 20, "hello", 5, 0, errors), -1, EINVAL);
    CHECK_ERR(ws_broadcast(servers, 2, WS_TEXT, "hello", (size_t)-1, 0, errors), -1, EINVAL);
    CHECK_INT(ws_broadcast(NULL, 0, WS_TEXT, "hello", 5, 0, NULL), 0);
    for (int i = 0; i != 2; ++i) CHECK_ERR(ws_recv(clients[i], NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
    close_pairs(2);
}

/* Broadcasts messages of A, B, C, ... to two sockets until the first is too slow; returns how many it took. */
static int fill(size_t len, size_t max_backlog) {
    int taken = 0;
    for (;; ++taken) {
        memset(buf, 'A' + taken, len);
        int all = ws_broadcast(servers, 2, WS_TEXT, buf, len, max_backlog, errors);
        CHECK_INT(errors[1], 0);
        expect_letters(clients[1], (char)('A' + taken), len);
        if (all == 1) break;
        CHECK_INT(all, 2);
        CHECK_INT(errors[0], 0);
        CHECK(taken < 25);
    }
    CHECK_INT(errors[0], EAGAIN);
    return taken;
}

TEST(a_slow_socket_gets_whole_messages_up_to_its_limit_and_the_others_all) {
    make_pairs(2);
    int with_none = fill(1000, 0), with_some;
    CHECK(with_none > 0);
    for (int i = 0; i != with_none; ++i) expect_letters(clients[0], (char)('A' + i), 1000);
    with_some = fill(1000, 5000);
    CHECK(with_some >= with_none + 4);
    CHECK(with_some <= with_none + 6);
    for (int i = 0; i != with_some; ++i) expect_letters(clients[0], (char)('A' + i), 1000);
    CHECK_ERR(ws_recv(clients[0], NULL, buf, sizeof(buf), now() + 10), -1, ETIMEDOUT);
    /* And now it is as fast as the others. */
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, "hello", 5, 0, errors), 2);
    expect_text(clients[0], "hello");
    close_pairs(2);
}

TEST(a_message_of_any_length_is_taken_by_who_has_nothing_queued) {
    make_pairs(2);
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, large, LARGE, 0, errors), 2);
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, "hello", 5, 0, errors), 0);
    check_errors(2, EAGAIN);
    for (int i = 0; i != 2; ++i) expect_letters(clients[i], 'L', LARGE);
    close_pairs(2);
}

TEST(short_messages_that_are_queued_leave_together) {
    make_pairs(1);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, large, LARGE, 0, errors), 1);
    for (int i = 0; i != 160; ++i) CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, "hello", 5, SIZE_MAX, NULL), 1);
    expect_letters(clients[0], 'L', LARGE);
    sends = 0;
    for (int i = 0; i != 160; ++i) expect_text(clients[0], "hello");
    CHECK(sends <= 40);
    close_pairs(1);
}

coroutine static void read_all(int s, int *count) {
    ssize_t len;
    while ((len = ws_recv(s, NULL, buf, sizeof(buf), -1)) >= 0) {
        if (len == 5) CHECK_MEM(buf, *count == 2 ? "later" : "error", 5);
        ++*count;
    }
    CHECK_INT(errno, EPIPE);
    *count += 100;
}

TEST(later_sends_and_the_close_frame_go_behind_the_queue) {
    int count = 0;
    make_pairs(1);
    for (int i = 0; i != 2; ++i)
        CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, large, LARGE, SIZE_MAX, errors), 1);
    int64_t deadline = now() + 20;
    CHECK_ERR(ws_send(servers[0], WS_TEXT, "never", 5, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
    CHECK_ERR(ws_send(servers[0], WS_TEXT, "never", 5, 0), -1, ETIMEDOUT);
    CHECK_ERR(ws_done(servers[0], 1000, NULL, 0, now() + 10), -1, ETIMEDOUT);
    int h = go(read_all(clients[0], &count));
    CHECK_INT(ws_send(servers[0], WS_TEXT, "later", 5, now() + 5000), 0);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, large, LARGE, 0, errors), 1);
    CHECK_INT(ws_done(servers[0], 1000, NULL, 0, now() + 5000), 0);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK_INT(count, 104);
    CHECK_INT(hclose(h), 0);
    close_pairs(1);
}

coroutine static void end(int s, int *done) {
    CHECK_INT(ws_done(s, 1000, NULL, 0, now() + 5000), 0);
    *done = 1;
}

TEST(who_is_sending_its_close_frame_takes_nothing_more) {
    int done = 0, count = 0;
    make_pairs(1);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, large, LARGE, 0, errors), 1);
    int h = go(end(servers[0], &done));
    CHECK_INT(done, 0);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, "never", 5, SIZE_MAX, errors), 0);
    check_errors(1, EPIPE);
    int r = go(read_all(clients[0], &count));
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK_INT(bundle_wait(r, now() + 5000), 0);
    CHECK_INT(count, 101);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(hclose(r), 0);
    close_pairs(1);
}

TEST(gathered_messages_leave_before_it) {
    make_pairs(2);
    CHECK_INT(ws_send(servers[0], WS_TEXT | WS_GATHER, "first", 5, -1), 0);
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, "second", 6, 0, errors), 2);
    expect_text(clients[0], "first");
    expect_text(clients[0], "second");
    expect_text(clients[1], "second");
    close_pairs(2);
}

TEST(in_the_middle_of_somebodys_message_it_waits_behind_that) {
    int rc[2] = {-2, -2};
    make_pairs(2);
    int b = bundle();
    CHECK_INT(bundle_go(b, send_one(servers[0], large, LARGE, &rc[0])), 0);
    CHECK_INT(rc[0], -2);
    CHECK_INT(bundle_go(b, send_one(servers[0], "third", 5, &rc[1])), 0);
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, "second", 6, 0, errors), 2);
    check_errors(2, 0);
    expect_text(clients[1], "second");
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, "never", 5, 7, errors), 0);
    check_errors(1, EAGAIN);
    expect_letters(clients[0], 'L', LARGE);
    expect_text(clients[0], "second");
    expect_text(clients[0], "third");
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(rc[0], 0);
    CHECK_INT(rc[1], 0);
    CHECK_INT(hclose(b), 0);
    close_pairs(2);
}

TEST(what_waits_behind_a_message_that_is_given_up_goes_with_it) {
    int rc = -2;
    make_pairs(2);
    int h = go(send_one(servers[0], large, LARGE, &rc));
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, "second", 6, 0, errors), 2);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(rc, -1);
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, "third", 5, 100, errors), 1);
    CHECK_INT(errors[0], ECONNRESET);
    expect_text(clients[1], "second");
    expect_text(clients[1], "third");
    close_pairs(2);
}

TEST(it_waits_behind_a_message_in_parts_and_its_pauses) {
    make_pairs(2);
    CHECK_INT(ws_send(servers[0], WS_TEXT | WS_MORE, "fi", 2, now() + 10000), 0);
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, "second", 6, 0, errors), 2);
    CHECK_INT(ws_broadcast(servers, 2, WS_TEXT, "never", 5, 7, errors), 1);
    CHECK_INT(errors[0], EAGAIN);
    CHECK_INT(ws_ping(servers[0], "", 0, now() + 10000), 0);
    CHECK_INT(ws_send(servers[0], WS_TEXT | WS_MORE, "r", 1, now() + 10000), 0);
    CHECK_INT(ws_send(servers[0], WS_TEXT, "st", 2, now() + 10000), 0);
    expect_text(clients[0], "first");
    expect_text(clients[0], "second");
    expect_text(clients[1], "second");
    close_pairs(2);
}

TEST(what_waits_behind_a_message_in_parts_goes_with_it) {
    make_pairs(1);
    CHECK_INT(ws_send(servers[0], WS_TEXT | WS_MORE, "fi", 2, now() + 10000), 0);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, "never", 5, 0, errors), 1);
    CHECK_INT(ws_done(servers[0], 1000, NULL, 0, now() + 10000), 0);
    CHECK_ERR(ws_recv(clients[0], NULL, buf, sizeof(buf), now() + 10000), -1, EPIPE);
    close_pairs(1);
}

coroutine static void begin_and_sleep(int s) {
    CHECK_INT(ws_send(s, WS_TEXT | WS_MORE | WS_GATHER, "begun", 5, -1), 0);
    CHECK_ERR(msleep(-1), -1, ECANCELED);
}

TEST(who_waits_for_a_message_in_parts_goes_on_when_a_broadcast_finds_the_stream_broken) {
    int rc = -2;
    make_pairs(1);
    CHECK_INT(hclose(clients[0]), 0);
    int sleeper = go(begin_and_sleep(servers[0]));
    int waiter = go(send_one(servers[0], "never", 5, &rc));
    CHECK_INT(yield(), 0);
    CHECK_INT(rc, -2);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, "never", 5, SIZE_MAX, errors), 0);
    check_errors(1, ECONNRESET);
    CHECK_INT(bundle_wait(waiter, now() + 10000), 0);
    CHECK_INT(rc, -1);
    CHECK_INT(hclose(waiter), 0);
    CHECK_INT(hclose(sleeper), 0);
    CHECK_INT(hclose(servers[0]), 0);
}

TEST(who_is_closed_takes_nothing_from_the_others) {
    make_pairs(3);
    CHECK_INT(ws_broadcast(servers, 3, WS_TEXT, large, LARGE, 0, errors), 3);
    CHECK_INT(hclose(servers[1]), 0);
    expect_letters(clients[0], 'L', LARGE);
    CHECK_INT(hclose(clients[2]), 0); /* a peer that dies in the middle */
    CHECK_INT(msleep(now() + 5), 0);
    CHECK_INT(ws_broadcast(&servers[2], 1, WS_TEXT, "never", 5, SIZE_MAX, errors), 0);
    check_errors(1, ECONNRESET);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, "hello", 5, 0, errors), 1);
    expect_text(clients[0], "hello");
}

TEST(a_ping_is_answered_however_much_is_queued) {
    char text[100];
    make_pairs(1);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, large, LARGE, 0, errors), 1);
    CHECK_INT(ws_ping(clients[0], "ping", 4, now() + 10000), 0);
    CHECK_ERR(ws_recv(servers[0], NULL, text, sizeof(text), now() + 10), -1, ETIMEDOUT);
    CHECK_INT(ws_broadcast(servers, 1, WS_TEXT, "after", 5, SIZE_MAX, errors), 1);
    expect_letters(clients[0], 'L', LARGE);
    expect_text(clients[0], "after"); /* and has taken in the pong before it */
    close_pairs(1);
}

static size_t allocated(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

TEST(all_that_are_slow_share_one_copy) {
    if (is_wrapped()) SKIP("the wrapper allocates, too");
    make_pairs(MANY);
    CHECK_INT(ws_broadcast(servers, MANY, WS_TEXT, "warm", 4, 0, NULL), MANY);
    size_t before = allocated();
    for (int i = 0; i != 4; ++i)
        CHECK_INT(ws_broadcast(servers, MANY, WS_TEXT, large, LARGE, 3 * LARGE + 100, errors), MANY);
    CHECK(allocated() >= before + 4 * LARGE);
    CHECK(allocated() < before + 5 * LARGE);
    CHECK_INT(ws_broadcast(servers, MANY, WS_TEXT, large, LARGE, 3 * LARGE + 100, errors), 0);
    check_errors(MANY, EAGAIN);
    CHECK(allocated() < before + 5 * LARGE);
    for (int i = 0; i != MANY; ++i) {
        expect_text(clients[i], "warm");
        for (int k = 0; k != 4; ++k) expect_letters(clients[i], 'L', LARGE);
    }
    CHECK(allocated() < before + LARGE / 2);
    close_pairs(MANY);
}
