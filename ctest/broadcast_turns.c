/* A broadcast to many takes longer than a time slice: others run during the call, and may do anything to its sockets, to
   its list and to its caller. A handle may be listed many times, so few sockets stand for many. */

#include <libdillext.h>

#include "wire.h"

enum { MANY = 50, LISTED = 4000, RECEIVED = 1 << 16 };

static int servers[MANY], fds[MANY], list[LISTED], told[LISTED];

/* --- What leaves may take long: the program's symbols win over those of libc. --- */

static int sends, slow;

ssize_t send(int fd, const void *data, size_t len, int flags) {
    ++sends;
    if (slow) {
        struct timespec begin, now;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        do clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - begin.tv_sec) * 1000000000ll + now.tv_nsec - begin.tv_nsec < 10000);
    }
    return sendto(fd, data, len, flags, NULL, 0);
}

/* --- Sockets, all of them listed in turn --- */

static int open_socket(enum role role, int *fd) {
    int s;
    make_ipc_and_raw(&s, fd);
    return attach_without_http(s, role, WS_TEXT);
}

static void open_sockets(enum role role) {
    for (int i = 0; i != MANY; ++i) servers[i] = open_socket(role, &fds[i]);
    for (int i = 0; i != LISTED; ++i) list[i] = servers[i % MANY];
    memset(told, 0x55, sizeof(told));
}

static void close_sockets(void) {
    for (int i = 0; i != MANY; ++i) {
        CHECK_INT(hclose(servers[i]), 0);
        CHECK_INT(close(fds[i]), 0);
    }
}

/* How many whole messages of two letters have come; they are stored one behind the other. */
static int receive_pairs(int fd, enum role role, char *text) {
    static char all[RECEIVED];
    int count = 0, frame = role == CLIENT ? 8 : 4;
    ssize_t len = 0, got;
    while ((got = recv(fd, all + len, (size_t)(RECEIVED - len), MSG_DONTWAIT)) > 0) len += got;
    CHECK_INT(len % frame, 0);
    for (char *at = all; at != all + len; at += frame, ++count) {
        CHECK_INT(at[0] & 255, FIN | TEXT);
        CHECK_INT(at[1] & 127, 2);
        for (int i = 0; i != 2; ++i)
            text[2 * count + i] = role == CLIENT ? (char)(at[6 + i] ^ at[2 + i]) : at[2 + i];
    }
    return count;
}

/* Each socket has got the message as often as it was told to have taken it. */
static void check_received(enum role role) {
    static char text[RECEIVED];
    for (int i = 0; i != MANY; ++i) {
        int taken = 0, count = receive_pairs(fds[i], role, text);
        for (int k = i; k < LISTED; k += MANY) taken += told[k] == 0;
        CHECK_INT(count, taken);
        for (int k = 0; k != count; ++k) CHECK_MEM(text + 2 * k, "hi", 2);
    }
}

/* --- Others --- */

static int turns, ticks, ended;

coroutine static void count_turns(void) {
    while (!ended) {
        ++turns;
        CHECK_INT(yield(), 0);
    }
}

coroutine static void count_ticks(void) {
    while (!ended) {
        CHECK_INT(msleep(now() + 1), 0);
        ++ticks;
    }
}

static void run_beside(enum role role) {
    int b = bundle();
    open_sockets(role);
    CHECK_INT(bundle_go(b, count_turns()), 0);
    CHECK_INT(bundle_go(b, count_ticks()), 0);
    int turns_before = turns, ticks_before = ticks;
    slow = 1;
    CHECK_INT(ws_broadcast(list, LISTED, WS_TEXT, "hi", 2, SIZE_MAX, told), LISTED);
    slow = 0;
    CHECK(turns - turns_before >= 10);
    CHECK(ticks - ticks_before >= 10);
    ended = 1;
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    check_received(role);
    close_sockets();
}

TEST(others_run_and_timers_fire_during_a_broadcast_to_many) { run_beside(SERVER); }

TEST(others_run_and_timers_fire_during_a_broadcast_of_many_clients) { run_beside(CLIENT); }

TEST(a_broadcast_to_few_does_not_switch) {
    int b = bundle(), seen = -1;
    open_sockets(SERVER);
    CHECK_INT(bundle_go(b, count_turns()), 0);
    ATTEMPT_UNTIL(seen == turns) {
        CHECK_INT(yield(), 0);
        seen = turns;
        CHECK_INT(ws_broadcast(servers, MANY, WS_TEXT, "hi", 2, SIZE_MAX, told), MANY);
        for (int i = 0; i != MANY; ++i) CHECK_INT(told[i], 0);
    }
    CHECK_INT(turns, seen);
    ended = 1;
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    close_sockets();
}

/* --- During a broadcast that has begun --- */

static int result = -2;

coroutine static void broadcast_slowly(void) {
    slow = 1;
    result = ws_broadcast(list, LISTED, WS_TEXT, "hi", 2, SIZE_MAX, told);
    slow = 0;
}

