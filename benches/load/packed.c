#define _GNU_SOURCE
#include "packed.h"
#include "../common/frame.h"
#include "../common/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <zlib.h>

enum { RSV1 = 0x40, TAIL = 4 };

static uint8_t *packed, *unpacked;
static size_t plain_size, most;
static z_stream inflater;

static uint64_t random_state = 0x9e3779b97f4a7c15;

static unsigned any(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 33) % below);
}

/* Records as programs send them. */
static void fill_json(uint8_t *out, size_t size)
{
    static const char *const names[] = {"temperature", "pressure", "humidity", "voltage", "current"};
    static const char *const places[] = {"Berlin", "Paris", "Roma", "London", "Madrid", "Wien", "Praha"};
    char record[200];
    for(size_t at = 0, len; at < size; at += len) {
        int written = snprintf(record, sizeof record,
            "{\"id\":%u,\"time\":\"2026-03-%02uT%02u:%02u:%02uZ\",\"name\":\"%s\",\"place\":\"%s\",\"value\":%u.%03u,"
            "\"valid\":%s},\n",
            any(1000000), 1 + any(28), any(24), any(60), any(60), names[any(5)], places[any(7)], any(100), any(1000),
            any(8) ? "true" : "false");
        len = (size_t)written < size - at ? (size_t)written : size - at;
        memcpy(out + at, record, len);
    }
}

static void pack(struct packed *message, z_stream *deflater)
{
    uint32_t mask = 0x3d21fa37;
    message->plain = malloc(plain_size);
    message->frame = malloc(HEAD_MAX + most);
    if(!message->plain || !message->frame) die("malloc");
    fill_json(message->plain, plain_size);
    deflateReset(deflater);
    deflater->next_in = message->plain;
    deflater->avail_in = (uInt)plain_size;
    deflater->next_out = packed;
    deflater->avail_out = (uInt)most;
    if(deflate(deflater, Z_SYNC_FLUSH) != Z_OK || deflater->avail_in > 0) die("deflate");
    size_t len = most - deflater->avail_out - TAIL;
    size_t head = put_head(message->frame, FIN | RSV1 | TEXT, len, &mask);
    mask_copy(message->frame + head, packed, len, mask);
    message->frame_len = head + len;
}

void packed_messages(struct packed ring[PACKED_RING], size_t size)
{
    z_stream deflater = {0};
    if(deflateInit2(&deflater, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) die("deflateInit2");
    if(inflateInit2(&inflater, -15) != Z_OK) die("inflateInit2");
    plain_size = size;
    most = deflateBound(&deflater, size) + 64;
    packed = malloc(HEAD_MAX + most);
    unpacked = malloc(size + 1);
    if(!packed || !unpacked) die("malloc");
    for(int i = 0; i < PACKED_RING; i++) pack(&ring[i], &deflater);
    deflateEnd(&deflater);
}

void packed_upgrade(int fd)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n\r\n";
    char answer[1024];
    size_t len = 0;
    send_all(fd, request, sizeof request - 1);
    do {
        if(len == sizeof answer - 1 || recv(fd, answer + len, 1, 0) != 1) die("handshake");
        answer[++len] = 0;
    } while(len < 4 || memcmp(answer + len - 4, "\r\n\r\n", 4) != 0);
    if(!strstr(answer, " 101 ") || !strcasestr(answer, "permessage-deflate")) {
        fprintf(stderr, "the server does not compress\n");
        exit(3);
    }
}

static void receive(int fd, uint8_t *to, size_t len)
{
    if(recv(fd, to, len, MSG_WAITALL) != (ssize_t)len) die("recv");
}

size_t packed_receive(int fd, const struct packed *message, const uint8_t **frame)
{
    static const uint8_t tail[TAIL] = {0, 0, 0xff, 0xff};
    receive(fd, packed, 2);
    size_t head = head_size(packed[1]);
    receive(fd, packed + 2, head - 2);
    size_t len = (size_t)head_payload(packed);
    if(packed[0] != (FIN | RSV1 | TEXT) || head + len + TAIL > HEAD_MAX + most) {
        fprintf(stderr, "a frame of %zu bytes that begins with 0x%02x\n", len, packed[0]);
        exit(3);
    }
    receive(fd, packed + head, len);
    memcpy(packed + head + len, tail, TAIL);
    inflateReset(&inflater);
    inflater.next_in = packed + head;
    inflater.avail_in = (uInt)(len + TAIL);
    inflater.next_out = unpacked;
    inflater.avail_out = (uInt)plain_size + 1;
    int code = inflate(&inflater, Z_SYNC_FLUSH);
    if((code != Z_OK && code != Z_STREAM_END) || inflater.avail_out != 1 ||
       memcmp(unpacked, message->plain, plain_size) != 0) {
        fprintf(stderr, "wrong message\n");
        exit(3);
    }
    if(frame) *frame = packed;
    return len;
}
