/* TLS: data in both directions, and the graceful end of each. */

#include <libdill.h>

#include "mem.h"
#include "stream.h"
#include "test.h"
#include "tls.h"

/* --- Data --- */

TEST(bytes_arrive_in_both_directions_over_every_bytestream) {
    int h[2];
    EACH_TLS(h) {
        CHECK_SENT(h[0], "question");
        CHECK_RECEIVED(h[1], "question");
        CHECK_SENT(h[1], "answer");
        CHECK_RECEIVED(h[0], "answer");
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
    }
}

TEST(a_TLS_handle_is_a_bytestream_and_no_message_socket) {
    int h[2];
    make_tls_over_ipc(h);
    CHECK(hquery(h[0], bsock_type) != NULL);
    CHECK_ERR(msend(h[0], "x", 1, soon()), -1, ENOTSUP);
    CHECK_ERR(mrecv(h[0], NULL, 1, soon()), -1, ENOTSUP);
}

coroutine static void send_blocks(int h, size_t count, size_t len) {
    char *block = malloc(len);
    for (size_t i = 0; i != count; ++i) {
        fill_pattern(block, len, i * len);
        CHECK_INT(bsend(h, block, len, soon()), 0);
    }
    free(block);
}

static void receive_blocks(int h, size_t count, size_t len) {
    char *block = malloc(len);
    for (size_t i = 0; i != count; ++i) {
        CHECK_INT(brecv(h, block, len, soon()), 0);
        check_pattern(block, len, i * len);
    }
    free(block);
}

coroutine static void receive_in_coroutine(int h, size_t count, size_t len) { receive_blocks(h, count, len); }

