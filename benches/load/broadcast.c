/* N connections; what the first one says the server sends to all of them, the first among them. Some may be slow:
   they read nothing while the others do, and have to be given whole messages, if not all of them, when they read
   again. */
#define _GNU_SOURCE
#include "load.h"
#include "packed.h"
#include "../common/frame.h"
#include "../common/handshake.h"
#include "../common/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Segments as between machines, and a small buffer: otherwise the kernel would take megabytes for a connection that
   does not read. */
enum { SEGMENT = 1460, RECEIVE_BUFFER = 32 * 1024 };

/* What a slow connection is sent at least before the measurement, in bytes, so that what the kernel takes for it is
   full. */
enum { SLOW_BYTES = 320 * 1024, SLOW_SECONDS = 20 };

/* Messages as they leave, and as they come back: where the server compresses, as it did for the first time. */
struct message {
    const uint8_t *sent;
    uint8_t *back;
    size_t sent_len, back_len;
};

static struct message *ring;
static struct packed packed[PACKED_RING];
static uint8_t *buffer;
static size_t count, next, longest;

static void make_ring(const struct options *o)
{
    struct messages plain = {.count = PACKED_RING};
    if(o->deflate) packed_messages(packed, o->size);
    else make_messages(&plain, o);
    count = plain.count;
    ring = calloc(count, sizeof *ring);
    if(!ring) die("malloc");
    for(size_t i = 0; i < count; i++) {
        struct message *m = &ring[i];
        if(o->deflate) {
            m->sent = packed[i].frame;
            m->sent_len = packed[i].frame_len;
        } else {
            m->sent = plain.sent + i * plain.sent_size;
            m->back = plain.back + i * plain.back_size;
            m->sent_len = plain.sent_size;
            m->back_len = plain.back_size;
        }
        if(m->sent_len > longest) longest = m->sent_len;
    }
    /* A server may compress less than we do. */
    longest += o->size + HEAD_MAX;
    buffer = malloc(longest);
    if(!buffer) die("malloc");
}

/* The first time that a message comes back compressed it is unpacked; after that it has to be the same bytes. */
static void learn(int fd, struct message *m)
{
    const uint8_t *frame;
    size_t len = packed_receive(fd, &packed[m - ring], &frame);
    m->back_len = head_size(frame[1]) + len;
    m->back = malloc(m->back_len);
    if(!m->back) die("malloc");
    memcpy(m->back, frame, m->back_len);
}

/* One message to the server, and one from it on each of the connections that read. */
static void turn(const int *fds, long conns)
{
    struct message *m = &ring[next];
    long first = m->back ? 0 : 1;
    send_all(fds[0], m->sent, m->sent_len);
    if(first) learn(fds[0], m);
    for(long i = first; i < conns; i++) {
        if(recv(fds[i], buffer, m->back_len, MSG_WAITALL) != (ssize_t)m->back_len) die("recv");
        if(memcmp(buffer, m->back, m->back_len) != 0) {
            fprintf(stderr, "connection %ld: wrong message\n", i);
            exit(3);
        }
    }
    next = (next + 1) % count;
}

static uint64_t run_for(const int *fds, long conns, const struct options *o, double seconds)
{
    uint64_t messages = 0, end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    for(; messages < (uint64_t)o->messages && clock_ns(CLOCK_MONOTONIC) < end; messages += (uint64_t)conns)
        turn(fds, conns);
    return messages;
}

/* A connection that is read again: what came of a message, and the one that may come at the earliest. */
struct slow {
    uint8_t *in;
    size_t len, from;
};

/* Whole messages in their order, some of them left out; how many there were. */
static uint64_t check_slow(struct slow *s)
{
    uint64_t messages = 0;
    for(size_t at = 0;;) {
        size_t skipped = 0, left = s->len - at;
        const struct message *m;
        while(m = &ring[(s->from + skipped) % count], skipped < count &&
              memcmp(s->in + at, m->back, left < m->back_len ? left : m->back_len) != 0) skipped++;
        if(skipped == count) {
            fprintf(stderr, "a slow connection: no message of the others\n");
            exit(3);
        }
        if(left < m->back_len) {
            memmove(s->in, s->in + at, s->len = left);
            return messages;
        }
        at += m->back_len;
        s->from = (s->from + skipped + 1) % count;
        messages++;
    }
}

