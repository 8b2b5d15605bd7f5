/* Compressed messages on a bytestream that the user wrote. */

#include "byte_stream.h"
#include "deflate_pair.h"
#include "http.h"
#include "usersock.h"
#include "wire.h"

static char data[200000];

static void fill(size_t len, int is_random) {
    unsigned state = 1;
    for (size_t i = 0; i != len; ++i)
        data[i] = is_random ? (char)((state = state * 1103515245 + 12345) >> 16) : "{\"name\": \"value\"}, "[i % 19];
}

static coroutine void send_data(int ws, size_t len) { CHECK_INT(ws_send(ws, WS_BINARY, data, len, in_time()), 0); }

static void exchange(int from, int to, size_t len) {
    int h = go(send_data(from, len));
    expect_message(to, WS_BINARY, data, len);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(messages_of_every_length_arrive_compressed_over_streams_that_pass_single_bytes) {
    static const size_t lengths[] = {0, 1, 127, 128, 1000, 65536, 200000, 5};
    for (int flags = 0; flags != 2; ++flags)
        for (int is_random = 0; is_random != 2; ++is_random) {
            int s[2], ws[2];
            how = (struct ws_deflate){.size = sizeof(how), .flags = flags ? WS_DEFLATE_CONTEXT : 0, .threshold = 1};
            fill(sizeof(data), is_random);
            make_byte_stream_pair(s);
            make_pair(s, ws);
            for (size_t i = 0; i != sizeof(lengths) / sizeof(*lengths); ++i) {
                exchange(ws[0], ws[1], lengths[i]);
                exchange(ws[1], ws[0], lengths[i]);
            }
            CHECK_INT(hclose(ws[0]), 0);
            CHECK_INT(hclose(ws[1]), 0);
        }
}

/* --- A stream whose sends fail --- */

static struct user_stream stream;
static int calls_left;

static int send_until(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    if (calls_left-- > 0) return user_stream_bsendl(bvfs, first, last, deadline);
    return errno = EXDEV, -1;
}

/* The sender is ws[0]. Each send of its stream passes one frame on. */
static void make_failing_pair(int ws[2], int calls) {
    int s[2];
    calls_left = 1000;
    make_ipc_pair(s);
    s[0] = user_stream_make(&stream, s[0]);
    stream.bvfs.bsendl = send_until;
    make_pair(s, ws);
    calls_left = calls;
}

TEST(a_stream_of_the_user_that_fails_at_any_frame_breaks_sending) {
    fill(sizeof(data), 1);
    how = (struct ws_deflate){.size = sizeof(how), .flags = WS_DEFLATE_CONTEXT};
    for (int calls = 0; calls != 3; ++calls) {
        int ws[2];
        make_failing_pair(ws, calls);
        CHECK_ERR(ws_send(ws[0], WS_BINARY, data, sizeof(data), in_time()), -1, EXDEV);
        CHECK_INT(calls_left, -1);
        CHECK_ERR(ws_send(ws[0], WS_BINARY, data, 1, in_time()), -1, ECONNRESET);
        CHECK_ERR(ws_send(ws[0], WS_BINARY, data, sizeof(data), in_time()), -1, ECONNRESET);
        CHECK_INT(calls_left, -1);
        CHECK_INT(hclose(ws[0]), 0);
        CHECK_ERR(ws_recv(ws[1], NULL, NULL, sizeof(data), in_time()), -1, ECONNRESET);
        CHECK_INT(hclose(ws[1]), 0);
    }
}
