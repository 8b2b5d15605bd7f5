/* One message to many of which some compress, and long ones, which are made ready in turns. */

#include <libdillext.h>

#include "wire.h"

enum { MANY = 12 };
#include "broadcast.h"

static struct ws_deflate with_context = {
    .size = sizeof(struct ws_deflate), .flags = WS_DEFLATE_CONTEXT | WS_DEFLATE_PEER_CONTEXT};
static struct ws_deflate narrow = {.size = sizeof(struct ws_deflate), .window_bits = 9};

coroutine static void accept_one(int s, const struct ws_opts *opts, int *ws) {
    *ws = ws_attach_server_opts(s, opts, now() + 5000);
}

/* Of each kind: without compression, with it, with takeover, with another window. */
static void make_mixed_pairs(int count) {
    for (int i = 0; i != count; ++i) {
        struct ws_opts opts = {.size = sizeof(opts), .flags = i % 4 ? WS_TEXT | WS_DEFLATE : WS_TEXT};
        if (i % 4 > 1) opts.deflate = i % 4 == 2 ? &with_context : &narrow;
        int s[2];
        make_ipc_pair(s);
        int h = go(accept_one(s[1], &opts, &servers[i]));
        clients[i] = ws_attach_client_opts(s[0], "/", "localhost", &opts, now() + 5000);
        CHECK(clients[i] >= 0);
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK(servers[i] >= 0);
        CHECK_INT(hclose(h), 0);
    }
    for (size_t i = 0; i != LARGE; ++i) large[i] = "{\"key\": \"value\"}, "[i * i / 7 % 18];
}

TEST(each_gets_it_compressed_as_agreed) {
    static const size_t lengths[] = {0, 5, 127, 128, 1000, 50000, LARGE, 1000};
    int *sides[] = {servers, clients}, *others[] = {clients, servers};
    make_mixed_pairs(12);
    for (int round = 0; round != 8; ++round) {
        size_t len = lengths[round];
        for (int side = 0; side != 2; ++side) {
            CHECK_INT(ws_broadcast(sides[side], 12, WS_TEXT, large, len, SIZE_MAX, errors), 12);
            for (int i = 0; i != 12; ++i) expect_message(others[side][i], WS_TEXT, large, len);
            CHECK_INT(ws_broadcast(sides[side], 12, WS_TEXT | WS_NODEFLATE, large, len, SIZE_MAX, errors), 12);
            for (int i = 0; i != 12; ++i) {
                expect_message(others[side][i], WS_TEXT, large, len);
                CHECK_INT(ws_send(sides[side][i], WS_TEXT, large, len / 2, now() + 5000), 0);
                expect_message(others[side][i], WS_TEXT, large, len / 2);
            }
        }
    }
    close_pairs(12);
}

TEST(what_does_not_become_shorter_leaves_as_it_is) {
    make_mixed_pairs(4);
    for (size_t i = 0; i != LARGE; ++i) large[i] = (char)((unsigned)rand() >> 8);
    for (int round = 0; round != 3; ++round) {
        CHECK_INT(ws_broadcast(servers, 4, WS_BINARY, large, LARGE, SIZE_MAX, errors), 4);
        for (int i = 0; i != 4; ++i) expect_message(clients[i], WS_BINARY, large, LARGE);
    }
    close_pairs(4);
}

TEST(behind_a_message_that_is_being_compressed_it_waits_too) {
    static char more[4 * 1024 * 1024], back[4 * 1024 * 1024];
    make_mixed_pairs(4);
    for (size_t i = 0; i != sizeof(more); ++i) more[i] = (char)(' ' + rand() / 256 % 64);
    for (int i = 0; i != 4; ++i) {
        int rc = -2, h = go(send_one(servers[i], more, sizeof(more), &rc));
        CHECK_INT(rc, -2);
        CHECK_INT(ws_broadcast(&servers[i], 1, WS_TEXT, large, 1000, SIZE_MAX, errors), 1);
        CHECK_INT(ws_recv(clients[i], NULL, back, sizeof(back), now() + 20000), sizeof(back));
        CHECK_MEM(back, more, sizeof(back));
        expect_message(clients[i], WS_TEXT, large, 1000);
        CHECK_INT(ws_send(servers[i], WS_TEXT, large, 1000, now() + 5000), 0);
        expect_message(clients[i], WS_TEXT, large, 1000);
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK_INT(rc, 0);
        CHECK_INT(hclose(h), 0);
    }
    close_pairs(4);
}

/* --- Long messages, which are made ready in turns --- */

static char longer[8 * 1024 * 1024], received[sizeof(longer)];

static void fill_longer(void) {
    for (size_t i = 0; i != sizeof(longer); ++i) longer[i] = "{\"key\": \"value\"}, "[i * i / 7 % 18];
}

coroutine static void count_turns(int *turns, const int *ended) {
    while (!*ended) {
        ++*turns;
        CHECK_INT(yield(), 0);
    }
}

