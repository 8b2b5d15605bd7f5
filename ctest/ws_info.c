/* What is told about a WebSocket. */

#include <libdillext.h>

#include "test.h"
#include "tls.h"
#include "wire.h"

static struct wire w;

static int64_t in_time(void) { return now() + 5000; }

static struct ws_info info_of(int s) {
    struct ws_info info;
    memset(&info, 0xff, sizeof(info));
    info.size = sizeof(info);
    CHECK_INT(ws_info(s, &info), 0);
    CHECK_INT(info.size, sizeof(info));
    return info;
}

TEST(a_fresh_one_tells_what_it_is) {
    EACH_ROLE(&w, WS_TEXT) {
        struct ws_info info = info_of(w.ws);
        CHECK_INT(info.role, w.role == CLIENT ? WS_CLIENT : WS_SERVER);
        CHECK_INT(info.type, WS_TEXT);
        CHECK_INT(info.deflate, 0);
        CHECK_INT(info.window_bits, 0);
        CHECK_INT(info.peer_window_bits, 0);
        CHECK_INT(info.deflate_flags, 0);
        CHECK_INT(info.messages_sent | info.messages_received | info.payload_sent | info.payload_received, 0);
        CHECK_INT(info.wire_sent | info.wire_received | info.pings_sent | info.pings_received, 0);
        CHECK_INT(info.pongs_sent | info.pongs_received | info.queued, 0);
        CHECK_INT(info.round_trip, -1);
    }
}

TEST(messages_and_bytes_are_counted) {
    EACH_ROLE(&w, WS_TEXT) {
        static char large[70000];
        char buf[100];
        int key = w.role == CLIENT ? 4 : 0, peer_key = 4 - key;
        struct ws_info info;
        CHECK_INT(ws_send(w.ws, WS_TEXT, "hello", 5, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT | WS_MORE, "abc", 3, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "d", 1, in_time()), 0);
        CHECK_INT(ws_send(w.ws, WS_BINARY, large, sizeof(large), in_time()), 0);
        wire_send_text(&w, FIN | TEXT, "whole");
        wire_send_text(&w, TEXT, "ab");
        wire_send_text(&w, FIN | CONTINUATION, "");
        expect_text(w.ws, "whole");
        expect_text(w.ws, "ab");
        wire_send(&w, FIN | BINARY, large, 200);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), in_time()), -1, EMSGSIZE);
        wire_send_text(&w, FIN | TEXT, "next");
        expect_text(w.ws, "next");
        info = info_of(w.ws);
        CHECK_INT(info.messages_sent, 3);
        CHECK_INT(info.payload_sent, 5 + 4 + sizeof(large));
        CHECK_INT(info.wire_sent, 5 + 4 + sizeof(large) + 2 + 2 + 2 + 10 + 4 * (size_t)key);
        CHECK_INT(info.messages_received, 4);
        CHECK_INT(info.payload_received, 5 + 2 + 200 + 4);
        CHECK_INT(info.wire_received, 5 + 2 + 200 + 4 + 2 + 2 + 2 + 4 + 2 + 5 * (size_t)peer_key);
    }
}

TEST(pings_and_pongs_are_counted_and_the_round_trip_is_that_of_the_last_ping) {
    EACH_ROLE(&w, WS_TEXT) {
        struct ws_info info;
        CHECK_INT(ws_ping(w.ws, "one", 3, in_time()), 0);
        CHECK_INT(ws_ping(w.ws, "two", 3, in_time()), 0);
        CHECK_INT(ws_pong(w.ws, "x", 1, in_time()), 0);
        wire_send_text(&w, FIN | PONG, "one");
        wire_send_text(&w, FIN | PONG, "unasked");
        wire_send_text(&w, FIN | PING, "hi");
        wire_send_text(&w, FIN | TEXT, "a");
        expect_text(w.ws, "a");
        info = info_of(w.ws);
        CHECK_INT(info.pings_sent, 2);
        CHECK_INT(info.pongs_sent, 2);
        CHECK_INT(info.pings_received, 1);
        CHECK_INT(info.pongs_received, 2);
        CHECK_INT(info.round_trip, -1);
        CHECK_INT(msleep(now() + 5), 0);
        wire_send_text(&w, FIN | PONG, "two");
        wire_send_text(&w, FIN | TEXT, "b");
        expect_text(w.ws, "b");
        info = info_of(w.ws);
        CHECK(info.round_trip >= 4000);
    }
}

