/* Compressed messages: permessage-deflate, RFC 7692. */

#include <libdillext.h>

#include "http.h"
#include "list.h"
#include "test.h"
#include "usersock.h"
#include "wire.h"

#define REQUEST                                                                                               \
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
enum { COMPRESSED = 0x40 };

static struct ws_deflate how = {.size = sizeof(struct ws_deflate)};
static struct ws_opts opts = {.size = sizeof(struct ws_opts), .flags = WS_TEXT | WS_DEFLATE, .deflate = &how};
static char data[200000], buf[200000];

static void fill(char *place, size_t len) {
    for (size_t i = 0; i != len; ++i) place[i] = "{\"name\": \"value\", \"number\": 12345}, "[(i + i / 900) % 36];
}

/* --- Both ends ours --- */

static coroutine void accept_into(int s, int *ws) { *ws = ws_attach_server_opts(s, &opts, now() + 5000); }

static void make_deflate_pair(int ws[2], int s[2]) {
    int server = go(accept_into(s[1], &ws[1]));
    ws[0] = ws_attach_client_opts(s[0], "/", "x", &opts, now() + 5000);
    CHECK(ws[0] >= 0);
    CHECK_INT(bundle_wait(server, -1), 0);
    CHECK(ws[1] >= 0);
    CHECK_INT(hclose(server), 0);
}

static coroutine void send_data(int ws, size_t len) { CHECK_INT(ws_send(ws, WS_BINARY, data, len, now() + 10000), 0); }