TEST(the_sizes_of_sends_and_receives_need_not_match) {
    int h[2];
    EACH_TLS(h) {
        int b = go(send_blocks(h[0], 257, 2777));
        receive_blocks(h[1], 2777, 257);
        CHECK_INT(bundle_wait(b, soon()), 0);
        b = go(send_blocks(h[1], 5, 300007));
        receive_blocks(h[0], 300007, 5);
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

TEST(one_call_moves_as_much_as_is_asked_for) {
    int h[2];
    EACH_TLS(h) {
        int b = go(send_blocks(h[0], 1, 5000001));
        receive_blocks(h[1], 1, 5000001);
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

TEST(two_coroutines_on_each_side_read_and_write_at_the_same_time) {
    int h[2];
    EACH_TLS(h) {
        int b = bundle();
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(bundle_go(b, send_blocks(h[i], 300, 10007)), 0);
            CHECK_INT(bundle_go(b, receive_in_coroutine(h[i], 10007, 300)), 0);
        }
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

/* --- Lists --- */

static struct iolist elements[100];

/* A list over the bytes of buf, with elements of 0, 1, 2 ... bytes. */
static struct iolist *make_list(char *buf, size_t count, size_t *len) {
    *len = 0;
    for (size_t i = 0; i != count; ++i) {
        elements[i] = (struct iolist){buf + *len, i, i + 1 == count ? NULL : &elements[i + 1], 0};
        *len += i;
    }
    return &elements[count - 1];
}

TEST(lists_of_many_elements_are_sent_and_filled) {
    static char sent[100 * 100], received[100 * 100];
    int h[2];
    EACH_TLS(h) for (size_t count = 1; count <= 100; count += 11) {
        size_t len;
        struct iolist *last = make_list(sent, count, &len);
        fill_pattern(sent, len, count);
        CHECK_INT(bsendl(h[0], elements, last, soon()), 0);
        CHECK_INT(brecv(h[1], received, len, soon()), 0);
        CHECK_MEM(received, sent, len);
        CHECK_INT(bsend(h[1], sent, len, soon()), 0);
        memset(received, 0, sizeof(received));
        last = make_list(received, count, &len);
        CHECK_INT(brecvl(h[0], elements, last, soon()), 0);
        CHECK_MEM(received, sent, len);
    }
}

TEST(NULL_in_place_of_a_buffer_drops_bytes) {
    int h[2];
    EACH_TLS(h) {
        char a[2], c[2];
        struct iolist third = {c, 2, NULL, 0}, second = {NULL, 3, &third, 0}, first = {a, 2, &second, 0};
        CHECK_SENT(h[0], "abcdefghijkl");
        CHECK_INT(brecvl(h[1], &first, &third, soon()), 0);
        CHECK_MEM(a, "ab", 2);
        CHECK_MEM(c, "fg", 2);
        CHECK_INT(brecv(h[1], NULL, 2, soon()), 0);
        CHECK_RECEIVED(h[1], "jkl");
    }
}

TEST(malformed_lists_give_EINVAL_and_change_nothing) {
    int h[2];
    char c = 'x';
    struct iolist second = {&c, 1, NULL, 0}, first = {&c, 1, NULL, 0};
    make_tls_over_ipc(h);
    CHECK_ERR(bsendl(h[0], &first, &second, soon()), -1, EINVAL);
    CHECK_ERR(bsendl(h[0], NULL, NULL, soon()), -1, EINVAL);
    second.iol_next = &first;
    first.iol_next = &second;
    CHECK_ERR(bsendl(h[0], &first, &second, soon()), -1, EINVAL);
    CHECK_ERR(brecvl(h[1], &first, &second, soon()), -1, EINVAL);
    CHECK_INT(first.iol_rsvd, 0);
    CHECK_SENT(h[0], "fine");
    CHECK_RECEIVED(h[1], "fine");
}

TEST(sending_from_NULL_gives_EFAULT_and_changes_nothing) {
    int h[2];
    make_tls_over_ipc(h);
    CHECK_ERR(bsend(h[0], NULL, 1, soon()), -1, EFAULT);
    CHECK_INT(bsend(h[0], NULL, 0, soon()), 0);
    CHECK_SENT(h[0], "fine");
    CHECK_RECEIVED(h[1], "fine");
}

TEST(nothing_is_sent_and_received_at_once) {
    int h[2];
    EACH_TLS(h) {
        char c;
        CHECK_INT(brecv(h[0], &c, 0, 0), 0);
        CHECK_INT(brecv(h[0], NULL, 0, 0), 0);
        CHECK_INT(bsend(h[0], &c, 0, 0), 0);
    }
}

/* --- The end of a direction --- */

TEST(after_tls_done_the_peer_reads_the_rest_and_then_EPIPE) {
    int h[2];
    EACH_TLS(h) {
        CHECK_SENT(h[0], "last words");
        CHECK_INT(tls_done(h[0], soon()), 0);
        CHECK_RECEIVED(h[1], "last words");
        CHECK_STAYS(brecv(h[1], NULL, 1, soon()), EPIPE);
        CHECK_ERR(brecv(h[1], NULL, 0, soon()), -1, EPIPE);
    }
}

TEST(after_tls_done_receiving_goes_on) {
    int h[2];
    EACH_TLS(h) {
        CHECK_INT(tls_done(h[0], soon()), 0);
        CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
        for (int i = 0; i != 3; ++i) {
            CHECK_SENT(h[1], "still there");
            CHECK_RECEIVED(h[0], "still there");
        }
    }
}

TEST(after_tls_done_sending_gives_EPIPE) {
    int h[2];
    make_tls_over_ipc(h);
    CHECK_INT(tls_done(h[0], soon()), 0);
    CHECK_STAYS(bsend(h[0], "x", 1, soon()), EPIPE);
    CHECK_ERR(bsend(h[0], "x", 0, soon()), -1, EPIPE);
    CHECK_STAYS(tls_done(h[0], soon()), EPIPE);
}

TEST(a_receive_that_the_end_cuts_short_gives_EPIPE) {
    int h[2];
    char buf[10];
    make_tls_over_ipc(h);
    CHECK_SENT(h[0], "short");
    CHECK_INT(tls_done(h[0], soon()), 0);
    CHECK_STAYS(brecv(h[1], buf, sizeof(buf), soon()), EPIPE);
}

TEST(receiving_without_a_list_drops_everything_until_the_end) {
    int h[2];
    EACH_TLS(h) {
        CHECK_SENT(h[0], "some");
        CHECK_SENT(h[0], "thing");
        CHECK_INT(tls_done(h[0], soon()), 0);
        CHECK_ERR(brecvl(h[1], NULL, NULL, soon()), -1, EPIPE);
    }
}

/* --- Detaching --- */

coroutine static void detach_into(int h, int *s) { *s = tls_detach(h, soon()); }

static void detach_both(int h[2], int s[2]) {
    int b = go(detach_into(h[1], &s[1]));
    s[0] = tls_detach(h[0], soon());
    CHECK(s[0] >= 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK(s[1] >= 0);
    CHECK_INT(hclose(b), 0);
}

TEST(a_conversation_ends_gracefully_on_both_sides) {
    int h[2];
    EACH_TLS(h) {
        int s[2];
        CHECK_SENT(h[0], "ABC");
        CHECK_INT(tls_done(h[0], soon()), 0);
        CHECK_RECEIVED(h[1], "ABC");
        CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
        CHECK_SENT(h[1], "DEF");
        CHECK_INT(tls_done(h[1], soon()), 0);
        s[1] = tls_detach(h[1], soon());
        CHECK(s[1] >= 0);
        CHECK_RECEIVED(h[0], "DEF");
        s[0] = tls_detach(h[0], soon());
        CHECK(s[0] >= 0);
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(the_bytestream_below_can_be_used_and_closed_gracefully_afterwards) {
    int h[2], s[2];
    EACH_STREAM_WITH(s, done, close) {
        make_tls_over(s, h);
        detach_both(h, s);
        CHECK_SENT(s[0], "plain");
        CHECK_RECEIVED(s[1], "plain");
        CHECK_SENT(s[1], "text");
        CHECK_RECEIVED(s[0], "text");
        CHECK_INT(done(s[0], soon()), 0);
        CHECK_INT(close(s[1], soon()), 0);
        CHECK_INT(close(s[0], soon()), 0);
    }
}

TEST(what_follows_right_behind_the_end_belongs_to_the_bytestream_below) {
    int h[2], s[2];
    EACH_TLS(h) {
        CHECK_INT(tls_done(h[1], soon()), 0);
        s[0] = tls_detach(h[0], soon());
        CHECK(s[0] >= 0);
        CHECK_SENT(s[0], "raw bytes right behind");
        s[1] = tls_detach(h[1], soon());
        CHECK(s[1] >= 0);
        CHECK_RECEIVED(s[1], "raw bytes right behind");
    }
}

TEST(TLS_can_be_put_on_again_after_detaching) {
    int h[2], s[2];
    EACH_STREAM(s) for (int i = 0; i != 5; ++i) {
        make_tls_over(s, h);
        CHECK_SENT(h[1], "once more");
        CHECK_RECEIVED(h[0], "once more");
        detach_both(h, s);
    }
}

TEST(detaching_drops_what_was_not_read) {
    int h[2], s[2];
    EACH_TLS(h) {
        int sender = go(send_blocks(h[1], 10, 100000));
        CHECK_INT(brecv(h[0], NULL, 5, soon()), 0);
        CHECK_INT(tls_done(h[0], soon()), 0);
        int b = go(detach_into(h[0], &s[0]));
        CHECK_INT(bundle_wait(sender, soon()), 0);
        s[1] = tls_detach(h[1], soon());
        CHECK(s[1] >= 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK(s[0] >= 0);
        CHECK_SENT(s[1], "!");
        CHECK_RECEIVED(s[0], "!");
    }
}

TEST(a_detached_handle_is_gone) {
    int h[2], s[2];
    make_tls_over_ipc(h);
    detach_both(h, s);
    CHECK_ERR(hclose(h[0]), -1, EBADF);
    CHECK_ERR(tls_done(h[0], soon()), -1, EBADF);
    CHECK_ERR(tls_detach(h[0], soon()), -1, EBADF);
    CHECK_ERR(bsend(h[0], "x", 1, soon()), -1, EBADF);
    CHECK_INT(hclose(s[0]), 0);
}

TEST(many_connections_one_after_another_use_few_handles) {
    int h[2], s[2], highest = 0;
    make_ipc_pair(s);
    for (int i = 0; i != 500; ++i) {
        make_tls_over(s, h);
        detach_both(h, s);
        if (h[0] > highest) highest = h[0];
    }
    CHECK(highest < 300);
}

/* --- TLS below and above others --- */

TEST(TLS_runs_over_TLS) {
    int outer[2], inner[2], s[2];
    make_tls_over_tcp(outer);
    s[0] = outer[0];
    s[1] = outer[1];
    make_tls_over(s, inner);
    int b = go(send_blocks(inner[0], 10, 100003));
    receive_blocks(inner[1], 100003, 10);
    CHECK_INT(bundle_wait(b, soon()), 0);
    detach_both(inner, outer);
    CHECK_SENT(outer[0], "outer");
    CHECK_RECEIVED(outer[1], "outer");
    detach_both(outer, s);
    CHECK_SENT(s[1], "plain");
    CHECK_RECEIVED(s[0], "plain");
}

coroutine static void serve_websocket(int h) {
    char buf[64];
    ssize_t len;
    int ws = ws_attach_server(h, WS_TEXT, NULL, 0, NULL, 0, soon());
    CHECK(ws >= 0);
    len = mrecv(ws, buf, sizeof(buf), soon());
    CHECK_INT(len, 5);
    CHECK_INT(msend(ws, buf, (size_t)len, soon()), 0);
    h = ws_detach(ws, 1000, NULL, 0, soon());
    CHECK(h >= 0);
    h = tls_detach(h, soon());
    CHECK(h >= 0);
    CHECK_INT(tcp_close(h, soon()), 0);
}

TEST(WebSocket_runs_over_TLS) {
    int h[2], ws, b;
    char buf[64];
    make_tls_over_tcp(h);
    b = go(serve_websocket(h[1]));
    ws = ws_attach_client(h[0], WS_TEXT, "/", "localhost", soon());
    CHECK(ws >= 0);
    CHECK_INT(msend(ws, "hello", 5, soon()), 0);
    CHECK_INT(mrecv(ws, buf, sizeof(buf), soon()), 5);
    CHECK_MEM(buf, "hello", 5);
    h[0] = ws_detach(ws, 1000, NULL, 0, soon());
    CHECK(h[0] >= 0);
    h[0] = tls_detach(h[0], soon());
    CHECK(h[0] >= 0);
    CHECK_INT(tcp_close(h[0], soon()), 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
}
