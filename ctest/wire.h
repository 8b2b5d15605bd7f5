/* A WebSocket handle of ours against a plain descriptor that speaks the protocol by hand. */

#ifndef WIRE_H
#define WIRE_H

#include "byte_stream.h"
#include "pair.h"

/* The first byte of a frame. */
enum {
    FIN = 0x80,
    CONTINUATION = 0x0,
    TEXT = 0x1,
    BINARY = 0x2,
    CLOSE = 0x8,
    PING = 0x9,
    PONG = 0xA,
};

enum role { CLIENT, SERVER };

struct wire {
    int ws; /* our handle */
    int fd; /* the peer */
    enum role role; /* ours */
};

/* The plain peer masks with this key when it is a client. */
static const uint8_t wire_key[4] = {0x37, 0xfa, 0x21, 0x3d};

static inline int attach_without_http(int s, enum role role, int flags) {
    int ws = role == CLIENT ? ws_attach_client(s, flags | WS_NOHTTP, NULL, NULL, -1)
                            : ws_attach_server(s, flags | WS_NOHTTP, NULL, 0, NULL, 0, -1);
    CHECK(ws >= 0);
    return ws;
}

static inline void wire_open(struct wire *w, enum role role, int flags) {
    int s;
    make_ipc_and_raw(&s, &w->fd);
    w->role = role;
    w->ws = attach_without_http(s, role, flags);
}

static inline void wire_open_tcp(struct wire *w, enum role role, int flags) {
    int s;
    make_tcp_and_raw(&s, &w->fd);
    w->role = role;
    w->ws = attach_without_http(s, role, flags);
}

static inline void wire_open_user(struct wire *w, enum role role, int flags) {
    int s;
    make_byte_stream_and_raw(&s, &w->fd);
    w->role = role;
    w->ws = attach_without_http(s, role, flags);
}

/* Runs the statement once for each side of the protocol that the library can be on: over IPC, which never
   reads ahead, over TCP, which does, and over a bytestream of the user's. */
#define EACH_ROLE_ON_IPC(W, FLAGS) \
    for (int role_ = CLIENT; role_ <= SERVER && (wire_open(W, (enum role)role_, FLAGS), 1); ++role_)
#define EACH_ROLE_ON_TCP(W, FLAGS) \
    for (int role_ = CLIENT; role_ <= SERVER && (wire_open_tcp(W, (enum role)role_, FLAGS), 1); ++role_)
#define EACH_ROLE_OF(COUNT, W, FLAGS)                                              \
    for (int wire_ = 0;                                                            \
         wire_ != (COUNT) && ((wire_ / 2 == 0   ? wire_open                        \
                               : wire_ / 2 == 1 ? wire_open_tcp                    \
                                                : wire_open_user)(W, (enum role)(wire_ % 2), FLAGS), \
                              1);                                                  \
         ++wire_)
#define EACH_ROLE(W, FLAGS) EACH_ROLE_OF(OVER_TLS ? 4 : 6, W, FLAGS)
/* Over the library's own streams only: on one of the user's nothing gathers, a few hundred pieces of one byte are
   all that the kernel takes before the peer reads, and text comes some thousand bytes at a time. */
#define EACH_ROLE_ON_OWN(W, FLAGS) EACH_ROLE_OF(4, W, FLAGS)

/* Makes a handle of a plain peer, for tests in which it must not block the thread. */
static inline int wire_adopt(int fd) {
    int peer = raw_is_secure(fd) ? byte_stream_make(fd) : tcp_fromfd(fd);
    if (peer < 0) peer = ipc_fromfd(fd);
    CHECK(peer >= 0);
    return peer;
}

/* --- Frames from the peer --- */

/* Writes a frame header with a length in 0, 2 or 8 extended bytes; returns its size. */
static inline size_t frame_header(uint8_t *out, int first, int masked, uint64_t len, int extended) {
    size_t n = 0;
    out[n++] = (uint8_t)first;
    out[n++] = (uint8_t)((masked ? 0x80 : 0) | (extended == 0 ? (int)len : extended == 2 ? 126 : 127));
    for (int i = extended; i; --i) out[n++] = (uint8_t)(len >> (8 * (i - 1)));
    if (masked) {
        memcpy(out + n, wire_key, 4);
        n += 4;
    }
    return n;
}

static inline int extended_length(uint64_t len) { return len < 126 ? 0 : len < 65536 ? 2 : 8; }