static void exchange(const int ws[2], size_t len) {
    int h = go(send_data(ws[0], len));
    expect_message(ws[1], WS_BINARY, data, len);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(messages_of_every_length_arrive_with_every_window_and_context) {
    static const size_t lengths[] = {0, 1, 127, 128, 129, 0, 1000, 65535, 65536, 200000, 5};
    fill(data, sizeof(data));
    for (int bits = 8; bits <= 15; ++bits)
        for (int flags = 0; flags != 4; ++flags) {
            int ws[2], s[2];
            how = (struct ws_deflate){
                .size = sizeof(how), .window_bits = bits, .peer_window_bits = 23 - bits, .flags = flags, .threshold = 1};
            if (bits % 2) make_tcp_pair(s);
            else make_ipc_pair(s);
            make_deflate_pair(ws, s);
            for (size_t i = 0; i != sizeof(lengths) / sizeof(*lengths); ++i)
                for (int direction = 0; direction != 2; ++direction) {
                    int way[2] = {ws[direction], ws[!direction]};
                    exchange(way, lengths[i]);
                }
            CHECK_INT(hclose(ws[0]), 0);
            CHECK_INT(hclose(ws[1]), 0);
        }
}

TEST(random_bytes_arrive_though_they_do_not_become_shorter) {
    unsigned state = 1;
    for (size_t i = 0; i != sizeof(data); ++i) data[i] = (char)((state = state * 1103515245 + 12345) >> 16);
    for (int flags = 0; flags != 4; ++flags) {
        int ws[2], s[2];
        how = (struct ws_deflate){.size = sizeof(how), .flags = flags};
        make_tcp_pair(s);
        make_deflate_pair(ws, s);
        for (size_t len = 1; len < sizeof(data); len = len * 3 + 1) exchange(ws, len);
    }
}

TEST(a_message_that_does_not_fit_is_dropped_and_the_next_one_arrives) {
    for (int flags = 0; flags != 4; ++flags) {
        int ws[2], s[2];
        how = (struct ws_deflate){.size = sizeof(how), .flags = flags};
        make_tcp_pair(s);
        make_deflate_pair(ws, s);
        fill(data, 5000);
        for (int i = 0; i != 3; ++i) {
            CHECK_INT(ws_send(ws[0], WS_TEXT, data, 5000, now() + 5000), 0);
            CHECK_INT(ws_send(ws[0], WS_TEXT, data, 5000, now() + 5000), 0);
            memset(buf, 1, sizeof(buf));
            CHECK_ERR(ws_recv(ws[1], NULL, buf, 4999, now() + 5000), -1, EMSGSIZE);
            CHECK_INT(buf[4999], 1);
            expect_message(ws[1], WS_TEXT, data, 5000);
            CHECK_INT(ws_send(ws[0], WS_TEXT, data, 5000, now() + 5000), 0);
            CHECK_INT(ws_recv(ws[1], NULL, NULL, 5000, now() + 5000), 5000);
        }
    }
}

TEST(a_bomb_costs_its_limit) {
    static char zeros[16 * 1024 * 1024];
    int ws[2], s[2], code;
    how = (struct ws_deflate){.size = sizeof(how)};
    opts.max_message = 1000;
    make_tcp_pair(s);
    make_deflate_pair(ws, s);
    CHECK_INT(ws_send(ws[0], WS_BINARY, zeros, sizeof(zeros), now() + 10000), 0);
    memset(buf, 1, sizeof(buf));
    CHECK_ERR(ws_recv(ws[1], NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
    CHECK_INT(buf[1000], 1);
    CHECK_ERR(ws_recv(ws[1], NULL, buf, sizeof(buf), now() + 5000), -1, ECONNRESET);
    CHECK_ERR(ws_recv(ws[0], NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    CHECK_INT(ws_status(ws[0], &code, NULL, 0), 0);
    CHECK_INT(code, 1009);
}

TEST(a_maximum_holds_for_messages_that_are_not_compressed_too) {
    int ws[2], s[2], code;
    opts.max_message = 1000;
    opts.flags = WS_TEXT;
    opts.deflate = NULL;
    make_tcp_pair(s);
    make_deflate_pair(ws, s);
    fill(data, 1001);
    exchange(ws, 1000);
    CHECK_INT(ws_send(ws[0], WS_BINARY, data, 1001, now() + 10000), 0);
    CHECK_ERR(ws_recv(ws[1], NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
    CHECK_ERR(ws_recv(ws[0], NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
    CHECK_INT(ws_status(ws[0], &code, NULL, 0), 0);
    CHECK_INT(code, 1009);
}

TEST(lists_are_compressed_and_decompressed) {
    int ws[2], s[2];
    char first[10], second[5000];
    how = (struct ws_deflate){.size = sizeof(how), .flags = WS_DEFLATE_CONTEXT};
    make_ipc_pair(s);
    make_deflate_pair(ws, s);
    fill(data, 6000);
    for (int i = 0; i != 2; ++i) {
        struct iolist out[3] = {{data, 10, &out[1], 0}, {data + 10, 0, &out[2], 0}, {data + 10, 5990, NULL, 0}};
        struct iolist in[3] = {{first, 10, &in[1], 0}, {NULL, 990, &in[2], 0}, {second, 5000, NULL, 0}};
        CHECK_INT(msendl(ws[0], &out[0], &out[2], now() + 5000), 0);
        CHECK_INT(mrecvl(ws[1], &in[0], &in[2], now() + 5000), 6000);
        CHECK(memcmp(first, data, 10) == 0 && memcmp(second, data + 1000, 5000) == 0);
    }
}

/* --- A peer played by hand --- */

static struct wire w;
static char head[HEAD_MAX];

static void accept_offer(const char *offer) {
    int s;
    w.role = SERVER;
    make_tcp_and_raw(&s, &w.fd);
    raw_send_text(w.fd, REQUEST "Sec-WebSocket-Extensions: ");
    raw_send_text(w.fd, offer);
    raw_send_text(w.fd, "\r\n\r\n");
    w.ws = ws_attach_server_opts(s, &opts, now() + 5000);
    CHECK(w.ws >= 0);
    raw_recv_head(w.fd, head, sizeof(head));
}

coroutine static void send_bytes(int s, const uint8_t *bytes, size_t len) { bsend(s, bytes, len, now() + 5000); }

static long memory(void) {
    struct rusage usage;
    CHECK_INT(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss; /* KiB */
}

TEST(a_GiB_in_a_MiB_costs_what_there_is_room_for) {
    /* A block of zeros, in which two bits are 258 of them. */
    static const uint8_t begin[] = {0xec, 0xc1, 1, 1, 0, 0, 0, 0x80, 0x90, 0xfe, 0xaf, 0xee, 8, 0x0a};
    static uint8_t payload[1 << 20], frame[sizeof(payload) + 14];
    memcpy(payload, begin, sizeof(begin));
    size_t len = frame_build(frame, SERVER, FIN | COMPRESSED | BINARY, payload, sizeof(payload));
    for (int way = 0; way != 3; ++way) {
        struct ws_info info = {.size = sizeof(info)};
        int flags;
        how = (struct ws_deflate){.size = sizeof(how)};
        opts.max_message = way == 1 ? 1000 : 0;
        accept_offer("permessage-deflate");
        long before = memory();
        int peer = wire_adopt(w.fd), h = go(send_bytes(peer, frame, len));
        memset(buf, 1, sizeof(buf));
        if (way == 0) CHECK_ERR(ws_recv(w.ws, NULL, buf, 1000, now() + 5000), -1, EMSGSIZE);
        if (way == 1) CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        if (way == 2) CHECK_INT(ws_recvsome(w.ws, &flags, buf, 1000, now() + 5000), 1000);
        if (way == 2) CHECK_INT(flags, WS_BINARY | WS_MORE);
        CHECK_INT(buf[999], 0);
        CHECK_INT(buf[1000], 1);
        CHECK_INT(ws_info(w.ws, &info), 0);
        CHECK_INT(info.payload_received, way == 1 ? 0 : 1000);
        if (way == 0) {
            /* What is not wanted is not even made. */
            CHECK_INT(bundle_wait(h, now() + 5000) | bsend(peer, frame, frame_build(frame, SERVER, FIN | TEXT, "a", 1), -1), 0);
            expect_text(w.ws, "a");
            CHECK_INT(ws_info(w.ws, &info), 0);
            CHECK_INT(info.payload_received, 1001);
            frame_build(frame, SERVER, FIN | COMPRESSED | BINARY, payload, sizeof(payload));
        }
        CHECK(memory() - before < 16 * 1024);
        CHECK_INT(hclose(w.ws), 0);
        CHECK_INT(hclose(h), 0);
        CHECK_INT(hclose(peer), 0);
    }
}

TEST(the_answer_has_what_was_agreed_on) {
    how = (struct ws_deflate){.size = sizeof(how), .peer_window_bits = 12, .flags = WS_DEFLATE_CONTEXT};
    accept_offer("permessage-deflate; server_max_window_bits=10; client_max_window_bits");
    CHECK(strstr(head, "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
                       "server_max_window_bits=10; client_max_window_bits=12\r\n"));
    accept_offer("permessage-deflate; what=1");
    CHECK(!strstr(head, "Sec-WebSocket-Extensions"));
    opts.flags = WS_TEXT;
    opts.deflate = NULL;
    accept_offer("permessage-deflate");
    CHECK(!strstr(head, "Sec-WebSocket-Extensions"));
}

TEST(only_messages_from_the_threshold_on_are_compressed_unless_it_is_not_wanted) {
    how = (struct ws_deflate){.size = sizeof(how), .threshold = 100};
    accept_offer("permessage-deflate");
    memset(data, 'x', 100);
    CHECK_INT(ws_send(w.ws, WS_TEXT, data, 99, now() + 5000), 0);
    wire_expect(&w, FIN | TEXT, data, 99);
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_NODEFLATE, data, 100, now() + 5000), 0);
    wire_expect(&w, FIN | TEXT, data, 100);
    CHECK_INT(ws_send(w.ws, WS_TEXT, data, 100, now() + 5000), 0);
    struct wire_frame f = {0, 0, {0}, 0, NULL};
    wire_recv(&w, &f);
    CHECK_INT(f.first, FIN | COMPRESSED | TEXT);
    CHECK(f.len < 20);
}

TEST(a_deadline_at_any_byte_of_a_compressed_message_loses_nothing) {
    static const char hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    how = (struct ws_deflate){.size = sizeof(how)};
    uint8_t wire[64];
    size_t len = frame_build(wire, SERVER, COMPRESSED | TEXT, hello, 3);
    len += frame_build(wire + len, SERVER, FIN | PING, "", 0);
    len += frame_build(wire + len, SERVER, FIN, hello + 3, 4);
    accept_offer("permessage-deflate");
    for (size_t cut = 0; cut != len; ++cut) {
        raw_send(w.fd, wire, cut);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 5, 0), -1, ETIMEDOUT);
        raw_send(w.fd, wire + cut, len - cut);
        expect_text(w.ws, "Hello");
    }
    /* The same with another connection in between. */
    int other = w.ws, fd = w.fd;
    raw_send(fd, wire, 9);
    CHECK_ERR(ws_recv(other, NULL, buf, 5, now() + 20), -1, ETIMEDOUT);
    accept_offer("permessage-deflate");
    raw_send(w.fd, wire, len);
    expect_text(w.ws, "Hello");
    raw_send(fd, wire + 9, len - 9);
    expect_text(other, "Hello");
}

TEST(a_message_that_just_fits_does_so_though_its_last_fragment_has_not_come) {
    static const char hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    how = (struct ws_deflate){.size = sizeof(how)};
    uint8_t wire[64];
    size_t len = frame_build(wire, SERVER, COMPRESSED | TEXT, hello, 6);
    size_t whole = len + frame_build(wire + len, SERVER, FIN, hello + 6, 1);
    for (opts.max_message = 0; opts.max_message <= 5; opts.max_message += 5) {
        accept_offer("permessage-deflate");
        raw_send(w.fd, wire, whole - 1);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, 5, now() + 20), -1, ETIMEDOUT);
        raw_send(w.fd, wire + whole - 1, 1);
        CHECK_INT(ws_recv(w.ws, NULL, buf, 5, now() + 5000), 5);
        CHECK_MEM(buf, "Hello", 5);
    }
}

/* --- What takes long --- */

static coroutine void count_turns(int *turns) {
    while (yield() == 0) ++*turns;
}

/* Dynamic blocks with a table and nothing else; returns how long they are. */
static size_t make_empty_blocks(char *place, size_t blocks) {
    /* The bits of one, and how many: its type; 257, 1 and 18 codes; of those of lengths, 18 and 1 have one bit;
       256 zeros; ones for the end of the block and a distance; the end of the block. */
    static const struct { unsigned value; int bits; } block[] = {
        {4, 3}, {0, 5}, {0, 5}, {14, 4}, {0, 6}, {1, 3}, {0, 30}, {0, 12}, {1, 3},
        {1, 1}, {127, 7}, {1, 1}, {107, 7}, {0, 1}, {0, 1}, {0, 1}};
    size_t bit = 0;
    memset(place, 0, blocks * 12 + 10);
    for (size_t i = 0; i != blocks; ++i)
        for (size_t k = 0; k != sizeof(block) / sizeof(*block); ++k)
            for (int n = 0; n != block[k].bits; ++n, ++bit)
                place[bit / 8] |= (char)((block[k].value >> n & 1) << bit % 8);
    /* An empty stored block, as far as it is sent. */
    return (bit + 3 + 7) / 8;
}

TEST(blocks_with_nothing_in_them_do_not_keep_others_from_running) {
    enum { BLOCKS = 12000 };
    int turns = 0;
    how = (struct ws_deflate){.size = sizeof(how)};
    size_t len = make_empty_blocks(data, BLOCKS);
    accept_offer("permessage-deflate");
    wire_send(&w, FIN | COMPRESSED | TEXT, data, len);
    /* All of it is here then: no wait lets others run. */
    CHECK_INT(msleep(now() + 5), 0);
    int h = go(count_turns(&turns));
    turns = 0;
    CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), 0);
    CHECK(turns > 2);
    CHECK_INT(hclose(h), 0);
}

TEST(others_run_while_a_message_is_compressed_to_almost_nothing) {
    static char zeros[32 * 1024 * 1024];
    int turns = 0;
    how = (struct ws_deflate){.size = sizeof(how)};
    accept_offer("permessage-deflate");
    int h = go(count_turns(&turns));
    turns = 0;
    CHECK_INT(ws_send(w.ws, WS_BINARY, zeros, sizeof(zeros), now() + 10000), 0);
    CHECK(turns > 2);
    CHECK_INT(hclose(h), 0);
}

TEST(what_is_no_deflate_stream_gives_EPROTO_and_1007) {
    static const char *const broken[] = {"\xff\xff", "\x06\x01\x02", "\xf2\x48", "\x00\x05\x00\xfa\xfe"};
    static const size_t lens[] = {2, 3, 2, 5};
    how = (struct ws_deflate){.size = sizeof(how)};
    for (int i = 0; i != 4; ++i) {
        accept_offer("permessage-deflate");
        wire_send(&w, FIN | COMPRESSED | BINARY, broken[i], lens[i]);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        wire_expect_close(&w, 1007);
    }
}

TEST(the_bit_where_it_must_not_be_gives_EPROTO_and_1002) {
    how = (struct ws_deflate){.size = sizeof(how)};
    static const int firsts[] = {FIN | COMPRESSED | PING, FIN | COMPRESSED, FIN | 0x20 | TEXT, FIN | 0x50 | TEXT};
    for (int i = 0; i != 4; ++i) {
        accept_offer("permessage-deflate");
        wire_send(&w, firsts[i], "", 0);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        wire_expect_close(&w, 1002);
    }
}

/* --- Arguments --- */

static coroutine void answer_wrongly(int fd, const char *extensions) {
    char ours[25] = "", key[WS_KEY_SIZE], text[HEAD_MAX + 200];
    raw_recv_head(fd, head, sizeof(head));
    char *found = strstr(head, "Sec-WebSocket-Key: ");
    CHECK(found != NULL);
    memcpy(ours, found + 19, 24);
    CHECK_INT(ws_response_key(ours, key), 0);
    snprintf(text, sizeof(text),
             "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
             "Sec-WebSocket-Extensions: %s\r\n\r\n",
             key, extensions);
    raw_send_text(fd, text);
}

static coroutine void ask(int s, int *ws, int *error) {
    *ws = ws_attach_client_opts(s, "/", "x", &opts, now() + 5000);
    *error = errno;
}

TEST(an_answer_that_the_offer_does_not_allow_gives_EPROTO) {
    static const char *const wrong[] = {"permessage-deflate", "permessage-deflate; server_no_context_takeover; x",
                                        "other", "permessage-deflate; server_no_context_takeover; client_max_window_bits=16"};
    how = (struct ws_deflate){.size = sizeof(how)};
    for (int i = 0; i != 4; ++i) {
        int s, fd, ws = 0, error = 0;
        make_tcp_and_raw(&s, &fd);
        int client = go(ask(s, &ws, &error));
        CHECK_INT(yield(), 0);
        answer_wrongly(fd, wrong[i]);
        CHECK_INT(bundle_wait(client, now() + 5000), 0);
        CHECK_INT(ws, -1);
        CHECK_INT(error, EPROTO);
        CHECK(strstr(head, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                           "client_no_context_takeover; client_max_window_bits\r\n"));
    }
}

static void expect_invalid(void) {
    int s, fd;
    make_tcp_and_raw(&s, &fd);
    CHECK_ERR(ws_attach_client_opts(s, "/", "x", &opts, now() + 5000), -1, EINVAL);
    CHECK(raw_is_closed(fd));
}

TEST(options_that_are_out_of_range_give_EINVAL) {
    const struct ws_deflate good = {.size = sizeof(good)};
    how = good, how.level = 10, expect_invalid();
    how = good, how.level = -1, expect_invalid();
    how = good, how.window_bits = 7, expect_invalid();
    how = good, how.window_bits = 16, expect_invalid();
    how = good, how.peer_window_bits = 7, expect_invalid();
    how = good, how.flags = 4, expect_invalid();
    how = good, how.size = sizeof(how) - 1, expect_invalid();
    how = good, opts.flags = WS_TEXT, expect_invalid();
    opts.flags = WS_DEFLATE | WS_NOHTTP, expect_invalid();
}

TEST(the_calls_of_libdill_do_not_know_the_flag) {
    int s, fd;
    make_tcp_and_raw(&s, &fd);
    CHECK_ERR(ws_attach_server(s, WS_TEXT | WS_DEFLATE, NULL, 0, NULL, 0, now() + 5000), -1, EINVAL);
}