/* Starts it in a bundle; returns while it is going on. */
static int begin_broadcast(void) {
    int b = bundle();
    CHECK_INT(bundle_go(b, broadcast_slowly()), 0);
    CHECK_INT(result, -2);
    CHECK(sends > 0);
    slow = 0;
    return b;
}

static void end_broadcast(int b, int expected) {
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(result, expected);
    CHECK_INT(hclose(b), 0);
}

TEST(the_list_is_the_one_of_its_beginning) {
    open_sockets(SERVER);
    int b = begin_broadcast();
    for (int i = 0; i != LISTED; ++i) list[i] = servers[0];
    end_broadcast(b, LISTED);
    for (int i = 0; i != LISTED; ++i) CHECK_INT(told[i], 0);
    check_received(SERVER);
    close_sockets();
}

TEST(who_is_closed_during_a_broadcast_gets_no_more_of_it) {
    char rest[16];
    open_sockets(SERVER);
    int b = begin_broadcast(), taken = 0;
    CHECK_INT(hclose(servers[7]), 0);
    CHECK_INT(close(fds[9]), 0); /* a peer that goes away */
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    for (int i = 0; i != LISTED; ++i) {
        int after = i > LISTED / 2;
        if (i % MANY == 7 && after) CHECK_INT(told[i], EBADF);
        else if (i % MANY == 9 && after) CHECK_INT(told[i], ECONNRESET);
        else if (i % MANY != 7 && i % MANY != 9) CHECK_INT(told[i], 0);
        taken += told[i] == 0;
    }
    CHECK_INT(result, taken);
    CHECK_INT(hclose(servers[9]), 0);
    fds[9] = dup(fds[7]);
    CHECK(recv(fds[9], rest, sizeof(rest), MSG_DONTWAIT | MSG_PEEK) >= 0);
    for (int i = 0; i != MANY; ++i) {
        static char text[RECEIVED];
        int expected = 0, count = i == 9 ? 0 : receive_pairs(fds[i], SERVER, text);
        for (int k = i; k < LISTED; k += MANY) expected += told[k] == 0;
        if (i != 9) CHECK_INT(count, expected);
    }
}

/* Some turns after the first one has taken the message. */
coroutine static void close_the_second(void) {
    struct ws_info info = {.size = sizeof(info)};
    for (int later = 0; later != 3; later += info.messages_sent > 0) {
        CHECK_INT(yield(), 0);
        CHECK_INT(ws_info(list[0], &info), 0);
    }
    CHECK_INT(hclose(list[1]), 0);
}

TEST(who_is_closed_while_a_long_message_is_masked_for_it_gets_nothing_of_it) {
    enum { LONG = 16 << 20 };
    static char text[LONG];
    int b = bundle();
    for (int i = 0; i != 3; ++i) list[i] = open_socket(CLIENT, &fds[i]);
    CHECK_INT(bundle_go(b, close_the_second()), 0);
    memset(text, 'L', LONG);
    CHECK_INT(ws_broadcast(list, 3, WS_TEXT, text, LONG, 0, told), 2);
    CHECK_INT(told[0], 0);
    CHECK_INT(told[1], EBADF);
    CHECK_INT(told[2], 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(recv(fds[1], text, 1, 0), 0);
    /* Masked as a whole, however it was masked. */
    static char frame[14 + LONG];
    size_t len = 0;
    while (len != sizeof(frame)) {
        ssize_t got = recv(fds[2], frame + len, sizeof(frame) - len, MSG_DONTWAIT);
        if (got > 0) len += (size_t)got;
        else CHECK_INT(msleep(now() + 1), 0);
    }
    for (size_t i = 0; i != LONG; ++i) CHECK_INT(frame[14 + i] ^ frame[10 + i % 4], 'L');
}

/* Opens a socket with this number, which is free, and others on the way. */
static void open_with_number(int number, int *fd) {
    enum { MOST = 500 };
    static int opened[MOST], opened_fds[MOST];
    for (;;) {
        int count = 0;
        struct ws_info info = {.size = sizeof(info)};
        while (ws_info(number, &info) < 0 && errno == EBADF) {
            CHECK(count < MOST);
            opened[count] = open_socket(SERVER, &opened_fds[count]);
            ++count;
        }
        if (opened[count - 1] == number) {
            *fd = opened_fds[count - 1];
            return;
        }
        /* What lies below a WebSocket has got it: once more, with another number to begin with. */
        while (count-- > 0) {
            CHECK_INT(hclose(opened[count]), 0);
            CHECK_INT(close(opened_fds[count]), 0);
        }
        CHECK(bundle() >= 0);
    }
}

/* The handle in the list stands for somebody else when its turn comes. */
static void check_reused(int place, int is_open) {
    char text[2];
    int fd, b;
    struct ws_info info = {.size = sizeof(info)};
    open_sockets(SERVER);
    if (!is_open) {
        list[place] = open_socket(SERVER, &fd);
        CHECK_INT(hclose(list[place]), 0);
    }
    b = begin_broadcast();
    if (is_open) CHECK_INT(hclose(list[place]), 0);
    open_with_number(list[place], &fd);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    for (int i = LISTED / 2 + 1; i != LISTED; ++i) CHECK_INT(told[i], list[i] == list[place] ? EBADF : 0);
    CHECK_INT(told[place], EBADF);
    CHECK_INT(ws_info(list[place], &info), 0);
    CHECK_INT(info.messages_sent, 0);
    CHECK_RAW_SILENT(fd);
    /* The next one is for him, too. */
    CHECK_INT(ws_broadcast(&list[place], 1, WS_TEXT, "hi", 2, 0, told), 1);
    CHECK_INT(receive_pairs(fd, SERVER, text), 1);
}

TEST(who_gets_the_number_of_one_that_is_closed_during_a_broadcast_gets_nothing_of_it) {
    check_reused(LISTED - 1, 1);
}

TEST(who_gets_a_number_that_was_free_when_a_broadcast_began_gets_nothing_of_it) {
    check_reused(LISTED - 1, 0);
}

TEST(a_broadcast_that_is_cancelled_says_who_has_taken_it) {
    int taken = 0;
    open_sockets(SERVER);
    int b = begin_broadcast();
    CHECK_INT(hclose(b), 0);
    while (taken != LISTED && told[taken] == 0) ++taken;
    CHECK(taken > 0);
    CHECK(taken < LISTED);
    CHECK_INT(result, taken);
    for (int i = taken; i != LISTED; ++i) CHECK_INT(told[i], ECANCELED);
    check_received(SERVER);
    close_sockets();
}

enum { LONG_TEXT = 16 << 20 };
static char long_text[LONG_TEXT];

coroutine static void broadcast_long(void) { result = ws_broadcast(list, 3, WS_TEXT, long_text, LONG_TEXT, 0, told); }

TEST(a_broadcast_that_is_cancelled_while_it_masks_says_who_has_taken_it) {
    int taken = 0;
    for (int i = 0; i != 3; ++i) list[i] = open_socket(CLIENT, &fds[i]);
    memset(long_text, 'L', LONG_TEXT);
    told[0] = told[1] = told[2] = -1;
    int b = go(broadcast_long());
    while (told[0] != 0) CHECK_INT(yield(), 0);
    CHECK_INT(hclose(b), 0);
    while (taken != 3 && told[taken] == 0) ++taken;
    CHECK(taken < 3);
    CHECK_INT(result, taken);
    for (int i = taken; i != 3; ++i) {
        CHECK_INT(told[i], ECANCELED);
        CHECK_RAW_SILENT(fds[i]);
    }
}

coroutine static void say_goodbye(void) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    result = ws_broadcast(servers, MANY, WS_TEXT, "hi", 2, 0, NULL);
}