/* A whole frame as the peer of that role sends it; returns its size. out holds len + 14 bytes. */
static inline size_t frame_build(uint8_t *out, enum role receiver, int first, const void *payload, size_t len) {
    int masked = receiver == SERVER;
    size_t n = frame_header(out, first, masked, len, extended_length(len));
    for (size_t i = 0; i != len; ++i)
        out[n + i] = (uint8_t)(((const uint8_t *)payload)[i] ^ (masked ? wire_key[i % 4] : 0));
    return n + len;
}

static inline void wire_send(const struct wire *w, int first, const void *payload, size_t len) {
    uint8_t *frame = (uint8_t *)malloc(len + 14);
    size_t n = frame_build(frame, w->role, first, payload, len);
    raw_send(w->fd, frame, n);
    free(frame);
}

static inline void wire_send_text(const struct wire *w, int first, const char *text) {
    wire_send(w, first, text, strlen(text));
}

/* A close frame with a code and a reason. */
static inline void wire_send_close(const struct wire *w, int code, const char *reason) {
    char payload[125];
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    memcpy(payload + 2, reason, strlen(reason));
    wire_send(w, FIN | CLOSE, payload, 2 + strlen(reason));
}

/* --- Frames to the peer --- */

struct wire_frame {
    int first;
    int masked;
    uint8_t key[4];
    size_t len;
    uint8_t *payload; /* unmasked; the next wire_recv frees it */
};

static inline void wire_recv(const struct wire *w, struct wire_frame *f) {
    uint8_t head[2], more[8];
    int extended;
    raw_recv(w->fd, head, 2);
    f->first = head[0];
    f->masked = head[1] >> 7;
    CHECK_INT(f->masked, w->role == CLIENT);
    f->len = head[1] & 0x7f;
    extended = f->len == 126 ? 2 : f->len == 127 ? 8 : 0;
    raw_recv(w->fd, more, (size_t)extended);
    if (extended) f->len = 0;
    for (int i = 0; i != extended; ++i) f->len = f->len << 8 | more[i];
    CHECK_INT(extended, extended_length(f->len));
    if (f->masked) raw_recv(w->fd, f->key, 4);
    free(f->payload);
    f->payload = (uint8_t *)malloc(f->len + 1);
    raw_recv(w->fd, f->payload, f->len);
    f->payload[f->len] = 0;
    for (size_t i = 0; f->masked && i != f->len; ++i) f->payload[i] ^= f->key[i % 4];
}

/* The next frame that the peer gets is exactly this one. */
static inline void wire_expect(const struct wire *w, int first, const void *payload, size_t len) {
    struct wire_frame f = {0, 0, {0}, 0, NULL};
    wire_recv(w, &f);
    CHECK_INT(f.first, first);
    CHECK_INT(f.len, len);
    CHECK_MEM(f.payload, payload, len);
    free(f.payload);
}

static inline void wire_expect_text(const struct wire *w, int first, const char *text) {
    wire_expect(w, first, text, strlen(text));
}

/* The next frame that the peer gets is a close frame with this code. */
static inline void wire_expect_close(const struct wire *w, int code) {
    struct wire_frame f = {0, 0, {0}, 0, NULL};
    wire_recv(w, &f);
    CHECK_INT(f.first, FIN | CLOSE);
    CHECK(f.len >= 2);
    CHECK_INT(f.payload[0] << 8 | f.payload[1], code);
    free(f.payload);
}

/* --- Our own side --- */

/* The next message that our handle receives is exactly this one. */
static inline void expect_message(int ws, int flags, const void *data, size_t len) {
    char *buf = (char *)malloc(len + 1);
    int seen = -1;
    CHECK_INT(ws_recv(ws, &seen, buf, len + 1, now() + 5000), len);
    CHECK_INT(seen, flags);
    CHECK_MEM(buf, data, len);
    free(buf);
}

static inline void expect_text(int ws, const char *text) { expect_message(ws, WS_TEXT, text, strlen(text)); }

/* Two WebSockets of ours on an IPC pair, the client first. */
static inline void make_ws_pair(int ws[2], int flags) {
    int s[2];
    make_ipc_pair(s);
    ws[0] = attach_without_http(s[0], CLIENT, flags);
    ws[1] = attach_without_http(s[1], SERVER, flags);
}

#endif