TEST(others_run_while_a_long_message_is_made_ready) {
    int turns = 0, ended = 0;
    make_mixed_pairs(4);
    fill_longer();
    int b = go(count_turns(&turns, &ended));
    int before = turns;
    CHECK_INT(ws_broadcast(servers, 4, WS_TEXT, longer, sizeof(longer), 0, errors), 4);
    CHECK(turns - before >= 5);
    ended = 1;
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    check_errors(4, 0);
    /* Windows that are kept go on behind it. */
    for (int i = 0; i != 4; ++i) {
        CHECK_INT(ws_recv(clients[i], NULL, received, sizeof(received), now() + 20000), sizeof(received));
        CHECK_MEM(received, longer, sizeof(longer));
        struct ws_info info = {.size = sizeof(info)};
        CHECK_INT(ws_info(servers[i], &info), 0);
        CHECK((info.wire_sent < sizeof(longer) / 2) == (i > 0));
    }
    for (int round = 0; round != 3; ++round) {
        CHECK_INT(ws_broadcast(servers, 4, WS_TEXT, large, 1000, 0, errors), 4);
        for (int i = 0; i != 4; ++i) {
            expect_message(clients[i], WS_TEXT, large, 1000);
            CHECK_INT(ws_send(servers[i], WS_TEXT, large, 5000, now() + 5000), 0);
            expect_message(clients[i], WS_TEXT, large, 5000);
        }
    }
    close_pairs(4);
}

TEST(clients_send_a_long_message_compressed_and_masked_and_behind_what_they_have_begun) {
    make_mixed_pairs(4);
    fill_longer();
    CHECK_INT(ws_send(clients[2], WS_TEXT | WS_MORE, "fi", 2, now() + 5000), 0);
    CHECK_INT(ws_broadcast(clients, 4, WS_TEXT, longer, sizeof(longer), 0, errors), 4);
    check_errors(4, 0);
    CHECK_INT(ws_send(clients[2], WS_TEXT, "rst", 3, now() + 5000), 0);
    expect_text(servers[2], "first");
    for (int i = 0; i != 4; ++i) {
        CHECK_INT(ws_recv(servers[i], NULL, received, sizeof(received), now() + 20000), sizeof(received));
        CHECK_MEM(received, longer, sizeof(longer));
        struct ws_info info = {.size = sizeof(info)};
        CHECK_INT(ws_info(clients[i], &info), 0);
        /* In the middle of a message the window is that message's. */
        CHECK((info.wire_sent < sizeof(longer) / 2) == (i % 2 == 1));
        CHECK_INT(ws_send(clients[i], WS_TEXT, large, 5000, now() + 5000), 0);
        expect_message(servers[i], WS_TEXT, large, 5000);
    }
    close_pairs(4);
}

TEST(others_run_while_each_that_keeps_its_window_compresses_for_itself) {
    enum { TIMES = 500, LEN = 5000 };
    static int list[4 * TIMES], told[4 * TIMES];
    int turns = 0, ended = 0;
    make_mixed_pairs(4);
    for (int i = 0; i != 4 * TIMES; ++i) list[i] = servers[i % 4];
    int b = go(count_turns(&turns, &ended));
    int before = turns;
    CHECK_INT(ws_broadcast(list, 4 * TIMES, WS_TEXT, large, LEN, SIZE_MAX, told), 4 * TIMES);
    CHECK(turns - before >= 5);
    ended = 1;
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    for (int i = 0; i != 4 * TIMES; ++i) {
        CHECK_INT(told[i], 0);
        expect_message(clients[i % 4], WS_TEXT, large, LEN);
    }
    close_pairs(4);
}

coroutine static void wait_and_change(int *list) {
    CHECK_INT(yield(), 0);
    CHECK_INT(hclose(servers[0]), 0);
    list[2] = -1;
}

TEST(who_is_closed_while_a_long_message_is_made_ready_gets_nothing_of_it) {
    int list[3];
    make_mixed_pairs(3);
    fill_longer();
    memcpy(list, servers, sizeof(list));
    /* It begins to run when the broadcast lets others run. */
    int b = bundle();
    CHECK_INT(bundle_go(b, wait_and_change(list)), 0);
    CHECK_INT(ws_broadcast(list, 3, WS_TEXT, longer, sizeof(longer), 0, errors), 2);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(list[2], -1);
    CHECK_INT(errors[0], EBADF);
    CHECK_INT(errors[1], 0);
    CHECK_INT(errors[2], 0);
    for (int i = 1; i != 3; ++i) {
        CHECK_INT(ws_recv(clients[i], NULL, received, sizeof(received), now() + 20000), sizeof(received));
        CHECK_MEM(received, longer, sizeof(longer));
        CHECK_INT(hclose(servers[i]), 0);
    }
    for (int i = 0; i != 3; ++i) CHECK_INT(hclose(clients[i]), 0);
}

TEST(a_long_message_that_does_not_become_shorter_or_must_not_be_compressed_leaves_as_it_is) {
    make_mixed_pairs(4);
    for (int way = 0; way != 2; ++way) {
        int flags = WS_BINARY | (way ? WS_NODEFLATE : 0);
        for (size_t i = 0; i != sizeof(longer); ++i) longer[i] = way ? 'L' : (char)((unsigned)rand() >> 8);
        CHECK_INT(ws_broadcast(servers, 4, flags, longer, sizeof(longer), SIZE_MAX, errors), 4);
        for (int i = 0; i != 4; ++i) {
            CHECK_INT(ws_recv(clients[i], NULL, received, sizeof(received), now() + 20000), sizeof(received));
            CHECK_MEM(received, longer, sizeof(longer));
            struct ws_info info = {.size = sizeof(info)};
            CHECK_INT(ws_info(servers[i], &info), 0);
            CHECK(info.wire_sent >= (uint64_t)(way + 1) * sizeof(longer));
            CHECK_INT(ws_send(servers[i], WS_TEXT, large, 5000, now() + 5000), 0);
            expect_message(clients[i], WS_TEXT, large, 5000);
        }
    }
    close_pairs(4);
}