TEST(who_was_cancelled_can_still_broadcast_to_few) {
    open_sockets(SERVER);
    ATTEMPT_UNTIL(result == MANY) {
        int h = go(say_goodbye());
        CHECK_INT(hclose(h), 0);
    }
    CHECK_INT(result, MANY);
    close_sockets();
}

coroutine static void broadcast_in_order(char who, int count, int *out) {
    char text[2] = {who, 'a'};
    for (; text[1] != 'a' + count; ++text[1])
        CHECK_INT(ws_broadcast(list, LISTED / 8, WS_TEXT, text, 2, SIZE_MAX, out), LISTED / 8);
}

TEST(broadcasts_of_two_at_the_same_time_keep_the_order_of_each) {
    static char text[RECEIVED];
    int mixed = 0;
    open_sockets(SERVER);
    slow = 1;
    int b = bundle();
    CHECK_INT(bundle_go(b, broadcast_in_order('A', 4, told)), 0);
    CHECK_INT(bundle_go(b, broadcast_in_order('B', 4, told + LISTED / 2)), 0);
    CHECK_INT(bundle_wait(b, now() + 10000), 0);
    CHECK_INT(hclose(b), 0);
    for (int i = 0; i != MANY; ++i) {
        int count = receive_pairs(fds[i], SERVER, text), seen[2] = {0, 0};
        CHECK_INT(count, 2 * 4 * LISTED / 8 / MANY);
        for (int k = 0; k != count; ++k) {
            int who = text[2 * k] - 'A';
            CHECK(who == 0 || who == 1);
            CHECK_INT(text[2 * k + 1], 'a' + seen[who]++ / (LISTED / 8 / MANY));
            mixed += k > 0 && text[2 * k] != text[2 * k - 2];
        }
    }
    CHECK(mixed > MANY); /* so they were at the same time */
    close_sockets();
}

TEST(what_is_gathered_during_a_broadcast_leaves_before_the_rest) {
    static char text[RECEIVED];
    open_sockets(SERVER);
    int b = begin_broadcast(), last = MANY - 1, sent = sends;
    CHECK_INT(ws_send(servers[last], WS_TEXT | WS_GATHER, "me", 2, -1), 0);
    CHECK_INT(sends, sent);
    end_broadcast(b, LISTED);
    int count = receive_pairs(fds[last], SERVER, text), at = 0;
    CHECK_INT(count, LISTED / MANY + 1);
    while (at != count && memcmp(text + 2 * at, "me", 2) != 0) ++at;
    CHECK(at < count - 1);
}