/* Reads the slow connections until nothing has come for a while; how many messages there were. */
static uint64_t read_slow(const int *fds, long conns)
{
    enum { BLOCK = 1 << 16, PATIENCE = 300 };
    struct slow *slow = calloc((size_t)conns, sizeof *slow);
    uint64_t messages = 0;
    if(!slow) die("malloc");
    for(int idle = 0; idle < PATIENCE; idle++) {
        for(long i = 0; i < conns; i++) {
            if(!slow[i].in && !(slow[i].in = malloc(longest + BLOCK))) die("malloc");
            ssize_t got = recv(fds[i], slow[i].in + slow[i].len, BLOCK, MSG_DONTWAIT);
            if(got < 0 && errno == EAGAIN) continue;
            errno = 0;
            if(got <= 0) die("a slow connection ended");
            slow[i].len += (size_t)got;
            messages += check_slow(&slow[i]);
            idle = 0;
        }
        usleep(1000);
    }
    for(long i = 0; i < conns; i++) {
        if(slow[i].len > 0) die("a slow connection: half a message");
        free(slow[i].in);
    }
    free(slow);
    return messages;
}

static int connect_slow(int port)
{
    int segment = SEGMENT, buffer_size = RECEIVE_BUFFER, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if(fd < 0) die("socket");
    if(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment)) die("TCP_MAXSEG");
    if(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof buffer_size)) die("SO_RCVBUF");
    if(connect(fd, (const struct sockaddr *)&addr, sizeof addr)) die("connect");
    return fd;
}

static void prepare(const struct options *o, int *fds)
{
    struct timeval limit = {.tv_sec = 10};
    for(long i = 0; i < o->conns; i++) {
        fds[i] = i < o->conns - o->slow ? connect_to(o->port) : connect_slow(o->port);
        if(o->deflate) packed_upgrade(fds[i]);
        else handshake_as_client(fds[i]);
        if(setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) die("SO_RCVTIMEO");
    }
}

/* What the kernel and the server keep for the slow ones is full after that. */
static uint64_t fill_slow(const int *fds, long quick)
{
    uint64_t turns = 0, bytes = 0, end = clock_ns(CLOCK_MONOTONIC) + SLOW_SECONDS * 1000000000ull;
    while(bytes < SLOW_BYTES && clock_ns(CLOCK_MONOTONIC) < end) {
        size_t at = next;
        turn(fds, quick);
        bytes += ring[at].back_len;
        turns++;
    }
    return turns;
}

void run_broadcast(const struct options *o)
{
    int *fds = calloc((size_t)o->conns, sizeof *fds);
    long quick = o->conns - o->slow;
    uint64_t turns = 0, grown = 0, taken = 0;
    if(!fds) die("malloc");
    if(quick < 1) die("nobody reads");
    make_ring(o);
    prepare(o, fds);
    if(o->slow > 0) {
        for(size_t i = 0; i < count && i < PACKED_RING; i++) turn(fds, o->conns);
        grown = account_resident();
        turns += fill_slow(fds, quick);
    }
    turns += run_for(fds, quick, o, o->warmup) / (uint64_t)quick;
    struct account start = account_now();
    uint64_t messages = run_for(fds, quick, o, o->seconds);
    struct account used = account_since(start);
    turns += messages / (uint64_t)quick;
    if(o->slow > 0) {
        grown = account_resident() - grown;
        taken = read_slow(fds + quick, o->slow);
        errno = 0;
        if(taken >= turns * (uint64_t)o->slow) die("the slow connections were not slow");
        turn(fds, o->conns);
    }
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"syscalls\": %llu",
        (unsigned long long)messages, (double)used.wall_ns / 1e9, (unsigned long long)used.cpu_ns,
        (unsigned long long)used.syscalls);
    if(o->slow > 0)
        printf(", \"slow_bytes\": %.1f, \"slow_taken\": %.4f", (double)(int64_t)grown / (double)o->slow,
            (double)taken / (double)turns / (double)o->slow);
    puts("}");
    for(long i = 0; i < o->conns; i++) close(fds[i]);
}
