/* N connections with permessage-deflate, without context takeover, and one message on the way on each: the server
   sends it back. What comes back is decompressed and compared, and its length is counted. */
#define _GNU_SOURCE
#include "load.h"
#include "../common/frame.h"
#include "../common/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

enum { RING = 32, RSV1 = 0x40, TAIL = 4 };

static uint8_t *plain[RING], *frames[RING];
static size_t frame_len[RING], most;
static uint8_t *packed, *unpacked;
static z_stream inflater;
static uint64_t wire;

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

static void make_ring(size_t size)
{
    z_stream deflater = {0};
    if(deflateInit2(&deflater, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) die("deflateInit2");
    if(inflateInit2(&inflater, -15) != Z_OK) die("inflateInit2");
    most = deflateBound(&deflater, size) + 64;
    packed = malloc(most);
    unpacked = malloc(size + 1);
    if(!packed || !unpacked) die("malloc");
    for(int i = 0; i < RING; i++) {
        uint32_t mask = 0x3d21fa37;
        plain[i] = malloc(size);
        frames[i] = malloc(most + HEAD_MAX);
        if(!plain[i] || !frames[i]) die("malloc");
        fill_json(plain[i], size);
        deflateReset(&deflater);
        deflater.next_in = plain[i];
        deflater.avail_in = (uInt)size;
        deflater.next_out = packed;
        deflater.avail_out = (uInt)most;
        if(deflate(&deflater, Z_SYNC_FLUSH) != Z_OK || deflater.avail_in > 0) die("deflate");
        size_t len = most - deflater.avail_out - TAIL;
        size_t head = put_head(frames[i], FIN | RSV1 | TEXT, len, &mask);
        mask_copy(frames[i] + head, packed, len, mask);
        frame_len[i] = head + len;
    }
    deflateEnd(&deflater);
}

static void upgrade(int fd)
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

static void check(int fd, const uint8_t *expected, size_t size)
{
    static const uint8_t tail[TAIL] = {0, 0, 0xff, 0xff};
    uint8_t head[HEAD_MAX];
    receive(fd, head, 2);
    receive(fd, head + 2, head_size(head[1]) - 2);
    size_t len = (size_t)head_payload(head);
    if(head[0] != (FIN | RSV1 | TEXT) || len + TAIL > most) {
        fprintf(stderr, "a frame of %zu bytes that begins with 0x%02x\n", len, head[0]);
        exit(3);
    }
    receive(fd, packed, len);
    memcpy(packed + len, tail, TAIL);
    inflateReset(&inflater);
    inflater.next_in = packed;
    inflater.avail_in = (uInt)(len + TAIL);
    inflater.next_out = unpacked;
    inflater.avail_out = (uInt)size + 1;
    int code = inflate(&inflater, Z_SYNC_FLUSH);
    if((code != Z_OK && code != Z_STREAM_END) || inflater.avail_out != 1 || memcmp(unpacked, expected, size) != 0) {
        fprintf(stderr, "wrong message\n");
        exit(3);
    }
    wire += len;
}

static uint64_t run_for(const int *fds, const struct options *o, double seconds)
{
    uint64_t messages = 0, end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    for(unsigned at = 0; messages < (uint64_t)o->messages && clock_ns(CLOCK_MONOTONIC) < end; at++) {
        for(long i = 0; i < o->conns; i++)
            send_all(fds[i], frames[(at + (unsigned)i) % RING], frame_len[(at + (unsigned)i) % RING]);
        for(long i = 0; i < o->conns; i++) check(fds[i], plain[(at + (unsigned)i) % RING], o->size);
        messages += (uint64_t)o->conns;
    }
    return messages;
}

void run_deflate(const struct options *o)
{
    struct timeval limit = {.tv_sec = 10};
    int *fds = calloc((size_t)o->conns, sizeof *fds);
    if(!fds) die("malloc");
    make_ring(o->size);
    for(long i = 0; i < o->conns; i++) {
        fds[i] = connect_to(o->port);
        if(setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) die("SO_RCVTIMEO");
        upgrade(fds[i]);
    }
    run_for(fds, o, o->warmup);
    wire = 0;
    struct account start = account_now();
    uint64_t messages = run_for(fds, o, o->seconds);
    struct account used = account_since(start);
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"syscalls\": %llu, \"wire_bytes\": %llu}\n",
        (unsigned long long)messages, (double)used.wall_ns / 1e9, (unsigned long long)used.cpu_ns,
        (unsigned long long)used.syscalls, (unsigned long long)wire);
    for(long i = 0; i < o->conns; i++) close(fds[i]);
}
