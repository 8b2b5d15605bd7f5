/* Whatever a peer sends, it gets an error or a message, never a crash and never an endless wait. */

#include <libdill.h>

#include "http.h"
#include "test.h"
#include "wire.h"

enum { ROUNDS = OVER_TLS ? 300 : 3000 };

static struct wire w;
static uint8_t bytes[4096];
static char buf[4096];

/* The peer sends these bytes and hangs up; we receive until the end. */
static void receive_all(size_t len) {
    ssize_t n;
    raw_send(w.fd, bytes, len);
    CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
    do n = ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000);
    while (n >= 0 || errno == EMSGSIZE);
    CHECK(errno == EPROTO || errno == ECONNRESET || errno == EPIPE);
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
}

TEST(random_bytes_are_survived) {
    for (unsigned seed = 1; seed <= ROUNDS; ++seed) EACH_ROLE(&w, WS_TEXT) {
            unsigned r = seed;
            size_t len = (size_t)rand_r(&r) % 200;
            for (size_t i = 0; i != len; ++i) bytes[i] = (uint8_t)(rand_r(&r) >> 4);
            receive_all(len);
        }
}

/* Frames that look right at the first glance: opcodes, masks and lengths that occur. */
static size_t build_plausible_frame(uint8_t *out, unsigned *r) {
    static const int firsts[] = {0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0x08, 0x83, 0xc1, 0x91};
    int first = firsts[(size_t)rand_r(r) % (sizeof(firsts) / sizeof(*firsts))];
    size_t len = (size_t)rand_r(r) % (rand_r(r) % 8 ? 126 : 400);
    int masked = (rand_r(r) % 20 == 0) ^ (w.role == SERVER);
    size_t n = frame_header(out, first, masked, len, extended_length(len));
    for (size_t i = 0; i != len; ++i) out[n + i] = (uint8_t)(rand_r(r) % (rand_r(r) % 50 ? 128 : 256));
    for (size_t i = 0; masked && i != len; ++i) out[n + i] ^= wire_key[i % 4];
    return n + len;
}

TEST(random_frames_are_survived) {
    for (unsigned seed = 1; seed <= ROUNDS; ++seed) EACH_ROLE(&w, WS_TEXT) {
            unsigned r = seed;
            size_t n = 0;
            while (n < 2000 && rand_r(&r) % 8) n += build_plausible_frame(bytes + n, &r);
            if (n && rand_r(&r) % 4 == 0) n = (size_t)rand_r(&r) % n;
            receive_all(n);
        }
}

/* --- Handshakes --- */

static const char request[] =
    "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/* Changes, removes, doubles or inserts a few bytes. */
static size_t mutate(char *text, size_t len, unsigned *r) {
    for (int changes = 1 + rand_r(r) % 3; changes; --changes) {
        size_t at = (size_t)rand_r(r) % len, count = 1 + (size_t)rand_r(r) % 8;
        if (count > len - at) count = len - at;
        switch (rand_r(r) % 4) {
        case 0: text[at] = (char)(rand_r(r) >> 4); break;
        case 1: memmove(text + at, text + at + count, len - at - count); len -= count; break;
        case 2: memmove(text + at + count, text + at, len - at); len += count; break;
        default: text[at] = "\r\n :,\t"[rand_r(r) % 6]; break;
        }
        if (len == 0) return 0;
    }
    return len;
}

TEST(mutated_requests_are_survived) {
    int accepted = 0;
    for (unsigned seed = 1; seed <= ROUNDS; ++seed) {
        unsigned r = seed;
        int s, fd, ws;
        size_t len;
        memcpy(buf, request, sizeof(request));
        len = mutate(buf, sizeof(request) - 1, &r);
        make_ipc_and_raw(&s, &fd);
        raw_send(fd, buf, len);
        CHECK_INT(shutdown(fd, SHUT_WR), 0);
        errno = 0;
        ws = ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 5000);
        if (ws >= 0) ++accepted;
        else CHECK(errno == EPROTO || errno == ECONNRESET || errno == EMSGSIZE);
        if (ws >= 0) CHECK_INT(hclose(ws), 0);
        CHECK_ERR(hclose(s), -1, EBADF);
        CHECK_INT(close(fd), 0);
    }
    CHECK(accepted > 0 && accepted < ROUNDS);
}

coroutine static void answer(int fd, unsigned seed) {
    char response[1024], key[64], accept_key[WS_KEY_SIZE];
    size_t len;
    raw_recv_head(fd, buf, sizeof(buf));
    CHECK_INT(ws_response_key(head_field(buf, "Sec-WebSocket-Key", key, sizeof(key)), accept_key), 0);
    len = (size_t)snprintf(response, 512,
                           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: %s\r\n\r\n",
                           accept_key);
    raw_send(fd, response, mutate(response, len, &seed));
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
}

TEST(mutated_responses_are_survived) {
    int accepted = 0;
    for (unsigned seed = 1; seed <= 1000; ++seed) {
        int s, fd, ws, h;
        make_ipc_and_raw(&s, &fd);
        h = go(answer(fd, seed));
        errno = 0;
        ws = ws_attach_client(s, WS_TEXT, "/", "h", now() + 5000);
        if (ws >= 0) ++accepted;
        else CHECK(errno == EPROTO || errno == ECONNRESET || errno == EMSGSIZE);
        if (ws >= 0) CHECK_INT(hclose(ws), 0);
        CHECK_INT(hclose(h), 0);
        CHECK_INT(close(fd), 0);
    }
    CHECK(accepted > 0 && accepted < 1000);
}