TEST(what_the_kernel_has_not_taken_is_queued) {
    EACH_ROLE_ON_OWN(&w, WS_BINARY) {
        static char block[1000];
        int sent = 0;
        struct ws_info info;
        CHECK_INT(ws_send(w.ws, WS_BINARY | WS_GATHER, "abc", 3, -1), 0);
        info = info_of(w.ws);
        CHECK_INT(info.queued, 3 + (w.role == CLIENT ? 6 : 2));
        CHECK_INT(info.wire_sent, 0);
        CHECK_INT(yield(), 0);
        info = info_of(w.ws);
        CHECK_INT(info.queued, 0);
        CHECK_INT(info.wire_sent, 3 + (w.role == CLIENT ? 6 : 2));
        while (ws_send(w.ws, WS_BINARY, block, sizeof(block), 0) == 0) ++sent;
        info = info_of(w.ws);
        CHECK_INT(info.messages_sent, sent + 1);
        CHECK_INT(info.payload_sent, 3 + sent * (int)sizeof(block));
    }
}

static struct ws_deflate how;
static struct ws_opts opts = {.size = sizeof(struct ws_opts), .flags = WS_TEXT | WS_DEFLATE, .deflate = &how};

coroutine static void accept_into(int s, int *ws) { *ws = ws_attach_server_opts(s, &opts, in_time()); }

TEST(compression_is_told_and_counted_before_and_after) {
    static const int seen_by_server[] = {0, WS_DEFLATE_PEER_CONTEXT, WS_DEFLATE_CONTEXT, 3};
    static char text[5000], in[5000];
    memset(text, 'a', sizeof(text));
    for (int flags = 0; flags != 4; ++flags) {
        int s[2], ws[2], h;
        struct ws_info info;
        how = (struct ws_deflate){.size = sizeof(how), .window_bits = 11, .peer_window_bits = 12, .flags = flags};
        make_tcp_pair(s);
        h = go(accept_into(s[1], &ws[1]));
        ws[0] = ws_attach_client_opts(s[0], "/", "x", &opts, in_time());
        CHECK(ws[0] >= 0);
        CHECK_INT(bundle_wait(h, -1), 0);
        CHECK_INT(hclose(h), 0);
        CHECK_INT(ws_send(ws[0], WS_TEXT, text, sizeof(text), in_time()), 0);
        CHECK_INT(ws_recv(ws[1], NULL, in, sizeof(in), in_time()), sizeof(text));
        info = info_of(ws[0]);
        CHECK_INT(info.deflate, 1);
        CHECK(info.window_bits >= 8 && info.window_bits <= 11);
        CHECK(info.peer_window_bits >= 8 && info.peer_window_bits <= 12);
        CHECK_INT(info.deflate_flags & ~flags, 0);
        CHECK_INT(info.payload_sent, sizeof(text));
        CHECK(info.wire_sent < 200);
        uint64_t wire = info.wire_sent;
        int told = info.deflate_flags;
        info = info_of(ws[1]);
        CHECK_INT(info.deflate_flags, seen_by_server[told]);
        CHECK_INT(info.messages_received, 1);
        CHECK_INT(info.payload_received, sizeof(text));
        CHECK_INT(info.wire_received, wire);
    }
}

TEST(the_structure_is_that_of_the_program) {
    char bytes[sizeof(struct ws_info) + 16];
    struct ws_info *info = (struct ws_info *)bytes;
    wire_open_tcp(&w, SERVER, WS_TEXT);
    memset(bytes, 0xff, sizeof(bytes));
    info->size = sizeof(bytes) - 8;
    CHECK_INT(ws_info(w.ws, info), 0);
    CHECK_INT(info->size, sizeof(bytes) - 8);
    for (size_t i = 0; i != 8; ++i) CHECK_INT(bytes[sizeof(*info) + i], 0);
    for (size_t i = 8; i != 16; ++i) CHECK_INT((uint8_t)bytes[sizeof(*info) + i], 0xff);
    info->size = sizeof(*info) - 1;
    CHECK_ERR(ws_info(w.ws, info), -1, EINVAL);
    info->size = 4097;
    CHECK_ERR(ws_info(w.ws, info), -1, EINVAL);
    CHECK_ERR(ws_info(w.ws, NULL), -1, EINVAL);
    CHECK_ERR(ws_info(-1, NULL), -1, EBADF);
    int s[2];
    make_ipc_pair(s);
    CHECK_ERR(ws_info(s[0], NULL), -1, ENOTSUP);
}
